"""How far the statistics that BatchNormalization keeps are from those of a batch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradscope.instrument.keras_border import keras
from gradscope.instrument.tensorflow.framework import values_of
from gradscope.instrument.tensorflow.nonfinite import Run
from gradscope.instrument.tensorflow.step_graph import StepGraph
from gradscope.records import MovingStatistics

Statistics = tuple[Any, str, Any, Any]
"""A layer, its key, and the tensors of the mean and the variance that it takes of the batch."""


def of_batches(step: StepGraph) -> list[Statistics]:
    """Return what the layers of a step normalise each batch by, each layer once."""
    found: dict[str, Statistics] = {}
    for layer, key, operations in step.calls_of(keras.layers.BatchNormalization):
        tensors = _mean_and_variance(operations)
        if tensors is not None:
            found.setdefault(key, (layer, key, *tensors))
    return list(found.values())


def compared(statistics: Sequence[Statistics], run: Run) -> tuple[MovingStatistics, ...]:
    """Return how far the present moving statistics are from those of the batch that ``run`` runs."""
    if not statistics:
        return ()
    values = run([tensor for _, _, *tensors in statistics for tensor in tensors])
    found: list[MovingStatistics] = []
    for number, (layer, key, *_) in enumerate(statistics):
        mean, variance = (_flat(value) for value in values[2 * number : 2 * number + 2])
        kept_mean, kept_variance = _flat(layer.moving_mean), _flat(layer.moving_variance)
        if mean.shape != kept_mean.shape or not np.isfinite([mean, variance, kept_mean, kept_variance]).all():
            continue
        floor = float(layer.epsilon)
        gap = np.sqrt(np.mean((mean - kept_mean) ** 2 / (variance + floor)))
        ratio = np.median((variance + floor) / (kept_variance + floor))
        found.append(MovingStatistics(key, float(gap), float(max(ratio, 1 / ratio))))
    return tuple(found)


def _mean_and_variance(operations: Sequence[Any]) -> tuple[Any, Any] | None:
    """Return the mean and the variance that a call takes of its batch; None where it takes none, as in inference."""
    fused = [operation for operation in operations if operation.type == "FusedBatchNormV3"]
    if fused and fused[0].get_attr("is_training"):
        return fused[0].outputs[1], fused[0].outputs[2]
    means = [operation.outputs[0] for operation in operations if operation.type == "Mean"]
    return (means[0], means[1]) if len(means) >= 2 else None


def _flat(value: Any) -> NDArray[np.float64]:
    """Return a tensor, or what a variable holds, as numbers in a row."""
    return values_of(value)[0].numpy().astype(np.float64).ravel()
