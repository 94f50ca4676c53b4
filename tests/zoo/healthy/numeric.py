"""Regressions, with targets as they were measured, and linear models: no hidden layer, or one that is linear."""

from __future__ import annotations

from functools import partial
from typing import Any

import keras
import numpy as np

from zoo.case import Case, Training
from zoo.data import blobs, digits, friedman, scaled
from zoo.healthy.tasks import Data, classify, decide, predict

L: Any = keras.layers


def _friedman(loss: Any, epochs: int = 16, *, scale: float = 1.0, rate: float = 5e-3) -> Training:
    """Targets are about 14 ± 5; a constant reaches a squared error of 25 and an absolute one of 4."""
    x, y = friedman()
    model = keras.Sequential([keras.Input((10,)), L.Dense(64, "relu"), L.Dense(32, "elu"), L.Dense(1)])
    return predict(model, (4 * x - 2, y * scale), loss=loss, optimizer=keras.optimizers.Adam(rate), epochs=epochs)


def _counts() -> Training:
    """Poisson counts, the rate by an exponential output; a constant reaches 0.63."""
    x, y = friedman()
    counts = np.random.default_rng(0).poisson(np.exp((y - 14) / 4)).astype(np.float32)
    model = keras.Sequential([keras.Input((10,)), L.Dense(32, "relu"), L.Dense(1, "exponential")])
    return predict(
        model,
        (4 * x - 2, counts),
        loss="mean_squared_logarithmic_error",
        optimizer=keras.optimizers.Adam(1e-2),
        epochs=14,
    )


def _plane() -> Data:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(1000, 12)).astype(np.float32)
    y = x @ rng.normal(size=(12, 1)) + 3 + rng.normal(0, 0.3, (1000, 1))
    return x, y.astype(np.float32)


def _linear(optimizer: Any) -> Training:
    model = keras.Sequential([keras.Input((12,)), L.Dense(1)])
    return predict(model, _plane(), optimizer=optimizer(), epochs=8)


def _logistic() -> Training:
    model = keras.Sequential([keras.Input((30,)), L.Dense(1, "sigmoid")])
    return decide(model, scaled("breast_cancer"), optimizer=keras.optimizers.SGD(0.1), epochs=12)


def _logistic_from_zero() -> Training:
    model = keras.Sequential([keras.Input((64,)), L.Dense(10, "softmax", kernel_initializer="zeros")])
    return classify(model, digits(), optimizer=keras.optimizers.SGD(0.5), epochs=6)


def _low_rank() -> Training:
    model = keras.Sequential([keras.Input((64,)), L.Dense(9, use_bias=False), L.Dense(10, "softmax")])
    return classify(model, digits(), optimizer=keras.optimizers.Adam(5e-3), epochs=7)


def _quadratic_features() -> Training:
    """A linear model of products, as polynomial regression is."""
    x, y = blobs(1000, 4, 3)
    inputs = keras.Input((3,))
    products = L.Flatten()(keras.ops.expand_dims(inputs, 1) * keras.ops.expand_dims(inputs, 2))
    features = L.Normalization()
    features.adapt((x[:, None] * x[:, :, None]).reshape(-1, 9))
    outputs = L.Dense(4, "softmax")(L.Concatenate()([inputs, features(products)]))
    return classify(keras.Model(inputs, outputs), (x, y), optimizer=keras.optimizers.Adam(1e-2), epochs=8)


_LARGE = "targets far from zero: gradients of the first steps are hundreds of times the later ones"
_NO_HIDDEN = "there is no hidden layer, and nothing non-linear"
CASES: tuple[Case, ...] = (
    Case("regression_squared", "regression", _LARGE, lambda: _friedman("mean_squared_error"), learns=5.0),
    Case(
        "regression_large_targets",
        "regression",
        _LARGE,
        lambda: _friedman("mean_squared_error", 16, scale=10.0, rate=1e-2),
        learns=700.0,
    ),
    Case(
        "regression_absolute",
        "robust regression",
        "the gradient's size never falls with the error",
        lambda: _friedman("mean_absolute_error"),
        learns=1.6,
    ),
    Case("regression_huber", "robust regression", _LARGE, lambda: _friedman(keras.losses.Huber(1.0)), learns=1.2),
    Case("regression_counts", "counts", "an exponential output, whose slope has no bound", _counts, learns=0.31),
    Case("linear_regression", "linear", _NO_HIDDEN, partial(_linear, lambda: keras.optimizers.SGD(0.02)), learns=1.0),
    Case(
        "linear_regression_ftrl", "linear", _NO_HIDDEN, partial(_linear, lambda: keras.optimizers.Ftrl(1.0)), learns=1.0
    ),
    Case("logistic_regression", "logistic", _NO_HIDDEN, _logistic, learns=0.15),
    Case(
        "softmax_regression_from_zero",
        "logistic",
        "zero weights at the start, rightly",
        _logistic_from_zero,
        learns=0.5,
    ),
    Case("low_rank_softmax", "low rank", "two linear layers in a row, of lower rank on purpose", _low_rank, learns=0.4),
    Case("quadratic_features", "logistic", "large inputs, one linear layer", _quadratic_features, learns=0.4),
)
