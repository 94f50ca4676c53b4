"""Curves: one statistic over the steps, one line a layer, with the findings marked above."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Final

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from gradscope.diagnose.finding import Finding
from gradscope.report.figures import zeros
from gradscope.report.figures.grid import Grid, compact, grid_of, thinned
from gradscope.report.figures.labels import distinct, escaped, listed, number_format, short, value_axis, wrapped
from gradscope.report.figures.strip import Row, finding_rows, step_row, strip_of
from gradscope.report.figures.style import ZERO, Spec, figure, line_styles

_MOST_POINTS: Final = 400


def statistic_curves(
    table: pd.DataFrame,
    statistic: str,
    *,
    layers: Collection[str] | None = None,
    findings: Iterable[Finding] = (),
) -> go.Figure:
    """Return one statistic over the steps, one line a layer.

    Of very many records, a line shows the extremes of neighbouring ones, each at its own step: the highest, or the
    lowest where low is bad.

    Args:
        table: `activations`, one line a site, or `gradients`, one line a layer: that of its kernel where it has one.
        statistic: Name of a column, such as ``"rms"``.
        layers: Keys of the layers to show; None for all.
        findings: What to mark: those about these layers, or about the whole model.

    Raises:
        ArgumentError: If the table has no such statistic, or holds several runs.

    Example:
        >>> from gradscope.testing import run, stack
        >>> figure = statistic_curves(run(stack()).gradients, "rms", layers=["dense", "dense_1"])
        >>> [trace.name for trace in figure.data]
        ['dense', 'dense_1']
    """
    full = grid_of(table, statistic, layers=layers)
    grid = thinned(full, _MOST_POINTS)
    shown = [finding for finding in findings if _concerns(finding, grid, layers)]
    rows = [*finding_rows(shown), *_not_finite_rows(grid)]
    strip = strip_of(rows, shown, value_axis(grid.column, zeros.limits_with_zeros(grid)))
    name = escaped(grid.column.title)
    notes = [grid.column.meaning] if grid.column.meaning else []
    if grid.records > 1:
        which = "highest" if grid.column.extreme == "high" else "lowest"
        notes.append(f"Each point is the {which} of up to {grid.records:,} records.")
    return figure(
        [*_lines(grid, name), *_zeros(grid, name), *strip.traces],
        {**strip.layout, "legend": {"title": {"text": "layer" if grid.names else ""}}},
        title=escaped(grid.column.heading),
        notes=notes,
        nothing=_nothing(grid),
        height=strip.height,
    )


def _nothing(grid: Grid) -> str:
    if not grid.numbers.size:
        return "Nothing was recorded."
    return "" if np.isfinite(grid.numbers).any() else f"No finite value of {grid.column.name} was measured."


def _concerns(finding: Finding, grid: Grid, layers: Collection[str] | None) -> bool:
    concerned = {finding.layer, *finding.layers}
    return layers is None or finding.layer is None or not concerned.isdisjoint(grid.layers)


def _lines(grid: Grid, name: str) -> list[Spec]:
    mode = "lines+markers" if len(grid.first) <= 40 else "lines"
    traces: list[Spec] = []
    labels, values = distinct(grid.names), grid.shown
    for index, (colour, dash) in enumerate(line_styles(len(grid.names))):
        value = f"%{{y:{number_format(grid.column)}}}"
        traces.append(
            {
                "type": "scatter",
                "mode": mode,
                "x": grid.step_of[index],
                "y": compact(values[index]),
                "name": short(grid.names[index]),
                "line": {"color": colour, "dash": dash, "width": 1.7},
                "marker": {"size": 4},
                "hovertemplate": f"{labels[index]}<br>step %{{x:,}}<br>{name} {value}<extra></extra>",
            }
        )
    return traces


def _zeros(grid: Grid, name: str) -> list[Spec]:
    """Return markers below the scale at the steps where a value is exactly 0."""
    rows, columns = np.nonzero(grid.zero)
    if not rows.size:
        return []
    steps, texts = _by_step(grid, rows.tolist(), grid.step_of[rows, columns].tolist())
    trace: Spec = {
        "type": "scatter",
        "mode": "markers",
        "x": np.array(steps, np.int64),
        "y": np.full(len(steps), zeros.floor_below(grid)),
        "name": zeros.LABEL,
        "marker": {"symbol": "triangle-down-open", "size": 9, "color": ZERO, "line": {"width": 1.5}},
        "hovertext": texts,
        "hovertemplate": f"step %{{x:,}}<br>{name} exactly 0: %{{hovertext}}<extra></extra>",
    }
    return [trace]


def _not_finite_rows(grid: Grid) -> list[Row]:
    rows, columns = np.nonzero(grid.not_finite)
    if not rows.size:
        return []
    steps, texts = _by_step(grid, rows.tolist(), grid.first[columns].tolist())
    texts = [f"NaN or infinite at step {step:,}<br>{text}" for step, text in zip(steps, texts, strict=True)]
    return [step_row("NaN or infinite", np.array(steps, np.int64), texts, is_bad=True)]


def _by_step(grid: Grid, places: Sequence[int], steps: Sequence[int]) -> tuple[list[int], list[str]]:
    """Return the steps, ascending, and the names of the places concerned at each."""
    at: dict[int, list[str]] = {}
    for place, step in zip(places, steps, strict=True):
        at.setdefault(step, []).append(grid.names[place])
    return sorted(at), [wrapped(listed(at[step])) for step in sorted(at)]
