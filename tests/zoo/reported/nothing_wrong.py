"""Reports of people who were worried by a training that does what it should."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from zoo.case import Training
from zoo.data import digit_images
from zoo.reported.report import Report, share_explained, share_right

L: Any = keras.layers


class Pair(keras.Model):
    """A generator of points and a discriminator, trained one after the other in each step."""

    def __init__(self, end: str | None) -> None:
        super().__init__()
        self.generator = keras.Sequential([keras.Input((6,)), L.Dense(24, "elu"), L.Dense(24, "elu"), L.Dense(2)])
        self.judge = keras.Sequential([keras.Input((2,)), L.Dense(24, "elu"), L.Dense(24, "elu"), L.Dense(1, end)])
        self.noise = keras.random.SeedGenerator(3)
        self.judge_loss, self.generator_loss = keras.metrics.Mean("judge_loss"), keras.metrics.Mean("generator_loss")

    def compile(self, rate: float) -> None:
        super().compile()
        self.loss_of = keras.losses.BinaryCrossentropy(from_logits=True)
        self.steps = [keras.optimizers.Adam(rate, beta_1=0.5) for _ in range(2)]

    @property
    def metrics(self) -> list[Any]:
        return [self.judge_loss, self.generator_loss]

    def call(self, x: Any) -> Any:
        return self.judge(x)

    def train_step(self, real: Any) -> dict[str, Any]:
        count = tf.shape(real)[0]
        noise = keras.random.normal((count, 6), seed=self.noise)
        with tf.GradientTape() as tape:
            made = self.generator(noise, training=True)
            said = self.judge(tf.concat([made, real], 0), training=True)
            loss = self.loss_of(tf.concat([tf.zeros((count, 1)), tf.ones((count, 1))], 0), said)
        self._move(0, self.judge, tape, loss)
        self.judge_loss.update_state(loss)
        with tf.GradientTape() as tape:
            said = self.judge(self.generator(noise, training=True), training=True)
            loss = self.loss_of(tf.ones((count, 1)), said)
        self._move(1, self.generator, tape, loss)
        self.generator_loss.update_state(loss)
        return {each.name: each.result() for each in self.metrics}

    def _move(self, which: int, part: Any, tape: Any, loss: Any) -> None:
        gradients = tape.gradient(loss, part.trainable_weights)
        self.steps[which].apply_gradients(zip(gradients, part.trainable_weights, strict=True))


def _ring(end: str | None) -> Training:
    angle = np.random.default_rng(73).uniform(0, 2 * np.pi, 1600)
    points = np.stack([3 + np.cos(angle), 3 + np.sin(angle)], 1).astype(np.float32)
    model = Pair(end)
    model.compile(2e-3)
    batches = tf.data.Dataset.from_tensor_slices(points).shuffle(1600, seed=5).batch(64)
    return Training(model, {"x": batches, "epochs": 20})


def _ring_reached(training: Training) -> float:
    """Return 1 less how far the points made lie from the ring's centre on average, in units of its distance from 0."""
    noise = np.random.default_rng(1).normal(size=(400, 6)).astype(np.float32)
    made = np.asarray(training.model.generator(noise))
    return float(1 - np.linalg.norm(made.mean(0) - 3) / np.linalg.norm([3, 3]))


def _validated(divisor: float) -> Training:
    """Pixels are divided for training, and for validation by `divisor`."""
    x, y = digit_images()
    x = x * 255
    model = keras.Sequential([keras.Input((8, 8, 1)), L.Conv2D(12, 3, activation="elu"), L.BatchNormalization()])
    model.add(L.Flatten())
    model.add(L.Dense(10, "softmax"))
    model.compile(keras.optimizers.Adam(2e-3), "sparse_categorical_crossentropy", metrics=["accuracy"])
    others = (x[1400:] / divisor, y[1400:])
    return Training(
        model, {"x": x[:1400] / 255, "y": y[:1400], "epochs": 6, "batch_size": 32, "validation_data": others}
    )


def _judged_by(metric: str) -> Training:
    rng = np.random.default_rng(79)
    x = rng.normal(0, 1, (500, 5)).astype(np.float32)
    y = (0.5 * x[:, :1] + np.sin(x[:, 1:2]) + rng.normal(0, 0.05, (500, 1))).astype(np.float32)
    model = keras.Sequential([keras.Input((5,)), L.Dense(24, "tanh"), L.Dense(16, "elu"), L.Dense(1)])
    model.compile(keras.optimizers.RMSprop(3e-3), "mse", metrics=[metric])
    return Training(model, {"x": x, "y": y, "epochs": 24, "batch_size": 25})


def _directions(loss: Any) -> Training:
    rng = np.random.default_rng(83)
    x = rng.normal(0, 1, (1500, 12)).astype(np.float32)
    y = np.tanh(x @ rng.normal(0, 0.4, (12, 8))).astype(np.float32)
    model = keras.Sequential([keras.Input((12,)), L.Dense(48, "elu"), L.Dense(48, "elu"), L.Dense(8)])
    model.compile(keras.optimizers.Adam(2e-3), loss)
    return Training(model, {"x": x, "y": y, "epochs": 10, "batch_size": 50})


