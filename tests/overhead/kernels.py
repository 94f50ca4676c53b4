"""What the statistics of a step cost, as shares of the step's CPU time. Run: python tests/overhead/kernels.py.

Tensors shaped as a model's sites, gradients and weights are handed to each part of the statistics, and a bare step of
the same model trains beside them in the same process: the parts take turns, in random order, so that whatever else the
machine does falls on all alike. The bare step takes two turns a round: its ratio to itself is the noise.
"""

from __future__ import annotations

import argparse
import os
import random
import statistics
import time
from collections.abc import Callable
from typing import Any, NamedTuple

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf

from gradscope.activations.known import known_profile
from gradscope.instrument.tensorflow.norms import norms_of_sums, square_sums
from gradscope.statistics.finite import SiteTensors, finite_sites_sums
from gradscope.statistics.finite_gradients import finite_gradients_sums
from gradscope.statistics.sums import Limits, limits

L = keras.layers
BATCH = 64


class Site(NamedTuple):
    """The shape of a site, of one sample, and its activation function; ``count`` such sites."""

    shape: tuple[int, ...]
    activation: str = "linear"
    count: int = 1


class Subject(NamedTuple):
    """A model, the shape of its input, the number of words where that is a text, and its sites."""

    build: Callable[[], Any]
    shape: tuple[int, ...]
    words: int | None
    sites: list[Site]


def mlp() -> Any:
    return keras.Sequential([keras.Input((784,)), *[L.Dense(512, activation="relu") for _ in range(6)], L.Dense(10)])


def cnn() -> Any:
    return keras.Sequential(
        [
            keras.Input((32, 32, 3)),
            L.Conv2D(32, 3, padding="same"),
            L.BatchNormalization(),
            L.ReLU(),
            L.Conv2D(32, 3, activation="relu"),
            L.MaxPool2D(),
            L.Conv2D(64, 3, activation="relu"),
            L.MaxPool2D(),
            L.Conv2D(64, 3, activation="relu"),
            L.Flatten(),
            L.Dense(128, activation="relu"),
            L.Dense(10),
        ]
    )


def transformer() -> Any:
    inputs = keras.Input((64,), dtype="int32")
    x = L.Embedding(1000, 128)(inputs)
    for _ in range(4):
        h = L.LayerNormalization()(x)
        x = x + L.MultiHeadAttention(4, 32)(h, h)
        h = L.LayerNormalization()(x)
        x = x + L.Dense(128)(L.Dense(512, activation="gelu")(h))
    return keras.Model(inputs, L.Dense(10)(L.GlobalAveragePooling1D()(x)))


SUBJECTS = {
    "mlp": Subject(mlp, (784,), None, [Site((512,), "relu", 6), Site((10,))]),
    "cnn": Subject(
        cnn,
        (32, 32, 3),
        None,
        [
            Site((32, 32, 32), count=2),
            Site((32, 32, 32), "relu"),
            Site((30, 30, 32), "relu"),
            Site((13, 13, 64), "relu"),
            Site((4, 4, 64), "relu"),
            Site((128,), "relu"),
            Site((10,)),
        ],
    ),
    "transformer": Subject(
        transformer,
        (64,),
        1000,
        [Site((64, 128), count=17), Site((64, 4, 32), count=12), Site((64, 512), "gelu", 4), Site((10,))],
    ),
}


def bare_step(subject: Subject) -> tuple[Any, Callable[[], Any]]:
    """Return the model, and one step of its training."""
    keras.utils.set_random_seed(0)
    model = subject.build()
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    rng = np.random.default_rng(0)
    size = (BATCH, *subject.shape)
    x = rng.standard_normal(size).astype("float32") if subject.words is None else rng.integers(0, subject.words, size)
    data = tf.data.Dataset.from_tensors((x, rng.integers(0, 10, BATCH))).cache().repeat()
    iterator = iter(data)
    model.make_train_function()
    return model, lambda: float(model.train_function(iterator)["loss"])


