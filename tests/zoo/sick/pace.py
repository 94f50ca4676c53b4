"""Cases of pace and of what is left: rates that fell, losses that swing, statistics that lag, answers all alike."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from zoo.case import Case, Training
from zoo.data import digit_images, digits, friedman, patches, waves
from zoo.sick.nets import CLASSES, dense, logged, on_digits, stack, training

LOGITS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
LEFT = frozenset({"not_converging", "slow_convergence", "update_ratio", "unchanged_weights", "vanishing_gradient"})
SWINGS = LEFT | {"exploding_gradient", "dying_relu", "saturated_activation", "exploding_activation"}
ALIKE = SWINGS | {"vanishing_activation", "blocked_gradient", "oscillating_loss", "poor_initialisation"}
schedules = keras.optimizers.schedules


# ------------------------------------------------------------------------------------------------ rates that fell


def _schedule(rate: Any) -> Callable[[], Training]:
    return lambda: on_digits(*dense(32, "relu", 1), optimizer=keras.optimizers.SGD(rate), epochs=6)


RATES: dict[str, tuple[str, Any]] = {
    "exponential decay by steps": ("decays", schedules.ExponentialDecay(0.05, 5, 0.5)),
    "polynomial decay too short": ("ends", schedules.PolynomialDecay(0.05, 30, 1e-5)),
    "cosine decay too short": ("ends", schedules.CosineDecay(0.05, 30, alpha=1e-4)),
    "pieces in steps, meant in epochs": ("decays", schedules.PiecewiseConstantDecay([5, 10], [0.1, 1e-3, 1e-5])),
    "inverse time, power of ten": ("decays", schedules.InverseTimeDecay(0.1, 1, 50.0)),
}  # fmt: skip


def _plateau_without_patience() -> Training:
    x, y = waves(length=20)
    model = stack((20, 1), keras.layers.SimpleRNN(8), keras.layers.Dense(1))
    impatient = keras.callbacks.ReduceLROnPlateau(monitor="loss", factor=0.1, patience=1, min_delta=0.05)
    return training(model, keras.optimizers.SGD(1e-3), "mse", (x, y), epochs=8, callbacks=[impatient])


def _tenth_of_itself() -> Training:
    """A callback multiplies the rate of now, not that of the beginning."""
    x, y = digits()
    falls = keras.callbacks.LearningRateScheduler(lambda epoch, rate: rate * 0.1**epoch)
    model = stack((64,), *dense(24, "tanh", 1), keras.layers.Dense(CLASSES))
    return training(model, keras.optimizers.SGD(0.01), LOGITS, (x, y), epochs=6, callbacks=[falls])


# ----------------------------------------------------------------------------------------------- losses that swing


def _whole_regression(optimizer: Callable[[], Any], loss: str = "mse") -> Callable[[], Training]:
    def build() -> Training:
        x, y = friedman()
        model = stack((10,), *dense(24, "tanh", 1), keras.layers.Dense(1))
        return training(model, optimizer(), loss, (x, (y - y.mean()) / y.std()), epochs=40, batch_size=len(x))

    return build


# ------------------------------------------------------------------------------------------- statistics that lag


def _normalised(batch_size: int, samples: int, epochs: int = 3, **keywords: Any) -> Callable[[], Training]:
    def build() -> Training:
        x, y = digit_images()
        model = stack(
            (8, 8, 1),
            keras.layers.Conv2D(8, 3, use_bias=False),
            keras.layers.BatchNormalization(**keywords),
            keras.layers.ReLU(),
            keras.layers.Flatten(),
            keras.layers.Dense(CLASSES),
        )
        fit = {"epochs": epochs, "batch_size": batch_size}
        return training(model, keras.optimizers.Adam(0.01), LOGITS, (x[:samples] + 5, y[:samples]), **fit)

    return build


def _normalised_by_domain() -> Training:
    """Batches of one kind each: in inference both kinds are normalised by what lies between."""
    x, y = digits()
    x = np.where((np.arange(len(x)) // 32 % 2 == 0)[:, None], x, 10 * x + 20).astype(np.float32)
    model = stack(
        (64,), keras.layers.BatchNormalization(momentum=0.9), *dense(32, "relu", 1), keras.layers.Dense(CLASSES)
    )
    return training(model, "adam", LOGITS, (x, y), batch_size=32, epochs=4, shuffle=False)


# ----------------------------------------------------------------------------------------------- answers all alike


def _triplets(truth: Any, guess: Any) -> Any:
    """Hold the next sample of a class nearer than one of another, by a margin of one."""
    labels = keras.ops.reshape(truth, (-1,))
    apart = keras.ops.sum(keras.ops.square(guess[:, None] - guess[None]), axis=-1)
    same = keras.ops.cast(keras.ops.equal(labels[:, None], labels[None]), "float32")
    hardest = keras.ops.max(apart * same, axis=1)
    nearest = keras.ops.min(apart + 1e6 * same, axis=1)
    return keras.ops.mean(keras.ops.maximum(1.0 + hardest - nearest, 0.0))


def _pulled_together(truth: Any, guess: Any) -> Any:
    """Contrastive loss without what pushes apart."""
    labels = keras.ops.reshape(truth, (-1,))
    apart = keras.ops.sum(keras.ops.square(guess[:, None] - guess[None]), axis=-1)
    return keras.ops.mean(apart * keras.ops.cast(keras.ops.equal(labels[:, None] // 5, labels[None] // 5), "float32"))


def _embedded(loss: Any, optimizer: Callable[[], Any], hidden: int = 1) -> Callable[[], Training]:
    def build() -> Training:
        x, y = digits()
        model = stack((64,), *dense(32, "relu", hidden), keras.layers.Dense(8))
        return training(model, optimizer(), loss, (x, y.astype(np.float32)[:, None]), epochs=8)

    return build


def _twins_without_stop() -> Training:
    """Two views of one scan are to be embedded alike, and nothing keeps different scans apart."""
    x, _ = digits()
    rng = np.random.default_rng(0)
    views = [x + rng.normal(0, 0.2, x.shape).astype(np.float32) for _ in range(2)]
    left, right = keras.Input((64,)), keras.Input((64,))
    encoder = keras.Sequential([keras.Input((64,)), *dense(24, "relu", 1), keras.layers.Dense(8)], name="encoder")
    model = keras.Model([left, right], keras.layers.Concatenate()([encoder(left), encoder(right)]))

    def alike(truth: Any, guess: Any) -> Any:
        return keras.ops.mean(keras.ops.square(guess[:, :8] - guess[:, 8:]))

    unused = np.zeros((len(x), 1), np.float32)
    return training(model, keras.optimizers.Adam(0.01), alike, (views, unused), epochs=8)


class Forger(keras.Model):
    """A generator and a critic that judges one picture at a time; the generator is ten times as fast."""

    def __init__(self, noise: int, width: int) -> None:
        super().__init__()
        self.generator = stack((noise,), *dense(32, "relu", 1), keras.layers.Dense(width))
        self.critic = stack((width,), *dense(16, "relu", 1), keras.layers.Dense(1))
        self.critics = keras.optimizers.SGD(1e-3)

    def call(self, noise: Any) -> Any:
        return self.generator(noise)

    def train_step(self, data: Any) -> dict[str, Any]:
        noise, real = data
        score = keras.losses.BinaryCrossentropy(from_logits=True)
        with tf.GradientTape(persistent=True) as tape:
            forged = self.generator(noise, training=True)
            false, true = self.critic(forged), self.critic(real)
            judged = score(tf.ones_like(true), true) + score(tf.zeros_like(false), false)
            fooled = score(tf.ones_like(false), false)
        theirs, ours = self.critic.trainable_variables, self.generator.trainable_variables
        self.critics.apply(tape.gradient(judged, theirs), theirs)
        self.optimizer.apply(tape.gradient(fooled, ours), ours)
        return logged(self, fooled)


def _forger() -> Training:
    real = patches(size=4).reshape(2000, -1)
    noise = np.random.default_rng(0).normal(0, 0.1, (2000, 8)).astype(np.float32)
    return training(Forger(8, real.shape[1]), keras.optimizers.Adam(0.2), "mse", (noise, real), epochs=6)


CASES = (
    *(
        Case(
            name,
            f"rate fell: {kind}",
            "keras-team/keras issue 10924 and its kin: a schedule in steps that was meant in epochs",
            _schedule(rate),
            {"falling_learning_rate": ()},
            LEFT,
        )
        for name, (kind, rate) in RATES.items()
    ),
    *(
        Case(name, "rate fell: callbacks", source, build, {"falling_learning_rate": ()}, LEFT)
        for name, source, build in (
            ("plateau without patience", "keras-team/keras issue 10924: ReduceLROnPlateau", _plateau_without_patience),
            ("a tenth of itself", "made for the zoo: a callback that multiplies the rate of now", _tenth_of_itself),
        )
    ),
    *(
        Case(name, f"swings: {kind}", "Cohen et al., Gradient descent at the edge of stability (2021)", build,
             {"oscillating_loss": ()}, SWINGS)
        for name, kind, build in (
            ("a regression with momentum", "momentum",
             _whole_regression(lambda: keras.optimizers.SGD(0.1, momentum=0.98))),
            ("medians in whole batches", "whole batches", _whole_regression(lambda: keras.optimizers.SGD(0.5), "mae")),
            ("a regression by signs", "signs", _whole_regression(lambda: keras.optimizers.Lion(0.05))),
            ("a regression with a short memory", "adaptive",
             _whole_regression(lambda: keras.optimizers.Adam(0.1, beta_1=0.99, beta_2=0.5))),
        )
    ),
    *(
        Case(name, f"statistics lag: {kind}", "keras-team/keras issue 6014 and its kin: fit and evaluate disagree",
             build, {"batch_statistics": ("batch_normalization",)},
             LEFT | {"input_scale", "oscillating_loss", "exploding_gradient"})
        for name, kind, build in (
            ("momentum for a thousand steps", "momentum", _normalised(256, 1024)),
            ("momentum of one", "momentum", _normalised(64, 1024, momentum=1.0)),
            ("momentum of three nines", "momentum", _normalised(64, 1024, momentum=0.999)),
            ("batches by domain", "domains", _normalised_by_domain),
        )
    ),
    *(
        Case(name, f"all alike: {kind}", source, build, {"collapsed_output": ()}, ALIKE)
        for name, kind, source, build in (
            ("triplets too fast", "embeddings",
             "omoindrot/tensorflow-triplet-loss issue 18: the loss stays at the margin",
             _embedded(_triplets, lambda: keras.optimizers.Adam(0.3), 2)),
            ("pulled together only", "embeddings",
             "Hadsell et al., Dimensionality reduction by an invariant mapping (2006): what the pushing apart is for",
             _embedded(_pulled_together, lambda: keras.optimizers.Adam(0.02))),
            ("twins without a stop", "twins", "Chen and He, Exploring simple siamese representation learning (2021)",
             _twins_without_stop),
            ("a forger too fast", "forgers", "Arjovsky and Bottou, Towards principled methods for GANs", _forger),
        )
    ),
)  # fmt: skip