def _direction_reached(training: Training) -> float:
    answered, y = training.model.predict(training.fit["x"], verbose=0), training.fit["y"]
    size = np.linalg.norm(answered, axis=1) * np.linalg.norm(y, axis=1)
    return float(np.mean((answered * y).sum(1) / size))


def _few_of_one_kind(weights: dict[int, float] | None) -> Training:
    """One label in twenty is positive, and how likely it is depends on two inputs; a constant reaches 0.21."""
    rng = np.random.default_rng(89)
    x = rng.normal(0, 1, (3000, 8)).astype(np.float32)
    y = (rng.random(3000) < 1 / (1 + np.exp(3.9 - 1.3 * x[:, 0] - 1.0 * x[:, 1]))).astype(np.float32)[:, None]
    model = keras.Sequential([keras.Input((8,)), L.Dense(20, "elu"), L.Dense(1, "sigmoid")])
    model.compile(keras.optimizers.Adam(1e-3), "binary_crossentropy", metrics=["accuracy"])
    return Training(model, {"x": x, "y": y, "epochs": 10, "batch_size": 50, "class_weight": weights})


def _ranked(training: Training) -> float:
    """Return how often a positive is given a larger probability than a negative."""
    said, y = training.model.predict(training.fit["x"], verbose=0).ravel(), training.fit["y"].ravel() > 0
    return float(np.mean(said[y][:, None] > said[~y][None]))


def _endless() -> Iterator[tuple[Any, Any]]:
    rng = np.random.default_rng(97)
    while True:
        x = rng.normal(0, 1, (40, 10, 3)).astype(np.float32)
        yield x, (x[:, :, :1].mean(1) > 0).astype(np.float32)


def _streamed(*callbacks: Any) -> Training:
    model = keras.Sequential([keras.Input((10, 3)), L.Conv1D(12, 3, activation="elu"), L.GlobalAveragePooling1D()])
    model.add(L.Dense(12, "tanh"))
    model.add(L.Dense(1, "sigmoid"))
    model.compile(keras.optimizers.Adam(5e-3), "binary_crossentropy")
    fit = {"x": _endless(), "epochs": 6, "steps_per_epoch": 25, "validation_data": _endless(), "validation_steps": 4}
    return Training(model, fit | {"callbacks": list(callbacks)})


def _streamed_with_a_board() -> Training:
    return _streamed(keras.callbacks.TensorBoard(tempfile.mkdtemp(), histogram_freq=1))


def _next_right(training: Training) -> float:
    x, y = next(_endless())
    return float(np.mean((training.model.predict(x, verbose=0) > 0.5) == (y > 0.5)))


_GITHUB = "https://github.com/"
CASES: tuple[Report, ...] = (
    Report(
        "probabilities where logits are said",
        f"{_GITHUB}jeffheaton/t81_558_deep_learning/issues/81",
        "A discriminator that ends in a sigmoid under a loss of logits: Keras 3 finds the logits behind it.",
        lambda: _ring("sigmoid"),
        lambda: _ring(None),
        _ring_reached,
        0.8,
    ),
    Report(
        "other pixels for validation",
        f"{_GITHUB}keras-team/keras/issues/12689",
        "Only the training's pixels are divided: its validation is at chance and the training is well.",
        lambda: _validated(1.0),
        lambda: _validated(255.0),
        share_right,
        0.9,
    ),
    Report(
        "accuracy of a number",
        f"{_GITHUB}rstudio/keras3/issues/296",
        "Accuracy asks whether numbers are equal and stays at 0, while the loss falls; the mean error says more.",
        lambda: _judged_by("accuracy"),
        lambda: _judged_by("mae"),
        share_explained,
        0.8,
    ),
    Report(
        "a loss below zero",
        f"{_GITHUB}tensorflow/tensorflow/issues/34577",
        "Keras' cosine similarity as a loss runs from 1 to −1, which is best.",
        lambda: _directions(keras.losses.CosineSimilarity()),
        lambda: _directions("mse"),
        _direction_reached,
        0.9,
    ),
    Report(
        "one in twenty",
        f"{_GITHUB}keras-team/keras/issues/10292",
        "Probabilities are right and never above a half, so that no positive is called; weights or another threshold.",
        lambda: _few_of_one_kind(None),
        lambda: _few_of_one_kind({0: 1.0, 1: 15.0}),
        _ranked,
        0.8,
    ),
    Report(
        "histograms of a stream",
        f"{_GITHUB}keras-team/keras/issues/3358",
        "A wish for histograms where validation comes from a generator; both callbacks write side by side.",
        _streamed_with_a_board,
        _streamed,
        _next_right,
        0.8,
    ),
)
