"""Whatever `fit` takes its data from, and however often it is called, the same batches give the same numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from instrument.recording import at, normal, recorded
from instrument.reference import assert_gradients, look
from keras import layers

import gradscope

X, Y, SIZE = normal(20, 4), normal(20, 1, seed=1), 8


def model() -> Any:
    kernels = [keras.initializers.Constant(normal(*shape, seed=5)) for shape in ((4, 6), (6, 1))]
    net = keras.Sequential(
        [
            keras.Input((4,)),
            layers.Dense(6, activation="tanh", kernel_initializer=kernels[0]),
            layers.Dense(1, kernel_initializer=kernels[1]),
        ]
    )
    net.compile("sgd", "mse")
    return net


def generator() -> Iterator[tuple[np.ndarray, np.ndarray]]:
    for start in range(0, 20, SIZE):
        yield X[start : start + SIZE], Y[start : start + SIZE]


class Sequence(keras.utils.PyDataset):
    def __len__(self) -> int:
        return 3

    def __getitem__(self, index: int) -> Any:
        return X[SIZE * index : SIZE * (index + 1)], Y[SIZE * index : SIZE * (index + 1)]


SOURCES: dict[str, Callable[[], tuple[Any, ...]]] = {
    "tf.data": lambda: (tf.data.Dataset.from_tensor_slices((X, Y)).batch(SIZE),),
    "generator": lambda: (generator(),),
    "PyDataset": lambda: (Sequence(),),
    "tensors": lambda: (tf.constant(X), tf.constant(Y)),
}


@pytest.fixture(scope="module")
def from_numpy() -> gradscope.Run:
    return recorded(model(), X, Y, batch_size=SIZE)


def test_arrays_give_the_numbers_of_the_tape(from_numpy: gradscope.Run) -> None:
    assert from_numpy.steps["samples"].tolist() == [8, 8, 4]
    same = model()
    paths = [variable.path for variable in same.trainable_variables]
    assert_gradients(at(from_numpy.gradients).assign(variable=paths), look(same, X[:SIZE], Y[:SIZE]))


@pytest.mark.filterwarnings("ignore:Your input ran out of data")  # so Keras says of every generator
@pytest.mark.parametrize("source", SOURCES)
def test_the_same_batches_give_the_same_numbers_from_any_source(source: str, from_numpy: gradscope.Run) -> None:
    sized = {"batch_size": SIZE} if source == "tensors" else {}
    run = recorded(model(), *SOURCES[source](), **sized)
    for table, names in (("steps", ["loss", "global_norm", "samples", "baseline_loss"]), ("gradients", ["norm"])):
        ours, theirs = getattr(run, table), getattr(from_numpy, table)
        np.testing.assert_allclose(ours[names], theirs[names], rtol=1e-5, err_msg=source)


def test_validation_is_not_recorded_as_training_and_its_logs_are_kept(from_numpy: gradscope.Run) -> None:
    run = recorded(model(), X, Y, batch_size=SIZE, validation_data=(X[:7] + 5, Y[:7]), epochs=2)
    assert len(run.steps) == 6
    np.testing.assert_allclose(run.steps["loss"][:3], from_numpy.steps["loss"], rtol=1e-5)
    assert run.epochs["val_loss"].notna().all()


def test_steps_go_on_over_two_fits_and_an_initial_epoch() -> None:
    net, scope = model(), gradscope.GradScope(schedule=1, quiet=True)
    options = {"batch_size": SIZE, "verbose": 0, "shuffle": False, "callbacks": [scope]}
    net.fit(X, Y, epochs=1, **options)
    step = look(net, X[:SIZE], Y[:SIZE])
    net.fit(X, Y, initial_epoch=1, epochs=3, **options)
    run = scope.run
    assert run.steps["step"].tolist() == list(range(9))
    assert run.steps["epoch"].tolist() == [0] * 3 + [1] * 3 + [2] * 3
    assert [session.resumed for session in run.sessions] == [False, True]
    assert_gradients(at(run.gradients, 3), step)


def test_a_training_that_stops_early_keeps_what_it_recorded() -> None:
    stop = keras.callbacks.EarlyStopping("loss", patience=0, min_delta=1e9)
    scope = gradscope.GradScope(schedule=1, quiet=True)
    model().fit(X, Y, batch_size=SIZE, epochs=9, verbose=0, callbacks=[scope, stop])
    assert scope.run.epochs["epoch"].tolist() == [0, 1]
    assert len(scope.run.steps) == 6


def test_several_steps_in_one_execution_record_the_first_of_them() -> None:
    net = model()
    net.compile("sgd", "mse", steps_per_execution=4)
    weights: list[list[np.ndarray]] = []
    keep = keras.callbacks.LambdaCallback(on_train_batch_begin=lambda batch, logs: weights.append(net.get_weights()))
    scope = gradscope.GradScope(schedule=1, quiet=True)
    net.fit(np.tile(X, (8, 1)), np.tile(Y, (8, 1)), batch_size=20, verbose=0, shuffle=False, callbacks=[scope, keep])
    run = scope.run
    assert run.steps["step"].tolist() == [0, 4]
    for number, before in zip((0, 4), weights, strict=True):
        net.set_weights(before)
        step = look(net, X, Y)
        np.testing.assert_allclose(run.steps.set_index("step")["loss"][number], step.loss, rtol=1e-5)
        assert_gradients(at(run.gradients, number), step)
    assert run.gradients["update_norm"].isna().all()
