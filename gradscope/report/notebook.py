"""The summary in a notebook: the terminal's numbers and words as an HTML table, every name escaped."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from typing import Final

from gradscope.report.summary import SiteRow, Summary
from gradscope.report.wording import (
    UNKNOWN,
    dead,
    footing,
    gradient,
    heading,
    legend,
    magnitude,
    printable,
    saturation,
    signal,
)

_COLUMNS: Final = (
    "layer",
    "function",
    "saturated",
    "dead units",
    "gradient RMS, first",
    "gradient RMS, last",
    "backward signal",
    "update / weight",
)


def summary_html(summary: Summary) -> str:
    """Return ``summary`` as an HTML fragment without scripts or styles of its own."""
    first, *others = heading(summary)
    body = "".join(f"<tr>{_cells('td', _texts(row))}</tr>" for row in summary.rows)
    table = f"<table><thead><tr>{_cells('th', _COLUMNS)}</tr></thead><tbody>{body}</tbody></table>"
    notes = [*legend(summary.rows), *footing(summary)]
    return (
        f"<p><strong>{escape(first)}</strong>{''.join(f'<br>{escape(line)}' for line in others)}</p>"
        f"{table if summary.progress.recorded_count else ''}"
        f"<p>{'<br>'.join(map(escape, notes))}</p>"
    )


def _texts(row: SiteRow) -> tuple[str, ...]:
    return (
        printable(row.site),
        printable(row.activation) or UNKNOWN,
        saturation(row),
        dead(row),
        gradient(row, row.first_gradient_rms),
        gradient(row, row.gradient_rms),
        signal(row),
        magnitude(row.update_to_weight_ratio),
    )


def _cells(tag: str, texts: Iterable[str]) -> str:
    return "".join(f"<{tag}>{escape(text)}</{tag}>" for text in texts)
