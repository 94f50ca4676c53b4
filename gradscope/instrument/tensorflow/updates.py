"""What a step did to the weights."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from gradscope.instrument.tensorflow.framework import tf, values_of
from gradscope.instrument.tensorflow.sharing import of_any_size, shared
from gradscope.statistics.moments import SMALLEST_SAFE, difference_norm, scaled_norm


class Updates:
    """Norms of weights, and of what one training step added to them."""

    def __init__(self, variables: Sequence[Any]) -> None:
        self._variables = [values_of(variable)[0] for variable in variables]
        self._norms: Any = None

    def values(self, held: Mapping[int, Any] | None = None) -> list[Any]:
        """Return the weights as they are, or as they were ``held``, by identity of the variable.

        They are not copied: what the next step writes, it then writes elsewhere.
        """
        known = held or {}
        return [known[id(v)] if id(v) in known else v.read_value() for v in self._variables]

    def norms(self, before: Sequence[Any]) -> Any:
        """Return weight norms before the step and norms of what it added, shape ``(variables, 2)``, float32."""
        if self._norms is None:
            specs = [tf.TensorSpec(variable.shape, variable.dtype) for variable in self._variables]
            # Traced once, here: TensorFlow warns of a `tf.function` that several trainings in one process trace.
            self._norms = tf.function(_weight_and_update_norms, autograph=False).get_concrete_function(specs, specs)
        return self._norms(self.values(), list(before)).numpy()


def _weight_and_update_norms(after: list[Any], before: list[Any]) -> Any:
    if not before:
        return tf.zeros((0, 2))
    pairs = [(tf.cast(old, tf.float32), tf.cast(new, tf.float32)) for old, new in zip(before, after, strict=True)]
    # One pass over each tensor, and no memory for its squares.
    halves = [[tf.nn.l2_loss(old), tf.nn.l2_loss(new - old)] for old, new in pairs]
    square_sums = 2.0 * tf.stack([tf.stack(row) for row in halves])
    is_safe = (square_sums > SMALLEST_SAFE) & (square_sums < math.inf)
    norms = tf.sqrt(square_sums)

    def by_scale() -> Any:
        rows: list[Any] = []
        for number, pair in enumerate(pairs):
            # As vectors of any size, so that each is traced once.
            old, new = (of_any_size(tf.reshape(x, [-1])) for x in pair)
            safe, known = is_safe[number], norms[number]
            rows.append(tf.stack([_NORM(safe[0], known[0], old), _CHANGE(safe[1], known[1], new, old)]))
        return tf.stack(rows)

    return tf.cond(tf.reduce_all(is_safe), lambda: norms, by_scale)


def _norm_unless(is_known: Any, norm: Any, x: Any) -> Any:
    return tf.cond(is_known, lambda: norm, lambda: scaled_norm(x))


def _difference_norm_unless(is_known: Any, norm: Any, after: Any, before: Any) -> Any:
    return tf.cond(is_known, lambda: norm, lambda: difference_norm(after, before))


_NORM, _CHANGE = shared(_norm_unless), shared(_difference_norm_unless)
