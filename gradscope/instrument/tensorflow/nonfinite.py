"""The operation of a step at which its numbers stop being finite, found by running the step once more.

What suffers is the loss or a gradient; an infinity that a mask has put somewhere is not. From there the way leads back
from each operation to one of its inputs that is not finite, and ends at an operation all of whose inputs are: that one
made it. Only of each tensor whether it is finite leaves the step, so that no memory is needed for all at once.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from gradscope.instrument.tensorflow.framework import tf
from gradscope.instrument.tensorflow.step_graph import StepGraph, key_of
from gradscope.records import NonFiniteOrigin, OriginKind

Run = Callable[..., list[Any]]
"""Returns the values of tensors in one step; with ``as_finite`` only of each whether it is finite."""

_KINDS: dict[OriginKind, str] = {
    "root": "Sqrt SqrtGrad Rsqrt RsqrtGrad",
    "logarithm": "Log Log1p Xlogy Xlog1py",
    "division": "RealDiv Div Reciprocal Inv ReciprocalGrad Xdivy",
    "power": "Pow",
    "exponential": "Exp Expm1 Sinh Cosh",
    "domain": "Acos Asin Acosh Atanh Atan2 Lgamma Digamma Erfinv Cholesky MatrixInverse",
    "loop": "While StatelessWhile PartitionedCall StatefulPartitionedCall If StatelessIf CudnnRNNV3",
    "weights": "ReadVariableOp ResourceGather",
}
_KIND: dict[str, OriginKind] = {name: kind for kind, names in _KINDS.items() for name in names.split()}
_BACKWARD = "gradient_tape/"
_LARGE = 1e-3  # of the largest number of the format: squares and products of such inputs overflow


def nonfinite_origin(
    step: StepGraph, losses: Sequence[Any], gradients: Sequence[Any], labels: Sequence[Any], run: Run
) -> NonFiniteOrigin | None:
    """Return where the numbers of a step stop being finite; None where they do not.

    Args:
        step: Its operations.
        losses: What it trains by.
        gradients: Of its weights, in the order of the model.
        labels: Those of its inputs that are labels.
        run: Runs it.
    """
    ends = [*losses, *reversed(gradients)]  # gradients nearest to the loss first
    needed = step.depended_on(ends)
    tensors = [
        output
        for graph in step.graphs
        for operation in graph.get_operations()
        if key_of(operation) in needed and operation.type not in ("Const", "ReadVariableOp")
        for output in operation.outputs
        if output.dtype.is_floating
    ]
    reads = [
        output
        for graph in step.graphs
        for operation in graph.get_operations()
        if key_of(operation) in needed and operation.type == "ReadVariableOp"
        for output in operation.outputs
        if output.dtype.is_floating
    ]
    wanted = [*tensors, *reads]
    flags = run(wanted, as_finite=True)
    bad = {id(tensor) for tensor, flag in zip(wanted, flags, strict=True) if not flag}
    end = next((tensor for tensor in ends if id(tensor) in bad), None)
    if end is None:
        return None
    return _described(step, _first(step, end, bad), labels, run)


def _first(step: StepGraph, end: Any, bad: set[int]) -> Any:
    """Return the first tensor on the way to ``end`` that is not finite."""
    calls: list[Any] = []  # those inside of which the way leads
    tensor = end
    while True:
        operation = tensor.op
        if operation.type == "Placeholder" and calls:
            call, function = calls.pop()
            number = next(at for at, argument in enumerate(function.inputs) if argument is tensor)
            tensor = call.inputs[number]
            continue
        inner = step.inner(operation)
        if inner is not None and tensor.value_index < len(inner.outputs):
            output = inner.outputs[tensor.value_index]
            if id(output) in bad:
                calls.append((operation, inner))
                tensor = output
                continue
        sources = [source for source in operation.inputs if id(source) in bad]
        if not sources:
            return tensor
        tensor = min(sources, key=lambda source: step.number(source.op))


def _described(step: StepGraph, tensor: Any, labels: Sequence[Any], run: Run) -> NonFiniteOrigin:
    operation = tensor.op
    if operation.type == "Placeholder":
        kind: OriginKind = "labels" if any(tensor is label for label in labels) else "data"
        return NonFiniteOrigin(operation.type, kind, dtype=tensor.dtype.name)
    if _KIND.get(operation.type) == "weights":
        after, before = step.neighbours(operation)
        return NonFiniteOrigin(operation.type, "weights", False, step.layer(operation), after, before)
    is_backward = key_of(operation) not in step.forward
    forward = _forward_of(step, operation) if is_backward else operation
    found = forward if forward is not None else operation
    inputs = [source for source in found.inputs if source.dtype.is_floating and key_of(source.op) in step.forward]
    lowest, highest = _range(_telling(found, inputs), run)
    kind = _kind(found, tensor, lowest, highest)
    stands = found if not is_backward or forward is not None else _same_scope(step, operation)
    layer = "" if stands is None else step.layer(stands)
    after, before = ("", "") if stands is None else step.neighbours(stands)
    guarded = is_backward and any(user.type in ("SelectV2", "Select", "Where") for user in _users(found, step))
    name = found.type.removesuffix("Grad")
    return NonFiniteOrigin(name, kind, is_backward, layer, after, before, tensor.dtype.name, lowest, highest, guarded)


def _kind(operation: Any, tensor: Any, lowest: float, highest: float) -> OriginKind:
    kind: OriginKind = _KIND.get(operation.type, "other")
    largest = max(abs(lowest), abs(highest))
    limit = float(tensor.dtype.max)
    at_edge = {
        "root": lowest <= 0,
        "logarithm": lowest <= 0,
        "division": lowest <= 0 <= highest,
        "power": lowest <= 0,
    }.get(kind, True)
    if kind in ("loop", "domain", "exponential") or (kind != "other" and (at_edge or math.isnan(largest))):
        return kind
    # Products and sums of numbers this large are larger than the format holds; half precision reaches it with any.
    return "overflow" if largest > math.sqrt(limit) * _LARGE or tensor.dtype == tf.float16 else "other"


def _telling(operation: Any, inputs: Sequence[Any]) -> Any:
    """Return the input that an operation is not defined everywhere on: of a division the divisor."""
    if not inputs:
        return None
    return inputs[-1] if _KIND.get(operation.type) == "division" else inputs[0]


def _range(tensor: Any, run: Run) -> tuple[float, float]:
    if tensor is None:
        return math.nan, math.nan
    (value,) = run([tensor])
    array = np.asarray(tf.cast(value, tf.float64))
    finite = array[np.isfinite(array)]
    return (float(finite.min()), float(finite.max())) if finite.size else (math.nan, math.nan)


def _forward_of(step: StepGraph, operation: Any) -> Any:
    """Return the operation whose gradient another one is part of; None where none that matters is known.

    A gradient's operations bear the name of the one that they belong to, or its scope, and read its input or output.
    """
    name = _belongs_to(operation)
    read = {id(tensor) for tensor in operation.inputs}
    around = {id(tensor) for source in operation.inputs for tensor in source.op.inputs}
    candidates = [
        other
        for other in operation.graph.get_operations()
        if key_of(other) in step.forward
        and _KIND.get(other.type) not in (None, "weights")
        and (other.name == name or _parent(other.name) == name)
    ]
    for tensors in (read, around):
        near = [
            other for other in candidates if any(id(tensor) in tensors for tensor in (*other.inputs, *other.outputs))
        ]
        if near:
            return near[0]
    edge = [other for other in candidates if _KIND[other.type] != "division"]
    return edge[-1] if len(edge) == 1 else None


def _same_scope(step: StepGraph, operation: Any) -> Any:
    """Return an operation of the forward pass in the scope that a gradient's operation belongs to; None without one."""
    name = _belongs_to(operation)
    named = (other for other in operation.graph.get_operations() if key_of(other) in step.forward)
    return next((other for other in named if name and f"{other.name}/".startswith(f"{name}/")), None)


def _belongs_to(operation: Any) -> str:
    """Return the name or the scope of the operation of whose gradient this one is a part."""
    return _parent(operation.name.split(_BACKWARD)[-1])


def _parent(name: str) -> str:
    return name.rpartition("/")[0]


def _users(operation: Any, step: StepGraph) -> list[Any]:
    return [user for output in operation.outputs for user in output.consumers() if key_of(user) in step.forward]
