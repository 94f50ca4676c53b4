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
    by_pattern: dict[tuple[Any, ...], Any] = {}

    def call(*arguments: Any, **keywords: Any) -> Any:
        # TensorFlow relaxes what is not as it was traced before: tensors of two ranks, to an unknown rank.
        leaves = tf.nest.flatten((arguments, keywords))
        pattern = tuple((leaf.dtype, leaf.shape.rank) if tf.is_tensor(leaf) else repr(leaf) for leaf in leaves)
        if pattern not in by_pattern:
            by_pattern[pattern] = tf.function(
                kernel, autograph=False, reduce_retracing=True, experimental_attributes={"_noinline": True}
            )
        return by_pattern[pattern](*arguments, **keywords)

    return call


def of_any_size(tensor: Any) -> Any:
    """Return ``tensor`` without its static sizes: else the first is traced with its own, and the second once more."""
    return tf.compat.v1.placeholder_with_default(tensor, [None] * tensor.shape.rank)
