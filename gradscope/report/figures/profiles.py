"""Profiles: a statistic along the depth of the network, one line a step of a run, or one line a run.

After Glorot and Bengio, "Understanding the difficulty of training deep feedforward neural networks", AISTATS 2010,
figures 2 to 4 and 7: whether signal and gradient keep their size from layer to layer.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from numpy.typing import NDArray

from gradscope.errors import ArgumentError
from gradscope.report.figures import zeros
from gradscope.report.figures.axes import height_for, place_axis
from gradscope.report.figures.grid import Grid, at_columns, compact, grid_of
from gradscope.report.figures.labels import distinct, escaped, listed, number_format, short, value_axis
from gradscope.report.figures.style import DASHES, LEGEND_LINE, SYMBOLS, ZERO, Spec, figure, ordered_colours, run_styles
from gradscope.schema import GRADIENTS

_STEPS_SHOWN: Final = 5
_BANDS_SHOWN: Final = 3  # more of them cover one another


def activation_profile(activations: pd.DataFrame, steps: Iterable[int] | None = None) -> go.Figure:
    """Return the activations of each site: their mean, in a band one standard deviation wide on each side.

    Args:
        activations: The run's table.
        steps: Which steps to show, each by the record nearest to it; by default the first, the last and a few between.

    Raises:
        ArgumentError: If the table is another, or holds several runs.

    Example:
        >>> from gradscope.testing import run, stack
        >>> figure = activation_profile(run(stack()).activations, steps=[0, 275])
        >>> [trace.name for trace in figure.data if trace.showlegend]
        ['step 0', 'step 275']
    """
    mean, spread = grid_of(activations, "mean"), grid_of(activations, "std")
    columns = _chosen(mean, steps, _BANDS_SHOWN)
    labels, place_axis_spec = place_axis(mean.names, "site, from input to output")
    traces: list[Spec] = []
    for column, (colour, dash, symbol) in zip(columns, _step_styles(len(columns)), strict=True):
        step, centre, width = int(mean.first[column]), mean.numbers[:, column], spread.numbers[:, column]
        traces += _bands(labels, centre - width, centre + width, (colour, dash), f"step {step}")
        line = _line(labels, centre, f"step {step}", (colour, dash, symbol))
        line["customdata"] = compact(width)
        line["hovertemplate"] = (
            f"%{{y}}<br>step {step:,}<br>activation mean %{{x:.3~g}} ± std %{{customdata:.3~g}}<extra></extra>"
        )
        traces.append(line)
    x_axis: Spec = {"title": {"text": "activation: mean ± standard deviation (no unit)"}, "zeroline": True}
    return _profile(mean, columns, traces, x_axis, place_axis_spec, "Activations along the depth")


def gradient_profile(gradients: pd.DataFrame, steps: Iterable[int] | None = None) -> go.Figure:
    """Return the root mean square of each layer's gradient, that of its kernel where it has one, on a log scale.

    Args:
        gradients: The run's table.
        steps: As in `activation_profile`.

    Raises:
        ArgumentError: If the table is another, or holds several runs.
    """
    return _statistic_profile(gradients, "rms", steps)


def backward_profile(activations: pd.DataFrame, steps: Iterable[int] | None = None) -> go.Figure:
    """Return the root mean square of the backward signal at each site, on a log scale.

    Args:
        activations: The run's table.
        steps: As in `activation_profile`.

    Raises:
        ArgumentError: If the table is another, or holds several runs.
    """
    return _statistic_profile(activations, "backward_rms", steps)


def profile_comparison(tables: Mapping[str, pd.DataFrame], statistic: str) -> go.Figure:
    """Return one statistic of several runs along the depth, each at its last record; the first is drawn thickest.

    Layers meet by their keys: what a run lacks is a gap in its line.

    Args:
        tables: By name of the run, its `activations`, shown by site, or its `gradients`, shown by layer.
        statistic: Name of a column, such as ``"backward_rms"``.

    Raises:
        ArgumentError: If there is no run, a table has no such statistic, or one of them holds several runs.

    Example:
        >>> from gradscope.testing import run, stack
        >>> tables = {name: run(stack(depth=depth)).gradients for name, depth in (("flat", 1), ("deep", 3))}
        >>> figure = profile_comparison(tables, "rms")
        >>> [(trace.name, len(trace.x)) for trace in figure.data]
        [('flat', 4), ('deep', 4)]
    """
    if not tables:
        raise ArgumentError("tables holds no run. Pass at least one, by its name: {'baseline': run.gradients}.")
    grid = _last_records([grid_of(table, statistic) for table in tables.values()])
    place = "layer, from input to output" if grid.table is GRADIENTS else "site, from input to output"
    labels, place_axis_spec = place_axis(grid.names, place)
    name, value = escaped(grid.column.title), f"%{{x:{number_format(grid.column)}}}"
    runs = [f"{run}, step {step:,}" for run, step in zip(distinct(tables), grid.first.tolist(), strict=True)]
    traces: list[Spec] = []
    for index, (run, (colour, dash)) in enumerate(zip(tables, run_styles(len(tables)), strict=True)):
        line = _line(labels, grid.shown[:, index], short(run), (colour, dash, SYMBOLS[index % len(SYMBOLS)]))
        line["line"]["width"] = 1.8 if index else 3
        del line["legendgroup"]  # nothing else belongs to the line, and groups stand apart
        line["hovertemplate"] = f"%{{y}}<br>{runs[index]}<br>{name} {value}<extra></extra>"
        traces.append(line)
    columns = range(len(tables))
    return _profile(
        grid,
        columns,
        [*traces, *_zeros(grid, labels, name, runs)],
        value_axis(grid.column, zeros.limits_with_zeros(grid)),
        place_axis_spec,
        f"{escaped(grid.column.heading)} along the depth, at the last record",
        [f"the last record of {run}" for run in tables],
    )


def _last_records(grids: Sequence[Grid]) -> Grid:
    """Return one grid of a column a run, each run's last record at which anything is known."""
    names = _in_one_order([grid.names for grid in grids])
    at = {name: index for index, name in enumerate(names)}
    shape = len(names), len(grids)
    numbers, not_finite, steps = np.full(shape, math.nan), np.zeros(shape, np.bool_), np.zeros(len(grids), np.int64)
    layers = list(names)
    for index, grid in enumerate(grids):
        known = np.flatnonzero((np.isfinite(grid.numbers) | grid.not_finite).any(axis=0))
        if known.size:
            rows = [at[name] for name in grid.names]
            numbers[rows, index] = grid.numbers[:, known[-1]]
            not_finite[rows, index] = grid.not_finite[:, known[-1]]
            steps[index] = grid.first[known[-1]]
        for name, layer in zip(grid.names, grid.layers, strict=True):
            layers[at[name]] = layer
    step_of = np.broadcast_to(steps, shape)
    kind, column = grids[0].table, grids[0].column
    return Grid(kind, column, tuple(names), tuple(layers), steps, steps, numbers, not_finite, step_of)


