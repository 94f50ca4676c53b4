"""Nothing is learnt."""

import dataclasses
import math
from typing import Any

import pytest
from diagnose.answers import FLAT_AT_THE_END, LEARNING, NO_BASELINE, STUCK, code, evidence, the_finding

from gradscope.diagnose.rules.not_converging import not_converging
from gradscope.network import Network
from gradscope.store.frames import Frames
from gradscope.testing import ADAM, run, stack


def training(losses: list[float], net: Network | None = None, **changes: Any) -> Frames:
    return run(net or stack("relu"), epochs={"loss": losses}, **changes)


def test_a_loss_that_stays_at_that_of_a_constant_answer_is_high() -> None:
    finding = the_finding(not_converging, training(STUCK["loss"]))
    assert (finding.severity, finding.layer, finding.layers) == ("high", None, ())
    assert (finding.first_step, finding.last_step) == (0, 299)
    assert "the loss of 2.3 is that of a constant answer (2.3)" in finding.message
    left = evidence(finding, "share of the baseline loss that is left")
    assert left.value == pytest.approx(2.3 / math.log(10))
    assert left.value > left.threshold == 0.95


def test_a_loss_that_has_fallen_from_a_bad_start_to_the_baseline_has_learnt_nothing() -> None:
    assert the_finding(not_converging, training([30.0, 4.0, 2.4, 2.3, 2.3, 2.3, 2.3])).severity == "high"


def test_a_loss_that_has_run_away_is_high() -> None:
    finding = the_finding(not_converging, training([1.8, 1.2, 5.0, 40.0, 80.0, 90.0]))
    assert finding.severity == "high"
    assert finding.message == "The loss has run away: it began at 1.8 and is 85 now."


def test_a_loss_that_is_lost_is_high() -> None:
    finding = the_finding(not_converging, training([1.8, 1.2, 0.9, math.nan, math.nan]))
    assert "is not finite now" in finding.message


def test_without_a_known_baseline_a_loss_that_has_not_fallen_is_medium() -> None:
    finding = the_finding(not_converging, training([5.0, 4.9, 4.8, 4.8, 4.7, 4.7], steps=NO_BASELINE))
    assert finding.severity == "medium"
    assert math.isnan(evidence(finding, "share of the baseline loss that is left").threshold)


def test_the_code_tries_another_learning_rate_and_ten_samples() -> None:
    advised = code(the_finding(not_converging, training(STUCK["loss"])))
    assert "keras.optimizers.Adam(learning_rate=0.0001)" in advised
    assert "model.fit(x[:10], y[:10], epochs=200)" in advised


def test_a_loss_far_above_a_constant_answer_is_not_said_to_be_that_of_one() -> None:
    finding = the_finding(not_converging, training([90.0, 88.0, 87.0, 86.0, 86.0, 86.0]))
    assert "the loss of 86 is that of a constant answer" not in finding.message


def nothing(frames: Frames) -> bool:
    return list(not_converging(frames)) == []


def test_a_training_on_its_way_is_left_alone() -> None:
    assert nothing(training(LEARNING["loss"]))


def test_a_training_that_has_learnt_and_is_flat_at_the_end_is_left_alone() -> None:
    assert nothing(training(FLAT_AT_THE_END["loss"]))


def test_without_a_known_baseline_a_loss_that_falls_is_left_alone() -> None:
    assert nothing(training(LEARNING["loss"], steps=NO_BASELINE))


def test_a_regularised_loss_above_the_baseline_that_falls_is_left_alone() -> None:
    net = stack("relu", config={"kernel_regularizer": {"class_name": "L2", "config": {"l2": 0.01}}})
    assert nothing(training([9.0, 8.0, 7.0, 6.0, 5.0, 4.5], net))


def test_two_epochs_are_too_early_to_say() -> None:
    assert nothing(training([2.3, 2.3], recorded=range(0, 60, 5)))


def test_a_loss_that_still_falls_is_told_when_the_training_has_ended_with_the_epochs_that_it_needs() -> None:
    frames = training([9.0, 4.0, 3.4, 2.8], steps={"baseline_loss": 2.0})
    finding = the_finding(not_converging, frames)
    assert finding.severity == "medium"
    assert "still falls" in finding.message
    assert "2 more epochs at this pace" in finding.message
    assert list(not_converging(dataclasses.replace(frames, ended=False))) == []


# ---- What is advised


def kinds(frames: Frames) -> list[str | None]:
    (finding,) = not_converging(frames)
    return [item.remedy and item.remedy.kind for item in finding.advice]


MSE = dataclasses.replace(ADAM, loss="mean_squared_error", from_logits=None)


def test_data_come_first_and_another_rate_last() -> None:
    assert kinds(run(stack("relu"), epochs=STUCK)) == ["input_scaling", "data", "learning_rate"]


def test_targets_that_are_far_from_one_are_scaled_before_all_else() -> None:
    variance = 1e6
    frames = run(stack("relu", compiled=MSE), epochs={"loss": [variance] * 6}, steps={"baseline_loss": variance})
    assert kinds(frames)[0] == "target_scaling"
    frames = run(stack("relu", compiled=MSE), epochs={"loss": [1.0] * 6}, steps={"baseline_loss": 1.0})
    assert kinds(frames)[0] == "input_scaling"


def test_a_loss_that_still_falls_needs_more_epochs() -> None:
    falling = {"loss": [3.2, 3.1, 3.0, 2.9, 2.8, 2.7]}
    assert kinds(run(stack("relu"), epochs=falling))[0] == "code"


def test_data_are_checked_for_values_that_are_not_finite_only_where_the_loss_is_not() -> None:
    assert "check" not in " ".join(
        str(item.remedy) for f in not_converging(run(stack(), epochs=STUCK)) for item in f.advice
    )
