"""Which entries of a large tensor are looked at: whole positions on a stride, so that every unit is always seen.

A position is one place where a layer is applied: a sample of a dense layer, a pixel of a convolution. Striding over
positions and never over units keeps every unit in the sample, and a stride coprime to the spatial sizes meets every row
and column of an image: a flat stride of 16 over (64, 16, 16, 64) sees 4 of 64 channels. The phase is the number of the
record, so that as many records as the stride see every position once.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gradscope.statistics.backend import Tensor, ops

ENTRY_LIMIT: Final = 65_536
"""About as many entries of a tensor are sampled."""

POSITION_MINIMUM: Final = 16
"""So many positions are sampled however wide the layer is: the spread over samples needs some."""

_LARGEST_STRIDE: Final = 2**24
_STRIDE_GROWTH: Final = 1.05


class Sample(NamedTuple):
    """Which positions are looked at.

    Attributes:
        rows: Indices into the positions; None for all of them.
        kept: Bool, broadcasts to ``(sampled positions, units)``: neither masked nor past the end; None for all.
    """

    rows: Tensor | None
    kept: Tensor | None


def positions_first(x: Tensor, unit_axis: int) -> Tensor:
    """Return ``x`` as a matrix of shape ``(positions, units)``; a rank-1 ``x`` is one unit."""
    if len(x.shape) == 1:
        return ops.reshape(x, (-1, 1))
    if unit_axis % len(x.shape) != len(x.shape) - 1:
        x = ops.moveaxis(x, unit_axis, -1)
    units = x.shape[-1]
    return ops.reshape(x, (-1, sizes(x)[-1] if units is None else units))


def sizes(x: Tensor) -> list[Tensor | int]:
    """Return the sizes of ``x``: ints where they are known, else scalar int tensors."""
    return list(ops.shape(x))


def position_mask(mask: Tensor | None, x: Tensor, unit_axis: int) -> Tensor | None:
    """Return a mask of the leading axes of ``x`` as a matrix that broadcasts to its `positions_first`.

    Args:
        mask: Bool, shape ``x.shape[:k]``; None for no mask.
        x: Shape ``(batch, *spatial, units)``.
        unit_axis: The axis of ``x`` that holds the units.

    Returns:
        Bool, shape ``(positions, 1)``, or ``(positions, units)`` where the mask reaches over the units; or None.
    """
    if mask is None:
        return None
    rank, masked = len(x.shape), len(mask.shape)
    shape, unit = sizes(x), unit_axis % rank
    if unit >= masked:
        shape[unit] = 1
    expanded = ops.reshape(ops.cast(mask, "bool"), (*sizes(mask), *[1] * (rank - masked)))
    return positions_first(ops.broadcast_to(expanded, shape), unit_axis)


def spatial_shape(x: Tensor, unit_axis: int) -> tuple[int | None, ...]:
    """Return the static sizes of all axes but the batch and the units; None for an unknown one."""
    rank = len(x.shape)
    return tuple(size for axis, size in enumerate(x.shape) if axis not in (0, unit_axis % rank))


def stride(
    position_count: Tensor | int,
    units: Tensor | int,
    spatial_shape: Sequence[int | None],
    *,
    limit: int = ENTRY_LIMIT,
    minimum: int = POSITION_MINIMUM,
) -> Tensor | int:
    """Return the step from one sampled position to the next, coprime to every spatial size.

    Args:
        position_count: Positions of the tensor; an int where it is known, else a scalar int tensor.
        units: Its units, likewise.
        spatial_shape: Sizes of the spatial axes; None for an unknown one, which is taken to be even.
        limit: Entries that the sample may have, about: strides lie some 5 % apart.
        minimum: Positions that the sample has at least, where the tensor has them.

    Returns:
        1 where the tensor has at most ``limit`` entries; an int where both sizes are, else a scalar int tensor.

    Example:
        >>> stride(64, 100, ()), stride(64 * 16 * 16, 64, (16, 16)), stride(64 * 15 * 15, 64, (15, 15))
        (1, 17, 16)
    """
    strides = _strides(tuple(2 if size is None else size for size in spatial_shape))
    wanted = max(limit // units, minimum) if isinstance(units, int) else ops.maximum(limit // units, minimum)
    needed = _quotient_up(position_count, wanted)
    if isinstance(needed, int):
        return int(strides[min(np.searchsorted(strides, needed), len(strides) - 1)])
    table = ops.convert_to_tensor(strides)
    return ops.min(ops.where(table >= needed, table, int(strides[-1])))


def sample(
    matrix: Tensor, mask: Tensor | None, spatial_shape: Sequence[int | None], *, phase: Tensor | int = 0
) -> Sample:
    """Return which positions are looked at in the record with number ``phase``.

    Args:
        matrix: From `positions_first`.
        mask: From `position_mask`.
        spatial_shape: From `spatial_shape`.
        phase: The record's number, an int or a scalar int tensor.
    """
    position_count, units = sizes(matrix)
    step = stride(position_count, units, spatial_shape)
    if isinstance(step, int) and step == 1:
        return Sample(None, mask)
    rows, inside = strided(position_count, step, phase)
    inside = ops.reshape(inside, (-1, 1))
    return Sample(rows, inside if mask is None else ops.logical_and(inside, ops.take(mask, rows, axis=0)))


def sampled(matrix: Tensor, sample: Sample) -> Tensor:
    """Return the positions of ``matrix``, shape ``(positions, units)``, that are looked at, in float32."""
    rows = matrix if sample.rows is None else ops.take(matrix, sample.rows, axis=0)
    return ops.cast(rows, "float32")


def kept_entries(matrix: Tensor, sample: Sample) -> Tensor:
    """Return a bool of shape ``(sampled positions, units)``: True where an entry counts."""
    rows = sizes(matrix if sample.rows is None else sample.rows)[0]
    return ops.broadcast_to(True if sample.kept is None else sample.kept, (rows, sizes(matrix)[1]))


def strided(count: Tensor | int, step: Tensor | int, phase: Tensor | int) -> tuple[Tensor, Tensor]:
    """Return the indices phase, phase + step, ... into ``count`` things, and which of them lie inside.

    A gather of a length that depends on sizes only rather than a slice from ``phase``: compilers want static shapes.
    """
    first = ops.cast(phase, "int32") % step
    rows = first + step * ops.arange(_quotient_up(count, step), dtype="int32")
    # Of two ints Keras makes its default float, in which large ones may not be held.
    last = max(count - 1, 0) if isinstance(count, int) else ops.maximum(count - 1, 0)
    return ops.minimum(rows, last), rows < count


@functools.lru_cache(maxsize=256)
def _strides(sizes: tuple[int, ...]) -> NDArray[np.int32]:
    """Return the strides that are coprime to all ``sizes``, about 5 % apart, ascending from 1."""
    product = math.prod(size for size in sizes if size > 0)
    strides = [1]
    while strides[-1] < _LARGEST_STRIDE:
        candidate = max(strides[-1] + 1, int(strides[-1] * _STRIDE_GROWTH))
        while math.gcd(candidate, product) > 1:
            candidate += 1
        strides.append(candidate)
    return np.array(strides, np.int32)


def _quotient_up(dividend: Tensor | int, divisor: Tensor | int) -> Tensor | int:
    return (dividend + divisor - 1) // divisor
