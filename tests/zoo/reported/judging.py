"""Judging: whether what stands on top of a report leads to its cure. Criteria in code, the same for every report."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias, get_args

from gradscope.diagnose.finding import Finding, at_least, rank
from gradscope.diagnose.remedy import RemedyKind
from zoo.reported.report import Report

Verdict: TypeAlias = Literal["right", "partly", "wrong", "missed", "crash"]

ABOUT_THE_LOSS: Final = frozenset({"not_converging", "slow_convergence"})
"""Rules that say how the loss does: true of whatever fails, and no cause by themselves."""


@dataclass(frozen=True)
class Outcome:
    """What became of one training under the callback.

    Attributes:
        findings: What was found at the end, or until the training ended by itself; the most telling first.
        live: What was told while it trained.
        ended_by: The error with which TensorFlow or Keras ended it.
        broken: What the callback failed at; empty as it should be.
        stopped: Whether ``on_finding="stop"`` ends this training.
        score: How well it learnt, by the report's own measure.
    """

    findings: tuple[Finding, ...] = ()
    live: tuple[Finding, ...] = ()
    ended_by: str = ""
    broken: str = ""
    stopped: bool = False
    score: float = math.nan

    @property
    def alarms(self) -> list[Finding]:
        return at_least(self.findings, "medium")

    @property
    def silent(self) -> bool:
        return not (self.alarms or at_least(self.live, "medium") or self.broken)


def judge(report: Report, outcome: Outcome) -> Verdict:
    """Return what the top line is worth to the person who wrote the report.

    *right*: one of the report's lines stands on top, as severe as it must be, and its first remedy is a cure; of a
    training without fault nothing is said, at the end and while it runs. Where Keras' own error leads to the cure,
    nothing need be said. *partly*: what stands on top is true, but leads nowhere by itself: a symptom, the right rule
    at another layer, another remedy first. *wrong*: something else is blamed, or a training without fault is.
    *missed*: nothing is said. *crash*: the callback fails.
    """
    if outcome.broken:
        return "crash"
    if report.healthy:
        return "right" if outcome.silent else "wrong"
    if not outcome.alarms:
        return "right" if report.explained and outcome.ended_by else "missed"
    first = outcome.alarms[0]
    if _leads(report, first):
        return "right"
    true = {line.rule for line in report.top} | report.also | ABOUT_THE_LOSS
    return "partly" if first.rule in true else "wrong"


def _leads(report: Report, finding: Finding) -> bool:
    is_named = any(
        line.rule == finding.rule and (not line.layers or finding.layer in line.layers) for line in report.top
    )
    is_severe = rank(finding.severity) >= rank(report.least)
    return is_named and is_severe and not report.remedies.isdisjoint(remedies(finding)[:1])


def remedies(finding: Finding) -> list[RemedyKind]:
    """Return the kinds of remedy that a finding advises, in its order."""
    return [advice.remedy.kind for advice in finding.advice if advice.remedy is not None]


@dataclass(frozen=True)
class Row:
    """One report, trained as it was reported and after the cure."""

    report: Report
    preflight: str
    sick: Outcome
    fixed: Outcome

    @property
    def verdict(self) -> Verdict:
        return judge(self.report, self.sick)

    @property
    def needless_stops(self) -> int:
        """How many trainings were stopped that learn."""
        return self.fixed.stopped + (self.report.healthy and self.sick.stopped)

    def cells(self) -> list[str]:
        first = self.sick.alarms[0] if self.sick.alarms else None
        kinds = list(dict.fromkeys(remedies(first)))[:3] if first else []
        return [
            self.report.name,
            " ".join(map(shown, filter(None, [first]))) or ("(Keras raises)" if self.sick.ended_by else "–"),
            ", ".join(kinds),
            self.verdict,
            shown(self.sick.live[0]) if self.sick.live else "–",
            "yes" if self.fixed.silent else f"no: {_worst(self.fixed)}",
            f"{yes(self.sick.stopped)} / {yes(self.fixed.stopped)}",
            self.preflight,
        ]


COLUMNS: Final = (
    "report", "on top", "its first remedies", "verdict", "told first while it ran", "cured: silent",
    "stopped: as reported / cured", "preflight",
)  # fmt: skip


def table(rows: Iterable[Row], seed: int) -> str:
    """Return rows and totals as Markdown."""
    rows = list(rows)
    counts = {verdict: sum(row.verdict == verdict for row in rows) for verdict in get_args(Verdict)}
    loud = sum(not row.fixed.silent for row in rows)
    unlearnt = [row.report.name for row in rows if not as_labelled(row)]
    lines = [
        f"{len(rows)} reports, seed {seed}: " + ", ".join(f"{count} {name}" for name, count in counts.items()) + ".",
        "",
        *(
            f"- {said}: {value} (to be {bar})"
            for said, value, bar in (
                ("right", counts["right"], "27 of 32 or more"),
                ("wrong", counts["wrong"], "0"),
                ("crashed", counts["crash"] + sum(bool(row.fixed.broken) for row in rows), "0"),
                ("cured, and not silent", loud, "0"),
                ("healthy or cured, and stopped", sum(row.needless_stops for row in rows), "0"),
            )
        ),
        f"- scores that are not as the labels say: {', '.join(unlearnt) or 'none'}",
        "",
        f"| {' | '.join(COLUMNS)} |",
        "|---" * len(COLUMNS) + "|",
        *(f"| {' | '.join(row.cells())} |" for row in rows),
    ]
    return "\n".join(lines)


def as_labelled(row: Row) -> bool:
    """Whether the training fails as reported, learns after the cure, and both learn where nothing is wrong."""
    bar = row.report.bar
    begun = row.sick.score >= bar if row.report.healthy else not row.sick.score >= bar
    return begun and row.fixed.score >= bar


def shown(finding: Finding) -> str:
    """Return a finding for a cell: its severity and its key."""
    return f"{finding.severity} `{finding.key}`"


def yes(is_so: bool) -> str:
    return "yes" if is_so else "no"


def _worst(outcome: Outcome) -> str:
    if outcome.broken:
        return outcome.broken
    at_end = [shown(finding) for finding in outcome.alarms]
    return at_end[0] if at_end else f"live {shown(outcome.live[0])}"
