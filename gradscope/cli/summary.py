"""``gradscope summary``: one row a layer of a run, or one line a run of many, as a table or as JSON."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gradscope.cli.many_runs import ManyRuns, runs_at
from gradscope.lossless_json import to_json

if TYPE_CHECKING:
    from gradscope.report.values.runs_table import Sweep
    from gradscope.report.values.summary import Summary


def summary(
    path: Annotated[Path, typer.Argument(metavar="PATH", help="A run's directory, or one that holds several runs.")],
    sort: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="Of several runs: sort by a column; -COLUMN sorts downwards.")
    ] = None,
    where: Annotated[
        list[str] | None, typer.Option(metavar="CONDITION", help="Only runs that meet this; repeatable.")
    ] = None,
    show: Annotated[list[str] | None, typer.Option(metavar="COLUMN", help="Show this column too; repeatable.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON; NaN and infinite numbers are null.")] = False,
    show_all: Annotated[bool, typer.Option("--all", help="Show every row of a deep network in a terminal.")] = False,
) -> int:
    """Show findings and layers; of several runs, a line each.

    \b
    How to read the row of a layer:
      saturated        share of entries where the function has lost its slope;
                       in brackets where only one side is flat, as ReLU below 0
      dead units       share of units that are 0 on every sample of a window
      gradient RMS     of the layer's kernel, at the first and the last record
      backward signal  gradient of the loss at the layer's pre-activation,
                       per sample: where it fades, the gradient vanishes
      update / weight  size of an update over size of the weights, a median

    \b
    Several runs, those with the severest findings first. Columns to sort by and
    for conditions:
      run, severity, finding (rule@layer), findings (how many), steps, epochs,
      recorded, batch_loss, overhead, setup_seconds, ended;
      each log of the epochs, such as val_loss; each of the runs' params
    A condition is COLUMN OP VALUE, where OP is one of < <= > >= = !=

    \b
    Exit codes:
      0  all runs were read
      2  a run could not be read, or there is no such column; the others are
         shown all the same

    \b
    Examples:
      gradscope summary logs/mlp
      gradscope summary logs/mlp --json > mlp.json
      gradscope summary logs
      gradscope summary logs --sort val_loss --where "lr<0.01"
      gradscope summary logs --sort -overhead --show accuracy
      gradscope summary logs --where "severity>=medium" --json | jq '.runs[].run'
    """
    runs = runs_at([path])
    if len(runs.places) > 1 or sort or where or show:
        return _show_sweep(runs, sort, where or (), show or (), as_json)
    from gradscope.run import load

    shown = load(runs.places[0][1]).summary()
    if as_json:
        print(summary_json(shown))
        return 0
    from gradscope.report.terminal.summary import ROW_LIMIT, print_summary

    print_summary(shown, row_limit=None if show_all else ROW_LIMIT)
    return 0


def _show_sweep(runs: ManyRuns, sort: str | None, where: Sequence[str], show: Sequence[str], as_json: bool) -> int:
    from gradscope.comparing import overview
    from gradscope.report.values.selection import column_named, condition_of, ordered, selected

    conditions = [condition_of(text) for text in where]
    sweep = dataclasses.replace(overview(runs), left_out=runs.left_out)
    if not sweep.rows:
        _print(sweep, as_json=as_json)
        return 2
    columns = [column_named(sweep, name) for name in (*show, *(condition.column for condition in conditions))]
    if sort is not None:
        sweep = ordered(sweep, sort)
        columns.append(column_named(sweep, sort.removeprefix("-") if sort not in sweep.columns else sort))
    _print(selected(sweep, conditions), show=columns, as_json=as_json)
    return 2 if runs.left_out else 0


def _print(sweep: Sweep, *, show: Sequence[str] = (), as_json: bool) -> None:
    if as_json:
        print(to_json(sweep.to_json(), indent=2))
        return
    from gradscope.report.terminal.runs_table import print_sweep

    print_sweep(sweep, show=show, now=time.time())


def summary_json(summary: Summary) -> str:
    """Return ``summary`` as strict JSON; numbers that are not finite are null."""
    document = {
        "run": summary.name,
        **dataclasses.asdict(summary.progress),
        "findings": [finding.to_json() for finding in summary.findings],
        "layers": summary.frame.to_dict("records"),
        "costs": dataclasses.asdict(summary.costs),
        "not_measured": [dataclasses.asdict(thing) for thing in summary.not_measured],
        "lost": list(summary.lost),
        "training_count": summary.training_count,
        "resumed_steps": list(summary.resumed_steps),
    }
    return to_json(document, indent=2)
