"""Which finding follows from which."""

import graphlib
import random

from gradscope.diagnose.cause import FOLLOWS, linked
from gradscope.diagnose.diagnosis import diagnose
from gradscope.diagnose.discover import known_rules
from gradscope.diagnose.finding import Evidence, Finding, Severity, rank
from gradscope.store.frames import frames_of
from gradscope.testing import stack

NET = stack(depth=5)


def found(
    rule: str, severity: Severity = "high", layer: str | None = None, first_step: int = 0, last_step: int = 100
) -> Finding:
    return Finding(rule, severity, layer, first_step, last_step, "It is so.", (Evidence("number", 1.0, 0.5),))


def test_no_rule_follows_from_itself_however_far_around() -> None:
    list(graphlib.TopologicalSorter(FOLLOWS).static_order())  # raises CycleError, naming the circle


def test_every_rule_that_is_named_exists() -> None:
    assert {*FOLLOWS}.union(*FOLLOWS.values()) <= set(known_rules())


def test_a_cause_is_named_where_it_was_found() -> None:
    findings = linked([found("vanishing_gradient", layer="dense"), found("saturated_activation", layer="dense_2")], NET)
    assert {finding.rule: finding.cause for finding in findings} == {
        "saturated_activation": None,
        "vanishing_gradient": "saturated_activation@dense_2",
    }


def test_a_cause_that_was_not_found_is_not_named() -> None:
    assert [finding.cause for finding in linked([found("vanishing_gradient"), found("linear_stack", "low")], NET)] == [
        None,
        None,
    ]


def test_of_several_causes_the_likeliest_is_named() -> None:
    findings = linked([found("vanishing_gradient"), found("dying_relu"), found("saturated_activation")], NET)
    assert next(f.cause for f in findings if f.rule == "vanishing_gradient") == "saturated_activation"


def test_what_is_mere_information_causes_no_fault() -> None:
    findings = linked([found("vanishing_gradient"), found("saturated_activation", "low")], NET)
    assert all(finding.cause is None for finding in findings)


def test_information_may_follow_from_information() -> None:
    findings = linked([found("oscillating_loss", "low"), found("exploding_gradient", "low")], NET)
    assert [finding.cause for finding in findings] == [None, "exploding_gradient"]


def test_what_began_after_all_was_over_is_no_cause() -> None:
    findings = linked([found("vanishing_gradient", last_step=50), found("dying_relu", first_step=60)], NET)
    assert all(finding.cause is None for finding in findings)


def test_the_severest_come_first_and_what_follows_stands_behind_its_cause() -> None:
    findings = [
        found("linear_stack", "low"),
        found("not_converging"),
        found("update_ratio"),
        found("dying_relu", "medium"),
    ]
    assert [finding.rule for finding in linked(findings, NET)] == [
        "update_ratio",
        "dying_relu",
        "not_converging",
        "linear_stack",
    ]


def test_of_equals_the_earliest_comes_first_and_then_that_nearest_to_the_input() -> None:
    findings = [
        found("update_ratio", layer="dense_3", first_step=5),
        found("update_ratio", layer="dense_1", first_step=5),
        found("update_ratio", layer="dense_4", first_step=0),
    ]
    assert [finding.layer for finding in linked(findings, NET)] == ["dense_4", "dense_1", "dense_3"]


def test_a_cause_comes_before_what_follows_from_it() -> None:
    findings = linked([found("not_converging"), found("poor_initialisation", "medium", "dense")], NET)
    assert [finding.rule for finding in findings] == ["poor_initialisation", "not_converging"]


def test_in_a_chain_of_causes_each_comes_before_the_next() -> None:
    chain = [
        found("poor_initialisation", layer="dense"),
        found("exploding_gradient", layer="dense_3"),
        found("dying_relu", layer="dense_1"),
    ]
    findings = linked(chain, NET)
    assert {f.rule: f.cause for f in findings}["dying_relu"] == "exploding_gradient@dense_3"
    assert [f.rule for f in findings] == ["poor_initialisation", "exploding_gradient", "dying_relu"]


def test_the_order_in_which_rules_spoke_does_not_matter() -> None:
    findings = [
        found(rule, severity, layer) for rule in FOLLOWS for severity, layer in (("high", "dense"), ("low", None))
    ]
    expected = linked(findings, NET)
    shuffled = random.Random(0).sample(findings, len(findings))
    assert [f.key for f in linked(shuffled, NET)] == [f.key for f in expected]
    roots = [rank(f.severity) for f in expected if f.cause is None]
    assert roots == sorted(roots, reverse=True)


def test_nothing_found_is_linked_to_nothing() -> None:
    assert linked([], NET) == []
    assert diagnose(frames_of([])) == []
