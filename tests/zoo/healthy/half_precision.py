"""Mixed precision: steps that loss scaling skips, gradients that underflow here and there, coarse activations."""

from __future__ import annotations

from typing import Any

import keras

from zoo.case import Case, Training
from zoo.data import digit_images
from zoo.healthy.tasks import classify, digits_mlp, first

L: Any = keras.layers


def _digits(policy: str, optimizer: Any) -> Training:
    keras.mixed_precision.set_dtype_policy(policy)
    model = digits_mlp()
    model.layers[-1].dtype_policy = keras.DTypePolicy("float32")
    return classify(model, optimizer=optimizer(), epochs=7)


def _images(policy: str) -> Training:
    keras.mixed_precision.set_dtype_policy(policy)
    model = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            L.Conv2D(12, 3, use_bias=False),
            L.BatchNormalization(),
            L.Activation("relu"),
            L.Flatten(),
            L.Dense(24, "gelu"),
            L.Dense(10, "softmax", dtype="float32"),
        ]
    )
    return classify(model, first(640, digit_images()), optimizer=keras.optimizers.Adam(3e-3), epochs=6)


def _skipping() -> keras.optimizers.Optimizer:
    """A scale that is too large at first, and doubles every 40 steps: steps are skipped again and again."""
    return keras.optimizers.LossScaleOptimizer(
        keras.optimizers.Adam(2e-3), initial_scale=2.0**24, dynamic_growth_steps=40
    )


_SCALED = "raw gradients are thousands of times too large, and half-precision zeros are no dead units"
CASES: tuple[Case, ...] = (
    Case(
        "float16_digits",
        "float16",
        _SCALED,
        lambda: _digits("mixed_float16", lambda: keras.optimizers.Adam(2e-3)),
        learns=0.4,
    ),
    Case(
        "float16_skipped_steps",
        "float16",
        "gradients of skipped steps are infinite, and nothing is wrong",
        lambda: _digits("mixed_float16", _skipping),
        learns=0.4,
    ),
    Case("float16_images", "float16", _SCALED, lambda: _images("mixed_float16"), learns=0.4),
    Case(
        "bfloat16_digits",
        "bfloat16",
        "eight bits of mantissa: updates are coarse",
        lambda: _digits("mixed_bfloat16", lambda: keras.optimizers.Adam(2e-3)),
        learns=0.4,
    ),
    Case(
        "bfloat16_images",
        "bfloat16",
        "eight bits of mantissa: statistics are coarse",
        lambda: _images("mixed_bfloat16"),
        learns=0.4,
    ),
)
