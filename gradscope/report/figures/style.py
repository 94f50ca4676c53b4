"""What figures look like: colours, text, backgrounds, and the notes that stand where there is nothing to draw.

Colours never stand alone: what they tell apart, dashes, symbols or places tell apart too. Sequences are Viridis,
which is even in lightness and holds no grey, so that grey can mean missing; single lines are of Okabe and Ito's
palette. Backgrounds are clear and text is a grey that reads on white and on black, all of it in the template, so that a
page can put its own in place.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence
from typing import Any, Final, Literal, TypeAlias

import plotly.colors
import plotly.graph_objects as go

from gradscope.diagnose.finding import Severity
from gradscope.report.figures.labels import wrapped

Spec: TypeAlias = dict[str, Any]
"""A part of a figure in plotly's own JSON-like form; plotly has no types to say it by."""

SEQUENTIAL: Final = "Viridis"
LINE_COLOURS: Final = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00")
DASHES: Final = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")
SYMBOLS: Final = ("circle", "square", "diamond", "triangle-up", "cross", "pentagon")

SEVERITY_COLOURS: Final[dict[Severity, str]] = {"low": "#56B4E9", "medium": "#E69F00", "high": "#D55E00"}
SEVERITY_DASHES: Final[dict[Severity, str]] = {"low": "dot", "medium": "dash", "high": "solid"}
SEVERITY_SYMBOLS: Final[dict[Severity, str]] = {"low": "circle", "medium": "diamond", "high": "triangle-up"}

MISSING: Final = "rgba(127,127,127,0.35)"
NEUTRAL: Final = "#7f7f7f"
ZERO: Final = "#CC79A7"
NOT_FINITE: Final = "#D55E00"

LEGEND_LINE: Final = 20
"""Pixels that a line of a legend takes at most."""

_CLEAR: Final = "rgba(0,0,0,0)"
_GRID: Final = "rgba(127,127,127,0.25)"
_TEXT: Final = {"neutral": "#7a7a7a", "light": "#1f2328", "dark": "#e6edf3"}
_NOTE_CHARACTERS: Final = 120
_LINE: Final = 15  # pixels from one line of a note to the next


def figure(
    traces: Sequence[Spec],
    layout: Spec,
    *,
    title: str,
    notes: Iterable[str] = (),
    nothing: str = "",
    height: int = 420,
    legend_above: bool = False,
) -> go.Figure:
    """Return the figure of these traces.

    Args:
        traces: What is drawn.
        layout: Axes, shapes and whatever else is particular to it.
        title: What it shows; shown as it is, so names in it are escaped before.
        notes: Sentences below the title; they are escaped here.
        nothing: Why there is nothing to see, shown where it would be; ``""`` where there is.
        height: In pixels, without the notes.
        legend_above: Whether the legend lies in one line above the plot, not at its right.
    """
    lines = [line for note in notes for line in textwrap.wrap(note, _NOTE_CHARACTERS)]
    top = 44 + (_LINE * len(lines) + 10 if lines else 0) + (_LINE if lines and legend_above else 0)
    above = {"orientation": "h", "x": 1, "xanchor": "right", "y": 1, "yanchor": "bottom"}
    height += top - 44
    head: Spec = {"text": title, "x": 0, "xref": "paper", "xanchor": "left", "y": 1 - 20 / height, "yanchor": "middle"}
    if lines:
        head["subtitle"] = {"text": "<br>".join(wrapped(line, _NOTE_CHARACTERS) for line in lines)}
    return go.Figure(
        data=list(traces),
        layout={
            "template": _template(_TEXT["neutral"]),
            "title": head,
            "height": height,
            "margin": {"l": 70, "r": 30, "t": top, "b": 55},
            **({"legend": above} if legend_above else {}),
            **{
                name: {**part, "showticklabels": bool(traces)} if "axis" in name else part
                for name, part in layout.items()
            },
            "annotations": [*layout.get("annotations", ()), *([_centred(nothing)] if nothing else ())],
        },
    )


def themed(figure: go.Figure, theme: Literal["light", "dark"]) -> go.Figure:
    """Return a copy of ``figure`` with text for a light or a dark page; its backgrounds stay clear.

    Example:
        >>> themed(go.Figure(), "dark").layout.template.layout.font.color
        '#e6edf3'
    """
    copy: Any = go.Figure(figure)  # Any: plotly's methods have no types
    copy.update_layout(template=_template(_TEXT[theme]))
    return copy


def ordered_colours(count: int) -> list[str]:
    """Return colours that tell the order of ``count`` lines, from dark to light, all readable on white and on black.

    Example:
        >>> len(ordered_colours(3)), ordered_colours(0)
        (3, [])
    """
    places = [0.25 + 0.6 * index / max(count - 1, 1) for index in range(count)]
    colours: Any = plotly.colors  # Any: plotly's functions have no types
    return list(map(str, colours.sample_colorscale(SEQUENTIAL, places))) if places else []


def line_styles(count: int) -> list[tuple[str, str]]:
    """Return colour and dash of each of ``count`` lines: unlike colours for a few, ordered ones for many."""
    colours = LINE_COLOURS if count <= len(LINE_COLOURS) else ordered_colours(count)
    return [(colours[index], DASHES[index % len(DASHES)]) for index in range(count)]


def run_styles(count: int) -> list[tuple[str, str]]:
    """Return colour and dash of each of ``count`` lines that have no order; up to 36 of them, no two are alike.

    Example:
        >>> styles = run_styles(36)
        >>> len(set(styles)), styles[0]
        (36, ('#0072B2', 'solid'))
    """
    each = len(LINE_COLOURS)
    return [(LINE_COLOURS[at % each], DASHES[(at + at // each) % len(DASHES)]) for at in range(count)]


def _centred(note: str) -> Spec:
    return {
        "text": wrapped(note),
        "xref": "paper",
        "yref": "paper",
        "x": 0.5,
        "y": 0.5,
        "showarrow": False,
        "font": {"size": 14},
    }


def _template(text: str) -> Spec:
    axis = {
        "gridcolor": _GRID, "linecolor": NEUTRAL, "zerolinecolor": _GRID, "zeroline": False, "ticks": "outside",
        "tickcolor": _GRID, "automargin": True, "title": {"standoff": 10},
    }  # fmt: skip
    return {
        "layout": {
            "font": {"color": text, "size": 12, "family": "system-ui, sans-serif"},
            "title": {"font": {"size": 16}, "subtitle": {"font": {"size": 12}}},
            "paper_bgcolor": _CLEAR,
            "plot_bgcolor": _CLEAR,
            "xaxis": axis,
            "yaxis": axis,
            "legend": {"bgcolor": _CLEAR},
            "hoverlabel": {"align": "left", "namelength": -1},
            "hovermode": "closest",
        }
    }
