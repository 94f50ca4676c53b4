"""Whatever goes wrong while recording, the training goes on unchanged and the model is left as it was found."""

from __future__ import annotations

import contextlib
import gc
import os
import pickle
import random
import resource
import signal
import subprocess
import sys
import textwrap
import time
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras.src import backend as keras_backend
from keras.src.activations import activations as keras_activations
from tensorflow.python.framework.func_graph import FuncGraph
from trainings import CLASSES, FEATURES, Callbacks, Trained, X, Y, compiled, differences, fitted, mlp, state

import gradscope
from gradscope import GradScope
from gradscope.instrument import decoding, measured_step, step_sums
from gradscope.instrument.measurement import Measurement
from gradscope.instrument.tensorflow import recorder
from gradscope.instrument.tensorflow.framework import ConcreteFunction, func_graphs, imperative_gradients
from gradscope.recording import step_records
from gradscope.statistics.finite import finite_sites_sums
from gradscope.store.event_sink import EventFileSink

SAVING = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # of Keras, by NumPy
MODULES = (
    *(cls for cls in (keras.Operation, keras.layers.Dense, keras.optimizers.Optimizer, keras.Model)),
    imperative_gradients,
    keras_backend.nn,
    keras_backend.numpy,
    tf.nn,
    keras_activations.ReLU,
    keras_activations.Mish,
)


def leftovers(model: Any) -> list[str]:
    """Return the attributes of the model, its parts and the framework whose value is a function of gradscope's."""
    optimizers = [value for value in vars(model).values() if isinstance(value, keras.optimizers.Optimizer)]
    parts = [*model._flatten_layers(), *getattr(model, "operations", ()), *optimizers]
    return [
        f"{getattr(owner, 'name', owner)}.{name}"
        for owner in (*parts, *MODULES)
        for name, value in vars(owner).items()
        if is_ours(value)
    ]


def is_ours(value: Any) -> bool:
    function = value.__func__ if isinstance(value, (staticmethod, types.MethodType)) else value
    # Where it was written, for it bears the name and the module of what it stands in for.
    return isinstance(function, types.FunctionType) and "gradscope" in Path(function.__code__.co_filename).parts


def trained(model: Any, callbacks: Callbacks) -> Trained:
    """Train with the callbacks, look at the model, and train on without them."""
    histories = fitted(model, callbacks).histories
    assert leftovers(model) == []
    return Trained(model, histories + fitted(model, []).histories)


def train(callbacks: Callbacks) -> Trained:
    return trained(compiled(mlp()), callbacks)


@pytest.fixture(scope="module")
def bare() -> dict[str, bytes]:
    """Return what `train` gives without the callback."""
    return state(train, [])


