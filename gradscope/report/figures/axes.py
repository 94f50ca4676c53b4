"""Axes that several figures share: layers from top to bottom, and recorded steps as equal cells."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gradscope.report.figures.labels import distinct, short
from gradscope.report.figures.style import Spec

_MOST_NAMES: Final = 45
_MOST_STEPS: Final = 12
_ROW: Final = 18  # pixels that a layer's name needs
_TALLEST: Final = 900


def place_axis(names: Sequence[str], title: str) -> tuple[list[str], Spec]:
    """Return the category of each name and the axis that shows them from top to bottom.

    A category is the whole name, which the hover shows; the axis shows it shortened, and of very many names every
    second or third.
    """
    labels = distinct(names)
    shown = range(0, len(names), -(-len(names) // _MOST_NAMES) or 1)
    return labels, {
        "type": "category",
        "categoryorder": "array",
        "categoryarray": labels,
        "range": [len(names) - 0.5, -0.5] if names else [0.5, -0.5],
        "tickmode": "array",
        # A little beside the category: right at it, the hover would show the shortened text too.
        "tickvals": [index + 0.01 for index in shown],
        "ticktext": [short(names[index]) for index in shown],
        "title": {"text": title},
        "showgrid": False,
    }


def height_for(count: int) -> int:
    """Return the height of a figure with so many layers one below the other, in pixels."""
    return min(150 + _ROW * max(count, 9), _TALLEST)


def record_axis(first: NDArray[np.int64], last: NDArray[np.int64], title: str) -> tuple[list[str], Spec]:
    """Return the category of each column of records and the axis that shows them as cells of equal width."""
    labels = [str(a) if a == b else f"{a}–{b}" for a, b in zip(first.tolist(), last.tolist(), strict=True)]
    shown = np.unique(np.linspace(0, len(labels) - 1, min(_MOST_STEPS, len(labels))).round().astype(int)).tolist()
    return labels, {
        "type": "category",
        "range": [-0.5, max(len(labels), 1) - 0.5],
        "tickmode": "array",
        "tickvals": [index + 0.01 for index in shown],
        "ticktext": [f"{first[index]:,}" for index in shown],
        "tickangle": 0,
        "title": {"text": title},
        "showgrid": False,
    }
