"""The figures of a comparison: losses, profiles along the depth, and heatmaps of two runs side by side.

A page has no room for the figures of all of thirty runs, and nobody could tell as many lines apart: of many, those with
the extremes are shown. The tables of a run are read once, and only the columns that are drawn are kept.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd

from gradscope.nearest import few
from gradscope.report.figures import common_limits, loss_comparison, profile_comparison, statistic_heatmap
from gradscope.report.figures.grid import grid_of
from gradscope.report.page.figure_store import FigureStore, PageFigure, Panel, shown_panels
from gradscope.report.page.figure_words import extremes, is_known
from gradscope.report.page.panels import (
    DEPTH,
    HEATMAP_COLUMNS,
    LAYERS,
    LOSS,
    heatmap_reading,
    is_worth_drawing,
    table_to_draw,
)
from gradscope.report.values.comparison import Comparison, Side
from gradscope.report.words.comparison import few_short
from gradscope.report.words.names import shortened
from gradscope.report.words.numbers import magnitude, number
from gradscope.schema import GRADIENTS, HEADLINE, OVER_LAYERS, STATISTICS, Statistic

if TYPE_CHECKING:
    from gradscope.store.read import Frames

MOST_RUNS: Final = 12
"""Runs that figures show: more lines than that nobody tells apart."""

_PROFILES: Final = tuple(
    STATISTICS[key] for key in ("gradients.rms", "activations.backward_rms", "activations.sample_std")
)
_HEATMAP_ROOM: Final = 1_300_000  # characters, of the page's budget; cells that are exactly 0 take as much again
_CELL: Final = 16 / 3  # characters of a 32-bit float in base64
_FEWEST_COLUMNS: Final = 60
_NAME_CELLS: Final = 32
_TOLD: Final = 4
_MOST_LEFT_OUT: Final = 40


@dataclass(frozen=True, slots=True)
class Drawn:
    """What is kept of a run to draw it."""

    name: str
    steps: pd.DataFrame
    epochs: pd.DataFrame
    activations: pd.DataFrame
    gradients: pd.DataFrame

    def table(self, statistic: Statistic) -> pd.DataFrame:
        """Return the table that ``statistic`` is of."""
        return self.gradients if statistic.table is GRADIENTS else self.activations


@dataclass(frozen=True, slots=True)
class PairChoice:
    """A statistic that can be chosen: the figure of the reference, and of each other run; ``""`` for none."""

    key: str
    title: str
    left: str
    right: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ShownPair:
    """Heatmaps of the reference and of one other run.

    Attributes:
        choices: The statistics.
        runs: Names of the runs that can stand at the right.
        left: Figures of the reference.
        right: Figures of the others.
        left_out: Titles of the statistics that there is no room for.
    """

    choices: tuple[PairChoice, ...]
    runs: tuple[str, ...]
    left: tuple[PageFigure, ...]
    right: tuple[PageFigure, ...]
    left_out: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Pictures:
    """All figures of a comparison.

    Attributes:
        panels: Losses and profiles.
        pair: Heatmaps side by side; None where there are none.
        notes: Which runs are not shown, and why.
    """

    panels: tuple[Panel, ...]
    pair: ShownPair | None
    notes: tuple[str, ...]


def pictures(comparison: Comparison, store: FigureStore, wanted: Collection[str] = ()) -> Pictures:
    """Return the figures of ``comparison``, which are put in ``store`` as long as there is room.

    Args:
        comparison: What to show; tables are read of the runs that are shown.
        store: What the page holds.
        wanted: Keys of statistics that findings refer to, such as ``"activations.mean"``, to be shown with the usual.
    """
    sides, notes = shown_sides(comparison)
    statistics = [statistic for statistic in OVER_LAYERS if statistic in HEADLINE or statistic.key in wanted]
    drawn = [_drawn(side.name, side.load(), statistics) for side in sides if side.load is not None]
    lacking = [side.name for side in sides if side.load is None]
    if lacking:
        notes.append(f"The tables of {few_short(lacking)} are not at hand, so the figures go without them.")
    if len(drawn) < 2 or drawn[0].name != comparison.reference.name:
        return Pictures((), None, tuple(notes))
    panels = [
        Panel(LOSS, "Loss of the runs", "Loss", tuple(_losses(drawn))),
        Panel(DEPTH, "Through the depth of the model", "What", tuple(_profiles(drawn))),
    ]
    return Pictures(tuple(shown_panels(store, panels)), _pair(drawn, statistics, store), tuple(notes))


def shown_sides(comparison: Comparison) -> tuple[list[Side], list[str]]:
    """Return the runs that figures show, the reference first, and a sentence where those are not all.

    Of many, they are those with the lowest and the highest last loss, and those that most often have the lowest or the
    highest number of a layer.
    """
    others = list(comparison.others)
    if len(comparison.sides) <= MOST_RUNS:
        return list(comparison.sides), []
    by_loss = sorted(others, key=_last_loss)
    at_ends = (MOST_RUNS - 1) // 3
    kept = [side.name for side in (*by_loss[:at_ends], *by_loss[-at_ends:])]
    counts = dict.fromkeys((side.name for side in others), 0)
    for item in comparison.ranges:
        for name in {item.lowest_run, item.highest_run}:
            counts[name] += item.extent >= 1
    kept += sorted(counts.keys() - set(kept), key=lambda name: (-counts[name], name))[: MOST_RUNS - 1 - len(kept)]
    left_out = [shortened(side.name, _NAME_CELLS) for side in others if side.name not in kept]
    note = (
        f"The figures show {MOST_RUNS} of {len(comparison.sides):,} runs: the reference, the {at_ends} with the lowest "
        f"and the {at_ends} with the highest last loss, and those that most often have the lowest or highest number of "
        f"a layer. Left out: {few(left_out, _MOST_LEFT_OUT)}."
    )
    return [comparison.reference, *(side for side in others if side.name in kept)], [note]


def _last_loss(side: Side) -> float:
    loss = side.row.metrics.get("loss", side.row.batch_loss)
    return loss if loss is not None and math.isfinite(loss) else math.inf


def _drawn(name: str, frames: Frames, statistics: Sequence[Statistic]) -> Drawn:
    """Return what is drawn of a run: trained steps only, without those that mixed precision skipped."""
    is_kept = frames.steps["skipped"] != 1
    steps = set(frames.steps.loc[is_kept if is_kept.any() else ~is_kept, "step"])
    tables: dict[str, pd.DataFrame] = {}
    for table, keys in (
        ("activations", ("step", "layer", "site")),
        ("gradients", ("step", "layer", "variable", "role")),
    ):
        whole = table_to_draw(frames, table)
        names = {each.column.name for each in statistics if each.table.name == table} | {"nonfinite_count"}
        columns = [column for column in whole.columns if column in keys or column in names]
        tables[table] = whole.loc[whole["step"].isin(steps), columns]
    return Drawn(name, frames.steps[["step", "loss", "baseline_loss"]], frames.epochs, **tables)


# --- losses ---


def _losses(drawn: Sequence[Drawn]) -> Iterator[PageFigure]:
    epochs, steps = {run.name: run.epochs for run in drawn}, {run.name: run.steps for run in drawn}
    for key, title, tables, column in (
        ("val_loss", "Validation loss", epochs, "val_loss"),
        ("epoch", "Loss of each epoch", epochs, "loss"),
        ("batch", "Loss of recorded batches", steps, "loss"),
    ):
        known = {name: table for name, table in tables.items() if is_known(table, column)}
        if known:
            yield PageFigure(
                f"loss/{key}",
                title,
                "A line is a run, the thick one the reference. It should fall, and end well below the loss of the best "
                "constant answer.",
                " ".join([_ends(known, column), *_constant(drawn)]),
                lambda tables=tables, column=column: loss_comparison(tables, column),
            )


def _ends(tables: Mapping[str, pd.DataFrame], column: str) -> str:
    """Return which runs end lowest and highest; all of a few."""
    last = {name: float(table[column].iloc[-1]) for name, table in tables.items()}
    return f"In the end {_told(last, number)}."


def _constant(drawn: Sequence[Drawn]) -> list[str]:
    """Return what the best constant answer's loss is, where it is about the same in all runs."""
    known = [run.steps["baseline_loss"].dropna() for run in drawn]
    last = np.array([baselines.iloc[-1] for baselines in known if len(baselines)], np.float64)
    if last.size < len(drawn) or not np.allclose(last, last[0], rtol=0.02):
        return []
    return [f"The best constant answer has about {number(float(last[0]))}."]


