"""Norms of weights before a step and of what it added to them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradscope.instrument.tensorflow.framework import tf, values_of
from gradscope.statistics.moments import SMALLEST_SAFE


class Updates:
    """Norms of weights, and of what one training step added to them."""

    def __init__(self, variables: Sequence[Any]) -> None:
        self._variables = [values_of(variable)[0] for variable in variables]
        self._read: Any = None
        self._sums: Any = None

    def values(self, held: Mapping[int, Any] | None = None) -> list[Any]:
        """Return the weights as they are, or as they were ``held``, by identity of the variable.

        They are not copied: what the next step writes, it then writes elsewhere.
        """
        if held:
            return [held[id(v)] if id(v) in held else v.read_value() for v in self._variables]
        if self._read is None:
            # One call for all. Traced once, here: TensorFlow warns of a `tf.function` that several trainings trace.
            self._read = tf.function(self._now, autograph=False).get_concrete_function()
        return list(self._read())

    def by_handle(self, values: Sequence[Any]) -> dict[int, Any]:
        """Return what `values` has returned by the identity of the variables' handles."""
        return {id(variable.handle): value for variable, value in zip(self._variables, values, strict=True)}

    def norms(self, before: Sequence[Any]) -> NDArray[np.float32]:
        """Return weight norms before the step and norms of what it added, shape ``(variables, 2)``, float32."""
        if not self._variables:
            return np.zeros((0, 2), np.float32)
        if self._sums is None:
            specs = [tf.TensorSpec(variable.shape, variable.dtype) for variable in self._variables]
            self._sums = tf.function(self._square_sums, autograph=False).get_concrete_function(specs)
        return norms_of_sums(self._sums(list(before)), lambda row: (before[row], self._variables[row].read_value()))

    def _square_sums(self, before: Sequence[Any]) -> Any:
        return square_sums(self._now(), before)

    def _now(self) -> list[Any]:
        return [variable.read_value() for variable in self._variables]


def norms_of_sums(sums: Any, tensors: Callable[[int], tuple[Any, Any]]) -> NDArray[np.float32]:
    """Return the norms of weights before a step, and of what it added to them.

    Squares that float32 cannot hold, of all of a tensor too small or one too large, are taken on the host.

    Args:
        sums: What `square_sums` has returned, shape ``(variables, 2)``.
        tensors: Returns a variable before and after the step, by its row.

    Returns:
        Shape ``(variables, 2)``, float32.
    """
    found = np.asarray(sums, np.float64)
    norms = np.sqrt(found)
    for row, column in np.argwhere(~((found > SMALLEST_SAFE) & (found < math.inf))):
        old, new = (np.asarray(tf.cast(x, tf.float32)).astype(np.float64) for x in tensors(row))
        with np.errstate(invalid="ignore"):
            norms[row, column] = np.linalg.norm((old if column == 0 else new - old).ravel())
    with np.errstate(over="ignore"):
        return norms.astype(np.float32)


def square_sums(after: Sequence[Any], before: Sequence[Any]) -> Any:
    """Return the sums of squares, shape ``(variables, 2)``: one pass over each tensor, no memory for its squares."""
    pairs = [(tf.cast(old, tf.float32), tf.cast(new, tf.float32)) for old, new in zip(before, after, strict=True)]
    halves = [[tf.nn.l2_loss(old), tf.nn.l2_loss(new - old)] for old, new in pairs]
    return 2.0 * tf.stack([tf.stack(row) for row in halves])
