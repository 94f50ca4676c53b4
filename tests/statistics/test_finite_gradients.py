"""All gradients of a step at once against each by itself through the general kernel, which a slow reference judges."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from gradscope.recording.table_rows import gradient_row
from gradscope.statistics.finite_gradients import finite_gradients_sums
from gradscope.statistics.gradients import gradient_sums
from gradscope.statistics.sums import GradientSums, decoded

TOLERANCE = 2e-6  # as of the general kernel
Axes = tuple[int, ...] | None
KINDS: list[tuple[tuple[int, ...], Axes]] = [
    ((9, 4), (1,)),
    ((4, 9), (0,)),
    ((3, 3, 2, 4), (3,)),
    ((8, 2, 3), (1, 2)),
    ((5,), None),
    ((), None),
    ((200, 100), None),  # too large to be laid end to end
    ((4100, 3), (1,)),  # more incoming weights than are counted together
]


def table(sums: GradientSums[Any]) -> np.ndarray:
    return np.stack([np.asarray(field) for field in sums], axis=1)


def rows(values: np.ndarray) -> np.ndarray:
    return np.stack([gradient_row(decoded(GradientSums[Any], row)) for row in values])


def of_each(gradients: Sequence[np.ndarray], axes: Sequence[Axes]) -> np.ndarray:
    return np.stack(
        [keras.ops.stack(list(gradient_sums(tf.constant(g), a))).numpy() for g, a in zip(gradients, axes, strict=True)]
    )


@settings(max_examples=40)
@given(
    kinds=st.lists(st.sampled_from(KINDS), min_size=1, max_size=6),
    exponents=st.lists(st.integers(-30, 30) | st.just(0), min_size=6, max_size=6),
    zeros=st.sampled_from([0.0, 0.4, 1.0]),
    seed=st.integers(0, 2**32 - 1),
)
def test_each_gradient_gives_what_it_gives_alone(
    kinds: list[tuple[tuple[int, ...], Axes]], exponents: list[int], zeros: float, seed: int
) -> None:
    random = np.random.default_rng(seed)
    gradients = [
        np.asarray(
            10.0**exponent * random.normal(random.choice([0.0, 2.0]), 1.0, shape) * (random.random(shape) >= zeros),
            np.float32,
        )
        for (shape, _), exponent in zip(kinds, exponents, strict=False)
    ]
    axes = [axes for _, axes in kinds]
    together = finite_gradients_sums([tf.constant(g) for g in gradients], axes)
    expected = of_each(gradients, axes)
    np.testing.assert_allclose(rows(table(together)), rows(expected), rtol=TOLERANCE, equal_nan=True)
    np.testing.assert_array_equal(together.zero_count, decoded(GradientSums[Any], expected.T).zero_count)


@pytest.mark.parametrize("odd", [math.nan, math.inf, -math.inf])
def test_only_the_gradient_that_is_not_finite_says_so(odd: float) -> None:
    gradients = [np.ones((9, 4), np.float32), np.ones(3, np.float32), np.ones((9, 4), np.float32)]
    for number in range(3):
        changed = [g.copy() for g in gradients]
        changed[number].flat[2] = odd
        sums = finite_gradients_sums([tf.constant(g) for g in changed], [(1,), None, (1,)])
        assert np.isnan(sums.nonfinite_count).tolist() == [k == number for k in range(3)]


def test_an_empty_gradient_is_left_to_the_general_kernel() -> None:
    sums = finite_gradients_sums([tf.zeros((0, 3)), tf.zeros((0,)), tf.ones((2, 3))], [(1,), None, (1,)])
    assert np.isnan(sums.nonfinite_count).tolist() == [True, True, False]


@pytest.mark.parametrize("fan_in", [4, 9, 5000])
def test_a_graph_of_unknown_sizes_gives_the_same_as_eager_tensors(fan_in: int) -> None:
    random = np.random.default_rng(0)
    gradients = [tf.constant(random.normal(size=size), tf.float32) for size in ((fan_in, 6), (6,))]
    specs = [tf.TensorSpec([None, None]), tf.TensorSpec([None])]
    traced = tf.function(lambda given: finite_gradients_sums(given, [(1,), None])).get_concrete_function(specs)
    inside, outside = traced(gradients), finite_gradients_sums(gradients, [(1,), None])
    np.testing.assert_allclose(rows(table(inside)), rows(table(outside)), rtol=TOLERANCE, equal_nan=True)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64"])
def test_every_float_dtype_is_taken(dtype: str) -> None:
    g = tf.cast(tf.constant(np.random.default_rng(0).normal(size=(9, 4))), dtype)
    sums = finite_gradients_sums([g, g[0]], [(1,), None])
    assert {field.dtype for field in sums} == {tf.float32}
    expected = keras.ops.stack(list(gradient_sums(g, (1,)))).numpy()
    np.testing.assert_allclose(rows(table(sums))[:1], rows(expected[None]), rtol=TOLERANCE)
