"""Chains: layers with weights that follow one another with nothing non-linear between them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from gradscope.network import Layer, Network, Variable

# What these do to a sample is linear, or linear but for a constant, once the network is used.
LINEAR = frozenset(
    {
        "ActivityRegularization", "AlphaDropout", "AveragePooling1D", "AveragePooling2D", "AveragePooling3D",
        "BatchNormalization", "Cropping1D", "Cropping2D", "Cropping3D", "Dropout", "Flatten", "GaussianDropout",
        "GaussianNoise", "GlobalAveragePooling1D", "GlobalAveragePooling2D", "GlobalAveragePooling3D", "Identity",
        "Normalization", "Permute", "RepeatVector", "Rescaling", "Reshape", "SpatialDropout1D", "SpatialDropout2D",
        "SpatialDropout3D", "UpSampling1D", "ZeroPadding1D", "ZeroPadding2D", "ZeroPadding3D",
    }
)  # fmt: skip
WEIGHTED = frozenset(
    {
        "Dense", "EinsumDense", "Conv1D", "Conv2D", "Conv3D", "DepthwiseConv1D", "DepthwiseConv2D", "SeparableConv1D",
        "SeparableConv2D", "Conv1DTranspose", "Conv2DTranspose", "Conv3DTranspose",
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Link:
    """Two layers with weights of which the second gets what the first computes, changed linearly at most."""

    first: Layer
    second: Layer
    is_bottleneck: bool


def linear_links(network: Network) -> Iterator[Link]:
    """Yield each pair of layers with nothing non-linear between them; nothing where the graph is not known.

    A layer that several others read, or that reads several, ends a chain: sums and concatenations may be meant.
    """
    if network.edges is None:
        return
    layers = {layer.key: layer for layer in network.layers}
    outputs = {site.layer for site in network.sites if site.is_output}
    following: dict[str, list[str]] = {}
    preceding: dict[str, list[str]] = {}
    for start, end in network.edges:
        following.setdefault(start, []).append(end)
        preceding.setdefault(end, []).append(start)
    for first in network.layers:
        if first.class_name not in WEIGHTED or first.key in outputs or not is_linear(network, first.key):
            continue
        key, passed = first.key, {first.key}
        while len(ends := following.get(key, [])) == 1 and len(preceding[ends[0]]) == 1 and ends[0] not in passed:
            key = ends[0]
            passed.add(key)
            if key not in layers:  # an operation of the graph, such as a function
                break
            if layers[key].class_name in WEIGHTED:
                yield Link(first, layers[key], _is_bottleneck(network, first, layers[key]))
                break
            if layers[key].class_name not in LINEAR:
                break


def is_linear(network: Network, layer: str) -> bool:
    """Return whether every activation function of the layer is linear; False where one could not be profiled."""
    sites = [site for site in network.sites if site.layer == layer]
    return bool(sites) and all(site.profile is not None and site.profile.linear for site in sites)


def _is_bottleneck(network: Network, first: Layer, second: Layer) -> bool:
    """Whether the pair has fewer weights than the one layer it amounts to: a factorisation, which may be meant."""
    kernels: dict[str, Variable] = {}
    for variable in network.variables:
        if variable.role == "kernel":
            kernels.setdefault(variable.layer, variable)
    if first.key not in kernels or second.key not in kernels:
        return False
    before, after = kernels[first.key].shape, kernels[second.key].shape
    between = before[-1]
    return between < min(math.prod(before[:-1]), after[-1])
