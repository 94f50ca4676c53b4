"""Which finding follows from which."""

import random
from collections.abc import Iterator, Mapping

import pytest

from gradscope.diagnose import checks, rules
from gradscope.diagnose.cause import causes_by_rule, linked
from gradscope.diagnose.diagnosis import diagnose
from gradscope.diagnose.discover import known_rules, rules_in
from gradscope.diagnose.finding import Evidence, Finding, Severity, rank
from gradscope.diagnose.rule import Rule, facts_of, rule
from gradscope.store.frames import Frames, frames_of
from gradscope.testing import run, stack

NET = stack(depth=5)
RULES = known_rules()


def found(
    rule: str, severity: Severity = "high", layer: str | None = None, first_step: int = 0, last_step: int = 100
) -> Finding:
    return Finding(rule, severity, layer, first_step, last_step, "It is so.", (Evidence("number", 1.0, 0.5),))


def test_no_word_of_our_own_rules_and_checks_is_left_out_for_a_circle_and_each_rule_named_exists() -> None:
    ours = {**rules_in(rules), **rules_in(checks)}
    said = {(name, cause) for name in ours for cause in facts_of(ours[name]).follows}
    said |= {(name, cause) for cause in ours for name in facts_of(ours[cause]).explains}
    assert {(name, cause) for name, causes in causes_by_rule(ours).items() for cause in causes} == said
    assert {name for pair in said for name in pair} <= {*ours}
    assert len(said) > 40


def test_a_cause_is_named_where_it_was_found() -> None:
    findings = linked(
        [found("vanishing_gradient", layer="dense"), found("saturated_activation", layer="dense_2")], NET, RULES
    )
    assert {finding.rule: finding.cause for finding in findings} == {
        "saturated_activation": None,
        "vanishing_gradient": "saturated_activation@dense_2",
    }


def test_a_cause_that_was_not_found_is_not_named() -> None:
    assert [
        finding.cause for finding in linked([found("vanishing_gradient"), found("linear_stack", "low")], NET, RULES)
    ] == [
        None,
        None,
    ]


def test_of_several_causes_the_likeliest_is_named() -> None:
    findings = linked([found("vanishing_gradient"), found("dying_relu"), found("saturated_activation")], NET, RULES)
    assert next(f.cause for f in findings if f.rule == "vanishing_gradient") == "saturated_activation"


def test_what_is_mere_information_causes_no_fault() -> None:
    findings = linked([found("vanishing_gradient"), found("saturated_activation", "low")], NET, RULES)
    assert all(finding.cause is None for finding in findings)


def test_information_may_follow_from_information() -> None:
    findings = linked([found("oscillating_loss", "low"), found("exploding_gradient", "low")], NET, RULES)
    assert [finding.cause for finding in findings] == [None, "exploding_gradient"]


def test_what_began_after_all_was_over_is_no_cause() -> None:
    findings = linked([found("vanishing_gradient", last_step=50), found("dying_relu", first_step=60)], NET, RULES)
    assert all(finding.cause is None for finding in findings)


