"""The kernels of finite tensors against the general ones, which a slow reference judges; what they say of others."""

from __future__ import annotations

import math
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from gradscope.errors import ShapeError
from gradscope.recording.table_rows import activation_row, gradient_row, mean_abs
from gradscope.schema import ACTIVATIONS
from gradscope.statistics.activations import SiteSums, site_sums
from gradscope.statistics.finite import SiteTensors, finite_gradient_sums, finite_site_sums, finite_sites_sums
from gradscope.statistics.gradients import gradient_sums
from gradscope.statistics.sums import ActivationSums, BackwardSums, GradientSums, Host, Limits, UnitSums, decoded

INF, NAN = math.inf, math.nan
TOLERANCE = 3e-6  # relative to the largest entry, as of the general kernels
ROUNDED = {"scale", "mean", "m2", "abs_sum"}
EXACT = [name for name in UnitSums._fields if name not in ROUNDED]

LIMITS = {
    "tanh": Limits(-2.18, 2.18, -INF, INF),
    "relu": Limits(0.0, INF, 0.0, INF),
    "bump": Limits(-1.0, 1.0, -1.0, 1.0),
    "linear": Limits(-INF, INF, -INF, INF),
    "step": Limits(NAN, NAN, 0.0, INF),
    "per unit": Limits(np.array([-1.0, -INF, 0.5], np.float32), INF, np.array([-1.0, -INF, 0.5], np.float32), INF),
}


def host(sums: SiteSums) -> tuple[ActivationSums[Host], UnitSums[Host], BackwardSums[Host] | None]:
    activation, units = (keras.ops.stack(list(part)).numpy() for part in (sums.activation, sums.units))
    backward = None if sums.backward is None else keras.ops.stack(list(sums.backward)).numpy()
    return (
        decoded(ActivationSums[Host], activation),
        decoded(UnitSums[Host], units),
        None if backward is None else decoded(BackwardSums[Host], backward),
    )


def assert_agree(finite: SiteSums, general: SiteSums, z: Any, a: Any) -> None:
    """Compare each number relative to itself and to the largest entry of the tensor that it is of."""
    (sums, units, backward), (other, other_units, other_backward) = host(finite), host(general)
    largest_z, largest_a = (float(np.abs(np.asarray(x, np.float64)).max()) for x in (z, a))
    row = activation_row(sums, units=units, backward=backward)
    expected = activation_row(other, units=other_units, backward=other_backward)
    for name, ours, theirs in zip(ACTIVATIONS.statistic_names, row, expected, strict=True):
        share = name.endswith("_fraction") or name.startswith("backward_")
        absolute = 0.0 if share else TOLERANCE * (largest_z if name.startswith("pre_") else largest_a)
        assert ours == pytest.approx(theirs, rel=TOLERANCE, abs=absolute, nan_ok=True), name
    for name in EXACT:
        np.testing.assert_array_equal(getattr(units, name), getattr(other_units, name), name)
    near: dict[str, float] = {"rtol": TOLERANCE, "atol": TOLERANCE * largest_a}
    np.testing.assert_allclose(mean_abs(units), mean_abs(other_units), **near)
    np.testing.assert_allclose(units.mean * units.scale, other_units.mean * other_units.scale, **near)
    spreads = (np.sqrt(part.m2 / part.finite_count) * part.scale for part in (units, other_units))
    np.testing.assert_allclose(*spreads, **near)
    assert sums.nonfinite_count == 0


@settings(max_examples=150)
@given(
    shape=st.sampled_from([(5, 3), (1, 3), (6, 4, 3), (2, 3, 2, 3)]),
    limits=st.sampled_from([None, *LIMITS.values()]),
    exponents=st.tuples(*[st.integers(-30, 30)] * 3),
    offset=st.sampled_from([0.0, 3.0]),
    zeros=st.sampled_from([0.0, 0.3, 1.0]),
    same=st.booleans(),
    backward=st.booleans(),
    seed=st.integers(0, 2**32 - 1),
)
def test_finite_tensors_give_what_the_general_kernels_give(
    shape: tuple[int, ...],
    limits: Limits | None,
    exponents: tuple[int, int, int],
    offset: float,
    zeros: float,
    same: bool,
    backward: bool,
    seed: int,
) -> None:
    random = np.random.default_rng(seed)
    z, a, dz = ((10.0**exponent * random.normal(offset, 1.0, shape)).astype(np.float32) for exponent in exponents)
    for x in (z, a, dz):
        x[random.random(shape) < zeros] = 0.0
    if limits is not None:
        z = np.where(random.random(shape[-1]) < 0.5, -np.abs(z), z)  # whole units in the low tail
    a = z if same else a
    common: dict[str, Any] = {"backward": tf.constant(dz) if backward else None, "samples": 7.0, "loss_scale": 8.0}
    finite = finite_site_sums(tf.constant(z), None if same else tf.constant(a), limits, **common)
    general = site_sums(tf.constant(z), tf.constant(a), limits, **common)
    assert_agree(finite, general, z, a)


