"""Batches as a training would have them: of a `tf.data.Dataset` that does not notice, and of arrays.

Every iteration of a shuffled dataset moves its random state on: whoever looks at the first batch changes the order in
which the training sees all of them. So a copy is read. It is made from the dataset's own graph, in which the resources
that hold a state (of shuffling, of a cache) get other names, so that the copy makes its own.
"""

from __future__ import annotations

import itertools
import uuid
from typing import Any

from gradscope.errors import ArgumentError
from gradscope.instrument.backend import Batches
from gradscope.instrument.keras_border import data_adapter, keras
from gradscope.instrument.tensorflow.framework import graph_of_dataset, tf

_STATEFUL = frozenset({"ShuffleDatasetV3", "ShuffleAndRepeatDatasetV2", "CacheDatasetV2"})


def batches_of_dataset(dataset: Any, count: int) -> Batches:
    """Return up to ``count`` first batches of ``dataset``, which does not notice.

    Raises:
        ArgumentError: If the dataset cannot be copied.
    """
    try:
        elements: list[Any] = list(itertools.islice(iter(_copy(dataset)), count))
    except (tf.errors.FailedPreconditionError, tf.errors.UnimplementedError, AttributeError, StopIteration) as error:
        raise ArgumentError(
            f"x={dataset!r} cannot be read without moving it on: {error}. Pass one batch of it instead, for example "
            f"gradscope.preflight(model, *next(iter(dataset)))."
        ) from error
    return Batches(_whole(elements), dataset.element_spec)


def batches_of_arrays(x: Any, y: Any, sample_weight: Any, *, size: int, count: int) -> Batches:
    """Return up to ``count`` first batches of ``size`` samples, as `fit` would make them.

    Raises:
        ArgumentError: If they cannot be trained on.
    """

    def beginning(leaf: Any) -> Any:
        is_sparse = isinstance(leaf, tf.SparseTensor) or not hasattr(leaf, "__getitem__")
        return leaf if leaf is None or is_sparse else leaf[: size * count]

    parts = [keras.tree.map_structure(beginning, part) for part in (x, y, sample_weight)]
    try:
        adapter = data_adapter(*parts, batch_size=size)
    except ValueError as error:
        raise ArgumentError(f"The data cannot be trained on: {error}") from error
    dataset = adapter.get_tf_dataset()
    return Batches(_whole(list(dataset)), dataset.element_spec)


def plain_values(leaf: Any) -> Any:
    """Return the values of a tensor; None for one that is ragged, sparse, text or absent."""
    is_plain = tf.is_tensor(leaf) and isinstance(leaf, tf.Tensor) and leaf.dtype != tf.string
    return leaf.numpy() if is_plain else None


def _whole(elements: list[Any]) -> tuple[Any, ...]:
    """Return the first element and those that have as many samples: a short last one would weigh as much."""
    lengths = [_length(element) for element in elements]
    return tuple(element for element, length in zip(elements, lengths, strict=True) if length == lengths[0])


def _length(element: Any) -> int:
    leaf = tf.nest.flatten(element)[0]
    return int(leaf.nrows() if isinstance(leaf, tf.RaggedTensor) else leaf.shape[0])


def _copy(dataset: Any) -> Any:
    graph = graph_of_dataset(dataset)
    end = next(node for node in graph.node if node.op == "_Retval")
    name = end.input[0] if ":" in end.input[0] else f"{end.input[0]}:0"
    graph.node.remove(end)
    _rename_resources(graph)

    def variant() -> Any:
        return tf.graph_util.import_graph_def(graph, return_elements=[name], name="")[0]

    # A concrete function: TensorFlow warns the user when a `tf.function` is traced again and again.
    copied = tf.function(variant, autograph=False).get_concrete_function()()
    return tf.data.experimental.from_variant(copied, dataset.element_spec)


def _rename_resources(graph: Any) -> None:
    """Give the resources that hold a state new names, and the copy of a cache in a file a place in memory."""
    suffix = f"/{uuid.uuid4().hex}"
    inputs = {source.split(":")[0] for node in graph.node if node.op in _STATEFUL for source in node.input}
    for node in graph.node:
        if node.name in inputs and node.op == "Const":
            tensor = node.attr["value"].tensor
            for handle in tensor.resource_handle_val:
                handle.name += suffix
            tensor.string_val[:] = [b"" for _ in tensor.string_val]
