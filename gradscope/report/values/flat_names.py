"""Nested settings by flat names, so that two runs are compared, filtered and shown by one name a value."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast


def flat(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``values`` without nesting, the names of inner ones joined by dots.

    Example:
        >>> flat({"lr": 0.1, "model": {"depth": 4}})
        {'lr': 0.1, 'model.depth': 4}
    """
    found: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            found |= {f"{name}.{key}": item for key, item in flat(cast("Mapping[str, Any]", value)).items()}
        else:
            found[name] = value
    return found
