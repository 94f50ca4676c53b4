"""From the arrays that a step's sums leave the device as to an `Observation`."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from gradscope.instrument.keras_border import keras
from gradscope.instrument.measured_step import MeasuredStep
from gradscope.instrument.network_of import clipping_of
from gradscope.instrument.observation import Clipping, Observation, SiteObservation
from gradscope.instrument.optimizers import inner
from gradscope.instrument.tensors import Arrays
from gradscope.statistics.sums import (
    ActivationSums,
    BackwardSums,
    GradientSums,
    Host,
    SoftmaxSums,
    UnitSums,
    decoded,
)


def observation_of(
    step: MeasuredStep, arrays: Arrays, *, loss_scale: float, learning_rate: float, histograms: bool
) -> Observation:
    """Return the numbers of a step.

    Args:
        step: What was measured.
        arrays: ``sites``, a row for each of ``step.parts``: its sums, those of its backward signal and of its softmax;
            ``units``, a column for each of their units; ``gradients``, a row for each variable; ``step``: loss,
            learning rate and samples; ``samples`` and ``lengths``: activations for histograms end to end.
        loss_scale: Factor on the loss.
        learning_rate: From before the step, where the step itself does not show it.
        histograms: Whether activations for histograms were wanted.
    """
    loss, rate, samples = (float(value) for value in arrays["step"])
    return Observation(
        sites=tuple(_sites(step, arrays["sites"], arrays["units"])),
        gradients=tuple(
            decoded(GradientSums[Host], row) if each.gradients else None
            for row, each in zip(arrays["gradients"], step.variables, strict=True)
        ),
        loss=loss,
        learning_rate=learning_rate if math.isnan(rate) else rate,
        loss_scale=loss_scale,
        skips=any(isinstance(each, keras.optimizers.LossScaleOptimizer) for each in step.optimizers),
        samples=int(samples),
        activations=_histogram_values(step, arrays) if histograms else {},
        clipping=tuple(_clipping(step)),
    )


def _sites(step: MeasuredStep, rows: NDArray[np.float32], units: NDArray[np.float32]) -> Iterator[SiteObservation]:
    ends = np.cumsum([len(ActivationSums._fields), len(BackwardSums._fields)])
    found: dict[str, SiteObservation] = {}
    start = 0
    for (each, _, _), row in zip(step.parts, rows, strict=True):
        activation, backward, softmax = np.split(row, ends)
        by_unit: UnitSums[Host] | None = None
        if each.has_units:
            by_unit = decoded(UnitSums[Host], units[:, start : start + each.site.units])
            start += each.site.units
        seen = SiteObservation(
            activation=decoded(ActivationSums[Host], activation),
            units=by_unit,
            backward=decoded(BackwardSums[Host], backward) if each.has_backward else None,
            softmax=decoded(SoftmaxSums[Host], softmax) if each.has_softmax else None,
        )
        key = each.site.key
        found[key] = found[key].merged(seen) if key in found else seen
    return (found[each.site.key] for each in step.sites)


def _histogram_values(step: MeasuredStep, arrays: Arrays) -> dict[str, NDArray[np.float32]]:
    ends = np.cumsum(arrays["lengths"])[:-1]
    found: dict[str, list[NDArray[np.float32]]] = {each.site.key: [] for each in step.sites}
    for (each, _, _), values in zip(step.parts, np.split(arrays["samples"], ends) if found else [], strict=True):
        found[each.site.key].append(values)
    return {key: np.concatenate(values) for key, values in found.items()}


def _clipping(step: MeasuredStep) -> Iterator[Clipping]:
    for optimizer in step.optimizers:
        own = inner(optimizer)
        found = clipping_of(own)
        if found:
            of = tuple(at for at, each in enumerate(step.variables) if each.optimizer is optimizer)
            accumulates = int(getattr(own, "gradient_accumulation_steps", None) or 1) > 1
            yield Clipping(found, of, accumulates)
