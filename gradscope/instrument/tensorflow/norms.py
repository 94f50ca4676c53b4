"""Norms of weights before a step and of what it added to them, all in one function."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from gradscope.instrument.tensorflow.framework import tf
from gradscope.instrument.tensorflow.sharing import of_any_size, shared
from gradscope.statistics.moments import SMALLEST_SAFE, difference_norm, scaled_norm


def weight_and_update_norms(after: Sequence[Any], before: Sequence[Any]) -> Any:
    """Return the norms of ``before`` and of ``after - before``, shape ``(variables, 2)``: see `scaled_norm`."""
    if not after:
        return tf.zeros((0, 2), tf.float32)
    pairs = [(tf.cast(old, tf.float32), tf.cast(new, tf.float32)) for old, new in zip(before, after, strict=True)]
    # One pass over each tensor, and no memory for its squares, which sums of squares written out would take.
    halves = [[tf.nn.l2_loss(old), tf.nn.l2_loss(new - old)] for old, new in pairs]
    square_sums = 2.0 * tf.stack([tf.stack(row) for row in halves])
    is_safe = (square_sums > SMALLEST_SAFE) & (square_sums < math.inf)
    norms = tf.sqrt(square_sums)

    def by_scale() -> Any:
        norm, change = shared(_norm_unless), shared(_difference_norm_unless)
        rows: list[Any] = []
        for number, pair in enumerate(pairs):
            old, new = (of_any_size(tf.reshape(x, [-1])) for x in pair)  # vectors of any size: traced once
            safe, known = is_safe[number], norms[number]
            rows.append(tf.stack([norm(safe[0], known[0], old), change(safe[1], known[1], new, old)]))
        return tf.stack(rows)

    return tf.cond(tf.reduce_all(is_safe), lambda: norms, by_scale)


def _norm_unless(is_known: Any, norm: Any, x: Any) -> Any:
    return tf.cond(is_known, lambda: norm, lambda: scaled_norm(x))


def _difference_norm_unless(is_known: Any, norm: Any, after: Any, before: Any) -> Any:
    return tf.cond(is_known, lambda: norm, lambda: difference_norm(after, before))
