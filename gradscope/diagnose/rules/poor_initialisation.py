"""Weights drawn such that the signal fades or grows from layer to layer, or that units are copies of one another."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from gradscope.diagnose.advice import (
    another_initialiser,
    initialiser_of,
    layer_of,
    normalise,
    scale_inputs,
    those,
)
from gradscope.diagnose.depth import Weighted, passable, times, unnormalised_groups, weighted_layers
from gradscope.diagnose.finding import Evidence, Finding, Severity
from gradscope.diagnose.learning import learning
from gradscope.diagnose.rule import rule
from gradscope.diagnose.series import Floats, latest, site_series, spread_over_samples
from gradscope.network import Network
from gradscope.store.frames import Frames

_CONSTANT = frozenset({"zeros", "ones", "constant"})


@rule(before_training=True, figure="heatmap")
def poor_initialisation(
    frames: Frames, *, spread: float = 100.0, until: float = 10.0, difference: float = 3e-3, large: float = 10.0
) -> Iterator[Finding]:
    """The first steps show that the weights were drawn badly.

    The spread of the activations over samples should stay about the same through the layers: where it shrinks or grows
    from layer to layer, so does the gradient. Units that start as copies of one another get the same gradient and stay
    copies, so that a layer of any width counts as one unit.

    Severity: medium while the training fails, or before it has begun, and where units stay copies; else low.

    What to try: random weights from the initialiser that suits the function, in all layers; inputs of unit scale, where
    it is they that are large.

    Args:
        frames: The run.
        spread: Largest spread over samples along depth over the smallest, pure number; two decades.
        until: Steps that count as the beginning, steps.
        difference: Spread between the means of units over the whole spread, pure number; copies differ by rounding,
            the root of some 1e-6.
        large: Spread of the first layer's activations from which the inputs are to be scaled first, pure number; an
            initialiser that suits hands on the spread that comes in, and that of scaled inputs is one.

    Source:
        Glorot and Bengio, AISTATS 2010; He et al., ICCV 2015; the thresholds are ours.
    """
    weighted = weighted_layers(frames.network)
    series = site_series(frames, [layer.site for layer in weighted])
    early = series.steps <= until
    if not early.any() or not weighted:
        return
    state = learning(frames)
    has_begun = len(series.steps) > 1
    severity: Severity = "medium" if state.failing or not has_begun else "low"
    at = int(series.steps[early][0]), int(series.steps[early][-1])
    over_samples, whole = spread_over_samples(frames, series), series("std")
    passed = passable(weighted, over_samples)
    copies = _copies(frames.network, weighted, over_samples, whole, difference)
    if copies:
        yield _identical_units(frames.network, weighted, copies, (at[0], int(series.steps[-1])))
        return
    # Both as drawn and in the median of the beginning: a batch may be odd, and a step may throw the weights about.
    drawn, beginning = passed[early][0], latest(passed[early], int(early.sum()))
    for part in unnormalised_groups(frames.network, weighted):
        if _unevenness(drawn[part]) >= spread:
            layers = tuple(weighted[column] for column in part)
            yield from _uneven(frames.network, layers, beginning[part], (spread, large), severity, at)


def _copies(
    network: Network, weighted: tuple[Weighted, ...], over_samples: Floats, whole: Floats, difference: float
) -> list[int]:
    """Return the layers whose units are copies of one another, and stay so.

    The variance of all entries is that over samples plus that between the means of units. The latter vanishes for
    copies; behind a normalisation it may vanish for others too, so the initialiser has to be constant as well.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        between = np.sqrt(np.maximum(whole**2 - over_samples**2, 0)) / whole
    same = (latest(between) < difference) | (latest(whole) == 0)
    found: list[int] = []
    for column, layer in enumerate(weighted):
        config = layer_of(network, layer.site.layer)
        is_constant = config is not None and initialiser_of(config) in _CONSTANT
        if layer.site.units > 1 and is_constant and same[column]:
            found.append(column)
    return found


def _identical_units(
    network: Network, weighted: tuple[Weighted, ...], copies: list[int], at: tuple[int, int]
) -> Finding:
    site = weighted[copies[0]].site
    layers = tuple(weighted[column].site.layer for column in copies)
    others = "" if len(copies) == 1 else f", as in {len(copies) - 1} more layers"
    return Finding(
        rule="poor_initialisation",
        severity="medium",
        layer=site.layer,
        first_step=at[0],
        last_step=at[1],
        message=f"All {site.units} units of {site.layer} compute the same{others}: they were given the same weights.",
        evidence=(Evidence("units that are copies of one another", float(site.units), 2.0),),
        advice=those([another_initialiser(network, layers)]),
        layers=layers,
    )


def _unevenness(spreads: Floats) -> float:
    """Return the largest spread over the smallest; branches that begin at zero, as they may, left out."""
    known = spreads[spreads > 0]
    return float(known.max() / known.min()) if len(known) else 1.0


def _uneven(
    network: Network,
    weighted: tuple[Weighted, ...],
    spreads: Floats,
    limits: tuple[float, float],
    severity: Severity,
    at: tuple[int, int],
) -> Iterator[Finding]:
    """Yield a finding where the spread over samples changes along depth by more than the first limit."""
    limit, large = limits
    known = [column for column in range(len(weighted)) if spreads[column] > 0]  # a branch may begin at zero by right
    if len(known) < 3:
        return
    values = spreads[known]
    ratio = _unevenness(spreads)
    if ratio < limit:
        return
    grows = int(np.argmax(values)) > int(np.argmin(values))
    far = known[int(np.argmax(values) if grows else np.argmin(values))]
    other = weighted[known[int(np.argmin(values) if grows else np.argmax(values))]].site.layer
    site = weighted[far].site
    # From where on the signal is nearer to the far end than to the other, on a logarithmic scale.
    middle = float(np.sqrt(values.max() * values.min()))
    changed = tuple(weighted[column].site.layer for column in known if (spreads[column] > middle) == grows)
    yield Finding(
        rule="poor_initialisation",
        statistic="activations.sample_std",
        severity=severity,
        layer=changed[0],
        first_step=at[0],
        last_step=at[1],
        message=f"As the weights were drawn, the signal {'grows' if grows else 'fades'} on its way through the layers: "
        f"at {site.layer} it is {times(ratio)} {'larger' if grows else 'smaller'} than at {other}.",
        evidence=(Evidence("spread over samples, largest over smallest along depth", ratio, limit),),
        advice=those(
            [
                scale_inputs(network) if values[0] >= large else None,
                another_initialiser(network, [layer.site.layer for layer in weighted]),
                normalise(network, changed),
            ]
        ),
        layers=changed,
    )
