"""A learning rate that has fallen to next to nothing before anything was learnt."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from gradscope.diagnose.finding import Advice, Evidence, Finding
from gradscope.diagnose.learning import learning
from gradscope.diagnose.remedy import Remedy
from gradscope.diagnose.rule import rule
from gradscope.diagnose.series import step_series, training_steps
from gradscope.store.frames import Frames


@rule(explains=("not_converging", "slow_convergence", "update_ratio"))
def falling_learning_rate(
    frames: Frames, *, fall: float = 1e3, low: float = 1e-2, share: float = 0.3, left: float = 0.5
) -> Iterator[Finding]:
    """The learning rate has fallen a thousandfold while most of what there is to learn is left.

    A callback that lowers the rate on a plateau takes the first one, before the training has begun to learn, for the
    last; a decay that was set for more or for fewer steps does the same. From then on no weight moves any more. What
    the weights look like is no fault of theirs.

    Severity: high where the training fails; medium where it learns, but has most before it.

    What to try: the rate that it began with, more patience, a floor under the rate.

    Args:
        frames: The run.
        fall: Largest rate over the latest, pure number; a cosine or a step decay that ends well falls as far, but late.
        low: Share of the largest rate below which it counts as low, fraction; a hundredth moves nothing in the time
            that is left.
        share: Share of the steps at a low rate, fraction; a cosine is as low for 6 per cent, and an exponential decay
            that ends at a thousandth for a third.
        left: Share of what there is to learn that is left, fraction.

    Source:
        Ours.
    """
    rates, steps, state = step_series(frames, "learning_rate"), training_steps(frames), learning(frames)
    known = np.isfinite(rates)
    rates, steps = rates[known], steps[known]
    if len(rates) < 3 or not rates.max() > 0 or state.state in ("unknown", "learnt") or not state.level > left:
        return
    peak = int(np.argmax(rates))
    factor = float(rates[peak] / max(rates[-1], np.finfo(np.float32).tiny))
    is_low = (rates < low * rates[peak]) & (np.arange(len(rates)) > peak)
    lasts = np.diff(steps, append=max(state.last_step, int(steps[-1])) + 1)
    low_share = float(lasts[is_low].sum() / lasts.sum())
    if factor < fall or low_share < share:
        return
    since = int(steps[np.flatnonzero(is_low)[0]])
    began = float(rates[peak])
    yield Finding(
        rule="falling_learning_rate",
        statistic="steps.loss",
        severity="high" if state.failing else "medium",
        layer=None,
        first_step=since,
        last_step=state.last_step,
        message=f"The learning rate fell from {began:.3g} to {rates[-1]:.3g} before most was learnt: from step "
        f"{since:,} on nothing moves.",
        evidence=(
            Evidence("largest learning rate over the latest", factor, fall),
            Evidence("share of the steps at a hundredth of it or less", low_share, share, unit="fraction"),
            *state.evidence(left),
        ),
        advice=(
            Advice(
                "Lower the rate later, and not to nothing: more patience, and a floor under it.",
                f"keras.callbacks.ReduceLROnPlateau(patience=20, min_lr={began / 100:.1g})",
                Remedy("learning_rate"),
            ),
            Advice(
                f"Or keep the rate at {began:.3g} until the loss has fallen.",
                f"model.optimizer.learning_rate = {began:.3g}",
            ),
        ),
    )
