"""The general kernels as one function gives them: few outputs, and tensors cut so that one trace serves many."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

from gradscope.instrument.tensors import Tensors
from gradscope.statistics.activations import SiteSums, backward_sums, histogram_sample, site_sums
from gradscope.statistics.backend import ops
from gradscope.statistics.gradients import fan_in_first, gradient_sums
from gradscope.statistics.sums import BackwardSums, Limits


class Kernels:
    """The general kernels, each shared among all tensors of one rank: in one process they are traced once.

    They know nothing of a model.
    """

    def __init__(self, tensors: Tensors) -> None:
        self._general, self._reshaping = tensors.shared(packed(site_sums)), tensors.shared(packed(reshaping_sums))
        self._gradient = tensors.shared(stacked(gradient_sums), of_any_size=True)
        self.histogram_sample = tensors.shared(histogram_sample)

    def of_site(self, z: Any, a: Any, bounds: Limits | None, **settings: Any) -> tuple[Any, Any]:
        """Return the scalars of `site_sums` as one tensor, and the sums by unit as another, of shape (fields, units).

        Of a function that changes the shape, ``z`` is None, and they are those of `reshaping_sums`.
        """
        if z is None:
            return self._reshaping(a, **settings)
        if bounds is not None:
            # Tensors, so that one traced function serves all limits, but for those that say that there is nothing.
            bounds = Limits(*map(_as_tensor, bounds))
        return self._general(z, a, bounds, **settings)

    def of_gradient(self, gradient: Any, unit_axes: tuple[int, ...] | None) -> Any:
        """Return what `gradient_sums` returns as one tensor, traced once for all layers and once for all others."""
        if unit_axes is None:
            return self._gradient(ops.reshape(gradient, (-1,)), None)
        return self._gradient(fan_in_first(gradient, unit_axes), (1,))


@functools.cache
def kernels_of(tensors: Tensors) -> Kernels:
    """Return the kernels of a backend."""
    return Kernels(tensors)


def packed(kernel: Callable[..., SiteSums]) -> Callable[..., tuple[Any, Any]]:
    """Return a kernel's scalars as one tensor and its sums by unit as another: each output costs time at every call."""

    def packed(*arguments: Any, **keywords: Any) -> tuple[Any, Any]:
        sums = kernel(*arguments, **keywords)
        scalars = ops.concatenate([ops.stack(list(sums.activation)), filled(BackwardSums, sums.backward)])
        return scalars, ops.stack(list(sums.units))

    return packed


def stacked(kernel: Callable[..., Any]) -> Callable[..., Any]:
    """Return a kernel's scalars as one tensor."""
    return lambda *arguments: ops.stack(list(kernel(*arguments)))


def filled(kind: Any, sums: Any) -> Any:
    """Return sums of one kind as one tensor: zeros where there are none."""
    return ops.zeros((len(kind._fields),), "float32") if sums is None else ops.stack(list(sums))


def reshaping_sums(a: Any, *, backward: Any, samples: Any, loss_scale: Any, **where: Any) -> SiteSums:
    """Return the sums of a function that changes the shape, such as glu, of which only the outcome is looked at."""
    sums = site_sums(a, a, None, **where)
    nothing = {"pre_count": 0.0, "pre_min": math.inf, "pre_max": -math.inf}
    nothing = {name: ops.convert_to_tensor(number, "float32") for name, number in nothing.items()}
    arriving = None
    if backward is not None:
        arriving = backward_sums(backward, samples=samples, loss_scale=loss_scale, **where)
    return SiteSums(sums.activation._replace(**nothing), sums.units, arriving)


def _as_tensor(bound: Any) -> Any:
    is_number = isinstance(bound, float) and math.isfinite(bound)
    return ops.convert_to_tensor(bound, "float32") if is_number else bound
