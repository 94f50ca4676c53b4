"""Following calls of functions that are not ours to touch: the interpreter tells when one begins and what it returns.

A layer may compare its function with one that it knows, read an attribute of it, or replace it; so nothing may stand
in its place. Functions written in C cannot be followed.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import sys
import types
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, cast

Returned: TypeAlias = Callable[[Any], None]
"""Is told what a call returned; None where it raised."""
Called: TypeAlias = Callable[[Sequence[Any], Mapping[str, Any]], Returned | None]
"""Is told the arguments of a call, those by position and those by name."""


@dataclass(frozen=True, slots=True)
class Followed:
    """A function whose calls can be followed.

    Attributes:
        code: What runs when it is called.
        given: Arguments that are not the caller's: the object of a method, and those of a `functools.partial`.
        closure: What the function closes over, which tells it from others of the same code.
    """

    code: types.CodeType
    given: tuple[Any, ...]
    closure: Mapping[str, Any]

    def is_run_by(self, frame: types.FrameType) -> bool:
        """Whether the frame runs this function, and not another of the same code."""
        if frame.f_code is not self.code:
            return False
        values = frame.f_locals
        positional = _positional(self.code, values)
        return all(values.get(name) is held for name, held in self.closure.items()) and (
            len(positional) >= len(self.given)
            and all(value is given for value, given in zip(positional, self.given, strict=False))
        )

    def arguments(self, frame: types.FrameType) -> tuple[list[Any], dict[str, Any]]:
        """Return what the caller has passed, with what it has left to the defaults."""
        values, code = frame.f_locals, self.code
        first = code.co_argcount
        by_name = {name: values[name] for name in code.co_varnames[first : first + code.co_kwonlyargcount]}
        if code.co_flags & inspect.CO_VARKEYWORDS:
            at = first + code.co_kwonlyargcount + bool(code.co_flags & inspect.CO_VARARGS)
            by_name |= values[code.co_varnames[at]]
        return _positional(code, values)[len(self.given) :], by_name


def followed(function: Any) -> Followed | None:
    """Return how calls of ``function`` are followed; None where they cannot be.

    Example:
        >>> followed(lambda x: x).given, followed(abs)
        ((), None)
    """
    if isinstance(function, functools.partial):
        inner: Any = function.func
        found = followed(inner)
        return found and Followed(found.code, (*found.given, *function.args), found.closure)
    if isinstance(function, types.MethodType):
        found = followed(function.__func__)
        return found and Followed(found.code, (function.__self__, *found.given), found.closure)
    if not isinstance(function, types.FunctionType):
        method: Any = inspect.getattr_static(cast("type[object]", type(function)), "__call__", None)
        return followed(types.MethodType(method, function)) if isinstance(method, types.FunctionType) else None
    closure = dict[str, Any]()
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        with contextlib.suppress(ValueError):  # of a name that is bound later
            closure[name] = cell.cell_contents
    return Followed(function.__code__, (), closure)


@contextlib.contextmanager
def following(functions: Sequence[tuple[Followed, Called]]) -> Generator[None]:
    """Tell of every call of ``functions`` in this thread meanwhile. A profiler of the user's goes on."""
    users = sys.getprofile()
    running: list[tuple[types.FrameType, Returned]] = []
    codes = {each.code for each, _ in functions}

    def told(frame: types.FrameType, event: str, value: Any) -> None:
        if users is not None:
            users(frame, event, value)  # pyright: ignore[reportArgumentType] - its events are these
        if event == "call" and frame.f_code in codes:
            for each, called in functions:
                if each.is_run_by(frame):
                    returned = called(*each.arguments(frame))
                    if returned is not None:
                        running.append((frame, returned))
                    return
        elif event == "return" and running and running[-1][0] is frame:
            running.pop()[1](value)

    sys.setprofile(told)
    try:
        yield
    finally:
        sys.setprofile(users)


def can_follow() -> bool:
    """Whether calls can be followed now: not where a profiler written in C, such as cProfile, is told of them."""
    users = sys.getprofile()
    return users is None or callable(users)


def _positional(code: types.CodeType, values: Mapping[str, Any]) -> list[Any]:
    found = [values[name] for name in code.co_varnames[: code.co_argcount]]
    if code.co_flags & inspect.CO_VARARGS:
        found += values[code.co_varnames[code.co_argcount + code.co_kwonlyargcount]]
    return found
