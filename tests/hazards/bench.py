"""What the parts of one program share: what they add to its model, and what of theirs is compared afterwards.

A part is a function that takes the bench and puts layers, metrics, callbacks or functions of the loss on it. The train
steps ask the bench for them, so that every part goes with every step.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from tensorflow.python.ops import stateful_random_ops

L = keras.layers
FEATURES, CLASSES, SAMPLES = 6, 3, 24

_RNG = np.random.default_rng(11)
X = _RNG.normal(size=(SAMPLES, FEATURES)).astype("float32")
Y = _RNG.integers(0, CLASSES, SAMPLES)
POOL = _RNG.normal(size=(96, FEATURES)).astype("float32")


@dataclass
class Bench:
    """Where the parts of one training lie.

    Attributes:
        folder: A folder for files, of this training alone.
        layers: Layers between the input and the first layer of the network.
        on_value: What a train step of one's own passes its loss through.
        losses: Losses to compile the model with, in place of cross-entropy.
        metrics: Metrics to compile it with.
        callbacks: The user's own callbacks, behind the one that records.
        noise: Makes noise in the shape of a tensor; None where the program has no random source.
        kept: What of the user's own has to be the same afterwards, by name.
    """

    folder: Path
    layers: list[Any] = field(default_factory=list)
    on_value: list[Callable[[Any], Any]] = field(default_factory=list)
    losses: list[Any] = field(default_factory=list)
    metrics: list[Any] = field(default_factory=list)
    callbacks: list[Any] = field(default_factory=list)
    noise: Callable[[Any], Any] | None = None
    kept: dict[str, Callable[[], Any]] = field(default_factory=dict)

    def keep(self, name: str, value: Callable[[], Any]) -> None:
        """Compare what ``value`` returns after the training."""
        self.kept[f"{name} {len(self.kept)}"] = value

    def owned(self, thing: Any) -> Any:
        """Return a thing that has ``variables``, such as an optimizer, and compare them after the training."""
        self.keep(type(thing).__name__, lambda: [array_of(v) for v in thing.variables])
        return thing

    def value(self, value: Any) -> Any:
        for function in self.on_value:
            value = function(value)
        return value

    def loss(self) -> Any:
        return self.losses[0] if self.losses else cross_entropy()

    def noise_like(self, x: Any) -> Any:
        """Return noise for a step that cannot be without: of the program's source, else of a seeded one of Keras."""
        if self.noise is None:
            seed = keras.random.SeedGenerator(4)
            self.owned(Seeds(seed))
            self.noise = lambda like: keras.random.normal(keras.ops.shape(like), dtype=like.dtype, seed=seed)
        return self.noise(x)


@dataclass
class Seeds:
    """A seed generator of Keras, with its state as one of several variables."""

    generator: Any

    @property
    def variables(self) -> list[Any]:
        return [self.generator.state]


class OnlyTraining(keras.layers.Layer):
    """Passes its input through a function while training, as the layers of the parts do."""

    def __init__(self, function: Callable[[Any], Any], **tracked: Any) -> None:
        super().__init__()
        self.function = function
        for name, value in tracked.items():
            setattr(self, name, value)

    def call(self, x: Any, training: bool = False) -> Any:
        return self.function(x) if training else x


def cross_entropy() -> Any:
    return keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def mlp(bench: Bench, features: int = FEATURES, outputs: int = CLASSES, activation: str = "tanh") -> Any:
    """Return a network with the layers of the bench at its beginning."""
    hidden = [L.Dense(8, activation=activation), L.Dense(8, activation="relu")]
    return keras.Sequential([keras.Input((features,)), *bench.layers, *hidden, L.Dense(outputs)])


def plain(value: Any) -> str:
    """Return a value as text that is the same if and only if each bit is."""
    if isinstance(value, dict):
        return repr({str(key): plain(inner) for key, inner in value.items()})
    if isinstance(value, (list, tuple)):
        return repr([plain(inner) for inner in value])
    if isinstance(value, (tf.Tensor, tf.Variable, keras.Variable, np.ndarray, np.generic)):
        array = array_of(value)
        return f"{array.dtype}{array.shape} {hashlib.md5(array.tobytes()).hexdigest()[:12]}"
    return repr(value)


def array_of(value: Any) -> Any:
    """Return a tensor, a variable or an array as an array; of bfloat16 too, which NumPy itself cannot ask for."""
    inner = value.value if isinstance(value, keras.Variable) else value
    return inner.numpy() if hasattr(inner, "numpy") else np.asarray(inner)


def random_state() -> dict[str, str]:
    """Return what the generators of the process hold; TensorFlow's and Keras' are asked for their next number."""
    shared = stateful_random_ops.global_generator  # None until somebody asks for it, which would draw its seed
    return {
        "random": hashlib.md5(repr(random.getstate()).encode()).hexdigest(),
        "numpy.random": hashlib.md5(repr([*np.random.get_state()[1], np.random.get_state()[2]]).encode()).hexdigest(),  # noqa: NPY002
        "tf.random": plain(tf.random.uniform(())),
        "tf.random.get_global_generator()": plain(None if shared is None else shared.state),
        "keras.random": plain(keras.random.uniform(())),
    }
