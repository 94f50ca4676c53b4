"""The statistics of a measurement, in NumPy and float64, one expression each."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zoo.measurement import LAYER_STATISTICS, VARIABLE_STATISTICS, Layer

Array = NDArray[Any]


def variable_row(weight: Array, before: Array | None, gradient: Array | None, connected: bool) -> dict[str, float]:
    """Return `VARIABLE_STATISTICS` of one variable.

    Args:
        weight: Its value.
        before: Its value at the sample before.
        gradient: Gradient of the probe's loss; None where there is none or it was not measured.
        connected: Whether the loss depends on it.
    """
    with np.errstate(all="ignore"):  # a broken training has values that overflow, and NaN
        return _variable_row(weight, before, gradient, connected)


def _variable_row(weight: Array, before: Array | None, gradient: Array | None, connected: bool) -> dict[str, float]:
    w = np.asarray(weight, np.float64)
    row = dict.fromkeys(VARIABLE_STATISTICS, math.nan)
    row |= {
        "weight_mean": float(w.mean()),
        "weight_variance": float(w.var()),
        "weight_norm": float(np.sqrt((w**2).sum())),
        "weight_abs_max": float(np.abs(w).max()),
        "weight_nonfinite": float((~np.isfinite(w)).sum()),
        "weight_equal_units": float(w.ndim > 1 and w.shape[-1] > 1 and bool((w == w[..., :1]).all())),
        "gradient_connected": float(connected),
    }
    if before is not None:
        change = w - np.asarray(before, np.float64)
        row |= {
            "change_norm": change_norm(weight, before),
            "change_max": float(np.abs(change).max()),
            "change_close": float(np.allclose(weight, before)),
        }
    if gradient is not None:
        g = np.asarray(gradient, np.float64)
        low, high = np.percentile(g, [5, 95]) if np.isfinite(g).all() else (math.nan, math.nan)
        row |= {
            "gradient_mean": float(g.mean()),
            "gradient_mean_abs": float(np.abs(g).mean()),
            "gradient_rms": float(np.sqrt((g**2).mean())),
            "gradient_norm": float(np.sqrt((g**2).sum())),
            "gradient_abs_max": float(np.abs(g).max()),
            "gradient_zero_fraction": float((g == 0).mean()),
            "gradient_spread": float(high - low),
            "gradient_nonfinite": float((~np.isfinite(g)).sum()),
        }
    return row


def change_norm(after: Array, before: Array) -> float:
    """Return the L2 norm of a change."""
    with np.errstate(all="ignore"):
        return float(np.sqrt(((np.asarray(after, np.float64) - np.asarray(before, np.float64)) ** 2).sum()))


def layer_row(
    output: Array | None,
    pre: Array | None,
    backward: Array | None,
    layer: Layer,
    by_time: Array | None = None,
    trained: Array | None = None,
) -> dict[str, float]:
    """Return `LAYER_STATISTICS` of one layer.

    Args:
        output: What it returned, samples first; None where it was not seen.
        pre: What went into its activation function; None where it has none or it was not seen.
        backward: Gradient of the loss at its output; None where the loss does not depend on it.
        layer: Whose it is.
        by_time: Gradient of the loss at what a recurrent layer reads, in the order in which it reads it.
        trained: What BatchNormalization returned in training.
    """
    with np.errstate(all="ignore"):
        row = _layer_row(output, pre, backward, layer)
        if by_time is not None:
            d = np.asarray(by_time, np.float64)
            row["through_time"] = float(np.sqrt((d[:, 0] ** 2).mean() / (d[:, -1] ** 2).mean()))
        if output is not None and trained is not None:
            apart = np.asarray(trained, np.float64) - output
            row["training_apart"] = float(np.sqrt((apart**2).mean()) / trained.std())
        return row


def _layer_row(output: Array | None, pre: Array | None, backward: Array | None, layer: Layer) -> dict[str, float]:
    row = dict.fromkeys(LAYER_STATISTICS, math.nan)
    if output is not None and output.size:
        row |= _output(np.asarray(output, np.float64))
    if pre is not None and pre.size:
        row |= _pre_activation(np.asarray(pre, np.float64))
        if layer.tails is not None:
            low, high = layer.tails
            row["saturated_fraction"] = float(((pre <= low) | (pre >= high)).mean())
    elif output is not None and layer.activation == "tanh":  # a SimpleRNN, whose function is applied in a loop
        row["saturated_fraction"] = float((np.abs(output) >= 0.9747).mean())
    if backward is not None and backward.size:
        d = np.asarray(backward, np.float64)
        row |= {
            "backward_mean": float(d.mean()),
            "backward_mean_abs": float(np.abs(d).mean()),
            "backward_abs_max": float(np.abs(d).max()),
            "backward_nonfinite": float((~np.isfinite(d)).sum()),
        }
    return row


def _output(a: Array) -> dict[str, float]:
    return {
        "mean": float(a.mean()),
        "mean_abs": float(np.abs(a).mean()),
        "std": float(a.std()),
        "std_over_samples": float(np.sqrt(a.var(0).mean())),
        "rms": float(np.sqrt((a**2).mean())),
        "abs_max": float(np.abs(a).max()),
        "min": float(a.min()),
        "max": float(a.max()),
        "zero_fraction": float((a == 0).mean()),
        "nonpositive_fraction": float((a <= 0).mean()),
        "nonfinite": float((~np.isfinite(a)).sum()),
        "zero_unit_fraction": float((a == 0).reshape(-1, a.shape[-1]).all(0).mean()) if a.ndim > 1 else math.nan,
        "sample_sum_max": float(np.abs(a).sum(1).max()) if a.ndim > 1 else math.nan,
    }


def _pre_activation(z: Array) -> dict[str, float]:
    units = z.reshape(-1, z.shape[-1])

    def idle(inside: Array) -> float:
        return float((inside.mean(0) < 0.01).mean())

    return {
        "pre_mean": float(z.mean()),
        "pre_std": float(z.std()),
        "pre_min": float(z.min()),
        "pre_max": float(z.max()),
        "pre_nonfinite": float((~np.isfinite(z)).sum()),
        "pre_nonpositive_fraction": float((z <= 0).mean()),
        "pre_beyond_five_fraction": float((np.abs(z) >= 5).mean()),
        "pre_silent_unit_fraction": idle(units > 0),
        "pre_tanh_idle_unit_fraction": idle((units > -9.4999) & (units < 9.4999)),
        "pre_sigmoid_idle_unit_fraction": idle((units > -23) & (units < 16.99999)),
    }
