"""``gradscope compare``: how runs differ from one of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from gradscope.cli.check import FailOn
from gradscope.cli.many_runs import runs_at
from gradscope.errors import ArgumentError, RunNotFoundError
from gradscope.lossless_json import to_json


def compare(
    paths: Annotated[
        list[Path], typer.Argument(metavar="PATH", help="Runs, or directories that hold runs; two runs or more.")
    ],
    reference: Annotated[
        str | None, typer.Option(metavar="RUN", help="Run that all others are compared with; else the first.")
    ] = None,
    ratio: Annotated[float, typer.Option(help="From which ratio on a gradient, signal or update differs.")] = 2.0,
    difference: Annotated[float, typer.Option(help="From which difference on a share differs.")] = 0.1,
    fail_on_gained: Annotated[
        FailOn | None, typer.Option(help="Fail where a run has a finding so severe that the reference lacks.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write a page instead of printing.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a file even if it is no report.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON; NaN and infinite numbers are null.")] = False,
    show_all: Annotated[bool, typer.Option("--all", help="Show all that differs, not only the first of it.")] = False,
) -> int:
    """Show how runs differ, findings gained and lost first.

    The first run is the reference, all others are compared with it. Layers are
    matched by their key, which does not depend on how Keras numbered them; what
    could not be matched is listed. Numbers are those of the last record, so a
    single one is noisy: below --ratio and --difference it is not shown.

    With -o all of it becomes a page with figures, which needs no network and can
    be sent; an older one of that name is replaced.

    \b
    Exit codes:
      0  all runs were compared
      1  a run gained a finding of --fail-on-gained or higher
      2  the runs, or some of them, could not be compared: missing, damaged, or
         nothing recorded; those that could are shown all the same

    \b
    Examples:
      gradscope compare logs/before logs/after
      gradscope compare logs/* --reference baseline
      gradscope compare logs/before logs/after -o comparison.html
      gradscope compare logs/main logs/branch --fail-on-gained high
      gradscope compare logs/a logs/b --json | jq '.findings[].finding.key'
    """
    from gradscope import comparing

    runs = runs_at(paths)
    name = None if reference is None else runs.name_of(reference)
    try:
        comparison = comparing.compare(runs, reference=name, ratio=ratio, difference=difference)
    except ArgumentError:
        if len(runs.places) - len(runs.left_out) < 2 <= len(runs.places):
            raise RunNotFoundError(" ".join(runs.left_out.values())) from None
        raise
    comparison = replace(comparison, left_out={**comparison.left_out, **runs.left_out})
    page = None if output is None else comparison.report(output, force=force)
    if as_json:
        print(to_json(comparison.to_json(), indent=2))
    elif page is not None:
        from gradscope.report.words.comparison import compared_runs, headline

        print(f"{compared_runs(comparison)}: {headline(comparison)}")
        print(f"  {page} ({page.stat().st_size / 1e6:.1f} MB)")
    else:
        from gradscope.report.terminal.comparison import print_comparison

        print_comparison(comparison, show_all=show_all)
    if comparison.left_out:
        return 2
    return int(fail_on_gained is not None and bool(comparison.gained(fail_on_gained.value)))
