"""``gradscope report``: a run as one page, to be read in a browser, printed, kept and sent."""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gradscope.cli.many_runs import runs_at
from gradscope.errors import ArgumentError
from gradscope.nearest import few

if TYPE_CHECKING:
    from gradscope.run import Run


def report(
    path: Annotated[Path, typer.Argument(metavar="PATH", help="A run's directory, or one that holds several runs.")],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="Where to: a file, or a directory."),
    ] = None,
    show: Annotated[bool, typer.Option("--open", help="Open the page in the browser.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace a file even if it is no report.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print run, path and size of each page as JSON.")] = False,
) -> int:
    """Write a page that says what is wrong, where, since when and what to try.

    The page holds everything within itself, so it can be sent and opened anywhere,
    offline too. Without -o it is called after the run and lies in the current
    directory. An older report of that name is replaced.

    \b
    Several runs:
      give a directory with -o, and each gets a page of its own there

    \b
    Examples:
      gradscope report logs/mlp
      gradscope report logs/mlp -o mlp.html --open
      gradscope report logs -o pages/
    """
    found = runs_at([path])
    runs = {run.name: run for run in found.readable()}
    files = page_files(runs, output, path)
    from gradscope.diagnose.finding import at_least
    from gradscope.report.values.findings import FLOOR
    from gradscope.report.words.findings import number_of, or_higher
    from gradscope.report.words.names import printable

    pages: list[dict[str, object]] = []
    for name, file in files.items():
        written = runs[name].report(file, force=force)
        size = written.stat().st_size
        pages.append({"run": name, "path": str(written), "bytes": size})
        if not as_json:
            severe = number_of(len(at_least(runs[name].diagnose(), FLOOR)))
            print(f"{printable(name)}: {severe} of {or_higher(FLOOR)}")
            print(f"  {printable(str(written))} ({size / 1e6:.1f} MB)")
    if as_json:
        print(json.dumps({"pages": pages}, indent=2))
    if show:
        _open(Path(str(pages[0]["path"])))
    return 2 if found.left_out else 0


def page_files(runs: Mapping[str, Run], output: Path | None, path: Path) -> dict[str, Path]:
    """Return the file that the page of each run is written to; what has no extension is a directory, and is made.

    Args:
        runs: By name.
        output: What was given as ``-o``.
        path: What was given as PATH, to name it where it cannot be.

    Raises:
        ArgumentError: If there are several runs and ``output`` is no directory.
    """
    if len(runs) == 1:
        name = next(iter(runs))
        file = Path(file_name(runs[name].name)) if output is None else output
        is_directory = file.is_dir() or not (file.suffix or file.is_file())
        if is_directory:
            file.mkdir(parents=True, exist_ok=True)
        return {name: file / file_name(runs[name].name) if is_directory else file}
    if output is None or output.suffix == ".html" or output.is_file():
        raise ArgumentError(
            f"{str(path)!r} holds {len(runs)} runs: {few(list(runs), 5)}. "
            "Name one of them, or give a directory for a page of each: -o pages"
        )
    output.mkdir(parents=True, exist_ok=True)
    files = {name: output / file_name(name) for name in runs}
    if len(set(files.values())) < len(files):
        files = {name: output / f"{number}-{file_name(name)}" for number, name in enumerate(runs, 1)}
    return files


def file_name(run: str) -> str:
    """Return what the page of a run is called: characters that a file system or a shell may take amiss are left out.

    Example:
        >>> file_name("lr=0.1/seed 3"), file_name("///")
        ('lr=0.1-seed-3.html', 'run.html')
    """
    return (re.sub(r"[^\w.=+-]+", "-", run).strip("-.")[:100] or "run") + ".html"


def _open(page: Path) -> None:
    import webbrowser

    if not webbrowser.open(page.resolve().as_uri()):
        warnings.warn(f"No browser could be started. Open {page} in one.", stacklevel=2)
