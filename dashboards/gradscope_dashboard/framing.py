"""How answers travel: as JSON, and as binary ones with a JSON header."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from gradscope.lossless_json import to_json

T = TypeVar("T")

MOST_BYTES: Final = 2_000_000
"""No answer is larger, but one whose rows alone are: thousands of runs, or of layers."""


def json_answer(value: Any) -> bytes:
    """Return ``value`` as JSON; a number that is not finite is one of three words.

    Example:
        >>> json_answer({"loss": float("nan"), "rate": np.float32(0.5)})
        b'{"loss": "NaN", "rate": 0.5}'
    """
    return to_json(value).encode()


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
