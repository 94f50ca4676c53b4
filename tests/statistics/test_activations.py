"""Each number of a site against a slow float64 reference, written from the definitions and not from our code."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import keras
import ml_dtypes
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from gradscope.errors import ShapeError
from gradscope.recording.table_rows import activation_row, mean_abs
from gradscope.schema import ACTIVATIONS
from gradscope.statistics.activations import backward_sums, site_sums, softmax_sums
from gradscope.statistics.sums import (
    ActivationSums,
    BackwardSums,
    Limits,
    SoftmaxSums,
    UnitSums,
    decoded,
    merge_activations,
    merge_backward,
    merge_softmax,
    merge_units,
)

INF, NAN = math.inf, math.nan
DTYPES = {"float32": np.float32, "float16": np.float16, "bfloat16": ml_dtypes.bfloat16}

# All dtypes are summed in float32, and references begin with the rounded values: one tolerance, relative to the largest
# entry, because float32 resolves no mean and no deviation finer than that.
TOLERANCE = 3e-6

LIMITS = {
    "tanh": Limits(-2.18, 2.18, -INF, INF),
    "relu": Limits(0.0, INF, 0.0, INF),
    "bump": Limits(-1.0, 1.0, -1.0, 1.0),
    "linear": Limits(-INF, INF, -INF, INF),
    "per unit": Limits(np.array([-1.0, -INF, 0.5], np.float32), np.array([INF, 1.0, 2.0], np.float32), -INF, INF),
}
LIMITED_FRACTIONS = {"saturated_fraction", "saturated_low_fraction", "saturated_high_fraction", "inactive_fraction"}


class Batch(NamedTuple):
    z: np.ndarray
    a: np.ndarray
    dz: np.ndarray
    mask: np.ndarray | None
    limits: Limits | None


@st.composite
def batches(draw: st.DrawFn, units: int = 3) -> Batch:
    """Draw a batch of one of many shapes, dtypes and scales, with NaN, infinities, zeros and masked positions."""
    dtype = DTYPES[draw(st.sampled_from(sorted(DTYPES)))]
    shape = (draw(st.integers(1, 6)), *draw(st.lists(st.integers(1, 4), max_size=2)), units)
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    tensors: list[np.ndarray] = []
    for _ in range(3):
        scale, offset = 10.0 ** draw(st.integers(-30, 30)), draw(st.sampled_from([0.0, 0.0, 3.0]))
        x = random.normal(offset, 1.0, shape)
        x[random.random(shape) < draw(st.sampled_from([0.0, 0.3]))] = 0.0
        if draw(st.booleans()):
            odd = random.random(shape) < 0.1
            x[odd] = random.choice([NAN, INF, -INF], odd.sum())
        with np.errstate(over="ignore", under="ignore"):
            x = (x * scale).astype(dtype)
        x[np.abs(x.astype(np.float64)) < 2.0**-126] = 0  # devices flush denormals
        tensors.append(x)
    mask = random.random(shape[: draw(st.integers(1, len(shape)))]) < draw(st.sampled_from([0.0, 0.5, 0.9]))
    limits = draw(st.sampled_from([None, *LIMITS.values()]))
    return Batch(*tensors, mask if draw(st.booleans()) else None, limits)


def tensor(x: np.ndarray) -> Any:
    return tf.constant(x)


def matrix(x: np.ndarray) -> np.ndarray:
    return x.astype(np.float64).reshape(-1, x.shape[-1])


def kept_matrix(batch: Batch) -> np.ndarray:
    if batch.mask is None:
        return np.ones_like(matrix(batch.z), bool)
    trailing = (1,) * (batch.z.ndim - batch.mask.ndim)
    return np.broadcast_to(batch.mask.reshape(batch.mask.shape + trailing), batch.z.shape).reshape(
        -1, batch.z.shape[-1]
    )


def tails(batch: Batch) -> dict[str, np.ndarray]:
    """Say of each entry whether it lies in a tail, one entry after the other."""
    z, limits = matrix(batch.z), batch.limits
    assert limits is not None
    found = {name: np.zeros(z.shape, bool) for name in ("low", "high", "inactive")}
    bounds = [np.broadcast_to(np.asarray(limit, np.float32), z.shape[1:]) for limit in limits]
    for (p, u), value in np.ndenumerate(z):
        z_low, z_high, zero_low, zero_high = (float(bound[u]) for bound in bounds)
        found["low"][p, u] = z_low != -INF and value <= z_low
        found["high"][p, u] = z_high != INF and value >= z_high
        found["inactive"][p, u] = (zero_low != -INF and value <= zero_low) or (zero_high != INF and value >= zero_high)
    return found


def mean_of(values: list[float] | np.ndarray) -> float:
    return float(np.mean(values)) if len(values) else NAN


def reference_row(batch: Batch, samples: int, loss_scale: float) -> dict[str, float]:
    kept = kept_matrix(batch)
    z, a, dz = matrix(batch.z)[kept], matrix(batch.a)[kept], matrix(batch.dz)[kept]
    finite_z, finite_a, finite_dz = z[np.isfinite(z)], a[np.isfinite(a)], dz[np.isfinite(dz)]
    row = dict.fromkeys(ACTIVATIONS.statistic_names, NAN)
    if finite_z.size:
        row |= {"pre_mean": finite_z.mean(), "pre_std": finite_z.std()}
    if finite_a.size:
        row |= {"mean": finite_a.mean(), "std": finite_a.std(), "rms": np.sqrt(np.mean(finite_a**2))}
    if (~np.isnan(z)).any():
        row |= {"pre_min": np.nanmin(z), "pre_max": np.nanmax(z)}
    if (~np.isnan(a)).any():
        row["abs_max"] = np.nanmax(np.abs(a))
    row["zero_fraction"] = mean_of(a == 0)
    if batch.limits is not None:
        where = {name: of_all[kept] for name, of_all in tails(batch).items()}
        row["saturated_low_fraction"] = mean_of(where["low"])
        row["saturated_high_fraction"] = mean_of(where["high"])
        row["saturated_fraction"] = mean_of(where["low"]) + mean_of(where["high"])
        row["inactive_fraction"] = mean_of(where["inactive"])
    of_units = [matrix(batch.a)[kept[:, u], u] for u in range(batch.a.shape[-1])]
    of_units = [unit[np.isfinite(unit)] for unit in of_units if np.isfinite(unit).any()]
    row["sample_std"] = math.sqrt(mean_of([unit.var() for unit in of_units])) if of_units else NAN
    means = [np.abs(unit).mean() for unit in of_units]
    row["dormant_unit_fraction"] = mean_of([mean <= 0.025 * np.mean(means) for mean in means])
    if finite_dz.size:
        row["backward_rms"] = np.sqrt(np.mean(finite_dz**2)) * samples / loss_scale
    row["backward_zero_fraction"] = mean_of(dz == 0)
    row["nonfinite_count"] = np.sum(~np.isfinite(z) | ~np.isfinite(a))
    return row


def our_row(batch: Batch, samples: int = 1, loss_scale: float = 1.0) -> dict[str, float]:
    sums, units, backward = our_sums(batch, samples, loss_scale)
    return dict(zip(ACTIVATIONS.statistic_names, activation_row(sums, units=units, backward=backward), strict=True))


def our_sums(
    batch: Batch, samples: int = 1, loss_scale: float = 1.0, phase: int = 0
) -> tuple[ActivationSums[Any], UnitSums[Any], BackwardSums[Any]]:
    z, a, dz = (tensor(x) for x in batch[:3])
    common: dict[str, Any] = {"mask": None if batch.mask is None else tf.constant(batch.mask), "phase": phase}
    sums = site_sums(z, a, batch.limits, **common).activation
    units = site_sums(z, a, batch.limits, backward=dz, **common).units
    backward = backward_sums(dz, samples=samples, loss_scale=loss_scale, **common)
    return (
        decoded(ActivationSums, keras.ops.stack(list(sums)).numpy()),
        decoded(UnitSums, keras.ops.stack(list(units)).numpy()),
        decoded(BackwardSums, keras.ops.stack(list(backward)).numpy()),
    )


def assert_rows_agree(ours: dict[str, float], reference: dict[str, float], batch: Batch) -> None:
    largest = {}
    for name, x in (("z", batch.z), ("a", batch.a), ("dz", batch.dz)):
        finite = np.abs(matrix(x)[np.isfinite(matrix(x))])
        largest[name] = finite.max(initial=0.0)
    for name, expected in reference.items():
        if name in {"pre_min", "pre_max", "abs_max", "nonfinite_count"} or name.endswith("_fraction"):
            assert ours[name] == pytest.approx(expected, rel=1e-7, abs=0, nan_ok=True), name  # float32 of the exact one
        elif name == "backward_rms":
            assert ours[name] == pytest.approx(expected, rel=TOLERANCE, abs=0, nan_ok=True), name
        else:
            absolute = TOLERANCE * largest["z" if name.startswith("pre_") else "a"]
            assert ours[name] == pytest.approx(expected, rel=TOLERANCE, abs=absolute, nan_ok=True), name


@settings(max_examples=150)
@given(batches(), st.sampled_from([(1, 1.0), (32, 1.0), (7, 1024.0)]))
def test_a_row_equals_the_reference(batch: Batch, scaling: tuple[int, float]) -> None:
    reference = reference_row(batch, *scaling)
    assert_rows_agree(our_row(batch, *scaling), reference, batch)


@settings(max_examples=75)
@given(batches())
def test_numbers_by_unit_equal_the_reference(batch: Batch) -> None:
    _, units, _ = our_sums(batch)
    kept, a, dz = kept_matrix(batch), matrix(batch.a), matrix(batch.dz)
    where = None if batch.limits is None else tails(batch)
    for u in range(a.shape[1]):
        of_unit = kept[:, u]
        assert units.positions[u] == units.entries[u] == of_unit.sum()
        assert units.backward_zero_everywhere[u] == all(dz[of_unit, u] == 0)
        seen = a[of_unit, u][~np.isnan(a[of_unit, u])]
        assert units.max_activation[u] == seen.max(initial=-INF)
        finite = np.abs(seen[np.isfinite(seen)])
        assert mean_abs(units)[u] == pytest.approx(finite.mean() if finite.size else NAN, rel=TOLERANCE, nan_ok=True)
        if where is None:
            assert math.isnan(units.inactive_everywhere[u])
            assert math.isnan(units.low_everywhere[u])
            assert math.isnan(units.active_count[u])
        else:
            if of_unit.any():  # of no position everything could be said
                assert units.inactive_everywhere[u] == all(where["inactive"][of_unit, u])
                assert units.low_everywhere[u] == all(where["low"][of_unit, u])
                assert units.high_everywhere[u] == all(where["high"][of_unit, u])
            assert units.active_count[u] == np.sum(~where["inactive"][of_unit, u])
            assert units.low_count[u] == np.sum(where["low"][of_unit, u])
            assert units.high_count[u] == np.sum(where["high"][of_unit, u])


@settings(max_examples=75)
@given(batches(), st.data())
def test_merging_the_parts_of_a_batch_gives_the_whole(batch: Batch, data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, batch.z.shape[0]))
    first, second = (
        Batch(*(None if x is None else x[part] for x in batch[:4]), batch.limits)  # type: ignore[arg-type]
        for part in (slice(None, cut), slice(cut, None))
    )
    parts, whole = list(zip(our_sums(first), our_sums(second), strict=True)), our_sums(batch)
    merged = merge_activations(*parts[0]), merge_units(*parts[1]), merge_backward(*parts[2])
    for ours, theirs in zip(merged, whole, strict=True):
        for name in theirs._fields:
            if name.endswith(("count", "entries", "positions", "everywhere", "_min", "_max", "max_activation")):
                np.testing.assert_array_equal(getattr(ours, name), getattr(theirs, name), err_msg=name)
    np.testing.assert_allclose(mean_abs(merged[1]), mean_abs(whole[1]), rtol=TOLERANCE)
    rows = (activation_row(sums, units=units, backward=backward) for sums, units, backward in (merged, whole))
    ours, theirs = (dict(zip(ACTIVATIONS.statistic_names, row, strict=True)) for row in rows)
    assert_rows_agree(ours, {name: float(value) for name, value in theirs.items()}, batch)


@settings(max_examples=40)
@given(batches(), st.permutations(range(3)))
def test_permuting_the_units_changes_nothing(batch: Batch, order: list[int]) -> None:
    mask = batch.mask
    if mask is not None and mask.ndim == batch.z.ndim:
        mask = mask[..., order]
    limits = batch.limits
    if limits is not None:
        limits = Limits(*(np.asarray(x)[order] if np.ndim(x) else x for x in limits))
    permuted = Batch(batch.z[..., order], batch.a[..., order], batch.dz[..., order], mask, limits)
    assert_rows_agree(our_row(permuted), {name: float(x) for name, x in our_row(batch).items()}, batch)
    np.testing.assert_array_equal(
        our_sums(permuted)[1].inactive_everywhere, our_sums(batch)[1].inactive_everywhere[order]
    )


@settings(max_examples=40)
@given(batches())
def test_fractions_stay_between_0_and_1(batch: Batch) -> None:
    for name, value in our_row(batch).items():
        if name.endswith("_fraction"):
            assert math.isnan(value) or 0.0 <= value <= 1.0, name


def test_tanh_counts_the_entries_of_both_tails() -> None:
    z = np.array([[-9.0, 0.0, 0.5, 9.0]], np.float32)
    row = our_row(Batch(z, np.tanh(z), z, None, LIMITS["tanh"]))
    assert row["saturated_low_fraction"] == row["saturated_high_fraction"] == 0.25
    assert row["saturated_fraction"] == 0.5
    assert row["inactive_fraction"] == 0.0
    assert row["zero_fraction"] == 0.25


def test_relu_at_and_below_zero_counts_as_saturated_and_inactive() -> None:
    z = np.array([[-1.0, 0.0, 1.0, 2.0]], np.float32)
    row = our_row(Batch(z, np.maximum(z, 0), z, None, LIMITS["relu"]))
    assert row["saturated_low_fraction"] == row["inactive_fraction"] == row["zero_fraction"] == 0.5
    assert (row["mean"], row["pre_mean"], row["abs_max"]) == (0.75, 0.5, 2.0)


@pytest.mark.parametrize("nowhere", [LIMITS["linear"], Limits(*(np.full(2, x, np.float32) for x in LIMITS["linear"]))])
def test_infinite_entries_lie_in_no_tail_that_begins_at_infinity(nowhere: Limits) -> None:
    z = np.array([[-INF, INF]], np.float32)
    row = our_row(Batch(z, z, z, None, nowhere))
    assert row["saturated_fraction"] == row["inactive_fraction"] == 0.0
    assert row["nonfinite_count"] == 2
    assert (row["pre_min"], row["pre_max"], row["abs_max"]) == (-INF, INF, INF)
    assert math.isnan(row["mean"])


def test_a_function_without_slope_anywhere_has_no_saturated_fraction_but_may_be_inactive() -> None:
    z = np.array([[-1.0, 1.0]], np.float32)
    row = our_row(Batch(z, (z > 0).astype(np.float32), z, None, Limits(NAN, NAN, 0.0, INF)))
    assert math.isnan(row["saturated_fraction"])
    assert row["inactive_fraction"] == 0.5


@pytest.mark.parametrize("dtype", sorted(DTYPES))
def test_the_spread_at_a_large_mean_is_not_lost(dtype: str) -> None:
    x = (np.float64(1e4) + np.random.default_rng(0).normal(0, 200.0, (512, 8))).astype(DTYPES[dtype])
    row = our_row(Batch(x, x, x, None, None))
    assert row["std"] == pytest.approx(matrix(x).std(), rel=1e-5)
    assert row["mean"] == pytest.approx(matrix(x).mean(), rel=1e-6)


def test_a_variance_of_1e_5_at_mean_1e4_is_right_in_float32() -> None:
    x = (1e4 + np.random.default_rng(0).normal(0, 5e-3, (4096, 8))).astype(np.float32)
    row = our_row(Batch(x, x, x, None, None))
    assert row["std"] == pytest.approx(matrix(x).std(), rel=1e-5)
    assert row["sample_std"] == pytest.approx(np.sqrt(matrix(x).var(axis=0).mean()), rel=1e-5)


def test_the_spread_over_samples_ignores_what_differs_between_units() -> None:
    biases_only = np.tile(np.array([[-5.0, 0.0, 7.0]], np.float32), (16, 1))
    row = our_row(Batch(biases_only, biases_only, biases_only, None, None))
    assert row["sample_std"] == 0.0
    assert row["std"] > 4


def test_an_empty_and_a_fully_masked_batch_give_nan_and_no_error() -> None:
    some = np.ones((4, 3), np.float32)
    for batch in (
        Batch(some[:0], some[:0], some[:0], None, LIMITS["relu"]),
        Batch(some, some, some, np.zeros(4, bool), LIMITS["relu"]),
    ):
        row = our_row(batch)
        assert row.pop("nonfinite_count") == 0
        assert all(math.isnan(value) for value in row.values()), row


def test_a_vector_is_one_unit() -> None:
    z = tf.constant([-1.0, 2.0, -3.0])
    units = site_sums(z, z, LIMITS["relu"], mask=tf.constant([True, False, True])).units
    assert [float(x) for x in units.inactive_everywhere] == [1.0]
    assert float(units.positions[0]) == 2.0


def test_channels_first_equals_channels_last() -> None:
    x = np.random.default_rng(0).normal(size=(4, 5, 6, 3)).astype(np.float32)
    last, first = tensor(x), tensor(np.moveaxis(x, -1, 1))
    mask = tf.constant([True, False, True, True])
    for ours, theirs in (
        (
            site_sums(first, first, LIMITS["relu"], unit_axis=1, mask=mask).activation,
            site_sums(last, last, LIMITS["relu"], mask=mask).activation,
        ),
        (
            site_sums(first, first, LIMITS["relu"], unit_axis=1, mask=mask).units,
            site_sums(last, last, LIMITS["relu"], mask=mask).units,
        ),
        (backward_sums(first, samples=4, unit_axis=1, mask=mask), backward_sums(last, samples=4, mask=mask)),
    ):
        np.testing.assert_array_equal(keras.ops.stack(list(ours)), keras.ops.stack(list(theirs)))


def large() -> np.ndarray:
    x = np.random.default_rng(0).normal(size=(64, 16, 16, 64)).astype(np.float32)
    x[3, 1, 2, 5], x[60, 15, 15, 63] = 77.0, NAN
    return x


def test_a_large_tensor_is_sampled_and_its_extremes_are_exact() -> None:
    x, phase = large(), 20
    sums, units, backward = our_sums(Batch(x, x, x, None, LIMITS["relu"]), phase=phase)
    seen = matrix(x)[phase % 17 :: 17]  # 1,048,576 entries: every 16th position, and 17 is coprime to 16
    assert sums.entries == backward.entries == seen.size
    assert sums.inactive_count == np.sum(seen <= 0)
    assert units.entries.tolist() == [len(seen)] * 64
    assert units.active_count.tolist() == np.sum(~(seen <= 0), axis=0).tolist()
    assert float(sums.mean * sums.scale) == pytest.approx(np.nanmean(seen), abs=1e-6)
    assert (sums.pre_max, sums.abs_max, sums.nonfinite_count) == (77.0, 77.0, 1)
    assert units.max_activation[5] == 77.0
    assert units.positions.tolist() == [64 * 16 * 16] * 64


def test_one_live_entry_in_a_large_tensor_keeps_its_unit_alive_and_nan_does_too() -> None:
    x = -np.abs(large())
    x[7, 3, 4, 9] = 1.0
    _, units, _ = our_sums(Batch(x, x, np.zeros_like(x), None, LIMITS["relu"]))
    assert np.flatnonzero(units.inactive_everywhere == 0).tolist() == [9, 63]
    assert units.backward_zero_everywhere.tolist() == [1.0] * 64


@pytest.mark.parametrize("jit_compile", [False, True])
def test_a_graph_gives_the_same_as_eager_tensors(jit_compile: bool) -> None:
    x, mask = large(), np.random.default_rng(1).random((64, 16)) < 0.8

    @tf.function(jit_compile=jit_compile)
    def graph(z: Any, mask: Any, phase: Any) -> tuple[Any, Any, Any]:
        common: dict[str, Any] = {"mask": mask, "phase": phase}
        return (
            keras.ops.stack(list(site_sums(z, z, LIMITS["relu"], **common).activation)),
            keras.ops.stack(list(site_sums(z, z, LIMITS["relu"], backward=z, **common).units)),
            keras.ops.stack(list(backward_sums(z, samples=keras.ops.shape(z)[0], **common))),
        )

    known = None if not jit_compile else 64
    traced = graph.get_concrete_function(
        tf.TensorSpec([known, 16, 16, 64]), tf.TensorSpec([known, 16], tf.bool), tf.TensorSpec([], tf.int32)
    )
    for size, phase in ((64, 0), (64, 33), (1, 2)) if known is None else ((64, 33),):
        inside = traced(tensor(x[:size]), tf.constant(mask[:size]), tf.constant(phase))
        outside = our_sums(Batch(x[:size], x[:size], x[:size], mask[:size], LIMITS["relu"]), samples=size, phase=phase)
        for ours, theirs in zip(inside, outside, strict=True):
            np.testing.assert_allclose(ours.numpy(), np.stack(theirs), rtol=1e-5, atol=1e-5)


def test_a_graph_of_unknown_sizes_takes_an_empty_batch() -> None:
    function = tf.function(lambda z: keras.ops.stack(list(site_sums(z, z, LIMITS["relu"]).activation)))
    traced = function.get_concrete_function(tf.TensorSpec([None, None, 64]))
    assert decoded(ActivationSums, traced(tf.zeros((0, 7, 64))).numpy()).entries == 0
    assert decoded(ActivationSums, traced(tf.zeros((2, 7, 64))).numpy()).entries == 2 * 7 * 64


def test_the_backward_signal_is_per_sample_and_free_of_the_loss_scale() -> None:
    x = np.random.default_rng(0).normal(size=(8, 3))
    one = our_row(Batch(x, x, x / 8, None, None), samples=8)["backward_rms"]
    scaled = our_row(Batch(x, x, x / 8 * 4096, None, None), samples=8, loss_scale=4096)["backward_rms"]
    assert one == pytest.approx(np.sqrt(np.mean(x**2)), rel=1e-6)
    assert scaled == pytest.approx(one, rel=1e-6)


@pytest.mark.parametrize("k", [1e-20, 0.5, 3.0, 1e20])
def test_scaling_the_loss_by_k_scales_the_backward_signal_by_k(k: float) -> None:
    x = np.random.default_rng(0).normal(size=(8, 3)).astype(np.float32)
    one, scaled = (our_row(Batch(x, x, (x * f).astype(np.float32), None, None))["backward_rms"] for f in (1.0, k))
    assert scaled == pytest.approx(k * one, rel=1e-6)


def test_units_that_get_no_signal_at_all_are_told() -> None:
    z, dz = tf.zeros((2, 3)), tf.constant([[0.0, 0.0, NAN], [-0.0, 1e-30, 0.0]])
    assert site_sums(z, z, None, backward=dz).units.backward_zero_everywhere.numpy().tolist() == [1.0, 0.0, 0.0]
    masked = site_sums(z, z, None, backward=dz, mask=tf.constant([True, False])).units
    assert masked.backward_zero_everywhere.numpy().tolist() == [1.0, 1.0, 0.0]


def test_without_a_backward_pass_nothing_is_known_of_it() -> None:
    z = tf.constant([[1.0, 2.0]])
    assert np.isnan(site_sums(z, z, LIMITS["relu"]).units.backward_zero_everywhere.numpy()).all()


def reference_softmax(p: np.ndarray, classes: np.ndarray, mask: np.ndarray) -> tuple[float, float]:
    entropies: list[float] = []
    tops: list[float] = []
    for index in np.ndindex(p.shape[:-1]):
        of_position = p[index][classes[index]].astype(np.float64)
        if mask[index] and of_position.size and np.isfinite(of_position).all():
            tops.append(of_position.max())
            if of_position.size > 1:
                entropy = -sum(float(x) * math.log(x) for x in of_position if x > 0)
                entropies.append(entropy / math.log(of_position.size))
    return mean_of(entropies), mean_of(tops)


def softmax_row(sums: SoftmaxSums[Any]) -> tuple[float, float]:
    anything = decoded(ActivationSums, np.zeros(len(ActivationSums._fields)))
    row = dict(zip(ACTIVATIONS.statistic_names, activation_row(anything, softmax=sums), strict=True))
    return float(row["entropy"]), float(row["top_probability"])


@settings(max_examples=75)
@given(
    st.lists(st.integers(1, 5), min_size=2, max_size=4),
    st.sampled_from(sorted(DTYPES)),
    st.integers(0, 2**32 - 1),
    st.sampled_from([0.1, 3.0, 100.0]),
    st.booleans(),
)
def test_softmax_equals_the_reference_and_merges(
    shape: list[int], dtype: str, seed: int, sharpness: float, with_nan: bool
) -> None:
    random = np.random.default_rng(seed)
    logits = random.normal(0, sharpness, shape)
    classes = np.broadcast_to(random.random((1, *shape[1:])) < 0.7, shape)
    mask = random.random(shape[:-1]) < 0.8
    exponents = np.where(classes, np.exp(logits - logits.max(-1, keepdims=True)), 0.0)
    p = (exponents / np.maximum(exponents.sum(-1, keepdims=True), 1e-300)).astype(DTYPES[dtype])
    p[np.abs(p.astype(np.float64)) < 2.0**-126] = 0
    if with_nan:
        p[(random.random(shape) < 0.1) & classes] = NAN

    def ours(part: slice) -> SoftmaxSums[Any]:
        sums = softmax_sums(tensor(p[part]), class_mask=tf.constant(classes[part]), mask=tf.constant(mask[part]))
        return decoded(SoftmaxSums, keras.ops.stack(list(sums)).numpy())

    expected = reference_softmax(p, classes, mask)
    np.testing.assert_allclose(softmax_row(ours(slice(None))), expected, rtol=TOLERANCE, atol=TOLERANCE)
    merged = merge_softmax(ours(slice(0, 1)), ours(slice(1, None)))
    np.testing.assert_allclose(softmax_row(merged), expected, rtol=TOLERANCE, atol=TOLERANCE)


def test_an_undecided_softmax_has_entropy_1_and_a_certain_one_0() -> None:
    def row(p: Any, **more: Any) -> tuple[float, float]:
        return softmax_row(decoded(SoftmaxSums, keras.ops.stack(list(softmax_sums(tf.constant(p), **more))).numpy()))

    assert row([[0.25] * 4]) == (1.0, 0.25)
    assert row([[1.0, 0.0, 0.0]]) == (0.0, 1.0)
    assert row([[0.5, 0.5, 0.0]], class_mask=tf.constant([[True, True, False]])) == (1.0, 0.5)
    assert row([[0.5, 1.0], [0.5, 0.0]], class_axis=0) == (0.5, 0.75)
    assert row([[[0.25, 0.25], [0.25, 0.25]]], class_axis=(1, 2)) == (1.0, 0.25)


def test_what_is_no_batch_is_refused_by_name() -> None:
    with pytest.raises(ShapeError, match="needs a batch axis"):
        site_sums(tf.constant(1.0), tf.constant(1.0), None)
    with pytest.raises(ShapeError, match="needs a batch axis"):
        backward_sums(tf.constant(1.0), samples=1)
    with pytest.raises(ShapeError, match="keeps the shape"):
        site_sums(tf.zeros((2, 3)), tf.zeros((2, 3, 1)), None)
