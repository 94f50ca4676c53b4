"""What the checks look at: a batch and a model's ends, as plain values."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradscope.network import Layer, Network, Site

_CATEGORICAL = frozenset(
    {"categorical_crossentropy", "sparse_categorical_crossentropy", "categorical_focal_crossentropy"}
)
_BINARY = frozenset({"binary_crossentropy", "binary_focal_crossentropy"})
_REGRESSION = frozenset({"mean_squared_error", "mean_absolute_error", "huber", "log_cosh"})
_INDEXING = frozenset({"Embedding", "CategoryEncoding", "Hashing", "IntegerLookup", "StringLookup", "Discretization"})
NORMALISING = frozenset(
    {"Rescaling", "Normalization", "BatchNormalization", "LayerNormalization", "RMSNormalization", "UnitNormalization"}
)


@dataclass(frozen=True, slots=True, eq=False)
class Input:
    """One input of the model in the batch that is looked at.

    Attributes:
        name: What a person calls it.
        values: Shape ``(samples, ...)``, as the model gets it.
        readers: The layers that read it; None where unknown, as in a model without a functional graph.
        site: The site that is computed from it first; None where unknown.
        arriving_rms: Root mean square of that site's pre-activations; NaN where unknown.
        saturated_fraction: Share of them in a tail; NaN where unknown.
    """

    name: str
    values: NDArray[Any]
    readers: tuple[Layer, ...] | None = None
    site: Site | None = None
    arriving_rms: float = math.nan
    saturated_fraction: float = math.nan

    @property
    def holds_indices(self) -> bool:
        """Whether its numbers name things, so that they have no scale; integers count where the reader is unknown."""
        if self.readers is None:
            return self.values.dtype.kind in "iu" and self.values.ndim <= 2
        return any(layer.class_name in _INDEXING for layer in self.readers)

    @property
    def is_normalised(self) -> bool:
        """Whether all that reads it brings it to a scale of its own."""
        return bool(self.readers) and all(layer.class_name in NORMALISING for layer in self.readers or ())


@dataclass(frozen=True, slots=True, eq=False)
class Output:
    """One output of the model, with its loss and its targets.

    Attributes:
        name: What Keras calls it; ``""`` of a single one.
        site: Where its activation function is applied; None where something else ends the model.
        layer: The site's layer.
        loss: Name of its loss in snake case; ``""`` where unknown.
        from_logits: Whether the loss expects logits; None where it does not say.
        reads_logits: Whether Keras takes the logits from behind the output's function for this loss, whatever the loss
            says; None where that could not be tried.
        ignore_class: The label that the loss leaves out.
        rank: Number of axes, that of the batch included; None where unknown.
        targets: Shape ``(samples, ...)``; None without any.
        minimum: Smallest value that the output took on the batch; NaN where unknown.
        maximum: Largest value.
    """

    name: str = ""
    site: Site | None = None
    layer: Layer | None = None
    loss: str = ""
    from_logits: bool | None = None
    reads_logits: bool | None = None
    ignore_class: int | None = None
    rank: int | None = None
    targets: NDArray[Any] | None = None
    minimum: float = math.nan
    maximum: float = math.nan

    @property
    def is_categorical(self) -> bool:
        """Whether the loss takes one class of several as the truth."""
        return self.loss in _CATEGORICAL

    @property
    def is_binary(self) -> bool:
        """Whether the loss asks a question of yes or no at each unit."""
        return self.loss in _BINARY

    @property
    def is_regression(self) -> bool:
        """Whether the loss measures a distance on the scale of the targets."""
        return self.loss in _REGRESSION

    @property
    def said(self) -> str:
        """The output's name within a sentence, with a space before it; ``""`` of a single one."""
        return f" {self.name!r}" if self.name else ""


@dataclass(frozen=True, slots=True)
class AlikeKernel:
    """A hidden layer's kernel whose units all have the same weights.

    Attributes:
        layer: Key of the layer.
        units: Number of units.
        weight: Largest absolute weight.
        gradient: Largest absolute gradient.
        spread: Largest difference between the gradients of two units, over ``gradient``; 0 where that is 0.
        elsewhere: Largest absolute gradient among all other kernels.
    """

    layer: str
    units: int
    weight: float
    gradient: float
    spread: float
    elsewhere: float


@dataclass(frozen=True, slots=True, eq=False)
class Subject:
    """A model and a batch.

    Attributes:
        network: The model.
        inputs: Those that are plain arrays.
        outputs: Those that have a loss of their own.
        loss: The batch's loss; NaN where the step could not run.
        global_norm: L2 norm over all gradients; NaN where the step could not run.
        ran: Whether the step could run.
        alike: Hidden kernels with units that are all the same.
    """

    network: Network
    inputs: tuple[Input, ...] = ()
    outputs: tuple[Output, ...] = ()
    loss: float = math.nan
    global_norm: float = math.nan
    ran: bool = True
    alike: tuple[AlikeKernel, ...] = ()

    def targets(self) -> Iterator[tuple[Output, NDArray[Any]]]:
        """Yield the outputs that have targets of numbers, with these."""
        for output in self.outputs:
            if output.targets is not None and output.targets.dtype.kind in "fiub" and output.targets.size:
                yield output, output.targets


def varies(values: NDArray[Any]) -> bool:
    """Return whether any number of one sample differs from that of another."""
    return bool(np.any(values != values[:1]))
