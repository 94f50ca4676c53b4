"""``gradscope check``: what is wrong with a run, with an exit code that a script or a build server can go by."""

from __future__ import annotations

import enum
import warnings
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gradscope.cli.many_runs import runs_at
from gradscope.cli.rules import rule_names
from gradscope.errors import ArgumentError, MissingTableError
from gradscope.lossless_json import to_json
from gradscope.nearest import nearest, question

if TYPE_CHECKING:
    from rich.text import Text

    from gradscope.diagnose.verdict import Verdict
    from gradscope.run import Run


class FailOn(enum.StrEnum):
    """The least severity that fails."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"


class Format(enum.StrEnum):
    """What is printed."""

    TEXT = "text"
    JSON = "json"
    JUNIT = "junit"
    GITHUB = "github"


def check(
    path: Annotated[Path, typer.Argument(metavar="PATH", help="A run's directory, or one that holds several runs.")],
    fail_on: Annotated[FailOn, typer.Option(help="Least severity that makes the check fail.")] = FailOn.HIGH,
    ignore: Annotated[
        list[str] | None,
        typer.Option(
            metavar="RULE", help="A rule, or rule@layer, that does not count; repeatable.", autocompletion=rule_names
        ),
    ] = None,
    output: Annotated[Format, typer.Option("--format", help="What to print.")] = Format.TEXT,
    as_json: Annotated[bool, typer.Option("--json", help="The same as --format json.")] = False,
) -> int:
    """Say what is wrong, and fail if it is severe.

    Each finding is shown with its evidence and what to try. Several runs are checked one by one.

    \b
    Exit codes:
      0  no finding as severe as --fail-on, or more
      1  there are such findings
      2  a run could not be checked: missing, damaged, or nothing recorded;
         or a rule failed

    \b
    Severity:
      high    the training is failing now
      medium  a part of the network is lost, or will be
      low     information

    \b
    Examples:
      gradscope check logs/mlp
      gradscope check logs --fail-on medium --ignore dying_relu
      gradscope check logs --ignore dying_relu@dense_3
      gradscope check logs --format junit > report.xml
      gradscope check logs --format github
      gradscope check logs/mlp --json | jq '.runs[].findings[].rule'
    """
    if as_json and output not in (Format.TEXT, Format.JSON):
        raise ArgumentError(f"--json and --format {output.value} ask for two formats. Leave one of them out.")
    from gradscope.diagnose.diagnosis import RuleFailedWarning
    from gradscope.diagnose.verdict import ignored_names

    found = runs_at([path])
    runs = list(found.readable())
    names, verdicts, unchecked = ignored_names(ignore or ()), list["Verdict"](), list[str]()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for run in runs:
            try:
                verdicts.append(run.verdict(fail_on.value, names))
            except MissingTableError as error:
                unchecked.append(str(error))
    for warning in caught:
        warnings.showwarning(warning.message, warning.category, warning.filename, warning.lineno)
    _show(verdicts, fail_on, Format.JSON if as_json else output)
    for sentence in idle_ignores(names, runs):
        warnings.warn(sentence, stacklevel=2)
    if unchecked:
        raise MissingTableError(" ".join(unchecked))
    if found.left_out or any(issubclass(warning.category, RuleFailedWarning) for warning in caught):
        return 2
    return int(any(verdict.failing for verdict in verdicts))


def idle_ignores(names: Sequence[str], runs: Iterable[Run]) -> Iterator[str]:
    """Yield a sentence for each ``rule@layer`` to ignore whose layer no run has: it is misspelt, or gone."""
    networks = [run.network for run in runs]
    layers = dict.fromkeys(key for net in networks for part in (net.layers, net.sites) for key in (p.key for p in part))
    for name in names:
        rule, _, layer = name.partition("@")
        if layer and layers and layer not in layers:
            near = question(f"{rule}@{key}" for key in nearest(layer, layers))
            yield f"--ignore {name} ignores nothing: no layer is called {layer!r}.{near}"


def _show(verdicts: Sequence[Verdict], fail_on: FailOn, output: Format) -> None:
    from rich.console import Console
    from rich.text import Text

    from gradscope.report.terminal.printing import WIDTH, print_text

    console = Console()
    match output:
        case Format.TEXT:
            for text in _texts(verdicts, console.width if console.is_terminal else WIDTH):
                print_text(text, console)
        case Format.JSON:
            print(verdicts_json(verdicts, fail_on))
        case Format.JUNIT:
            from gradscope.diagnose.discover import known_rules
            from gradscope.report.build_servers.junit import junit_xml

            print(junit_xml(verdicts, list(known_rules())))
        case Format.GITHUB:
            from gradscope.report.build_servers.github import annotation_lines

            for line in annotation_lines(verdicts):
                print_text(Text(line), console)


def verdicts_json(verdicts: Sequence[Verdict], fail_on: FailOn) -> str:
    """Return ``verdicts`` as strict JSON."""
    document = {
        "fail_on": fail_on.value,
        "failed": any(verdict.failing for verdict in verdicts),
        "runs": [
            {
                "run": verdict.run,
                "failed": bool(verdict.failing),
                "findings": [finding.to_json() for finding in verdict.findings],
                "ignored": [finding.to_json() for finding in verdict.ignored],
            }
            for verdict in verdicts
        ],
    }
    return to_json(document, indent=2)


def _texts(verdicts: Sequence[Verdict], width: int) -> list[Text]:
    from rich.text import Text

    from gradscope.report.terminal.findings import findings_text
    from gradscope.report.values.findings import counted
    from gradscope.report.words.findings import number_of, or_higher
    from gradscope.report.words.names import printable

    texts: list[Text] = []
    for verdict in verdicts:
        ignored = f"; ignored: {counted(verdict.ignored)}" if verdict.ignored else ""
        texts.append(Text(f"{printable(verdict.run)}: {counted(verdict.findings)}{ignored}", "bold"))
        texts += [Text(), findings_text(verdict.findings, width=width), Text()] if verdict.findings else []
    failing = [finding for verdict in verdicts for finding in verdict.failing]
    if verdicts and failing:
        texts.append(Text(f"Failed: {number_of(len(failing))} of {or_higher(verdicts[0].fail_on)}."))
    elif verdicts:
        texts.append(Text(f"Passed: no finding of {or_higher(verdicts[0].fail_on)}."))
    return texts
