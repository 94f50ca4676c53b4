"""The `gradscope.instrument.tensors.Tensors` of TensorFlow."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Any, cast

import numpy as np

from gradscope.activations.probe import probe
from gradscope.instrument.tensorflow.evaluation import evaluation
from gradscope.instrument.tensorflow.framework import tf, values_of
from gradscope.instrument.tensorflow.grappler import as_written
from gradscope.instrument.tensors import Arrays
from gradscope.network import Profile


class TensorFlowTensors:
    """What TensorFlow tells of tensors: those of a graph, and eager ones."""

    def shape(self, tensor: Any) -> tuple[int | None, ...] | None:
        return None if tensor.shape.rank is None else tuple(tensor.shape)

    def kind(self, tensor: Any) -> Hashable:
        return str(_relaxed(tensor, tensor)), tensor.dtype

    def is_dense(self, value: Any) -> bool:
        return isinstance(value, tf.Tensor)

    def rows_of(self, gradient: Any) -> tuple[Any, Any] | None:
        return (gradient.values, gradient.indices) if isinstance(gradient, tf.IndexedSlices) else None

    def dense(self, rows: Any, indices: Any, shape: Sequence[Any]) -> Any:
        return tf.convert_to_tensor(tf.IndexedSlices(rows, indices, tf.stack(list(shape))))

    def shaped(self, tensor: Any, shape: Sequence[int | None]) -> Any:
        return tf.ensure_shape(tensor, shape)

    def held(self, variable: Any) -> Sequence[Any]:
        return values_of(variable)

    def value(self, variable: Any) -> Any:
        return tf.convert_to_tensor(variable)

    def profile(self, function: Callable[[Any], Any], rank: int, units: int) -> Profile:
        with tf.init_scope():
            return probe(evaluation(function, rank, units))

    def sample_counts(self, leaves: Sequence[Any], structure: Any) -> list[Any]:
        remaining = iter(leaves)
        specs = tf.nest.flatten(structure, expand_composites=True)
        flat = [None if spec is None else next(remaining) for spec in specs]
        for leaf in tf.nest.flatten(tf.nest.pack_sequence_as(structure, flat, expand_composites=True)):
            of_replicas: Any = getattr(leaf, "values", None)
            parts: list[Any] = [*of_replicas] if isinstance(of_replicas, tuple) else [leaf]
            if all(part is not None and part.shape.rank != 0 for part in parts):
                return [_sample_count(part) for part in parts]
        return []

    def shared(self, kernel: Callable[..., Any], *, of_any_size: bool = False) -> Callable[..., Any]:
        """Return ``kernel`` as a function of its own in the graph, traced for each rank and not for each shape.

        A deep network has hundreds of sites and variables. Inlined, their statistics are most of the graph: ResNet-50
        then takes minutes to trace and to optimise.
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
            if of_any_size:
                arguments = tuple(_of_any_size(each) if tf.is_tensor(each) else each for each in arguments)
            return by_pattern[pattern](*arguments, **keywords)

        return call

    def compiled(self, function: Callable[..., Any], tensors: Sequence[Any], *examples: Any) -> Callable[..., Arrays]:
        values, *others = examples
        specs = [
            tf.TensorSpec(_relaxed(value, tensor), tensor.dtype) for value, tensor in zip(values, tensors, strict=True)
        ]
        more = tf.nest.map_structure(tf.type_spec_from_value, [_as_tensor(other) for other in others])
        traced = tf.function(function, autograph=False).get_concrete_function(specs, *more)

        def run(values: Sequence[Any], *others: Any) -> Arrays:
            with as_written():
                outputs = traced(list(values), *map(_as_tensor, others))
            return {name: np.asarray(output) for name, output in outputs.items()}

        return run


TENSORS = TensorFlowTensors()


def _as_tensor(value: Any) -> Any:
    """Return numbers as a tensor, float32 or int32, and tensors as they are."""
    is_of_tensors = isinstance(value, list) and all(map(tf.is_tensor, cast("list[Any]", value)))
    return cast("Any", value) if is_of_tensors else tf.constant(value)


def _relaxed(value: Any, tensor: Any) -> Any:
    """Return a shape that fits every step: of an eager tensor the batch may change."""
    shape = tensor.shape
    return shape if not hasattr(tensor, "numpy") or not shape.rank else tf.TensorShape([None, *shape[1:]])


def _sample_count(leaf: Any) -> Any:
    if isinstance(leaf, tf.RaggedTensor):
        return tf.cast(leaf.nrows(), tf.int32)
    return tf.cast(leaf.dense_shape[0], tf.int32) if isinstance(leaf, tf.SparseTensor) else tf.shape(leaf)[0]


def _of_any_size(tensor: Any) -> Any:
    """Return ``tensor`` without its static sizes: else the first is traced with its own, and the second once more."""
    return tf.compat.v1.placeholder_with_default(tensor, [None] * tensor.shape.rank)