def test_the_severest_come_first_and_what_follows_stands_behind_its_cause() -> None:
    findings = [
        found("linear_stack", "low"),
        found("not_converging"),
        found("update_ratio"),
        found("dying_relu", "medium"),
    ]
    assert [finding.rule for finding in linked(findings, NET, RULES)] == [
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
    assert [finding.layer for finding in linked(findings, NET, RULES)] == ["dense_4", "dense_1", "dense_3"]


def test_a_cause_comes_before_what_follows_from_it() -> None:
    findings = linked([found("not_converging"), found("poor_initialisation", "medium", "dense")], NET, RULES)
    assert [finding.rule for finding in findings] == ["poor_initialisation", "not_converging"]


def test_in_a_chain_of_causes_each_comes_before_the_next() -> None:
    chain = [
        found("poor_initialisation", layer="dense"),
        found("exploding_gradient", layer="dense_3"),
        found("dying_relu", layer="dense_1"),
    ]
    findings = linked(chain, NET, RULES)
    assert {f.rule: f.cause for f in findings}["dying_relu"] == "exploding_gradient@dense_3"
    assert [f.rule for f in findings] == ["poor_initialisation", "exploding_gradient", "dying_relu"]


def test_the_order_in_which_rules_spoke_does_not_matter() -> None:
    findings = [
        found(rule, severity, layer) for rule in RULES for severity, layer in (("high", "dense"), ("low", None))
    ]
    expected = linked(findings, NET, RULES)
    shuffled = random.Random(0).sample(findings, len(findings))
    assert [f.key for f in linked(shuffled, NET, RULES)] == [f.key for f in expected]
    roots = [rank(f.severity) for f in expected if f.cause is None]
    assert roots == sorted(roots, reverse=True)


def test_nothing_found_is_linked_to_nothing() -> None:
    assert linked([], NET, RULES) == []
    assert diagnose(frames_of([])) == []


# ---- Rules of others, which cannot change what ours say


def theirs(**facts: tuple[str, ...]) -> Rule:
    @rule(**facts)  # type: ignore[arg-type]
    def theirs(frames: Frames) -> Iterator[Finding]:
        yield found("theirs")

    return theirs


def with_theirs(**facts: tuple[str, ...]) -> Mapping[str, Rule]:
    return {**RULES, "theirs": theirs(**facts)}


def test_what_another_rule_explains_follows_from_it_unless_a_cause_is_known_that_is_likelier() -> None:
    told = with_theirs(explains=("vanishing_gradient",))
    both = [found("vanishing_gradient"), found("theirs")]
    assert [finding.cause for finding in linked(both, NET, told)] == [None, "theirs"]
    three = linked([*both, found("dying_relu")], NET, told)
    assert next(finding.cause for finding in three if finding.rule == "vanishing_gradient") == "dying_relu"


def test_names_of_rules_that_are_not_there_are_harmless() -> None:
    told = with_theirs(follows=("nowhere", "dying_relu"), explains=("nothing",))
    assert linked([found("theirs"), found("dying_relu")], NET, told)[1].cause == "dying_relu"


def test_a_rule_that_is_passed_has_its_cause_too() -> None:
    findings = diagnose(run(stack()), [theirs(follows=("silent",)), silent])
    assert [finding.key for finding in findings] == ["silent", "theirs"]
    assert findings[1].cause == "silent"


def silent(frames: Frames) -> Iterator[Finding]:
    yield found("silent")


CIRCLES: dict[str, tuple[Mapping[str, Rule], str]] = {
    "itself": (with_theirs(follows=("theirs",)), "'theirs' cannot follow from 'theirs'"),
    "one of ours": (
        with_theirs(follows=("vanishing_gradient",), explains=("dying_relu",)),
        "'dying_relu' cannot follow from 'theirs'",
    ),
    "each other": (
        {"a": theirs(follows=("b",)), "b": theirs(follows=("c",)), "c": theirs(follows=("a",))},
        "'c' cannot follow from 'a'",
    ),
}


@pytest.mark.parametrize("kind", CIRCLES)
def test_what_closes_a_circle_is_left_out_with_a_warning_and_no_finding_is_lost(kind: str) -> None:
    told, message = CIRCLES[kind]
    findings = [found(name) for name in told]
    with pytest.warns(UserWarning, match=message) as caught:
        known = linked(findings, NET, told)
    assert len(caught) == 1
    assert {finding.rule for finding in known} == {*told}
    ours = {finding.key: finding.cause for finding in linked([found(name) for name in RULES], NET, RULES)}
    assert {finding.key: finding.cause for finding in known if finding.key in RULES} == (ours if len(told) > 3 else {})


def test_which_of_a_circle_is_left_out_does_not_depend_on_the_order_of_the_rules() -> None:
    for told, message in CIRCLES.values():
        with pytest.warns(UserWarning, match=message):
            causes = causes_by_rule(told)
        with pytest.warns(UserWarning, match=message):
            assert causes_by_rule(dict(reversed(told.items()))) == causes
