import math

import numpy as np
import pandas as pd
import pytest
import runs
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

import gradscope.testing as made
from gradscope import ArgumentError
from gradscope.report.figures.grid import Grid, grid_of, limits_of, thinned
from gradscope.schema import ACTIVATIONS, Column
from gradscope.store.read import frames_of

NUMBERS = st.floats(-1e6, 1e6) | st.just(math.nan)


def a_grid(numbers: np.ndarray, column: Column) -> Grid:
    steps = np.arange(numbers.shape[1], dtype=np.int64) * 10
    names = tuple(map(str, range(len(numbers))))
    return Grid(
        ACTIVATIONS,
        column,
        names,
        names,
        steps,
        steps,
        numbers,
        np.isnan(numbers),
        np.broadcast_to(steps, numbers.shape),
    )


@given(
    npst.arrays(np.float64, npst.array_shapes(min_dims=2, max_dims=2, max_side=40), elements=NUMBERS),
    st.integers(1, 30),
    st.sampled_from(["high", "low"]),
)
def test_thinning_keeps_the_extremes_of_every_place(numbers: np.ndarray, most: int, extreme: str) -> None:
    thin = thinned(a_grid(numbers, Column("c", "", "", extreme=extreme)), most)
    assert thin.numbers.shape[1] <= most
    pick = np.fmax if extreme == "high" else np.fmin
    np.testing.assert_array_equal(pick.reduce(thin.numbers, axis=1), pick.reduce(numbers, axis=1))
    np.testing.assert_array_equal(thin.not_finite.any(axis=1), np.isnan(numbers).any(axis=1))
    known = ~np.isnan(thin.numbers)
    rows = np.nonzero(known)[0]
    np.testing.assert_array_equal(thin.numbers[known], numbers[rows, thin.step_of[known] // 10])
    assert (thin.first <= thin.step_of).all()
    assert (thin.step_of <= thin.last).all()
    assert thin.first[0] == 0
    assert thin.last[-1] == 10 * (numbers.shape[1] - 1)


def test_rows_are_in_the_order_of_the_model() -> None:
    frames = made.run(made.network(made.Part("z"), made.Part("a"), made.Part("m")))
    assert grid_of(frames.activations, "mean").names == ("z", "a", "m")
    assert grid_of(frames.gradients, "norm").names == ("z", "a", "m")
    plain = frames.activations.astype({"site": object, "layer": object})
    assert grid_of(plain, "mean").names == ("z", "a", "m")


def test_a_layer_is_shown_by_its_kernel() -> None:
    frames = made.run(made.stack(depth=2), gradients={"*/kernel": {"rms": 0.5}, "*/bias": {"rms": 7.0}})
    assert np.unique(grid_of(frames.gradients, "rms").numbers).tolist() == [0.5]
    assert np.unique(grid_of(frames.gradients.iloc[::-1], "rms").numbers).tolist() == [0.5]


def test_a_layer_without_a_kernel_is_shown_by_what_it_has() -> None:
    frames = made.run(made.stack(depth=2), gradients={"*/bias": {"rms": 7.0}})
    biases = frames.gradients[frames.gradients["role"] == "bias"]
    assert np.unique(grid_of(biases, "rms").numbers).tolist() == [7.0]


def test_what_is_not_finite_is_told_from_what_is_missing() -> None:
    frames = frames_of(runs.not_finite())
    grid = grid_of(frames.gradients, "rms")
    assert grid.not_finite.tolist() == [[False, False, True]] * 3
    dead = grid_of(frames_of(runs.healthy()).activations, "dead_unit_fraction")
    assert np.isnan(dead.numbers[:, 0]).all()
    assert not dead.not_finite.any()


def test_shares_have_one_scale_and_sizes_whole_decades() -> None:
    frames = made.run(made.stack(), gradients={"*": {"rms": 3e-4}, "dense/kernel": {"rms": 2e-6}})
    assert limits_of([grid_of(frames.activations, "saturated_fraction")]) == (0.0, 1.0)
    assert limits_of([grid_of(frames.gradients, "rms")]) == pytest.approx((1e-6, 1e-3))


@pytest.mark.parametrize(
    ("table", "statistic", "words"),
    [
        ("activations", "saturated", "no statistic 'saturated'. Nearest: saturated_fraction"),
        ("activations", "layer", "no statistic 'layer'"),
        ("steps", "loss", "neither activations nor gradients"),
    ],
)
def test_a_wrong_table_or_statistic_is_an_error_that_says_what_there_is(table: str, statistic: str, words: str) -> None:
    with pytest.raises(ArgumentError, match=words):
        grid_of(getattr(made.run(made.stack()), table), statistic)


def test_the_table_of_several_runs_is_refused() -> None:
    one = made.run(made.stack()).activations
    both = pd.concat([one.assign(run="a"), one.assign(run="b")])
    with pytest.raises(ArgumentError, match="2 runs"):
        grid_of(both, "mean")
    assert grid_of(one.assign(run="a"), "mean").numbers.size


def test_fewer_than_one_column_is_refused() -> None:
    with pytest.raises(ArgumentError, match="most_columns=0"):
        thinned(a_grid(np.zeros((1, 3)), Column("c", "", "")), 0)
