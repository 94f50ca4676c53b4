"""Findings that are not the same, on their way into a page: gained ones with what to try, lost ones in a line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gradscope.diagnose.finding import Finding, Severity
from gradscope.report.page.comparison_figures import PLACES, Pictures, place_in
from gradscope.report.page.finding_figures import place_of
from gradscope.report.page.panels import LAYERS
from gradscope.report.values.comparison import KINDS, Comparison, FindingChange, Kind
from gradscope.report.words.comparison import KIND_WORDS, by_finding, lacking_layer, which_runs
from gradscope.report.words.findings import followed
from gradscope.report.words.names import printable


@dataclass(frozen=True, slots=True)
class Link:
    """A way from a finding to the figure that shows it.

    Attributes:
        anchor: Of the figure.
        title: What the figure shows.
        statistic: The statistic to choose of two heatmaps side by side; ``""`` for none.
        run: Which of the runs to show at the right of them.
    """

    anchor: str
    title: str
    statistic: str = ""
    run: int = 0


@dataclass(frozen=True, slots=True)
class Article:
    """One finding that differs.

    Attributes:
        id: Its anchor.
        finding: As the first of the runs has it; for a lost one, as the reference has it.
        was: Its severity in the reference, where it is another.
        who: Which runs it is about; ``""`` where only two are compared.
        runs: Names of all of them.
        told_of: The run that message, steps and evidence are of.
        note: That one side has no such layer; ``""`` as a rule.
        cause: What it follows from, in a sentence; ``""`` where it stands for itself.
        link: The figure that shows it; None where there is none.
    """

    id: str
    finding: Finding
    was: Severity | None
    who: str
    runs: tuple[str, ...]
    told_of: str
    note: str
    cause: str
    link: Link | None


@dataclass(frozen=True, slots=True)
class Group:
    """What became of findings, and those to which it happened; ``is_news`` where they are to be acted upon."""

    kind: Kind
    title: str
    articles: tuple[Article, ...]

    @property
    def is_news(self) -> bool:
        """Whether the reference has them not, or milder."""
        return self.kind in ("gained", "worse")


def finding_groups(comparison: Comparison, shown: Pictures) -> list[Group]:
    """Return the findings that are not the same: gained ones first, the severest first within each kind."""
    groups: list[Group] = []
    number = 0
    for kind in KINDS:
        articles: list[Article] = []
        for changes in by_finding(change for change in comparison.finding_changes if change.kind == kind):
            number += 1
            articles.append(_article(f"finding-{number}", changes, comparison, shown))
        if articles:
            groups.append(Group(kind, KIND_WORDS[kind].capitalize(), tuple(articles)))
    return groups


def wanted_statistics(comparison: Comparison) -> set[str]:
    """Return the keys of the statistics that show what was gained."""
    places = [place_of(change.finding) for change in comparison.gained()]
    return {choice for panel, choice in places if panel == LAYERS}


def _article(anchor: str, changes: Sequence[FindingChange], comparison: Comparison, shown: Pictures) -> Article:
    first = changes[0]
    finding, runs = first.finding, tuple(change.run for change in changes)
    cause = followed(finding)
    return Article(
        id=anchor,
        finding=finding,
        was=first.before.severity if first.before else None,
        who=which_runs(runs, len(comparison.others)) if len(comparison.others) > 1 else "",
        runs=tuple(map(printable, runs)),
        told_of=printable(comparison.reference.name if first.kind == "lost" else first.run),
        note=lacking_layer(first),
        cause=cause[0] if cause else "",
        link=_link(finding, runs, shown) if first.kind != "lost" else None,
    )


def _link(finding: Finding, runs: Sequence[str], shown: Pictures) -> Link | None:
    """Return the way to the figure that shows ``finding``; of one of several runs, whichever is shown."""
    panel, choice = place_of(finding)
    if panel == LAYERS:
        run = place_in(shown.pair, choice, runs)
        if shown.pair is None or run is None:
            return None
        title = next(each.title for each in shown.pair.choices if each.key == choice)
        beside = f"{title}, beside the reference" if len(runs) == 1 else f"{title} of {printable(shown.pair.runs[run])}"
        return Link(PLACES[LAYERS], beside, statistic=choice, run=run)
    there = next((each for each in shown.panels if each.id == PLACES.get(panel)), None)
    if there is None:
        return None
    return Link(there.id, there.title)
