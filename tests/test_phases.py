"""Trainings in several goes: killed and resumed, in phases, in loops, by copies and side by side; nothing is lost."""

from __future__ import annotations

import copy
import os
import pickle
import subprocess
import sys
import textwrap
import threading
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from trainings import CLASSES, FEATURES, SAMPLES, Callbacks, Trained, X, Y, compiled, differences, fitted, mlp, state

import gradscope
from gradscope import GradScope
from gradscope.errors import ArgumentError, RunNotFoundError, WriterError
from gradscope.recording.fit import FitRecording
from gradscope.store.event_files import RecordReader

STEPS = SAMPLES // 8  # an epoch


def shown(run: Any) -> list[tuple[int, int]]:
    return list(zip(run.steps["step"].tolist(), run.steps["epoch"].tolist(), strict=True))


def expected(epochs: int) -> list[tuple[int, int]]:
    return [(step, step // STEPS) for step in range(epochs * STEPS)]


# --- killed and resumed ---

KILLED = """
    import os, sys
    from trainings import *
    from gradscope import GradScope

    class Kill(keras.callbacks.Callback):
        seen = 0
        def on_train_batch_end(self, batch, logs=None):
            self.seen += 1
            if self.seen == 8:
                os._exit(9)

    class Gan(keras.Model):
        def __init__(self):
            super().__init__()
            self.net = mlp()
            self.net.build((None, FEATURES))
            self.built = True
        def call(self, x):
            return self.net(x)
        def train_step(self, data):
            import tensorflow as tf
            with tf.GradientTape() as tape:
                loss = tf.reduce_mean(keras.losses.sparse_categorical_crossentropy(data[1], self(data[0])))
            gradients = tape.gradient(loss, self.trainable_variables)
            for _ in range(2 if self.counts else 0):
                self.d_optimizer.apply_gradients(zip(gradients, self.trainable_variables))
            if not self.counts:
                for weight, gradient in zip(self.trainable_variables, gradients):
                    weight.assign_sub(0.1 * gradient)
            return {"g_loss": loss}

    where, order, kind, kill = sys.argv[1:]
    keras.utils.set_random_seed(3)
    if kind == "plain":
        model = compiled(mlp())
    else:
        model = Gan()
        model.counts = kind == "gan"
        if model.counts:
            model.d_optimizer = keras.optimizers.SGD(0.01)
            model.d_optimizer.build(model.trainable_variables)
        model.compile(optimizer=None)
    scope = GradScope(where + "/run", schedule=1, quiet=True)
    backup = keras.callbacks.BackupAndRestore(where + "/backup")
    callbacks = [scope, backup] if order == "before" else [backup, scope]
    fitted(model, [*callbacks, *([Kill()] if kill == "kill" else [])], epochs=3)
"""


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["plain", "gan", "no optimizer at all"])
@pytest.mark.parametrize("order", ["before", "behind"])
def test_a_training_that_was_killed_goes_on_wherever_its_backup_stands_in_the_list(
    order: str, kind: str, tmp_path: Path
) -> None:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path])}
    for kill in ("kill", "go on", "once more when it is done"):
        command = [sys.executable, "-c", textwrap.dedent(KILLED), str(tmp_path), order, kind, kill]
        finished = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert finished.returncode == (9 if kill == "kill" else 0), finished.stderr
        if kill == "go on":
            run = gradscope.load(tmp_path / "run")
            assert shown(run) == expected(3)
            assert [(session.step, session.resumed) for session in run.sessions] == [(0, False), (STEPS, True)]
            assert run.epochs["epoch"].tolist() == [0, 1, 2]


def test_a_training_that_is_done_and_run_again_leaves_the_run_as_it_is(tmp_path: Path) -> None:
    model = compiled(mlp())
    fitted(model, [GradScope(tmp_path, schedule=1, quiet=True)])
    fitted(model, [GradScope(tmp_path, schedule=1, quiet=True)], initial_epoch=2, epochs=2)
    run = gradscope.load(tmp_path)
    assert shown(run) == expected(2)
    assert len(run.sessions) == 1


# --- phases of one training ---


def two_phases(callbacks: list[Callbacks], **later: Any) -> Trained:
    model = mlp()
    model.layers[0].trainable = False
    first = fitted(compiled(model), callbacks[0])
    model.layers[0].trainable = True
    second = fitted(compiled(model, keras.optimizers.SGD(0.01)), callbacks[-1], **later)
    return Trained(model, first.histories + second.histories)


