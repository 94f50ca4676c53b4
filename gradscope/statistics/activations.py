"""What is counted and summed at a site: its pre-activations, activations and backward signal.

Shares and moments are taken over a sample of positions (see `gradscope.statistics.sampling`); extremes, counts of
non-finite entries and everything that says "everywhere" over the whole tensor. Masked positions count in nothing.
"""

from __future__ import annotations

import math
from typing import Final, NamedTuple

from gradscope.errors import ShapeError
from gradscope.statistics import sampling
from gradscope.statistics.backend import Tensor, ops
from gradscope.statistics.moments import count, moments, scaled_square_sum
from gradscope.statistics.sums import ActivationSums, BackwardSums, Limits, SoftmaxSums, UnitSums
from gradscope.statistics.tails import Count, Tails, counts, everywhere, tails

HISTOGRAM_LIMIT: Final = 1_024
"""At most so many values of a site leave the device for its histogram."""


class SiteSums(NamedTuple):
    """What a batch leaves behind at a site; ``backward`` is None without a backward pass."""

    activation: ActivationSums[Tensor]
    units: UnitSums[Tensor]
    backward: BackwardSums[Tensor] | None


def site_sums(
    z: Tensor,
    a: Tensor,
    limits: Limits | None,
    *,
    backward: Tensor | None = None,
    samples: Tensor | float = 1.0,
    loss_scale: Tensor | float = 1.0,
    mask: Tensor | None = None,
    phase: Tensor | int = 0,
    unit_axis: int = -1,
) -> SiteSums:
    """Return what a batch leaves behind at a site: float32 scalars, and vectors of shape ``(units,)``.

    The backward signal is ``backward * samples / loss_scale``: a per-sample gradient, so that the batch's size drops
    out.

    Args:
        z: Pre-activations, shape ``(batch, *spatial, units)``, any float dtype; compared in float32.
        a: Activations, of the same shape.
        limits: Where the function has no slope; None where it has no profile: what depends on it is NaN.
        backward: Gradient of the (scaled) loss of the batch at ``z``, of its shape; None without a backward pass.
        samples: Samples in the batch, over which the loss takes its mean.
        loss_scale: Factor on the loss in mixed precision.
        mask: Bool, shape ``z.shape[:k]``; False positions never count.
        phase: The record's number, an int or a scalar int tensor, with which the sampled positions move on.
        unit_axis: The axis that holds the units.

    Raises:
        ShapeError: If ``z`` has no batch axis, or another number of axes than ``a`` or ``backward``.

    Example:
        >>> tanh = Limits(z_low=-2.18, z_high=2.18, zero_low=-math.inf, zero_high=math.inf)
        >>> z = ops.convert_to_tensor([[-9.0, 0.0, 0.5, 9.0]])
        >>> sums = site_sums(z, ops.tanh(z), tanh).activation
        >>> int(sums.low_count), int(sums.high_count), int(sums.entries)
        (1, 1, 4)
        >>> relu = Limits(z_low=0.0, z_high=math.inf, zero_low=0.0, zero_high=math.inf)
        >>> site_sums(z, ops.relu(z), relu).units.inactive_everywhere.numpy().tolist()
        [1.0, 1.0, 0.0, 0.0]
    """
    demand_shapes(z, a, backward)
    positions = _positions(z, mask, phase, unit_axis)
    of_z, of_a = _part(z, positions, unit_axis), _part(a, positions, unit_axis)
    of_dz = None if backward is None else _part(backward, positions, unit_axis)
    where = tails(of_z.seen, limits)
    tail_counts = counts([where.low, where.high, where.inactive], positions.kept)
    return SiteSums(
        _activation_sums(of_z, of_a, positions, tail_counts),
        _unit_sums(of_a, positions, tail_counts, tails(of_z.whole, limits), of_dz),
        None if of_dz is None else _backward_sums(of_dz, positions, samples, loss_scale),
    )


def backward_sums(
    dz: Tensor,
    *,
    samples: Tensor | float,
    loss_scale: Tensor | float = 1.0,
    mask: Tensor | None = None,
    phase: Tensor | int = 0,
    unit_axis: int = -1,
) -> BackwardSums[Tensor]:
    """Return what `site_sums` says of the backward signal, from ``dz`` alone: see there."""
    demand_shapes(dz)
    positions = _positions(dz, mask, phase, unit_axis)
    return _backward_sums(_part(dz, positions, unit_axis), positions, samples, loss_scale)


