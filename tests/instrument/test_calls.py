"""Following calls of functions that nothing stands in for."""

from __future__ import annotations

import cProfile
import functools
import sys
from collections.abc import Callable
from typing import Any

import keras
import pytest

from gradscope.instrument.calls import can_follow, followed, following


def plain(x: int, y: int = 2, *, z: int = 3) -> int:
    return x + y + z


def decorated(function: Callable[..., int]) -> Callable[..., int]:
    @functools.wraps(function)
    def around(*arguments: int, **keywords: int) -> int:
        return function(*arguments, **keywords)

    return around


class Called:
    def __init__(self, by: int) -> None:
        self.by = by

    def __call__(self, x: int) -> int:
        return self.by * x

    def method(self, x: int) -> int:
        return self.by + x


class Inherits(Called):
    pass


def told(function: Any, *calls: Callable[[], Any]) -> list[Any]:
    """What is told of ``function`` while the ``calls`` are made: arguments and values."""
    heard: list[Any] = []

    def called(arguments: Any, keywords: Any) -> Any:
        entry = [list(arguments), dict(keywords)]
        heard.append(entry)
        return entry.append

    found = followed(function)
    assert found is not None
    with following([(found, called)]):
        for call in calls:
            call()
    return heard


FUNCTIONS = {
    "function": (plain, (1,), [1, 2], {"z": 3}, 6),
    "lambda": (lambda x: 2 * x, (4,), [4], {}, 8),
    "object": (Called(3), (5,), [5], {}, 15),
    "object of a subclass": (Inherits(3), (5,), [5], {}, 15),
    "method": (Called(3).method, (5,), [5], {}, 8),
    "partial": (functools.partial(plain, 10, z=1), (5,), [5], {"z": 1}, 16),
    "decorated": (decorated(plain), (1, 5), [1, 5], {}, 9),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_call_is_told_with_its_arguments_and_its_value(name: str) -> None:
    function, given, arguments, keywords, value = FUNCTIONS[name]
    assert told(function, lambda: function(*given)) == [[arguments, keywords, value]]


def test_others_of_the_same_code_are_not_told() -> None:
    def times(by: int) -> Callable[[int], int]:
        return lambda x: by * x

    ours, other = times(1000), times(2000)
    assert told(ours, lambda: other(1), lambda: ours(1)) == [[[1], {}, 1000]]
    one, another = Called(1), Called(2)
    assert told(one, lambda: another(1), lambda: one(7)) == [[[7], {}, 7]]
    assert told(decorated(plain), lambda: decorated(len)([1])) == []


def test_a_call_that_raises_is_told_to_return_none() -> None:
    def fails(x: int) -> int:
        raise ValueError

    def caught() -> None:
        with pytest.raises(ValueError, match=r"^$"):
            fails(1)

    assert told(fails, caught) == [[[1], {}, None]]


def test_calls_inside_calls_are_told_each_with_its_own_value() -> None:
    def factorial(n: int) -> int:
        return n * factorial(n - 1) if n else 1

    assert told(factorial, lambda: factorial(2)) == [[[2], {}, 2], [[1], {}, 1], [[0], {}, 1]]


def test_what_is_written_in_c_cannot_be_followed() -> None:
    assert followed(abs) is None
    assert followed(functools.partial(pow, 2)) is None


def test_a_profiler_of_the_users_goes_on_and_is_there_afterwards() -> None:
    events: list[str] = []

    def users(frame: Any, event: str, argument: Any) -> None:
        events.append(event)

    sys.setprofile(users)
    try:
        assert told(plain, lambda: plain(1)) == [[[1, 2], {"z": 3}, 6]]
        assert sys.getprofile() is users
    finally:
        sys.setprofile(None)
    assert "call" in events


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="cProfile is told by other means there")
def test_nothing_is_followed_where_a_profiler_in_c_is_told() -> None:
    with cProfile.Profile():
        assert not can_follow()
    assert can_follow()


def test_every_function_that_keras_publishes_can_be_followed() -> None:
    functions = [f for name, f in vars(keras.activations).items() if callable(f) and not name.startswith("_")]
    assert len(functions) > 20
    assert all(followed(function) for function in functions if not isinstance(function, type))
