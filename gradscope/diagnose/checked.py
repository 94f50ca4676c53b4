"""What the checks of data, loss and output found in the first batch, judged by what became of the training."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from gradscope.diagnose.discover import known_checks
from gradscope.diagnose.finding import Finding, finding_of
from gradscope.diagnose.learning import Learning, learning
from gradscope.diagnose.rule import facts_of
from gradscope.store.frames import Frames


def checked_findings(frames: Frames) -> Iterator[Finding]:
    """Yield the findings of the first batch, with the severity that they have by now.

    A scale that is not usual may do no harm: where most is learnt it is information, and where nothing is learnt it is
    medium, however little it seemed at first.
    """
    state = learning(frames)
    for values in frames.checked:
        finding = dataclasses.replace(finding_of(values), last_step=max(state.last_step, 0))
        check = known_checks().get(finding.rule)
        is_certain = check is None or facts_of(check).at_once
        yield finding if is_certain else _judged(finding, state)


def _judged(finding: Finding, state: Learning) -> Finding:
    if state.state == "learnt":
        return dataclasses.replace(finding, severity="low")
    if state.failing or state.state == "falling":
        return dataclasses.replace(finding, severity="medium")
    return finding
