"""What `gradscope.instrument.backend` promises, of whichever backend Keras runs on: a new one begins here.

The trainings are plain Keras and the numbers they are held to are NumPy's; what only one backend has, such as graphs or
tapes, is tested beside it. ``KERAS_BACKEND=name pytest tests/instrument/test_backend_contract.py`` asks another one.
"""

from __future__ import annotations

import gc
import math
import weakref
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
from instrument.recording import normal
from instrument.reference import RTOL, Application, site_row
from keras import layers

from gradscope import reasons
from gradscope.errors import ModelError
from gradscope.instrument import step_sums
from gradscope.instrument.backend import Recorded, Recorder, Timing, UnobservableError, present_backend, recorder_for
from gradscope.network import Network
from gradscope.recording.table_rows import activation_row, gradient_norm
from gradscope.schema import ACTIVATIONS

X, Y = normal(20, 6), normal(20, 1, seed=1)
SIZE, RATE = 8, 0.1
LIMITS = {"tanh": (-2.17887, 2.17887), "relu": (0.0, math.inf), "linear": (-math.inf, math.inf)}
EXECUTIONS: dict[str, dict[str, Any]] = {
    "plain": {"jit_compile": False},
    "compiled": {"jit_compile": True},
    "eager": {"run_eagerly": True},
}


class Records(keras.callbacks.Callback):
    """Records steps by the protocol alone, and keeps what it was given."""

    def __init__(
        self,
        *,
        due: Callable[[int], bool] = lambda step: True,
        chosen: Any = None,
        histograms: bool = False,
        at_end: Callable[[Recorder], None] = lambda recorder: None,
    ) -> None:
        super().__init__()
        self.due, self.chosen, self.histograms, self.at_end = due, chosen, histograms, at_end
        self.recorded: list[Recorded | None] = []
        self.batches: list[Any] = []
        self.timings: list[Timing | None] = []
        self.failures: list[Exception] = []

    def on_train_begin(self, logs: Any = None) -> None:
        self.recorder = recorder_for(self.model, self.chosen, self.failures.append)

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        self.recorder.arm(observe=self.due(batch), histograms=self.histograms)

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.recorder.finish()
        self.recorded.append(self.recorder.recorded)
        self.batches.append(self.recorder.batch)
        self.timings.append(self.recorder.timing)

    def on_train_end(self, logs: Any = None) -> None:
        self.at_end(self.recorder)
        self.recorder.close()

    @property
    def first(self) -> Recorded:
        assert self.failures == []
        assert self.recorded[0] is not None
        return self.recorded[0]


def mlp(*, noise: float = 0.0, optimizer: Any = None, **execution: Any) -> Any:
    keras.utils.set_random_seed(3)
    model = keras.Sequential(
        [
            keras.Input((6,)),
            layers.Dropout(noise),
            layers.Dense(4, activation="tanh", bias_initializer="random_normal"),
            layers.Dense(5, activation="relu", bias_initializer="random_normal"),
            layers.Dense(1),
        ]
    )
    model.compile(optimizer or keras.optimizers.SGD(RATE), "mse", **{"jit_compile": False} | execution)
    return model


def fit(model: Any, *callbacks: Any, x: Any = X, y: Any = Y) -> Any:
    return model.fit(x, y, batch_size=SIZE, epochs=2, shuffle=False, verbose=0, callbacks=[*callbacks])


class Step:
    """What one batch does to the network of `mlp`, in float64: two lines of algebra a layer."""

    def __init__(self, weights: list[Any], x: Any, y: Any) -> None:
        k1, b1, k2, b2, k3, b3 = (np.asarray(w, np.float64) for w in weights)
        z1 = x @ k1 + b1
        a1 = np.tanh(z1)
        z2 = a1 @ k2 + b2
        a2 = np.maximum(z2, 0)
        z3 = a2 @ k3 + b3
        d3 = 2 * (z3 - y) / len(x)
        d2 = d3 @ k3.T * (z2 > 0)
        d1 = d2 @ k2.T * (1 - a1**2)
        self.loss = float(np.mean((z3 - y) ** 2))
        self.gradients = [x.T @ d1, d1.sum(0), a1.T @ d2, d2.sum(0), a2.T @ d3, d3.sum(0)]
        self.sites = {
            "tanh": Application(z1, a1, d1),
            "relu": Application(z2, a2, d2),
            "linear": Application(z3, z3, d3),
        }


