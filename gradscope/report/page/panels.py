"""The figures of a run: which there are, in which panels of its page, and how each is read."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import TYPE_CHECKING, Final

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
from gradscope.report.figures.grid import grid_of
from gradscope.report.page.figure_store import PageFigure, Panel
from gradscope.report.page.figure_words import extremes, is_known
from gradscope.report.values.summary import Summary
from gradscope.report.words.names import shortened
from gradscope.report.words.summary import losses
from gradscope.schema import OVER_LAYERS, Column

if TYPE_CHECKING:
    from gradscope.store.read import Frames

HEATMAP_COLUMNS: Final = 300
"""Columns of a heatmap: about two pixels each on a wide screen; more would only make the page heavy."""

MOST_SITES: Final = 24
"""Layers of which a panel holds a figure each: those that findings name first, then some of every depth."""

LAYERS: Final = "figure-layers"
DEPTH: Final = "figure-depth"
LOSS: Final = "figure-loss"

_NAME_CELLS: Final = 32


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


# --- the figures of a run ---


def _loss(frames: Frames, findings: Sequence[Finding], summary: Summary) -> Iterator[PageFigure]:
    if frames.steps.empty and frames.epochs.empty:
        return
    reading = "It should fall, and end well below the dotted line: the loss of the best constant answer."
    if math.isnan(summary.progress.baseline_loss):
        reading = "It should fall, steadily or with a little noise."
    went = losses(summary)
    if not went and "val_loss" not in frames.epochs:
        return
    said = f"Of the recorded batches it went {went}." if went and len(frames.steps) else ""
    yield PageFigure("loss", "Loss", reading, said, lambda: loss_curve(frames.steps, frames.epochs, findings))


def heatmap_figures(frames: Frames) -> Iterator[PageFigure]:
    """Yield layers × steps of every statistic that was measured."""
    for statistic in OVER_LAYERS:
        table, column = table_to_draw(frames, statistic.table.name), statistic.column
        if is_worth_drawing(table, column.name):
            yield PageFigure(
                statistic.key,
                column.heading,
                heatmap_reading(column),
                extremes(grid_of(table, column.name)),
                lambda table=table, name=column.name: statistic_heatmap(table, name, most_columns=HEATMAP_COLUMNS),
            )


def is_worth_drawing(table: pd.DataFrame, statistic: str) -> bool:
    """Return whether ``table`` holds any number of ``statistic``; of a count, whether any is above 0."""
    if statistic == "nonfinite_count" and statistic in table.columns:
        return bool(table[statistic].gt(0).any())
    return is_known(table, statistic)


def heatmap_reading(column: Column) -> str:
    """Return how a heatmap of layers × steps is read."""
    return (
        "A row is a layer, from the input at the top; time runs to the right; the brighter, the larger. "
        f"{column.reading}"
    )


def table_to_draw(frames: Frames, name: str) -> pd.DataFrame:
    """Return a table with, at the last row of each site, the shares of units that the final pass has found."""
    table: pd.DataFrame = getattr(frames, name)
    if name != "activations" or frames.final_activations.empty or table.empty:
        return table
    table = table.copy()
    last = table.drop_duplicates("site", keep="last")
    final = frames.final_activations.set_index("site")
    for share in ("dead_unit_fraction", "stuck_unit_fraction"):
        found = last["site"].map(final[share]).astype(np.float64)
        table.loc[last.index[found.notna()], share] = found[found.notna()]
    return table


def profile_figures(frames: Frames, steps: Sequence[int] | None, scope: str) -> Iterator[PageFigure]:
    """Yield the profiles of the whole training, or of ``steps``; ``scope`` tells their keys apart."""
    a, g = frames.activations, frames.gradients
    last = math.inf if steps is None else max(steps)
    reading = "A line is one recorded step, layers from the input at the top; where it leans, something fades or grows."
    for key, table, column, figure in (
        ("backward", a, "backward_rms", backward_profile),
        ("gradient", g, "rms", gradient_profile),
    ):
        if is_known(table, column):
            grid = grid_of(table, column)
            yield PageFigure(
                f"{key}/{scope}",
                grid.column.heading,
                reading,
                extremes(grid, last),
                lambda table=table, figure=figure: figure(table, steps),
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
