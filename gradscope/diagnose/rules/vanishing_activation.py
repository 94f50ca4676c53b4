"""All samples look alike to a layer: the signal of the input has faded on its way forward."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from gradscope.diagnose.advice import another_function, another_initialiser, normalise, residual, those
from gradscope.diagnose.depth import passable, times, unnormalised_groups, weighted_layers
from gradscope.diagnose.finding import Evidence, Finding
from gradscope.diagnose.learning import learning
from gradscope.diagnose.rule import rule
from gradscope.diagnose.series import latest, onsets, site_series, spread_over_samples
from gradscope.store.frames import Frames


@rule(follows=("dying_relu", "poor_initialisation"), before_training=True)
def vanishing_activation(frames: Frames, *, ratio: float = 1e-3, alike: float = 1e-5) -> Iterator[Finding]:
    """The spread of a layer's activations over samples is next to nothing beside that of earlier layers.

    A layer whose output hardly differs from sample to sample carries no information about the input, whatever its mean
    is; the layers behind it can only answer with a constant. Named only while the training fails.

    Severity: high. What the network answers no longer depends on its input.

    What to try: the initialiser that suits the function, in all layers before; a function without a slope that shrinks;
    normalisation; residual connections.

    Args:
        frames: The run.
        ratio: Spread over samples beside the largest of earlier layers, pure number; normalised layers stay within two
            decades of one another.
        alike: The same beside the layer's own RMS, pure number; differences below it drown in float32's rounding.

    Source:
        Schoenholz, Gilmer, Ganguli and Sohl-Dickstein, ICLR 2017; the threshold is ours.
    """
    state = learning(frames)
    weighted = weighted_layers(frames.network)
    if not state.failing:
        return
    series = site_series(frames, [layer.site for layer in weighted])
    spread = spread_over_samples(frames, series)
    before = np.full_like(spread, np.nan)
    for group in unnormalised_groups(frames.network, weighted):
        earlier = np.fmax.accumulate(passable(weighted, spread)[:, group], axis=1)
        before[:, group[1:]] = earlier[:, :-1]
    since = onsets((spread < ratio * before) | (spread <= alike * series("rms")))
    faded = [column for column, onset in enumerate(since) if onset is not None]
    if not faded:
        return
    first = faded[0]
    site = weighted[first].site
    left = _ratio(latest(spread)[first], latest(before)[first])
    own = _ratio(latest(spread)[first], latest(series("rms"))[first])
    how = f"vary {times(1 / left)} less than those before it" if 0 < left < ratio else "hardly vary at all"
    layers = tuple(weighted[column].site.layer for column in faded)
    network, through = frames.network, [layer.site.layer for layer in weighted]
    yield Finding(
        rule="vanishing_activation",
        statistic="activations.sample_std",
        severity="high",
        layer=site.layer,
        first_step=int(series.steps[min(onset for onset in since if onset is not None)]),
        last_step=int(series.steps[-1]),
        message=f"All samples look alike from {site.layer} on: its activations {how}.",
        evidence=(
            Evidence("spread over samples beside earlier layers", left, ratio, above=False)
            if left < ratio
            else Evidence("spread over samples beside the layer's RMS", own, alike, above=False),
            *state.evidence(),
        ),
        advice=those(
            [
                another_initialiser(network, through),
                normalise(network, layers),
                residual(network, layers),
                another_function(network, layers, "relu", f"Use a function that shrinks less than {site.activation}."),
            ]
        ),
        layers=layers,
    )


def _ratio(spread: float, beside: float) -> float:
    """Return ``spread`` over what it is held against; 0 where there is none at all."""
    return float(spread / beside) if spread else 0.0
