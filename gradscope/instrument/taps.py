"""Taps: what a model's layers compute, taken while one training step is traced.

A tap stands where an activation function is applied. It keeps the tensor that goes in, the tensor that comes out and,
through an identity with a gradient of its own, the gradient that comes back. Three nets catch what people write:
the ``activation`` attribute of a layer, the call of an activation layer, and Keras' own functions at the one place
where all their public names meet. Outputs of functions are never wrapped: Keras hangs the logits onto them.

Taps are on only while a step is traced, and are taken off whatever happens.
"""

from __future__ import annotations

import contextlib
import inspect
import re
import types
from collections.abc import Callable, Generator, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol  # tensors and layers are Any: Keras and TensorFlow ship no types

from gradscope.framework import keras, snake_case
from gradscope.network import NotMeasured
from gradscope.sites import Place, configuration

GATES = "its gates run inside a recurrent loop"
CELL = "its cell runs inside a recurrent loop"
ATTENTION = "the softmax inside attention is not taken out"
ELSEWHERE = "it runs inside a loop, a condition or a compiled function of its own"

_ATTENTION_LAYERS = tuple(
    getattr(keras.layers, name)
    for name in ("MultiHeadAttention", "GroupQueryAttention", "Attention", "AdditiveAttention")
    if hasattr(keras.layers, name)
)


@dataclass(eq=False)
class Application:
    """One application of an activation function, as the trace shows it.

    Attributes:
        key: Key of the site.
        layer_key: Key of the layer it belongs to.
        layer: The layer, or the operation of a functional graph.
        name: Name of the function.
        function: The function of the pre-activation alone, for profiling.
        pre: Pre-activations; several where a wrapper repeats the layer over time.
        post: Activations, likewise.
        backward: Gradients of the loss at the pre-activations, by their place in ``pre``; empty where none comes back.
        base: Its key before repetitions are numbered.
        keywords: Keyword arguments that the function was called with.
        identity: What tells its function from others, so that one profile serves all its sites.
        published: Its function's name in `keras.activations`, where it is one of these.
        mask: Keras' mask of the layer's input, True at the positions that count; None where all do.
    """

    key: str
    layer_key: str
    layer: Any
    name: str
    function: Callable[[Any], Any]
    base: str
    keywords: dict[str, Any] = field(default_factory=dict[str, Any])
    identity: Hashable = None
    published: str | None = None
    pre: list[Any] = field(default_factory=list[Any])
    post: list[Any] = field(default_factory=list[Any])
    backward: dict[int, Any] = field(default_factory=dict[int, Any])
    mask: Any = None

    def receiver(self) -> Callable[[Any], None]:
        """Return what takes the gradient at the next pre-activation, adding up those of several losses."""
        at = len(self.pre)  # time steps come back in no certain order

        def receive(gradient: Any) -> None:
            self.backward[at] = self.backward[at] + gradient if at in self.backward else gradient

        return receive


@dataclass(frozen=True, slots=True)
class ChokePoint:
    """An attribute of a module or class through which every call of one activation function goes."""

    owner: Any
    attribute: str
    name: str


class TraceBackend(Protocol):
    """What a backend gives to the taps while it traces."""

    def here(self) -> bool:
        """Return whether tensors made now belong to the trace itself, not to a loop body or a scratch graph."""
        ...

    def is_floating(self, value: Any) -> bool:
        """Return whether ``value`` is a dense tensor of floats."""
        ...

    def watched(self, tensor: Any, receive: Callable[[Any], None]) -> Any:
        """Return ``tensor`` unchanged, such that its gradient is handed to ``receive`` on its way back."""
        ...

    def operation_count(self) -> int:
        """Return how many operations the trace holds so far."""
        ...

    def choke_points(self) -> Sequence[ChokePoint]:
        """Return where the activation functions of the backend can be caught."""
        ...


@dataclass(slots=True)
class Frame:
    """A layer while it is being called, and which operations of the trace it made.

    Attributes:
        place: The layer; None for the model itself.
        hidden: True where nothing inside is to be taken.
        mask: Keras' mask of the layer's input.
        start: Operations in the trace when the call began.
        end: Operations when it ended.
    """

    place: Place | None
    hidden: bool
    mask: Any
    start: int
    end: int = -1

    @property
    def key(self) -> str:
        return self.place.key if self.place is not None else ""


@dataclass(frozen=True, slots=True)
class Span:
    """Operations, by number, that one application of a function made."""

    start: int
    end: int