class ObserversSeen(keras.layers.Layer):
    """Looks for observers while it is called."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []
        self.classes = (set[str](),)  # what lies in a tuple is not put back after the step was traced once more

    def call(self, inputs: Any) -> Any:
        if hasattr(self, "root"):
            self.seen += [name for name in leftovers(self.root[0]) if name.startswith(("dense", "adam"))]
            found = [(keras.layers.Dense, "call"), (keras.Operation, "__call__")]
            self.classes[0].update({f"{cls.__name__}.{name}" for cls, name in found if is_ours(cls.__dict__[name])})
        return inputs


def test_observers_are_there_while_the_step_is_traced_and_only_then() -> None:
    keras.utils.clear_session()  # else names are numbered on
    layer = ObserversSeen()
    model = compiled(keras.Sequential([keras.Input((FEATURES,)), layer, keras.layers.Dense(CLASSES, "softmax")]))
    object.__setattr__(layer, "root", [model])  # past Keras' tracking, which would see a layer that holds itself
    fitted(model, [])
    assert layer.classes == (set(),)
    fitted(model, [GradScope(schedule=1, quiet=True)])
    assert layer.seen == [], "observers stand in classes and modules, for as long as a trace"
    assert layer.classes == ({"Dense.call", "Operation.__call__"},)
    assert not is_ours(ConcreteFunction.__dict__["_call_flat"]), "not even what calls and traces is left"
    assert not is_ours(func_graphs.func_graph_from_py_func)
    assert leftovers(model) == []


def raising(message: str) -> Callable[..., Any]:
    def kernel(*arguments: Any, **keywords: Any) -> Any:
        raise RuntimeError(message)

    return kernel


def fails_when_it_runs(*arguments: Any, **keywords: Any) -> Any:
    tf.debugging.assert_less(1.0, 0.0, "a kernel that fails when it runs")
    return finite_sites_sums(*arguments, **keywords)


FAULTS = {
    "a kernel that fails while it is traced": (
        step_sums,
        "finite_sites_sums",
        raising("out of ideas"),
        "RuntimeError: out of ideas",
    ),
    "a kernel that fails when it runs": (
        step_sums,
        "finite_sites_sums",
        fails_when_it_runs,
        "a kernel that fails when it runs",
    ),
    "decoding": (decoding, "decoded", raising("no such field"), "no such field"),
    "making records": (step_records, "activation_row", raising("no ratio"), "no ratio"),
    "the norms of the updates": (recorder.Updates, "norms", raising("no norm"), "no norm"),
    "what is known before the step": (Measurement, "settings", raising("no rate"), "no rate"),
    "making a plan": (recorder, "Plan", raising("no plan"), "no plan"),
    "the trial": (recorder.Plan, "try_inline", raising("no trial"), "no trial"),
    "the verdict of the trial": (recorder.Plan, "judge", raising("no verdict"), "no verdict"),
    "describing the network": (measured_step, "describe", raising("no words"), "no words"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_failure_while_recording_warns_once_and_changes_nothing(
    fault: str, bare: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    owner, name, function, cause = FAULTS[fault]
    monkeypatch.setattr(owner, name, function)
    scope = GradScope(schedule=1, quiet=True)
    with pytest.warns(UserWarning, match="GradScope records no more of this training") as caught:
        watched = state(train, [scope])
    assert differences(watched, bare) == []
    (message,) = [str(warning.message) for warning in caught]
    assert cause in message
    assert cause in str([missed.reason for missed in scope.run.network.not_measured])


def test_where_warnings_are_errors_the_cause_is_printed_and_the_training_goes_on(
    bare: dict[str, bytes], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(step_sums, "finite_sites_sums", raising("out of ideas"))
    assert differences(state(train, [GradScope(schedule=1, quiet=True)]), bare) == []
    assert capsys.readouterr().err.count("out of ideas") == 1


def test_a_failure_at_the_first_step_of_a_model_that_nothing_has_built_changes_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Unbuilt(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.hidden = keras.layers.Dense(8, activation="relu")
            self.head = keras.layers.Dense(CLASSES, activation="softmax")

        def call(self, inputs: Any) -> Any:
            return self.head(self.hidden(inputs))

    def train(callbacks: Callbacks) -> Trained:
        return trained(compiled(Unbuilt()), callbacks)

    bare = state(train, [])
    monkeypatch.setattr(step_sums, "finite_sites_sums", raising("out of ideas"))
    with pytest.warns(UserWarning, match="out of ideas"):
        assert differences(state(train, [GradScope(schedule=1, quiet=True)]), bare) == []


@contextlib.contextmanager
def full_disk(size: int) -> Iterator[None]:
    """Let no file of this process grow beyond ``size`` bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_stops_the_recording_only_and_what_was_written_is_kept(
    bare: dict[str, bytes], tmp_path: Path
) -> None:
    scope = GradScope(tmp_path, schedule=1)
    with pytest.warns(UserWarning, match="cannot be written") as caught, full_disk(20_000):
        watched = state(train, [scope])
    assert len(caught) == 1
    assert differences(watched, bare) == []
    run = gradscope.load(tmp_path)
    assert 0 < len(run.steps) < 10
    assert [*run.steps["step"]] == [*range(len(run.steps))]


def interrupted(step: int) -> Callable[[Callbacks], Trained]:
    """Return a training that Ctrl-C ends at ``step``, or before, and that then goes on without the callbacks."""

    class CtrlC(keras.callbacks.Callback):
        def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
            if batch == step:
                raise KeyboardInterrupt

    def train(callbacks: Callbacks) -> Trained:
        model = compiled(mlp())
        with pytest.raises(KeyboardInterrupt):
            fitted(model, callbacks or [CtrlC()])
        assert leftovers(model) == []
        return Trained(model, fitted(model, []).histories)

    return train


