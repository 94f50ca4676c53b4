"""Which rows of a run still count: a new session voids what was recorded at or after its first step.

TensorBoard's two loaders do most of it, each in its own way: the Python loader drops the older rows of every series,
the data server only those of a series that goes on. So it is done once more here.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import compress
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray


class Moment(Protocol):
    """Anything that has a step and a time: a session by its beginning, a point of a series."""

    @property
    def step(self) -> int: ...
    @property
    def wall_time(self) -> float: ...


M = TypeVar("M", bound=Moment)


def counting(points: Sequence[M], sessions: Iterable[Moment] = ()) -> list[M]:
    """Return those points of one series that count, given in the order in which they were written.

    A point does not count where a later session begins at or before its step, or a later point stands at or before it.
    Those that do are in the order of steps, each step once.

    Example:
        >>> from gradscope.records import Session
        >>> written = [Session(step, 0.0, False, "") for step in (0, 1, 2, 1, 3)]
        >>> [point.step for point in counting(written)]
        [0, 1, 3]
    """
    steps: NDArray[np.int64] = np.array([point.step for point in points], np.int64)
    wall_times: NDArray[np.float64] = np.array([point.wall_time for point in points], np.float64)
    alive = np.ones(len(steps), np.bool_)
    for session in sessions:
        alive &= (steps < session.step) | (wall_times >= session.wall_time)
    after = np.where(alive, steps, np.iinfo(np.int64).max)
    smallest_from = np.minimum.accumulate(after[::-1])[::-1]
    alive[:-1] &= steps[:-1] < smallest_from[1:]
    return list(compress(points, alive.tolist()))
