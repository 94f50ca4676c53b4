"""Tables as arrays: one row a recorded step, one column a place."""

import dataclasses
import math

import numpy as np
import pandas as pd
from diagnose.answers import without_rows
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from gradscope.diagnose.series import (
    applications,
    final_series,
    hidden_sites,
    judged_kernels,
    latest,
    median,
    onsets,
    site_series,
    step_series,
    sustained,
    training_steps,
    variable_series,
    without_gradient,
)
from gradscope.network import Network, Site
from gradscope.store.frames import Frames, frames_of
from gradscope.testing import Part, network, run, stack

STEPS = [0, 10, 20, 30]


def counted(net: Network | None = None) -> Frames:
    """A run in which `rms` is the step in the first layer, and a thousand more in the second."""
    columns = {"dense": {"rms": float}, "dense_1": {"rms": lambda step: 1000.0 + step}}
    return run(net or stack(depth=2), recorded=STEPS, activations=columns, gradients={"dense/kernel": {"rms": float}})


def sites(frames: Frames) -> tuple[Site, ...]:
    return frames.network.sites[:2]


def test_a_series_has_a_row_a_step_and_a_column_a_place() -> None:
    frames = counted()
    series = site_series(frames, sites(frames))
    assert series.steps.tolist() == STEPS
    assert series("rms").tolist() == [[0, 1000], [10, 1010], [20, 1020], [30, 1030]]


def test_the_columns_are_in_the_order_that_was_asked_for() -> None:
    frames = counted()
    assert site_series(frames, sites(frames)[::-1])("rms")[0].tolist() == [1000, 0]


def test_a_place_without_a_row_at_a_step_is_nan_there_and_shifts_nothing() -> None:
    frames = without_rows(counted(), "activations", "site", "dense", [0, 20])
    values = site_series(frames, sites(frames))("rms")
    np.testing.assert_array_equal(values, [[np.nan, 1000], [10, 1010], [np.nan, 1020], [30, 1030]])


def test_a_place_that_was_never_recorded_is_nan_throughout() -> None:
    frames = counted()
    unknown = dataclasses.replace(sites(frames)[0], key="elsewhere")
    assert np.isnan(site_series(frames, [unknown])("rms")).all()


def test_steps_that_the_loss_scale_skipped_are_left_out_everywhere() -> None:
    frames = run(stack(depth=1), recorded=STEPS, steps={"skipped": [0, 1, 0, 0], "loss": STEPS})
    assert training_steps(frames).tolist() == [0, 20, 30]
    assert step_series(frames, "loss").tolist() == [0, 20, 30]
    assert len(site_series(frames, frames.network.sites)("rms")) == 3
    assert len(variable_series(frames, frames.network.variables)("rms")) == 3


def test_a_file_that_does_not_tell_what_was_skipped_skips_nothing() -> None:
    frames = run(stack(depth=1), recorded=STEPS, steps={"skipped": math.nan})
    assert training_steps(frames).tolist() == STEPS


def test_a_final_pass_is_a_series_of_one_record_at_most() -> None:
    frames = counted()
    assert final_series(frames, sites(frames)).steps.tolist() == []
    last = frames.activations[frames.activations["step"] == 30].assign(step=31, rms=7.0)
    series = final_series(dataclasses.replace(frames, final_activations=last), sites(frames))
    assert series.steps.tolist() == [31]
    assert series("rms").tolist() == [[7, 7]]


def test_of_a_network_that_changed_the_places_of_the_last_are_known_from_then_on() -> None:
    first, second = counted(), run(stack(depth=3), recorded=[40, 50])
    frames = dataclasses.replace(
        second,
        steps=pd.concat([first.steps, second.steps], ignore_index=True),
        activations=pd.concat([first.activations, second.activations], ignore_index=True),
    )
    values = site_series(frames, frames.network.sites)("rms")
    assert np.isnan(values[:4, 3]).all()
    assert not np.isnan(values[:, 0]).any()


