"""Merging and ratios on the host, against NumPy on the values themselves and cases known on paper."""

from __future__ import annotations

import math
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import ArrayLike

from gradscope.network import Profile
from gradscope.recording.table_rows import (
    activation_row,
    backward_rms,
    dormant_unit_fraction,
    global_norm,
    gradient_norm,
    gradient_row,
    sample_std,
)
from gradscope.schema import ACTIVATIONS, GRADIENTS
from gradscope.statistics.sums import (
    ActivationSums,
    BackwardSums,
    GradientSums,
    Host,
    Limits,
    Moments,
    SoftmaxSums,
    UnitSums,
    decoded,
    limits,
    merge_activations,
    merge_backward,
    merge_moments,
    merge_units,
)

NAN, INF = math.nan, math.inf


def moments_of(values: list[float], scale: float) -> Moments[Host]:
    x = np.array(values) / scale
    mean = x.mean() if values else 0.0
    return Moments(*(np.asarray(v, np.float64) for v in (x.size, scale, mean, np.sum((x - mean) ** 2))))


def zeros(kind: Any, units: int | None = None, **fields: ArrayLike) -> Any:
    """Return sums that are 0 but for ``fields``."""
    shape = (len(kind._fields),) if units is None else (len(kind._fields), units)
    nothing = decoded(kind, np.zeros(shape))
    return nothing._replace(**{name: np.asarray(value, np.float64) for name, value in fields.items()})


VALUES = st.lists(st.floats(-100, 100), max_size=8)


@given(VALUES, VALUES, st.integers(-100, 100), st.integers(-20, 20), st.integers(-20, 20))
def test_merged_moments_are_those_of_all_values(
    one: list[float], other: list[float], exponent: int, first_scale: int, second_scale: int
) -> None:
    magnitude = 2.0**exponent
    first, second = ([value * magnitude for value in values] for values in (one, other))
    merged = merge_moments(
        moments_of(first, magnitude * 2.0**first_scale), moments_of(second, magnitude * 2.0**second_scale)
    )
    both = np.array(first + second)
    assert merged.finite_count == both.size
    if both.size:
        assert float(merged.mean * merged.scale) == pytest.approx(both.mean(), rel=1e-12, abs=1e-13 * 100 * magnitude)
        m2 = np.sum((both - both.mean()) ** 2)
        assert float(merged.m2 * merged.scale**2) == pytest.approx(m2, rel=1e-9, abs=1e-13 * 1e4 * magnitude**2)


def test_merging_keeps_extremes_and_adds_counts() -> None:
    one = zeros(ActivationSums, entries=4, low_count=1, pre_min=-INF, pre_max=3, abs_max=2, nonfinite_count=1)
    other = zeros(ActivationSums, entries=2, low_count=1, pre_min=-1, pre_max=5, abs_max=1)
    merged = merge_activations(one, other)
    assert (merged.entries, merged.low_count, merged.nonfinite_count) == (6, 2, 1)
    assert (merged.pre_min, merged.pre_max, merged.abs_max) == (-INF, 5, 2)


def test_a_unit_is_inactive_everywhere_only_where_both_parts_say_so() -> None:
    one = zeros(UnitSums, 4, inactive_everywhere=[1, 1, 0, NAN], backward_zero_everywhere=[1, 1, 1, 1])
    other = zeros(UnitSums, 4, inactive_everywhere=[1, 0, 0, 1], backward_zero_everywhere=[1, NAN, 0, 1])
    merged = merge_units(one, other)
    np.testing.assert_array_equal(merged.inactive_everywhere, [1, 0, 0, NAN])
    np.testing.assert_array_equal(merged.backward_zero_everywhere, [1, NAN, 0, 1])


def test_replicas_with_batches_of_their_own_merge_their_backward_signals() -> None:
    one = zeros(BackwardSums, entries=2, finite_count=2, scale=2, square_sum=1, factor=3)  # squares 4 * 9
    other = zeros(BackwardSums, entries=2, finite_count=1, scale=1, square_sum=4, factor=1)
    assert backward_rms(merge_backward(one, other)) == pytest.approx(math.sqrt((36 + 4) / 3))


