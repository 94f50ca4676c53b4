"""The table of a page: one line a layer, each number as it was at the last record, with how it went beside it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from markupsafe import Markup

from gradscope.report.figures.grid import Grid, grid_of
from gradscope.report.page.sparkline import Axis, log_axis, pooled, sparkline
from gradscope.report.values.summary import SiteRow, Summary
from gradscope.report.words.names import printable
from gradscope.report.words.numbers import UNKNOWN, magnitude, percentage
from gradscope.report.words.summary import dead, gradient, saturation, signal

if TYPE_CHECKING:
    from gradscope.store.read import Frames

MOST_LINES: Final = 300
"""Rows that get spark lines: in a table longer than that, nobody compares them, and the page would grow heavy."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One number of a layer: as it was at the last record, and its course; ``""`` where there is none to draw."""

    text: str
    line: Markup


@dataclass(frozen=True, slots=True)
class TableRow:
    """One line of the table.

    Attributes:
        name: Key of the site, or of a layer without one; as it is, to be shown as text.
        layer: Key of the layer, to find what was found of it.
        function: Name of the activation function.
        cells: In the order of `COLUMNS`.
    """

    name: str
    layer: str
    function: str
    cells: tuple[Cell, ...]


@dataclass(frozen=True, slots=True)
class TableColumn:
    """One number of the table.

    Attributes:
        title: What stands above it.
        table: The frame it is from: ``activations`` or ``gradients``.
        statistic: The column of that frame.
        text: What is shown for the last record.
    """

    title: str
    table: str
    statistic: str
    text: Callable[[SiteRow], str]


COLUMNS: Final = (
    TableColumn("saturated", "activations", "saturated_fraction", saturation),
    TableColumn("dead units", "activations", "dead_unit_fraction", dead),
    TableColumn("gradient RMS", "gradients", "rms", lambda row: gradient(row, row.gradient_rms)),
    TableColumn("backward signal", "activations", "backward_rms", signal),
    TableColumn(
        "update / weight", "gradients", "update_to_weight_ratio", lambda row: magnitude(row.update_to_weight_ratio)
    ),
)


def table_rows(frames: Frames, summary: Summary) -> list[TableRow]:
    """Return one row a site, and one a layer that has weights and no site, in the order of the model."""
    lines = [_lines(frames, column, summary.rows) for column in COLUMNS]
    return [
        TableRow(
            name=printable(row.site),
            layer=row.layer,
            function=printable(row.activation) or UNKNOWN,
            cells=tuple(
                Cell(column.text(row), line[at] if column.text(row) != UNKNOWN else Markup(""))
                for column, line in zip(COLUMNS, lines, strict=True)
            ),
        )
        for at, row in enumerate(summary.rows)
    ]


def _lines(frames: Frames, column: TableColumn, rows: Sequence[SiteRow]) -> list[Markup]:
    """Return the spark line of each row."""
    table = getattr(frames, column.table)
    if table.empty or len(rows) > MOST_LINES:
        return [Markup("")] * len(rows)
    grid = grid_of(table, column.statistic)
    axis, said = (log_axis(grid.numbers), magnitude) if grid.is_log else (Axis(0.0, 1.0), percentage)
    course = dict(zip(grid.names, pooled(grid.numbers, extreme=grid.column.extreme), strict=True))
    unknown = np.full(1, np.nan)
    return [
        sparkline(course.get(key, unknown), axis, name=column.title, said=said) for key in _keys(grid, column, rows)
    ]


def _keys(grid: Grid, column: TableColumn, rows: Sequence[SiteRow]) -> list[str]:
    """Return the name in ``grid`` that belongs to each row; ``""`` where the row shows no such number."""
    if column.table == "activations":
        return [row.site for row in rows]
    return [row.layer if row.variable else "" for row in rows]
