"""Watching TensorFlow trace and call functions while trainings go on that are recorded.

Three functions of TensorFlow are stood in for as long as a training lasts: the one that traces, so that observers are
on while anything is traced and at no other time; the one that calls what was traced, so that a recorded step can be
told from others at the very call; and, while observers are on, the one that differentiates.

Notes live on the graph that they speak of. A later training finds them there, and they go when it goes.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import threading
import types
import weakref
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from gradscope.instrument.keras_border import activation_class, backend_functions, keras, mask_of, put_mask
from gradscope.instrument.network_of import places
from gradscope.instrument.notes import InnerCall, Notes
from gradscope.instrument.observers import ChokePoint, observers, replaced, with_pre_activations
from gradscope.instrument.tensorflow.framework import (
    ConcreteFunction,
    func_graphs,
    imperative_gradients,
    is_taped,
    replica_number,
    tf,
    without_operation_callbacks,
)

_NOTES = "_gradscope_notes"


class Caller(Protocol):
    """Who is told of the calls of one training."""

    @property
    def layer_classes(self) -> Sequence[type]:
        """Classes of the model that trains and of its layers."""
        ...

    def called(
        self, function: Any, inputs: list[Any], captured: list[Any], run: Callable[..., Any], *, is_last: bool
    ) -> Any:
        """Return what the traced function returns, running it by ``run(inputs, captured)`` or otherwise.

        Only the last one of several who are told of a call may run it otherwise: the others are to be told of it too.
        """
        ...

    def disarm(self) -> None:
        """Be told that the loop has ended, as by an error, without a word."""
        ...


@dataclass(frozen=True, slots=True)
class _Loop:
    """A training loop that runs.

    Attributes:
        code: Of its frame.
        identity: Of its frame, which is not kept: all that it trains on would be.
        callbacks: Its list of callbacks, which goes when it ends.
    """

    code: types.CodeType
    identity: int
    callbacks: weakref.ref[Any]

    def is_run_by(self, frame: types.FrameType) -> bool:
        """Whether the frame is the loop's."""
        return frame.f_code is self.code and id(frame) == self.identity and self.callbacks() is not None


@dataclass(frozen=True, slots=True)
class _Listening:
    """Who is told of calls: held weakly, for a fit that was broken off never says that it has ended.

    Attributes:
        caller: Who.
        loop: Where it trains; None where no list of callbacks has called.
    """

    caller: weakref.ref[Caller]
    loop: _Loop | None


class _Thread(threading.local):
    def __init__(self) -> None:
        self.listening: list[_Listening] = []
        self.eager: Notes | None = None
        self.eager_users = 0
        self.is_unwatched = False


_THREAD = _Thread()
_LOCK = threading.RLock()
_WATCHED: weakref.WeakSet[Caller] = weakref.WeakSet()
_PATCHES = contextlib.ExitStack()
_OBSERVERS = contextlib.ExitStack()
_observing = 0


def layer_classes(model: Any) -> list[type]:
    """Return the classes of a model and of its layers, each once."""
    classes: list[type[Any]] = [type(model), *(type(place.layer) for place in places(model))]
    return list(dict.fromkeys(classes))


def begin(caller: Caller) -> None:
    """Watch for a training until `end`."""
    with _LOCK:
        if not _WATCHED:
            _PATCHES.close()
            _PATCHES.enter_context(replaced(ConcreteFunction, "_call_flat", _calling(ConcreteFunction._call_flat)))
            tracing = _tracing(func_graphs.func_graph_from_py_func)
            _PATCHES.enter_context(replaced(func_graphs, "func_graph_from_py_func", tracing))
        _WATCHED.add(caller)
    weakref.finalize(caller, _let_go)


def end(caller: Caller) -> None:
    """Watch no more for a training; with the last one, TensorFlow is as it was."""
    with _LOCK:
        _WATCHED.discard(caller)
        stop_telling(caller)
    _let_go()


def _let_go() -> None:
    """Leave TensorFlow as it was found where nobody watches any more."""
    with _LOCK:
        if not [*_WATCHED]:
            _PATCHES.close()


def tell(caller: Caller) -> None:
    """Tell ``caller`` of what this thread calls from now on, as long as the training loop runs that has told it so."""
    stop_telling(caller)
    _THREAD.listening.append(_Listening(weakref.ref(caller), _loop_around()))


