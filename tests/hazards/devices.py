"""Devices: where a program trains. Each is set up before TensorFlow starts, and gives the strategy to build under."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf


def logical(count: int) -> None:
    """Make several logical devices of the processor."""
    kinds = [tf.config.LogicalDeviceConfiguration() for _ in range(count)]
    tf.config.set_logical_device_configuration(tf.config.list_physical_devices("CPU")[0], kinds)


def default() -> Any:
    return tf.distribute.get_strategy()


def one_device() -> Any:
    return tf.distribute.OneDeviceStrategy("CPU:0")


def second_device() -> Any:
    logical(2)
    return tf.distribute.OneDeviceStrategy("CPU:1")


def mirrored(count: int) -> Callable[[], Any]:
    def strategy() -> Any:
        logical(count)
        return tf.distribute.MirroredStrategy([f"CPU:{number}" for number in range(count)])

    return strategy


def one_thread() -> Any:
    """The default with a single thread for each kind of work, and operations that promise to be deterministic."""
    tf.config.threading.set_inter_op_parallelism_threads(1)
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.experimental.enable_op_determinism()
    return tf.distribute.get_strategy()


DEVICES: dict[str, Callable[[], Any]] = {
    "default": default,
    "deterministic, one thread": one_thread,
    "OneDeviceStrategy": one_device,
    "OneDeviceStrategy, second device": second_device,
    "MirroredStrategy of 1": mirrored(1),
    "MirroredStrategy of 2": mirrored(2),
    "MirroredStrategy of 4": mirrored(4),
}
