"""Norms of weights and updates, at the ends of what their dtype can hold."""

from __future__ import annotations

import math

import numpy as np
import pytest
import tensorflow as tf

from gradscope.instrument.tensorflow.variables import Updates

TOLERANCE = 2e-6  # sums of squares in float32


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "bfloat16"])
@pytest.mark.parametrize("exponents", [(0, 0, 0), (-4, 0, 4), (-30, 0, 30)])
def test_norms_equal_those_taken_in_float64(dtype: str, exponents: tuple[int, ...]) -> None:
    if dtype.endswith("16"):
        exponents = tuple(exponent // 10 for exponent in exponents)
    random = np.random.default_rng(0)
    values = [random.normal(size=shape) for shape in ((30, 20), (7,), ())]
    values = [10.0**exponent * value for exponent, value in zip(exponents, values, strict=True)]
    variables = [tf.Variable(tf.cast(value, dtype)) for value in [*values, np.zeros(5)]]
    updates = Updates(variables)
    before = updates.before()
    for variable in variables[1:]:
        variable.assign(1.5 * variable)
    found = updates.norms(before)
    assert found.dtype == np.float32
    old, new = (
        [np.asarray(x, np.float64).astype(np.float32).astype(np.float64) for x in xs] for xs in (before, variables)
    )
    expected = [[np.linalg.norm(o), np.linalg.norm(n - o)] for o, n in zip(old, new, strict=True)]
    np.testing.assert_allclose(found, expected, rtol=TOLERANCE)
    assert found[0, 1] == found[3, 1] == 0.0


def test_one_norm_that_is_not_finite_leaves_the_others() -> None:
    variables = [tf.Variable([3.0, 4.0]), tf.Variable([1.0, math.nan]), tf.Variable([1.0, math.inf])]
    updates = Updates(variables)
    before = updates.before()
    variables[0].assign([3.0, 5.0])
    np.testing.assert_array_equal(updates.norms(before), [[5.0, 1.0], [math.nan] * 2, [math.inf, math.nan]])


def test_without_variables_there_are_no_norms() -> None:
    assert Updates([]).norms([]).shape == (0, 2)
