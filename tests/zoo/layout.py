"""Which layers of a Keras model are measured, under which keys, and which variables are whose."""

from __future__ import annotations

import inspect
import re
import warnings
from dataclasses import dataclass
from typing import Any  # Keras ships no types: its layers are Any here

import keras
import numpy as np

from zoo.measurement import Layer, Variable

_CLASS_ACTIVATIONS = {
    "ReLU": "relu",
    "LeakyReLU": "leaky_relu",
    "ELU": "elu",
    "PReLU": "prelu",
    "Softmax": "softmax",
    # functions in a functional graph are operations of these classes
    "Relu": "relu",
    "Relu6": "relu6",
    "Tanh": "tanh",
    "Sigmoid": "sigmoid",
    "Elu": "elu",
    "Selu": "selu",
    "Gelu": "gelu",
    "Silu": "silu",
    "LeakyRelu": "leaky_relu",
    "Softplus": "softplus",
}


@dataclass(frozen=True)
class Place:
    """What is tapped (`layer`), what describes it (`described`, the layer inside a `TimeDistributed`), its key."""

    layer: Any
    described: Any
    key: str


def places(model: Any) -> list[Place]:
    """Return the layers without layers of their own, recurrent layers, and the operations of functional graphs."""
    found: list[Place] = []
    seen: set[int] = {id(model)}

    def visit(parent: Any, prefix: str) -> None:
        children = _children(parent)
        for child, name in zip(children, _names(children), strict=True):
            if id(child) in seen:
                continue
            seen.add(id(child))
            inner = _children(child)
            if isinstance(child, keras.layers.RNN) or not inner:
                found.append(Place(child, child, prefix + name))
            elif isinstance(child, keras.layers.TimeDistributed) and not _children(inner[0]):
                found.append(Place(child, inner[0], f"{prefix}{name}/{_names(inner)[0]}"))
            else:
                visit(child, f"{prefix}{name}/")

    visit(model, "")
    return found


def owners(model: Any) -> dict[int, str]:
    """Return the key of the innermost owner of each variable, by identity."""
    result: dict[int, str] = {}

    def visit(parent: Any, prefix: str) -> None:
        children = _children(parent)
        for child, name in zip(children, _names(children), strict=True):
            for variable in getattr(child, "variables", ()):
                result[id(variable)] = prefix + name
            if not isinstance(child, keras.layers.RNN):
                visit(child, f"{prefix}{name}/")

    visit(model, "")
    return result


def holder(model: Any, variable: Any) -> str:
    """Return the key of the layer that holds a variable which Keras does not track, or a function that does.

    Searched in the attributes of each layer, and in what the function of a `Lambda` closes over; empty if not found.
    """

    def within(value: Any, depth: int = 0) -> bool:
        if value is variable:
            return True
        if isinstance(value, dict):
            return depth < 3 and any(within(each, depth + 1) for each in value.values())
        if isinstance(value, (list, tuple)):
            return depth < 3 and any(within(each, depth + 1) for each in value)
        cells = getattr(value, "__closure__", None) if inspect.isfunction(value) else None
        return any(within(cell.cell_contents, depth + 1) for cell in cells or ())

    return next((place.key for place in places(model) if within(dict(vars(place.layer)))), "")


def variables(model: Any) -> tuple[Variable, ...]:
    keys = owners(model)
    return tuple(
        Variable(
            path=str(each.path),
            layer=keys.get(id(each), ""),
            name=str(each.name),
            ndim=len(each.shape),
            size=int(keras.ops.size(each)),
            rows=int(each.shape[0]) if len(each.shape) else 0,
        )
        for each in model.trainable_variables
    )


def described(place: Place, output: Any, is_output: bool) -> Layer:
    """Return the layer as a plain record; ``output`` is an array of its output, None where it was not seen."""
    layer = place.described
    class_name = type(layer).__name__
    argument = _argument(layer)
    recurrent = isinstance(layer, keras.layers.RNN)
    # the output of LSTM and GRU is a product of gates, not of the activation function alone
    last = _CLASS_ACTIVATIONS.get(class_name, argument if not recurrent or class_name == "SimpleRNN" else None)
    return Layer(
        key=place.key,
        class_name=class_name,
        activation=last,
        argument=argument,
        trainable=bool(getattr(layer, "trainable", True)),
        weight_arrays=len(getattr(layer, "weights", ())),
        units=None if output is None or output.ndim < 2 else int(output.shape[-1]),
        rank=None if output is None else int(output.ndim),
        tails=_tails(layer.activation) if has_activation(layer) and not is_output_function(last) else None,
        dropout=float(layer.rate) if isinstance(layer, keras.layers.Dropout) else None,
        is_output=is_output,
    )


def is_output_function(name: str | None) -> bool:
    return name in ("softmax", "log_softmax", "sparsemax", "glu", "linear")


def has_activation(layer: Any) -> bool:
    """Whether the layer applies a function it holds as a plain attribute; recurrent layers apply theirs in a loop."""
    return not isinstance(layer, keras.layers.RNN) and callable(vars(layer).get("activation"))


def is_activation_layer(layer: Any) -> bool:
    """Whether what goes in is the pre-activation of what comes out."""
    return type(layer).__name__ in _CLASS_ACTIVATIONS


def _children(parent: Any) -> list[Any]:
    # functional graphs list their operations, in the order of the graph; what a subclass holds beside comes after
    nodes = [node for node in getattr(parent, "operations", ()) if type(node).__name__ != "InputLayer"]
    known = {id(node) for node in nodes}
    held = [layer for layer in getattr(parent, "_layers", ()) if type(layer).__name__ != "InputLayer"]
    return nodes + [layer for layer in held if id(layer) not in known]


def _names(siblings: list[Any]) -> list[str]:
    counts: dict[str, int] = {}
    names: list[str] = []
    for sibling in siblings:
        automatic = keras.src.utils.naming.to_snake_case(type(sibling).__name__)
        match = re.fullmatch(rf"((?:forward_|backward_)?{automatic})(?:_\d+)?", sibling.name)
        name = sibling.name
        if match:
            number = counts.get(match[1], 0)
            counts[match[1]] = number + 1
            name = match[1] + (f"_{number}" if number else "")
        while name in names:
            name += "'"
        names.append(name)
    return names


def _tails(function: Any) -> tuple[float, float] | None:
    """Return the pre-activations beyond which the slope stays at or below a twentieth of its largest, at both ends.

    Read from finite differences on a fine grid, each point a sample of one unit; None where an end keeps its slope, and
    for a function with no slope at all.
    """
    grid = np.concatenate([-np.geomspace(100, 1e-3, 20000), np.geomspace(1e-3, 100, 20000)])
    try:
        with warnings.catch_warnings(action="ignore"):  # Keras warns of a softmax over one unit
            values = np.asarray(function(keras.ops.convert_to_tensor(grid[:, None], "float32")).numpy(), np.float64)
    except Exception:  # a function that wants another shape is not elementwise
        return None
    if values.shape != (len(grid), 1) or not np.isfinite(values).all():
        return None
    slope = np.abs(np.diff(values[:, 0]) / np.diff(grid))
    steep = np.flatnonzero(slope > 0.05 * slope.max())
    if not len(steep) or steep[0] == 0 or steep[-1] == len(slope) - 1:
        return None
    return float(grid[steep[0]]), float(grid[steep[-1] + 1])


def _argument(layer: Any) -> str | None:
    function = getattr(layer, "activation", None)
    if function is None or not callable(function):
        return None
    if inspect.isroutine(function):
        return str(function.__name__)
    name = type(function).__name__
    return _CLASS_ACTIVATIONS.get(name, name)
