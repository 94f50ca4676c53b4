"""Whole decades: which powers of ten hold which values."""

import math

import numpy as np
import pytest

from gradscope.report.values.decades import MOST_DECADES, whole_decades


@pytest.mark.parametrize(
    ("values", "least", "expected"),
    [
        ([3e-4, 0.2], 1, (1e-4, 1.0)),
        ([1e-3], 1, (1e-4, 1e-3)),
        ([1e-3], 2, (1e-5, 1e-3)),
        ([0.5, 0.0, -7.0, math.nan, math.inf], 1, (0.1, 1.0)),
        ([], 1, (1e-6, 1.0)),
        ([1e-30, 1.0], 1, (1e-12, 1.0)),
    ],
)
def test_the_powers_of_ten_hold_all_values_above_zero(
    values: list[float], least: int, expected: tuple[float, float]
) -> None:
    assert whole_decades(np.array(values), least=least) == expected


@pytest.mark.parametrize("exponent", range(-30, 30))
def test_a_power_of_ten_in_single_precision_needs_no_decade_more(exponent: int) -> None:
    values = np.array([10.0**exponent, 10.0 ** (exponent + 3)], np.float32)
    assert whole_decades(values) == (10.0**exponent, 10.0 ** (exponent + 3))


@pytest.mark.parametrize("value", [5e-324, 1e-310, 1.7e308])
def test_the_ends_of_what_a_number_can_hold_are_no_error(value: float) -> None:
    low, high = whole_decades(np.array([value]))
    assert 0 < low < high < math.inf
    assert high / low <= 10.0**MOST_DECADES * 1.001
