"""How the sick cases are put together: a stack of layers, and a compiled model with what it is fitted to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from zoo.case import Training
from zoo.data import digits

CLASSES = 10
SPARSE = "sparse_categorical_crossentropy"


def stack(shape: Sequence[int], *layers: Any) -> Any:
    return keras.Sequential([keras.Input(tuple(shape)), *layers])


def training(
    model: Any,
    optimizer: Any,
    loss: Any,
    data: tuple[Any, Any],
    *,
    epochs: int = 6,
    batch_size: int = 64,
    **fit: Any,
) -> Training:
    model.compile(optimizer, loss)
    x, y = data
    return Training(model, {"x": x, "y": y, "epochs": epochs, "batch_size": batch_size, **fit})


def on_digits(*hidden: Any, optimizer: Any, epochs: int = 6, loss: Any = SPARSE, scale: float = 1.0) -> Training:
    """Train ``hidden`` and a softmax over the ten digits, whose pixels are in [0, ``scale``]."""
    x, y = digits()
    model = stack((64,), *hidden, keras.layers.Dense(CLASSES, activation="softmax"))
    return training(model, optimizer, loss, (x * np.float32(scale), y), epochs=epochs)


def dense(units: int, activation: Any, count: int, **keywords: Any) -> list[Any]:
    return [keras.layers.Dense(units, activation=activation, **keywords) for _ in range(count)]


def logged(model: Any, loss: Any) -> dict[str, Any]:
    """Return the logs of a training step of one's own, the loss counted in."""
    for metric in model.metrics:
        if metric.name == "loss":
            metric.update_state(loss)
    return {metric.name: metric.result() for metric in model.metrics}


def numbered(name: str, *numbers: int) -> tuple[str, ...]:
    """Return the keys of layers of one kind: ``dense``, ``dense_1``, ``dense_2``, ..."""
    return tuple(name if number == 0 else f"{name}_{number}" for number in numbers)