def softmax_sums(
    a: Tensor,
    *,
    class_axis: int | tuple[int, ...] = -1,
    class_mask: Tensor | None = None,
    mask: Tensor | None = None,
) -> SoftmaxSums[Tensor]:
    """Return what a batch leaves behind of a softmax, as float32 scalars, exact over the whole tensor.

    The entropy of a position is divided by ln(number of unmasked classes): 1 is undecided, 0 certain. A position with
    fewer than two such classes has none; one with a probability that is not finite counts in nothing.

    Args:
        a: Probabilities, any float dtype.
        class_axis: The axis, or axes, over which they add up to 1.
        class_mask: Bool, broadcasts to ``a``; False classes are left out.
        mask: Bool, shape ``a.shape[:k]``, not reaching over the classes; False positions are left out.

    Example:
        >>> sums = softmax_sums(ops.convert_to_tensor([[0.25, 0.25, 0.25, 0.25], [1.0, 0.0, 0.0, 0.0]]))
        >>> float(sums.entropy_sum), float(sums.top_sum), int(sums.top_count)
        (1.0, 1.25, 2)
    """
    p = ops.cast(a, "float32")
    allowed = ops.ones_like(p, dtype="bool")
    if class_mask is not None:
        allowed = ops.logical_and(allowed, ops.cast(class_mask, "bool"))
    finite = ops.all(ops.logical_or(ops.isfinite(p), ops.logical_not(allowed)), axis=class_axis, keepdims=True)
    classes = ops.sum(ops.cast(allowed, "float32"), axis=class_axis, keepdims=True)
    positive = ops.logical_and(allowed, ops.logical_and(ops.isfinite(p), p > 0.0))
    p_log_p = ops.where(positive, p * ops.log(ops.where(positive, p, 1.0)), 0.0)
    entropy = -ops.sum(p_log_p, axis=class_axis, keepdims=True) / ops.log(ops.maximum(classes, 2.0))
    top = ops.max(ops.where(positive, p, 0.0), axis=class_axis, keepdims=True, initial=0.0)
    counts_top = ops.logical_and(finite, classes >= 1.0)
    if mask is not None:
        ones = [1] * (len(p.shape) - len(mask.shape))
        counts_top = ops.logical_and(counts_top, ops.reshape(ops.cast(mask, "bool"), (*ops.shape(mask), *ones)))
    counts_entropy = ops.logical_and(counts_top, classes >= 2.0)
    return SoftmaxSums(
        entropy_sum=ops.sum(ops.where(counts_entropy, entropy, 0.0)),
        entropy_count=count(counts_entropy),
        top_sum=ops.sum(ops.where(counts_top, top, 0.0)),
        top_count=count(counts_top),
    )


def histogram_sample(
    a: Tensor, *, phase: Tensor | int = 0, limit: int = HISTOGRAM_LIMIT, mask: Tensor | None = None, unit_axis: int = -1
) -> Tensor:
    """Return up to ``limit`` activations for a histogram.

    The stride over all entries is coprime to units and spatial sizes, so that every unit occurs where there are fewer
    units than values, and over the records every entry.

    Args:
        a: Activations, shape ``(batch, *spatial, units)``, any float dtype.
        phase: The record's number, an int or a scalar int tensor.
        limit: Largest length of the result.
        mask: Bool, shape ``a.shape[:k]``; False positions are left out.
        unit_axis: The axis of ``a`` that holds the units.

    Returns:
        Float32, of at most ``limit`` values; NaN in the place of a masked one.
    """
    matrix, kept = sampling.positions_first(a, unit_axis), sampling.position_mask(mask, a, unit_axis)
    entries = ops.reshape(matrix, (-1,))
    entry_count = sampling.sizes(entries)[0]
    step = sampling.stride(entry_count, 1, a.shape[1:], limit=limit, minimum=1)
    rows, inside = sampling.strided(entry_count, step, phase)
    if kept is not None:
        kept = ops.reshape(ops.broadcast_to(kept, sampling.sizes(matrix)), (-1,))
        inside = ops.logical_and(inside, ops.take(kept, rows))
    return ops.where(inside, ops.cast(ops.take(entries, rows), "float32"), math.nan)


class _Positions(NamedTuple):
    """Which positions count, and which of them are looked at."""

    mask: Tensor | None
    sample: sampling.Sample
    kept: Tensor


class _Part(NamedTuple):
    """A tensor as a float32 matrix (positions, units): whole, and the positions that are looked at."""

    whole: Tensor
    seen: Tensor


def _positions(x: Tensor, mask: Tensor | None, phase: Tensor | int, unit_axis: int) -> _Positions:
    matrix, of_matrix = sampling.positions_first(x, unit_axis), sampling.position_mask(mask, x, unit_axis)
    sample = sampling.sample(matrix, of_matrix, sampling.spatial_shape(x, unit_axis), phase=phase)
    return _Positions(of_matrix, sample, sampling.kept_entries(matrix, sample))


def _part(x: Tensor, positions: _Positions, unit_axis: int) -> _Part:
    matrix = ops.cast(sampling.positions_first(x, unit_axis), "float32")
    return _Part(matrix, sampling.sampled(matrix, positions.sample))