@pytest.mark.parametrize("phase", [0, 20])
@pytest.mark.parametrize("limits", LIMITS.values(), ids=LIMITS)
def test_large_tensors_are_sampled_at_the_same_positions(phase: int, limits: Limits) -> None:
    x = np.random.default_rng(0).normal(size=(64, 16, 16, 48)).astype(np.float32)
    x[..., :3] = -np.abs(x[..., :3])
    if np.ndim(limits.z_low):
        limits = limits._replace(z_low=np.tile(limits.z_low, 16), zero_low=np.tile(limits.zero_low, 16))
    z, a = tf.constant(x), tf.nn.relu(x)
    finite = finite_site_sums(z, a, limits, backward=z, phase=phase)
    assert_agree(finite, site_sums(z, a, limits, backward=z, phase=phase), z, a)


def test_channels_first_and_half_precision_are_taken_too() -> None:
    x = tf.constant(np.random.default_rng(0).normal(size=(4, 3, 5, 5)), "float16")
    relu = LIMITS["relu"]
    finite = finite_site_sums(x, tf.nn.relu(x), relu, backward=x, unit_axis=1)
    assert_agree(finite, site_sums(x, tf.nn.relu(x), relu, backward=x, unit_axis=1), x, x)
    vector = tf.constant([1.0, -2.0, 3.0])
    assert_agree(finite_site_sums(vector, None, relu), site_sums(vector, vector, relu), vector, vector)


def test_the_spread_at_a_large_mean_is_not_lost() -> None:
    x = (1e4 + np.random.default_rng(0).normal(0, 5e-3, (4096, 8))).astype(np.float32)
    sums, units, _ = host(finite_site_sums(tf.constant(x), None, None))
    row = activation_row(sums, units=units)
    general = activation_row(*host(site_sums(tf.constant(x), tf.constant(x), None))[:1], units=units)
    exact = x.astype(np.float64)
    assert np.sqrt(sums.m2 / sums.finite_count) * sums.scale == pytest.approx(exact.std(), rel=1e-5)
    np.testing.assert_allclose(row, general, rtol=1e-5)
    by_unit = np.sqrt(units.m2 / units.finite_count) * units.scale
    np.testing.assert_allclose(by_unit, exact.std(axis=0), rtol=1e-4)


def test_units_without_any_spread_have_exactly_none() -> None:
    x = np.tile(np.array([[-5.1, 0.0, 7.3, 1e-20]], np.float32), (1000, 1))
    assert host(finite_site_sums(tf.constant(x), None, None))[1].m2.tolist() == [0.0] * 4


@pytest.mark.parametrize("odd", [NAN, INF, -INF])
@pytest.mark.parametrize("at", [0, 1, 2])
def test_anything_not_finite_is_told_wherever_it_is(at: int, odd: float) -> None:
    tensors = [np.ones((64, 16, 16, 64), np.float32) for _ in range(3)]
    tensors[at][7, 3, 5, 11] = odd
    z, a, dz = map(tf.constant, tensors)
    sums = finite_site_sums(z, a, LIMITS["relu"], backward=dz)
    assert sums.backward is not None
    assert math.isnan(sums.activation.nonfinite_count)
    assert math.isnan(sums.backward.nonfinite_count)
    assert math.isnan(finite_gradient_sums(tensors[at]).nonfinite_count)


def test_an_empty_batch_is_left_to_the_general_kernels() -> None:
    assert math.isnan(finite_site_sums(tf.zeros((0, 7, 3)), None, None).activation.nonfinite_count)
    assert math.isnan(finite_gradient_sums(tf.zeros((0, 3))).nonfinite_count)


def test_a_graph_of_unknown_sizes_gives_the_same_as_eager_tensors() -> None:
    z = tf.constant(np.random.default_rng(0).normal(size=(64, 16, 16, 64)), "float32")
    traced = tf.function(
        lambda z, phase: finite_site_sums(z, tf.nn.relu(z), LIMITS["relu"], backward=z, phase=phase)
    ).get_concrete_function(tf.TensorSpec([None, 16, 16, None]), tf.TensorSpec([], tf.int32))
    for size in (64, 1):
        inside = traced(z[:size], tf.constant(33))
        outside = finite_site_sums(z[:size], tf.nn.relu(z[:size]), LIMITS["relu"], backward=z[:size], phase=33)
        assert_agree(inside, outside, z, z)


