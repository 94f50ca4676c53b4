"""How numbers read: the same in every medium."""

from __future__ import annotations

import math
from typing import Final

from gradscope.schema import Column

UNKNOWN: Final = "–"


def percentage(fraction: float) -> str:
    """Return a share as whole percents; what is not quite none or all never reads as 0% or 100%.

    Example:
        >>> [percentage(x) for x in (0.0, 0.002, 0.25, 0.998, 1.0, float("nan"))]
        ['0%', '<1%', '25%', '>99%', '100%', '–']
    """
    if math.isnan(fraction):
        return UNKNOWN
    if 0 < fraction <= 0.005:
        return "<1%"
    if 0.995 <= fraction < 1:
        return ">99%"
    return f"{100 * fraction:.0f}%"


def share(fraction: float) -> str:
    """Return a share in percents of at least two digits.

    Example:
        >>> share(0.0123), share(0.25)
        ('1.2%', '25%')
    """
    return f"{100 * fraction:.0f}%" if fraction >= 0.0995 else f"{100 * fraction:.2g}%"


def overhead_text(fraction: float) -> str:
    """Return what recording cost as a share of the training, with tenths of a percent where it is small.

    A training of no length makes any number; what is more than ten times the training reads as no more than that.

    Example:
        >>> [overhead_text(x) for x in (0.0, 0.0123, 0.099, 0.25, 12.0, float("nan"))]
        ['0.0%', '1.2%', '9.9%', '25%', '>999%', '–']
    """
    if math.isnan(fraction):
        return UNKNOWN
    if fraction >= 9.995:
        return ">999%"
    return f"{100 * fraction:.1f}%" if fraction < 0.0995 else f"{100 * fraction:.0f}%"


def magnitude(value: float) -> str:
    """Return ``value`` with its power of ten, so that a column of them is read by the exponents.

    Example:
        >>> [magnitude(x) for x in (0.0, 1.0, 0.00123, 4.5e-12, float("inf"), float("nan"))]
        ['0', '1.0e0', '1.2e-3', '4.5e-12', 'inf', '–']
    """
    if math.isnan(value):
        return UNKNOWN
    if value == 0 or math.isinf(value):
        return f"{value:.0f}"
    mantissa, exponent = f"{value:.1e}".split("e")
    return f"{mantissa}e{int(exponent)}"


def number(value: float) -> str:
    """Return a loss or a metric with four digits.

    Example:
        >>> number(2.3), number(0.12345), number(123456.0), number(float("nan"))
        ('2.300', '0.1235', '1.235e+05', 'NaN')
    """
    return "NaN" if math.isnan(value) else f"{value:#.4g}".rstrip(".")


def in_words(value: float, column: Column) -> str:
    """Return a value of ``column``: a share in percents, a size by its power of ten, a count whole.

    Example:
        >>> from gradscope.schema import STATISTICS
        >>> keys = "activations.dead_unit_fraction", "gradients.rms", "gradients.connected", "activations.mean"
        >>> [in_words(1.0, STATISTICS[key].column) for key in keys]
        ['100%', '1.0e0', 'yes', '1.000']
    """
    if column.is_fraction:
        return percentage(value)
    if column.scale == "log":
        return magnitude(value)
    if column.unit == "0/1":
        return "yes" if value else "no"
    return f"{value:,.0f}" if column.unit else number(value)


def metric(name: str, value: float) -> str:
    """Return an epoch's log; an epoch without validation has none of the validation's."""
    return UNKNOWN if math.isnan(value) and name.startswith("val_") else number(value)


def seconds(value: float) -> str:
    """Return a duration with two or three digits.

    Example:
        >>> seconds(0.0123), seconds(4.56), seconds(3723.0)
        ('0.012 s', '4.6 s', '3,723 s')
    """
    return f"{value:,.0f} s" if value >= 99.5 else f"{value:.2g} s"


def plural(count: int, noun: str) -> str:
    """Return ``count`` things in words.

    Example:
        >>> plural(1, "step"), plural(2000, "step")
        ('1 step', '2,000 steps')
    """
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"
