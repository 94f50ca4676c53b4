"""History: a run's numbers from its first record to its last, in a bounded number of groups of records.

A long training has more records than a screen has columns. Records are kept in groups of equal size; when there are too
many groups, each two become one. A group holds the largest value, so that a spike of one step is never lost, and a
group that is small throughout is small in every record.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from gradscope.network import Network
from gradscope.records import FinalPass, NetworkChange, Record, Session, StepRecord
from gradscope.schema import ACTIVATIONS, GRADIENTS, STATISTICS, STEPS, Statistic

Measure: TypeAlias = Literal["saturation", "dead", "gradient", "backward", "update"]

GROUPS: Final = 256
"""Groups that are kept; even, so that each two can become one."""

NOT_FINITE: Final = np.inf
"""What stands for a record with NaN or infinite entries: no value is larger, so that its group shows it."""


MEASURES: Final[dict[Measure, Statistic]] = {
    "saturation": STATISTICS["activations.saturated_fraction"],
    "dead": STATISTICS["activations.dead_unit_fraction"],
    "gradient": STATISTICS["gradients.rms"],
    "backward": STATISTICS["activations.backward_rms"],
    "update": STATISTICS["gradients.update_to_weight_ratio"],
}
"""What can be shown over time, by the word that asks for it."""

_FORWARD: Final = ("saturation", "dead")  # known of a step that mixed precision skips, too


@dataclass(frozen=True, slots=True)
class Grid:
    """One statistic over the steps.

    Attributes:
        values: Shape ``(names, cells)``: the largest value of a cell's records; NaN where none is known, infinite where
            entries were not finite.
        first_step: First step of the first cell; -1 without any.
        last_step: Last step of the last cell; -1 without any.
        record_count: Records in a cell; the last may have fewer.
    """

    values: NDArray[np.float32]
    first_step: int
    last_step: int
    record_count: int


class History:
    """The numbers of one training.

    Example:
        >>> history = History()
        >>> for step in range(1000):
        ...     history.take(StepRecord(step, 0, 0.0))
        >>> grid = history.grid("gradient", ["dense/kernel"], 80)
        >>> grid.values.shape, grid.first_step, grid.last_step, grid.record_count
        ((1, 63), 0, 999, 16)
    """

    def __init__(self) -> None:
        self._places: dict[str, dict[str, int]] = {table.name: {} for table in (ACTIVATIONS, GRADIENTS)}
        self._rows: dict[str, NDArray[np.intp]] = {table: np.zeros(0, np.intp) for table in self._places}
        self._values: dict[Measure, NDArray[np.float32]] = {name: _unknown(0) for name in MEASURES}
        self._first: list[int] = []
        self._last: list[int] = []
        self._count = 0  # records in the last group
        self._size = 1  # records in every other

    def take(self, record: Record) -> None:
        """Keep the numbers of ``record``; a session voids what was recorded at or after its first step."""
        match record:
            case Session():
                self._void(record.step)
            case NetworkChange():
                self._place(record.network)
            case StepRecord():
                self._open_group(record.step)
                self._add(record)
            case FinalPass() if self._first:
                self._keep("dead", record.activations)
            case _:
                pass

    def grid(self, measure: Measure, names: list[str], width: int) -> Grid:
        """Return ``measure`` over the steps, in at most ``width`` cells.

        Args:
            measure: What to show.
            names: Keys of sites, or paths of variables for what is known of variables; one that is not known, such as
                ``""``, has a row of NaN.
            width: Most cells.
        """
        places = self._places[MEASURES[measure].table.name]
        used = len(self._first)
        values = np.full((len(names), used), np.nan, np.float32)
        for row, name in enumerate(names):
            if name in places:
                values[row] = self._values[measure][places[name], :used]
        groups = max(1, -(-used // max(1, width)))
        cells = -(-used // groups)
        padded = np.full((len(names), cells * groups), np.nan, np.float32)
        padded[:, :used] = values
        return Grid(
            np.fmax.reduce(padded.reshape(len(names), cells, groups), axis=2),
            self._first[0] if self._first else -1,
            self._last[-1] if self._last else -1,
            groups * self._size,
        )

    def _place(self, network: Network) -> None:
        """Give each site and variable a row of its own; those that are known keep theirs."""
        names = {
            ACTIVATIONS.name: [site.key for site in network.sites],
            GRADIENTS.name: [variable.path for variable in network.variables],
        }
        for table, places in self._places.items():
            for name in names[table]:
                places.setdefault(name, len(places))
            self._rows[table] = np.array([places[name] for name in names[table]], np.intp)
        for measure, statistic in MEASURES.items():
            missing = len(self._places[statistic.table.name]) - len(self._values[measure])
            self._values[measure] = np.concatenate([self._values[measure], _unknown(missing)])

    def _open_group(self, step: int) -> None:
        """Make the record of ``step`` part of the last group, or of a new one."""
        if self._first and self._count < self._size:
            self._last[-1] = step
            self._count += 1
            return
        if len(self._first) == GROUPS:
            self._halve()
        self._first.append(step)
        self._last.append(step)
        self._count = 1

    def _halve(self) -> None:
        for name, values in self._values.items():
            self._values[name] = np.concatenate(
                [np.fmax(values[:, ::2], values[:, 1::2]), _unknown(len(values), GROUPS // 2)], axis=1
            )
        self._first, self._last = self._first[::2], self._last[1::2]
        self._size *= 2

    def _add(self, record: StepRecord) -> None:
        is_skipped = record.steps is not None and record.steps[STEPS.statistic_names.index("skipped")] == 1
        for measure, statistic in MEASURES.items():
            if not is_skipped or measure in _FORWARD:
                self._keep(measure, record.gradients if statistic.table is GRADIENTS else record.activations)

    def _keep(self, measure: Measure, array: NDArray[np.float32] | None) -> None:
        """Take the numbers of ``array`` into the last group."""
        statistic, kept, group = MEASURES[measure], self._values[measure], len(self._first) - 1
        rows = self._rows[statistic.table.name]
        if array is not None and len(array) == len(rows):
            kept[rows, group] = np.fmax(kept[rows, group], _numbers(array, statistic))

    def _void(self, start: int) -> None:
        """Forget every group that holds a record at or after ``start``."""
        used = sum(last < start for last in self._last)
        for values in self._values.values():
            values[:, used:] = np.nan
        del self._first[used:], self._last[used:]
        self._count = self._size  # the next record begins a group
        if not used:
            self._size = 1


def _unknown(rows: int, groups: int = GROUPS) -> NDArray[np.float32]:
    return np.full((rows, groups), np.nan, np.float32)


def _numbers(array: NDArray[Any], statistic: Statistic) -> NDArray[np.float32]:
    columns = statistic.table.statistic_names
    values = array[:, columns.index(statistic.column.name)]
    broken = array[:, columns.index("nonfinite_count")] > 0
    return np.where(broken | np.isinf(values), NOT_FINITE, values).astype(np.float32)
