"""Layers that amount to one: nothing non-linear lies between them."""

from __future__ import annotations

import math
from collections.abc import Iterator

from gradscope.diagnose.advice import another_function, those
from gradscope.diagnose.chains import LINEAR, WEIGHTED, is_linear, linear_links
from gradscope.diagnose.finding import Evidence, Finding
from gradscope.diagnose.learning import learning
from gradscope.diagnose.rule import rule
from gradscope.diagnose.series import training_steps
from gradscope.network import Network
from gradscope.store.frames import Frames


@rule(before_training=True)
def linear_stack(frames: Frames, *, left: float = 0.5) -> Iterator[Finding]:
    """Consecutive layers with weights and nothing non-linear between them compute what a single one could.

    However deep, a chain of linear layers is one linear layer, and no better than linear regression. Left out are
    chains through a bottleneck, which have fewer weights than the one layer, and models whose graph is not known.

    Severity: medium where the whole network is linear and much of the loss is left; low where a part of it is, or
    where it learns all the same.

    What to try: an activation function in the hidden layers.

    Args:
        frames: The run.
        left: Share of the baseline loss that is left, fraction; a linear network that has halved it does its task.

    Source:
        Minsky and Papert, Perceptrons, 1969.
    """
    network = frames.network
    links = [link for link in linear_links(network) if not link.is_bottleneck]
    if not links:
        return
    steps = training_steps(frames)
    state = learning(frames)
    whole = _is_linear_throughout(network)
    # Before it has been trained a network that is linear throughout is as suspect as one that has not learnt.
    bad = whole and (state.state in {"unknown", "diverged"} or state.level > left)
    limit = left if bad else math.nan
    before = dict.fromkeys(link.first.key for link in links)
    first, second = links[0].first.key, links[0].second.key
    between = f"nothing non-linear lies between {first} and {second}, so that they compute no more than one layer could"
    yield Finding(
        rule="linear_stack",
        severity="medium" if bad else "low",
        layer=first,
        first_step=int(steps[0]) if len(steps) else 0,
        last_step=int(steps[-1]) if len(steps) else 0,
        message=f"{'The whole network' if whole else 'A part of the network'} is linear: {between}.",
        evidence=(
            Evidence("pairs of layers with nothing non-linear between them", float(len(links)), 1.0),
            *state.evidence(limit),
        ),
        advice=those([another_function(network, before, "relu", "Give the hidden layers an activation function.")]),
        layers=tuple(dict.fromkeys(layer.key for link in links for layer in (link.first, link.second))),
    )


def _is_linear_throughout(network: Network) -> bool:
    """Return whether every layer before the output is linear."""
    outputs = {site.layer for site in network.sites if site.is_output}
    hidden = [layer for layer in network.layers if layer.key not in outputs]
    operations = {site.layer for site in network.sites} - {layer.key for layer in network.layers} - outputs
    return not operations and all(
        layer.class_name in LINEAR or (layer.class_name in WEIGHTED and is_linear(network, layer.key))
        for layer in hidden
    )
