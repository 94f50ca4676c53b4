"""What is counted and summed of the gradient of one variable, loss scale removed, before clipping and accumulation."""

from __future__ import annotations

import math
from typing import Final, NamedTuple

from gradscope.errors import ShapeError
from gradscope.statistics.backend import Tensor, ops
from gradscope.statistics.moments import count, scaled_square_sum
from gradscope.statistics.sums import GradientSums

FAN_IN_MINIMUM: Final = 8
"""Below so many incoming weights the share of one sign is large by chance (ours: chance is ½ + 0.4/√fan-in)."""

_NEGATIVE: Final = 4096
"""What a negative entry counts as among positive ones, and the fan-in below which both counts are exact so."""


def gradient_sums(g: Tensor, unit_axes: tuple[int, ...] | None = None) -> GradientSums[Tensor]:
    """Return what a dense gradient leaves behind, as float32 scalars, exact over the whole tensor.

    The sign agreement of a unit is the larger of its shares of positive and of negative gradients, among those that are
    finite and not 0. Where all inputs of a layer have one sign, every unit's gradients share one too, and its
    weights can only move up together or down together.

    Args:
        g: Gradient of any float dtype and shape.
        unit_axes: Axes that tell the unit, ``(1,)`` for a dense kernel of shape ``(inputs, units)``; all others are
            its fan-in. None where sign agreement is not defined, as for a bias.

    Example:
        >>> sums = gradient_sums(ops.convert_to_tensor([3.0, 0.0, -4.0]))
        >>> float(sums.scale) * float(sums.square_sum) ** 0.5, float(sums.abs_max), int(sums.zero_count)
        (5.0, 4.0, 1)

    Source:
        Norms of one scale: Blue, "A portable Fortran program to find the Euclidean norm of a vector", ACM TOMS 1978.
        One-signed gradients behind one-signed activations: LeCun et al., "Efficient BackProp", 1998, section 4.3.
    """
    g = ops.cast(g, "float32")
    finite = ops.isfinite(g)
    scale, square_sum = scaled_square_sum(g)
    agreement_sum = agreement_count = ops.zeros((), "float32")
    if unit_axes is not None:
        matrix = fan_in_first(ops.where(finite, g, 0.0), unit_axes)
        is_defined = ops.cast(ops.shape(matrix)[0] >= FAN_IN_MINIMUM, "float32")
        agreement_sum, agreement_count = (is_defined * ops.sum(by_unit) for by_unit in sign_shares(signs(matrix)))
    return GradientSums(
        entries=ops.cast(ops.size(g), "float32"),
        zero_count=count(ops.equal(g, 0.0)),
        nonfinite_count=count(ops.logical_not(finite)),
        scale=scale,
        square_sum=square_sum,
        abs_max=ops.max(ops.where(ops.isnan(g), -math.inf, ops.absolute(g)), initial=-math.inf),
        agreement_sum=agreement_sum,
        agreement_count=agreement_count,
    )


def touched_row_sums(values: Tensor, indices: Tensor) -> GradientSums[Tensor]:
    """Return what an embedding's sparse gradient leaves behind, over the rows that the batch touched.

    Rows with one index are parts of one gradient and are added up first: their squares are not those of the sum. The
    rows that were not touched are zero and change no norm, but they would drown RMS and share of zeros.

    Args:
        values: Rows as the backend hands them over, shape ``(rows, *row)``, with repeated indices or not.
        indices: The index of each, int, shape ``(rows,)``.

    Raises:
        ShapeError: If ``indices`` is not a vector.

    Example:
        >>> rows, indices = ops.convert_to_tensor([[3.0], [5.0], [1.0]]), ops.convert_to_tensor([7, 2, 7])
        >>> sums = touched_row_sums(rows, indices)
        >>> int(sums.entries), float(sums.abs_max)
        (2, 5.0)
    """
    if len(indices.shape) != 1:
        raise ShapeError(f"indices has shape {tuple(indices.shape)}: pass one index a row of values, shape (rows,).")
    rows = ops.reshape(ops.cast(values, "float32"), (ops.shape(indices)[0], math.prod(values.shape[1:])))
    order = ops.argsort(indices)
    ordered = ops.take(indices, order)
    first_of_index = ops.not_equal(ordered, ops.concatenate([ordered[:1] - 1, ordered[:-1]]))
    segments = ops.cumsum(ops.cast(first_of_index, "int32")) - 1
    row_count = ops.shape(rows)[0]
    # As many segments as rows, because compilers want static shapes: those left over are rows of zeros at the end.
    added = ops.segment_sum(ops.take(rows, order, axis=0), segments, num_segments=row_count)
    sums = gradient_sums(added)
    left_over = (ops.cast(row_count, "float32") - count(first_of_index)) * rows.shape[1]
    return sums._replace(entries=sums.entries - left_over, zero_count=sums.zero_count - left_over)


class Signs(NamedTuple):
    """How many gradients of each unit are positive, and how many negative: vectors of shape ``(units,)``."""

    positive: Tensor
    negative: Tensor


def fan_in_first(g: Tensor, unit_axes: tuple[int, ...]) -> Tensor:
    """Return a gradient as a matrix of shape ``(fan-in, units)``."""
    rank = len(g.shape)
    of_units = [axis % rank for axis in unit_axes]
    incoming = [axis for axis in range(rank) if axis not in of_units]
    order = [*incoming, *of_units]
    if order != [*range(rank)]:
        g = ops.transpose(g, order)
    if rank == 2 and len(incoming) == 1:
        return g
    sizes = ops.shape(g)
    return ops.reshape(g, (math.prod(sizes[: len(incoming)]), math.prod(sizes[len(incoming) :])))


def signs(matrix: Tensor) -> Signs:
    """Return the signs of a matrix of shape ``(fan-in, units)`` and of finite entries, unit by unit.

    A product with a row of ones adds them up: several times as fast as to compare, to cast and to reduce.
    """
    sign = ops.sign(matrix)
    fan_in = ops.shape(matrix)[0]
    ones = ops.ones((1, fan_in), "float32")

    def together() -> tuple[Tensor, Tensor]:
        # 1 for a positive entry and 4096 for a negative one: both counts in one float32, whose whole numbers are exact.
        counted = ops.matmul(ones, ops.leaky_relu(sign, negative_slope=-_NEGATIVE))
        negative = ops.floor(counted / _NEGATIVE)
        return counted - _NEGATIVE * negative, negative

    def apart() -> tuple[Tensor, Tensor]:
        difference, signed = ops.matmul(ones, sign), ops.matmul(ones, ops.square(sign))
        return (signed + difference) / 2.0, (signed - difference) / 2.0

    is_short = fan_in < _NEGATIVE
    if isinstance(is_short, bool):
        positive, negative = together() if is_short else apart()
    else:
        positive, negative = ops.cond(is_short, together, apart)
    return Signs(ops.squeeze(positive, 0), ops.squeeze(negative, 0))


def sign_shares(found: Signs) -> tuple[Tensor, Tensor]:
    """Return for each unit the larger share of one sign, 0 where it has none, and whether it has one, as 1 or 0."""
    signed = found.positive + found.negative
    share = ops.maximum(found.positive, found.negative) / ops.maximum(signed, 1.0)
    return share, ops.cast(signed > 0.0, "float32")
