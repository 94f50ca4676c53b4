"""Each number of a gradient against a slow float64 reference, written from the definitions and not from our code."""

from __future__ import annotations

import itertools
import math
from typing import Any

import keras
import ml_dtypes
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from gradscope.errors import ShapeError
from gradscope.recording.table_rows import gradient_row
from gradscope.schema import GRADIENTS
from gradscope.statistics.gradients import gradient_sums, touched_row_sums
from gradscope.statistics.sums import GradientSums, decoded

INF, NAN = math.inf, math.nan
DTYPES = {"float32": np.float32, "float16": np.float16, "bfloat16": ml_dtypes.bfloat16}
TOLERANCE = 2e-6  # sums of squares in float32, whatever the dtype of the gradient


def row_of(sums: GradientSums[Any]) -> dict[str, float]:
    row = gradient_row(decoded(GradientSums, keras.ops.stack(list(sums)).numpy()))
    return dict(zip(GRADIENTS.statistic_names, map(float, row), strict=True))


def reference_row(g: np.ndarray, unit_axes: tuple[int, ...] | None) -> dict[str, float]:
    g = g.astype(np.float64)
    row = dict.fromkeys(GRADIENTS.statistic_names, NAN) | {"connected": 1.0}
    row["norm"] = math.sqrt(sum(float(x) ** 2 for x in g.flat))
    row["nonfinite_count"] = sum(not math.isfinite(x) for x in g.flat)
    if g.size:
        row |= {"rms": row["norm"] / math.sqrt(g.size), "zero_fraction": np.mean(g == 0)}
    if not np.isnan(g).all():
        row["abs_max"] = np.nanmax(np.abs(g))
    if unit_axes is not None:
        shares: list[float] = []
        for unit in itertools.product(*(range(g.shape[axis]) for axis in unit_axes)):
            of_unit = g[tuple(unit[unit_axes.index(k)] if k in unit_axes else slice(None) for k in range(g.ndim))]
            signed = [x for x in of_unit.flat if math.isfinite(x) and x != 0]
            if of_unit.size >= 8 and signed:
                positive = sum(x > 0 for x in signed) / len(signed)
                shares.append(max(positive, 1 - positive))
        if shares:
            row["sign_agreement"] = np.mean(shares)
    return row


def assert_rows_agree(ours: dict[str, float], expected: dict[str, float]) -> None:
    for name, value in expected.items():
        assert ours[name] == pytest.approx(value, rel=TOLERANCE, abs=0, nan_ok=True), name


@st.composite
def gradients(draw: st.DrawFn) -> tuple[np.ndarray, tuple[int, ...] | None]:
    shape = tuple(draw(st.lists(st.integers(0, 6), min_size=1, max_size=4)))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    g = random.normal(draw(st.sampled_from([0.0, 0.5, -3.0])), 1.0, shape)
    g[random.random(shape) < draw(st.sampled_from([0.0, 0.3]))] = 0.0
    odd = random.random(shape) < draw(st.sampled_from([0.0, 0.0, 0.1]))
    g[odd] = random.choice(draw(st.sampled_from([[NAN, INF, -INF], [INF, -INF]])), odd.sum())
    with np.errstate(over="ignore", under="ignore"):
        g = (g * 10.0 ** draw(st.integers(-30, 30))).astype(DTYPES[draw(st.sampled_from(sorted(DTYPES)))])
    g[np.abs(g.astype(np.float64)) < 2.0**-126] = 0  # devices flush denormals
    axes = draw(st.none() | st.sets(st.integers(0, g.ndim - 1), min_size=1).map(lambda a: tuple(sorted(a))))
    return g, axes


@settings(max_examples=200)
@given(gradients())
def test_a_row_equals_the_reference(drawn: tuple[np.ndarray, tuple[int, ...] | None]) -> None:
    g, unit_axes = drawn
    assert_rows_agree(row_of(gradient_sums(tf.constant(g), unit_axes)), reference_row(g, unit_axes))


