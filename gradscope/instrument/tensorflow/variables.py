"""Variables of a traced step: which ones it may write, putting them back, and what the real step did to the weights."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from gradscope.instrument.tensorflow.framework import tf
from gradscope.instrument.tensorflow.norms import weight_and_update_norms

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
        return weight_and_update_norms([tf.convert_to_tensor(variable) for variable in self.variables], before)

    def before(self) -> list[Any]:
        """Return a copy of the weights."""
        return self._copy()

    def norms(self, before: list[Any]) -> Any:
        """Return weight norms before the step and norms of what it added, shape ``(variables, 2)``, float32."""
        return self._norms(before).numpy()
