"""Lines of a table for a fixed-width screen: columns that line up, whatever characters the names hold."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final, Literal

from rich.cells import cell_len
from rich.text import Text

GAP: Final = 2
"""Blank columns between two columns of the table."""


@dataclass(frozen=True)
class Column:
    """One column: what stands over it, and its cells.

    Attributes:
        header: What stands over it, one text a line; the last lines are aligned.
        cells: One text a row.
        align: Side on which texts line up.
        strong: Rows to print bold.
        group: Text over this column and its neighbours of the same group.
    """

    header: tuple[str, ...]
    cells: Sequence[str]
    align: Literal["left", "right"] = "right"
    strong: frozenset[int] = field(default_factory=frozenset[int])
    group: str = ""

    @cached_property
    def width(self) -> int:
        """Cells of the terminal that the widest text takes."""
        return max(map(cell_len, (*self.header, *self.cells)), default=0)


def table_lines(columns: Sequence[Column]) -> tuple[list[Text], list[Text]]:
    """Return the lines of the header, the rule under it included, and one line a row."""
    depth = max(len(column.header) for column in columns)
    header = [_groups(columns)] if any(column.group for column in columns) else []
    for level in range(depth):
        texts = [((("",) * depth) + column.header)[len(column.header) :][level] for column in columns]
        header.append(_line(zip(columns, texts, ["bold"] * len(columns), strict=True)))
    header.append(Text("─" * total_width(columns), "dim"))
    rows = range(len(columns[0].cells))
    return header, [_line((c, c.cells[row], "bold" if row in c.strong else "") for c in columns) for row in rows]


def total_width(columns: Sequence[Column]) -> int:
    """Return the cells of the terminal that a line takes."""
    return sum(column.width for column in columns) + GAP * (len(columns) - 1)


def _line(parts: Iterable[tuple[Column, str, str]]) -> Text:
    line = Text()
    for column, text, style in parts:
        blank = " " * (column.width - cell_len(text))
        line.append(" " * GAP if line.plain else "")
        line.append(blank + text if column.align == "right" else text + blank, style or ("dim" if text == "–" else ""))
    line.rstrip()
    return line


def _groups(columns: Sequence[Column]) -> Text:
    """Return the line over the header, each group's text centred over its columns."""
    line, start = Text(), 0
    while start < len(columns):
        end = start + 1
        while end < len(columns) and columns[start].group and columns[end].group == columns[start].group:
            end += 1
        line.append(" " * GAP if start else "")
        line.append(f"{columns[start].group:^{total_width(columns[start:end])}}", "bold")
        start = end
    line.rstrip()
    return line
