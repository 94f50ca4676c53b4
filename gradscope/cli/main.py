"""The command ``gradscope``: which commands there are, and how a user's mistake is answered.

A mistake gets one line on standard error and exit code 2. Each command loads what it needs when it is called, so that
``gradscope --help`` needs neither pandas nor a framework. An interrupt ends with exit code 130, as shells have it.
"""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Sequence
from typing import Annotated

import typer

from gradscope._version import __version__
from gradscope.cli.check import check
from gradscope.cli.compare import compare
from gradscope.cli.demo import demo
from gradscope.cli.export import export
from gradscope.cli.mistakes import explained
from gradscope.cli.report import report
from gradscope.cli.rules import rules
from gradscope.cli.summary import summary
from gradscope.cli.watch import watch
from gradscope.errors import GradscopeError

app = typer.Typer(
    name="gradscope",
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(summary)
app.command()(watch)
app.command()(check)
app.command()(report)
app.command()(compare)
app.command()(rules)
app.command()(demo)
app.command()(export)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command that ``arguments`` name, those of the process by default, and return the exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    with warnings.catch_warnings():
        warnings.showwarning = _say_warning
        try:
            code = app(given or ["--help"], prog_name="gradscope", standalone_mode=False)
            sys.stdout.flush()
        except BrokenPipeError:
            # the reader, such as `head`, has had enough; Python would complain when it flushes again at its end
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 1
        except typer.TyperException as error:
            _say(explained(error.format_message()))
            return 2
        except (GradscopeError, OSError) as error:
            _say(str(error))
            return 2
    return code if isinstance(code, int) else 0


def _say_warning(message: Warning | str, *_where: object) -> None:
    _say(str(message))


def _say(message: str) -> None:
    print(f"gradscope: {' '.join(message.split())}", file=sys.stderr)


def _show_version(wanted: bool) -> None:
    if wanted:
        print(f"gradscope {__version__}")
        raise typer.Exit


@app.callback()
def gradscope(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """See inside a neural network while it trains: saturation, dead units, gradients.

    \b
    Examples:
      gradscope demo                    a sick and a healthy network, side by side
      gradscope summary logs/mlp        findings, and one row a layer
      gradscope summary logs            one line a run, sorted and filtered
      gradscope compare logs/a logs/b   what differs, findings first
      gradscope check logs/mlp          what is wrong and what to try
      gradscope report logs/mlp         the same as a page with figures
      gradscope watch logs/mlp          the same while it trains, live
      gradscope rules                   what is looked for
      gradscope export logs --to parquet -o tables
      gradscope summary logs/mlp --json | jq .layers
    """