def test_ctrl_c_while_the_statistics_are_traced_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    bare = state(interrupted(1), [])

    def kernel(*arguments: Any, **keywords: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(step_sums, "finite_sites_sums", kernel)
    assert differences(state(interrupted(1), [GradScope(schedule=1)]), bare) == []


def test_ctrl_c_in_the_middle_of_a_record_leaves_nothing_behind(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    bare = state(interrupted(3), [])
    calls, run = 0, Measurement._run

    def interrupted_run(*arguments: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 3:
            raise KeyboardInterrupt
        return run(*arguments)

    monkeypatch.setattr(Measurement, "_run", interrupted_run)
    scope = GradScope(tmp_path, schedule=1, quiet=True)
    assert differences(state(interrupted(3), [scope]), bare) == []
    scope.on_train_end()  # Keras does not call it when `fit` raises
    assert [*gradscope.load(tmp_path).steps["step"]] == [0, 1]


class Raiser(keras.callbacks.Callback):
    """Another callback, with an error of its own at the fourth batch."""

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if batch == 3:
            raise ZeroDivisionError("of another callback")


class EarlyRaiser(Raiser):
    """Raises between the moment a step is armed for and the step."""

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        if batch == 3:
            raise ZeroDivisionError("of another callback")


@SAVING
@pytest.mark.parametrize("raiser", [Raiser, EarlyRaiser])
def test_when_fit_raises_the_records_are_kept_and_the_next_fits_are_as_ever(
    raiser: type[Raiser], tmp_path: Path
) -> None:
    def train(callbacks: Callbacks) -> Trained:
        model = compiled(mlp())
        with pytest.raises(ZeroDivisionError):
            fitted(model, [*callbacks, raiser()])
        pickle.loads(pickle.dumps(model))
        logs = model.train_on_batch(X[:8], Y[:8], return_dict=True)
        histories = [{name: [float(value)] for name, value in logs.items()}, *fitted(model, []).histories]
        assert leftovers(model) == []
        again = [GradScope(tmp_path, schedule=1, quiet=True)] if callbacks else []
        return Trained(model, histories + fitted(model, again).histories)

    bare = state(train, [])
    assert differences(state(train, [GradScope(tmp_path, schedule=1, quiet=True)]), bare) == []
    assert len(gradscope.load(tmp_path).sessions) == 2


@SAVING
def test_saving_pickling_and_cloning_know_nothing_of_a_recording(tmp_path: Path) -> None:
    model = compiled(mlp())
    config = model.get_config()
    fitted(model, [GradScope(schedule=1, quiet=True)])
    assert model.get_config() == config
    predicted = model.predict(X, verbose=0)
    model.save(tmp_path / "model.keras")
    for copy in (keras.models.load_model(tmp_path / "model.keras"), pickle.loads(pickle.dumps(model))):
        np.testing.assert_array_equal(copy.predict(X, verbose=0), predicted)
    clone = keras.models.clone_model(model)
    clone.set_weights(model.get_weights())
    np.testing.assert_array_equal(clone.predict(X, verbose=0), predicted)


class Counting(keras.layers.Layer):
    """Has an effect that no variable holds, on whose outcome the layers behind it depend."""

    def __init__(self) -> None:
        super().__init__()
        self.counted = 0

    def call(self, inputs: Any) -> Any:
        def count(x: Any) -> Any:
            self.counted += 1
            return x

        outputs = tf.py_function(count, [inputs], tf.float32)
        outputs.set_shape(inputs.shape)
        return outputs

    def compute_output_shape(self, input_shape: Any) -> Any:
        return input_shape


def test_a_step_that_cannot_be_looked_at_without_doing_something_twice_is_refused_with_the_reason(
    capsys: pytest.CaptureFixture[str],
) -> None:
    layer = Counting()
    model = compiled(keras.Sequential([keras.Input((FEATURES,)), layer, keras.layers.Dense(CLASSES, "softmax")]))
    scope = GradScope(schedule=1)
    with pytest.warns(UserWarning, match="calls Python code, which would be done twice"):
        fitted(model, [scope])
    assert layer.counted == 10
    (missed,) = scope.run.network.not_measured
    assert "calls Python code" in missed.reason
    assert "calls Python code" in capsys.readouterr().out.replace("\n  ", " "), "the summary says it too"
    assert leftovers(model) == []


class OnlyEager(keras.Model):
    """Decides by values, so that it cannot be traced."""

    def __init__(self) -> None:
        super().__init__()
        self.head = keras.layers.Dense(CLASSES, activation="softmax")

    def call(self, inputs: Any) -> Any:
        scale = 2.0 if float(inputs.numpy().mean()) > 0 else 1.0
        return self.head(scale * inputs)


def test_a_model_that_runs_eagerly_only_is_recorded_as_it_runs() -> None:
    def train(callbacks: Callbacks) -> Trained:
        return trained(compiled(OnlyEager(), run_eagerly=True), callbacks)

    bare = state(train, [])
    scope = GradScope(schedule=1, quiet=True)
    assert differences(state(train, [scope]), bare) == []
    assert [*scope.run.steps["step"]] == [*range(10)]


def child(program: str, *arguments: str, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(program), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path])} | environment,
    )


