"""A loss that jumps up and down."""

import math
from typing import Any

import pytest
from diagnose.answers import NO_BASELINE, code, evidence, the_finding

from gradscope.diagnose.rules.oscillating_loss import oscillating_loss
from gradscope.store.frames import Frames
from gradscope.testing import run, stack

SWINGS = [2.0, 1.2, 2.1, 1.1, 2.0, 1.2, 2.2, 1.3]
LARGE = {"*/kernel": {"update_to_weight_ratio": 0.05}}


def swinging(losses: list[float], **changes: Any) -> Frames:
    return run(stack("relu"), **{"epochs": {"loss": losses}, "gradients": LARGE, **changes})


def test_a_loss_that_swings_by_half_of_itself_is_medium_while_little_is_learnt() -> None:
    finding = the_finding(oscillating_loss, swinging(SWINGS))
    assert (finding.severity, finding.layer, finding.layers) == ("medium", None, ())
    assert finding.last_step == 299
    size = evidence(finding, "median change from epoch to epoch over the loss")
    assert size.value == pytest.approx(0.9 / 1.65)
    assert size.value >= size.threshold == 0.2
    alternates = evidence(finding, "correlation of one change with the next")
    assert not alternates.above
    assert alternates.value <= alternates.threshold == -0.3
    ratio = evidence(finding, "median update-to-weight ratio")
    assert ratio.value == pytest.approx(0.05)
    assert ratio.value >= ratio.threshold == 1e-2


def test_it_is_information_where_the_loss_falls_all_the_same() -> None:
    falls = [1.2, 0.5, 0.9, 0.35, 0.6, 0.3, 0.5, 0.25, 0.4]
    assert the_finding(oscillating_loss, swinging(falls)).severity == "low"


def test_the_code_takes_smaller_steps() -> None:
    assert code(the_finding(oscillating_loss, swinging(SWINGS))) == (
        "keras.optimizers.Adam(learning_rate=0.0001)  # 0.001 now"
    )


def test_a_baseline_is_not_needed() -> None:
    assert the_finding(oscillating_loss, swinging(SWINGS, steps=NO_BASELINE)).rule == "oscillating_loss"


def nothing(frames: Frames) -> bool:
    return list(oscillating_loss(frames)) == []


def test_swings_of_a_tenth_are_the_noise_of_epochs() -> None:
    assert nothing(swinging([2.0, 1.9, 2.0, 1.9, 2.0, 1.9, 2.0]))


def test_a_fall_however_fast_does_not_swing() -> None:
    assert nothing(swinging([2.0, 1.4, 1.0, 0.7, 0.5, 0.35, 0.2]))


def test_one_odd_epoch_is_none() -> None:
    assert nothing(swinging([1.6, 1.2, 0.9, 0.7, 2.0, 0.5, 0.4, 0.3, 0.2]))


def test_a_loss_that_runs_away_does_not_swing() -> None:
    assert nothing(swinging([0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0]))


def test_usual_updates_do_not_overshoot() -> None:
    assert nothing(swinging([loss / 20 for loss in SWINGS], gradients={}))


def test_a_swing_of_a_large_part_of_all_there_is_to_learn_throws_back_what_was_learnt() -> None:
    finding = the_finding(oscillating_loss, swinging([0.3, 0.9, 0.25, 1.0, 0.3, 0.9, 0.2, 1.0, 0.3], gradients={}))
    assert finding.severity == "medium"
    assert evidence(finding, "changes that take the one before back").value == 1.0


def test_five_epochs_are_too_few() -> None:
    assert nothing(swinging(SWINGS[:5]))


def test_a_loss_that_is_lost_is_another_fault() -> None:
    assert nothing(swinging([*SWINGS, math.nan]))


def test_the_noise_of_single_batches_is_not_taken_for_that_of_epochs() -> None:
    noise = [2.0, 1.2] * 6
    assert nothing(swinging([], recorded=range(12), epochs={}, steps={"loss": noise}))
