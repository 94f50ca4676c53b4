"""The border to TensorFlow: it ships no types, so that from here on what comes from it is Any."""

from __future__ import annotations

from typing import Any

import tensorflow as _tensorflow
from keras.src import backend as _backend
from keras.src.activations import activations as _activations

tf: Any = _tensorflow
keras_backend: Any = _backend
keras_activations: Any = _activations
