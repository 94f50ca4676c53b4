"""The one kind of figure that most claims need: a number over a setting, a line a group, with its spread over seeds.

Colours of text and grid are left to the page's style sheet, which knows whether it is shown light, dark or printed.
"""

import math
from typing import Final, Literal

import pandas as pd
import plotly.graph_objects as go

COLOURS: Final = (
    "#3b82c4",
    "#d9822b",
    "#2f9e6e",
    "#b05ab0",
    "#8a8f98",
    "#b8860b",
)  # told apart on white and on black, and by most eyes
DASHES: Final = ("solid", "dash", "dot", "dashdot")
LIMIT_COLOUR: Final = "#c2413b"


def lines(
    frame: pd.DataFrame,
    *,
    x: str,
    y: str,
    by: str,
    x_title: str,
    y_title: str,
    x_scale: Literal["linear", "log", "category"] = "category",
    y_scale: Literal["linear", "log"] = "linear",
) -> go.Figure:
    """Return a figure with one line for each value of ``by``: medians over seeds, with bars from least to largest."""
    figure = go.Figure()
    for index, (name, group) in enumerate(frame.groupby(by, sort=False)):
        over_seeds = group.groupby(x)[y].agg(["median", "min", "max"])
        figure.add_scatter(
            x=list(over_seeds.index.astype(str) if x_scale == "category" else over_seeds.index),
            y=over_seeds["median"].tolist(),
            error_y={
                "array": (over_seeds["max"] - over_seeds["median"]).tolist(),
                "arrayminus": (over_seeds["median"] - over_seeds["min"]).tolist(),
                "thickness": 1.2,
            },
            name=str(name),
            mode="lines+markers",
            line={"color": COLOURS[index % len(COLOURS)], "dash": DASHES[index % len(DASHES)]},
        )
    figure.update_xaxes(title=x_title, type=x_scale)
    figure.update_yaxes(title=y_title, type=y_scale)
    for axis, values in ((figure.layout.xaxis, frame[x]), (figure.layout.yaxis, frame[y])):
        if axis.type == "log":
            axis.dtick = _log_distance(values)
    return styled(figure)


def _log_distance(values: pd.Series) -> int | str:
    """Return the distance of labels on a logarithmic axis: some six of them, or 1, 2, 5 where it is short."""
    decades = math.log10(values.max() / values.min())
    return "D2" if decades < 2 else math.ceil(decades / 6)


def styled(figure: go.Figure) -> go.Figure:
    """Return the figure without background, with its legend above and room for a phone's width."""
    figure.update_layout(
        template="none",
        height=380,
        margin={"l": 70, "r": 40, "t": 50, "b": 55},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        showlegend=True,
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
        font={"family": "system-ui, sans-serif", "size": 12},
    )
    figure.update_xaxes(gridcolor="rgba(128,128,128,0.25)", zeroline=False, fixedrange=True)
    figure.update_yaxes(gridcolor="rgba(128,128,128,0.25)", zeroline=False, exponentformat="power", fixedrange=True)
    return figure


def with_limit(figure: go.Figure, value: float, text: str) -> go.Figure:
    """Return the figure with a horizontal line at ``value``, such as a criterion or chance."""
    label = {"text": text, "textposition": "end", "yanchor": "bottom"}
    figure.add_shape(
        type="line",
        xref="paper",
        x0=0,
        x1=1,
        y0=value,
        y1=value,
        label=label,
        line={"color": LIMIT_COLOUR, "dash": "dot"},
    )
    return figure
