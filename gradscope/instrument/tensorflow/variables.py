"""Variables of a traced step: which ones it may write, putting them back, and what the real step did to the weights."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from gradscope.instrument.tensorflow.framework import tf
from gradscope.instrument.tensorflow.sharing import of_any_size, shared
from gradscope.statistics.moments import SMALLEST_SAFE, difference_norm, scaled_norm

_READING = frozenset({"ReadVariableOp", "ResourceGather", "ResourceGatherNd", "VariableShape", "VarIsInitializedOp"})
_SIDE_EFFECTS = frozenset(
    {
        "PyFunc",
        "EagerPyFunc",
        "WriteFile",
        "SaveV2",
        "LookupTableInsertV2",
        "LookupTableRemoveV2",
        "MutableHashTableV2",
        "QueueEnqueueV2",
        "QueueDequeueV2",
        "IteratorGetNext",
        "WriteSummary",
        "WriteScalarSummary",
        "WriteRawProtoSummary",
        "CollectiveReduceV2",
    }
)


def written_variables(graph: Any) -> list[Any]:
    """Return the variables that ``graph`` may write: all of those it does more with than read.

    A handle that goes into a loop or a function counts as written, since what happens there is not looked at.
    """
    handles = {id(internal): external for external, internal in graph.captures}
    written = {
        id(handles[id(tensor)])
        for operation in graph.get_operations()
        if operation.type not in _READING
        for tensor in operation.inputs
        if tensor.dtype == tf.resource and id(tensor) in handles
    }
    return [variable for variable in graph.variables if id(variable.handle) in written]


def side_effects(graph: Any) -> list[str]:
    """Return the types of operations in ``graph`` whose effect would happen a second time in a replay."""
    types = {operation.type for operation in graph.get_operations()}
    library = graph.as_graph_def().library.function
    types |= {node.op for function in library for node in function.node_def}
    return sorted(types & _SIDE_EFFECTS)


def _copies_of(variables: Sequence[Any]) -> Callable[[], list[Any]]:
    """Return a function that copies the values of all variables in one call.

    It is traced once, here: TensorFlow warns the user of a `tf.function` that several trainings in one process trace.
    """
    copies = tf.function(lambda: [tf.identity(variable) for variable in variables], autograph=False)
    return copies.get_concrete_function()


def _specs(variables: Sequence[Any]) -> list[Any]:
    return [tf.TensorSpec(variable.shape, variable.dtype) for variable in variables]


class Restoration:
    """Keeps the values of variables and puts them back, each in one call."""

    def __init__(self, variables: Sequence[Any]) -> None:
        self.variables = list(variables)
        self._copy = _copies_of(self.variables)
        self._assign = tf.function(self._put, autograph=False).get_concrete_function(_specs(self.variables))

    def _put(self, values: list[Any]) -> None:
        for variable, value in zip(self.variables, values, strict=True):
            variable.assign(value)

    def save(self) -> list[Any]:
        """Return copies of all values."""
        return self._copy()

    def put_back(self, values: list[Any]) -> None:
        """Assign what `save` returned."""
        self._assign(values)


class Updates:
    """Norms of weights, and of what one training step added to them."""

    def __init__(self, variables: Sequence[Any]) -> None:
        self.variables = list(variables)
        self._copy = _copies_of(self.variables)
        self._norms = tf.function(self._weight_and_update_norms, autograph=False).get_concrete_function(
            _specs(self.variables)
        )

    def _weight_and_update_norms(self, before: list[Any]) -> Any:
        if not self.variables:
            return tf.zeros((0, 2))
        pairs = [
            (tf.cast(old, tf.float32), tf.cast(variable, tf.float32))
            for old, variable in zip(before, self.variables, strict=True)
        ]
        # One pass over each tensor, and no memory for its squares.
        halves = [[tf.nn.l2_loss(old), tf.nn.l2_loss(new - old)] for old, new in pairs]
        square_sums = 2.0 * tf.stack([tf.stack(row) for row in halves])
        is_safe = (square_sums > SMALLEST_SAFE) & (square_sums < math.inf)
        norms = tf.sqrt(square_sums)

        def by_scale() -> Any:
            norm, change = shared(_norm_unless), shared(_difference_norm_unless)
            rows: list[Any] = []
            for number, pair in enumerate(pairs):
                # As vectors of any size, so that each is traced once.
                old, new = (of_any_size(tf.reshape(x, [-1])) for x in pair)
                safe, known = is_safe[number], norms[number]
                rows.append(tf.stack([norm(safe[0], known[0], old), change(safe[1], known[1], new, old)]))
            return tf.stack(rows)

        return tf.cond(tf.reduce_all(is_safe), lambda: norms, by_scale)

    def before(self) -> list[Any]:
        """Return a copy of the weights."""
        return self._copy()

    def norms(self, before: list[Any]) -> Any:
        """Return weight norms before the step and norms of what it added, shape ``(variables, 2)``, float32."""
        return self._norms(before).numpy()


def _norm_unless(is_known: Any, norm: Any, x: Any) -> Any:
    return tf.cond(is_known, lambda: norm, lambda: scaled_norm(x))


def _difference_norm_unless(is_known: Any, norm: Any, after: Any, before: Any) -> Any:
    return tf.cond(is_known, lambda: norm, lambda: difference_norm(after, before))
