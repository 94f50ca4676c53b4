"""What is the profile of a function of which nothing is known but its value and its slope?

The function is evaluated on a dense grid around 0 and on log-spaced points far out. A tail is read off from outside
inwards: as far as the slope stays below the floor, provided that it tends to zero outward. Definition ours.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gradscope.network import Profile

Evaluate: TypeAlias = Callable[[NDArray[np.float64]], tuple[ArrayLike, ArrayLike]]
"""Value and elementwise slope of a function on a float64 array of shape ``(rows, columns)``, both of that shape."""

SLOPE_FLOOR: Final = 0.05
"""A tail's slope stays at or below this share of the function's reference slope."""

_FAR: Final = 1e6  # softsign is within 1e-6 of its limits here, and float32 squares do not overflow


def probe(evaluate: Evaluate) -> Profile:
    """Return the profile of an unknown function.

    A function that mixes entries, depends on their place, changes the shape or is random is not elementwise. Where it
    overflows far out (a sigmoid written with ``exp``), what lies before the overflow decides.

    Args:
        evaluate: Takes float64 of shape ``(rows, columns)``; returns the function's values and the derivative of their
            sum by automatic differentiation, both of that shape. What it raises, `probe` raises.

    Returns:
        The profile, edges within about 1e-9; exact where the function has a kink at a number of up to nine decimals.
        A kink itself belongs to the tail: z = 0 is inactive for ReLU, whose subgradient at 0 is 0.

    Example:
        >>> profile = probe(lambda z: (np.maximum(z, 0.0), np.where(z > 0, 1.0, 0.0)))
        >>> profile.z_low, profile.z_high, profile.zero_low, profile.minimum
        (0.0, inf, 0.0, 0.0)
    """
    if not _is_elementwise(evaluate):
        return Profile(elementwise=False)
    curve = _finite_part(_curve(evaluate, _GRID))
    if curve.z.size == 0:
        return Profile()
    maximum = _maximum(lambda z: _curve(evaluate, z).value, curve.z, curve.value)
    minimum = 0.0 - _maximum(lambda z: -_curve(evaluate, z).value, curve.z, -curve.value)
    if not curve.slope.any():
        return Profile(blocked=True, minimum=minimum, maximum=maximum)
    if _is_linear(curve):
        return Profile(linear=True, minimum=minimum, maximum=maximum)
    floor = SLOPE_FLOOR * _reference_slope(evaluate, curve)
    low = _high_tail(_mirrored(evaluate), _mirrored_curve(curve), floor)
    high = _high_tail(evaluate, curve, floor)
    return Profile(
        z_low=0.0 - low.edge,  # and not -low.edge, which may be -0.0
        z_high=high.edge,
        zero_low=0.0 - low.zero_edge,
        zero_high=high.zero_edge,
        minimum=minimum,
        maximum=maximum,
    )


class _Curve(NamedTuple):
    """A function at increasing points, each of shape ``(points,)``."""

    z: NDArray[np.float64]
    value: NDArray[np.float64]
    slope: NDArray[np.float64]


class _Tail(NamedTuple):
    """Where a high tail and its exact zeros begin; ``inf`` where there are none."""

    edge: float = float("inf")
    zero_edge: float = float("inf")


def _grid() -> NDArray[np.float64]:
    # Kinks lie at round numbers, where automatic differentiation gives any subgradient (Keras' celu has slope 2 at 0):
    # no point is a round number.
    near = np.linspace(-20.0, 20.0, 20_000) + 2**0.5 * 1e-5
    far = np.geomspace(20.01, _FAR, 1_000) * (1 + 2**0.5 * 1e-5)
    return np.concatenate([-far[::-1], near, far])


_GRID: Final = _grid()


def _curve(evaluate: Evaluate, z: NDArray[np.float64]) -> _Curve:
    value, slope = evaluate(z[:, np.newaxis])
    return _Curve(z, np.asarray(value, np.float64)[:, 0], np.asarray(slope, np.float64)[:, 0])


def _is_elementwise(evaluate: Evaluate) -> bool:
    """Whether each entry decides its own value and slope alone, wherever it stands and each time alike."""
    random = np.random.default_rng(0)
    z = random.uniform(-3.0, 3.0, (6, 8))
    keep = np.indices(z.shape).sum(axis=0) % 2 == 0  # a chequerboard: neighbours in the row and in other rows change
    order = random.permutation(z.size)
    result = _evaluated(evaluate, z)
    if result is None:
        return False
    again, shuffled = _evaluated(evaluate, z), _evaluated(evaluate, z.ravel()[order].reshape(z.shape))
    changed = [_evaluated(evaluate, np.where(keep, z, z * factor)) for factor in (-0.1, 10.0)]
    return (
        _agree(result, again)
        and all(_agree(result[:, keep], None if other is None else other[:, keep]) for other in changed)
        and _agree(result.reshape(2, -1)[:, order], None if shuffled is None else shuffled.reshape(2, -1))
    )


def _evaluated(evaluate: Evaluate, z: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """Values and slopes, shape ``(2, rows, columns)``; None where their shape is another."""
    value, slope = (np.asarray(part, np.float64) for part in evaluate(z))
    return np.stack([value, slope]) if value.shape == slope.shape == z.shape else None


def _agree(expected: NDArray[np.float64], got: NDArray[np.float64] | None) -> bool:
    # Rounding may depend on an entry's place (vector lanes), in float32 too where a function casts.
    return got is not None and np.allclose(expected, got, rtol=1e-5, atol=1e-6, equal_nan=True)


def _finite_part(curve: _Curve) -> _Curve:
    """The unbroken run of finite points that lies nearest to 0; far out many formulas overflow."""
    finite = np.isfinite(curve.value) & np.isfinite(curve.slope)
    if not finite.any():
        return _Curve(*(part[:0] for part in curve))
    nearest = int(np.argmin(np.where(finite, np.abs(curve.z), np.inf)))
    broken = np.flatnonzero(~finite)
    left, right = broken[broken < nearest], broken[broken > nearest]
    part = slice(left[-1] + 1 if left.size else 0, right[0] if right.size else None)
    return _Curve(curve.z[part], curve.value[part], curve.slope[part])


def _is_linear(curve: _Curve) -> bool:
    # The values too: a straight-through estimator has slope 1 everywhere and is not linear.
    slope = curve.slope[0]
    line = curve.value[0] + slope * (curve.z - curve.z[0])
    scale = float(np.abs(curve.value).max())
    return np.allclose(curve.slope, slope, rtol=1e-6, atol=0.0) and np.allclose(curve.value, line, atol=1e-6 * scale)


def _reference_slope(evaluate: Evaluate, curve: _Curve) -> float:
    """The largest slope, or the largest on [-1, 1] where the slope grows without bound; 0 beside a pole."""
    slope = np.abs(curve.slope)
    outer = (curve.z > curve.z[-1] / 10) | (curve.z < curve.z[0] / 10)
    # Over one decade the slope of z·log z grows by a quarter, while one that has a limit has all but reached it.
    unbounded = slope[outer].max(initial=0.0) > 1.2 * slope[~outer].max(initial=0.0)
    near = _curve(evaluate, np.linspace(-1.0, 1.0, 2_000))
    if unbounded and np.any(near.slope):
        curve = near
    peaks = _peaks(lambda z: np.abs(_curve(evaluate, z).slope), curve.z, np.abs(curve.slope))
    return 0.0 if _has_pole(peaks) else peaks[-1]


def _peaks(
    height: Callable[[NDArray[np.float64]], NDArray[np.float64]], z: NDArray[np.float64], heights: NDArray[np.float64]
) -> list[float]:
    """The largest height, first on the given points, then ever closer to where it is."""
    peaks: list[float] = []
    for _ in range(3):
        at = int(np.argmax(np.where(np.isfinite(heights), heights, -np.inf)))
        peaks.append(max([*peaks, float(heights[at])]))
        z = np.linspace(float(z[max(at - 1, 0)]), float(z[min(at + 1, len(z) - 1)]), 1_000)
        heights = height(z)
    return peaks


def _has_pole(peaks: list[float]) -> bool:
    # As of the slope of a square root at 0: it grows with every zoom, and no slope can be called small beside it.
    return peaks[-1] - peaks[-2] > 0.2 * abs(peaks[-2])


def _maximum(
    height: Callable[[NDArray[np.float64]], NDArray[np.float64]], z: NDArray[np.float64], value: NDArray[np.float64]
) -> float:
    """The largest value, or ``inf`` where it keeps growing outward on either side, or has a pole."""
    for end in (z[0], z[-1]):
        inner, middle, outer = (_largest(value, z / end, 10.0**-k) for k in (2, 1, 0))
        growth = outer - middle
        # What tends to a limit grows by ever less from decade to decade; log grows by the same.
        if outer == value.max() and growth > 1e-9 * abs(outer) and growth >= 0.5 * (middle - inner):
            return float("inf")
    peaks = _peaks(height, z, value)
    return float("inf") if peaks[-1] > 1.0 and _has_pole(peaks) else peaks[-1] + 0.0


def _largest(value: NDArray[np.float64], distance: NDArray[np.float64], end: float) -> float:
    """Largest value on the decade of ``distance`` that ends at ``end``; ``-inf`` where it holds no point."""
    return float(value[(distance > end / 10) & (distance <= end)].max(initial=-np.inf))


def _high_tail(evaluate: Evaluate, curve: _Curve, floor: float) -> _Tail:
    steep = np.flatnonzero(~(np.abs(curve.slope) <= floor))
    if curve.z[-1] < 10 or steep.size == 0 or steep[-1] == curve.z.size - 1 or not _tends_to_zero(curve, floor):
        return _Tail()
    edge = _refined(evaluate, curve.z, int(steep[-1]), lambda value, slope: np.abs(slope) <= floor)
    lively = np.flatnonzero((curve.slope != 0) | (curve.value != 0))
    if lively[-1] == curve.z.size - 1:
        return _Tail(edge)
    zero_edge = _refined(evaluate, curve.z, int(lively[-1]), lambda value, slope: (slope == 0) & (value == 0))
    return _Tail(edge, zero_edge if _is_exact(evaluate, edge, zero_edge, floor) else float("inf"))


def _tends_to_zero(curve: _Curve, floor: float) -> bool:
    """Whether the slope dies away over the last decade, as leaky ReLU's constant one does not."""
    slope, end = np.abs(curve.slope), curve.z[-1]
    outer = slope[curve.z > end / 10].max(initial=0.0)
    inner = slope[(curve.z > end / 100) & (curve.z <= end / 10)].max(initial=0.0)
    rounding = 1e-5 * floor  # of a float32 slope that is the difference of two numbers near 1
    return bool(outer <= max(0.5 * inner, rounding))


