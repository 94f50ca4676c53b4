"""Embeddings or a generator whose answers have become all alike."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np

from gradscope.diagnose.finding import Advice, Evidence, Finding
from gradscope.diagnose.learning import learning
from gradscope.diagnose.rule import rule
from gradscope.diagnose.series import latest, onsets, site_series, spread_over_samples, step_series
from gradscope.network import Network, Site
from gradscope.store.frames import Frames


@rule(
    follows=("dying_relu", "vanishing_activation", "saturated_activation", "update_ratio"), explains=("not_converging",)
)
def collapsed_output(
    frames: Frames, *, spread: float = 1e-2, lost: float = 10.0, varied: float = 5e-2, steps: float = 50
) -> Iterator[Finding]:
    """What a network puts out was different from sample to sample, and has become the same for all.

    A loss of one's own may be content with that: a triplet loss stands at its margin, a generator has found the one
    picture that its opponent believes. Judged are outputs of several units of a model for whose loss no constant answer
    is known; for the others, that they are no better than one says the loss itself.

    Severity: high where the training fails; else medium, for whatever is built on these answers is lost.

    What to try: smaller steps; harder samples or a larger margin for embeddings, which must differ to begin with; for a
    generator a weaker or a slower opponent.

    Args:
        frames: The run.
        spread: Spread over samples of the output over its root mean square, pure number; of trained embeddings and
            pictures it is above a tenth.
        lost: How many times smaller it has become, pure number; what was alike from the start has not collapsed.
        varied: The same ratio of a layer before it, pure number, from which on the samples themselves do differ.
        steps: Steps before which nothing is said, steps: a generator begins with grey.

    Source:
        Schroff, Kalenichenko and Philbin, CVPR 2015, of embeddings; Salimans et al., NeurIPS 2016, of generators; the
        criteria are ours.
    """
    state = learning(frames)
    has_baseline = not math.isnan(float(np.nanmax(step_series(frames, "baseline_loss"), initial=-math.inf)))
    if state.last_step < steps or (has_baseline and np.isfinite(step_series(frames, "baseline_loss")).any()):
        return
    ends = _ends(frames.network)
    series = site_series(frames, frames.network.sites)
    if not ends or not len(series.steps):
        return
    with np.errstate(invalid="ignore", divide="ignore"):
        rms = series("rms")
        share = spread_over_samples(frames, series) / np.where(rms > 0, rms, np.nan)
    share = np.where(rms == 0, 0.0, share)  # all answers are 0
    now, largest = latest(share), np.fmax.reduce(share, axis=0)
    since = onsets(share < spread)
    for column in ends:
        onset, before = since[column], now[: ends[0]] if column == ends[0] else now[:column]
        has_lost = largest[column] >= lost * max(now[column], spread / lost)
        if onset is None or not has_lost or not (len(before) and np.nanmax(before, initial=0.0) >= varied):
            continue
        site = frames.network.sites[column]
        yield Finding(
            rule="collapsed_output",
            statistic="activations.sample_std",
            severity="high" if state.failing else "medium",
            layer=site.layer,
            first_step=int(series.steps[onset]),
            last_step=state.last_step,
            message=f"{site.layer} puts out the same for all samples: their spread is {100 * now[column]:.2g}% of its "
            f"size, and was {100 * largest[column]:.2g}%.",
            evidence=(
                Evidence("spread over samples over the RMS of the output", now[column], spread, above=False),
                Evidence("its largest before", largest[column], lost * now[column]),
            ),
            advice=(
                Advice("Take smaller steps, so that the answers stay apart while they are drawn to where they belong."),
                Advice("Give embeddings harder samples or a larger margin; give a generator a weaker opponent."),
            ),
            layers=(site.layer,),
        )


def _ends(network: Network) -> list[int]:
    """Return the sites, by number, at which the model or a model inside of it ends with several units."""
    last: dict[str, int] = {}
    for number, site in enumerate(network.sites):
        last[site.layer.partition("/")[0] if "/" in site.layer else ""] = number
    ends = {number for number, site in enumerate(network.sites) if site.is_output} | {*_inner(last, network.sites)}
    return [number for number in sorted(ends) if network.sites[number].units > 1]


def _inner(last: dict[str, int], sites: Sequence[Site]) -> Iterator[int]:
    for number in last.values():
        profile = sites[number].profile
        if profile is None or profile.elementwise:  # of a softmax the entries are bound to one another
            yield number