@pytest.mark.parametrize("in_memory", [True, False])
@pytest.mark.parametrize("later", [{"initial_epoch": 2, "epochs": 4}, {}, {"initial_epoch": 1, "epochs": 3}])
def test_transfer_learning_is_one_run_with_two_phases(later: dict[str, int], in_memory: bool, tmp_path: Path) -> None:
    scope = GradScope(None if in_memory else tmp_path, schedule=1, quiet=True)
    bare = state(lambda callbacks: two_phases([callbacks], **later), [])
    assert differences(bare, state(lambda callbacks: two_phases([callbacks], **later), [scope])) == []
    run = scope.run
    assert shown(run) == expected(4)
    assert [(session.step, session.resumed) for session in run.sessions] == [(0, False), (2 * STEPS, True)]
    assert run.epochs["epoch"].tolist() == [0, 1, 2, 3]
    assert {*run.activations["step"]} >= {*range(4 * STEPS)}
    of_layer = run.gradients.groupby("layer", observed=True)["step"].agg(["min", "max", "nunique"])
    assert of_layer.loc["dense"].tolist() == [2 * STEPS, 4 * STEPS - 1, 2 * STEPS]
    assert of_layer.loc["dense_1"].tolist() == [0, 4 * STEPS - 1, 4 * STEPS]
    assert [len(network.variables) for network in run.frames.networks.values()] == [4, 6]
    assert "Resumed at step 10" in str(run.summary())


def test_a_callback_for_each_phase_in_one_directory_is_one_run_too(tmp_path: Path) -> None:
    scopes = [[GradScope(tmp_path, schedule=1, quiet=True)] for _ in range(2)]
    two_phases(scopes)
    assert shown(gradscope.load(tmp_path)) == expected(4)


def test_a_phase_in_another_process_goes_on_at_its_epoch(tmp_path: Path) -> None:
    def frozen(*, is_frozen: bool) -> Any:
        model = mlp()
        model.layers[0].trainable = not is_frozen
        return compiled(model)

    fitted(frozen(is_frozen=True), [GradScope(tmp_path, schedule=1, quiet=True)])
    later = frozen(is_frozen=False)  # as loaded from a file, and compiled anew
    fitted(later, [GradScope(tmp_path, schedule=1, quiet=True)], initial_epoch=2, epochs=3)
    assert shown(gradscope.load(tmp_path)) == expected(3)


def test_a_model_of_another_kind_at_a_later_epoch_is_a_new_training(tmp_path: Path) -> None:
    fitted(compiled(mlp()), [GradScope(tmp_path, schedule=1, quiet=True)])
    other = keras.Sequential([keras.Input((FEATURES,)), keras.layers.Dense(CLASSES, "softmax")])
    fitted(compiled(other), [GradScope(tmp_path, schedule=1, quiet=True)], initial_epoch=2, epochs=3)
    run = gradscope.load(tmp_path)
    assert [session.resumed for session in run.sessions] == [False, False]
    assert shown(run) == [(step, 2) for step in range(STEPS)]


def test_a_cell_run_again_with_a_new_model_is_a_new_training() -> None:
    scope = GradScope(schedule=1, quiet=True)
    for _ in range(2):
        fitted(compiled(mlp()), [scope])
    assert [session.resumed for session in scope.run.sessions] == [False, False]
    assert shown(scope.run) == expected(2)


class Interrupts(keras.callbacks.Callback):
    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if batch == 2:
            raise KeyboardInterrupt


def test_a_training_that_was_interrupted_goes_on_in_the_same_run(tmp_path: Path) -> None:
    model, scope = compiled(mlp()), GradScope(tmp_path, schedule=1, quiet=True)
    with pytest.raises(KeyboardInterrupt):
        fitted(model, [scope, Interrupts()])
    fitted(model, [scope], epochs=1)
    assert scope.run.steps["step"].tolist() == [*range(3 + STEPS)]


# --- many short fits ---


@pytest.mark.parametrize("is_same", [True, False])
def test_many_short_fits_are_recorded_as_one_long_one(
    is_same: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads: list[Any] = []
    read = RecordReader.__iter__
    monkeypatch.setattr(RecordReader, "__iter__", lambda self: (reads.append(self), read(self))[1])
    model, scope = compiled(mlp()), GradScope(tmp_path, quiet=True)
    for _ in range(8):
        fitted(model, [scope if is_same else GradScope(tmp_path, quiet=True)], epochs=1)
    assert len(reads) == 1, "what was written is not read again"
    run = gradscope.load(tmp_path)
    assert [session.step for session in run.sessions] == [fit * STEPS for fit in range(8)]
    assert run.epochs["epoch"].tolist() == [*range(8)]
    assert run.steps["step"].is_monotonic_increasing
    # Once early, geometrically; the first of each epoch: not all steps of each fit, as beginnings are recorded.
    assert len(run.steps) < 8 * STEPS
    assert run.costs.record_count == len(run.steps)


def test_units_are_judged_over_fits_that_are_too_short_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FitRecording, "_take_final_pass", lambda self: None)
    x, y = np.tile(X, (8, 1)), np.tile(Y, 8)
    model, scope = compiled(mlp()), GradScope(schedule=1, quiet=True)
    for _ in range(4):
        fitted(model, [scope], x, y, batch_size=160, epochs=1)
    known = scope.run.activations.groupby("step")["dead_unit_fraction"].count()
    assert known.loc[0] == 0
    assert known.loc[7] > 0


