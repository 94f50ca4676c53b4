"""Units that are zero for every sample, and so cannot learn any more."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from gradscope.diagnose.advice import another_function, another_initialiser, learning_rate, those
from gradscope.diagnose.finding import Evidence, Finding
from gradscope.diagnose.learning import learning
from gradscope.diagnose.rule import rule
from gradscope.diagnose.series import (
    Floats,
    final_series,
    first_known,
    is_rectifier,
    last_known,
    latest,
    onsets,
    site_series,
)
from gradscope.network import Site
from gradscope.store.frames import Frames


@rule(follows=("update_ratio", "exploding_gradient"), before_training=True, figure="units")
def dying_relu(
    frames: Frames, *, growth: float = 0.15, floor: float = 0.25, most: float = 0.5, silent: float = 0.99
) -> Iterator[Finding]:
    """Units of ReLU layers are zero for every sample of a window.

    Where the pre-activation is below zero, ReLU has slope zero: a unit for which that holds on all samples gets no
    gradient and stays as it is. It happens when a large update pushes a bias far below zero, and at birth when the
    weights are drawn badly. Judged by unit over a window, never by the share of zeros: a healthy ReLU layer is half
    zeros. Functions with a slope below zero, such as leaky ReLU, have no dead units.

    Severity: high where half of a layer is dead, or the whole of it silent, and the training fails; medium where a
    quarter of a layer has died.

    What to try: a smaller learning rate, where units die in training; He's initialiser, where they are dead at
    birth; leaky ReLU, whose units cannot die.

    Args:
        frames: The run.
        growth: Rise of the share of dead units since the first complete window, fraction; healthy layers, drawn as He
            et al. advise, begin with up to 22 % and keep them.
        floor: Share of dead units from which on a rise counts, fraction; below it the rest of the layer makes up.
        most: Share of dead units that counts without a rise, dead at birth, fraction; half of the layer.
        silent: Share of zero entries at which the whole layer is taken for dead while the training fails, fraction;
            sparse layers that work stay well below.

    Source:
        Maas, Hannun and Ng, ICML 2013 workshop; the window and the shares are ours.
    """
    failing = learning(frames).failing
    sites = [site for site in frames.network.sites if is_rectifier(site) and (failing or not site.is_output)]
    series, final = site_series(frames, sites), final_series(frames, sites)
    steps = np.append(series.steps, final.steps)
    windows = series("dead_unit_fraction")
    shares = np.concatenate([windows, final("dead_unit_fraction")])
    inactive = np.concatenate([series("inactive_fraction"), final("inactive_fraction")])
    share = np.array([last_known(shares[:, column]) for column in range(len(sites))])
    # Without the final pass: that sees the last weights alone, a window those of many steps, so that it counts fewer.
    rise = np.array([last_known(known) - first_known(known) for known in windows.T])
    is_dying = (share >= most) | ((share >= floor) & (rise >= growth))
    silences = onsets(inactive >= silent)
    is_silent = np.array([failing and onset is not None for onset in silences], np.bool_)
    dying = [int(column) for column in np.flatnonzero(is_dying | is_silent)]
    if not dying:
        return
    worst = max(dying, key=lambda column: (is_dying[column], is_silent[column], np.nan_to_num(share[column])))
    site, layers = sites[worst], tuple(dict.fromkeys(sites[column].layer for column in dying))
    first_step = _since(steps, shares[:, worst], floor, silences[worst] if is_silent[worst] else None)
    has_risen = bool(rise[worst] >= growth)
    # Of living units about half the entries are zero: half of the way from there to what these dead ones make.
    at_birth = not has_risen and bool(first_known(inactive[:, worst]) >= 0.5 + np.nan_to_num(share[worst], nan=1.0) / 4)
    yield Finding(
        rule="dying_relu",
        statistic="activations.dead_unit_fraction",
        severity="high" if failing and (share[worst] >= most or is_silent[worst]) else "medium",
        layer=site.layer,
        first_step=first_step,
        last_step=int(steps[-1]),
        message=_message(
            site,
            share[worst] if is_dying[worst] else None,
            "were {} from the start" if at_birth else "have become {}" if has_risen else "are {}",
            layers=len(dying),
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
        ),
        advice=those(
            [
                another_initialiser(frames.network, layers) if at_birth else None,
                None if at_birth else learning_rate(frames, 0.1, "Take smaller steps, which push no unit below zero."),
                another_function(
                    frames.network, layers, "leaky_relu", "Use a function with a slope below zero, which cannot die."
                ),
            ]
        ),
        layers=layers,
        units=_dead_units(frames, site),
    )


def _message(site: Site, share: float | None, fate: str, *, layers: int) -> str:
    """Return what has died; ``share`` is None where the layer as a whole is silent."""
    others = f"; {layers} layers are hit in all" if layers > 1 else ""
    if share is None:
        return f"Nearly all that {site.layer} puts out is zero, so that next to no gradient passes it{others}."
    counted = f"{round(share * site.units)} of {site.units} units" if site.units else f"{100 * share:.0f}% of the units"
    return f"{counted} of {site.layer} {fate.format('zero for every sample')} and get no gradient{others}."


def _since(steps: NDArray[np.int64], shares: Floats, floor: float, silence: int | None) -> int:
    """Return the step from which on the layer is silent, or else the share has stayed at or above ``floor``."""
    if silence is not None:
        return int(steps[silence])
    known = np.flatnonzero(~np.isnan(shares))
    below = np.flatnonzero(shares[known] < floor)
    return int(steps[known[min(int(below[-1]) + 1 if len(below) else 0, len(known) - 1)]])


def _dead_units(frames: Frames, site: Site) -> tuple[int, ...]:
    """Return the indices of the units of ``site`` that are dead by the last window."""
    rows = frames.units[frames.units["site"] == site.key].drop_duplicates("unit", keep="last")
    return tuple(sorted(rows.loc[rows["dead"] == 1, "unit"].tolist()))
