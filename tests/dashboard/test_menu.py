from itertools import pairwise

import pytest

from gradscope import schema
from gradscope_dashboard import menu


def test_every_statistic_of_every_table_with_steps_can_be_shown_once() -> None:
    expected = {
        f"{table}.{column.name}"
        for table in ("activations", "gradients", "steps")
        for column in schema.TABLES[table].statistics
    }
    listed = [statistic["id"] for statistic in menu.statistics()]
    assert len(listed) == len(expected)
    assert set(listed) == expected


def test_the_six_of_the_first_menu_come_first_in_their_order() -> None:
    assert [statistic["title"] for statistic in menu.statistics() if statistic["main"]] == [
        "saturation",
        "dead units",
        "gradient RMS",
        "backward signal",
        "update ratio",
        "activation spread",
    ]
    assert all(statistic["main"] for statistic in menu.statistics()[:6])


def test_statistics_of_one_group_stand_together() -> None:
    groups = [statistic["group"] for statistic in menu.statistics()[6:]]
    changes = sum(before != after for before, after in pairwise(groups))
    assert changes == len(set(groups)) - 1


@pytest.mark.parametrize("identity", ["", "activations", "activations.", "units.dead", "x.mean", "activations.mean.x"])
def test_what_is_no_statistic_is_none(identity: str) -> None:
    assert menu.statistic(identity) is None


def test_an_id_names_table_and_column() -> None:
    found = menu.statistic("gradients.rms")
    assert found is not None
    assert (found[0], found[1].name) == ("gradients", "rms")
