"""Where the copies of a callback write: each has a run of its own.

A tuner copies its callbacks for every trial. Whoever of them trains first gets the directory that was asked for, so
that a single copy is as good as its original; each further one gets a directory within, below which all are found.
"""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Self


class Copies:
    """A callback and its copies, which all hold this one object.

    Example:
        >>> copies = Copies()
        >>> first, second = object(), object()
        >>> [str(copies.directory(Path("logs"), each, claim=True)) for each in (first, second, first)]
        ['logs', 'logs/trial-1', 'logs']
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._numbers: dict[object, int] = {}

    def directory(self, log_dir: Path, member: object, *, claim: bool = False) -> Path:
        """Return the directory of ``member``, or the next that is free.

        Args:
            log_dir: What was asked for.
            member: Stands for one of the copies.
            claim: Whether it is the member's from now on.
        """
        with self._lock:
            number = self._numbers.get(member, len(self._numbers))
            if claim:
                self._numbers[member] = number
        return log_dir / f"trial-{number}" if number else log_dir

    def __deepcopy__(self, memo: object) -> Self:
        return self

    def __reduce__(self) -> tuple[type[Copies], tuple[()]]:
        return Copies, ()  # in another process, where the others are not
