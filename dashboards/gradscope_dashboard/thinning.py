"""Thinning: many recorded steps as few columns, of which each holds the extreme of its steps.

A random pick, as TensorBoard's own, loses the one step at which a gradient explodes. Here each column stands for a
group of neighbouring steps, and its value is the highest of the group, or the lowest where that is the bad side. As the
extreme of extremes is the extreme of all, what is thinned can be thinned further.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

MOST_COLUMNS: Final = 2_000
"""Columns that are kept of a run, at most: about the pixels of a wide screen."""


def group_starts(count: int, most: int) -> NDArray[np.intp]:
    """Return the first member of each of at most ``most`` groups of equal size, to within one, of ``count`` members.

    Example:
        >>> group_starts(7, 3).tolist()
        [0, 2, 4]
    """
    if count <= most:
        return np.arange(count, dtype=np.intp)
    return np.arange(most, dtype=np.intp) * count // most


def places_among(first_steps: NDArray[np.int64], steps: NDArray[np.int64]) -> NDArray[np.intp]:
    """Return the group that each of ``steps`` belongs to; a step before the first group belongs to that one.

    Example:
        >>> places_among(np.array([0, 20, 40]), np.array([0, 19, 20, 90])).tolist()
        [0, 0, 1, 2]
    """
    return np.maximum(np.searchsorted(first_steps, steps, side="right") - 1, 0)


def directions(extremes: Sequence[str]) -> NDArray[np.float32]:
    """Return the factors that make the extreme of each column its highest value: 1 for ``high``, -1 for ``low``."""
    return np.array([-1.0 if extreme == "low" else 1.0 for extreme in extremes], np.float32)


def highest(
    values: NDArray[np.float32], places: NDArray[np.intp], axis: int = -1
) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
    """Return the places that occur, and the highest value of each.

    Args:
        values: Members along ``axis``. NaN says nothing: a group is NaN only where all its members are.
        places: Shape ``(members,)``: the group of each member, never falling.
        axis: The axis of the members.

    Returns:
        The places, and the values with one entry a place along ``axis``.

    Example:
        >>> found, values = highest(np.array([[1.0, np.nan, 3.0]], np.float32), np.array([0, 0, 4]))
        >>> found.tolist(), values.tolist()
        ([0, 4], [[1.0, 3.0]])
    """
    starts = np.flatnonzero(np.diff(places, prepend=-1))
    return places[starts], np.fmax.reduceat(values, starts, axis=axis) if len(starts) else values


def thinned(
    values: NDArray[np.float32], places: NDArray[np.intp], columns: int, extreme: str = "high"
) -> NDArray[np.float32]:
    """Return one column a group: the extreme of its members, NaN for a group without one.

    Args:
        values: Shape ``(rows, members)``.
        places: Shape ``(members,)``: the group of each member, never falling.
        columns: Number of groups.
        extreme: ``high`` or ``low``.

    Example:
        >>> thinned(np.array([[5.0, 1.0, 7.0]], np.float32), np.array([0, 0, 1]), 3, "low").tolist()
        [[1.0, 7.0, nan]]
    """
    answer = np.full((len(values), columns), np.nan, np.float32)
    sign = directions([extreme])
    found, reduced = highest(values * sign, places)
    answer[:, found] = reduced * sign
    return answer