def test_a_row_has_every_statistic_of_the_schema_in_its_order() -> None:
    counts = {"entries": 8, "low_count": 1, "high_count": 2, "inactive_count": 3, "zero_count": 4}
    sums = zeros(ActivationSums, **counts, pre_min=-1, pre_max=2)
    row = activation_row(
        sums,
        softmax=zeros(SoftmaxSums, entropy_sum=1, entropy_count=2, top_sum=3, top_count=4),
        dead_unit_fraction=0.25,
        stuck_unit_fraction=0.75,
    )
    assert row.dtype == np.float32
    assert row.shape == (len(ACTIVATIONS.statistics),)
    named = dict(zip(ACTIVATIONS.statistic_names, row.tolist(), strict=True))
    known = {name: value for name, value in named.items() if not math.isnan(value)}
    assert known == {
        "pre_min": -1,
        "pre_max": 2,
        "abs_max": 0,
        "zero_fraction": 0.5,
        "saturated_fraction": 0.375,
        "saturated_low_fraction": 0.125,
        "saturated_high_fraction": 0.25,
        "inactive_fraction": 0.375,
        "dead_unit_fraction": 0.25,
        "stuck_unit_fraction": 0.75,
        "nonfinite_count": 0,
        "entropy": 0.5,
        "top_probability": 0.75,
    }


def test_a_gradient_row_knows_norm_ratio_and_shares() -> None:
    sums = decoded(GradientSums, [4, 1, 0, 2.0, 4.0, 3.0, 1.5, 2])
    named = dict(
        zip(GRADIENTS.statistic_names, gradient_row(sums, weight_norm=2.0, update_norm=0.5).tolist(), strict=True)
    )
    assert named == {
        "connected": 1.0,
        "norm": 4.0,
        "rms": 2.0,
        "abs_max": 3.0,
        "zero_fraction": 0.25,
        "nonfinite_count": 0.0,
        "weight_norm": 2.0,
        "update_norm": 0.5,
        "update_to_weight_ratio": 0.25,
        "sign_agreement": 0.75,
    }


def test_a_variable_that_the_loss_does_not_depend_on_has_no_norm_and_never_0() -> None:
    named = dict(zip(GRADIENTS.statistic_names, gradient_row(None, weight_norm=2.0, update_norm=0.0), strict=True))
    assert named.pop("connected") == 0
    assert (named.pop("weight_norm"), named.pop("update_norm"), named.pop("update_to_weight_ratio")) == (2, 0, 0)
    assert all(math.isnan(value) for value in named.values())


def test_the_ratio_of_a_zero_weight_is_nan_and_of_a_huge_norm_infinite_without_a_warning() -> None:
    sums = decoded(GradientSums, [1, 0, 0, 2.0**127, 100.0, INF, 0, 0])
    named = dict(zip(GRADIENTS.statistic_names, gradient_row(sums, weight_norm=0.0, update_norm=1.0), strict=True))
    assert math.isnan(named["update_to_weight_ratio"])
    assert named["norm"] == INF
    assert gradient_norm(sums) == 10 * 2.0**127


def test_the_global_norm_is_that_of_all_gradients_laid_end_to_end() -> None:
    three, four = (decoded(GradientSums, [1, 0, 0, scale, 1.0, 1.0, 0, 0]) for scale in (3.0, 4.0))
    assert global_norm([three, four]) == 5.0
    assert math.isnan(global_norm([]))
    assert math.isnan(global_norm([three, four._replace(square_sum=np.float64(NAN))]))


def test_the_spread_over_samples_is_the_root_mean_square_over_units_that_have_one() -> None:
    units = zeros(UnitSums, 3, finite_count=[4, 4, 0], scale=[1, 2, 1], m2=[4, 3, 0])  # variances 1 and 3
    assert sample_std(units) == pytest.approx(math.sqrt(2))
    assert math.isnan(sample_std(zeros(UnitSums, 3)))


def test_a_unit_at_a_fortieth_of_its_layers_mean_is_dormant() -> None:
    means_05_4_1950 = {"finite_count": [2, 2, 2, 0], "scale": [1, 2, 1, 1], "abs_sum": [0.1, 4.0, 3.9, 0]}
    units = zeros(UnitSums, 4, **means_05_4_1950)
    assert dormant_unit_fraction(units) == pytest.approx(1 / 3)
    assert dormant_unit_fraction(units._replace(abs_sum=np.zeros(4))) == 1.0
    assert math.isnan(dormant_unit_fraction(zeros(UnitSums, 4)))


def test_limits_are_those_of_the_profile_and_unknown_where_there_is_no_slope_at_all() -> None:
    assert limits(None) is None
    assert limits(Profile(elementwise=False)) is None
    assert limits(Profile(z_low=-2.0, z_high=2.0)) == Limits(-2.0, 2.0, -INF, INF)
    blocked = limits(Profile(blocked=True, zero_low=0.0))
    assert blocked is not None
    assert math.isnan(blocked.z_low)
    assert math.isnan(blocked.z_high)
    assert (blocked.zero_low, blocked.zero_high) == (0.0, INF)


def test_sums_and_windows_load_no_framework() -> None:
    modules = "gradscope.statistics.sums, gradscope.recording.unit_windows"
    program = f"import sys, {modules}; assert not {{'keras', 'tensorflow'}} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", program], check=True)
