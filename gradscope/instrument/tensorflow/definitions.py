"""The training's own function with further outputs: its definition, copied and added to.

A traced function is a list of operations and the names of those whose values it returns. The recorded step is that list
as it stands, returning more. Nothing is traced for it. Where a tensor lies in a function that the step calls, that
function is given further outputs too, and so is the call.

Observing asks for the tensors alone: of each function only the operations are left that they depend on, and what the
step would have done with them, such as updating weights, is not among these.
"""

from __future__ import annotations

import itertools
import re
import weakref
from collections.abc import Iterable, Sequence
from typing import Any

from gradscope.instrument.tensorflow.effects import Effects, effects_of
from gradscope.instrument.tensorflow.framework import call, definition, definition_named, forget, register, tf
from gradscope.instrument.tensorflow.watching import notes_of

_NUMBERS = itertools.count()
_SUFFIX = "_observed_"


class UnreachableError(Exception):
    """A tensor lies where no output can be led out of."""


class Extended:
    """A function that returns what another returns, and more.

    Args:
        function: A traced function.
        wanted: Tensors of its graph, or of the graph of a function that it calls.
        keeps: Whether it also does and returns what ``function`` does and returns.
        as_finite: Whether of each tensor that is wanted only is returned whether all of it is finite.

    Raises:
        UnreachableError: If a tensor lies in a loop, a branch or a trace of its own.
    """

    def __init__(self, function: Any, wanted: Sequence[Any], *, keeps: bool, as_finite: bool = False) -> None:
        self._definitions: list[Any] = []
        base, self._positions = self._with_outputs(function, definition(function), wanted, keeps=keeps)
        if as_finite:
            _return_whether_finite(base, self._positions)
        self.own_count = len(function.outputs) if keeps else 0
        self.output_count = len(base.signature.output_arg)
        self.input_count = len(base.signature.input_arg)
        self.name: str = base.signature.name
        self.definition = base
        for inner in self._definitions:  # inner ones first, so that outer ones find them
            register(inner)
        weakref.finalize(self, _forget, [inner.signature.name for inner in self._definitions])

    def __call__(self, inputs: Sequence[Any]) -> tuple[list[Any], list[Any]]:
        """Return the function's own outputs, and the tensors that were wanted, in their order."""
        outputs = call(self.name, inputs, self.output_count)
        return outputs[: self.own_count], [outputs[at] for at in self._positions]

    def effects(self, own_iterators: frozenset[int] = frozenset()) -> Effects:
        """Return what running it does beside returning tensors."""
        return effects_of(self.definition, own_iterators)

    def _with_outputs(self, function: Any, base: Any, wanted: Sequence[Any], *, keeps: bool) -> tuple[Any, list[int]]:
        """Return a definition with further outputs, and at which place among its outputs each wanted tensor is."""
        graph = function.graph
        changed = type(base)()
        changed.CopyFrom(base)
        changed.signature.name = f"{base.signature.name}{_SUFFIX}{next(_NUMBERS)}"
        nodes = {node.name: node for node in changed.node_def}
        if not keeps:
            del changed.signature.output_arg[:]
            changed.ret.clear()
            del changed.signature.control_output[:]
            changed.control_ret.clear()
        inner: dict[int, tuple[Any, Any]] = {}
        names: list[str] = []
        for tensor in wanted:
            names.append(self._name(graph, changed, nodes, tensor) if tensor.graph is graph else "")
            if tensor.graph is not graph:
                link = _link(graph, tensor.graph)
                inner[id(link)] = (link, [*inner.get(id(link), (link, []))[1], tensor])
        for link, tensors in inner.values():
            found = self._through(link, tensors, nodes, keeps=keeps or self._needs_all(link, names))
            for index, tensor in enumerate(wanted):
                if id(tensor) in found:
                    names[index] = found[id(tensor)]
        positions: list[int] = []
        for name, tensor in zip(names, wanted, strict=True):
            argument = changed.signature.output_arg.add()
            argument.name = f"observed_{len(changed.signature.output_arg)}"
            argument.type = tensor.dtype.as_datatype_enum
            changed.ret[argument.name] = name
            positions.append(len(changed.signature.output_arg) - 1)
        if not keeps:
            _prune(changed)
        self._definitions.append(changed)
        return changed, positions

    def _needs_all(self, link: Any, names: Iterable[str]) -> bool:
        """Return whether the call's own outputs are wanted too, so that all of it has to run."""
        return any(name.split(":")[0] == link.operation.name for name in names) or any(
            consumer.type not in ("Identity", "NoOp")
            for output in link.operation.outputs
            for consumer in output.consumers()
        )

    @staticmethod
    def _name(graph: Any, changed: Any, nodes: dict[str, Any], tensor: Any) -> str:
        """Return what a definition calls a tensor of its graph."""
        operation = tensor.op
        if operation.type == "Placeholder":
            for index, argument in enumerate(graph.inputs):
                if argument is tensor:
                    return changed.signature.input_arg[index].name
        if operation.name not in nodes:
            raise UnreachableError(tensor.name)
        at = tensor.value_index
        for argument in operation.op_def.output_arg:
            size = 1
            if argument.number_attr:
                size = operation.get_attr(argument.number_attr)
            elif argument.type_list_attr:
                size = len(operation.get_attr(argument.type_list_attr))
            if at < size:
                return f"{operation.name}:{argument.name}:{at}"
            at -= size
        raise UnreachableError(tensor.name)

    def _through(self, link: Any, wanted: Sequence[Any], nodes: dict[str, Any], *, keeps: bool) -> dict[int, str]:
        """Give a function that is called, and its call, further outputs; return the names of the wanted ones."""
        node = nodes.get(link.operation.name)
        if node is None or node.op not in ("PartitionedCall", "StatefulPartitionedCall"):
            raise UnreachableError(link.operation.name)
        base = definition_named(node.attr["f"].func.name)
        changed, positions = self._with_outputs(link.function, base, wanted, keeps=keeps)
        node.attr["f"].func.name = changed.signature.name
        node.attr["Tout"].list.type[:] = [argument.type for argument in changed.signature.output_arg]
        if "_output_shapes" in node.attr:
            del node.attr["_output_shapes"]
        return {
            id(tensor): f"{node.name}:output:{position}" for tensor, position in zip(wanted, positions, strict=True)
        }


