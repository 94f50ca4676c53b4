"""Bounded functions driven into their flat ends, where they pass no gradient on."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from gradscope.diagnose.advice import (
    another_function,
    another_initialiser,
    learning_rate,
    normalise,
    scale_inputs,
    those,
)
from gradscope.diagnose.finding import Evidence, Finding
from gradscope.diagnose.learning import learning, severity_of_loss
from gradscope.diagnose.rule import rule
from gradscope.diagnose.series import (
    applications,
    hidden_sites,
    in_all,
    is_bounded,
    judged_kernels,
    latest,
    onsets,
    site_series,
)
from gradscope.store.frames import Frames


@rule(follows=("poor_initialisation", "exploding_activation", "update_ratio"))
def saturated_activation(
    frames: Frames, *, fraction: float = 0.7, units: float = 0.5, start: float = 10
) -> Iterator[Finding]:
    """Most entries of a hidden layer lie in the flat ends of its function.

    Functions such as sigmoid and tanh are flat at both ends: there the slope is less than a twentieth of its largest,
    and the gradient that passes shrinks accordingly. A layer that is saturated on nearly all samples has become a
    constant. Judged are hidden layers whose function is bounded on both sides; at the output a confident answer is
    saturated by right, and half of a ReLU is flat by design.

    Severity: high while the training fails, and where most of the hidden layers were so from the start and most of what
    there is to learn is left; low where the network has learnt, most layers are not saturated, and the units of those
    that are still tell samples apart; else medium: these layers learn next to nothing, whatever the others do.

    What to try: inputs of unit scale; the initialiser that suits the function, in all such layers; a smaller learning
    rate, where they became so in training; normalisation before the function; a function without an upper end.

    Args:
        frames: The run.
        fraction: Share of entries in the tails, fraction; tanh nets that learn well are seen at half of that.
        units: Share of units that stay in one tail on all samples, fraction; half of the layer is then constant.
        start: Steps by which a layer that is saturated was so from the start, steps; the inputs or the weights are too
            large then, not the learning rate.

    Source:
        Glorot and Bengio, AISTATS 2010; the tails by slope and the shares are ours.
    """
    bounded = [site for site in hidden_sites(frames.network) if is_bounded(site)]
    groups = applications(frames.network, bounded)
    sites, series = [bounded[group[0]] for group in groups], site_series(frames, bounded)
    shares, stuck = in_all(series("saturated_fraction"), groups), in_all(series("stuck_unit_fraction"), groups)
    since = onsets((shares >= fraction) | (stuck >= units))
    flat = [column for column, onset in enumerate(since) if onset is not None]
    if not flat:
        return
    share, constant = latest(shares), latest(stuck)
    worst = flat[int(np.nanargmax(share[flat]))] if not np.isnan(share[flat]).all() else flat[0]
    site, layers = sites[worst], tuple(dict.fromkeys(sites[column].layer for column in flat))
    low, high = (latest(in_all(series(f"saturated_{end}_fraction"), groups))[worst] for end in ("low", "high"))
    tail = "the lower end" if low > 4 * high else "the upper end" if high > 4 * low else "one end or the other"
    by_entries = bool(share[worst] >= fraction)
    limits = (fraction, math.nan) if by_entries else (math.nan, units)
    what = f"{100 * share[worst]:.0f}% of the entries"
    if not by_entries:
        what = f"On every sample {100 * constant[worst]:.0f}% of the units"
    onset = since[worst]
    at_once = onset is not None and int(series.steps[onset]) <= start
    on_inputs = at_once and site.layer == next((v.layer for v in judged_kernels(frames.network)), None)
    state = learning(frames)
    others = "" if len(layers) == 1 else f" ({len(layers)} layers are saturated)"
    early = sum(onset is not None and int(series.steps[onset]) <= start for onset in since)
    severity = severity_of_loss(state, early, len(sites), from_start=at_once)
    if state.state == "learnt" and 2 * len(flat) <= len(sites) and not (constant[flat] >= units).any():
        severity = "low"
    network, why = frames.network, f"Use a function without an upper end instead of {site.activation}."
    yield Finding(
        rule="saturated_activation",
        statistic="activations.saturated_fraction",
        severity=severity,
        layer=site.layer,
        first_step=int(series.steps[min(onset for onset in since if onset is not None)]),
        last_step=int(series.steps[-1]),
        message=f"{what} of {site.layer} lie at {tail} of {site.activation}, where it has next to no slope{others}.",
        evidence=(
            Evidence("saturated entries", share[worst], limits[0], unit="fraction"),
            Evidence("units in one tail on every sample", constant[worst], limits[1], unit="fraction"),
            *state.evidence(),
        ),
        advice=those(
            [
                scale_inputs(network) if on_inputs else None,
                another_initialiser(network, layers) if at_once else None,
                None if at_once else learning_rate(frames, 0.1, "Take smaller steps, which push no unit so far out."),
                normalise(network, layers),
                another_function(network, layers, "relu", why),
                None if at_once else another_initialiser(network, layers),
            ]
        ),
        layers=layers,
    )
