"""Whole decades: the powers of ten at which a logarithmic axis, scale or colour bar ends."""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

MOST_DECADES: Final = 12
"""Decades below the largest value that a log scale spans: sizes below are lost to every reader alike."""

_ROUNDING: Final = 1e-6  # of a logarithm: 1e-6 in float32 is a little less, and needs no decade of its own
_SMALLEST, _LARGEST = -307, 308  # powers of ten that float64 holds without loss


def whole_decades(values: NDArray[np.floating[Any]], *, least: int = 1) -> tuple[float, float]:
    """Return the powers of ten around the finite values above zero, `MOST_DECADES` apart at most.

    Where the values need fewer than ``least`` decades, the range is widened downwards.

    Args:
        values: Any shape; what is zero, negative or not finite has no place on a log scale and is left out.
        least: Decades that the range spans at least.

    Returns:
        Lowest and highest value of the scale; 1e-6 and 1 where there is nothing to show.

    Example:
        >>> whole_decades(np.array([2e-3, 5e-3, 0.0, np.nan])), whole_decades(np.array([1e-6, 1e-3], np.float32))
        ((0.001, 0.01), (1e-06, 0.001))
    """
    known = values[np.isfinite(values) & (values > 0)]
    if not known.size:
        return 1e-6, 1.0
    high = math.ceil(math.log10(float(known.max())) - _ROUNDING)
    high = max(min(high, _LARGEST), _SMALLEST + least)
    low = min(math.floor(math.log10(float(known.min())) + _ROUNDING), high - least)
    return 10.0 ** max(low, high - MOST_DECADES, _SMALLEST), 10.0**high
