"""A loss that creeps."""

import math
from typing import Any

import pytest
from diagnose.answers import FLAT_AT_THE_END, LEARNING, NO_BASELINE, code, evidence, the_finding

from gradscope.diagnose.rules.slow_convergence import slow_convergence
from gradscope.store.frames import Frames
from gradscope.testing import run, stack

CREEPS = [2.2 * 0.996**epoch for epoch in range(8)]


def creeping(losses: list[float], **changes: Any) -> Frames:
    return run(stack("relu"), epochs={"loss": losses}, **changes)


def test_a_loss_that_creeps_from_its_first_epoch_on_is_medium() -> None:
    finding = the_finding(slow_convergence, creeping(CREEPS))
    assert (finding.severity, finding.layer, finding.layers) == ("medium", None, ())
    assert finding.message == (
        "The loss creeps: it falls by 0.4% an epoch, with 93% of the loss of a constant answer left."
    )
    fastest = evidence(finding, "largest fall in an epoch")
    assert not fastest.above
    assert fastest.value == pytest.approx(0.004)
    assert fastest.value < fastest.threshold == 0.01
    falling = evidence(finding, "share of the epochs in which the loss fell")
    assert falling.value >= falling.threshold == 0.7
    left = evidence(finding, "share of the baseline loss that is left")
    assert left.value > left.threshold == 0.5


def test_without_a_known_baseline_the_first_loss_is_what_it_is_held_against() -> None:
    assert "of what it began with left" in the_finding(slow_convergence, creeping(CREEPS, steps=NO_BASELINE)).message


def test_the_code_takes_larger_steps() -> None:
    assert "keras.optimizers.Adam(learning_rate=0.01)" in code(the_finding(slow_convergence, creeping(CREEPS)))


def nothing(losses: list[float], **changes: Any) -> bool:
    return list(slow_convergence(creeping(losses, **changes))) == []


def test_a_training_that_was_fast_and_has_come_to_its_end_is_left_alone() -> None:
    assert nothing(FLAT_AT_THE_END["loss"])
    assert nothing([2.2, 1.6, 1.59, 1.58, 1.57, 1.56, 1.55])


def test_a_training_on_its_way_is_left_alone() -> None:
    assert nothing(LEARNING["loss"])


def test_creeping_below_half_of_the_baseline_is_the_end_of_a_training() -> None:
    assert nothing([0.9 * 0.996**epoch for epoch in range(8)])


def test_noise_falls_in_half_of_the_epochs_only() -> None:
    assert nothing([2.2, 2.19, 2.2, 2.195, 2.2, 2.19, 2.2, 2.19])


def test_a_loss_that_does_not_move_does_not_creep() -> None:
    assert nothing([2.3] * 8)


def test_three_epochs_are_too_few() -> None:
    assert nothing(CREEPS[:3])


@pytest.mark.parametrize("odd", [math.nan, math.inf, 0.0, -1.0])
def test_a_loss_that_is_not_positive_and_finite_has_no_pace(odd: float) -> None:
    assert nothing([*CREEPS, odd])


def test_epochs_without_a_loss_tell_nothing() -> None:
    assert list(slow_convergence(run(stack("relu"), epochs={"accuracy": [0.1] * 8}))) == []