def _told(values: Mapping[str, float], text: Callable[[float], str]) -> str:
    """Return the values of all of a few runs, else which are the lowest and the highest."""
    shown = {name: value for name, value in values.items() if not math.isnan(value)}
    if len(shown) <= _TOLD:
        return ", ".join(f"{shortened(name, _NAME_CELLS)} {text(value)}" for name, value in values.items())
    low, high = min(shown, key=lambda name: shown[name]), max(shown, key=lambda name: shown[name])
    if text(shown[low]) == text(shown[high]):
        return f"{text(shown[low])} in all of them"
    return (
        f"{shortened(low, _NAME_CELLS)} is lowest ({text(shown[low])}) and {shortened(high, _NAME_CELLS)} highest "
        f"({text(shown[high])})"
    )


# --- profiles ---


def _profiles(drawn: Sequence[Drawn]) -> Iterator[PageFigure]:
    for statistic in _PROFILES:
        tables, column = {run.name: run.table(statistic) for run in drawn}, statistic.column
        if not any(is_known(each, column.name) for each in tables.values()):
            continue
        yield PageFigure(
            f"depth/{statistic.key}",
            column.heading,
            "A line is a run at its last record, the thick one the reference, layers from the input at the top; where "
            "it leans, something fades or grows.",
            _spans(tables, column.name),
            lambda tables=tables, name=column.name: profile_comparison(tables, name),
        )


