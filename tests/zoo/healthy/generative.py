"""Networks that generate: losses that balance each other, weights that rise, targets whose own entropy is left."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from zoo.case import Case, Training
from zoo.data import digits, patches
from zoo.healthy.tasks import first, predict

L: Any = keras.layers


def _points_on_a_ring() -> Any:
    angle = np.random.default_rng(6).uniform(0, 2 * np.pi, 1600)
    return np.stack([2 + np.cos(angle), np.sin(angle) - 2], 1).astype(np.float32)


class Adversaries(keras.Model):
    """A generator and a judge; ``loss`` is how far what was made lies from what is real, in mean and spread."""

    def __init__(self, *, critic: bool) -> None:
        super().__init__()
        self.critic = critic
        self.maker = keras.Sequential([keras.Input((4,)), L.Dense(24, "elu"), L.Dense(24, "elu"), L.Dense(2)])
        self.judge = keras.Sequential([keras.Input((2,)), L.Dense(32, "elu"), L.Dense(32, "elu"), L.Dense(1)])
        self.noise = keras.random.SeedGenerator(7)
        self.seen = [keras.metrics.Mean(name) for name in ("loss", "judge_loss", "maker_loss")]

    def compile(self, rate: float) -> None:
        super().compile()
        # a critic is to be ahead of what it judges
        self.maker_rate = keras.optimizers.Adam(rate / 5 if self.critic else rate, beta_1=0.5)
        self.judge_rate = keras.optimizers.Adam(rate, beta_1=0.5)

    @property
    def metrics(self) -> list[Any]:
        return self.seen

    def call(self, x: Any) -> Any:
        return self.judge(x)

    def _judge_loss(self, real: Any, made: Any) -> Any:
        if self.critic:
            away = tf.reduce_mean(self.judge(made)) - tf.reduce_mean(self.judge(real))
            return away + 0.01 * tf.reduce_mean(self.judge(real) ** 2)
        return tf.reduce_mean(tf.nn.softplus(-self.judge(real)) + tf.nn.softplus(self.judge(made)))

    def train_step(self, real: Any) -> dict[str, Any]:
        noise = keras.random.normal((tf.shape(real)[0], 4), seed=self.noise)
        with tf.GradientTape() as tape:
            judged = self._judge_loss(real, self.maker(noise, training=True))
        weights = self.judge.trainable_variables
        self.judge_rate.apply_gradients(zip(tape.gradient(judged, weights), weights, strict=True))
        if self.critic:
            for weight in weights:
                weight.assign(tf.clip_by_value(weight, -0.3, 0.3))
        with tf.GradientTape() as tape:
            made = self.maker(noise, training=True)
            answers = self.judge(made)
            fooled = -tf.reduce_mean(answers) if self.critic else tf.reduce_mean(tf.nn.softplus(-answers))
        weights = self.maker.trainable_variables
        self.maker_rate.apply_gradients(zip(tape.gradient(fooled, weights), weights, strict=True))
        means, spreads = (tf.norm(moment(real, 0) - moment(made, 0)) for moment in (tf.reduce_mean, tf.math.reduce_std))
        for metric, value in zip(self.seen, (means + spreads, judged, fooled), strict=True):
            metric.update_state(value)
        return {metric.name: metric.result() for metric in self.seen}


def _adversaries(rate: float, epochs: int, *, critic: bool) -> Training:
    """What is made at first lies 3.5 away."""
    model = Adversaries(critic=critic)
    model.compile(rate)
    return Training(model, {"x": _points_on_a_ring(), "epochs": epochs, "batch_size": 50})


class Code(keras.layers.Layer):
    """Draws a code, and adds its divergence from the standard normal to the loss, with a weight that may change."""

    def __init__(self, size: int, weight: float, **keywords: Any) -> None:
        super().__init__(**keywords)
        self.mean, self.log_variance = L.Dense(size), L.Dense(size)
        self.seeds = keras.random.SeedGenerator(8)
        self.share = self.add_weight(shape=(), initializer=keras.initializers.Constant(weight), trainable=False)

    def call(self, x: Any) -> Any:
        ops, mean, log_variance = keras.ops, self.mean(x), self.log_variance(x)
        divergence = 0.5 * ops.sum(ops.square(mean) + ops.exp(log_variance) - 1 - log_variance, axis=-1)
        self.add_loss(self.share * ops.mean(divergence))
        return mean + ops.exp(log_variance / 2) * keras.random.normal(ops.shape(mean), seed=self.seeds)


def _variational(weights: list[float]) -> Training:
    """The weight of the divergence is another in each epoch; a constant reaches a summed squared error of 4.7."""
    x, _ = digits()
    code = Code(8, weights[0])

    def set_weight(epoch: int, logs: Any) -> None:
        code.share.assign(weights[epoch])

    model = keras.Sequential([keras.Input((64,)), L.Dense(64, "elu"), code, L.Dense(64, "elu"), L.Dense(64, "sigmoid")])
    callbacks = [keras.callbacks.LambdaCallback(on_epoch_begin=set_weight)]
    rate = keras.optimizers.Adam(3e-3)
    return predict(model, (x, x), loss=_summed_square, optimizer=rate, epochs=len(weights), callbacks=callbacks)


def _summed_square(y: Any, p: Any) -> Any:
    return keras.ops.sum(keras.ops.square(y - p), axis=-1)


def _itself(*layers: Any, loss: Any, epochs: int = 10, **fit: Any) -> Training:
    x, _ = digits()
    model = keras.Sequential([keras.Input((64,)), *layers])
    return predict(model, (x, x), loss=loss, optimizer=keras.optimizers.Adam(3e-3), epochs=epochs, **fit)


def _grey_pixels() -> Training:
    """A pixel's own entropy is most of the loss: a constant reaches 0.42, the pixels themselves 0.21."""
    layers = [L.Dense(48, "elu"), L.Dense(16), L.Dense(48, "elu"), L.Dense(64, "sigmoid")]
    return _itself(*layers, loss="binary_crossentropy")


