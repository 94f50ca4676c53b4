"""The callback's life: what it swaps and when, what it says, and how trainings follow each other."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from trainings import CLASSES, SAMPLES, Callbacks, X, Y, compiled, fitted, mlp

import gradscope
from gradscope import GradScope, every, reasons
from gradscope.errors import RunNotFoundError
from gradscope.instrument.measurement import Measurement
from gradscope.statistics.sums import ActivationSums, BackwardSums, GradientSums, SoftmaxSums, UnitSums

STEPS = SAMPLES // 8  # an epoch


class WhoTrains(keras.callbacks.Callback):
    """Notes, for each batch, whether the model's own function trains it."""

    def __init__(self) -> None:
        super().__init__()
        self.own: list[bool] = []
        self.own_after: list[bool] = []

    def on_train_begin(self, logs: Any = None) -> None:
        self.function = self.model.train_function

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        self.own.append(self.model.train_function is self.function)

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.own_after.append(self.model.train_function is self.function)


def test_the_model_keeps_its_own_train_function_at_every_step() -> None:
    who = WhoTrains()
    fitted(compiled(mlp()), [GradScope(schedule=4, quiet=True), who], epochs=2)
    assert len(who.own) == 2 * STEPS
    assert all(who.own)
    assert all(who.own_after)


def test_the_final_pass_of_a_short_training_judges_its_units() -> None:
    model = compiled(mlp())
    model.layers[2].set_weights([model.layers[2].get_weights()[0], np.array([-1e3] * 4 + [1e3] * 4, np.float32)])
    x, y = np.tile(X, (30, 1)), np.tile(Y, 30)
    scope = GradScope(schedule=1000, quiet=True)
    fitted(model, [scope], x, y, batch_size=100, epochs=1)
    assert len(scope.run.steps) == 1
    final = scope.run.final_activations.set_index("layer")
    assert final["dead_unit_fraction"]["dense_1"] == 0.5
    assert {*final["step"]} == {11}
    assert {*scope.run.activations["step"]} == {*scope.run.steps["step"]} == {0}


class Reads(keras.callbacks.Callback):
    """Reads the run while it is being recorded."""

    def __init__(self, scope: GradScope) -> None:
        super().__init__()
        self.scope = scope
        self.lengths: list[int] = []

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.lengths.append(len(self.scope.run.steps))


@pytest.mark.parametrize("in_memory", [True, False])
def test_the_run_is_there_while_it_is_recorded(in_memory: bool, tmp_path: Path) -> None:
    scope = GradScope(None if in_memory else tmp_path, schedule=1, quiet=True)
    reads = Reads(scope)
    fitted(compiled(mlp()), [scope, reads], epochs=1)
    assert reads.lengths == [*range(1, STEPS + 1)]


def test_before_the_training_the_run_is_empty_in_memory_and_missing_on_disk(tmp_path: Path) -> None:
    assert len(GradScope().run.steps) == 0
    with pytest.raises(RunNotFoundError):
        _ = GradScope(tmp_path / "none").run


def test_a_quiet_training_prints_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    fitted(compiled(mlp()), [GradScope(schedule=1, quiet=True)])
    assert capsys.readouterr().out == ""


def test_the_summary_stands_below_the_progress_bar(capsys: pytest.CaptureFixture[str]) -> None:
    fitted(compiled(mlp()), [GradScope(schedule=1)], verbose=1)
    output = capsys.readouterr().out
    bar, summary = re.split(r"^(?=sequential\S*: 10 steps in 2 epochs, 10 recorded)", output, flags=re.MULTILINE)
    assert "Epoch 2/2" in bar
    assert "dense_1" in summary


def test_a_training_that_recorded_nothing_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    model = compiled(mlp())
    fitted(model, [])
    scope = GradScope(schedule=every(1000))
    fitted(model, [scope])
    assert "Nothing was recorded" in capsys.readouterr().out
    assert scope.run.network.not_measured[0].reason == reasons.NO_STEP


def test_no_epoch_at_all_is_a_training_that_recorded_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    fitted(compiled(mlp()), [GradScope(schedule=1)], epochs=0)
    assert "Nothing was recorded" in capsys.readouterr().out


