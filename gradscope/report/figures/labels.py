"""Text in figures: names, columns and numbers as plotly is to show them.

Plotly reads pseudo-HTML and TeX in every text, and fills in ``%{...}`` in hover texts. Names are data, so all of that
is escaped; a name too long for an axis loses its middle there, and is whole in the hover.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterable, Sequence
from typing import Any, Final

from gradscope.nearest import few
from gradscope.report.words.names import printable, shortened
from gradscope.schema import Column

STEP_TITLE: Final = "step (training batches)"
DECADES_SHOWN: Final = 8

_NAME_CELLS: Final = 28
_HOVER_CHARACTERS: Final = 70
_NAMES_LISTED: Final = 3
# Numeric, because plotly decodes few named entities; those of $ and % keep TeX and templates from being seen.
_ENTITIES: Final = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", "$": "&#36;", "%": "&#37;"})


def escaped(text: str) -> str:
    r"""Return ``text`` such that plotly shows it as it is, on one line.

    Example:
        >>> escaped("<img src=x onerror=alert(1)>"), escaped("%{y} & $x$")
        ('&lt;img src=x onerror=alert(1)&gt;', '&#37;{y} &amp; &#36;x&#36;')
    """
    return printable(text).translate(_ENTITIES)


def short(name: str) -> str:
    """Return ``name`` escaped for an axis or a legend, its middle left out where it is long."""
    return shortened(name, _NAME_CELLS).translate(_ENTITIES)


def wrapped(text: str, characters: int = _HOVER_CHARACTERS) -> str:
    """Return the whole of ``text`` escaped, broken into lines; a word longer than a line is broken too.

    Example:
        >>> wrapped("ab<cd", 3)
        'ab&lt;<br>cd'
    """
    lines = textwrap.wrap(printable(text), characters, break_on_hyphens=False) or [""]
    return "<br>".join(line.translate(_ENTITIES) for line in lines)


def distinct(names: Iterable[str]) -> list[str]:
    """Return each name wrapped, numbered where two look the same: axes merge categories that do.

    Example:
        >>> distinct(["a", "b", "a"]), distinct(["a", "a", "a (2)"])
        (['a', 'b', 'a (2)'], ['a', 'a (2)', 'a (2) (2)'])
    """
    seen: dict[str, int] = {}
    labels: dict[str, None] = {}
    for name in names:
        label = free = wrapped(name)
        while free in labels:
            seen[label] = seen.get(label, 1) + 1
            free = f"{label} ({seen[label]})"
        labels[free] = None
    return list(labels)


def listed(names: Sequence[str]) -> str:
    """Return the first few names and how many more there are; not escaped, for `wrapped` to do so.

    Example:
        >>> listed(["a", "b"]), listed(["a", "b", "c", "d", "e"])
        ('a, b', 'a, b, c and 2 more')
    """
    return few([shortened(name, _NAME_CELLS) for name in names], _NAMES_LISTED)


def axis_title(column: Column, *, with_scale: bool = True) -> str:
    """Return a column's title with its unit, for an axis or a colour bar, and whether the axis is logarithmic.

    Example:
        >>> axis_title(Column("std", "", "Spread.", scale="log"))
        'std (no unit, log scale)'
    """
    unit = {"": "no unit", "fraction": "%"}.get(column.unit, column.unit)
    scale = ", log scale" if with_scale and column.scale == "log" else ""
    return f"{escaped(column.title)} ({escaped(unit)}{scale})"


def number_format(column: Column) -> str:
    """Return the format, in d3's language, in which a hover shows a value of the column."""
    if column.is_fraction:
        return ".1%"
    return ".2e" if column.scale == "log" else ".4~g"


def value_axis(column: Column, limits: tuple[float, float]) -> dict[str, Any]:  # Any: plotly's specification
    """Return the axis that shows values of ``column``: its title with the unit, linear or log as the schema says.

    Args:
        column: What is shown.
        limits: The range of a log axis, as values above zero; other axes find their own.
    """
    title = {"text": axis_title(column)}
    if column.scale == "log":
        return {"title": title, **log_scale(*limits)}
    return {"title": title, "tickformat": ".0%", "range": [-0.02, 1.02]} if column.is_fraction else {"title": title}


def log_scale(low: float, high: float) -> dict[str, Any]:  # Any: plotly's specification
    """Return a log axis from ``low`` to ``high``: few powers of ten, and digits between them where it is short."""
    ends = math.log10(low), math.log10(high)
    decades = ends[1] - ends[0]
    return {
        "type": "log",
        "range": [ends[0] - 0.03 * decades, ends[1] + 0.03 * decades],
        "exponentformat": "power",
        "dtick": "D2" if decades <= 2 else math.ceil(decades / DECADES_SHOWN),
    }


def decade_ticks(low: float, high: float) -> list[float]:
    """Return whole powers of ten, as exponents, for an axis from 10^low to 10^high: few enough to be read.

    Example:
        >>> decade_ticks(-3.0, 0.0), decade_ticks(-20.0, 0.0), decade_ticks(0.2, 0.7)
        ([-3.0, -2.0, -1.0, 0.0], [-20.0, -17.0, -14.0, -11.0, -8.0, -5.0, -2.0], [0.2, 0.7])
    """
    first, last = math.ceil(low - 1e-9), math.floor(high + 1e-9)
    if last <= first:
        return [low, high]
    apart = math.ceil((last - first + 1) / DECADES_SHOWN)
    return [float(exponent) for exponent in range(first, last + 1, apart)]


def power_of_ten(exponent: float) -> str:
    """Return ten to this power as one types it.

    Example:
        >>> power_of_ten(-6.0), power_of_ten(0.0), power_of_ten(-2.3)
        ('1e-6', '1', '5e-3')
    """
    mantissa, power = f"{10.0**exponent:.0e}".split("e") if exponent < 300 else ("1", str(round(exponent)))
    return mantissa if int(power) == 0 else f"{mantissa}e{int(power)}"