class Tracer:
    """Collects the applications of one trace.

    Args:
        backend: The backend that traces.
        chosen: Keys of the layers whose sites are taken; None for all.
    """

    def __init__(self, backend: TraceBackend, chosen: set[str] | None) -> None:
        self.applications: list[Application] = []
        self.frames: list[Frame] = []
        self.claimed: list[Span] = []
        self.outputs: list[Any] = []
        self._backend = backend
        self._chosen = chosen
        self._open: list[Frame] = []
        self._applying = False
        self._counts: dict[str, int] = {}
        self._missing: dict[str, str] = {}

    @property
    def not_measured(self) -> list[NotMeasured]:
        """What a tap met but could not take, with the reason."""
        taken = {application.layer_key for application in self.applications}
        return [NotMeasured(key, reason) for key, reason in self._missing.items() if key not in taken]

    @property
    def inside_attention(self) -> bool:
        """Whether what is called now is called by an attention layer itself."""
        return bool(self._open) and self.is_attention(self._open[-1])

    def wants(self, layer_key: str) -> bool:
        """Return whether the sites of the layer are to be taken."""
        return self._chosen is None or layer_key in self._chosen

    def miss(self, layer_key: str, reason: str) -> None:
        """Note that something of a layer cannot be measured."""
        if self.wants(layer_key):
            self._missing.setdefault(layer_key, reason)

    @contextlib.contextmanager
    def frame(self, place: Place | None, arguments: tuple[Any, ...], *, hidden: bool = False) -> Generator[Any]:
        """Mark the operations made meanwhile as those of ``place``, and yield Keras' mask of its input."""
        mask = getattr(arguments[0], "_keras_mask", None) if arguments else None
        if place is not None and place.repeated and self._open:
            mask = self._open[-1].mask  # a time step has none of its own: the wrapper's is of all of them
        if not self._backend.here():
            yield mask
            return
        hidden = hidden or (bool(self._open) and self._open[-1].hidden)
        frame = Frame(place, hidden, mask, self._backend.operation_count())
        self._open.append(frame)
        self.frames.append(frame)
        try:
            yield mask
        finally:
            self._open.pop()
            frame.end = self._backend.operation_count()

    def apply(
        self,
        place: Place,
        name: str,
        function: Callable[..., Any],
        arguments: tuple[Any, ...],
        keywords: dict[str, Any],
        *,
        identity: Hashable,
        published: str | None,
        key: str | None = None,
    ) -> Any:
        """Return ``function(*arguments, **keywords)``, taking its first argument and its value on the way.

        Args:
            place: The layer that applies the function.
            name: The function's name.
            function: The function; its first argument is the pre-activation.
            arguments: Its positional arguments.
            keywords: Its keyword arguments.
            identity: What tells the function from others.
            published: Its name in `keras.activations`, where it is one of these; ``keywords`` are then its parameters.
            key: Key of the site before repetitions are numbered; the layer's own by default.
        """
        z = arguments[0] if arguments else None
        if self._applying or self._is_hidden() or not self.wants(place.key) or not self._backend.is_floating(z):
            return function(*arguments, **keywords)
        if not self._backend.here():
            self.miss(place.key, ELSEWHERE)
            return function(*arguments, **keywords)
        application = self.application(place, name, lambda x: function(x, *arguments[1:], **keywords), key=key)
        application.keywords, application.identity, application.published = keywords, identity, published
        watched = self._backend.watched(z, application.receiver())
        start = self._backend.operation_count()
        self._applying = True
        try:
            value = function(watched, *arguments[1:], **keywords)
        finally:
            self._applying = False
            self.claimed.append(Span(start, self._backend.operation_count()))
        if self._backend.is_floating(value):
            application.pre.append(watched)
            application.post.append(value)
            self.keep(application, self._open[-1].mask if self._open else None)
        return value

    def apply_here(self, point: ChokePoint, function: Callable[..., Any], arguments: Any, keywords: Any) -> Any:
        """Return ``function(*arguments, **keywords)``, taken as a site of the layer that is being called."""
        frame = self._open[-1] if self._open and self._backend.here() else None
        if frame is None or self.inside_attention:
            return function(*arguments, **keywords)
        place, key = self.function_site(frame, point.name)
        z, *named = inspect.signature(function).bind(*arguments, **keywords).arguments.items()
        return self.apply(
            place,
            point.name,
            function,
            (z[1],),
            dict(named),
            identity=(point.name, repr(named)),
            published=point.name,
            key=key,
        )

    @staticmethod
    def is_attention(frame: Frame) -> bool:
        """Return whether the frame is that of an attention layer itself, whose softmax is not taken out."""
        return frame.place is not None and isinstance(frame.place.layer, _ATTENTION_LAYERS)

    @staticmethod
    def function_site(frame: Frame, name: str) -> tuple[Place, str]:
        """Return the place and the key of a plain function that is called inside ``frame``."""
        if frame.place is None:
            return Place(None, name), name
        if isinstance(frame.place.layer, keras.layers.Layer):
            return frame.place, f"{frame.place.key}/{name}"
        return frame.place, frame.place.key

    def output(self, place: Place, value: Any, mask: Any) -> Any:
        """Return a layer's output, taken as a linear site unless a site of its own has made it."""
        several = keras.tree.is_nested(value)
        tensor = keras.tree.flatten(value)[0] if several else value
        taken = any(tensor is post for application in self.applications[-2:] for post in application.post)
        if taken or self._applying or not self.wants(place.key) or not self._backend.is_floating(tensor):
            return value
        if self._is_hidden():
            return value
        if not self._backend.here():
            self.miss(place.key, ELSEWHERE)
            return value
        application = self.application(place, "linear", lambda x: x)
        application.published = "linear"
        watched = self._backend.watched(tensor, application.receiver())
        application.pre.append(watched)
        application.post.append(watched)
        self.keep(application, mask)
        return type(value)([watched, *value[1:]]) if several else watched

    def application(
        self, place: Place, name: str, function: Callable[[Any], Any], *, key: str | None = None
    ) -> Application:
        """Return a new application; of a layer that is repeated over time, the one it has."""
        base = key if key is not None else place.key
        if place.repeated:
            for earlier in self.applications:
                if earlier.layer is place.layer and earlier.key == base:
                    return earlier
        count = self._counts.get(base, 0)
        return Application(f"{base}:{count}" if count else base, place.key, place.layer, name, function, base)

    def keep(self, application: Application, layer_mask: Any) -> None:
        """Keep an application whose tensors have been taken."""
        if len(application.pre) > 1:
            return  # repeated over time: kept at its first time step
        self._counts[application.base] = self._counts.get(application.base, 0) + 1
        mask = getattr(application.pre[0], "_keras_mask", None)
        application.mask = layer_mask if mask is None else mask
        self.applications.append(application)

    def _is_hidden(self) -> bool:
        return bool(self._open) and self._open[-1].hidden


