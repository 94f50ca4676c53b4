"""Rows of the `activations` and `gradients` tables: the ratios made of what batches left behind, in float64."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from gradscope.schema import ACTIVATIONS, GRADIENTS, Table
from gradscope.statistics.sums import (
    ActivationSums,
    BackwardSums,
    GradientSums,
    Host,
    Moments,
    SoftmaxSums,
    UnitSums,
    decoded,
    moments_of,
    pre_moments_of,
    ratio,
)

DORMANT_SHARE: Final = 0.025
"""A unit is dormant at or below this share of its layer's mean |a| (Sokar et al., ICML 2023, their tau)."""


def activation_row(
    sums: ActivationSums[Host],
    *,
    units: UnitSums[Host] | None = None,
    backward: BackwardSums[Host] | None = None,
    softmax: SoftmaxSums[Host] | None = None,
    dead_unit_fraction: float = math.nan,
    stuck_unit_fraction: float = math.nan,
) -> NDArray[np.float32]:
    """Return a site's row of the `activations` table; NaN wherever there is nothing to divide by.

    Args:
        sums: The site's sums.
        units: Its sums by unit, for the spread over samples and the dormant units.
        backward: The sums of its backward signal.
        softmax: The sums of its probabilities.
        dead_unit_fraction: From `gradscope.recording.unit_windows`.
        stuck_unit_fraction: From `gradscope.recording.unit_windows`.

    Returns:
        Float32, shape ``(len(ACTIVATIONS.statistics),)``, in the order of the schema.
    """
    pre, post = pre_moments_of(sums), moments_of(sums)
    some_pre, some_post = sums.pre_min <= sums.pre_max, sums.abs_max >= 0
    return _row(
        ACTIVATIONS,
        {
            "pre_mean": _mean(pre),
            "pre_std": _std(pre),
            "pre_min": sums.pre_min if some_pre else math.nan,
            "pre_max": sums.pre_max if some_pre else math.nan,
            "mean": _mean(post),
            "std": _std(post),
            "sample_std": math.nan if units is None else sample_std(units),
            "rms": _rms(post),
            "abs_max": sums.abs_max if some_post else math.nan,
            "zero_fraction": ratio(sums.zero_count, sums.entries),
            "saturated_fraction": ratio(sums.low_count + sums.high_count, sums.entries),
            "saturated_low_fraction": ratio(sums.low_count, sums.entries),
            "saturated_high_fraction": ratio(sums.high_count, sums.entries),
            "inactive_fraction": ratio(sums.inactive_count, sums.entries),
            "dead_unit_fraction": dead_unit_fraction,
            "stuck_unit_fraction": stuck_unit_fraction,
            "dormant_unit_fraction": math.nan if units is None else dormant_unit_fraction(units),
            "backward_rms": math.nan if backward is None else backward_rms(backward),
            "backward_zero_fraction": math.nan if backward is None else ratio(backward.zero_count, backward.entries),
            "nonfinite_count": sums.nonfinite_count,
            "entropy": math.nan if softmax is None else ratio(softmax.entropy_sum, softmax.entropy_count),
            "top_probability": math.nan if softmax is None else ratio(softmax.top_sum, softmax.top_count),
        },
    )


def gradient_row(
    sums: GradientSums[Host] | None, *, weight_norm: float = math.nan, update_norm: float = math.nan
) -> NDArray[np.float32]:
    """Return a variable's row of the `gradients` table.

    Args:
        sums: The sums of its gradient; None where the loss does not depend on it, so that it has none: its norm is
            then NaN and never 0.
        weight_norm: Norm of the variable before the step.
        update_norm: Norm of what the step added to it.

    Returns:
        Float32, shape ``(len(GRADIENTS.statistics),)``, in the order of the schema.
    """
    g = decoded(GradientSums[Host], [math.nan] * len(GradientSums._fields)) if sums is None else sums
    return _row(
        GRADIENTS,
        {
            "connected": float(sums is not None),
            "norm": gradient_norm(g),
            "rms": gradient_norm(g) / np.sqrt(g.entries) if g.entries > 0 else math.nan,
            "abs_max": g.abs_max if g.abs_max >= 0 else math.nan,
            "zero_fraction": ratio(g.zero_count, g.entries),
            "nonfinite_count": g.nonfinite_count,
            "weight_norm": weight_norm,
            "update_norm": update_norm,
            "update_to_weight_ratio": update_norm / weight_norm if weight_norm else math.nan,
            "sign_agreement": ratio(g.agreement_sum, g.agreement_count),
        },
    )


def gradient_norm(sums: GradientSums[Host]) -> Host:
    """Return the L2 norm of a gradient: NaN where an entry is NaN, else infinite where one is."""
    return sums.scale * np.sqrt(sums.square_sum)


def global_norm(gradients: Iterable[GradientSums[Host]]) -> float:
    """Return the L2 norm over all gradients together; NaN where there are none.

    Example:
        >>> gradient = decoded(GradientSums, [2, 0, 0, 4.0, 1.0, 4.0, 0, 0])
        >>> global_norm([gradient, gradient._replace(scale=np.float64(3.0))])
        5.0
    """
    squares = [float(gradient_norm(gradient)) ** 2 for gradient in gradients]
    return math.sqrt(sum(squares)) if squares else math.nan


def backward_rms(sums: BackwardSums[Host]) -> Host:
    """Return the root mean square of the per-sample gradient of the loss at the pre-activation, finite entries only."""
    return np.sqrt(ratio(sums.square_sum, sums.finite_count)) * sums.scale * sums.factor


def sample_std(units: UnitSums[Host]) -> float:
    """Return the spread of a site's activations over samples.

    It is the root mean square over units of a unit's standard deviation over positions: 0 where every sample gives
    the same activations, however much they differ between units. Units without a finite activation are left out.

    Source: ours; the usual deviation over all entries hides a layer that has lost its input behind its biases.
    """
    variances = _std(moments_of(units)) ** 2
    return math.sqrt(np.mean(variances[units.finite_count > 0])) if np.any(units.finite_count > 0) else math.nan


def mean_abs(units: UnitSums[Host]) -> Host:
    """Return the mean absolute activation of each unit, shape ``(units,)``, over finite entries of the sample."""
    return ratio(units.abs_sum, units.finite_count) * units.scale


def dormant_unit_fraction(units: UnitSums[Host], *, share: float = DORMANT_SHARE) -> float:
    """Return the share of units whose mean |a| is at most ``share`` of the layer's; 1 for a layer that is all zero.

    Source: Sokar, Agarwal, Castro and Evci, "The dormant neuron phenomenon in deep reinforcement learning", ICML 2023.
    """
    means = mean_abs(units)[units.finite_count > 0]
    return float(np.mean(means <= share * np.mean(means))) if means.size else math.nan


def _mean(moments: Moments[Host]) -> Host:
    return np.where(moments.finite_count > 0, moments.mean * moments.scale, math.nan)


def _std(moments: Moments[Host]) -> Host:
    return np.sqrt(ratio(moments.m2, moments.finite_count)) * moments.scale


def _rms(moments: Moments[Host]) -> Host:
    return np.hypot(_mean(moments), _std(moments))


def _row(table: Table, values: dict[str, Any]) -> NDArray[np.float32]:
    with np.errstate(over="ignore"):  # a norm above float32's range is written as infinite
        return np.array([values[name] for name in table.statistic_names], np.float64).astype(np.float32)
