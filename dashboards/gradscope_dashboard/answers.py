"""The JSON answers, each a pure function of what is known of the runs; `matrices` has the binary ones."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from gradscope.lossless_json import from_json
from gradscope.network import Layer, Network
from gradscope.records import EpochRecord
from gradscope.schema import unit_state
from gradscope.store.layout import known_columns
from gradscope_dashboard import menu
from gradscope_dashboard.assets import plotly_version
from gradscope_dashboard.framing import MOST_BYTES, json_answer, newest_that_fit
from gradscope_dashboard.notes import Notes
from gradscope_dashboard.refusals import RequestError, not_here
from gradscope_dashboard.sessions import counting
from gradscope_dashboard.source import RecordedRun
from gradscope_dashboard.tables import Block

_SEVERITIES: Final = ("low", "medium", "high")


def statistics() -> bytes:
    """Return what can be shown, and the version of plotly to ask for."""
    return json_answer({"plotly": plotly_version(), "statistics": menu.statistics()})


def runs(known: Iterable[tuple[RecordedRun, Notes]]) -> bytes:
    """Return the recorded runs, every one; without the longest ``params`` where they would be too long together."""
    listed = [_run(run, notes) for run, notes in known]
    found = json_answer({"runs": listed})
    if len(found) <= MOST_BYTES:
        return found
    sizes = [len(json_answer(run["params"])) for run in listed]
    room = MOST_BYTES - len(json_answer({"runs": [_without_params(run) for run in listed]}))
    kept = set[int]()
    for place in sorted(range(len(listed)), key=sizes.__getitem__):
        room -= sizes[place]
        if room < 0:
            break
        kept.add(place)
    return json_answer({"runs": [run if at in kept else _without_params(run) for at, run in enumerate(listed)]})


def network(stamp: str, notes: Notes) -> bytes:
    """Return what was trained last; without the configurations of its layers where they would be too long."""
    found = json_answer({"stamp": stamp, "network": from_json(notes.network.to_json())})
    if len(found) <= MOST_BYTES:
        return found
    bare = tuple(dataclasses.replace(layer, config={}) for layer in notes.network.layers)
    without = dataclasses.replace(notes.network, layers=bare)
    return json_answer({"stamp": stamp, "network": from_json(without.to_json())})


def findings(stamp: str, notes: Notes) -> bytes:
    """Return what is wrong, as the training last wrote it."""
    note = notes.findings
    known = {"step": None, "version": None} if note is None else {"step": note.step, "version": note.version}
    reversed_findings = () if note is None else note.findings[::-1]  # the first are the worst: they stay

    def answer(items: Sequence[Any]) -> bytes:
        return json_answer({"stamp": stamp, **known, "findings": list(items[::-1])})

    return newest_that_fit(reversed_findings, answer)


def epochs(stamp: str, notes: Notes) -> bytes:
    """Return the logs of each epoch."""

    def answer(items: Sequence[EpochRecord]) -> bytes:
        return json_answer({"stamp": stamp, "epochs": [_epoch(item) for item in items]})

    return newest_that_fit(notes.epochs, answer)


def units(run: RecordedRun, notes: Notes, blocks: Iterable[Block], site: str) -> bytes:
    """Return how the units of ``site`` changed; the newest changes, where there are too many for an answer.

    Raises:
        RequestError: If the run has no such site.
    """
    known = {known.key: known.units for change in notes.networks for known in change.network.sites}
    if site not in known:
        raise no_site(run, site)
    changes = sorted(
        (change for block in blocks for change in _changes(block, notes, site)), key=lambda item: item["step"]
    )

    def answer(items: Sequence[dict[str, Any]]) -> bytes:
        left_out = len(changes) - len(items)
        known_site = {"site": site, "units": known[site], "last_step": run.last_step}
        return json_answer({"stamp": run.stamp, **known_site, "left_out": left_out, "changes": list(items)})

    return newest_that_fit(changes, answer)


def no_site(run: RecordedRun, site: str) -> RequestError:
    """Return the refusal of a site that a run does not have."""
    return not_here(f"Run {run.shown!r} has no site {site!r}.")


def layers_of(notes: Notes) -> dict[str, Layer]:
    """Return every layer that was trained, by key: the latest network's in their order, then those it lost."""
    return {layer.key: layer for network in networks_of(notes) for layer in network.layers}


def networks_of(notes: Notes) -> list[Network]:
    """Return what was trained, the latest first."""
    return [change.network for change in reversed(notes.networks)]


def _run(run: RecordedRun, notes: Notes) -> dict[str, Any]:
    sessions = [{"step": s.step, "wall_time": s.wall_time, "resumed": s.resumed} for s in notes.sessions]
    severities = [str(found.get("severity")) for found in (notes.findings.findings if notes.findings else ())]
    return {
        "run": run.shown,
        "stamp": run.stamp,
        "model": notes.network.name,
        "last_step": run.last_step,
        "trained_to": _trained_to(run, notes),
        "last_wall_time": run.last_wall_time,
        "first_wall_time": notes.sessions[0].wall_time if notes.sessions else None,
        "ended": notes.ended,
        "params": dict(notes.sessions[-1].params) if notes.sessions else {},
        "params_left_out": False,
        "sessions": sessions,
        "worst": next((name for name in reversed(_SEVERITIES) if name in severities), None),
    }


def _trained_to(run: RecordedRun, notes: Notes) -> int | None:
    """Return the last step that is known of, recorded or not."""
    if run.last_step is None:
        return None
    return max([run.last_step, *(epoch.step for epoch in notes.epochs[-1:])])


def _without_params(run: Mapping[str, Any]) -> dict[str, Any]:
    return {**run, "params": {}, "params_left_out": True}


def _epoch(record: EpochRecord) -> dict[str, Any]:
    return {"epoch": record.epoch, "step": record.step, "wall_time": record.wall_time, "logs": dict(record.logs)}


def _changes(block: Block, notes: Notes, site: str) -> Iterable[dict[str, Any]]:
    """Return the changes of the units of ``site`` under one tag, the first column of which counts its rows."""
    if site not in block.layout.rows:
        return
    index = block.layout.rows.index(site)
    for point in counting(block.points, notes.sessions):
        for row in block.layout.to_array(point.array):
            if row[0] == index:
                yield _change(point.step, row)


def _change(step: int, row: NDArray[np.float64]) -> dict[str, Any]:
    told = dict(zip(known_columns("units"), row.tolist(), strict=False))  # a newer version's columns stand at the right
    since = told["dead_since_step"]
    return {
        "step": step,
        "unit": int(told["unit"]),
        "state": unit_state(told),
        "dead_since_step": int(since) if since == since else None,
        "active_fraction": told["active_fraction"],
    }
