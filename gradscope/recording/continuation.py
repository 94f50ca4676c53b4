"""Does a training continue the run that is there, and at which of its steps?

A step counts over the whole run, so whoever trains in several goes has to find the place again. In one process the
model itself is remembered, with how far it came: its next ``fit`` goes on there, also after ``compile`` has given it a
new optimizer, as a later phase has. In another process the optimizers' counters tell, whose zero the last session
knows; where there is none that counts, the epoch at which the training begins. A model that was never trained, and that
begins at the first epoch, is a new training. All of it is ours.
"""

from __future__ import annotations

import weakref
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any  # models and optimizers are only told from each other here

from gradscope.network import Network, Variable
from gradscope.recording.costs import RunningCosts
from gradscope.recording.schedule import Schedule, ScheduleState
from gradscope.recording.step_records import StepRecords
from gradscope.store.sink import Previous


@dataclass(frozen=True, slots=True)
class Beginning:
    """Where a training begins.

    Attributes:
        step: The step of its first batch.
        continues: Whether it goes on with the run, provided it is of the same model.
        epoch_shift: What to add to Keras' number of an epoch, so that epochs count over the whole run too.
        is_same_model: True where the model itself was recorded before, whatever was changed of it since.
        is_seamless: True where nothing has happened to the model since it was recorded last.
        own_step: The step of its first batch if it does not continue the run.
    """

    step: int
    continues: bool = False
    epoch_shift: int = 0
    is_same_model: bool = False
    is_seamless: bool = False
    own_step: int = 0


@dataclass(frozen=True, slots=True)
class HandedOn:
    """What one fit hands on to the next, so that many short ones are recorded as one long one is.

    Attributes:
        schedule: What decided.
        state: What it has seen.
        start_step: The step at which the first of them began.
        costs: What they have cost.
        step_records: What was seen of units and labels; None where no step was recorded.
    """

    schedule: Schedule
    state: ScheduleState
    start_step: int
    costs: RunningCosts
    step_records: StepRecords | None


@dataclass(eq=False, slots=True)
class Trail:
    """How far the training of one model has come that is recorded in one place.

    Attributes:
        start_step: The step at which its last session began.
        start_counts: Batches that its optimizers had been given then.
        step: The step that comes next.
        counts: Batches that they had been given when it ended; None while it runs, or where it was broken off.
        optimizers: References to them.
        handed_on: What it hands on to the next session; None where it was broken off.
    """

    start_step: int
    start_counts: tuple[int, ...]
    step: int
    optimizers: tuple[weakref.ref[Any], ...]
    counts: tuple[int, ...] | None = None
    handed_on: HandedOn | None = None

    def is_of(self, optimizers: Sequence[Any]) -> bool:
        """Return whether these are the optimizers it was trained with."""
        return len(optimizers) == len(self.optimizers) and all(
            before() is now for before, now in zip(self.optimizers, optimizers, strict=True)
        )


_trails: weakref.WeakKeyDictionary[Any, dict[Hashable, Trail]] = weakref.WeakKeyDictionary()


def trail_of(model: Any, where: Hashable) -> Trail | None:
    """Return how far the training of ``model`` has come that is recorded in ``where``; None if none is."""
    return _trails.get(model, {}).get(where)


def leave_trail(model: Any, where: Hashable, trail: Trail) -> None:
    """Remember ``trail`` for as long as there is the model."""
    _trails.setdefault(model, {})[where] = trail


