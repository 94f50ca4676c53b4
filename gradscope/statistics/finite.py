"""The sums of `gradscope.statistics.activations` and `gradients` where every entry is finite and counts.

That is nearly always so, and what is then left to do is a third: a tensor's smallest and largest entries by unit say
whether it is finite, in which tail all of a unit lies and how it is to be scaled, and nothing need be left out. Where
an entry is not finite, ``nonfinite_count`` is NaN, and so are other sums: the general kernels are to be asked instead.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from gradscope.statistics import sampling
from gradscope.statistics.activations import SiteSums, demand_shapes
from gradscope.statistics.backend import Tensor, ops
from gradscope.statistics.finite_gradients import finite_gradients_sums
from gradscope.statistics.moments import power_of_two_below
from gradscope.statistics.tails import Tails, tails
from gradscope.sums import ActivationSums, BackwardSums, GradientSums, Limits, UnitSums

_ROUNDING: Final = 1e-5  # of the squares about a rounded mean: what is left of fewer is the rounding of their sum


def finite_site_sums(
    z: Tensor,
    a: Tensor | None,
    limits: Limits | None,
    *,
    backward: Tensor | None = None,
    samples: Tensor | float = 1.0,
    loss_scale: Tensor | float = 1.0,
    phase: Tensor | int = 0,
    unit_axis: int = -1,
) -> SiteSums:
    """Return what `site_sums` returns without a mask; ``a`` is None where it is ``z`` itself.

    Both ``nonfinite_count`` are NaN where an entry of any of the tensors is not finite, or where there is none.

    Example:
        >>> relu = Limits(z_low=0.0, z_high=math.inf, zero_low=0.0, zero_high=math.inf)
        >>> z = ops.convert_to_tensor([[-9.0, 0.0, 0.5, 9.0]])
        >>> sums = finite_site_sums(z, ops.relu(z), relu).activation
        >>> int(sums.low_count), float(sums.abs_max), float(sums.nonfinite_count)
        (2, 9.0, 0.0)
        >>> float(finite_site_sums(z / 0.0, z, relu).activation.nonfinite_count)
        nan
    """
    demand_shapes(z, a, backward)
    matrix = sampling.positions_first(z, unit_axis)
    sample = sampling.sample(matrix, None, sampling.spatial_shape(z, unit_axis), phase=phase)
    rows = sample.rows
    if rows is not None:  # a length that depends on the phase; no compiler is asked here, and no mask needed
        rows = rows[: ops.sum(ops.cast(sample.kept, "int32"))]
    count_of_rows = sampling.sizes(matrix if rows is None else rows)[0]
    looked = _Look(rows, ops.cast(count_of_rows, "float32"), unit_axis)
    of_z = _part(z, looked)
    of_a = of_z if a is None else _part(a, looked)
    of_dz = None if backward is None else _part(backward, looked)
    found = tails(of_z.seen, limits)
    tail_counts = Tails(*(_counted(flag) for flag in found))
    nonfinite_count = _zero_if_finite([of_z, *([] if a is None else [of_a]), *([] if of_dz is None else [of_dz])])
    pre = _moments(of_z, looked)
    post = pre if a is None else _moments(of_a, looked)
    return SiteSums(
        _activation_sums(of_z, of_a, (pre, post), looked, tail_counts, nonfinite_count),
        _unit_sums(of_a, post, looked, tail_counts, _whole_units(of_z, limits), of_dz),
        None if of_dz is None else _backward_sums(of_dz, looked, samples, loss_scale, nonfinite_count),
    )


def finite_gradient_sums(g: Tensor, unit_axes: tuple[int, ...] | None = None) -> GradientSums[Tensor]:
    """Return what `gradient_sums` returns; ``nonfinite_count`` is NaN where an entry is not finite, or without any.

    Example:
        >>> sums = finite_gradient_sums(ops.convert_to_tensor([[3.0, 0.0], [-4.0, 1.0]]), (1,))
        >>> float(sums.abs_max), int(sums.zero_count), float(sums.nonfinite_count)
        (4.0, 1, 0.0)
    """
    return GradientSums(*(field[0] for field in finite_gradients_sums([g], [unit_axes])))


class _Look(NamedTuple):
    """Which positions are looked at.

    Attributes:
        rows: Their indices; None for all.
        count: How many, a scalar.
        unit_axis: The axis that holds the units.
    """

    rows: Tensor | None
    count: Tensor
    unit_axis: int


class _Part(NamedTuple):
    """A tensor as a float32 matrix (positions, units), the positions looked at, and the range of each unit."""

    whole: Tensor
    seen: Tensor
    low: Tensor
    high: Tensor


class _Moments(NamedTuple):
    """Moments by unit, scaled: the mean is ``rough + correction``, which float32 could not hold."""

    scale: Tensor
    rough: Tensor
    correction: Tensor
    m2: Tensor
    scaled: Tensor


def _part(x: Tensor, looked: _Look) -> _Part:
    x = ops.cast(x, "float32")
    if looked.unit_axis % len(x.shape) != len(x.shape) - 1:
        x = ops.moveaxis(x, looked.unit_axis, -1)
    matrix = sampling.positions_first(x, -1)
    low, high = _by_unit(ops.min, x, math.inf), _by_unit(ops.max, x, -math.inf)
    seen = matrix if looked.rows is None else ops.take(matrix, looked.rows, axis=0)
    return _Part(matrix, seen, low, high)


def _by_unit(extreme: Callable[..., Tensor], x: Tensor, initial: float) -> Tensor:
    """Return the extreme of each unit: over space, then over the batch, which is nearly twice as fast as at once."""
    if len(x.shape) == 1:
        return extreme(x, axis=0, keepdims=True, initial=initial)
    if len(x.shape) > 2:
        x = extreme(x, axis=tuple(range(1, len(x.shape) - 1)), initial=initial)
    return extreme(x, axis=0, initial=initial)


def _zero_if_finite(parts: list[_Part]) -> Tensor:
    """Return 0 where all entries are finite, else NaN: a NaN among them is their smallest and their largest."""
    ranges = ops.concatenate([side for part in parts for side in (part.low, part.high)])
    return ops.where(ops.all(ops.isfinite(ranges)), 0.0, math.nan)


def _counted(flag: Any) -> Tensor:
    """Return how many entries of each unit a flag of `tails` is true of: a scalar where that is constant."""
    if flag is None or isinstance(flag, float):
        return ops.convert_to_tensor(0.0 if flag is None else flag, "float32")
    return ops.sum(ops.cast(flag, "float32"), axis=0)


def _moments(part: _Part, looked: _Look) -> _Moments:
    scale = power_of_two_below(ops.maximum(part.high, -part.low))
    x = part.seen / scale
    divisor = ops.maximum(looked.count, 1.0)
    rough = ops.sum(x, axis=0) / divisor
    deviation = x - rough
    correction = ops.sum(deviation, axis=0) / divisor
    squares = ops.sum(ops.square(deviation), axis=0)
    m2 = squares - ops.square(correction) * divisor
    return _Moments(scale, rough, correction, ops.where(m2 > _ROUNDING * squares, m2, 0.0), x)


def _pooled(units: _Moments, looked: _Look) -> tuple[Tensor, Tensor, Tensor]:
    """Return scale, scaled mean and scaled sum of squared deviations over all units together."""
    scale = ops.max(units.scale, initial=0.0)
    ratio = units.scale / scale
    rough = units.rough * ratio
    middle = ops.mean(rough)
    deviation = (rough - middle) + units.correction * ratio
    correction = ops.mean(deviation)
    m2 = ops.sum(units.m2 * ops.square(ratio)) + looked.count * ops.sum(ops.square(deviation - correction))
    return scale, middle + correction, m2


def _whole_units(z: _Part, limits: Limits | None) -> Tails:
    """Return which units lie in a tail with all of their positions."""
    if limits is None:
        return tails(z.high, None)
    low_only, high_only = limits._replace(zero_high=math.inf), limits._replace(zero_low=-math.inf)
    below, above = tails(z.high, low_only), tails(z.low, high_only)
    inactive = above.inactive if below.inactive is None else below.inactive
    if below.inactive is not None and above.inactive is not None:  # a unit may lie in both
        inactive = ops.all(tails(z.whole, limits).inactive, axis=0)
    return Tails(below.low, above.high, inactive)


def _activation_sums(
    z: _Part,
    a: _Part,
    moments: tuple[_Moments, _Moments],
    looked: _Look,
    tail_counts: Tails,
    nonfinite_count: Tensor,
) -> ActivationSums[Tensor]:
    entries = looked.count * ops.cast(ops.size(a.low), "float32")
    pre_scale, pre_mean, pre_m2 = _pooled(moments[0], looked)
    scale, mean, m2 = (pre_scale, pre_mean, pre_m2) if a is z else _pooled(moments[1], looked)
    low, high, inactive = (ops.sum(by_unit) for by_unit in tail_counts)
    return ActivationSums(
        entries=entries,
        low_count=low,
        high_count=high,
        inactive_count=inactive,
        zero_count=ops.sum(_counted(ops.equal(a.seen, 0.0))),
        pre_count=entries,
        pre_scale=pre_scale,
        pre_mean=pre_mean,
        pre_m2=pre_m2,
        finite_count=entries,
        scale=scale,
        mean=mean,
        m2=m2,
        pre_min=ops.min(z.low, initial=math.inf),
        pre_max=ops.max(z.high, initial=-math.inf),
        abs_max=ops.maximum(ops.max(a.high, initial=-math.inf), -ops.min(a.low, initial=math.inf)),
        nonfinite_count=nonfinite_count,
    )


def _unit_sums(
    a: _Part, moments: _Moments, looked: _Look, tail_counts: Tails, of_all: Tails, dz: _Part | None
) -> UnitSums[Tensor]:
    nothing = ops.zeros_like(a.high)
    entries = nothing + looked.count
    zero = math.nan if dz is None else ops.logical_and(ops.equal(dz.low, 0.0), ops.equal(dz.high, 0.0))
    low, high, inactive = tail_counts
    return UnitSums(
        positions=nothing + ops.cast(sampling.sizes(a.whole)[0], "float32"),
        entries=entries,
        active_count=entries - inactive,
        low_count=nothing + low,
        high_count=nothing + high,
        inactive_everywhere=nothing + _as_number(of_all.inactive),
        low_everywhere=nothing + _as_number(of_all.low),
        high_everywhere=nothing + _as_number(of_all.high),
        backward_zero_everywhere=nothing + _as_number(zero),
        max_activation=a.high,
        finite_count=entries,
        scale=moments.scale,
        mean=moments.rough + moments.correction,
        m2=moments.m2,
        abs_sum=ops.sum(ops.absolute(moments.scaled), axis=0),
    )


def _backward_sums(
    dz: _Part, looked: _Look, samples: Tensor | float, loss_scale: Tensor | float, nonfinite_count: Tensor
) -> BackwardSums[Tensor]:
    scale = power_of_two_below(ops.max(ops.maximum(dz.high, -dz.low), initial=0.0))
    entries = looked.count * ops.cast(ops.size(dz.low), "float32")
    return BackwardSums(
        entries=entries,
        zero_count=ops.sum(_counted(ops.equal(dz.seen, 0.0))),
        finite_count=entries,
        scale=scale,
        square_sum=ops.sum(ops.square(dz.seen / scale)),
        factor=ops.cast(samples, "float32") / ops.cast(loss_scale, "float32"),
        nonfinite_count=nonfinite_count,
    )


def _as_number(flag: Any) -> Any:
    """Return a flag of `tails`, by unit, as 1 and 0."""
    return (0.0 if flag is None else flag) if flag is None or isinstance(flag, float) else ops.cast(flag, "float32")
