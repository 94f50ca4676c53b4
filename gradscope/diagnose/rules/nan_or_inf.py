"""NaN and infinity: where they came from first."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from gradscope.diagnose.advice import check_data, clip_gradients, learning_rate, scale_inputs, those
from gradscope.diagnose.finding import Advice, Evidence, Finding
from gradscope.diagnose.learning import epoch_losses
from gradscope.diagnose.origin_words import cure, happened
from gradscope.diagnose.rule import rule
from gradscope.diagnose.series import (
    Flags,
    Floats,
    last_known,
    site_series,
    step_series,
    training_steps,
    variable_series,
)
from gradscope.records import NonFiniteOrigin
from gradscope.store.frames import Frames


@rule(
    follows=("exploding_gradient", "exploding_activation", "update_ratio", "poor_initialisation"),
    at_once=True,
    before_training=True,
    figure="loss",
)
def nan_or_inf(frames: Frames, *, records: float = 10, warm_up: float = 50, growth: float = 10.0) -> Iterator[Finding]:
    """A loss, a gradient or a weight is not finite.

    One NaN in a weight makes every later answer NaN. Blamed is the first tensor that is not finite in the order in
    which a step computes them: activations from the input on, the loss, gradients from the loss back, weights. Where
    the record before was not the step before, it is known only between which steps it happened, and what grew fastest
    is named. The first bad step that is recorded is run once more, to name the operation at which it began: a root or
    a norm at 0, whose slope is infinite, the logarithm of 0, a division, an exponential, a number too large for its
    format. Steps that the loss scale of mixed precision skips are no fault.

    Severity: high, as nothing is learnt from here on; medium where only some batches have a loss that is not finite;
    low where all is finite again.

    What to try: what the operation needs, such as a small number inside of the root; looking for NaN in the data; a
    loss that takes logits. Smaller steps and clipping only where something grew before.

    Args:
        frames: The run.
        records: Latest records that all have to be skipped by the loss scale for the scale to be no help, records.
        warm_up: Steps before that is asked, steps; a loss scale that starts high needs some to come down.
        growth: Activations or gradients over those two records before, pure number, from which on they are said to have
            grown; a decade, for within a few steps healthy ones grow up to fivefold.

    Source:
        The order of blame is ours.
    """
    steps = training_steps(frames)
    sites, kernels = site_series(frames, frames.network.sites), variable_series(frames, frames.network.variables)
    forward, backward = sites("nonfinite_count"), kernels("nonfinite_count")
    loss, weights = step_series(frames, "loss"), kernels("weight_norm")
    lost, broken = _broken(loss), _broken(weights)
    if (epochs := epoch_losses(frames)).size and np.isnan(epochs[-1]):
        lost = ~np.isfinite(loss)  # NaN is what it is, not a loss that nobody told
    # Masks put -inf among pre-activations by right; what counts is whether the loss, a gradient or a weight suffers.
    bad = lost | (backward > 0).any(axis=1) | broken.any(axis=1)
    if not bad.any():
        yield from _skipping(frames, int(warm_up), int(records))
        yield from _unrecorded(frames, steps)
        return
    at = int(np.flatnonzero(bad)[0])
    step, before = int(steps[at]), int(steps[at - 1]) if at else -1
    usual = np.nanmax(forward[:at], axis=0, initial=0.0)  # what a mask holds by right
    layer, what, count = _first_bad(frames, forward[at] - usual, backward[at], broken[at], bool(lost[at]))
    is_exact = step == 0 or step == before + 1
    when = f"at step {step:,}" if is_exact else f"between steps {before:,} and {step:,}" if at else f"by step {step:,}"
    fastest = _fastest(frames, sites("abs_max")[:at], growth)
    has_grown = bool(fastest) or _has_grown(step_series(frames, "global_norm")[:at], growth)
    grew = "" if is_exact else fastest
    origin = frames.causes.origin if frames.causes.origin_step == step else None
    may_have_grown = at > 0 and (not is_exact if origin is None else _is_large(origin))
    if origin is not None:
        layer, when = _layer_of(frames, origin) or layer, f"{when}: {happened(origin)}"
    is_gone = bad[-1] or bool(epochs.size and not math.isfinite(epochs[-1]))
    last = int(np.flatnonzero(bad)[-1])
    if is_gone and bad[at:].mean() < 1 and not broken[-1].any():
        severity, end = "medium", f"; {bad[at:].sum()} of the {len(bad) - at} records since are not finite"
    elif is_gone:
        severity, end = "high", "; nothing is learnt from there on"
    else:
        severity, end = "low", f"; it is finite again from step {int(steps[last + 1]):,} on"
    yield Finding(
        rule="nan_or_inf",
        statistic="activations.nonfinite_count",
        severity=severity,
        layer=layer,
        first_step=step,
        last_step=int(steps[last]),
        message=f"{what} became NaN or infinite {when}{grew}{end}.",
        evidence=(
            Evidence("entries that are not finite", count, 1.0),
            Evidence("last finite loss", last_known(loss[:at])),
        ),
        advice=those(
            [
                None if origin is None else cure(origin),
                *([check_data(), scale_inputs(frames.network)] if at == 0 and _is_large(origin) else []),
                _logits(frames) if origin is None or origin.kind == "logarithm" else None,
                *(_smaller_steps(frames) if has_grown or may_have_grown else ()),
                None if origin is not None else _KEEP,
            ]
        ),
        layers=() if layer is None else (layer,),
        irreversible=bool(broken[-1].any()),
    )


_KEEP = Advice(
    "Keep the first bad batch, and run it once more to learn by which operation it began.",
    "import gradscope; scope = gradscope.GradScope(keep_bad_batch=True)  # then reproduce(model, run.bad_batch())",
)


def _layer_of(frames: Frames, origin: NonFiniteOrigin) -> str | None:
    """Return the layer that an origin stands in, or else the one before it, or behind it."""
    known = {layer.key for layer in frames.network.layers}
    return next((key for key in (origin.layer, origin.after, origin.before) if key in known), None)


def _is_large(origin: NonFiniteOrigin | None) -> bool:
    """Whether numbers that are too large may be the reason: not of an operation that is not defined at its input."""
    return origin is None or origin.kind in ("overflow", "exponential", "loop", "other")


def _smaller_steps(frames: Frames) -> Iterator[Advice | None]:
    yield learning_rate(frames, 0.1, "Take smaller steps.")
    yield clip_gradients(frames)


def _has_grown(norms: Floats, growth: float) -> bool:
    known = norms[np.isfinite(norms) & (norms > 0)][-3:]
    return len(known) > 1 and bool(known[-1] >= growth * known[0])


def _broken(values: Floats) -> Flags:
    """Return where something that was finite is no longer; what was NaN from the start is unknown."""
    if not len(values):
        return np.zeros(values.shape, np.bool_)
    had = np.maximum.accumulate(np.isfinite(values), axis=0)
    return np.isinf(values) | (np.isnan(values) & had)


def _first_bad(
    frames: Frames,
    forward: Floats,
    backward: Floats,
    weights: Flags,
    lost: bool,
) -> tuple[str | None, str, float]:
    """Return layer, what it is in words, and how many entries."""
    network = frames.network
    for site, count in zip(network.sites, forward, strict=True):
        if count > 0:
            return site.layer, f"The activations of {site.layer}", float(count)
    if lost:
        return None, "The loss", 1.0
    for variable, count in reversed([*zip(network.variables, backward, strict=True)]):
        if count > 0:
            return variable.layer, f"The gradient of {variable.path}", float(count)
    for variable, is_bad in zip(network.variables, weights, strict=True):
        if is_bad:
            return variable.layer, f"The weights {variable.path}", math.nan
    return None, "The weights", math.nan


def _logits(frames: Frames) -> Advice | None:
    """Advise to let the loss take logits; None where it does, or is none that could."""
    compiled = frames.network.compiled
    if compiled.from_logits is not False or "crossentropy" not in compiled.loss:
        return None
    name = "".join(part.capitalize() for part in compiled.loss.split("_"))
    return Advice(
        "Let the loss take logits, which needs no logarithm of a probability near 0.",
        f"keras.losses.{name}(from_logits=True)  # and a last layer without an activation function",
    )


def _fastest(frames: Frames, sizes: Floats, least: float) -> str:
    """Return what grew fastest over the last records before, in words."""
    finite = np.where(np.isfinite(sizes) & (sizes > 0), sizes, np.nan)[-3:]
    if len(finite) < 2:
        return ""
    with np.errstate(invalid="ignore", divide="ignore"):
        growth = finite[-1] / finite[0]
    if np.isnan(growth).all() or np.nanmax(growth) < least:
        return ""
    site = frames.network.sites[int(np.nanargmax(growth))]
    return f", after {site.layer} had grown most, {np.nanmax(growth):.2g}-fold within {len(finite)} records"


def _skipping(frames: Frames, steps: int, records: int) -> Iterator[Finding]:
    """Yield that every step is skipped: no loss scale is small enough for the gradients to be finite."""
    skipped = frames.steps["skipped"].to_numpy(np.float64)
    last = int(frames.steps["step"].max()) if len(skipped) else 0
    if len(skipped) < records or last < steps or not (skipped[-records:] == 1).all():
        return
    latest = frames.activations[frames.activations["step"] == last]
    bad = latest.loc[latest["nonfinite_count"] > 0, "layer"].astype(str).tolist()
    yield Finding(
        rule="nan_or_inf",
        statistic="activations.nonfinite_count",
        severity="high",
        layer=bad[0] if bad else None,
        first_step=int(frames.steps["step"].iloc[-records]),
        last_step=last,
        message="Every step is skipped: the gradients are not finite at any loss scale, so that nothing is learnt.",
        evidence=(
            Evidence("steps skipped of the last records", 1.0, 1.0, unit="fraction"),
            Evidence("loss scale", float(frames.steps["loss_scale"].iloc[-1])),
        ),
        advice=those([scale_inputs(frames.network), learning_rate(frames, 0.1, "Take smaller steps.")]),
        layers=tuple(bad[:1]),
    )


def _unrecorded(frames: Frames, steps: NDArray[np.int64]) -> Iterator[Finding]:
    """Yield what the epochs' losses tell where no recorded step shows it."""
    losses = epoch_losses(frames)
    if not len(losses) or not np.isfinite(losses).any() or math.isfinite(losses[-1]):
        return
    last_good = int(np.flatnonzero(np.isfinite(losses))[-1])
    ended = frames.epochs["step"].to_numpy(np.int64)
    seen = steps[steps <= ended[-1]]  # of which all were finite
    begin = max(int(ended[last_good]) + 1, int(seen[-1]) if len(seen) else 0)
    yield Finding(
        rule="nan_or_inf",
        statistic="steps.loss",
        severity="high",
        layer=None,
        first_step=begin,
        last_step=int(ended[-1]),
        message=f"The loss became NaN or infinite at or after step {begin:,}, at a step that was not recorded.",
        evidence=(Evidence("last finite loss of an epoch", float(losses[last_good])),),
        advice=those([learning_rate(frames, 0.1, "Take smaller steps."), clip_gradients(frames)]),
    )
