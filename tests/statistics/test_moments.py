"""Norms and powers of two, at the ends of what float32 can hold."""

from __future__ import annotations

import math

import ml_dtypes
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from gradscope.statistics.moments import difference_norm, power_of_two_below, scaled_norm


@settings(max_examples=100, deadline=None)
@given(st.floats(2.0**-126, 2.0**127, width=32))
def test_the_power_of_two_below_is_exact(magnitude: float) -> None:
    assert float(power_of_two_below(tf.constant(magnitude))) == 2.0 ** (math.frexp(magnitude)[1] - 1)


def test_the_power_of_two_below_zero_is_the_smallest_normal_number() -> None:
    assert power_of_two_below(tf.constant([0.0, 1.0, 1.5])).numpy().tolist() == [2.0**-126, 1.0, 1.0]


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(-5, 5), max_size=20), st.integers(-30, 30))
def test_a_norm_is_right_at_every_scale(values: list[int], exponent: int) -> None:
    x = (np.array(values, np.float64) * 10.0**exponent).astype(np.float32)
    assert float(scaled_norm(tf.constant(x))) == pytest.approx(np.linalg.norm(x.astype(np.float64)), rel=1e-6, abs=0)


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16, np.float32, np.float64])
def test_a_norm_takes_every_float_dtype(dtype: type) -> None:
    assert float(scaled_norm(tf.constant(np.array([[3.0], [4.0]], dtype)))) == 5.0


def test_a_norm_is_nan_for_nan_and_otherwise_infinite_for_infinity() -> None:
    assert math.isnan(float(scaled_norm(tf.constant([1.0, math.nan, math.inf]))))
    assert float(scaled_norm(tf.constant([1.0, -math.inf]))) == math.inf
    assert float(scaled_norm(tf.constant([-math.inf]))) == math.inf


def test_an_update_in_half_precision_is_measured_in_float32() -> None:
    before, after = tf.constant([1.0, 60_000.0], tf.float16), tf.constant([1.0, -60_000.0], tf.float16)
    assert float(difference_norm(after, before)) == pytest.approx(120_000, rel=1e-3)
