"""Which layers a Keras model is made of, under which keys, and what the model is as a pure `Network`.

A layer's *key* is its path without the root model, with automatic numbers recounted among siblings, so that two runs of
one program match although Keras calls the first layer of the second model ``dense_2``.
"""

from __future__ import annotations

import fnmatch
import hashlib
import inspect
import json
import platform
import re
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast  # Keras ships no types: its layers, models and optimizers are Any here

from gradscope._version import __version__
from gradscope.errors import ArgumentError
from gradscope.instrument.keras_border import (
    functional_graph,
    keras,
    layers_within,
    loss_arguments,
    made_by,
    nodes_of,
    snake_case,
    weights_held,
)
from gradscope.instrument.optimizers import inner, optimizers
from gradscope.nearest import nearest
from gradscope.network import Compiled, Layer, Network, NotMeasured, Role, Site, Variable

LayerFilter = Sequence[str] | Callable[[str], bool]

_EMBEDDINGS = (keras.layers.Embedding,)
_ROLES: Mapping[str, Role] = {
    "kernel": "kernel",
    "recurrent_kernel": "kernel",
    "depthwise_kernel": "kernel",
    "pointwise_kernel": "kernel",
    "bias": "bias",
    "gamma": "scale",
    "scale": "scale",
    "beta": "offset",
    "embeddings": "embedding",
}


@dataclass(frozen=True, slots=True)
class Place:
    """Where a layer stands in its model.

    Attributes:
        layer: The Keras layer, or an operation of a functional graph.
        key: Its key.
        inside_loop: Key of the recurrent layer whose loop it runs in; None outside of loops.
        repeated: True where a wrapper applies it to every time step, which count as one application.
    """

    layer: Any
    key: str
    inside_loop: str | None = None
    repeated: bool = False


def places(model: Any) -> list[Place]:
    """Return every layer and functional operation below ``model``, each once, in the order of the model's own list."""
    found: list[Place] = []
    seen: set[int] = {id(model)}

    def visit(parent: Any, prefix: str, inside_loop: str | None, repeated: bool) -> None:
        children = _children(parent)
        for child, name in zip(children, recounted(children), strict=True):
            if id(child) in seen:
                continue
            seen.add(id(child))
            key = f"{prefix}{name}"
            found.append(Place(child, key, inside_loop, repeated))
            loop = inside_loop or (key if isinstance(child, keras.layers.RNN) else None)
            visit(child, f"{key}/", loop, repeated or isinstance(child, keras.layers.TimeDistributed))

    visit(model, "", None, False)
    return found


def _children(parent: Any) -> list[Any]:
    of_keras = isinstance(inspect.getattr_static(cast("type[object]", type(parent)), "operations", None), property)
    operations: Iterable[Any] = parent.operations if of_keras else ()
    graph = [node for node in operations if not isinstance(node, keras.layers.InputLayer)]
    own = [layer for layer in layers_within(parent) if not isinstance(layer, keras.layers.InputLayer)]
    return graph + [layer for layer in own if not any(layer is node for node in graph)]


def recounted(siblings: Sequence[Any]) -> list[str]:
    """Return the siblings' names with automatic numbers recounted from the first.

    A name is automatic when it is the class in snake case, with or without a number; `Bidirectional` puts
    ``forward_`` and ``backward_`` before it.
    """
    counts: dict[str, int] = {}
    result: list[str] = []
    for sibling in siblings:
        name = str(sibling.name)
        automatic = re.fullmatch(rf"((?:forward_|backward_)?{snake_case(type(sibling).__name__)})(_\d+)?", name)
        if automatic is not None:
            base = automatic[1]
            count = counts.get(base, 0)
            counts[base] = count + 1
            name = f"{base}_{count}" if count else base
        while name in result:  # a name the user gave twice, or one that a recounted name has taken
            name += "'"
        result.append(name)
    return result


def selected(keys: Sequence[str], layers: LayerFilter | None) -> set[str]:
    """Return the keys that ``layers`` asks for: all for None, else by glob patterns or a predicate.

    Raises:
        ArgumentError: If a pattern matches no key, with the nearest keys.
    """
    if layers is None:
        return set(keys)
    if callable(layers):
        return {key for key in keys if layers(key)}
    chosen: set[str] = set()
    for pattern in layers:
        matched = {key for key in keys if fnmatch.fnmatchcase(key, pattern)}
        if not matched:
            near = nearest(pattern, keys, count=3, likeness=0.3) or list(keys[:3])
            raise ArgumentError(
                f"layers={pattern!r} matches no layer of the model. Nearest: {', '.join(map(repr, near))}. "
                f"Patterns are globs over layer keys, such as 'dense*' or 'block_?/conv*'."
            )
        chosen |= matched
    return chosen