def _in_one_order(orders: Iterable[Sequence[str]]) -> list[str]:
    """Return the names of all ``orders``, each that the first lacks behind the one that it follows in its own."""
    names: list[str] = []
    for order in orders:
        place = len(names) if set(names).isdisjoint(order) else 0
        for name in order:
            if name in names:
                place = names.index(name) + 1
            else:
                names.insert(place, name)
                place += 1
    return names


def _statistic_profile(table: pd.DataFrame, statistic: str, steps: Iterable[int] | None) -> go.Figure:
    grid = grid_of(table, statistic)
    columns = _chosen(grid, steps)
    picked = at_columns(grid, columns)
    place = "layer, from input to output" if grid.table is GRADIENTS else "site, from input to output"
    labels, place_axis_spec = place_axis(grid.names, place)
    name = escaped(grid.column.title)
    traces: list[Spec] = []
    for column, (colour, dash, symbol) in zip(columns, _step_styles(len(columns)), strict=True):
        step = int(grid.first[column])
        line = _line(labels, grid.shown[:, column], f"step {step}", (colour, dash, symbol))
        value = f"%{{x:{number_format(grid.column)}}}"
        line["hovertemplate"] = f"%{{y}}<br>step {step:,}<br>{name} {value}<extra></extra>"
        traces.append(line)
    traces += _zeros(picked, labels, name, [f"step {step:,}" for step in picked.first.tolist()])
    return _profile(
        grid,
        columns,
        traces,
        value_axis(grid.column, zeros.limits_with_zeros(picked)),
        place_axis_spec,
        f"{escaped(grid.column.heading)} along the depth",
    )


