"""Grid: one statistic of a table as places × recorded steps, in model order, thinned without losing its extremes."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gradscope.errors import ArgumentError
from gradscope.nearest import nearest
from gradscope.network import Variable, main_variables
from gradscope.report.values.decades import whole_decades
from gradscope.schema import ACTIVATIONS, GRADIENTS, Column, Table

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Grid:
    """One statistic at some places.

    Attributes:
        table: The table that it is of.
        column: What it measures.
        names: Keys of the sites, or of the layers, in the order of the model.
        layers: Key of each one's layer.
        first: First recorded step of each column, ascending.
        last: Last recorded step of each column; the first one where a column is one record.
        numbers: Shape ``(names, columns)``; NaN where there is no finite value.
        not_finite: Same shape: where the numbers it is made of hold NaN or infinite ones.
        step_of: Same shape: the recorded step whose value is shown.
        records: Recorded steps that one column stands for, at most.
    """

    table: Table
    column: Column
    names: tuple[str, ...]
    layers: tuple[str, ...]
    first: NDArray[np.int64]
    last: NDArray[np.int64]
    numbers: Floats
    not_finite: NDArray[np.bool_]
    step_of: NDArray[np.int64]
    records: int = 1

    @property
    def is_log(self) -> bool:
        """Whether the statistic is shown on a log scale."""
        return self.column.scale == "log"

    @property
    def shown(self) -> Floats:
        """The numbers that have a place on the axis: on a log scale, those above zero."""
        return np.where(self.numbers > 0, self.numbers, math.nan) if self.is_log else self.numbers

    @property
    def zero(self) -> NDArray[np.bool_]:
        """Where a log scale has no place for a value because it is exactly 0."""
        return (self.numbers == 0) if self.is_log else np.zeros(self.numbers.shape, np.bool_)


def grid_of(table: pd.DataFrame, statistic: str, *, layers: Collection[str] | None = None) -> Grid:
    """Return a column of `activations` by site, or of `gradients` by layer: that of each layer's main variable.

    The main variable is the first kernel, else an embedding, else any, as in the summary.

    Args:
        table: One run's table.
        statistic: Name of the column.
        layers: Keys of the layers to show; None for all.

    Raises:
        ArgumentError: If the table is neither, has no such column, or holds several runs.
    """
    check_one_run(table)
    kind = GRADIENTS if "variable" in table.columns else ACTIVATIONS
    column = _column(table, kind, statistic)
    key = "layer" if kind is GRADIENTS else "site"
    row_layers: Any = table["layer"]
    kept = np.ones(len(table), np.bool_) if layers is None else np.asarray(row_layers.isin(list(layers)), np.bool_)
    if kind is GRADIENTS:
        kept = kept & _is_main(table)
    names, place = places_of(table[key])
    rows = np.flatnonzero(kept & (place >= 0))
    present = np.flatnonzero(np.bincount(place[rows], minlength=len(names)))
    of_present: list[int] = present.tolist()
    place = np.searchsorted(present, place[rows])
    step_of_row: NDArray[np.int64] = table["step"].to_numpy(np.int64)[rows]
    steps = np.sort(pd.unique(step_of_row))  # by hashing: many rows are of few steps
    at = np.searchsorted(steps, step_of_row)
    found = table[statistic].to_numpy(np.float64, na_value=math.nan)[rows]
    bad = ~np.isfinite(found)
    if "nonfinite_count" in table.columns:
        bad &= np.isinf(found) | (table["nonfinite_count"].to_numpy(np.float64, na_value=math.nan)[rows] > 0)
    values = np.full((len(present), len(steps)), math.nan)
    values[place, at] = np.where(np.isfinite(found), found, math.nan)
    not_finite = np.zeros(values.shape, np.bool_)
    not_finite[place, at] = bad
    layer_names, layer_place = places_of(row_layers)
    layer_of = np.zeros(len(present), np.intp)
    layer_of[place] = layer_place[rows]
    return Grid(
        kind,
        column,
        tuple(names[index] for index in of_present),
        tuple(layer_names[index] for index in layer_of.tolist()),
        first=steps,
        last=steps,
        numbers=values,
        not_finite=not_finite,
        step_of=np.broadcast_to(steps, values.shape),
    )


def thinned(grid: Grid, most: int) -> Grid:
    """Return ``grid`` with at most ``most`` columns, each the extreme of as many neighbouring records, to within one.

    TensorBoard's tab has the same groups. Which extreme, the column's declaration says: the highest where high is bad,
    the lowest where low is.

    Raises:
        ArgumentError: If ``most`` is less than 1.
    """
    if most < 1:
        raise ArgumentError(f"most_columns={most} would show nothing. Pass at least 1, for example most_columns=600.")
    count = grid.numbers.shape[1]
    if count <= most:
        return grid
    starts = np.arange(most, dtype=np.int64) * count // most
    last: NDArray[np.int64] = np.append(starts[1:], count) - 1
    size = math.ceil(count / most)
    members = np.minimum(
        starts[:, None] + np.arange(size, dtype=np.int64), last[:, None]
    )  # the last of a short group twice
    values, not_finite = grid.numbers[:, members], grid.not_finite[:, members]
    sign = 1.0 if grid.column.extreme == "high" else -1.0
    best = starts + np.argmax(np.where(np.isnan(values), -math.inf, sign * values), axis=2)
    return replace(
        grid,
        first=grid.first[starts],
        last=grid.last[last],
        numbers=np.take_along_axis(grid.numbers, best, axis=1),
        not_finite=np.logical_or.reduce(not_finite, axis=2),
        step_of=np.take_along_axis(grid.step_of, best, axis=1),
        records=size,
    )


def at_columns(grid: Grid, columns: Sequence[int]) -> Grid:
    """Return ``grid`` with these of its columns only."""
    chosen = np.array(columns, np.intp)
    return replace(
        grid,
        first=grid.first[chosen],
        last=grid.last[chosen],
        numbers=grid.numbers[:, chosen],
        not_finite=grid.not_finite[:, chosen],
        step_of=grid.step_of[:, chosen],
    )


def limits_of(grids: Iterable[Grid]) -> tuple[float, float]:
    """Return the range that shows all values of ``grids``, which are of one statistic."""
    grids = list(grids)
    return range_of(grids[0].column, np.concatenate([grid.numbers.ravel() for grid in grids]))


def range_of(column: Column, values: Floats) -> tuple[float, float]:
    """Return the range of colours for ``values`` of ``column``; TensorBoard's tab has the same.

    Shares reach from 0 to 1 whatever was seen, so that a colour means the same in every figure. Log scales end at whole
    powers of ten.
    """
    if column.is_fraction:
        return 0.0, 1.0
    if column.scale == "log":
        return whole_decades(values)
    values = values[np.isfinite(values)]
    low, high = (float(values.min()), float(values.max())) if values.size else (0.0, 1.0)
    return (low, high) if low < high else (low - max(abs(low), 1.0) / 2, high + max(abs(high), 1.0) / 2)


def compact(values: Floats) -> NDArray[np.floating[Any]]:
    """Return ``values`` as float32 where that can hold them: half the size in a page, and more than a screen shows."""
    largest = np.abs(values, where=np.isfinite(values), out=np.zeros(values.shape)).max(initial=0.0)
    return values.astype(np.float32) if largest < float(np.finfo(np.float32).max) else values


def check_one_run(table: pd.DataFrame) -> None:
    """Raise if ``table`` is that of several runs.

    Raises:
        ArgumentError: If it is, or is no table at all; the message says what to pass.
    """
    if not isinstance(table, pd.DataFrame):  # pyright: ignore[reportUnnecessaryIsInstance] - whoever has no type checker
        raise ArgumentError(f"{table!r} is no table. Pass a frame of a run, such as run.activations or run.gradients.")
    runs = len(table["run"].unique()) if "run" in table.columns else 1
    if runs > 1:
        raise ArgumentError(
            f"The table holds {runs:,} runs, and a figure shows one. "
            "Pass the table of one run, such as runs[name].activations."
        )


def _column(table: pd.DataFrame, kind: Table, statistic: str) -> Column:
    declared = {column.name: column for column in kind.statistics}
    if not {"step", "layer"} <= set(table.columns) or (kind is ACTIVATIONS and "site" not in table.columns):
        columns = ", ".join(map(str, table.columns)) or "none"
        raise ArgumentError(f"The table is neither activations nor gradients of a run. Its columns: {columns}.")
    if statistic not in table.columns or statistic in {column.name for column in kind.keys}:
        near = nearest(statistic, declared, count=3) or list(declared)
        raise ArgumentError(f"The table {kind.name!r} has no statistic {statistic!r}. Nearest: {', '.join(near)}.")
    return declared.get(statistic, Column(statistic, "", ""))  # a newer version may have written one unknown here


def _is_main(table: pd.DataFrame) -> NDArray[np.bool_]:
    """Return which rows are of the main variable of their layer."""
    names, variable = places_of(table["variable"])
    first_row = np.full(len(names) + 1, -1)  # one more for the code -1 of a missing name
    first_row[variable[::-1]] = np.arange(len(variable))[::-1]
    seen = np.flatnonzero(first_row[:-1] >= 0)
    first = table.iloc[first_row[seen]]
    is_main = np.zeros(len(first_row), np.bool_)
    rows = zip(seen.tolist(), first["layer"], first["role"], strict=True)
    codes = {Variable(names[code], layer, (), role): code for code, layer, role in rows}
    is_main[[codes[main] for main in main_variables(codes).values()]] = True
    return is_main[variable]


def places_of(names: pd.Series[Any]) -> tuple[list[str], NDArray[np.intp]]:
    """Return the names in the order of the model and, for each row, which of them it has; -1 for none."""
    if isinstance(names.dtype, pd.CategoricalDtype):
        categories, codes = names.cat.categories, names.cat.codes
    else:  # a table that was read from elsewhere: rows are in the order of the model within a step
        codes, categories = pd.factorize(names)
    return [str(name) for name in categories], np.asarray(codes, np.intp)
