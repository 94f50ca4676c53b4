"""Whether a run passes, and what is refused."""

import findings as made
import pytest

from gradscope.diagnose.verdict import ignored_names, severity_named, verdict
from gradscope.errors import ArgumentError


@pytest.mark.parametrize(("floor", "count"), [("low", 8), ("medium", 7), ("high", 1)])
def test_findings_of_the_floor_and_above_fail(floor: made.Severity, count: int) -> None:
    assert len(verdict("a", made.SICK, floor, ()).failing) == count


def test_a_rule_or_one_of_its_findings_is_ignored() -> None:
    judged = verdict("a", made.SICK, "medium", ("vanishing_gradient", "unchanged_weights@dense_2"))
    assert {finding.key for finding in judged.ignored} == {"vanishing_gradient@dense", "unchanged_weights@dense_2"}
    assert len(judged.failing) == 5


def test_nothing_found_passes() -> None:
    assert verdict("a", (), "low", ()).failing == []


def test_an_unknown_severity_is_refused_with_the_nearest() -> None:
    with pytest.raises(ArgumentError, match=r"fail_on='hihg' is no severity\. Did you mean 'high'"):
        severity_named("hihg", "fail_on")
    with pytest.raises(ArgumentError, match=r"floor=3 is no severity\. Pass 'low', 'medium' or 'high'"):
        severity_named(3, "floor")


def test_rules_to_ignore_are_one_or_many_with_a_layer_or_without() -> None:
    assert ignored_names("dying_relu") == ("dying_relu",)
    assert ignored_names(["dying_relu@a/b@c", "nan_or_inf"]) == ("dying_relu@a/b@c", "nan_or_inf")
    assert ignored_names(()) == ()


@pytest.mark.parametrize(
    ("ignore", "said"),
    [
        (["dying_rulu"], "no rule 'dying_rulu'. Nearest: dying_relu"),
        ("dying_rulu@dense", "no rule 'dying_rulu'"),
        ([3], r"ignore=\[3\] names no rules"),
        (3, "ignore=3 names no rules"),
        (None, "ignore=None names no rules"),
    ],
)
def test_what_is_no_rule_is_refused(ignore: object, said: str) -> None:
    with pytest.raises(ArgumentError, match=said):
        ignored_names(ignore)
