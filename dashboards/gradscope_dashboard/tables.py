"""The numbers of a run, read once and kept as far as a screen can show them.

A long run of a deep network is hundreds of megabytes. Each table is read in one pass, and of every column only the
extreme of each group of steps is kept: enough for each matrix and curve, at a tenth of the size or less.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
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
        starts: Where among them each group begins.
    """

    steps: NDArray[np.int64]
    epochs: NDArray[np.int64]
    wall_times: NDArray[np.float64]
    starts: NDArray[np.intp]

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
        read_count: Steps that were read: fewer than recorded where the provider had to pick some.
    """

    name: str
    stamp: str
    axis: Axis
    rows: tuple[str, ...]
    columns: Mapping[str, NDArray[np.float32]]
    read_count: int

    @property
    def byte_count(self) -> int:
        """Bytes that it holds."""
        axis = self.axis
        of_axis = (axis.steps, axis.epochs, axis.wall_times, axis.starts)
        return sum(array.nbytes for array in (*self.columns.values(), *of_axis))

    def column(self, name: str) -> NDArray[np.float32]:
        """Return shape ``(rows, groups)``, NaN where nothing was recorded."""
        if name in self.columns:
            return self.columns[name]
        return np.full((len(self.rows), len(self.axis.starts)), np.nan, np.float32)


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
    points = source.read(run, [EPOCH_TAG]).get(EPOCH_TAG, [])
    axis = axis_of(points, sessions, _most_columns(run))
    return thinned_table(table, run.stamp, axis, _blocks(source, run, table), sessions)


def _blocks(source: Source, run: RecordedRun, table: str) -> Iterator[Block]:
    """Return the tags one at a time, so that no two of them are in memory."""
    final = run.layouts("final_activations") if table == "activations" else {}
    for tag, layout in (run.layouts(table) | final).items():
        most = max(ANSWER_BYTES // (_bytes_a_step(layout) + _POINT_BYTES), 1)
        yield Block(layout, source.read(run, [tag], most=min(most, ALL)).get(tag, []))


def _most_columns(run: RecordedRun) -> int:
    """Return how many groups are kept of each table, so that all tables of the run together fit."""
    widths = (max(map(_bytes_a_step, run.layouts(table).values()), default=0) for table in ("activations", "gradients"))
    return min(MOST_COLUMNS, max(KEPT_BYTES // max(sum(widths), 1), _FEWEST_COLUMNS))


def _bytes_a_step(layout: Layout) -> int:
    return 4 * max(len(layout.rows), 1) * len(layout.columns)


def axis_of(points: Sequence[Point], sessions: Sequence[Moment], most: int) -> Axis:
    """Return the axis of a run in at most ``most`` groups; ``points`` hold the epoch of each recorded step."""
    kept = counting(points, sessions)
    return Axis(
        steps=np.array([point.step for point in kept], np.int64),
        epochs=np.array([int(point.array) for point in kept], np.int64),
        wall_times=np.array([point.wall_time for point in kept], np.float64),
        starts=group_starts(len(kept), most),
    )


def thinned_table(
    table: str, stamp: str, axis: Axis, blocks: Iterable[Block], sessions: Sequence[Moment]
) -> ThinnedTable:
    """Return the thinned table that ``blocks`` hold together.

    Rows are met by key and columns by name, so that tags of several networks and sets of columns become one table.
    Columns that this version does not know are left out. Of a final pass the shares of units count, at its step.
    """
    parts = [part for block in blocks if (part := _reduced(block, axis, sessions))]
    rows = {key: place for place, key in enumerate(dict.fromkeys(key for part in parts for key in part.rows))}
    shape = len(rows), len(axis.starts)
    columns = {name: np.full(shape, np.nan, np.float32) for part in parts for name in part.columns}
    for part in parts:
        cells = np.array([rows[key] for key in part.rows], np.intp)[:, np.newaxis], part.groups
        for name, held in part.columns.items():
            pick = np.fmin if _EXTREMES[table][name] == "low" else np.fmax
            columns[name][cells] = pick(columns[name][cells], held)
    read_count = sum(part.read_count for part in parts)
    return ThinnedTable(table, stamp, axis, tuple(rows), columns, read_count)


_EXTREMES: Final[Mapping[str, Mapping[str, str]]] = {
    **{table.name: {column.name: column.extreme for column in table.statistics} for table in schema.TABLES.values()},
    "final_activations": dict.fromkeys(("dead_unit_fraction", "stuck_unit_fraction"), "high"),
}
"""By table and column, which of several values stands for them all; other columns are not shown."""


@dataclass(frozen=True, slots=True)
class _Part:
    """What one tag has to say: columns of shape ``(rows, groups)``, for the groups in which it says anything."""

    rows: tuple[str, ...]
    groups: NDArray[np.intp]
    columns: Mapping[str, NDArray[np.float32]]
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
    read_count = 0 if layout.table == "final_activations" else len(points)
    return _Part(rows, groups, dict(zip(names, values, strict=True)), read_count)


def _chunks(places: NDArray[np.intp], most: int) -> Iterator[slice]:
    """Return stretches of about ``most`` members that divide no group."""
    starts = np.flatnonzero(np.diff(places, prepend=-1))
    wanted = np.searchsorted(starts, np.arange(0, len(places), most))
    cuts = [*np.unique(starts[wanted[wanted < len(starts)]]).tolist(), len(places)]
    return (slice(start, end) for start, end in pairwise(cuts))
