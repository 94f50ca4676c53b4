"""Which positions are looked at: every unit in each record, every position over the records."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from gradscope.statistics.activations import histogram_sample
from gradscope.statistics.sampling import position_mask, positions_first, sample, sampled, stride


def looked_at(shape: tuple[int, ...], phase: int) -> np.ndarray:
    """Return the flat indices of the entries that are looked at."""
    x = tf.reshape(tf.range(math.prod(shape)), shape)
    chosen = sample(positions_first(x, -1), None, shape[1:-1], phase=phase)
    values = sampled(positions_first(x, -1), chosen).numpy()
    return values if chosen.kept is None else values[np.broadcast_to(chosen.kept, values.shape)]


def test_every_channel_row_and_column_of_an_image_is_seen_in_one_record() -> None:
    shape = (64, 16, 16, 64)
    _, rows, columns, channels = np.unravel_index(looked_at(shape, phase=5).astype(int), shape)
    assert (len(set(rows)), len(set(columns)), len(set(channels))) == (16, 16, 64)


@pytest.mark.parametrize("shape", [(64, 16, 16, 64), (7, 30, 30, 100), (3, 1_000, 33), (100_000, 3), (40, 30_000)])
def test_as_many_records_as_the_stride_see_every_entry_once(shape: tuple[int, ...]) -> None:
    step = stride(math.prod(shape[:-1]), shape[-1], shape[1:-1])
    assert isinstance(step, int)
    assert step > 1
    seen = np.concatenate([looked_at(shape, phase).ravel() for phase in range(1_000 * step, 1_001 * step)])
    assert sorted(seen) == list(range(math.prod(shape)))


@given(
    st.integers(0, 10_000_000),
    st.integers(1, 100_000),
    st.lists(st.integers(1, 512), max_size=3),
    st.integers(1, 2**17),
)
def test_a_stride_is_coprime_to_the_sizes_and_the_sample_close_to_the_limit(
    positions: int, units: int, sizes: list[int], limit: int
) -> None:
    step = stride(positions, units, sizes, limit=limit)
    assert isinstance(step, int)
    assert all(math.gcd(step, size) == 1 for size in sizes)
    wanted = max(limit // units, 16)
    assert -(-positions // step) <= wanted
    if positions <= wanted:
        assert step == 1


@pytest.mark.parametrize("sizes", [(), (16, 16), (7, 7), (15, 30)])
def test_large_strides_lie_some_five_percent_apart(sizes: tuple[int, ...]) -> None:
    strides = [stride(positions, 1, sizes, limit=1_000) for positions in range(100_000, 10_000_000, 9_973)]
    needed = [-(-positions // 1_000) for positions in range(100_000, 10_000_000, 9_973)]
    assert max(np.divide(strides, needed)) < 1.08


def test_an_unknown_spatial_size_is_taken_to_be_even() -> None:
    assert stride(2 * 65_536, 1, (None,)) == 3


@settings(max_examples=50)
@given(st.integers(0, 5_000_000), st.integers(1, 5_000), st.sampled_from([(), (16, 16), (None, 7)]))
def test_a_size_known_only_at_run_time_gives_the_same_stride(
    positions: int, units: int, sizes: tuple[int | None, ...]
) -> None:
    dynamic: Any = stride(tf.constant(positions), units, sizes)
    assert int(dynamic) == stride(positions, units, sizes)


def test_a_very_wide_layer_still_shows_sixteen_samples() -> None:
    assert looked_at((64, 50_000), phase=0).size == 16 * 50_000


def test_a_mask_of_the_leading_axes_reaches_over_the_others() -> None:
    x = tf.zeros((2, 3, 4, 5))
    mask = tf.constant([[True, False, True], [False, False, True]])
    expected = np.repeat(mask.numpy().ravel(), 4)[:, None]
    np.testing.assert_array_equal(position_mask(mask, x, -1), expected)
    over_units = position_mask(mask, tf.zeros((2, 3)), -1)
    np.testing.assert_array_equal(over_units, mask)
    channels_first = position_mask(tf.constant([True, False]), tf.zeros((2, 5, 3)), 1)
    np.testing.assert_array_equal(channels_first, [[True]] * 3 + [[False]] * 3)


@pytest.mark.parametrize("shape", [(64, 16, 16, 64), (1_000, 41), (33, 7, 64), (5_000,)])
def test_a_histogram_has_values_of_all_units(shape: tuple[int, ...]) -> None:
    x = tf.reshape(tf.cast(tf.range(math.prod(shape)), tf.float32), shape)
    values = histogram_sample(x, phase=3).numpy()
    assert len(values) <= 1_024
    values = values[~np.isnan(values)]
    assert 300 < len(set(values)) == len(values)
    units = shape[-1] if len(shape) > 1 else 1
    assert set(values.astype(int) % units) == set(range(units))


def test_histograms_of_enough_records_hold_every_entry_once() -> None:
    x = tf.reshape(tf.cast(tf.range(30_000), tf.float32), (100, 300))
    step = stride(30_000, 1, (300,), limit=1_024, minimum=1)
    assert isinstance(step, int)
    values = np.concatenate([histogram_sample(x, phase=phase).numpy() for phase in range(step)])
    assert sorted(values[~np.isnan(values)]) == list(range(30_000))


def test_a_small_tensor_goes_into_its_histogram_whole_and_masked_entries_do_not() -> None:
    x, mask = tf.constant([[1.0, 2.0], [3.0, 4.0]]), tf.constant([False, True])
    assert sorted(v for v in histogram_sample(x, phase=9, limit=8).numpy() if v == v) == [1.0, 2.0, 3.0, 4.0]
    assert sorted(v for v in histogram_sample(x, phase=9, limit=8, mask=mask).numpy() if v == v) == [3.0, 4.0]
    assert np.isnan(histogram_sample(x[:0], limit=8)).all()


def test_a_graph_of_unknown_sizes_samples_as_eager_tensors_do() -> None:
    traced = tf.function(lambda x, phase: histogram_sample(x, phase=phase)).get_concrete_function(
        tf.TensorSpec([None, None, 6], tf.float16), tf.TensorSpec([], tf.int32)
    )
    x = tf.cast(tf.random.normal((50, 31, 6), seed=1), tf.float16)
    np.testing.assert_array_equal(traced(x, tf.constant(4)), histogram_sample(x, phase=4))
