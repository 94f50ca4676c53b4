"""Made measurements: a small healthy one with two Dense layers, to be changed into what a test is about."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from zoo.measurement import LAYER_STATISTICS, VARIABLE_STATISTICS, Facts, Layer, Measurement, Variable

_LAYER = {
    "mean": 0.4,
    "mean_abs": 0.5,
    "std": 0.6,
    "std_over_samples": 0.5,
    "rms": 0.7,
    "abs_max": 2.0,
    "min": -1.0,
    "max": 2.0,
    "zero_fraction": 0.3,
    "nonpositive_fraction": 0.4,
    "nonfinite": 0.0,
    "zero_unit_fraction": 0.0,
    "sample_sum_max": 1.0,
    "saturated_fraction": 0.1,
    "pre_mean": 0.1,
    "pre_std": 1.0,
    "pre_min": -3.0,
    "pre_max": 3.0,
    "pre_nonfinite": 0.0,
    "pre_nonpositive_fraction": 0.4,
    "pre_beyond_five_fraction": 0.0,
    "pre_silent_unit_fraction": 0.0,
    "pre_tanh_idle_unit_fraction": 0.0,
    "pre_sigmoid_idle_unit_fraction": 0.0,
    "backward_mean": 0.01,
    "backward_mean_abs": 0.02,
    "backward_abs_max": 0.1,
    "backward_nonfinite": 0.0,
    "through_time": 1.0,
    "training_apart": 0.1,
}
_VARIABLE = {
    "weight_mean": 0.01,
    "weight_variance": 0.1,
    "weight_norm": 2.0,
    "weight_abs_max": 0.5,
    "weight_nonfinite": 0.0,
    "weight_equal_units": 0.0,
    "change_norm": 0.1,
    "change_max": 0.01,
    "change_close": 0.0,
    "step_norm": 0.002,
    "gradient_connected": 1.0,
    "gradient_mean": 0.001,
    "gradient_mean_abs": 0.01,
    "gradient_rms": 0.02,
    "gradient_norm": 0.1,
    "gradient_abs_max": 0.1,
    "gradient_zero_fraction": 0.0,
    "gradient_spread": 0.05,
    "gradient_nonfinite": 0.0,
}
_DRIFTS = ("weight_mean", "gradient_mean", "mean", "pre_mean", "backward_mean")

BATCHES = 10  # in an epoch


def made(
    *,
    epochs: int = 6,
    activation: str = "relu",
    last: str = "softmax",
    facts: Mapping[str, Any] | None = None,
    layers: Mapping[str, Sequence[Any]] | None = None,
    variables: Mapping[str, Sequence[Any]] | None = None,
    logs: Mapping[str, Any] | None = None,
    **changes: Any,
) -> Measurement:
    """Return a classification with two Dense layers that learns, sampled before and after each epoch.

    Args:
        epochs: How many.
        activation: Of the hidden layer.
        last: Of the output layer.
        facts: Facts that differ.
        layers: Statistics that differ: one value, or a series, for each of the two layers.
        variables: The same for the two kernels; the biases stay as they are.
        logs: Logs that differ.
        changes: Other fields that differ.
    """
    samples = epochs + 1
    described = (
        Layer("dense", "Dense", activation, activation, weight_arrays=2, units=8, rank=2),
        Layer("dense_1", "Dense", last, last, weight_arrays=2, units=3, rank=2, is_output=True),
    )
    owned = tuple(
        Variable(f"model/{layer.key}/{name}", layer.key, name, ndim, size)
        for layer in described
        for name, ndim, size in (("kernel", 2, 32), ("bias", 1, 8))
    )
    measured = Measurement(
        facts=Facts(
            **{
                "loss": "sparse_categorical_crossentropy",
                "loss_is_text": True,
                "classes": 3,
                "class_counts": (200, 200, 200),
                "baseline_loss": 1.1,
                "label_min": 0.0,
                "label_max": 2.0,
                "input_min": -1.0,
                "input_max": 1.0,
                "input_mean": 0.0,
                "input_std": 0.5,
                "input_shape": (256, 4),
                "optimizer": "Adam",
                "learning_rate": 1e-3,
                "epochs": epochs,
                "samples": 600,
            }
            | dict(facts or {})
        ),
        layers=described,
        variables=owned,
        step=np.arange(samples) * float(BATCHES),
        epoch=np.arange(samples, dtype=float),
        loss=np.linspace(1.1, 0.2, samples),
        accuracy=np.linspace(0.3, 0.9, samples),
        learning_rate=np.full(samples, 1e-3),
        inference_loss=np.linspace(1.1, 0.2, samples),
        by_variable=_table(
            VARIABLE_STATISTICS, _VARIABLE, samples, 4, {k: _spread(v) for k, v in (variables or {}).items()}
        ),
        by_layer=_table(LAYER_STATISTICS, _LAYER, samples, 2, dict(layers or {})),
        batch_loss=np.linspace(1.1, 0.2, epochs * BATCHES),
        batch_accuracy=np.linspace(0.3, 0.9, epochs * BATCHES),
        epoch_logs={
            name: np.asarray(values, float)
            for name, values in (
                {
                    "loss": np.linspace(1.0, 0.2, epochs),
                    "val_loss": np.linspace(1.0, 0.21, epochs),
                    "accuracy": np.linspace(0.3, 0.9, epochs),
                    "val_accuracy": np.linspace(0.3, 0.9, epochs),
                }
                | dict(logs or {})
            ).items()
        },
        epoch_step=np.arange(1, epochs + 1) * float(BATCHES),
    )
    return replace(measured, **changes)


def _spread(kernels: Sequence[Any]) -> list[Any]:
    first, second = kernels
    return [first, None, second, None]


def _table(
    names: Sequence[str], usual: Mapping[str, float], samples: int, width: int, changes: Mapping[str, Sequence[Any]]
) -> dict[str, Any]:
    table: dict[str, Any] = {}
    for name in names:
        values = np.full((samples, width), usual[name])
        if name in _DRIFTS:  # what is alive moves a little
            values = values * (1 + 0.01 * np.arange(samples)[:, None])
        for number, change in enumerate(changes.get(name, ())):
            if change is not None:
                values[:, number] = change
        table[name] = values
    return table
