"""The peers' rules, one measurement that fires and the healthy one that does not, for each."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from zoo.made import BATCHES, made
from zoo.measurement import Facts, Layer, Measurement
from zoo.peers import autotrainer, deepdiagnosis, deeplocalize, sagemaker_debugger, umlaut
from zoo.peers.alarm import Alarm

Verdict = Callable[[Measurement], list[Alarm]]
PEERS = (autotrainer, deepdiagnosis, deeplocalize, sagemaker_debugger, umlaut)


def symptoms(alarms: list[Alarm]) -> list[tuple[str, str | None]]:
    return [(alarm.symptom, alarm.layer) for alarm in alarms]


def after(value: float, samples: int = 7, first: float = 0.0) -> Any:
    """A series that begins with ``first``."""
    return np.array([first] + [value] * (samples - 1))


@pytest.mark.parametrize("verdict", [peer.verdict for peer in PEERS if peer is not umlaut])
def test_a_training_that_learns_raises_no_alarm(verdict: Verdict) -> None:
    assert verdict(made()) == []


def test_umlaut_warns_of_every_softmax_that_is_an_argument() -> None:
    titles = ["Missing Softmax layer before loss", "Last model layer has nonlinear activation"]
    assert [alarm.symptom for alarm in umlaut.verdict(made())] == titles


@pytest.mark.parametrize("verdict", [peer.verdict for peer in PEERS])
def test_a_training_of_which_nothing_is_known_crashes_no_peer(verdict: Verdict) -> None:
    empty = np.zeros(0)
    nothing = {name: np.zeros((0, 0)) for name in made().by_layer}
    bare = Measurement(
        Facts(), (), (), *[empty] * 5, {n: np.zeros((0, 0)) for n in made().by_variable}, nothing, empty, empty
    )
    assert verdict(bare) == []


@pytest.mark.parametrize("verdict", [peer.verdict for peer in PEERS])
def test_a_broken_training_crashes_no_peer(verdict: Verdict) -> None:
    broken = made()
    nan = {
        table: {name: np.full_like(values, math.nan) for name, values in getattr(broken, table).items()}
        for table in ("by_variable", "by_layer", "epoch_logs")
    }
    verdict(replace(broken, **nan, batch_loss=np.full(60, math.nan), loss=np.full(7, math.nan)))


@pytest.mark.parametrize(
    ("symptom", "layer", "measurement"),
    [
        ("VanishingGradient", "dense", made(variables={"gradient_mean_abs": (0.9e-7, None)})),
        ("ExplodingTensor", "dense_1", made(variables={"weight_nonfinite": (None, 1)})),
        ("ExplodingTensor", "dense", made(layers={"nonfinite": (1, None)})),
        ("ExplodingTensor", None, made(batch_loss=np.array([1.0, math.inf]))),
        ("DeadRelu", "dense", made(layers={"pre_silent_unit_fraction": (0.51, None)})),
        ("SaturatedActivation", "dense", made(activation="tanh", layers={"pre_tanh_idle_unit_fraction": (0.51, 0)})),
        ("SaturatedActivation", "dense_1", made(last="sigmoid", layers={"pre_sigmoid_idle_unit_fraction": (0, 0.51)})),
        ("PoorWeightInitialization", None, made(last="relu", layers={"pre_std": (1, 3.2)})),
        ("PoorWeightInitialization", None, made(variables={"gradient_spread": (0.0009, None)})),
        ("PoorWeightInitialization", None, made(batch_loss=np.array([1.0] + [1.1] * 5 + [0.5] * 54))),
        ("WeightUpdateRatio", "dense", made(variables={"step_norm": (20.1, None)})),
        ("WeightUpdateRatio", "dense", made(variables={"step_norm": (1e-8, None)})),
        ("UnchangedTensor", "dense", made(variables={"change_close": (1, None)})),
        ("AllZero", "dense", made(variables={"gradient_zero_fraction": (1, None)})),
        ("AllZero", "dense", made(layers={"zero_fraction": (1, None)})),
        ("LossNotDecreasing", None, made(logs={"loss": [1, 0.8, 0.8, 0.7, 0.6, 0.5], "val_loss": [0.5] * 6})),
        ("Overfit", None, made(logs={"val_loss": [1, 1, 1, 1, 1, 1]})),
        ("Overtraining (train)", None, made(epochs=7, logs={"loss": np.linspace(0.2, 0.15, 7), "val_loss": [0.1] * 7})),
        ("ClassImbalance", None, made(facts={"class_counts": (1100, 100)})),
        ("CheckInputImages", None, made(facts={"input_channel_means": (0.0, 0.21)})),
    ],
)
def test_sagemaker_debugger_raises(symptom: str, layer: str | None, measurement: Measurement) -> None:
    assert (symptom, layer) in symptoms(sagemaker_debugger.verdict(measurement))


@pytest.mark.parametrize(
    "measurement",
    [
        made(variables={"gradient_mean_abs": (1.1e-7, None), "step_norm": (19, 3e-8)}),
        made(layers={"pre_silent_unit_fraction": (0.5, 1.0)}),  # dense_1 is no ReLU
        made(activation="tanh", layers={"pre_tanh_idle_unit_fraction": (0.5, 0)}),
        made(variables={"weight_norm": (0, None), "step_norm": (0, None)}),
        made(facts={"class_counts": (400, 4), "samples": 499, "input_channel_means": (0.5,)}),
    ],
)
def test_sagemaker_debugger_is_silent_short_of_its_thresholds(measurement: Measurement) -> None:
    assert sagemaker_debugger.verdict(measurement) == []


STUCK: dict[str, Any] = {"accuracy": [0.3, 0.32, 0.34, 0.36, 0.38, 0.4], "val_accuracy": [0.3] * 6}


@pytest.mark.parametrize(
    ("symptom", "measurement"),
    [
        ("vanish", made(logs=STUCK, variables={"gradient_norm": (0.9e-4, 0.1)})),
        ("explode", made(logs=STUCK, variables={"gradient_norm": (7.1, 0.1)})),
        ("relu", made(logs=STUCK, variables={"gradient_zero_fraction": (1, 1)})),
        ("activation_issue", made(logs=STUCK, last="relu")),
        ("activation_issue", made(logs=STUCK, layers={"sample_sum_max": (1, 1.2)})),
        ("abnormal_data", made(layers={"mean_abs": (10, 1)})),
        ("loss_issue", made(logs={"loss": [1, 0.5, -0.1, -0.2, -0.3, -0.4]})),
        ("loss_issue", made(facts={"loss": "mean_squared_error"})),
        ("not_converge", made(logs={"accuracy": [0.3] * 6, "val_accuracy": [0.3] * 6})),
        (
            "unstable",
            made(logs={"accuracy": [0.5, 0.9, 0.5, 0.9, 0.5, 0.9], "val_accuracy": [0.9] * 6}, epochs=6),
        ),
        (
            "explode",
            made(logs={"loss": [1.0, *[math.nan] * 5]}, variables={"weight_nonfinite": (after(1), None)}),
        ),
    ],
)
def test_autotrainer_raises(symptom: str, measurement: Measurement) -> None:
    assert symptoms(autotrainer.verdict(measurement)) == [(symptom, None)]


@pytest.mark.parametrize(
    "measurement",
    [
        made(variables={"gradient_norm": (1e-9, 0.1)}),  # reaches 0.6: gradients are not judged
        made(logs=STUCK, variables={"gradient_norm": (1.1e-4, 0.5)}),
        made(logs=STUCK, variables={"gradient_norm": (6.9, 0.1), "gradient_zero_fraction": (0.8, 0.5)}),
        made(layers={"mean_abs": (9.9, 20)}),
        made(facts={"loss": "mean_squared_error", "loss_is_text": False}, last="linear"),
    ],
)
def test_autotrainer_is_silent_short_of_its_thresholds(measurement: Measurement) -> None:
    assert autotrainer.verdict(measurement) == []


@pytest.mark.parametrize(
    ("symptom", "layer", "measurement"),
    [
        ("Error in forward", "dense", made(layers={"nonfinite": (1, None)})),
        ("Error in forward", "dense", made(layers={"mean": (0, None)})),
        ("Error in forward", "dense", made(layers={"mean": (0.5, None), "std_over_samples": (0, None)})),
        ("Error in Weights", "dense", made(variables={"weight_nonfinite": (1, None)})),
        ("Error in Weights", "dense", made(variables={"weight_mean": (0, None)})),
        ("Error in Weights", "dense_1", made(variables={"weight_mean": (None, 0.5)})),
        ("Invalid loss", None, made(batch_loss=np.array([1.0, math.nan]))),
        ("MDL", None, made(batch_loss=np.array([1.0] * 5))),
        ("MDL", None, made(batch_accuracy=np.array([1.0] * 5))),
        ("Error in delta Weights", "dense", made(variables={"gradient_nonfinite": (1, None)})),
        ("Error in delta Weights", "dense", made(variables={"gradient_mean": (0, None)})),
        ("Error in Output Gradient", "dense", made(layers={"backward_mean": (0, None)})),
        ("Error in Output Gradient", "dense", made(layers={"backward_nonfinite": (1, None)})),
    ],
)
def test_deeplocalize_raises(symptom: str, layer: str | None, measurement: Measurement) -> None:
    assert symptoms(deeplocalize.verdict(measurement)) == [(symptom, layer)]


@pytest.mark.parametrize(
    "measurement",
    [
        made(layers={"mean": (after(0.5, first=0.1), None)}),  # unchanging, yet different for each sample
        made(layers={"backward_mean": (math.nan, None)}, variables={"gradient_mean": (1e-30, None)}),
        made(batch_accuracy=np.array([1.0, 1.0, 1.0, 1.0, 0.9] * 4)),
    ],
)
def test_deeplocalize_is_silent_otherwise(measurement: Measurement) -> None:
    assert deeplocalize.verdict(measurement) == []


@pytest.mark.parametrize(
    ("symptom", "layer", "measurement"),
    [
        ("Out of Rang Problem", "dense_1", made(last="linear")),
        ("Out of Rang Problem", "dense_1", made(last="sigmoid")),  # labels up to 2
        (
            "Out of Rang Problem",
            "dense_1",
            made(last="linear", facts={"loss": "mse"}, layers={"max": (1, 30), "min": (0, 0)}),
        ),
        ("Numerical Problem Forward", "dense", made(layers={"mean": (0, None)})),
        ("Numerical Problem Forward", "dense", made(layers={"nonfinite": (1, None)})),
        ("Dead Node Problem", "dense", made(layers={"nonpositive_fraction": (0.7, None)})),
        (
            "Saturated Activation Problem",
            "dense",
            made(activation="tanh", layers={"pre_beyond_five_fraction": (0.51, 0)}),
        ),
        ("Unchange Tensor in forward", "dense", made(layers={"mean": (0.5, None)})),
        ("Invalid loss", None, made(logs={"loss": [1.0, *[math.nan] * 5]})),
        ("Loss Not Decreasing", None, made(logs={"loss": [0.5] * 6})),
        ("Invalid accuracy", None, made(logs={"accuracy": [0.5, 0, 0.5, 0.5, 0.5, 0.5]})),
        ("Accurcy Not Increasing", None, made(epochs=20, logs={"accuracy": [0.5] * 20})),
        ("Numerical Error in delta Weights", "dense", made(variables={"gradient_mean": (0, None)})),
        (
            "Vanishing Gradient Problem in delta Weights",
            "dense",
            made(variables={"gradient_mean_abs": (0.9e-7, None)}),
        ),
        ("Numerical Error in Weights", "dense", made(variables={"weight_nonfinite": (1, None)})),
        ("Unchange Tensor in Delta Weights", "dense", made(variables={"gradient_mean": (0.5, None)})),
        ("Unchange Tensor in Weights", "dense", made(variables={"weight_mean": (0.5, None)})),
    ],
)
def test_deepdiagnosis_raises(symptom: str, layer: str | None, measurement: Measurement) -> None:
    assert symptoms(deepdiagnosis.verdict(measurement)) == [(symptom, layer)]


@pytest.mark.parametrize(
    "measurement",
    [
        made(layers={"nonpositive_fraction": (0.69, None)}),
        made(layers={"nonpositive_fraction": (np.array([0.9] * 6 + [0.5]), None)}),  # judged in the last epoch only
        made(activation="tanh", layers={"pre_beyond_five_fraction": (0.5, 0.9)}),
        made(epochs=4, activation="tanh", layers={"pre_beyond_five_fraction": (0.9, 0)}),  # looked at every fifth
        made(variables={"gradient_mean_abs": (1.1e-7, None)}),
        made(last="sigmoid", facts={"label_max": 1.0}),
        made(last="softplus"),  # of which it knows no range
    ],
)
def test_deepdiagnosis_is_silent_short_of_its_thresholds(measurement: Measurement) -> None:
    assert deepdiagnosis.verdict(measurement) == []


def test_deepdiagnosis_takes_the_scale_after_a_dense_layer_for_its_kernel() -> None:
    plain = made()
    normalised = (
        plain.layers[0],
        Layer("batch_normalization", "BatchNormalization", weight_arrays=4, units=8, rank=2),
        plain.layers[1],
    )
    order = [0, 1, 0, 1, 2, 3]  # kernel, bias, gamma, beta, kernel, bias
    variables = tuple(plain.variables[number] for number in order)
    by_variable = {name: values[:, order].copy() for name, values in plain.by_variable.items()}
    by_layer = {name: values[:, [0, 0, 1]] for name, values in plain.by_layer.items()}
    by_variable["gradient_mean_abs"][:, 2] = 1e-9  # of gamma
    found = replace(plain, layers=normalised, variables=variables, by_variable=by_variable, by_layer=by_layer)
    assert symptoms(deepdiagnosis.verdict(found)) == [("Vanishing Gradient Problem in delta Weights", "dense")]


def test_umlaut_is_silent_where_the_softmax_is_a_layer() -> None:
    assert umlaut.verdict(_with_softmax_layer()) == []


@pytest.mark.parametrize(
    ("symptom", "layer", "changes"),
    [
        ("Missing activation functions", "dense", {"activation": "linear"}),
        ("Input data exceeds typical limits", None, {"facts": {"input_max": 1.1}}),
        ("Input data exceeds typical limits", None, {"facts": {"input_min": -1.1}}),
        ("Image data may have incorrect shape", None, {"facts": {"input_shape": (9, 3, 8, 8)}}),
        ("Learning Rate is high", None, {"learning_rate": np.full(7, 0.011)}),
        ("Learning Rate is low", None, {"learning_rate": np.full(7, 0.9e-7)}),
        ("NaN (Not a number) in input", None, {"facts": {"input_mean": math.nan}, "logs": {"loss": [math.nan] * 6}}),
        ("Possible overfitting", None, {"logs": {"val_loss": [1, 0.9, 0.91, 0.8, 0.7, 0.6]}}),
        ("Check validation accuracy", None, {"logs": {"val_accuracy": [0.3, 0.4, 0.5, 0.96, 0.9, 0.9]}}),
    ],
)
def test_umlaut_raises(symptom: str, layer: str | None, changes: dict[str, Any]) -> None:
    found = symptoms(umlaut.verdict(_with_softmax_layer(**changes)))
    assert found == [(symptom, layer)]


def test_umlaut_warns_of_a_dropout_above_half_and_of_missing_and_extra_activations() -> None:
    measurement = made(last="linear")
    dropout = replace(measurement.layers[0], key="dropout", class_name="Dropout", argument=None, dropout=0.6)
    found = symptoms(umlaut.verdict(replace(measurement, layers=(dropout, *measurement.layers))))
    assert found == [("Missing Softmax layer before loss", None), ("High dropout rate", "dropout")]
    assert umlaut.verdict(made(last="linear", facts={"from_logits": True})) == []


def test_an_alarm_comes_at_the_end_of_the_epoch_that_shows_it() -> None:
    found = deepdiagnosis.verdict(made(layers={"nonfinite": (np.array([0, 0, 0, 1, 1, 1, 1]), None)}))
    assert found == [Alarm("Numerical Problem Forward", "dense", 3 * BATCHES)]


def _with_softmax_layer(**changes: Any) -> Measurement:
    plain = made(last="linear", **changes)
    softmax = Layer("softmax", "Softmax", "softmax", units=3, rank=2, is_output=True)
    by_layer = {name: values[:, [0, 1, 1]] for name, values in plain.by_layer.items()}
    return replace(plain, layers=(*plain.layers, softmax), by_layer=by_layer)