def _refined(
    evaluate: Evaluate,
    z: NDArray[np.float64],
    last: int,
    is_inside: Callable[[NDArray[np.float64], NDArray[np.float64]], NDArray[np.bool_]],
) -> float:
    """Where the tail begins between ``z[last]``, the last point that is not inside it, and the next."""
    start, end = float(z[last]), float(z[last + 1])
    while end - start > 1e-11 * max(1.0, abs(end)):
        points = np.linspace(start, end, 1_001)
        curve = _curve(evaluate, points)
        outside = np.flatnonzero(~is_inside(curve.value, curve.slope)[1:-1])
        at = int(outside[-1]) + 1 if outside.size else 0
        start, end = float(points[at]), float(points[at + 1])
    return round(end, 9) + 0.0  # onto a kink, which the grid avoids; + 0.0 makes -0.0 a 0.0


def _is_exact(evaluate: Evaluate, edge: float, zero_edge: float, floor: float) -> bool:
    """Whether the zeros are the function's own and not an underflow, as of a sigmoid at -800.

    Half way between the tail's edge and its zeros the slope of a piecewise polynomial is a fair part of the floor;
    that of a function which merely underflows has long died away.
    """
    if zero_edge - edge <= 1e-6:
        return True
    slope = _curve(evaluate, np.array([(edge + zero_edge) / 2])).slope[0]
    return bool(abs(slope) >= floor / 32)


def _mirrored(evaluate: Evaluate) -> Evaluate:
    """The function of -z, whose high tail is this one's low tail."""

    def mirrored(z: NDArray[np.float64]) -> tuple[ArrayLike, ArrayLike]:
        value, slope = evaluate(-z)
        return value, -np.asarray(slope, np.float64)

    return mirrored


def _mirrored_curve(curve: _Curve) -> _Curve:
    return _Curve(-curve.z[::-1], curve.value[::-1], -curve.slope[::-1])
