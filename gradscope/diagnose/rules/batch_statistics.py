"""BatchNormalization that answers by other statistics than those it was trained with."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from gradscope.diagnose.advice import layer_of
from gradscope.diagnose.finding import Advice, Evidence, Finding
from gradscope.diagnose.learning import epoch_losses
from gradscope.diagnose.remedy import Remedy
from gradscope.diagnose.rule import rule
from gradscope.store.frames import Frames

LEAST_KEPT = 0.1
"""Share of what the statistics began with that is left in them, from which on too few steps explain the gap."""


@rule(figure="loss")
def batch_statistics(frames: Frames, *, gap: float = 1.0, ratio: float = 3.0, worse: float = 2.0) -> Iterator[Finding]:
    """The means and variances that BatchNormalization keeps for inference are far from those of the batches.

    While it trains, it normalises by each batch; when it answers, by running averages. A training of few steps leaves
    them near where they began, at 0 and 1, and steps that are too large or batches that are too unlike leave them
    behind. The training loss then falls, and all that evaluates is wrong. Measured at the end, on a batch.

    Severity: medium where the validation loss is far above that of training; low where it is not, or is not known: a
    normalisation that the network scales away does no harm.

    What to try: a smaller momentum, more steps, larger batches.

    Args:
        frames: The run.
        gap: Distance of the means over the batch's standard deviation, pure number; batches of 16 alone stray by a
            quarter.
        ratio: One variance over the other, pure number; batches of 16 alone stray by a half.
        worse: Validation loss over training loss, pure number, from which on evaluating suffers from it.

    Source:
        Ioffe and Szegedy, ICML 2015; the criteria are ours.
    """
    measured = frames.causes.statistics
    bad = [each for each in measured if each.mean_gap >= gap or each.variance_ratio >= ratio]
    if not bad or not len(frames.steps):
        return
    worst = max(bad, key=lambda each: max(each.mean_gap / gap, each.variance_ratio / ratio))
    last = int(max(frames.steps["step"].max(), frames.epochs["step"].max() if len(frames.epochs) else 0))
    layer = layer_of(frames.network, worst.layer)
    momentum = float(layer.config.get("momentum", math.nan)) if layer is not None else math.nan
    kept = momentum ** (last + 1) if math.isfinite(momentum) else math.nan
    times_worse = _validation_over_training(frames)
    more = f" and {len(bad) - 1} more" if len(bad) > 1 else ""
    why = f": after {last + 1:,} steps {100 * kept:.0f}% of them is what they began with" if kept >= LEAST_KEPT else ""
    better = max(0.5, round(1 - 10 / (last + 1), 2)) if kept >= LEAST_KEPT else 0.9
    yield Finding(
        rule="batch_statistics",
        statistic="steps.loss",
        severity="medium" if times_worse >= worse else "low",
        layer=worst.layer,
        first_step=int(frames.steps["step"].min()),
        last_step=last,
        message=f"What {worst.layer}{more} keeps for inference is far from what its batches have{why}.",
        evidence=(
            Evidence("distance of the means in standard deviations", worst.mean_gap, gap),
            Evidence("ratio of the variances", worst.variance_ratio, ratio),
            Evidence("validation loss over training loss", times_worse, worse),
        ),
        advice=(
            Advice(
                "Let the running averages follow faster, or train for more steps.",
                f"keras.layers.BatchNormalization(momentum={better:g})",
                Remedy("normalisation", tuple(each.layer for each in bad), {"momentum": better}),
            ),
        ),
        layers=tuple(each.layer for each in bad),
    )


def _validation_over_training(frames: Frames) -> float:
    """Return how many times the training loss the validation loss is, at the end; NaN where it is not known."""
    losses = epoch_losses(frames)
    if "val_loss" not in frames.epochs or not len(losses) or not losses[-1] > 0:
        return math.nan
    validation = frames.epochs["val_loss"].to_numpy(np.float64)
    return float(validation[-1] / losses[-1])
