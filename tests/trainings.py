"""Small trainings, begun from the same seed and compared bit by bit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import keras
import numpy as np

Callbacks = list[Any]
FEATURES, CLASSES, SAMPLES = 6, 3, 40

_RNG = np.random.default_rng(11)
X = _RNG.normal(size=(SAMPLES, FEATURES)).astype("float32")
Y = _RNG.integers(0, CLASSES, SAMPLES)


class Trained(NamedTuple):
    """A model after its training, and what its fits returned."""

    model: Any
    histories: list[dict[str, list[float]]]


def state(train: Callable[[Callbacks], Trained], callbacks: Callbacks) -> dict[str, bytes]:
    """Train from the same seed and return the bytes of everything that training decides, by name."""
    keras.utils.clear_session()  # else names are numbered on
    keras.utils.set_random_seed(5)
    model, histories = train(callbacks)
    optimizers = [value for value in vars(model).values() if isinstance(value, keras.optimizers.Optimizer)]
    variables = [*model.variables, *model.metrics_variables, *(v for each in optimizers for v in each.variables)]
    arrays = {f"{number} {v.name}": np.asarray(v) for number, v in enumerate(variables)}
    for number, history in enumerate(histories):
        arrays |= {f"fit {number} {name}": np.array(values) for name, values in history.items()}
    return {name: array.tobytes() for name, array in arrays.items()}


def differences(one: dict[str, bytes], other: dict[str, bytes]) -> list[str]:
    return [name for name in one.keys() | other.keys() if one.get(name) != other.get(name)]


def mlp() -> Any:
    return keras.Sequential(
        [
            keras.Input((FEATURES,)),
            keras.layers.Dense(8, activation="tanh"),
            keras.layers.Dropout(0.3),
            keras.layers.Dense(8, activation="relu"),
            keras.layers.Dense(CLASSES, activation="softmax"),
        ]
    )


def compiled(model: Any, optimizer: Any = "adam", **keywords: Any) -> Any:
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"], **keywords)
    return model


def fitted(model: Any, callbacks: Callbacks, x: Any = X, y: Any = Y, **keywords: Any) -> Trained:
    keywords = {"batch_size": 8, "epochs": 2, "verbose": 0, "shuffle": y is not None} | keywords
    return Trained(model, [model.fit(x, y, callbacks=callbacks, **keywords).history])
