import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from gradscope_dashboard.thinning import group_starts, places_among, thinned

NUMBERS = st.floats(-1e6, 1e6, width=32) | st.just(float("nan"))


def grouped(values: np.ndarray, most: int, extreme: str) -> np.ndarray:
    """Thin ``values`` as the server does."""
    starts = group_starts(values.shape[1], most)
    places = np.repeat(np.arange(len(starts)), np.diff([*starts, values.shape[1]]))
    return thinned(values, places, len(starts), extreme)


@given(st.integers(0, 500), st.integers(1, 50))
def test_groups_are_of_equal_size_to_within_one_and_leave_nothing_out(count: int, most: int) -> None:
    starts = group_starts(count, most)
    sizes = np.diff([*starts, count])
    assert len(starts) == min(count, most)
    assert sizes.sum() == count
    assert not len(sizes) or sizes.max() - sizes.min() <= 1


@given(arrays(np.float32, st.tuples(st.integers(1, 3), st.integers(1, 40)), elements=NUMBERS), st.integers(1, 12))
def test_each_column_holds_the_extreme_of_its_group(values: np.ndarray, most: int) -> None:
    starts = group_starts(values.shape[1], most)
    for place, group in enumerate(np.split(values, starts[1:], axis=1)):
        for row, members in enumerate(group):
            known = members[~np.isnan(members)]
            high, low = grouped(values, most, "high")[row, place], grouped(values, most, "low")[row, place]
            if known.size:
                assert (high, low) == (known.max(), known.min())
            else:
                assert np.isnan([high, low]).all()


@given(arrays(np.float32, (2, 60), elements=NUMBERS))
def test_thinning_in_two_stages_loses_no_extreme(values: np.ndarray) -> None:
    twice = grouped(grouped(values, 20, "high"), 5, "high")
    np.testing.assert_array_equal(twice, grouped(values, 5, "high"))


def test_one_exploding_step_of_ten_thousand_is_seen() -> None:
    values = np.full((1, 10_000), 1e-3, np.float32)
    values[0, 7_321] = np.inf
    assert np.isinf(grouped(values, 600, "high")).sum() == 1


def test_a_group_without_a_member_is_nan() -> None:
    np.testing.assert_array_equal(thinned(np.ones((1, 2), np.float32), np.array([0, 2]), 3), [[1, np.nan, 1]])


@pytest.mark.parametrize(("step", "place"), [(-5, 0), (0, 0), (9, 0), (10, 1), (25, 2), (1000, 2)])
def test_a_step_belongs_to_the_last_group_that_begins_at_or_before_it(step: int, place: int) -> None:
    assert places_among(np.array([0, 10, 20]), np.array([step])).tolist() == [place]
