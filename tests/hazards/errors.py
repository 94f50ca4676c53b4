"""Errors: how a training ends before its time. What is raised, and what is left behind, must be the same."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from hazards.bench import Bench, OnlyTraining, X, Y
from hazards.feeds import Feed


class AtBatch(keras.callbacks.Callback):
    """Does something at the end of the fifth batch."""

    def __init__(self, action: Callable[[Any], Any]) -> None:
        super().__init__()
        self.action, self.count = action, 0

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.count += 1
        if self.count == 5:
            self.action(self.model)


def _raise(error: BaseException) -> None:
    raise error


def data_that_raise(bench: Bench, feed: Feed) -> Feed:
    def batches() -> Iterator[Any]:
        for batch in range(4):
            yield X[8 * (batch % 3) :][:8], Y[8 * (batch % 3) :][:8]
        raise OSError("the disk is gone")

    return Feed(batches(), fit={"steps_per_epoch": 3})


def data_that_end(bench: Bench, feed: Feed) -> Feed:
    return Feed(tf.data.Dataset.from_tensor_slices((X, Y)).batch(8), fit={"steps_per_epoch": 5})


def tf_data_that_raise(bench: Bench, feed: Feed) -> Feed:
    def checked(number: Any, x: Any, y: Any) -> Any:
        with tf.control_dependencies([tf.debugging.assert_less(number, tf.constant(20, tf.int64))]):
            return x, y

    data = tf.data.Dataset.from_tensor_slices((X, Y)).enumerate().map(lambda n, row: checked(n, *row))
    return Feed(data.batch(8))


def nan_in_the_data(bench: Bench, feed: Feed) -> Feed:
    x = X.copy()
    x[10, 2] = np.nan
    return Feed(x, Y)


def terminate_on_nan(bench: Bench, feed: Feed) -> Feed:
    bench.callbacks.append(keras.callbacks.TerminateOnNaN())
    return nan_in_the_data(bench, feed)


def out_of_memory(bench: Bench, feed: Feed) -> Feed:
    """The step itself raises what TensorFlow raises when memory is exhausted, at its fifth batch."""
    count = [0]
    bench.keep("count", lambda: count)

    def allocate() -> None:
        count[0] += 1
        if count[0] == 5:
            raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating a tensor")

    def passed(x: Any) -> Any:
        with tf.control_dependencies([tf.py_function(allocate, [], [])] if not tf.executing_eagerly() else []):
            if tf.executing_eagerly():
                allocate()
            return tf.identity(x)

    bench.layers.append(OnlyTraining(passed))
    return feed


def raised_while_tracing(bench: Bench, feed: Feed) -> Feed:
    """The first trace raises, as a wrong shape does; the second attempt works."""
    traces: list[int] = []
    bench.keep("traces", lambda: len(traces))

    def wrong_once(x: Any) -> Any:
        traces.append(1)
        return tf.reshape(x, (-1, 5)) if len(traces) == 1 else x

    bench.layers.append(OnlyTraining(wrong_once))
    return feed


def step_asserts(bench: Bench, feed: Feed) -> Feed:
    seen = tf.Variable(0, trainable=False)
    bench.keep("seen", lambda: seen)

    def asserted(x: Any) -> Any:
        with tf.control_dependencies([tf.debugging.Assert(seen.assign_add(1) != 5, ["the fifth batch"])]):
            return tf.identity(x)

    bench.layers.append(OnlyTraining(asserted))
    return feed


def interrupted(bench: Bench, feed: Feed) -> Feed:
    bench.callbacks.append(AtBatch(lambda model: _raise(KeyboardInterrupt())))
    return feed


def interrupted_in_the_data(bench: Bench, feed: Feed) -> Feed:
    class Interrupting(keras.utils.PyDataset):
        asked = 0

        def __len__(self) -> int:
            return 3

        def __getitem__(self, index: int) -> Any:
            self.asked += 1
            if self.asked == 5:
                raise KeyboardInterrupt
            return X[8 * index :][:8], Y[8 * index :][:8]

    return Feed(Interrupting())


def exits(bench: Bench, feed: Feed) -> Feed:
    bench.callbacks.append(AtBatch(lambda model: _raise(SystemExit(3))))
    return feed


def stop_training(bench: Bench, feed: Feed) -> Feed:
    bench.callbacks.append(AtBatch(lambda model: setattr(model, "stop_training", True)))
    return feed


def early_stopping(bench: Bench, feed: Feed) -> Feed:
    stopping = keras.callbacks.EarlyStopping("loss", patience=0, min_delta=10.0, restore_best_weights=True)
    bench.callbacks.append(stopping)
    return feed


ERRORS: dict[str, Callable[[Bench, Feed], Feed] | None] = {
    "none": None,
    "data that raise": data_that_raise,
    "tf.data that raise": tf_data_that_raise,
    "data that end": data_that_end,
    "NaN": nan_in_the_data,
    "TerminateOnNaN": terminate_on_nan,
    "out of memory": out_of_memory,
    "raised while tracing": raised_while_tracing,
    "assertion in a step": step_asserts,
    "KeyboardInterrupt": interrupted,
    "KeyboardInterrupt in the data": interrupted_in_the_data,
    "SystemExit": exits,
    "stop_training": stop_training,
    "EarlyStopping": early_stopping,
}
