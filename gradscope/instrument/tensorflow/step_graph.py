"""The operations of a traced step: in which layer each stands, what the loss depends on, and what cuts a weight off.

All of it is read off the graph when it is first recorded: nothing is computed for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from gradscope.instrument.keras_border import keras
from gradscope.instrument.network_of import Place, own_variables
from gradscope.instrument.notes import Frame, Notes
from gradscope.instrument.tensorflow.definitions import reachable
from gradscope.instrument.tensorflow.effects import effects_of
from gradscope.instrument.tensorflow.framework import definition, tf, values_of
from gradscope.instrument.tensorflow.watching import notes_of
from gradscope.network import Variable

_NO_GRADIENT = frozenset({
    "StopGradient", "PreventGradient", "Round", "Rint", "Floor", "Ceil", "FloorDiv", "ArgMax", "ArgMin", "Greater",
    "GreaterEqual", "Less", "LessEqual", "Equal", "NotEqual", "OneHot", "Bucketize", "PyFunc", "PyFuncStateless",
    "LogicalAnd", "LogicalOr", "LogicalNot",
})  # fmt: skip
_SHAPES = frozenset(["Shape", "ShapeN", "Size", "Rank"])
_DIFFERENCES = frozenset(["Sub", "SquaredDifference"])
_NORMALISATIONS = (keras.layers.LayerNormalization, keras.layers.UnitNormalization)
UNUSED = "unused"


class StepGraph:
    """The operations of a traced function, and of those that it calls.

    Args:
        function: A traced function.
        model: The model that trains.
        places: Its layers.
        losses: What it trains by: tensors of the graphs.
    """

    def __init__(self, function: Any, model: Any, places: Sequence[Place], losses: Sequence[Any]) -> None:
        self.function = function
        self._model = model
        self._keys = {id(place.layer): place.inside_loop or place.key for place in places}
        self.graphs = reachable(function.graph)
        self._order: dict[Any, int] = {}
        self._frames: dict[Any, Frame] = {}
        self._noted: dict[int, Notes] = {}
        for graph in self.graphs:
            notes = self._noted[id(graph)] = notes_of(graph) or Notes()
            operations = graph.get_operations()
            self._order |= {key_of(operation): number for number, operation in enumerate(operations)}
            for frame in notes.frames:  # outer frames come first, so inner ones overwrite them
                if self._key(frame):
                    self._frames |= {key_of(operation): frame for operation in operations[frame.start : frame.end]}
        self._inner = {
            key_of(call.operation): call.function for notes in self._noted.values() for call in notes.living_calls
        }
        captured = function.captured_inputs
        placeholders = function.inputs[len(function.inputs) - len(captured) :]
        self._placeholders = {id(handle): place for handle, place in zip(captured, placeholders, strict=True)}
        self.forward = self.depended_on(losses)
        self._losses = list(losses)
        self._passable: dict[Callable[[Any], str], set[Any]] = {}

    def _key(self, frame: Frame) -> str:
        return self._keys.get(id(frame.layer), "")

    def number(self, operation: Any) -> int:
        """Return where in the order of its graph an operation stands."""
        return self._order[key_of(operation)]

    def inner(self, operation: Any) -> Any:
        """Return the traced function that an operation calls; None where it calls none that is known."""
        return self._inner.get(key_of(operation))

    def depended_on(self, tensors: Iterable[Any], is_barrier: Callable[[Any], str] | None = None) -> set[Any]:
        """Return the keys of all operations on which ``tensors`` depend, other than by way of a barrier."""
        pending = [tensor.op for tensor in tensors]
        found: set[Any] = set()
        while pending:
            operation = pending.pop()
            if key_of(operation) in found or (is_barrier is not None and is_barrier(operation)):
                continue
            found.add(key_of(operation))
            pending += [tensor.op for tensor in operation.inputs]
            inner = self.inner(operation)
            if inner is not None:
                pending += [tensor.op for tensor in inner.outputs]
        return found

    def layer(self, operation: Any) -> str:
        """Return the key of the innermost layer in whose call an operation stands; ``""`` where none is."""
        frame = self._frames.get(key_of(operation))
        return "" if frame is None else self._key(frame)

    def calls_of(self, kind: type[Any]) -> Iterator[tuple[Any, str, list[Any]]]:
        """Yield the layers of a class with their keys and the operations of each of their calls."""
        for graph in self.graphs:
            operations = graph.get_operations()
            for frame in self._noted[id(graph)].frames:
                if isinstance(frame.layer, kind) and self._key(frame):
                    yield frame.layer, self._key(frame), operations[frame.start : frame.end]

    def neighbours(self, operation: Any) -> tuple[str, str]:
        """Return the keys of the layers that ended last before an operation, and that begin next behind it."""
        number = self.number(operation)
        frames = [f for f in self._noted[id(operation.graph)].frames if self._key(f) and not self._is_container(f)]
        before = [frame for frame in frames if 0 <= frame.end <= number]
        behind = [frame for frame in frames if frame.start > number]
        last = max(before, key=lambda frame: frame.end, default=None)
        return "" if last is None else self._key(last), self._key(behind[0]) if behind else ""

    @staticmethod
    def _is_container(frame: Frame) -> bool:
        return isinstance(frame.layer, keras.Model)

    def cut_by(self, variable: Any) -> str:
        """Return what lets no gradient through to a variable, as `Variable.cut_by` says it."""
        reads = list(self._reads(variable))
        if not any(key_of(read) in self.forward for read in reads):
            return UNUSED
        return self._first_barrier(reads, _lets_no_gradient_through)

    def flattened_by(self, variable: Any) -> str:
        """Return what makes the gradient of a variable 0 whatever comes in, as `Variable.flattened_by` says it."""
        return self._first_barrier(list(self._reads(variable)), self._is_flat)

    def _first_barrier(self, reads: Sequence[Any], is_barrier: Callable[[Any], str]) -> str:
        """Return the first barrier between a variable and the loss, where every way leads into one; else nothing."""
        if is_barrier not in self._passable:
            self._passable[is_barrier] = self.depended_on(self._losses, is_barrier)
        if any(key_of(read) in self._passable[is_barrier] for read in reads):
            return ""
        pending, seen, met = [*reads], set[Any](), dict[int, str]()
        while pending:
            operation = pending.pop()
            if key_of(operation) in seen or key_of(operation) not in self.forward or operation.type in _SHAPES:
                continue
            seen.add(key_of(operation))
            barrier = is_barrier(operation)
            if barrier:
                layer = self.layer(operation)
                met[self.number(operation)] = f"{barrier} in {layer}" if layer else barrier
                continue
            pending += [user for output in operation.outputs for user in output.consumers()]
        return met[min(met)] if met else ""

    def _is_flat(self, operation: Any) -> str:
        if operation.type in ("Softmax", "LogSoftmax") and operation.inputs[0].shape.rank:
            return "softmax over an axis of 1" if operation.inputs[0].shape[-1] == 1 else ""
        if operation.type == "Sign":
            return "sign"
        frame = self._frames.get(key_of(operation))
        layer: Any = None if frame is None else frame.layer
        if frame is None or not frame.outputs or not isinstance(layer, _NORMALISATIONS):
            return ""
        shape = getattr(frame.outputs[0], "shape", None)
        axes = keras.tree.flatten(layer.axis)
        if shape is None or not shape.rank or any(shape[int(axis)] != 1 for axis in axes):
            return ""
        return f"{type(layer).__name__} over an axis of 1"

    def _reads(self, variable: Any) -> Iterator[Any]:
        """Yield the operations that read a variable."""
        for handle in _handles([variable]):
            if handle in self._placeholders:
                yield from self._placeholders[handle].consumers()

    def untracked(self, known: Iterable[Any]) -> list[Variable]:
        """Return what the step reads as weights, and neither Keras nor an optimizer knows of.

        Buffers are not meant: what the step writes to, and what is not trainable. Nor are the weights of another model,
        such as a teacher, that is only called.

        Args:
            known: All variables of the model, its metrics and its optimizers, and those that were given a gradient.
        """
        told = _handles(known)
        called = {id(frame.layer): frame.layer for notes in self._noted.values() for frame in notes.frames}
        for layer in called.values():
            told |= _handles(each for each in own_variables(layer) if isinstance(each, keras.Variable))
        captured = self.function.captured_inputs
        first = len(self.function.inputs) - len(captured)
        written = effects_of(definition(self.function)).written
        buffers = {id(tensor) for place, tensor in enumerate(captured, first) if place in written}
        found: list[Variable] = []
        for value in self.function.graph.variables:
            handle = id(value.handle)
            if handle in told or handle in buffers or not value.trainable or not value.dtype.is_floating:
                continue
            reads = [read for read in self._reads(value) if key_of(read) in self.forward]
            if reads:
                shape = tuple(int(size) for size in value.shape)
                role = "kernel" if len(shape) >= 2 else "other"
                layer = next((layer for layer in map(self.layer, reads) if layer), "")
                found.append(Variable(str(value.name).removesuffix(":0"), layer, shape, role))
        return found

    def broadcasts(self) -> list[str]:
        """Return the differences of two tensors ``(n, 1)`` and ``(n,)`` of which the loss is made, in words."""
        weights = {key_of(read) for value in self.function.graph.variables for read in self._reads(value)}
        found: list[str] = []
        for graph in self.graphs:
            for operation in graph.get_operations():
                if operation.type not in _DIFFERENCES or key_of(operation) not in self.forward:
                    continue
                if key_of(operation) in self._frames and self.layer(operation):
                    continue
                flat, column = sorted(operation.inputs, key=lambda tensor: tensor.shape.rank or 0)
                if flat.shape.rank != 1 or column.shape.rank != 2 or flat.shape[0] == 1 or column.shape[1] != 1:
                    continue
                learns = [bool(self.depended_on([tensor]) & weights) for tensor in (flat, column)]
                if column.shape[0] != 1 and learns[0] != learns[1]:
                    answer, label = ("(n,)", "(n, 1)") if learns[0] else ("(n, 1)", "(n,)")
                    found.append(f"the answers have shape {answer}, the labels {label}")
        return list(dict.fromkeys(found))


def key_of(operation: Any) -> tuple[int, str]:
    """Return what tells an operation from all others of several graphs."""
    return id(operation.graph), operation.name


def _handles(variables: Iterable[Any]) -> set[int]:
    """Return the identities of the handles of variables."""
    return {id(value.handle) for each in variables for value in values_of(each) if hasattr(value, "handle")}


def _lets_no_gradient_through(operation: Any) -> str:
    if operation.type in _NO_GRADIENT:
        return operation.type
    if operation.type == "Cast" and not tf.dtypes.as_dtype(operation.get_attr("DstT")).is_floating:
        return "Cast"
    return ""
