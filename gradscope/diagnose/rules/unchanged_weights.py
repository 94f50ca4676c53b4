"""Weights that are meant to learn and do not move at all."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from gradscope.diagnose.advice import layer_of, learning_rate, those
from gradscope.diagnose.finding import Advice, Evidence, Finding
from gradscope.diagnose.learning import learning
from gradscope.diagnose.remedy import Remedy
from gradscope.diagnose.rule import rule
from gradscope.diagnose.series import (
    Series,
    judged_kernels,
    latest,
    onsets,
    site_series,
    step_series,
    training_steps,
    variable_series,
)
from gradscope.network import Layer, Variable
from gradscope.store.frames import Frames


@rule(follows=("blocked_gradient", "dying_relu", "saturated_activation", "vanishing_gradient", "nan_or_inf"))
def unchanged_weights(frames: Frames, *, resolution: float = 1e-7, faded: float = 1e-6) -> Iterator[Finding]:
    """Trainable kernels are exactly the same after an update as before, or nothing is trained at all.

    Either no gradient arrives, or it is exactly zero, or the update is below what the number format can add to the
    weight, or the learning rate is zero. The step's operations tell what cuts a kernel off: a function without a
    gradient, an output that no loss uses, a softmax or a normalisation over an axis of one. Weights that Keras does not
    track are never handed to the optimizer. Not judged: batches between two updates of gradient accumulation, a
    learning rate that a schedule holds at zero for a while, and, but for what is cut off, a training that has learnt
    what there is to learn.

    Severity: high where no kernel moves; medium where a part of them does not; low where it has learnt all the same, or
    where layers are frozen.

    What to try: what the message says: a larger learning rate, handing all weights to the optimizer, mending what
    cuts them off.

    Args:
        frames: The run.
        resolution: Relative size below which an update is lost in float32, pure number; half of its last digit.
        faded: Gradient RMS beside the largest of the model's kernels, pure number, below which larger steps would not
            help: the others could not bear them.

    Source:
        Ours.
    """
    yield from _nothing_trainable(frames)
    yield from _forgotten(frames)
    yield from _untracked(frames)
    yield from _frozen(frames)
    compiled = frames.network.compiled
    kernels = judged_kernels(frames.network)
    series = variable_series(frames, kernels)
    state = learning(frames)
    if compiled.accumulation_steps > 1 or not len(series.steps):
        return
    rates = step_series(frames, "learning_rate")
    no_rate = bool((rates == 0).all()) and state.state != "unknown"
    # A schedule may hold the learning rate at zero for a while; one that is zero throughout is no schedule.
    still = (series("update_norm") == 0) & ((rates != 0) | no_rate)[:, None]
    since = onsets(still)
    unmoved = [column for column, onset in enumerate(since) if onset is not None]
    has_learnt = state.state == "learnt"
    if has_learnt:  # what is cut off is lost however well the rest does; what stands still may have arrived
        unmoved = [column for column in unmoved if kernels[column].cut_by or kernels[column].flattened_by]
    if not unmoved:
        return
    every = len(unmoved) == len(kernels)
    why, advice = _reason(frames, series, unmoved, resolution, faded, no_rate=no_rate)
    first = kernels[unmoved[0]]
    others = "" if len(unmoved) == 1 else f" and {len(unmoved) - 1} more"
    yield Finding(
        rule="unchanged_weights",
        statistic="gradients.update_to_weight_ratio",
        severity="low" if has_learnt else "high" if every else "medium",
        layer=first.layer,
        first_step=int(series.steps[min(onset for onset in since if onset is not None)]),
        last_step=int(series.steps[-1]),
        message=f"{first.path}{others} {'does' if len(unmoved) == 1 else 'do'} not move: {why}.",
        evidence=(
            Evidence("kernels that no update changed", float(len(unmoved)), 1.0),
            Evidence("gradient RMS of the first", float(latest(series("rms"))[unmoved[0]])),
            Evidence("learning rate", float(rates[-1])),
        ),
        advice=advice,
        layers=tuple(dict.fromkeys(kernels[column].layer for column in unmoved)),
        irreversible=every and all(kernels[column].cut_by or kernels[column].flattened_by for column in unmoved),
    )


def _forgotten(frames: Frames) -> Iterator[Finding]:
    """Yield the trainable layers whose weights no optimizer is given, as a custom train step may forget them."""
    network = frames.network
    given = {variable.layer for variable in network.variables}
    applied = {site.layer for site in network.sites}
    forgotten: list[str] = [
        layer.key
        for layer in network.layers
        if layer.trainable and layer.key in applied and layer.key not in given and "kernel_initializer" in layer.config
    ]
    steps = training_steps(frames)
    if not forgotten or not given or not len(steps):
        return
    more = f" and {len(forgotten) - 1} more layers" if len(forgotten) > 1 else ""
    yield Finding(
        rule="unchanged_weights",
        severity="high" if learning(frames).failing else "medium",
        layer=forgotten[0],
        first_step=int(steps[0]),
        last_step=int(steps[-1]),
        message=f"The train step gives the optimizer no gradient for {forgotten[0]}{more}: weights stay as drawn.",
        evidence=(Evidence("trainable layers without an update", float(len(forgotten)), 1.0),),
        advice=(
            Advice(
                "Hand all trainable weights to the optimizer, or set trainable = False where they are to stay.",
                "gradients = tape.gradient(loss, self.trainable_weights)\n"
                "self.optimizer.apply(gradients, self.trainable_weights)",
            ),
        ),
        layers=tuple(forgotten),
    )


def _reason(
    frames: Frames, series: Series[Variable], unmoved: list[int], resolution: float, faded: float, *, no_rate: bool
) -> tuple[str, tuple[Advice, ...]]:
    """Return why the first of them does not move, and what to do."""
    first = unmoved[0]
    if no_rate:
        return "the learning rate is 0", those([learning_rate(frames, 1.0, "Set a learning rate.")])
    cut = _cut_off(series.places[first])
    if cut is not None:
        return cut[0], (Advice(cut[1]),)
    if latest(series("connected"))[first] == 0:
        return "the loss does not depend on it", (
            Advice("Look for what cuts them off: a function without slope, or an output that no loss uses."),
        )
    if latest(series("zero_fraction"))[first] == 1:
        why, what = _zero_behind(frames, series, first)
        return f"its gradient is exactly 0{why}", (Advice(what),)
    # For plain gradient descent the update is this product; optimizers that rescale make no smaller one of it.
    update = float(step_series(frames, "learning_rate")[-1] * latest(series("norm"))[first])
    if update < resolution * latest(series("weight_norm"))[first]:
        sizes = latest(series("rms"))
        if sizes[first] < faded * np.nanmax(sizes):
            layer = layer_of(frames.network, series.places[first].layer)
            return "next to no gradient arrives", those([_restored(layer)])
        why = "its updates are smaller than the last digit of the weights"
        return why, those([learning_rate(frames, 100.0, "Take larger steps.")])
    return "no update reaches it", (Advice("See whether a callback or a constraint puts the weights back."),)


def _cut_off(variable: Variable) -> tuple[str, str] | None:
    """Return what cuts a kernel off from the loss, and what to do; None where nothing does that its step shows."""
    if variable.cut_by == "unused":
        return "no loss depends on it", "Add a loss for what it computes, lead its output to one, or leave it out."
    if variable.cut_by:
        said = "Leave it out where these weights are to learn, or use a function with a slope in its place."
        return f"{variable.cut_by} lets no gradient through", said
    if "softmax" in variable.flattened_by:
        said = "A softmax over one entry is always 1: let it run over the entries to choose from, or use a sigmoid."
        return f"its gradient is 0 whatever comes in, for {variable.flattened_by}", said
    if "over an axis of 1" in variable.flattened_by:
        said = "What is normalised over one entry is always the same: normalise over more, or leave it out."
        return f"its gradient is 0 whatever comes in, for {variable.flattened_by}", said
    if variable.flattened_by:
        said = "Use a smooth function, such as tanh, in place of one that is flat wherever it has a slope at all."
        return f"its gradient is 0 whatever comes in, for {variable.flattened_by} is flat", said
    return None


def _zero_behind(frames: Frames, series: Series[Variable], first: int) -> tuple[str, str]:
    """Return what behind a kernel makes its gradient exactly 0, as far as the numbers tell, and what to do."""
    network = frames.network
    order = {layer.key: layer.order for layer in network.layers}
    at = order.get(series.places[first].layer, -1)
    norms = latest(series("weight_norm"))
    for column, variable in enumerate(series.places):
        if order.get(variable.layer, -1) > at and norms[column] == 0:
            said = f"Draw the weights of {variable.layer} instead of beginning at 0: nothing passes back through zeros."
            return f", for all weights of {variable.layer} behind it are 0", said
    sites = [site for site in network.sites if order.get(site.layer, -1) >= at and not site.is_output]
    seen = site_series(frames, sites)
    if sites and len(seen.steps):
        dead, flat = latest(seen("dead_unit_fraction")), latest(seen("saturated_fraction"))
        for column, site in enumerate(sites):
            if dead[column] == 1:
                said = f"Bring the units of {site.layer} back: see what killed them."
                return f", for all units of {site.layer} are dead", said
            if flat[column] == 1:
                return f", for {site.layer} is saturated everywhere", f"Make what goes into {site.layer} smaller."
    return "", "Look for dead units or saturated functions behind them; a zero kernel behind them does the same."


def _nothing_trainable(frames: Frames) -> Iterator[Finding]:
    """Yield that there is no weight to train: all layers are frozen, or none has any."""
    network = frames.network
    steps = training_steps(frames)
    is_partial = any("gradients" in missed.name for missed in network.not_measured)
    if network.variables or is_partial or not network.layers or not len(steps):
        return
    frozen = [layer.key for layer in network.layers if not layer.trainable and _has_kernel(layer)]
    applied = [layer.key for layer in network.layers if _has_kernel(layer)]
    if applied and len(frozen) < len(applied):
        return  # they are trainable, and the step was not seen to train them
    said = "No layer has weights, so that nothing can be learnt."
    if frozen:
        more = f" and {len(frozen) - 1} more" if len(frozen) > 1 else ""
        said = f"No weight is trained: {frozen[0]}{more} had trainable=False when the model was compiled."
    what = "Set trainable = True, then compile once more: what is trained is settled by compile."
    yield Finding(
        rule="unchanged_weights",
        severity="high",
        layer=frozen[0] if frozen else None,
        first_step=int(steps[0]),
        last_step=int(steps[-1]),
        message=said,
        evidence=(Evidence("trainable weights", 0.0, 1.0, above=False),),
        advice=(
            Advice(what, "model.trainable = True  # then model.compile(...)", Remedy("trainable", tuple(frozen)))
            if frozen
            else Advice("Add layers."),
        ),
        layers=tuple(frozen),
        irreversible=True,
    )


def _has_kernel(layer: Layer) -> bool:
    return any(name in layer.config for name in ("kernel_initializer", "embeddings_initializer"))


def _untracked(frames: Frames) -> Iterator[Finding]:
    """Yield the weights that the step uses and that nobody trains, for Keras does not know of them."""
    network, steps, state = frames.network, training_steps(frames), learning(frames)
    if not network.untracked or not len(steps):
        return
    first = network.untracked[0]
    more = f" and {len(network.untracked) - 1} more" if len(network.untracked) > 1 else ""
    where = f" of {first.layer}" if first.layer else ""
    yield Finding(
        rule="unchanged_weights",
        severity="high" if state.failing else "low" if state.state == "learnt" else "medium",
        layer=first.layer or None,
        first_step=int(steps[0]),
        last_step=int(steps[-1]),
        message=f"{first.path}{where}{more} will never be trained: Keras does not track them as weights.",
        evidence=(
            Evidence("variables in use that no optimizer is given", float(len(network.untracked)), 1.0),
            Evidence("numbers in them", float(sum(math.prod(each.shape) for each in network.untracked))),
        ),
        advice=(
            Advice(
                "Make weights by self.add_weight in the layer, instead of tf.Variable, which Keras does not track.",
                remedy=Remedy("code", tuple(dict.fromkeys(each.layer for each in network.untracked if each.layer))),
            ),
        ),
        layers=tuple(dict.fromkeys(each.layer for each in network.untracked if each.layer)),
    )


def _frozen(frames: Frames) -> Iterator[Finding]:
    """Yield, where the training fails, which layers are frozen: on purpose or not, only its maker knows."""
    network, steps = frames.network, training_steps(frames)
    frozen = [layer.key for layer in network.layers if not layer.trainable and _has_kernel(layer)]
    if not frozen or not network.variables or not len(steps) or not learning(frames).failing:
        return
    more = f" and {len(frozen) - 1} more layers" if len(frozen) > 1 else ""
    yield Finding(
        rule="unchanged_weights",
        severity="low",
        layer=frozen[0],
        first_step=int(steps[0]),
        last_step=int(steps[-1]),
        message=f"{frozen[0]}{more} had trainable=False when the model was compiled, and stay as they are.",
        evidence=(Evidence("layers that are frozen", float(len(frozen)), 1.0),),
        advice=(
            Advice(
                "Unfreeze them if they are to learn, and compile once more.",
                "model.trainable = True  # then compile",
                Remedy("trainable", tuple(frozen)),
            ),
        ),
        layers=tuple(frozen),
    )


def _restored(layer: Layer | None) -> Advice:
    """Advise what brings the gradient back to a layer."""
    if layer is None or "recurrent_initializer" not in layer.config:
        return Advice("Look for where the gradient fades on its way back: larger steps would not help here.")
    said = "The gradient fades on its way back through the time steps"
    if layer.class_name != "SimpleRNN":
        return Advice(f"{said}. Shorten the sequences, or let the layer pass on every step's output.")
    return Advice(
        f"{said}. Use a layer with gates, which can keep what it saw.", f"keras.layers.LSTM({layer.config['units']})"
    )