def test_an_empty_run_has_empty_series() -> None:
    frames = frames_of([])
    assert site_series(frames, ())("rms").shape == (0, 0)
    assert variable_series(frames, stack().variables)("rms").shape == (0, 12)


ATTENTION = Part("mha", "MultiHeadAttention", None, None)


def test_attention_s_queries_and_keys_are_not_judged_and_biases_neither() -> None:
    net = network(ATTENTION, Part("query"), Part("mha/query"), Part("mha/key"), Part("mha/value"), Part("key_head"))
    assert [kernel.layer for kernel in judged_kernels(net)] == ["query", "mha/value", "key_head"]


def test_outputs_are_not_hidden() -> None:
    net = network(Part("dense"), Part("mean"), Part("spread"), outputs=["mean", "spread"])
    assert [site.key for site in hidden_sites(net)] == ["dense"]


# ---- Windows


def slowly_sustained(condition: list[bool], need: int, window: int) -> list[bool]:
    return [sum(condition[max(0, end - window) : end]) >= need for end in range(1, len(condition) + 1)]


@given(st.lists(st.booleans(), max_size=30), st.integers(1, 6), st.integers(1, 8))
def test_sustained_counts_over_the_latest_window(condition: list[bool], need: int, window: int) -> None:
    flags = np.array(condition, np.bool_)
    assert sustained(flags, need=need, window=window).tolist() == slowly_sustained(condition, need, window)


def onset(condition: list[bool]) -> int | None:
    return onsets(np.array(condition, np.bool_).reshape(-1, 1))[0]


@given(st.lists(st.booleans(), max_size=30))
def test_three_healthy_records_of_five_end_what_was_sustained(condition: list[bool]) -> None:
    assert onset([*condition, False, False, False]) is None


@given(st.lists(st.booleans(), max_size=20))
def test_an_onset_is_a_true_record_from_which_on_it_stayed_sustained(condition: list[bool]) -> None:
    begin = onset(condition)
    held = sustained(np.array(condition, np.bool_)) if condition else np.zeros(0, np.bool_)
    if begin is None:
        assert not len(held) or not held[-1]
    else:
        assert condition[begin]
        assert held[begin + 4 :].all()
        assert held[-1]


def test_what_is_sick_from_the_first_record_on_began_there() -> None:
    assert onset([True, True, True, True]) == 0
    assert onset([False, True, True, False, True]) == 1


@given(
    arrays.arrays(
        np.float64, st.tuples(st.integers(1, 9), st.integers(0, 3)), elements=st.sampled_from([1.0, 2.0, 5.0, np.nan])
    )
)
def test_the_latest_is_the_median_of_what_is_known_of_the_latest_five(values: np.ndarray) -> None:
    found = latest(values)
    for column, value in zip(values.T, found, strict=True):
        np.testing.assert_equal(value, median(column[-5:]))


def test_the_median_of_nothing_is_nan() -> None:
    assert math.isnan(median(np.array([np.nan, np.nan])))
    assert math.isnan(median(np.empty(0)))


def test_a_gradient_is_missing_where_every_weight_up_to_a_layer_has_had_zeros_for_some_records() -> None:
    zeros = {"dense/*": {"zero_fraction": 1.0}, "dense_1/*": {"zero_fraction": 1.0}}
    frames = run(stack("relu"), gradients=zeros)
    assert without_gradient(frames, "dense_1")
    assert not without_gradient(frames, "dense_2")
    assert not without_gradient(frames)
    assert without_gradient(run(stack("relu"), gradients={"*": {"zero_fraction": 1.0}}))
    assert not without_gradient(run(stack("relu"), recorded=[], gradients=zeros), "dense_1")


def test_a_layer_without_weights_is_not_one_where_it_is_applied_twice() -> None:
    net = network(Part("dense"), Part("re_lu", "ReLU", "relu", None), Part("out"))
    again = [dataclasses.replace(site, key=f"{site.key}/again") for site in net.sites[:2]]
    assert applications(net, [*net.sites[:2], *again]) == [[0, 2], [1], [3]]
