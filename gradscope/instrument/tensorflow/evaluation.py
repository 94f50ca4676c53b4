"""Evaluating the function that a site applies by itself, with its slope, so that it can be probed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradscope.instrument.tensorflow.effects import effects_of
from gradscope.instrument.tensorflow.framework import definition, tf

_RANDOM = ("Random", "Multinomial", "Stateful", "Stateless")


def evaluation(
    function: Callable[[Any], Any], rank: int, units: int
) -> Callable[[NDArray[np.float64]], tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Return value and slope of ``function`` on arrays ``(rows, columns)``, shaped as the layer would see them."""
    middle = (1,) * max(rank - 2, 0)

    def build(dtype: Any, width: int | None) -> Callable[[Any], Any]:
        def value_and_slope(z: Any) -> Any:
            shaped = tf.reshape(z, (-1, *middle, z.shape[1] if width is None else width))
            value = tf.convert_to_tensor(function(shaped))
            # Not by a tape: `init_scope`, in which this is traced, stops all tapes from recording.
            (slope,) = tf.gradients(value, shaped, unconnected_gradients=tf.UnconnectedGradients.ZERO)
            return value, slope

        columns = 16 if width is None else width
        concrete = tf.function(value_and_slope, autograph=False).get_concrete_function(
            tf.TensorSpec((None, columns), dtype)
        )
        _refuse_state(concrete)
        return concrete

    concrete, width, dtype = _first_that_traces(build, units)

    def evaluate(z: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        flat = z.astype(dtype.as_numpy_dtype).ravel()
        rows = -(-flat.size // width)
        padded = np.resize(flat, rows * width).reshape(rows, width)
        value, slope = (np.asarray(tensor, np.float64) for tensor in concrete(tf.constant(padded)))
        if value.size != padded.size:
            return value, slope  # such as glu: the probe sees that it is not elementwise
        return value.ravel()[: flat.size].reshape(z.shape), slope.ravel()[: flat.size].reshape(z.shape)

    return evaluate


def _first_that_traces(build: Callable[[Any, int | None], Callable[[Any], Any]], units: int) -> Any:
    """Return the function traced in float64 where it allows that, with any width where it allows that."""
    attempts = [(tf.float64, None), (tf.float32, None), (tf.float64, units), (tf.float32, units)]
    for dtype, width in attempts[:-1]:
        try:
            return build(dtype, width), width or 16, dtype
        except (ValueError, TypeError, tf.errors.InvalidArgumentError):
            continue  # a parameter of another dtype, or one for each unit
    dtype, width = attempts[-1]
    return build(dtype, width), width, dtype


def _refuse_state(function: Any) -> None:
    """Raise where running the function would change a variable or draw random numbers."""
    effects = effects_of(definition(function))
    stateless = any(op.type.startswith(_RANDOM) for op in function.graph.get_operations())
    if effects.written or effects.outside or effects.random or stateless:
        raise ValueError("the function keeps state or is random, so it has no profile")
