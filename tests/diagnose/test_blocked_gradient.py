"""Layers that get no gradient at all."""

import math
from typing import Any

from diagnose.answers import FLAT_AT_THE_END, LEARNING, STUCK, code, evidence, only_at, the_finding

from gradscope.diagnose.rules.blocked_gradient import blocked_gradient
from gradscope.network import Network, Profile
from gradscope.store.frames import Frames
from gradscope.testing import Part, network, run, stack

BINARY = Profile(blocked=True, minimum=0.0, maximum=1.0)
CUT = {"connected": 0.0, "norm": math.nan, "rms": math.nan}
HEAD = Part("out", activation="softmax", kernel=(64, 10))


def stepped(profile: Profile = BINARY) -> Network:
    """Three dense layers; the function of the second is a step."""
    return network(
        Part("dense", activation="relu"),
        Part("dense_1", activation="binary", profile=profile),
        Part("dense_2", activation="relu"),
        HEAD,
    )


def cut(net: Network | None = None, **changes: Any) -> Frames:
    """The step cuts itself and the layer before it off."""
    told = {"epochs": STUCK, "gradients": {"dense/*": CUT, "dense_1/*": CUT}, **changes}
    return run(net or stepped(), **told)


def test_the_function_that_cuts_the_layers_before_it_off_is_named() -> None:
    finding = the_finding(blocked_gradient, cut())
    assert (finding.severity, finding.layer, finding.layers) == ("high", "dense_1", ("dense", "dense_1"))
    assert (finding.first_step, finding.last_step) == (0, 275)
    assert finding.message == "binary in dense_1 has slope zero everywhere, so that no gradient reaches dense, dense_1."
    kernels = evidence(finding, "kernels without any gradient")
    assert kernels.value == 2
    assert kernels.value >= kernels.threshold == 1


def test_a_gradient_of_zeros_throughout_behind_such_a_function_counts_as_none() -> None:
    zeros = {"dense/*": {"zero_fraction": 1.0}, "dense_1/*": {"zero_fraction": 1.0}}
    assert the_finding(blocked_gradient, cut(gradients=zeros)).layers == ("dense", "dense_1")


def test_a_part_that_is_cut_off_while_the_rest_learns_is_medium() -> None:
    assert the_finding(blocked_gradient, cut(epochs=LEARNING)).severity == "medium"


def test_no_hidden_layer_that_learns_is_high_though_the_output_learns() -> None:
    net = network(Part("dense", activation="binary", profile=BINARY), HEAD)
    frames = cut(net, epochs=LEARNING, gradients={"dense/*": CUT})
    assert the_finding(blocked_gradient, frames).severity == "high"


def test_weights_that_have_no_part_in_the_loss_are_a_part_lost_while_the_rest_learns() -> None:
    finding = the_finding(blocked_gradient, run(stack("relu"), gradients={"dense_1/*": CUT}))
    assert (finding.severity, finding.layer, finding.irreversible) == ("medium", "dense_1", False)
    assert finding.message.startswith("The loss does not depend on the weights of dense_1")


def test_a_model_of_which_no_weight_has_a_part_in_the_loss_cannot_learn_any_more() -> None:
    finding = the_finding(blocked_gradient, run(stack("relu"), recorded=[0], gradients={"*": CUT}))
    assert (finding.severity, finding.irreversible) == ("high", True)


def test_the_code_gives_the_layer_a_function_with_a_slope() -> None:
    finding = the_finding(blocked_gradient, cut())
    assert code(finding) == 'keras.layers.Dense(64, activation="sigmoid")  # dense_1'


def test_many_layers_are_told_by_the_first_and_the_last() -> None:
    frames = run(stack("relu", depth=8), gradients={f"dense_{index}/*": CUT for index in range(1, 6)})
    assert "dense_1 to dense_5 (5 layers)" in the_finding(blocked_gradient, frames).message


def test_an_output_that_no_loss_uses_does_not_hide_the_function_that_cuts_the_rest_off() -> None:
    net = network(
        Part("dense", activation="binary", profile=BINARY),
        Part("out", activation="softmax"),
        Part("aside", activation="softmax"),
        edges=[("dense", "out"), ("dense", "aside")],
        outputs=["out", "aside"],
    )
    finding = the_finding(blocked_gradient, run(net, gradients={"dense/*": CUT, "aside/*": CUT}))
    assert "binary" in finding.message
    assert finding.severity == "high"


def nothing(frames: Frames) -> bool:
    return list(blocked_gradient(frames)) == []


def test_a_step_with_a_gradient_of_its_own_lets_it_pass() -> None:
    assert nothing(cut(stepped(Profile(minimum=0.0, maximum=1.0)), gradients={}))


def test_a_step_behind_which_a_gradient_arrives_all_the_same_is_left_alone() -> None:
    assert nothing(cut(gradients={}))


def test_frozen_layers_have_no_gradient_by_right() -> None:
    net = network(Part("dense", activation="relu", trainable=False), Part("dense_1", activation="relu"), HEAD)
    assert nothing(run(net, epochs=STUCK))


def test_a_gradient_of_zeros_without_such_a_function_is_another_fault() -> None:
    assert nothing(run(stack("relu"), epochs=STUCK, gradients={"dense/*": {"zero_fraction": 1.0}}))


def test_one_record_without_a_gradient_is_none() -> None:
    frames = run(stack("relu"), epochs=STUCK, gradients={"dense/*": {"connected": only_at(5, 0.0, 1.0)}})
    assert nothing(frames)


def test_a_bias_that_no_loss_uses_is_left_alone() -> None:
    assert nothing(run(stack("relu"), epochs=FLAT_AT_THE_END, gradients={"*/bias": CUT}))


def test_where_it_is_not_known_whether_a_gradient_exists_nothing_is_said() -> None:
    assert nothing(cut(gradients={"*": {"connected": math.nan}}))
