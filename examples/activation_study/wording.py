"""Numbers as a person writes them."""

from collections.abc import Callable, Iterable, Mapping

import numpy as np
import pandas as pd

_SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def number(value: float) -> str:
    """Return a number with two significant digits.

    Example:
        >>> number(0.4523), number(12.3), number(1234.0), number(0.0)
        ('0.45', '12', '1,234', '0')
    """
    if not np.isfinite(value) or value == 0:
        return f"{value:.0f}".replace("inf", "∞")
    if 100 <= abs(value) < 1e5:
        return f"{value:,.0f}"
    if 0.001 <= abs(value) < 100:
        return f"{value:.2g}"
    digits, exponent = f"{value:.1e}".split("e")
    return f"{digits}\u00a0×\u00a010{str(int(exponent)).translate(_SUPERSCRIPT)}"


def percent(value: float) -> str:
    """Return a share in percent: ``0.7172`` is 71.7%."""
    return f"{100 * value:.1f}%"


def counted(count: int, noun: str) -> str:
    """Return a number of things: ``1 seed``, ``5 seeds``."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def spread(values: Iterable[float], as_text: Callable[[float], str] = number) -> str:
    """Return the median of the values and, in brackets, the smallest and the largest.

    Where these read the same there are no brackets.

    Example:
        >>> spread([1.0, 2.0, 4.0])
        '2 (1 to 4)'
    """
    array = np.asarray(list(values), float)
    least, median, most = (as_text(value) for value in (array.min(), float(np.median(array)), array.max()))
    return median if least == most else f"{median} ({least} to {most})"


def listed(names: Iterable[str]) -> str:
    """Return names in a sentence: ``a, b and c``."""
    *most, last = names
    return f"{', '.join(most)} and {last}" if most else last


def where(held: Mapping[str, bool], preposition: str = "with") -> str:
    """Return in which settings a criterion holds and in which it does not."""
    yes, no = ([name for name, holds in held.items() if holds is wanted] for wanted in (True, False))
    parts = [f"It holds {preposition} {listed(yes)}"] if yes else []
    parts += [f"{'it does not' if yes else 'It does not hold'} {preposition} {listed(no)}"] if no else []
    return "; ".join(parts) + "."


def fired(frame: pd.DataFrame, rule: str) -> str:
    """Return in how many of the trainings a rule of GradScope found something: ``15 of 15``."""
    found = [rule in str(names).split() for names in frame["rules"]]
    return f"{sum(found)} of {len(found)}"
