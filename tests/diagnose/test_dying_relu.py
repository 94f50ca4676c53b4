"""Units that are zero on every sample of a window: when they are a fault, and when they are usual."""

import dataclasses
import math
from typing import Any

import numpy as np
import pytest
from diagnose.answers import FLAT_AT_THE_END, LEARNING, STUCK, code, evidence, the_finding

from gradscope.diagnose.rules.dying_relu import dying_relu
from gradscope.network import Network
from gradscope.store.frames import Frames
from gradscope.testing import ADAM, Part, network, run, stack


def dead(share: Any, net: Network | None = None, *, site: str = "dense_2", **changes: Any) -> Frames:
    """A relu stack with this share of dead units in one layer."""
    return run(net or stack("relu"), activations={site: {"dead_unit_fraction": share}}, **changes)


def rising(step: int) -> float:
    """No window is complete before step 50; from 150 on, three of five units are dead."""
    return math.nan if step < 50 else 0.05 if step < 100 else 0.3 if step < 150 else 0.6


def test_half_a_layer_that_dies_while_nothing_is_learnt_is_high() -> None:
    finding = the_finding(dying_relu, dead(rising, epochs=STUCK))
    assert (finding.severity, finding.layer, finding.layers) == ("high", "dense_2", ("dense_2",))
    assert (finding.first_step, finding.last_step) == (100, 275)  # a quarter is dead from 100 on
    assert finding.message == "38 of 64 units of dense_2 have become zero for every sample and get no gradient."
    share, rise = evidence(finding, "dead units"), evidence(finding, "rise since the first window")
    assert share.value == pytest.approx(0.6)
    assert share.value >= share.threshold == 0.25
    assert rise.value == pytest.approx(0.55)
    assert rise.value >= rise.threshold == 0.15


def test_the_code_takes_smaller_steps_and_a_function_that_cannot_die() -> None:
    advised = code(the_finding(dying_relu, dead(rising, epochs=STUCK)))
    assert "keras.optimizers.Adam(learning_rate=0.0001)" in advised
    assert 'keras.layers.Dense(64, activation="leaky_relu", kernel_initializer="he_normal")' in advised


def test_a_third_that_died_while_the_network_learns_is_medium() -> None:
    frames = dead(lambda step: 0.34 if step >= 100 else 0.0)
    assert the_finding(dying_relu, frames).severity == "medium"


def test_half_a_layer_that_is_dead_at_birth_needs_no_rise_and_gets_another_initialiser() -> None:
    born = {"dense_2": {"dead_unit_fraction": 0.75, "inactive_fraction": 0.87}}  # half of what is left is zero
    finding = the_finding(dying_relu, run(stack("relu"), activations=born))
    assert (finding.severity, finding.first_step) == ("medium", 0)
    assert "were zero for every sample from the start" in finding.message
    assert evidence(finding, "dead units").threshold == 0.5
    assert 'keras.layers.Dense(64, activation="relu", kernel_initializer="he_normal")' in code(finding)


def test_the_worst_of_several_layers_is_named_and_the_others_are_counted() -> None:
    frames = run(
        stack("relu"),
        activations={"dense_*": {"dead_unit_fraction": 0.6}, "dense_3": {"dead_unit_fraction": 0.9}},
    )
    finding = the_finding(dying_relu, frames)
    assert finding.layer == "dense_3"
    assert finding.layers == ("dense_1", "dense_2", "dense_3", "dense_4")
    assert finding.message.endswith("; 4 layers are hit in all.")


def test_the_units_that_are_dead_now_are_listed() -> None:
    units = {"dense_2": {3: {"dead": 1.0}, 1: {"dead": 1.0}, 2: {"dead": 0.0}}, "dense_1": {9: {"dead": 1.0}}}
    assert the_finding(dying_relu, dead(0.6, units=units)).units == (1, 3)


def test_a_relu_that_is_a_layer_of_its_own_is_replaced_by_another_such_layer() -> None:
    net = network(Part("dense"), Part("re_lu", "ReLU", "relu", None), Part("out"))
    finding = the_finding(dying_relu, dead(rising, net, site="re_lu"))
    assert finding.layer == "re_lu"
    assert 'keras.layers.Activation("leaky_relu")  # re_lu' in code(finding)


def nothing(frames: Frames) -> bool:
    return list(dying_relu(frames)) == []


def test_the_fifth_that_a_healthy_network_is_born_with_is_left_alone() -> None:
    assert nothing(dead(0.22, epochs=STUCK))


def test_a_rise_that_leaves_four_fifths_of_the_layer_is_left_alone() -> None:
    assert nothing(dead(lambda step: 0.2 if step >= 100 else 0.0))


def test_a_third_that_was_dead_from_the_start_is_left_alone() -> None:
    assert nothing(dead(0.33))


def test_units_that_came_back_to_life_are_left_alone() -> None:
    assert nothing(dead(lambda step: 0.6 if step < 200 else 0.0, epochs=STUCK))


def test_the_output_layer_is_left_alone_as_long_as_the_network_learns() -> None:
    net = network(Part("dense", activation="relu"), Part("out", activation="relu"))
    assert nothing(dead(0.9, net, site="out"))
    assert the_finding(dying_relu, dead(0.9, net, site="out", epochs=STUCK)).layer == "out"


