"""Sums that a batch leaves behind: what the kernels return, and how two of them merge.

A kernel fills one of these tuples with float32 tensors; the host holds the same tuple in float64. Counts add up,
moments merge by Chan's formula, extremes and flags by minimum and maximum, so that the parts of a batch, several
batches and several replicas give the numbers of the whole. Ratios are taken last: see `gradscope.recording.table_rows`.

Moments and squares travel divided by a ``scale``, a power of two near the largest entry: float32 squares of 1e-25
vanish and of 1e20 overflow. In float64 no square of a float32 does either, so a merge needs no scale: it leaves 1.

Source:
    Merging moments: Chan, Golub and LeVeque, "Updating formulae and a pairwise algorithm for computing sample
    variances", COMPSTAT 1982.
"""

from __future__ import annotations

import math
from typing import Any, Generic, NamedTuple, TypeAlias, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gradscope.network import Profile

T = TypeVar("T")  # a tensor of the backend in the kernels, `Host` after `decoded`
S = TypeVar("S", bound=tuple[Any, ...])

Host: TypeAlias = NDArray[np.float64]
"""Float64 on the host; of no dimension for a scalar."""


class Limits(NamedTuple):
    """Where an activation function has no slope, as the kernels compare it.

    Each is a float, or a tensor that broadcasts to ``(units,)``. The low tail is ``z <= z_low`` (``-inf``: none), the
    high tail ``z >= z_high`` (``inf``: none); NaN where the question has no answer.
    """

    z_low: Any
    z_high: Any
    zero_low: Any
    zero_high: Any


def limits(profile: Profile | None) -> Limits | None:
    """Return the limits of a profile; None where it has none to compare with.

    A function whose slope is zero everywhere has no tails to lie in: its limits are NaN there, and so are the shares.

    Example:
        >>> limits(Profile(z_low=0.0, zero_low=0.0))
        Limits(z_low=0.0, z_high=inf, zero_low=0.0, zero_high=inf)
        >>> limits(Profile(elementwise=False)) is None
        True
    """
    if profile is None or not profile.elementwise:
        return None
    if profile.blocked:
        return Limits(math.nan, math.nan, profile.zero_low, profile.zero_high)
    return Limits(profile.z_low, profile.z_high, profile.zero_low, profile.zero_high)


class Moments(NamedTuple, Generic[T]):
    """Count, mean and sum of squared deviations of entries divided by ``scale``."""

    finite_count: T
    scale: T
    mean: T
    m2: T


class ActivationSums(NamedTuple, Generic[T]):
    """What one batch leaves behind at a site: scalars.

    Attributes:
        entries: Entries of the sample.
        low_count: Of these, pre-activations in the low tail.
        high_count: In the high tail.
        inactive_count: In an exactly flat tail with zero output.
        zero_count: Activations that are exactly 0.
        pre_count: Finite pre-activations of the sample; with the next three their `Moments`.
        pre_scale: Their scale.
        pre_mean: Their scaled mean.
        pre_m2: Their scaled sum of squared deviations.
        finite_count: Finite activations of the sample; with the next three their `Moments`.
        scale: Their scale.
        mean: Their scaled mean.
        m2: Their scaled sum of squared deviations.
        pre_min: Smallest pre-activation of the whole tensor, NaN left out; ``inf`` where there is none.
        pre_max: Largest one; ``-inf`` where there is none.
        abs_max: Largest absolute activation of the whole tensor, NaN left out; ``-inf`` where there is none.
        nonfinite_count: Entries of the whole tensor with pre-activation or activation not finite.
    """

    entries: T
    low_count: T
    high_count: T
    inactive_count: T
    zero_count: T
    pre_count: T
    pre_scale: T
    pre_mean: T
    pre_m2: T
    finite_count: T
    scale: T
    mean: T
    m2: T
    pre_min: T
    pre_max: T
    abs_max: T
    nonfinite_count: T


