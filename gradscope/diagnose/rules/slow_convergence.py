"""The loss falls, but so slowly that the training would not end."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from gradscope.diagnose.advice import adaptive, learning_rate, scale_inputs, those
from gradscope.diagnose.finding import Evidence, Finding
from gradscope.diagnose.learning import epoch_losses, learning
from gradscope.diagnose.rule import rule
from gradscope.store.frames import Frames


@rule(follows=(
    "vanishing_gradient", "saturated_activation", "dying_relu", "blocked_gradient", "linear_stack", "update_ratio",
    "unchanged_weights", "poor_initialisation",
))  # fmt: skip
def slow_convergence(
    frames: Frames, *, pace: float = 0.01, epochs: float = 4, left: float = 0.5, steady: float = 0.7, begun: float = 0.1
) -> Iterator[Finding]:
    """The loss falls in nearly every epoch, by less than one per cent, with most of it still left.

    A training that has come to its end is flat as well; what tells this one is that it has never been fast: it creeps
    from its first epoch on.

    Severity: medium. Most of what there is to learn is not learnt.

    What to try: inputs of unit scale; an optimizer whose steps do not hang on the size of the gradient; a larger
    learning rate.

    Args:
        frames: The run.
        pace: Fall of the loss in an epoch, as a share of the loss, fraction; the largest that was seen is below it.
        epochs: Epochs that must have been seen, epochs.
        left: Share of the baseline loss that is left, fraction.
        begun: Fall of the loss within the first epoch, fraction; a training that has fallen by more was fast once.
        steady: Share of the epochs in which the loss fell, fraction; noise falls in half of them.

    Source:
        Ours.
    """
    state = learning(frames)
    losses = epoch_losses(frames)
    if len(losses) < epochs or not np.isfinite(losses).all() or not (losses > 0).all():
        return
    falls = -np.diff(losses) / losses[:-1]
    falling = float(np.mean(falls > 0))
    fastest = float(np.max(falls))
    typical = float(np.median(falls))
    fell_at_once = losses[0] < (1 - begun) * state.first
    if not (falling >= steady and fastest < pace and typical > 0 and state.level > left) or fell_at_once:
        return
    yield Finding(
        rule="slow_convergence",
        statistic="steps.loss",
        severity="medium",
        layer=None,
        first_step=int(frames.epochs["step"].iloc[0]),
        last_step=state.last_step,
        message=f"The loss creeps: it falls by {100 * typical:.2g}% an epoch, with {100 * state.level:.0f}% of "
        f"{'what it began with' if math.isnan(state.baseline) else 'the loss of a constant answer'} left.",
        evidence=(
            Evidence("largest fall in an epoch", fastest, pace, above=False, unit="fraction"),
            Evidence("share of the epochs in which the loss fell", falling, steady, unit="fraction"),
            *state.evidence(left),
        ),
        advice=those(
            [
                scale_inputs(frames.network),
                adaptive(frames, "Use an optimizer whose steps do not hang on the size of the gradient."),
                learning_rate(frames, 10.0, "Take larger steps."),
            ]
        ),
    )
