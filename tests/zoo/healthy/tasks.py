"""What the healthy networks are trained for: a model is compiled for its data, and `fit` gets the data."""

from __future__ import annotations

from functools import cache
from typing import Any

import keras

from zoo.case import Training
from zoo.data import digits

Data = tuple[Any, Any]


def first(count: int, data: Data) -> Data:
    """Return the first samples only, where a network takes long for each."""
    x, y = data
    return x[:count], y[:count]


@cache
def centred() -> Data:
    """Return the digits with each pixel's mean taken off, so that a ReLU's unit begins active for half of them."""
    x, y = digits()
    return x - x.mean(0), y


def trained(model: Any, loss: Any, data: Data, *, optimizer: Any, metrics: Any = None, **fit: Any) -> Training:
    model.compile(optimizer, loss, metrics=metrics)
    x, y = data
    return Training(model, {"x": x, "y": y} | fit)


def classify(
    model: Any,
    data: Data | None = None,
    *,
    optimizer: Any = "adam",
    epochs: int = 6,
    batch_size: int = 32,
    **fit: Any,
) -> Training:
    """Train for classes given as integers; without data for the centred digits, where a constant reaches 2.30."""
    return trained(
        model,
        "sparse_categorical_crossentropy",
        centred() if data is None else data,
        optimizer=optimizer,
        metrics=["accuracy"],
        epochs=epochs,
        batch_size=batch_size,
        **fit,
    )


def decide(
    model: Any, data: Data, *, optimizer: Any = "adam", epochs: int = 10, batch_size: int = 32, **fit: Any
) -> Training:
    """Train a sigmoid for one or several yes-or-no answers; a constant reaches 0.69 where both are equally frequent."""
    return trained(
        model,
        "binary_crossentropy",
        data,
        optimizer=optimizer,
        metrics=["binary_accuracy"],
        epochs=epochs,
        batch_size=batch_size,
        **fit,
    )


def predict(
    model: Any,
    data: Data,
    *,
    loss: Any = "mean_squared_error",
    optimizer: Any = "adam",
    epochs: int = 10,
    batch_size: int = 32,
    **fit: Any,
) -> Training:
    """Train for numbers."""
    return trained(model, loss, data, optimizer=optimizer, epochs=epochs, batch_size=batch_size, **fit)


def digits_mlp(
    *between: Any, widths: tuple[int, ...] = (48, 48), activation: Any = "relu", classes: int = 10, **dense: Any
) -> Any:
    """Return dense layers from the digits' 64 numbers to their classes; `between` makes what follows each of them."""
    model = keras.Sequential([keras.Input((64,))])
    for width in widths:
        model.add(keras.layers.Dense(width, activation, **dense))
        for make in between:
            model.add(make())
    model.add(keras.layers.Dense(classes, "softmax"))
    return model
