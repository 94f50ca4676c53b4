"""What a run says in words: its sessions, networks, epochs and ends, and what was found in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from gradscope.network import Network
from gradscope.records import Costs, EpochRecord, FindingsNote, NetworkChange, Session, SessionEnd
from gradscope.store.events import (
    EPOCH_END_TAG,
    FINDINGS_TAG,
    NETWORK_TAG,
    SESSION_END_TAG,
    SESSION_TAG,
    TextRecord,
    record_of,
)
from gradscope_dashboard.sessions import counting
from gradscope_dashboard.source import Point, text_of

R = TypeVar("R", bound=TextRecord)


@dataclass(frozen=True, slots=True)
class Notes:
    """What a run says in words, void records left out, each kind in the order of steps.

    Attributes:
        sessions: The training and its continuations.
        networks: What was trained.
        epochs: The end of each epoch.
        ends: The ends of sessions.
        findings: What was last found; None before that.
    """

    sessions: tuple[Session, ...] = ()
    networks: tuple[NetworkChange, ...] = ()
    epochs: tuple[EpochRecord, ...] = ()
    ends: tuple[SessionEnd, ...] = ()
    findings: FindingsNote | None = None

    @property
    def network(self) -> Network:
        """What was trained last; one without layers if it is unknown."""
        return self.networks[-1].network if self.networks else Network("")

    @property
    def began(self) -> float:
        """When the last session began."""
        return self.sessions[-1].wall_time if self.sessions else float("-inf")

    @property
    def ended(self) -> bool:
        """Whether the last session said that it ended."""
        return any(end.wall_time >= self.began for end in self.ends)

    @property
    def costs(self) -> Costs:
        """What recording cost, as last known of the last session."""
        told = [record for record in (*self.epochs, *self.ends) if record.wall_time >= self.began]
        return max(told, key=lambda record: record.wall_time).costs if told else Costs()


def notes_of(points: Mapping[str, Sequence[Point]]) -> Notes:
    """Return what the points under the tags of texts say; one that makes no sense is left out."""
    sessions = _records(Session, points, SESSION_TAG, ())
    findings = _records(FindingsNote, points, FINDINGS_TAG, sessions)
    return Notes(
        sessions=sessions,
        networks=_records(NetworkChange, points, NETWORK_TAG, sessions),
        epochs=_records(EpochRecord, points, EPOCH_END_TAG, sessions),
        ends=_records(SessionEnd, points, SESSION_END_TAG, sessions),
        findings=findings[-1] if findings else None,
    )


def _records(
    kind: type[R], points: Mapping[str, Sequence[Point]], tag: str, sessions: Sequence[Session]
) -> tuple[R, ...]:
    found: list[R] = []
    for point in counting(points.get(tag, ()), sessions):
        try:
            record = record_of(tag, point.step, point.wall_time, text_of(point))
        except (ValueError, KeyError, TypeError, AttributeError):
            continue  # damaged, or of a version that says it otherwise
        if isinstance(record, kind):
            found.append(record)
    return tuple(found)
