"""The report of a run: one page that holds all it shows, to be read, printed, kept and sent.

What is wrong comes first, in words, each with the change to try and the figure that shows it; then the model with one
line a layer; then the figures; then how all of it was recorded.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Final

from gradscope._version import __version__
from gradscope.diagnose.discover import known_rules
from gradscope.diagnose.finding import Finding, at_least
from gradscope.report.page.facts import cost_rows, facts, recording_facts
from gradscope.report.page.figure_store import FigureStore, Panel, shown_panels
from gradscope.report.page.findings import marks_by_layer, shown_findings
from gradscope.report.page.panels import cost_figure, panels
from gradscope.report.page.rendering import SEVERITY_SYMBOLS, PageHead, rendered
from gradscope.report.page.table import table_rows
from gradscope.report.values.findings import FLOOR
from gradscope.report.values.summary import Summary, summarise
from gradscope.report.words.findings import number_of, or_higher
from gradscope.report.words.layer_columns import LAYER_COLUMNS
from gradscope.report.words.names import printable
from gradscope.report.words.summary import legend

if TYPE_CHECKING:
    from gradscope.store.read import Frames

FEW_RECORDS: Final = 5
"""Recorded steps below which the rules that look at a course see next to nothing."""

_MOST_OVERVIEW: Final = 6
_MOST_UNITS: Final = 24


def report_html(frames: Frames, findings: Sequence[Finding], *, name: str, now: datetime) -> str:
    """Return the report of a run as one HTML page that asks nothing of any server.

    Args:
        frames: The run.
        findings: What was found in it, causes first, as `diagnose` returns them.
        name: What to call the run. Where it lies is not told: the page is for others too.
        now: When the page is made, with its time zone.

    Example:
        >>> from datetime import UTC
        >>> from gradscope.store.read import frames_of
        >>> page = report_html(frames_of([]), [], name="<empty>", now=datetime(2026, 1, 2, tzinfo=UTC))
        >>> "<h1>&lt;empty&gt;</h1>" in page, "Nothing was recorded" in page
        (True, True)
    """
    summary = summarise(frames, findings, name=name)
    store = FigureStore()
    has_records = summary.progress.recorded_count > 0
    rows = table_rows(frames, summary) if has_records else []
    found = panels(frames, findings, summary) if has_records else []
    main = shown_panels(store, found[:3])  # before the findings' own: what they link to is there for certain
    groups = list(shown_findings(findings, frames, store, main))
    others = shown_panels(store, found[3:])
    costs = cost_figure(frames) if has_records else None
    cost_panel = store.panel(Panel("figure-costs", "", "", (costs,))) if costs else None
    return rendered(
        "report.html",
        title=f"{printable(name)} – GradScope report",
        now=now,
        version=__version__,
        figures=store.figures,
        name=printable(name),
        head=page_head(summary),
        groups=groups,
        overview=[group for group in groups if group.is_severe],
        low_line=_low_line(findings),
        finding_count=len(findings),
        nothing_found=_nothing_found(has_records),
        facts=facts(summary),
        rows=rows,
        longest_name=max((len(row.name) for row in rows), default=0),
        columns=[each.column for each in LAYER_COLUMNS],
        marks=marks_by_layer(groups),
        legend=legend(summary.rows),
        panels=[*main, *others],
        recording=recording_facts(frames, summary, now.tzinfo),
        not_measured=summary.not_measured,
        all_measured="Nothing: every layer and function that gradscope looks for is recorded."
        if summary.rows
        else "Nothing is known of the model.",
        lost=[printable(line) for line in summary.lost],
        costs=cost_rows(summary.costs),
        cost_panel=cost_panel,
        most_units=_MOST_UNITS,
        most_overview=_MOST_OVERVIEW,
    )


def page_head(summary: Summary) -> PageHead:
    """Return what stands at the top of the page of ``summary``."""
    findings, records = summary.findings, summary.progress.recorded_count
    if not records:
        line = "No step of this training was measured, so nothing can be said of it."
        return PageHead("unknown", "?", "Nothing was recorded", (line,))
    cautions: list[str] = []
    if records < FEW_RECORDS:
        recorded = "Only 1 step was" if records == 1 else f"Only {records} steps were"
        cautions.append(f"{recorded} recorded: most problems show only over {FEW_RECORDS} and more.")
    if summary.lost:
        cautions.append("The recording is damaged; what was lost is listed below.")
    severe = at_least(findings, FLOOR)
    if severe:
        level = "high" if any(finding.severity == "high" for finding in severe) else "medium"
        text = f"{number_of(len(severe))} of {or_higher(FLOOR)}"
        return PageHead(level, SEVERITY_SYMBOLS[level], text, tuple(cautions))
    if findings:
        return PageHead("low", SEVERITY_SYMBOLS["low"], f"No findings of {or_higher(FLOOR)}", tuple(cautions))
    return PageHead("fine", "✓", "Nothing wrong found", tuple(cautions))


def _low_line(findings: Sequence[Finding]) -> str:
    """Return how many findings are information; ``""`` where there are none."""
    count = len(findings) - len(at_least(findings, FLOOR))
    return f"{number_of(count)} of low severity: information." if count else ""


def _nothing_found(has_records: bool) -> str:
    if not has_records:
        return "There is nothing to look at."
    return f"None of the {len(known_rules())} rules found anything."
