"""Unit maps: which units of a site are dead or stuck, and since when."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from numpy.typing import NDArray

from gradscope.errors import ArgumentError
from gradscope.report.figures.axes import height_for
from gradscope.report.figures.grid import check_one_run
from gradscope.report.figures.labels import STEP_TITLE, wrapped
from gradscope.report.figures.style import Spec, figure
from gradscope.schema import UNIT_STATES, UnitState, unit_state

_MOST_ROWS: Final = 256
_MOST_COLUMNS: Final = 300
_NEVER: Final = -1

UNIT_COLOURS: Final[Mapping[UnitState, str]] = {
    "active": "#6B93AC",
    "stuck": "#E69F00",
    "dead": "#B5452C",
    "confirmed": "#5A1800",
}
"""No two of like lightness, so that they are told apart without colours, too."""

_STATES: Final = tuple(UNIT_STATES)
_ACTIVE: Final = _STATES.index("active")
_DEAD: Final = ("dead", "confirmed")


@dataclass(frozen=True, slots=True)
class _Change:
    step: int
    unit: int
    state: int


def unit_map(units: pd.DataFrame, site: str, *, unit_count: int, last_step: int) -> go.Figure:
    """Return units × steps: which units of ``site`` are dead or stuck, and since when.

    The table holds changes only: a unit keeps its state until the next row about it. It is dead from the first step of
    the windows in which it was, which lies before the step at which that was found out. Of very many units, neighbours
    share a row, which shows the worst of them.

    Args:
        units: The run's table.
        site: Key of the site.
        unit_count: Units of the site.
        last_step: Last step of the training.

    Raises:
        ArgumentError: If the table holds several runs, or ``unit_count`` is negative.
    """
    check_one_run(units)
    if unit_count < 0:
        raise ArgumentError(f"unit_count={unit_count} is no number of units. Pass the units of the site.")
    rows = units.loc[(units["site"].astype(object) == site).to_numpy(np.bool_)].sort_values("step", kind="stable")
    changes = _changes(rows, unit_count)
    size = math.ceil(unit_count / _MOST_ROWS) or 1
    grouped = f"unit (index; one row for {size} neighbours, the worst of them)" if size > 1 else "unit (index)"
    layout: Spec = {
        "xaxis": {"title": {"text": STEP_TITLE}, "tickformat": ",d", "showgrid": False},
        "yaxis": {"title": {"text": grouped}, "autorange": "reversed", "tickformat": ",d", "showgrid": False},
    }
    title = f"Units of {wrapped(site, 60)}"
    if not unit_count:
        return figure([], layout, title=title, nothing="This site has no units.")
    starts, states, since = _states(changes, unit_count, last_step)
    states, since = _worst(states, since, size)
    edges = np.append(starts, max(last_step + 1, int(starts[-1]) + 1))
    height = max(height_for(0) + 60, min(height_for(len(states) // 3), 640))
    return figure(
        [*_cells(states, since, edges, size), *_legend(states)],
        layout,
        title=title,
        notes=[_count(changes, unit_count)],
        height=height,
        legend_above=True,
    )


def _changes(rows: pd.DataFrame, unit_count: int) -> list[_Change]:
    """Return what becomes of which unit when, in the order in which it was found out."""
    names = (
        "step",
        "unit",
        "confirmed",
        "dead",
        "dead_since_step",
        "saturated_low_fraction",
        "saturated_high_fraction",
    )
    columns: list[list[Any]] = [rows[name].to_numpy(np.float64, na_value=math.nan).tolist() for name in names]
    changes: list[_Change] = []
    for values in zip(*columns, strict=True):
        row: dict[str, float] = dict(zip(names, values, strict=True))
        state = unit_state(row)
        step, unit, since = row["step"], row["unit"], row["dead_since_step"]
        begin = since if state in _DEAD and math.isfinite(since) else step
        if 0 <= unit < unit_count:
            changes.append(_Change(int(min(begin, step)), int(unit), _STATES.index(state)))
    return changes


def _states(
    changes: list[_Change], unit_count: int, last_step: int
) -> tuple[NDArray[np.int64], NDArray[np.int8], NDArray[np.int32]]:
    """Return from which step on each column counts, and of each unit its state there and since when it is in it."""
    steps: list[int] = sorted({0, *(min(change.step, last_step) for change in changes)})
    if len(steps) > _MOST_COLUMNS:  # a change is then shown up to one column early
        steps = [steps[index] for index in np.linspace(0, len(steps) - 1, _MOST_COLUMNS).astype(int).tolist()]
    starts = np.array(steps, np.int64)
    states = np.zeros((unit_count, len(steps)), np.int8)
    since = np.full(states.shape, _NEVER, np.int32)
    for change in changes:
        column = max(int(np.searchsorted(starts, change.step, side="right")) - 1, 0)
        states[change.unit, column:] = change.state
        since[change.unit, column:] = change.step
    return starts, states, since


def _worst(states: NDArray[np.int8], since: NDArray[np.int32], size: int) -> tuple[NDArray[np.int8], NDArray[np.int32]]:
    """Return one row for ``size`` neighbours, that of the worst of them at each step."""
    if size == 1:
        return states, since
    units, columns = states.shape
    groups = math.ceil(units / size)
    padding = ((0, groups * size - units), (0, 0))
    shape = groups, size, columns
    grouped, grouped_since = np.pad(states, padding).reshape(shape), np.pad(since, padding).reshape(shape)
    worst = grouped.argmax(axis=1)[:, None]
    return (
        np.take_along_axis(grouped, worst, axis=1)[:, 0],
        np.take_along_axis(grouped_since, worst, axis=1)[:, 0],
    )


def _cells(states: NDArray[np.int8], since: NDArray[np.int32], edges: NDArray[np.int64], size: int) -> list[Spec]:
    """Return one trace a state: a hover text can then say what the state is and since when."""
    traces: list[Spec] = []
    for state, kind in enumerate(_STATES):
        name, here = UNIT_STATES[kind], states == state
        if not here.any():
            continue
        text = f"{name} since step %{{customdata:,}}" if state != _ACTIVE else name
        traces.append(
            {
                "type": "heatmap",
                "z": np.where(here, 1.0, np.nan).astype(np.float32),
                "x": edges,
                "y0": (size - 1) / 2,
                "dy": size,
                "colorscale": [[0, UNIT_COLOURS[kind]], [1, UNIT_COLOURS[kind]]],
                "showscale": False,
                "hoverongaps": False,
                "hovertemplate": f"unit %{{y:.0f}}<br>step %{{x:,}}<br>{text}<extra></extra>",
                **({"customdata": since} if state != _ACTIVE else {}),
            }
        )
    return traces


def _legend(states: NDArray[np.int8]) -> list[Spec]:
    """Return a mark of each state for the legend: that of a heatmap would show its colour scale."""
    return [
        {
            "type": "scatter",
            "mode": "markers",
            "x": [None],
            "y": [None],
            "name": UNIT_STATES[kind],
            "showlegend": True,
            "marker": {"symbol": "square", "size": 12, "color": UNIT_COLOURS[kind]},
            "hoverinfo": "skip",
        }
        for state, kind in enumerate(_STATES)
        if kind in ("active", "dead") or (states == state).any()
    ]


def _count(changes: list[_Change], unit_count: int) -> str:
    if not changes:
        return "No unit of this site was seen dead or stuck in a window of at least 5 batches and 256 samples."
    at_end = {change.unit: _STATES[change.state] for change in changes}.values()
    dead, stuck = sum(state in _DEAD for state in at_end), sum(state == "stuck" for state in at_end)
    others = f", {stuck:,} stuck in one tail" if stuck else ""
    return f"At the end {dead:,} of {unit_count:,} units are dead{others}."