def original_names(message: str) -> str:
    """Return a message with the names of the training's own functions in the place of ours.

    Example:
        >>> original_names("{{function_node __inference_step_12_observed_3}} Oh")
        '{{function_node __inference_step_12}} Oh'
    """
    return re.sub(rf"{_SUFFIX}\d+", "", message)


def _link(graph: Any, inner: Any) -> Any:
    """Return the last call in ``graph`` of the function that is ``inner``, or that calls it.

    Raises:
        UnreachableError: If there is none.
    """
    notes = notes_of(graph)
    for link in reversed([] if notes is None else notes.living_calls):
        if link.function.graph is inner or _reaches(link.function.graph, inner):
            return link
    raise UnreachableError(f"{inner} is not called by {graph}")


def _reaches(graph: Any, inner: Any) -> bool:
    notes = notes_of(graph)
    calls = [] if notes is None else notes.living_calls
    return any(link.function.graph is inner or _reaches(link.function.graph, inner) for link in calls)


def reachable(graph: Any) -> list[Any]:
    """Return ``graph`` and the graphs of the functions that it calls, at any depth, in the order of the calls."""
    notes = notes_of(graph)
    found = [graph]
    for link in [] if notes is None else notes.living_calls:
        found += [inner for inner in reachable(link.function.graph) if not any(inner is known for known in found)]
    return found


def _prune(changed: Any) -> None:
    """Leave only the operations on which the outputs depend.

    An operation that has an effect and no part in a value goes too: what follows it does not wait for it.
    """
    nodes = {node.name: node for node in changed.node_def}
    pending = [name.split(":")[0] for name in changed.ret.values()]
    kept: set[str] = set()
    while pending:
        name = pending.pop()
        if name in kept or name not in nodes:
            continue
        kept.add(name)
        for source in nodes[name].input:
            waits = source.startswith("^")
            source_name = source.lstrip("^").split(":")[0]
            if not waits or _matters(nodes.get(source_name)):
                pending.append(source_name)
    remaining = [node for node in changed.node_def if node.name in kept]
    for node in remaining:
        inputs = [name for name in node.input if not name.startswith("^") or name[1:] in kept]
        if len(inputs) != len(node.input):
            del node.input[:]
            node.input.extend(inputs)
    del changed.node_def[:]
    changed.node_def.extend(remaining)


def _return_whether_finite(changed: Any, positions: Sequence[int]) -> None:
    """Have a definition return of some of its outputs only whether all of each is finite."""
    names = {"zero": f"first{_SUFFIX}axis", "one": f"axis{_SUFFIX}step"}
    for value, name in enumerate(names.values()):
        node = changed.node_def.add(name=name, op="Const")
        node.attr["dtype"].type = tf.int32.as_datatype_enum
        node.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(value, tf.int32))
    for position in positions:
        argument = changed.signature.output_arg[position]
        source, kind, prefix = changed.ret[argument.name], argument.type, f"{argument.name}{_SUFFIX}"
        finite = changed.node_def.add(name=f"{prefix}finite", op="IsFinite", input=[source])
        rank = changed.node_def.add(name=f"{prefix}rank", op="Rank", input=[source])
        finite.attr["T"].type = rank.attr["T"].type = kind
        axes = [f"{names['zero']}:output:0", f"{prefix}rank:output:0", f"{names['one']}:output:0"]
        over = changed.node_def.add(name=f"{prefix}axes", op="Range", input=axes)
        over.attr["Tidx"].type = tf.int32.as_datatype_enum
        every = [f"{prefix}finite:y:0", f"{prefix}axes:output:0"]
        every_node = changed.node_def.add(name=f"{prefix}all", op="All", input=every)
        every_node.attr["Tidx"].type = tf.int32.as_datatype_enum
        every_node.attr["keep_dims"].b = False
        argument.type = tf.bool.as_datatype_enum
        changed.ret[argument.name] = f"{prefix}all:output:0"


def _matters(node: Any) -> bool:
    """Return whether an operation that another one waits for changes what that one sees: it writes a variable."""
    if node is None:
        return False
    return node.op.startswith(("Assign", "Resource", "Stateful", "If", "While", "Case", "NoOp", "PartitionedCall"))


def _forget(names: list[str]) -> None:
    for name in names:
        try:
            forget(name)
        except (tf.errors.OpError, RuntimeError):  # the context ended first
            return
