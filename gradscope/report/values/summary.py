"""The summary of a run: its findings, and one row a site with the numbers of a network that saturates, dies or fades.

The rows state what was measured and judge nothing: that is what the findings are for. The state is that of the last
record; a gradient is shown at the first record too, because only the change tells a layer that fell silent from one
that was small from the start.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final

import numpy as np
import pandas as pd

from gradscope.diagnose.finding import Finding
from gradscope.network import Network, NotMeasured, Profile, main_variables
from gradscope.records import Costs, Session
from gradscope.report.values.shown import Shown

if TYPE_CHECKING:
    from gradscope.store.read import Frames

NAN: Final = float("nan")
RATIO_RECORDS: Final = 5
"""Records over which the median update-to-weight ratio is taken: one batch's ratio is noisy."""

_STEP_KEYS: Final = ("epoch", "step", "wall_time")


@dataclass(frozen=True, slots=True)
class SiteRow:
    """One site, or one layer that has weights and no site of its own, such as an embedding.

    Attributes:
        layer: Key of the layer.
        site: Key of the site; the layer's for a layer without one.
        activation: Name of the activation function; ``""`` for a layer without a site.
        units: Number of units; 0 for a layer without a site.
        profile: Where the function has lost its slope; None where that is unknown.
        saturated_fraction: Share of entries in a tail, at the last record.
        dead_unit_fraction: Share of dead units, as last known; NaN before a window is complete.
        variable: Path of the variable whose gradient is shown: the layer's kernel where it has one; ``""`` for none.
        connected: False where the loss does not depend on that variable at all.
        first_gradient_rms: Root mean square of its gradient at the first record.
        gradient_rms: Root mean square of its gradient at the last record.
        gradient_norm: L2 norm of its gradient at the last record.
        backward_rms: Root mean square of the backward signal at the last record.
        update_to_weight_ratio: Median over the last 5 records.
        nonfinite_count: NaN and infinite entries at the last record, of the site and of the variable's gradient.
    """

    layer: str
    site: str
    activation: str
    units: int
    profile: Profile | None
    saturated_fraction: float
    dead_unit_fraction: float
    variable: str
    connected: bool
    first_gradient_rms: float
    gradient_rms: float
    gradient_norm: float
    backward_rms: float
    update_to_weight_ratio: float
    nonfinite_count: int


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the training went.

    Attributes:
        step_count: Steps trained, as far as is known.
        recorded_count: Steps recorded.
        epoch_count: Epochs ended.
        first_loss: Loss of the first recorded batch.
        last_loss: Loss of the last recorded batch.
        baseline_loss: Loss of the best constant prediction; NaN where undefined for the loss.
        metrics: The last epoch's logs, validation included.
        loss_known: False where no loss is known at all, as of a step that returns it under another name; first and last
            are then NaN, which does not mean that the loss was.
    """

    step_count: int
    recorded_count: int
    epoch_count: int
    first_loss: float
    last_loss: float
    baseline_loss: float
    metrics: Mapping[str, float]
    loss_known: bool = True


@dataclass(frozen=True, slots=True)
class Summary(Shown):
    """A run in one table. Print it, or take its `frame`.

    Attributes:
        name: The run's name.
        rows: In the order of the model.
        progress: How far the training went.
        costs: What recording cost.
        not_measured: What of the model is not recorded, each with the reason.
        lost: What the reader could not read, in words.
        training_count: Trainings that the directory holds; the last one is shown.
        resumed_steps: Steps at which the shown training was resumed.
        findings: What is wrong with it, of every severity, causes first.
        path: Where the run lies; None for one that was kept in memory.
    """

    name: str
    rows: tuple[SiteRow, ...]
    progress: Progress
    costs: Costs
    not_measured: tuple[NotMeasured, ...] = ()
    lost: tuple[str, ...] = ()
    training_count: int = 1
    resumed_steps: tuple[int, ...] = ()
    findings: tuple[Finding, ...] = ()
    path: Path | None = None

    TEXT: ClassVar[str] = "gradscope.report.terminal.summary:summary_text"
    HTML: ClassVar[str] = "gradscope.report.notebook:summary_html"

    @property
    def frame(self) -> pd.DataFrame:
        """The rows as a DataFrame with the attributes of `SiteRow` as columns, the profile left out."""
        columns = [field.name for field in dataclasses.fields(SiteRow) if field.name != "profile"]
        return pd.DataFrame([[getattr(row, column) for column in columns] for row in self.rows], columns=columns)


def summarise(
    frames: Frames, findings: Sequence[Finding] = (), *, name: str = "run", path: Path | None = None
) -> Summary:
    """Return the summary of ``frames``.

    Steps that mixed precision skipped are left out of gradients and ratios: their values are infinite by design.

    Args:
        frames: What was read or recorded.
        findings: What the rules found in it.
        name: What to call the run.
        path: Where the run lies, to name the command that shows more; None for one that was kept in memory.
    """
    skipped = set(frames.steps.loc[frames.steps["skipped"] == 1, "step"])
    if len(skipped) == len(frames.steps):
        skipped = set[Any]()
    starts = [session for session in frames.sessions if not session.resumed]
    return Summary(
        name=name,
        rows=tuple(_rows(frames, skipped)),
        progress=_progress(frames),
        costs=frames.costs,
        not_measured=frames.network.not_measured,
        lost=frames.lost,
        training_count=max(1, len(starts)),
        resumed_steps=tuple(session.step for session in _shown(frames.sessions)[1:]),
        findings=tuple(findings),
        path=path,
    )


def _shown(sessions: tuple[Session, ...]) -> tuple[Session, ...]:
    """Return the sessions of the last training: its beginning and its continuations."""
    starts = [index for index, session in enumerate(sessions) if not session.resumed]
    return sessions[starts[-1] if starts else 0 :]


def _progress(frames: Frames) -> Progress:
    steps, epochs, sessions = frames.steps, frames.epochs, _shown(frames.sessions)
    last_step = max((int(frame["step"].max()) for frame in (steps, epochs) if len(frame)), default=-1)
    start = sessions[0].step if sessions else 0
    losses, baselines = steps["loss"].tolist(), steps["baseline_loss"].dropna().tolist()
    logs = epochs.drop(columns=list(_STEP_KEYS)).iloc[-1].to_dict() if len(epochs) else {}
    return Progress(
        step_count=max(0, last_step + 1 - start),
        recorded_count=len(steps),
        epoch_count=len(epochs),
        first_loss=losses[0] if losses else NAN,
        last_loss=losses[-1] if losses else NAN,
        loss_known="loss" in logs or bool(steps["loss"].notna().any()),
        baseline_loss=baselines[-1] if baselines else NAN,
        metrics={str(key): float(value) for key, value in logs.items()},
    )


def _rows(frames: Frames, skipped: set[Any]) -> Iterable[SiteRow]:
    forward, backward = _by_site(frames, skipped), _by_layer(frames, skipped)
    nothing: dict[str, Any] = {}
    for layer, site, activation, units, profile in _places(frames.network):
        # pop: the weights of a layer that is applied twice are shown once
        a, g = forward.get(site, nothing), backward.pop(layer, nothing)
        yield SiteRow(
            layer=layer,
            site=site,
            activation=activation,
            units=units,
            profile=profile,
            saturated_fraction=a.get("saturated_fraction", NAN),
            dead_unit_fraction=a.get("dead_unit_fraction", NAN),
            variable=g.get("variable", ""),
            connected=bool(g.get("connected", True)),
            first_gradient_rms=g.get("first_rms", NAN),
            gradient_rms=g.get("rms", NAN),
            gradient_norm=g.get("norm", NAN),
            backward_rms=a.get("backward_rms", NAN),
            update_to_weight_ratio=g.get("update_to_weight_ratio", NAN),
            nonfinite_count=_count(a.get("nonfinite_count", 0.0)) + _count(g.get("nonfinite_count", 0.0)),
        )


def _places(network: Network) -> list[tuple[str, str, str, int, Profile | None]]:
    """Return layer, site, function, units and profile of every row, in the order of the model."""
    places = [(s.layer, s.key, s.activation, s.units, s.profile) for s in network.sites]
    order = {layer.key: layer.order for layer in network.layers}
    weighted = dict.fromkeys(variable.layer for variable in network.variables)
    for layer in sorted(weighted.keys() - {place[0] for place in places}, key=lambda key: order.get(key, 0)):
        later = (i for i, place in enumerate(places) if order.get(place[0], 0) > order.get(layer, 0))
        places.insert(next(later, len(places)), (layer, layer, "", 0, None))
    return places


def _by_site(frames: Frames, skipped: set[Any]) -> dict[str, dict[str, Any]]:
    """Return the last row of each site, with the last dead unit fraction that was known."""
    table = frames.activations
    last = _last(table[~table["step"].isin(skipped)], "site")
    known = [each.dropna(subset=["dead_unit_fraction"]) for each in (table, frames.final_activations)]
    for site, row in (_last(known[0], "site") | _last(known[1], "site")).items():
        last.setdefault(site, {})["dead_unit_fraction"] = row["dead_unit_fraction"]
    return last


def _by_layer(frames: Frames, skipped: set[Any]) -> dict[str, dict[str, Any]]:
    """Return the last row of each layer's main variable, with its first rms and its median ratio."""
    main = {(layer, variable.path) for layer, variable in main_variables(frames.network.variables).items()}
    pairs = frames.gradients[["layer", "variable"]].drop_duplicates()
    is_main = [pair in main for pair in zip(pairs["layer"], pairs["variable"], strict=True)]
    table = frames.gradients.merge(pairs[np.array(is_main, np.bool_)])
    table = table[~table["step"].isin(skipped)]
    ratios = table.dropna(subset=["update_to_weight_ratio"])
    if frames.network.compiled.accumulation_steps > 1:
        ratios = ratios[ratios["update_to_weight_ratio"] > 0]  # the batches between two updates change nothing
    recent = ratios.groupby("layer", observed=True).tail(RATIO_RECORDS)
    medians = recent.groupby("layer", observed=True)["update_to_weight_ratio"].median().to_dict()
    first = table.drop_duplicates("layer").set_index("layer")["rms"].to_dict()
    last = _last(table, "layer")
    for layer, row in last.items():
        row |= {"first_rms": first[layer], "update_to_weight_ratio": medians.get(layer, NAN)}
    return last


def _last(table: pd.DataFrame, key: str) -> dict[str, dict[str, Any]]:
    """Return the last row of ``table`` for each value of ``key``."""
    rows = table.drop_duplicates(key, keep="last").to_dict("records")
    return {row[key]: {str(name): value for name, value in row.items()} for row in rows}


def _count(value: float) -> int:
    return 0 if math.isnan(value) else int(value)