def position_mask(tensor: Any, mask: Any) -> Any:
    """Return Keras' mask where it speaks of the tensor's leading axes, else None."""
    if mask is None or isinstance(mask, (list, tuple)) or len(mask.shape) >= max(len(tensor.shape), 2):
        return None
    pairs = zip(mask.shape, tensor.shape, strict=False)
    return mask if all(m is None or t is None or m == t for m, t in pairs) else None


@contextlib.contextmanager
def taps(model: Any, found: Sequence[Place], tracer: Tracer, backend: TraceBackend) -> Generator[None]:
    """Put taps on ``model`` for as long as the context lasts; afterwards no attribute of it is left changed."""
    with contextlib.ExitStack() as stack:
        stack.enter_context(replaced(model, "call", _framed(tracer, None, model.call)))
        for place in found:
            if place.inside_loop is None:
                _tap_layer(stack, tracer, place)
        for point in backend.choke_points():
            stack.enter_context(replaced(point.owner, point.attribute, _caught(tracer, point)))
        yield


def _tap_layer(stack: contextlib.ExitStack, tracer: Tracer, place: Place) -> None:
    layer = place.layer
    if not isinstance(layer, keras.layers.Layer):
        stack.enter_context(replaced(layer, "call", _framed(tracer, place, layer.call)))
    elif isinstance(layer, keras.layers.RNN):
        has_gates = hasattr(layer.cell, "recurrent_activation")
        tracer.miss(*((f"{place.key} (gates)", GATES) if has_gates else (f"{place.key} (cell)", CELL)))
        stack.enter_context(replaced(layer, "call", _watched_output(tracer, place, layer.call, hidden=True)))
    elif isinstance(layer, _ATTENTION_LAYERS):
        tracer.miss(f"{place.key} (softmax)", ATTENTION)
        stack.enter_context(replaced(layer, "call", _framed(tracer, place, layer.call)))
    elif is_activation_layer(layer):
        stack.enter_context(replaced(layer, "call", _applied_call(tracer, place, layer.call)))
    else:
        for name in function_attributes(layer):
            key = place.key if name == "activation" else f"{place.key}/{function_name(getattr(layer, name))}"
            stack.enter_context(replaced(layer, name, _applied_attribute(tracer, place, getattr(layer, name), key)))
        owns_weights = bool(
            getattr(layer, "_trainable_variables", ()) or getattr(layer, "_non_trainable_variables", ())
        )
        wrap = _watched_output if owns_weights else _framed
        stack.enter_context(replaced(layer, "call", wrap(tracer, place, layer.call)))


def is_activation_layer(layer: Any) -> bool:
    """Return whether the layer is nothing but an activation function: Activation, ReLU, PReLU, Softmax and kin."""
    return any(cls.__module__.startswith("keras.src.layers.activations") for cls in type(layer).__mro__)


