"""Reports where layers, losses or steps of the user's own, or a flag, keep the network from learning."""

from __future__ import annotations

import itertools
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from zoo.case import Training
from zoo.data import Floats, digit_images, digits
from zoo.reported.report import Line, Report, share_explained, share_right

L: Any = keras.layers


def _twins(least: float) -> Training:
    """Are two digits of one class? Two pairs hold the same scan twice, at a distance of exactly 0."""
    x, y = digits()
    rng = np.random.default_rng(31)
    left = rng.integers(0, len(x), 1200)
    alike = np.arange(1200) % 2
    chosen = [np.flatnonzero((y == y[i]) == bool(same)) for i, same in zip(left, alike, strict=True)]
    right = np.array([rng.choice(several) for several in chosen])
    right[[501, 903]] = left[[501, 903]]
    encoder = keras.Sequential([keras.Input((64,)), L.Dense(48, "elu"), L.Dense(24, "elu")], name="encoder")
    encoder.add(L.Dense(12))
    one, other = keras.Input((64,)), keras.Input((64,))

    def distance(both: Any) -> Any:
        squares = tf.reduce_sum((both[0] - both[1]) ** 2, axis=-1, keepdims=True)
        return tf.sqrt(tf.maximum(squares, least) if least else squares)

    apart = L.Lambda(distance, output_shape=(1,), name="distance")([encoder(one), encoder(other)])
    nearer = keras.initializers.Constant(-1.0)
    model = keras.Model([one, other], L.Dense(1, "sigmoid", kernel_initializer=nearer, name="alike")(apart))
    model.compile(keras.optimizers.Adam(3e-3), "binary_crossentropy")
    targets = alike.astype(np.float32)[:, None]
    return Training(model, {"x": [x[left], x[right]], "y": targets, "epochs": 12, "batch_size": 50})


class Matrices(keras.layers.Layer):
    """Three ReLU layers in one, of weights that Keras is told of or not."""

    def __init__(self, *, told: bool, **keywords: Any) -> None:
        super().__init__(**keywords)
        self.told = told

    def build(self, shape: Any) -> None:
        widths = [shape[-1], 16, 16, 16]
        self.matrices = []
        for wide, narrow in itertools.pairwise(widths):
            if self.told:
                self.matrices.append(self.add_weight(shape=(wide, narrow), initializer="he_normal"))
            else:
                self.matrices.append(tf.Variable(keras.initializers.HeNormal()((wide, narrow))))

    def call(self, x: Any) -> Any:
        for matrix in self.matrices:
            x = tf.nn.relu(x @ matrix)
        return x

    def compute_output_shape(self, shape: Any) -> Any:
        return (*shape[:-1], 16)


def _matrices(*, told: bool) -> Training:
    """Whether two products add up to more than zero, which no linear function of the inputs tells."""
    rng = np.random.default_rng(37)
    x = rng.normal(0, 1, (1600, 12)).astype(np.float32)
    y = (x[:, :1] * x[:, 1:2] + x[:, 2:3] * x[:, 3:4] > 0).astype(np.float32)
    matrices = Matrices(told=told, name="matrices")
    model = keras.Sequential([keras.Input((12,)), matrices, L.Dense(1, "sigmoid", name="answer")])
    model.compile(keras.optimizers.Adam(5e-3), "binary_crossentropy")
    return Training(model, {"x": x, "y": y, "epochs": 16, "batch_size": 50})


class Subtracting(keras.Model):
    """A train step of one's own, whose squared error takes targets of one axis from answers of two."""

    same_shape = False

    def __init__(self, *arguments: Any, **keywords: Any) -> None:
        super().__init__(*arguments, **keywords)
        self.mean_loss = keras.metrics.Mean(name="loss")

    @property
    def metrics(self) -> list[Any]:
        return [self.mean_loss]

    def train_step(self, data: Any) -> dict[str, Any]:
        x, y = data
        if self.same_shape:
            y = y[:, None]
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean((self(x, training=True) - y) ** 2)
        variables = self.trainable_variables
        self.optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))
        self.mean_loss.update_state(loss)
        return {"loss": self.mean_loss.result()}


def _subtracting(*, same_shape: bool) -> Training:
    rng = np.random.default_rng(41)
    x = rng.normal(0, 1, (1400, 5)).astype(np.float32)
    y = (1.5 * x[:, 0] + np.sin(2 * x[:, 1]) - x[:, 2] * x[:, 3]).astype(np.float32)
    inputs = keras.Input((5,))
    body = L.Dense(32, "elu")(L.Dense(32, "relu")(inputs))
    model = Subtracting(inputs, L.Dense(1, name="answer")(body))
    model.same_shape = same_shape
    model.compile(keras.optimizers.Adam(4e-3))
    return Training(model, {"x": x, "y": y, "epochs": 14, "batch_size": 35})


def _attending(*, over_time: bool) -> Training:
    """Is a rare word in the sentence? Attention whose softmax runs over its one unit, or over the words."""
    rng = np.random.default_rng(43)
    x = rng.integers(3, 150, (1600, 20))
    y = np.arange(1600) % 2
    x[np.flatnonzero(y), rng.integers(0, 20, 800)] = 1
    inputs = keras.Input((20,), dtype="int32")
    words = L.Conv1D(16, 3, padding="same", activation="tanh")(L.Embedding(150, 12)(inputs))
    weight = L.Dense(1, None if over_time else "softmax", name="attention")(words)
    if over_time:
        weight = L.Softmax(axis=1)(weight)
    summary = keras.ops.sum(words * weight, axis=1)
    model = keras.Model(inputs, L.Dense(1, "sigmoid", name="answer")(summary))
    model.compile(keras.optimizers.Adam(4e-3), "binary_crossentropy")
    return Training(model, {"x": x, "y": y.astype(np.float32)[:, None], "epochs": 10, "batch_size": 40})


