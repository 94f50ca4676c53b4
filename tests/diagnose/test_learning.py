"""Is it learning? Each answer, and what it is held against."""

import dataclasses
import math
from typing import Any

import numpy as np
import pytest
from diagnose.answers import NO_BASELINE, STUCK

from gradscope.diagnose.learning import Learning, is_regularised, learning, severity_of_loss
from gradscope.network import Network
from gradscope.store.frames import frames_of
from gradscope.testing import run, stack

REGULARISED = stack(config={"kernel_regularizer": {"class_name": "L2", "config": {"l2": 0.01}}})
NAN = math.nan


def of(losses: list[float], net: Network | None = None, **changes: Any) -> Learning:
    return learning(run(net or stack(), **{"epochs": {"loss": losses}, **changes}))


@pytest.mark.parametrize(
    ("losses", "state"),
    [
        ([1.8, 1.2, 0.8, 0.6], "learnt"),
        ([1.2, 0.1, 0.1, 0.1, 0.1], "learnt"),  # flat at the end
        ([2.3, 2.2, 2.1, 2.0, 1.9, 1.8], "learning"),
        ([2.31, 2.3, 2.3, 2.3], "stuck"),
        ([50.0, 9.0, 2.4, 2.3, 2.3, 2.3], "stuck"),  # fallen to what a constant answer reaches
        ([1.0, 3.0, 9.0, 9.0], "diverged"),
        ([1.0, 0.9, 0.8, NAN], "diverged"),
        ([1.0, 0.9, 0.8, math.inf], "diverged"),
        ([1.8, 1.2], "unknown"),
        ([NAN, NAN, NAN], "diverged"),
        ([], "unknown"),
    ],
)
def test_the_losses_of_the_epochs_decide(losses: list[float], state: str) -> None:
    assert of(losses, recorded=range(0, 60, 5)).state == state


@pytest.mark.parametrize(
    ("losses", "state"),
    [([5.0, 4.0, 3.0, 2.0], "learnt"), ([5.0, 4.4, 4.3, 4.2], "learning"), ([5.0, 4.9, 4.8, 4.8], "stuck")],
)
@pytest.mark.parametrize("unknown", [{"steps": NO_BASELINE}, {"net": REGULARISED, "steps": {"baseline_loss": 1.0}}])
def test_where_no_baseline_can_be_held_against_it_the_fall_decides(
    losses: list[float], state: str, unknown: dict[str, Any]
) -> None:
    found = of(losses, **unknown)
    assert found.state == state
    assert math.isnan(found.baseline)
    assert found.level == pytest.approx(found.last / found.first)


def test_a_training_is_failing_where_it_is_stuck_or_has_diverged() -> None:
    states = [of(losses).failing for losses in (STUCK["loss"], [1.0, 9.0, 9.0, 9.0], [1.8, 1.2, 0.8], [2.2, 2.0, 1.8])]
    assert states == [True, True, False, False]


def test_without_epochs_a_hundred_steps_are_enough() -> None:
    falls = {"loss": lambda step: 2.3 * 0.99**step}
    assert of([], epochs={}, recorded=range(0, 120, 10), steps=falls).state == "learnt"
    assert of([], epochs={}, recorded=range(0, 24, 2), steps=falls).state == "unknown"


def test_one_odd_batch_does_not_decide() -> None:
    losses = [2.3 * 0.99**step for step in range(0, 250, 10)]
    losses[-1] = 2.3
    assert of([], epochs={}, recorded=range(0, 250, 10), steps={"loss": losses}).state == "learnt"


def test_batches_that_the_loss_scale_skipped_do_not_count() -> None:
    odd = {"loss": [1.0] * 11 + [math.inf], "skipped": [0.0] * 11 + [1.0]}
    assert of([1.8, 1.2, 0.8, 0.6], steps=odd).state == "learnt"


def test_the_start_is_the_larger_of_the_first_batches_and_the_first_epoch() -> None:
    assert of([1.0, 0.9, 0.8], steps={"loss": lambda step: 7.0 if step == 0 else 1.0}).first == 7.0


def test_the_end_is_a_median_of_the_latest_epochs() -> None:
    assert of([1.0] * 6 + [0.2, 5.0, 0.4]).last == pytest.approx(0.4)


def test_what_is_left_is_a_share_of_the_baseline() -> None:
    assert of([2.0, 1.5, 1.0, 1.0], steps={"baseline_loss": 2.0}).level == pytest.approx(0.5)


def test_the_last_step_is_that_of_the_last_epoch_though_it_was_not_recorded() -> None:
    assert of([1.0, 0.9, 0.8]).last_step == 299


def test_epochs_decide_though_the_loss_of_no_batch_is_known() -> None:
    assert of([1.8, 1.2, 0.8, 0.6], steps={"loss": NAN}).state == "learnt"


def test_nothing_recorded_is_unknown() -> None:
    nothing = learning(frames_of([]))
    assert (nothing.state, nothing.last_step) == ("unknown", -1)
    assert math.isnan(nothing.level)


