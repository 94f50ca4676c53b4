"""Is it learning? Each answer, and what it is held against."""

import dataclasses
import math
from typing import Any

import numpy as np
import pytest
from diagnose.answers import NO_BASELINE, STUCK

from gradscope.diagnose.learning import Learning, is_regularised, learning
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


@pytest.mark.parametrize(
    ("losses", "state"),
    [
        ([400.0, 380.0, 350.0, 310.0], "unknown"),  # far above the baseline, and coming down
        ([400.0, 399.9, 399.8, 399.7], "stuck"),  # hardly
        ([400.0, 350.0, 310.0, 320.0], "stuck"),  # not in each epoch
        ([50.0, 9.0, 2.5, 2.45, 2.4, 2.31], "stuck"),  # down to what a constant answer reaches
    ],
)
def test_while_a_training_goes_on_a_loss_that_falls_towards_the_baseline_is_not_judged(
    losses: list[float], state: str
) -> None:
    frames = run(stack(), epochs={"loss": losses})
    assert learning(frames).state == "stuck", "when it has ended, it has learnt nothing"
    assert learning(dataclasses.replace(frames, ended=False)).state == state
