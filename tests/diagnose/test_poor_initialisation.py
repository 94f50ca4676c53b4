"""Weights that were drawn badly, as the first steps show."""

from typing import Any

import pytest
from diagnose.answers import FLAT_AT_THE_END, STUCK, check, code, evidence, the_finding

from gradscope.diagnose.rules.poor_initialisation import poor_initialisation
from gradscope.network import Network
from gradscope.store.frames import Frames
from gradscope.testing import Part, network, run, stack

ONES = {"kernel_initializer": {"class_name": "Ones", "config": {}}}
COPIES = {"*": {"std": 1.0, "sample_std": 1.0}}


def spreads(*values: float, **changes: Any) -> Frames:
    """A relu stack with these spreads over samples at step 0, and even ones from step 25 on."""
    columns = {
        f"dense_{order}" if order else "dense": {"sample_std": lambda step, value=value: value if step == 0 else 1.0}
        for order, value in enumerate(values)
    }
    return run(stack("relu", depth=len(values)), **{"epochs": STUCK, "activations": columns, **changes})


def copies(net: Network | None = None, **changes: Any) -> Frames:
    """A network whose spread is that over samples alone: units do not differ."""
    return run(net or stack("relu", config=ONES), **{"epochs": STUCK, "activations": COPIES, **changes})


def test_a_signal_that_fades_through_the_layers_is_medium_while_nothing_is_learnt() -> None:
    finding = the_finding(poor_initialisation, spreads(1.0, 0.2, 0.04, 0.008, 0.0016))
    assert (finding.severity, finding.layer) == ("medium", "dense_2")
    assert finding.layers == ("dense_2", "dense_3", "dense_4")
    assert (finding.first_step, finding.last_step) == (0, 0)
    assert "fades on its way through the layers: at dense_4 it is 630 times smaller" in finding.message
    uneven = evidence(finding, "spread over samples, largest over smallest along depth")
    assert uneven.value == pytest.approx(625)
    assert uneven.value >= uneven.threshold == 100


def test_a_signal_that_grows_through_the_layers_is_told_as_growing() -> None:
    finding = the_finding(poor_initialisation, spreads(1.0, 5.0, 25.0, 125.0))
    assert "grows on its way through the layers: at dense_3 it is 120 times larger" in finding.message
    assert finding.layers == ("dense_2", "dense_3")


def test_the_code_draws_the_weights_to_match_the_function() -> None:
    advised = code(the_finding(poor_initialisation, spreads(1.0, 5.0, 25.0, 125.0)))
    made = 'keras.layers.Dense(64, activation="relu", kernel_initializer="he_normal")'
    assert advised.startswith(f"{made}  # dense, dense_1, dense_2, dense_3\n")


def test_inputs_that_are_large_are_scaled_first() -> None:
    finding = the_finding(poor_initialisation, spreads(100.0, 1e3, 1e4, 1e5))
    assert finding.advice[0].remedy is not None
    assert finding.advice[0].remedy.kind == "input_scaling"


def test_units_that_were_given_the_same_weights_are_copies() -> None:
    finding = the_finding(poor_initialisation, copies())
    assert (finding.severity, finding.layer, len(finding.layers)) == ("medium", "dense", 5)
    assert finding.message == (
        "All 64 units of dense compute the same, as in 4 more layers: they were given the same weights."
    )
    assert "he_normal" in code(finding)


def test_copies_are_a_part_lost_however_much_the_others_learn() -> None:
    assert the_finding(poor_initialisation, copies(epochs=FLAT_AT_THE_END)).severity == "medium"


def test_a_signal_that_fades_is_information_where_the_network_learns_all_the_same() -> None:
    faded = spreads(1.0, 0.05, 0.001, epochs=FLAT_AT_THE_END)
    assert the_finding(poor_initialisation, faded).severity == "low"


def test_a_dip_and_a_rise_name_the_layer_among_those_concerned() -> None:
    for finding in poor_initialisation(spreads(1.0, 0.02, 3.0)):
        check(finding)


def test_of_copies_and_an_uneven_signal_in_one_network_only_the_copies_are_named() -> None:
    parts = [Part("dense", activation="relu"), *(Part(f"dense_{i}", activation="relu", config=ONES) for i in (1, 2))]
    columns = {f"dense{name}": {"std": 50.0**i, "sample_std": 50.0**i} for i, name in enumerate(["", "_1", "_2"])}
    findings = list(poor_initialisation(run(network(*parts, Part("out")), activations=columns)))
    assert [finding.layer for finding in findings] == ["dense_1"]
    assert "compute the same" in findings[0].message


def nothing(frames: Frames) -> bool:
    return list(poor_initialisation(frames)) == []


def test_one_decade_along_depth_is_left_alone() -> None:
    assert nothing(spreads(1.0, 0.5, 0.25, 0.1))


def test_a_branch_that_begins_at_zero_is_left_alone() -> None:
    assert nothing(spreads(1.0, 0.0, 1.0, 1.0))


def test_two_layers_make_no_depth() -> None:
    assert nothing(spreads(1.0, 1e-6))


def test_what_becomes_uneven_after_the_first_ten_steps_was_not_drawn_so() -> None:
    columns = {"dense_4": {"sample_std": lambda step: 1.0 if step <= 10 else 1e-6}}
    assert nothing(run(stack("relu"), recorded=range(0, 60, 5), epochs=STUCK, activations=columns))


def test_a_recording_that_begins_later_knows_nothing_of_the_beginning() -> None:
    columns = {"dense_4": {"sample_std": 1e-6}}
    assert nothing(run(stack("relu"), recorded=range(100, 400, 25), epochs=STUCK, activations=columns))


def test_units_that_do_not_differ_behind_a_normalisation_were_drawn_at_random() -> None:
    assert nothing(copies(stack("relu")))


def test_copies_that_have_come_apart_are_left_alone() -> None:
    apart = {"*": {"std": lambda step: 1.0 if step < 100 else 1.25, "sample_std": 1.0}}
    assert nothing(copies(activations=apart))


def test_a_single_unit_has_no_copy() -> None:
    parts = [Part(f"dense_{index}", activation="relu", kernel=(1, 1), config=ONES) for index in range(3)]
    assert nothing(copies(network(*parts, Part("out"))))
