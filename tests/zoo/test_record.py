"""Recording the zoo: one case gives a run that can be read and a measurement; a failure stays with its case."""

from __future__ import annotations

from pathlib import Path

import keras
import pytest

import gradscope
from zoo import cases
from zoo.case import Case, Training
from zoo.healthy import CASES
from zoo.measurement import load
from zoo.record import record

_CHEAP = "logistic_regression"


def test_a_recorded_case_is_a_run_and_a_measurement(tmp_path: Path) -> None:
    recording = record(_CHEAP, 0, tmp_path)
    assert (recording.error, recording.note, recording.warnings) == ("", "", ())
    run = gradscope.load(tmp_path / _CHEAP)
    measured = load(tmp_path / _CHEAP / "measurement.npz")
    assert len(run.epochs) == len(measured.epoch_losses()) == 12


def test_recording_again_begins_anew(tmp_path: Path) -> None:
    for _ in range(2):
        record(_CHEAP, 0, tmp_path)
    assert len(gradscope.load(tmp_path / _CHEAP).sessions) == 1


def _unbuildable() -> Training:
    raise RuntimeError("no such model")


def _raising() -> Training:
    (case,) = (each for each in CASES if each.name == _CHEAP)
    training = case.build()

    def fail(epoch: int, logs: object) -> None:
        if epoch == 2:
            raise FloatingPointError("out of range")

    training.fit["callbacks"] = [keras.callbacks.LambdaCallback(on_epoch_end=fail)]
    return training


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> None:
    made = [Case(build.__name__, "broken", "made for a test", build) for build in (_unbuildable, _raising)]
    monkeypatch.setattr(cases, "all_cases", lambda: made)


@pytest.mark.usefixtures("broken")
def test_a_case_that_cannot_be_built_is_reported_and_does_not_raise(tmp_path: Path) -> None:
    assert "RuntimeError: no such model" in record("_unbuildable", 0, tmp_path).error


@pytest.mark.usefixtures("broken")
def test_a_training_that_raises_is_recorded_up_to_there(tmp_path: Path) -> None:
    recording = record("_raising", 0, tmp_path)
    assert recording.error == ""
    assert recording.note == "the training raised FloatingPointError: out of range"
    assert gradscope.load(tmp_path / "_raising").epochs.index.max() >= 1
    assert (tmp_path / "_raising" / "measurement.npz").exists()