def test_the_same_model_trained_on_in_one_directory_resumes_the_run(tmp_path: Path) -> None:
    model = compiled(mlp())
    fitted(model, [GradScope(tmp_path, schedule=1, quiet=True)])
    fitted(model, [GradScope(tmp_path, schedule=1, quiet=True)], initial_epoch=2, epochs=3)
    run = gradscope.load(tmp_path)
    assert [session.resumed for session in run.sessions] == [False, True]
    assert [*run.steps["step"]] == [*range(3 * STEPS)]
    assert [*run.epochs["epoch"].unique()] == [0, 1, 2]


def test_a_new_model_in_the_directory_is_a_new_training_and_the_last_one_is_shown(tmp_path: Path) -> None:
    fitted(compiled(mlp()), [GradScope(tmp_path, schedule=1, quiet=True)])
    fitted(compiled(mlp()), [GradScope(tmp_path, schedule=1, quiet=True)], epochs=1)
    run = gradscope.load(tmp_path)
    assert [session.resumed for session in run.sessions] == [False, False]
    assert [*run.steps["step"]] == [*range(STEPS)]


@pytest.mark.parametrize(
    ("optimizer", "skips"),
    [
        pytest.param(lambda: keras.optimizers.Adam(gradient_accumulation_steps=2), False, id="accumulation"),
        pytest.param(
            lambda: keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.1), initial_scale=3e38),
            True,
            id="steps dropped for their loss scale",
        ),
    ],
)
def test_a_second_fit_goes_on_counting_where_the_first_ended(optimizer: Any, skips: bool) -> None:
    keras.utils.set_random_seed(0)
    model = compiled(mlp(), optimizer())
    scope = GradScope(schedule=1, quiet=True)
    fitted(model, [scope], 50 * X, epochs=1)
    fitted(model, [scope], 50 * X, epochs=1)
    assert [*scope.run.steps["step"]] == [*range(2 * STEPS)]
    assert (scope.run.steps["skipped"].sum() > 0) == skips


def test_steps_are_counted_as_trained_where_the_last_execution_is_short() -> None:
    scope = GradScope(schedule=1, quiet=True)
    model = compiled(mlp(), steps_per_execution=4)
    fitted(model, [scope], X[:36], Y[:36], batch_size=2, epochs=2)
    assert [*scope.run.steps["step"]] == [0, 4, 8, 12, 16, 18, 22, 26, 30, 34]
    assert int(model.optimizer.iterations) == 36


class Stop(keras.callbacks.Callback):
    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.model.stop_training = batch == 2


@pytest.mark.parametrize("first", [True, False])
def test_a_training_that_is_stopped_ends_as_any_other(first: bool, tmp_path: Path) -> None:
    scope = GradScope(tmp_path, schedule=1, quiet=True)
    callbacks: Callbacks = [scope, Stop()] if first else [Stop(), scope]
    fitted(compiled(mlp()), callbacks)
    assert [*scope.run.steps["step"]] == [0, 1, 2]
    assert [*scope.run.epochs["epoch"].unique()] == [0]


def test_only_the_chosen_layers_are_recorded() -> None:
    scope = GradScope(schedule=1, layers="dense_*", quiet=True)
    fitted(compiled(mlp()), [scope], epochs=1)
    assert {*scope.run.activations["layer"]} == {*scope.run.gradients["layer"]} == {"dense_1", "dense_2"}


