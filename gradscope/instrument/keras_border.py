"""The border to Keras: it ships no types, so that from here on what comes from it is Any."""

from __future__ import annotations

from typing import Any

import keras as _keras
from keras.src.utils import naming as _naming

keras: Any = _keras
_names: Any = _naming


def snake_case(name: str) -> str:
    """Return a class's name as Keras makes a layer's name of it.

    Example:
        >>> snake_case("LeakyReLU"), snake_case("Conv2D")
        ('leaky_re_lu', 'conv2d')
    """
    return _names.to_snake_case(name)
