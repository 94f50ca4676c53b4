"""Observers: what stands around Keras' layers, functions, tapes and optimizers while a training step is traced.

They note which tensors pass through and hand on what they were given: no operation is added, no tensor replaced, and
whatever goes wrong in them is kept to themselves. Every activation function is met at one of three places: where all
public names of Keras' own functions come together, in the call of an activation layer, or in the call of a function
that a layer's attribute holds. Such a function is followed and not stood in for, so that code that looks at its layers,
also while they run, finds them as it made them.

The gradient at a pre-activation is what the tape computes on its way to the weights: it is asked for that too.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import threading
import types
import weakref
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, cast

from gradscope.instrument.calls import Called, Followed, Returned, can_follow, followed, following
from gradscope.instrument.keras_border import UPDATE_STEP, keras, mask_of, trained_variables
from gradscope.instrument.network_of import configuration
from gradscope.instrument.notes import Application, Frame, GivenGradient, Loss, Notes
from gradscope.instrument.recognition import (
    function_attributes,
    function_name,
    is_activation_layer,
    is_attention,
    is_recurrent,
    keras_name,
    owns_weights,
)


@dataclass(frozen=True, slots=True)
class ChokePoint:
    """An attribute of a module or class through which every call of one activation function goes.

    Attributes:
        owner: The module or class.
        attribute: The attribute.
        name: Name of the function.
        is_published: Whether its parameters are those of the function of that name in `keras.activations`.
    """

    owner: Any
    attribute: str
    name: str
    is_published: bool = True


_OF_LOSSES = {"exponential", "linear", "log_sigmoid", "log_softmax", "sigmoid", "softmax", "softplus", "tanh"}
"""Functions that losses are made of: outside of a layer they seldom are activations."""


class Surroundings(Protocol):
    """What a backend tells the observers of the trace, or the eager step, that is going on."""

    def notes(self) -> Notes | None:
        """Return the notes of what is being traced or run just now; None where nothing is to be noted."""
        ...

    def is_floating(self, value: Any) -> bool:
        """Return whether ``value`` is a dense tensor of floats that belongs to what is being traced or run."""
        ...

    def position(self) -> int:
        """Return how many operations the trace holds so far; 0 where there is none."""
        ...

    def replica(self) -> int:
        """Return the number of the replica that is being traced; 0 without replicas."""
        ...

    def choke_points(self) -> Sequence[ChokePoint]:
        """Return where the activation functions of the backend can be met."""
        ...


class _Thread(threading.local):
    """What one thread is in the middle of: replicas are traced by a thread each."""

    def __init__(self) -> None:
        self.frames: list[Frame] = []
        self.applying = False
        self.differentiating = False
        self.optimizing = False
        self.computing_loss = False


_THREAD = _Thread()


@contextlib.contextmanager
def replaced(owner: Any, name: str, value: Any) -> Generator[None]:
    """Set an attribute past Keras' tracking, and put back exactly what was there, unless another was set meanwhile."""
    plain = isinstance(owner, (types.ModuleType, type))  # object's own setter refuses modules and classes
    put, remove = (setattr, delattr) if plain else (object.__setattr__, object.__delattr__)
    attributes: Mapping[str, Any] = owner.__dict__
    had, before = name in attributes, attributes.get(name)
    put(owner, name, value)
    try:
        yield
    finally:
        if attributes.get(name) is value:
            if had:
                put(owner, name, before)
            else:
                remove(owner, name)


