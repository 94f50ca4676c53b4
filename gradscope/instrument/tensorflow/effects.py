"""What running a traced function does beside returning tensors: which variables it writes, what it does outside.

It is read off the definition, operation by operation and into every function that is called, so that a branch or a
loop hides nothing. What is not known to be harmless counts as an effect.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from gradscope.instrument.tensorflow.framework import definition_named, operation_kind

_READING = frozenset({"ReadVariableOp", "ResourceGather", "ResourceGatherNd", "VariableShape", "VarIsInitializedOp"})
_WRITING = ("Assign", "ResourceApply", "ResourceSparseApply", "ResourceScatter", "ResourceStridedSliceAssign")
_ON_GENERATORS = ("Stateful", "RngSkip", "RngReadAndSkip")
_HARMLESS = frozenset(
    {
        "Assert",
        "CheckNumerics",
        "CheckNumericsV2",
        "CudnnRNN",
        "CudnnRNNBackprop",
        "CudnnRNNBackpropV2",
        "CudnnRNNBackpropV3",
        "CudnnRNNV2",
        "CudnnRNNV3",
        "DeepCopy",
        "DeviceIndex",
        "Empty",
        "GuaranteeConst",
        "IsTensorFloat32Enabled",
        "LookupTableExportV2",
        "LookupTableFindV2",
        "LookupTableSizeV2",
        "NoOp",
        "Placeholder",
        "StatelessRandomGetAlg",
        "Timestamp",
        "_Arg",
        "_Retval",
    }
)
_CALLS = frozenset({"PartitionedCall", "StatefulPartitionedCall"})
_CONTROL = frozenset({"While", "StatelessWhile", "If", "StatelessIf", "Case", "StatelessCase"})


@dataclass(frozen=True, slots=True)
class Effects:
    """What a function does.

    Attributes:
        written: Its arguments, by number, that are variables which it may write.
        outside: Types of operations with an effect that no variable holds.
        random: Whether it draws from random generators that are part of its operations.
    """

    written: frozenset[int]
    outside: frozenset[str]
    random: bool


def effects_of(function_definition: Any, own_iterators: frozenset[int] = frozenset()) -> Effects:
    """Return what a function does.

    Args:
        function_definition: Its definition.
        own_iterators: Arguments that are the iterator of the training itself: to draw from it is no effect.
    """
    names = [argument.name for argument in function_definition.signature.input_arg]
    number = {name: index for index, name in enumerate(names)}
    written: set[int] = set()
    outside: set[str] = set()
    random = False
    for node in function_definition.node_def:
        arguments = [number.get(name) for name in node.input if not name.startswith("^")]
        if node.op in _CALLS or node.op in _CONTROL:
            skipped = 0 if node.op in _CALLS or "While" in node.op else 1
            inner_iterators = frozenset(i for i, outer in enumerate(arguments[skipped:]) if outer in own_iterators)
            for name in called(node):
                inner = effects_of(definition_named(name), inner_iterators)
                written |= {outer for i in inner.written for outer in [arguments[i + skipped]] if outer is not None}
                outside |= inner.outside
                random = random or inner.random
            continue
        if node.op in _READING or node.op in _HARMLESS:
            continue
        resources = {index for index in arguments if index is not None}
        if node.op.startswith(_WRITING) or node.op.startswith(_ON_GENERATORS):
            written |= resources
            continue
        if resources & own_iterators:
            continue
        kind = operation_kind(node.op)
        if kind is None or not kind.is_stateful:
            continue
        if _is_random(kind):
            random = True
        else:
            outside.add(node.op)
    return Effects(frozenset(written), frozenset(outside), random)


def _is_random(kind: Any) -> bool:
    """Return whether an operation is a random generator that keeps its state itself."""
    attributes = {attribute.name for attribute in kind.attr}
    handles = {"resource", "variant"} & {str(argument.type) for argument in kind.input_arg}
    return {"seed", "seed2"} <= attributes and not handles and "Dataset" not in kind.name


def called(node: Any) -> Iterator[str]:
    """Yield the names of the functions that an operation calls."""
    for value in node.attr.values():
        if value.HasField("func"):
            yield value.func.name
        elif value.HasField("list"):
            yield from (function.name for function in value.list.func)
