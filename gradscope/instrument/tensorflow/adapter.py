"""TensorFlow as a `gradscope.instrument.backend.Backend`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gradscope.instrument.backend import Recorder
from gradscope.instrument.network_of import LayerFilter
from gradscope.instrument.tensorflow import recorder


def recorder_for(model: Any, layers: LayerFilter | None, on_failure: Callable[[Exception], None]) -> Recorder:
    """Return what records steps of a model's training."""
    return recorder.Recorder(model, layers, on_failure)
