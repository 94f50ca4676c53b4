"""Distributions: how the activations of a site are spread, over the training.

Each record has bins of its own, between its own smallest and largest value. They are laid on one common grid; a bin
that reaches over several cells is shared among them by its length, so that no entry is lost and none counted twice.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from gradscope.report.figures.axes import record_axis
from gradscope.report.figures.grid import Floats, check_one_run, compact, places_of
from gradscope.report.figures.labels import decade_ticks, listed, wrapped
from gradscope.report.figures.style import SEQUENTIAL, Spec, figure

_CELLS: Final = 90
_WIDEST: Final = 20.0
"""How many times the median range of a record the grid spans at most: one exploded record would hide the others."""
_SMALLEST_SHARE: Final = 1e-3  # one of the 1,024 entries that a histogram samples at most
_QUANTILES: Final = (0.05, 0.5, 0.95)


def distribution(histograms: pd.DataFrame, site: str) -> go.Figure:
    """Return how the activations of ``site`` are spread at each record of which a histogram was kept.

    A colour is the share of the sampled entries in a cell; the lines are the median and the 5 % and 95 % quantiles.

    Args:
        histograms: The run's table.
        site: Key of the site.

    Raises:
        ArgumentError: If the table holds several runs.
    """
    check_one_run(histograms)
    names, place = places_of(histograms["site"])
    rows = histograms.loc[np.array([name == site for name in names] + [False])[place]]
    rows = rows[(rows["count"] > 0) & np.isfinite(rows["left"]) & np.isfinite(rows["right"])]
    rows = rows.sort_values(["step", "left", "right"], kind="stable")
    steps, starts = np.unique(rows["step"].to_numpy(np.int64), return_index=True)
    bins = np.split(rows[["left", "right", "count"]].to_numpy(np.float64), starts[1:])
    title = f"Activations of {wrapped(site, 60)} over time"
    columns, x_axis = record_axis(steps, steps, "step (training batches; one cell a histogram, of equal width)")
    layout: Spec = {
        "xaxis": x_axis,
        "yaxis": {"title": {"text": "activation (no unit)"}},
    }
    if not len(steps):
        return figure([], layout, title=title, nothing=_absent(names, site))
    edges, is_cut = edges_of(bins)
    shares = np.stack([rebinned(each, edges) / each[:, 2].sum() for each in bins], axis=1)
    notes = ["Share of the sampled entries in each cell; median, 5 % and 95 % quantiles as lines."]
    if is_cut:
        notes.append("Entries beyond the axis are counted in its outermost cells.")
    traces = [_density(shares, edges, columns), *_quantile_lines(bins, edges, columns)]
    return figure(traces, layout, title=title, notes=notes, height=440, legend_above=True)


def rebinned(bins: Floats, edges: Floats) -> Floats:
    """Return the entries of ``bins`` in each cell between ``edges``, all of them: mass is preserved.

    Within a bin, entries are taken to be spread evenly. What lies beyond the edges is counted in the outermost cells.

    Args:
        bins: Shape ``(bins, 3)``: left edge, right edge and count; ascending, not overlapping. A bin of width zero
            holds entries that are all equal.
        edges: Shape ``(cells + 1,)``, ascending.

    Returns:
        Shape ``(cells,)``, float64: entries, not whole numbers where a bin is shared between cells.

    Example:
        >>> rebinned(np.array([[0.0, 2.0, 4.0], [2.0, 2.0, 6.0]]), np.array([0.0, 1.0, 3.0])).tolist()
        [2.0, 8.0]
    """
    left, right, count = _columns(bins)
    # Entries that are all equal are taken to lie just above their value, and so fall into the cell that it begins.
    right = np.where(right > left, right, np.nextafter(left, math.inf))
    after = np.cumsum(count)
    places = np.maximum.accumulate(np.column_stack([left, right]).ravel())
    at = np.interp(edges, places, np.column_stack([after - count, after]).ravel())
    at[0], at[-1] = 0.0, count.sum()
    return np.diff(at)


def _columns(bins: Floats) -> tuple[Floats, Floats, Floats]:
    return bins[:, 0], bins[:, 1], bins[:, 2]


def _absent(names: list[str], site: str) -> str:
    if not names:
        return "No histogram was recorded."
    if site in names:
        return f"No histogram of {site} holds a finite entry."
    return f"There is no histogram of {site}. Sites that have some: {listed(names)}."


def edges_of(bins: list[Floats]) -> tuple[Floats, bool]:
    """Return the edges of the common grid and whether it leaves out the ends of some records."""
    lows, highs = (np.array([edge(each) for each in bins]) for edge in (_lowest, _highest))
    low, high = float(lows.min()), float(highs.max())
    widths = highs - lows
    median = float(np.median(widths))
    is_cut = median > 0 and high - low > _WIDEST * median
    if is_cut:
        centre = float(np.median((lows + highs) / 2))
        low, high = max(low, centre - _WIDEST / 2 * median), min(high, centre + _WIDEST / 2 * median)
    if not high > low:
        low, high = low - max(abs(low), 1.0) / 2, high + max(abs(high), 1.0) / 2
    return np.linspace(low, high, _CELLS + 1), is_cut


def _lowest(bins: Floats) -> float:
    return float(bins[:, 0].min())


def _highest(bins: Floats) -> float:
    return float(bins[:, 1].max())


def _density(shares: Floats, edges: Floats, columns: list[str]) -> Spec:
    """Return the shares as colours on a log scale, so that tails show beside a peak; no colour where there is none."""
    exponents = np.log10(np.where(shares > 0, np.maximum(shares, _SMALLEST_SHARE), math.nan))
    ticks = decade_ticks(math.log10(_SMALLEST_SHARE), 0.0)
    return {
        "type": "heatmap",
        "z": compact(exponents),
        "customdata": shares.astype(np.float32),
        "x": columns,
        "y0": float((edges[0] + edges[1]) / 2),
        "dy": float(edges[1] - edges[0]),
        "zmin": ticks[0],
        "zmax": 0.0,
        "colorscale": SEQUENTIAL,
        "colorbar": {
            "title": {"text": "share of the sampled entries (%, log scale)", "side": "right"},
            "tickmode": "array",
            "tickvals": ticks,
            "ticktext": [f"{100 * 10**tick:g}&#37;" for tick in ticks],
            "thickness": 14,
            "outlinewidth": 0,
        },
        "hoverongaps": False,
        "hovertemplate": "step %{x}<br>activation about %{y:.3~g}<br>%{customdata:.2%} of the entries<extra></extra>",
    }


def _quantile_lines(bins: list[Floats], edges: Floats, columns: list[str]) -> list[Spec]:
    quantiles = np.stack([_quantiles(each) for each in bins]).clip(edges[0], edges[-1])
    names = ("5 % quantile", "median", "95 % quantile")
    return [
        {
            "type": "scatter",
            "mode": "lines+markers" if len(columns) == 1 else "lines",
            "x": columns,
            "y": compact(quantiles[:, index]),
            "name": name.replace("%", "&#37;"),
            "line": {"color": "#D55E00", "width": 3 if index == 1 else 2, "dash": "solid" if index == 1 else dash},
            "hovertemplate": f"step %{{x}}<br>{name.replace('%', '&#37;')} %{{y:.3~g}}<extra></extra>",
        }
        for index, (name, dash) in enumerate(zip(names, ("dot", "solid", "dash"), strict=True))
    ]


def _quantiles(bins: Floats) -> Floats:
    """Return the values below which 5, 50 and 95 % of the entries lie, spread evenly within each bin."""
    left, right, count = _columns(bins)
    after = np.cumsum(count)
    shares = np.column_stack([after - count, after]).ravel() / after[-1]
    return np.interp(_QUANTILES, shares, np.column_stack([left, right]).ravel())
