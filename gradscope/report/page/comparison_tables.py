"""The tables of a comparison's page: runs, settings, numbers of layers, and what could not be matched."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from gradscope.diagnose.finding import Finding
from gradscope.report.values.comparison import STATISTICS, Change, Comparison, Range
from gradscope.report.values.configuration import Difference
from gradscope.report.values.runs_table import RunRow, worst_first
from gradscope.report.words.comparison import (
    change_text,
    few_short,
    lacks,
    number_text,
    setting_value,
)
from gradscope.report.words.names import printable, shortened
from gradscope.report.words.numbers import UNKNOWN, metric, overhead_text

MOST_RUNS: Final = 14
"""Lines of the table of runs that are seen at once; the others are folded away."""

MOST_SIDES: Final = 4
"""Runs whose settings stand side by side; of more, each value is told with the runs that have it."""

_MOST_COLUMNS: Final = 6
_VALUE_CELLS: Final = 60
_RUN_CELLS: Final = 32

# --- runs ---


@dataclass(frozen=True, slots=True)
class Cell:
    """What stands in a table, and whether it is a number."""

    text: str
    is_number: bool


@dataclass(frozen=True, slots=True)
class RunLine:
    """One run: its name, its worst finding and how many more it has, and what the other columns hold."""

    name: str
    is_reference: bool
    worst: Finding | None
    more: int
    cells: tuple[Cell, ...]


@dataclass(frozen=True, slots=True)
class RunTable:
    """The runs, the reference first, then those with the severest findings.

    Attributes:
        titles: Of the columns behind the worst finding.
        lines: What is seen at once.
        further: What is folded away.
        note: What of the parameters and metrics is not shown; ``""`` where all is.
    """

    titles: tuple[Cell, ...]
    lines: tuple[RunLine, ...]
    further: tuple[RunLine, ...]
    note: str


def run_table(comparison: Comparison) -> RunTable:
    """Return a line a run: worst finding, parameters that vary, the last epoch's metrics, steps and overhead."""
    rows = comparison.sweep.rows
    columns, hidden = _run_columns(comparison)
    titles = tuple(Cell(title, is_number) for title, is_number, _ in columns)
    lines = [
        RunLine(
            name=printable(row.run),
            is_reference=row is rows[0],
            worst=row.worst,
            more=max(row.finding_count - 1, 0),
            cells=tuple(Cell(text(row), is_number) for _, is_number, text in columns),
        )
        for row in (rows[0], *worst_first(rows[1:]))
    ]
    note = f"Not shown, for want of room: {few_short(hidden)}." if hidden else ""
    return RunTable(titles, tuple(lines[:MOST_RUNS]), tuple(lines[MOST_RUNS:]), note)


_Text = Callable[[RunRow], str]


def _run_columns(comparison: Comparison) -> tuple[list[tuple[str, bool, _Text]], list[str]]:
    """Return title, whether it holds numbers, and text of each column; and the names that found no room."""
    sweep = comparison.sweep
    by_column = {column: name for name, column in sweep.param_names.items() if column in sweep.varying}
    params, metrics = list(by_column), sorted(sweep.metric_names, key=lambda name: name not in ("val_loss", "loss"))
    columns: list[tuple[str, bool, _Text]] = []
    for column in params[:_MOST_COLUMNS]:
        values = [row.params.get(by_column[column]) for row in sweep.rows]
        numeric = all(isinstance(value, int | float | None) and not isinstance(value, bool) for value in values)
        columns.append((printable(column), numeric, _param(by_column[column])))
    columns += [(printable(name), True, _metric(name)) for name in metrics[:_MOST_COLUMNS]]
    if not metrics:
        columns.append(
            ("batch loss", True, lambda row: UNKNOWN if row.batch_loss is None else metric("loss", row.batch_loss))
        )
    columns.append(("steps", True, lambda row: f"{row.step_count:,}"))
    columns.append(("overhead", True, lambda row: overhead_text(row.overhead)))
    if any(row.ended is False for row in sweep.rows):
        columns.append(("ended", False, lambda row: {None: UNKNOWN, True: "yes", False: "no"}[row.ended]))
    return columns, [*params[_MOST_COLUMNS:], *metrics[_MOST_COLUMNS:]]


def _param(name: str) -> _Text:
    return lambda row: setting_value(row.params.get(name))


def _metric(name: str) -> _Text:
    return lambda row: metric(name, row.metrics[name]) if name in row.metrics else UNKNOWN


# --- configuration ---


@dataclass(frozen=True, slots=True)
class SettingLine:
    """One setting that is not the same in all runs.

    Attributes:
        name: What it is called.
        layers: The layers that it is of; empty where it concerns the whole training.
        values: One a run where they stand side by side; else each value with the runs that have it.
    """

    name: str
    layers: tuple[str, ...]
    values: tuple[str, ...]