def _profile(
    grid: Grid,
    columns: Sequence[int],
    traces: Sequence[Spec],
    x_axis: Spec,
    y_axis: Spec,
    title: str,
    records: Sequence[str] = (),
) -> go.Figure:
    """Return the figure of ``traces``; ``records`` says what each column is of, by default the step."""
    told = records or [f"step {step:,}" for step in grid.first.tolist()]
    notes = [
        f"NaN or infinite at {told[column]}: {listed([grid.names[i] for i in bad])}."
        for column in columns
        if (bad := np.flatnonzero(grid.not_finite[:, column])).size
    ]
    nothing = "Nothing was recorded." if not grid.numbers.size else "No finite value was measured at these steps."
    is_empty = not np.isfinite(grid.numbers[:, list(columns)]).any()
    return figure(
        traces,
        {"xaxis": x_axis, "yaxis": {**y_axis, "showgrid": True}},
        title=title,
        notes=notes,
        nothing=nothing if is_empty else "",
        height=max(height_for(len(grid.names)), 130 + LEGEND_LINE * len(traces) if records else 0),
    )


def _chosen(grid: Grid, steps: Iterable[int] | None, most: int = _STEPS_SHOWN) -> list[int]:
    """Return the columns of the wanted steps, or of a few from first to last, of those at which anything is known."""
    known = np.flatnonzero((np.isfinite(grid.numbers) | grid.not_finite).any(axis=0))
    if not known.size:
        return []
    if steps is None:
        count = min(most, known.size)
        return known[np.linspace(0, known.size - 1, count).round().astype(np.intp)].tolist()
    recorded = grid.first[known]
    return sorted({int(known[np.abs(recorded - step).argmin()]) for step in steps})


def _step_styles(count: int) -> list[tuple[str, str, str]]:
    """Return colour, dash and symbol of each of ``count`` steps; the last one is drawn solid."""
    return [
        (colour, DASHES[(count - 1 - index) % len(DASHES)], SYMBOLS[index % len(SYMBOLS)])
        for index, colour in enumerate(ordered_colours(count))
    ]


def _line(labels: Sequence[str], values: NDArray[np.float64], name: str, style: tuple[str, str, str]) -> Spec:
    colour, dash, symbol = style
    return {
        "type": "scatter",
        "mode": "lines+markers",
        "x": compact(values),
        "y": list(labels),
        "name": name,
        "legendgroup": name,
        "showlegend": True,
        "line": {"color": colour, "dash": dash, "width": 2},
        "marker": {"symbol": symbol, "size": 7},
    }


def _bands(
    labels: Sequence[str], low: NDArray[np.float64], high: NDArray[np.float64], style: tuple[str, str], group: str
) -> list[Spec]:
    """Return the area between ``low`` and ``high``, one piece for each stretch of layers where both are known."""
    colour, dash = style
    known = np.flatnonzero(np.isfinite(low) & np.isfinite(high))
    pieces = np.split(known, np.flatnonzero(np.diff(known) > 1) + 1)
    return [
        {
            "type": "scatter",
            "mode": "lines",
            "x": compact(np.concatenate([low[piece], high[piece[::-1]]])),
            "y": [labels[index] for index in [*piece.tolist(), *piece[::-1].tolist()]],
            "fill": "toself",
            "fillcolor": colour.replace("rgb(", "rgba(").replace(")", ", 0.1)"),
            "line": {"width": 1, "color": colour, "dash": dash},
            "hoverinfo": "skip",
            "showlegend": False,
            "legendgroup": group,
        }
        for piece in pieces
        if piece.size > 1
    ]


def _zeros(grid: Grid, labels: Sequence[str], name: str, records: Sequence[str]) -> list[Spec]:
    """Return markers left of the scale where a value is exactly 0; ``records`` says, escaped, what each column is."""
    places, which = np.nonzero(grid.zero)
    if not places.size:
        return []
    trace: Spec = {
        "type": "scatter",
        "mode": "markers",
        "x": np.full(places.size, zeros.floor_below(grid)),
        "y": [labels[place] for place in places.tolist()],
        "name": zeros.LABEL,
        "marker": {"symbol": "triangle-left-open", "size": 10, "color": ZERO, "line": {"width": 1.5}},
        "hovertext": [records[index] for index in which.tolist()],
        "hovertemplate": f"%{{y}}<br>%{{hovertext}}<br>{name} exactly 0<extra></extra>",
    }
    return [trace]