def function_attributes(layer: Any) -> list[str]:
    """Return the layer's own attributes that hold an activation function: ``activation``, ``act``, ``act_fn`` ...

    A name counts by its words, so that neither ``activity_regularizer`` nor ``extractor`` does; and a layer that is
    more than an activation function is a place of its own.
    """
    attributes: dict[str, Any] = layer.__dict__
    return [
        name
        for name, value in attributes.items()
        if _NAMES_A_FUNCTION.search(name)
        and callable(value)
        and not isinstance(value, type)
        and (not isinstance(value, keras.layers.Layer) or is_activation_layer(value))
    ]


_NAMES_A_FUNCTION = re.compile(r"(^|_)act(ivation)?(_?\d+)?(_|$)")


def function_name(function: Any) -> str:
    """Return the name to show for a function, layer or other callable.

    Example:
        >>> function_name(keras.ops.tanh), function_name(lambda x: x), function_name(keras.layers.LeakyReLU())
        ('tanh', 'lambda', 'leaky_relu')
    """
    if isinstance(function, keras.layers.Activation):
        return function_name(function.activation)
    if isinstance(function, keras.layers.Layer):
        return _SHORT_NAMES.get(type(function).__name__) or snake_case(type(function).__name__)
    name = getattr(function, "__name__", None) or type(function).__name__
    return str(name).strip("<>")


def keras_name(function: Any) -> str | None:
    """Return the name under which `keras.activations` publishes the function; None for any other."""
    name = getattr(function, "__name__", "")
    return name if getattr(keras.activations, name, None) is function and name != "" else None


_SHORT_NAMES = {"ReLU": "relu", "LeakyReLU": "leaky_relu", "PReLU": "prelu", "ELU": "elu"}


@contextlib.contextmanager
def replaced(owner: Any, name: str, value: Any) -> Generator[None]:
    """Set an attribute past Keras' tracking, and put back exactly what was there."""
    plain = isinstance(owner, (types.ModuleType, type))  # object's own setter refuses modules and classes
    put, remove = (setattr, delattr) if plain else (object.__setattr__, object.__delattr__)
    attributes: Mapping[str, Any] = owner.__dict__
    had, before = name in attributes, attributes.get(name)
    put(owner, name, value)
    try:
        yield
    finally:
        if had:
            put(owner, name, before)
        else:
            remove(owner, name)


def _framed(tracer: Tracer, place: Place | None, call: Callable[..., Any]) -> Callable[..., Any]:
    def framed(*arguments: Any, **keywords: Any) -> Any:
        with tracer.frame(place, arguments):
            value = call(*arguments, **keywords)
        if place is None:
            tracer.outputs += keras.tree.flatten(value)
        return value

    return framed


def _watched_output(
    tracer: Tracer, place: Place, call: Callable[..., Any], *, hidden: bool = False
) -> Callable[..., Any]:
    def watched(*arguments: Any, **keywords: Any) -> Any:
        with tracer.frame(place, arguments, hidden=hidden) as mask:
            value = call(*arguments, **keywords)
        if mask is None and arguments and place.layer.supports_masking:
            mask = place.layer.compute_mask(arguments[0], None)  # as an embedding does, which makes the mask
        return tracer.output(place, value, mask)

    return watched


def _applied_call(tracer: Tracer, place: Place, call: Callable[..., Any]) -> Callable[..., Any]:
    name = function_name(place.layer)
    config = {key: value for key, value in configuration(place.layer).items() if key not in ("name", "dtype")}
    identity = f"{type(place.layer)} {id(place.layer) if place.layer.variables else config}"
    published = keras_name(getattr(place.layer, "activation", None))

    def applied(*arguments: Any, **keywords: Any) -> Any:
        with tracer.frame(place, arguments, hidden=tracer.inside_attention):
            return tracer.apply(place, name, call, arguments, keywords, identity=identity, published=published)

    return applied


def _applied_attribute(tracer: Tracer, place: Place, function: Any, key: str) -> Callable[..., Any]:
    name, published = function_name(function), keras_name(function)

    def applied(*arguments: Any, **keywords: Any) -> Any:
        return tracer.apply(
            place, name, function, arguments, keywords, identity=id(function), published=published, key=key
        )

    return applied


def _caught(tracer: Tracer, point: ChokePoint) -> Callable[..., Any]:
    original = getattr(point.owner, point.attribute)

    def caught(*arguments: Any, **keywords: Any) -> Any:
        return tracer.apply_here(point, original, arguments, keywords)

    return staticmethod(caught) if isinstance(point.owner, type) else caught  # type: ignore[return-value]
