"""Findings on their way into a page: in their order, with anchors, explanations and figures."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from gradscope.diagnose.discover import known_rules
from gradscope.diagnose.docstring import paragraphs
from gradscope.diagnose.finding import Finding, at_least
from gradscope.report.page.figure_store import FigureStore, PageFigure, Panel
from gradscope.report.page.finding_figures import figure_of, place_of
from gradscope.report.values.findings import FLOOR, grouped
from gradscope.report.words.findings import following, number_of, steps
from gradscope.report.words.names import printable

if TYPE_CHECKING:
    from gradscope.store.read import Frames

_MOST_CONSEQUENCES: Final = 12


@dataclass(frozen=True, slots=True)
class ShownFinding:
    """A finding on its way into the page.

    Attributes:
        finding: What was found.
        id: Its anchor.
        explanation: What its rule looks for and why that harms, a paragraph each; empty for an unknown rule.
        figure: What shows it; None where nothing does, or where the page would grow too large.
        panel: Anchor of the panel that shows it beside everything else; ``""`` for none.
        panel_title: What stands above that panel.
        choice: Key of the figure to choose there.
        consequences: What follows from it.
        following: The same in a sentence; empty where nothing does.
        further: A sentence about those that are not shown; ``""`` where all are.
    """

    finding: Finding
    id: str
    explanation: tuple[str, ...]
    figure: PageFigure | None
    panel: str
    panel_title: str
    choice: str
    consequences: tuple[ShownFinding, ...] = ()
    following: tuple[str, ...] = ()
    further: str = ""

    @property
    def is_severe(self) -> bool:
        """Whether it, or what follows from it, is of medium or high severity."""
        return bool(at_least([self.finding, *(other.finding for other in self.consequences)], FLOOR))


@dataclass(frozen=True, slots=True)
class Mark:
    """A link from a layer to what was found of it."""

    level: str
    id: str
    text: str


def shown_findings(
    findings: Sequence[Finding], frames: Frames, store: FigureStore, shown: Sequence[Panel]
) -> Iterator[ShownFinding]:
    """Yield each finding that stands for itself, with what follows from it.

    Args:
        findings: Causes first, as `diagnose` returns them.
        frames: The run that they are of.
        store: What the page holds; the findings' own figures are put there while there is room.
        shown: The panels that a finding may refer to.
    """
    titles = {panel.id: panel.title for panel in shown}
    choices = {(panel.id, figure.key) for panel in shown for figure in panel.figures}
    number = 0

    def shown_finding(finding: Finding) -> ShownFinding:
        nonlocal number
        number += 1
        figure, place = figure_of(finding, frames), place_of(finding)
        panel, choice = place if place in choices else ("", "")
        return ShownFinding(
            finding=finding,
            id=f"finding-{number}",
            explanation=tuple(_explanation(finding.rule)),
            figure=figure if figure and store.holds(figure) else None,
            panel=panel,
            panel_title=titles.get(panel, ""),
            choice=choice,
        )

    for cause, consequences in grouped(findings):
        first = shown_finding(cause)
        rest = consequences[_MOST_CONSEQUENCES:]
        yield dataclasses.replace(
            first,
            consequences=tuple(shown_finding(finding) for finding in consequences[:_MOST_CONSEQUENCES]),
            following=tuple(following(consequences)),
            further=f"{number_of(len(rest))} more. {following(rest)[0]}." if rest else "",
        )


def _explanation(name: str) -> Iterator[str]:
    """Yield what the docstring of a rule says of it, up to what to try: that is said of the model at hand."""
    for heading, text in paragraphs(known_rules()[name]) if name in known_rules() else ():
        if heading:
            return
        yield " ".join(text.replace("``", "").split())


def marks_by_layer(groups: Iterable[ShownFinding]) -> Mapping[str, list[Mark]]:
    """Return by layer which findings name it first, the severest first."""
    marks: dict[str, list[Mark]] = {}
    for group in groups:
        for shown in (group, *group.consequences):
            finding = shown.finding
            if finding.layer is not None:
                text = f"{finding.severity}: {printable(finding.rule)}, {steps(finding)}"
                marks.setdefault(finding.layer, []).append(Mark(finding.severity, shown.id, text))
    return marks
