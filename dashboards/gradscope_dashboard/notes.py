"""What a run says in words: its sessions, networks, epochs and ends, and what was found in it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from gradscope.network import Network
from gradscope.records import Costs, EpochRecord, FindingsNote, NetworkChange, Session, SessionEnd
from gradscope.store import lossless_json
from gradscope_dashboard.sessions import counting
from gradscope_dashboard.source import Point, text_of

T = TypeVar("T")

_SESSION, _NETWORK, _EPOCH_END = "gradscope/session", "gradscope/network", "gradscope/epoch_end"
_SESSION_END, _FINDINGS = "gradscope/session_end", "gradscope/findings"

TAGS: Final = (_SESSION, _NETWORK, _EPOCH_END, _SESSION_END, _FINDINGS)
"""Tags of the series of which each point is a text."""


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
    """Return what the points under `TAGS` say; one that makes no sense is left out."""
    sessions = _decoded(points.get(_SESSION, ()), _session, ())
    findings = _decoded(points.get(_FINDINGS, ()), _findings, sessions)
    return Notes(
        sessions=sessions,
        networks=_decoded(points.get(_NETWORK, ()), _network, sessions),
        epochs=_decoded(points.get(_EPOCH_END, ()), _epoch, sessions),
        ends=_decoded(points.get(_SESSION_END, ()), _end, sessions),
        findings=findings[-1] if findings else None,
    )


def _decoded(points: Sequence[Point], decode: Callable[[Point], T], sessions: Sequence[Session]) -> tuple[T, ...]:
    found: list[T] = []
    for point in counting(points, sessions):
        try:
            found.append(decode(point))
        except (ValueError, KeyError, TypeError, AttributeError):
            continue  # damaged, or of a version that says it otherwise
    return tuple(found)


def _session(point: Point) -> Session:
    return _known(Session, _body(point))


def _network(point: Point) -> NetworkChange:
    return NetworkChange(point.step, point.wall_time, Network.from_json(text_of(point)))


def _epoch(point: Point) -> EpochRecord:
    return _known(EpochRecord, _with_costs(point))


def _end(point: Point) -> SessionEnd:
    return _known(SessionEnd, _with_costs(point))


def _findings(point: Point) -> FindingsNote:
    body = _body(point)
    return _known(FindingsNote, {**body, "findings": tuple(body["findings"])})


def _body(point: Point) -> dict[str, Any]:  # Any: JSON values
    return {**lossless_json.from_json(text_of(point)), "step": point.step, "wall_time": point.wall_time}


def _with_costs(point: Point) -> dict[str, Any]:
    body = _body(point)
    return {**body, "costs": _known(Costs, body["costs"])}


def _known(kind: Callable[..., T], body: Mapping[str, Any]) -> T:
    """Return a ``kind`` made of the fields that this version knows."""
    fields: Any = dataclasses.fields(kind)  # pyright: ignore[reportArgumentType] - every kind here is a dataclass
    return kind(**{field.name: body[field.name] for field in fields if field.name in body})
