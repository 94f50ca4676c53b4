"""Heat strips: how one statistic went, a line a layer, a character a group of recorded steps.

The height of a block says the value and its colour repeats it, so that nothing is lost without colour. Where the
encoding or the terminal has no such blocks, shades of ASCII characters stand for them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from rich.text import Text

from gradscope.report.terminal.printing import encodable
from gradscope.report.values.decades import whole_decades
from gradscope.report.words.numbers import magnitude, percentage

LEAST_DECADES: Final = 2
"""Powers of ten that a scale spans at least: a hum of a few percent must not look like an alarm."""

_BARE_TERMINALS = ("dumb", "linux", "vt", "xterm-old", "unknown")
_COLOURS = ("#4c78a8", "#3f8f9f", "#3f9f7f", "#7fa53b", "#c9a227", "#e08a2b", "#e05c2f", "#d62728")


@dataclass(frozen=True, slots=True)
class Glyphs:
    """The characters of a strip.

    Attributes:
        levels: From the smallest value to the largest.
        unknown: For what is not known.
        not_finite: For NaN or infinite entries.
    """

    levels: str
    unknown: str
    not_finite: str


BLOCKS: Final = Glyphs("▁▂▃▄▅▆▇█", "·", "!")
SHADES: Final = Glyphs(" .:-=+*#%@", "?", "!")


@dataclass(frozen=True, slots=True)
class Scale:
    """What the smallest and the largest level stand for.

    Attributes:
        low: Value at and below which the smallest level stands.
        high: Value of the largest level.
        is_log: Whether levels are apart by a factor; else by a difference.
    """

    low: float
    high: float
    is_log: bool


FRACTIONS: Final = Scale(0.0, 1.0, is_log=False)


def glyphs_for(encoding: str, terminal: str) -> Glyphs:
    """Return the characters that a terminal can show.

    Args:
        encoding: Encoding of what is printed.
        terminal: Value of ``TERM``; ``""`` where it is not set, as on Windows and in a pipe.

    Example:
        >>> glyphs_for("utf-8", "xterm-256color").levels, glyphs_for("ascii", "xterm").levels[1:]
        ('▁▂▃▄▅▆▇█', '.:-=+*#%@')
    """
    blocks = BLOCKS.levels + BLOCKS.unknown
    is_bare = terminal.startswith(_BARE_TERMINALS)
    return SHADES if is_bare or encodable(blocks, encoding) != blocks else BLOCKS


def log_scale(values: NDArray[np.float32]) -> Scale:
    """Return whole powers of ten that hold the positive finite ``values``, at least two and at most twelve apart.

    What is smaller is drawn as the smallest.

    Example:
        >>> log_scale(np.array([3e-4, 0.02, np.inf, np.nan], np.float32))
        Scale(low=0.0001, high=0.1, is_log=True)
    """
    low, high = whole_decades(values, least=LEAST_DECADES)
    return Scale(low, high, is_log=True)


def level(value: float, scale: Scale, count: int) -> int:
    """Return the level of ``value``, from 0 to ``count - 1``.

    Of fractions, level 0 is exactly none: the least that is not none stands out from it.

    Example:
        >>> [level(x, FRACTIONS, 8) for x in (0.0, 1e-6, 0.5, 1.0)]
        [0, 1, 4, 7]
        >>> [level(x, Scale(1e-4, 1.0, is_log=True), 8) for x in (0.0, 1e-5, 1e-2, 1.0)]
        [0, 0, 4, 7]
    """
    if value <= scale.low:
        return 0
    if not scale.is_log:
        return min(count - 1, math.ceil((value - scale.low) / (scale.high - scale.low) * (count - 1)))
    share = math.log10(value / scale.low) / math.log10(scale.high / scale.low)
    return min(count - 1, math.floor(share * (count - 1) + 0.5))


def strip(values: Iterable[float], scale: Scale, glyphs: Glyphs) -> Text:
    """Return one line: a character a value, NaN as not known, infinite as not finite."""
    line = Text()
    for value in map(float, values):
        if math.isnan(value):
            line.append(glyphs.unknown, "dim")
        elif math.isinf(value):
            line.append(glyphs.not_finite, "bold reverse")
        else:
            line.append(*_mark(level(value, scale, len(glyphs.levels)), glyphs))
    return line


def legend(scale: Scale, glyphs: Glyphs) -> Text:
    """Return the levels between the values of the scale's ends."""
    word = magnitude if scale.is_log else percentage
    line = Text(f"{word(scale.low)} ")
    for place in range(len(glyphs.levels)):
        line.append(*_mark(place, glyphs))
    return line.append(f" {word(scale.high)}")


def marks(values: NDArray[np.float32], glyphs: Glyphs) -> list[str]:
    """Return what the marks beside the levels mean; nothing about marks that do not occur."""
    said = [f"{glyphs.unknown}: not known"] if np.isnan(values).any() else []
    return said + ([f"{glyphs.not_finite}: NaN or infinite"] if np.isinf(values).any() else [])


def _mark(place: int, glyphs: Glyphs) -> tuple[str, str]:
    """Return the character of a level and its style."""
    colour = _COLOURS[round(place / (len(glyphs.levels) - 1) * (len(_COLOURS) - 1))]
    return glyphs.levels[place], colour if glyphs is BLOCKS else ""
