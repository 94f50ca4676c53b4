"""JSON that gives non-finite numbers back, and that any reader takes.

Standard JSON has no NaN and no infinity, and a loss may well be one. Such a number becomes ``{"$float": "nan"}``.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any, cast

_KEY = "$float"


def to_json(value: Any) -> str:
    """Return ``value``, made of JSON values and floats of any kind, as JSON text.

    Example:
        >>> to_json({"loss": float("nan")})
        '{"loss": {"$float": "nan"}}'
    """
    return json.dumps(_marked(value), ensure_ascii=False, allow_nan=False)


def from_json(text: str) -> Any:
    """Return the value that `to_json` wrote.

    Example:
        >>> from_json('{"loss": {"$float": "-inf"}}')
        {'loss': -inf}
    """
    return json.loads(text, object_hook=_unmarked)


def _marked(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _marked(item) for key, item in cast("Mapping[Any, Any]", value).items()}
    if isinstance(value, (list, tuple)):
        return [_marked(item) for item in cast("list[Any]", value)]
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else {_KEY: str(float(value))}
    return value


def _unmarked(item: dict[str, Any]) -> Any:
    return float(item[_KEY]) if item.keys() == {_KEY} else item