class UnitSums(NamedTuple, Generic[T]):
    """What one batch leaves behind at each unit of a site: vectors of shape ``(units,)``.

    Attributes:
        positions: Positions of the whole tensor, masked ones left out.
        entries: Positions of the sample.
        active_count: Of these, pre-activations that are not inactive.
        low_count: In the low tail.
        high_count: In the high tail.
        inactive_everywhere: 1 where every position of the whole tensor is inactive, else 0; NaN without a profile.
        low_everywhere: Likewise for the low tail.
        high_everywhere: Likewise for the high tail.
        backward_zero_everywhere: 1 where the backward signal is exactly 0 at every position; NaN without one.
        max_activation: Largest activation of the whole tensor, NaN left out; ``-inf`` where there is none.
        finite_count: Finite activations of the sample; with the next three their `Moments`.
        scale: Their scale.
        mean: Their scaled mean.
        m2: Their scaled sum of squared deviations.
        abs_sum: Their scaled sum of absolute values.
    """

    positions: T
    entries: T
    active_count: T
    low_count: T
    high_count: T
    inactive_everywhere: T
    low_everywhere: T
    high_everywhere: T
    backward_zero_everywhere: T
    max_activation: T
    finite_count: T
    scale: T
    mean: T
    m2: T
    abs_sum: T


class BackwardSums(NamedTuple, Generic[T]):
    """What one batch leaves behind of the gradient of the loss at the pre-activations: scalars.

    Attributes:
        entries: Entries of the sample.
        zero_count: Of these, exactly 0.
        finite_count: Finite entries of the sample.
        scale: Their scale.
        square_sum: Their scaled sum of squares.
        factor: What turns the tensor into a per-sample gradient: samples in the batch over loss scale.
        nonfinite_count: Entries of the whole tensor that are not finite.
    """

    entries: T
    zero_count: T
    finite_count: T
    scale: T
    square_sum: T
    factor: T
    nonfinite_count: T


class SoftmaxSums(NamedTuple, Generic[T]):
    """What one batch leaves behind of a softmax: scalars.

    Attributes:
        entropy_sum: Sum over positions of the entropy over ln(number of unmasked classes).
        entropy_count: Positions with two unmasked classes or more, where that is defined.
        top_sum: Sum over positions of the largest probability.
        top_count: Positions with an unmasked class and finite probabilities.
    """

    entropy_sum: T
    entropy_count: T
    top_sum: T
    top_count: T


class GradientSums(NamedTuple, Generic[T]):
    """What one gradient leaves behind: scalars.

    Attributes:
        entries: Entries; for an embedding those of the touched rows.
        zero_count: Of these, exactly 0.
        nonfinite_count: NaN and infinite ones.
        scale: Scale of the squares.
        square_sum: Scaled sum of squares over all entries: NaN where one is NaN, else infinite where one is.
        abs_max: Largest absolute entry, NaN left out; ``-inf`` where there is none.
        agreement_sum: Sum over units of the larger share of one sign.
        agreement_count: Units that have such a share.
    """

    entries: T
    zero_count: T
    nonfinite_count: T
    scale: T
    square_sum: T
    abs_max: T
    agreement_sum: T
    agreement_count: T


def decoded(kind: type[S], values: ArrayLike) -> S:
    """Return what a kernel stacked as the tuple of ``kind``, in float64.

    Args:
        kind: One of the tuples of this module.
        values: Shape ``(fields,)``, or ``(fields, units)`` for `UnitSums`.

    Example:
        >>> decoded(SoftmaxSums, np.array([1.5, 2.0, 1.75, 2.0], np.float32)).top_sum
        np.float64(1.75)
    """
    return kind(*np.asarray(values, np.float64))


def merge_moments(a: Moments[Host], b: Moments[Host]) -> Moments[Host]:
    """Return the moments of the entries of ``a`` and ``b`` together, with scale 1.

    Example:
        >>> one, other = (np.asarray(x, float) for x in ((1, 1, 3, 0), (2, 2, 3, 2)))  # {3} and {4, 8}
        >>> merged = merge_moments(Moments(*one), Moments(*other))
        >>> float(merged.finite_count), float(merged.mean), float(merged.m2)
        (3.0, 5.0, 14.0)
    """
    count = a.finite_count + b.finite_count
    mean_a, mean_b = a.mean * a.scale, b.mean * b.scale
    share = ratio(b.finite_count, count, where_empty=0.0)
    delta = mean_b - mean_a
    m2 = a.m2 * a.scale**2 + b.m2 * b.scale**2 + delta**2 * a.finite_count * share
    return Moments(count, np.ones_like(count), mean_a + delta * share, m2)


