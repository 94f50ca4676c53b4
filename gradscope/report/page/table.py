"""The table of a page: one line a layer, each number as it was at the last record, with how it went beside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

import numpy as np
from markupsafe import Markup

from gradscope.report.figures.grid import Grid, grid_of, thinned
from gradscope.report.page.sparkline import POINTS, Axis, log_axis, sparkline
from gradscope.report.values.summary import SiteRow, Summary
from gradscope.report.words.layer_columns import LAYER_COLUMNS, LayerColumn
from gradscope.report.words.names import printable
from gradscope.report.words.numbers import UNKNOWN, in_words
from gradscope.schema import ACTIVATIONS

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
        cells: In the order of `LAYER_COLUMNS`.
    """

    name: str
    layer: str
    function: str
    cells: tuple[Cell, ...]


def table_rows(frames: Frames, summary: Summary) -> list[TableRow]:
    """Return one row a site, and one a layer that has weights and no site, in the order of the model."""
    lines = [_lines(frames, column, summary.rows) for column in LAYER_COLUMNS]
    return [
        TableRow(
            name=printable(row.site),
            layer=row.layer,
            function=printable(row.activation) or UNKNOWN,
            cells=tuple(
                Cell(text, line[at] if text != UNKNOWN else Markup(""))
                for text, line in zip((column.last(row) for column in LAYER_COLUMNS), lines, strict=True)
            ),
        )
        for at, row in enumerate(summary.rows)
    ]


def _lines(frames: Frames, column: LayerColumn, rows: Sequence[SiteRow]) -> list[Markup]:
    """Return the spark line of each row."""
    table = getattr(frames, column.statistic.table.name)
    if table.empty or len(rows) > MOST_LINES:
        return [Markup("")] * len(rows)
    grid = grid_of(table, column.column.name)
    axis = log_axis(grid.numbers) if grid.is_log else Axis(0.0, 1.0)
    said = partial(in_words, column=grid.column)
    course = dict(zip(grid.names, thinned(grid, POINTS).numbers, strict=True))
    unknown = np.full(1, np.nan)
    return [sparkline(course.get(key, unknown), axis, name=column.column.short, said=said) for key in _keys(grid, rows)]


def _keys(grid: Grid, rows: Sequence[SiteRow]) -> list[str]:
    """Return the name in ``grid`` that belongs to each row; ``""`` where the row shows no such number."""
    if grid.table is ACTIVATIONS:
        return [row.site for row in rows]
    return [row.layer if row.variable else "" for row in rows]
