import numpy as np
import pytest
from runs import numbers

from gradscope.schema import ACTIVATIONS, GRADIENTS, UNITS
from gradscope.store.layout import Layout, known_columns, layout_for

NAMES = GRADIENTS.statistic_names
PLAIN = {"connected": 1.0, "nonfinite_count": 0.0}


def test_a_column_that_says_nothing_is_left_out_and_comes_back() -> None:
    array = numbers(GRADIENTS, [{**PLAIN, "norm": 1.0}, {**PLAIN, "norm": 2.0, "rms": 3.0}])
    layout = layout_for("gradients", ("a", "b"), array)
    assert layout.columns == ("norm", "rms")
    assert layout.constants == PLAIN
    np.testing.assert_array_equal(layout.to_array(layout.to_tensor(array)), array)


@pytest.mark.parametrize("telling", [{"connected": 0.0}, {"nonfinite_count": 1.0}, {"sign_agreement": 0.5}])
def test_a_layout_does_not_hold_an_array_that_tells_more(telling: dict[str, float]) -> None:
    plain = numbers(GRADIENTS, [{**PLAIN, "norm": 1.0}])
    layout = layout_for("gradients", ("a",), plain)
    assert layout.holds(plain)
    more = numbers(GRADIENTS, [{**PLAIN, "norm": 1.0, **telling}])
    assert not layout.holds(more)
    wider = layout_for("gradients", ("a",), more, layout)
    assert wider.holds(more)
    assert wider.holds(plain)


def test_a_layout_keeps_the_columns_of_the_one_before() -> None:
    before = layout_for("gradients", ("a",), numbers(GRADIENTS, [{**PLAIN, "norm": 1.0}]))
    after = layout_for("gradients", ("a",), numbers(GRADIENTS, [{**PLAIN, "rms": 1.0}]), before)
    assert after.columns == ("norm", "rms")


def test_columns_are_found_by_name_and_unknown_ones_stand_at_the_right() -> None:
    layout = Layout("gradients", ("invented", "rms", "norm"), ("a",))
    array = layout.to_array(np.array([[7.0, 2.0, 1.0]], np.float32))
    assert layout.extra_columns == ("invented",)
    expected = {"norm": 1.0, "rms": 2.0}
    np.testing.assert_array_equal(array, [[*(expected.get(name, np.nan) for name in NAMES), 7.0]])


def test_the_layout_comes_back_from_its_metadata() -> None:
    layout = Layout("activations", ACTIVATIONS.statistic_names[:3], ("a", "b:1"), {"nonfinite_count": 0.0})
    assert Layout.from_content(layout.to_content()) == layout


def test_units_begin_with_the_index_of_their_site() -> None:
    assert known_columns("units") == ("site", *UNITS.statistic_names)