def stop_telling(caller: Caller) -> None:
    """Tell ``caller`` no more of what this thread calls."""
    _THREAD.listening = [each for each in _THREAD.listening if each.caller() not in (None, caller)]


@contextlib.contextmanager
def unwatched() -> Generator[None]:
    """Note nothing of what this thread traces and calls meanwhile: it is our own."""
    before, _THREAD.is_unwatched = _THREAD.is_unwatched, True
    try:
        with without_operation_callbacks():
            yield
    finally:
        _THREAD.is_unwatched = before


@contextlib.contextmanager
def watched_again() -> Generator[None]:
    """Note what is traced meanwhile, inside `unwatched`."""
    before, _THREAD.is_unwatched = _THREAD.is_unwatched, False
    try:
        yield
    finally:
        _THREAD.is_unwatched = before


def notes_of(graph: Any) -> Notes | None:
    """Return what was noted of a graph; None where nothing was."""
    return getattr(graph, _NOTES, None)


def _made_notes(graph: Any) -> Notes | None:
    """Return the notes of a graph, made if there are none; None for what is no function's graph."""
    if not isinstance(graph, func_graphs.FuncGraph):
        return None
    known = notes_of(graph)
    if known is None:
        known = Notes(outer=_made_notes(graph.outer_graph))
        setattr(graph, _NOTES, known)
    return known


@contextlib.contextmanager
def noting() -> Generator[None]:
    """Have observers on, in whichever thread; they are put there once."""
    global _observing
    with _LOCK:
        _observing += 1
        if _observing == 1:
            _put_observers()
    try:
        yield
    finally:
        with _LOCK:
            _observing -= 1
            if not _observing:
                _OBSERVERS.close()


def _put_observers() -> None:
    classes = [cls for caller in [*_WATCHED] for cls in caller.layer_classes]
    _OBSERVERS.enter_context(observers(SURROUNDINGS, dict.fromkeys([keras.Model, *classes])))
    differentiating = _differentiating(imperative_gradients.imperative_grad)
    _OBSERVERS.enter_context(replaced(imperative_gradients, "imperative_grad", differentiating))


@contextlib.contextmanager
def noting_eagerly() -> Generator[Notes]:
    """Note what this thread runs eagerly meanwhile: once, for all who ask at the same time."""
    _THREAD.eager_users += 1
    _THREAD.eager = notes = _THREAD.eager or Notes()
    try:
        with noting():
            yield notes
    finally:
        _THREAD.eager_users -= 1
        if not _THREAD.eager_users:
            _THREAD.eager = None


