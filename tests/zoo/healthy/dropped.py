"""Heavy noise in the network: zeros after dropout are no dead units, and a loss that stays high is no failure."""

from __future__ import annotations

from typing import Any

import keras

from zoo.case import Case, Training
from zoo.data import digit_images
from zoo.healthy.tasks import classify, digits_mlp

L: Any = keras.layers
_ZEROS = "measured after dropout, 70 % of the entries are zero in every batch"


def _dropout() -> Training:
    model = digits_mlp(lambda: L.Dropout(0.7), widths=(256, 256))
    return classify(model, optimizer=keras.optimizers.Adam(2e-3), epochs=8)


def _channels() -> Training:
    model = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            L.Conv2D(24, 3, activation="relu"),
            L.SpatialDropout2D(0.5),
            L.Conv2D(24, 3, activation="relu"),
            L.SpatialDropout2D(0.5),
            L.Flatten(),
            L.Dense(10, "softmax"),
        ]
    )
    return classify(model, digit_images(), epochs=6)


def _noise() -> Training:
    model = keras.Sequential([keras.Input((64,)), L.GaussianNoise(0.3)])
    for _ in range(2):
        model.add(L.Dense(96, "silu"))
        model.add(L.GaussianDropout(0.4))
    model.add(L.Dense(10, "softmax"))
    return classify(model, epochs=7)


def _alpha() -> Training:
    model = digits_mlp(
        lambda: L.AlphaDropout(0.3), widths=(64, 64), activation="selu", kernel_initializer="lecun_normal"
    )
    return classify(model, epochs=7)


CASES: tuple[Case, ...] = (
    Case("dropout_seventy_percent", "dropout", _ZEROS, _dropout, learns=0.9),
    Case("dropout_of_channels", "dropout", "whole channels are zero in a batch's samples", _channels, learns=0.9),
    Case("dropout_gaussian", "noise", "losses and gradients of neighbouring steps hardly agree", _noise, learns=0.9),
    Case("dropout_alpha_selu", "noise", "dropped entries take selu's negative limit", _alpha, learns=1.1),
)