def norms(arrays: Any) -> list[float]:
    return [float(np.linalg.norm(np.asarray(array, np.float64))) for array in arrays]


def assert_numbers(observation: Any, network: Network, step: Step, samples: int) -> None:
    assert observation.samples == samples
    np.testing.assert_allclose(observation.loss, step.loss, rtol=RTOL["float32"])
    assert [site.activation for site in network.sites] == [*step.sites]
    for site, sums in zip(network.sites, observation.sites, strict=True):
        found = activation_row(sums.activation, units=sums.units, backward=sums.backward)
        row = dict(zip(ACTIVATIONS.statistic_names, found, strict=True))
        expected = site_row(
            step.sites[site.activation],
            samples=samples,
            limits=LIMITS[site.activation],
            flat_below=0.0 if site.activation == "relu" else -math.inf,
        )
        for name, value in expected.items():
            np.testing.assert_allclose(row[name], value, rtol=1e-3, atol=1e-6, err_msg=f"{name} of {site.key}")
    found = [float(gradient_norm(sums)) for sums in observation.gradients]
    np.testing.assert_allclose(found, norms(step.gradients), rtol=RTOL["float32"])


def state(model: Any, history: Any) -> list[bytes]:
    """Return the bytes of all that a training decides."""
    variables = [*model.variables, *model.metrics_variables, *model.optimizer.variables]
    values = [np.asarray(variable) for variable in variables]
    return [value.tobytes() for value in values] + [np.array(each).tobytes() for each in history.history.values()]


@pytest.mark.parametrize("execution", EXECUTIONS)
def test_the_numbers_are_those_of_numpy(execution: str) -> None:
    model, records = mlp(**EXECUTIONS[execution]), Records()
    weights = [np.array(weight) for weight in model.get_weights()]
    fit(model, records)
    step = Step(weights, X[:SIZE], Y[:SIZE])
    first = records.first
    assert_numbers(first.observation, first.network, step, SIZE)
    assert [variable.path for variable in first.network.variables] == [v.path for v in model.trainable_variables]
    np.testing.assert_allclose(first.weight_norms, norms(weights), rtol=1e-5)
    np.testing.assert_allclose(first.update_norms, RATE * np.array(norms(step.gradients)), rtol=1e-3)
    np.testing.assert_allclose(first.observation.learning_rate, RATE, rtol=1e-6)
    if first.labels is not None:
        np.testing.assert_array_equal(np.asarray(first.labels[0]), Y[:SIZE])
    assert [r.observation.samples for r in records.recorded if r is not None] == [8, 8, 4, 8, 8, 4]
    assert all(timing is not None and timing.step_seconds > 0 for timing in records.timings)
    assert records.recorder.unseen == ""


@pytest.mark.parametrize("execution", EXECUTIONS)
def test_the_training_is_the_same_bit_for_bit(execution: str) -> None:
    def trained(*callbacks: Any) -> list[bytes]:
        model = mlp(noise=0.3, optimizer="adam", **EXECUTIONS[execution])
        return state(model, fit(model, *callbacks))

    assert trained(Records(due=lambda step: step != 1, histograms=True)) == trained()


def test_what_is_not_finite_is_counted() -> None:
    x = X.copy()
    x[2, 3] = math.nan
    records = Records()
    fit(mlp(), records, x=x)
    first = records.first.observation
    assert [int(site.activation.nonfinite_count) for site in first.sites] == [4, 5, 1]
    assert math.isnan(first.loss)


def test_a_step_that_nobody_observes_gives_its_batch_and_no_numbers() -> None:
    records = Records(due=lambda step: step == 1)
    fit(mlp(), records)
    assert [recorded is not None for recorded in records.recorded] == [False, True, False] * 2
    x, y = records.batches[0][:2]
    np.testing.assert_array_equal(np.asarray(x), X[:SIZE])
    np.testing.assert_array_equal(np.asarray(y), Y[:SIZE])


def test_histograms_are_given_where_they_are_asked_for() -> None:
    for wanted in (False, True):
        records = Records(histograms=wanted)
        fit(mlp(), records)
        lengths = {key: len(values) for key, values in records.first.observation.activations.items()}
        assert lengths == ({"dense": 4 * SIZE, "dense_1": 5 * SIZE, "dense_2": SIZE} if wanted else {})


