"""Where records go while a training runs: the protocol, and the sink that keeps them in memory."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Protocol

from gradscope.records import Record, Session


@dataclass(frozen=True, slots=True)
class Previous:
    """What a sink held before this training: the last session, and the last step known of it."""

    session: Session
    last_step: int


def previous_of(records: Iterable[Record]) -> Previous | None:
    """Return the last session among ``records``, in the order written, and its last step; None without a session.

    Example:
        >>> previous_of([Session(0, 0.0, False, ""), Session(40, 0.0, True, "")]).last_step
        40
    """
    previous = None
    for record in records:
        if isinstance(record, Session):
            previous = Previous(record, record.step)
        elif previous is not None and record.step > previous.last_step:
            previous = replace(previous, last_step=record.step)
    return previous


class Sink(Protocol):
    """Takes the records of one training. It is opened with `open` and closed once; closing twice is harmless."""

    def open(self) -> Previous | None:
        """Make ready to write; return what is held already, or None.

        Raises:
            WriterError: If it cannot be written, or another training is writing to it.
        """
        ...

    def write(self, record: Record) -> None:
        """Keep ``record``. What was written is not lost when the process dies."""
        ...

    def close(self) -> None:
        """Release whatever is held."""
        ...


class MemorySink:
    """Keeps the records in memory.

    Example:
        >>> sink = MemorySink()
        >>> sink.open() is None
        True
        >>> sink.records
        []
    """

    def __init__(self) -> None:
        self.records: list[Record] = []

    def open(self) -> Previous | None:
        return previous_of(self.records)

    def write(self, record: Record) -> None:
        self.records.append(record)

    def close(self) -> None:
        pass