def test_a_regulariser_is_found_whatever_it_regularises() -> None:
    assert is_regularised(stack(config={"activity_regularizer": {"class_name": "L1"}}))
    assert not is_regularised(stack(config={"kernel_regularizer": None}))


def test_a_loss_that_rises_a_little_from_below_zero_has_not_run_away() -> None:
    assert of([-0.1, -0.05, 0.0, 0.01], steps={"loss": -0.1, "baseline_loss": NAN}).state != "diverged"


def test_a_loss_below_zero_that_falls_is_learning() -> None:
    losses = list(np.linspace(-1.0, -5.0, 6))
    assert of(losses, steps={"loss": -1.0, "baseline_loss": NAN}).state == "learnt"


@pytest.mark.parametrize("ended", [True, False])
@pytest.mark.parametrize(
    ("losses", "state"),
    [
        ([400.0, 380.0, 350.0, 310.0], "falling"),  # far above the baseline, and coming down
        ([50.0, 9.0, 2.5, 2.45, 2.4, 2.31], "falling"),  # down to what a constant answer reaches, and on
        ([9.0, 4.0, 3.0, 2.7], "falling"),  # ever less, but still far above
        ([2.9, 2.7, 2.5, 2.31], "falling"),  # next to it, and on its way below
        ([2.42, 2.334, 2.314], "stuck"),  # next to it, where it settles
        ([400.0, 399.9, 399.8, 399.7], "stuck"),  # hardly
        ([400.0, 350.0, 310.0, 320.0], "stuck"),  # not in each epoch
        ([50.0, 9.0, 2.31, 2.305, 2.304, 2.303], "stuck"),  # down to the baseline, where it stands
    ],
)
def test_a_loss_that_comes_down_in_each_of_the_latest_epochs_is_not_stuck(
    losses: list[float], state: str, ended: bool
) -> None:
    found = learning(dataclasses.replace(run(stack(), epochs={"loss": losses}), ended=ended))
    assert (found.state, found.failing) == (state, state == "stuck")


def test_how_many_epochs_are_left_follows_from_the_pace_of_the_latest() -> None:
    found = of([9.0, 4.0, 3.4, 2.8], steps={"baseline_loss": 2.0})
    assert found.epochs_left == 2, "0.6 an epoch from 2.8 to 1.9"
    assert math.isnan(of([2.0, 1.5, 1.0]).epochs_left)


def test_where_no_baseline_is_known_a_fall_in_each_epoch_is_learning() -> None:
    assert of([5.0, 4.9, 4.8, 4.7], steps=NO_BASELINE).state == "learning"


@pytest.mark.parametrize(
    ("losses", "level", "state"),
    [([0.95, 0.9, 0.88, 0.87], 0.35, "learnt"), ([0.99, 0.98, 0.96, 0.96], 0.8, "learning")],
)
def test_what_the_entropy_of_soft_labels_leaves_is_no_loss_to_learn(
    losses: list[float], level: float, state: str
) -> None:
    found = of(losses, steps={"baseline_loss": 1.0, "lowest_loss": 0.8})
    assert (found.level, found.state) == (pytest.approx(level), state)


@pytest.mark.parametrize("scale", [0.0, 32.0, 1 / 32])
def test_logs_of_another_scale_than_the_batches_are_not_held_against_the_baseline(scale: float) -> None:
    learnt = {"loss": lambda step: 2.3 * 0.98**step}
    assert of([2.3 * scale] * 6, steps=learnt).state == "learnt"
    assert of([2.3 * scale] * 6, steps={"loss": 2.3}).state == "stuck"


def test_a_first_epoch_in_which_the_loss_falls_far_is_not_taken_for_another_scale() -> None:
    assert of([5.0, 0.5, 0.4, 0.4], steps={"loss": lambda step: 50.0 if step < 75 else 0.45}).first == 50.0


def test_within_few_steps_nothing_can_be_learnt() -> None:
    assert of([2.31, 2.3, 2.3, 2.3], recorded=range(0, 40, 5)).state == "unknown"
    assert of([2.31, 2.3, 2.3, 2.3], recorded=range(0, 60, 5)).state == "stuck"


def test_a_part_that_is_lost_is_medium_and_most_of_the_network_from_the_start_is_high_while_most_is_left() -> None:
    left, learnt = Learning("learning", 3.0, 2.0, 2.3, 99), Learning("learnt", 3.0, 0.5, 2.3, 99)
    assert severity_of_loss(left, 1, 5, from_start=True) == "medium"
    assert severity_of_loss(left, 3, 5, from_start=False) == "medium"
    assert severity_of_loss(left, 3, 5, from_start=True) == "high"
    assert severity_of_loss(learnt, 5, 5, from_start=True) == "medium"
    assert severity_of_loss(Learning("stuck", 3.0, 2.3, 2.3, 99), 1, 5, from_start=False) == "high"
