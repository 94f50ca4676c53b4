"""A comparison in a terminal: the runs, findings gained and lost, configuration, then what differs in the layers.

Every section shows the first of what it has and says how much more there is, so that thirty runs of ninety layers fit a
screen or two.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.text import Text

from gradscope.report.terminal.printing import WIDTH, print_text, wrapped
from gradscope.report.terminal.runs_table import run_lines
from gradscope.report.terminal.table import GAP, Column, table_lines, total_width
from gradscope.report.values.comparison import KINDS, STATISTICS, Comparison, FindingChange, Range
from gradscope.report.values.configuration import Difference
from gradscope.report.values.runs_table import Sweep, worst_first
from gradscope.report.words.comparison import (
    KIND_WORDS,
    VALUE_CELLS,
    Lack,
    by_finding,
    change_text,
    few_short,
    lacking_layer,
    lacks,
    number_text,
    points,
    setting_name,
    setting_value,
    which_runs,
)
from gradscope.report.words.findings import NAME_CELLS, number_of
from gradscope.report.words.names import printable, quoted, shortened

_ROWS: Final = 12
_FINDINGS: Final = 8
_SETTINGS: Final = 12
_LAYERS: Final = 5
_RUN_CELLS: Final = 11
_LEAST_LAYER: Final = 17  # the longest of the titles


def print_comparison(comparison: Comparison, *, show_all: bool = False, console: Console | None = None) -> None:
    """Print `comparison_text` to ``console``, standard output where None."""
    console = console or Console()
    width = console.width if console.is_terminal else WIDTH
    print_text(comparison_text(comparison, width=width, show_all=show_all), console)


def comparison_text(comparison: Comparison, *, width: int = WIDTH, show_all: bool = False) -> Text:
    """Return what differs between the runs of ``comparison``.

    Args:
        comparison: What to show.
        width: Columns of the terminal.
        show_all: Whether each section shows all that is different, not only the first of it.
    """
    reference = shortened(comparison.reference.name, width // 3)
    others = comparison.others
    compared = shortened(others[0].name, width // 3) if len(others) == 1 else f"{len(others):,} runs"
    sections = [
        [*wrapped([f"{compared} compared with {reference}:"], width, "bold"), *_table(comparison, width, show_all)],
        _findings(comparison, width, _FINDINGS if not show_all else None),
        _settings(comparison, width, _SETTINGS if not show_all else None),
        _layers(comparison, width, _LAYERS if not show_all else None),
        _unmatched(comparison, width),
    ]
    return Text("\n\n").join(Text("\n").join(lines) for lines in sections if lines)


def _table(comparison: Comparison, width: int, show_all: bool) -> list[Text]:
    """Return a line a run: all of a few, of many the reference and those with the severest findings."""
    rows = comparison.sweep.rows
    hidden = 0 if show_all else max(0, len(rows) - _ROWS)
    shown = (rows[0], *worst_first(rows[1:])[: _ROWS - 1]) if hidden else rows
    lines, notes = run_lines(Sweep(shown), width=width, show=("steps",), params=False)
    more = [Text(f"… and {hidden:,} more runs; --all shows them", "dim")] if hidden else []
    return [*lines, *more, *wrapped(notes, width, "dim")]


# --- findings ---


def _findings(comparison: Comparison, width: int, limit: int | None) -> list[Text]:
    """Return the findings that are not the same, gained ones first, each with the runs that it is about."""
    changes = comparison.finding_changes
    if not changes:
        same = len(comparison.reference.summary.findings)
        return [Text(f"Findings: the same in all runs ({number_of(same)}).")]
    lines: list[Text] = []
    for kind in KINDS:
        groups = by_finding(change for change in changes if change.kind == kind)
        if not groups:
            continue
        lines += [Text(f"{number_of(len(groups))} {KIND_WORDS[kind]}:", "bold")]
        shown = groups[:limit]
        lines += _indented((_found(group, comparison) for group in shown), width)
        hidden = len(groups) - len(shown)
        lines += [Text(f"  … and {hidden:,} more; --all shows them", "dim")] if hidden else []
    return [*lines, *wrapped(_see(comparison), width)]


def _found(group: Sequence[FindingChange], comparison: Comparison) -> str:
    finding, before = group[0].finding, group[0].before
    where = "" if finding.layer is None else f" in {shortened(finding.layer, NAME_CELLS)}"
    severity = finding.severity if before is None else f"{finding.severity}, was {before.severity}"
    who = which_runs([change.run for change in group], len(comparison.others)) if len(comparison.others) > 1 else ""
    notes = "; ".join(filter(None, (who, lacking_layer(group[0]))))
    noted = f" ({notes})" if notes else ""
    return f"{severity}: {printable(finding.rule)}{where}{noted}"


def _see(comparison: Comparison) -> list[str]:
    """Return what to type to see the evidence of the run that gained most, where it lies on a disk."""
    counts = {side.name: sum(c.run == side.name for c in comparison.gained()) for side in comparison.others}
    most = max(comparison.others, key=lambda side: counts[side.name])
    path = most.row.path
    return (
        [] if path is None or not counts[most.name] else [f"Evidence and what to try: gradscope check {_typed(path)}"]
    )


def _typed(path: Path) -> str:
    return printable(quoted(path))


# --- configuration ---


def _settings(comparison: Comparison, width: int, limit: int | None) -> list[Text]:
    """Return the settings that are not the same: side by side of two runs, by value of more."""
    found = comparison.differences
    if not found:
        return [Text("Configuration: the same in all runs.")]
    shown = found[:limit]
    labels = [setting_name(difference) for difference in shown]
    if len(comparison.sides) == 2:
        values = [[setting_value(difference.values[at]) for difference in shown] for at in (0, 1)]
        names = [shortened(side.name, VALUE_CELLS) for side in comparison.sides]
        columns = [Column((name,), cells, "left") for name, cells in zip(names, values, strict=True)]
        cells = max(_LEAST_LAYER, width - total_width(columns) - GAP)
        label = Column(("configuration",), [shortened(text, cells) for text in labels], "left")
        header, body = table_lines([label, *columns])
        lines = [*header, *body]
    else:
        texts = (f"{label}: {_by_value(d)}" for label, d in zip(labels, shown, strict=True))
        lines = [Text("Configuration that differs", "bold"), *_indented(texts, width)]
    hidden = len(found) - len(shown)
    return [*lines, *([Text(f"  … and {hidden:,} more; --all shows them", "dim")] if hidden else [])]


def _by_value(difference: Difference) -> str:
    """Return each value with the number of runs that have it, the most common first."""
    counts: dict[str, int] = {}
    for value in difference.values:
        counts[setting_value(value)] = counts.get(setting_value(value), 0) + 1
    common = sorted(counts.items(), key=lambda item: -item[1])
    shown = ", ".join(f"{value} ({count:,})" for value, count in common[:6])
    return f"{shown} and {len(common) - 6:,} more values" if len(common) > 6 else shown


# --- layers ---


def _layers(comparison: Comparison, width: int, limit: int | None) -> list[Text]:
    """Return the notable differences of layers, statistic by statistic in the order of the model."""
    ranges = [item for item in comparison.ranges if item.extent >= 1]
    criterion = f"at the last record, by a ratio of {comparison.ratio:g} or {points(comparison.difference)} of a share"
    if not comparison.changes:
        return [Text("Layers: none could be matched.")]
    if not ranges:
        return wrapped([f"Layers: no number differs {criterion}, or more."], width)
    labels: list[str] = []
    rows: list[Range | None] = []
    for statistic in STATISTICS:
        group = [item for item in ranges if item.statistic == statistic]
        if not group:
            continue
        labels.append(STATISTICS[statistic].column.short)
        rows.append(None)
        chosen = _largest(group, limit)
        labels += [f"  {printable(item.layer if item.layer == item.site else item.site)}" for item in chosen]
        rows += chosen
        if len(chosen) < len(group):
            labels.append(f"  … and {len(group) - len(chosen):,} more")
            rows.append(None)
    columns = _pair_columns(comparison, rows) if len(comparison.others) == 1 else _range_columns(comparison, rows)
    cells = max(_LEAST_LAYER, width - total_width(columns) - GAP)
    bold = frozenset(at for at, row in enumerate(rows) if row is None and not labels[at].startswith(" "))
    names = Column(("layer",), [shortened(label, cells) for label in labels], "left", strong=bold)
    header, body = table_lines([names, *columns])
    title = wrapped([f"Layers that differ {criterion}:"], width, "bold")
    return [*title, *header, *body, *wrapped(_legend(comparison, rows, limit), width, "dim")]


def _largest(group: Sequence[Range], limit: int | None) -> list[Range]:
    """Return the ``limit`` largest differences of ``group``, in its order."""
    if limit is None:
        return list(group)
    largest = sorted(range(len(group)), key=lambda at: -group[at].extent)[:limit]
    return [group[at] for at in sorted(largest)]


def _pair_columns(comparison: Comparison, rows: Sequence[Range | None]) -> list[Column]:
    titles = [shortened(side.name, 14) for side in comparison.sides]
    changes = {(c.statistic, c.layer, c.site): c for c in comparison.changes}
    return [
        Column((titles[0],), ["" if row is None else number_text(row.statistic, row.reference) for row in rows]),
        Column((titles[1],), ["" if row is None else number_text(row.statistic, row.lowest) for row in rows]),
        Column(
            ("change",),
            ["" if row is None else change_text(changes[row.statistic, row.layer, row.site]) for row in rows],
        ),
    ]


def _range_columns(comparison: Comparison, rows: Sequence[Range | None]) -> list[Column]:
    def cells(text: Callable[[Range], str]) -> list[str]:
        return ["" if row is None else text(row) for row in rows]

    count = len(comparison.others)
    return [
        Column(("refer-", "ence"), cells(lambda row: number_text(row.statistic, row.reference))),
        Column(("lowest",), cells(lambda row: number_text(row.statistic, row.lowest))),
        Column(("in run",), cells(lambda row: shortened(row.lowest_run, _RUN_CELLS)), "left"),
        Column(("highest",), cells(lambda row: number_text(row.statistic, row.highest))),
        Column(("in run",), cells(lambda row: shortened(row.highest_run, _RUN_CELLS)), "left"),
        Column(("differ",), cells(lambda row: f"{row.notable_count:,}/{count:,}")),
    ]


def _legend(comparison: Comparison, rows: Sequence[Range | None], limit: int | None) -> list[str]:
    shown = [row for row in rows if row is not None]
    lines: list[str] = []
    if len(comparison.others) == 1 and any(STATISTICS[row.statistic].column.scale == "log" for row in shown):
        lines.append("x12: twelve times the reference's number; /12: a twelfth of it.")
    profiles = {row.site: row.profile for row in comparison.reference.summary.rows}
    of_saturated = [profiles.get(row.site) for row in shown if row.statistic == "saturated_fraction"]
    if any(profile is not None and not profile.bounded for profile in of_saturated):
        lines.append("saturated, of ReLU and its like: the share below zero, of which half is usual.")
    if limit is not None and len(shown) < sum(item.extent >= 1 for item in comparison.ranges):
        lines.append(f"The {limit} largest differences of each number are shown; --all shows all.")
    return lines


# --- what could not be matched ---


def _unmatched(comparison: Comparison, width: int) -> list[Text]:
    """Return what only one of two runs has, runs that lack the same told together, and runs left out."""
    texts = [_lack(lack) for lack in lacks(comparison)]
    texts += [f"{shortened(run, NAME_CELLS)} is left out: {printable(why)}" for run, why in comparison.left_out.items()]
    return [Text("Not compared", "bold"), *_indented(texts, width)] if texts else []


def _lack(lack: Lack) -> str:
    if lack.in_reference:
        return f"The reference lacks {few_short(lack.keys)} of {few_short(lack.runs)}: {printable(lack.reason)}."
    verb = "lacks" if len(lack.runs) == 1 else "lack"
    return f"{few_short(lack.runs)} {verb} {few_short(lack.keys)}: {printable(lack.reason)}."


def _indented(texts: Iterable[str], width: int) -> list[Text]:
    return [Text("  ").append_text(line) for line in wrapped(texts, width - 2)]
