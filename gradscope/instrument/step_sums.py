"""The sums of a step from the values of its tensors, traced once and run in a function of their own.

Statistics of finite tensors take a third of the time. They are what is traced first; a step in which something is not
finite goes through the general ones, which are traced when they are first needed.
"""

from __future__ import annotations

import functools
import math
import operator
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from gradscope.instrument.keras_border import keras
from gradscope.instrument.kernels import Kernels, filled, kernels_of
from gradscope.instrument.measured_sites import MeasuredSite, Part
from gradscope.instrument.measured_step import MeasuredStep
from gradscope.instrument.optimizers import scales_losses
from gradscope.instrument.selection import Slot, SparseSlot
from gradscope.instrument.tensors import Arrays, Tensors
from gradscope.statistics.activations import softmax_sums
from gradscope.statistics.backend import ops
from gradscope.statistics.finite import SiteTensors, finite_sites_sums
from gradscope.statistics.finite_gradients import finite_gradients_sums
from gradscope.statistics.gradients import touched_row_sums
from gradscope.statistics.sums import ActivationSums, BackwardSums, GradientSums, Limits, SoftmaxSums


@dataclass(frozen=True, slots=True)
class _Looked:
    """One application of a site's function with the values of its tensors; ``factor`` undoes the mean over samples."""

    site: MeasuredSite
    z: Any
    a: Any
    bounds: Limits | None
    backward: Any
    mask: Any
    factor: Any
    softmax: Any


