"""A small part of the zoo, trained anew: the labels hold, the sick are named and the healthy are left alone.

The whole of it, over several seeds, is a study of its own: see README.md.
"""

from pathlib import Path

import pytest

from zoo.cases import HALVES, all_cases, half
from zoo.confirm import confirm
from zoo.measurement import load
from zoo.record import record
from zoo.score import BEGIN, END, ROOT, Count, Verdict, detection, naming, ours, wilson

CASES = {case.name: case for case in all_cases()}
SICK = [
    "eight sigmoid layers",
    "kernel of minus a half",
    "steep sigmoid",
    "hidden signs",
    "prices in full",
    "convolutions at a crawl",
]
HEALTHY = [
    "sparse_relu_biased_below_zero",
    "tanh_wide_weights",
    "converged_plane",
    "float16_skipped_steps",
    "resnet_gamma_zero",
    "activation_sigmoid_wide_weights",
]


@pytest.mark.filterwarnings("default")  # the user's own, of gradients that do not exist, are part of what is tested
@pytest.mark.parametrize("name", SICK)
def test_what_is_wrong_with_a_sick_training_is_named(name: str, tmp_path: Path) -> None:
    case = CASES[name]
    assert record(name, 0, tmp_path).error == ""
    assert [str(c) for c in confirm(case, load(tmp_path / name / "measurement.npz")) if not c.confirmed] == []
    named = {f.rule: f for f in ours(case, tmp_path / name).findings if f.severity != "low"}
    right = set(case.symptoms) & set(named)
    assert right
    assert all(named[rule].layer in case.symptoms[rule] for rule in right if case.symptoms[rule])


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("name", HEALTHY)
def test_a_healthy_training_is_left_alone(name: str, tmp_path: Path) -> None:
    case = CASES[name]
    recorded = record(name, 0, tmp_path)
    assert (recorded.error, recorded.note) == ("", "")
    assert [str(c) for c in confirm(case, load(tmp_path / name / "measurement.npz")) if not c.confirmed] == []
    assert not ours(case, tmp_path / name).alarmed


def test_every_symptom_lies_in_both_halves_and_every_family_in_one() -> None:
    halves = {part: {rule for c in CASES.values() if half(c) == part for rule in c.symptoms} for part in HALVES}
    lacking = {rule for case in CASES.values() for rule in case.symptoms} - (halves["tuning"] & halves["held-back"])
    assert {rule for rule in lacking if len({c.family for c in CASES.values() if rule in c.symptoms}) > 1} == set()
    assert all(len({half(c) for c in CASES.values() if c.family == family}) == 1 for family in families())


def families() -> set[str]:
    return {case.family for case in CASES.values()}


def test_there_are_at_least_sixty_sick_and_sixty_healthy_cases_and_each_says_where_it_is_from() -> None:
    assert sum(case.healthy for case in CASES.values()) >= 60
    assert sum(not case.healthy for case in CASES.values()) >= 60
    assert all(case.source for case in CASES.values())


# ---- The score


def test_the_interval_of_a_share_is_that_of_wilson() -> None:
    low, high = wilson(0.5, 100)
    assert (low, high) == (pytest.approx(0.4038, abs=1e-4), pytest.approx(0.5962, abs=1e-4))


def test_alarms_are_counted_on_the_sick_and_the_healthy() -> None:
    sick, healthy = CASES["steep sigmoid"], CASES["converged_plane"]
    layer = frozenset(next(iter(sick.symptoms.values()))[:1])
    verdicts = [
        Verdict(sick, True, layer),
        Verdict(sick, False, frozenset()),
        Verdict(healthy, True, frozenset()),
        Verdict(healthy, False, frozenset()),
    ]
    counts = {name: (count.hits, count.of) for name, count in detection(verdicts).items()}
    assert counts == {"precision": (1, 2), "recall": (1, 2), "false alarms": (1, 2), "right layer": (1, 2)}


def test_a_symptom_that_is_not_named_is_a_miss() -> None:
    counts = naming([Verdict(CASES["steep sigmoid"], False, frozenset())])
    assert counts["symptoms named"].of == len(CASES["steep sigmoid"].symptoms)
    assert counts["symptoms named"].hits == 0


def test_a_share_of_nothing_is_no_number() -> None:
    assert str(Count()) == "–"


def test_the_readme_shows_the_first_table_of_the_half_held_back() -> None:
    shown, whole = (
        (ROOT / path).read_text(encoding="utf-8").partition(BEGIN)[2].partition(END)[0].strip()
        for path in ("README.md", "tests/zoo/README.md")
    )
    assert "| tool |" in shown
    assert shown in whole
