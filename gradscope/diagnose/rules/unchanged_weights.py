"""Weights that are meant to learn and do not move at all."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from gradscope.diagnose.advice import layer_of, learning_rate, those
from gradscope.diagnose.finding import Advice, Evidence, Finding
from gradscope.diagnose.learning import learning
from gradscope.diagnose.rule import rule
from gradscope.diagnose.series import (
    Series,
    judged_kernels,
    latest,
    onsets,
    step_series,
    training_steps,
    variable_series,
)
from gradscope.network import Layer, Variable
from gradscope.store.frames import Frames


@rule(follows=("blocked_gradient", "dying_relu", "saturated_activation", "vanishing_gradient", "nan_or_inf"))
def unchanged_weights(frames: Frames, *, resolution: float = 1e-7, faded: float = 1e-6) -> Iterator[Finding]:
    """Trainable kernels are exactly the same after an update as before.

    Either no gradient arrives, or it is exactly zero, or the update is below what the number format can add to the
    weight, or the learning rate is zero. Not judged: batches between two updates of gradient accumulation, a learning
    rate that a schedule holds at zero for a while, and a training that has learnt what there is to learn.

    Severity: high where no kernel moves; medium where a part of them does not.

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
    yield from _forgotten(frames)
    compiled = frames.network.compiled
    kernels = judged_kernels(frames.network)
    series = variable_series(frames, kernels)
    state = learning(frames)
    if compiled.accumulation_steps > 1 or state.state == "learnt" or not len(series.steps):
        return
    rates = step_series(frames, "learning_rate")
    no_rate = bool((rates == 0).all()) and state.state != "unknown"
    # A schedule may hold the learning rate at zero for a while; one that is zero throughout is no schedule.
    still = (series("update_norm") == 0) & ((rates != 0) | no_rate)[:, None]
    since = onsets(still)
    unmoved = [column for column, onset in enumerate(since) if onset is not None]
    if not unmoved:
        return
    every = len(unmoved) == len(kernels)
    why, advice = _reason(frames, series, unmoved, resolution, faded, no_rate=no_rate)
    first = kernels[unmoved[0]]
    others = "" if len(unmoved) == 1 else f" and {len(unmoved) - 1} more"
    yield Finding(
        rule="unchanged_weights",
        statistic="gradients.update_to_weight_ratio",
        severity="high" if every else "medium",
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
    if latest(series("connected"))[first] == 0:
        return "the loss does not depend on it", (
            Advice("Look for what cuts them off: a function without slope, or an output that no loss uses."),
        )
    if latest(series("zero_fraction"))[first] == 1:
        return "its gradient is exactly 0", (
            Advice("Look for dead units or saturated functions behind them; a zero kernel behind them does the same."),
        )
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
