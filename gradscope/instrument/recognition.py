"""Recognising what applies an activation function: which layers, which of their attributes, and under which name."""

from __future__ import annotations

import re
from typing import Any

from gradscope.instrument.keras_border import is_activation_class, keras, snake_case, weights_held

_ATTENTION_LAYERS = tuple(
    getattr(keras.layers, name)
    for name in ("MultiHeadAttention", "GroupQueryAttention", "Attention", "AdditiveAttention")
    if hasattr(keras.layers, name)
)
_NAMES_A_FUNCTION = re.compile(r"(^|_)act(ivation)?(_?\d+)?(_|$)")
_SHORT_NAMES = {"ReLU": "relu", "LeakyReLU": "leaky_relu", "PReLU": "prelu", "ELU": "elu"}


def is_activation_layer(layer: Any) -> bool:
    """Return whether the layer is nothing but an activation function: Activation, ReLU, PReLU, Softmax and kin."""
    return any(map(is_activation_class, type(layer).__mro__))


def is_attention(layer: Any) -> bool:
    """Return whether the layer is an attention layer, whose softmax is not taken out."""
    return isinstance(layer, _ATTENTION_LAYERS)


def is_recurrent(layer: Any) -> bool:
    """Return whether the layer runs a cell in a loop."""
    return isinstance(layer, keras.layers.RNN)


def owns_weights(layer: Any) -> bool:
    """Return whether the layer itself holds variables, those of the layers inside it left out."""
    return bool(weights_held(layer))


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