def beginning(
    counts: tuple[int, ...],
    first_epoch: int,
    previous: Previous | None,
    *,
    trail: Trail | None = None,
    is_same_optimizer: bool = True,
) -> Beginning:
    """Return where a training begins of which the first batch is about to be trained.

    Args:
        counts: Batches that the model's optimizers were given so far.
        first_epoch: Keras' number of the epoch that begins: ``initial_epoch``, or where a backup was taken.
        previous: What is recorded there already.
        trail: How far the model came that was recorded there before, in this process.
        is_same_optimizer: Whether it still has the optimizers it had then.

    Example:
        >>> beginning((0,), 0, None)
        Beginning(step=0, continues=False, epoch_shift=0, is_same_model=False, is_seamless=False, own_step=0)
    """
    own_step = counts[0] if counts else 0
    if previous is None:
        return Beginning(own_step, own_step=own_step)
    step = None if trail is None else _by_trail(trail, counts, is_same_optimizer=is_same_optimizer)
    is_same_model = step is not None
    if step is None and (trail is None or not is_same_optimizer or len(counts) != 1):
        step = _by_record(counts, first_epoch, previous)
    if step is None or step <= 0:
        return Beginning(own_step, own_step=own_step)
    ended = [epoch for epoch, last in previous.epoch_ends.items() if last < step]
    return Beginning(
        step,
        continues=True,
        epoch_shift=max(0, max(ended) + 1 - first_epoch) if ended else 0,
        is_same_model=is_same_model,
        is_seamless=trail is not None and is_same_optimizer and counts == trail.counts and step == trail.step,
        own_step=own_step,
    )


def _by_trail(trail: Trail, counts: tuple[int, ...], *, is_same_optimizer: bool) -> int | None:
    """Return the step at which the model goes on; None where it was put back to where only the record can tell."""
    if not is_same_optimizer or counts == trail.counts:
        return trail.step or None
    if len(counts) == 1:  # it was broken off in a step, trained meanwhile, or put back to a checkpoint
        return (
            trail.start_step + counts[0] - trail.start_counts[0]
            if trail.counts is None
            else (trail.step + counts[0] - trail.counts[0])
        )
    was_put_back = trail.counts is not None and any(now < then for now, then in zip(counts, trail.counts, strict=True))
    return None if was_put_back else trail.step or None


def _by_record(counts: tuple[int, ...], first_epoch: int, previous: Previous) -> int | None:
    """Return the step of the run at which a training begins; None for one that continues nothing."""
    before = previous.session.counts
    zero = before if len(before) == len(counts) else (0,) * len(counts)
    start = previous.session.step if len(before) == len(counts) else 0
    by_count = [start + count - then for count, then in zip(counts, zero, strict=True) if count > 0]
    by_epoch = _by_epoch(first_epoch, previous)
    follows = previous.last_step + 1
    if by_epoch is not None and previous.epoch_ends:
        # An optimizer may be given each batch several times, or every fifth: a count is held against the epoch.
        end = by_epoch + _longest_epoch(previous)
        likely = [step for step in by_count if by_epoch <= step < end or step == follows]
    else:
        likely = [step for step in by_count if len(by_count) == 1 or step <= follows]
    return max(likely, default=by_epoch)


def _longest_epoch(previous: Previous) -> int:
    ends = [-1, *sorted(previous.epoch_ends.values())]
    return max(later - earlier for earlier, later in pairwise(ends))


def _by_epoch(first_epoch: int, previous: Previous) -> int | None:
    if first_epoch <= 0:
        return None
    last = previous.epoch_ends.get(first_epoch - 1)
    return (previous.last_step if last is None else last) + 1


def is_same_model(one: Network, other: Network) -> bool:
    """Return whether both describe one architecture, though other parts of it may be trained or recorded.

    Example:
        >>> kernel = Variable("a/kernel", "a", (2, 3), "kernel")
        >>> is_same_model(Network("m", variables=(kernel,)), Network("m"))
        True
    """
    layers = [[(layer.key, layer.class_name) for layer in network.layers] for network in (one, other)]
    shapes = [_shapes(network.variables) for network in (one, other)]
    return layers[0] == layers[1] and all(
        shapes[0][key] == shapes[1][key] for key in shapes[0].keys() & shapes[1].keys()
    )


def _shapes(variables: Sequence[Variable]) -> dict[str, list[tuple[str, tuple[int, ...]]]]:
    shapes: dict[str, list[tuple[str, tuple[int, ...]]]] = {}
    for variable in variables:
        shapes.setdefault(variable.layer, []).append((variable.role, variable.shape))
    return shapes
