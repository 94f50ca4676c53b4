"""What the user's own Python holds, kept while a step is traced once more: counters, flags, lists, random generators.

Kept is what objects of the model hold themselves. What a step changes elsewhere, in a global or behind a closure, is
not known.
"""

from __future__ import annotations

import contextlib
import copy
import functools
import random
from collections import deque
from collections.abc import Callable, Generator, Iterable
from typing import Any, cast

import numpy as np

_SINGLE = (bool, int, float, complex, str, bytes, tuple, frozenset, type(None))


@contextlib.contextmanager
def unchanged(owners: Iterable[Any]) -> Generator[None]:
    """Put back, afterwards, what attributes of ``owners`` held, and the states of Python's and NumPy's generators."""
    undo = [_put_back_generators(), *(put_back for owner in owners for put_back in _of_attributes(owner))]
    try:
        yield
    finally:
        for put_back in undo:
            put_back()


def _put_back_generators() -> Callable[[], None]:
    state, numbers = random.getstate(), np.random.get_state()  # noqa: NPY002 - the user's own

    def put_back() -> None:
        random.setstate(state)
        np.random.set_state(numbers)  # noqa: NPY002

    return put_back


def _of_attributes(owner: Any) -> Generator[Callable[[], None]]:
    attributes: dict[str, Any] = getattr(owner, "__dict__", {})
    for name, value in [*attributes.items()]:
        found = _of_value(value)
        if found is not None:
            yield found
        elif isinstance(value, _SINGLE):
            yield functools.partial(_put, attributes, name, value)


def _put(attributes: dict[str, Any], name: str, value: Any) -> None:
    if attributes.get(name) is not value:
        attributes[name] = value


def _of_value(value: Any) -> Callable[[], None] | None:
    """Return what puts back the inside of a value that changes in place; None for any other."""
    match value:
        case np.random.Generator():
            state = value.bit_generator.state
            return lambda: setattr(value.bit_generator, "state", state)
        case np.random.RandomState():
            numbers = value.get_state()
            return lambda: value.set_state(numbers)
        case random.Random():
            words = value.getstate()
            return lambda: value.setstate(words)
        case list() | deque() | dict() | set() if type(cast("Any", value)) in _REFILLED:  # not Keras' own, which track
            held = cast("Any", value)
            kept = copy.copy(held)
            return lambda: _refill(held, kept)
        case _:
            return None


_REFILLED: dict[type, str] = {list: "extend", deque: "extend", dict: "update", set: "update"}


def _refill(held: Any, kept: Any) -> None:
    held.clear()
    getattr(held, _REFILLED[type(held)])(kept)
