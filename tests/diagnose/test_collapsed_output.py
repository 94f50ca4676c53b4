"""Answers that have become all alike."""

from typing import Any

from diagnose.answers import NO_BASELINE, STUCK, evidence, the_finding

from gradscope.diagnose.rules.collapsed_output import collapsed_output
from gradscope.store.frames import Frames
from gradscope.testing import Part, network, run

NET = network(Part("dense", activation="relu"), Part("embedding"))
FALLS = [1.0, 0.5, 0.1, 0.01, *[1e-4] * 8]


def embedded(spread: Any = FALLS, **changes: Any) -> Frames:
    told = {"epochs": STUCK, "steps": NO_BASELINE, "activations": {"embedding": {"sample_std": spread}}, **changes}
    return run(NET, **told)


def nothing(frames: Frames) -> bool:
    return list(collapsed_output(frames)) == []


def test_embeddings_that_became_alike_are_named() -> None:
    finding = the_finding(collapsed_output, embedded())
    assert (finding.severity, finding.layer) == ("high", "embedding")
    now = evidence(finding, "spread over samples over the RMS of the output")
    assert now.value <= now.threshold == 1e-2
    assert not now.above


def test_where_the_loss_has_fallen_they_are_lost_all_the_same() -> None:
    assert the_finding(collapsed_output, embedded(epochs=None)).severity == "medium"


def test_answers_that_are_all_zero_are_alike() -> None:
    zeros = {"embedding": {"sample_std": [1.0, 0.5, *[0.0] * 10], "rms": [1.0, 1.0, *[0.0] * 10]}}
    assert the_finding(collapsed_output, embedded(activations=zeros)).layer == "embedding"


def test_answers_that_differ_are_left_alone() -> None:
    assert nothing(embedded(0.2))


def test_answers_that_were_alike_from_the_start_have_not_collapsed() -> None:
    assert nothing(embedded(1e-3))


def test_samples_that_are_alike_explain_it() -> None:
    alike = {"*": {"sample_std": FALLS}}
    assert nothing(embedded(activations=alike))


def test_where_a_constant_answer_has_a_loss_the_loss_tells() -> None:
    assert nothing(embedded(steps={}))
