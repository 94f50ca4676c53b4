"""Precision: what a program computes in. Each is set before the model is built and gives the dtype of its data."""

from __future__ import annotations

from collections.abc import Callable

import keras


def policy(name: str) -> Callable[[], None]:
    return lambda: keras.config.set_dtype_policy(name)


def floatx(name: str) -> Callable[[], None]:
    def set_both() -> None:
        keras.config.set_floatx(name)
        keras.config.set_dtype_policy(name)

    return set_both


PRECISIONS: dict[str, Callable[[], None]] = {
    "float32": lambda: None,
    "mixed_float16": policy("mixed_float16"),
    "mixed_float16, steps skipped": policy("mixed_float16"),
    "mixed_bfloat16": policy("mixed_bfloat16"),
    "bfloat16": floatx("bfloat16"),
    "floatx float64": floatx("float64"),
    "floatx float16": floatx("float16"),
}

SKIPPING_SCALE = 2.0**22
"""Loss scale with which the first steps of a mixed_float16 training overflow, so that they are skipped."""
