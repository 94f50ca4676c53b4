"""What to try, as Keras code for the layer and the optimizer at hand."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any, cast

import numpy as np

from gradscope.diagnose.finding import Advice
from gradscope.diagnose.series import step_series
from gradscope.network import Layer, Network
from gradscope.store.frames import Frames

_INITIALISERS: Mapping[str, str] = {
    "relu": "he_normal", "relu6": "he_normal", "leaky_relu": "he_normal", "elu": "he_normal", "gelu": "he_normal",
    "silu": "he_normal", "mish": "he_normal", "selu": "lecun_normal",
}  # fmt: skip

# What a layer's code shows before the changes: what tells it from others of its class.
_SHOWN = ("units", "filters", "kernel_size", "strides", "padding", "activation", "kernel_initializer")
_USUAL: Mapping[str, Any] = {"strides": (1, 1), "padding": "valid", "kernel_initializer": "glorot_uniform"}


def layer_of(network: Network, key: str) -> Layer | None:
    """Return the layer with this key; None for a function that belongs to no layer."""
    return next((layer for layer in network.layers if layer.key == key), None)


def initialiser_for(activation: str) -> str:
    """Return the initialiser that keeps the spread of activations through layers of this function.

    Source: He et al., ICCV 2015, for functions that are flat below zero; Klambauer et al., NeurIPS 2017, for SELU;
    Glorot and Bengio, AISTATS 2010, for the others.
    """
    return _INITIALISERS.get(activation, "glorot_uniform")


def initialiser_of(layer: Layer) -> str:
    """Return the name of the initialiser that a layer's kernel has now, ``""`` where it has none."""
    return _identifier(layer.config.get("kernel_initializer"))


def layer_code(layer: Layer, **changes: str) -> str:
    """Return the layer as Keras code, with ``changes`` in place of what it has.

    Example:
        >>> config = {"units": 64, "activation": "sigmoid"}
        >>> layer_code(Layer("dense", "dense", "Dense", 0, True, "float32", config), activation="relu")
        'keras.layers.Dense(64, activation="relu")'
    """
    shown: list[str] = []
    for name in _SHOWN:
        value = layer.config.get(name)
        if name in changes or value is None:
            continue
        value = tuple(cast("list[Any]", value)) if isinstance(value, list) else value
        text = _snake(_identifier(value)) if isinstance(value, dict) else value
        if text == _USUAL.get(name) or (name == "strides" and value in (1, (1,), (1, 1), (1, 1, 1))):
            continue
        if not (name == "activation" and text == "linear"):
            shown.append(_literal(text) if name in _SHOWN[:3] else f"{name}={_literal(text)}")
    if not any(name in layer.config for name in _SHOWN[:3]):
        shown = ["..."]  # what tells layers of this class apart is not known here
    shown += [f"{name}={_literal(value)}" for name, value in changes.items()]
    return f"keras.layers.{layer.class_name}({', '.join(shown)})"


def _identifier(value: Any) -> str:
    """Return a short name of what Keras' configuration holds: a string, or a serialised object."""
    if isinstance(value, dict):
        item = cast("dict[str, Any]", value)
        value = item.get("class_name", "")
        if value == "function":
            value = item.get("config", "")
    return str(value or "")


def _literal(value: Any) -> str:
    return json.dumps(value) if isinstance(value, str) else str(value)


def another_function(layer: Layer | None, activation: str, why: str) -> Advice:
    """Advise another activation function for a layer, with the initialiser that goes with it."""
    if layer is None:
        return Advice(why, f"keras.activations.{activation}")
    if layer.class_name == "Activation" or "activation" not in layer.config:
        alone = {"leaky_relu": "keras.layers.LeakyReLU()", "relu": "keras.layers.ReLU()"}
        written = f"keras.layers.Activation({_literal(activation)})"
        return Advice(why, alone.get(activation, written) if layer.class_name != "Activation" else written)
    changes = {"activation": activation}
    if "kernel_initializer" in layer.config:
        changes["kernel_initializer"] = initialiser_for(activation)
    return Advice(why, layer_code(layer, **changes))


def another_initialiser(layer: Layer | None, activation: str) -> Advice | None:
    """Advise the initialiser that suits the function; None where the layer has it already, or has no kernel."""
    if layer is None:
        return None
    wanted, now = initialiser_for(activation), initialiser_of(layer)
    if not now or _snake(now) in {wanted, wanted.replace("normal", "uniform"), wanted.replace("uniform", "normal")}:
        return None
    said = f"Draw the weights of {layer.key!r} by {wanted!r}, which suits {activation}, instead of {now}."
    return Advice(said, layer_code(layer, kernel_initializer=wanted))


def _snake(name: str) -> str:
    return "".join(f"_{c.lower()}" if c.isupper() and i else c.lower() for i, c in enumerate(name))


def normalise(layer: Layer | None) -> Advice | None:
    """Advise a normalisation between a layer and its activation function; None where the layer is unknown."""
    if layer is None:
        return None
    kind = "BatchNormalization" if "Conv" in layer.class_name else "LayerNormalization"
    return Advice(
        f"Normalise what {layer.key!r} computes before its activation function, so that its scale no longer matters.",
        f"keras.layers.{kind}()  # between {_literal(layer.key)} and its activation function",
    )


def learning_rate_of(frames: Frames) -> float:
    """Return the learning rate last recorded; NaN where none is."""
    rates = step_series(frames, "learning_rate")
    rates = rates[~np.isnan(rates)]
    return float(rates[-1]) if len(rates) else math.nan


def learning_rate(frames: Frames, factor: float, why: str) -> Advice:
    """Advise to multiply the learning rate by ``factor``."""
    now = learning_rate_of(frames)
    name = frames.network.compiled.optimizer or "Adam"
    if math.isnan(now) or now == 0:
        return Advice(why, f"keras.optimizers.{name}(learning_rate=1e-3)")
    return Advice(why, f"keras.optimizers.{name}(learning_rate={float(f'{now * factor:.1g}'):g})  # {now:.3g} now")


def clip_gradients(frames: Frames) -> Advice | None:
    """Advise to clip gradients; None where they are clipped already."""
    compiled = frames.network.compiled
    if compiled.clipping:
        return None
    now = learning_rate_of(frames)
    rate = "" if math.isnan(now) else f"learning_rate={now:.3g}, "
    return Advice(
        "Clip the gradients, so that one batch cannot throw the weights far away.",
        f"keras.optimizers.{compiled.optimizer or 'Adam'}({rate}global_clipnorm=1.0)",
    )


def scale_inputs() -> Advice:
    """Advise to look at the data and to bring it to unit scale."""
    return Advice(
        "Check the data for values that are not finite, and bring every input to mean 0 and spread 1.",
        "normalisation = keras.layers.Normalization(); normalisation.adapt(x)  # as the first layer",
    )


def those(advice: Sequence[Advice | None]) -> tuple[Advice, ...]:
    """Return what there is to advise, in order, without the gaps."""
    return tuple(item for item in advice if item is not None)
