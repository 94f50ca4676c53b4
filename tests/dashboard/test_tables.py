from collections.abc import Sequence

import numpy as np

from gradscope.records import Session
from gradscope.store.layout import Layout
from gradscope_dashboard.source import Point
from gradscope_dashboard.tables import Block, axis_of, thinned_table

BEGAN = 1_700_000_000.0
COLUMNS = ("saturated_fraction", "sample_std")  # their extremes: high and low


def points(values: Sequence[Sequence[Sequence[float]]], first: int = 0) -> list[Point]:
    """Return one point a step, of shape (rows, columns)."""
    return [Point(step, BEGAN + step, np.array(value, np.float32)) for step, value in enumerate(values, start=first)]


def epochs(count: int) -> list[Point]:
    return [Point(step, BEGAN + step, np.array(step // 10)) for step in range(count)]


def table(count: int, most: int, *blocks: Block, sessions: Sequence[Session] = ()):
    return thinned_table("activations", "stamp", axis_of(epochs(count), sessions, most), blocks, sessions)


def test_each_column_is_thinned_by_its_own_extreme() -> None:
    block = Block(Layout("activations", COLUMNS, ("a",)), points([[[0.1, 5.0]], [[0.9, 2.0]], [[0.3, 3.0]]]))
    found = table(3, 1, block)
    np.testing.assert_array_equal(found.column("saturated_fraction"), np.float32([[0.9]]))
    np.testing.assert_array_equal(found.column("sample_std"), [[2.0]])
    assert found.read_count == 3


def test_tags_of_several_networks_become_one_table_by_row_key_and_column_name() -> None:
    before = Block(Layout("activations", ("mean",), ("a", "b")), points([[[1.0], [2.0]]]))
    after = Block(Layout("activations", ("std", "mean"), ("b", "c")), points([[[9.0, 3.0], [9.0, 4.0]]], first=1))
    found = table(2, 10, before, after)
    assert found.rows == ("a", "b", "c")
    nan = np.nan
    np.testing.assert_array_equal(found.column("mean"), [[1.0, nan], [2.0, 3.0], [nan, 4.0]])
    np.testing.assert_array_equal(found.column("std"), [[nan, nan], [nan, 9.0], [nan, 9.0]])


def test_a_column_that_is_not_recorded_is_unknown() -> None:
    found = table(2, 10, Block(Layout("activations", ("mean",), ("a",)), points([[[1.0]]])))
    np.testing.assert_array_equal(found.column("entropy"), [[np.nan, np.nan]])


def test_a_column_of_a_newer_version_is_left_out() -> None:
    block = Block(Layout("activations", ("mean", "to_come"), ("a",)), points([[[1.0, 2.0]]]))
    assert set(table(1, 10, block).columns) == {"mean"}


def test_void_points_are_left_out_of_axis_and_table() -> None:
    resumed = Session(2, BEGAN + 100, resumed=True, fingerprint="")
    block = Block(Layout("activations", ("mean",), ("a",)), points([[[1.0]], [[2.0]], [[3.0]]]))
    found = table(3, 10, block, sessions=[resumed])
    assert found.axis.steps.tolist() == [0, 1]
    np.testing.assert_array_equal(found.column("mean"), [[1.0, 2.0]])


def test_a_long_series_read_in_chunks_is_as_if_read_at_once() -> None:
    values = np.random.default_rng(0).normal(size=(3_000, 200, 6)).astype(np.float32)  # two chunks of 8 MB
    names = ("mean", "std", "pre_min", "rms", "entropy", "zero_fraction")
    rows = tuple(f"layer_{index}" for index in range(200))
    found = table(3_000, 7, Block(Layout("activations", names, rows), points(values.tolist())))
    starts = [3_000 * group // 7 for group in range(7)]
    for place, (name, pick) in enumerate(zip(names, (np.max, np.max, np.min, np.max, np.min, np.max), strict=True)):
        expected = [pick(group[:, :, place], axis=0) for group in np.split(values, starts[1:])]
        np.testing.assert_array_equal(found.column(name), np.transpose(expected))


def test_of_a_final_pass_the_shares_of_units_count_for_its_group() -> None:
    names = ("mean", "dead_unit_fraction")
    trained = Block(Layout("activations", names, ("a",)), points([[[1.0, 0.0]], [[2.0, np.nan]], [[4.0, np.nan]]]))
    final = Block(Layout("final_activations", names, ("a",)), [Point(9, 0.0, np.array([[8.0, 0.5]], np.float32))])
    found = thinned_table("activations", "stamp", axis_of(epochs(3), (), 2), [trained, final], ())
    assert found.read_count == 3
    np.testing.assert_array_equal(found.column("mean"), [[1.0, 4.0]])
    np.testing.assert_array_equal(found.column("dead_unit_fraction"), [[0.0, 0.5]])


def test_a_run_without_a_step_is_an_empty_table() -> None:
    found = table(0, 10)
    assert found.rows == ()
    assert found.column("mean").shape == (0, 0)
