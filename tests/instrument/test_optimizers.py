"""Optimizers: Keras' own, several, none, and objects that are none of Keras'."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from trainings import X, Y, compiled, fitted, mlp

from gradscope.instrument.network_of import compiled as description
from gradscope.instrument.optimizers import batches_given, learning_rate, optimizers

KERAS = keras.optimizers


class Descent:
    """An optimizer of the user's own, which counts if it is told to."""

    def __init__(self, **attributes: Any) -> None:
        vars(self).update(attributes)


class Raising:
    @property
    def learning_rate(self) -> float:
        raise RuntimeError("not yet")

    @property
    def iterations(self) -> int:
        raise RuntimeError("not yet")


def multi() -> Any:
    return KERAS.MultiOptimizer(KERAS.OptimizerMap(KERAS.SGD(0.01), {".*dense_1.*": KERAS.Adam(0.01)}))


def test_optimizers_are_found_in_containers_at_any_depth_and_each_once() -> None:
    model = compiled(mlp(), KERAS.Adam(name="own"))
    shared = KERAS.SGD(name="shared")
    model.parts = {"net": {"first": shared, "rest": [KERAS.Adam(name="deep"), (shared,)]}}
    assert [found.name for found in optimizers(model)] == ["own", "shared", "deep"]


def test_the_optimizer_of_a_model_within_is_found() -> None:
    inner = compiled(mlp(), KERAS.SGD(name="critic"))
    outer = keras.Sequential([keras.Input((6,)), inner])
    outer.compile(optimizer=None, loss="mse")
    assert [found.name for found in optimizers(outer)] == ["critic"]


def test_a_list_that_holds_itself_ends() -> None:
    model = compiled(mlp(), KERAS.Adam(name="own"))
    ring: list[Any] = [KERAS.SGD(name="in_ring")]
    ring.append(ring)
    object.__setattr__(model, "ring", ring)
    assert [found.name for found in optimizers(model)] == ["own", "in_ring"]


@pytest.mark.parametrize(
    ("make", "counts"),
    [
        (lambda: "adam", (5,)),
        (lambda: KERAS.Adam(gradient_accumulation_steps=2), (5,)),
        (lambda: KERAS.LossScaleOptimizer(KERAS.Adam()), (5,)),
        (multi, (5,)),
    ],
)
def test_batches_are_counted_as_they_were_given(make: Any, counts: tuple[int, ...]) -> None:
    model = fitted(compiled(mlp(), make()), [], epochs=1).model
    assert batches_given(model) == counts


def test_the_counter_of_a_mirrored_optimizer_is_read() -> None:
    with tf.distribute.MirroredStrategy(["CPU:0"]).scope():
        model = compiled(mlp())
    assert batches_given(fitted(model, [], X[:16], Y[:16], epochs=1).model) == (2,)


@pytest.mark.parametrize(
    ("optimizer", "counts"),
    [
        (None, ()),
        (Descent(), ()),
        (Descent(iterations=tf.Variable(7)), (7,)),
        (Descent(iterations="7th"), ()),
        (Raising(), ()),
    ],
)
def test_what_does_not_count_is_left_out(optimizer: Any, counts: tuple[int, ...]) -> None:
    model = mlp()
    model.compile(optimizer=None, loss="mse")
    model.optimizer = optimizer
    assert batches_given(model) == counts


@pytest.mark.parametrize("make", [multi, Descent, Raising, lambda: None, lambda: Descent(learning_rate=np.ones(2))])
def test_a_rate_that_is_not_told_is_none(make: Any) -> None:
    assert learning_rate(make()) is None


def test_a_rate_that_is_told_is_given_back() -> None:
    assert float(learning_rate(KERAS.SGD(0.25))) == 0.25
    assert learning_rate(Descent(learning_rate=0.5)) == 0.5


@pytest.mark.parametrize(
    ("optimizer", "name"),
    [(None, ""), (Descent(clipnorm="much", epsilon=lambda: 1), "Descent"), (Raising(), "Raising")],
)
def test_how_a_model_is_compiled_is_told_as_far_as_it_is_known(optimizer: Any, name: str) -> None:
    model = mlp()
    model.compile(optimizer=None, loss="mse")
    model.optimizer = optimizer
    told = description(model)
    assert (told.optimizer, told.loss, told.clipping, told.epsilon) == (name, "mean_squared_error", {}, None)
    assert told.accumulation_steps == 1


def test_the_only_optimizer_among_the_attributes_is_the_one_that_trains() -> None:
    model = mlp()
    model.compile(optimizer=None, loss=None)
    model.own = KERAS.SGD(clipnorm=2.0)
    told = description(model)
    assert (told.optimizer, told.clipping) == ("SGD", {"clipnorm": 2.0})
    model.other = KERAS.Adam()
    assert description(model).optimizer == ""
    assert description(compiled(mlp(), multi())).optimizer == "MultiOptimizer"
