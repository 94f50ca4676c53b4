"""Moments and norms of tensors in float32 that neither overflow nor vanish.

Entries are divided by a power of two near the largest one before they are squared: float32 squares of 1e-25 vanish and
of 1e20 overflow. A power of two rather than the largest entry itself, because dividing by it rounds nothing: at mean
1e4 a deviation of 5e-3 would otherwise drown in the division's rounding.
"""

from __future__ import annotations

from typing import Final

from gradscope.statistics.backend import Tensor, ops
from gradscope.statistics.sums import Moments

_EXPONENT_BITS: Final = 0x7F800000
_SMALLEST_NORMAL: Final = 2.0**-126  # smaller ones are denormal, and flushed to zero on most devices
_LARGEST_POWER: Final = 2.0**127

SMALLEST_SAFE: Final = 1e-20
"""A sum of squares above it needs no scale: a billion squares too small for float32 do not change it."""


def power_of_two_below(magnitude: Tensor) -> Tensor:
    """Return the largest power of two that is at most ``magnitude``, float32 and not negative, of its shape.

    It is 2**-126 for 0, the smallest normal number, and 2**127 for what is not finite.
    """
    # Without its fraction bits a number is its power of two: exact on every device, where exp2 and log2 are not.
    bits = ops.view(ops.expand_dims(magnitude, -1), "int32")  # Keras must know the size of the last axis
    power = ops.squeeze(ops.view(ops.bitwise_and(bits, _EXPONENT_BITS), "float32"), -1)
    return ops.minimum(ops.maximum(power, _SMALLEST_NORMAL), _LARGEST_POWER)


def moments(x: Tensor, kept: Tensor, *, axis: int) -> Moments[Tensor]:
    """Return count, scale, scaled mean and scaled sum of squared deviations of the entries that are ``kept``.

    Args:
        x: Float32.
        kept: Bool, of the same shape; False wherever ``x`` is not finite.
        axis: The axis to reduce.
    """
    x = ops.where(kept, x, 0.0)
    scale = power_of_two_below(ops.max(ops.absolute(x), axis=axis, keepdims=True, initial=0.0))
    x = x / scale
    finite_count = ops.sum(ops.cast(kept, "float32"), axis=axis, keepdims=True)
    divisor = ops.maximum(finite_count, 1.0)
    rough_mean = ops.sum(x, axis=axis, keepdims=True) / divisor
    deviation = ops.where(kept, x - rough_mean, 0.0)
    # A long float32 sum rounds: what that left in the mean shows as a mean of the deviations, and is taken out.
    correction = ops.sum(deviation, axis=axis, keepdims=True) / divisor
    deviation = ops.where(kept, deviation - correction, 0.0)
    m2 = ops.sum(ops.square(deviation), axis=axis, keepdims=True)
    return Moments(*(ops.squeeze(part, axis) for part in (finite_count, scale, rough_mean + correction, m2)))


def scaled_square_sum(x: Tensor) -> tuple[Tensor, Tensor]:
    """Return a scale and the sum of squares of ``x / scale``: NaN where an entry is NaN, else infinite where one is."""
    scale = power_of_two_below(ops.max(ops.absolute(x), initial=0.0))
    return scale, ops.sum(ops.square(x / scale))


def count(condition: Tensor, kept: Tensor | None = None, *, axis: int | None = None) -> Tensor:
    """Return how many entries are True and ``kept``, as float32: exact up to 2**24, since counted in integers."""
    counted = condition if kept is None else ops.logical_and(condition, kept)
    return ops.cast(ops.sum(ops.cast(counted, "int32"), axis=axis), "float32")
