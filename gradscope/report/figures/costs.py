"""What recording cost: in all, beside the training's own time, and step by step."""

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from numpy.typing import NDArray

from gradscope.records import Costs
from gradscope.report.figures.grid import Floats, check_one_run, compact
from gradscope.report.figures.labels import STEP_TITLE, escaped, log_scale
from gradscope.report.figures.style import LINE_COLOURS, NEUTRAL, Spec, figure
from gradscope.report.values.decades import whole_decades
from gradscope.report.values.overhead import cost_parts
from gradscope.report.words.numbers import seconds, share


def overhead(steps: pd.DataFrame, costs: Costs) -> go.Figure:
    """Return what recording cost, at the left in all, at the right for each recorded step.

    Args:
        steps: The run's table.
        costs: What recording cost so far in the last session.

    Raises:
        ArgumentError: If the table holds several runs.

    Example:
        >>> from gradscope.testing import run, stack
        >>> figure = overhead(run(stack()).steps, Costs(training_seconds=10.0, setup_seconds=1.0))
        >>> figure.data[0].text[:2]
        ('10 s', '1 s (10&#37;)')
    """
    check_one_run(steps)
    parts = {"training": costs.training_seconds, **{part.title: spent for part, spent in cost_parts(costs)}}
    at = steps["step"].to_numpy(np.int64)
    own, recording = (_positive(steps, name) for name in ("step_seconds", "recording_seconds"))
    taken = np.concatenate([own, recording])
    traces = [
        _bars(parts),
        _points(at, own, "the training's own step", NEUTRAL, "circle"),
        _points(at, recording, "recording it", LINE_COLOURS[5], "diamond-open"),
    ]
    layout: Spec = {
        "xaxis": {"title": {"text": "time (s)"}, "domain": [0, 0.4], "rangemode": "tozero"},
        "yaxis": {"title": {"text": "spent on"}, "autorange": "reversed", "type": "category", "showgrid": False},
        "xaxis2": {"title": {"text": STEP_TITLE}, "domain": [0.56, 1], "anchor": "y2", "tickformat": ",d"},
        "yaxis2": {"title": {"text": "time a step (s, log scale)"}, "anchor": "x2", **log_scale(*whole_decades(taken))},
    }
    is_unknown = not len(steps) and not any(parts.values())
    return figure(
        [] if is_unknown else traces,
        layout,
        title="What recording cost",
        nothing="Nothing was recorded." if is_unknown else "",
        height=360,
        legend_above=True,
    )


def _positive(steps: pd.DataFrame, name: str) -> Floats:
    values = steps[name].to_numpy(np.float64, na_value=np.nan)
    return np.where(np.isfinite(values) & (values > 0), values, np.nan)


def _bars(parts: dict[str, float]) -> Spec:
    training = parts["training"]
    return {
        "type": "bar",
        "orientation": "h",
        "x": np.array(list(parts.values()), np.float64),
        "y": list(parts),
        "text": [_text(name, value, training) for name, value in parts.items()],
        "textposition": "outside",
        "cliponaxis": False,
        "marker": {
            "color": [NEUTRAL, *[LINE_COLOURS[5]] * (len(parts) - 1)],
            "pattern": {"shape": ["", *["/"] * (len(parts) - 1)]},
        },
        "showlegend": False,
        "hovertemplate": "%{y}<br>%{text} of the training's own time<extra></extra>",
    }


def _text(name: str, value: float, training: float) -> str:
    if name == "training" or not training > 0:
        return seconds(value)
    return escaped(f"{seconds(value)} ({share(value / training)})")


def _points(steps: NDArray[np.int64], values: Floats, name: str, colour: str, symbol: str) -> Spec:
    return {
        "type": "scatter",
        "mode": "markers",
        "x": steps,
        "y": compact(values),
        "xaxis": "x2",
        "yaxis": "y2",
        "name": name,
        "marker": {"color": colour, "symbol": symbol, "size": 6},
        "hovertemplate": f"{name} %{{y:.2e}} s<br>step %{{x:,}}<extra></extra>",
    }