def _tracing(trace: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(trace)
    def traced(*arguments: Any, **keywords: Any) -> Any:
        if not _WATCHED or _THREAD.is_unwatched:
            return trace(*arguments, **keywords)
        with noting():
            return trace(*arguments, **keywords)

    return traced


def _calling(call_flat: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(call_flat)
    def called(self: Any, tensor_inputs: list[Any], captured_inputs: list[Any]) -> Any:
        if not tf.executing_eagerly():
            outputs = call_flat(self, tensor_inputs, captured_inputs)
            _note_call(self, outputs)
            return outputs
        if not _THREAD.listening or _THREAD.is_unwatched or is_taped():
            return call_flat(self, tensor_inputs, captured_inputs)
        run = functools.partial(call_flat, self)
        callers = _callers_of_this_step()
        for caller in reversed(callers):
            run = functools.partial(caller.called, self, run=run, is_last=caller is callers[-1])
        return run(tensor_inputs, captured_inputs)

    return called


def _loop_around() -> _Loop | None:
    """Return the loop that has called the callbacks which are running."""
    frame, hook = inspect.currentframe(), None
    while frame is not None and (hook is None or frame.f_code in _HOOKS):
        if frame.f_code in _HOOKS:
            hook = frame
        frame = frame.f_back
    if frame is None or hook is None:
        return None
    return _Loop(frame.f_code, id(frame), weakref.ref(hook.f_locals["self"]))


def _callers_of_this_step() -> list[Caller]:
    """Return who is to be told of what runs now: of what their loops call, and not of what other callbacks do."""
    found: list[Caller] = []
    for listening in [*_THREAD.listening]:
        caller = listening.caller()
        if caller is None:
            continue
        around = _met_first(listening.loop)
        if around == "loop":
            found.append(caller)
        elif around == "nothing":
            caller.disarm()
    return found


def _met_first(loop: _Loop | None) -> Literal["loop", "hook", "nothing"]:
    """Return what stands around what runs now, from the inside: the loop, a callback, or neither."""
    if loop is None:
        return "loop"
    frame = inspect.currentframe()
    while frame is not None:
        if frame.f_code in _HOOKS:
            return "hook"
        if loop.is_run_by(frame):
            return "loop"
        frame = frame.f_back
    return "nothing"


_HOOKS = {
    method.__code__
    for name, method in inspect.getmembers(keras.callbacks.CallbackList, inspect.isfunction)
    if name.startswith("on_")
}


def _note_call(function: Any, outputs: Any) -> None:
    """Note on the graph being traced, and on the function, that the one calls the other."""
    graph = tf.compat.v1.get_default_graph()
    notes, inner = _made_notes(graph) if _WATCHED else notes_of(graph), notes_of(function.graph)
    outer = notes
    while inner is not None and outer is not None:
        outer.nested.append(weakref.ref(function))
        outer = outer.outer
    if notes is None or inner is None:
        return
    leaves = [leaf for leaf in tf.nest.flatten(outputs, expand_composites=True) if isinstance(leaf, tf.Tensor)]
    operation = next((leaf.op for leaf in leaves if leaf.graph is graph), None)
    if operation is None:  # a function of no output: the last operation made is its call
        operation = graph.get_operations()[-1]
    while operation.type in ("Identity", "IdentityN") and operation.inputs:
        operation = operation.inputs[0].op
    notes.calls.append(InnerCall(operation, weakref.ref(function)))


def _differentiating(differentiate: Callable[..., Any]) -> Callable[..., Any]:
    signature = inspect.signature(differentiate)

    @functools.wraps(differentiate)
    def differentiated(*arguments: Any, **keywords: Any) -> Any:
        bound = signature.bind(*arguments, **keywords)
        bound.apply_defaults()
        given = bound.arguments
        sources, raw = list(given["sources"]), given["sources_raw"]
        unconnected = str(getattr(given["unconnected_gradients"], "value", given["unconnected_gradients"]))
        if unconnected != "none":  # zeros would be made for what is not connected: operations of ours
            return differentiate(*arguments, **keywords)
        watched = {id(value.handle): value for value in given["tape"].watched_variables() if hasattr(value, "handle")}
        variables = {
            place: watched.get(id(source), source)
            for place, source in enumerate(sources)
            if getattr(source, "dtype", None) == tf.resource
        }

        notes = SURROUNDINGS.notes() if variables else None
        if notes is not None:
            notes.targets += given["target"]

        def gradients(asked: list[Any]) -> list[Any]:
            more = asked[len(sources) :]
            return list(
                differentiate(
                    given["tape"],
                    given["target"],
                    asked,
                    given["output_gradients"],
                    None if raw is None else [*raw, *more],
                    given["unconnected_gradients"],
                )
            )

        return with_pre_activations(SURROUNDINGS, gradients, sources, variables)

    return differentiated


def carry_notes(noted: Any, trace: Any, caller: Any) -> bool:
    """Carry notes over from one trace to another of the same operations; return whether they are the same.

    Args:
        noted: The function that was noted.
        trace: The function that trains.
        caller: The function that calls ``trace``; ``trace`` itself where none does.
    """
    theirs, ours = noted.graph.get_operations(), trace.graph.get_operations()
    if _kinds(theirs) != _kinds(ours):
        return False
    same_as = {theirs_op.name: ours_op for theirs_op, ours_op in zip(theirs, ours, strict=True)}
    notes = notes_of(noted.graph)
    if notes is None:
        return False

    def carried(value: Any) -> Any:
        if isinstance(value, tf.IndexedSlices):
            return tf.IndexedSlices(*(carried(part) for part in (value.values, value.indices)), value.dense_shape)
        if not isinstance(value, tf.Tensor) or value.graph is not noted.graph:
            return value
        same = same_as[value.op.name].outputs[value.value_index]
        put_mask(same, carried(mask_of(value)))
        return same

    for frame in notes.frames:
        frame.mask, frame.outputs = carried(frame.mask), [carried(output) for output in frame.outputs]
    for each in notes.applications:
        each.z, each.a = carried(each.z), carried(each.a)
        each.keywords = {name: carried(value) for name, value in each.keywords.items()}
        each.gradients = [carried(gradient) for gradient in each.gradients]
    for given in (*notes.given, *notes.tape_gradients):
        given.gradient = carried(given.gradient)
    notes.targets = [carried(target) for target in notes.targets]
    notes.rates = {key: carried(rate) for key, rate in notes.rates.items()}
    for loss in notes.losses:
        loss.value, loss.labels, loss.weights = carried(loss.value), carried(loss.labels), carried(loss.weights)
    notes.calls = [InnerCall(same_as[c.operation.name], c.reference) for c in notes.calls]
    setattr(trace.graph, _NOTES, notes)
    if caller is not trace:
        name = trace.function_def.signature.name
        around = Notes(nested=[weakref.ref(trace)])
        around.calls = [
            InnerCall(operation, weakref.ref(trace))
            for operation in caller.graph.get_operations()
            if operation.type in ("PartitionedCall", "StatefulPartitionedCall") and operation.get_attr("f").name == name
        ]
        setattr(caller.graph, _NOTES, around)
    return True


def _kinds(operations: Sequence[Any]) -> list[Any]:
    """Return what each operation does with which others: their names depend on what was built while it was traced."""
    place = {operation.name: at for at, operation in enumerate(operations)}
    return [
        (
            operation.type,
            [(place[tensor.op.name], tensor.value_index) for tensor in operation.inputs],
            sorted(place[before.name] for before in operation.control_inputs),
            [(output.dtype, str(output.shape)) for output in operation.outputs],
        )
        for operation in operations
    ]


class TensorFlowSurroundings:
    """The `Surroundings` of TensorFlow: the graph under construction, or the eager step of this thread."""

    def notes(self) -> Notes | None:
        if _THREAD.is_unwatched:
            return None
        if tf.executing_eagerly():
            return _THREAD.eager if _THREAD.eager is not None and _callers_of_this_step() else None
        return _made_notes(tf.compat.v1.get_default_graph())

    def is_floating(self, value: Any) -> bool:
        if not isinstance(value, tf.Tensor) or not value.dtype.is_floating:
            return False
        if tf.executing_eagerly():
            return hasattr(value, "numpy")
        return value.graph is tf.compat.v1.get_default_graph()

    def position(self) -> int:
        return 0 if tf.executing_eagerly() else tf.compat.v1.get_default_graph().num_operations()

    def replica(self) -> int:
        return replica_number()

    def choke_points(self) -> Sequence[ChokePoint]:
        return _CHOKE_POINTS


SURROUNDINGS = TensorFlowSurroundings()


def _choke_points() -> list[ChokePoint]:
    """Return where all public names of an activation function meet.

    `keras.ops.gelu`, `keras.activations.gelu` and ``activation="gelu"`` all look `gelu` up in the backend's module
    when they are called; two functions of Keras and those of TensorFlow that leave no operation of their own name in
    the graph are caught where they stand.
    """
    published: dict[str, Any] = keras.activations.__dict__
    names = [name for name, value in published.items() if inspect.isfunction(value)]
    nn = backend_functions("nn")
    points = [ChokePoint(nn, name, name) for name in names if inspect.isfunction(getattr(nn, name, None))]
    points.append(ChokePoint(backend_functions("numpy"), "tanh", "tanh"))
    points += [
        ChokePoint(activation_class(cls), "static_call", name) for name, cls in (("relu", "ReLU"), ("mish", "Mish"))
    ]
    for name, public in _TENSORFLOW_FUNCTIONS.items():
        owners = [module for module in (tf.nn, tf.math, tf) if inspect.isroutine(getattr(module, name, None))]
        points += [ChokePoint(owner, name, public, is_published=name != "leaky_relu") for owner in owners]
    return points


_TENSORFLOW_FUNCTIONS = {
    "silu": "silu",
    "swish": "silu",
    **{name: name for name in ("gelu", "softmax", "relu", "relu6", "elu", "selu", "softplus", "softsign")},
    **{name: name for name in ("tanh", "sigmoid", "leaky_relu")},
}
_CHOKE_POINTS = _choke_points()
