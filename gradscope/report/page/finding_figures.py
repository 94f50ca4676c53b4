"""Which figure shows what a rule found: one of its own beside the finding, and one of all layers among the figures."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from gradscope import schema
from gradscope.diagnose.finding import Finding
from gradscope.report.figures import loss_curve, statistic_curves
from gradscope.report.figures.grid import grid_of
from gradscope.report.page.panels import (
    DEPTH,
    LAYERS,
    LOSS,
    STATISTICS,
    PageFigure,
    extremes,
    heatmap_figures,
    is_known,
    profile_figures,
    unit_map_figure,
)
from gradscope.report.wording import number, printable

if TYPE_CHECKING:
    from gradscope.store.read import Frames

_MOST_CURVES: Final = 4


@dataclass(frozen=True, slots=True)
class _Shown:
    """What shows a rule's finding: a figure of its own beside it, and one of all layers among the figures."""

    own: Callable[[Frames, Finding], PageFigure | None]
    panel: str
    choice: str


def figure_of(finding: Finding, frames: Frames) -> PageFigure | None:
    """Return the figure that shows ``finding``; None where nothing that was recorded does."""
    shown = _SHOWN_BY.get(finding.rule)
    return shown.own(frames, finding) if shown else _of_evidence(frames, finding)


def place_of(finding: Finding) -> tuple[str, str]:
    """Return the panel, and the key of its figure, that show ``finding`` beside all the rest; ``""`` for none."""
    shown = _SHOWN_BY.get(finding.rule)
    return (shown.panel, shown.choice) if shown else ("", "")


def _loss_of(frames: Frames, finding: Finding) -> PageFigure | None:
    if frames.steps.empty and frames.epochs.empty:
        return None
    known = frames.steps["loss"].dropna()
    said = f"Of the recorded batches it went {number(known.iloc[0])} → {number(known.iloc[-1])}." if len(known) else ""
    return PageFigure(
        f"loss/{finding.key}",
        "Loss, with the steps of the finding marked",
        "It should fall, and end well below the loss of the best constant answer, where that is drawn.",
        said,
        lambda: loss_curve(frames.steps, frames.epochs, [finding]),
    )


def _profile_of(kind: str, at: Callable[[Finding], Sequence[int]]) -> Callable[[Frames, Finding], PageFigure | None]:
    def own(frames: Frames, finding: Finding) -> PageFigure | None:
        steps = _recorded(frames, at(finding))
        scope = "-".join(map(str, steps))
        profiles = profile_figures(frames, steps, scope) if steps else iter(())
        found = next((figure for figure in profiles if figure.key == f"{kind}/{scope}"), None)
        return found and dataclasses.replace(found, title=f"{found.title} through the depth of the model")

    return own


def _curves_of(table: str, statistic: str) -> Callable[[Frames, Finding], PageFigure | None]:
    def own(frames: Frames, finding: Finding) -> PageFigure | None:
        named = [layer for layer in (finding.layer, *finding.layers) if layer is not None]
        layers = list(dict.fromkeys(named))[:_MOST_CURVES] or None
        data = getattr(frames, table)
        chosen = data if layers is None else data[data["layer"].isin(layers)]
        if not is_known(chosen, statistic):
            return None
        titles = {known.key: known.title for known in STATISTICS}
        title = titles.get(f"{table}.{statistic}", printable(statistic.replace("_", " ")))
        return PageFigure(
            f"curves/{table}.{statistic}/{finding.key}",
            f"{title}, over the training",
            "A line is a layer that the finding names; the steps of the finding are marked.",
            extremes(grid_of(chosen, statistic)),
            lambda: statistic_curves(data, statistic, layers=layers, findings=[finding]),
        )

    return own


def _heatmap_of(key: str) -> Callable[[Frames, Finding], PageFigure | None]:
    def own(frames: Frames, finding: Finding) -> PageFigure | None:
        return next((figure for figure in heatmap_figures(frames) if figure.key == key), None)

    return own


def _units_of(frames: Frames, finding: Finding) -> PageFigure | None:
    """Return which units died and when, where that was recorded; else the share of them."""
    sites = [site.key for site in frames.network.sites if site.layer == finding.layer]
    present = set(frames.units["site"].unique())
    site = next((site for site in sites if site in present), None)
    if site is not None:
        figure = unit_map_figure(frames, site)
        return dataclasses.replace(figure, title=f"Units of {figure.title}")
    return _curves_of("activations", "dead_unit_fraction")(frames, finding)


def _of_evidence(frames: Frames, finding: Finding) -> PageFigure | None:
    """Return the figure of the first column that the evidence of another package's rule names; else the loss."""
    for item in finding.evidence:
        for table in ("activations", "gradients"):
            if item.name in schema.TABLES[table].statistic_names:
                figure = _curves_of(table, item.name)(frames, finding)
                if figure is not None:
                    return figure
    return _loss_of(frames, finding) if finding.layer is None else None


def _ends(finding: Finding) -> tuple[int, int, int]:
    return finding.first_step, (finding.first_step + finding.last_step) // 2, finding.last_step


_SHOWN_BY: Final = {
    "blocked_gradient": _Shown(_heatmap_of("gradients.rms"), LAYERS, "gradients.rms"),
    "dying_relu": _Shown(_units_of, LAYERS, "activations.dead_unit_fraction"),
    "exploding_activation": _Shown(_curves_of("activations", "rms"), LAYERS, "activations.rms"),
    "exploding_gradient": _Shown(_curves_of("gradients", "norm"), LAYERS, "gradients.rms"),
    "nan_or_inf": _Shown(_loss_of, LAYERS, "activations.nonfinite_count"),
    "not_converging": _Shown(_loss_of, LOSS, "loss"),
    "not_zero_centred": _Shown(_curves_of("activations", "mean"), LAYERS, "activations.mean"),
    "oscillating_loss": _Shown(_loss_of, LOSS, "loss"),
    "poor_initialisation": _Shown(_heatmap_of("activations.sample_std"), DEPTH, "activation/whole"),
    "saturated_activation": _Shown(
        _curves_of("activations", "saturated_fraction"), LAYERS, "activations.saturated_fraction"
    ),
    "slow_convergence": _Shown(_loss_of, LOSS, "loss"),
    "unchanged_weights": _Shown(
        _curves_of("gradients", "update_to_weight_ratio"), LAYERS, "gradients.update_to_weight_ratio"
    ),
    "update_ratio": _Shown(
        _curves_of("gradients", "update_to_weight_ratio"), LAYERS, "gradients.update_to_weight_ratio"
    ),
    "vanishing_activation": _Shown(_curves_of("activations", "sample_std"), LAYERS, "activations.sample_std"),
    "vanishing_gradient": _Shown(_profile_of("backward", _ends), LAYERS, "activations.backward_rms"),
}
"""By rule; `linear_stack` has none: it is seen in the model, not in a number."""


def _recorded(frames: Frames, steps: Sequence[int]) -> list[int]:
    """Return the recorded steps nearest to ``steps``, each once."""
    known = frames.activations["step"].unique()
    return sorted({int(known[np.abs(known - step).argmin()]) for step in steps}) if len(known) else []