def _activation_sums(z: _Part, a: _Part, positions: _Positions, tail_counts: list[Count]) -> ActivationSums[Tensor]:
    kept, mask = positions.kept, positions.mask
    both = ops.stack([ops.reshape(z.seen, (-1,)), ops.reshape(a.seen, (-1,))])
    kept_finite = ops.logical_and(ops.isfinite(both), ops.reshape(kept, (1, -1)))
    finite_counts, scales, means, m2s = (ops.unstack(x, 2) for x in moments(both, kept_finite, axis=1))
    entries, zeros = counts([kept, ops.equal(a.seen, 0.0)], kept)
    z_low, z_high = _extremes(z.whole, mask)
    a_low, a_high = _extremes(a.whole, mask, axis=0)
    finite = ops.logical_and(ops.isfinite(z.whole), ops.isfinite(a.whole))
    low, high, inactive = tail_counts
    return ActivationSums(
        entries=entries.total,
        low_count=low.total,
        high_count=high.total,
        inactive_count=inactive.total,
        zero_count=zeros.total,
        pre_count=finite_counts[0],
        pre_scale=scales[0],
        pre_mean=means[0],
        pre_m2=m2s[0],
        finite_count=finite_counts[1],
        scale=scales[1],
        mean=means[1],
        m2=m2s[1],
        pre_min=z_low,
        pre_max=z_high,
        abs_max=ops.max(ops.maximum(a_high, -a_low), initial=-math.inf),
        nonfinite_count=count(ops.logical_not(finite), mask),
    )


def _unit_sums(
    a: _Part, positions: _Positions, tail_counts: list[Count], of_all: Tails, dz: _Part | None
) -> UnitSums[Tensor]:
    kept, mask = positions.kept, positions.mask
    kept_finite = ops.logical_and(ops.isfinite(a.seen), kept)
    post = moments(a.seen, kept_finite, axis=0)
    absolute = ops.where(kept_finite, ops.absolute(a.seen), 0.0)
    entries = counts([kept], kept)[0].by_unit
    nothing = ops.zeros_like(entries)
    position_count = ops.cast(ops.shape(a.whole)[0], "float32") if mask is None else count(mask, axis=0)
    low, high, inactive = tail_counts
    return UnitSums(
        positions=nothing + position_count,
        entries=entries,
        active_count=entries - inactive.by_unit,
        low_count=nothing + low.by_unit,
        high_count=nothing + high.by_unit,
        inactive_everywhere=nothing + everywhere(of_all.inactive, mask),
        low_everywhere=nothing + everywhere(of_all.low, mask),
        high_everywhere=nothing + everywhere(of_all.high, mask),
        backward_zero_everywhere=nothing + everywhere(math.nan if dz is None else ops.equal(dz.whole, 0.0), mask),
        max_activation=_extremes(a.whole, mask, axis=0).high,
        finite_count=post.finite_count,
        scale=post.scale,
        mean=post.mean,
        m2=post.m2,
        abs_sum=ops.sum(absolute / post.scale, axis=0),
    )


def _backward_sums(
    dz: _Part, positions: _Positions, samples: Tensor | float, loss_scale: Tensor | float
) -> BackwardSums[Tensor]:
    is_finite = ops.isfinite(dz.seen)
    entries, zeros, finite = counts([positions.kept, ops.equal(dz.seen, 0.0), is_finite], positions.kept)
    scale, square_sum = scaled_square_sum(ops.where(ops.logical_and(is_finite, positions.kept), dz.seen, 0.0))
    return BackwardSums(
        entries=entries.total,
        zero_count=zeros.total,
        finite_count=finite.total,
        scale=scale,
        square_sum=square_sum,
        factor=ops.cast(samples, "float32") / ops.cast(loss_scale, "float32"),
        nonfinite_count=count(ops.logical_not(ops.isfinite(dz.whole)), positions.mask),
    )


class _Extremes(NamedTuple):
    low: Tensor
    high: Tensor


def _extremes(matrix: Tensor, mask: Tensor | None, *, axis: int | None = None) -> _Extremes:
    """Return the smallest and the largest entry, NaN and masked ones left out; ``inf`` and ``-inf`` without any."""
    gone = ops.isnan(matrix) if mask is None else ops.logical_or(ops.isnan(matrix), ops.logical_not(mask))
    low = ops.min(ops.where(gone, math.inf, matrix), axis=axis, initial=math.inf)
    return _Extremes(low, ops.max(ops.where(gone, -math.inf, matrix), axis=axis, initial=-math.inf))


def demand_shapes(z: Tensor, *others: Tensor | None) -> None:
    """Raise where ``z`` is no batch, or one of the others has another number of axes.

    Raises:
        ShapeError: As `site_sums` says.
    """
    if len(z.shape) == 0:  # `not z.shape` is False for TensorFlow's shape of no dimension
        raise ShapeError("A site needs a batch axis, got shape (). Pass tensors of shape (batch, ..., units).")
    for other in others:
        if other is not None and len(other.shape) != len(z.shape):
            raise ShapeError(
                f"z has shape {tuple(z.shape)} and goes with a tensor of shape {tuple(other.shape)}: an elementwise "
                "function keeps the shape. Pass limits=None and the same tensor twice where only one is known."
            )
