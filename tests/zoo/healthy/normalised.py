"""Normalised networks: scale of weights and of gradients means nothing, and half of a ReLU's inputs is negative."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import keras

from zoo.case import Case, Training
from zoo.data import digit_images, scaled
from zoo.healthy.tasks import classify, decide, digits_mlp, first

L: Any = keras.layers


def _dense(normalise: Callable[[], Any], depth: int = 2, *, epochs: int = 6) -> Training:
    model = digits_mlp(normalise, L.ReLU, widths=(40,) * depth, activation=None, use_bias=False)
    return classify(model, epochs=epochs)


def _after_sigmoids() -> Training:
    """A normalisation after each sigmoid spreads what the next layer sees, however flat it was."""
    return classify(
        digits_mlp(L.BatchNormalization, widths=(40,) * 4, activation="sigmoid"),
        optimizer=keras.optimizers.Adam(5e-3),
        epochs=7,
    )


def _groups() -> Training:
    model = keras.Sequential([keras.Input((8, 8, 1))])
    for _ in range(3):
        model.add(L.Conv2D(16, 3, padding="same"))
        model.add(L.GroupNormalization(4))
        model.add(L.Activation("silu"))
    model.add(L.GlobalAveragePooling2D())
    model.add(L.Dense(10, "softmax"))
    return classify(model, first(640, digit_images()), optimizer=keras.optimizers.Adam(5e-3), epochs=7)


def _inputs() -> Training:
    """Columns from 1e-3 to 1e3, which the first layer normalises."""
    from zoo.data import measured

    x, y = measured("breast_cancer")
    first_layer = L.Normalization()
    first_layer.adapt(x)
    model = keras.Sequential([keras.Input((30,)), first_layer, L.Dense(24, "relu"), L.Dense(1, "sigmoid")])
    return decide(model, (x, y), epochs=10, optimizer=keras.optimizers.Adam(5e-3))


def _units() -> Training:
    """Classes by the cosine to one vector each."""
    x, y = scaled("wine")
    model = keras.Sequential(
        [keras.Input((13,)), L.Dense(24, "relu"), L.UnitNormalization(), L.Dense(3), L.Rescaling(5.0), L.Softmax()]
    )
    return classify(model, (x, y), optimizer=keras.optimizers.Adam(1e-2), epochs=20, batch_size=16)


_HALF = "half of the entries are negative by construction: zero after ReLU, whatever the weights do"
CASES: tuple[Case, ...] = (
    Case("batch_norm", "batch norm", _HALF, partial(_dense, L.BatchNormalization), learns=0.3),
    Case(
        "batch_norm_eight_layers", "batch norm", _HALF, partial(_dense, L.BatchNormalization, 8, epochs=8), learns=0.6
    ),
    Case(
        "batch_norm_after_sigmoids",
        "batch norm",
        "sigmoid outputs vary little, and are spread again",
        _after_sigmoids,
        learns=0.4,
    ),
    Case("layer_norm", "layer norm", _HALF, partial(_dense, L.LayerNormalization, 3), learns=0.3),
    Case("rms_norm", "layer norm", _HALF, partial(_dense, L.RMSNormalization, 3), learns=0.3),
    Case("group_norm", "group norm", "one mean and spread for four channels", _groups, learns=0.9),
    Case(
        "normalised_inputs",
        "input scale",
        "inputs from 1e-3 to 1e3: UMLAUT's and TheDeepChecker's input checks",
        _inputs,
        learns=0.12,
    ),
    Case("unit_norm", "unit norm", "activations of length 1, small gradients", _units, learns=0.35),
)