def _attention_spread(training: Training) -> float:
    """Return how unlike the weights of the words in a sentence are: 0 where all are equal."""
    attention = next(layer for layer in training.model.layers if layer.name == "attention")
    softmax = next((layer for layer in training.model.layers if isinstance(layer, L.Softmax)), attention)
    weights = keras.Model(training.model.inputs, softmax.output).predict(training.fit["x"][:200], verbose=0)
    return float(np.std(weights, axis=1).mean() / weights.mean())


def _sinc(z: Any) -> Any:
    return tf.where(z == 0.0, 1.0, tf.sin(z) / z)


def _safe_sinc(z: Any) -> Any:
    return tf.where(z == 0.0, 1.0, tf.sin(z) / tf.where(z == 0.0, 1.0, z))


def _guarded(activation: Any) -> Training:
    """Four rows are empty, so that what goes into the function is exactly 0."""
    rng = np.random.default_rng(47)
    x = rng.normal(0, 1, (1000, 6)).astype(np.float32)
    x[800:804] = 0
    y = (np.cos(1.5 * x[:, :1]) + 0.3 * x[:, 1:2] ** 2).astype(np.float32)
    model = keras.Sequential([keras.Input((6,)), L.Dense(40, activation, use_bias=False, name="waves")])
    model.add(L.Dense(40, "elu"))
    model.add(L.Dense(1))
    model.compile(keras.optimizers.Adam(8e-3), "mse")
    return Training(model, {"x": x, "y": y, "epochs": 12, "batch_size": 40})


def _noise_or_digit(*, frozen: bool) -> Training:
    """A discriminator that is to learn first by itself."""
    digit, _ = digit_images()
    rng = np.random.default_rng(53)
    noise: Floats = rng.uniform(0, 1, digit.shape).astype(np.float32)
    x = np.concatenate([digit, noise]) * 2 - 1
    y = np.repeat([[1.0], [0.0]], len(digit), 0).astype(np.float32)
    model = keras.Sequential([keras.Input((8, 8, 1)), L.Conv2D(12, 3, strides=2, activation="leaky_relu")])
    model.add(L.Flatten())
    model.add(L.Dense(16, "tanh"))
    model.add(L.Dense(1, "sigmoid", name="answer"))
    model.trainable = not frozen
    model.compile(keras.optimizers.Adam(2e-3), "binary_crossentropy")
    return Training(model, {"x": x, "y": y, "epochs": 4, "batch_size": 64})


_GITHUB = "https://github.com/"
CASES: tuple[Report, ...] = (
    Report(
        "square root of no distance",
        f"{_GITHUB}keras-team/keras/issues/9097",
        "The slope of a square root is infinite at 0, where a pair is the same picture twice; a floor under the root.",
        lambda: _twins(0.0),
        lambda: _twins(1e-7),
        share_right,
        0.7,
        top=(Line("nan_or_inf", ("distance",)),),
        remedies=frozenset({"code"}),
    ),
    Report(
        "weights in a list",
        f"{_GITHUB}keras-team/tf-keras/issues/513",
        "Keras does not know of variables that a layer keeps in a list of its own, so they stay as drawn.",
        lambda: _matrices(told=False),
        lambda: _matrices(told=True),
        share_right,
        0.85,
        top=(Line("unchanged_weights", ("matrices",)),),
        remedies=frozenset({"code", "trainable"}),
    ),
    Report(
        "every answer less every target",
        f"{_GITHUB}keras-team/keras/issues/16836",
        "(n, 1) less (n,) is (n, n): each answer is held against each target, so that the mean is best.",
        lambda: _subtracting(same_shape=False),
        lambda: _subtracting(same_shape=True),
        share_explained,
        0.7,
        top=(Line("broadcast_shapes"), Line("output_loss_mismatch"), Line("not_converging")),
        remedies=frozenset({"code"}),
        also=frozenset({"collapsed_output"}),
    ),
    Report(
        "attention over one unit",
        f"{_GITHUB}keras-team/keras/issues/4962",
        "A softmax over one unit is 1: all words count alike and the attention has no gradient; softmax over time.",
        lambda: _attending(over_time=False),
        lambda: _attending(over_time=True),
        _attention_spread,
        0.1,
        top=(Line("unchanged_weights", ("attention",)), Line("blocked_gradient", ("attention",))),
        remedies=frozenset({"activation", "code"}),
        also=frozenset({"saturated_activation"}),
    ),
    Report(
        "the branch not taken",
        f"{_GITHUB}tensorflow/tensorflow/issues/38349",
        "tf.where takes the value of one branch and the gradients of both: 0 times NaN. Make the other safe within.",
        lambda: _guarded(_sinc),
        lambda: _guarded(_safe_sinc),
        share_explained,
        0.8,
        top=(Line("nan_or_inf", ("waves",)),),
        remedies=frozenset({"activation", "code"}),
    ),
    Report(
        "frozen before it is compiled",
        f"{_GITHUB}0b01/SimGAN-Captcha/issues/4",
        "The discriminator is frozen for the combined model, but before it is compiled itself: nothing is trainable.",
        lambda: _noise_or_digit(frozen=True),
        lambda: _noise_or_digit(frozen=False),
        share_right,
        0.9,
        top=(Line("unchanged_weights"),),
        remedies=frozenset({"trainable"}),
    ),
)
