"""TensorFlow as a `gradscope.instrument.backend.Backend`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gradscope.instrument.backend import Look, Recorder
from gradscope.instrument.network_of import LayerFilter
from gradscope.instrument.tensorflow import look, recorder
from gradscope.instrument.tensorflow.batches import batches_of_arrays, batches_of_dataset, plain_values
from gradscope.instrument.tensorflow.framework import tf

__all__ = [
    "batches_of_arrays",
    "batches_of_dataset",
    "is_dataset",
    "look_at",
    "plain_values",
    "recorder_for",
    "replica_count",
]


def recorder_for(model: Any, layers: LayerFilter | None, on_failure: Callable[[Exception], None]) -> Recorder:
    """Return what records steps of a model's training."""
    return recorder.Recorder(model, layers, on_failure)


def look_at(model: Any, spec: Any) -> Look:
    """Return a look at the step of a compiled and built model."""
    return look.Look(model, spec)


def replica_count(model: Any) -> int:
    """Return on how many replicas a model trains."""
    return int(model.distribute_strategy.num_replicas_in_sync)


def is_dataset(x: Any) -> bool:
    """Return whether ``x`` is a `tf.data.Dataset`."""
    return isinstance(x, tf.data.Dataset)
