"""Activations that grow out of all proportion, towards the end of what the number format holds."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from gradscope.diagnose.advice import clip_gradients, layer_of, learning_rate, normalise, those
from gradscope.diagnose.depth import times
from gradscope.diagnose.finding import Evidence, Finding
from gradscope.diagnose.learning import learning
from gradscope.diagnose.rule import rule
from gradscope.diagnose.series import hidden_sites, latest, median, onsets, site_series
from gradscope.network import Network, Site
from gradscope.store.frames import Frames

_LARGEST = {"float16": 65504.0}  # of bfloat16 and float32: 3.4e38
_LARGEST_FLOAT32 = 3.4e38


@rule(follows=("poor_initialisation", "update_ratio"), before_training=True)
def exploding_activation(frames: Frames, *, growth: float = 1e3, range_share: float = 0.1) -> Iterator[Finding]:
    """Activations of a hidden layer have grown a thousandfold, or come near the largest number of their type.

    Functions without an upper end pass on what comes in, so that growing weights multiply from layer to layer. Large
    activations make large gradients, and in half precision they soon are infinite.

    Severity: high where the training fails or the number format is nearly used up; low where it learns; else medium.

    What to try: normalisation; a smaller learning rate; clipping.

    Args:
        frames: The run.
        growth: RMS of the activations over that of the first three records, pure number; healthy layers grow tenfold.
        range_share: Largest activation over the largest number of the layer's type, pure number: one decade is left.

    Source:
        Ours.
    """
    sites = hidden_sites(frames.network)
    series = site_series(frames, sites)
    if not len(series.steps) or not sites:
        return
    state = learning(frames)
    rms, largest = series("rms"), series("abs_max")
    first = np.array([median(rms[:3, column]) for column in range(len(sites))])
    # A branch that begins at zero has nothing to grow from: hold it against what the others began with.
    base = np.fmax(first, median(first))
    with np.errstate(invalid="ignore", divide="ignore"):
        grown = rms / np.where(base > 0, base, np.nan)
        used = largest / np.array([_largest(frames.network, site) for site in sites])
    since = onsets((grown >= growth) | (used >= range_share))
    large = [column for column, onset in enumerate(since) if onset is not None]
    if not large:
        return
    growths, shares = latest(grown), latest(used)
    at_limit = shares[large].max() >= range_share
    worst = large[int(np.nanargmax(shares[large] if at_limit else growths[large]))]
    site, exploding = sites[worst], tuple(dict.fromkeys(sites[column].layer for column in large))
    size = f"{times(float(growths[worst]))} what they were at the start"
    if at_limit:
        size = f"up to {latest(largest)[worst]:.2g}, close to the largest number that their type holds"
    yield Finding(
        rule="exploding_activation",
        statistic="activations.rms",
        severity="high" if at_limit or state.failing else "medium" if state.state == "unknown" else "low",
        layer=site.layer,
        first_step=int(series.steps[min(onset for onset in since if onset is not None)]),
        last_step=int(series.steps[-1]),
        message=f"The activations of {site.layer} have become {size}.",
        evidence=(
            Evidence("RMS over that of the first records", growths[worst], math.nan if at_limit else growth),
            Evidence("largest over what the type holds", shares[worst], range_share if at_limit else math.nan),
        ),
        advice=those(
            [
                normalise(frames.network, exploding),
                learning_rate(frames, 0.1, "Take smaller steps."),
                clip_gradients(frames),
            ]
        ),
        layers=exploding,
    )


def _largest(network: Network, site: Site) -> float:
    layer = layer_of(network, site.layer)
    policy = layer.dtype if layer is not None else network.compiled.dtype_policy
    return _LARGEST.get(policy.removeprefix("mixed_"), _LARGEST_FLOAT32)
