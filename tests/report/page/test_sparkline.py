"""Spark lines: where they lie, what they say, and that a spike is not lost."""

import math
import re

import numpy as np
import pytest

from gradscope.report.page.sparkline import HEIGHT, Axis, log_axis, sparkline

SHARE = Axis(0.0, 1.0)


def drawn(values: list[float], axis: Axis = SHARE) -> str:
    return str(sparkline(values, axis, name="saturated", said="{:g}".format))


def heights(line: str) -> list[float]:
    return [float(y) for y in re.findall(r"[\d.]+,([\d.]+)", line)]


def test_a_larger_value_lies_higher_and_the_ends_of_the_axis_are_inside() -> None:
    low, middle, high = heights(drawn([0.0, 0.5, 1.0]))
    assert HEIGHT > low > middle > high > 0


def test_it_says_in_words_how_the_value_went() -> None:
    assert 'aria-label="saturated: from 0.1 to 0.4, between 0 and 0.9"' in drawn([0.1, 0.9, 0.0, 0.4])
    assert 'aria-label="saturated: 0.5 throughout"' in drawn([0.5, 0.5])
    assert 'aria-label="saturated: from 0 to 1"' in drawn([0.0, 0.5, 1.0])


def test_what_is_not_finite_is_a_gap() -> None:
    line = drawn([0.1, 0.2, math.nan, 0.3, math.inf, 0.5, 0.6])
    assert line.count("<polyline") == 2
    assert line.count("<circle") == 1


@pytest.mark.parametrize("values", [[], [math.nan], [math.inf, -math.inf]])
def test_nothing_finite_is_no_line(values: list[float]) -> None:
    assert drawn(values) == ""


def test_a_single_value_is_a_dot() -> None:
    assert "<circle" in drawn([0.5])


def test_a_log_axis_spans_whole_decades_and_twelve_at_most() -> None:
    assert log_axis(np.array([3e-4, 0.2])) == Axis(1e-4, 1.0, log=True)
    axis = log_axis(np.array([1e-30, 1.0]))
    assert axis.high / axis.low == pytest.approx(1e12)
    assert np.isnan(axis.heights(np.array([np.nan, np.inf]))).all()
    assert axis.heights(np.array([1e-30, 0.0])).tolist() == [0.0, 0.0]


def test_a_decade_that_float32_rounds_down_is_none_of_its_own() -> None:
    assert log_axis(np.array([np.float32(1e-6), np.float32(1e-3)])) == Axis(1e-6, 1e-3, log=True)


def test_a_name_is_text_in_the_label() -> None:
    line = sparkline([0.5], SHARE, name='"><img src=x>', said=str)
    assert "<img" not in line
