"""The network has learnt nothing: a constant answer would do as well."""

from __future__ import annotations

import math
from collections.abc import Iterator

from gradscope.diagnose.advice import (
    check_data,
    clip_gradients,
    is_regression,
    learning_rate,
    loss_of,
    overfit,
    scale_inputs,
    scale_targets,
    those,
    train_on,
)
from gradscope.diagnose.finding import Advice, Evidence, Finding
from gradscope.diagnose.learning import LEARNING, ON_BASELINE, Learning, learning
from gradscope.diagnose.rule import rule
from gradscope.diagnose.series import training_steps
from gradscope.store.frames import Frames


@rule(follows=(
    "nan_or_inf", "exploding_gradient", "blocked_gradient", "saturated_activation", "dying_relu", "vanishing_gradient",
    "vanishing_activation", "exploding_activation", "unchanged_weights", "update_ratio", "poor_initialisation",
    "linear_stack", "slow_convergence", "oscillating_loss",
))  # fmt: skip
def not_converging(frames: Frames, *, spread: float = 10.0, far: float = 1e6) -> Iterator[Finding]:
    """The loss is no better than that of the best constant answer, or has run away.

    The best constant answer ignores the input: the frequencies of the classes, the mean of the targets. A network that
    is no better after several epochs has learnt nothing from the input, however far the loss has fallen from a bad
    start. Where no such baseline is known, a loss that has not fallen by a tenth counts. A loss that has come down in
    each of the latest epochs is not that: it may only need more of them, and while the training goes on it is left
    alone.

    Severity: high, as the training is failing; medium where no baseline is known and the loss has not run away, and
    where the loss still falls.

    What to try: targets and inputs of unit scale; overfitting ten samples first; more epochs, where the loss still
    falls; only then other learning rates.

    Args:
        frames: The run.
        spread: Spread of the targets of a regression, by the best constant answer, pure number, from which they are to
            be scaled first, and below whose inverse; answers begin near one.
        far: Loss over that at the start and the baseline, pure number, from which there is no way back; trainings that
            recovered were seen to jump a thousandfold.

    Source:
        Ours; what counts as learning stands in `gradscope.diagnose.learning`.
    """
    state = learning(frames)
    is_falling = state.state == "falling" and frames.ended
    if not state.failing and not is_falling:
        return
    steps = training_steps(frames)
    known = not math.isnan(state.baseline)
    if state.state == "diverged":
        message = f"The loss has run away: it began at {state.first:.3g} and is {_size(state.last)} now."
    elif is_falling:
        message = (
            f"The loss of {state.last:.3g} still falls, but is not yet better than that of a constant answer "
            f"({state.baseline:.3g}), which ignores the input: {_epochs(state.epochs_left)} at this pace."
        )
    elif known and state.level > ON_BASELINE:
        message = (
            f"Nothing is learnt: the loss of {state.last:.3g} is worse than that of a constant answer "
            f"({state.baseline:.3g}), which ignores the input."
        )
    elif known:
        message = (
            f"Nothing is learnt: the loss of {state.last:.3g} is that of a constant answer ({state.baseline:.3g}), "
            f"which ignores the input."
        )
    else:
        message = f"Nothing is learnt: the loss began at {state.first:.3g} and is {state.last:.3g} now."
    yield Finding(
        rule="not_converging",
        statistic="steps.loss",
        severity="high" if (known and not is_falling) or state.state == "diverged" else "medium",
        irreversible=state.state == "diverged" and not state.last <= far * max(state.first, state.baseline, 0.0),
        layer=None,
        first_step=int(steps[0]) if len(steps) else 0,
        last_step=state.last_step,
        message=message,
        evidence=(
            Evidence("loss", state.last),
            Evidence(
                "share of the baseline loss that is left", state.level, LEARNING if known else math.nan, unit="fraction"
            ),
        ),
        advice=_advice(frames, state, spread),
    )


def _advice(frames: Frames, state: Learning, spread: float) -> tuple[Advice, ...]:
    network = frames.network
    # The best constant answer to a squared error leaves the variance of the targets, to an absolute one their spread.
    size = state.baseline**0.5 if "squared" in loss_of(network) else state.baseline
    is_far = is_regression(network) and not 1 / spread < size < spread and not math.isnan(size)
    last = learning_rate(frames, 0.1, "If the data are right, try a smaller learning rate, and a larger one.")
    return those(
        [
            train_on(state.epochs_left) if state.state == "falling" else None,
            check_data() if not math.isfinite(state.last) else None,
            scale_targets(network) if is_far else None,
            scale_inputs(network),
            clip_gradients(frames) if state.state == "diverged" else None,
            overfit(),
            None if state.state == "falling" else last,
        ]
    )


def _epochs(count: float) -> str:
    return "1 more epoch" if count == 1 else f"{count:,.0f} more epochs"


def _size(loss: float) -> str:
    return f"{loss:.3g}" if math.isfinite(loss) else "not finite"
