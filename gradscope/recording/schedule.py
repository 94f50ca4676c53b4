"""When is a step recorded?

A schedule is a frozen value. What it has seen is a `ScheduleState`, and `update` makes the next one from a `Moment`:
what is known as a batch begins, clock included. Schedules are joined by ``|``: due if any of them is due. All of it is
ours.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from numbers import Integral, Real
from typing import Final, NamedTuple

from gradscope.errors import ArgumentError
from gradscope.recording.triggers import (
    Budget,
    EachEpoch,
    Early,
    Every,
    LossJump,
    Memory,
    Moment,
    Rest,
    Trigger,
    geometric_offsets,
    shortest,
)

REASONS: Final = ("early", "each_epoch", "every", "budget", "loss_jump")
"""Why a step is recorded. Where several apply, the first of them is named and charged."""

MOST_RECORDS: Final = 20_000
"""Full records that a run keeps."""


class ScheduleState(NamedTuple):
    """What a schedule has seen, and what it says of the latest moment.

    Attributes:
        due: True where the step that begins is to be recorded.
        reason: One of `REASONS`; ``""`` where it is not due.
        memories: What each joined schedule remembers.
        due_count: Moments that were due, those thinned out included.
    """

    due: bool
    reason: str
    memories: tuple[Memory, ...]
    due_count: int


@dataclass(frozen=True, slots=True)
class Schedule:
    """Decides which steps are recorded. Made by `every`, `early`, `each_epoch`, `budget`, `loss_jump`, and by ``|``.

    Attributes:
        rules: What is joined, in the order of `REASONS`.
        most: Records that the run may hold; None without limit. See `thinned`.

    Example:
        >>> schedule = early(count=3, until=8) | every(1000)
        >>> print(schedule)
        early(count=3, until=8) | every(1000)
        >>> moment = Moment(0, 0, 0, True, float("nan"), 0.0, 0.0, 0.0, 0.0, float("nan"), 0)
        >>> schedule.update(schedule.init(), moment).reason
        'early'
    """

    rules: tuple[Trigger, ...]
    most: int | None = None

    def init(self) -> ScheduleState:
        """Return the state before the first moment."""
        return ScheduleState(False, "", tuple(rule.init() for rule in self.rules), 0)

    def update(self, state: ScheduleState, moment: Moment) -> ScheduleState:
        """Return the state after ``moment``; to be called in order, for each batch that does not begin in a `rest`."""
        memories: list[Memory] = []
        reason = last = ""
        for rule, memory in zip(self.rules, state.memories, strict=True):
            memory, wants = rule.update(memory, moment)
            memories.append(memory)
            if wants:
                last = rule.reason
                reason = reason or last
        if not reason:
            return ScheduleState(False, "", tuple(memories), state.due_count)
        due_count = state.due_count + 1
        if self.most is not None and not _is_kept(due_count, moment.record_count, self.most):
            # An explosion is recorded even where the run has become sparse, as long as there is room at all.
            is_explosion = last == "loss_jump" and moment.record_count < self.most
            reason = last if is_explosion else ""
        return ScheduleState(reason != "", reason, tuple(memories), due_count)

    def rest(self, state: ScheduleState, moment: Moment) -> Rest:
        """Return how long nothing is due after ``moment``, given the state after it and no record meanwhile."""
        return shortest([rule.rest(memory, moment) for rule, memory in zip(self.rules, state.memories, strict=True)])

    def __or__(self, other: Schedule) -> Schedule:
        rules = sorted((*self.rules, *other.rules), key=lambda rule: REASONS.index(rule.reason))
        return Schedule(tuple(rules), min((m for m in (self.most, other.most) if m is not None), default=None))

    def __str__(self) -> str:
        return " | ".join(str(rule) for rule in self.rules)


def every(n: int) -> Schedule:
    """Return a schedule that is due at step 0, n, 2n and so on, counted over the whole run.

    Raises:
        ArgumentError: If ``n`` is no positive int.

    Example:
        >>> print(every(100))
        every(100)
    """
    return Schedule((Every(_positive(n, f"every({n!r})", "every(100)")),))


def early(count: int = 20, until: int = 100) -> Schedule:
    """Return a schedule for the beginning, where networks break: a training's first step, then ever fewer.

    Args:
        count: Records after the first step's, growing geometrically.
        until: Last of them, counted from where this training began.

    Raises:
        ArgumentError: If one of them is no positive int.

    Example:
        >>> sorted(early().rules[0].offsets)
        [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 14, 18, 23, 30, 38, 48, 62, 78, 100]
    """
    count = _positive(count, f"early(count={count!r})", "early(count=20)")
    until = _positive(until, f"early(until={until!r})", "early(until=100)")
    return Schedule((Early(count, until, geometric_offsets(count, until)),))


def each_epoch(share: float = 0.02) -> Schedule:
    """Return a schedule that is due at the first batch of an epoch.

    After 20 epochs, or 30 seconds of training, only where the training since its last record took long enough that one
    record costs at most ``share`` of it, so that short epochs do not cost more than is allowed.

    Raises:
        ArgumentError: If ``share`` is not in (0, 1].
    """
    return Schedule((EachEpoch(_share(share, "each_epoch({!r})", "each_epoch(0.02)")),))


def budget(share: float) -> Schedule:
    """Return a schedule that records as often as the budget allows, evenly spread.

    Due where all records so far and one more cost at most ``share`` of the training's own seconds, and where
    ``share`` of the seconds since its last record pays for this one. The first record, whose cost is unknown, is free.

    Raises:
        ArgumentError: If ``share`` is not in (0, 1].
    """
    return Schedule((Budget(_share(share, "budget({!r})", "budget(0.02)")),))


def loss_jump(share: float = 0.02) -> Schedule:
    """Return a schedule that is due on three steps when the loss jumps, so that an explosion is not missed.

    A jump is a loss more than 6 median absolute deviations above the median of the last 50 (at least 20) finite ones,
    or one that is not finite after one that was. Jumps of a noisy loss count only where ``share`` of the training since
    the last one pays for the three records; the first loss that is not finite always does.

    Raises:
        ArgumentError: If ``share`` is not in (0, 1].
    """
    return Schedule((LossJump(_share(share, "loss_jump({!r})", "loss_jump(0.02)")),))


def thinned(schedule: Schedule, most: int = MOST_RECORDS) -> Schedule:
    """Return ``schedule`` with a limit on the records of a run: the interval grows as they fill it.

    From half of ``most`` on, one of 2 due moments is kept, then one of 4, and so on after each twentieth of ``most``;
    at ``most``, none. Jumps of the loss are not thinned out, up to the same limit.

    Raises:
        ArgumentError: If ``most`` is no positive int.
    """
    return replace(schedule, most=_positive(most, f"most={most!r}", "most=20000"))


def default(share: float = 0.02) -> Schedule:
    """Return what a callback without a schedule does: the beginning, each epoch, jumps, and what the budget allows.

    Epochs and jumps, which do not ask for the total, get half and a quarter of the share, and the budget what they
    leave, so that all together stay within it once the beginning (early records, first epochs) is paid.

    Example:
        >>> print(default())
        early(count=20, until=100) | each_epoch(0.01) | budget(0.02) | loss_jump(0.005)
    """
    return early() | each_epoch(share / 2) | budget(share) | loss_jump(share / 4)


def from_argument(schedule: int | Schedule | None, max_overhead: float | None = None) -> Schedule:
    """Return the schedule that the arguments of the callback ask for, limited to `MOST_RECORDS`.

    Args:
        schedule: An int for `every`, a schedule, or None for the default one.
        max_overhead: Share of the training's own seconds that records may take: 0.02 for the default schedule; limits a
            given schedule, the early records excepted, only if it is given too.

    Raises:
        ArgumentError: If one of them cannot work.

    Example:
        >>> print(from_argument(100))
        every(100)
        >>> from_argument(0)
        Traceback (most recent call last):
        gradscope.errors.ArgumentError: schedule=0 would never record. Pass a positive number of steps, for example \