def test_to_look_at_a_batch_again_gives_the_numbers_of_the_present_weights_and_changes_nothing() -> None:
    seen: list[Any] = []

    def look_twice(recorder: Recorder) -> None:
        variables = [*model.variables, *model.optimizer.variables]
        before = [np.asarray(variable).tobytes() for variable in variables]
        seen.extend(recorder.again(records.batches[0]) for _ in range(2))
        assert [np.asarray(variable).tobytes() for variable in variables] == before

    model, records = mlp(optimizer=keras.optimizers.Adam(RATE)), Records(at_end=look_twice)
    fit(model, records)
    for observation in seen:
        assert_numbers(observation, records.first.network, Step(model.get_weights(), X[:SIZE], Y[:SIZE]), SIZE)


def test_to_look_again_before_a_step_was_recorded_is_refused() -> None:
    recorder = recorder_for(mlp(), None, lambda error: None)
    with pytest.raises(UnobservableError):
        recorder.again([X[:SIZE], Y[:SIZE]])
    recorder.close()


def test_what_is_not_measured_has_a_reason_and_what_is_not_chosen_is_left_out() -> None:
    model = keras.Sequential([keras.Input((5, 6)), layers.LSTM(3), layers.Dense(1)])
    model.compile("sgd", "mse")
    whole, chosen = Records(), Records(chosen=["dense"])
    for records in (whole, chosen):
        fit(model, records, x=normal(20, 5, 6))
    missed = {each.name: each.reason for each in whole.first.network.not_measured}
    assert missed["lstm (gates)"] == reasons.GATES
    network = chosen.first.network
    assert {site.layer for site in network.sites} | {v.layer for v in network.variables} == {"dense"}
    assert network.not_measured == ()


def test_a_failure_of_ours_is_told_and_the_training_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def raising(*arguments: Any, **keywords: Any) -> Any:
        raise RuntimeError("out of ideas")

    bare = mlp()
    expected = state(bare, fit(bare))
    monkeypatch.setattr(step_sums, "finite_sites_sums", raising)
    model, records = mlp(), Records()
    assert state(model, fit(model, records)) == expected
    assert "out of ideas" in str(records.failures[0])


def test_what_was_armed_for_is_let_go_of() -> None:
    recorder = recorder_for(mlp(), None, lambda error: None)
    recorder.arm(observe=True)
    recorder.disarm()
    recorder.finish()
    assert (recorder.recorded, recorder.batch, recorder.timing) == (None, None, None)
    recorder.close()


@pytest.mark.parametrize("execution", EXECUTIONS)
def test_a_closed_recorder_leaves_keras_as_it_was_and_keeps_no_model(execution: str) -> None:
    def names() -> list[Any]:
        return [keras.Operation.__call__, layers.Dense.call, keras.optimizers.SGD.__dict__.get("apply")]

    before = names()
    model, records = mlp(**EXECUTIONS[execution]), Records()
    fit(model, records)
    assert names() == before
    gone = weakref.ref(model)
    del model, records
    keras.backend.clear_session()
    gc.collect()
    assert gone() is None


def test_a_look_gives_the_numbers_without_a_training_and_changes_nothing() -> None:
    model = mlp(optimizer=keras.optimizers.Adam(RATE))
    model.optimizer.build(model.trainable_variables)
    batches = present_backend().batches_of_arrays(X, Y, None, size=SIZE, count=1)
    (batch,) = batches.elements
    variables = [*model.variables, *model.optimizer.variables]
    before = [np.asarray(variable).tobytes() for variable in variables]
    look = present_backend().look_at(model, batches.spec)
    step = Step(model.get_weights(), X[:SIZE], Y[:SIZE])
    assert_numbers(look(batch, 0), look.network, step, SIZE)
    found = look.gradients(batch)
    for variable, expected in zip(look.trained, step.gradients, strict=True):
        np.testing.assert_allclose(found[id(variable)], expected, rtol=1e-3, atol=1e-6)
    assert [np.asarray(variable).tobytes() for variable in variables] == before


def test_a_backend_that_is_not_there_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keras.backend, "backend", lambda: "numpy")
    with pytest.raises(ModelError, match=r"backend 'numpy'.*KERAS_BACKEND="):
        recorder_for(mlp(), None, lambda error: None)
