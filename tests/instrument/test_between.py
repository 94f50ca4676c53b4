"""What runs between the steps is not the step: other callbacks train, look at gradients, and move weights."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from instrument.recording import normal
from keras import layers

import gradscope

BARE_CALL = keras.Operation.__call__
X, Y = normal(24, 6), normal(24, 1, seed=1)


def network() -> Any:
    model = keras.Sequential([keras.Input((6,)), layers.Dense(8, activation="relu"), layers.Dense(1)])
    model.compile(keras.optimizers.SGD(0.1), "mse", jit_compile=False)
    return model


class AtEnd(keras.callbacks.Callback):
    """Does something when a step has ended, in front of the callback that records."""

    def __init__(self, action: Callable[[Any], Any]) -> None:
        super().__init__()
        self.action = action

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.action(self.model)


def trains_another() -> Callable[[Any], Any]:
    other = network()
    return lambda model: other.train_on_batch(3 * X[:4], Y[:4])


def trains_it_too(model: Any) -> None:
    model.train_on_batch(3 * X[:4], Y[:4])


def logs_gradients(model: Any) -> None:
    @tf.function
    def gradients(x: Any, y: Any) -> Any:
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean((model(x) - y) ** 2)
        return tape.gradient(loss, model.trainable_variables)

    gradients(tf.constant(5 * X[:4]), tf.constant(Y[:4]))


def shrinks_weights(model: Any) -> None:
    for weight in model.trainable_variables:
        weight.assign(0.5 * weight)


ACTIONS = {
    "another model trained": trains_another,
    "this model trained": lambda: trains_it_too,
    "gradients logged": lambda: logs_gradients,
    "weights shrunk": lambda: shrinks_weights,
}


@pytest.mark.parametrize("name", ACTIONS)
def test_the_first_record_is_of_the_step_itself(name: str) -> None:
    keras.utils.set_random_seed(1)
    model = network()
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean((model(X[:8]) - Y[:8]) ** 2)
    gradients = tape.gradient(loss, model.trainable_variables)
    norms = [float(tf.norm(gradient)) for gradient in gradients]
    scope = gradscope.GradScope(schedule=1, quiet=True)
    model.fit(X, Y, batch_size=8, verbose=0, shuffle=False, callbacks=[AtEnd(ACTIONS[name]()), scope])
    first = scope.run.gradients.query("step == 0")
    assert [*first["variable"]] == [variable.path for variable in model.trainable_variables]
    np.testing.assert_allclose(first["norm"], norms, rtol=1e-5)
    np.testing.assert_allclose(first["update_norm"], 0.1 * np.array(norms), rtol=1e-4)
    assert len(scope.run.steps) == 3
    assert [*scope.run.activations["site"].unique()] == ["dense", "dense_1"]


class AppliesEagerly(keras.Model):
    """Computes gradients in a compiled function, and applies them outside of it."""

    def __init__(self) -> None:
        super().__init__()
        self.dense = layers.Dense(1)
        self.dense.build((None, 6))

    def call(self, x: Any) -> Any:
        return self.dense(x)

    def make_train_function(self, force: bool = False) -> Any:
        @tf.function
        def gradients(x: Any, y: Any) -> Any:
            with tf.GradientTape() as tape:
                loss = tf.reduce_mean((self(x) - y) ** 2)
            return loss, tape.gradient(loss, self.trainable_variables)

        def one(iterator: Any) -> Any:
            loss, found = gradients(*next(iterator))
            self.optimizer.apply_gradients(zip(found, self.trainable_variables, strict=True))
            return {"loss": loss}

        self.train_function = one
        return one


def test_an_update_outside_of_the_function_that_found_it_is_the_steps() -> None:
    model = AppliesEagerly()
    model.compile(keras.optimizers.SGD(0.1))
    scope = gradscope.GradScope(schedule=1, quiet=True)
    model.fit(X, Y, batch_size=8, verbose=0, callbacks=[scope])
    rows = scope.run.gradients
    assert len(rows) == 2 * 3
    np.testing.assert_allclose(rows["update_norm"], 0.1 * rows["norm"], rtol=1e-4)


def looks_at_it_eagerly(model: Any) -> None:
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean((model(5 * X[:4]) - Y[:4]) ** 2)
    tape.gradient(loss, model.trainable_variables)


def test_what_another_callback_does_eagerly_is_not_of_the_step() -> None:
    model = network()
    model.run_eagerly = True
    scope = gradscope.GradScope(schedule=1, quiet=True)
    model.fit(X, Y, batch_size=8, verbose=0, callbacks=[AtEnd(looks_at_it_eagerly), scope])
    assert [*scope.run.activations["site"].unique()] == ["dense", "dense_1"]
    assert scope.run.gradients["variable"].nunique() == 4


def stop(model: Any) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize("eagerly", [False, True])
def test_after_a_training_that_was_broken_off_nothing_is_taken_any_more(eagerly: bool) -> None:
    model = network()
    model.run_eagerly = eagerly
    scope = gradscope.GradScope(schedule=1, quiet=True)
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, Y, batch_size=8, verbose=0, callbacks=[AtEnd(stop), scope])
    model.fit(X, Y, batch_size=8, verbose=0)
    recorder = vars(vars(scope)["_fit"])["_recorder"]
    assert vars(recorder)["_seen"] == []
    assert vars(recorder)["_eager"] is None
    assert keras.Operation.__call__ is BARE_CALL


def test_a_model_whose_training_was_broken_off_goes_with_its_callback() -> None:
    model, scope = network(), gradscope.GradScope(schedule=1, quiet=True)
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, Y, batch_size=8, verbose=0, callbacks=[AtEnd(stop), scope])
    gone = weakref.ref(model)
    del model, scope
    keras.backend.clear_session()
    gc.collect()
    assert gone() is None