class StepSums:
    """The function that takes the values of a step's tensors to its sums.

    Args:
        step: What is measured.
        tensors: Of the backend.
        finite: Whether everything is taken to be finite; where it is not, a count of what is not is NaN.
    """

    def __init__(self, step: MeasuredStep, tensors: Tensors, *, finite: bool) -> None:
        self._step, self._tensors, self._finite = step, tensors, finite
        self._kernels: Kernels = kernels_of(tensors)

    def __call__(
        self, values: list[Any], scales: Any, alphas: list[Any], number: Any, histograms: Any
    ) -> dict[str, Any]:
        """Return the sums, as `gradscope.instrument.decoding` reads them.

        Args:
            values: Of the tensors that are wanted.
            scales: Factor on the loss of each optimizer, float32.
            alphas: Slopes of each PReLU.
            number: Of the record, a scalar int.
            histograms: Whether activations for histograms are wanted, a scalar bool.
        """
        samples = self._sample_counts(values)
        looked = [*self._looked(values, samples, alphas)]
        return {
            **self._site_sums(looked, scales[0], number),
            **self._histogram_samples(looked, number, histograms),
            "gradients": self._gradient_sums(values, scales),
            "step": ops.stack([*self._loss_and_rate(values), ops.cast(_total(samples), "float32")]),
        }

    def _looked(self, values: Sequence[Any], samples: Sequence[Any], alphas: Sequence[Any]) -> Iterator[_Looked]:
        of_alphas = iter(alphas)
        bounds = {
            id(each): each.bounds if each.alpha is None else _limits_of_alpha(next(of_alphas), each.axis)
            for each in self._step.sites
        }
        for site, replica, part in self._step.parts:
            a, mask = _joined(part.a, values), None if part.mask is None else values[part.mask]
            yield _Looked(
                site,
                z=_joined(part.z, values),
                a=a,
                bounds=bounds[id(site)],
                backward=self._backward(part, values) if site.has_backward else None,
                mask=mask,
                factor=ops.cast(samples[min(replica, len(samples) - 1)], "float32") * len(site.parts),
                softmax=filled(SoftmaxSums, _softmax(part, a, mask, values) if site.has_softmax else None),
            )

    def _site_sums(self, looked: Sequence[_Looked], loss_scale: Any, number: Any) -> dict[str, Any]:
        """Return the sums of each application in a row, and those by unit of all side by side."""
        if not looked:
            return {"sites": ops.zeros((0, 0), "float32"), "units": ops.zeros((0, 0), "float32")}
        rows: list[Any] = []
        units: list[Any] = []
        plain = [each for each in looked if self._finite and each.site.is_plain]
        if plain:
            tensors = [
                SiteTensors(each.z, None if each.a is each.z else each.a, each.bounds, each.backward, each.site.axis)
                for each in plain
            ]
            factors = ops.stack([each.factor for each in plain])
            sums = finite_sites_sums(tensors, samples=factors, loss_scale=loss_scale, phase=number)
            rows.append(ops.stack([*sums.activation, *sums.backward], axis=1))
            units.append(ops.stack(list(sums.units)))
        general: list[Any] = []
        for each in looked[len(plain) :]:
            row, by_unit = self._kernels.of_site(
                each.z if each.site.keeps_shape else None,
                each.a,
                each.bounds,
                backward=each.backward,
                samples=each.factor,
                loss_scale=loss_scale,
                mask=each.mask,
                phase=number,
                unit_axis=each.site.axis,
            )
            general.append(row)
            units += [by_unit] if each.site.has_units else []
        rows += [ops.stack(general)] if general else []
        softmax = ops.stack([each.softmax for each in looked])
        return {
            "sites": ops.concatenate([ops.concatenate(rows), softmax], axis=1),
            "units": ops.concatenate(units, axis=1) if units else ops.zeros((0, 0), "float32"),
        }

    def _sample_counts(self, values: Sequence[Any]) -> list[Any]:
        """Return how many samples each replica's batch holds."""
        step = self._step
        if step.batch is not None and step.batch[0]:
            counts = self._tensors.sample_counts([values[number] for number in step.batch[0]], step.batch[1])
            if counts:
                return counts
        found = [values[loss.labels] for loss in step.losses if loss.labels is not None]
        found = found or [values[part.a[0]] for each in step.sites[:1] for part in each.parts]
        return [ops.shape(tensor)[0] for tensor in found if len(tensor.shape)] or [0]

    def _backward(self, part: Part, values: Sequence[Any]) -> Any:
        """Return the gradient at the pre-activations, those of several losses added up."""

        def at(z: Any, slot: Slot | SparseSlot) -> Any:
            return dense(slot, values, ops.shape(z) if isinstance(slot, SparseSlot) else (), self._tensors)

        gradients = [
            _total([at(values[z], slot) for slot in slots]) for z, slots in zip(part.z, part.backward, strict=True)
        ]
        return gradients[0] if len(gradients) == 1 else ops.stack(gradients, axis=1)

    def _loss_and_rate(self, values: Sequence[Any]) -> tuple[Any, Any]:
        losses = [ops.cast(ops.reshape(values[loss.value], ()), "float32") for loss in self._step.losses]
        rate = self._step.rate
        unknown = ops.convert_to_tensor(math.nan, "float32")
        known = ops.cast(ops.reshape(values[rate.number], ()), "float32") if isinstance(rate, Slot) else unknown
        return _total(losses) if losses else unknown, known

    def _histogram_samples(self, looked: Sequence[_Looked], number: Any, wanted: Any) -> dict[str, Any]:
        """Return activations of all sites in a row, and how many are whose; nothing where they are not ``wanted``."""

        def taken() -> tuple[Any, Any]:
            sample = self._kernels.histogram_sample
            values = [sample(each.a, mask=each.mask, phase=number, unit_axis=each.site.axis) for each in looked]
            return ops.concatenate(values), ops.stack([ops.size(value) for value in values])

        def nothing() -> tuple[Any, Any]:
            return ops.zeros((0,), "float32"), ops.zeros((len(looked),), "int32")

        samples, lengths = ops.cond(wanted, taken, nothing) if looked else nothing()
        return {"samples": samples, "lengths": lengths}

    def _gradient_sums(self, values: Sequence[Any], scales: Any) -> Any:
        order = {id(optimizer): at for at, optimizer in enumerate(self._step.optimizers)}
        rows: list[Any] = []
        finite: dict[int, tuple[Any, tuple[int, ...] | None]] = {}
        for each in self._step.variables:
            scale = scales[order[id(each.optimizer)]] if scales_losses(each.optimizer) else None
            shape = each.variable.shape
            sparse = [slot for slot in each.gradients if isinstance(slot, SparseSlot)]
            if not each.gradients:
                rows.append(filled(GradientSums, None))
            elif len(sparse) == len(each.gradients):
                touched = ops.concatenate([self._tensors.shaped(values[s.rows], (None, *shape[1:])) for s in sparse])
                indices = ops.concatenate([values[slot.indices] for slot in sparse])
                rows.append(ops.stack(list(touched_row_sums(_unscaled(touched, scale), indices))))
            else:
                gradient = _total(
                    [_unscaled(dense(slot, values, shape, self._tensors), scale) for slot in each.gradients]
                )
                gradient = self._tensors.shaped(gradient, shape)  # behind a loop the tape does not know it
                finite[len(rows)] = gradient, each.axes
                rows.append(None if self._finite else self._kernels.of_gradient(gradient, each.axes))
        if self._finite and finite:
            together = ops.stack(list(finite_gradients_sums(*zip(*finite.values(), strict=True))), axis=1)
            for index, row in zip(finite, ops.unstack(together, len(finite)), strict=True):
                rows[index] = row
        return ops.stack(rows) if rows else ops.zeros((0, len(GradientSums._fields)), "float32")


