"""Units that are zero for every sample, and so cannot learn any more."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from gradscope.diagnose.advice import (
    another_function,
    another_initialiser,
    another_output,
    learning_rate,
    normalise,
    those,
)
from gradscope.diagnose.finding import Advice, Evidence, Finding, Severity
from gradscope.diagnose.learning import learning, severity_of_loss
from gradscope.diagnose.rule import rule
from gradscope.diagnose.series import (
    Floats,
    applications,
    final_series,
    first_known,
    in_all,
    is_rectifier,
    last_known,
    latest,
    onsets,
    site_series,
    without_gradient,
)
from gradscope.network import Site
from gradscope.store.frames import Frames


@rule(follows=("update_ratio", "exploding_gradient"), before_training=True, figure="units")
def dying_relu(
    frames: Frames,
    *,
    growth: float = 0.15,
    floor: float = 0.25,
    most: float = 0.5,
    silent: float = 0.99,
    usual: float = 0.22,
    deviations: float = 2.0,
) -> Iterator[Finding]:
    """Units of ReLU layers are zero for every sample of a window.

    Where the pre-activation is below zero, ReLU has slope zero: a unit for which that holds on all samples gets no
    gradient and stays as it is. It happens when a large update pushes a bias far below zero, and at birth when the
    weights are drawn badly. Judged by unit over a window, never by the share of zeros: a healthy ReLU layer is half
    zeros. A layer that is applied several times is one: a unit is dead where it is in all. Functions with a slope below
    zero, such as leaky ReLU, have no dead units.

    Severity: high where half of a layer is dead, or the whole of it silent, and the training fails, and where a whole
    layer is dead that nothing can bring back; medium where a quarter of a layer has died; low where the network has
    learnt and no more are dead than a small layer loses by chance.

    What to try: a smaller learning rate, where units die in training; He's initialiser, where they are dead at
    birth; leaky ReLU, whose units cannot die; at an output the function that its loss needs.

    Args:
        frames: The run.
        growth: Rise of the share of dead units since the first complete window, fraction; healthy layers, drawn as He
            et al. advise, begin with up to 22 % and keep them.
        floor: Share of dead units from which on a rise counts, fraction; below it the rest of the layer makes up.
        most: Share of dead units that counts without a rise, dead at birth, fraction; half of the layer.
        silent: Share of zero entries at which the whole layer is taken for dead while the training fails, fraction;
            sparse layers that work stay well below.
        usual: Share of dead units that a healthy layer begins with, fraction: the 22 % above.
        deviations: Standard deviations of a binomial count above that share, pure number, up to which the dead units
            of a network that has learnt are chance: four of eight, twenty of 64.

    Source:
        Maas, Hannun and Ng, ICML 2013 workshop; the window and the shares are ours.
    """
    state = learning(frames)
    rectifiers = [site for site in frames.network.sites if is_rectifier(site)]
    groups = applications(frames.network, rectifiers)
    sites = [rectifiers[group[0]] for group in groups]
    series, final = site_series(frames, rectifiers), final_series(frames, rectifiers)
    steps = np.append(series.steps, final.steps)
    windows = in_all(series("dead_unit_fraction"), groups)
    shares = np.concatenate([windows, in_all(final("dead_unit_fraction"), groups)])
    inactive = in_all(np.concatenate([series("inactive_fraction"), final("inactive_fraction")]), groups)
    share = np.array([last_known(column) for column in shares.T])
    # Without the final pass: that sees the last weights alone, a window those of many steps, so that it counts fewer.
    rise = np.array([last_known(known) - first_known(known) for known in windows.T])
    is_dying = (share >= most) | ((share >= floor) & (rise >= growth))
    silences = onsets(inactive >= silent)
    is_silent = np.array([state.failing and onset is not None for onset in silences], np.bool_)
    # Some units of an output may be zero by right, and all of them where that is what was to be learnt.
    is_right = np.array([site.is_output and not state.failing for site in sites], np.bool_)
    is_dying &= ~is_right | ((share == 1) & (state.state != "learnt"))
    dying = [int(column) for column in np.flatnonzero(is_dying | is_silent)]
    if not dying:
        return
    worst = max(dying, key=lambda column: (is_dying[column], is_silent[column], np.nan_to_num(share[column])))
    site, layers = sites[worst], tuple(dict.fromkeys(sites[column].layer for column in dying))
    units = _dead_units(frames, [rectifiers[column] for column in groups[worst]])
    has_risen = bool(rise[worst] >= growth)
    # Of living units about half the entries are zero: half of the way from there to what these dead ones make.
    at_birth = not has_risen and bool(first_known(inactive[:, worst]) >= 0.5 + np.nan_to_num(share[worst], nan=1.0) / 4)
    is_final = bool(share[worst] == 1) and without_gradient(frames, site.layer)
    severity: Severity = "medium"
    if state.state == "learnt" and all(
        share[column] * sites[column].units <= _by_chance(sites[column].units, usual, deviations) for column in dying
    ):
        severity = "low"
    elif is_final:
        severity = "high"
    elif lost := sum(bool(share[column] >= most or is_silent[column]) for column in dying):
        severity = severity_of_loss(state, lost, sum(not each.is_output for each in sites), from_start=at_birth)
    yield Finding(
        rule="dying_relu",
        statistic="activations.dead_unit_fraction",
        severity=severity,
        layer=site.layer,
        first_step=_since(steps, shares[:, worst], floor, silences[worst] if is_silent[worst] else None),
        last_step=int(steps[-1]),
        message=_message(
            site,
            share[worst] if is_dying[worst] else None,
            "from the start" if at_birth else "by now" if has_risen else "",
            layers=len(layers),
        ),
        evidence=(
            Evidence("dead units", float(share[worst]), floor if has_risen else most, unit="fraction")
            if is_dying[worst]
            else Evidence("zero entries", float(latest(inactive)[worst]), silent, unit="fraction"),
            Evidence(
                "rise since the first window",
                float(rise[worst]),
                growth if has_risen else math.nan,
                unit="fraction",
            ),
            *state.evidence(),
        ),
        advice=_advice(frames, layers, at_birth=at_birth),
        layers=layers,
        units=units,
        irreversible=is_final,
    )


def _by_chance(units: int, usual: float, deviations: float) -> float:
    """Return how many of so many units may be dead in a healthy layer."""
    return units * usual + deviations * math.sqrt(units * usual * (1 - usual))


def _advice(frames: Frames, layers: tuple[str, ...], *, at_birth: bool) -> tuple[Advice, ...]:
    network = frames.network
    outputs = dict.fromkeys(site.layer for site in network.sites if site.is_output and site.layer in layers)
    hidden = [layer for layer in layers if layer not in outputs]
    why = "Use a function with a slope below zero, which cannot die."
    return those(
        [
            *(another_output(network, layer) for layer in outputs),
            another_initialiser(network, hidden) if at_birth else None,
            None if at_birth else learning_rate(frames, 0.1, "Take smaller steps, which push no unit below zero."),
            another_function(network, layers, "leaky_relu", why),
            normalise(network, layers) if at_birth else None,
        ]
    )


def _message(site: Site, share: float | None, when: str, *, layers: int) -> str:
    """Return what has died; ``share`` is None where the layer as a whole is silent."""
    others = f"; {layers} layers are hit in all" if layers > 1 else ""
    if share is None:
        return f"Nearly all that {site.layer} puts out is zero, so that next to no gradient passes it{others}."
    is_one, dead = site.units == 1, round(share * site.units)
    counted = "The only unit" if is_one else f"{dead} of {site.units} units" if site.units else f"{share:.0%} of units"
    verb = {"from the start": "was" if is_one else "were", "by now": "has become" if is_one else "have become"}
    fate = f"{verb.get(when, 'is' if is_one else 'are')} zero for every sample"
    since = " from the start" if when == "from the start" else ""
    return f"{counted} of {site.layer} {fate}{since} and {'gets' if is_one else 'get'} no gradient{others}."


def _since(steps: NDArray[np.int64], shares: Floats, floor: float, silence: int | None) -> int:
    """Return the step from which on the layer is silent, or else the share has stayed at or above ``floor``."""
    if silence is not None:
        return int(steps[silence])
    known = np.flatnonzero(~np.isnan(shares))
    below = np.flatnonzero(shares[known] < floor)
    return int(steps[known[min(int(below[-1]) + 1 if len(below) else 0, len(known) - 1)]])


def _dead_units(frames: Frames, sites: list[Site]) -> tuple[int, ...]:
    """Return the indices of the units that are dead by the last window at each of ``sites``."""
    dead: list[set[int]] = []
    for site in sites:
        rows = frames.units[frames.units["site"] == site.key].drop_duplicates("unit", keep="last")
        dead.append(set(rows.loc[rows["dead"] == 1, "unit"].tolist()))
    return tuple(sorted(dead[0].intersection(*dead[1:])))
