"""Two runs of one architecture side by side: every number of one beside the same number of the other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from rich.console import Console
from rich.text import Text

from gradscope.report.terminal.printing import WIDTH, print_text, wrapped
from gradscope.report.terminal.summary import names_column
from gradscope.report.terminal.table import GAP, Column, table_lines, total_width
from gradscope.report.values.overhead import recording_seconds
from gradscope.report.values.summary import SiteRow, Summary
from gradscope.report.words.layer_columns import DEAD, GRADIENT, SATURATED
from gradscope.report.words.names import printable, shortened
from gradscope.report.words.numbers import UNKNOWN, metric, seconds
from gradscope.report.words.summary import legend, losses

_TITLE_CELLS: Final = 7
_COLUMNS: Final[dict[str, Callable[[SiteRow], str]]] = {
    "function": lambda row: shortened(row.activation or UNKNOWN, _TITLE_CELLS),
    **{each.column.short: each.last for each in (SATURATED, DEAD, GRADIENT)},
}


def print_pair(left: Summary, right: Summary, titles: tuple[str, str], *, console: Console | None = None) -> None:
    """Print `paired_table` to ``console``, standard output where None."""
    console = console or Console()
    print_text(paired_table(left, right, titles, width=console.width if console.is_terminal else WIDTH), console)


def paired_table(left: Summary, right: Summary, titles: tuple[str, str], *, width: int = WIDTH) -> Text:
    """Return two summaries as one table: a row a site, and for each number a pair of columns.

    Args:
        left: The first run.
        right: The second; its sites are matched by key, and those that only it has come last.
        titles: What stands over the columns of each; shortened to 7 characters.
        width: Columns of the terminal.
    """
    sides = [{row.site: row for row in summary.rows} for summary in (left, right)]
    sites = list(dict.fromkeys([*sides[0], *sides[1]]))
    columns = [
        Column(
            (shortened(title, _TITLE_CELLS),),
            [text(side[site]) if site in side else UNKNOWN for site in sites],
            "left" if group == "function" else "right",
            group=group,
        )
        for group, text in _COLUMNS.items()
        for title, side in zip(titles, sides, strict=True)
    ]
    header, body = table_lines([names_column(sites, width - total_width(columns) - GAP), *columns])
    notes = wrapped(legend([*left.rows, *right.rows]), width, "dim")
    lines = [*header, *body, *notes, Text(), *_outcome((left, right), titles)]
    return Text("\n").join(lines)


def _outcome(summaries: Sequence[Summary], titles: tuple[str, str]) -> list[Text]:
    """Return the lines that say how both trainings went and what recording them cost."""
    names = list(dict.fromkeys(name for summary in summaries for name in summary.progress.metrics))
    labels = ["batch loss", *(f"{printable(name)}, last epoch" for name in names), "steps recorded", "recording cost"]
    columns = [Column(("how it went",), labels, "left")]
    for title, summary in zip(titles, summaries, strict=True):
        progress, costs = summary.progress, summary.costs
        setup, rest = costs.setup_seconds, recording_seconds(costs)
        cells = [
            losses(summary) or UNKNOWN,
            *(metric(name, progress.metrics[name]) if name in progress.metrics else UNKNOWN for name in names),
            f"{progress.recorded_count:,} of {progress.step_count:,}",
            f"{seconds(setup)} set-up, then {seconds(rest)}",
        ]
        columns.append(Column((shortened(title, 24),), cells, "left"))
    header, body = table_lines(columns)
    return [*header, *body]
