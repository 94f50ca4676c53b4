"""``gradscope summary``: one row a layer of a recorded run, as a table or as JSON."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from gradscope.cli.runs import only_run

if TYPE_CHECKING:
    from gradscope.report.summary import Summary


def summary(
    path: Annotated[Path, typer.Argument(metavar="PATH", help="Directory of a run, as it was given to GradScope.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON; NaN and infinite numbers are null.")] = False,
    show_all: Annotated[bool, typer.Option("--all", help="Show every row of a deep network in a terminal.")] = False,
) -> None:
    """Show findings, and one row a layer.

    \b
    How to read a row:
      saturated        share of entries where the function has lost its slope;
                       in brackets where only one side is flat, as ReLU below 0
      dead units       share of units that are 0 on every sample of a window
      gradient RMS     of the layer's kernel, at the first and the last record
      backward signal  gradient of the loss at the layer's pre-activation,
                       per sample: where it fades, the gradient vanishes
      update / weight  size of an update over size of the weights, a median

    \b
    Examples:
      gradscope summary logs/mlp
      gradscope summary logs/mlp --all
      gradscope summary logs/mlp --json > mlp.json
    """
    shown = only_run(path).summary()
    if as_json:
        print(summary_json(shown))
        return
    from gradscope.report.console import ROW_LIMIT, print_summary

    print_summary(shown, row_limit=None if show_all else ROW_LIMIT)


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
    return json.dumps(_strict(document), indent=2, allow_nan=False)


def _strict(value: Any) -> Any:  # Any: a JSON value
    """Return ``value`` with null for every number that JSON cannot hold."""
    match value:
        case dict():
            return {str(key): _strict(item) for key, item in cast("dict[Any, Any]", value).items()}
        case list():
            return [_strict(item) for item in cast("list[Any]", value)]
        case float() if not math.isfinite(value):
            return None
        case _:
            return value
