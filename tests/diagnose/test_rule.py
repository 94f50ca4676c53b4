"""The facts about a rule stand on its function."""

from collections.abc import Iterator

import pytest

from gradscope import Finding, rule
from gradscope.diagnose.rule import RuleFacts, facts_of
from gradscope.errors import ArgumentError
from gradscope.store.frames import Frames


def plain(frames: Frames) -> Iterator[Finding]:
    yield from ()


def test_a_function_without_facts_is_a_rule_with_the_defaults() -> None:
    facts = facts_of(plain)
    assert facts == RuleFacts(follows=(), explains=(), at_once=False, before_training=False, figure="curves")


def test_the_facts_are_noted_on_the_function_which_stays_as_it_is() -> None:
    def told(frames: Frames) -> Iterator[Finding]:
        yield from ()

    noted = rule(follows=("a", "b"), explains=("c",), at_once=True, before_training=True, figure="units")(told)
    assert noted is told
    assert facts_of(noted) == RuleFacts(("a", "b"), ("c",), True, True, "units")


def test_an_unknown_figure_is_an_error_that_names_the_nearest_and_all() -> None:
    expected = r"figure='unit' is not known. Did you mean 'units'\? Pass one of: curves, heatmap, units, profile, loss."
    with pytest.raises(ArgumentError, match=expected):
        rule(figure="unit")  # type: ignore[arg-type]


@pytest.mark.parametrize("argument", ["follows", "explains"])
def test_one_name_is_no_tuple_of_names(argument: str) -> None:
    with pytest.raises(ArgumentError, match=rf"{argument}='dying_relu' is one name. Pass .*\('dying_relu',\)"):
        rule(**{argument: "dying_relu"})  # type: ignore[arg-type]