def test_a_layer_that_puts_out_nearly_nothing_but_zeros_counts_as_dead_while_nothing_is_learnt() -> None:
    silent = {"dense_2": {"dead_unit_fraction": 0.1, "inactive_fraction": 0.995}}
    finding = the_finding(dying_relu, run(stack("relu"), activations=silent, epochs=STUCK))
    assert finding.severity == "high"
    assert evidence(finding, "zero entries").value == pytest.approx(0.995)
    assert nothing(run(stack("relu"), activations=silent))


@pytest.mark.parametrize("function", ["leaky_relu", "elu", "gelu", "tanh", "my_function"])
def test_a_function_that_has_no_flat_end_at_zero_has_no_dead_units(function: str) -> None:
    assert nothing(dead(0.9, stack(function), epochs=STUCK))


def test_zeros_are_no_dead_units() -> None:
    zeros = {"*": {"zero_fraction": 0.95, "inactive_fraction": 0.95, "saturated_low_fraction": 0.95}}
    assert nothing(run(stack("relu"), epochs=STUCK, activations=zeros))


def test_before_the_first_window_is_complete_nothing_is_said() -> None:
    assert nothing(dead(math.nan, epochs=STUCK))


def test_a_threshold_can_be_moved() -> None:
    assert nothing(run(stack("relu"), activations={"dense_2": {"dead_unit_fraction": 0.6}})) is False
    assert list(dying_relu(dead(0.6), most=0.7)) == []


def test_the_share_is_that_of_the_last_window_though_the_last_record_lacks_it() -> None:
    shares = np.array([0.0] * 4 + [0.6] * 7 + [math.nan])
    finding = the_finding(dying_relu, dead(shares, epochs=FLAT_AT_THE_END))
    assert evidence(finding, "dead units").value == pytest.approx(0.6)


def test_a_last_record_without_a_share_does_not_move_the_first_step() -> None:
    shares = np.array([0.0] * 4 + [0.6] * 7 + [math.nan])
    assert the_finding(dying_relu, dead(shares)).first_step == 100


# ---- How bad it is

NO_GRADIENT = {"*": {"zero_fraction": 1.0, "norm": 0.0, "rms": 0.0}}


def test_a_whole_layer_that_nothing_can_bring_back_is_high_however_the_loss_fell() -> None:
    finding = the_finding(dying_relu, dead(1.0, epochs=FLAT_AT_THE_END, gradients=NO_GRADIENT))
    assert (finding.severity, finding.irreversible) == ("high", True)


def test_a_whole_layer_whose_inputs_still_change_may_come_back() -> None:
    finding = the_finding(dying_relu, dead(1.0, epochs=FLAT_AT_THE_END))
    assert (finding.severity, finding.irreversible) == ("medium", False)


@pytest.mark.parametrize(
    ("units", "share", "severity"),
    [(2, 0.5, "low"), (8, 0.5, "low"), (8, 0.75, "medium"), (64, 0.5, "medium"), (512, 0.5, "medium")],
)
def test_a_small_layer_of_a_network_that_has_learnt_loses_some_units_by_chance(
    units: int, share: float, severity: str
) -> None:
    net = stack("relu", units=units)
    assert the_finding(dying_relu, dead(share, net, epochs=FLAT_AT_THE_END)).severity == severity


def test_the_same_units_are_a_part_lost_while_it_still_learns() -> None:
    assert the_finding(dying_relu, dead(0.5, stack("relu", units=8), epochs=LEARNING)).severity == "medium"


def shared() -> Network:
    net = stack("relu", depth=2)
    return dataclasses.replace(
        net, sites=(net.sites[0], dataclasses.replace(net.sites[0], key="again"), *net.sites[1:])
    )


def test_a_layer_that_is_applied_twice_is_one_and_a_unit_is_dead_where_it_is_in_both() -> None:
    shares = {"dense": {"dead_unit_fraction": 0.6}, "again": {"dead_unit_fraction": 0.7}}
    finding = the_finding(dying_relu, run(shared(), activations=shares))
    assert evidence(finding, "dead units").value == pytest.approx(0.6)
    assert finding.layers == ("dense",)
    assert "in all" not in finding.message
    assert nothing(run(shared(), activations={"dense": {"dead_unit_fraction": 0.6}}))


def test_of_a_layer_that_is_applied_twice_the_units_are_listed_that_are_dead_in_both() -> None:
    units = {"dense": {1: {"dead": 1.0}, 2: {"dead": 1.0}}, "again": {2: {"dead": 1.0}}}
    shares = {"dense": {"dead_unit_fraction": 0.6}, "again": {"dead_unit_fraction": 0.7}}
    assert the_finding(dying_relu, run(shared(), activations=shares, units=units)).units == (2,)


# ---- Outputs


def rectified(**changes: Any) -> Frames:
    compiled = dataclasses.replace(ADAM, loss="mean_squared_error", from_logits=None)
    net = network(Part("dense", activation="relu"), Part("out", activation="relu", kernel=(64, 1)), compiled=compiled)
    return run(net, activations={"out": {"dead_unit_fraction": 1.0}}, **changes)


def test_an_output_that_is_dead_gets_the_function_that_its_loss_needs() -> None:
    finding = the_finding(dying_relu, rectified(epochs=STUCK, gradients=NO_GRADIENT))
    assert (finding.severity, finding.irreversible) == ("high", True)
    assert finding.message == "The only unit of out is zero for every sample and gets no gradient."
    assert finding.advice[0].code == "keras.layers.Dense(1)  # out"
    assert "leaky_relu" not in code(finding)


def test_an_output_that_is_zero_where_that_was_to_be_learnt_is_left_alone() -> None:
    assert nothing(rectified(epochs=FLAT_AT_THE_END))
