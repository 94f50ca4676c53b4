"""The border to TensorFlow: every private name of it that GradScope needs stands here.

It ships no types, so that from here on what comes from it is Any. A test asks for each of `PRIVATE_NAMES`: a
release that moves one fails that test with a sentence, and not a training.
"""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Sequence
from typing import Any

import tensorflow as _tensorflow
from tensorflow.python.eager import context as _context
from tensorflow.python.eager import imperative_grad as _imperative_grad
from tensorflow.python.eager import record as _record
from tensorflow.python.eager.polymorphic_function import atomic_function as _atomic_function
from tensorflow.python.eager.polymorphic_function import concrete_function as _concrete_function
from tensorflow.python.framework import func_graph as _func_graph
from tensorflow.python.framework import op_def_registry as _op_def_registry
from tensorflow.python.ops import resource_variable_ops as _resource_variable_ops

from gradscope.instrument.keras_border import value_of

tf: Any = _tensorflow
func_graphs: Any = _func_graph
imperative_gradients: Any = _imperative_grad
ConcreteFunction: Any = _concrete_function.ConcreteFunction
FunctionCallOptions: Any = _context.FunctionCallOptions
_any_context: Any = _context
_any_record: Any = _record
_atomic_functions: Any = _atomic_function
_op_defs: Any = _op_def_registry
_resource_variables: Any = _resource_variable_ops

PRIVATE_NAMES: dict[str, tuple[Any, Sequence[str]]] = {
    "tensorflow ConcreteFunction": (
        ConcreteFunction,
        ("_call_flat", "inference_fn", "function_def", "function_type", "captured_inputs", "graph"),
    ),
    "tensorflow func_graph": (func_graphs, ("FuncGraph", "func_graph_from_py_func")),
    "tensorflow imperative_grad": (imperative_gradients, ("imperative_grad",)),
    "tensorflow context": (
        _any_context.context(),
        (
            "call_function",
            "add_function_def",
            "remove_function",
            "get_function_def",
            "function_call_options",
            "op_callbacks",
        ),
    ),
    "tensorflow FunctionCallOptions": (FunctionCallOptions, ("config_proto_serialized", "executor_type")),
    "tensorflow atomic_function": (_atomic_functions, ("InterpolateRuntimeError",)),
    "tensorflow OpError": (tf.errors.OpError(None, None, "", 0), ("_message",)),
    "tensorflow Dataset": (tf.data.Dataset, ("_as_serialized_graph",)),
    "tensorflow record": (_any_record, ("could_possibly_record",)),
    "tensorflow op_def_registry": (_op_defs, ("get",)),
    "tensorflow resource_variable_ops": (_resource_variables, ("ResourceVariable",)),
    "tensorflow replica context": (tf.distribute.ReplicaContext(None, 0), ("_replica_id_in_sync_group",)),
}
"""What recording asks of TensorFlow beyond its public names."""


def definition(function: Any) -> Any:
    """Return the definition of a traced function, as it runs."""
    return function.function_def


def definition_named(name: str) -> Any:
    """Return the definition of a function that was made before."""
    return _any_context.context().get_function_def(name)


def register(function_definition: Any) -> None:
    """Make a definition known, so that it can be called by its name."""
    _any_context.context().add_function_def(function_definition)


def forget(name: str) -> None:
    """Forget a definition."""
    _any_context.context().remove_function(name)


def call(name: str, inputs: Sequence[Any], output_count: int) -> list[Any]:
    """Return the outputs of the function of that name."""
    return _any_context.context().call_function(name.encode(), list(inputs), output_count) or []


def call_options() -> Any:
    """Return how this thread calls functions: what of a function is optimised, and by what it is executed."""
    return _any_context.context().function_call_options


@contextlib.contextmanager
def called_with(options: Any) -> Generator[None]:
    """Have this thread call functions with other options meanwhile."""
    context = _any_context.context()
    before = context.function_call_options
    context.function_call_options = options
    try:
        yield
    finally:
        context.function_call_options = before


@contextlib.contextmanager
def without_operation_callbacks() -> Generator[None]:
    """Have nobody told of this thread's operations meanwhile: `tf.debugging.enable_check_numerics` raises over them."""
    callbacks: list[Any] = _any_context.context().op_callbacks
    before = [*callbacks]
    callbacks.clear()
    try:
        yield
    finally:
        callbacks[:] = before


def operation_kind(type_name: str) -> Any:
    """Return TensorFlow's definition of a type of operation; None of an unknown one."""
    return _op_defs.get(type_name)


def tell_where(error: Any, function: Any) -> None:
    """Say in an error where the operation that raised it was made, as TensorFlow does for a traced function."""
    _atomic_functions.InterpolateRuntimeError(function.inference_fn).__exit__(type(error), error, None)


def reworded(error: Any, message: str) -> None:
    """Let an error of an operation say something else."""
    error._message = message


def graph_of_dataset(dataset: Any) -> Any:
    """Return the definition of the graph that makes a `tf.data.Dataset`, states outside of it left out."""
    policy = tf.data.experimental.ExternalStatePolicy.IGNORE
    return tf.compat.v1.GraphDef.FromString(dataset._as_serialized_graph(external_state_policy=policy).numpy())


def is_taped() -> bool:
    """Return whether a gradient tape may be looking at what runs now."""
    return bool(_any_record.could_possibly_record())


def replica_number() -> int:
    """Return the number of the replica that is being traced, or runs; 0 outside of replicas.

    The public name makes an operation of it.
    """
    context = tf.distribute.get_replica_context()
    number = getattr(context, "_replica_id_in_sync_group", 0)
    known = tf.get_static_value(number) if tf.is_tensor(number) else number
    return 0 if known is None else int(known)


def packed_outputs(function: Any, flat: Sequence[Any]) -> Any:
    """Return the flat outputs of a traced function as its caller expects them."""
    return function.function_type.pack_output(list(flat))


def values_of(variable: Any) -> list[Any]:
    """Return the TensorFlow variables behind a Keras variable: several where it is mirrored."""
    inner = value_of(variable)
    several: Any = getattr(inner, "values", None)
    return [*several] if isinstance(several, (tuple, list)) else [inner]


def read(handle: Any) -> Any:
    """Return the value of the variable behind a handle: its own buffer, until it is written again."""
    (held,) = handle._handle_data.shape_and_type
    with tf.device(handle.device):
        return tf.raw_ops.ReadVariableOp(resource=handle, dtype=tf.dtypes.as_dtype(held.dtype))


def is_variable(tensor: Any) -> bool:
    """Return whether a captured tensor is the handle of a variable."""
    held = getattr(getattr(tensor, "_handle_data", None), "shape_and_type", ())
    return tensor.dtype == tf.resource and len(held) == 1


def copied(handle: Any) -> Any:
    """Return a variable of its own with the same value, on the same device, whatever strategy is in force."""
    with tf.device(handle.device):
        return _resource_variables.ResourceVariable(tf.identity(read(handle)), trainable=False)


def traces(function: Any) -> list[Any]:
    """Return every concrete function of a `tf.function`."""
    return list(function._list_all_concrete_functions()) if hasattr(function, "_list_all_concrete_functions") else []
