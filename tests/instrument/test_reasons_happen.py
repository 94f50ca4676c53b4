"""Each reason why something is not measured, made to happen by a training."""

from __future__ import annotations

from typing import Any

import keras
import pytest
import tensorflow as tf
from instrument.recording import normal
from keras import layers

import gradscope
from gradscope import reasons

X, Y = normal(16, 6), normal(16, 1)


def sequential(*middle: Any) -> keras.Model:
    model = keras.Sequential([keras.Input((6,)), *middle, layers.Dense(1)])
    model.compile("sgd", "mse")
    return model


def reasons_of(model: Any) -> dict[str, str]:
    scope = gradscope.GradScope(schedule=1, quiet=True)
    model.fit(X, Y, batch_size=8, verbose=0, callbacks=[scope])
    return {missed.name: missed.reason for missed in scope.run.not_measured}


class InACondition(layers.Layer):
    def call(self, x: Any) -> Any:
        return tf.cond(tf.reduce_sum(x) > 0, lambda: keras.activations.relu(x), lambda: x)


def test_what_runs_in_a_condition_is_said_to_be_elsewhere() -> None:
    assert reasons_of(sequential(InACondition(name="branch")))["branch"] == reasons.ELSEWHERE


def total(x: Any) -> Any:
    return keras.ops.sum(x)


class Summed(layers.Layer):
    def __init__(self) -> None:
        super().__init__(name="summed")
        self.activation = total

    def call(self, x: Any) -> Any:
        return x * self.activation(x)


def test_a_function_that_returns_a_single_number_is_named() -> None:
    assert reasons_of(sequential(Summed()))["summed"] == reasons.SINGLE_NUMBER


def noisy(x: Any) -> Any:
    return keras.ops.tanh(x) + tf.random.normal(tf.shape(x), stddev=0.1)


def test_a_random_function_cannot_be_tried_out_and_has_no_profile() -> None:
    said = reasons_of(sequential(layers.Dense(5, activation=noisy, name="noisy")))
    assert said["noisy (saturation)"] == reasons.NO_PROFILE


def test_layers_that_are_computed_again_for_their_gradient_are_named() -> None:
    with keras.RematScope(mode="full"):
        hidden = layers.Dense(5, activation="tanh", name="hidden")
    model = sequential(hidden)
    model.run_eagerly = True  # Keras' remat passes arguments that TensorFlow refuses in a graph
    said = reasons_of(model)
    assert said == {"hidden (backward)": reasons.RECOMPUTED}


@pytest.mark.filterwarnings("ignore:__array__ implementation")  # Keras' own, of NumPy
def test_quantised_kernels_are_named() -> None:
    model = sequential(layers.Dense(5, activation="relu", name="hidden"))
    model.layers[0].quantize("int8")
    model.compile("sgd", "mse")
    assert reasons_of(model)["hidden (kernel)"] == reasons.QUANTISED


class OneLayer(keras.Model):
    def __init__(self, name: str) -> None:
        super().__init__(name=name)
        self.inner = layers.Dense(1)

    def call(self, x: Any) -> Any:
        return self.inner(x)


class ByChance(OneLayer):
    """Trains without any gradient."""

    def train_step(self, data: Any) -> Any:
        loss = keras.ops.mean(keras.ops.square(self(data[0]) - data[1]))
        self.inner.kernel.assign_add(0.01 * loss * keras.ops.sign(self.inner.kernel))
        return {"loss": self.compute_loss(data[0], data[1], self(data[0]))}


def test_a_training_without_gradients_says_so() -> None:
    model = ByChance("by_chance")
    model.compile("sgd", "mse")
    assert reasons_of(model)["by_chance (gradients)"] == reasons.NO_GRADIENT


class Clipped(layers.Layer):
    def call(self, x: Any) -> Any:
        return tf.maximum(x, 0.0)


def test_a_function_of_basic_operations_is_said_to_be_missing_perhaps() -> None:
    assert reasons.MAYBE_MISSING in reasons_of(sequential(Clipped(name="clipped"))).values()


class Unseen(OneLayer):
    """Keeps a train function of its own that runs operation by operation."""

    def make_train_function(self, force: bool = False) -> Any:
        def one(iterator: Any) -> Any:
            x, y = next(iterator)
            with tf.GradientTape() as tape:
                loss = tf.reduce_mean((self(x) - y) ** 2)
            for gradient, weight in zip(
                tape.gradient(loss, self.trainable_weights), self.trainable_weights, strict=True
            ):
                weight.assign_sub(0.1 * gradient)
            return {"loss": loss}

        self.train_function = one
        return one


def test_a_step_that_cannot_be_seen_is_told_as_one() -> None:
    model = Unseen("unseen")
    model.compile("sgd", "mse")
    assert reasons_of(model) == {"unseen": reasons.NOT_SEEN}


class Restless(layers.Layer):
    """Makes another graph each time it is traced."""

    traced = 0

    def call(self, x: Any) -> Any:
        self.traced += 1
        for _ in range(self.traced):
            x = x + 1.0
        return x


def test_a_step_that_was_traced_before_and_is_another_when_traced_again_is_told_as_one() -> None:
    model = sequential(Restless())
    model.fit(X, Y, batch_size=8, verbose=0)
    assert [*reasons_of(model).values()] == [reasons.TRACED_BEFORE]
