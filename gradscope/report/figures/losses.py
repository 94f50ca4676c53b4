"""The loss over the training: of one run with its findings and recorded steps, or of several beside one another."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from numpy.typing import NDArray

from gradscope.diagnose.finding import Finding
from gradscope.errors import ArgumentError
from gradscope.report.figures.grid import Floats, check_one_run, compact
from gradscope.report.figures.labels import STEP_TITLE, distinct, escaped, listed, log_scale, short
from gradscope.report.figures.strip import finding_rows, step_row, strip_of
from gradscope.report.figures.style import LEGEND_LINE, LINE_COLOURS, NEUTRAL, Spec, figure, run_styles
from gradscope.report.values.decades import whole_decades

_LOG_FROM: Final = 100.0
"""From how many times the smallest loss on the largest one needs a log scale, to leave something to see of the rest."""
_MOST_POINTS: Final = 4_000
_MOST_POINTS_OF_SEVERAL: Final = 500  # a run: a dozen lines of more would hide one another


def loss_curve(steps: pd.DataFrame, epochs: pd.DataFrame, findings: Iterable[Finding] = ()) -> go.Figure:
    """Return the loss of recorded batches and of epochs, beside that of the best constant answer.

    The axis is logarithmic where all losses are positive and span a factor of a hundred. Above the curves stand the
    findings and the recorded steps; a loss that is not finite is marked there too. The learning rate has an axis of its
    own where it changes.

    Args:
        steps: The run's table.
        epochs: The run's table.
        findings: What to mark.

    Raises:
        ArgumentError: If a table holds several runs.

    Example:
        >>> from gradscope.testing import run, stack
        >>> frames = run(stack())
        >>> [trace.name for trace in loss_curve(frames.steps, frames.epochs).data]
        ['batch loss', 'epoch loss', 'best constant answer', 'recorded steps']
    """
    check_one_run(steps)
    check_one_run(epochs)
    findings = list(findings)
    at, ends = (_numbers(table, "step") for table in (steps, epochs))
    batch, baseline, rate = (_numbers(steps, name) for name in ("loss", "baseline_loss", "learning_rate"))
    curves = [
        ("batch loss", at, batch, {"color": LINE_COLOURS[4], "width": 1.2}, "circle", 3),
        ("epoch loss", ends, _numbers(epochs, "loss"), {"color": LINE_COLOURS[0], "width": 2.5}, "square", 6),
        (
            "validation loss",
            ends,
            _numbers(epochs, "val_loss"),
            {"color": LINE_COLOURS[1], "width": 2.5, "dash": "dash"},
            "diamond",
            7,
        ),
        ("best constant answer", at, baseline, {"color": NEUTRAL, "width": 1.5, "dash": "dot"}, "", 0),
    ]
    shown = [curve for curve in curves if np.isfinite(curve[2]).any()]
    y_axis = _loss_axis([values for _, _, values, *_ in shown])
    rows = finding_rows(findings)
    bad = at[~np.isfinite(batch)].astype(np.int64)
    if bad.size:
        texts = [f"batch loss NaN or infinite<br>step {step:,}" for step in bad.tolist()]
        rows.append(step_row("loss NaN or infinite", bad, texts, is_bad=True))
    if at.size:
        rows.append(step_row("recorded steps", at[_even(at.size)].astype(np.int64), [], is_bad=False))
    strip = strip_of(rows, findings, y_axis)
    traces = [_curve(*curve) for curve in shown]
    layout = strip.layout
    if np.unique(rate[np.isfinite(rate)]).size > 1:
        traces.append(_learning_rate(at, rate))
        layout = {**layout, "yaxis3": _rate_axis(rate, layout["yaxis"])}
    nothing = "" if shown else "No finite loss was recorded." if at.size else "Nothing was recorded."
    return figure(
        [*traces, *strip.traces],
        {**layout, "legend": {"orientation": "h", "y": -0.16, "yanchor": "top", "x": 0}},
        title="Loss",
        nothing=nothing,
        height=strip.height + 40,
    )


def loss_comparison(tables: Mapping[str, pd.DataFrame], loss: str = "loss") -> go.Figure:
    """Return one loss of several runs over the training, one line a run; the first is drawn thickest.

    The axis is logarithmic as in `loss_curve`. Of very many records a line shows the extremes of neighbouring ones. A
    line ends where its loss stops being finite, and the note says at which step.

    Args:
        tables: By name of the run, its `steps` for the losses of recorded batches, or its `epochs`.
        loss: The column to show, such as ``"val_loss"``; any log of the epochs can be shown.

    Raises:
        ArgumentError: If there is no run, or one of the tables holds several.

    Example:
        >>> from gradscope.testing import run, stack
        >>> runs = {"calm": run(stack()), "wild": run(stack())}
        >>> [trace.name for trace in loss_comparison({name: frames.steps for name, frames in runs.items()}).data]
        ['calm', 'wild']
    """
    if not tables:
        raise ArgumentError("tables holds no run. Pass at least one, by its name: {'baseline': run.steps}.")
    for table in tables.values():
        check_one_run(table)
    title = _loss_title(tables.values(), loss)
    runs = [(_numbers(table, "step"), _numbers(table, loss)) for table in tables.values()]
    styles = run_styles(len(tables))
    traces: list[Spec] = []
    for index, ((steps, values), label) in enumerate(zip(runs, distinct(tables), strict=True)):
        colour, dash = styles[index]
        line = {"color": colour, "dash": dash, "width": 1.8 if index else 3}
        trace = _curve(label, steps, values, line, "circle", 4, _MOST_POINTS_OF_SEVERAL)
        traces.append({**trace, "name": short(list(tables)[index]), "showlegend": True})
    broken = {name: bad for name, run in zip(tables, runs, strict=True) if (bad := _first_not_finite(*run)) is not None}
    known = any(np.isfinite(values).any() for _, values in runs)
    return figure(
        traces if known else [],
        {
            "xaxis": {"title": {"text": STEP_TITLE}, "tickformat": ",d"},
            "yaxis": _loss_axis([values for _, values in runs], title),
            "legend": {"title": {"text": "run"}},
        },
        title=f"{title[:1].upper()}{title[1:]} of {len(tables):,} runs",
        notes=[f"Not finite from step {step:,} on: {listed([name])}." for name, step in broken.items()],
        nothing="" if known else "No finite value was recorded.",
        height=max(420, 130 + LEGEND_LINE * len(tables)),
    )


def _loss_title(tables: Iterable[pd.DataFrame], loss: str) -> str:
    """Return what ``loss`` is called: batches and epochs both have a column of that name."""
    if loss == "loss":
        return "batch loss" if any("baseline_loss" in table.columns for table in tables) else "epoch loss"
    return "validation loss" if loss == "val_loss" else escaped(loss.replace("_", " "))


def _first_not_finite(steps: Floats, values: Floats) -> int | None:
    """Return the step from which on no value is finite again; None where the last one is, or none was."""
    known = np.flatnonzero(np.isfinite(values))
    if not known.size or known[-1] == len(values) - 1:
        return None
    return int(steps[known[-1] + 1])


def _numbers(table: pd.DataFrame, name: str) -> Floats:
    """Return a column as numbers; NaN throughout where the table lacks it."""
    if name not in table.columns:
        return np.full(len(table), np.nan)
    return table[name].to_numpy(np.float64, na_value=np.nan)


def _even(count: int) -> NDArray[np.intp]:
    """Return the places of at most so many of ``count`` values as a page can show, first and last among them."""
    return np.unique(np.linspace(0, count - 1, min(count, _MOST_POINTS)).round().astype(np.intp))


def _curve(
    name: str,
    steps: Floats,
    values: Floats,
    line: dict[str, Any],
    symbol: str,
    size: int,
    most_points: int = _MOST_POINTS,
) -> Spec:
    kept = np.arange(len(values)) if len(values) <= most_points else _extremes(values, most_points)
    shown = np.where(np.isfinite(values), values, np.nan)
    return {
        "type": "scatter",
        "mode": "lines+markers" if symbol and len(kept) <= 200 else "lines",
        "x": steps[kept].astype(np.int64),
        "y": compact(shown[kept]),
        "name": name,
        "line": line,
        "marker": {"symbol": symbol or "circle", "size": size},
        "hovertemplate": f"{name} %{{y:.4~g}}<br>step %{{x:,}}<extra></extra>",
    }


def _extremes(values: Floats, most: int) -> NDArray[np.intp]:
    """Return the places of the lowest and of the highest of each stretch of very many values, ``most`` at most.

    Of a stretch without any finite value one place is kept: the line has a gap there.
    """
    size = -(-len(values) * 2 // most)
    starts = range(0, len(values), size)
    parts = [np.where(np.isfinite(part), part, np.nan) for part in (values[start : start + size] for start in starts)]
    places = {
        start + int(pick(part))
        for start, part in zip(starts, parts, strict=True)
        for pick in ((np.nanargmin, np.nanargmax) if np.isfinite(part).any() else (np.argmin,))
    }
    return np.array(sorted(places), np.intp)


def _loss_axis(curves: list[Floats], name: str = "loss") -> Spec:
    values = np.concatenate([np.zeros(0), *curves])
    values = values[np.isfinite(values)]
    if values.size and values.min() > 0 and values.max() > _LOG_FROM * values.min():
        return {"title": {"text": f"{name} (no unit, log scale)"}, **log_scale(*whole_decades(values))}
    return {"title": {"text": f"{name} (no unit)"}}


def _learning_rate(steps: Floats, rate: Floats) -> Spec:
    return {
        "type": "scatter",
        "mode": "lines",
        "x": steps.astype(np.int64),
        "y": compact(np.where(rate > 0, rate, np.nan)),
        "yaxis": "y3",
        "name": "learning rate (right axis)",
        "line": {"color": LINE_COLOURS[2], "width": 1.5, "dash": "dashdot"},
        "hovertemplate": "learning rate %{y:.2e}<br>step %{x:,}<extra></extra>",
    }


def _rate_axis(rate: Floats, loss_axis: Spec) -> Spec:
    return {
        "title": {"text": "learning rate (no unit, log scale)"},
        **log_scale(*whole_decades(rate)),
        "overlaying": "y",
        "side": "right",
        "showgrid": False,
        "domain": loss_axis.get("domain", [0, 1]),
    }
