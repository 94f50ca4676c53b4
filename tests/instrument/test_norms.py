"""Norms of weights and updates, at the ends of what their dtype can hold."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from gradscope.instrument.tensorflow.norms import Updates, norms_of_sums, square_sums

TOLERANCE = 2e-6  # sums of squares in float32


def norms(after: Any, before: Any) -> Any:
    variables = [tf.Variable(value) for value in before]
    updates = Updates(variables)
    old = updates.values()
    for variable, value in zip(variables, after, strict=True):
        variable.assign(value)
    found = updates.norms(old)
    eager = norms_of_sums(square_sums(after, before), lambda row: (before[row], after[row]))
    np.testing.assert_allclose(eager, found, rtol=TOLERANCE)
    return found


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "bfloat16"])
@pytest.mark.parametrize("exponents", [(0, 0, 0), (-4, 0, 4), (-30, 0, 30)])
def test_norms_equal_those_taken_in_float64(dtype: str, exponents: tuple[int, ...]) -> None:
    if dtype.endswith("16"):
        exponents = tuple(exponent // 10 for exponent in exponents)
    random = np.random.default_rng(0)
    values = [random.normal(size=shape) for shape in ((30, 20), (7,), ())]
    values = [10.0**exponent * value for exponent, value in zip(exponents, values, strict=True)]
    before = [tf.cast(value, dtype) for value in [*values, np.zeros(5)]]
    after = [before[0], *(1.5 * value for value in before[1:])]
    found = norms(after, before)
    assert found.dtype == np.float32
    old, new = ([tf.cast(x, tf.float32).numpy().astype(np.float64) for x in xs] for xs in (before, after))
    expected = [[np.linalg.norm(o), np.linalg.norm(n - o)] for o, n in zip(old, new, strict=True)]
    np.testing.assert_allclose(found, expected, rtol=TOLERANCE)
    assert found[0, 1] == found[3, 1] == 0.0


def test_one_norm_that_is_not_finite_leaves_the_others() -> None:
    before = [tf.constant([3.0, 4.0]), tf.constant([1.0, math.nan]), tf.constant([1.0, math.inf])]
    after = [tf.constant([3.0, 5.0]), *before[1:]]
    np.testing.assert_array_equal(norms(after, before), [[5.0, 1.0], [math.nan] * 2, [math.inf, math.nan]])


def test_without_variables_there_are_no_norms() -> None:
    assert Updates([]).norms([]).shape == (0, 2)


def test_an_update_in_half_precision_is_measured_in_float32() -> None:
    before, after = tf.constant([1.0, 60_000.0], tf.float16), tf.constant([1.0, -60_000.0], tf.float16)
    np.testing.assert_allclose(norms([after], [before])[0, 1], 120_000, rtol=1e-3)
