"""What the operations of a real step tell: what cuts weights off, which are not tracked, which shapes broadcast."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers, ops

from gradscope import GradScope
from gradscope.network import Network

RNG = np.random.default_rng(0)
X = RNG.normal(size=(64, 4)).astype("float32")
Y = RNG.normal(size=(64, 1)).astype("float32")


def seen(model: Any, y: Any = Y, loss: Any = "mse") -> Network:
    model.compile("adam", loss)
    scope = GradScope(schedule=1, quiet=True, on_finding=None)
    model.fit(X, y, batch_size=32, verbose=0, callbacks=[scope])
    return scope.run.network


def stack(*behind: Any) -> Any:
    return keras.Sequential([keras.Input((4,)), layers.Dense(8, activation="relu", name="first"), *behind])


@pytest.mark.filterwarnings("ignore:Gradients do not exist", "ignore:You are using a softmax")
@pytest.mark.parametrize(
    ("cut", "told"),
    [
        ([layers.Lambda(ops.stop_gradient, name="stop")], ("StopGradient in stop", "")),
        ([layers.Lambda(ops.round, name="steps")], ("Round in steps", "")),
        ([layers.Lambda(ops.sign, name="steps")], ("", "sign in steps")),
        ([layers.Dense(1, activation="softmax", name="one")], ("", "softmax over an axis of 1 in one")),
        (
            [layers.Dense(1), layers.LayerNormalization(name="norm")],
            ("", "LayerNormalization over an axis of 1 in norm"),
        ),
        ([layers.Dense(2, activation="softmax"), layers.LayerNormalization()], ("", "")),
    ],
)
def test_what_cuts_a_kernel_off(cut: Any, told: tuple[str, str]) -> None:
    first, *_, last = [v for v in seen(stack(*cut, layers.Dense(1))).variables if v.role == "kernel"]
    assert (first.cut_by, first.flattened_by) == told
    assert (last.cut_by, last.flattened_by) == ("", "")


def test_a_way_around_what_cuts_off_is_a_way() -> None:
    inputs = keras.Input((4,))
    hidden = layers.Dense(8)(inputs)
    network = seen(keras.Model(inputs, layers.Dense(1)(hidden + ops.stop_gradient(hidden))))
    assert all(variable.cut_by == "" for variable in network.variables)


@pytest.mark.filterwarnings("ignore:Gradients do not exist")
def test_an_output_that_no_loss_uses() -> None:
    inputs = keras.Input((4,))
    hidden = layers.Dense(8, activation="relu")(inputs)
    model = keras.Model(inputs, [layers.Dense(1)(hidden), layers.Dense(3, name="unused")(hidden)])
    network = seen(model, [Y, np.zeros((64, 3))], ["mse", None])
    assert {v.layer: v.cut_by for v in network.variables if v.cut_by} == {"unused": "unused"}


class Untracked(layers.Layer):
    """Multiplies by weights of which Keras does not know, and counts in a buffer that is none."""

    def build(self, shape: Any) -> None:
        self.kernels = [tf.Variable(tf.ones((shape[-1], 8)))]
        self.buffer = tf.Variable(tf.zeros((8,)))
        self.constant = tf.Variable(tf.ones((8,)), trainable=False)

    def call(self, x: Any) -> Any:
        y = x @ self.kernels[0]
        self.buffer.assign(0.9 * self.buffer + 0.1 * tf.reduce_mean(y, 0))
        return (y - self.buffer) * self.constant


def test_variables_that_keras_does_not_track() -> None:
    network = seen(stack(Untracked(name="own"), layers.Dense(1)))
    assert [(v.layer, v.shape) for v in network.untracked] == [("own", (8, 8))]
    assert seen(stack(layers.BatchNormalization(), layers.Dropout(0.5), layers.Dense(1))).untracked == ()


class OwnStep(keras.Model):
    def train_step(self, data: Any) -> Any:
        x, y = data
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tf.square(y - self(x, training=True)))
        weights = self.trainable_variables
        self.optimizer.apply_gradients(zip(tape.gradient(loss, weights), weights, strict=True))
        return {"loss": loss}


def own_step() -> Any:
    inputs = keras.Input((4,))
    return OwnStep(inputs, layers.Dense(1)(layers.Dense(8, activation="relu")(inputs)))


def test_a_step_of_ones_own_whose_shapes_broadcast() -> None:
    assert seen(own_step(), Y[:, 0]).broadcasts == ("the answers have shape (n, 1), the labels (n,)",)
    assert seen(own_step(), Y).broadcasts == ()


def test_a_loss_of_ones_own_whose_shapes_broadcast() -> None:
    flat = seen(stack(layers.Dense(1)), loss=lambda t, p: tf.reduce_mean(tf.square(tf.reshape(t, [-1]) - p)))
    assert len(flat.broadcasts) == 1
