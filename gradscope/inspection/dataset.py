"""The first elements of a `tf.data.Dataset`, read so that the dataset does not notice.

Every iteration of a shuffled dataset moves its random state on: whoever looks at the first batch changes the order in
which the training sees all of them. So a copy is read. It is made from the dataset's own graph, in which the resources
that hold a state (of shuffling, of a cache) get other names, so that the copy makes its own.
"""

from __future__ import annotations

import itertools
import uuid
from typing import Any

from gradscope.errors import ArgumentError
from gradscope.instrument.tensorflow.framework import tf

_STATEFUL = frozenset({"ShuffleDatasetV3", "ShuffleAndRepeatDatasetV2", "CacheDatasetV2"})


def first_elements(dataset: Any, count: int) -> list[Any]:
    """Return up to ``count`` elements of ``dataset``.

    Raises:
        ArgumentError: If the dataset cannot be copied.
    """
    try:
        return list(itertools.islice(iter(_copy(dataset)), count))
    except (tf.errors.FailedPreconditionError, tf.errors.UnimplementedError, AttributeError, StopIteration) as error:
        raise ArgumentError(
            f"x={dataset!r} cannot be read without moving it on: {error}. Pass one batch of it instead, for example "
            f"gradscope.preflight(model, *next(iter(dataset)))."
        ) from error


def _copy(dataset: Any) -> Any:
    policy = tf.data.experimental.ExternalStatePolicy.IGNORE
    graph = tf.compat.v1.GraphDef.FromString(dataset._as_serialized_graph(external_state_policy=policy).numpy())
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
