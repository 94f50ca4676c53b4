"""The loss jumps up and down instead of falling."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from gradscope.diagnose.advice import learning_rate, those
from gradscope.diagnose.finding import Evidence, Finding
from gradscope.diagnose.learning import epoch_losses, learning
from gradscope.diagnose.rule import rule
from gradscope.diagnose.series import Floats, judged_kernels, median, variable_series
from gradscope.store.frames import Frames


@rule(follows=("update_ratio", "exploding_gradient"))
def oscillating_loss(
    frames: Frames,
    *,
    swing: float = 0.2,
    correlation: float = -0.3,
    update: float = 1e-2,
    points: float = 6,
    latest_points: float = 20,
    ups: float = 0.3,
    reversals: float = 0.5,
    part: float = 0.1,
    settled: float = 0.8,
) -> Iterator[Finding]:
    """The loss of the epochs swings up and down by a large part of itself, while the updates are large.

    Steps that overshoot a valley land on its other side, higher or as high as before, and the next ones come back. The
    noise of small batches is not meant: it averages out over an epoch, so that the size of the swing and of the updates
    tell it; the correlation excludes falls and walks. A swing that is a large part of all there is to learn is told
    whatever the updates are, where most changes take the one before back: it loses what had been learnt.

    Severity: medium where little is learnt for it, or where it throws back what was; low where the loss falls all the
    same.

    What to try: a smaller learning rate, or one that decays.

    Args:
        frames: The run.
        swing: Median change from epoch to epoch over the median loss, fraction.
        correlation: Correlation of one change with the next, pure number; -0.5 is that of pure noise, 0 that of a
            walk, and a fall has a positive one.
        update: Median update-to-weight ratio of the kernels, pure number; ten times what is usual.
        reversals: Share of changes that go the other way than the one before, fraction; a fall has next to none, a walk
            half, pure noise two thirds. Asked with ``part``.
        part: Median change from epoch to epoch over what there is to learn, fraction; an epoch's noise is a hundredth.
        settled: Median of the last third of the epochs over that of the first, fraction, below which it still falls.
        points: Epochs that must have been seen, epochs.
        latest_points: Epochs that are looked at, epochs; what was before has passed.
        ups: Least share of rises, and of falls, fraction; a swing has about as many of one as of the other.

    Source:
        The lag-one correlation is common in the analysis of time series; the criteria are ours.
    """
    state = learning(frames)
    losses = epoch_losses(frames)[-int(latest_points) :]
    if len(losses) < points or not np.isfinite(losses).all():
        return
    changes = np.diff(losses)
    size = float(np.median(np.abs(changes)) / max(float(np.median(np.abs(losses))), 1e-12))
    alternating = _lag_one(changes)
    ratio = median(variable_series(frames, judged_kernels(frames.network))("update_to_weight_ratio"))
    rising = float(np.mean(changes > 0))
    whole = state.baseline - state.lowest if np.isfinite(state.baseline) else abs(state.first)
    of_all = float(np.median(np.abs(changes)) / whole) if whole > 0 else 0.0
    turns = float(np.mean(changes[1:] * changes[:-1] < 0))
    third = len(losses) // 3
    still_falls = float(np.median(losses[-third:])) < settled * float(np.median(losses[:third]))
    is_large = of_all >= part and turns >= reversals and alternating < 0
    if not ups <= rising <= 1 - ups:
        return
    if not is_large and not (size >= swing and alternating <= correlation and ratio >= update):
        return
    steps = frames.epochs["step"].to_numpy(np.int64)
    yield Finding(
        rule="oscillating_loss",
        statistic="steps.loss",
        severity="medium" if state.failing or state.level > 0.5 or (is_large and not still_falls) else "low",
        layer=None,
        first_step=int(steps[-len(losses)]),
        last_step=state.last_step,
        message=f"The loss swings up and down by {100 * size:.0f}% from epoch to epoch: the steps overshoot.",
        evidence=(
            Evidence("median change from epoch to epoch over the loss", size, swing, unit="fraction"),
            Evidence("the same over all there is to learn", of_all, part, unit="fraction"),
            Evidence("changes that take the one before back", turns, reversals, unit="fraction"),
            Evidence("correlation of one change with the next", alternating, correlation, above=False),
            Evidence("median update-to-weight ratio", ratio, update),
        ),
        advice=those([learning_rate(frames, 0.1, "Take smaller steps, or let them shrink over time.")]),
    )


def _lag_one(changes: Floats) -> float:
    """Return the correlation of each change with the next, about zero: a steady fall has a positive one."""
    power = float(np.sum(changes**2))
    return float(np.sum(changes[1:] * changes[:-1]) / power) if power > 0 else 0.0
