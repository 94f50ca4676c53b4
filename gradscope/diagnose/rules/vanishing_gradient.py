"""The gradient fades on its way back, so that the first layers learn nothing."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from gradscope.diagnose.advice import another_function, another_initialiser, gates, normalise, residual, those
from gradscope.diagnose.depth import Weighted, behind, fading_along_depth, times, weighted_layers
from gradscope.diagnose.finding import Advice, Evidence, Finding
from gradscope.diagnose.learning import learning
from gradscope.diagnose.neighbours import neighbours
from gradscope.diagnose.rule import rule
from gradscope.diagnose.series import latest, onsets, site_series, variable_series
from gradscope.network import Network
from gradscope.store.frames import Frames

_FLAT = frozenset({"sigmoid", "hard_sigmoid", "softplus"})  # slope of at most a half at zero
_SHRINKING = _FLAT | {"tanh", "softsign", "hard_tanh", "exponential"}


@rule(follows=("blocked_gradient", "saturated_activation", "dying_relu"), before_training=True, figure="profile")
def vanishing_gradient(
    frames: Frames,
    *,
    ratio: float = 1e-3,
    update: float = 1e-5,
    epsilons: float = 10.0,
    warm_up: float = 10.0,
) -> Iterator[Finding]:
    """The backward signal of the first layers is next to nothing beside that of later ones.

    Each layer multiplies the gradient that passes it by its weights and by the slope of its activation function. Where
    these are below one, the first layers of a deep network get a gradient too small to learn from, and the loss stays
    near that of a constant answer. A small gradient alone is no fault: at the end of a training all are small. So a
    layer is named only while the network does not learn, when its signal is far below that of later layers, and when
    its own kernel hardly moves, or moves by noise that an adaptive optimizer blows up.

    Severity: high. The training is failing, and a part of the network does not take part in it.

    What to try: a function whose slope does not shrink, such as relu with He's initialiser; the initialiser that
    suits the function; normalisation; residual connections.

    Args:
        frames: The run.
        ratio: Backward signal over the largest of later layers, pure number; three decades are beyond what layers of
            unlike sizes differ by.
        update: Update-to-weight ratio below which a kernel does not move, pure number; a hundredth of the usual 1e-3.
        epsilons: Multiple of the optimizer's epsilon, pure number; a gradient below it is lost in the optimizer's own
            rounding guard.
        warm_up: Steps before the gradients are looked at, steps; the very first updates are not typical.

    Source:
        Hochreiter, 1991; Glorot and Bengio, AISTATS 2010. The criteria together are ours.
    """
    state = learning(frames)
    weighted = weighted_layers(frames.network)
    if not state.failing or len(weighted) < 2:
        return
    sites = site_series(frames, [layer.site for layer in weighted])
    kernels = variable_series(frames, [layer.kernel for layer in weighted])
    signal = sites("backward_rms")
    with np.errstate(invalid="ignore", divide="ignore"):
        fades = signal / behind(signal) < ratio
    rms, moved = kernels("rms"), kernels("update_to_weight_ratio")
    epsilon = frames.network.compiled.epsilon
    floor = math.nan if epsilon is None else epsilons * epsilon
    is_small = (moved < update) | (rms <= floor)
    since = onsets(fades & is_small & (sites.steps >= warm_up)[:, None])
    lost = [column for column, onset in enumerate(since) if onset is not None]
    if not lost:
        return
    first = lost[0]
    where = fading_along_depth(sites, first)
    start = min(onset for onset in since if onset is not None)
    named = weighted[first].site.layer
    blown_up = not latest(moved)[first] < update  # by an adaptive optimizer: small as it is, the gradient moves it
    if where is None:
        message = f"No gradient reaches {named}, so that it cannot learn."
        evidence = [Evidence("backward signal", 0.0, 0.0, above=False)]
    else:
        message = (
            f"The gradient fades on its way back: at {where.end} it is {times(where.factor)} smaller than at "
            f"{where.start}, {where}. {_count(len(lost))} next to nothing."
        )
        evidence = [Evidence("backward signal over that of later layers", 1 / where.factor, ratio, above=False)]
    evidence += [
        Evidence("gradient RMS of its kernel", float(latest(rms)[first]), floor, above=False),
        Evidence("update-to-weight ratio", float(latest(moved)[first]), math.nan if blown_up else update, above=False),
        *state.evidence(),
    ]
    yield Finding(
        rule="vanishing_gradient",
        statistic="activations.backward_rms",
        severity="high",
        layer=named,
        first_step=int(sites.steps[start]),
        last_step=int(sites.steps[-1]),
        message=message,
        evidence=tuple(evidence),
        advice=_advice(frames.network, weighted, lost),
        layers=tuple(weighted[column].site.layer for column in lost),
    )


def _count(number: int) -> str:
    return "1 layer learns" if number == 1 else f"{number} layers learn"


def _advice(network: Network, weighted: tuple[Weighted, ...], lost: list[int]) -> tuple[Advice, ...]:
    """Advise for all hidden layers: a signal that fades in half of them fades in the others too."""
    layers = [weighted[column].site.layer for column in lost]
    hidden = [layer.site.layer for layer in weighted]
    activation = neighbours(network).function_of(layers[-1])
    drawn = those([another_initialiser(network, hidden)])
    swap: tuple[Advice, ...] = ()
    if activation in _SHRINKING:
        why = f"Use a function whose slope is 1 where it is active, instead of {activation}, in the hidden layers."
        swap = those([another_function(network, hidden, "relu", why)])
    return those(
        [
            # Where its slope is 1 at zero, weights of the right size are enough.
            drawn if activation not in _FLAT else None,
            swap,
            gates(network, layers, "Use layers with gates, which can keep what they saw."),
            () if swap else drawn,
            residual(network, hidden),
            normalise(network, hidden),
        ]
    )
