"""The live view: one screen that tells how a training goes, made of what is known of it and the size of the terminal.

From the top: how far it is, what is wrong, and a line a layer with its numbers of now and its strip over time. What
does not fit is left out: columns that the strip needs, what marks mean, and layers, which a line then says.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from rich.text import Text

from gradscope.diagnose.finding import Finding, at_least
from gradscope.records import Costs
from gradscope.report.terminal.heat_strip import BLOCKS, FRACTIONS, Glyphs, legend, log_scale, marks, strip
from gradscope.report.terminal.history import MEASURES, Grid, History, Measure
from gradscope.report.terminal.printing import WIDTH, wrapped
from gradscope.report.terminal.summary import names_column, two_lines
from gradscope.report.terminal.table import GAP, Column, table_lines, total_width
from gradscope.report.values.findings import FLOOR, grouped
from gradscope.report.values.overhead import overhead
from gradscope.report.values.summary import SiteRow, Summary
from gradscope.report.words.findings import number_of, or_higher, sentence, title
from gradscope.report.words.layer_columns import LAYER_COLUMNS
from gradscope.report.words.names import printable
from gradscope.report.words.numbers import seconds
from gradscope.report.words.summary import heading, more_findings
from gradscope.report.words.summary import legend as meaning_of_marks
from gradscope.schema import GRADIENTS

Phase: TypeAlias = Literal["waiting", "running", "ended"]
"""No record is there yet; the training runs, as far as its records tell; its last record says that it ended."""

SILENCE: Final = 60.0
"""Seconds without a record from which on that is said first: no healthy schedule leaves so long a gap unannounced."""

_ROOMY: Final = 20  # lines of a terminal from which on blank ones are affordable
_LEAST_STRIP: Final = 24
_LEAST_NAME: Final = 8
_LEAST_ROWS: Final = 1


@dataclass(frozen=True, slots=True)
class Watched:
    """What is known of a training that is watched.

    Attributes:
        name: What to call it.
        phase: Whether it runs.
        silent_seconds: Seconds since its last record.
        usual_seconds: Seconds between two of its latest records; NaN where that is not known.
        summary: What its last records say; None before the first one.
        history: Its numbers over the steps.
        remarks: What else should be known, such as which other runs there are.
    """

    name: str
    phase: Phase
    silent_seconds: float
    usual_seconds: float
    summary: Summary | None
    history: History
    remarks: tuple[str, ...] = ()


def live_view(
    watched: Watched,
    measure: Measure,
    *,
    width: int = WIDTH,
    height: int | None = None,
    glyphs: Glyphs = BLOCKS,
    ending: str = "",
) -> Text:
    """Return the lines of one screen, none wider than ``width`` and no more of them than ``height``.

    Args:
        watched: What is known of the training.
        measure: What the strips show.
        width: Columns of the terminal.
        height: Its lines; None for as many as there is to say.
        glyphs: Characters of the strips.
        ending: Last line, such as how to leave.
    """
    room = height if height is not None else 1_000_000
    gap = [Text()] if room >= _ROOMY else []
    top = _head(watched)[: max(2, room // 5)]
    remarks = wrapped(map(printable, watched.remarks), width, "dim")[: max(3, room // 6)]
    bottom = [*remarks, *([Text(ending, "dim")] if ending else [])]
    if watched.summary is not None and watched.summary.progress.recorded_count:
        summary = watched.summary
        top += [*gap, *_findings(summary, max(3, room // 4)), *gap]
        left = room - len(top) - len(bottom)
        top += _layers(summary, watched.history, measure, width, left, glyphs)
        meanings = wrapped(meaning_of_marks(summary.rows), width, "dim")
        top += meanings if len(top) + len(bottom) + len(meanings) < room else []
    lines = [*top, *([Text()] if bottom and height is None else []), *bottom]
    for line in lines:
        line.truncate(width, overflow="ellipsis")
    return Text("\n").join(lines[:room])


def parting(watched: Watched, *, width: int = WIDTH) -> Text:
    """Return what a person should still know who leaves the view: how the training went, and what is wrong."""
    lines = _head(watched)[:2]
    if watched.summary is not None:
        lines += _findings(watched.summary, 1 + 2 * len(watched.summary.findings))
    for line in lines:
        line.truncate(width, overflow="ellipsis")
    return Text("\n").join(lines)


def _head(watched: Watched) -> list[Text]:
    if watched.summary is None:
        return [Text(f"{printable(watched.name)}: {pulse(watched)}", "bold")]
    first, *others = heading(watched.summary)
    return [
        Text(f"{first}; {pulse(watched)}", "bold"),
        *map(Text, others),
        *map(Text, _overhead(watched.summary.costs)),
    ]


def pulse(watched: Watched) -> str:
    """Return whether the training gives a sign of life.

    A training that records seldom is not silent because it records seldom: the gap is held against its usual one.
    """
    if watched.phase == "waiting":
        return "no record yet"
    ago = duration(watched.silent_seconds)
    if watched.phase == "ended":
        return f"ended {ago} ago"
    is_usual = watched.silent_seconds < max(SILENCE, 5 * watched.usual_seconds)
    return f"last record {ago} ago" if is_usual else f"no new record for {ago}"


def duration(length: float) -> str:
    """Return seconds as a person says them.

    Example:
        >>> duration(4.4), duration(307.0), duration(8000.0), duration(3e5)
        ('4 s', '5 min', '2 h 13 min', '3 days')
    """
    whole = max(0, round(length))
    minutes, hours, days = whole // 60, whole // 3600, whole // 86400
    if whole < 100:
        return f"{whole} s"
    if minutes < 100:
        return f"{minutes} min"
    return f"{hours} h {minutes % 60} min" if days < 2 else f"{days:,} days"


def _overhead(costs: Costs) -> list[str]:
    if not costs.training_seconds > 0:
        return []
    training, setup = seconds(costs.training_seconds), seconds(costs.setup_seconds)
    return [f"recording: {100 * overhead(costs):.2g}% of {training}, set-up {setup}"]


def finding_lines(findings: Sequence[Finding], more: str, room: int) -> list[Text]:
    """Return what is wrong in at most ``room`` lines: causes first, each with its message where there is room.

    Args:
        findings: All findings.
        more: What to type to see all of them.
        room: Lines; at least three.
    """
    severe = at_least(findings, FLOOR)
    if not severe:
        return [Text(f"No findings of {or_higher(FLOOR)}.")]
    groups = list(grouped(severe))
    lines = [Text(f"{number_of(len(severe))} of {or_higher(FLOOR)} ({more}):", "bold")]
    has_messages = len(lines) + 2 * len(groups) <= room
    shown = groups if has_messages or len(groups) < room else groups[: room - 2]
    for finding, consequences in shown:
        verb = "follows" if len(consequences) == 1 else "follow"
        follow = f"; {len(consequences):,} more {verb} from it" if consequences else ""
        lines.append(Text(title(finding), "bold").append(follow, "not bold"))
        lines += [Text("  " + sentence(finding.message))] if has_messages else []
    hidden = len(groups) - len(shown)
    return [*lines, *([Text(f"… and {hidden:,} more")] if hidden else [])]


def _findings(summary: Summary, room: int) -> list[Text]:
    return finding_lines(summary.findings, printable(more_findings(summary)), room)


# --- a line a layer ---


def _layers(summary: Summary, history: History, measure: Measure, width: int, room: int, glyphs: Glyphs) -> list[Text]:
    rows = summary.rows
    around = 5  # two lines of header, the rule under them, the axis, what a character is
    chosen = chosen_rows(rows, summary.findings, max(_LEAST_ROWS, room - around))
    notes: list[Text] = []
    if len(chosen) < len(rows):
        chosen = chosen_rows(rows, summary.findings, max(_LEAST_ROWS, room - around - 1))
        said = f"… {len(chosen)} of {len(rows):,} layers: those with findings first, others evenly over the depth …"
        notes = [Text(said, "dim")]
    rows = [rows[index] for index in chosen]
    header, body = table_lines(_columns(rows, measure, width))
    column = max(line.cell_len for line in header) + GAP
    statistic = MEASURES[measure]
    names = [row.variable if statistic.table is GRADIENTS else row.site for row in rows]
    grid = history.grid(measure, names, max(1, width - column))
    scale = FRACTIONS if statistic.column.is_fraction else log_scale(grid.values)
    strips = [strip(values, scale, glyphs) for values in grid.values]
    above = [
        Text(f"{statistic.column.short} over time", "bold"),
        legend(scale, glyphs),
        Text("─" * grid.values.shape[1], "dim"),
    ]
    lines = [_beside(line, column, other) for line, other in zip([*header, *body], [*above, *strips], strict=True)]
    axis = Text(" " * column + _axis(grid), "dim")
    each = [f"A character of a strip is {grid.record_count:,} records: the largest value."] * (grid.record_count > 1)
    said = "   ".join([*each, *marks(grid.values, glyphs)])
    return [*lines, axis, *([Text(said, "dim")] if said else []), *notes]


def _columns(rows: Sequence[SiteRow], measure: Measure, width: int) -> list[Column]:
    """Return the names and as many columns as leave a strip its width; the one that the strip shows stays longest."""
    shown = {each.statistic: each for each in LAYER_COLUMNS}
    numbers = {
        each: Column(two_lines(statistic.column.short), [shown[statistic].last(row) for row in rows])
        for each, statistic in MEASURES.items()
    }
    names = names_column((row.site for row in rows), max(_LEAST_NAME, width // 4))
    names = Column(("", *names.header), names.cells, "left")
    least = max(_LEAST_STRIP, 3 * width // 8)
    for dropped in ("update", "backward", "dead", "saturation", "gradient", measure):
        if total_width([names, *numbers.values()]) + GAP + least <= width:
            break
        if dropped != measure or len(numbers) == 1:
            del numbers[dropped]
    return [names, *numbers.values()]


def chosen_rows(rows: Sequence[SiteRow], findings: Iterable[Finding], count: int) -> list[int]:
    """Return which ``count`` rows to show, in the order of the model.

    Half of the places at most go to layers with findings, causes first: the others show how the rest is.
    """
    if len(rows) <= count:
        return list(range(len(rows)))
    severe = at_least(findings, FLOOR)
    causes = [finding.layer for finding, _ in grouped(severe)]
    concerned = causes + [layer for finding in severe for layer in (finding.layer, *finding.layers)]
    order = {layer: place for place, layer in reversed(list(enumerate(concerned)))}
    with_findings = sorted((i for i, row in enumerate(rows) if row.layer in order), key=lambda i: order[rows[i].layer])
    chosen = set(with_findings[: count // 2])
    others = [index for index in range(len(rows)) if index not in chosen]
    free = count - len(chosen)
    chosen |= {others[place * (len(others) - 1) // max(1, free - 1)] for place in range(free)}
    return sorted(chosen)


def _beside(line: Text, column: int, other: Text) -> Text:
    return Text().append_text(line).append(" " * (column - line.cell_len)).append_text(other)


def _axis(grid: Grid) -> str:
    """Return the steps under the ends of the strips."""
    first, last = f"step {grid.first_step:,}", f"{grid.last_step:,}"
    return f"{first}{' ' * max(3, grid.values.shape[1] - len(first) - len(last))}{last}"
