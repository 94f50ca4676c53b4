"""The figures of a page: which there are of a run, how each is read, and how many a page has room for.

A figure is named by a key, so that a finding and the section of figures show the same one without holding it twice.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd

from gradscope.diagnose.finding import Finding
from gradscope.report.figures import (
    activation_profile,
    backward_profile,
    distribution,
    gradient_profile,
    loss_curve,
    overhead,
    statistic_heatmap,
    unit_map,
)
from gradscope.report.figures.grid import Grid, grid_of
from gradscope.report.page.embedded import EmbeddedFigure, embedded
from gradscope.report.summary import Summary
from gradscope.report.wording import losses, magnitude, number, percentage, shortened

if TYPE_CHECKING:
    from gradscope.store.read import Frames

FIGURE_BUDGET: Final = 2_500_000
"""Characters that all figures of a page may take together; with plotly.js, words and table it stays below 6 MB."""

HEATMAP_COLUMNS: Final = 300
"""Columns of a heatmap: about two pixels each on a wide screen; more would only make the page heavy."""

MOST_SITES: Final = 24
"""Layers of which a panel holds a figure each: those that findings name first, then some of every depth."""

_NAME_CELLS: Final = 32


@dataclass(frozen=True, slots=True)
class PageFigure:
    """One figure.

    Attributes:
        key: Tells it from the others of the page.
        title: What it shows.
        reading: How to read it, in a sentence.
        words: What is to be seen in it, for whoever does not see it; ``""`` where there is nothing to say.
        draw: Makes it; a figure of plotly.
    """

    key: str
    title: str
    reading: str
    words: str
    draw: Callable[[], Any]  # Any: plotly has no types


@dataclass(frozen=True, slots=True)
class Panel:
    """A place for one figure at a time, of several to choose from.

    Attributes:
        id: Its anchor in the page.
        title: What stands above it.
        label: What is chosen, such as ``Statistic``; not shown where there is one figure only.
        figures: The first is shown first.
        left_out: Titles of those that it might show and does not.
    """

    id: str
    title: str
    label: str
    figures: tuple[PageFigure, ...]
    left_out: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ShownPanel:
    """A panel whose figures are in the page, and the titles of those that were left out."""

    id: str
    title: str
    label: str
    figures: tuple[PageFigure, ...]
    left_out: tuple[str, ...]


class FigureStore:
    """The figures that a page holds: each is made once, and none once they would take more than the budget.

    Args:
        budget: Characters that all may take together.
    """

    def __init__(self, budget: int = FIGURE_BUDGET) -> None:
        self.figures: dict[str, EmbeddedFigure] = {}
        self._left = budget

    def holds(self, figure: PageFigure) -> bool:
        """Return whether ``figure`` is in the page; it is put there first if there is room."""
        if figure.key not in self.figures:
            made = embedded(figure.draw(), f"f{len(self.figures) + 1}")
            if len(made.json) > self._left:
                return False
            self.figures[figure.key] = made
            self._left -= len(made.json)
        return True

    def panel(self, panel: Panel) -> ShownPanel | None:
        """Return ``panel`` with the figures that there is room for; None where there is room for none."""
        kept = tuple(figure for figure in panel.figures if self.holds(figure))
        left_out = (*panel.left_out, *(figure.title for figure in panel.figures if figure not in kept))
        return ShownPanel(panel.id, panel.title, panel.label, kept, left_out) if kept else None


@dataclass(frozen=True, slots=True)
class Statistic:
    """A column that a page shows over all layers."""

    table: str
    name: str
    title: str
    reading: str

    @property
    def key(self) -> str:
        """Of its figure."""
        return f"{self.table}.{self.name}"


_SHADE = "A row is a layer, from the input at the top; time runs to the right; the brighter, the larger."

STATISTICS: Final = (
    Statistic("gradients", "rms", "Size of the gradient", f"{_SHADE} Rows that darken to the top: it vanishes."),
    Statistic("activations", "backward_rms", "Backward signal", f"{_SHADE} Rows that darken to the top: it vanishes."),
    Statistic(
        "activations",
        "saturated_fraction",
        "Saturation",
        f"{_SHADE} Bright in a sigmoid or tanh: no gradient passes there. About half is usual for ReLU.",
    ),
    Statistic("activations", "dead_unit_fraction", "Dead units", f"{_SHADE} A row that brightens loses units."),
    Statistic(
        "gradients", "update_to_weight_ratio", "Update over weight", f"{_SHADE} Around 1e-3 is usual for most layers."
    ),
    Statistic(
        "activations",
        "sample_std",
        "Spread over samples",
        f"{_SHADE} Rows that darken to the bottom: all samples look alike there.",
    ),
    Statistic("activations", "rms", "Size of the activations", f"{_SHADE} Rows that brighten steadily: it explodes."),
    Statistic("activations", "mean", "Mean of the activations", f"{_SHADE} Far from 0: the layer is not centred."),
    Statistic(
        "activations", "zero_fraction", "Zero activations", f"{_SHADE} 100% is a layer that passes nothing forward."
    ),
    Statistic(
        "activations", "nonfinite_count", "NaN and infinity", f"{_SHADE} The first bright cell is where they came from."
    ),
)
LAYERS: Final = "figure-layers"
DEPTH: Final = "figure-depth"
LOSS: Final = "figure-loss"


def panels(frames: Frames, findings: Sequence[Finding], summary: Summary) -> list[Panel]:
    """Return the figures of a run; those that would be empty are left out.

    Args:
        frames: The run.
        findings: What was found, to be marked where it shows.
        summary: The run's.
    """
    about = {layer for finding in findings for layer in (finding.layer, *finding.layers)}
    found = [
        Panel(LOSS, "Loss", "", tuple(_loss(frames, findings, summary))),
        Panel(LAYERS, "Every layer over the training", "Statistic", tuple(heatmap_figures(frames))),
        Panel(DEPTH, "Through the depth of the model", "What", tuple(profile_figures(frames, None, "whole"))),
        _by_site("figure-values", "Distribution of the activations", frames, frames.histograms, _distribution, about),
        _by_site("figure-units", "Which units are dead", frames, frames.units, unit_map_figure, about),
    ]
    return [panel for panel in found if panel.figures]


def cost_figure(frames: Frames) -> PageFigure | None:
    """Return what recording cost over the training; None where nothing was recorded."""
    if frames.steps.empty:
        return None
    reading = "What recording took beside what the training took. The training itself is not changed by it."
    return PageFigure("overhead", "What recording cost", reading, "", lambda: overhead(frames.steps, frames.costs))


def shown_panels(store: FigureStore, found: Iterable[Panel]) -> list[ShownPanel]:
    """Return the panels of which ``store`` has room for a figure, with those figures."""
    return [shown for panel in found if (shown := store.panel(panel)) is not None]


# --- the figures of a run ---


def _loss(frames: Frames, findings: Sequence[Finding], summary: Summary) -> Iterator[PageFigure]:
    if frames.steps.empty and frames.epochs.empty:
        return
    reading = "It should fall, and end well below the dotted line: the loss of the best constant answer."
    if math.isnan(summary.progress.baseline_loss):
        reading = "It should fall, steadily or with a little noise."
    said = f"Of the recorded batches it went {losses(summary)}." if len(frames.steps) else ""
    yield PageFigure("loss", "Loss", reading, said, lambda: loss_curve(frames.steps, frames.epochs, findings))


def heatmap_figures(frames: Frames) -> Iterator[PageFigure]:
    """Yield layers × steps of every statistic that was measured."""
    for statistic in STATISTICS:
        table = getattr(frames, statistic.table)
        if not is_known(table, statistic.name):
            continue
        if statistic.name == "nonfinite_count" and not table[statistic.name].gt(0).any():
            continue
        yield PageFigure(
            statistic.key,
            statistic.title,
            statistic.reading,
            extremes(grid_of(table, statistic.name)),
            lambda table=table, name=statistic.name: statistic_heatmap(table, name, most_columns=HEATMAP_COLUMNS),
        )


def profile_figures(frames: Frames, steps: Sequence[int] | None, scope: str) -> Iterator[PageFigure]:
    """Yield the profiles of the whole training, or of ``steps``; ``scope`` tells their keys apart."""
    a, g = frames.activations, frames.gradients
    last = math.inf if steps is None else max(steps)
    reading = "A line is one recorded step, layers from the input at the top; where it leans, something fades or grows."
    if is_known(a, "backward_rms"):
        yield PageFigure(
            f"backward/{scope}",
            "Backward signal",
            reading,
            extremes(grid_of(a, "backward_rms"), last),
            lambda: backward_profile(a, steps),
        )
    if is_known(g, "rms"):
        yield PageFigure(
            f"gradient/{scope}",
            "Gradient",
            reading,
            extremes(grid_of(g, "rms"), last),
            lambda: gradient_profile(g, steps),
        )
    if is_known(a, "mean"):
        yield PageFigure(
            f"activation/{scope}",
            "Activations",
            reading,
            extremes(grid_of(a, "mean"), last),
            lambda: activation_profile(a, steps),
        )


def _by_site(
    anchor: str,
    title: str,
    frames: Frames,
    table: pd.DataFrame,
    figure: Callable[[Frames, str], PageFigure],
    about: Collection[str | None],
) -> Panel:
    """Return the panel of one figure a site of ``table``, with as many sites as a page has room for."""
    present = set(table["site"].unique())
    sites = [site for site in frames.network.sites if site.key in present]
    kept = {site.key for site in sites}
    if len(sites) > MOST_SITES:
        first = [site.key for site in sites if site.layer in about]
        spread = [sites[at * (len(sites) - 1) // (MOST_SITES - 1)].key for at in range(MOST_SITES)]
        kept = set(list(dict.fromkeys([*first, *spread]))[:MOST_SITES])
    return Panel(
        anchor,
        title,
        "Layer",
        tuple(figure(frames, site.key) for site in sites if site.key in kept),
        tuple(shortened(site.key, _NAME_CELLS) for site in sites if site.key not in kept),
    )


def _distribution(frames: Frames, site: str) -> PageFigure:
    table = frames.histograms
    return PageFigure(
        f"distribution/{site}",
        shortened(site, _NAME_CELLS),
        "How often each value occurs, one record beside the next. Bright at the end of a bounded function: saturated.",
        "",
        lambda: distribution(table[table["site"] == site], site),
    )


def unit_map_figure(frames: Frames, site: str) -> PageFigure:
    """Return which units of ``site`` are dead, and since when."""
    units = frames.units[frames.units["site"] == site]
    count = next((known.units for known in frames.network.sites if known.key == site), 0)
    last = int(frames.steps["step"].max()) if len(frames.steps) else int(units["step"].max())
    return PageFigure(
        f"units/{site}",
        shortened(site, _NAME_CELLS),
        "A row is a unit, time runs to the right. A row that changes once and stays has died.",
        "",  # the figure's own note counts them
        lambda: unit_map(units, site, unit_count=count, last_step=last),
    )


# --- words ---


def is_known(table: pd.DataFrame, statistic: str) -> bool:
    """Return whether ``table`` holds any number of ``statistic``."""
    return statistic in table.columns and bool(table[statistic].notna().any())


def extremes(grid: Grid, until: float = math.inf) -> str:
    """Return which layers have the least and the most at the last record that holds any, at step ``until`` at most."""
    known = np.flatnonzero(~np.isnan(grid.numbers).all(axis=0) & (grid.first <= until))
    if not known.size:
        return ""
    last = grid.numbers[:, known[-1]]
    said = percentage if grid.column.unit == "fraction" else magnitude if grid.is_log else number
    low, high = int(np.nanargmin(last)), int(np.nanargmax(last))
    lowest, highest = said(float(last[low])), said(float(last[high]))
    names = [shortened(name, _NAME_CELLS) for name in grid.names]
    step = f"At step {int(grid.first[known[-1]]):,}"
    if lowest == highest:
        is_only = np.count_nonzero(~np.isnan(last)) == 1
        return f"{step}: {lowest} in {names[low] if is_only else 'all layers'}."
    return f"{step}: lowest in {names[low]} ({lowest}), highest in {names[high]} ({highest})."
