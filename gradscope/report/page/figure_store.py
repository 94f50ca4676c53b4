"""The figures that a page holds: what a figure and a place for figures are, and how much room there is for them.

A figure is named by a key, so that a finding and the section of figures show the same one without holding it twice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any, Final

from gradscope.report.page.embedded import EmbeddedFigure, embedded

FIGURE_BUDGET: Final = 2_500_000
"""Characters that all figures of a page may take together; with plotly.js, words and table it stays below 6 MB."""


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
        left_out: Titles of those that it might show and does not, for want of room.
    """

    id: str
    title: str
    label: str
    figures: tuple[PageFigure, ...]
    left_out: tuple[str, ...] = ()


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

    def panel(self, panel: Panel) -> Panel | None:
        """Return ``panel`` with the figures that there is room for; None where there is room for none."""
        kept = tuple(figure for figure in panel.figures if self.holds(figure))
        left_out = (*panel.left_out, *(figure.title for figure in panel.figures if figure not in kept))
        return replace(panel, figures=kept, left_out=left_out) if kept else None


def shown_panels(store: FigureStore, found: Iterable[Panel]) -> list[Panel]:
    """Return the panels of which ``store`` has room for a figure, with those figures."""
    return [shown for panel in found if (shown := store.panel(panel)) is not None]