def dense(slot: Slot | SparseSlot, values: Sequence[Any], shape: Sequence[Any], tensors: Tensors) -> Any:
    """Return a gradient among the values of the wanted tensors as one tensor; of a sparse one the shape is needed."""
    if isinstance(slot, Slot):
        return values[slot.number]
    return tensors.dense(values[slot.rows], values[slot.indices], shape)


def is_finite(arrays: Arrays) -> bool:
    """Return whether the statistics of finite tensors met nothing else."""
    counts = [arrays["gradients"][:, GradientSums._fields.index("nonfinite_count")]]
    if arrays["sites"].size:
        forward = ActivationSums._fields.index("nonfinite_count")
        backward = len(ActivationSums._fields) + BackwardSums._fields.index("nonfinite_count")
        counts.append(arrays["sites"][:, (forward, backward)].ravel())
    return not np.isnan(np.concatenate(counts)).any()


def _joined(numbers: Sequence[int], values: Sequence[Any]) -> Any:
    """Return one tensor; of a layer repeated over time, all time steps along a new axis after the batch."""
    return values[numbers[0]] if len(numbers) == 1 else ops.stack([values[number] for number in numbers], axis=1)


def _total(summands: Sequence[Any]) -> Any:
    return functools.reduce(operator.add, summands)


def _unscaled(gradient: Any, scale: Any) -> Any:
    """Return a gradient over the loss scale, in float32: what underflows in half precision is seen as it arrived."""
    gradient = ops.cast(gradient, "float32")
    return gradient if scale is None else gradient / scale


def _limits_of_alpha(alpha: Any, unit_axis: int) -> Limits:
    """Return where a PReLU has no slope: where its present alpha is 0, unit by unit."""
    rank = len(alpha.shape)
    axis = unit_axis if unit_axis < 0 else unit_axis - 1  # alpha has no batch axis
    flat = ops.all(ops.equal(alpha, 0), axis=[i for i in range(rank) if i != axis % rank])
    low = ops.where(flat, ops.zeros((), "float32"), ops.convert_to_tensor(-math.inf, "float32"))
    return Limits(z_low=low, z_high=math.inf, zero_low=low, zero_high=math.inf)


def _softmax(part: Part, probabilities: Any, mask: Any, values: Sequence[Any]) -> SoftmaxSums[Any]:
    keywords = part.application.keywords
    axis = keywords.get("axis", getattr(part.application.frame.layer, "axis", -1))
    class_mask = keywords.get("mask")
    return softmax_sums(
        probabilities,
        class_axis=tuple(keras.tree.flatten(axis)),
        class_mask=values[class_mask.number] if isinstance(class_mask, Slot) else class_mask,
        mask=mask,
    )
