"""What was read of the runs, kept until their data grow: bounded by bytes, the longest unused is dropped first."""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar
from weakref import WeakValueDictionary

T = TypeVar("T")

SLOW: Final = 0.3
"""Seconds: what takes longer to make is made anew in the background, while the old value is shown, where it may be."""

PATIENCE: Final = 10.0
"""How many times the seconds that making took must pass before such a value is made anew: so an eleventh of a core at
most goes into following a training, however long its run."""

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Entry(Generic[T]):
    stamp: Hashable
    value: T
    size: int
    made_at: float
    seconds: float


class _Turn:
    """Lets one thread at a time make a value; held weakly, so that it lasts as long as anyone waits."""

    def __init__(self) -> None:
        self.lock = threading.Lock()


class Cache:
    """Values by key, each with the stamp of the data that it was made of. Any number of threads may ask.

    Args:
        byte_limit: Bytes of all values that are kept.
        clock: Seconds, from any beginning.

    Example:
        >>> cache = Cache(byte_limit=100)
        >>> cache.get("run", 1, lambda: "made", size=len), cache.get("run", 1, lambda: "made again", size=len)
        ('made', 'made')
    """

    def __init__(self, byte_limit: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._byte_limit = byte_limit
        self._clock = clock
        self._entries: OrderedDict[Hashable, _Entry[Any]] = OrderedDict()  # Any: each key has a type of its own
        self._turns: WeakValueDictionary[Hashable, _Turn] = WeakValueDictionary()
        self._coming: set[Hashable] = set()  # keys that are made in the background
        self._in_vain: dict[Hashable, Hashable] = {}  # stamps of which the background had nothing to keep, by key
        self._guard = threading.Lock()

    @property
    def byte_count(self) -> int:
        """Bytes of all that is kept."""
        with self._guard:
            return sum(entry.size for entry in self._entries.values())

    def get(
        self,
        key: Hashable,
        stamp: Hashable,
        make: Callable[[], T],
        *,
        size: Callable[[T], int],
        may_be_old: bool = False,
    ) -> T:
        """Return the value of ``key`` for data of this ``stamp``: the kept one, or one that ``make`` makes now.

        A value that took long to make is returned for grown data too, and made anew in the background, where it
        ``may_be_old``: whoever allows it must tell of which data it is. One thread makes it; others that ask for the
        same key wait. What ``make`` raises is raised, and nothing kept.
        """
        entry = self._kept(key)
        if entry is None or (entry.stamp != stamp and (entry.seconds <= SLOW or not may_be_old)):
            return self._renewed(key, stamp, make, size)
        if entry.stamp != stamp and self._clock() - entry.made_at > PATIENCE * entry.seconds:
            self._begin(key, stamp, make, size)
        return entry.value

    def prepare(self, key: Hashable, stamp: Hashable, make: Callable[[], T], *, size: Callable[[T], int]) -> None:
        """Make the value of ``key`` in the background, if there is none: it may be asked for next.

        Nothing is made where it could push out what was asked for: as long as one more value of the largest size fits.
        Where it failed, or was too large to be kept, it is not tried again of the same data.
        """
        with self._guard:
            sizes = [entry.size for entry in self._entries.values()]
            is_missing = key not in self._entries and self._in_vain.get(key) != stamp
            is_wanted = is_missing and sum(sizes) + max(sizes, default=0) <= self._byte_limit
        if is_wanted:
            self._begin(key, stamp, make, size)

    def _begin(self, key: Hashable, stamp: Hashable, make: Callable[[], T], size: Callable[[T], int]) -> None:
        with self._guard:
            if key in self._coming:
                return
            self._coming.add(key)
            old = self._entries.get(key)

        def work() -> None:
            try:
                self._renewed(key, stamp, make, size)
            except Exception as error:
                _logger.warning("%s could not be read in the background: %s: %s", key, type(error).__name__, error)
                with self._guard:
                    if self._entries.get(key) is old:  # dropped, so that whoever asks next meets the failure
                        self._entries.pop(key, None)
            with self._guard:
                self._coming.discard(key)
                if key not in self._entries:
                    self._in_vain[key] = stamp

        threading.Thread(target=work, name="gradscope-reader", daemon=True).start()

    def _renewed(self, key: Hashable, stamp: Hashable, make: Callable[[], T], size: Callable[[T], int]) -> T:
        with self._guard:
            turn = self._turns.setdefault(key, _Turn())
        with turn.lock:
            entry = self._kept(key)
            if entry is None or entry.stamp != stamp:
                began = self._clock()
                value = make()
                now = self._clock()
                entry = _Entry(stamp, value, size(value), now, now - began)
                self._keep(key, entry)
            return entry.value

    def _kept(self, key: Hashable) -> _Entry[Any] | None:
        with self._guard:
            if key in self._entries:
                self._entries.move_to_end(key)
            return self._entries.get(key)

    def _keep(self, key: Hashable, entry: _Entry[Any]) -> None:
        with self._guard:
            self._entries.pop(key, None)
            if entry.size > self._byte_limit:
                return  # the others stay
            self._in_vain.pop(key, None)
            self._entries[key] = entry
            total = sum(kept.size for kept in self._entries.values())
            while total > self._byte_limit:
                _, dropped = self._entries.popitem(last=False)
                total -= dropped.size
