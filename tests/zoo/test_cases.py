"""The zoo's cases are told apart, and its halves are fair: families whole, symptoms in both."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

import pytest

from zoo.case import Case, Training
from zoo.cases import HALVES, all_cases, half, split


def _never_built() -> Training:
    raise AssertionError("a split looks at no model")


def _case(name: str, family: str, *symptoms: str) -> Case:
    return Case(name, family, "made for a test", _never_built, dict.fromkeys(symptoms, ()))


def test_no_two_cases_share_a_name() -> None:
    assert [name for name, count in Counter(case.name for case in all_cases()).items() if count > 1] == []


def test_a_healthy_case_says_what_it_must_reach_and_a_sick_one_has_symptoms() -> None:
    assert [case.name for case in all_cases() if case.healthy != (case.learns is not None)] == []


@pytest.mark.parametrize("kind", ["sick", "healthy"])
def test_the_halves_are_of_about_the_same_size(kind: str) -> None:
    sizes = Counter(half(case) for case in all_cases() if case.healthy == (kind == "healthy"))
    assert max(sizes.values()) <= 1.3 * min(sizes[each] for each in HALVES)


def test_a_symptom_that_two_families_show_is_in_both_halves() -> None:
    families: dict[str, set[str]] = {}
    seen: dict[str, set[str]] = {}
    for case in all_cases():
        for symptom in case.symptoms:
            families.setdefault(symptom, set()).add(case.family)
            seen.setdefault(symptom, set()).add(half(case))
    assert [symptom for symptom in families if len(families[symptom]) > 1 and seen[symptom] != set(HALVES)] == []


def test_the_order_of_the_cases_does_not_matter_to_the_split() -> None:
    cases: list[Any] = all_cases()
    shuffled = random.Random(0).sample(cases, len(cases))
    assert split(shuffled) == split(cases)


def test_two_families_of_a_rare_symptom_are_parted_before_the_common_ones_are_looked_at() -> None:
    common = [_case(f"common {number}", f"common {number}", "often") for number in range(6)]
    halves = split(
        [*common, _case("a", "rare a", "often", "rare"), _case("b", "rare b", "rare"), _case("c", "healthy c")]
    )
    assert halves["rare a"] != halves["rare b"]
    assert Counter(halves[case.family] for case in common) == {"tuning": 3, "held-back": 3}
