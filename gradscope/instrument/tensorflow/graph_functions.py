"""Activation functions that a graph shows as operations, such as a ``relu`` that was imported by its own name.

They pass no place where an observer stands, but the traced graph has them as operations, with their gradient as an
operation of its own whose output is the gradient at the pre-activation.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any

from gradscope.instrument.keras_border import keras
from gradscope.instrument.notes import Application, Frame, NotedTrace, Notes
from gradscope.instrument.recognition import is_attention
from gradscope.instrument.tensorflow.effects import called
from gradscope.instrument.tensorflow.framework import definition_named, tf

_FUNCTIONS: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "Relu": ("relu", tf.nn.relu),
    "Relu6": ("relu6", tf.nn.relu6),
    "Elu": ("elu", tf.nn.elu),
    "Selu": ("selu", tf.nn.selu),
    "Softplus": ("softplus", tf.nn.softplus),
    "Softsign": ("softsign", tf.nn.softsign),
    "Tanh": ("tanh", tf.nn.tanh),
    "Sigmoid": ("sigmoid", tf.nn.sigmoid),
    "Softmax": ("softmax", tf.nn.softmax),
}
_NESTED = {"PartitionedCall", "StatefulPartitionedCall", "While", "StatelessWhile", "If", "StatelessIf", "Case"}


def noted_trace(graph: Any, notes: Notes) -> NotedTrace:
    """Return the notes of a graph, with what the graph itself shows."""
    return NotedTrace(
        notes,
        [*notes.applications, *_graph_functions(graph, notes)],
        list(_nested_functions(graph, notes)),
        list(_basic_functions(graph, notes)),
    )


def _graph_functions(graph: Any, notes: Notes) -> list[Application]:
    """Return every application of a function in ``graph`` that no observer has met."""
    operations = graph.get_operations()
    gradients = _gradients(operations)
    found: list[Application] = []
    for number, frame in _unclaimed(len(operations), notes):
        operation = operations[number]
        named = _named(operation)
        if named is None or not operation.outputs[0].dtype.is_floating:
            continue
        name, function = named
        identity = operation.get_attr("alpha") if operation.type == "LeakyRelu" else "operation"
        z, a = operation.inputs[0], operation.outputs[0]
        made = Application(frame, "function", name, "", function, z, a, identity=identity)
        if operation.name in gradients:
            made.gradients.append(gradients[operation.name])
        found.append(made)
    return found


def _nested_functions(graph: Any, notes: Notes) -> Iterator[Any]:
    """Yield the layers that call something inside which a function is applied, out of reach."""
    operations = graph.get_operations()
    reached = {call.operation.name for call in notes.living_calls}
    for number, frame in _unclaimed(len(operations), notes):
        operation = operations[number]
        if operation.type not in _NESTED or operation.name in reached:
            continue
        if any(node in _FUNCTIONS or node == "LeakyRelu" for node in _nested_types(operation)):
            yield frame.layer


def _basic_functions(graph: Any, notes: Notes) -> Iterator[tuple[Any, str]]:
    """Yield layers of the user's own with an operation that may be an activation function written by hand.

    That is the larger or the smaller of a tensor and a number, as in ``maximum(z, 0)``: a ReLU that bears no name.
    """
    operations = graph.get_operations()
    for number, frame in _unclaimed(len(operations), notes):
        operation = operations[number]
        if operation.type not in ("Maximum", "Minimum") or not operation.outputs[0].dtype.is_floating:
            continue
        is_keras = isinstance(frame.layer, keras.layers.Layer) and type(frame.layer).__module__.startswith("keras.")
        has_number = any(source.shape.rank == 0 and source.op.type == "Const" for source in operation.inputs)
        if has_number and not is_keras:
            yield frame.layer, operation.type.lower()


def _named(operation: Any) -> tuple[str, Callable[[Any], Any]] | None:
    if operation.type == "LeakyRelu":
        return "leaky_relu", functools.partial(tf.nn.leaky_relu, alpha=operation.get_attr("alpha"))
    return _FUNCTIONS.get(operation.type)


def _unclaimed(count: int, notes: Notes) -> Iterator[tuple[int, Frame]]:
    """Yield the number of every operation inside a layer but outside a function that was met, with its layer."""
    innermost: list[Frame | None] = [None] * count
    for frame in notes.frames:  # outer frames come first, so inner ones overwrite them
        innermost[frame.start : frame.end] = [frame] * (frame.end - frame.start)
    for start, end in notes.claimed:
        innermost[start:end] = [None] * (end - start)
    for number, frame in enumerate(innermost):
        if frame is not None and not frame.hidden and not is_attention(frame.layer):
            yield number, frame


def _gradients(operations: list[Any]) -> dict[str, Any]:
    """Return, by name of the forward operation, the gradient at its input."""
    result: dict[str, Any] = {}
    for operation in operations:
        forward_type = operation.type.removesuffix("Grad")
        if forward_type == operation.type or not (forward_type in _FUNCTIONS or forward_type == "LeakyRelu"):
            continue
        for tensor in operation.inputs:
            candidates = [tensor.op] if tensor.op.type == forward_type else []
            candidates += [user for user in tensor.consumers() if user.type == forward_type]
            for forward in candidates:
                result.setdefault(forward.name, operation.outputs[0])
    return result


def _nested_types(operation: Any) -> Iterator[str]:
    """Yield the operation types inside the functions that ``operation`` calls, at any depth."""
    pending = list(called(operation.node_def))
    seen: set[str] = set()
    while pending:
        name = pending.pop()
        if name in seen:
            continue
        seen.add(name)
        for node in definition_named(name).node_def:
            yield node.op
            pending.extend(called(node))
