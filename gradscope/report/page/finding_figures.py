"""Which figure shows what a rule found: one of its own beside the finding, and one of all layers among the figures."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Final

import numpy as np

from gradscope import schema
from gradscope.diagnose.discover import known_rules
from gradscope.diagnose.finding import Finding
from gradscope.diagnose.rule import FigureKind, facts_of
from gradscope.report.figures import loss_curve, statistic_curves
from gradscope.report.figures.grid import grid_of
from gradscope.report.page.figure_store import PageFigure
from gradscope.report.page.figure_words import extremes, is_known
from gradscope.report.page.panels import LAYERS, LOSS, heatmap_figures, profile_figures, table_to_draw, unit_map_figure
from gradscope.report.words.numbers import number

if TYPE_CHECKING:
    from gradscope.store.read import Frames

_MOST_CURVES: Final = 4
_OF_LAYERS: Final = ("activations", "gradients")
_PROFILES: Final = {"gradients.rms": "gradient", "activations.mean": "activation"}
"""By the statistic of a finding, the profile that shows it, where that is not the backward signal's."""


def figure_of(finding: Finding, frames: Frames) -> PageFigure | None:
    """Return the figure that shows ``finding``; None where nothing that was recorded does."""
    rule = known_rules().get(finding.rule)
    return _DRAWN_AS["curves" if rule is None else facts_of(rule).figure](frames, finding)


def place_of(finding: Finding) -> tuple[str, str]:
    """Return the panel, and the key of its figure, that show ``finding`` beside all the rest; ``""`` for none.

    Example:
        >>> place_of(Finding("theirs", "low", None, 0, 9, "", (), statistic="activations.mean"))
        ('figure-layers', 'activations.mean')
    """
    if finding.statistic in {known.key for known in schema.OVER_LAYERS}:
        return LAYERS, finding.statistic
    return (LOSS, "loss") if finding.statistic == "steps.loss" else ("", "")


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


def _profile_of(frames: Frames, finding: Finding) -> PageFigure | None:
    """Return how the layers stood at the beginning, in the middle and at the end of what the finding says."""
    middle = (finding.first_step + finding.last_step) // 2
    steps = _recorded(frames, (finding.first_step, middle, finding.last_step))
    scope = "-".join(map(str, steps))
    wanted = f"{_PROFILES.get(finding.statistic, 'backward')}/{scope}"
    profiles = profile_figures(frames, steps, scope) if steps else iter(())
    found = next((figure for figure in profiles if figure.key == wanted), None)
    return found and dataclasses.replace(found, title=f"{found.title} through the depth of the model")


def _curves_of(frames: Frames, finding: Finding, table: str, statistic: str) -> PageFigure | None:
    """Return how a column went in the layers that the finding names; None where nothing is known of it there."""
    named = [layer for layer in (finding.layer, *finding.layers) if layer is not None]
    layers = list(dict.fromkeys(named))[:_MOST_CURVES] or None
    data = table_to_draw(frames, table)
    chosen = data if layers is None else data[data["layer"].isin(layers)]
    if not is_known(chosen, statistic):
        return None
    grid = grid_of(chosen, statistic)
    return PageFigure(
        f"curves/{table}.{statistic}/{finding.key}",
        f"{grid.column.heading}, over the training",
        "A line is a layer that the finding names; the steps of the finding are marked.",
        extremes(grid),
        lambda: statistic_curves(data, statistic, layers=layers, findings=[finding]),
    )


def _heatmap_of(frames: Frames, finding: Finding) -> PageFigure | None:
    return next((figure for figure in heatmap_figures(frames) if figure.key == finding.statistic), None)


def _units_of(frames: Frames, finding: Finding) -> PageFigure | None:
    """Return which units died and when, where that was recorded; else the share of them."""
    sites = [site.key for site in frames.network.sites if site.layer == finding.layer]
    present = set(frames.units["site"].unique())
    site = next((site for site in sites if site in present), None)
    if site is not None:
        figure = unit_map_figure(frames, site)
        return dataclasses.replace(figure, title=f"Units of {figure.title}")
    return _curves_of(frames, finding, "activations", "dead_unit_fraction")


def _curves_of_statistic(frames: Frames, finding: Finding) -> PageFigure | None:
    """Return the figure of the column that shows the finding, else of one that its evidence names; else the loss."""
    named = [finding.statistic, *(f"{table}.{item.name}" for item in finding.evidence for table in _OF_LAYERS)]
    for key in named:
        table, _, statistic = key.partition(".")
        if table in _OF_LAYERS and statistic in schema.TABLES[table].statistic_names:
            figure = _curves_of(frames, finding, table, statistic)
            if figure is not None:
                return figure
    is_of_loss = finding.statistic == "steps.loss" or finding.layer is None
    return _loss_of(frames, finding) if is_of_loss else None


_DRAWN_AS: Final[Mapping[FigureKind, Callable[[Frames, Finding], PageFigure | None]]] = {
    "curves": _curves_of_statistic,
    "heatmap": _heatmap_of,
    "loss": _loss_of,
    "profile": _profile_of,
    "units": _units_of,
}


def _recorded(frames: Frames, steps: Sequence[int]) -> list[int]:
    """Return the recorded steps nearest to ``steps``, each once."""
    known = frames.activations["step"].unique()
    return sorted({int(known[np.abs(known - step).argmin()]) for step in steps}) if len(known) else []
