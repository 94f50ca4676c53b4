from itertools import pairwise

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


def test_the_headline_comes_first_in_its_order_and_in_the_words_of_every_other_medium() -> None:
    told = menu.statistics()[: len(schema.HEADLINE)]
    assert [statistic["title"] for statistic in told] == [known.column.title for known in schema.HEADLINE]
    assert [statistic["main"] for statistic in menu.statistics()].count(True) == len(schema.HEADLINE)


def test_statistics_of_one_group_stand_together() -> None:
    groups = [statistic["group"] for statistic in menu.statistics()[len(schema.HEADLINE) :]]
    changes = sum(before != after for before, after in pairwise(groups))
    assert changes == len(set(groups)) - 1
