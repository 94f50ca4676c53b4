"""Is it learning? The one place that answers, by the fall of the loss against its start and the best constant answer.

A loss is held against `baseline_loss`, the loss of the best constant prediction: a network that ignores its input can
reach that, so whatever falls from a bad start to the baseline has learnt nothing yet. What there is to learn lies
between it and `lowest_loss`, which no answer undercuts. Where no baseline is known, or regularisation may be what lies
above it, only the fall counts. A loss that still comes down in every epoch is not stuck, however high it stands.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeAlias, cast

import numpy as np
from numpy.typing import NDArray

from gradscope.diagnose.finding import Evidence, Severity
from gradscope.diagnose.series import Floats, first_known, last_known, median, step_series, training_steps
from gradscope.network import Network
from gradscope.store.frames import Frames

State: TypeAlias = Literal["unknown", "learning", "learnt", "falling", "stuck", "diverged"]

LEARNT = 0.5  # of what there is to learn is left
LEARNING = 0.95  # of what there is to learn is left: more may be chance, as a batch's labels differ from the average
FALL = 0.1  # of the loss at the start, where no baseline is known
DIVERGED = 2.0  # times the start or the baseline, whichever is larger
UNBOUNDED = 100.0  # times the start, below zero: a loss without a lower bound that runs away
ON_BASELINE = 1.1  # times the baseline: above, regularisation may be what is left
FALLING = 0.02  # of the loss, what lies below `lowest_loss` left out, over the latest epochs: more than noise
EPOCHS = 3  # fewer say nothing of a trend
LATEST_EPOCHS = 6  # that all have to fall: noise orders as many once in 720
STEPS = 100  # within fewer epochs, so many steps do
FEWEST_STEPS = 50  # fewer teach no network anything, and say nothing
OTHER_SCALE = 3.0  # times the losses of its batches, or a share of them: an epoch's log is of another scale


@dataclass(frozen=True, slots=True)
class Learning:
    """How far a training has come.

    Attributes:
        state: ``learnt``: at most half of what there is to learn is left. ``learning``: clearly below where it began
            and below the baseline. ``falling``: not below the baseline yet, but lower in each of the latest epochs.
            ``stuck``: none of these. ``diverged``: not finite, or far above where it began. ``unknown``: too early to
            say, or no loss is recorded.
        first: Loss at the start.
        last: Loss at the end, a median of the latest points.
        baseline: Loss of the best constant prediction; NaN where unknown or where it cannot be compared.
        last_step: Last step known.
        lowest: Loss that no answer undercuts; 0 where unknown.
        epochs_left: Epochs until the loss is clearly below the baseline, at the pace of the latest ones; NaN unless
            ``falling``.
    """

    state: State
    first: float
    last: float
    baseline: float
    last_step: int
    lowest: float = 0.0
    epochs_left: float = math.nan

    @property
    def failing(self) -> bool:
        """Whether the training is failing now."""
        return self.state in {"stuck", "diverged"}

    @property
    def level(self) -> float:
        """Share that is left of what there is to learn; 1 is no better than chance.

        That is what lies between baseline and lowest loss; where no baseline is known, the first loss.
        """
        if math.isnan(self.baseline):
            return self.last / self.first if self.first > 0 else math.nan
        return (self.last - self.lowest) / (self.baseline - self.lowest)

    def evidence(self, limit: float = math.nan, *, above: bool = True) -> tuple[Evidence, ...]:
        """Return what is left of the loss as evidence; none where no loss is known."""
        if math.isnan(self.level):
            return ()
        of = "loss at the start" if math.isnan(self.baseline) else "baseline loss"
        return (Evidence(f"share of the {of} that is left", self.level, limit, above, "fraction"),)


def severity_of_loss(state: Learning, lost: int, of: int, *, from_start: bool) -> Severity:
    """Return how bad it is that layers take no part: medium, whatever the others make of it.

    High where the training fails, or where most of them never took part and most of what there is to learn is left.

    Args:
        state: How far the training has come.
        lost: Layers that take no part.
        of: Layers that could.
        from_start: Whether it was so from the first steps on.
    """
    most = from_start and 2 * lost > of and state.level > LEARNT
    return "high" if state.failing or most else "medium"


def epoch_losses(frames: Frames) -> Floats:
    """Return the training loss of each epoch, shape ``(epochs,)``; empty where it is not logged."""
    return frames.epochs["loss"].to_numpy(np.float64) if "loss" in frames.epochs else np.empty(0)


def learning(frames: Frames) -> Learning:
    """Return whether the training of ``frames`` is learning."""
    steps = training_steps(frames)
    epochs = frames.epochs
    last_step = max(int(steps[-1]) if len(steps) else -1, int(epochs["step"].max()) if len(epochs) else -1)
    baseline, lowest = _ends(frames)
    recorded, by_epoch = step_series(frames, "loss"), epoch_losses(frames)
    if _is_lost(recorded) or (len(by_epoch) and not math.isfinite(by_epoch[-1])):
        return Learning("diverged", first_known(recorded), math.nan, baseline, last_step, lowest)
    by_epoch = _of_one_scale(frames, by_epoch)
    if len(by_epoch) >= EPOCHS and last_step + 1 >= FEWEST_STEPS:
        losses = by_epoch
    elif last_step >= STEPS and len(recorded) >= 10:
        losses = np.array([median(part) for part in np.array_split(recorded, 5)])
    else:
        losses = by_epoch if len(by_epoch) else recorded
        return Learning("unknown", first_known(losses), last_known(losses), baseline, last_step, lowest)
    first = float(np.fmax(first_known(recorded[:3]), first_known(losses)))
    last = median(losses[-max(1, min(3, len(losses) // 3)) :])
    if last > ON_BASELINE * baseline and is_regularised(frames.network):
        baseline, lowest = math.nan, 0.0
    found = Learning("unknown", first, last, baseline, last_step, lowest)
    state = _state(losses, found)
    if state != "stuck" or not _is_falling(losses, found):
        return replace(found, state=state)
    if math.isnan(baseline):
        return replace(found, state="learning")
    return replace(found, state="falling", epochs_left=_epochs_left(losses, found))


def _ends(frames: Frames) -> tuple[float, float]:
    """Return the loss of the best constant answer and the lowest; NaN and 0 where there is nothing between them."""
    baseline = last_known(step_series(frames, "baseline_loss"))
    lowest = last_known(step_series(frames, "lowest_loss"))
    lowest = 0.0 if math.isnan(lowest) else lowest
    return (baseline, lowest) if baseline > lowest >= 0 else (math.nan, 0.0)


def _of_one_scale(frames: Frames, by_epoch: Floats) -> Floats:
    """Return the epochs' losses, those of their recorded batches where the logs are of another scale.

    A step of one's own may return a sum, or another thing than what it trains by. The first epoch is left out: its
    loss may fall by more than that while it lasts.
    """
    if len(by_epoch) <= EPOCHS:
        return by_epoch
    least, most = _sizes_by_epoch(frames)
    least, most, logged = least[1:], most[1:], np.abs(by_epoch[1:])
    known = np.isfinite(least) & np.isfinite(logged)
    above, below = logged[known] > OTHER_SCALE * most[known], OTHER_SCALE * logged[known] < least[known]
    if known.sum() < 2 or max(above.mean(), below.mean()) < 2 / 3:
        return by_epoch
    medians = frames.steps.groupby("epoch")["loss"].median().reindex(frames.epochs["epoch"]).to_numpy(np.float64)
    return medians[np.isfinite(medians)]


def _sizes_by_epoch(frames: Frames) -> tuple[Floats, Floats]:
    """Return the smallest and the largest recorded loss of each epoch, signs left out; NaN where none was recorded.

    In numpy, for every rule asks how a training goes: pandas takes milliseconds to group as few rows.
    """
    recorded: NDArray[np.int64] = frames.steps["epoch"].to_numpy(np.int64)
    known, begins = np.unique(recorded, return_index=True)
    sizes: Floats = np.abs(frames.steps["loss"].to_numpy(np.float64))
    epochs = frames.epochs["epoch"].to_numpy(np.int64)
    least, most = np.full(len(epochs), math.nan), np.full(len(epochs), math.nan)
    if len(known):
        place = np.minimum(np.asarray(np.searchsorted(known, epochs), np.intp), len(known) - 1)
        is_known = known[place] == epochs
        least[is_known] = np.fmin.reduceat(sizes, begins)[place[is_known]]
        most[is_known] = np.fmax.reduceat(sizes, begins)[place[is_known]]
    return least, most


def _state(losses: Floats, found: Learning) -> State:
    first, last = found.first, found.last
    if math.isnan(first) or math.isnan(last):
        return "unknown"
    top = float(np.fmax(first, found.baseline))
    if last > DIVERGED * top > 0 or last < -UNBOUNDED * max(abs(first), abs(losses[0])):
        return "diverged"
    if math.isnan(found.baseline):
        fall = (first - last) / abs(first) if first else 0.0
        return "learnt" if fall >= LEARNT else "learning" if fall >= FALL else "stuck"
    if found.level <= LEARNT:
        return "learnt"
    return "learning" if found.level <= LEARNING else "stuck"


def _is_falling(losses: Floats, found: Learning) -> bool:
    """Whether the loss has come down in each of the latest epochs, by more than a little, and not to the baseline only.

    Next to the baseline a fall that slows down ends where the falls to come, a geometric series, add up to: what comes
    from a bad start settles there, and has learnt nothing.
    """
    before, middle, now = losses[-EPOCHS:]
    if not (np.diff(losses[-LATEST_EPOCHS:]) < 0).all() or before - now <= FALLING * abs(before - found.lowest):
        return False
    if not now <= ON_BASELINE * found.baseline:
        return True
    slowing = (middle - now) / (before - middle)
    return bool(slowing >= 1 or now - (middle - now) * slowing / (1 - slowing) <= _below_baseline(found))


def _epochs_left(losses: Floats, found: Learning) -> float:
    pace = (losses[-EPOCHS] - losses[-1]) / (EPOCHS - 1)
    return max(1.0, math.ceil((losses[-1] - _below_baseline(found)) / pace))


def _below_baseline(found: Learning) -> float:
    """Return the loss from which on something is learnt."""
    return found.lowest + LEARNING * (found.baseline - found.lowest)


def _is_lost(losses: Floats) -> bool:
    """Whether the loss was finite and is no longer; one that is NaN throughout is unknown rather than lost."""
    return bool(np.isfinite(losses).any()) and not math.isfinite(losses[-1])


def is_regularised(network: Network) -> bool:
    """Whether something is added to the loss that the best constant prediction does not pay."""
    return any(
        bool(value) and str(name).endswith("_regularizer")
        for layer in network.layers
        for name, value in cast("dict[str, Any]", layer.config).items()
    )
