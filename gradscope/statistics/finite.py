"""The sums of `gradscope.statistics.activations` and `gradients` where every entry is finite and counts.

That is nearly always so, and what is then left to do is a third: a tensor's smallest and largest entries by unit say
whether it is finite, in which tail all of a unit lies and how it is to be scaled, and nothing need be left out. Where
an entry is not finite, ``nonfinite_count`` is NaN, and so are other sums: the general kernels are to be asked instead.

Sites that are alike, as those of the layers of one block, are summed side by side: in small networks the calls cost
more than the passes over the entries.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gradscope.statistics import sampling
from gradscope.statistics.activations import SiteSums, demand_shapes
from gradscope.statistics.backend import Tensor, ops
from gradscope.statistics.finite_gradients import finite_gradients_sums, places
from gradscope.statistics.moments import power_of_two_below
from gradscope.statistics.sums import ActivationSums, BackwardSums, GradientSums, Limits, UnitSums
from gradscope.statistics.tails import Tails, tails

_ROUNDING: Final = 1e-5  # of the squares about a rounded mean: what is left of fewer is the rounding of their sum


class SiteTensors(NamedTuple):
    """The tensors of a site, as `finite_site_sums` takes them."""

    z: Tensor
    a: Tensor | None
    limits: Limits | None
    backward: Tensor | None = None
    unit_axis: int = -1


class SitesSums(NamedTuple):
    """What a batch leaves behind at many sites.

    Attributes:
        activation: Vectors of shape ``(sites,)``.
        backward: Likewise; NaN where there is no backward signal.
        units: The units of all sites laid end to end: vectors of shape ``(units of all sites,)``.
    """

    activation: ActivationSums[Tensor]
    backward: BackwardSums[Tensor]
    units: UnitSums[Tensor]


def finite_sites_sums(
    sites: Sequence[SiteTensors],
    *,
    samples: Tensor | float = 1.0,
    loss_scale: Tensor | float = 1.0,
    phase: Tensor | int = 0,
) -> SitesSums:
    """Return what `finite_site_sums` returns of each site.

    Sites are summed side by side where their sizes are known and the same but for the units, and their limits are the
    same numbers.

    Args:
        sites: At least one.
        samples: Samples in the batch; or in that of each site, shape ``(sites,)``.
        loss_scale: Factor on the loss; or on that of each site.
        phase: The record's number, an int or a scalar int tensor.

    Example:
        >>> relu = Limits(z_low=0.0, z_high=math.inf, zero_low=0.0, zero_high=math.inf)
        >>> z = ops.convert_to_tensor([[-9.0, 0.0, 0.5, 9.0]])
        >>> sums = finite_sites_sums([SiteTensors(z, ops.relu(z), relu), SiteTensors(z + 1.0, None, None)])
        >>> sums.activation.abs_max.numpy().tolist(), sums.units.max_activation.numpy().tolist()
        ([9.0, 10.0], [0.0, 0.0, 0.5, 9.0, -8.0, 1.0, 1.5, 10.0])
    """
    for site in sites:
        demand_shapes(site.z, site.a, site.backward)
    alike: dict[Any, list[int]] = {}
    for index, site in enumerate(sites):
        alike.setdefault(_kind(site, index), []).append(index)
    factor = ops.broadcast_to(ops.cast(samples, "float32") / ops.cast(loss_scale, "float32"), (len(sites),))
    scalars: list[Tensor] = []
    by_unit: list[Tensor] = []
    for indices in alike.values():
        of_sites, of_units, looked = _sums_side_by_side([sites[index] for index in indices], phase)
        scalars.append(of_sites)
        ends: list[int] = np.cumsum(looked.unit_counts[:-1]).tolist()
        by_unit += ops.split(of_units, ends, axis=1) if ends else [of_units]
    back = places([index for indices in alike.values() for index in indices])
    table = ops.concatenate(scalars, axis=1)
    if back is not None:
        table, by_unit = ops.take(table, back, axis=1), [by_unit[at] for at in back]
    fields = ops.unstack(table, len(ActivationSums._fields) + len(BackwardSums._fields))
    units = ops.unstack(ops.concatenate(by_unit, axis=1), len(UnitSums._fields))
    return SitesSums(
        ActivationSums(*fields[: len(ActivationSums._fields)]),
        BackwardSums(*fields[len(ActivationSums._fields) :])._replace(factor=factor),
        UnitSums(*units),
    )


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
    sums = finite_sites_sums(
        [SiteTensors(z, a, limits, backward, unit_axis)], samples=samples, loss_scale=loss_scale, phase=phase
    )
    activation = ActivationSums(*(field[0] for field in sums.activation))
    return SiteSums(
        activation, sums.units, None if backward is None else BackwardSums(*(field[0] for field in sums.backward))
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
    """Which positions of sites side by side are looked at.

    Attributes:
        rows: Their indices; None for all.
        count: How many, a scalar.
        unit_counts: Units of each site: those of a single one need not be known.
    """

    rows: Tensor | None
    count: Tensor
    unit_counts: list[Any]

    @property
    def owners(self) -> NDArray[np.int32] | None:
        """Return to which site each unit belongs; None where there is only one."""
        sites = len(self.unit_counts)
        return None if sites == 1 else np.repeat(np.arange(sites, dtype=np.int32), self.unit_counts)

    def sums(self, by_unit: Tensor) -> Tensor:
        """Return sums over the units of each site, of shape ``(sites, ...)`` from ``(units, ...)``."""
        owners = self.owners
        if owners is None:
            return ops.sum(by_unit, axis=0, keepdims=True)
        return ops.segment_sum(by_unit, owners, num_segments=len(self.unit_counts))

    def largest(self, by_unit: Tensor) -> Tensor:
        """Return the largest of each site, likewise."""
        owners = self.owners
        if owners is None:
            return ops.max(by_unit, axis=0, keepdims=True, initial=-math.inf)
        return ops.segment_max(by_unit, owners, num_segments=len(self.unit_counts))

    def spread(self, by_site: Tensor) -> Tensor:
        """Return what is known of each site at each of its units."""
        owners = self.owners
        return by_site if owners is None else ops.take(by_site, owners, axis=0)


class _Part(NamedTuple):
    """Tensors side by side as a float32 matrix (positions, units), the positions looked at, and the range of each unit.

    ``whole`` is None where it would have to be put together for nothing.
    """

    whole: Tensor | None
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


def _kind(site: SiteTensors, index: int) -> Any:
    """Return what sites have in common that can be summed side by side; ``index`` for one that cannot."""
    bounds = site.limits
    numbers = bounds is None or all(isinstance(bound, (int, float)) for bound in bounds)
    both_tails = bounds is not None and numbers and bounds.zero_low > -math.inf and bounds.zero_high < math.inf
    if not numbers or both_tails or any(size is None for size in site.z.shape):
        return index
    spatial = sampling.spatial_shape(site.z, site.unit_axis)
    units = site.z.shape[site.unit_axis] if len(site.z.shape) > 1 else 1
    positions = math.prod(site.z.shape) // max(units, 1)
    step = sampling.stride(positions, units, spatial)
    return positions, step, tuple(map(repr, bounds or ())), site.a is None, site.backward is None


def _sums_side_by_side(sites: list[SiteTensors], phase: Tensor | int) -> tuple[Tensor, Tensor, _Look]:
    """Return the sums of sites that are alike, shape ``(fields, sites)``, and of their units, ``(fields, units)``."""
    first = sites[0]
    z_of = [_units_last(site.z, site.unit_axis) for site in sites]
    matrix = sampling.positions_first(z_of[0], -1)
    sample = sampling.sample(matrix, None, sampling.spatial_shape(first.z, first.unit_axis), phase=phase)
    rows = sample.rows
    if rows is not None:  # a length that depends on the phase; no compiler is asked here, and no mask needed
        rows = rows[: ops.sum(ops.cast(sample.kept, "int32"))]
    count_of_rows = sampling.sizes(matrix if rows is None else rows)[0]
    looked = _Look(rows, ops.cast(count_of_rows, "float32"), [1 if len(z.shape) == 1 else z.shape[-1] for z in z_of])
    limits = first.limits
    of_z = _part(z_of, looked)
    of_a, of_dz = of_z, None
    if first.a is not None:
        of_a = _part([_units_last(site.a, site.unit_axis) for site in sites], looked)
    if first.backward is not None:
        of_dz = _part([_units_last(site.backward, site.unit_axis) for site in sites], looked)
    found = tails(of_z.seen, limits)
    same = limits is not None and found.high is None and _same(limits.z_low, limits.zero_low) and found.low is not None
    low = _counted(found.low)
    tail_counts = Tails(low, _counted(found.high), low if same else _counted(found.inactive))
    nonfinite_count = _zero_if_finite(
        [of_z, *([] if of_a is of_z else [of_a]), *([] if of_dz is None else [of_dz])], looked
    )
    pre = _moments(of_z, looked)
    post = pre if of_a is of_z else _moments(of_a, looked)
    positions = ops.cast(sampling.sizes(matrix)[0], "float32")
    activation = _activation_sums(of_z, of_a, (pre, post), looked, tail_counts, nonfinite_count)
    nothing = ops.zeros_like(nonfinite_count)
    backward = [nothing + math.nan] * len(BackwardSums._fields)
    if of_dz is not None:
        backward = _backward_sums(of_dz, looked, nonfinite_count)
    units = _unit_sums(of_a, post, looked, positions, tail_counts, _whole_units(of_z, limits, z_of), of_dz)
    return ops.stack([nothing + field for field in (*activation, *backward)]), ops.stack(list(units)), looked


def _same(one: Any, other: Any) -> bool:
    return one is other or (isinstance(one, (int, float)) and isinstance(other, (int, float)) and one == other)


def _units_last(x: Tensor, unit_axis: int) -> Tensor:
    x = ops.cast(x, "float32")
    return x if unit_axis % len(x.shape) == len(x.shape) - 1 else ops.moveaxis(x, unit_axis, -1)


def _part(tensors: list[Tensor], looked: _Look) -> _Part:
    matrices = [sampling.positions_first(x, -1) for x in tensors]
    if looked.rows is None:
        whole = matrices[0] if len(matrices) == 1 else ops.concatenate(matrices, axis=1)
        by_unit = [whole] if len(matrices) > 1 else tensors
    else:
        whole, by_unit = None, tensors
    low = _side_by_side([_by_unit(ops.min, x, math.inf) for x in by_unit])
    high = _side_by_side([_by_unit(ops.max, x, -math.inf) for x in by_unit])
    if looked.rows is None:
        return _Part(whole, whole, low, high)
    seen = [ops.take(matrix, looked.rows, axis=0) for matrix in matrices]
    return _Part(None, seen[0] if len(seen) == 1 else ops.concatenate(seen, axis=1), low, high)


def _side_by_side(vectors: list[Tensor]) -> Tensor:
    return vectors[0] if len(vectors) == 1 else ops.concatenate(vectors)


def _by_unit(extreme: Callable[..., Tensor], x: Tensor, initial: float) -> Tensor:
    """Return the extreme of each unit: over space, then over the batch, which is nearly twice as fast as at once."""
    if len(x.shape) == 1:
        return extreme(x, axis=0, keepdims=True, initial=initial)
    if len(x.shape) > 2:
        x = extreme(x, axis=tuple(range(1, len(x.shape) - 1)), initial=initial)
    return extreme(x, axis=0, initial=initial)


def _zero_if_finite(parts: list[_Part], looked: _Look) -> Tensor:
    """Return 0 where all entries are finite, else NaN: a NaN among them is their smallest and their largest."""
    ranges = ops.stack([side for part in parts for side in (part.low, part.high)])
    odd = looked.sums(ops.cast(ops.logical_not(ops.all(ops.isfinite(ranges), axis=0)), "float32"))
    return ops.where(odd > 0.0, math.nan, ops.zeros_like(odd))


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


def _pooled(several: Sequence[_Moments], looked: _Look) -> list[tuple[Tensor, Tensor, Tensor]]:
    """Return, of each, scale, scaled mean and scaled sum of squared deviations over all units of each site together."""
    columns = ([getattr(each, name) for each in several] for name in ("scale", "rough", "correction", "m2"))
    unit_scale, unit_rough, unit_correction, unit_m2 = (ops.stack(column, axis=1) for column in columns)
    unit_counts = looked.sums(ops.ones_like(unit_rough))
    scale = looked.largest(unit_scale)
    ratio = unit_scale / looked.spread(scale)
    rough = unit_rough * ratio
    middle = looked.sums(rough) / unit_counts
    deviation = (rough - looked.spread(middle)) + unit_correction * ratio
    correction = looked.sums(deviation) / unit_counts
    between = ops.square(deviation - looked.spread(correction))
    m2 = looked.sums(unit_m2 * ops.square(ratio) + looked.count * between)
    found = (ops.unstack(part, len(several), axis=1) for part in (scale, middle + correction, m2))
    return list(zip(*found, strict=True))


def _whole_units(z: _Part, limits: Limits | None, tensors: list[Tensor]) -> Tails:
    """Return which units lie in a tail with all of their positions."""
    if limits is None:
        return tails(z.high, None)
    low_only, high_only = limits._replace(zero_high=math.inf), limits._replace(zero_low=-math.inf)
    below, above = tails(z.high, low_only), tails(z.low, high_only)
    inactive = above.inactive if below.inactive is None else below.inactive
    if below.inactive is not None and above.inactive is not None:  # a unit may lie in both
        inactive = ops.all(tails(sampling.positions_first(tensors[0], -1), limits).inactive, axis=0)
    return Tails(below.low, above.high, inactive)


def _activation_sums(
    z: _Part,
    a: _Part,
    moments: tuple[_Moments, _Moments],
    looked: _Look,
    tail_counts: Tails,
    nonfinite_count: Tensor,
) -> ActivationSums[Tensor]:
    entries = looked.count * looked.sums(ops.ones_like(a.low))
    pooled = _pooled(moments[:1] if a is z else moments, looked)
    (pre_scale, pre_mean, pre_m2), (scale, mean, m2) = pooled[0], pooled[-1]
    nothing = ops.zeros_like(a.low)
    counted = ops.stack([*(nothing + count for count in tail_counts), _counted(ops.equal(a.seen, 0.0))], axis=1)
    low, high, inactive, zeros = ops.unstack(looked.sums(counted), 4, axis=1)
    z_high, z_low, a_high, a_low = ops.unstack(
        looked.largest(ops.stack([z.high, -z.low, a.high, -a.low], axis=1)), 4, axis=1
    )
    return ActivationSums(
        entries=entries,
        low_count=low,
        high_count=high,
        inactive_count=inactive,
        zero_count=zeros,
        pre_count=entries,
        pre_scale=pre_scale,
        pre_mean=pre_mean,
        pre_m2=pre_m2,
        finite_count=entries,
        scale=scale,
        mean=mean,
        m2=m2,
        pre_min=-z_low,
        pre_max=z_high,
        abs_max=ops.maximum(a_high, a_low),
        nonfinite_count=nonfinite_count,
    )


def _unit_sums(
    a: _Part, moments: _Moments, looked: _Look, positions: Tensor, tail_counts: Tails, of_all: Tails, dz: _Part | None
) -> UnitSums[Tensor]:
    nothing = ops.zeros_like(a.high)
    entries = nothing + looked.count
    zero = math.nan if dz is None else ops.logical_and(ops.equal(dz.low, 0.0), ops.equal(dz.high, 0.0))
    low, high, inactive = tail_counts
    return UnitSums(
        positions=nothing + positions,
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


def _backward_sums(dz: _Part, looked: _Look, nonfinite_count: Tensor) -> BackwardSums[Tensor]:
    scale = power_of_two_below(ops.maximum(looked.largest(ops.maximum(dz.high, -dz.low)), 0.0))
    entries = looked.count * looked.sums(ops.ones_like(dz.low))
    squares = ops.sum(ops.square(dz.seen / looked.spread(scale)), axis=0)
    return BackwardSums(
        entries=entries,
        zero_count=looked.sums(_counted(ops.equal(dz.seen, 0.0))),
        finite_count=entries,
        scale=scale,
        square_sum=looked.sums(squares),
        factor=ops.ones_like(entries),
        nonfinite_count=nonfinite_count,
    )


def _as_number(flag: Any) -> Any:
    """Return a flag of `tails`, by unit, as 1 and 0."""
    return (0.0 if flag is None else flag) if flag is None or isinstance(flag, float) else ops.cast(flag, "float32")
