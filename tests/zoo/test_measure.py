"""The measurement against numbers worked out by hand, on real trainings."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from zoo.layout import places
from zoo.measure import EARLY_STEPS, Measure, load
from zoo.measurement import LAYER_STATISTICS, VARIABLE_STATISTICS, Measurement
from zoo.probe import baseline_loss

X = np.array([[1.0, 2.0], [3.0, 4.0]], np.float32)
Y = np.array([[1.0], [0.0]], np.float32)


@pytest.fixture(autouse=True)
def _fresh() -> None:
    keras.utils.clear_session()
    keras.utils.set_random_seed(3)


def measured(model: Any, fit: dict[str, Any], callback: Measure | None = None) -> Measurement:
    callback = callback or Measure(fit)
    model.fit(**fit, verbose=0, callbacks=[callback])
    return callback.measurement


def linear(rate: float = 0.1) -> Any:
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(rate), "mse")
    model.set_weights([np.array([[1.0], [-1.0]]), np.array([0.0])])
    return model


def half_dead() -> Any:
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2, activation="relu"), keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(0.01), "mse")
    model.set_weights([np.array([[1.0, -1.0], [1.0, -1.0]]), np.zeros(2), np.array([[0.5], [7.0]]), np.zeros(1)])
    return model


def row(table: Any, statistic: str, sample: int = 0) -> list[float]:
    return [float(value) for value in table[statistic][sample]]


def test_gradient_loss_and_update_of_a_linear_regression_are_those_worked_out_by_hand() -> None:
    found = measured(linear(), {"x": X, "y": Y, "epochs": 1, "batch_size": 2})
    # outputs -1, -1; errors -2, -1; dL/dw = mean of 2·error·x = (-5, -8); dL/db = -3; loss = (4 + 1) / 2
    assert found.loss[0] == pytest.approx(2.5)
    assert found.batch_loss == pytest.approx([2.5])
    assert row(found.by_variable, "gradient_norm") == pytest.approx([math.sqrt(25 + 64), 3.0])
    assert row(found.by_variable, "gradient_mean") == pytest.approx([-6.5, -3.0])
    assert row(found.by_variable, "gradient_mean_abs") == pytest.approx([6.5, 3.0])
    assert row(found.by_variable, "gradient_rms") == pytest.approx([math.sqrt(89 / 2), 3.0])
    assert row(found.by_variable, "weight_norm") == pytest.approx([math.sqrt(2), 0.0])
    assert row(found.by_variable, "step_norm") == pytest.approx([0.1 * math.sqrt(89), 0.3])
    assert row(found.by_variable, "change_max", 1) == pytest.approx([0.8, 0.3])
    assert row(found.by_layer, "backward_mean") == pytest.approx([-1.5])  # mean of error over samples


def test_a_unit_that_is_zero_on_every_sample_is_counted_with_its_gradient() -> None:
    found = measured(half_dead(), {"x": X, "y": Y, "epochs": 1, "batch_size": 2})
    assert row(found.by_layer, "zero_unit_fraction")[0] == 0.5
    assert row(found.by_layer, "zero_fraction")[0] == 0.5
    assert row(found.by_layer, "pre_min")[0] == -7.0
    assert row(found.by_layer, "pre_silent_unit_fraction")[0] == 0.5
    assert row(found.by_variable, "gradient_zero_fraction") == [0.5, 0.5, 0.5, 0.0]


def test_saturation_is_counted_where_the_slope_is_lost_for_known_functions_and_those_of_the_user() -> None:
    z = np.array([[-3.0], [0.0], [2.0], [2.5]], np.float32)  # tanh has a twentieth of its slope at 2.18

    def steeper(x: Any) -> Any:
        return keras.ops.tanh(10 * x)

    for function, share in (("tanh", 0.5), (steeper, 0.75), ("relu", math.nan), ("gelu", math.nan)):
        model = keras.Sequential([keras.Input((1,)), keras.layers.Activation(function), keras.layers.Dense(1)])
        model.compile("sgd", "mse")
        found = measured(model, {"x": z, "y": z})
        assert row(found.by_layer, "saturated_fraction")[0] == pytest.approx(share, nan_ok=True)


@pytest.mark.parametrize("build", [lambda: noisy(False), lambda: noisy(True), lambda: unbuilt()])
def test_a_training_ends_with_the_same_weights_as_without_measuring(build: Callable[[], tuple[Any, Any]]) -> None:
    def trained(callbacks: list[Any]) -> tuple[list[Any], dict[str, list[float]]]:
        keras.utils.clear_session()
        keras.utils.set_random_seed(5)
        model, fit = build()
        history = model.fit(**fit, verbose=0, callbacks=[callback(fit) for callback in callbacks]).history
        return [variable.numpy() for variable in model.variables], history

    (plain, history), (watched, same_history) = trained([]), trained([Measure])
    assert history == same_history
    for before, after in zip(plain, watched, strict=True):
        np.testing.assert_array_equal(before, after)


def noisy(eager: bool) -> tuple[Any, dict[str, Any]]:
    model = keras.Sequential(
        [
            keras.Input((4,)),
            keras.layers.Dense(8),
            keras.layers.BatchNormalization(),
            keras.layers.Activation("tanh"),
            keras.layers.Dropout(0.5),
            keras.layers.Dense(3, activation="softmax"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"], run_eagerly=eager)
    rng = np.random.default_rng(0)
    return model, {"x": rng.normal(size=(40, 4)), "y": rng.integers(0, 3, 40), "epochs": 2, "batch_size": 8}


def unbuilt() -> tuple[Any, dict[str, Any]]:
    model = keras.Sequential([keras.layers.Dense(4, activation="relu"), keras.layers.Dense(1)])
    model.compile("rmsprop", "mae", metrics=["mse"])
    return model, {"x": np.random.default_rng(0).normal(size=(30, 3)), "y": np.ones(30), "validation_split": 0.2}


def test_a_measurement_is_the_same_after_saving_and_needs_no_framework_to_be_read(tmp_path: Path) -> None:
    model, fit = noisy(False)
    callback = Measure(fit)
    found = measured(model, fit, callback)
    callback.save(tmp_path / "m.npz")
    stored = load(tmp_path / "m.npz")
    assert stored.facts == found.facts
    assert stored.layers == found.layers
    assert stored.variables == found.variables
    for table in ("by_variable", "by_layer", "epoch_logs"):
        for name, values in getattr(found, table).items():
            np.testing.assert_array_equal(getattr(stored, table)[name], values)
    script = (
        "import sys; from zoo.measurement import load; load(sys.argv[1]);"
        "assert not {'keras', 'tensorflow', 'gradscope'} & set(sys.modules)"
    )
    folder = Path(__file__).parents[1]
    environment = os.environ | {"PYTHONPATH": str(folder)}
    subprocess.run([sys.executable, "-c", script, str(tmp_path / "m.npz")], check=True, env=environment)


def test_samples_lie_at_the_early_steps_and_epoch_ends_and_are_thinned_in_long_trainings() -> None:
    found = measured(linear(0.001), {"x": np.tile(X, (20, 1)), "y": np.tile(Y, (20, 1)), "epochs": 2, "batch_size": 2})
    assert found.step.tolist() == [0, 1, 2, 4, 8, 16, 20, 32, 40]
    assert found.epoch.tolist() == [0, 0, 0, 0, 0, 0, 1, 1, 2]
    assert len(found.batch_loss) == 40
    found = measured(linear(0.001), {"x": X, "y": Y, "epochs": 100, "batch_size": 2})
    assert len(found.step) <= 24
    assert found.step[-1] == 100
    assert set(EARLY_STEPS) <= set(found.step)


def _functional() -> tuple[Any, dict[str, Any]]:
    a, b = keras.Input((2,), name="a"), keras.Input((3,), name="b")
    shared = keras.layers.Dense(3, activation="tanh", name="shared")
    inner = keras.Sequential([keras.Input((3,)), keras.layers.Dense(3, activation="relu")], name="inner")
    joined = keras.layers.Concatenate()([shared(a), shared(keras.layers.Dense(2)(b)), inner(b)])
    first, second = keras.layers.Dense(1, name="first")(keras.ops.relu(joined)), keras.layers.Dense(1)(joined)
    model = keras.Model({"a": a, "b": b}, [first, second])
    model.compile("sgd", ["mse", "mae"])
    rng = np.random.default_rng(0)
    x = {"a": rng.normal(size=(12, 2)), "b": rng.normal(size=(12, 3))}
    return model, {"x": x, "y": [rng.normal(size=(12, 1)), rng.normal(size=(12, 1))]}


class _Subclassed(keras.Model):
    def __init__(self) -> None:
        super().__init__()
        self.recurrent = keras.layers.Bidirectional(keras.layers.LSTM(3, return_sequences=True))
        self.each = keras.layers.TimeDistributed(keras.layers.Dense(2, activation="tanh"))
        self.last = keras.layers.Dense(1)

    def call(self, x: Any) -> Any:
        return self.last(keras.ops.mean(self.each(self.recurrent(x)), axis=1))


def _subclassed() -> tuple[Any, dict[str, Any]]:
    model = _Subclassed()
    model.compile("sgd", "mse")
    rng = np.random.default_rng(0)
    data = tf.data.Dataset.from_tensor_slices(
        (rng.normal(size=(8, 5, 2)).astype("float32"), np.ones((8, 1), "float32"))
    )
    return model, {"x": data.batch(4), "shuffle": False}


class _Sequence(keras.utils.PyDataset):
    def __len__(self) -> int:
        return 3

    def __getitem__(self, index: int) -> Any:
        return np.full((4, 2), index, np.float32), np.ones((4, 1), np.float32)


def _pydataset() -> tuple[Any, dict[str, Any]]:
    return linear(), {"x": _Sequence()}


@pytest.mark.parametrize(
    ("build", "keys"),
    [
        (
            _functional,
            ["dense", "shared", "inner/dense", "concatenate", "relu", "first", "dense_1"],
        ),
        (
            _subclassed,
            ["bidirectional/forward_lstm", "bidirectional/backward_lstm", "time_distributed/dense", "dense"],
        ),
        (_pydataset, ["dense"]),
    ],
)
def test_every_kind_of_model_and_data_is_measured(build: Callable[[], tuple[Any, Any]], keys: list[str]) -> None:
    model, fit = build()
    found = measured(model, fit)
    assert found.facts.not_measured == ()
    assert sorted(layer.key for layer in found.layers) == sorted(keys)
    assert {layer.key for layer in found.layers} == {place.key for place in places(model)}
    assert np.isfinite(found.by_layer["rms"]).all()
    assert np.isfinite(found.by_layer["backward_mean_abs"]).all()
    assert np.isfinite(found.by_variable["gradient_norm"]).all()
    assert {variable.layer for variable in found.variables} <= set(keys)
    assert set(found.by_layer) == set(LAYER_STATISTICS)
    assert set(found.by_variable) == set(VARIABLE_STATISTICS)


def test_without_data_weights_and_logs_are_measured_and_the_rest_is_said_to_be_missing() -> None:
    found = measured(linear(), {"x": X, "y": Y, "batch_size": 2}, Measure())
    assert found.layers == ()
    assert row(found.by_variable, "weight_norm") == pytest.approx([math.sqrt(2), 0.0])
    assert np.isnan(found.by_variable["gradient_norm"]).all()
    assert np.isnan(found.by_variable["gradient_connected"]).all()
    assert found.epoch_logs["loss"] == pytest.approx([2.5])
    assert "no data" in found.facts.not_measured[0]


def test_a_variable_that_the_loss_does_not_depend_on_is_disconnected_not_zero() -> None:
    inputs = keras.Input((2,))
    hidden = keras.layers.Dense(2)(inputs)
    model = keras.Model(inputs, keras.layers.Dense(1)(keras.layers.Lambda(tf.stop_gradient)(hidden)))
    model.compile("sgd", "mse")
    with pytest.warns(UserWarning, match="Gradients do not exist"):
        found = measured(model, {"x": X, "y": Y})
    assert row(found.by_variable, "gradient_connected") == [0, 0, 1, 1]
    assert np.isnan(row(found.by_variable, "gradient_norm")[:2]).all()


@pytest.mark.parametrize(
    ("loss", "labels", "weights", "expected"),
    [
        ("sparse_categorical_crossentropy", [0, 0, 0, 1], None, -(0.75 * math.log(0.75) + 0.25 * math.log(0.25))),
        ("categorical_crossentropy", [[1, 0], [0, 1]], None, math.log(2)),
        ("binary_crossentropy", [[0], [1]], None, math.log(2)),
        ("binary_crossentropy", [[0], [1]], [2.0, 2.0], 2 * math.log(2)),
        ("mean_squared_error", [[0.0], [2.0]], None, 1.0),
        ("mean_absolute_error", [[0.0], [0.0], [3.0]], None, 1.0),
        ("huber", [[0.0], [2.0]], None, math.nan),
        ("sparse_categorical_crossentropy", [-1, 0], None, math.nan),
    ],
)
def test_the_best_constant_has_the_loss_worked_out_by_hand(
    loss: str, labels: Any, weights: Any, expected: float
) -> None:
    w = None if weights is None else np.array(weights)
    assert baseline_loss(loss, np.array(labels), w) == pytest.approx(expected, nan_ok=True)


def test_the_gradient_of_a_linear_recurrence_shrinks_by_its_weight_a_step() -> None:
    recurrence = keras.layers.SimpleRNN(
        1, "linear", kernel_initializer="ones", recurrent_initializer=keras.initializers.Constant(0.5)
    )
    model = keras.Sequential([keras.Input((4, 1)), recurrence])
    model.compile(keras.optimizers.SGD(0.0), "mse")
    found = measured(model, {"x": np.ones((2, 4, 1), np.float32), "y": Y, "epochs": 1})
    assert row(found.by_layer, "through_time") == pytest.approx([0.5**3])


def test_batch_normalisation_is_apart_by_what_its_statistics_lag() -> None:
    model = keras.Sequential([keras.Input((1,)), keras.layers.BatchNormalization(epsilon=0)])
    model.compile(keras.optimizers.SGD(0.0), "mse")
    found = measured(model, {"x": np.array([[1.0], [3.0]], np.float32), "y": Y, "epochs": 1})
    # in training -1 and 1, in inference 1 and 3; against targets 1 and 0
    assert row(found.by_layer, "training_apart") == pytest.approx([2.0])
    assert (found.loss[0], found.inference_loss[0]) == (pytest.approx(2.5), pytest.approx(4.5))


def test_a_variable_that_keras_does_not_track_is_found_with_its_layer() -> None:
    held = tf.Variable([[1.0], [1.0]])
    model = keras.Sequential([keras.Input((2,)), keras.layers.Lambda(lambda x: x @ held), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    assert measured(model, {"x": X, "y": Y, "epochs": 1}).facts.untracked == ("lambda",)
    assert measured(linear(), {"x": X, "y": Y, "epochs": 1}).facts.untracked == ()


def test_each_of_several_outputs_has_its_baseline() -> None:
    inputs = keras.Input((2,))
    model = keras.Model(
        inputs, {"a": keras.layers.Dense(1, name="a")(inputs), "b": keras.layers.Dense(1, name="b")(inputs)}
    )
    model.compile("sgd", {"a": "mse", "b": "mae"})
    found = measured(model, {"x": X, "y": {"a": Y, "b": 4 * Y}, "epochs": 1})
    assert found.facts.output_baselines == (("a", 0.25), ("b", 2.0))
