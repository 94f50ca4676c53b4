"""Activations of one sign before a dense layer."""

import math
from typing import Any

import pytest
from diagnose.answers import code, evidence, the_finding

from gradscope.diagnose.rules.not_zero_centred import not_zero_centred
from gradscope.network import Network, Profile
from gradscope.store.frames import Frames
from gradscope.testing import Part, network, run, stack

CONSTANT = {"*": {"mean": 0.5, "sample_std": 0.1}}
TOGETHER = {"dense_2/kernel": {"sign_agreement": 0.95}}


def one_signed(net: Network | None = None, **changes: Any) -> Frames:
    """A sigmoid stack that hands on nearly a constant; one kernel's gradients have one sign."""
    return run(net or stack("sigmoid"), **{"activations": CONSTANT, "gradients": TOGETHER, **changes})


def test_a_sigmoid_that_hands_on_nearly_a_constant_is_information() -> None:
    finding = the_finding(not_zero_centred, one_signed())
    assert (finding.severity, finding.layer, finding.layers) == ("low", "dense_1", ("dense_1",))
    assert (finding.first_step, finding.last_step) == (0, 225)  # the first ten records
    assert "95% of the gradients of a unit of dense_2 have one sign" in finding.message
    constant = evidence(finding, "constant part of the activations")
    assert constant.value == pytest.approx(0.25 / 0.26)
    assert constant.value > constant.threshold == 0.8
    agreed = evidence(finding, "sign agreement of the next kernel")
    assert agreed.value == pytest.approx(0.95)
    assert agreed.value >= agreed.threshold == 0.85


def test_dropout_between_does_not_hide_it() -> None:
    net = network(Part("dense", activation="sigmoid"), Part("drop", "Dropout", None, None), Part("out"))
    frames = one_signed(net, gradients={"out/kernel": {"sign_agreement": 0.95}})
    assert the_finding(not_zero_centred, frames).layer == "dense"


def test_the_code_gives_the_layer_a_function_centred_on_zero() -> None:
    advised = code(the_finding(not_zero_centred, one_signed()))
    assert 'keras.layers.Dense(64, activation="tanh")  # dense_1' in advised


def test_a_function_that_is_never_positive_is_not_said_to_hand_on_positive_numbers() -> None:
    below = Profile(z_low=-3.0, z_high=3.0, minimum=-1.0, maximum=0.0)
    net = network(Part("dense", activation="minus_sigmoid", profile=below), Part("out"))
    frames = one_signed(
        net, activations={"*": {"mean": -0.5, "sample_std": 0.1}}, gradients={"out/kernel": {"sign_agreement": 0.95}}
    )
    assert "positive" not in the_finding(not_zero_centred, frames).message


def test_a_dropout_that_is_applied_twice_ends_the_search_for_a_dense_layer() -> None:
    edges = [("dense", "drop"), ("drop", "flatten"), ("flatten", "drop")]
    middle = [Part("drop", "Dropout", None, None), Part("flatten", "Flatten", None, None)]
    net = network(Part("dense", activation="sigmoid"), *middle, edges=edges, outputs=["drop"])
    assert nothing(one_signed(net, gradients={}))


def nothing(frames: Frames) -> bool:
    return list(not_zero_centred(frames)) == []


@pytest.mark.parametrize("function", ["tanh", "relu", "leaky_relu", "softplus", "linear", "my_function"])
def test_functions_of_both_signs_or_without_an_upper_end_are_left_alone(function: str) -> None:
    assert nothing(one_signed(stack(function)))


def test_gradients_of_both_signs_are_left_alone() -> None:
    assert nothing(one_signed(gradients={"*": {"sign_agreement": 0.6}}))


def test_activations_that_differ_from_sample_to_sample_are_left_alone() -> None:
    assert nothing(one_signed(activations={"*": {"mean": 0.5, "sample_std": 0.4}}))


def test_what_agrees_only_late_in_the_training_is_noise() -> None:
    late = {"dense_2/kernel": {"sign_agreement": lambda step: 0.95 if step > 150 else 0.6}}
    assert nothing(one_signed(recorded=range(0, 750, 25), gradients=late))


def test_activations_that_become_constant_only_late_in_the_training_are_left_alone() -> None:
    late = {"*": {"mean": 0.5, "sample_std": lambda step: 0.1 if step > 225 else 1.0}}
    assert nothing(one_signed(recorded=range(0, 750, 25), activations=late))


def test_a_convolution_that_reads_it_is_left_alone() -> None:
    net = network(Part("conv", "Conv2D", "sigmoid", (3, 3, 8, 8)), Part("conv_1", "Conv2D", "relu", (3, 3, 8, 8)))
    assert nothing(one_signed(net, gradients={"conv_1/kernel": {"sign_agreement": 0.95}}))


def test_a_graph_that_is_not_known_is_left_alone() -> None:
    net = network(Part("dense", activation="sigmoid"), Part("out"), edges=None)
    assert nothing(one_signed(net, gradients={"out/kernel": {"sign_agreement": 0.95}}))


def test_the_output_is_left_alone() -> None:
    net = network(Part("dense", activation="relu"), Part("out", activation="sigmoid"))
    assert nothing(one_signed(net, gradients={"*": {"sign_agreement": 0.95}}))


def test_an_agreement_that_is_not_known_is_left_alone() -> None:
    assert nothing(one_signed(gradients={"*": {"sign_agreement": math.nan}}))
