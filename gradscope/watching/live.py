"""Live: what is wrong with a training while it runs.

The records that the callback writes are kept in a bounded window, and the rules look at it at growing intervals: the
same rules on the same frames as afterwards, so that the same findings come out. A finding is told once, and again only
if it has become more severe. Whatever fails here warns once, and looks no more; the training goes on.
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
from gradscope.diagnose.discover import chosen_rules
from gradscope.diagnose.finding import Finding, Severity, at_least, rank
from gradscope.diagnose.rule import Rule, facts_of
from gradscope.errors import GradscopeError
from gradscope.records import EpochRecord, FindingsNote, Record, Session, StepRecord
from gradscope.report.terminal.findings import findings_text, short_lines
from gradscope.report.terminal.printing import WIDTH, print_text
from gradscope.report.values.findings import grouped
from gradscope.store.read import frames_of
from gradscope.watching.window import Window

OnFinding: TypeAlias = Literal["warn", "stop"] | Callable[[Finding], object] | None
"""What happens to a finding: it is printed, it ends the training, it is passed to a function, or nothing."""

SHARE: Final = 0.25
"""Share of the recording's own budget that looking may take."""
FREE_SECONDS: Final = 0.5
"""Seconds of looking that no budget limits, like the records of the beginning: short trainings are told too."""
USUAL_BUDGET: Final = 0.02
"""Budget that looks at the end of an epoch keep to where recording itself has none."""

_logger = logging.getLogger(__name__)

_EARLIEST = 5  # records; a rule needs three of five
_GROWTH = 1.3  # between two looks; some 30 looks at 20,000 records


@dataclass(slots=True)
class Looks:
    """What was seen of one run while it was trained, over all its sessions.

    Attributes:
        window: Records to look at.
        record_count: Steps recorded so far.
        next_count: Steps at which to look again.
        epoch_ended: Whether an epoch has ended since the last look.
        look_seconds: What the last look took; NaN before the first.
        spent: Seconds that all took.
        findings: What the last look found, of every severity.
        certain: Those of them that are told.
        told: Rank of each finding that was told, by its key.
        seen: Keys of the findings that the last look has seen of new records.
        before: Those of the look before it.
        seen_count: Steps recorded by then.
        noted: What the last record of findings said.
        has_ended: Whether a training of the run has ended.
        is_noted: Whether what was found at its end is noted.
    """

    window: Window = field(default_factory=Window)
    record_count: int = 0
    next_count: int = _EARLIEST
    epoch_ended: bool = False
    look_seconds: float = math.nan
    spent: float = 0.0
    findings: tuple[Finding, ...] = ()
    certain: tuple[Finding, ...] = ()
    told: dict[str, int] = field(default_factory=dict[str, int])
    seen: set[str] = field(default_factory=set[str])
    before: set[str] = field(default_factory=set[str])
    seen_count: int = 0
    noted: tuple[str, ...] = ()
    has_ended: bool = False
    is_noted: bool = False