def owners(model: Any, found: Sequence[Place]) -> dict[str, str]:
    """Return the layer key of every variable, by the variable's path; a cell's variables belong to its layer."""
    result: dict[str, str] = {}
    for place in [*found, Place(model, "")]:
        for variable in own_variables(place.layer):
            result.setdefault(variable.path, place.inside_loop or place.key)
    return result


def own_variables(layer: Any) -> Iterator[Any]:
    """Yield the variables that the layer itself holds, those of the layers inside it left out."""
    yield from weights_held(layer)
    held: Iterable[Any] = getattr(layer, "__dict__", {}).values()  # Keras tracks none of TensorFlow's variables
    yield from (value for value in held if hasattr(value, "assign_add") and not isinstance(value, keras.Variable))


def role(variable: Any, layer: Any) -> Role:
    """Return the role that ``variable`` plays in ``layer``: attention's kernels and any matrix are kernels."""
    if isinstance(layer, _EMBEDDINGS):
        return "embedding"
    known = _ROLES.get(variable.name)
    if known is not None:
        return known
    return "kernel" if len(variable.shape) >= 2 else "other"


def unit_axes(variable: Any, layer: Any) -> tuple[int, ...] | None:
    """Return the axes of a kernel that index units, all others being fan-in; None where that is not defined."""
    rank = len(variable.shape)
    if rank < 2:
        return None
    name = type(layer).__name__
    if "Transpose" in name:
        return (rank - 2,)
    if variable.name == "depthwise_kernel" or name.startswith("DepthwiseConv"):
        return (rank - 2, rank - 1)
    if isinstance(layer, keras.layers.EinsumDense):
        return _einsum_unit_axes(str(layer.equation))
    return (rank - 1,)


def _einsum_unit_axes(equation: str) -> tuple[int, ...]:
    """Return the axes of the kernel's letters that stand in the output, as in ``abc,cde->abde``."""
    inputs, output = equation.replace("...", "").split("->")
    kernel = inputs.split(",")[1]
    return tuple(axis for axis, letter in enumerate(kernel) if letter in output)


def describe(
    model: Any,
    found: Sequence[Place],
    *,
    sites: Sequence[Site],
    variables: Sequence[Variable],
    not_measured: Sequence[NotMeasured],
) -> Network:
    """Return the pure description of ``model`` with the sites and variables that are recorded."""
    backend: str = keras.backend.backend()
    return Network(
        name=model.name,
        layers=tuple(_layer(place, order) for order, place in enumerate(_visible(found))),
        sites=tuple(sites),
        variables=tuple(variables),
        edges=edges(model, found),
        compiled=compiled(model),
        not_measured=tuple(dict.fromkeys(not_measured)),
        versions={
            "gradscope": __version__,
            "keras": keras.__version__,
            "backend": backend,
            backend: getattr(sys.modules.get(backend), "__version__", "unknown"),
            "python": platform.python_version(),
        },
    )


def _visible(found: Sequence[Place]) -> list[Place]:
    return [place for place in found if isinstance(place.layer, keras.layers.Layer) and place.inside_loop is None]


def _layer(place: Place, order: int) -> Layer:
    layer = place.layer
    return Layer(
        key=place.key,
        path=str(layer.path or layer.name),
        class_name=type(layer).__name__,
        order=order,
        trainable=bool(layer.trainable),
        dtype=str(layer.dtype_policy.name),
        config=configuration(layer),
    )


def configuration(layer: Any) -> Mapping[str, Any]:
    """Return the plain part of the layer's configuration; what cannot be JSON becomes its text."""
    if isinstance(layer, keras.Model):
        return {}  # a nested model's layers stand in the list themselves
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Keras warns of lambdas as if the model were about to be saved
            return json.loads(json.dumps(layer.get_config(), default=str))
    except Exception:  # a user's get_config may raise anything; the description does without it
        return {}