schedule=100.
    """
    share = None if max_overhead is None else _share(max_overhead, "max_overhead={!r}", "max_overhead=0.02")
    if schedule is None:
        return thinned(default(0.02 if share is None else share))
    if not isinstance(schedule, Schedule):
        schedule = Schedule((Every(_positive(schedule, f"schedule={schedule!r}", "schedule=100")),))
    if share is not None:
        schedule = replace(schedule, rules=tuple(_limited(rule, share) for rule in schedule.rules))
    return thinned(schedule, MOST_RECORDS if schedule.most is None else min(schedule.most, MOST_RECORDS))


def _limited(rule: Trigger, share: float) -> Trigger:
    if isinstance(rule, Early):
        return rule
    return replace(rule, share=share if rule.share is None else min(share, rule.share))


def _is_kept(due_count: int, record_count: int, most: int) -> bool:
    if record_count >= most:
        return False
    half = most // 2
    if record_count < half:
        return True
    halvings = 1 + (record_count - half) // max(1, most // 20)
    return due_count % 2**halvings == 0


def _positive(value: object, given: str, example: str) -> int:
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise ArgumentError(f"{given} is no number of steps. Pass a positive int, for example {example}.")
    if value < 1:
        raise ArgumentError(f"{given} would never record. Pass a positive number of steps, for example {example}.")
    return int(value)


def _share(value: object, given: str, example: str) -> float:
    if isinstance(value, bool) or not isinstance(value, Real) or not 0 < float(value) <= 1:
        raise ArgumentError(
            f"{given.format(value)} is no share of the training's time. "
            f"Pass a number above 0 and at most 1, for example {example}."
        )
    return float(value)
