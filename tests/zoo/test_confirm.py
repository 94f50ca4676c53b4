"""Each criterion on a made measurement that shows the symptom, and on the healthy one, which shows none."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from zoo.case import Case, Training
from zoo.confirm import confirm
from zoo.criteria import CRITERIA, MODEL
from zoo.made import made
from zoo.measurement import Measurement

STUCK = {"logs": {"loss": [1.1] * 6}}
POSITIVE = {"min": (0, 0), "mean": (0.5, 1), "std_over_samples": (0.2, 1)}


def case(symptoms: dict[str, tuple[str, ...]] | None = None, learns: float | None = None) -> Case:
    def build() -> Training:
        raise NotImplementedError

    return Case("made", "made", "made", build, symptoms or {}, learns=learns)


SYMPTOMS: list[tuple[str, str, Measurement]] = [
    ("vanishing_gradient", "dense", made(**STUCK, variables={"gradient_rms": (0.9e-3, 1)})),
    ("exploding_gradient", "dense", made(variables={"gradient_norm": (np.geomspace(0.1, 11, 7), 0.1)})),
    ("exploding_gradient", "dense_1", made(variables={"gradient_nonfinite": (0, 1)})),
    ("dying_relu", "dense", made(layers={"zero_unit_fraction": (0.25, 1)})),
    ("saturated_activation", "dense", made(activation="tanh", layers={"saturated_fraction": (0.7, 1)})),
    ("vanishing_activation", "dense", made(layers={"std_over_samples": (1e-4, 1)})),
    ("exploding_activation", "dense", made(layers={"rms": (np.geomspace(0.1, 101, 7), 1)})),
    ("exploding_activation", "dense_1", made(layers={"rms": (1, 10_001)})),
    ("nan_or_inf", "dense", made(layers={"nonfinite": (1, 0)})),
    ("nan_or_inf", MODEL, made(batch_loss=np.array([1, math.inf]))),
    ("blocked_gradient", "dense", made(variables={"gradient_abs_max": (0, 1)})),
    ("blocked_gradient", "dense", made(variables={"gradient_abs_max": (math.nan, 1), "gradient_connected": (0, 1)})),
    ("linear_stack", "dense_1", made(activation="linear")),
    ("not_zero_centred", "dense", made(activation="sigmoid", layers=POSITIVE)),
    ("unchanged_weights", "dense", made(variables={"change_max": (0, 0.1)})),
    ("update_ratio", "dense", made(variables={"step_norm": (0.21, 0.01)})),
    ("update_ratio", "dense", made(variables={"step_norm": (1.9e-5, 0.01)})),
    ("poor_initialisation", "dense", made(variables={"weight_equal_units": (1, 0)})),
    ("poor_initialisation", "dense", made(layers={"zero_unit_fraction": (0.5, 0)})),
    ("poor_initialisation", "dense", made(layers={"std_over_samples": (51, 1)})),
    ("oscillating_loss", MODEL, made(batch_loss=1 + 0.1 * (-1.0) ** np.arange(60))),
    ("oscillating_loss", MODEL, made(logs={"loss": [1, 0.5, 1, 0.5, 1, 0.5]})),
    ("slow_convergence", MODEL, made(logs={"loss": [1, 0.999, 0.998, 0.997, 0.996, 0.995]})),
    ("not_converging", MODEL, made(**STUCK)),
    ("not_converging", MODEL, made(logs={"loss": [1, 1, 1, 1, 1, math.nan]})),
    ("not_converging", "age", made(logs={"age_loss": [1] * 6}, facts={"output_baselines": (("age", 1.1),)})),
    ("vanishing_gradient", "dense", made(**STUCK, layers={"through_time": (0.9e-3, None)})),
    ("exploding_gradient", "dense", made(layers={"through_time": (1e3, None)})),
    ("exploding_activation", "dense", made(facts={"input_rms": (2,)}, layers={"rms": (2001, 1)})),
    ("unchanged_weights", "dense", made(variables={"change_max": (1e-9, 0.1), "change_norm": (1e-8, 0.1)})),
    ("unchanged_weights", "elsewhere", made(facts={"untracked": ("elsewhere",)})),
    ("unchanged_weights", MODEL, replace(made(), variables=())),
    ("oscillating_loss", MODEL, made(epochs=10, logs={"loss": [9, 5, 1, 0.4, 0.2, 0.3, 0.2, 0.3, 0.2, 0.3]})),
    ("falling_learning_rate", MODEL, made(**STUCK, learning_rate=np.geomspace(1, 1e-3, 7))),
    ("collapsed_output", MODEL, made(layers={"std_over_samples": (1, 0.9e-2), "rms": (1, 1)})),
    ("batch_statistics", "dense", made(layers={"training_apart": (0.5, None)}, inference_loss=np.full(7, 0.4))),
    ("input_scale", MODEL, made(facts={"input_rms": (11.0,)})),
    ("input_scale", MODEL, made(facts={"input_rms": (0.01,)})),
    ("target_scale", MODEL, made(facts={"label_max": 50.0, "class_counts": ()})),
    ("nonfinite_data", MODEL, made(facts={"input_nonfinite": 1})),
    ("index_out_of_range", "dense_1", made(facts={"label_max": 3.0})),
    ("index_out_of_range", "dense_1", made(facts={"label_min": -1.0})),
    ("output_loss_mismatch", "dense_1", made(last="linear", facts={"loss": "poisson"}, layers={"min": (0, -0.1)})),
    ("output_loss_mismatch", "dense_1", made(facts={"loss": "binary_crossentropy"})),
]


@pytest.mark.parametrize(("rule", "layer", "measurement"), SYMPTOMS)
def test_a_symptom_is_confirmed_at_its_layer(rule: str, layer: str, measurement: Measurement) -> None:
    claimed = () if layer == MODEL else (layer,)
    (found,) = confirm(case({rule: claimed}), measurement)
    assert found.confirmed
    assert layer in found.numbers
    assert found.missing == ()


@pytest.mark.parametrize("rule", CRITERIA)
def test_a_training_that_learns_shows_no_symptom(rule: str) -> None:
    (found,) = confirm(case({rule: ()}), made())
    assert not found.confirmed
    assert found.layers == ()


def test_every_criterion_is_shown_by_a_measurement_here() -> None:
    assert {rule for rule, _, _ in SYMPTOMS} == set(CRITERIA)


def test_a_symptom_claimed_at_another_layer_is_not_confirmed() -> None:
    (found,) = confirm(case({"dying_relu": ("dense", "elsewhere")}), made(layers={"zero_unit_fraction": (0.6, 0)}))
    assert not found.confirmed
    assert found.layers == ("dense",)
    assert found.missing == ("elsewhere",)


def test_a_rule_without_a_criterion_is_not_confirmed() -> None:
    (found,) = confirm(case({"of_another_kind": ()}), made())
    assert not found.confirmed


@pytest.mark.parametrize(
    ("changes", "refused"),
    [
        ({}, []),
        ({"logs": {"loss": [1, 0.9, 0.8, 0.7, 0.6, 0.31]}}, ["learns"]),
        ({"variables": {"weight_nonfinite": (1, 0)}}, ["no NaN"]),
        ({"layers": {"zero_unit_fraction": (0.5, 0)}}, ["no layer a quarter dead"]),
        ({**STUCK, "variables": {"gradient_rms": (0.9e-3, 1)}}, ["learns", "no vanished gradient"]),
        ({"variables": {"change_max": (0, 0.1)}}, ["no unchanged kernel"]),
    ],
)
def test_a_healthy_case_must_learn_and_show_no_gross_fault(changes: dict[str, Any], refused: list[str]) -> None:
    found = confirm(case(learns=0.3), made(**changes))
    assert [each.claim for each in found if not each.confirmed] == refused


def test_skipped_steps_of_loss_scaling_are_no_fault_of_a_healthy_case() -> None:
    skipped = replace(made(variables={"gradient_nonfinite": (1, 1)}), batch_loss=np.array([1.0, math.inf]))
    assert all(each.confirmed for each in confirm(case(learns=0.3), skipped))
