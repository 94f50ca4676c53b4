"""A learning rate that is too high or too low for these weights."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from gradscope.diagnose.advice import adaptive, clip_gradients, learning_rate, learning_rate_of, those
from gradscope.diagnose.depth import times
from gradscope.diagnose.finding import Evidence, Finding
from gradscope.diagnose.learning import Learning, learning
from gradscope.diagnose.series import Flags, Floats, judged_kernels, latest, step_series, variable_series
from gradscope.store.frames import Frames


def update_ratio(
    frames: Frames,
    *,
    low: float = 1e-5,
    high: float = 0.1,
    share: float = 0.6,
    left: float = 0.9,
    moving: float = 1e-4,
    thrown: float = 1e3,
) -> Iterator[Finding]:
    """Updates are out of proportion to the weights, and the loss shows it: the learning rate is too high or too low.

    About a thousandth of the weight an update is usual. Ten per cent a step throws the weights about; a
    hundred-thousandth leaves them where they are for as long as anyone will wait. The ratio alone is no fault, at the
    start of a training or at the end of a decay: the loss must fail to fall too.

    Severity: high where the training fails; medium where it learns, but hardly.

    What to try: the learning rate that the advice computes, which brings the ratio nearer to 1e-3; where it is far too
    low under plain gradient descent, an optimizer whose steps do not hang on the size of the gradient.

    Args:
        frames: The run.
        low: Median update-to-weight ratio of the kernels below which they hardly move, pure number.
        high: The same above which they are thrown about, pure number.
        share: Share of the records at which it is out of bounds, fraction; so that a warm-up does not count.
        thrown: Global norm of the gradients over that of all weights, pure number, from which on a low ratio is what an
            explosion has left, and no reason for larger steps.
        left: Share of the baseline loss that must be left for a low ratio to be a fault, fraction.
        moving: The ratio of the kernel that moves most, pure number, above which the rate is not too low: what keeps
            the others back is a gradient that fades, and larger steps would throw this one about.

    Source:
        Karpathy, CS231n notes; the bounds are ours.
    """
    kernels = judged_kernels(frames.network)
    series = variable_series(frames, kernels)
    state = learning(frames)
    if not kernels or state.state == "unknown":
        return
    # A kernel without a gradient does not move at any learning rate.
    ratios = np.where(series("norm") == 0, math.nan, series("update_to_weight_ratio"))
    if frames.network.compiled.accumulation_steps > 1:
        ratios = np.where(ratios > 0, ratios, np.nan)
    middle, most = latest(ratios.T, len(kernels)), np.fmax.reduce(ratios, axis=1)
    known = ~np.isnan(middle)
    if known.sum() < 3:
        return
    rates = step_series(frames, "learning_rate")[known]
    middle, most, steps = middle[known], most[known], series.steps[known]
    if state.failing and _share(middle > high) >= share:
        yield _finding(frames, state, middle, steps, high, too_high=True)
    # A warm-up makes small ratios on purpose: what counts is from the largest rate on.
    full = (np.arange(len(rates)) >= int(np.argmax(np.nan_to_num(rates)))) & (np.fmax.reduce(rates) > 0)
    if full.sum() < 3:
        return
    slow = state.level > left and state.state != "diverged" and float(np.median(most[full])) < moving
    if slow and not _was_thrown(frames, thrown) and _share(middle[full] < low) >= share:
        yield _finding(frames, state, middle[full], steps[full], low, too_high=False)


_NEAR = 10.0  # times the rate: what is further off is not a matter of the rate alone


def _was_thrown(frames: Frames, thrown: float) -> bool:
    """Whether gradients were so much larger than the weights that larger steps would throw them further."""
    norms = step_series(frames, "global_norm")
    weights = np.sqrt(np.nansum(variable_series(frames, frames.network.variables)("weight_norm") ** 2, axis=1))
    with np.errstate(invalid="ignore", divide="ignore"):
        return bool((norms / weights >= thrown).any())


def _share(flags: Flags) -> float:
    return float(np.mean(flags))


def _finding(
    frames: Frames, state: Learning, middle: Floats, steps: NDArray[np.int64], limit: float, *, too_high: bool
) -> Finding:
    typical = float(np.median(middle))
    rate = learning_rate_of(frames)
    said = "" if math.isnan(rate) else f" of {rate:.3g}"
    if too_high:
        size = f"{100 * typical:.2g}% of" if typical < 1 else f"{times(typical)}"
        message = f"The learning rate{said} is too high: an update changes the weights by {size} their own size."
    else:
        takes = f"it takes {times(1 / typical).split()[0]} updates" if typical else "no number of updates is enough"
        message = f"The learning rate{said} is too low: {takes} to change the weights by their own size."
    # A first step towards a ratio of 1e-3; what is further off has another cause besides.
    factor = 10.0 ** round(math.log10(1e-3 / min(max(typical, 1e-5), 1.0)))
    return Finding(
        rule="update_ratio",
        statistic="gradients.update_to_weight_ratio",
        severity="high" if state.failing else "medium",
        layer=None,
        first_step=int(steps[0]),
        last_step=int(steps[-1]),
        message=message,
        evidence=(
            Evidence("median update-to-weight ratio of the kernels", typical, limit, above=too_high),
            *state.evidence(),
        ),
        advice=those(
            [
                adaptive(frames, "Use an optimizer whose steps do not hang on the size of the gradient.")
                if factor > _NEAR
                else None,
                learning_rate(frames, factor, "Change the learning rate towards what gives a ratio near 1e-3."),
                clip_gradients(frames) if too_high else None,
            ]
        ),
    )