def _photographs() -> Training:
    """Pixels of photographs lie in the middle: a constant reaches 0.68, the pixels themselves 0.40."""
    x = patches(600)
    layers = [L.Conv2D(12, 3, strides=2, padding="same", activation="elu"), L.Conv2D(12, 3, padding="same")]
    layers += [L.Activation("elu"), L.Conv2DTranspose(3, 3, strides=2, padding="same", activation="sigmoid")]
    model = keras.Sequential([keras.Input((8, 8, 3)), *layers])
    rate = keras.optimizers.Adam(5e-3)
    return predict(model, (x, x), loss="binary_crossentropy", optimizer=rate, epochs=8)


def _sparse_code() -> Training:
    """An L1 penalty switches most of the code off, one sample at a time; a constant reaches 0.073."""
    code = L.Dense(48, "sigmoid", activity_regularizer=keras.regularizers.L1(2e-5))
    return _itself(code, L.Dense(64), loss="mean_squared_error", epochs=12)


def _filled_in() -> Training:
    """A third of the pixels is hidden, and is to be filled in; a constant reaches 0.073."""
    return _itself(L.Dropout(0.3), L.Dense(96, "elu"), L.Dense(48, "elu"), L.Dense(64), loss="mean_squared_error")


def _next_letters() -> Training:
    """Letters drawn from a chain: its own entropy, 1.3, is most of the loss; a constant reaches 1.87."""
    rng = np.random.default_rng(9)
    chain = rng.dirichlet(np.full(8, 0.35), 8).cumsum(1)
    text = np.zeros((400, 21), int)
    for place in range(1, 21):
        text[:, place] = (rng.random((400, 1)) > chain[text[:, place - 1]]).sum(1).clip(0, 7)
    model = keras.Sequential([keras.Input((20,), dtype="int32"), L.Embedding(8, 12), L.Dense(24, "elu")])
    model.add(L.Dense(8, "softmax"))
    x, y = first(400, (text[:, :-1], text[:, 1:]))
    return predict(model, (x, y), loss="sparse_categorical_crossentropy", optimizer=keras.optimizers.Adam(1e-2))


_BALANCE = "two losses that hold each other where they are: neither falls"
_RISES = "the loss rises with the weight of its second part, while the first is learnt"
_ENTROPY = "most of the loss is the targets' own entropy, which nothing can take away"
CASES: tuple[Case, ...] = (
    Case("adversaries", "adversaries", _BALANCE, lambda: _adversaries(2e-3, 25, critic=False), learns=1.0),
    Case(
        "adversaries_critic",
        "adversaries",
        "a critic's loss is below zero and means nothing by itself; its weights are clipped",
        lambda: _adversaries(4e-3, 25, critic=True),
        learns=1.0,
    ),
    Case(
        "divergence_rises",
        "variational: weights",
        _RISES,
        lambda: _variational([min(1.0, epoch / 8) * 0.2 for epoch in range(12)]),
        learns=3.3,
    ),
    Case(
        "divergence_in_cycles",
        "variational: weights",
        "the loss goes up and down with the weight",
        lambda: _variational([(epoch % 4) / 3 * 0.15 for epoch in range(12)]),
        learns=3.3,
    ),
    Case(
        "divergence_falls",
        "variational: weights",
        "for the first epochs nothing but the divergence is lowered",
        lambda: _variational([1.0, 0.6, 0.3, 0.15, *[0.05] * 7]),
        learns=3.0,
    ),
    Case("grey_pixels", "soft targets", _ENTROPY, _grey_pixels, learns=0.32),
    Case("photographs_by_entropy", "soft targets", _ENTROPY, _photographs, learns=0.5),
    Case("letters_of_a_chain", "soft targets", _ENTROPY, _next_letters, learns=1.5),
    Case("sparse_code", "autoencoder", "a penalty keeps most of the code near zero", _sparse_code, learns=0.045),
    Case(
        "filled_in_pixels",
        "autoencoder",
        "what comes in is a third zeros, and another third each time",
        _filled_in,
        learns=0.035,
    ),
)