@contextlib.contextmanager
def observers(surroundings: Surroundings, layer_classes: Iterable[type]) -> Generator[None]:
    """Note what is traced or run meanwhile; afterwards no attribute of Keras or TensorFlow is left changed.

    Args:
        surroundings: Of the backend.
        layer_classes: Classes of the models that train and of their layers.
    """
    with contextlib.ExitStack() as stack:
        operation = keras.Operation
        stack.enter_context(replaced(operation, "__call__", _framed(surroundings, operation.__call__)))
        for cls in _definers("call", layer_classes):  # a wrapper may call its layer's `call` itself
            stack.enter_context(replaced(cls, "call", _framed(surroundings, cls.__dict__["call"])))
        for point in surroundings.choke_points():
            stack.enter_context(replaced(point.owner, point.attribute, _met(surroundings, point)))
        for cls in _definers("apply", _with_subclasses(keras.optimizers.Optimizer)):
            stack.enter_context(replaced(cls, "apply", _looking(surroundings, cls.__dict__["apply"])))
        for cls in _definers(UPDATE_STEP, _with_subclasses(keras.optimizers.Optimizer)):
            method = cls.__dict__[UPDATE_STEP]
            stack.enter_context(replaced(cls, UPDATE_STEP, _rated(surroundings, method)))
        for cls in _definers("compute_loss", layer_classes):
            stack.enter_context(replaced(cls, "compute_loss", _valued(surroundings, cls.__dict__["compute_loss"])))
        yield


