"""Alarm: what a peer says, in its own words."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Alarm:
    """One alarm.

    Attributes:
        symptom: The peer's own name for it.
        layer: Key of the layer it names; None where it names none.
        step: Batches trained when it was raised.
    """

    symptom: str
    layer: str | None
    step: int
