"""What the schema tells of its columns: enough for each medium to show them, and no two alike."""

from collections import Counter

import pytest

from gradscope.records import Costs
from gradscope.schema import COSTS, HEADLINE, OVER_LAYERS, STATISTICS, TABLES, UNITS, unit_state


def test_no_two_statistics_are_called_alike() -> None:
    for called in ("title", "short"):
        counts = Counter(getattr(statistic.column, called) for statistic in STATISTICS.values())
        assert [name for name, count in counts.items() if count > 1] == []


def test_what_is_said_of_a_column_is_a_sentence_and_its_title_none() -> None:
    for column in (*COSTS, *(column for table in TABLES.values() for column in (*table.keys, *table.statistics))):
        assert all(text.endswith(".") for text in (column.meaning, column.reading) if text)
        assert column.meaning
        assert not column.title.endswith(".")


def test_the_headline_is_shown_over_layers_and_stands_first() -> None:
    assert OVER_LAYERS[: len(HEADLINE)] == HEADLINE
    assert all(statistic.column.reading for statistic in OVER_LAYERS)


def test_the_parts_of_the_cost_are_those_that_are_recorded() -> None:
    of_costs = [name for name in Costs.__dataclass_fields__ if name.endswith("_seconds")]
    assert [part.name for part in COSTS] == [name for name in of_costs if name != "training_seconds"]


@pytest.mark.parametrize(
    ("found", "state"),
    [
        ({}, "active"),
        ({"saturated_high_fraction": 1.0, "saturated_low_fraction": float("nan")}, "stuck"),
        ({"saturated_high_fraction": 0.99}, "active"),
        ({"dead": 1.0, "saturated_low_fraction": 1.0}, "dead"),
        ({"dead": 1.0, "confirmed": 1.0}, "confirmed"),
        ({"confirmed": 1.0}, "active"),
    ],
)
def test_a_unit_is_in_the_worst_state_that_is_known_of_it(found: dict[str, float], state: str) -> None:
    assert unit_state({**dict.fromkeys(UNITS.statistic_names, 0.0), **found}) == state
