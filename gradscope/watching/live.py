"""Live: what is wrong with a training while it runs.

The records that the callback writes are kept in a bounded window, and the rules look at it at growing intervals: the
same rules on the same frames as afterwards. What no later step can repair is told at once. All else is a judgement, and
a network on a plateau may yet begin to learn: it is told when the training has gone on for a while and has shown it for
a while, never while the loss falls towards the baseline, and is taken back where it no longer holds. When that is hangs
on steps and epochs and on no clock, so that two equal trainings are told the same. Whatever fails here warns once, and
looks no more; the training goes on.
"""

from __future__ import annotations

import logging
import math
import sys
import time
import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Literal, TypeAlias

from rich.console import Console
from rich.text import Text

from gradscope import reasons
from gradscope._version import __version__
from gradscope.diagnose.diagnosis import diagnose
from gradscope.diagnose.discover import chosen_rules, known_checks
from gradscope.diagnose.finding import Finding, Severity, at_least, rank
from gradscope.diagnose.learning import Learning, learning
from gradscope.diagnose.rule import Rule, facts_of
from gradscope.errors import GradscopeError
from gradscope.records import EpochRecord, FindingsNote, Record, Session, StepRecord
from gradscope.report.terminal.findings import findings_text, short_lines
from gradscope.report.terminal.printing import WIDTH, print_text, wrapped
from gradscope.report.values.findings import grouped
from gradscope.report.words.findings import named
from gradscope.store.read import frames_of
from gradscope.watching.window import FIRST, Window

OnFinding: TypeAlias = Literal["warn", "stop"] | Callable[[Finding], object] | None
"""What happens to a finding: it is printed, it ends the training, it is passed to a function, or nothing."""

PATIENCE_STEPS: Final = 100
"""Steps before which nothing is judged."""
PATIENCE_EPOCHS: Final = 5
"""Epochs before which nothing is judged, or ten times as many steps as above."""
PATIENCE_SHARE: Final = 0.2
"""Share of the planned steps before which nothing is judged."""
LASTING: Final = 0.2
"""Share of the steps so far over which a judgement must have held."""

_logger = logging.getLogger(__name__)

_EARLIEST = 5  # records; a rule needs three of five
_LEAST_LASTING = 50  # steps
_GROWTH = 1.3  # between two looks; some 30 looks at 20,000 records


@dataclass(slots=True)
class Looks:
    """What was seen of one run while it was trained, over all its sessions.

    Attributes:
        window: Records to look at.
        record_count: Steps recorded so far.
        next_record: Steps at which to look again.
        epoch_count: Epochs ended so far.
        next_epoch: Epochs at which to look again.
        findings: What the last look found, of every severity.
        certain: Those of them that are told.
        told: Rank of each finding that was told and still stands, by its key.
        since: Step since which each finding has been seen, by its key.
        absent: Keys of findings that were told and that the last look has not seen.
        noted: What the last record of findings said.
        has_ended: Whether a training of the run has ended.
        is_noted: Whether what was found at its end is noted.
    """

    window: Window = field(default_factory=Window)
    record_count: int = 0
    next_record: int = _EARLIEST
    epoch_count: int = 0
    next_epoch: int = 1
    findings: tuple[Finding, ...] = ()
    certain: tuple[Finding, ...] = ()
    told: dict[str, int] = field(default_factory=dict[str, int])
    since: dict[str, int] = field(default_factory=dict[str, int])
    absent: set[str] = field(default_factory=set[str])
    noted: tuple[str, ...] = ()
    has_ended: bool = False
    is_noted: bool = False

    @property
    def are_due(self) -> bool:
        """Whether enough was recorded since the last look."""
        return self.record_count >= self.next_record or self.epoch_count >= self.next_epoch

    def begin(self) -> None:
        """Say that a look begins, and so when the next is due."""
        self.next_record = max(self.record_count + 1, math.ceil(self.record_count * _GROWTH))
        self.next_epoch = max(self.epoch_count + 1, math.ceil(self.epoch_count * _GROWTH))


