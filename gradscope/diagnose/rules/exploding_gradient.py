"""Gradients that grow by orders of magnitude and take the training with them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from gradscope.diagnose.advice import clip_gradients, learning_rate, normalise, those
from gradscope.diagnose.depth import times, weighted_layers
from gradscope.diagnose.finding import Evidence, Finding
from gradscope.diagnose.learning import learning
from gradscope.diagnose.rule import rule
from gradscope.diagnose.series import (
    Floats,
    judged_kernels,
    latest,
    site_series,
    step_series,
    training_steps,
    variable_series,
)
from gradscope.store.frames import Frames


@dataclass(frozen=True, slots=True)
class _Explosion:
    """What exploded: since when, by how much, and what that was held against."""

    at: int
    factor: float
    limit: float
    name: str
    layer: str | None
    text: str


@rule(follows=("poor_initialisation", "exploding_activation", "update_ratio"), before_training=True)
def exploding_gradient(
    frames: Frames,
    *,
    jump: float = 10.0,
    deviations: float = 6.0,
    rise: float = 2.0,
    depth: float = 1e3,
    past: float = 50,
    size: float = 1e3,
) -> Iterator[Finding]:
    """The global gradient norm jumps by an order of magnitude, or the gradient grows from layer to layer.

    Where weights and slopes multiply to more than one, the gradient grows on its way back; one such step throws the
    weights to where the loss is higher still. Norms differ between models by many orders, so a norm is held against
    its own past, and the backward signal of the first layers against that of the last; a norm that dwarfs the weights
    from the first step on is told where the training fails. A jump that the loss survives
    is no fault.

    Severity: high where the training fails, or the loss rises with it before there is more to go by; else low.

    What to try: a smaller learning rate; clipping by the global norm; normalisation; smaller initial weights.

    Args:
        frames: The run.
        jump: Global norm over the median of what was recorded before, pure number; a batch's norm varies by less.
        deviations: The same in median absolute deviations of its logarithm, pure number; so that a noisy norm has to
            jump further.
        rise: Loss after the jump over the loss before, pure number.
        past: Records before it that a norm is held against, records; older ones tell of another state.
        size: Global norm over that of all weights together, pure number, at the start of a training that fails; healthy
            ones begin below 10, and a step of 1e-3 then throws all weights away.
        depth: Backward signal of a layer over that of the last hidden layer, pure number; three decades.

    Source:
        Pascanu, Mikolov and Bengio, ICML 2013; the criteria are ours.
    """
    found = _over_time(frames, jump, deviations, int(past)) or _over_the_run(frames, jump) or _over_depth(frames, depth)
    found = found or _over_weights(frames, size)
    if found is None:
        return
    steps = training_steps(frames)
    state = learning(frames)
    loss = step_series(frames, "loss")
    before, after = loss[: max(found.at, 1)], loss[found.at :]
    lowest = float(np.min(before[np.isfinite(before)], initial=math.inf))
    was_lost = math.isfinite(lowest) and not np.isfinite(after).all()
    highest = float(np.max(after[np.isfinite(after)], initial=-math.inf))
    rose = was_lost or (highest > rise * max(lowest, 0.0) and not _recovers(loss))
    failing = state.failing or (rose and state.state == "unknown")
    flags = step_series(frames, "clipped")
    clipped = float(np.mean(flags[~np.isnan(flags)])) if not np.isnan(flags).all() else 0.0
    yield Finding(
        rule="exploding_gradient",
        statistic="gradients.rms",
        severity="high" if failing else "low",
        layer=found.layer,
        first_step=int(steps[found.at]),
        last_step=int(steps[-1]),
        message=f"{found.text}{', and the loss rises with it' if rose and failing else ''}.",
        evidence=(
            Evidence(found.name, found.factor, found.limit),
            Evidence("lowest loss before", lowest),
            Evidence("largest loss since", math.inf if was_lost else highest),
            *([Evidence("steps clipped", clipped, unit="fraction")] if clipped > 0 else []),
        ),
        advice=those(
            [
                learning_rate(frames, 0.1, "Take smaller steps."),
                clip_gradients(frames),
                normalise(frames.network, [found.layer]) if found.layer is not None else None,
            ]
        ),
        layers=() if found.layer is None else (found.layer,),
    )


def _recovers(loss: Floats) -> bool:
    """Whether the loss ends no higher than where it began."""
    finite = loss[np.isfinite(loss)]
    return len(finite) == len(loss) and bool(np.median(finite[-3:]) <= finite[0])


def _over_time(frames: Frames, jump: float, deviations: float, records: int) -> _Explosion | None:
    """Return the first jump of the global norm above what was recorded before it; None without one."""
    norms = step_series(frames, "global_norm")
    with np.errstate(invalid="ignore", divide="ignore"):
        logs = np.log(norms)
    for at in range(1, len(logs)):
        past = logs[max(0, at - records) : at]
        past = past[np.isfinite(past)]
        if not len(past):
            continue
        middle = float(np.median(past))
        spread = float(np.median(np.abs(past - middle)))
        # Of one or two records nobody knows how far a norm strays: there it has to jump three times as far.
        least = math.log(jump) * (1 if len(past) >= 3 else 3)
        coming = logs[at : at + 10]
        bar = max(least, deviations * spread)
        is_high = coming > middle + bar
        # Two of ten, as a single batch may be odd; what is not finite any more needs no second one.
        if is_high[0] and (is_high.sum() > 1 or len(coming) == 1 or not np.isfinite(norms[at : at + 3]).all()):
            peak = float(np.max(coming[np.isfinite(coming)], initial=-math.inf))
            return _explosion(frames, at, peak - middle, math.exp(bar), "global norm over its median before")
    return None


def _over_the_run(frames: Frames, jump: float) -> _Explosion | None:
    """Return how far the global norm has grown over a training that runs away, without a single jump."""
    if learning(frames).state != "diverged":
        return None
    norms = step_series(frames, "global_norm")
    known = np.flatnonzero(np.isfinite(norms) & (norms > 0))
    if len(known) < 10:
        return None
    growth = float(np.log(np.median(norms[known[-5:]]) / np.median(norms[known[:5]])))
    if growth < math.log(jump):
        return None
    return _explosion(frames, int(known[-5]), growth, jump, "global norm over that of the start")


def _over_weights(frames: Frames, size: float) -> _Explosion | None:
    """Return by how much the gradients are larger than all weights, from the first step of a training that fails."""
    if not learning(frames).failing:
        return None
    norms = step_series(frames, "global_norm")
    weights = variable_series(frames, frames.network.variables)("weight_norm")
    known = np.flatnonzero(np.isfinite(norms))[:3]
    if not len(known) or not weights.shape[1]:
        return None
    with np.errstate(invalid="ignore", divide="ignore"):
        factor = float(np.median(norms[known] / np.sqrt(np.nansum(weights[known] ** 2, axis=1))))
    if not size <= factor < math.inf:
        return None
    text = f"The gradients are {times(factor)} as large as all weights together, from the first step on"
    name = "global norm over that of the weights"
    return _Explosion(int(known[0]), factor, size, name, _largest_part(frames, int(known[0])), text)


def _explosion(frames: Frames, at: int, growth: float, limit: float, name: str) -> _Explosion:
    factor = math.exp(min(growth, 700.0)) if growth > 0 else math.inf  # all norms since are infinite
    text = f"The gradients have become {'infinite' if math.isinf(factor) else f'{times(factor)} what they were'}"
    return _Explosion(at, factor, limit, name, _largest_part(frames, at), text)


def _largest_part(frames: Frames, at: int) -> str | None:
    """Return the layer whose kernel's gradient is the largest part of the jump."""
    kernels = judged_kernels(frames.network)
    norms = variable_series(frames, kernels)("norm")[at]
    if not len(norms) or np.isnan(norms).all():
        return None
    return kernels[int(np.nanargmax(norms))].layer


def _over_depth(frames: Frames, depth: float) -> _Explosion | None:
    """Return the layer whose signal has grown most on its way back from the last hidden layer; None without one."""
    weighted = weighted_layers(frames.network)
    if len(weighted) < 2:
        return None
    signal = site_series(frames, [layer.site for layer in weighted])("backward_rms")
    with np.errstate(invalid="ignore", divide="ignore"):
        grown = signal / signal[:, -1:]
    grown = np.where(np.isfinite(grown), grown, np.nan)
    if np.isnan(grown[-5:]).all():
        return None
    factors = latest(grown)
    largest = int(np.nanargmax(np.where(np.isnan(factors), -1.0, factors)))
    if not factors[largest] >= depth:
        return None
    at = int(np.flatnonzero(grown[:, largest] >= depth)[0])
    layer, last = weighted[largest].site.layer, weighted[-1].site.layer
    text = f"The gradient grows on its way back: at {layer} it is {times(float(factors[largest]))} that at {last}"
    return _Explosion(at, float(factors[largest]), depth, "backward signal over that of the last layer", layer, text)
