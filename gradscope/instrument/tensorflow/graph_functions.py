"""Activation functions that TensorFlow's own names apply, such as ``tf.nn.relu`` inside a subclassed ``call``.

They belong to no attribute that could be tapped, but the traced graph shows them as operations, with their gradient as
an operation of its own whose output is the gradient at the pre-activation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from gradscope.instrument.taps import ELSEWHERE, Frame, Tracer
from gradscope.instrument.tensorflow.framework import tf

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


def take_graph_functions(graph: Any, tracer: Tracer) -> None:
    """Add to ``tracer`` every activation function in ``graph`` that no tap has taken."""
    operations = graph.get_operations()
    gradients = _gradients(operations)
    for number, frame in _unclaimed(len(operations), tracer):
        operation = operations[number]
        if operation.type in _NESTED:
            if any(node in _FUNCTIONS or node == "LeakyRelu" for node in _nested_types(graph, operation)):
                tracer.miss(frame.key or operation.name, ELSEWHERE)
            continue
        named = _named(operation)
        if named is None or not operation.outputs[0].dtype.is_floating:
            continue
        name, function = named
        place, key = Tracer.function_site(frame, name)
        if not tracer.wants(place.key):
            continue
        application = tracer.application(place, name, function, key=key)
        application.identity = operation.get_attr("alpha") if operation.type == "LeakyRelu" else "operation"
        if operation.name in gradients:
            application.receiver()(gradients[operation.name])
        application.pre.append(operation.inputs[0])
        application.post.append(operation.outputs[0])
        tracer.keep(application, frame.mask)


def _named(operation: Any) -> tuple[str, Callable[[Any], Any]] | None:
    if operation.type == "LeakyRelu":
        slope = operation.get_attr("alpha")
        return "leaky_relu", lambda x: tf.nn.leaky_relu(x, slope)
    return _FUNCTIONS.get(operation.type)


def _unclaimed(count: int, tracer: Tracer) -> Iterator[tuple[int, Frame]]:
    """Yield the number of every operation inside a layer but outside a tapped function, with its innermost layer."""
    innermost: list[Frame | None] = [None] * count
    for frame in tracer.frames:  # outer frames come first, so inner ones overwrite them
        innermost[frame.start : frame.end] = [frame] * (frame.end - frame.start)
    for span in tracer.claimed:
        innermost[span.start : span.end] = [None] * (span.end - span.start)
    for number, frame in enumerate(innermost):
        if frame is not None and not frame.hidden and not tracer.is_attention(frame):
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


def _nested_types(graph: Any, operation: Any) -> Iterator[str]:
    """Yield the operation types inside the functions that ``operation`` calls, at any depth."""
    pending = list(_called(operation.node_def))
    seen: set[str] = set()
    while pending:
        name = pending.pop()
        if name in seen:
            continue
        seen.add(name)
        function = graph._get_function(name)
        if function is None:
            continue
        for node in function.cached_definition.node_def:
            yield node.op
            pending.extend(_called(node))


def _called(node: Any) -> Iterator[str]:
    for value in node.attr.values():
        if value.HasField("func"):
            yield value.func.name
        elif value.HasField("list"):
            yield from (function.name for function in value.list.func)
