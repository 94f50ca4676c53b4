"""The findings of a run, causes before consequences."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from typing import ClassVar, Final

import pandas as pd

from gradscope.diagnose.finding import SEVERITIES, Finding, findings_frame
from gradscope.report.values.shown import Shown

FLOOR: Final = "medium"
"""Least severity that a summary shows."""


class Findings(Shown, tuple[Finding, ...]):
    """The findings of a run, causes before consequences and the severest first: a tuple that prints itself.

    Example:
        >>> from gradscope import Evidence, Finding
        >>> findings = Findings([Finding("dying_relu", "high", "dense", 0, 90, "Dead.", (Evidence("dead", 0.9),))])
        >>> findings
        <gradscope findings: 1 high>
        >>> print(findings)
        high: dying_relu in dense, steps 0–90
          Dead.
          Evidence: dead 0.9
    """

    TEXT: ClassVar[str] = "gradscope.report.terminal.findings:findings_text"
    HTML: ClassVar[str] = "gradscope.report.notebook:findings_html"

    @cached_property
    def frame(self) -> pd.DataFrame:
        """One row a finding; evidence, advice and code as text, one item a line."""
        return findings_frame(self)

    def __repr__(self) -> str:
        return f"<gradscope findings: {counted(self)}>"


def counted(findings: Iterable[Finding]) -> str:
    """Return how many findings there are of each severity, the severest first.

    Example:
        >>> counted([])
        'none'
    """
    severities = [finding.severity for finding in findings]
    present = [s for s in reversed(SEVERITIES) if s in severities]
    return ", ".join(f"{severities.count(severity)} {severity}" for severity in present) or "none"


def grouped(findings: Iterable[Finding]) -> Iterator[tuple[Finding, list[Finding]]]:
    """Yield each finding that stands for itself, with all that follow from it, directly or not.

    A finding whose cause is not among ``findings`` stands for itself.

    Example:
        >>> from gradscope import Evidence, Finding
        >>> def found(rule, cause=None):
        ...     return Finding(rule, "high", None, 0, 9, "", (Evidence("loss", 2.0),), cause=cause)
        >>> chain = [found("a"), found("b", "a"), found("c", "b")]
        >>> [(finding.rule, [other.rule for other in follow]) for finding, follow in grouped(chain)]
        [('a', ['b', 'c'])]
    """
    findings = list(findings)
    known = {finding.key: finding for finding in reversed(findings)}
    roots = [_root(finding, known) for finding in findings]
    for finding, its_root in zip(findings, roots, strict=True):
        if its_root is finding:
            others = zip(findings, roots, strict=True)
            yield finding, [other for other, root in others if root is finding and other is not finding]


def _root(finding: Finding, known: Mapping[str, Finding]) -> Finding:
    """Return the finding that ``finding`` follows from in the end; itself where causes go round in a circle."""
    root, seen = finding, {finding.key}
    while root.cause is not None and root.cause in known:
        root = known[root.cause]
        if root.key in seen:
            return finding
        seen.add(root.key)
    return root
