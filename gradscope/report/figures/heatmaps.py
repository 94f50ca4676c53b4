"""Heatmaps: one statistic of every layer at every recorded step, layers from top to bottom in model order."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from numpy.typing import NDArray

from gradscope.errors import ArgumentError
from gradscope.report.figures.axes import height_for, place_axis, record_axis
from gradscope.report.figures.grid import Grid, check_one_run, compact, grid_of, limits_of, thinned
from gradscope.report.figures.labels import (
    axis_title,
    decade_ticks,
    escaped,
    number_format,
    power_of_ten,
)
from gradscope.report.figures.style import MISSING, NOT_FINITE, SEQUENTIAL, ZERO, Spec, figure
from gradscope.schema import GRADIENTS

Limits = tuple[float, float]


def statistic_heatmap(
    table: pd.DataFrame, statistic: str, *, limits: Limits | None = None, most_columns: int = 600
) -> go.Figure:
    """Return layers × steps of one statistic.

    Columns are of equal width, one a record, because records are dense where a training begins. Where there are more
    records than columns, a column shows the extreme of several: the highest, or the lowest where low is bad.

    Args:
        table: `activations`, shown by site, or `gradients`, shown by layer: that of its kernel where it has one.
        statistic: Name of a column, such as ``"saturated_fraction"``.
        limits: Lowest and highest value of the colour scale, in the statistic's unit; by default those that show all.
            `common_limits` gives those of several runs.
        most_columns: Columns at most.

    Raises:
        ArgumentError: If the table has no such statistic, holds several runs, or ``most_columns`` is below 1.

    Example:
        >>> from gradscope.testing import run, stack
        >>> figure = statistic_heatmap(run(stack(depth=2)).activations, "dead_unit_fraction")
        >>> figure.data[0].z.shape
        (3, 12)
    """
    return _heatmap(table, statistic, limits, most_columns)


def saturation_heatmap(activations: pd.DataFrame, *, limits: Limits | None = None) -> go.Figure:
    """Return where and when activations lie in the flat tails of their function.

    Args:
        activations: The run's table.
        limits: Lowest and highest share of the colour scale; 0 to 1 where None.

    Raises:
        ArgumentError: If the table lacks the statistic or holds several runs.

    Example:
        >>> from gradscope.testing import run, stack
        >>> saturation_heatmap(run(stack(depth=2)).activations).data[0].z.shape
        (3, 12)
    """
    return _heatmap(activations, "saturated_fraction", limits)


def dead_unit_heatmap(activations: pd.DataFrame, *, limits: Limits | None = None) -> go.Figure:
    """Return where and when units are inactive on every sample.

    Args:
        activations: The run's table.
        limits: Lowest and highest share of the colour scale; 0 to 1 where None.

    Raises:
        ArgumentError: If the table lacks the statistic or holds several runs.

    Example:
        >>> from gradscope.testing import run, stack
        >>> dead_unit_heatmap(run(stack(depth=2)).activations).data[0].z.shape
        (3, 12)
    """
    return _heatmap(activations, "dead_unit_fraction", limits)


def gradient_heatmap(gradients: pd.DataFrame, *, limits: Limits | None = None) -> go.Figure:
    """Return the size of the gradient of each layer, on a log scale.

    Args:
        gradients: The run's table; of a layer its kernel is shown where it has one.
        limits: Lowest and highest value of the colour scale; where None, whole powers of ten that hold all values.

    Raises:
        ArgumentError: If the table lacks the statistic or holds several runs.

    Example:
        >>> from gradscope.testing import run, stack
        >>> gradient_heatmap(run(stack(depth=2)).gradients).data[0].z.shape
        (3, 12)
    """
    return _heatmap(_of_variables(gradients), "rms", limits)


def update_ratio_heatmap(gradients: pd.DataFrame, *, limits: Limits | None = None) -> go.Figure:
    """Return how large each update is beside the weights it changes, on a log scale.

    Args:
        gradients: The run's table; of a layer its kernel is shown where it has one.
        limits: Lowest and highest value of the colour scale; where None, whole powers of ten that hold all values.

    Raises:
        ArgumentError: If the table lacks the statistic or holds several runs.

    Example:
        >>> from gradscope.testing import run, stack
        >>> update_ratio_heatmap(run(stack(depth=2)).gradients).data[0].z.shape
        (3, 12)
    """
    return _heatmap(_of_variables(gradients), "update_to_weight_ratio", limits)


def common_limits(tables: Iterable[pd.DataFrame], statistic: str) -> Limits:
    """Return the colour scale that shows ``statistic`` of all ``tables``, so that two heatmaps can be compared.

    Shares are 0 to 1 always; log scales end at whole powers of ten and span 12 of them at most.

    Example:
        >>> from gradscope.testing import run, stack
        >>> runs = [run(stack(), gradients={"*": {"rms": size}}).gradients for size in (3e-5, 2e-3)]
        >>> common_limits(runs, "rms")
        (1e-05, 0.01)
    """
    grids = [grid_of(table, statistic) for table in tables]
    return limits_of(grids) if grids else (0.0, 1.0)


def _of_variables(table: pd.DataFrame) -> pd.DataFrame:
    """Return ``table`` if it is one of gradients: that of activations has columns of the same names."""
    check_one_run(table)
    if "variable" not in table.columns:
        raise ArgumentError("This is no table of gradients: it has no column 'variable'. Pass run.gradients.")
    return table


def _heatmap(table: pd.DataFrame, statistic: str, limits: Limits | None, most_columns: int = 600) -> go.Figure:
    full = grid_of(table, statistic)
    grid = thinned(full, most_columns)
    place = "layer, from input to output" if grid.table is GRADIENTS else "site, from input to output"
    rows, y_axis = place_axis(grid.names, place)
    columns, x_axis = record_axis(grid.first, grid.last, _step_title(grid))
    name = escaped(grid.column.title)
    traces = [_values(grid, limits or limits_of([full]), (rows, columns))] if grid.numbers.size else []
    for flags, label, colour in (
        (grid.zero, "exactly 0", ZERO),
        (grid.not_finite, "NaN or infinite", NOT_FINITE),
    ):
        if flags.any():
            traces.append(_overlay(flags, label, colour, (rows, columns), name))
    missing = np.isnan(grid.numbers) & ~grid.not_finite
    notes = [full.column.meaning] if full.column.meaning else []
    if missing.any():
        notes.append("Grey: not measured.")
    layout: Spec = {
        "xaxis": x_axis,
        "yaxis": y_axis,
        "plot_bgcolor": MISSING if grid.numbers.size else "rgba(0,0,0,0)",  # seen where a cell has no value
    }
    return figure(
        traces,
        layout,
        title=escaped(grid.column.heading),
        notes=notes,
        nothing=_nothing(grid),
        height=height_for(len(rows)),
        legend_above=any("name" in trace for trace in traces),
    )


def _nothing(grid: Grid) -> str:
    if not grid.numbers.size:
        return "Nothing was recorded."
    known = np.isfinite(grid.numbers) | grid.not_finite
    return "" if known.any() else f"No value of {grid.column.name} was measured."


def _step_title(grid: Grid) -> str:
    if grid.records == 1:
        return "step (training batches; one cell a record, of equal width)"
    which = "highest" if grid.column.extreme == "high" else "lowest"
    return f"step (training batches; a cell shows the {which} of up to {grid.records:,} records)"


def _values(grid: Grid, limits: Limits, cells: tuple[list[str], list[str]]) -> Spec:
    column, bar = grid.column, _linear_bar(grid)
    z, (low, high) = grid.shown, limits
    shown = f"%{{z:{number_format(column)}}}"
    if grid.is_log:
        smallest = np.finfo(np.float64).tiny
        low, high = (float(np.log10(max(limit, smallest))) for limit in limits)
        z = np.log10(z)
        bar = _log_bar(grid, z, low, high)
        shown = "10<sup>%{z:.2f}</sup>"
    rows, columns = cells
    return {
        "type": "heatmap",
        "z": compact(z),
        "x": columns,
        "y": rows,
        "zmin": low,
        "zmax": high,
        "colorscale": SEQUENTIAL,
        "colorbar": bar,
        "hoverongaps": False,
        "hovertemplate": f"%{{y}}<br>step %{{x}}<br>{escaped(column.title)} {shown}<extra></extra>",
    }


def _overlay(flags: NDArray[np.bool_], label: str, colour: str, cells: tuple[list[str], list[str]], name: str) -> Spec:
    rows, columns = cells
    return {
        "type": "heatmap",
        "z": np.where(flags, 1.0, np.nan).astype(np.float32),
        "x": columns,
        "y": rows,
        "colorscale": [[0, colour], [1, colour]],
        "showscale": False,
        "showlegend": True,
        "name": label,
        "hoverongaps": False,
        "hovertemplate": f"%{{y}}<br>step %{{x}}<br>{name} {label}<extra></extra>",
    }


def _linear_bar(grid: Grid) -> Spec:
    bar = _bar(grid)
    return {**bar, "tickformat": ".0%"} if grid.column.is_fraction else bar


def _log_bar(grid: Grid, z: NDArray[np.float64], low: float, high: float) -> Spec:
    """Return a colour bar with powers of ten; its ends say where values lie beyond them."""
    ticks = decade_ticks(low, high)
    texts = [power_of_ten(tick) for tick in ticks]
    below, above = bool((z < low - 1e-6).any()), bool((z > high + 1e-6).any())
    texts[0] = f"≤ {texts[0]}" if below and ticks[0] <= low + 1e-6 else texts[0]
    texts[-1] = f"≥ {texts[-1]}" if above and ticks[-1] >= high - 1e-6 else texts[-1]
    return {**_bar(grid), "tickmode": "array", "tickvals": ticks, "ticktext": [escaped(text) for text in texts]}


def _bar(grid: Grid) -> Spec:
    return {
        "title": {"text": axis_title(grid.column, with_scale=False), "side": "right"},
        "thickness": 14,
        "outlinewidth": 0,
    }
