"""Bounded functions in their flat ends."""

import dataclasses
from typing import Any

import pytest
from diagnose.answers import FLAT_AT_THE_END, LEARNING, STUCK, code, evidence, only_at, the_finding

from gradscope.diagnose.rules.saturated_activation import saturated_activation
from gradscope.network import Network
from gradscope.store.frames import Frames
from gradscope.testing import Part, network, run, stack


def saturated(share: Any, net: Network | None = None, *, site: str = "dense_1", **changes: Any) -> Frames:
    """A tanh stack of which one layer has this share of entries in its tails, all in the upper."""
    columns = {"saturated_fraction": share, "saturated_low_fraction": 0.0, "saturated_high_fraction": share}
    return run(net or stack("tanh"), **{"activations": {site: columns}, "epochs": STUCK, **changes})


def test_a_saturated_layer_is_high_while_nothing_is_learnt() -> None:
    finding = the_finding(saturated_activation, saturated(0.9))
    assert (finding.severity, finding.layer, finding.layers) == ("high", "dense_1", ("dense_1",))
    assert (finding.first_step, finding.last_step) == (0, 275)
    assert finding.message.startswith("90% of the entries of dense_1 lie at the upper end of tanh")
    share = evidence(finding, "saturated entries")
    assert share.value == pytest.approx(0.9)
    assert share.value >= share.threshold == 0.7


def test_the_same_is_a_part_lost_while_the_network_learns() -> None:
    assert the_finding(saturated_activation, saturated(0.9, epochs=LEARNING)).severity == "medium"


def test_a_part_whose_units_tell_samples_apart_is_information_where_the_network_has_learnt() -> None:
    assert the_finding(saturated_activation, saturated(0.9, epochs=FLAT_AT_THE_END)).severity == "low"
    stuck = {"dense_1": {"stuck_unit_fraction": 0.6}}
    assert (
        the_finding(saturated_activation, saturated(0.9, epochs=FLAT_AT_THE_END, activations=stuck)).severity
        == "medium"
    )


def test_most_layers_from_the_start_are_high_while_most_is_left_to_learn() -> None:
    columns = {"*": {"saturated_fraction": 0.8}}
    for epochs, severity in ((LEARNING, "high"), (FLAT_AT_THE_END, "medium")):
        frames = run(stack("tanh", depth=3), epochs=epochs, activations=columns)
        assert the_finding(saturated_activation, frames).severity == severity


def test_a_layer_that_is_applied_twice_is_told_once_and_is_saturated_where_it_is_in_both() -> None:
    net = stack("tanh", depth=2)
    again = dataclasses.replace(net.sites[0], key="dense/again")
    net = dataclasses.replace(net, sites=(net.sites[0], again, *net.sites[1:]))
    for second, count in ((0.1, 0), (0.8, 1)):
        columns = {"dense": {"saturated_fraction": 0.9}, "dense/again": {"saturated_fraction": second}}
        found = list(saturated_activation(run(net, epochs=STUCK, activations=columns)))
        assert len(found) == count
        assert all(finding.layers == ("dense",) and "layers" not in finding.message for finding in found)


@pytest.mark.parametrize(
    ("low", "high", "where"),
    [(0.8, 0.1, "the lower end"), (0.1, 0.8, "the upper end"), (0.5, 0.4, "one end or the other")],
)
def test_the_end_is_told(low: float, high: float, where: str) -> None:
    columns = {"saturated_fraction": 0.9, "saturated_low_fraction": low, "saturated_high_fraction": high}
    frames = run(stack("sigmoid"), epochs=STUCK, activations={"dense": columns})
    assert f"lie at {where} of sigmoid" in the_finding(saturated_activation, frames).message


def test_half_of_the_units_in_one_tail_on_every_sample_are_enough() -> None:
    frames = run(stack("tanh"), epochs=STUCK, activations={"dense_1": {"stuck_unit_fraction": 0.55}})
    units = evidence(the_finding(saturated_activation, frames), "units in one tail on every sample")
    assert units.value == pytest.approx(0.55)
    assert units.value >= units.threshold == 0.5


def test_the_worst_of_several_layers_is_named() -> None:
    columns = {"*": {"saturated_fraction": 0.8}, "dense_2": {"saturated_fraction": 0.95}}
    finding = the_finding(saturated_activation, run(stack("tanh", depth=3), epochs=STUCK, activations=columns))
    assert finding.layer == "dense_2"
    assert finding.layers == ("dense", "dense_1", "dense_2")
    assert "(3 layers are saturated)" in finding.message


def test_the_code_normalises_and_changes_the_function() -> None:
    advised = code(the_finding(saturated_activation, saturated(0.9)))
    assert (
        'keras.layers.Dense(64), keras.layers.LayerNormalization(), keras.layers.Activation("tanh")  # dense_1'
        in advised
    )
    assert 'keras.layers.Dense(64, activation="relu", kernel_initializer="he_normal")' in advised


def nothing(frames: Frames) -> bool:
    return list(saturated_activation(frames)) == []


def test_a_third_of_the_entries_in_the_tails_is_usual_in_a_tanh_network() -> None:
    assert nothing(saturated(0.35))


def test_a_confident_output_is_saturated_by_right() -> None:
    net = network(Part("dense", activation="tanh"), Part("out", activation="sigmoid", kernel=(64, 1)))
    assert nothing(saturated(0.99, net, site="out"))


@pytest.mark.parametrize("function", ["relu", "leaky_relu", "elu", "gelu", "softplus", "my_function"])
def test_a_function_that_is_flat_on_one_side_only_is_left_alone(function: str) -> None:
    assert nothing(saturated(0.9, stack(function)))


def test_a_relu6_of_which_most_entries_are_zero_is_no_worse_than_a_relu() -> None:
    columns = {"saturated_fraction": 0.75, "saturated_low_fraction": 0.75, "saturated_high_fraction": 0.0}
    assert nothing(run(stack("relu6"), epochs=STUCK, activations={"*": columns}))


def test_one_odd_record_is_none() -> None:
    assert nothing(saturated(only_at(-1, 0.99, 0.1)))


def test_what_has_come_out_of_its_tails_is_left_alone() -> None:
    assert nothing(saturated(lambda step: 0.9 if step < 150 else 0.1))


def test_steps_that_the_loss_scale_skipped_do_not_count() -> None:
    assert nothing(
        saturated(lambda step: 0.9 if step >= 175 else 0.1, steps={"skipped": lambda step: float(step >= 175)})
    )


def test_a_first_layer_that_is_saturated_from_the_start_is_told_to_scale_its_inputs() -> None:
    first = the_finding(saturated_activation, saturated(0.9, site="dense"))
    later = the_finding(saturated_activation, saturated(0.9, site="dense_2"))
    assert "normalisation.adapt(x)" in first.advice[0].code
    assert "normalisation.adapt(x)" not in code(later)
    assert "Take smaller steps" not in " ".join(advice.text for advice in first.advice)
