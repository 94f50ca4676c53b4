"""Where records go while a training runs: the protocol, and the sink that keeps them in memory."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol

from gradscope.network import Network
from gradscope.records import EpochRecord, NetworkChange, Record, Session


@dataclass(frozen=True, slots=True)
class Previous:
    """What a sink held before this training.

    Attributes:
        session: The last session.
        last_step: The last step known of it.
        network: What was trained last; None where none was recorded.
        epoch_ends: The last step of each epoch that the run shows.
    """

    session: Session
    last_step: int
    network: Network | None = None
    epoch_ends: Mapping[int, int] = field(default_factory=dict[int, int])


def previous_of(records: Iterable[Record]) -> Previous | None:
    """Return the last session among ``records``, in the order written, and its last step; None without a session.

    Example:
        >>> previous_of([Session(0, 0.0, False, ""), Session(40, 0.0, True, "")]).last_step
        40
    """
    previous = None
    for record in records:
        previous = after(previous, record)
    return previous


def after(previous: Previous | None, record: Record) -> Previous | None:
    """Return what is held once ``record`` is written too."""
    if isinstance(record, Session):
        ends: Mapping[int, int] = {} if previous is None else previous.epoch_ends
        network = None if previous is None else previous.network
        kept = {epoch: step for epoch, step in ends.items() if step < record.step}
        return Previous(record, record.step, network, kept)
    if previous is None:
        return None
    if isinstance(record, NetworkChange):
        previous = replace(previous, network=record.network)
    elif isinstance(record, EpochRecord):
        previous = replace(previous, epoch_ends={**previous.epoch_ends, record.epoch: record.step})
    return replace(previous, last_step=record.step) if record.step > previous.last_step else previous


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
        self._previous: Previous | None = None

    def open(self) -> Previous | None:
        return self._previous

    def write(self, record: Record) -> None:
        self.records.append(record)
        self._previous = after(self._previous, record)

    def close(self) -> None:
        pass
