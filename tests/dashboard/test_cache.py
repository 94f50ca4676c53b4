import logging
import threading
import time
from collections.abc import Callable

import pytest

from gradscope_dashboard.cache import PATIENCE, SLOW, Cache


class Clock:
    """Seconds that pass only when told."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def making(value: str, clock: Clock, seconds: float) -> Callable[[], str]:
    def make() -> str:
        clock.now += seconds
        return value

    return make


def never() -> str:
    raise AssertionError("made although it is kept")


def in_the_background() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "gradscope-reader"]


def wait_for_the_background() -> None:
    for thread in in_the_background():
        thread.join(10)


def test_a_value_is_kept_until_the_stamp_changes() -> None:
    cache = Cache(100)
    assert cache.get("key", 1, lambda: "old", size=len) == "old"
    assert cache.get("key", 1, never, size=len) == "old"
    assert cache.get("key", 2, lambda: "new", size=len) == "new"


def test_what_was_not_asked_for_the_longest_is_dropped_first() -> None:
    cache = Cache(10)
    for key in "ab":
        cache.get(key, 1, lambda: "12345", size=len)
    cache.get("a", 1, never, size=len)
    cache.get("c", 1, lambda: "12345", size=len)
    assert cache.byte_count == 10
    assert cache.get("a", 1, never, size=len) == "12345"
    assert cache.get("b", 1, lambda: "again", size=len) == "again"


def test_a_value_larger_than_the_cache_is_given_but_not_kept() -> None:
    cache = Cache(3)
    assert cache.get("key", 1, lambda: "12345", size=len) == "12345"
    assert cache.byte_count == 0


def test_a_value_larger_than_the_cache_pushes_none_of_the_others_out() -> None:
    cache = Cache(6)
    for key in "ab":
        cache.get(key, 1, lambda: "123", size=len)
    assert cache.get("a", 2, lambda: "1234567", size=len) == "1234567"
    assert cache.get("b", 1, never, size=len) == "123"
    assert cache.byte_count == 3  # what was kept of the grown run is void


def test_a_failure_is_raised_and_not_kept() -> None:
    cache = Cache(100)
    with pytest.raises(AssertionError):
        cache.get("key", 1, never, size=len)
    assert cache.get("key", 1, lambda: "made", size=len) == "made"


def test_what_took_long_is_shown_for_grown_data_and_made_anew_in_the_background() -> None:
    clock = Clock()
    cache = Cache(100, clock)
    cache.get("key", 1, making("old", clock, 2 * SLOW), size=len)
    assert cache.get("key", 2, never, size=len, may_be_old=True) == "old"  # at once: it is not even begun
    clock.now += 1.1 * PATIENCE * 2 * SLOW
    made = threading.Event()

    def make() -> str:
        made.set()
        return "new"

    assert cache.get("key", 2, make, size=len, may_be_old=True) == "old"
    assert made.wait(10)
    wait_for_the_background()
    assert cache.get("key", 2, never, size=len) == "new"


def test_a_failure_in_the_background_is_logged_and_met_by_whoever_asks_next(caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    cache = Cache(100, clock)
    cache.get("key", 1, making("old", clock, 2 * SLOW), size=len)
    clock.now += 1.1 * PATIENCE * 2 * SLOW
    with caplog.at_level(logging.WARNING):
        assert cache.get("key", 2, never, size=len, may_be_old=True) == "old"
        wait_for_the_background()
    assert [record.message for record in caplog.records] == [
        "key could not be read in the background: AssertionError: made although it is kept"
    ]
    with pytest.raises(AssertionError):
        cache.get("key", 2, never, size=len, may_be_old=True)
    assert cache.get("key", 2, lambda: "new", size=len, may_be_old=True) == "new"


def test_what_took_long_is_made_at_once_where_it_may_not_be_old() -> None:
    clock = Clock()
    cache = Cache(100, clock)
    cache.get("key", 1, making("old", clock, 2 * SLOW), size=len)
    assert cache.get("key", 2, lambda: "last", size=len) == "last"


def test_one_thread_makes_what_many_ask_for() -> None:
    cache, made, gate = Cache(100), [], threading.Barrier(8)

    def make() -> str:
        made.append(threading.get_ident())
        time.sleep(0.2)  # in which all others come, and none of them finds it made
        return "value"

    def ask() -> None:
        gate.wait()
        cache.get("key", 1, make, size=len)

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 1


def test_nothing_is_prepared_that_could_push_out_what_was_asked_for() -> None:
    cache = Cache(9)
    cache.get("asked", 1, lambda: "12345", size=len)
    cache.prepare("key", 1, never, size=len)
    assert not in_the_background()
    assert cache.get("asked", 1, never, size=len) == "12345"


def test_what_is_prepared_is_there_when_asked_for() -> None:
    cache = Cache(100)
    cache.prepare("key", 1, lambda: "made", size=len)
    wait_for_the_background()
    assert cache.get("key", 1, never, size=len) == "made"


@pytest.mark.parametrize("make", [never, lambda: "too large"])
def test_what_could_not_be_prepared_is_tried_again_only_when_the_data_have_grown(make: Callable[[], str]) -> None:
    cache, made = Cache(5), list[int]()
    for stamp in (1, 1, 2):

        def attempt(stamp: int = stamp) -> str:
            made.append(stamp)
            return make()

        cache.prepare("key", stamp, attempt, size=len)
        wait_for_the_background()
    assert made == [1, 2]
    assert cache.get("key", 2, lambda: "made", size=len) == "made"
