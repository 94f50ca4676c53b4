"""How a table lies in the file: columns by name, rows by key."""

from __future__ import annotations

import numpy as np
import pytest

from gradscope.schema import ACTIVATIONS, GRADIENTS, UNITS
from gradscope.store.layout import FINAL_TABLES, STEP_TABLES, Layout, known_columns

NAMES = GRADIENTS.statistic_names


def test_columns_are_found_by_name_and_unknown_ones_stand_at_the_right() -> None:
    layout = Layout("gradients", ("invented", "rms", "norm"), ("a",))
    array = layout.to_array(np.array([[7.0, 2.0, 1.0]], np.float32))
    assert layout.extra_columns == ("invented",)
    expected = {"norm": 1.0, "rms": 2.0}
    np.testing.assert_array_equal(array, [[*(expected.get(name, np.nan) for name in NAMES), 7.0]])


@pytest.mark.parametrize("table", [*STEP_TABLES, *FINAL_TABLES.values()])
def test_the_layout_comes_back_from_its_metadata(table: str) -> None:
    layout = Layout.of(table, ("a", "b:1"))
    assert Layout.from_content(layout.to_content()) == layout


def test_tables_of_units_begin_with_the_index_of_their_site() -> None:
    assert known_columns("units") == known_columns("final_units") == ("site", *UNITS.statistic_names)
    assert known_columns("final_activations") == ACTIVATIONS.statistic_names
