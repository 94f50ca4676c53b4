"""Depth: the backward signal from layer to layer, and where on its way to the input it is lost."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from gradscope.diagnose.series import Floats, Series, hidden_sites, judged_kernels, latest
from gradscope.network import Network, Site, Variable


@dataclass(frozen=True, slots=True)
class Weighted:
    """A hidden layer that has a kernel, with the site at which its own output is taken."""

    site: Site
    kernel: Variable


def weighted_layers(network: Network) -> tuple[Weighted, ...]:
    """Return the hidden layers with a judged kernel and a site of their own, in the order of execution."""
    kernels: dict[str, Variable] = {}
    for variable in judged_kernels(network):
        kernels.setdefault(variable.layer, variable)
    found: dict[str, Weighted] = {}
    for site in hidden_sites(network):
        if site.layer in kernels and site.units:
            found.setdefault(site.layer, Weighted(site, kernels[site.layer]))
    return tuple(found.values())


def unnormalised_groups(network: Network, weighted: tuple[Weighted, ...]) -> list[list[int]]:
    """Return the layers in groups, between which a normalisation undoes what the weights do to the spread."""
    order = {layer.key: layer.order for layer in network.layers}
    marks = [layer.order for layer in network.layers if "Norm" in layer.class_name]
    groups: dict[int, list[int]] = {}
    for column, layer in enumerate(weighted):
        before = sum(mark < order.get(layer.site.layer, -1) for mark in marks)
        groups.setdefault(before, []).append(column)
    return list(groups.values())


def passable(weighted: tuple[Weighted, ...], spread: Floats) -> Floats:
    """Return how much of each layer's spread the bounded functions from there on can pass, same shape.

    Behind inputs of a thousand a tanh has a spread of at most one: that is its range, and no loss of signal.
    """
    profiles = [layer.site.profile for layer in weighted]
    ranges = np.array([math.inf if profile is None else profile.maximum - profile.minimum for profile in profiles])
    return np.minimum(spread, np.minimum.accumulate(ranges[::-1])[::-1])


def behind(signal: Floats) -> Floats:
    """Return for each layer the largest signal of any later one, shape ``(records, layers)``; NaN for the last.

    A later layer is nearer to the loss, so the signal comes from there.
    """
    result = np.full_like(signal, math.nan)
    largest = signal[:, -1] if signal.shape[1] else np.empty(0)
    for layer in range(signal.shape[1] - 2, -1, -1):
        result[:, layer] = largest
        largest = np.fmax(largest, signal[:, layer])
    return result


@dataclass(frozen=True, slots=True)
class Fading:
    """Where a signal is lost on its way back.

    Attributes:
        start: Layer nearest to the loss, where the signal is still whole.
        end: Layer at which it has become small.
        factor: How many times smaller it is there.
        steepest: The layer at whose passage it loses most.
        steepest_factor: How many times smaller it becomes there.
        layers: Layers passed.
    """

    start: str
    end: str
    factor: float
    steepest: str
    steepest_factor: float
    layers: int

    def __str__(self) -> str:
        if self.layers > 1 and self.steepest_factor > self.factor**0.6:
            return f"most of it next to {self.steepest}, {times(self.steepest_factor)} in one layer"
        return f"about {times(self.factor ** (1 / self.layers))} a layer"


def fading_along_depth(series: Series[Site], first: int) -> Fading | None:
    """Return where the backward signal is lost between the strongest later layer and layer ``first``."""
    signal = latest(series("backward_rms"))
    later = np.where(np.isnan(signal[first + 1 :]), -1.0, signal[first + 1 :])
    if not len(later) or later.max() <= 0 or not signal[first] > 0:
        return None
    start = first + 1 + int(np.argmax(later))
    path = signal[first : start + 1]
    path = np.where(path > 0, path, np.nan)
    gains = path[1:] / path[:-1]  # how many times smaller the signal is one layer further on
    steepest = int(np.argmax(np.nan_to_num(gains)))
    names = [site.layer for site in series.places]
    return Fading(
        start=names[start],
        end=names[first],
        factor=float(signal[start] / signal[first]),
        steepest=names[first + steepest + 1],
        steepest_factor=float(gains[steepest]),
        layers=start - first,
    )


def times(factor: float) -> str:
    """Return a factor as one says it.

    Example:
        >>> times(634_212.0), times(6.93)
        ('630,000 times', '6.9 times')
    """
    rounded = float(f"{factor:.2g}")
    if not math.isfinite(factor):
        return "infinitely many times"
    if factor >= 1e9:
        return f"{factor:.1g} times"
    return f"{rounded:,.0f} times" if rounded >= 10 else f"{rounded:g} times"
