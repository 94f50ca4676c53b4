"""What a page states about a training besides its numbers: what was trained, how it was recorded and at what cost."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import TYPE_CHECKING, Any

from gradscope.network import Network
from gradscope.records import Costs
from gradscope.report.page.rendering import moment
from gradscope.report.values.flat_names import flat
from gradscope.report.values.overhead import cost_parts
from gradscope.report.values.summary import Summary
from gradscope.report.words.names import printable, shortened
from gradscope.report.words.numbers import metric, number, plural, seconds, share
from gradscope.report.words.summary import losses

if TYPE_CHECKING:
    from gradscope.store.read import Frames

_VALUE_CELLS = 200


@dataclass(frozen=True, slots=True)
class Fact:
    """One thing to know: what it is called, and what it is."""

    term: str
    text: str


@dataclass(frozen=True, slots=True)
class CostRow:
    """What one part of recording cost."""

    part: str
    seconds: str
    share: str


def facts(summary: Summary) -> list[Fact]:
    """Return how the training went, for the top of the page."""
    progress = summary.progress
    found = [
        Fact("trained", f"{plural(progress.step_count, 'step')} in {plural(progress.epoch_count, 'epoch')}"),
        Fact("recorded", plural(progress.recorded_count, "step")),
    ]
    if progress.recorded_count:
        if said := losses(summary):
            found.append(Fact("batch loss, first → last", said))
        if progress.baseline_loss == progress.baseline_loss:
            found.append(Fact("best constant answer's loss", number(progress.baseline_loss)))
    found += [Fact(f"{printable(name)}, last epoch", metric(name, value)) for name, value in progress.metrics.items()]
    return found


def recording_facts(frames: Frames, summary: Summary, zone: tzinfo | None) -> list[Fact]:
    """Return what was trained, with what, how and when it was recorded.

    Args:
        frames: The run.
        summary: Of the same run.
        zone: In which moments are told.
    """
    return [fact for fact in _recording_facts(frames, summary, zone) if fact.text]


def cost_rows(costs: Costs) -> list[CostRow]:
    """Return what each part of recording cost, and all of it; nothing where that is not known."""
    if costs.training_seconds <= 0 or not costs.record_count:
        return []
    parts = [(part.title, spent) for part, spent in cost_parts(costs)]
    return [
        CostRow(title, seconds(spent), share(spent / costs.training_seconds))
        for title, spent in (*parts, ("together", sum(spent for _, spent in parts)))
    ]


def _recording_facts(frames: Frames, summary: Summary, zone: tzinfo | None) -> Iterator[Fact]:
    session = frames.sessions[-1] if frames.sessions else None
    if session is not None:
        yield Fact("began", moment(datetime.fromtimestamp(session.wall_time, zone)))
    if len(frames.steps):
        recorded = frames.steps["step"]
        yield Fact("recorded steps", f"{len(recorded):,}, from {int(recorded.min()):,} to {int(recorded.max()):,}")
    yield Fact("resumed at step", ", ".join(f"{step:,}" for step in summary.resumed_steps))
    if summary.training_count > 1:
        yield Fact("trainings in the directory", f"{summary.training_count}; the last one is shown")
    if session is not None:
        for name, value in flat(session.settings).items():
            yield Fact(printable(name.replace("_", " ")), _value(value))
    yield from _model(frames.network)
    if session is not None:
        for name, value in flat(session.params).items():
            yield Fact(f"params: {printable(name)}", _value(value))
    rates: list[float] = frames.steps["learning_rate"].dropna().tolist()
    if rates:
        first, last = f"{rates[0]:.4g}", f"{rates[-1]:.4g}"
        yield Fact("learning rate", first if first == last else f"{first} → {last}")
    for name, version in frames.network.versions.items():
        yield Fact(printable(name), printable(version))


def _model(network: Network) -> Iterator[Fact]:
    if not network.layers:
        return
    compiled = network.compiled
    yield Fact("model", shortened(network.name, 48))
    yield Fact(
        "layers", f"{len(network.layers):,}, with {plural(len(network.sites), 'activation')} and "
        f"{plural(len(network.variables), 'trainable variable')} recorded",
    )  # fmt: skip
    yield Fact("loss", printable(compiled.loss))
    yield Fact("optimizer", printable(compiled.optimizer))
    yield Fact("gradient clipping", ", ".join(f"{name} {limit:g}" for name, limit in compiled.clipping.items()))
    yield Fact("number format", printable(compiled.dtype_policy))
    if compiled.accumulation_steps > 1:
        yield Fact("batches an update", f"{compiled.accumulation_steps:,}")
    yield Fact("step", "compiled by XLA" if compiled.jit_compile else "eager" if compiled.run_eagerly else "a graph")


def _value(value: Any) -> str:  # Any: a JSON value
    """Return a value of the user's own; ``""`` for none."""
    if value is None:
        return ""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return shortened(text, _VALUE_CELLS)
