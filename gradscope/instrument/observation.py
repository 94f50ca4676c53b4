"""What one recorded step delivers to the host, before it is made into a record."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gradscope.statistics.sums import (
    ActivationSums,
    BackwardSums,
    GradientSums,
    Host,
    SoftmaxSums,
    UnitSums,
    merge_activations,
    merge_backward,
    merge_softmax,
    merge_units,
)


@dataclass(frozen=True, slots=True)
class SiteObservation:
    """The sums of one site.

    Attributes:
        activation: Its sums.
        units: Its sums by unit; None where the number of units changes from step to step.
        backward: The sums of its backward signal; None where no gradient comes back to it.
        softmax: The sums of its probabilities; None for every other function.
    """

    activation: ActivationSums[Host]
    units: UnitSums[Host] | None
    backward: BackwardSums[Host] | None
    softmax: SoftmaxSums[Host] | None

    def merged(self, other: SiteObservation) -> SiteObservation:
        """Return the sums of both together: of two parts of a batch, two batches or two replicas."""
        a, b = self, other
        return SiteObservation(
            activation=merge_activations(a.activation, b.activation),
            units=None if a.units is None or b.units is None else merge_units(a.units, b.units),
            backward=None if a.backward is None or b.backward is None else merge_backward(a.backward, b.backward),
            softmax=None if a.softmax is None or b.softmax is None else merge_softmax(a.softmax, b.softmax),
        )


@dataclass(frozen=True, slots=True)
class Clipping:
    """What one optimizer clips.

    Attributes:
        limits: By the name of its argument, such as ``clipnorm``.
        gradients: Which gradients it was given, by their place.
        accumulates: Whether it clips sums over several batches, which no single batch shows.
    """

    limits: Mapping[str, float]
    gradients: tuple[int, ...]
    accumulates: bool


@dataclass(frozen=True, slots=True)
class Observation:
    """The numbers of one step.

    Attributes:
        sites: In the order of ``network.sites``.
        gradients: In the order of ``network.variables``; None where the loss does not depend on the variable.
        loss: The batch's own; NaN where a custom train step computes none that could be seen.
        learning_rate: What the optimizer uses now; NaN without an optimizer.
        loss_scale: Factor on the loss.
        skips: Whether the optimizer drops steps whose gradients are not finite.
        samples: Samples in the batch.
        activations: Up to 1,024 activations of each site, by site key; empty where no histogram was asked for.
        clipping: Of each optimizer that clips.
    """

    sites: tuple[SiteObservation, ...]
    gradients: tuple[GradientSums[Host] | None, ...]
    loss: float
    learning_rate: float
    loss_scale: float
    skips: bool
    samples: int
    activations: Mapping[str, NDArray[np.float32]]
    clipping: tuple[Clipping, ...] = ()
