"""Whatever any rule advises for a model of Keras runs as it is printed: real layers and optimizers, sick numbers."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers

import gradscope
from gradscope.diagnose.discover import known_rules
from gradscope.diagnose.finding import Finding
from gradscope.network import Network
from gradscope.store.frames import Frames
from gradscope.testing import run


def dense(function: str = "sigmoid", **given: Any) -> list[Any]:
    return [keras.Input((8,)), *(layers.Dense(8, activation=function, **given) for _ in range(4)), layers.Dense(1)]


MODELS: dict[str, Callable[[], list[Any]]] = {
    "sigmoids": dense,
    "relus with all arguments": lambda: dense("relu", use_bias=False, kernel_initializer="ones"),
    "steps": lambda: dense("hard_sigmoid", kernel_initializer=keras.initializers.RandomNormal(stddev=2.0)),
    "linear": lambda: dense("linear"),
    "a lambda": lambda: dense(lambda z: keras.ops.tanh(z)),
    "functions of their own": lambda: [
        keras.Input((8,)), layers.Dense(8), layers.ReLU(), layers.Dense(8), layers.BatchNormalization(),
        layers.Activation("tanh"), layers.Dense(8), layers.LeakyReLU(), layers.Dense(1, activation="relu"),
    ],
    "convolutions": lambda: [
        keras.Input((8,)), layers.Reshape((8, 1)), layers.Conv1D(4, 3, padding="same", activation="relu"),
        layers.Conv1D(4, 3, padding="same", activation="tanh"), layers.SeparableConv1D(4, 3, activation="relu"),
        layers.Flatten(), layers.Dense(1, activation="relu"),
    ],
    "recurrent": lambda: [
        keras.Input((8,)), layers.Reshape((8, 1)), layers.SimpleRNN(4, return_sequences=True, activation="relu"),
        layers.Bidirectional(layers.GRU(4, return_sequences=True)), layers.LSTM(4, activation="relu"), layers.Dense(1),
    ],
    "words": lambda: [
        keras.Input((8,)), layers.Embedding(9, 8), layers.Conv1D(4, 3, activation="relu"),
        layers.GlobalAveragePooling1D(), layers.Dense(1, activation="sigmoid"),
    ],
}  # fmt: skip
OPTIMIZERS: list[Callable[[], Any]] = [
    lambda: keras.optimizers.SGD(0.5, momentum=0.9, nesterov=True),
    lambda: keras.optimizers.AdamW(1e-3, weight_decay=0.02),
    lambda: keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(1e-3, 100)),
    lambda: keras.optimizers.LossScaleOptimizer(keras.optimizers.RMSprop(1e-3, rho=0.8), initial_scale=8.0),
]
X = (np.arange(160) % 9).reshape(20, 8).astype("float32")
Y = np.arange(20.0)[:, None]
STUCK = {"loss": [100.0] * 6}
SICK = [
    {"activations": {"*": {"dead_unit_fraction": 1.0, "inactive_fraction": 1.0}}},
    {"activations": {"*": {"dead_unit_fraction": lambda step: step / 300, "inactive_fraction": 0.5}}},
    {"activations": {"*": {"saturated_fraction": 0.9, "saturated_low_fraction": 0.9}}},
    {"activations": {"*": {"saturated_fraction": lambda step: min(step / 200, 1.0)}}},
    {"activations": {"*": {"mean": 3.0, "sample_std": 0.1}}, "gradients": {"*": {"sign_agreement": 0.99}}},
    {"activations": {"*": {"rms": lambda step: 10.0 ** (step / 10), "abs_max": 1e38}}},
    {"gradients": {"*": {"update_to_weight_ratio": 0.9}}},
    {"gradients": {"*": {"update_to_weight_ratio": 1e-9}}, "steps": {"learning_rate": 1e-4}},
    {"gradients": {"*": {"connected": 0.0, "zero_fraction": 1.0}}},
    {"gradients": {"*": {"update_norm": 0.0, "zero_fraction": 1.0}}},
    {"steps": {"loss": [2.0, 2.0, *[float("nan")] * 10], "global_norm": lambda step: 10.0 ** (step / 25)}},
    {"epochs": {"loss": [100.0, 50.0, 100.0, 50.0] * 4}, "gradients": {"*": {"update_to_weight_ratio": 0.05}}},
    {"epochs": {"loss": [100.0, 99.5, 99.2, 98.9, 98.7, 98.5]}},
    {"epochs": {"loss": [190.0, 170.0, 150.0, 140.0, 130.0, 120.0]}},
]  # fmt: skip


def faded(network: Network, column: str) -> dict[str, dict[str, float]]:
    """Return a signal that is a thousandth of itself from layer to layer, towards the input or away from it."""
    backward = column == "backward_rms"
    ends = range(len(network.sites)) if backward else range(len(network.sites), 0, -1)
    return {site.key: {column: 10.0 ** (3 * at - 9)} for site, at in zip(network.sites, ends, strict=True)}


@functools.cache
def network_of(name: str, number: int) -> Network:
    keras.utils.clear_session()
    model = keras.Sequential(MODELS[name]())
    model.compile(OPTIMIZERS[number](), "mse")
    tracked = gradscope.GradScope(schedule=1, quiet=True)
    model.fit(X, Y, verbose=0, callbacks=[tracked])
    return tracked.run.frames.network


def sick_runs(network: Network) -> Iterator[Frames]:
    usual = {"baseline_loss": 100.0}
    small = {"*": {"update_to_weight_ratio": 1e-7}} if network.variables else {}
    for changes in SICK:
        steps = {**usual, **changes.get("steps", {})}
        yield run(network, **{"epochs": STUCK, **changes, "steps": steps})
    yield run(network, epochs=STUCK, steps=usual, activations=faded(network, "sample_std"))
    yield run(network, epochs=STUCK, steps=usual, activations=faded(network, "backward_rms"), gradients=small)


def executed(finding: Finding, code: str) -> None:
    model = keras.Sequential([keras.Input((8,)), layers.Dense(1)])
    model.compile("sgd", "mse")
    shape = (8, 4) if "Conv" in code else (4,) if "Dense(4" in code else (8,)
    names = {"keras": keras, "model": model, "x": keras.Input(shape) if code.startswith("x = x") else X, "y": Y}
    try:
        exec(re.sub(r"epochs=\d+", "epochs=1, verbose=0", code), names)
    except Exception as error:
        raise AssertionError(f"{finding.key} advises what does not run: {code}") from error


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_all_that_is_advised_for_a_model_of_keras_runs(name: str) -> None:
    number = list(MODELS).index(name) % len(OPTIMIZERS)
    network = network_of(name, number)
    told: set[str] = set()
    known = {layer.key for layer in network.layers}
    for frames in sick_runs(network):
        for rule in known_rules().values():
            for finding in rule(frames):
                for advice in finding.advice:
                    if advice.code and advice.code not in told:
                        executed(finding, advice.code)
                    told.add(advice.code)
                    if advice.remedy is not None:
                        assert set(advice.remedy.layers) <= known | set(finding.layers)
    assert len(told) > 3
