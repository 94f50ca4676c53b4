"""Neighbours: what stands before and behind a layer, and which function and which weights belong together.

Where the graph of the model is not known, its layers are taken to follow one another.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from gradscope.diagnose.chains import LINEAR
from gradscope.network import Layer, Network, Site

_PASSED = LINEAR | {"LayerNormalization", "GroupNormalization", "UnitNormalization", "RMSNormalization"}


@dataclass(frozen=True, slots=True, eq=False)
class Neighbours:
    """The layers of a network and what lies between them.

    Attributes:
        layers: By key.
        sites: The sites of each layer, by its key.
        outputs: Keys of the layers whose activation is the model's output.
        readers: Keys of what reads a layer, by its key.
        sources: Keys of what a layer reads, by its key.
    """

    layers: Mapping[str, Layer]
    sites: Mapping[str, Sequence[Site]]
    outputs: frozenset[str]
    readers: Mapping[str, Sequence[str]]
    sources: Mapping[str, Sequence[str]]

    def function_of(self, key: str) -> str:
        """Return the function that what the layer computes goes through: its own, or that of a layer behind it."""
        for at in [key, *self._to_function(self.readers, key)]:
            function = next((site.activation for site in self.sites.get(at, ()) if site.activation != "linear"), None)
            if function is not None:
                return function
        return "linear"

    def weights_of(self, key: str) -> str | None:
        """Return the layer whose weights compute what goes through a layer's function: itself, or one before it."""
        for at in [key, *self._to_function(self.sources, key)]:
            layer = self.layers.get(at)
            if layer is not None and any(name.endswith("kernel_initializer") for name in layer.config):
                return at
        return None

    def is_normalised(self, key: str) -> bool:
        """Return whether a normalisation stands right before the layer, or right behind it or its function."""
        around = [
            *itertools.islice(self._along(self.sources, key), 1),
            *itertools.islice(self._along(self.readers, key), 2),
        ]
        return any("Norm" in self.layers[at].class_name for at in around if at in self.layers)

    def ends(self, key: str) -> bool:
        """Return whether the layer computes the model's output, or what goes through the output's function alone."""
        return key in self.outputs or any(at in self.outputs for at in self._to_function(self.readers, key))

    def _to_function(self, ways: Mapping[str, Sequence[str]], key: str) -> Iterator[str]:
        """Yield what follows on a way, as far as it has no weights, to the first that is more than linear."""
        for at in self._along(ways, key):
            layer = self.layers.get(at)
            if ways is self.readers and layer is not None and "kernel_initializer" in layer.config:
                return
            yield at
            if layer is None or "activation" in layer.config or layer.class_name not in _PASSED:
                return

    def _along(self, ways: Mapping[str, Sequence[str]], key: str) -> Iterator[str]:
        """Yield what follows on a way without forks."""
        passed = {key}
        while len(following := ways.get(key, ())) == 1 and following[0] not in passed:
            key = following[0]
            passed.add(key)
            yield key


def neighbours(network: Network) -> Neighbours:
    """Return what stands around each layer of a network."""
    pairs = network.edges
    if pairs is None:
        pairs = itertools.pairwise(layer.key for layer in network.layers)
    readers: dict[str, list[str]] = {}
    sources: dict[str, list[str]] = {}
    for start, end in pairs:
        readers.setdefault(start, []).append(end)
        sources.setdefault(end, []).append(start)
    sites: dict[str, list[Site]] = {}
    for site in network.sites:
        sites.setdefault(site.layer, []).append(site)
    return Neighbours(
        layers={layer.key: layer for layer in network.layers},
        sites=sites,
        outputs=frozenset(site.layer for site in network.sites if site.is_output),
        readers=readers,
        sources=sources,
    )
