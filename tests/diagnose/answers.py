"""What a rule answers to a run: its one finding, looked through, or nothing."""

from __future__ import annotations

import dataclasses
import math

from gradscope.diagnose.finding import Evidence, Finding
from gradscope.diagnose.rule import Rule
from gradscope.store.frames import Frames

STUCK = {"loss": [2.31, 2.3, 2.3, 2.3, 2.3, 2.3]}
"""Epochs in which nothing is learnt: the loss of a constant answer to ten classes, ln(10)."""

LEARNING = {"loss": [2.2, 2.1, 2.0, 1.9, 1.8, 1.7]}
"""Epochs of a training on its way: three quarters of the baseline are left."""

FLAT_AT_THE_END = {"loss": [1.2, 0.5, 0.1, 0.05, 0.05, 0.05, 0.05, 0.05, 0.05]}
"""Epochs of a training that has learnt what there is to learn."""

NO_BASELINE = {"baseline_loss": math.nan}

RECORDS = 12
"""Records of a run by `gradscope.testing.run` that says nothing else, 25 steps apart."""


def the_finding(rule: Rule, frames: Frames, **thresholds: float) -> Finding:
    """Return the one finding of ``rule``, of which code is Python and the layer is one of those concerned."""
    findings = list(rule(frames, **thresholds))
    assert len(findings) == 1, [finding.message for finding in findings]
    check(findings[0])
    return findings[0]


def check(finding: Finding) -> None:
    assert finding.evidence
    assert finding.first_step <= finding.last_step
    assert finding.layer is None or finding.layer in finding.layers
    for advice in finding.advice:
        compile(advice.code, "advice", "exec")


def evidence(finding: Finding, name: str) -> Evidence:
    """Return the evidence of this name."""
    return next(item for item in finding.evidence if item.name == name)


def code(finding: Finding) -> str:
    """Return all code that is advised."""
    return "\n".join(advice.code for advice in finding.advice)


def only_at(record: int, value: float, otherwise: float, count: int = RECORDS) -> list[float]:
    """Return a column that has ``value`` at one record, counted from the end where negative."""
    column = [otherwise] * count
    column[record] = value
    return column


def without_rows(frames: Frames, table: str, column: str, name: str, steps: list[int]) -> Frames:
    """Return ``frames`` without the rows of ``name`` at ``steps``, as where a place was not recorded."""
    rows = getattr(frames, table)
    left = rows[~((rows[column] == name) & rows["step"].isin(steps))]
    return dataclasses.replace(frames, **{table: left})
