"""The sums of `gradscope.statistics.gradients` where every entry is finite: of all gradients of a step at once.

A step makes dozens of gradients, and for all but the largest the calls cost more than the passes over their entries. So
a large gradient is only reduced by itself, small ones are laid end to end, and all else is done to all of them at once.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gradscope.statistics.backend import Tensor, ops
from gradscope.statistics.gradients import FAN_IN_MINIMUM, Signs, fan_in_first, sign_shares, signs
from gradscope.statistics.moments import SMALLEST_SAFE, power_of_two_below
from gradscope.statistics.sums import GradientSums

_SMALL: Final = 16_384
"""Gradients of units that are unknown, as a bias's, are laid end to end up to so many entries."""


def finite_gradients_sums(
    gradients: Sequence[Tensor], unit_axes: Sequence[tuple[int, ...] | None]
) -> GradientSums[Tensor]:
    """Return what `gradient_sums` returns of each gradient, as vectors of shape ``(gradients,)``.

    Args:
        gradients: At least one, each of any float dtype and shape.
        unit_axes: Of each gradient, as in `gradient_sums`.

    Returns:
        ``nonfinite_count`` is NaN where an entry is not finite, or where there is none; else 0.

    Example:
        >>> kernel, bias = ops.convert_to_tensor([[3.0, 0.0], [-4.0, 1.0]]), ops.convert_to_tensor([2.0, 0.0])
        >>> sums = finite_gradients_sums([kernel, bias], [(1,), None])
        >>> [part.tolist() for part in (sums.abs_max.numpy(), sums.zero_count.numpy(), sums.nonfinite_count.numpy())]
        [[4.0, 2.0], [1.0, 1.0], [0.0, 0.0]]
    """
    tensors = [ops.cast(g, "float32") for g in gradients]
    sizes: list[Any] = [math.prod(ops.shape(g)) for g in tensors]
    is_small = [
        axes is None and isinstance(size, int) and size <= _SMALL for axes, size in zip(unit_axes, sizes, strict=True)
    ]
    large, small = ([i for i, flag in enumerate(is_small) if flag == wanted] for wanted in (False, True))
    parts: list[_Passes] = []
    if large:
        parts.append(_of_matrices([tensors[i] for i in large], [unit_axes[i] for i in large]))
    if small:
        parts.append(_of_vectors([tensors[i] for i in small], [sizes[i] for i in small]))
    found = _Passes(*(ops.concatenate(field) for field in zip(*parts, strict=True)))
    back = places([*large, *small])
    if back is not None:
        floats = ops.stack([found.square_sum, found.square_max, found.agreement_sum, found.agreement_count])
        square_sum, square_max, *agreement = ops.unstack(ops.take(floats, back, axis=1), 4)
        found = _Passes(square_sum, square_max, ops.take(found.signed, back), *agreement)
    entries = ops.convert_to_tensor(np.array(sizes)) if _static(sizes) else ops.stack(sizes)
    entries = ops.cast(entries, "int32")
    scale, square_sum, abs_max = _scaled(tensors, found)
    abs_max = ops.where(entries > 0, abs_max, -math.inf)
    return GradientSums(
        entries=ops.cast(entries, "float32"),
        zero_count=ops.cast(entries - found.signed, "float32"),
        nonfinite_count=ops.where(ops.isfinite(abs_max), ops.zeros_like(abs_max), math.nan),
        scale=scale,
        square_sum=square_sum,
        abs_max=abs_max,
        agreement_sum=found.agreement_sum,
        agreement_count=found.agreement_count,
    )


def places(order: Sequence[int]) -> NDArray[np.intp] | None:
    """Return at which place of ``order`` each number stands; None where they stand in their own order already."""
    back = np.argsort(order)
    return None if (np.diff(back) > 0).all() else back


class _Passes(NamedTuple):
    """What the passes over the gradients leave: vectors of shape ``(gradients,)``, squares without a scale.

    Entries that are not 0 are counted in integers, as float32 could not beyond 2**24.
    """

    square_sum: Tensor
    square_max: Tensor
    signed: Tensor
    agreement_sum: Tensor
    agreement_count: Tensor


