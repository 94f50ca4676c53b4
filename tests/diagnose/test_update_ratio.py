"""Updates out of proportion to the weights, with the loss as a witness."""

import dataclasses
import math
from typing import Any

import pytest
from diagnose.answers import FLAT_AT_THE_END, LEARNING, NO_BASELINE, STUCK, code, evidence, the_finding

from gradscope.diagnose.rules.update_ratio import update_ratio
from gradscope.network import Network
from gradscope.store.frames import Frames
from gradscope.testing import ADAM, run, stack


def ratio(value: Any, net: Network | None = None, *, names: str = "*/kernel", **changes: Any) -> Frames:
    """A relu stack whose kernels have this update-to-weight ratio."""
    told = {"epochs": STUCK, "gradients": {names: {"update_to_weight_ratio": value}}, **changes}
    return run(net or stack("relu"), **told)


def test_updates_that_throw_the_weights_about_while_nothing_is_learnt_are_high() -> None:
    finding = the_finding(update_ratio, ratio(0.5))
    assert (finding.severity, finding.layer, finding.layers) == ("high", None, ())
    assert (finding.first_step, finding.last_step) == (0, 275)
    assert (
        finding.message
        == "The learning rate of 0.001 is too high: an update changes the weights by 50% of their own size."
    )
    typical = evidence(finding, "median update-to-weight ratio of the kernels")
    assert typical.above
    assert typical.value == pytest.approx(0.5)
    assert typical.value > typical.threshold == 0.1


def test_updates_that_leave_the_weights_where_they_are_are_high() -> None:
    finding = the_finding(update_ratio, ratio(2e-6))
    assert finding.message.startswith("The learning rate of 0.001 is too low: it takes 500,000 updates")
    typical = evidence(finding, "median update-to-weight ratio of the kernels")
    assert not typical.above
    assert typical.value < typical.threshold == 1e-5


def test_the_code_brings_the_ratio_near_a_thousandth() -> None:
    assert "Adam(learning_rate=1e-06)" in code(the_finding(update_ratio, ratio(0.5)))
    sgd = stack("relu", compiled=dataclasses.replace(ADAM, optimizer="SGD"))
    assert "SGD(learning_rate=0.1)" in code(the_finding(update_ratio, ratio(1e-6, sgd)))


def test_without_a_known_baseline_a_loss_that_does_not_fall_is_enough() -> None:
    assert the_finding(update_ratio, ratio(1e-7, steps=NO_BASELINE)).severity == "high"


def nothing(frames: Frames) -> bool:
    return list(update_ratio(frames)) == []


@pytest.mark.parametrize("value", [0.5, 1e-7])
@pytest.mark.parametrize("epochs", [LEARNING, FLAT_AT_THE_END])
def test_a_network_that_learns_with_the_same_ratio_is_left_alone(value: float, epochs: dict[str, list[float]]) -> None:
    assert nothing(ratio(value, epochs=epochs))


def test_the_usual_ratio_is_no_reason_why_nothing_is_learnt() -> None:
    assert nothing(ratio(1e-3))


def test_two_epochs_are_too_early_to_say() -> None:
    assert nothing(ratio(0.5, recorded=range(12), epochs={"loss": [2.3, 2.3]}))


def test_large_updates_in_fewer_than_three_of_five_records_are_left_alone() -> None:
    assert nothing(ratio(lambda step: 0.5 if step < 150 else 1e-3))


def test_a_warm_up_makes_small_updates_on_purpose() -> None:
    def slow(step: int) -> bool:
        return step < 200

    frames = ratio(
        lambda step: 1e-7 if slow(step) else 1e-3, steps={"learning_rate": lambda step: 1e-7 if slow(step) else 1e-3}
    )
    assert nothing(frames)


def test_a_decay_at_the_end_makes_small_updates_on_purpose() -> None:
    def late(step: int) -> bool:
        return step >= 150

    frames = ratio(
        lambda step: 1e-7 if late(step) else 1e-3, steps={"learning_rate": lambda step: 1e-7 if late(step) else 1e-3}
    )
    assert nothing(frames)


def test_batches_between_two_updates_of_an_accumulation_do_not_count() -> None:
    net = stack("relu", compiled=dataclasses.replace(ADAM, accumulation_steps=4))
    assert nothing(ratio(lambda step: 1e-3 if step % 100 == 75 else 0.0, net))


def test_biases_are_not_judged() -> None:
    assert nothing(ratio(0.9, names="*/bias"))


def test_steps_that_the_loss_scale_skipped_do_not_count() -> None:
    assert nothing(ratio(lambda step: 0.5 if step >= 50 else 1e-3, steps={"skipped": lambda step: float(step >= 50)}))


def test_a_ratio_that_is_not_known_is_left_alone() -> None:
    assert nothing(ratio(math.nan))


def test_a_rate_is_not_too_low_where_one_kernel_moves_as_it_should() -> None:
    """The gradient fades on its way to the others, and larger steps would throw this one about."""
    ratios = {"*": {"update_to_weight_ratio": 1e-7}, "dense_5/kernel": {"update_to_weight_ratio": 1e-3}}
    assert list(update_ratio(run(stack("sigmoid"), epochs=STUCK, gradients=ratios))) == []
    ratios["dense_5/kernel"] = {"update_to_weight_ratio": 5e-5}
    assert "too low" in the_finding(update_ratio, run(stack("sigmoid"), epochs=STUCK, gradients=ratios)).message


def test_far_too_small_steps_of_plain_descent_get_another_optimizer_first() -> None:
    net = stack("relu", compiled=dataclasses.replace(ADAM, optimizer="SGD"))
    small = {"*": {"update_to_weight_ratio": 1e-7}}
    frames = run(net, epochs=STUCK, gradients=small, steps={"learning_rate": 1e-5})
    assert the_finding(update_ratio, frames).advice[0].code == "keras.optimizers.Adam(learning_rate=0.001)"
