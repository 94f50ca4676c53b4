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
        self._sums: Any = None

    def values(self, held: Mapping[int, Any] | None = None) -> list[Any]:
        """Return the weights as they are, or as they were ``held``, by identity of the variable.

        They are not copied: what the next step writes, it then writes elsewhere.
        """
        known = held or {}
        return [known[id(v)] if id(v) in known else v.read_value() for v in self._variables]

    def norms(self, before: Sequence[Any]) -> NDArray[np.float32]:
        """Return weight norms before the step and norms of what it added, shape ``(variables, 2)``, float32."""
        if self._sums is None:
            specs = [tf.TensorSpec(variable.shape, variable.dtype) for variable in self._variables]
            # Traced once, here: TensorFlow warns of a `tf.function` that several trainings in one process trace.
            self._sums = tf.function(square_sums, autograph=False).get_concrete_function(specs, specs)
        return weight_and_update_norms(self.values(), list(before), self._sums)


def weight_and_update_norms(
    after: Sequence[Any], before: Sequence[Any], sums: Callable[..., Any]
) -> NDArray[np.float32]:
    """Return the norms of ``before`` and of ``after - before``, shape ``(variables, 2)``, float32.

    Squares that float32 cannot hold, of all of a tensor too small or one too large, are taken on the host.
    """
    if not after:
        return np.zeros((0, 2), np.float32)
    found = np.asarray(sums(after, before), np.float64)
    norms = np.sqrt(found)
    for row, column in np.argwhere(~((found > SMALLEST_SAFE) & (found < math.inf))):
        old, new = (np.asarray(tf.cast(x[row], tf.float32)).astype(np.float64) for x in (before, after))
        with np.errstate(invalid="ignore"):
            norms[row, column] = np.linalg.norm((old if column == 0 else new - old).ravel())
    with np.errstate(over="ignore"):
        return norms.astype(np.float32)


def square_sums(after: Sequence[Any], before: Sequence[Any]) -> Any:
    """Return the sums of squares, shape ``(variables, 2)``: one pass over each tensor, no memory for its squares."""
    pairs = [(tf.cast(old, tf.float32), tf.cast(new, tf.float32)) for old, new in zip(before, after, strict=True)]
    halves = [[tf.nn.l2_loss(old), tf.nn.l2_loss(new - old)] for old, new in pairs]
    return 2.0 * tf.stack([tf.stack(row) for row in halves]) if halves else tf.zeros((0, 2))
