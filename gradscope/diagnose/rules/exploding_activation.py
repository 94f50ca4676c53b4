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
from gradscope.diagnose.series import Floats, first_known, hidden_sites, latest, median, onsets, site_series
from gradscope.network import Network, Site
from gradscope.store.frames import Frames

_LARGEST = {"float16": 65504.0}  # of bfloat16 and float32: 3.4e38
_LARGEST_FLOAT32 = 3.4e38


@rule(follows=("poor_initialisation", "update_ratio"), before_training=True)
def exploding_activation(
    frames: Frames, *, growth: float = 1e3, range_share: float = 0.1, depth: float = 1e3, loop: float = 1e3
) -> Iterator[Finding]:
    """Activations of a hidden layer have grown a thousandfold, or come near the largest number of their type.

    Functions without an upper end pass on what comes in, so that growing weights multiply from layer to layer. Large
    activations make large gradients, and in half precision they soon are infinite. What grows from layer to layer, or
    from step to step of a sequence, may be so from the first batch on, without any growth over time.

    Severity: high where the training fails or the number format is nearly used up; low where it learns; else medium.

    What to try: normalisation; a smaller learning rate; clipping.

    Args:
        frames: The run.
        growth: RMS of the activations over that of the first three records, pure number; healthy layers grow tenfold.
        depth: RMS of a layer over that of the first hidden one, pure number, from the first record on; a stack whose
            weights suit its functions keeps it within a decade. Told only where the training does not learn.
        loop: RMS of a recurrent layer without an upper end, pure number; one that holds what it has seen of inputs of
            unit size stays within two decades. Told only where the training does not learn.
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
        along = rms / _first_size(rms)[:, None]
    is_large = (grown >= growth) | (used >= range_share)
    if state.failing or state.state == "unknown":
        in_loops = np.array([_is_open_loop(frames.network, site) for site in sites])
        is_large |= (along >= depth) | (in_loops & (rms >= loop))
    since = onsets(is_large, need=min(3, len(series.steps)))
    large = [column for column, onset in enumerate(since) if onset is not None]
    if not large:
        return
    growths, shares = latest(grown), latest(used)
    at_limit = shares[large].max() >= range_share
    has_grown = bool(np.nanmax(growths[large], initial=0.0) >= growth)
    sizes = shares if at_limit else growths if has_grown else latest(rms)
    worst = large[int(np.nanargmax(np.nan_to_num(sizes[large], nan=-1.0)))]
    site, exploding = sites[worst], tuple(dict.fromkeys(sites[column].layer for column in large))
    size = f"{times(float(growths[worst]))} what they were at the start"
    if not has_grown:
        size = f"{latest(rms)[worst]:.2g} in size, {times(float(latest(along)[worst]))} those of the first layer"
        if not latest(along)[worst] >= depth:
            size = f"{latest(rms)[worst]:.2g} in size: they grow from step to step of the sequence"
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
            Evidence(
                "RMS over that of the first records", growths[worst], growth if has_grown and not at_limit else math.nan
            ),
            Evidence("RMS over that of the first layer", latest(along)[worst], depth if not has_grown else math.nan),
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


def _first_size(rms: Floats) -> Floats:
    """Return the size of the first layer that puts out anything, by record; NaN where none does."""
    some = np.where(rms > 0, rms, np.nan)
    firsts = [first_known(row) for row in some]
    return np.array(firsts)


def _is_open_loop(network: Network, site: Site) -> bool:
    """Return whether a site is of a recurrent layer whose state has no upper end."""
    layer = layer_of(network, site.layer)
    if layer is None or "recurrent_initializer" not in layer.config:
        return False
    return str(layer.config.get("activation")) not in ("tanh", "sigmoid", "hard_sigmoid", "softsign")


def _largest(network: Network, site: Site) -> float:
    layer = layer_of(network, site.layer)
    policy = layer.dtype if layer is not None else network.compiled.dtype_policy
    return _LARGEST.get(policy.removeprefix("mixed_"), _LARGEST_FLOAT32)