def test_one_value_a_unit_and_statistic_and_1024_samples_a_site_leave_the_device(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = keras.Sequential(
        [
            keras.Input((16, 16, 1)),
            keras.layers.Conv2D(7, 3, activation="relu"),
            keras.layers.Flatten(),
            keras.layers.Dense(CLASSES, activation="softmax"),
        ]
    )
    scope = GradScope(schedule=1, quiet=True)
    images = np.random.default_rng(0).normal(size=(32, 16, 16, 1)).astype("float32")
    run, leaving = Measurement._run, []

    def watched(*arguments: Any) -> Any:
        leaving.append(run(*arguments))  # what leaves the device is seen nowhere else
        return leaving[-1]

    monkeypatch.setattr(Measurement, "_run", watched)
    fitted(compiled(model), [scope], images, np.arange(32) % CLASSES, batch_size=32, epochs=1)
    outputs = leaving[0]
    sites, units, variables = 2, 7 + CLASSES, 4
    sums = sum(len(kind._fields) for kind in (ActivationSums, BackwardSums, SoftmaxSums))
    shapes = {name: tuple(tensor.shape) for name, tensor in outputs.items()}
    samples = shapes.pop("samples")[0]
    assert shapes == {
        "sites": (sites, sums),
        "units": (len(UnitSums._fields), units),
        "gradients": (variables, len(GradientSums._fields)),
        "step": (3,),
        "lengths": (sites,),
    }
    assert len(UnitSums._fields) <= 15
    assert 1024 < samples <= 1024 * sites
    assert {tensor.dtype.name for tensor in outputs.values()} == {"float32", "int32"}


def test_a_step_that_is_not_due_is_not_recorded_after_the_batches_of_the_final_pass_are_kept() -> None:
    x = np.tile(X, (2_000 // len(X) + 1, 1))[:2_000]
    y = np.tile(Y, 2_000 // len(Y) + 1)[:2_000]
    scope = GradScope(schedule=every(10), quiet=True)
    fitted(compiled(mlp()), [scope], x, y, batch_size=32, epochs=2)
    assert scope.run.steps["step"].tolist() == [*range(0, 126, 10)]
    costs = scope.run.costs
    assert costs.training_seconds > 0


class Adds(keras.callbacks.Callback):
    """Adds logs that are no numbers, as a callback in front may."""

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        logs |= {"schedule": "cosine", "best": None, "each": np.zeros(3)}


def test_logs_that_are_no_numbers_are_left_out() -> None:
    scope = GradScope(schedule=1, quiet=True)
    fitted(compiled(mlp()), [Adds(), scope])
    assert len(scope.run.steps) == 2 * STEPS
    assert {*scope.run.epochs.columns} == {"epoch", "step", "wall_time", "loss", "accuracy"}


class LossOfEachTask(keras.Model):
    def __init__(self) -> None:
        super().__init__()
        self.net = mlp()

    def call(self, x: Any) -> Any:
        return self.net(x)

    def train_step(self, data: Any) -> Any:
        with tf.GradientTape() as tape:
            losses = tf.stack([self.compute_loss(*data, self(data[0])), tf.reduce_mean(self(data[0]) ** 2)])
            total = tf.reduce_sum(losses)
        weights = self.trainable_variables
        self.optimizer.apply_gradients(zip(tape.gradient(total, weights), weights, strict=True))
        return {"loss": losses}


def test_a_loss_of_each_task_is_recorded_without_a_loss_of_the_batch() -> None:
    scope, model = GradScope(schedule=1, quiet=True), LossOfEachTask()
    model.compile("sgd", "sparse_categorical_crossentropy")
    fitted(model, [scope])
    assert len(scope.run.steps) == 2 * STEPS
    assert scope.run.not_measured == ()


def test_where_every_number_is_checked_recording_goes_on() -> None:
    tf.debugging.enable_check_numerics()
    try:
        scope = GradScope(schedule=1, quiet=True)
        fitted(compiled(mlp()), [scope])
    finally:
        tf.debugging.disable_check_numerics()
    assert len(scope.run.steps) == 2 * STEPS
    assert scope.run.not_measured == ()


class MadeWithTheFirstStep(LossOfEachTask):
    """Counts in its step; its optimizer makes its variables there, as `compile` does not know them."""

    count = 0

    def train_step(self, data: Any) -> Any:
        self.count += 1
        with tf.GradientTape() as tape:
            loss = self.compute_loss(*data, self(data[0]))
        weights = self.trainable_variables
        self.optimizer.apply_gradients(zip(tape.gradient(loss, weights), weights, strict=True))
        return {"loss": loss}


def test_a_step_that_was_traced_before_is_traced_again_unnoticed() -> None:
    model = MadeWithTheFirstStep()
    model.compile("sgd", "sparse_categorical_crossentropy")
    fitted(model, [], epochs=1)
    count, scope = model.count, GradScope(schedule=1, quiet=True)
    fitted(model, [scope], epochs=1)
    assert len(scope.run.steps) == STEPS
    assert scope.run.not_measured == ()
    assert model.count == count
