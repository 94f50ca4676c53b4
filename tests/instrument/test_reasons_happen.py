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


class AsksTheGraph(OneLayer):
    """Asks no tape for its gradients."""

    def train_step(self, data: Any) -> Any:
        loss = self.compute_loss(data[0], data[1], self(data[0]))
        gradients = tf.gradients(loss, [weight.value for weight in self.trainable_weights])
        self.optimizer.apply_gradients(zip(gradients, self.trainable_weights, strict=True))
        return {"loss": loss}


def test_a_backward_signal_that_no_tape_was_asked_for_is_told() -> None:
    model = AsksTheGraph("asks")
    model.compile("sgd", "mse")
    assert reasons_of(model) == {"dense (backward)": reasons.NO_BACKWARD}


class AppliesOutside(OneLayer):
    """Applies a function in its train step."""

    def train_step(self, data: Any) -> Any:
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean((tf.nn.relu(self(data[0])) - data[1]) ** 2)
        weights = self.trainable_weights
        self.optimizer.apply_gradients(zip(tape.gradient(loss, weights), weights, strict=True))
        return {"loss": loss}


def test_a_function_outside_of_any_layer_is_told() -> None:
    model = AppliesOutside("applies")
    model.compile("sgd", "mse")
    assert reasons_of(model) == {"relu": reasons.OUTSIDE}


class TwoFunctions(OneLayer):
    """Calls two compiled functions, each of which trains a layer."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.other = layers.Dense(1)

    def make_train_function(self, force: bool = False) -> Any:
        optimizers = {layer.name: keras.optimizers.SGD(0.1) for layer in (self.inner, self.other)}
        for layer in (self.inner, self.other):
            layer.build((None, 6))
            optimizers[layer.name].build(layer.trainable_weights)

        def train(layer: Any, x: Any, y: Any) -> Any:
            with tf.GradientTape() as tape:
                loss = tf.reduce_mean((layer(x) - y) ** 2)
            weights = layer.trainable_weights
            optimizers[layer.name].apply_gradients(zip(tape.gradient(loss, weights), weights, strict=True))
            return loss

        functions = [tf.function(lambda x, y, layer=layer: train(layer, x, y)) for layer in (self.inner, self.other)]

        def both(iterator: Any) -> Any:
            x, y = next(iterator)
            return {f"loss {at}": function(x, y) for at, function in enumerate(functions)}

        self.train_function = both
        return both


def test_of_several_compiled_functions_it_is_told_that_one_is_recorded() -> None:
    model = TwoFunctions("two")
    model.compile("sgd", "mse")
    assert reasons_of(model) == {"two": reasons.SEVERAL}


class InALoop(OneLayer):
    """Trains in a loop of the graph."""

    def make_train_function(self, force: bool = False) -> Any:
        @tf.function
        def one(iterator: Any) -> Any:
            x, y = next(iterator)
            loss = tf.constant(0.0)
            for _ in tf.range(2):
                with tf.GradientTape() as tape:
                    loss = tf.reduce_mean((self(x) - y) ** 2)
                weights = self.trainable_weights
                for weight, gradient in zip(weights, tape.gradient(loss, weights), strict=True):
                    weight.assign_sub(0.1 * gradient)
            return {"loss": loss}

        self.train_function = one
        return one


def test_a_step_that_trains_in_a_loop_is_told() -> None:
    model = InALoop("looped")
    model.compile("sgd", "mse")
    assert reasons_of(model) == {"looped": reasons.LOOPED}
