"""Trainings that go on long after the loss has come near its end: every gradient is tiny, and nothing is wrong."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from zoo.case import Case, Training
from zoo.data import blobs, digit_images, friedman, scaled
from zoo.healthy.tasks import classify, first, predict

L: Any = keras.layers
_TINY = "SMD and DeepDiagnosis call a mean |gradient| < 1e-7 vanishing, with no test of convergence"


def _separated_clouds() -> Training:
    model = keras.Sequential([keras.Input((4,)), L.Dense(32, "relu"), L.Dense(3, "softmax")])
    x, y = blobs(400, 3, 4, 0.3)
    return classify(model, ((x - x.mean(0)) / 5, y), optimizer=keras.optimizers.Adam(1e-2), epochs=25)


def _plane_without_noise() -> Training:
    x, _ = friedman()
    y = (x[:, :5].sum(1, keepdims=True) - 2.5).astype(np.float32)
    model = keras.Sequential([keras.Input((10,)), L.Dense(1)])
    return predict(model, (x, y), optimizer=keras.optimizers.SGD(0.3, momentum=0.9), epochs=20, batch_size=64)


def _few_images_by_heart() -> Training:
    model = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            L.Conv2D(16, 3, activation="relu"),
            L.Flatten(),
            L.Dense(32, "elu"),
            L.Dense(10, "softmax"),
        ]
    )
    adam = keras.optimizers.Adam(2e-3)
    return classify(model, first(320, digit_images()), optimizer=adam, epochs=25)


def _wine_by_heart() -> Training:
    model = keras.Sequential([keras.Input((13,)), L.Dense(24, "tanh"), L.Dense(24, "tanh"), L.Dense(3, "softmax")])
    return classify(model, scaled("wine"), optimizer=keras.optimizers.Adam(1e-2), epochs=25, batch_size=16)


CASES: tuple[Case, ...] = (
    Case("converged_clouds", "converged", _TINY, _separated_clouds, learns=1e-3),
    Case("converged_plane", "converged plane", _TINY, _plane_without_noise, learns=1e-4),
    Case("converged_images", "converged", _TINY, _few_images_by_heart, learns=0.02),
    Case("converged_wine", "converged", _TINY, _wine_by_heart, learns=5e-3),
)
