"""Is it learning? The one place that answers, by the fall of the loss against its start and the best constant answer.

A loss is held against `baseline_loss`, the loss of the best constant prediction: a network that ignores its input can
reach that, so whatever falls from a bad start to the baseline has learnt nothing yet. Where no baseline is known, or
regularisation may be what lies above it, only the fall counts.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, cast

import numpy as np

from gradscope.diagnose.finding import Evidence
from gradscope.diagnose.series import Floats, first_known, last_known, median, step_series, training_steps
from gradscope.network import Network
from gradscope.store.frames import Frames

State: TypeAlias = Literal["unknown", "learning", "learnt", "stuck", "diverged"]

LEARNT = 0.5  # of the baseline: half of what there is to learn
LEARNING = 0.95  # of the baseline: less may be chance, as a batch's labels differ from the average
FALL = 0.1  # of the loss at the start, where no baseline is known
DIVERGED = 2.0  # times the start or the baseline, whichever is larger
UNBOUNDED = 100.0  # times the start, below zero: a loss without a lower bound that runs away
ON_BASELINE = 1.1  # times the baseline: above, regularisation may be what is left
FALLING = 0.02  # of the loss over the latest epochs: while a training goes on, such a loss may get below the baseline
EPOCHS = 3  # fewer say nothing of a trend
STEPS = 100  # within fewer epochs, so many steps do


@dataclass(frozen=True, slots=True)
class Learning:
    """How far a training has come.

    Attributes:
        state: ``learnt``: at most half of the baseline is left. ``learning``: clearly below where it began and below
            the baseline. ``stuck``: neither. ``diverged``: not finite, or far above where it began. ``unknown``: too
            early to say, as while a training goes on whose loss is above the baseline and falls clearly, or no loss is
            recorded.
        first: Loss at the start.
        last: Loss at the end, a median of the latest points.
        baseline: Loss of the best constant prediction; NaN where unknown or where it cannot be compared.
        last_step: Last step known.
    """

    state: State
    first: float
    last: float
    baseline: float
    last_step: int

    @property
    def failing(self) -> bool:
        """Whether the training is failing now."""
        return self.state in {"stuck", "diverged"}

    @property
    def level(self) -> float:
        """What is left of the baseline, or of the first loss where no baseline is known; 1 is no better than chance."""
        reference = self.first if math.isnan(self.baseline) else self.baseline
        return self.last / reference if reference > 0 else math.nan

    def evidence(self, limit: float = math.nan, *, above: bool = True) -> tuple[Evidence, ...]:
        """Return what is left of the loss as evidence; none where no loss is known."""
        if math.isnan(self.level):
            return ()
        of = "loss at the start" if math.isnan(self.baseline) else "baseline loss"
        return (Evidence(f"share of the {of} that is left", self.level, limit, above, "fraction"),)


def epoch_losses(frames: Frames) -> Floats:
    """Return the training loss of each epoch, shape ``(epochs,)``; empty where it is not logged."""
    return frames.epochs["loss"].to_numpy(np.float64) if "loss" in frames.epochs else np.empty(0)


def learning(frames: Frames) -> Learning:
    """Return whether the training of ``frames`` is learning."""
    steps = training_steps(frames)
    epochs = frames.epochs
    last_step = max(int(steps[-1]) if len(steps) else -1, int(epochs["step"].max()) if len(epochs) else -1)
    baseline = last_known(step_series(frames, "baseline_loss"))
    baseline = baseline if baseline > 0 else math.nan  # nothing is left to learn, or it is no such loss
    recorded = step_series(frames, "loss")
    by_epoch = epoch_losses(frames)
    if _is_lost(recorded) or (len(by_epoch) and not math.isfinite(by_epoch[-1])):
        return Learning("diverged", first_known(recorded), math.nan, baseline, last_step)
    if len(by_epoch) >= EPOCHS:
        losses = by_epoch
    elif last_step >= STEPS and len(recorded) >= 10:
        losses = np.array([median(part) for part in np.array_split(recorded, 5)])
    else:
        losses = by_epoch if len(by_epoch) else recorded
        return Learning("unknown", first_known(losses), last_known(losses), baseline, last_step)
    first = float(np.fmax(first_known(recorded[:3]), first_known(losses)))
    last = median(losses[-max(1, min(3, len(losses) // 3)) :])
    if last > ON_BASELINE * baseline and is_regularised(frames.network):
        baseline = math.nan
    state = _state(losses, first, last, baseline)
    if state == "stuck" and not frames.ended and last > ON_BASELINE * baseline and _is_falling(losses):
        state = "unknown"
    return Learning(state, first, last, baseline, last_step)


def _state(losses: Floats, first: float, last: float, baseline: float) -> State:
    if math.isnan(first) or math.isnan(last):
        return "unknown"
    top = float(np.fmax(first, baseline))
    if last > DIVERGED * top > 0 or last < -UNBOUNDED * max(abs(first), abs(losses[0])):
        return "diverged"
    if math.isnan(baseline):
        fall = (first - last) / abs(first) if first else 0.0
        return "learnt" if fall >= LEARNT else "learning" if fall >= FALL else "stuck"
    level = last / baseline
    if level <= LEARNT:
        return "learnt"
    return "learning" if level <= LEARNING else "stuck"


def _is_falling(losses: Floats) -> bool:
    """Whether the loss has come down in each of the latest epochs, and by more than a little in all."""
    latest = losses[-EPOCHS:]
    return bool((np.diff(latest) < 0).all()) and latest[0] - latest[-1] > FALLING * abs(latest[0])


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
