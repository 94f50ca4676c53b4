"""What the first batch shows of data, loss and output: told in `fit` as before it, and as the cause of what follows."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import gradscope
from gradscope import Finding, GradScope
from gradscope.diagnose.discover import known_checks
from gradscope.diagnose.finding import finding_of
from gradscope.lossless_json import from_json, to_json
from gradscope.testing import run, stack

RNG = np.random.default_rng(0)
X = RNG.normal(size=(128, 6)).astype("float32")
Y = (X[:, 0] > 0).astype("float32")


@pytest.fixture(autouse=True)
def _seeded() -> None:
    keras.utils.set_random_seed(3)


def model(*layers: Any, loss: str) -> Any:
    made = keras.Sequential([keras.Input((6,)), keras.layers.Dense(8, "relu"), *layers])
    made.compile(keras.optimizers.Adam(0.01), loss)
    return made


def recorded(made: Any, x: Any, y: Any, log_dir: Path | None = None, **arguments: Any) -> GradScope:
    scope = GradScope(log_dir, quiet=True, **arguments)
    made.fit(x, y, batch_size=32, epochs=15, verbose=0, callbacks=[scope])
    return scope


def test_a_callback_alone_says_what_preflight_says_and_as_the_cause(tmp_path: Path) -> None:
    told: list[Finding] = []
    made = model(keras.layers.Dense(1), loss="binary_crossentropy")
    before = [f.key for f in gradscope.preflight(made, X, 255 * Y).findings if f.rule in known_checks()]
    scope = recorded(made, X, 255 * Y, tmp_path, on_finding=told.append)
    found = scope.run.diagnose()
    assert found[0].rule == "output_loss_mismatch"
    assert {f.key for f in found} >= set(before)
    assert all(f.cause is not None for f in found[1:] if f.severity != "low")
    assert told[0].rule == "output_loss_mismatch"
    assert told[0].last_step < 10, "it is told at the first look"
    assert [f.key for f in gradscope.load(tmp_path).diagnose()] == [f.key for f in found]


def test_a_scale_that_does_harm_is_named_first() -> None:
    stuck = recorded(model(keras.layers.Dense(1), loss="mse"), X, 50 * X[:, 0] + 400).run.diagnose()
    assert (stuck[0].rule, stuck[0].severity) == ("target_scale", "medium")
    assert stuck[0].advice[0].remedy is not None
    assert stuck[0].advice[0].remedy.kind == "target_scaling"


def test_rules_that_are_named_are_asked_alone() -> None:
    scope = recorded(model(keras.layers.Dense(1), loss="binary_crossentropy"), X, 255 * Y)
    assert "output_loss_mismatch" not in [f.rule for f in scope.run.diagnose(["not_converging"])]


def test_a_batch_that_cannot_be_checked_ends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> None:
        raise ValueError("a structure of the user's own")

    monkeypatch.setattr("gradscope.inspection.first_batch.described", broken)
    scope = recorded(model(keras.layers.Dense(1), loss="binary_crossentropy"), X, Y)
    assert len(scope.run.steps) > 10
    assert scope.run.not_measured == ()


@pytest.mark.parametrize(
    ("loss", "severity"), [([2.31] * 6, "medium"), ([2.3, 1.8, 1.0, 0.4, 0.3, 0.3], "low"), ([2.3, 2.2, 2.1], "low")]
)
def test_what_becomes_of_the_training_decides_how_bad_a_scale_is(loss: list[float], severity: str) -> None:
    finding = Finding("target_scale", "low", "dense", 0, 0, "Far off.", (gradscope.Evidence("rms", 40.0),))
    frames = dataclasses.replace(run(stack(), epochs={"loss": loss}), checked=(finding.to_json(),))
    (found,) = [f for f in gradscope.Run(frames).diagnose() if f.rule == "target_scale"]
    assert found.severity == severity


def test_a_finding_is_read_back_from_its_json() -> None:
    made = model(keras.layers.Dense(1), loss="binary_crossentropy")
    for finding in gradscope.preflight(made, 100 * X, 255 * Y).findings:
        assert finding_of(from_json(to_json(finding.to_json()))) == finding
