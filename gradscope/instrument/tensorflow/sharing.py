"""Sharing one traced kernel among all tensors of one rank."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gradscope.instrument.tensorflow.framework import tf


def shared(kernel: Callable[..., Any]) -> Callable[..., Any]:
    """Return ``kernel`` as a function of its own in the graph, traced for each rank and not for each shape.

    A deep network has hundreds of sites and variables. Inlined, their statistics are most of the graph: ResNet-50 then
    takes minutes to trace and to optimise.
    """
    by_ranks: dict[tuple[int | None, ...], Any] = {}

    def call(*arguments: Any, **keywords: Any) -> Any:
        # TensorFlow relaxes a shape that is not the one traced before: of tensors of two ranks, to an unknown rank.
        ranks = tuple(value.shape.rank for value in (*arguments, *keywords.values()) if tf.is_tensor(value))
        if ranks not in by_ranks:
            by_ranks[ranks] = tf.function(
                kernel, autograph=False, reduce_retracing=True, experimental_attributes={"_noinline": True}
            )
        return by_ranks[ranks](*arguments, **keywords)

    return call