@settings(max_examples=50)
@given(st.lists(st.integers(0, 4), max_size=12), st.integers(1, 3), st.integers(-30, 30), st.integers(0, 2**32 - 1))
def test_an_embeddings_rows_equal_the_dense_gradient_over_touched_rows(
    indices: list[int], width: int, exponent: int, seed: int
) -> None:
    random = np.random.default_rng(seed)
    values = random.integers(-2, 3, (len(indices), width)).astype(np.float32)  # whole numbers: rows may cancel to 0
    values *= np.float32(2.0) ** exponent
    dense = np.zeros((5, width), np.float32)
    for index, row in zip(indices, values, strict=True):
        dense[index] += row
    sums = touched_row_sums(tf.constant(values), tf.constant(indices, tf.int32))
    assert_rows_agree(row_of(sums), reference_row(dense[sorted(set(indices))], None))


def test_a_graph_of_unknown_sizes_sums_an_embeddings_rows() -> None:
    function = tf.function(lambda values, indices: keras.ops.stack(list(touched_row_sums(values, indices))))
    traced = function.get_concrete_function(tf.TensorSpec([None, 2]), tf.TensorSpec([None], tf.int64))
    sums = decoded(GradientSums, traced(tf.ones((4, 2)), tf.constant([3, 9, 3, 3], tf.int64)).numpy())
    assert (sums.entries, sums.abs_max, sums.zero_count) == (4, 3.0, 0)
    assert gradient_row(sums)[1] == pytest.approx(math.sqrt(2 * 9 + 2))


def test_indices_that_are_no_vector_are_refused() -> None:
    with pytest.raises(ShapeError, match=r"indices has shape \(1, 2\)"):
        touched_row_sums(tf.ones((2, 3)), tf.constant([[1, 2]]))


@pytest.mark.parametrize("k", [1e-20, 1e-3, 7.0, 1e20])
def test_scaling_the_loss_by_k_scales_the_norms_by_k(k: float) -> None:
    g = np.random.default_rng(0).normal(size=(16, 4))
    one, scaled = (row_of(gradient_sums(tf.constant((g * f).astype(np.float32)), (1,))) for f in (1.0, k))
    for name in ("norm", "rms", "abs_max"):
        assert scaled[name] == pytest.approx(k * one[name], rel=1e-6)
    assert scaled["sign_agreement"] == one["sign_agreement"]


@settings(max_examples=30)
@given(st.permutations(range(5)))
def test_permuting_the_units_changes_nothing(order: list[int]) -> None:
    g = np.random.default_rng(0).normal(size=(9, 5)).astype(np.float32)
    assert_rows_agree(
        row_of(gradient_sums(tf.constant(g[:, order]), (1,))), row_of(gradient_sums(tf.constant(g), (1,)))
    )


def test_sign_agreement_is_1_behind_one_signed_inputs_and_undefined_below_a_fan_in_of_8() -> None:
    one_signed = np.ones((8, 3), np.float32) * [1.0, -1.0, 0.0]
    assert row_of(gradient_sums(tf.constant(one_signed), (1,)))["sign_agreement"] == 1.0
    mixed = np.array([[1, 1, 1, 1, 1, 1, -1, -1]], np.float32).T
    assert row_of(gradient_sums(tf.constant(mixed), (-1,)))["sign_agreement"] == 0.75
    assert math.isnan(row_of(gradient_sums(tf.constant(mixed[:7]), (1,)))["sign_agreement"])
    assert math.isnan(row_of(gradient_sums(tf.constant(mixed), None))["sign_agreement"])


def test_sign_agreement_leaves_zeros_and_what_is_not_finite_out() -> None:
    g = np.array([[1, 1, 1, -1, 0, 0, NAN, -INF]], np.float32).T
    assert row_of(gradient_sums(tf.constant(g), (1,)))["sign_agreement"] == 0.75


def test_a_convolutions_fan_in_is_its_window_times_its_channels() -> None:
    g = np.random.default_rng(0).normal(size=(3, 3, 2, 4)).astype(np.float32)
    assert_rows_agree(row_of(gradient_sums(tf.constant(g), (3,))), reference_row(g, (3,)))


@pytest.mark.parametrize("jit_compile", [False, True])
def test_a_graph_gives_the_same_as_eager_tensors(jit_compile: bool) -> None:
    g = tf.random.normal((300, 200), seed=1)
    function = tf.function(lambda g: keras.ops.stack(list(gradient_sums(g, (1,)))), jit_compile=jit_compile)
    np.testing.assert_allclose(function(g), keras.ops.stack(list(gradient_sums(g, (1,)))), rtol=1e-6)
