"""Exact zeros on a log scale: it has no place for them, but they are the very thing that a reader looks for."""

from __future__ import annotations

from typing import Final

from gradscope.report.figures.grid import Grid, limits_of

LABEL: Final = "exactly 0 (below the scale)"


def limits_with_zeros(grid: Grid) -> tuple[float, float]:
    """Return the range of an axis for ``grid``: on a log scale with room below for exact zeros, if there are any."""
    low, high = limits_of([grid])
    return (_below(low), high) if grid.zero.any() else (low, high)


def floor_below(grid: Grid) -> float:
    """Return where exact zeros are drawn on a log scale: a little below all other values."""
    return _below(limits_of([grid])[0])


def _below(low: float) -> float:
    return low * 10**-0.5
