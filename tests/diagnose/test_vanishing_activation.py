"""Samples that look alike to a layer."""

from typing import Any

import pytest
from diagnose.answers import FLAT_AT_THE_END, LEARNING, NO_BASELINE, STUCK, code, evidence, only_at, the_finding

from gradscope.diagnose.remedy import Remedy
from gradscope.diagnose.rules.vanishing_activation import vanishing_activation
from gradscope.network import Network
from gradscope.store.frames import Frames
from gradscope.testing import Part, network, run, stack

SPREADS = {"dense_2": {"sample_std": 5e-4}, "dense_3": {"sample_std": 1e-5}, "dense_4": {"sample_std": 1e-6}}


def alike(net: Network | None = None, **changes: Any) -> Frames:
    """A relu stack in which samples look alike from the third layer on."""
    return run(net or stack("relu"), **{"epochs": STUCK, "activations": SPREADS, **changes})


def test_the_first_layer_to_which_samples_look_alike_is_named() -> None:
    finding = the_finding(vanishing_activation, alike())
    assert (finding.severity, finding.layer) == ("high", "dense_2")
    assert finding.layers == ("dense_2", "dense_3", "dense_4")
    assert (finding.first_step, finding.last_step) == (0, 275)
    assert "2,000 times less" in finding.message
    spread = evidence(finding, "spread over samples beside earlier layers")
    assert spread.value == pytest.approx(5e-4)
    assert spread.value < spread.threshold == 1e-3


def test_the_code_draws_the_weights_of_that_layer_to_match_its_function() -> None:
    finding = the_finding(vanishing_activation, alike())
    assert 'keras.layers.Dense(64, activation="relu", kernel_initializer="he_normal")' in code(finding)
    assert finding.advice[0].remedy == Remedy(
        "initialiser", tuple(site.layer for site in stack().sites[:5]), {"kernel_initializer": "he_normal"}
    )  # of all layers: what is before has faded, too


def test_no_spread_at_all_is_named() -> None:
    finding = the_finding(vanishing_activation, alike(activations={"dense_1": {"sample_std": 0.0}}))
    assert "hardly vary at all" in finding.message


def nothing(frames: Frames) -> bool:
    return list(vanishing_activation(frames)) == []


@pytest.mark.parametrize("epochs", [LEARNING, FLAT_AT_THE_END])
def test_a_network_that_learns_with_the_same_numbers_is_left_alone(epochs: dict[str, list[float]]) -> None:
    assert nothing(alike(epochs=epochs))


def test_without_a_known_baseline_a_loss_that_falls_is_left_alone() -> None:
    assert nothing(alike(epochs=LEARNING, steps=NO_BASELINE))


def test_a_large_mean_beside_a_usual_spread_is_left_alone() -> None:
    assert nothing(alike(activations={"dense_2": {"mean": 1e4, "std": 1e4, "sample_std": 1.0}}))


def test_a_first_layer_of_small_activations_has_none_before_it() -> None:
    assert nothing(alike(activations={"dense": {"sample_std": 1e-6, "rms": 1e-6}}))


def test_a_layer_to_which_all_samples_are_alike_but_for_rounding_needs_none_before_it() -> None:
    finding = the_finding(vanishing_activation, alike(activations={"dense": {"sample_std": 1e-6, "rms": 1.0}}))
    assert finding.layer == "dense"
    assert finding.evidence[0].threshold == 1e-5


def test_the_output_is_no_hidden_layer() -> None:
    assert nothing(alike(activations={"dense_5": {"sample_std": 1e-6}}))


def test_a_branch_that_begins_at_zero_is_left_alone() -> None:
    assert nothing(alike(activations={"dense_2": {"sample_std": lambda step: 0.0 if step == 0 else 1.0}}))


def test_one_odd_record_is_none() -> None:
    assert nothing(alike(activations={"dense_2": {"sample_std": only_at(-1, 1e-6, 1.0)}}))


def test_one_hidden_layer_is_held_against_itself_only() -> None:
    net = network(Part("dense", activation="relu"), Part("out"))
    assert nothing(alike(net, activations={"dense": {"sample_std": 1e-4}}))
