"""When a step runs with further outputs, and when it is observed instead."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from instrument.recording import normal
from keras import layers

import gradscope
from gradscope.instrument.keras_border import step_functions
from gradscope.instrument.tensorflow.copies import perturbed
from gradscope.instrument.tensorflow.framework import traces
from gradscope.instrument.tensorflow.plan import Plan

X, Y = normal(24, 6), normal(24, 1, seed=1)


def plans(model: Any) -> list[Plan]:
    """Return how the steps of a model are recorded."""
    found = step_functions(model.train_function)
    assert found is not None
    return [p for each in found for trace in traces(each) for p in vars(trace).get("_gradscope_plans", {}).values()]


def trained(*more: Any, **settings: Any) -> tuple[Any, gradscope.Run]:
    keras.utils.set_random_seed(3)
    model = keras.Sequential([keras.Input((6,)), *more, layers.Dense(8, activation="relu"), layers.Dense(1)])
    model.compile("adam", "mse", **{"jit_compile": False} | settings)
    scope = gradscope.GradScope(schedule=1, quiet=True)
    model.fit(X, Y, batch_size=8, epochs=2, verbose=0, shuffle=False, callbacks=[scope])
    return model, scope.run


def test_a_plain_step_runs_inline_after_its_trial() -> None:
    model, run = trained()
    (plan,) = plans(model)
    assert plan.mode == "inline"
    assert plan.trials >= 1
    assert len(run.steps) == 6


def test_a_step_that_xla_compiles_is_observed() -> None:
    model, run = trained(jit_compile=True)
    assert [plan.mode for plan in plans(model)] == ["observe"]
    assert len(run.steps) == 6


class TowardsOne(keras.Model):
    """Learns to answer 1: TensorFlow takes the bias from it first where nobody asks for what lies between."""

    def __init__(self) -> None:
        super().__init__()
        self.net = keras.Sequential([keras.Input((6,)), layers.Dense(8, activation="relu"), layers.Dense(1)])

    def call(self, x: Any) -> Any:
        return self.net(x)

    def train_step(self, data: Any) -> Any:
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean((1.0 - self.net(data[0])) ** 2)
        weights = self.trainable_variables
        self.optimizer.apply_gradients(zip(tape.gradient(loss, weights), weights, strict=True))
        return {"value": loss}


def test_a_step_that_may_be_the_same_only_while_biases_are_zero_stays_the_same() -> None:
    def weights(*callbacks: Any) -> list[Any]:
        keras.utils.set_random_seed(3)
        model = TowardsOne()
        model.compile(keras.optimizers.SGD(0.01), jit_compile=False)
        model.fit(X, Y, batch_size=8, epochs=2, verbose=0, shuffle=False, callbacks=[*callbacks])
        return model.get_weights()

    for ours, theirs in zip(weights(gradscope.GradScope(schedule=1, quiet=True)), weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_where_another_set_of_weights_differs_by_a_bit_the_step_is_observed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gradscope.instrument.tensorflow.copies.Copies.equal", lambda copies, others: False)
    model, run = trained()
    assert [plan.mode for plan in plans(model)] == ["observe"]
    assert len(run.steps) == 6


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_what_is_perturbed_has_its_sign_and_no_zero_and_is_the_same_twice(dtype: str) -> None:
    tensor = tf.cast(tf.constant([0.0, 1.0, -3.0, 100.0]), dtype)
    one, two = (tf.cast(perturbed(tensor, 4), tf.float64).numpy() for _ in range(2))
    np.testing.assert_array_equal(one, two)
    assert (np.sign(one) == [1, 1, -1, 1]).all()
    assert (one != [0, 1, -3, 100]).all()
    assert perturbed(tf.constant([1, 2])).numpy().tolist() == [1, 2]


def test_where_a_trial_differs_by_a_bit_the_step_is_observed(monkeypatch: pytest.MonkeyPatch) -> None:
    bare, _ = trained()
    monkeypatch.setattr("gradscope.instrument.tensorflow.copies.Copies.equal_originals", lambda copies: False)
    model, run = trained()
    assert [plan.mode for plan in plans(model)] == ["observe"]
    assert len(run.steps) == 6
    for ours, theirs in zip(model.get_weights(), bare.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


class Noise(layers.Layer):
    def call(self, inputs: Any, training: bool = False) -> Any:
        return inputs + tf.random.normal(tf.shape(inputs)) if training else inputs


def test_a_step_with_random_generators_of_its_own_is_observed_and_says_so() -> None:
    model, run = trained(Noise())
    assert [plan.mode for plan in plans(model)] == ["observe"]
    assert len(run.steps) == 6
    assert gradscope.reasons.OTHER_NOISE in [missed.reason for missed in run.not_measured]


def test_a_fit_after_one_without_the_callback_is_recorded_without_running_its_python_more_than_once_again() -> None:
    calls = 0

    class Counting(layers.Layer):
        def call(self, inputs: Any) -> Any:
            nonlocal calls
            calls += 1
            return inputs

    model = keras.Sequential([keras.Input((6,)), Counting(), layers.Dense(8, activation="relu"), layers.Dense(1)])
    model.compile("adam", "mse", jit_compile=False)
    model.fit(X, Y, batch_size=8, verbose=0)
    before = calls
    scope = gradscope.GradScope(schedule=1, quiet=True)
    model.fit(X, Y, batch_size=8, verbose=0, callbacks=[scope])
    assert calls == before + 1
    assert len(scope.run.steps) == 3
    assert [plan.mode for plan in plans(model)] == ["inline"]
    again = gradscope.GradScope(schedule=1, quiet=True)
    model.fit(X, Y, batch_size=8, verbose=0, callbacks=[again])
    assert calls == before + 1, "the notes stay with the function"
    assert len(again.run.steps) == 3