def _like(original: Callable[..., Any]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Make a function that stands in for another look like it: also to those who ask which arguments it takes."""

    def made_alike(standing_in: Callable[..., Any]) -> Callable[..., Any]:
        functools.update_wrapper(standing_in, original)
        with contextlib.suppress(ValueError, TypeError):  # of some functions in C nothing is known
            standing_in.__signature__ = inspect.signature(original)  # pyright: ignore[reportFunctionMemberAccess]
        return standing_in

    return made_alike


def _with_subclasses(cls: Any) -> Iterable[type]:
    yield cls
    for subclass in type.__subclasses__(cls):
        yield from _with_subclasses(subclass)


def _definers(method: str, classes: Iterable[type]) -> list[Any]:
    """Return every class among the ancestors of ``classes`` that defines the method itself."""
    ancestors = dict.fromkeys(ancestor for cls in classes for ancestor in cls.__mro__)
    return [cls for cls in ancestors if isinstance(cls.__dict__.get(method), types.FunctionType)]


@contextlib.contextmanager
def _kept_to_itself(notes: Notes) -> Generator[None]:
    """Note a failure of ours and go on: the training must not notice."""
    try:
        yield
    except Exception as error:
        notes.failures.append(error)


def _open_notes(surroundings: Surroundings, frame: Frame | None = None) -> Notes | None:
    """Return the notes of what runs now; None inside of an activation function, of a tape, or of a hidden frame."""
    if _THREAD.applying or _THREAD.differentiating or (frame is not None and frame.hidden):
        return None
    return surroundings.notes()


def _framed(surroundings: Surroundings, call: Callable[..., Any]) -> Callable[..., Any]:
    @_like(call)
    def framed(self: Any, *arguments: Any, **keywords: Any) -> Any:
        notes = _open_notes(surroundings)
        if notes is None or (_THREAD.frames and _THREAD.frames[-1].layer is self):
            return call(self, *arguments, **keywords)
        frame: Frame | None = None
        with contextlib.ExitStack() as stack:
            with _kept_to_itself(notes):
                frame = _opened(surroundings, notes, self, arguments)
                stack.enter_context(_entered(frame, surroundings))
                if is_activation_layer(self):
                    stack.enter_context(_applying())
                elif isinstance(self, keras.layers.Layer) and not frame.hidden:
                    _follow_functions(stack, surroundings, frame)
            value = call(self, *arguments, **keywords)
        if frame is not None:  # pyright: ignore[reportUnnecessaryComparison] - what makes it may have failed
            with _kept_to_itself(notes):
                _take_output(surroundings, notes, frame, value, arguments, keywords)
        return value

    return framed


def _opened(surroundings: Surroundings, notes: Notes, layer: Any, arguments: tuple[Any, ...]) -> Frame:
    parent = _THREAD.frames[-1] if _THREAD.frames else None
    hidden = is_recurrent(layer) or (parent is not None and parent.hidden)
    mask = mask_of(arguments[0]) if arguments else None
    frame = Frame(weakref.ref(layer), parent, mask, hidden, surroundings.replica(), surroundings.position())
    notes.frames.append(frame)
    return frame


@contextlib.contextmanager
def _entered(frame: Frame, surroundings: Surroundings) -> Generator[None]:
    _THREAD.frames.append(frame)
    try:
        yield
    finally:
        _THREAD.frames.pop()
        frame.end = surroundings.position()


@contextlib.contextmanager
def _applying() -> Generator[None]:
    """Take nothing of what an activation function is itself made of."""
    before, _THREAD.applying = _THREAD.applying, True
    try:
        yield
    finally:
        _THREAD.applying = before


def _follow_functions(stack: contextlib.ExitStack, surroundings: Surroundings, frame: Frame) -> None:
    """Note calls of functions that the layer's attributes hold while it runs: most of Keras' own pass choke points.

    What the interpreter cannot follow, because it is written in C, is stood in for.
    """
    met = {"linear", *(point.name for point in surroundings.choke_points())}
    calls: list[tuple[Followed, Called]] = []
    for name in function_attributes(frame.layer):
        function = getattr(frame.layer, name)
        if isinstance(function, keras.layers.Layer) or keras_name(function) in met:
            continue
        found = followed(function) if can_follow() else None
        if found is None:
            stack.enter_context(replaced(frame.layer, name, _applied(surroundings, frame, name, function)))
        else:
            calls.append((found, _begun(surroundings, frame, name, function)))
    if calls:
        stack.enter_context(following(calls))


def _begun(surroundings: Surroundings, frame: Frame, attribute: str, function: Any) -> Called:
    def begun(arguments: Sequence[Any], keywords: Mapping[str, Any]) -> Returned | None:
        notes = _open_notes(surroundings, frame)
        if notes is None:
            return None
        start, _THREAD.applying = surroundings.position(), True

        def ended(value: Any) -> None:
            _THREAD.applying = False
            with _kept_to_itself(notes):
                made = _of_attribute(frame, attribute, function, arguments, keywords, value)
                _keep(surroundings, notes, made, start)

        return ended

    return begun


def _applied(surroundings: Surroundings, frame: Frame, attribute: str, function: Any) -> Callable[..., Any]:
    def applied(*arguments: Any, **keywords: Any) -> Any:
        return _noted(
            surroundings,
            frame,
            lambda: function(*arguments, **keywords),
            lambda a: _of_attribute(frame, attribute, function, arguments, keywords, a),
        )

    if inspect.isroutine(function):
        functools.update_wrapper(applied, function)
    return applied


def _of_attribute(
    frame: Frame, attribute: str, function: Any, arguments: Sequence[Any], keywords: Mapping[str, Any], a: Any
) -> Application:
    return Application(
        frame,
        "attribute",
        function_name(function),
        attribute,
        functools.partial(_function_of_first, function, tuple(arguments[1:]), keywords),
        arguments[0] if arguments else None,
        a,
        keywords={**keywords},
        identity=id(function),
        published=keras_name(function),
    )


def _function_of_first(function: Any, others: tuple[Any, ...], keywords: Mapping[str, Any], z: Any) -> Any:
    return function(z, *others, **keywords)


def _call_of_first(layer: weakref.ref[Any], others: tuple[Any, ...], keywords: Mapping[str, Any], z: Any) -> Any:
    found: Any = layer()
    return found.call(z, *others, **keywords)


def _noted(
    surroundings: Surroundings, frame: Frame | None, run: Callable[[], Any], application: Callable[[Any], Application]
) -> Any:
    """Return what ``run`` returns, noted as one application."""
    notes = None if frame is None else _open_notes(surroundings, frame)
    if notes is None:
        return run()
    start = surroundings.position()
    with _applying():
        value = run()
    with _kept_to_itself(notes):
        _keep(surroundings, notes, application(value), start)
    return value


def _keep(surroundings: Surroundings, notes: Notes, made: Application, start: int) -> None:
    if surroundings.is_floating(made.z) and surroundings.is_floating(made.a):
        notes.claimed.append((start, surroundings.position()))
        notes.keep(made)


def _met(surroundings: Surroundings, point: ChokePoint) -> Any:
    original = getattr(point.owner, point.attribute)

    @_like(original)
    def met(*arguments: Any, **keywords: Any) -> Any:
        frame = _THREAD.frames[-1] if _THREAD.frames else None
        if frame is None and point.name not in _OF_LOSSES and not (_THREAD.applying or _THREAD.differentiating):
            notes = surroundings.notes()
            if notes is not None:
                notes.outside.add(point.name)
        if frame is not None and is_attention(frame.layer):
            return original(*arguments, **keywords)

        def application(a: Any) -> Application:
            assert frame is not None
            (_, z), *named = inspect.signature(original).bind(*arguments, **keywords).arguments.items()
            parameters = {name: value for name, value in named if name != "name"}
            attribute = _attribute_where(
                frame.layer, lambda held: not isinstance(held, keras.layers.Layer) and keras_name(held) == point.name
            )
            return Application(
                frame,
                "attribute" if attribute else "function",
                point.name,
                attribute,
                functools.partial(_function_of_first, original, (), parameters),
                z,
                a,
                keywords=parameters,
                identity=(point.name, repr(parameters)),
                published=point.name if point.is_published else None,
            )

        return _noted(surroundings, frame, lambda: original(*arguments, **keywords), application)

    return staticmethod(met) if isinstance(point.owner, type) else met


def _attribute_where(layer: Any, holds: Callable[[Any], bool]) -> str:
    """Return the layer's attribute whose function is the one that is meant; ``""`` without one."""
    if not isinstance(layer, keras.layers.Layer):
        return ""
    return next((name for name in function_attributes(layer) if holds(getattr(layer, name))), "")


def _take_output(
    surroundings: Surroundings, notes: Notes, frame: Frame, value: Any, arguments: Any, keywords: Any
) -> None:
    """Note what a layer returned: as an application of its function, or as its output."""
    layer = frame.layer
    frame.outputs = keras.tree.flatten(value)
    if not isinstance(layer, keras.layers.Layer):
        return
    tensor = frame.outputs[0] if frame.outputs else None
    if is_activation_layer(layer):
        hidden = frame.parent is not None and (frame.parent.hidden or is_attention(frame.parent.layer))
        if hidden or not arguments or not all(map(surroundings.is_floating, (arguments[0], tensor))):
            return
        notes.claimed.append((frame.start, frame.end))
        config = {key: value for key, value in configuration(layer).items() if key not in ("name", "dtype")}
        attribute = "" if frame.parent is None else _attribute_where(frame.parent.layer, lambda held: held is layer)
        made = Application(
            frame.parent if frame.parent is not None and attribute else frame,
            "attribute" if attribute else "layer",
            function_name(layer),
            attribute,
            functools.partial(_call_of_first, weakref.ref(layer), arguments[1:], keywords),
            arguments[0],
            tensor,
            keywords=keywords,
            identity=f"{type(layer)} {id(layer) if layer.variables else config}",
            published=keras_name(getattr(layer, "activation", None)),
        )
        notes.keep(made)
        return
    inside = frame.parent is not None and frame.parent.hidden
    if inside or not (is_recurrent(layer) or owns_weights(layer)) or not surroundings.is_floating(tensor):
        return
    if any(tensor is earlier.a for earlier in notes.applications[-2:]):
        return
    notes.keep(Application(frame, "output", "linear", "", lambda x: x, tensor, tensor, published="linear"))


def with_pre_activations(
    surroundings: Surroundings,
    gradients: Callable[[list[Any]], list[Any]],
    sources: Sequence[Any],
    variables: Mapping[int, Any],
) -> list[Any]:
    """Return what a tape says of ``sources``, and note what it says of variables and pre-activations.

    Args:
        surroundings: Of the backend.
        gradients: Asks the tape.
        sources: What the training asks for.
        variables: The variables among the sources, by their place.
    """
    notes = surroundings.notes() if variables and not _THREAD.differentiating else None
    if notes is None:
        return gradients([*sources])
    found = {id(each.z): each.z for each in notes.applications if surroundings.is_floating(each.z)}
    before, _THREAD.differentiating = _THREAD.differentiating, True
    try:
        results = gradients([*sources, *found.values()])
    finally:
        _THREAD.differentiating = before
    with _kept_to_itself(notes):
        backward = dict(zip(found, results[len(sources) :], strict=True))
        for application in notes.applications:
            gradient = backward.get(id(application.z))
            if gradient is not None:
                application.gradients.append(gradient)
        replica = surroundings.replica()
        notes.tape_gradients += [
            GivenGradient(variable, results[place], None, replica) for place, variable in variables.items()
        ]
    return results[: len(sources)]


def _looking(surroundings: Surroundings, apply: Callable[..., Any]) -> Callable[..., Any]:
    @_like(apply)
    def looking(self: Any, *arguments: Any, **keywords: Any) -> Any:
        notes = None if _THREAD.optimizing else surroundings.notes()
        if notes is None:
            return apply(self, *arguments, **keywords)
        with _kept_to_itself(notes):
            arguments, keywords = _with_lists(arguments, keywords)
            notes.given += _given(self, apply, arguments, keywords, surroundings.replica())
        _THREAD.optimizing = True
        try:
            return apply(self, *arguments, **keywords)
        finally:
            _THREAD.optimizing = False

    return looking


def _with_lists(arguments: tuple[Any, ...], keywords: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return the arguments with lists in the place of iterators, which can be read once."""

    def readable(value: Any) -> Any:
        return [*value] if isinstance(value, Iterator) else value

    return tuple(map(readable, arguments)), {name: readable(value) for name, value in keywords.items()}


def _given(
    optimizer: Any, apply: Callable[..., Any], arguments: tuple[Any, ...], keywords: dict[str, Any], replica: int
) -> list[GivenGradient]:
    """Return the gradients that an optimizer is given; none where it takes them in a way of its own."""
    named = inspect.signature(apply).bind(optimizer, *arguments, **keywords).arguments
    gradients: Any = named.get("grads")
    variables: Any = named.get("trainable_variables")
    if not isinstance(gradients, (list, tuple)):
        return []
    if variables is None:
        variables = trained_variables(optimizer)
    pairs = zip(variables, cast("Sequence[Any]", gradients), strict=False)
    return [GivenGradient(variable, gradient, optimizer, replica) for variable, gradient in pairs]


def _rated(surroundings: Surroundings, update: Callable[..., Any]) -> Callable[..., Any]:
    @_like(update)
    def rated(self: Any, grads: Any, trainable_variables: Any, learning_rate: Any) -> Any:
        notes = surroundings.notes()
        if notes is not None:
            with _kept_to_itself(notes):
                notes.rates.update({id(variable): learning_rate for variable in trainable_variables})
        return update(self, grads, trainable_variables, learning_rate)

    return rated


def _valued(surroundings: Surroundings, compute_loss: Callable[..., Any]) -> Callable[..., Any]:
    @_like(compute_loss)
    def valued(self: Any, *arguments: Any, **keywords: Any) -> Any:
        notes = None if _THREAD.computing_loss else surroundings.notes()
        if notes is None:
            return compute_loss(self, *arguments, **keywords)
        _THREAD.computing_loss = True
        try:
            value = compute_loss(self, *arguments, **keywords)
        finally:
            _THREAD.computing_loss = False
        with _kept_to_itself(notes):
            named = inspect.signature(compute_loss).bind(self, *arguments, **keywords).arguments
            named |= named.get("kwargs", {})
            if named.get("training", True):
                labels, weights = named.get("y"), named.get("sample_weight")
                notes.losses.append(Loss(value, labels, weights, surroundings.replica()))
        return value

    return valued