def merge_activations(a: ActivationSums[Host], b: ActivationSums[Host]) -> ActivationSums[Host]:
    """Return the sums of two parts of a batch, two batches or two replicas together."""
    pre, post = merge_moments(pre_moments_of(a), pre_moments_of(b)), merge_moments(moments_of(a), moments_of(b))
    return ActivationSums(
        entries=a.entries + b.entries,
        low_count=a.low_count + b.low_count,
        high_count=a.high_count + b.high_count,
        inactive_count=a.inactive_count + b.inactive_count,
        zero_count=a.zero_count + b.zero_count,
        pre_count=pre.finite_count,
        pre_scale=pre.scale,
        pre_mean=pre.mean,
        pre_m2=pre.m2,
        finite_count=post.finite_count,
        scale=post.scale,
        mean=post.mean,
        m2=post.m2,
        pre_min=np.minimum(a.pre_min, b.pre_min),
        pre_max=np.maximum(a.pre_max, b.pre_max),
        abs_max=np.maximum(a.abs_max, b.abs_max),
        nonfinite_count=a.nonfinite_count + b.nonfinite_count,
    )


def merge_units(a: UnitSums[Host], b: UnitSums[Host]) -> UnitSums[Host]:
    """Return the sums of two parts of a batch, two batches or two replicas together, unit by unit."""
    merged = merge_moments(moments_of(a), moments_of(b))
    return UnitSums(
        positions=a.positions + b.positions,
        entries=a.entries + b.entries,
        active_count=a.active_count + b.active_count,
        low_count=a.low_count + b.low_count,
        high_count=a.high_count + b.high_count,
        inactive_everywhere=np.minimum(a.inactive_everywhere, b.inactive_everywhere),
        low_everywhere=np.minimum(a.low_everywhere, b.low_everywhere),
        high_everywhere=np.minimum(a.high_everywhere, b.high_everywhere),
        backward_zero_everywhere=np.minimum(a.backward_zero_everywhere, b.backward_zero_everywhere),
        max_activation=np.maximum(a.max_activation, b.max_activation),
        finite_count=merged.finite_count,
        scale=merged.scale,
        mean=merged.mean,
        m2=merged.m2,
        abs_sum=a.abs_sum * a.scale + b.abs_sum * b.scale,
    )


def merge_backward(a: BackwardSums[Host], b: BackwardSums[Host]) -> BackwardSums[Host]:
    """Return the sums of two parts of a batch, two batches or two replicas together, each with its own factor."""
    square_sum = a.square_sum * (a.scale * a.factor) ** 2 + b.square_sum * (b.scale * b.factor) ** 2
    return BackwardSums(
        entries=a.entries + b.entries,
        zero_count=a.zero_count + b.zero_count,
        finite_count=a.finite_count + b.finite_count,
        scale=np.ones_like(a.scale),
        square_sum=square_sum,
        factor=np.ones_like(a.factor),
        nonfinite_count=a.nonfinite_count + b.nonfinite_count,
    )


def merge_softmax(a: SoftmaxSums[Host], b: SoftmaxSums[Host]) -> SoftmaxSums[Host]:
    """Return the sums of two parts of a batch, two batches or two replicas together."""
    return SoftmaxSums(
        a.entropy_sum + b.entropy_sum,
        a.entropy_count + b.entropy_count,
        a.top_sum + b.top_sum,
        a.top_count + b.top_count,
    )


def moments_of(sums: ActivationSums[Host] | UnitSums[Host]) -> Moments[Host]:
    """Return the moments of the activations in ``sums``."""
    return Moments(sums.finite_count, sums.scale, sums.mean, sums.m2)


def pre_moments_of(sums: ActivationSums[Host]) -> Moments[Host]:
    """Return the moments of the pre-activations in ``sums``."""
    return Moments(sums.pre_count, sums.pre_scale, sums.pre_mean, sums.pre_m2)


def ratio(part: Host, whole: Host, *, where_empty: float = math.nan) -> Host:
    """Return ``part / whole``, and ``where_empty`` wherever the whole is 0."""
    return np.where(whole > 0, part / np.where(whole > 0, whole, 1.0), where_empty)
