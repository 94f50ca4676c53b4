r"""JSON that any reader takes, and that gives numbers back which JSON does not have.

Standard JSON has no NaN and no infinity, and a loss may well be one. Such a number is the string that protobuf's JSON
mapping has for it: ``"NaN"``, ``"Infinity"`` or ``"-Infinity"``, which `float` takes, as do NumPy, pandas and
JavaScript. A text that reads so is told from it by a backslash in front.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import Any, Final, cast

NAN: Final = "NaN"
WORDS: Final[Mapping[str, float]] = {NAN: math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
"""What a number that is not finite is written as."""

_TEXT_LIKE_A_WORD = re.compile(r"\\*(?:NaN|-?Infinity)")
_OF_VERSION_1_0 = "$float"


def to_json(value: Any, *, indent: int | None = None) -> str:
    r"""Return ``value``, made of JSON values and floats of any kind, as JSON text of ASCII characters.

    Example:
        >>> to_json({"loss": float("nan"), "note": "NaN"})
        '{"loss": "NaN", "note": "\\\\NaN"}'
    """
    return json.dumps(_written(value), indent=indent, allow_nan=False)


def from_json(text: str) -> Any:
    """Return the value that `to_json` wrote; also what files of version 1.0 hold.

    Example:
        >>> from_json('{"loss": "-Infinity"}')
        {'loss': -inf}
    """
    return _read(json.loads(text))


def word(number: float) -> str:
    """Return what stands for a ``number`` that is not finite.

    Example:
        >>> word(float("inf"))
        'Infinity'
    """
    return NAN if math.isnan(number) else "Infinity" if number > 0 else "-Infinity"


def _written(value: Any) -> Any:
    if isinstance(value, str):
        return f"\\{value}" if _TEXT_LIKE_A_WORD.fullmatch(value) else value
    if isinstance(value, Mapping):
        return {str(key): _written(item) for key, item in cast("Mapping[Any, Any]", value).items()}
    if isinstance(value, (list, tuple)):
        return [_written(item) for item in cast("list[Any]", value)]
    if isinstance(value, (int, bool)) or value is None:
        return value
    number = float(value)  # of NumPy too
    return number if math.isfinite(number) else word(number)


def _read(value: Any) -> Any:
    if isinstance(value, str):
        if value in WORDS:
            return WORDS[value]
        return value[1:] if _TEXT_LIKE_A_WORD.fullmatch(value) else value
    if isinstance(value, list):
        return [_read(item) for item in cast("list[Any]", value)]
    if not isinstance(value, dict):
        return value
    items = cast("dict[str, Any]", value)
    if items.keys() == {_OF_VERSION_1_0}:
        return float(items[_OF_VERSION_1_0])
    return {key: _read(item) for key, item in items.items()}