@settings(max_examples=15)
@given(
    kinds=st.lists(
        st.tuples(
            st.sampled_from([(6, 3), (6, 5), (2, 3, 3), (64, 16, 16, 8)]),
            st.sampled_from([None, *(limits for name, limits in LIMITS.items() if name != "per unit")]),
            st.booleans(),
            st.booleans(),
        ),
        min_size=1,
        max_size=5,
    ),
    phase=st.integers(0, 40),
    known=st.booleans(),
    seed=st.integers(0, 2**32 - 1),
)
def test_sites_side_by_side_give_what_each_gives_alone(
    kinds: list[tuple[tuple[int, ...], Limits | None, bool, bool]], phase: int, known: bool, seed: int
) -> None:
    random = np.random.default_rng(seed)
    sites: list[SiteTensors] = []
    for shape, limits, same, backward in kinds:
        z, a, dz = (tf.constant(random.normal(size=shape) * 10.0 ** random.integers(-9, 9), tf.float32) for _ in "zad")
        sites.append(SiteTensors(z, None if same else a, limits, dz if backward else None))
    samples = np.arange(1.0, 1.0 + len(sites), dtype=np.float32)
    tensors = [(site.z, site.a, site.backward) for site in sites]

    def together(given: Any) -> Any:
        of = [SiteTensors(z, a, site.limits, dz) for (z, a, dz), site in zip(given, sites, strict=True)]
        return finite_sites_sums(of, samples=samples, loss_scale=8.0, phase=phase)

    if known:
        sums = together(tensors)
    else:
        specs = [[x if x is None else tf.TensorSpec([None] * x.shape.rank, x.dtype) for x in each] for each in tensors]
        sums = tf.function(together, autograph=False).get_concrete_function(specs)([[*each] for each in tensors])
    ends = np.cumsum([site.z.shape[-1] for site in sites])
    for at, (site, end) in enumerate(zip(sites, ends, strict=True)):
        a = site.z if site.a is None else site.a
        own = SiteSums(
            ActivationSums(*(field[at] for field in sums.activation)),
            UnitSums(*(field[end - site.z.shape[-1] : end] for field in sums.units)),
            None if site.backward is None else BackwardSums(*(field[at] for field in sums.backward)),
        )
        common: dict[str, Any] = {"backward": site.backward, "samples": samples[at], "loss_scale": 8.0, "phase": phase}
        assert_agree(own, site_sums(site.z, a, site.limits, **common), site.z, a)
        assert np.isnan(sums.backward.entries[at]) == (site.backward is None)


@pytest.mark.parametrize("at", range(3))
def test_of_sites_side_by_side_only_the_one_that_is_not_finite_says_so(at: int) -> None:
    tensors = [np.ones((6, 4), np.float32) for _ in range(3)]
    tensors[at][3, 2] = NAN
    sums = finite_sites_sums([SiteTensors(tf.constant(x), None, LIMITS["relu"], tf.constant(x)) for x in tensors])
    for counts in (sums.activation.nonfinite_count, sums.backward.nonfinite_count):
        assert np.isnan(counts).tolist() == [k == at for k in range(3)]


@settings(max_examples=60)
@given(
    shape_and_axes=st.sampled_from([((9, 4), (1,)), ((3, 3, 2, 4), (3,)), ((8, 2, 3), (1, 2)), ((5,), None)]),
    exponent=st.integers(-30, 30),
    zeros=st.sampled_from([0.0, 0.4, 1.0]),
    offset=st.sampled_from([0.0, 2.0]),
    seed=st.integers(0, 2**32 - 1),
)
def test_a_finite_gradient_gives_what_the_general_kernel_gives(
    shape_and_axes: tuple[tuple[int, ...], tuple[int, ...] | None],
    exponent: int,
    zeros: float,
    offset: float,
    seed: int,
) -> None:
    shape, axes = shape_and_axes
    random = np.random.default_rng(seed)
    g = (10.0**exponent * random.normal(offset, 1.0, shape)).astype(np.float32)
    g[random.random(shape) < zeros] = 0.0
    rows = (
        gradient_row(decoded(GradientSums[Host], keras.ops.stack(list(kernel(tf.constant(g), axes))).numpy()))
        for kernel in (finite_gradient_sums, gradient_sums)
    )
    np.testing.assert_allclose(*rows, rtol=2e-6, equal_nan=True)


def test_tensors_of_different_ranks_are_refused() -> None:
    with pytest.raises(ShapeError):
        finite_site_sums(tf.zeros((2, 3)), tf.zeros((2, 3, 1)), None)
