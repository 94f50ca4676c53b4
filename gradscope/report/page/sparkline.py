"""Spark lines: how a number went over a training, as a drawing as small as a word, with the same told in words.

All lines of one column share their axes: where a line lies says how large its number is beside that of other layers.
An own axis for each line would make noise look like drama.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from gradscope.report.values.decades import whole_decades

Floats = NDArray[np.float64]

WIDTH: Final = 64
HEIGHT: Final = 20
POINTS: Final = 40
"""Most points of a line: more would lie closer to one another than a pixel and a half."""

_MARGIN: Final = 2.0


@dataclass(frozen=True, slots=True)
class Axis:
    """What a spark line's height stands for, the same for all lines of a column.

    Attributes:
        low: Value at the bottom.
        high: Value at the top.
        log: True where equal ratios have equal heights.
    """

    low: float
    high: float
    log: bool = False

    def heights(self, values: Floats) -> Floats:
        """Return where ``values`` lie between bottom and top, in [0, 1]; NaN for what is not finite.

        On a logarithmic axis a value of 0 lies at the bottom.

        Example:
            >>> Axis(1e-4, 1.0, log=True).heights(np.array([1e-2, 0.0, np.nan])).tolist()
            [0.5, 0.0, nan]
        """
        low, high = self.low, self.high
        values = np.where(np.isfinite(values), values, np.nan)
        if self.log:
            values = np.log10(np.maximum(values, low))
            low, high = math.log10(low), math.log10(high)
        share = (values - low) / (high - low) if high > low else np.where(np.isnan(values), np.nan, 0.5)
        return np.clip(share, 0.0, 1.0)


def log_axis(values: Floats) -> Axis:
    """Return the logarithmic axis of all positive finite ``values``: of whole decades, at most 12 below the largest.

    Example:
        >>> log_axis(np.array([2e-3, 5e-3, 0.0, np.nan]))
        Axis(low=0.001, high=0.01, log=True)
    """
    low, high = whole_decades(values)
    return Axis(low, high, log=True)


def sparkline(values: Sequence[float] | Floats, axis: Axis, *, name: str, said: Callable[[float], str]) -> Markup:
    """Return the line of ``values`` over equal distances as an inline SVG; ``""`` where none of them is finite.

    A gap is a stretch that is not known or not finite; a single value is a dot.

    Args:
        values: In the order of steps.
        axis: What the height stands for.
        name: What is shown, for the text alternative.
        said: How one of the values reads.
    """
    series = np.asarray(values, np.float64)
    known = series[np.isfinite(series)]
    if not known.size:
        return Markup("")
    ends = said(float(known[0])), said(float(known[-1]))
    between = said(float(known.min())), said(float(known.max()))
    went = f"{ends[0]} throughout" if between[0] == between[1] else f"from {ends[0]} to {ends[1]}"
    span = "" if set(between) <= set(ends) else f", between {between[0]} and {between[1]}"
    return Markup(
        '<svg class="spark" role="img" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        'aria-label="{label}">{shapes}</svg>'
    ).format(width=WIDTH, height=HEIGHT, label=f"{name}: {went}{span}", shapes=Markup("").join(_shapes(series, axis)))


def _shapes(values: Floats, axis: Axis) -> Iterator[Markup]:
    inner_width, inner_height = WIDTH - 2 * _MARGIN, HEIGHT - 2 * _MARGIN
    heights = _MARGIN + inner_height * (1 - axis.heights(values))
    places = _MARGIN + inner_width * np.linspace(0, 1, len(values)) if len(values) > 1 else np.array([WIDTH / 2])
    known = np.flatnonzero(~np.isnan(heights))
    for stretch in np.split(known, np.flatnonzero(np.diff(known) > 1) + 1):
        points = [(f"{places[at]:.0f}", f"{heights[at]:.1f}".removesuffix(".0")) for at in stretch]
        if len(points) > 1:
            yield Markup('<polyline points="{}"/>').format(" ".join(f"{x},{y}" for x, y in points))
        else:
            yield Markup('<circle cx="{}" cy="{}" r="1.5"/>').format(*points[0])
