"""Which runs of a sweep are shown, and in which order: conditions such as ``lr<0.01``, and a column to sort by.

A condition is one comparison and never code: a name, an operator, a value.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from gradscope.diagnose.finding import SEVERITIES
from gradscope.errors import ArgumentError
from gradscope.nearest import few, nearest, question
from gradscope.report.values.runs_table import Sweep

OPERATORS: Final[Mapping[str, Callable[[Any, Any], bool]]] = {
    "<=": operator.le,
    ">=": operator.ge,
    "!=": operator.ne,
    "==": operator.eq,
    "=": operator.eq,
    "<": operator.lt,
    ">": operator.gt,
}

_CONDITION = re.compile(r"\s*(?P<name>[^<>=!]+?)\s*(?P<operator><=|>=|!=|==|=|<|>)\s*(?P<value>.*?)\s*", re.DOTALL)
_NAMES_SHOWN = 12


@dataclass(frozen=True, slots=True)
class Condition:
    """One comparison of a column with a value, both as the user typed them."""

    column: str
    operator: str
    value: str


def condition_of(text: str) -> Condition:
    """Return the condition that ``text`` states.

    Raises:
        ArgumentError: If it states none.

    Example:
        >>> condition_of("lr < 0.01")
        Condition(column='lr', operator='<', value='0.01')
    """
    match = _CONDITION.fullmatch(text)
    if match is None:
        raise ArgumentError(
            f"where={text!r} is no condition. Pass a column, one of {' '.join(OPERATORS)}, and a value: 'lr<0.01'."
        )
    return Condition(match["name"], match["operator"], match["value"])


def selected(sweep: Sweep, conditions: Iterable[Condition]) -> Sweep:
    """Return ``sweep`` with the runs that meet all ``conditions``.

    Numbers are compared as numbers and severities by how bad they are; all else is text, which is equal or not. A run
    without the value meets ``!=`` only.

    Raises:
        ArgumentError: If a column is not known, or an order is asked of texts.
    """
    kept = list(zip(sweep.rows, sweep.records, strict=True))
    for condition in conditions:
        column = column_named(sweep, condition.column)
        _require_order(sweep, column, condition)
        kept = [(row, record) for row, record in kept if _meets(column, record[column], condition)]
    return replace(sweep, rows=tuple(row for row, _ in kept))


def ordered(sweep: Sweep, column: str) -> Sweep:
    """Return ``sweep`` sorted by ``column``, downwards with ``-`` before its name; runs without a value come last.

    Raises:
        ArgumentError: If the column is not known; it names the nearest.
    """
    downwards = column.startswith("-") and column not in sweep.columns
    name = column_named(sweep, column[1:] if downwards else column)
    pairs = list(zip(sweep.rows, (_sortable(name, record[name]) for record in sweep.records), strict=True))
    known = [(row, value) for row, value in pairs if value is not None]
    known.sort(key=lambda pair: pair[1], reverse=downwards)
    return replace(sweep, rows=(*(row for row, _ in known), *(row for row, value in pairs if value is None)))


def column_named(sweep: Sweep, name: str) -> str:
    """Return ``name`` if it is one of the sweep's columns.

    Raises:
        ArgumentError: If not; it names the nearest.
    """
    if name not in sweep.columns:
        hint = question(nearest(name, sweep.columns))
        known = few(sweep.columns, _NAMES_SHOWN)
        raise ArgumentError(f"There is no column {name!r}.{hint} The columns are: {known}.")
    return name


def _require_order(sweep: Sweep, column: str, condition: Condition) -> None:
    """Raise if ``condition`` asks which of two texts is the smaller one."""
    if condition.operator in ("=", "==", "!="):
        return
    if column == "severity":
        if condition.value not in SEVERITIES:
            raise ArgumentError(f"{condition.value!r} is no severity. Pass low, medium or high.")
        return
    if _number(condition.value) is None:
        raise ArgumentError(f"{column}{condition.operator}{condition.value} needs a number behind the operator.")
    values = [record[column] for record in sweep.records if record[column] is not None]
    if values and all(_number(value) is None for value in values):
        raise ArgumentError(f"{column!r} holds text, such as {str(values[0])!r}: only = and != can be asked of it.")


def _meets(column: str, cell: Any, condition: Condition) -> bool:
    compare = OPERATORS[condition.operator]
    if cell is None:
        return condition.operator == "!="
    if column == "severity" and condition.value in SEVERITIES:
        return compare(SEVERITIES.index(cell), SEVERITIES.index(condition.value))
    number, limit = _number(cell), _number(condition.value)
    if number is not None and limit is not None:
        return compare(number, limit)
    if condition.operator in ("=", "==", "!="):
        return compare(_text(cell), condition.value)
    return False


def _number(value: Any) -> float | None:
    """Return ``value`` as a number if it is or reads as one; a truth is none."""
    if isinstance(value, bool):
        return None
    try:
        return float(value)
    except (TypeError, ValueError):
        return None


def _text(value: Any) -> str:
    """Return ``value`` as a user types it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _sortable(column: str, value: Any) -> tuple[int, float, str] | None:
    """Return what ``value`` is sorted by: numbers before texts; None where there is nothing to sort by."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    if column == "severity":
        return 0, SEVERITIES.index(value), ""
    if isinstance(value, (int, float)):
        return 0, float(value), ""
    return 1, 0.0, str(value)