def test_a_fit_in_which_nothing_is_due_hides_nothing(tmp_path: Path) -> None:
    model, scope = compiled(mlp()), GradScope(tmp_path, schedule=1000, quiet=True)
    for _ in range(3):
        fitted(model, [scope], epochs=1)
    run = scope.run
    assert len(run.steps) == 1
    assert len(run.network.sites) == 3
    assert run.not_measured == ()
    assert run.epochs["epoch"].tolist() == [0, 1, 2]


# --- copies ---


def test_a_single_copy_is_as_good_as_its_original(tmp_path: Path) -> None:
    original = GradScope(tmp_path, schedule=1, quiet=True)
    fitted(compiled(mlp()), [copy.deepcopy(original)])
    assert shown(gradscope.load(tmp_path)) == expected(2)


def test_each_copy_has_a_run_of_its_own_also_at_the_same_time(tmp_path: Path) -> None:
    original = GradScope(tmp_path, schedule=1, params={"lr": 0.1}, quiet=True)
    copies = [copy.deepcopy(original) for _ in range(3)]
    models = [compiled(mlp()) for _ in copies]
    for scope, model in zip(copies, models, strict=True):
        scope.set_model(model)
        scope.set_params({"verbose": 0, "epochs": 1, "steps": 1})
        scope.on_train_begin()  # all are open now
    for scope in copies:
        scope.on_train_end()
    for scope, model in zip(copies, models, strict=True):
        fitted(model, [scope], epochs=1)
    runs = gradscope.load_runs(tmp_path)
    assert [*runs] == [tmp_path.name, "trial-1", "trial-2"]
    assert all(shown(run) == expected(1) for run in runs.values())
    assert all(run.sessions[-1].params == {"lr": 0.1} for run in runs.values())
    with pytest.raises(RunNotFoundError):
        _ = original.run  # it has recorded nothing


@pytest.mark.parametrize("copied", [copy.deepcopy, copy.copy, lambda scope: pickle.loads(pickle.dumps(scope))])
def test_a_copy_of_a_callback_that_has_trained_begins_empty(copied: Any, tmp_path: Path) -> None:
    for scope in (GradScope(schedule=1, quiet=True), GradScope(tmp_path / "run", schedule=1, quiet=True)):
        fitted(compiled(mlp()), [scope], epochs=1)
        again = copied(scope)
        fitted(compiled(mlp()), [again], epochs=1)
        assert len(again.run.sessions) in (1, 2)
        assert shown(again.run) == shown(scope.run) == expected(1)


def test_a_copy_in_the_middle_of_a_training_takes_no_open_file_along(tmp_path: Path) -> None:
    copies: list[GradScope] = []

    class Copies(keras.callbacks.Callback):
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            copies.append(copy.deepcopy(scope))

    scope = GradScope(tmp_path, schedule=1, quiet=True)
    fitted(compiled(mlp()), [scope, Copies()], epochs=1)
    fitted(compiled(mlp()), [copies[2]], epochs=1)
    assert [*gradscope.load_runs(tmp_path)] == [tmp_path.name, "trial-1"]
    assert shown(scope.run) == expected(1)


def test_a_subclass_keeps_what_it_adds() -> None:
    class Noted(GradScope):
        def __init__(self) -> None:
            super().__init__(schedule=1, quiet=True)
            self.notes = ["mine"]

    original = Noted()
    again = copy.deepcopy(original)
    assert again.notes == ["mine"]
    assert again.notes is not original.notes


# --- side by side ---


def test_one_directory_for_two_trainings_is_refused_before_anything_is_lost(tmp_path: Path) -> None:
    errors: list[BaseException] = []

    class Second(keras.callbacks.Callback):
        """Begins another training in the same directory while the first runs."""

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            def train() -> None:
                try:
                    fitted(compiled(mlp()), [GradScope(tmp_path, schedule=1, quiet=True)], epochs=1)
                except WriterError as error:
                    errors.append(error)

            if batch == 1:
                thread = threading.Thread(target=train)
                thread.start()
                thread.join()

    scope = GradScope(tmp_path, schedule=1, quiet=True)
    fitted(compiled(mlp()), [scope, Second()], epochs=1)
    assert "Give each training a directory of its own" in str(errors[0])
    assert shown(scope.run) == expected(1)


def test_one_callback_for_two_trainings_at_once_is_refused() -> None:
    errors: list[BaseException] = []
    scope = GradScope(schedule=1, quiet=True)

    class Second(keras.callbacks.Callback):
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            def train() -> None:
                try:
                    fitted(compiled(mlp()), [scope], epochs=1)
                except ArgumentError as error:
                    errors.append(error)

            if batch == 1:
                thread = threading.Thread(target=train)
                thread.start()
                thread.join()

    fitted(compiled(mlp()), [scope, Second()], epochs=1)
    assert "Give each training one of its own" in str(errors[0])
    assert shown(scope.run) == expected(1)
