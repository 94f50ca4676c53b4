"""Statistics as one function gives them: few outputs, and tensors cut so that one trace serves many."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from gradscope.instrument.tensorflow.framework import tf
from gradscope.instrument.tensorflow.sharing import of_any_size
from gradscope.statistics.activations import SiteSums, backward_sums, site_sums
from gradscope.statistics.sums import BackwardSums


def packed(kernel: Callable[..., SiteSums]) -> Callable[..., tuple[Any, Any]]:
    """Return a kernel's scalars as one tensor and its sums by unit as another: each output costs time at every call."""

    def packed(*arguments: Any, **keywords: Any) -> tuple[Any, Any]:
        sums = kernel(*arguments, **keywords)
        scalars = tf.concat([tf.stack(list(sums.activation)), filled(BackwardSums, sums.backward)], axis=0)
        return scalars, tf.reshape(tf.stack(list(sums.units)), [-1])

    return packed


def stacked(kernel: Callable[..., Any]) -> Callable[..., Any]:
    """Return a kernel's scalars as one tensor."""
    return lambda *arguments: tf.stack(list(kernel(*arguments)))


def filled(kind: Any, sums: Any) -> Any:
    """Return sums of one kind as one tensor: zeros where there are none."""
    return tf.zeros((len(kind._fields),)) if sums is None else tf.stack(list(sums))


def reshaping_sums(a: Any, backward: Any, *, samples: Any, loss_scale: Any, **where: Any) -> SiteSums:
    """Return the sums of a function that changes the shape, such as glu, of which only the outcome is looked at."""
    sums = site_sums(a, a, None, **where)
    nothing = {"pre_count": 0.0, "pre_min": math.inf, "pre_max": -math.inf}
    arriving = None
    if backward is not None:
        arriving = backward_sums(backward, samples=samples, loss_scale=loss_scale, **where)
    return SiteSums(sums.activation._replace(**nothing), sums.units, arriving)


def unit_matrix(gradient: Any, unit_axes: tuple[int, ...] | None) -> tuple[Any, tuple[int, ...] | None]:
    """Return a gradient as a matrix (fan-in, units) and the axis of its units; as a vector where it has none.

    So one trace serves the kernels of all layers, and another all other variables.
    """
    if unit_axes is None:
        return of_any_size(tf.reshape(gradient, [-1])), None
    rank = gradient.shape.rank
    units = [axis % rank for axis in unit_axes]
    order = [*(axis for axis in range(rank) if axis not in units), *units]
    if order != list(range(rank)):
        gradient = tf.transpose(gradient, order)
    unit_count = math.prod(gradient.shape[rank - len(units) :])
    return of_any_size(tf.reshape(gradient, [gradient.shape.num_elements() // max(unit_count, 1), unit_count])), (1,)
