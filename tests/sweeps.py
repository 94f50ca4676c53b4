"""Small sweeps made by hand: runs that differ in their parameters, and in what became of them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from runs import awkward_names, healthy, not_finite, nothing_recorded, saturated, sick

from gradscope.records import Record, Session, SessionEnd
from gradscope.run import Run
from gradscope.store.read import frames_of


def with_params(records: Sequence[Record], params: Mapping[str, Any]) -> list[Record]:
    """Return ``records`` with the user's ``params`` in every session."""
    return [replace(record, params=params) if isinstance(record, Session) else record for record in records]


def unended(records: Sequence[Record]) -> list[Record]:
    """Return ``records`` as they lie there while the training runs."""
    return [record for record in records if not isinstance(record, SessionEnd)]


def run(records: Sequence[Record], name: str, **params: Any) -> Run:
    """Return a run in memory."""
    return Run(frames_of(with_params(records, params)), name=name)


def sweep() -> dict[str, list[Record]]:
    """Return six runs by name: healthy and sick, one that has not ended, one that recorded nothing."""
    return {
        "a": with_params(healthy(), {"lr": 0.001, "activation": "relu", "seed": 0}),
        "b": with_params(sick(), {"lr": 0.01, "activation": "sigmoid", "seed": 0}),
        "c": with_params(saturated(), {"lr": 0.1, "activation": "sigmoid", "seed": 0}),
        "d": with_params(not_finite(), {"lr": 1.0, "activation": "relu", "seed": 0, "clip": True}),
        "e": with_params(unended(awkward_names()), {"lr": 0.001, "activation": "relu", "seed": 0}),
        "f": with_params(nothing_recorded(), {"lr": 0.0001, "activation": "relu", "seed": 0}),
    }


def many(count: int) -> list[Run]:
    """Return ``count`` runs with learning rates that rise and gradients that fall by a tenth from run to run."""
    runs: list[Run] = []
    for index in range(count):
        frames = frames_of(with_params(healthy(), {"lr": round(0.001 * 1.2**index, 6)}))
        frames.gradients["rms"] *= math.pow(0.9, index)
        runs.append(Run(frames, name=f"run_{index:02}"))
    return runs
