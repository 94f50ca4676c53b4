"""The page of a rule is made of its docstring."""

from collections.abc import Iterator

import pytest
from rich.cells import cell_len

from gradscope import Finding, rule
from gradscope.diagnose.discover import known_rules
from gradscope.report.terminal.rule import first_line, rule_list, rule_page
from gradscope.store.read import Frames


@rule(
    follows=("poor_harvest", "long_winter", "many_mouths_to_feed", "another_rule_of_a_long_name"), explains=("theft",),
    at_once=True, before_training=True,
)  # fmt: skip
def hungry(frames: Frames, *, floor: float = 0.25, most: float = 3) -> Iterator[Finding]:
    """See a network that eats
    its data.

    It reads ``x`` and forgets it, which is a sentence that is long enough to be written on two lines of a screen.

    What to try:
    - feed it
    - feed it something else, of which there is so much that the line does not suffice and has to be broken

    Args:
        frames: The run.
        floor: Share of the data that is left, fraction; a line that is so long that the column of what it means is
            filled twice.
        most: Meals.

    Yields:
        What was found.

    Source:
        Everyone, "On hunger", 2020.
    """
    yield from ()


def undocumented(frames: Frames) -> Iterator[Finding]:
    yield from ()


def test_the_page_holds_the_prose_and_the_thresholds_and_not_the_code() -> None:
    assert rule_page("hungry", hungry).splitlines() == [
        "hungry",
        "",
        "See a network that eats its data.",
        "",
        "It reads `x` and forgets it, which is a sentence that is long enough to be",
        "written on two lines of a screen.",
        "",
        "What to try:",
        "- feed it",
        "- feed it something else, of which there is so much that the line does not",
        "  suffice and has to be broken",
        "",
        "Source:",
        '    Everyone, "On hunger", 2020.',
        "",
        "May follow from, the likeliest first: poor_harvest, long_winter,",
        "many_mouths_to_feed, another_rule_of_a_long_name.",
        "",
        "May explain: theft.",
        "",
        "Before a training: `gradscope.preflight` asks it, too.",
        "",
        "During a training: told at the first look.",
        "",
        "Thresholds:",
        "  floor  0.25  Share of the data that is left, fraction; a line that is so long",
        "               that the column of what it means is filled twice.",
        "  most      3  Meals.",
        "",
        "To use another one:",
        "  run.diagnose(hungry={'floor': 0.25})",
    ]


def test_a_rule_without_a_description_says_so() -> None:
    assert rule_page("undocumented", undocumented) == "undocumented\n\nIt has no description."


def test_a_name_that_is_no_word_of_python_can_be_passed_too() -> None:
    assert rule_page("my-rule", hungry).endswith("run.diagnose(**{'my-rule': {'floor': 0.25}})")


def test_the_list_has_an_entry_a_rule() -> None:
    assert first_line(hungry) == "See a network that eats its data."
    lines = rule_list({"hungry": hungry, "undocumented": undocumented}, width=40).splitlines()
    assert lines == [
        "hungry        See a network that eats",
        "              its data.",
        "undocumented  It has no description.",
    ]


@pytest.mark.parametrize("name", list(known_rules()))
def test_every_page_stays_within_80_columns_and_shows_its_thresholds(name: str) -> None:
    page = rule_page(name, known_rules()[name])
    assert max(map(cell_len, page.splitlines())) <= 80
    assert "Args:" not in page
