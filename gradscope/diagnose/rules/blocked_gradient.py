"""A function without slope cuts the layers before it off."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from gradscope.diagnose.advice import advice, another_function, those
from gradscope.diagnose.finding import Advice, Evidence, Finding
from gradscope.diagnose.learning import learning
from gradscope.diagnose.rule import rule
from gradscope.diagnose.series import judged_kernels, variable_series
from gradscope.network import Network, Site
from gradscope.store.frames import Frames


@rule(before_training=True, figure="heatmap")
def blocked_gradient(frames: Frames) -> Iterator[Finding]:
    """Layers get no gradient at all: the loss does not depend on their weights, or a step-like function lies between.

    A step function has slope zero everywhere, so that nothing comes back through it; rounding, comparisons and
    ``stop_gradient`` do the same. The layers before it keep the weights they were drawn with. A function with a
    gradient of its own, such as a straight-through estimator, lets the gradient pass and is not named.

    Severity: high where the training fails, a function cuts all hidden layers off, or nothing is left that could learn;
    medium where a part of the network is cut off.

    What to try: a function with a slope in its place; looking for stop_gradient, argmax, rounding or an output
    without loss.

    Args:
        frames: The run.

    Source:
        Bengio, Leonard and Courville, 2013, on functions without slope. The criterion is exact.
    """
    kernels = judged_kernels(frames.network)
    series = variable_series(frames, kernels)
    if not len(series.steps):
        return
    connected, zeros = series("connected"), series("zero_fraction")
    order = {layer.key: layer.order for layer in frames.network.layers}
    steps_like = [site for site in frames.network.sites if site.profile is not None and site.profile.blocked]
    blocks = max((order.get(site.layer, len(order)) for site in steps_like), default=-1)
    is_cut = (np.isnan(connected) | (connected == 0)).all(axis=0) & (connected == 0).any(axis=0)
    behind = np.array([order.get(kernel.layer, 0) <= blocks for kernel in kernels], np.bool_)
    # One record of zeros is what a head that begins at zero gives; a step function gives nothing else.
    is_cut |= (np.isnan(zeros) | (zeros == 1)).all(axis=0) & ((zeros == 1).sum(axis=0) >= min(3, len(zeros))) & behind
    if not is_cut.any():
        return
    cut = tuple(dict.fromkeys(kernel.layer for kernel, cut in zip(kernels, is_cut, strict=True) if cut))
    site = _blocking(steps_like, cut, order)
    state = learning(frames)
    hidden = {kernel.layer for kernel in kernels} - {site.layer for site in frames.network.sites if site.is_output}
    named = site.layer if site is not None else cut[-1]
    if site is not None:
        message = (
            f"{site.activation} in {site.layer} has slope zero everywhere, so that no gradient reaches {_names(cut)}."
        )
    else:
        message = f"The loss does not depend on the weights of {_names(cut)}: they get no gradient."
    is_whole = bool(hidden) and hidden <= set(cut) and site is not None
    severity = "high" if state.failing or is_whole or is_cut.all() else "medium"
    yield Finding(
        rule="blocked_gradient",
        statistic="gradients.rms",
        severity=severity,
        layer=named,
        first_step=int(series.steps[0]),
        last_step=int(series.steps[-1]),
        message=message,
        evidence=(Evidence("kernels without any gradient", float(is_cut.sum()), 1.0),),
        advice=_advice(frames.network, site, cut),
        layers=tuple(dict.fromkeys((*cut, named))),
        irreversible=severity == "high",
    )


def _blocking(steps_like: list[Site], cut: tuple[str, ...], order: dict[str, int]) -> Site | None:
    """Return the first step-like site that has a layer that is cut off at it or before it."""
    first = min(order.get(layer, 0) for layer in cut)
    after = [site for site in steps_like if order.get(site.layer, len(order)) >= first]
    return after[0] if after else None


def _names(layers: tuple[str, ...]) -> str:
    if len(layers) <= 3:
        return ", ".join(layers)
    return f"{layers[0]} to {layers[-1]} ({len(layers)} layers)"


def _advice(network: Network, site: Site | None, cut: tuple[str, ...]) -> tuple[Advice, ...]:
    if site is None:
        mend = (
            "Look for what cuts them off between there and the loss: stop_gradient, argmax, rounding, a comparison, "
            "NumPy, or an output that no loss uses."
        )
        return (
            advice(network, "code", mend, cut),
            advice(network, "trainable", "Set trainable = False where that is meant.", cut, trainable=False),
        )
    why = f"Use a function with a slope instead of {site.activation}, such as sigmoid, whose output is near 0 or 1."
    return those([another_function(network, [site.layer], "sigmoid", why)])