def site_part(subject: Subject) -> Callable[[], Any]:
    """Return a call of the statistics of all sites."""
    rng = np.random.default_rng(0)
    tensors: list[tuple[Any, Any, Any, Limits | None]] = []
    for site in subject.sites:
        for _ in range(site.count):
            z, dz = (tf.constant(rng.standard_normal((BATCH, *site.shape)), tf.float32) for _ in range(2))
            activation = keras.activations.get(site.activation)
            bounds = limits(known_profile(site.activation))
            a = None if site.activation == "linear" else activation(z)
            tensors.append((z, a, dz, bounds))

    def statistics_of(given: Any, phase: Any) -> Any:
        sites = [SiteTensors(z, a, bounds, dz) for (z, a, dz), (_, _, _, bounds) in zip(given, tensors, strict=True)]
        sums = finite_sites_sums(sites, samples=tf.constant(64.0), phase=phase)
        return tf.stack([*sums.activation, *sums.backward]), tf.stack(list(sums.units))

    given = [(z, a, dz) for z, a, dz, _ in tensors]
    function = tf.function(statistics_of, autograph=False)
    numbers = iter(range(10**9))

    def call() -> Any:
        return [part.numpy() for part in function(given, tf.constant(next(numbers)))]

    return call


def gradient_part(model: Any) -> Callable[[], Any]:
    """Return a call of the statistics of all gradients."""
    rng = np.random.default_rng(0)
    given = [tf.constant(rng.standard_normal(v.shape) * 1e-3, tf.float32) for v in model.trainable_variables]

    def statistics_of(gradients: Any) -> Any:
        axes = [(-1,) if len(g.shape) > 1 else None for g in gradients]
        return tf.stack(list(finite_gradients_sums(gradients, axes)), axis=1)

    function = tf.function(statistics_of, autograph=False)
    return lambda: function(given).numpy()


def update_part(model: Any) -> Callable[[], Any]:
    """Return a call of the norms of weights and updates."""
    rng = np.random.default_rng(0)
    after = [tf.constant(rng.standard_normal(v.shape) * 0.05, tf.float32) for v in model.trainable_variables]
    before = [x + rng.standard_normal(x.shape).astype(np.float32) * 1e-3 for x in after]
    function = tf.function(square_sums, autograph=False)
    return lambda: norms_of_sums(function(after, before), lambda row: (before[row], after[row]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="*", default=[*SUBJECTS])
    parser.add_argument("--rounds", type=int, default=25)
    parser.add_argument("--seconds", type=float, default=0.15, help="of each turn")
    arguments = parser.parse_args()
    print("| model | bare step, ms | bare again | sites | gradients | updates | all |\n|---|---|---|---|---|---|---|")
    for name in arguments.models:
        subject = SUBJECTS[name]
        model, step = bare_step(subject)
        parts = {
            "bare": step,
            "bare again": step,
            "sites": site_part(subject),
            "gradients": gradient_part(model),
            "updates": update_part(model),
        }
        calls: dict[str, int] = {}
        for part, call in parts.items():
            call(), call()
            begun = time.process_time()
            call()
            calls[part] = max(1, round(arguments.seconds / (time.process_time() - begun)))
        seconds: dict[str, list[float]] = {part: [] for part in parts}
        for _ in range(arguments.rounds):
            for part in random.sample([*parts], len(parts)):
                begun = time.process_time()
                for _ in range(calls[part]):
                    parts[part]()
                seconds[part].append((time.process_time() - begun) / calls[part])
        bare = statistics.median(seconds["bare"])
        ratios = {part: statistics.median(taken) / bare for part, taken in seconds.items()}
        every = sum(ratios[part] for part in ("sites", "gradients", "updates"))
        cells = [*(f"{ratios[part]:.3f}" for part in (*parts,)[1:]), f"{every:.3f}"]
        print(f"| {name} | {1e3 * bare:.1f} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
