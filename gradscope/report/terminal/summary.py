"""The summary in a terminal: bold and dim where it can, the same text without where it cannot.

No colour is used: a finding says in words how severe it is, and the table judges nothing. Bold marks the extreme of a
column: the most saturated and the most dead site, the smallest gradient and backward signal.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from rich.console import Console
from rich.text import Text

from gradscope.report.terminal.findings import overview_lines
from gradscope.report.terminal.printing import WIDTH, print_text, wrapped
from gradscope.report.terminal.table import GAP, Column, table_lines, total_width
from gradscope.report.values.summary import SiteRow, Summary
from gradscope.report.words.layer_columns import LAYER_COLUMNS
from gradscope.report.words.names import shortened
from gradscope.report.words.numbers import UNKNOWN
from gradscope.report.words.summary import footing, heading, legend, more_findings

ROW_LIMIT: Final = 60
"""Rows shown in a terminal before the middle of a deep network is left out."""

_LEAST_NAME: Final = 8
_FUNCTION_CELLS: Final = 11


def print_summary(summary: Summary, *, console: Console | None = None, row_limit: int | None = ROW_LIMIT) -> None:
    """Print ``summary``.

    Args:
        summary: What to print.
        console: Where to; standard output where None. What is no terminal gets plain text of 80 columns, all rows.
        row_limit: Rows to show in a terminal before the middle is left out; None for all.
    """
    console = console or Console()
    if console.is_terminal:
        text = summary_text(summary, width=console.width, row_limit=row_limit)
    else:
        text = summary_text(summary)
    print_text(text, console)


def summary_text(summary: Summary, *, width: int = WIDTH, row_limit: int | None = None) -> Text:
    """Return the lines of ``summary``, none wider than ``width`` where the numbers themselves fit.

    Args:
        summary: What to show.
        width: Columns of the terminal.
        row_limit: Rows to show before the middle is left out; None for all.
    """
    first, *others = heading(summary)
    lines = [*wrapped([first], width, "bold"), *wrapped(others, width)]
    rows = summary.rows
    if summary.progress.recorded_count:
        lines += [Text(), *overview_lines(summary.findings, more=more_findings(summary), width=width)]
    if rows and summary.progress.recorded_count:
        header, body = table_lines(_columns(rows, width))
        if row_limit is not None and len(body) > row_limit:
            body = _without_middle(body, row_limit)
        lines += [Text(), *header, *body]
        lines += wrapped(legend(rows), width, "dim")
    notes = footing(summary)
    lines += [Text(), *wrapped(notes, width)] if notes else []
    return Text("\n").join(lines)


def _columns(rows: Sequence[SiteRow], width: int) -> list[Column]:
    functions = [shortened(row.activation or UNKNOWN, _FUNCTION_CELLS) for row in rows]
    numbers = [Column(("", "function"), functions, "left")]
    for each in LAYER_COLUMNS:
        last, strong = [each.last(row) for row in rows], _most(rows, each.judged)
        if each.first is None:
            numbers.append(Column(two_lines(each.column.short), last, strong=strong))
        else:
            first = [each.first(row) for row in rows]
            numbers.append(Column(("", "first"), first, group=each.column.short))
            numbers.append(Column(("", "last"), last, strong=strong, group=each.column.short))
    return [names_column([row.site for row in rows], width - total_width(numbers) - GAP), *numbers]


def two_lines(title: str) -> tuple[str, str]:
    """Return the last word of a title, and what stands above it.

    Example:
        >>> two_lines("update / weight"), two_lines("saturated")
        (('update /', 'weight'), ('', 'saturated'))
    """
    above, _, word = title.rpartition(" ")
    return above, word


def names_column(names: Iterable[str], width: int) -> Column:
    """Return the column of layers' names, each shortened in its middle to at most ``width`` cells."""
    return Column(("layer",), [shortened(name, max(_LEAST_NAME, width)) for name in names], "left")


def _most(rows: Sequence[SiteRow], value: Callable[[SiteRow], float]) -> frozenset[int]:
    """Return the row of the largest value, where rows differ; NaN is no extreme."""
    values = {index: value(row) for index, row in enumerate(rows) if not math.isnan(value(row))}
    if len(set(values.values())) < 2:
        return frozenset()
    return frozenset({max(values, key=lambda index: values[index])})


def _without_middle(body: list[Text], limit: int) -> list[Text]:
    head = limit // 2
    tail = limit - head
    gap = Text(f"… {len(body) - limit:,} more rows; gradscope summary --all shows them …", "dim")
    return [*body[:head], gap, *body[-tail:]]