def fingerprint(network: Network) -> str:
    """Return a digest of the architecture: equal for two builds of one program, whatever Keras named them."""
    parts = [(layer.key, layer.class_name) for layer in network.layers]
    shapes = [(variable.layer, variable.role, variable.shape) for variable in network.variables]
    return hashlib.sha256(json.dumps([parts, shapes]).encode()).hexdigest()[:16]


def edges(model: Any, found: Sequence[Place]) -> tuple[tuple[str, str], ...] | None:
    """Return which layer feeds which, from the functional graph; None for a model that has none."""
    keys = {id(place.layer): place.key for place in found}
    result: list[tuple[str, str]] = []
    for graph in [model, *(place.layer for place in found)]:
        if not isinstance(graph, keras.Model):
            continue
        functional = functional_graph(graph)
        if functional is None:
            return None
        for node in nodes_of(functional):
            for tensor in node.arguments.keras_tensors:
                start, end = keys.get(id(made_by(tensor))), keys.get(id(node.operation))
                if start is not None and end is not None:
                    result.append((start, end))
    return tuple(dict.fromkeys(result))


def compiled(model: Any) -> Compiled:
    """Return how ``model`` was compiled, as far as it tells: it may have no optimizer, or one that is not Keras'."""
    whole = _optimizer_that_trains(model, optimizers(model))
    optimizer = inner(whole)
    loss = getattr(model, "loss", None)
    return Compiled(
        loss=loss_name(loss),
        from_logits=from_logits(loss),
        optimizer=type(optimizer).__name__ if optimizer is not None else "",
        clipping=clipping_of(optimizer),
        accumulation_steps=int(_number(optimizer, "gradient_accumulation_steps") or 1),
        epsilon=_number(optimizer, "epsilon"),
        dtype_policy=str(model.dtype_policy.name),
        jit_compile=bool(model.jit_compile),
        run_eagerly=bool(model.run_eagerly),
        steps_per_execution=int(model.steps_per_execution),
        optimizer_config=_optimizer_config(whole),
    )


def _optimizer_config(optimizer: Any) -> dict[str, Any]:
    """Return the optimizer as Keras serialises it, without a plain learning rate; empty where it cannot be."""
    try:
        config = json.loads(json.dumps(keras.optimizers.serialize(optimizer), default=str))
        trained = config["config"].get("inner_optimizer", config)["config"]
        if not isinstance(trained.get("learning_rate"), dict):
            trained.pop("learning_rate", None)
        return config
    except Exception:  # an optimizer of the user's own may raise anything; the description does without it
        return {}


def clipping_of(optimizer: Any) -> dict[str, float]:
    """Return what an optimizer clips gradients at, by the name of its argument."""
    return {
        name: value
        for name in ("clipnorm", "global_clipnorm", "clipvalue")
        if (value := _number(optimizer, name)) is not None
    }


def _optimizer_that_trains(model: Any, found: Sequence[Any]) -> Any:
    """Return ``model.optimizer``, else the only one among the attributes; None where none is known."""
    own = getattr(model, "optimizer", None)
    if own is not None:
        return own
    return found[0] if len(found) == 1 else None


def _number(owner: Any, name: str) -> float | None:
    """Return an attribute that is a number; None where there is none, or something else."""
    try:
        value = getattr(owner, name)
        return None if value is None or callable(value) else float(value)
    except (AttributeError, TypeError, ValueError):
        return None


def loss_name(loss: Any) -> str:
    """Return the loss's name in snake case: of a string, function or object; of several, joined by commas."""
    if isinstance(loss, str):
        return _loss_identifier(loss)
    if isinstance(loss, Mapping):
        return ", ".join(f"{name}: {loss_name(part)}" for name, part in cast("Mapping[str, Any]", loss).items())
    if isinstance(loss, (list, tuple)):
        return ", ".join(loss_name(part) for part in cast("Sequence[Any]", loss))
    if loss is None:
        return ""
    name = getattr(loss, "__name__", None) or type(loss).__name__
    return snake_case(name)


def _loss_identifier(name: str) -> str:
    try:
        found: Any = keras.losses.get(name)
    except ValueError:
        return name
    return loss_name(found) if not isinstance(found, str) else found


def from_logits(loss: Any) -> bool | None:
    """Return whether the loss expects logits; None where it does not say."""
    if isinstance(loss, str):
        return False if "crossentropy" in loss_name(loss) else None
    value = getattr(loss, "from_logits", loss_arguments(loss).get("from_logits"))
    return None if value is None else bool(value)
