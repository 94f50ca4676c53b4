"""Networks in which most entries are zero and every unit works: what counts zeros takes them for dead."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from zoo.case import Case, Training
from zoo.data import digit_images, written_lines
from zoo.healthy.tasks import classify, decide, digits_mlp

L: Any = keras.layers
_DEEP_DIAGNOSIS = "DeepDiagnosis' Dead Node fires at 70 % zero entries: 58 of its 68 false alarms"


def _normalised_below_zero() -> Training:
    """Each unit is normalised, then moved down: most entries are negative, and no unit always is."""
    below_zero = keras.initializers.Constant(-0.7)
    model = digits_mlp(
        lambda: L.BatchNormalization(beta_initializer=below_zero), L.ReLU, widths=(96, 96), activation=None
    )
    return classify(model, epochs=6)


def _biased_below_zero() -> Training:
    below_zero = keras.initializers.Constant(-0.4)
    model = keras.Sequential(
        [
            keras.Input((64,)),
            L.Dense(256, "relu", kernel_initializer="he_normal", bias_initializer=below_zero),
            L.Dense(10, "softmax"),
        ]
    )
    return classify(model, epochs=6)


def _activity_penalty() -> Training:
    return classify(digits_mlp(widths=(96, 96), activity_regularizer=keras.regularizers.L1(0.02)), epochs=8)


def _rare_features() -> Training:
    below_zero = keras.initializers.Constant(-0.7)
    model = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            L.Conv2D(24, 3, use_bias=False),
            L.BatchNormalization(beta_initializer=below_zero),
            L.ReLU(),
            L.Conv2D(24, 3, use_bias=False),
            L.BatchNormalization(beta_initializer=below_zero),
            L.ReLU(),
            L.Flatten(),
            L.Dense(10, "softmax"),
        ]
    )
    return classify(model, digit_images(), epochs=6)


def _bag_of_characters() -> Training:
    x, y = written_lines()
    bags = np.zeros((len(x), 128), np.float32)
    for bag, line in zip(bags, x, strict=True):
        bag[line[line > 0]] = 1
    model = keras.Sequential([keras.Input((128,)), L.Dense(48, "relu"), L.Dense(24, "relu"), L.Dense(1, "sigmoid")])
    return decide(model, (bags, y), optimizer=keras.optimizers.Adam(3e-3), epochs=10)


CASES: tuple[Case, ...] = (
    Case("sparse_relu_normalised_below_zero", "sparse relu", _DEEP_DIAGNOSIS, _normalised_below_zero, learns=0.5),
    Case("sparse_relu_biased_below_zero", "sparse relu", _DEEP_DIAGNOSIS, _biased_below_zero, learns=0.3),
    Case("sparse_relu_activity_penalty", "sparse relu", _DEEP_DIAGNOSIS, _activity_penalty, learns=1.0),
    Case("sparse_relu_convolutions", "sparse relu", _DEEP_DIAGNOSIS, _rare_features, learns=0.4),
    Case(
        "sparse_inputs_bag_of_characters",
        "sparse inputs",
        "most entries of the first gradient are exactly zero, as AUTOTRAINER's dying ReLU counts them (>= 70 %)",
        _bag_of_characters,
        learns=0.3,
    ),
)
