"""Networks that learn with many saturated entries, or because of them: being sure is what sigmoids are for."""

from __future__ import annotations

from functools import partial
from typing import Any

import keras
import numpy as np

from zoo.case import Case, Training
from zoo.data import blobs, circles, digits, scaled
from zoo.healthy.tasks import classify, decide, digits_mlp, predict

L: Any = keras.layers
_SATURATED = "DeepDiagnosis' Saturated (|z| >= 5 in half of the entries), TheDeepChecker's rho > 0.85"


def _tanh_from_wide_weights(spread: float) -> Training:
    normal = keras.initializers.RandomNormal(stddev=spread)
    model = keras.Sequential(
        [
            keras.Input((64,)),
            L.Dense(96, "tanh", kernel_initializer=normal),
            L.Dense(48, "tanh"),
            L.Dense(10, "softmax"),
        ]
    )
    return classify(model, epochs=8)


def _tanh_grown_by_a_large_rate() -> Training:
    rate = keras.optimizers.SGD(0.1, momentum=0.9)
    return classify(digits_mlp(activation="tanh"), optimizer=rate, epochs=8)


def _tanh_of_raw_measurements() -> Training:
    x, y = blobs(1000, 4, 6)
    model = keras.Sequential([keras.Input((6,)), L.Dense(32, "tanh"), L.Dense(16, "tanh"), L.Dense(4, "softmax")])
    return classify(model, (3 * x, y), epochs=8)


def _tanh_output() -> Training:
    x, y = circles()
    model = keras.Sequential([keras.Input((2,)), L.Dense(32, "relu"), L.Dense(1, "tanh")])
    adam = keras.optimizers.Adam(1e-2)
    return predict(model, (x, (2 * y - 1).astype(np.float32)), loss="squared_hinge", optimizer=adam, epochs=12)


def _confident_output() -> Training:
    model = keras.Sequential([keras.Input((30,)), L.Dense(16, "relu"), L.Dense(1, "sigmoid")])
    return decide(model, scaled("breast_cancer"), optimizer=keras.optimizers.Adam(1e-2), epochs=20)


def _confident_hidden() -> Training:
    """Each hidden unit is a sharp line between clouds."""
    x, y = blobs(1200, 6, 2, 0.4)
    model = keras.Sequential([keras.Input((2,)), L.Dense(24, "sigmoid"), L.Dense(6, "softmax")])
    return classify(model, (x, y), optimizer=keras.optimizers.Adam(0.1), epochs=12)


def _confident_in_two_layers() -> Training:
    model = digits_mlp(activation="sigmoid")
    return classify(model, optimizer=keras.optimizers.Adam(2e-2), epochs=10)


def _confident_logits() -> Training:
    """A softmax that has become one-hot: its loss and its gradients are nearly zero."""
    x, y = digits()
    model = keras.Sequential([keras.Input((64,)), L.Dense(64, "relu"), L.Dense(10)])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    return predict(model, (4 * x, y), loss=loss, optimizer=keras.optimizers.Adam(3e-3), epochs=12)


CASES: tuple[Case, ...] = (
    Case("tanh_wide_weights", "saturated tanh", _SATURATED, partial(_tanh_from_wide_weights, 0.5), learns=0.25),
    Case("tanh_very_wide_weights", "saturated tanh", _SATURATED, partial(_tanh_from_wide_weights, 0.9), learns=0.4),
    Case("tanh_large_rate", "saturated tanh", _SATURATED, _tanh_grown_by_a_large_rate, learns=0.6),
    Case("tanh_raw_measurements", "saturated tanh", _SATURATED, _tanh_of_raw_measurements, learns=0.3),
    Case("tanh_output", "bounded output", "an output that sits at -1 and 1 on purpose", _tanh_output, learns=0.3),
    Case("sigmoid_output_confident", "bounded output", _SATURATED, _confident_output, learns=0.05),
    Case("sigmoid_hidden_confident", "confident sigmoid", _SATURATED, _confident_hidden, learns=0.2),
    Case("sigmoid_two_layers_confident", "confident sigmoid", _SATURATED, _confident_in_two_layers, learns=0.3),
    Case(
        "softmax_one_hot",
        "bounded output",
        "entropy and gradients of the softmax fall to nearly zero; mean |gradient| < 1e-7 is SMD's vanishing",
        _confident_logits,
        learns=0.06,
    ),
)