def setting_lines(comparison: Comparison) -> tuple[list[SettingLine], list[SettingLine]]:
    """Return the settings that differ: what the user chose, and how it was recorded and with which versions."""
    chosen: list[SettingLine] = []
    recorded: list[SettingLine] = []
    for difference in comparison.differences:
        line = SettingLine(printable(difference.name), _names(difference.layers), _values(difference, comparison))
        is_aside = difference.name.startswith(("recording.", "version.")) and not difference.layers
        (recorded if is_aside else chosen).append(line)
    return chosen, recorded


def _values(difference: Difference, comparison: Comparison) -> tuple[str, ...]:
    texts = [setting_value(value, _VALUE_CELLS) for value in difference.values]
    if len(comparison.sides) <= MOST_SIDES:
        return tuple(texts)
    runs: dict[str, list[str]] = {}
    for text, side in zip(texts, comparison.sides, strict=True):
        runs.setdefault(text, []).append(side.name)
    common = sorted(runs.items(), key=lambda item: -len(item[1]))
    return tuple(f"{text} ({len(names):,}: {few_short(names)})" for text, names in common)


def _names(names: Sequence[str]) -> tuple[str, ...]:
    return tuple(shortened(name, _RUN_CELLS) for name in names)


# --- numbers of layers ---


@dataclass(frozen=True, slots=True)
class LayerTable:
    """One statistic of all layers.

    Attributes:
        key: Its name.
        title: What it is called.
        meaning: What it says.
        titles: Of the columns behind the layer.
        notable: Layers in which it differs by the limit or more, in the order of the model.
        others: The other layers of which it is known in both.
    """

    key: str
    title: str
    meaning: str
    titles: tuple[Cell, ...]
    notable: tuple[LayerLine, ...]
    others: tuple[LayerLine, ...]


@dataclass(frozen=True, slots=True)
class LayerLine:
    """One layer: its name, and a cell a column."""

    name: str
    cells: tuple[Cell, ...]


def layer_tables(comparison: Comparison) -> list[LayerTable]:
    """Return a table a statistic, those with notable differences first."""
    changes = {(change.statistic, change.site): change for change in comparison.changes}
    is_pair = len(comparison.others) == 1
    tables: list[LayerTable] = []
    for statistic, declared in STATISTICS.items():
        column = declared.column
        group = [item for item in comparison.ranges if item.statistic == statistic]
        if not group:
            continue
        titles = (
            [*((side.name, True) for side in comparison.sides), ("change", True)]
            if is_pair
            else [("reference", True), ("lowest", True), ("in run", False), ("highest", True), ("in run", False),
                  ("differ", True)]
        )  # fmt: skip

        def line(item: Range, titles: Sequence[tuple[str, bool]] = titles) -> LayerLine:
            change = changes[item.statistic, item.site]
            texts = _pair_cells(item, change) if is_pair else _range_cells(item, len(comparison.others))
            cells = (Cell(text, is_number) for text, (_, is_number) in zip(texts, titles, strict=True))
            return LayerLine(printable(item.site), tuple(cells))

        tables.append(
            LayerTable(
                statistic,
                column.title,
                f"{column.meaning} {column.reading}".rstrip(),
                tuple(Cell(shortened(title, _RUN_CELLS), is_number) for title, is_number in titles),
                tuple(line(item) for item in group if item.extent >= 1),
                tuple(line(item) for item in group if item.extent < 1),
            )
        )
    return sorted(tables, key=lambda table: not table.notable)


def _pair_cells(item: Range, change: Change) -> Sequence[str]:
    reference, value = number_text(item.statistic, item.reference), number_text(item.statistic, item.lowest)
    return reference, value, change_text(change)


def _range_cells(item: Range, count: int) -> Sequence[str]:
    return (
        number_text(item.statistic, item.reference),
        number_text(item.statistic, item.lowest),
        shortened(item.lowest_run, _RUN_CELLS),
        number_text(item.statistic, item.highest),
        shortened(item.highest_run, _RUN_CELLS),
        f"{item.notable_count:,} of {count:,}",
    )


# --- what could not be matched ---


@dataclass(frozen=True, slots=True)
class LackLine:
    """What one side lacks, on which side, and why."""

    keys: tuple[str, ...]
    where: str
    reason: str


def lack_lines(comparison: Comparison) -> list[LackLine]:
    """Return what could not be matched, layers that are missing in the same runs for the same reason together."""
    reference = printable(comparison.reference.name)
    lines: list[LackLine] = []
    for lack in lacks(comparison):
        runs = ", ".join(_names(lack.runs))
        where = f"{reference}; {runs} {'has' if len(lack.runs) == 1 else 'have'} it" if lack.in_reference else runs
        lines.append(LackLine(_names(lack.keys), where, printable(lack.reason)))
    return lines
