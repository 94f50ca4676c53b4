"""The networks of the study, and one training of them recorded by GradScope."""

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

import keras
import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import load_digits

import gradscope

WIDTH: Final = 64
BATCH: Final = 128
PASS: Final = 11
"""Batches in one pass over the training set."""

Activation = str | Callable[[keras.KerasTensor], keras.KerasTensor]
"""What Keras takes as ``activation=``: a name, or a function of the pre-activation."""

INITIALISERS: Final[dict[str, Callable[[], keras.initializers.Initializer]]] = {
    "Glorot uniform": keras.initializers.GlorotUniform,
    "He normal": keras.initializers.HeNormal,
    "normal 0.05": lambda: keras.initializers.RandomNormal(stddev=0.05),
    "normal 0.3": lambda: keras.initializers.RandomNormal(stddev=0.3),
}
"""What draws the weights; called anew for each layer, because one initialiser object always draws the same."""


class Digits(NamedTuple):
    """Scans of handwritten digits, ``(samples, 64)`` in [0, 1], and the digits, ``(samples,)``."""

    x: NDArray[np.float32]
    y: NDArray[np.int64]
    test_x: NDArray[np.float32]
    test_y: NDArray[np.int64]


def digits() -> Digits:
    """Return scikit-learn's 1,797 digits: eleven full batches to train on, and 389 scans to test with."""
    x, y = load_digits(return_X_y=True)
    train, test = np.split(np.random.default_rng(0).permutation(len(x)), [BATCH * PASS])
    x = (x / 16).astype(np.float32)
    return Digits(x[train], y[train], x[test], y[test])


def leaky_relu(z: keras.KerasTensor) -> keras.KerasTensor:
    """Leaky ReLU with the slope of its authors, 0.01 (Maas, Hannun and Ng, 2013); Keras' own default is 0.2."""
    return keras.activations.leaky_relu(z, negative_slope=0.01)


def step(z: keras.KerasTensor) -> keras.KerasTensor:
    """1 where the pre-activation is positive, else 0."""
    return keras.ops.cast(z > 0, z.dtype)


def begin_anew(seed: int) -> None:
    """Forget the models made before, which Keras would keep, and set all random numbers by ``seed``."""
    keras.utils.clear_session()
    keras.utils.set_random_seed(seed)


def dense_network(
    activation: Activation,
    depth: int,
    *,
    seed: int,
    initialiser: str = "Glorot uniform",
    optimizer: keras.optimizers.Optimizer,
) -> keras.Model:
    """Return a compiled network of ``depth`` hidden layers ``hidden_1``, ``hidden_2`` ... and the output ``logits``."""
    begin_anew(seed)
    draw = INITIALISERS[initialiser]
    hidden = [
        keras.layers.Dense(WIDTH, activation=activation, kernel_initializer=draw(), name=f"hidden_{number}")
        for number in range(1, depth + 1)
    ]
    output = keras.layers.Dense(10, kernel_initializer=draw(), name="logits")
    return compiled(keras.Sequential([keras.Input((64,)), *hidden, output]), optimizer)


def compiled(model: keras.Model, optimizer: keras.optimizers.Optimizer) -> keras.Model:
    """Return the model, compiled to tell ten digits apart by its logits."""
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer, loss, metrics=["accuracy"])
    return model


def recorded(
    model: keras.Model,
    data: Digits,
    *,
    passes: int,
    schedule: int,
    batch_size: int = BATCH,
    layers: str | None = None,
    callbacks: Sequence[keras.callbacks.Callback] = (),
) -> gradscope.Run:
    """Train the model on the training set and return what GradScope recorded, every ``schedule`` steps."""
    scope = gradscope.GradScope(schedule=schedule, layers=layers, quiet=True)
    fit = {"epochs": passes, "batch_size": batch_size, "verbose": 0}
    model.fit(data.x, data.y, callbacks=[*callbacks, scope], **fit)
    return scope.run


def test_accuracy(model: keras.Model, data: Digits) -> float:
    """Return the share of test scans that the network reads correctly."""
    scores = keras.ops.convert_to_numpy(model(data.test_x))
    return float(np.mean(scores.argmax(axis=1) == data.test_y))


def rules_that_fired(run: gradscope.Run) -> str:
    """Return the names of GradScope's rules that found something, separated by spaces."""
    return " ".join(sorted(set(run.findings["rule"])))
