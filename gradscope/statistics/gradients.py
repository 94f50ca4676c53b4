"""What is counted and summed of the gradient of one variable, loss scale removed, before clipping and accumulation."""

from __future__ import annotations

import math
from typing import Final, NamedTuple

from gradscope.errors import ShapeError
from gradscope.statistics.backend import Tensor, ops
from gradscope.statistics.moments import count, scaled_square_sum
from gradscope.sums import GradientSums

FAN_IN_MINIMUM: Final = 8
"""Below so many incoming weights the share of one sign is large by chance (ours: chance is ½ + 0.4/√fan-in)."""


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
        agreement_sum, agreement_count, _ = agreement(ops.where(finite, g, 0.0), unit_axes)
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


class Agreement(NamedTuple):
    """How far the gradients of a unit share one sign.

    Attributes:
        share_sum: Sum over units of the larger share of one sign.
        unit_count: Units that have one.
        signed_count: Entries of each unit that are not 0.
    """

    share_sum: Tensor
    unit_count: Tensor
    signed_count: Tensor


def agreement(g: Tensor, unit_axes: tuple[int, ...]) -> Agreement:
    """Return how far the entries of ``g``, all finite, share one sign in each unit: see `gradient_sums`."""
    rank = len(g.shape)
    of_units = {axis % rank for axis in unit_axes}
    incoming = tuple(axis for axis in range(rank) if axis not in of_units)
    fan_in = math.prod(ops.shape(g)[axis] for axis in incoming)
    is_defined = ops.cast(fan_in >= FAN_IN_MINIMUM, "float32")
    positive, negative = (ops.sum(ops.cast(sign, "float32"), axis=incoming) for sign in (g > 0.0, g < 0.0))
    signed = positive + negative
    share = ops.maximum(positive, negative) / ops.maximum(signed, 1.0)
    share_sum = is_defined * ops.sum(ops.where(signed > 0.0, share, 0.0))
    return Agreement(share_sum, is_defined * count(signed > 0.0), signed)
