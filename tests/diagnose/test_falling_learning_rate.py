"""A learning rate that fell before anything was learnt."""

import math

import pytest
from diagnose.answers import FLAT_AT_THE_END, STUCK, evidence, the_finding

from gradscope.diagnose.rules.falling_learning_rate import falling_learning_rate
from gradscope.store.frames import Frames
from gradscope.testing import run, stack

FALLS = [5e-3, 5e-3, 1e-3, 1e-4, 1e-5, *[1e-6] * 7]


def nothing(frames: Frames) -> bool:
    return list(falling_learning_rate(frames)) == []


def test_a_rate_that_fell_a_thousandfold_while_nothing_was_learnt_is_high() -> None:
    finding = the_finding(falling_learning_rate, run(stack(), epochs=STUCK, steps={"learning_rate": FALLS}))
    assert (finding.severity, finding.layer, finding.first_step) == ("high", None, 100)
    assert finding.message.startswith("The learning rate fell from 0.005 to 1e-06")
    factor = evidence(finding, "largest learning rate over the latest")
    assert factor.value == pytest.approx(5e3, rel=1e-3)
    assert factor.value >= factor.threshold == 1e3


def test_a_training_that_learns_with_most_before_it_is_medium() -> None:
    slowly = {"loss": [2.1, 2.0, 1.9, 1.8, 1.7, 1.6]}
    frames = run(stack(), epochs=slowly, steps={"learning_rate": FALLS})
    assert the_finding(falling_learning_rate, frames).severity == "medium"


def test_a_training_that_has_learnt_may_end_at_nothing() -> None:
    assert nothing(run(stack(), epochs=FLAT_AT_THE_END, steps={"learning_rate": FALLS}))


def test_a_cosine_that_ends_at_nothing_is_no_reason() -> None:
    cosine = [5e-3 * (1 + math.cos(math.pi * at / 11)) / 2 + 1e-9 for at in range(12)]
    assert nothing(run(stack(), epochs=STUCK, steps={"learning_rate": cosine}))


def test_a_warm_up_is_no_fall() -> None:
    assert nothing(run(stack(), epochs=STUCK, steps={"learning_rate": FALLS[::-1]}))


def test_a_rate_that_is_not_known_is_no_fall() -> None:
    assert nothing(run(stack(), epochs=STUCK, steps={"learning_rate": math.nan}))
