"""Window: the records that are looked at while a training runs, bounded however long it runs."""

from __future__ import annotations

from typing import Final

from gradscope.records import EpochRecord, Record, StepRecord

FIRST: Final = 64
"""Records of the beginning that a window keeps: what comes later is judged by them."""
LATEST: Final = 256
"""Records that a window keeps besides: the state of now."""
UNIT_TABLES: Final = 1024
"""Tables of units of records that left the window: they say which units are dead, and are written once an epoch."""


class Window:
    """The records that are looked at: sessions and networks, and of steps and of epochs the first and the latest.

    Of a step that leaves the window its table of units stays, which says what has changed and so cannot be left out.

    Example:
        >>> window = Window()
        >>> for step in range(1000):
        ...     window.take(StepRecord(step, 0, 0.0))
        >>> steps = [record.step for record in window.records]
        >>> len(steps), steps[FIRST - 1], steps[FIRST]
        (320, 63, 744)
    """

    def __init__(self) -> None:
        self._records: dict[int, Record] = {}
        self._count = 0
        self._whole: dict[type[Record], list[int]] = {StepRecord: [], EpochRecord: []}
        self._units: list[int] = []

    @property
    def records(self) -> list[Record]:
        """What is kept, in the order in which it was written."""
        return list(self._records.values())

    def take(self, record: Record) -> None:
        """Keep ``record``, and let go of what is neither among the first nor among the latest."""
        self._records[self._count] = record
        places = self._whole.get(type(record))
        if places is not None:
            places.append(self._count)
            if len(places) > FIRST + LATEST:
                self._let_go(places.pop(FIRST))
        self._count += 1

    def _let_go(self, place: int) -> None:
        record = self._records[place]
        if not isinstance(record, StepRecord) or record.units is None:
            del self._records[place]
            return
        self._records[place] = StepRecord(record.step, record.epoch, record.wall_time, units=record.units)
        self._units.append(place)
        if len(self._units) > UNIT_TABLES:
            del self._records[self._units.pop(0)]
