"""The bins of a histogram, in the form that TensorBoard's histogram plugin reads."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

BIN_COUNT = 30


def histogram(samples: NDArray[np.floating]) -> NDArray[np.float64] | None:
    """Return equally wide bins over the range of the finite ``samples``.

    Where all samples are equal, all bins are empty and of width zero but the last, which holds them: that is what
    TensorBoard's own writer does.

    Args:
        samples: Any shape and float dtype.

    Returns:
        Shape ``(30, 3)``, float64: left edge, right edge and count of each bin. None without a finite sample.

    Example:
        >>> histogram(np.array([0.0, 1.0, 30.0]))[[0, 1, 29]].tolist()
        [[0.0, 1.0, 1.0], [1.0, 2.0, 1.0], [29.0, 30.0, 1.0]]
    """
    finite = samples[np.isfinite(samples)].astype(np.float64)
    if not finite.size:
        return None
    low, high = float(finite.min()), float(finite.max())
    width = high - low
    bins = np.floor((finite - low) / width * BIN_COUNT) if width else np.full(finite.shape, BIN_COUNT)
    counts = np.bincount(np.minimum(bins, BIN_COUNT - 1).astype(np.intp), minlength=BIN_COUNT)
    edges: NDArray[np.float64] = np.linspace(low, high, BIN_COUNT + 1)
    return np.stack([edges[:-1], edges[1:], counts.astype(np.float64)], axis=1)
