"""What cannot work is said before the first step, in words that tell what to do."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from trainings import X, Y, compiled, mlp

from gradscope import GradScope
from gradscope.errors import ArgumentError, GradscopeError, ModelError, WriterError
from gradscope.recording import arguments


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"schedule": 0}, "schedule=0 would never record"),
        ({"schedule": -5}, "schedule=-5 would never record"),
        ({"schedule": "often"}, "schedule='often'"),
        ({"schedule": 2.5}, "schedule=2.5"),
        ({"max_overhead": 0}, "max_overhead=0"),
        ({"max_overhead": 1.5}, "max_overhead=1.5"),
        ({"max_overhead": float("nan")}, "max_overhead=nan"),
        ({"max_overhead": "2%"}, "max_overhead='2%'"),
        ({"layers": 3}, r"layers=3 names no layers\. Pass glob patterns"),
        ({"layers": []}, r"layers=\[\] names no layers"),
        ({"layers": ["dense", 2]}, r"layers=\['dense', 2\]"),
        ({"params": {"optimizer": object()}}, "params=.* cannot be kept with the run: object is no JSON value"),
        ({"params": 3}, "params=3 is no dict"),
        ({"params": [1, 2]}, r"params=\[1, 2\] is no dict. Pass one"),
        ({"quiet": "no"}, "quiet='no' is neither True nor False"),
        ({"on_finding": "stopp"}, r"on_finding='stopp' is not known\. Did you mean 'stop'"),
        ({"stop_on": "not_converging"}, r"stop_on='not_converging' stops nothing without on_finding='stop'"),
        ({"on_finding": "stop", "stop_on": ["not_convergin"]}, r"no rule 'not_convergin'. Nearest: not_converging"),
        ({"on_finding": "stop", "stop_on": 3}, r"stop_on=3 names no rules"),
        ({"on_finding": 3}, r"on_finding=3 is not known\. Pass 'warn', 'stop', a function"),
        ({"finding_floor": "hihg"}, r"finding_floor='hihg' is no severity\. Did you mean 'high'"),
        ({"log_dir": 7}, r"log_dir=7 is no path\. Pass a directory"),
        ({"log_dir": "logs", "scalars": "some"}, r"scalars='some' is not known\. Pass \"auto\", \"all\" or \"none\""),
    ],
)
def test_an_argument_that_cannot_work_is_refused_as_the_callback_is_made(
    arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(ArgumentError, match=message):
        GradScope(**arguments)


def refused(scope: GradScope, error: type[GradscopeError], message: str, model: Any = None) -> None:
    """Assert that fit raises before a single weight has moved."""
    model = compiled(mlp()) if model is None else model
    before = model.get_weights()
    with pytest.raises(error, match=message):
        model.fit(X, Y, verbose=0, callbacks=[scope])
    for was, now in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(was, now)
    assert int(model.optimizer.iterations) == 0


def test_a_log_directory_that_is_a_file_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "notes.txt"
    file.write_text("")
    refused(GradScope(file), WriterError, r"notes.txt' is a file\. Pass a directory")


def test_a_log_directory_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    if os.geteuid() == 0:  # to whom permissions mean nothing
        directory = Path("/proc/gradscope")
    else:
        directory = tmp_path
        directory.chmod(0o500)
    refused(GradScope(directory), WriterError, r"cannot be written: .*\. Pass another directory")


@pytest.mark.parametrize("layers", ["dence_1", ["dense", "dence_1"]])
def test_a_layer_that_the_model_does_not_have_is_refused_with_the_nearest_names(layers: Any) -> None:
    refused(GradScope(layers=layers), ArgumentError, r"layers='dence_1' matches no layer.* Nearest: 'dense_1', 'dense")


def test_a_choice_of_no_layer_is_refused() -> None:
    refused(GradScope(layers=lambda key: False), ArgumentError, "chooses no layer")


def test_an_uncompiled_model_is_refused() -> None:
    scope = GradScope()
    scope.set_model(mlp())
    with pytest.raises(ModelError, match=r"not compiled\. Call model\.compile"):
        scope.on_train_begin()


def test_a_second_writer_in_the_directory_is_refused(tmp_path: Path) -> None:
    program = """if True:
        import sys
        from gradscope.store.event_sink import EventFileSink
        sink = EventFileSink(sys.argv[1])
        sink.open()
        print("open", flush=True)
        sys.stdin.read()
    """
    command = [sys.executable, "-c", program, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "open\n"
        refused(GradScope(tmp_path), WriterError, "is being written by another process. Give each training")
        other.communicate("")


def test_a_backend_that_is_not_supported_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    refused(GradScope(), ModelError, "backend 'jax'.*Set the environment variable KERAS_BACKEND=tensorflow")


def test_a_refusal_leaves_the_directory_to_the_next_training(tmp_path: Path) -> None:
    refused(GradScope(tmp_path, layers="dence"), ArgumentError, "dence")
    model = compiled(mlp())
    model.fit(X, Y, verbose=0, callbacks=[GradScope(tmp_path, quiet=True)])
    assert int(model.optimizer.iterations) == 2


def test_numbers_of_numpy_among_the_params_are_kept_as_numbers() -> None:
    kept = arguments.params({"lr": np.float64(0.5), "units": np.int64(3), "on": np.bool_(True)})
    assert kept == {"lr": 0.5, "units": 3, "on": True}
