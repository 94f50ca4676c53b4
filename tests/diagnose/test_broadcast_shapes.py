"""A loss that holds each answer against every label."""

import dataclasses

from diagnose.answers import STUCK, the_finding

from gradscope.diagnose.rules.broadcast_shapes import broadcast_shapes
from gradscope.network import Network
from gradscope.testing import run, stack

NET = dataclasses.replace(stack(), broadcasts=("the answers have shape (n, 1), the labels (n,)",))


def test_it_is_high_unless_the_training_has_learnt() -> None:
    finding = the_finding(broadcast_shapes, run(NET, epochs=STUCK))
    assert finding.severity == "high"
    assert "the answers have shape (n, 1), the labels (n,), which broadcasts to (n, n)" in finding.message
    assert the_finding(broadcast_shapes, run(NET)).severity == "low"


def test_a_step_without_it_is_left_alone() -> None:
    assert not list(broadcast_shapes(run(stack(), epochs=STUCK)))


def test_it_is_written_and_read() -> None:
    assert Network.from_json(NET.to_json()) == NET
