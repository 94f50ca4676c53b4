"""Remedy: what a piece of advice changes, as a value of which its text and its code are made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal, TypeAlias, get_args

from gradscope.diagnose.keras_code import FUNCTIONS, RECURRENT, comment, layer_code, optimizer_code, written
from gradscope.network import Layer, Network

RemedyKind: TypeAlias = Literal[
    "initialiser", "activation", "learning_rate", "clipping", "normalisation", "input_scaling", "target_scaling",
    "output", "loss", "residual", "layer_removal", "trainable", "data", "code",
]  # fmt: skip
REMEDY_KINDS: Final[tuple[RemedyKind, ...]] = get_args(RemedyKind)
"""What can be changed; ``code`` is a change of the user's own code that only words can tell."""

_SHOWN: Final = 6


@dataclass(frozen=True, slots=True)
class Remedy:
    """One change of a model, of its optimizer or of its data.

    Attributes:
        kind: What is changed.
        layers: Keys of the layers that are; empty where it is none.
        settings: The new arguments by name, as Keras takes them or serialises them: of each layer, or of the optimizer.
            ``class_name`` is another class in its place; of a normalisation, the class of what is put before the
            layer's function, or before a layer that has gates.
    """

    kind: RemedyKind
    layers: tuple[str, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict[str, Any], hash=False)


def code_of(remedy: Remedy, network: Network) -> str:
    """Return a remedy as Keras code for the model at hand, ``""`` where only words can tell it.

    Each line runs as it stands, where ``keras`` is imported and ``model``, ``x`` and ``y`` are the user's.

    Example:
        >>> config = {"units": 64, "activation": "tanh"}
        >>> net = Network("mlp", (Layer("dense", "dense", "Dense", 0, True, "float32", config),))
        >>> code_of(Remedy("activation", ("dense",), {"activation": "relu"}), net)
        'keras.layers.Dense(64, activation="relu")  # dense'
    """
    if remedy.kind in {"learning_rate", "clipping"}:
        return optimizer_code(network.compiled, **remedy.settings)
    if remedy.kind == "input_scaling":
        return "normalisation = keras.layers.Normalization(); normalisation.adapt(x)  # as the first layer"
    if remedy.kind == "target_scaling":
        return "y = (y - y.mean(axis=0)) / y.std(axis=0)  # and answers times y.std(axis=0) plus y.mean(axis=0)"
    return _of_layers(remedy, network)


def _of_layers(remedy: Remedy, network: Network) -> str:
    """Return a line for all layers that are made by the same code."""
    lines: dict[str, list[str]] = {}
    named = set(remedy.layers)
    for layer in network.layers:
        if layer.key in named:
            lines.setdefault(_of_layer(remedy, layer), []).append(layer.key)
    lines.pop("", None)
    told = [f"{code}  # {comment(keys)}" for code, keys in lines.items()]
    more = [f"# … and {len(told) - _SHOWN} more in the same way"] if len(told) > _SHOWN else []
    return "\n".join(told[:_SHOWN] + more)


def _of_layer(remedy: Remedy, layer: Layer) -> str:
    if remedy.kind == "normalisation":
        return _normalised(layer, f"keras.layers.{remedy.settings['class_name']}()")
    if remedy.kind == "residual":
        code = layer_code(layer)
        return f"x = x + {code}(x)" if code else ""
    if layer.class_name in FUNCTIONS:
        return f"keras.layers.Activation({written(remedy.settings['activation'])})"
    known = {name: value for name, value in remedy.settings.items() if name == "class_name" or name in layer.config}
    return layer_code(layer, **known) if known else ""


def _normalised(layer: Layer, normalisation: str) -> str:
    """Return the layer with a normalisation before its function, or before it where it has gates."""
    if layer.class_name in RECURRENT:
        whole = layer_code(layer)
        return f"{normalisation}, {whole}" if whole else ""
    activation = layer.config.get("activation", "linear")
    parts = [layer_code(layer, activation="linear"), normalisation]
    if activation != "linear":
        parts.append(layer_code(replace(layer, class_name="Activation"), activation=activation))
    return ", ".join(parts) if all(parts) else normalisation