@pytest.mark.parametrize("replicas", [1, 2, 4])
def test_replicas_are_recorded_as_one_step_and_train_as_ever(replicas: int) -> None:
    program = """
        import sys
        import tensorflow as tf
        replicas = int(sys.argv[1])
        cpu = tf.config.list_physical_devices("CPU")[0]
        tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * replicas)
        import keras
        import numpy as np
        from trainings import *
        from gradscope import GradScope

        def net():  # without dropout, which each replica draws for itself
            layers = [keras.layers.Dense(8, "relu"), keras.layers.Dense(8, "tanh"), keras.layers.Dense(CLASSES)]
            return compiled(keras.Sequential([keras.Input((FEATURES,)), *layers, keras.layers.Softmax()]))

        def train(callbacks):
            with tf.distribute.MirroredStrategy([f"CPU:{i}" for i in range(replicas)]).scope():
                model = net()
            return fitted(model, callbacks, shuffle=False)

        def alone(callbacks):
            return fitted(net(), callbacks, shuffle=False)

        bare = state(train, [])
        together, single = GradScope(schedule=1, quiet=True), GradScope(schedule=1, quiet=True)
        assert differences(state(train, [together]), bare) == []
        state(alone, [single])
        ours, theirs = (scope.run for scope in (together, single))
        assert [*ours.steps.step] == [*theirs.steps.step]
        assert [*ours.steps.samples] == [*theirs.steps.samples]
        for name in ("rms", "zero_fraction", "pre_mean", "backward_rms"):
            a, b = (run.activations.query("step == 0")[name] for run in (ours, theirs))
            np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6, err_msg=name)
        for name in ("norm", "abs_max", "update_norm"):
            a, b = (run.gradients.query("step == 0")[name] for run in (ours, theirs))
            np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-7, err_msg=name)
        print("the same")
    """
    output, errors = child(program, str(replicas)).communicate(timeout=240)
    assert output.splitlines()[-1:] == ["the same"], errors


def test_kill_minus_9_loses_no_record_that_was_written_before(tmp_path: Path) -> None:
    program = """
        import sys
        from pathlib import Path
        import keras
        from trainings import *
        from gradscope import GradScope
        from gradscope.store.event_sink import EventFileSink

        write = EventFileSink.write
        def told(self, record):
            write(self, record)
            print(type(record).__name__, record.step, flush=True)

        EventFileSink.write = told
        fitted(compiled(mlp()), [GradScope(sys.argv[1], schedule=1)], epochs=10_000)
    """
    process = child(program, str(tmp_path))
    assert process.stdout is not None
    told = [process.stdout.readline() for _ in range(30)]
    time.sleep(random.uniform(0.0, 0.3))
    process.kill()
    told += process.communicate()[0].splitlines(keepends=True)
    assert process.returncode == -signal.SIGKILL
    written = [int(line.split()[1]) for line in told if line.endswith("\n") and line.startswith("StepRecord")]
    run = gradscope.load(tmp_path)
    assert len(written) > 10
    assert [*run.steps["step"]][: len(written)] == written
    sink = EventFileSink(tmp_path)
    sink.open()  # the lock died with its holder
    sink.close()


def test_a_recorded_training_leaves_no_graph_behind() -> None:
    def graphs() -> int:
        gc.collect()
        return sum(isinstance(thing, FuncGraph) for thing in gc.get_objects())

    def left_by(callbacks: Callable[[], Callbacks]) -> int:
        before = graphs()
        for _ in range(3):
            fitted(compiled(mlp()), callbacks())
            keras.utils.clear_session()
        return graphs() - before

    left_by(lambda: [GradScope(schedule=1, quiet=True)])  # kernels, which stay, are traced once
    bare = left_by(list)
    assert left_by(lambda: [GradScope(schedule=1, quiet=True)]) <= bare + 3


@pytest.mark.slow
@pytest.mark.parametrize("broken_off", [False, True])
def test_a_process_that_trained_ends_without_complaint(broken_off: bool) -> None:
    program = f"""
import keras, numpy as np, gradscope
model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
model.compile("sgd", "mse")
class Interrupts(keras.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        if {broken_off}:
            raise KeyboardInterrupt
try:
    callbacks = [gradscope.GradScope(schedule=1, quiet=True), Interrupts()]
    model.fit(np.ones((8, 4)), np.ones(8), batch_size=4, verbose=0, callbacks=callbacks)
except KeyboardInterrupt:
    pass
"""
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "0"}
    finished = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=False
    )
    assert finished.returncode == 0, finished.stderr
    assert "GeneratorDataset" not in finished.stderr