def _of_matrices(gradients: list[Tensor], unit_axes: list[tuple[int, ...] | None]) -> _Passes:
    """Reduce each gradient by itself, and what is left of its units together."""
    found: list[Signs] = []
    defined: list[Any] = []
    squares: list[tuple[Tensor, Tensor]] = []
    for g, axes in zip(gradients, unit_axes, strict=True):
        matrix = fan_in_first(g, (len(g.shape) - 1,) if axes is None else axes) if g.shape else ops.reshape(g, (1, 1))
        found.append(signs(matrix))
        defined.append(ops.shape(matrix)[0] >= FAN_IN_MINIMUM if axes is not None else False)
        square = ops.square(g)
        squares.append((ops.sum(square), ops.max(square, initial=0.0)))
    unit_counts = [ops.shape(signs.positive)[0] for signs in found]
    by_unit = Signs(*(ops.concatenate(side) for side in zip(*found, strict=True)))
    owners = _owners(unit_counts)
    signed = ops.cast(by_unit.positive + by_unit.negative, "int32")
    signed = ops.segment_sum(signed, owners, num_segments=len(gradients))
    shares = ops.segment_sum(ops.stack(sign_shares(by_unit), axis=1), owners, num_segments=len(gradients))
    share_sum, share_count = ops.unstack(shares, 2, axis=1)
    is_defined = ops.stack([ops.cast(flag, "float32") for flag in defined])
    square_sum, square_max = (ops.stack(column) for column in zip(*squares, strict=True))
    return _Passes(square_sum, square_max, signed, is_defined * share_sum, is_defined * share_count)


def _of_vectors(gradients: list[Tensor], sizes: list[int]) -> _Passes:
    """Reduce small gradients laid end to end."""
    row, owners = ops.concatenate([ops.reshape(g, (-1,)) for g in gradients]), _owners(sizes)
    square = ops.square(row)
    square_sum = ops.segment_sum(square, owners, num_segments=len(sizes))
    signed = ops.segment_sum(ops.cast(ops.not_equal(row, 0.0), "int32"), owners, num_segments=len(sizes))
    square_max = ops.maximum(ops.segment_max(square, owners, num_segments=len(sizes)), 0.0)
    nothing = ops.zeros_like(square_sum)
    return _Passes(square_sum, square_max, signed, nothing, nothing)


def _scaled(tensors: list[Tensor], found: _Passes) -> tuple[Tensor, Tensor, Tensor]:
    """Return scales, scaled sums of squares and largest absolute entries.

    Nearly every gradient is far from where squares overflow or vanish: it needs no scale. Otherwise all are read anew.
    """
    in_range = ops.logical_and(found.square_sum > SMALLEST_SAFE, found.square_sum < math.inf)
    is_safe = ops.logical_or(in_range, found.signed == 0)

    def by_scale() -> tuple[Tensor, Tensor, Tensor]:
        extremes = [(ops.max(g, initial=-math.inf), -ops.min(g, initial=math.inf)) for g in tensors]
        abs_max = ops.stack([ops.maximum(*sides) for sides in extremes])
        scale = power_of_two_below(abs_max)
        scales = ops.unstack(scale, len(tensors))
        return scale, ops.stack([ops.sum(ops.square(g / s)) for g, s in zip(tensors, scales, strict=True)]), abs_max

    def as_it_is() -> tuple[Tensor, Tensor, Tensor]:
        return ops.ones_like(found.square_sum), found.square_sum, ops.sqrt(found.square_max)

    return ops.cond(ops.all(is_safe), as_it_is, by_scale)


def _owners(counts: Sequence[Any]) -> Any:
    """Return to which of the things laid end to end each entry belongs."""
    if _static(counts):
        return np.repeat(np.arange(len(counts), dtype=np.int32), counts)
    return ops.repeat(ops.arange(len(counts), dtype="int32"), ops.stack(counts))


def _static(sizes: Sequence[Any]) -> bool:
    return all(isinstance(size, int) for size in sizes)
