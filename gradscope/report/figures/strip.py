"""The strip above curves: findings, and whatever else happened at certain steps, one kind a row.

A row says when and never covers the curves; a thin line through them marks where a finding begins.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gradscope.diagnose.finding import Finding, rank
from gradscope.report.figures.labels import STEP_TITLE, escaped, listed, short, wrapped
from gradscope.report.figures.style import (
    NEUTRAL,
    NOT_FINITE,
    SEVERITY_COLOURS,
    SEVERITY_DASHES,
    SEVERITY_SYMBOLS,
    Spec,
)

_ROW: Final = 20  # pixels
_CURVES: Final = 340
_GAP: Final = 12


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the strip: its name on the axis, and traces that lack their height only."""

    name: str
    traces: Sequence[Spec]


@dataclass(frozen=True, slots=True)
class Strip:
    """The strip as parts of a figure: its traces, its axes and lines, and the height of the whole in pixels."""

    traces: Sequence[Spec]
    layout: Spec
    height: int


def strip_of(rows: Sequence[Row], findings: Iterable[Finding], y_axis: Spec) -> Strip:
    """Return the strip of ``rows`` above curves that have ``y_axis``; without rows there are only the curves."""
    around = 100
    inner = _CURVES + (len(rows) * _ROW + _GAP if rows else 0)
    x_axis: Spec = {"title": {"text": STEP_TITLE}, "tickformat": ",d", "anchor": "y"}
    if not rows:
        return Strip([], {"xaxis": x_axis, "yaxis": y_axis}, inner + around)
    split = _CURVES / inner
    strip_axis: Spec = {
        "domain": [(_CURVES + _GAP) / inner, 1],
        "range": [len(rows) - 0.5, -0.5],
        "tickmode": "array",
        "tickvals": list(range(len(rows))),
        "ticktext": [short(row.name) for row in rows],
        "showgrid": False,
        "fixedrange": True,
    }
    traces = [
        {**trace, "y": np.full(len(trace["x"]), index, np.int16), "yaxis": "y2"}
        for index, row in enumerate(rows)
        for trace in row.traces
    ]
    layout = {
        "xaxis": x_axis,
        "yaxis": {**y_axis, "domain": [0, split]},
        "yaxis2": strip_axis,
        "shapes": _onsets(findings),
    }
    return Strip(traces, layout, inner + around)


def finding_rows(findings: Iterable[Finding]) -> list[Row]:
    """Return one row a rule, the severest first: a line from first to last step, the finding's words in the hover.

    Findings of one rule, severity and span are one line, which names all their layers.
    """
    alike: dict[tuple[str, int], dict[tuple[int, int], list[Finding]]] = {}
    for finding in findings:
        kind = finding.rule, rank(finding.severity)
        alike.setdefault(kind, {}).setdefault((finding.first_step, finding.last_step), []).append(finding)
    by_rule: dict[str, list[Spec]] = {}
    for rule, severity in sorted(alike, key=lambda kind: -kind[1]):
        by_rule.setdefault(rule, []).append(_finding_trace(list(alike[rule, severity].values())))
    return [Row(rule, traces) for rule, traces in by_rule.items()]


def step_row(name: str, steps: NDArray[np.int64], texts: Sequence[str], *, is_bad: bool) -> Row:
    """Return a row with a tick at each of ``steps``, or a cross where it is bad; ``texts`` are escaped already."""
    trace: Spec = {
        "type": "scatter",
        "mode": "markers",
        "x": steps,
        "name": escaped(name),
        "showlegend": False,
        "marker": {"symbol": "x", "size": 8, "color": NOT_FINITE}
        if is_bad
        else {"symbol": "line-ns", "size": 9, "line": {"width": 1, "color": NEUTRAL}},
        "hovertext": list(texts),
        "hovertemplate": "%{hovertext}<extra></extra>" if len(texts) else f"{escaped(name)} %{{x:,}}<extra></extra>",
    }
    return Row(name, [trace])


def _finding_trace(groups: Sequence[Sequence[Finding]]) -> Spec:
    """Return the lines of one rule and severity, each of findings with one span."""
    model = groups[0][0]
    colour = SEVERITY_COLOURS[model.severity]
    spans = [(group[0].first_step, group[0].last_step) for group in groups]
    texts = [_finding_text(group) for group in groups]
    return {
        "type": "scatter",
        "mode": "lines+markers",
        "x": np.array([x for first, last in spans for x in (first, last, np.nan)], np.float64),
        "name": f"{short(model.rule)} ({model.severity})",
        "line": {"color": colour, "width": 4, "dash": SEVERITY_DASHES[model.severity]},
        "marker": {"symbol": SEVERITY_SYMBOLS[model.severity], "size": 10, "color": colour},
        "hovertext": [text for text in texts for _ in range(3)],
        "hovertemplate": "%{hovertext}<extra></extra>",
    }


def _finding_text(group: Sequence[Finding]) -> str:
    finding = group[0]
    layers = list(dict.fromkeys("the whole model" if each.layer is None else each.layer for each in group))
    lines = [
        f"<b>{wrapped(finding.rule)}</b> ({finding.severity})",
        wrapped(listed(layers)),
        f"steps {finding.first_step:,}–{finding.last_step:,}",
        wrapped(finding.message),
    ]
    return "<br>".join(lines)


def _onsets(findings: Iterable[Finding]) -> list[Spec]:
    """Return a line through the curves at each step where findings begin, of the severest of them."""
    severest: dict[int, Finding] = {}
    for finding in findings:
        known = severest.setdefault(finding.first_step, finding)
        if rank(finding.severity) > rank(known.severity):
            severest[finding.first_step] = finding
    return [
        {
            "type": "line",
            "x0": step,
            "x1": step,
            "yref": "y domain",
            "y0": 0,
            "y1": 1,
            "layer": "below",
            "line": {
                "color": SEVERITY_COLOURS[finding.severity],
                "width": 1,
                "dash": SEVERITY_DASHES[finding.severity],
            },
        }
        for step, finding in sorted(severest.items())
    ]
