"""The border to TensorFlow: it ships no types, so that from here on what comes from it is Any."""

from __future__ import annotations

from typing import Any, cast

import tensorflow as _tensorflow
from keras.src import backend as _backend
from keras.src.activations import activations as _activations
from tensorflow.python.framework import ops as _ops  # pyright: ignore[reportMissingTypeStubs]

tf: Any = _tensorflow
keras_backend: Any = _backend
keras_activations: Any = _activations


def registered_gradients() -> dict[str, Any]:
    """Return the functions that TensorFlow differentiates operations by, by name, in the order of registration."""
    return cast("Any", _ops).gradient_registry._registry
