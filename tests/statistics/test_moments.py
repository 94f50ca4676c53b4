"""Norms and powers of two, at the ends of what float32 can hold."""

from __future__ import annotations

import math

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from gradscope.statistics.moments import power_of_two_below, scaled_square_sum


def norm(x: np.ndarray) -> float:
    scale, square_sum = scaled_square_sum(tf.constant(x, tf.float32))
    return float(scale) * math.sqrt(square_sum)


@settings(max_examples=100)
@given(st.floats(2.0**-126, 2.0**127, width=32))
def test_the_power_of_two_below_is_exact(magnitude: float) -> None:
    assert float(power_of_two_below(tf.constant(magnitude))) == 2.0 ** (math.frexp(magnitude)[1] - 1)


def test_the_power_of_two_below_zero_is_the_smallest_normal_number() -> None:
    assert power_of_two_below(tf.constant([0.0, 1.0, 1.5])).numpy().tolist() == [2.0**-126, 1.0, 1.0]


@settings(max_examples=100)
@given(st.lists(st.integers(-5, 5), max_size=20), st.integers(-30, 30))
def test_a_norm_is_right_at_every_scale(values: list[int], exponent: int) -> None:
    x = (np.array(values, np.float64) * 10.0**exponent).astype(np.float32)
    assert norm(x) == pytest.approx(np.linalg.norm(x.astype(np.float64)), rel=1e-6, abs=0)


def test_a_norm_is_nan_for_nan_and_otherwise_infinite_for_infinity() -> None:
    assert math.isnan(norm(np.array([1.0, math.nan, math.inf])))
    assert norm(np.array([1.0, -math.inf])) == math.inf
    assert norm(np.array([-math.inf])) == math.inf
