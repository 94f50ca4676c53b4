"""The one door to the tensor operations of whichever backend Keras runs on."""

from __future__ import annotations

from typing import Any, TypeAlias

import keras

Tensor: TypeAlias = Any
"""A tensor of the backend. `Any`, because the backends' classes share no base."""

# Keras annotates its operations as returning unknown or None, and the module itself not at all.
ops: Any = keras.ops  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
