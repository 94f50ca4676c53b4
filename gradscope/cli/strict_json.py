"""JSON that every reader takes: null for what JSON has no number for."""

from __future__ import annotations

import json
import math
from typing import Any, cast


def strict_json(document: Any) -> str:  # Any: JSON values
    """Return ``document`` as strict JSON; numbers that are not finite are null.

    Example:
        >>> strict_json([1.5, float("nan")]).split()
        ['[', '1.5,', 'null', ']']
    """
    return json.dumps(_finite(document), indent=2, allow_nan=False)


def _finite(value: Any) -> Any:
    match value:
        case dict():
            return {str(key): _finite(item) for key, item in cast("dict[Any, Any]", value).items()}
        case list():
            return [_finite(item) for item in cast("list[Any]", value)]
        case float() if not math.isfinite(value):
            return None
        case _:
            return value