class Live:
    """Looks at one training while it runs, and tells what is wrong.

    Args:
        on_finding: What happens to a finding.
        floor: Least severity that is told.
        stop_on: Ids of rules whose findings end the training, besides those that no later step can repair.
        planned_steps: Steps that the training is to take; None where that is not known.
        quiet: True to print nothing but that a training was stopped.
        rules: Ids of rules, or functions of frames; None for all that are installed.
        looks: What earlier trainings of the run have shown, which this one may continue: that its session tells.

    Attributes:
        looks: What was seen so far.
        stopped_by: The finding that is to end the training; None as long as there is none.
    """

    def __init__(
        self,
        on_finding: OnFinding,
        *,
        floor: Severity = "medium",
        stop_on: Sequence[str] = (),
        planned_steps: int | None = None,
        quiet: bool = False,
        rules: Sequence[str | Rule] | None = None,
        looks: Looks | None = None,
    ) -> None:
        self._on_finding = on_finding
        self._floor: Severity = floor
        self._stop_on = frozenset(stop_on)
        self._planned_steps = planned_steps
        self._quiet = quiet
        self._rules = rules
        chosen = {**known_checks(), **chosen_rules(rules)}  # loads them, which is set-up and no look
        self._at_once = {name for name, rule in chosen.items() if facts_of(rule).at_once}
        self._failed = False
        self.looks = looks or Looks()
        self.stopped_by: Finding | None = None

    @property
    def account(self) -> Literal["early", "running"]:
        """To which of the recording's costs looking belongs now."""
        return "early" if self.looks.record_count <= FIRST else "running"

    def take(self, record: Record) -> None:
        """Keep ``record`` for the next look."""
        if isinstance(record, Session) and not record.resumed:
            self.looks = Looks()
        self.looks.window.take(record)
        self.looks.record_count += isinstance(record, StepRecord)
        self.looks.epoch_count += isinstance(record, EpochRecord)

    def watch(self, *, after_bar: bool = False) -> float:
        """Look if it is time, tell what is new, and return the seconds that it took.

        Args:
            after_bar: Whether the last line on standard output is an unfinished progress bar.
        """
        if self._failed or self._on_finding is None or not self.looks.are_due:
            return 0.0
        return self._timed(lambda: self._tell(after_bar=after_bar))

    def finish(self) -> float:
        """Look at all there is when the training has ended, and return the seconds that it took.

        Nothing is printed, for a summary says it all, and nothing is stopped; a function is told what is new. Of many
        short trainings that are one run, the first is looked at, and later ones as often as while a training goes on.
        """
        if self._failed or (self.looks.has_ended and not self.looks.are_due):
            return 0.0
        self.looks.has_ended, self.looks.is_noted = True, False
        return self._timed(lambda: self._pass_on(self._look(is_last=True)))

    def news(self, step: int, wall_time: float) -> FindingsNote | None:
        """Return the record of what is certain by now; None where the last record of this kind says the same."""
        standing = tuple(f"{finding.severity} {finding.key}" for finding in self.looks.certain)
        if self._failed or standing == self.looks.noted:
            return None
        self.looks.noted = standing
        return _note(step, wall_time, self.looks.certain)

    def note(self, step: int, wall_time: float) -> FindingsNote | None:
        """Return the record of all that the last look found; None where looking failed, and where it was noted."""
        if self._failed or self.looks.is_noted:
            return None
        self.looks.is_noted = True
        return _note(step, wall_time, self.looks.findings)

    def print_stop(self, step: int) -> None:
        """Print why the training ended after ``step``, where it was stopped."""
        if self.stopped_by is None:
            return
        said = Text(f"GradScope stopped this training after step {step:,}. The reason:")
        print_text(Text("\n").join([said, *short_lines(self.stopped_by)]), Console(file=sys.stdout))

    def _look(self, *, is_last: bool = False) -> list[Finding]:
        """Diagnose the window; return what is to be told: it is certain, and new or more severe than when told."""
        looks = self.looks
        looks.begin()
        frames = replace(frames_of(looks.window.records), ended=is_last)
        looks.findings = tuple(diagnose(frames, self._rules))
        progress = learning(frames)
        severe = at_least(looks.findings, self._floor)
        looks.since = {finding.key: looks.since.get(finding.key, progress.last_step) for finding in severe}
        may_judge = self._may_judge(progress)
        looks.certain = tuple(
            finding
            for finding in severe
            if is_last or finding.irreversible or finding.rule in self._at_once
            or (may_judge and self._has_lasted(finding, progress.last_step))
        )  # fmt: skip
        new = [finding for finding in looks.certain if rank(finding.severity) > looks.told.get(finding.key, -1)]
        looks.told |= {finding.key: rank(finding.severity) for finding in new}
        return new

    def _may_judge(self, progress: Learning) -> bool:
        """Whether the training has gone on for long enough to be judged, and its loss does not fall just now."""
        steps, epochs = progress.last_step + 1, self.looks.epoch_count
        share = steps / self._planned_steps if self._planned_steps else 1.0
        return (
            steps >= PATIENCE_STEPS
            and (epochs >= PATIENCE_EPOCHS or steps >= 10 * PATIENCE_STEPS)
            and share >= PATIENCE_SHARE
            and progress.state != "falling"
        )

    def _has_lasted(self, finding: Finding, step: int) -> bool:
        """Whether ``finding`` has been seen for a while, and not by one look only."""
        return step - self.looks.since[finding.key] >= max(_LEAST_LASTING, LASTING * step)

    def _taken_back(self) -> list[str]:
        """Return the keys of what was told and is no longer seen, by two looks in a row."""
        seen = {finding.key for finding in at_least(self.looks.findings, self._floor)}
        absent = self.looks.told.keys() - seen
        gone = [key for key in self.looks.told if key in absent and key in self.looks.absent]
        self.looks.absent = absent
        for key in gone:
            del self.looks.told[key]
        return gone

    def _tell(self, *, after_bar: bool) -> None:
        new = self._look()
        gone = self._taken_back()
        if self._on_finding in ("warn", "stop") and not self._quiet:
            print_live(new, gone, after_bar=after_bar)
        if self._on_finding == "stop" and self.stopped_by is None:
            ending = (finding for finding in new if finding.irreversible or finding.rule in self._stop_on)
            self.stopped_by = next(ending, None)
        self._pass_on(new)

    def _pass_on(self, new: Iterable[Finding]) -> None:
        if callable(self._on_finding):
            for finding in new:
                try:
                    self._on_finding(finding)
                except Exception as error:
                    raise GradscopeError(reasons.of_function("on_finding", error)) from error

    def _timed(self, work: Callable[[], None]) -> float:
        begun = time.perf_counter()
        try:
            work()
        except Exception as error:
            self._fail(error)
        return time.perf_counter() - begun

    def _fail(self, error: Exception) -> None:
        """Warn once and look no more; the training and its recording go on."""
        self._failed = True
        _logger.debug("looking for findings ends", exc_info=error)
        message = f"GradScope looks for findings no more during this training: {reasons.of_error(error)}."
        try:
            warnings.warn(message, stacklevel=6)
        except Warning:  # the user has made warnings errors; they would end the recording
            print(message, file=sys.stderr)


def _note(step: int, wall_time: float, findings: Sequence[Finding]) -> FindingsNote:
    text = findings_text(findings, width=100).plain
    return FindingsNote(step, wall_time, __version__, tuple(finding.to_json() for finding in findings), text)


def print_live(findings: Sequence[Finding], taken_back: Sequence[str] = (), *, after_bar: bool = False) -> None:
    """Print ``findings`` on standard output, on lines of their own: Keras draws its progress bar there.

    Args:
        findings: What to print, causes first.
        taken_back: Keys of findings that were printed before and no longer hold.
        after_bar: Whether an unfinished progress bar is the last line; Keras draws it anew below.
    """
    if not findings and not taken_back:
        return
    console = Console(file=sys.stdout)
    width = console.width if console.is_terminal else WIDTH
    lines = [Text("") for _ in range(after_bar)]
    lines += wrapped([f"GradScope: {named(key)} is no longer seen." for key in taken_back], width)
    for finding, consequences in grouped(findings):
        lines += short_lines(finding, consequences, width=width, prefix="GradScope: ")
    print_text(Text("\n").join(lines), console)
    sys.stdout.flush()
