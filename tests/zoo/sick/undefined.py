"""Cases that meet a NaN or an infinity, by the operation in which it begins: forward, backward, or in the data."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from zoo.case import Case, Training
from zoo.data import digits, friedman
from zoo.sick.nets import CLASSES, SPARSE, stack, training

BROKEN = frozenset(
    {"not_converging", "oscillating_loss", "update_ratio", "unchanged_weights", "dying_relu", "exploding_activation"}
    | {"exploding_gradient", "collapsed_output", "input_scale", "target_scale", "nonfinite_data"}
    | {"output_loss_mismatch", "saturated_activation"}
)
Operation = Callable[[Any], Any]


def _behind_rectifier(operation: Operation) -> Callable[[], Training]:
    """Apply an operation to what a rectifier gives, zeros among it."""

    def build() -> Training:
        inputs = keras.Input((64,))
        hidden = keras.layers.Dense(24, activation="relu", name="inner")(inputs)
        head = keras.layers.Dense(CLASSES, activation="softmax", name="head")(operation(hidden))
        return training(keras.Model(inputs, head), keras.optimizers.SGD(0.05), SPARSE, digits(), epochs=3)

    return build


def _logarithm_where_positive(z: Any) -> Any:
    """Guard the value; the derivative of the branch not taken is infinite, and zero times infinity is no number."""
    return keras.ops.where(z > 0, keras.ops.log(z), 0.0)


def _own_norm(z: Any) -> Any:
    """Length of the difference between two halves that share their weights: zero for equal ones."""
    return keras.ops.concatenate([z, keras.ops.norm(z - z, axis=1, keepdims=True)], axis=1)


BACKWARD: dict[str, tuple[str, Operation]] = {
    "square root at zero": ("roots", keras.ops.sqrt),
    "power of a half at zero": ("roots", lambda z: keras.ops.power(z, 0.5)),
    "length of nothing": ("lengths", _own_norm),
    "spread of a constant": ("lengths", lambda z: z * keras.ops.std(z - z, axis=1, keepdims=True)),
    "where with a bad branch": ("branches", _logarithm_where_positive),
    "arc cosine at one": ("branches", lambda z: keras.ops.arccos(keras.ops.minimum(z + 1, 1.0))),
}
FORWARD: dict[str, tuple[str, str, Operation]] = {
    "logarithm of zero": ("logarithms", "log", keras.ops.log),
    "one over zero": ("quotients", "reciprocal", keras.ops.reciprocal),
    "share of nothing": ("quotients", "true_divide", lambda z: z / keras.ops.sum(z * 0, axis=1, keepdims=True)),
    "exponential of hundreds": ("overflows", "exp", lambda z: keras.ops.exp(300 * z)),
    "root below zero": ("domains", "sqrt", lambda z: keras.ops.sqrt(z - 0.5)),
}


def _squares_in_half_precision() -> Training:
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float16")
    try:
        inputs = keras.Input((64,))
        hidden = keras.layers.Dense(24, activation="relu", name="inner")(inputs)
        squares = keras.ops.square(hidden)
        head = keras.layers.Dense(CLASSES, name="head", dtype="float32")(keras.ops.cast(squares, "float32"))
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        x, y = digits()
        return training(keras.Model(inputs, head), keras.optimizers.SGD(1e-3), loss, (x * 400, y), epochs=3)
    finally:
        keras.config.set_dtype_policy(before)


def _targets(bad: float, share: int = 20) -> Callable[[], Training]:
    """Leave gaps in the targets."""

    def build() -> Training:
        x, y = friedman()
        y = y / 10
        y[::share] = bad
        model = stack((10,), keras.layers.Dense(24, activation="relu"), keras.layers.Dense(1))
        return training(model, "adam", "mse", (x, y), epochs=3)

    return build


def _weights_that_are_no_numbers() -> Training:
    x, y = friedman()
    weights = np.ones(len(y), np.float32)
    weights[::25] = np.nan  # 0 / 0 of groups without members
    model = stack((10,), keras.layers.Dense(24, activation="relu"), keras.layers.Dense(1))
    return training(model, "adam", "mse", (x, y / 10), epochs=3, sample_weight=weights)


def _gaps_in_a_table() -> Training:
    x, y = friedman()
    x = x.copy()
    x[np.random.default_rng(0).random(x.shape) < 0.02] = np.nan
    model = stack((10,), keras.layers.Dense(24, activation="tanh"), keras.layers.Dense(1))
    return training(model, "adam", "mse", (x, y / 10), epochs=3)


def _logarithms_of_a_table() -> Training:
    x, y = friedman()
    with np.errstate(divide="ignore"):
        logs = np.log(np.round(x, 1))  # the smallest are rounded to zero
    model = stack((10,), keras.layers.Dense(24, activation="relu"), keras.layers.Dense(1))
    return training(model, "adam", "mse", (logs, y / 10), epochs=3)


CASES = (
    *(
        Case(
            name,
            f"undefined backward: {kind}",
            "keras-team/keras issues 9097 and 13003, tensorflow issue 38349: finite forward, no number backward",
            _behind_rectifier(operation),
            {"nan_or_inf": ("inner",)},
            BROKEN,
        )
        for name, (kind, operation) in BACKWARD.items()
    ),
    *(
        Case(
            name,
            f"undefined forward: {kind}",
            "made for the zoo: an operation behind a rectifier, outside of where it is defined",
            _behind_rectifier(operation),
            {"nan_or_inf": (key,)},
            BROKEN,
        )
        for name, (kind, key, operation) in FORWARD.items()
    ),
    Case(
        "squares in half precision",
        "undefined forward: overflows",
        "keras-team/keras issue 16552: above 65,504 float16 has no numbers",
        _squares_in_half_precision,
        {"nan_or_inf": ("square",)},
        BROKEN,
    ),
    *(
        Case(
            name,
            family,
            "keras-team/keras issue 6447 and its kin: data that are no numbers",
            build,
            {"nan_or_inf": (), "nonfinite_data": ()},
            BROKEN,
        )
        for name, family, build in (
            ("targets with gaps", "data no numbers: targets", _targets(np.nan)),
            ("targets without bound", "data no numbers: targets", _targets(np.inf)),
            ("a table with gaps", "data no numbers: inputs", _gaps_in_a_table),
            ("logarithms of a table", "data no numbers: inputs", _logarithms_of_a_table),
        )
    ),
    Case(
        "weights that are no numbers",
        "data no numbers: weights",
        "made for the zoo: sample weights by the size of groups",
        _weights_that_are_no_numbers,
        {"nan_or_inf": ()},
        BROKEN,
    ),
)
