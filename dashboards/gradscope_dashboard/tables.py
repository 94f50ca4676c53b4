"""The numbers of a run, read once and kept as far as a screen can show them.

A long run of a deep network is hundreds of megabytes. Each table is read in one pass, and of every column only the
extreme of each group of steps is kept: enough for each matrix and curve, at a tenth of the size or less.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gradscope import schema
from gradscope.store.events import EPOCH_TAG
from gradscope.store.layout import Layout
from gradscope_dashboard.sessions import Moment, counting
from gradscope_dashboard.source import ALL, Point, RecordedRun, Source
from gradscope_dashboard.thinning import MOST_COLUMNS, directions, group_starts, highest, places_among

KEPT_BYTES: Final = 48_000_000
"""Bytes that the tables of one run may hold, about: very deep networks get fewer columns."""

ANSWER_BYTES: Final = 240 << 20
"""What one answer of the data provider may hold: the data server refuses to send more than 256 MiB."""

_CHUNK_BYTES = 8_000_000
_POINT_BYTES = 80  # of a point, besides its numbers
_FEWEST_COLUMNS = 100


@dataclass(frozen=True, slots=True)
class Axis:
    """The recorded steps of a run, and the groups that they are kept in.

    Attributes:
        steps: Every step under which anything is recorded.
        epochs: The epoch of each.
        wall_times: Seconds since 1970 at which each was recorded.
        is_census: Which of them are no step of the training, but the census behind its last one.
        starts: Where among them each group begins; a census is a group of its own.
    """

    steps: NDArray[np.int64]
    epochs: NDArray[np.int64]
    wall_times: NDArray[np.float64]
    is_census: NDArray[np.bool_]
    starts: NDArray[np.intp]

    @property
    def recorded(self) -> int:
        """How many steps of the training are recorded."""
        return int(np.count_nonzero(~self.is_census))

    @property
    def census_groups(self) -> NDArray[np.bool_]:
        """Which groups are a census."""
        return self.is_census[self.starts]

    @property
    def first_steps(self) -> NDArray[np.int64]:
        """The first step of each group."""
        return self.steps[self.starts]


@dataclass(frozen=True, slots=True)
class ThinnedTable:
    """One table of a run: the extreme of each column for each row and group of steps.

    Attributes:
        name: The table's name.
        stamp: Of the data that it was made of.
        axis: The groups.
        rows: Keys of the rows; one empty key for a table of one row.
        columns: Shape ``(rows, groups)`` by column, NaN where nothing was recorded.
        constants: Columns that hold one number wherever the row was recorded.
        present: Shape ``(rows, groups)``: where the row was recorded.
        read_count: Steps of the training that were read: fewer than recorded where the provider had to pick some.
    """

    name: str
    stamp: str
    axis: Axis
    rows: tuple[str, ...]
    columns: Mapping[str, NDArray[np.float32]]
    constants: Mapping[str, float]
    present: NDArray[np.bool_]
    read_count: int

    @property
    def byte_count(self) -> int:
        """Bytes that it holds."""
        axis = self.axis
        of_axis = (axis.steps, axis.epochs, axis.wall_times, axis.is_census, axis.starts)
        return sum(array.nbytes for array in (*self.columns.values(), self.present, *of_axis))

    def column(self, name: str) -> NDArray[np.float32]:
        """Return shape ``(rows, groups)``, NaN where nothing was recorded."""
        if name in self.columns:
            return self.columns[name]
        return np.where(self.present, np.float32(self.constants.get(name, np.nan)), np.float32(np.nan))


@dataclass(frozen=True, slots=True)
class Block:
    """The points under one tag of a table."""

    layout: Layout
    points: Sequence[Point]


def read_table(source: Source, run: RecordedRun, table: str, sessions: Sequence[Moment]) -> ThinnedTable:
    """Return a table of ``run``.

    Raises:
        RequestError: If the provider has nothing more of the run, or fails.
    """
    own = run.layouts("steps")
    points = source.read(run, [EPOCH_TAG, *own])
    trained = {point.step for tag in own for point in counting(points.get(tag, []), sessions)} if own else None
    axis = axis_of(points.get(EPOCH_TAG, []), sessions, _most_columns(run), trained)
    return thinned_table(table, run.stamp, axis, _blocks(source, run, table), sessions)


def _blocks(source: Source, run: RecordedRun, table: str) -> Iterator[Block]:
    """Return the tags one at a time, so that no two of them are in memory."""
    for tag, layout in run.layouts(table).items():
        most = max(ANSWER_BYTES // (_bytes_a_step(layout) + _POINT_BYTES), 1)
        yield Block(layout, source.read(run, [tag], most=min(most, ALL)).get(tag, []))


def _most_columns(run: RecordedRun) -> int:
    """Return how many groups are kept of each table, so that all tables of the run together fit."""
    widths = (max(map(_bytes_a_step, run.layouts(table).values()), default=0) for table in ("activations", "gradients"))
    return min(MOST_COLUMNS, max(KEPT_BYTES // max(sum(widths), 1), _FEWEST_COLUMNS))


def _bytes_a_step(layout: Layout) -> int:
    return 4 * max(len(layout.rows), 1) * len(layout.columns)


def axis_of(
    points: Sequence[Point], sessions: Sequence[Moment], most: int, trained: Collection[int] | None = None
) -> Axis:
    """Return the axis of a run, its training in at most ``most`` groups.

    Args:
        points: Hold the epoch of each recorded step.
        sessions: The run's.
        most: Groups.
        trained: Steps of the training, which have a row in the table ``steps``: all others are a census. None where
            there is no such table, and all count.
    """
    kept = counting(points, sessions)
    is_census = np.array([trained is not None and point.step not in trained for point in kept], np.bool_)
    training, censuses = np.flatnonzero(~is_census), np.flatnonzero(is_census)
    starts = np.concatenate([training[group_starts(len(training), most)], censuses, censuses + 1])
    return Axis(
        steps=np.array([point.step for point in kept], np.int64),
        epochs=np.array([int(point.array) for point in kept], np.int64),
        wall_times=np.array([point.wall_time for point in kept], np.float64),
        is_census=is_census,
        starts=np.unique(starts[starts < len(kept)]),
    )


def thinned_table(
    table: str, stamp: str, axis: Axis, blocks: Iterable[Block], sessions: Sequence[Moment]
) -> ThinnedTable:
    """Return the thinned table that ``blocks`` hold together.

    Rows are met by key and columns by name, so that tags of several networks and sets of columns become one table.
    Columns that this version does not know are left out.
    """
    parts = [part for block in blocks if (part := _reduced(block, axis, sessions))]
    rows = {key: place for place, key in enumerate(dict.fromkeys(key for part in parts for key in part.rows))}
    shape = len(rows), len(axis.starts)
    columns = {name: np.full(shape, np.nan, np.float32) for part in parts for name in part.columns}
    present = np.zeros(shape, np.bool_)
    for part in parts:
        cells = np.array([rows[key] for key in part.rows], np.intp)[:, np.newaxis], part.groups
        present[cells] = True
        for name, into in columns.items():
            held = part.columns.get(name, np.float32(part.constants.get(name, np.nan)))
            pick = np.fmin if _EXTREMES[table][name] == "low" else np.fmax
            into[cells] = pick(into[cells], held)
    constants = {name: value for part in parts for name, value in part.constants.items() if name not in columns}
    read_count = sum(part.read_count for part in parts)
    return ThinnedTable(table, stamp, axis, tuple(rows), columns, constants, present, read_count)


_EXTREMES: Final = {
    table.name: {column.name: column.extreme for column in table.statistics} for table in schema.TABLES.values()
}


@dataclass(frozen=True, slots=True)
class _Part:
    """What one tag has to say: columns of shape ``(rows, groups)``, for the groups in which it says anything."""

    rows: tuple[str, ...]
    groups: NDArray[np.intp]
    columns: Mapping[str, NDArray[np.float32]]
    constants: Mapping[str, float]
    read_count: int


def _reduced(block: Block, axis: Axis, sessions: Sequence[Moment]) -> _Part | None:
    """Return the extremes of the block's points, or None where none of them counts."""
    points = counting(block.points, sessions)
    layout, extremes = block.layout, _EXTREMES[block.layout.table]
    has_rows = bool(layout.rows) or layout.table == "steps"  # whose one row has no name
    if not points or not len(axis.starts) or not has_rows:
        return None
    rows = layout.rows or ("",)
    written = [place for place, name in enumerate(layout.columns) if name in extremes]
    names = [layout.columns[place] for place in written]
    signs = directions([extremes[name] for name in names])
    places = places_among(axis.first_steps, np.array([point.step for point in points], np.int64))
    groups = np.unique(places)
    values = np.empty((len(names), len(rows), len(groups)), np.float32)
    done = 0
    for chunk in _chunks(places, max(_CHUNK_BYTES // _bytes_a_step(layout), 1)):
        tensors = [point.array.reshape(len(rows), -1) for point in points[chunk]]
        found, high = highest(np.stack(tensors)[..., written] * signs, places[chunk], axis=0)
        values[..., done : done + len(found)] = (high * signs).transpose(2, 1, 0)
        done += len(found)
    constants = {name: float(value) for name, value in layout.constants.items() if name in extremes}
    read_count = int(np.count_nonzero(~axis.census_groups[places]))
    return _Part(rows, groups, dict(zip(names, values, strict=True)), constants, read_count)


def _chunks(places: NDArray[np.intp], most: int) -> Iterator[slice]:
    """Return stretches of about ``most`` members that divide no group."""
    starts = np.flatnonzero(np.diff(places, prepend=-1))
    wanted = np.searchsorted(starts, np.arange(0, len(places), most))
    cuts = [*np.unique(starts[wanted[wanted < len(starts)]]).tolist(), len(places)]
    return (slice(start, end) for start, end in pairwise(cuts))
