"""How answers travel: JSON without numbers that it cannot hold, and binary ones with a JSON header."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

T = TypeVar("T")

MOST_BYTES: Final = 2_000_000
"""No answer is larger, but one whose rows alone are: thousands of runs, or of layers."""


def json_answer(value: Any) -> bytes:
    r"""Return ``value``, made of JSON values and floats of any kind, as JSON; a number that is not finite is ``null``.

    Half a pair of surrogates, which is what Python reads of a name that is not UTF-8, stands as its escape.

    Example:
        >>> json_answer({"loss": float("nan"), "rate": np.float32(0.5)})
        b'{"loss": null, "rate": 0.5}'
        >>> json_answer(b"caf\xe9".decode("utf-8", "surrogateescape"))
        b'"caf\\udce9"'
    """
    return json.dumps(_finite(value), ensure_ascii=False, allow_nan=False).encode(errors="backslashreplace")


def binary_answer(header: Mapping[str, Any], values: NDArray[np.floating[Any]]) -> bytes:
    r"""Return the length of the header, the header padded to a multiple of four, and the values as float32.

    Example:
        >>> binary_answer({}, np.array([1.0]))
        b'\x04\x00\x00\x00{}  \x00\x00\x80?'
    """
    text = json_answer(header)
    text += b" " * (-len(text) % 4)
    return len(text).to_bytes(4, "little") + text + np.ascontiguousarray(values, "<f4").tobytes()


def newest_that_fit(items: Sequence[T], answer: Callable[[Sequence[T]], bytes]) -> bytes:
    """Return the answer about as many of the last ``items`` as an answer has room for.

    Example:
        >>> len(newest_that_fit(["x" * 100] * 30_000, json_answer)) <= MOST_BYTES
        True
    """
    found = answer(items)
    while len(found) > MOST_BYTES and items:
        room = MOST_BYTES / len(found)
        items = items[len(items) - int(len(items) * min(room, 0.9)) :]
        found = answer(items)
    return found


def _finite(value: Any) -> Any:
    if isinstance(value, (float, np.floating)):
        number = float(cast("float", value))
        return number if math.isfinite(number) else None
    if isinstance(value, Mapping):
        return {str(key): _finite(item) for key, item in cast("Mapping[Any, Any]", value).items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in cast("Sequence[Any]", value)]
    return value
