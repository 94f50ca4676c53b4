"""Kernels whose units all have the same weights, and whether one step would tell these units apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradscope.diagnose.subject import AlikeKernel
from gradscope.instrument.backend import Look
from gradscope.instrument.network_of import own_variables, places, role, unit_axes


@dataclass(frozen=True, slots=True)
class _Kernel:
    layer: str
    variable: Any
    axes: tuple[int, ...]


def alike_kernels(model: Any, look: Look, batch: Any) -> tuple[AlikeKernel, ...]:
    """Return the trainable hidden kernels of which all units are equal, with the gradients of one batch.

    The step is only run where there are such kernels.
    """
    kernels = list(_kernels(model))
    ends = {site.layer for site in look.network.sites if site.is_output}
    suspects = [kernel for kernel in kernels if kernel.layer not in ends and _is_alike(kernel)]
    if not suspects:
        return ()
    gradients = look.gradients(batch)
    largest = {id(k.variable): _largest(gradients.get(id(k.variable))) for k in kernels}
    found: list[AlikeKernel] = []
    for kernel in suspects:
        gradient = gradients.get(id(kernel.variable))
        if gradient is None:
            continue
        units = _by_unit(gradient, kernel.axes)
        size = float(np.max(np.abs(units)))
        spread = float(np.max(np.ptp(units, axis=1)))
        found.append(
            AlikeKernel(
                layer=kernel.layer,
                units=units.shape[1],
                weight=_largest(np.asarray(kernel.variable)),
                gradient=size,
                spread=spread / size if size else 0.0,
                elsewhere=max((v for key, v in largest.items() if key != id(kernel.variable)), default=0.0),
            )
        )
    return tuple(found)


def _kernels(model: Any) -> Sequence[_Kernel]:
    return [
        _Kernel(place.inside_loop or place.key, variable, axes)
        for place in places(model)
        for variable in own_variables(place.layer)
        if variable.trainable and role(variable, place.layer) == "kernel"
        for axes in [unit_axes(variable, place.layer)]
        if axes is not None
    ]


def _by_unit(values: NDArray[Any], axes: tuple[int, ...]) -> NDArray[Any]:
    """Return shape ``(fan-in, units)``."""
    axes = tuple(axis % values.ndim for axis in axes)
    others = [axis for axis in range(values.ndim) if axis not in axes]
    units = int(np.prod([values.shape[axis] for axis in axes]))
    return values.transpose(*others, *axes).reshape(-1, units)


def _is_alike(kernel: _Kernel) -> bool:
    units = _by_unit(np.asarray(kernel.variable), kernel.axes)
    return units.shape[1] >= 2 and units.size > 0 and bool(np.all(units == units[:, :1]))


def _largest(values: NDArray[Any] | None) -> float:
    return 0.0 if values is None or not values.size else float(np.max(np.abs(values)))