class Live:
    """Looks at one training while it runs, and tells what is wrong.

    Args:
        on_finding: What happens to a finding.
        floor: Least severity that is told.
        budget: Share of the training's seconds that recording may take; None where that has no limit. Looking keeps to
            a quarter of it beyond `FREE_SECONDS`.
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
        budget: float | None = None,
        quiet: bool = False,
        rules: Sequence[str | Rule] | None = None,
        looks: Looks | None = None,
    ) -> None:
        self._on_finding = on_finding
        self._floor: Severity = floor
        self._budget = budget
        self._quiet = quiet
        self._rules = rules
        chosen = chosen_rules(rules)  # loads them, which is set-up and no look
        self._at_once = {name for name, rule in chosen.items() if facts_of(rule).at_once}
        self._failed = False
        self.looks = looks or Looks()
        self.stopped_by: Finding | None = None

    @property
    def account(self) -> Literal["early", "running"]:
        """To which of the recording's costs the last look belongs: to the beginning while it was free."""
        return "early" if self.looks.spent <= FREE_SECONDS else "running"

    def take(self, record: Record) -> None:
        """Keep ``record`` for the next look."""
        if isinstance(record, Session) and not record.resumed:
            self.looks = Looks()
        self.looks.window.take(record)
        self.looks.record_count += isinstance(record, StepRecord)
        self.looks.epoch_ended |= isinstance(record, EpochRecord)

    def watch(self, training_seconds: float, *, after_bar: bool = False) -> float:
        """Look if it is time, tell what is new, and return the seconds that it took.

        Args:
            training_seconds: The training's own seconds so far.
            after_bar: Whether the last line on standard output is an unfinished progress bar.
        """
        if self._failed or self._on_finding is None or not self._is_due(training_seconds):
            return 0.0
        return self._timed(lambda: self._tell(self._look(), after_bar=after_bar))

    def finish(self, training_seconds: float) -> float:
        """Look at all there is when the training has ended, and return the seconds that it took.

        Nothing is printed, for a summary says it all, and nothing is stopped; a function is told what is new. Of many
        short trainings that are one run, the first is looked at, and later ones as often as while a training goes on.

        Args:
            training_seconds: Of all trainings of the run so far.
        """
        is_due = not self.looks.has_ended or self.looks.record_count >= self.looks.next_count
        if self._failed or not (is_due or self._affords_look(training_seconds, free=0.0)):
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

    def _is_due(self, training_seconds: float) -> bool:
        grown = self.looks.record_count >= self.looks.next_count
        if not grown and not self.looks.epoch_ended:
            return False
        return (grown and self._budget is None) or self._affords_look(training_seconds, free=FREE_SECONDS)

    def _affords_look(self, training_seconds: float, *, free: float) -> bool:
        allowed = max(free, SHARE * (self._budget or USUAL_BUDGET) * training_seconds)
        return self.looks.spent + (0.0 if math.isnan(self.looks.look_seconds) else self.looks.look_seconds) <= allowed

    def _look(self, *, is_last: bool = False) -> list[Finding]:
        """Diagnose the window; return what is to be told: it is certain, and new or more severe than when it was told.

        What only one look has seen may be gone at the next, as a plateau is before a network begins to learn.
        """
        looks = self.looks
        looks.next_count = max(looks.record_count + 1, math.ceil(looks.record_count * _GROWTH))
        looks.epoch_ended = False
        frames = replace(frames_of(looks.window.records), ended=is_last)
        looks.findings = tuple(diagnose(frames, self._rules))
        severe = at_least(looks.findings, self._floor)
        if looks.record_count > looks.seen_count:  # else it is the same that is seen again
            looks.before, looks.seen = looks.seen, {finding.key for finding in severe}
            looks.seen_count = looks.record_count
        looks.certain = tuple(f for f in severe if is_last or f.key in looks.before or f.rule in self._at_once)
        new = [finding for finding in looks.certain if rank(finding.severity) > looks.told.get(finding.key, -1)]
        looks.told |= {finding.key: rank(finding.severity) for finding in new}
        return new

    def _tell(self, new: Sequence[Finding], *, after_bar: bool) -> None:
        if new and self._on_finding in ("warn", "stop") and not self._quiet:
            print_live(new, after_bar=after_bar)
        if new and self._on_finding == "stop" and self.stopped_by is None:
            self.stopped_by = new[0]
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
        self.looks.look_seconds = time.perf_counter() - begun
        self.looks.spent += self.looks.look_seconds
        return self.looks.look_seconds

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


def print_live(findings: Sequence[Finding], *, after_bar: bool = False) -> None:
    """Print ``findings`` on standard output, on lines of their own: Keras draws its progress bar there.

    Args:
        findings: What to print, causes first.
        after_bar: Whether an unfinished progress bar is the last line; Keras draws it anew below.
    """
    console = Console(file=sys.stdout)
    width = console.width if console.is_terminal else WIDTH
    lines = [Text("") for _ in range(after_bar)]
    for finding, consequences in grouped(findings):
        lines += short_lines(finding, consequences, width=width, prefix="GradScope: ")
    print_text(Text("\n").join(lines), console)
    sys.stdout.flush()
