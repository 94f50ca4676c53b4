"""Recording a training, as a user writes it: it runs, and pyright in strict mode knows every type."""

from pathlib import Path
from typing import assert_type

import keras

import gradscope
from gradscope.recording.schedule import Schedule


def test_the_callback_takes_what_the_readme_shows(tmp_path: Path) -> None:
    scope = gradscope.GradScope()
    assert_type(scope, gradscope.GradScope)
    callbacks: list[keras.callbacks.Callback] = [
        scope,
        gradscope.GradScope("logs/mlp"),
        gradscope.GradScope(tmp_path, max_overhead=0.05, params={"width": 32, "optimizer": "adam"}),
        gradscope.GradScope(schedule=100, layers=["dense*"]),
        gradscope.GradScope(schedule=gradscope.every(100), layers=lambda layer: layer.startswith("dense")),
    ]
    told: list[gradscope.Finding] = []
    callbacks += [
        gradscope.GradScope(on_finding="stop", finding_floor="high"),
        gradscope.GradScope(on_finding=told.append),
        gradscope.GradScope(on_finding=lambda finding: print(finding.message)),
        gradscope.GradScope(on_finding=None),
    ]
    assert all(isinstance(callback, keras.callbacks.Callback) for callback in callbacks)


def test_schedules_join() -> None:
    assert_type(gradscope.every(100), Schedule)
    assert_type(gradscope.early(), Schedule)
    assert_type(gradscope.budget(0.02), Schedule)
    assert_type(gradscope.early() | gradscope.every(100), Schedule)


def test_the_run_of_a_callback_is_a_run() -> None:
    def saturation_at_the_end(scope: gradscope.GradScope) -> float:
        run = scope.run
        assert_type(run, gradscope.Run)
        return float(run.activations["saturated_fraction"].iloc[-1])

    assert callable(saturation_at_the_end)