def _spans(tables: Mapping[str, pd.DataFrame], column: str) -> str:
    """Return how many times the number of one layer is that of another in the extreme, run by run."""
    spans: dict[str, float] = {}
    with_zero: list[str] = []
    for name, table in tables.items():
        grid = grid_of(table, column)
        known = grid.numbers[:, (np.isfinite(grid.numbers) | grid.not_finite).any(axis=0)]
        last = known[np.isfinite(known[:, -1]), -1] if known.size else np.zeros(0)
        if last.size and last.min() > 0:
            spans[name] = float(last.max() / last.min())
        elif last.size:
            with_zero.append(name)
    parts = [f"The largest layer's number over the smallest's: {_told(spans, _times)}."] if spans else []
    parts += [f"Exactly 0 in a layer of {few_short(with_zero)}."] if with_zero else []
    return " ".join(parts)


def _times(value: float) -> str:
    return f"{value:.1f}" if value < 99.5 else f"{float(f'{value:.2g}'):,.0f}" if value < 1e9 else magnitude(value)


# --- heatmaps ---


def _pair(drawn: Sequence[Drawn], statistics: Sequence[Statistic], store: FigureStore) -> ShownPair | None:
    """Return heatmaps of every statistic of every run, on one colour scale a statistic."""
    known = [statistic for statistic in statistics if any(_has(run, statistic) for run in drawn)]
    places = sum(run.table(statistic)["layer"].nunique() for run in drawn for statistic in known)
    columns = int(min(max(_HEATMAP_ROOM / _CELL / max(places, 1), _FEWEST_COLUMNS), HEATMAP_COLUMNS))
    choices: list[PairChoice] = []
    left_out: list[str] = []
    figures: dict[str, PageFigure] = {}
    for statistic in known:
        limits = common_limits([run.table(statistic) for run in drawn if _has(run, statistic)], statistic.column.name)
        made = [_heatmap(index, run, statistic, limits, columns) for index, run in enumerate(drawn)]
        held = [figure.key if store.holds(figure) else "" for figure in made]
        if not held[0] or not any(held[1:]):
            left_out.append(statistic.column.heading)
            continue
        figures |= {figure.key: figure for figure in made if figure.key in held}
        choices.append(PairChoice(statistic.key, statistic.column.heading, held[0], tuple(held[1:])))
    if not choices:
        return None
    return ShownPair(
        tuple(choices),
        tuple(run.name for run in drawn[1:]),
        tuple(figures[choice.left] for choice in choices),
        tuple(figures[key] for choice in choices for key in choice.right if key),
        tuple(left_out),
    )


def _has(run: Drawn, statistic: Statistic) -> bool:
    return is_worth_drawing(run.table(statistic), statistic.column.name)


def _heatmap(index: int, run: Drawn, statistic: Statistic, limits: tuple[float, float], columns: int) -> PageFigure:
    table, column = run.table(statistic), statistic.column
    return PageFigure(
        f"heat/{index}/{statistic.key}",
        f"{column.heading}: {shortened(run.name, _NAME_CELLS)}",
        heatmap_reading(column) if not index else "",
        extremes(grid_of(table, column.name)) if _has(run, statistic) else "",
        lambda: statistic_heatmap(table, column.name, limits=limits, most_columns=columns),
    )


def place_in(pair: ShownPair | None, key: str, runs: Sequence[str]) -> int | None:
    """Return which of the pair's runs shows statistic ``key`` of one of ``runs``; None where none does."""
    choice = next((choice for choice in pair.choices if choice.key == key), None) if pair else None
    if pair is None or choice is None:
        return None
    return next((at for at, run in enumerate(pair.runs) if run in runs and choice.right[at]), None)


PLACES: Final = {LAYERS: "figure-pair", LOSS: LOSS}
"""Where a comparison shows what the report of a run shows in the panels that findings refer to."""
