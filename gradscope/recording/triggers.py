"""Occasions: the reasons for which a step may be recorded, each deciding by itself.

Each is a frozen value; what it has seen is a memory, and ``update`` makes the next one from a `Moment`: what is known
as a batch begins, clock included. `gradscope.recording.schedule` joins them. All of it is ours.

A small network trains a batch in less than a millisecond. So that asking costs nothing there, each also says how long
it need not be asked: until a step, until some seconds, or until a loss that might be a jump.
"""

from __future__ import annotations

import math
import sys
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Final, NamedTuple, TypeAlias

_FREE_EPOCHS: Final = 20
_FREE_SECONDS: Final = 30.0  # from then on a training is long enough to keep to its share
_BURST: Final = 3  # steps recorded after a jump: the one that jumped is over when its loss is known
_WINDOW: Final = 50
_KNOWN_LOSSES: Final = 20
_JUMP: Final = 6  # median absolute deviations: 4 standard deviations of normal noise, once in 30,000 steps
_UNASKED: Final = 8  # batches in a row that pass without a question, for as many losses move the median
_LARGEST: Final = sys.float_info.max


class Moment(NamedTuple):
    """What is known as a batch begins. Seconds are of this training, set-up left out.

    Attributes:
        step: Step that begins, counted from 0 over the whole run.
        start_step: Step at which this training began.
        epoch: Epoch, counted from 0.
        first_in_epoch: True for the first batch of an epoch.
        loss: Loss of the batch before; NaN where unknown.
        training_seconds: The training's own, recording left out.
        early_seconds: Charged so far to records with reason ``early``.
        epoch_seconds: Charged so far to records with reason ``each_epoch``.
        running_seconds: Charged so far to all other records.
        record_seconds: Expected cost of one record; NaN before the first.
        record_count: Records that the run holds.
        passed: Losses before that, back to the moment before this one, oldest first: of batches that began while its
            `Rest` lasted.
    """

    step: int
    start_step: int
    epoch: int
    first_in_epoch: bool
    loss: float
    training_seconds: float
    early_seconds: float
    epoch_seconds: float
    running_seconds: float
    record_seconds: float
    record_count: int
    passed: tuple[float, ...] = ()


class Rest(NamedTuple):
    """How long nothing is due, whatever happens, except at the first batch of an epoch.

    Attributes:
        step: First step at which to ask again.
        training_seconds: From these on, ask again.
        loss: Above this loss, or at one that is not finite, ask again.
    """

    step: float = math.inf
    training_seconds: float = math.inf
    loss: float = _LARGEST

    def lasts(self, step: int, training_seconds: float, loss: float) -> bool:
        """Return whether the batch that begins need not be asked about."""
        return step < self.step and -_LARGEST <= loss <= self.loss and training_seconds < self.training_seconds


NO_REST: Final = Rest(step=-math.inf)


def shortest(rests: Sequence[Rest]) -> Rest:
    """Return the rest that lasts while all of ``rests`` do."""
    return Rest(*map(min, zip(*rests, strict=True)))


class Pace(NamedTuple):
    """How many records a rule asked for, and the training seconds at the last of them."""

    records: int = 0
    seconds: float = -math.inf


class Losses(NamedTuple):
    """The latest finite losses, in order of time and of size, and the burst that a jump began."""

    window: tuple[float, ...] = ()
    ordered: tuple[float, ...] = ()
    was_finite: bool = False  # an unknown loss before the first known one is no explosion
    has_exploded: bool = False
    remaining: int = 0
    seconds: float = -math.inf


Memory: TypeAlias = Pace | Losses | None


@dataclass(frozen=True, slots=True)
class Early:
    """A training's first steps, by their distance from where it began."""

    count: int
    until: int
    offsets: frozenset[int]
    reason: ClassVar = "early"

    def init(self) -> Memory:
        return None

    def update(self, memory: Memory, moment: Moment) -> tuple[Memory, bool]:
        return memory, moment.step - moment.start_step in self.offsets

    def rest(self, memory: Memory, moment: Moment) -> Rest:
        done = moment.step - moment.start_step
        if done >= self.until:
            return Rest()
        return Rest(moment.start_step + min((offset for offset in self.offsets if offset > done), default=math.inf))

    def __str__(self) -> str:
        return f"early(count={self.count}, until={self.until})"


def geometric_offsets(count: int, until: int) -> frozenset[int]:
    """Return 0 and ``count`` numbers that grow geometrically up to ``until``, fewer where they would meet."""
    offsets = [0]
    count = min(count, until)
    for k in range(count):
        offsets.append(max(offsets[-1] + 1, round(until ** (k / max(count - 1, 1)))))
    return frozenset(offsets)


@dataclass(frozen=True, slots=True)
class EachEpoch:
    """The first batch of an epoch."""

    share: float
    reason: ClassVar = "each_epoch"

    def init(self) -> Memory:
        return Pace()

    def update(self, memory: Memory, moment: Moment) -> tuple[Memory, bool]:
        if not moment.first_in_epoch:
            return memory, False
        assert isinstance(memory, Pace)
        is_free = memory.records < _FREE_EPOCHS and moment.training_seconds < _FREE_SECONDS
        if not is_free and not _pays(self.share, 1, memory.seconds, moment):
            return memory, False
        return Pace(memory.records + 1, moment.training_seconds), True

    def rest(self, memory: Memory, moment: Moment) -> Rest:
        return Rest()

    def __str__(self) -> str:
        return f"each_epoch({self.share:g})"


@dataclass(frozen=True, slots=True)
class Every:
    """Every ``n``-th step of the run; within a share of the training's seconds, if one is given."""

    n: int
    share: float | None = None
    reason: ClassVar = "every"

    def init(self) -> Memory:
        return None

    def update(self, memory: Memory, moment: Moment) -> tuple[Memory, bool]:
        return memory, moment.step % self.n == 0 and (self.share is None or _affords(self.share, moment))

    def rest(self, memory: Memory, moment: Moment) -> Rest:
        return Rest(moment.step // self.n * self.n + self.n)

    def __str__(self) -> str:
        return f"every({self.n})" if self.share is None else f"every({self.n}) within {self.share:g}"


@dataclass(frozen=True, slots=True)
class Budget:
    """As often as a share of the training's seconds pays for."""

    share: float
    reason: ClassVar = "budget"

    def init(self) -> Memory:
        return Pace()

    def update(self, memory: Memory, moment: Moment) -> tuple[Memory, bool]:
        if not _affords(self.share, moment):
            return memory, False
        assert isinstance(memory, Pace)
        if not _pays(self.share, 1, memory.seconds, moment):
            return memory, False
        return Pace(memory.records + 1, moment.training_seconds), True

    def rest(self, memory: Memory, moment: Moment) -> Rest:
        assert isinstance(memory, Pace)
        if math.isnan(moment.record_seconds):
            return NO_REST
        paid = max(
            (_spent(moment) + moment.record_seconds) / self.share, memory.seconds + moment.record_seconds / self.share
        )
        return Rest(training_seconds=paid * (1 - 1e-9))  # rounding must not end it too late

    def __str__(self) -> str:
        return f"budget({self.share:g})"


@dataclass(frozen=True, slots=True)
class LossJump:
    """Three steps after the loss has jumped."""

    share: float
    reason: ClassVar = "loss_jump"

    def init(self) -> Memory:
        return Losses()

    def update(self, memory: Memory, moment: Moment) -> tuple[Memory, bool]:
        assert isinstance(memory, Losses)
        window, ordered, was_finite, has_exploded, remaining, seconds = memory
        for loss in moment.passed:  # finite ones that were no jumps
            window, ordered = _slid(window, ordered, loss)
        loss = moment.loss
        if math.isfinite(loss):
            is_jump = _is_jump(loss, ordered) and _pays(self.share, _BURST, seconds, moment)
            window, ordered = _slid(window, ordered, loss)
            was_finite = True
        else:
            is_jump = was_finite and (not has_exploded or _pays(self.share, _BURST, seconds, moment))
            has_exploded = has_exploded or was_finite
            was_finite = False
        if is_jump:
            remaining, seconds = _BURST, moment.training_seconds
        is_due = remaining > 0
        return Losses(window, ordered, was_finite, has_exploded, remaining - is_due, seconds), is_due

    def rest(self, memory: Memory, moment: Moment) -> Rest:
        assert isinstance(memory, Losses)
        if memory.remaining or not memory.was_finite:
            return NO_REST
        unknown = _KNOWN_LOSSES - len(memory.ordered)
        if unknown > 0:
            return Rest(step=moment.step + 1 + unknown)
        return Rest(step=moment.step + 1 + _UNASKED, loss=_no_jump(memory.ordered))

    def __str__(self) -> str:
        return f"loss_jump({self.share:g})"


Trigger: TypeAlias = Early | EachEpoch | Every | Budget | LossJump


def _slid(
    window: tuple[float, ...], ordered: tuple[float, ...], loss: float
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """The window with ``loss`` in it and without the oldest; kept sorted too, for sorting it anew takes longer."""
    if len(window) == _WINDOW:
        oldest = bisect_left(ordered, window[0])
        ordered = ordered[:oldest] + ordered[oldest + 1 :]
        window = window[1:]
    at = bisect_right(ordered, loss)
    return (*window, loss), (*ordered[:at], loss, *ordered[at:])


def _is_jump(loss: float, ordered: tuple[float, ...]) -> bool:
    """Whether ``loss`` lies more than `_JUMP` median absolute deviations above the median of ``ordered``."""
    count = len(ordered)
    if count < _KNOWN_LOSSES:
        return False
    half, quarter = count // 2, count // 4
    median = ordered[half]
    excess = loss - median
    # At most half of the losses lie strictly between these two, so that the deviation is no smaller than the nearer of
    # them: nearly every loss is acquitted without computing it.
    if excess <= _JUMP * min(median - ordered[quarter], ordered[quarter + half + 1] - median):
        return False
    return excess > _JUMP * sorted(abs(other - median) for other in ordered)[half]


def _no_jump(ordered: tuple[float, ...]) -> float:
    """Return a loss up to which none of the next losses is a jump, when `_UNASKED` more at most have come in between.

    So many losses push the median down by as many places at most. And an interval that holds fewer than half of them,
    by as many, holds no half of the new ones either: the deviation stays above half of its width.
    """
    place = len(ordered) // 2 - _UNASKED
    narrowest = min(high - low for low, high in zip(ordered, ordered[place:], strict=False))
    return min(ordered[place] + _JUMP * narrowest / 2, _LARGEST)


def _spent(moment: Moment) -> float:
    return moment.early_seconds + moment.epoch_seconds + moment.running_seconds


def _affords(share: float, moment: Moment) -> bool:
    """Whether all records and one more stay within ``share`` of the training; one of unknown cost does."""
    return not _spent(moment) + moment.record_seconds > share * moment.training_seconds


def _pays(share: float, records: int, since: float, moment: Moment) -> bool:
    """Whether ``share`` of the training since then pays for so many records; unknown costs it does."""
    return not records * moment.record_seconds > share * (moment.training_seconds - since)
