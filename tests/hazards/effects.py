"""Side effects: what a step does besides computing. Done twice, or once more at the end, each is seen afterwards."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from hazards.bench import FEATURES, POOL, Bench, OnlyTraining

MARK = "a line of the program's own:"
"""Begins a line on standard error that is compared."""


def _layer(bench: Bench, effect: Callable[[Any], Any]) -> None:
    """Add a layer that has the effect and passes its input on."""

    def passed(x: Any) -> Any:
        effect(tf.cast(x, tf.float32))
        return x

    bench.layers.append(OnlyTraining(passed))


def _sum(bench: Bench, drawn: Callable[[], Any]) -> None:
    """Add a layer that adds what is drawn, a row of features."""
    bench.layers.append(OnlyTraining(lambda x: x + tf.cast(tf.reshape(drawn(), (FEATURES,)), x.dtype)))


def py_function_metric(bench: Bench) -> None:
    seen: list[float] = []

    def note(y: Any, p: Any) -> Any:
        seen.append(float(tf.reduce_mean(p)))
        return np.float32(len(seen))

    def calls(y: Any, p: Any) -> Any:
        return tf.reshape(tf.py_function(note, (y, tf.cast(p, tf.float32)), tf.float32), ())

    bench.metrics.append(calls)
    bench.keep("seen", lambda: seen)


def numpy_function(bench: Bench) -> None:
    seen: list[float] = []
    _layer(bench, lambda x: tf.numpy_function(lambda rows: (seen.append(float(rows.sum())), rows)[1], [x], tf.float32))
    bench.keep("seen", lambda: seen)


def numpy_function_draws(bench: Bench) -> None:
    """Draw from numpy's global state with every step, not with every trace."""

    def noisy(rows: Any) -> Any:
        return (rows + np.random.normal(0, 0.1, rows.shape)).astype("float32")  # noqa: NPY002

    def drawn(x: Any) -> Any:
        noise = tf.stop_gradient(tf.numpy_function(noisy, [tf.cast(x, tf.float32)], tf.float32))
        return x + tf.cast(tf.ensure_shape(noise, x.shape), x.dtype)

    bench.layers.append(OnlyTraining(drawn))


def print_to_file(bench: Bench) -> None:
    path = bench.folder / "printed"
    _layer(bench, lambda x: tf.print(tf.reduce_sum(x), output_stream=f"file://{path}"))


def print_to_error(bench: Bench) -> None:
    _layer(bench, lambda x: tf.print(MARK, tf.reduce_sum(x)))


def python_print(bench: Bench) -> None:
    _layer(bench, lambda x: print(MARK, "traced"))


def summary(bench: Bench) -> None:
    folder = str(bench.folder / "summaries")
    writer = tf.summary.create_file_writer(folder)
    step = tf.Variable(0, dtype=tf.int64, trainable=False)

    def write(x: Any) -> None:
        with writer.as_default():
            tf.summary.scalar("mean", tf.reduce_mean(x), step=step.assign_add(1))

    def events() -> list[Any]:
        writer.flush()
        paths = sorted(Path(folder).iterdir())
        return [
            (event.step, value.tag, tf.make_ndarray(value.tensor).item())
            for path in paths
            for event in tf.compat.v1.train.summary_iterator(str(path))
            for value in event.summary.value
        ]

    _layer(bench, write)
    bench.keep("events", events)


def file_written(bench: Bench) -> None:
    """Write a file of its own with every step, by TensorFlow."""
    count = tf.Variable(0, trainable=False)

    def write(x: Any) -> None:
        name = tf.strings.join([str(bench.folder), "/batch-", tf.strings.as_string(count.assign_add(1))])
        tf.io.write_file(name, tf.strings.as_string(tf.reduce_sum(x)))

    _layer(bench, write)


def file_appended(bench: Bench) -> None:
    """Append a line to a file with every step, by Python."""

    def append(total: Any) -> None:
        with (bench.folder / "lines").open("a") as file:
            print(float(total), file=file)

    _layer(bench, lambda x: tf.py_function(append, [tf.reduce_sum(x)], []))


def lookup_table(bench: Bench) -> None:
    """Count in a table how often each sign pattern was seen."""
    table = tf.lookup.experimental.MutableHashTable(tf.int64, tf.float32, 0.0)
    bench.keep("table", lambda: sorted(zip(*(part.numpy().tolist() for part in table.export()), strict=True)))

    def count(x: Any) -> Any:
        keys = tf.reduce_sum(tf.cast(x > 0, tf.int64), -1)
        table.insert(keys, table.lookup(keys) + 1.0)
        return tf.reduce_mean(table.lookup(keys))

    bench.layers.append(OnlyTraining(lambda x: x * (1 + 0.01 * tf.cast(count(x), x.dtype))))


def enqueue_many(bench: Bench) -> None:
    queue = tf.queue.FIFOQueue(4096, tf.float32, (FEATURES,))
    _layer(bench, lambda x: queue.enqueue_many(tf.stop_gradient(x)))
    bench.keep("queue", lambda: [queue.size(), *([queue.dequeue()] if queue.size() > 0 else [])])


def dequeue_many(bench: Bench) -> None:
    _from_queue(bench, tf.queue.FIFOQueue(4096, tf.float32, (FEATURES,)))


def dequeue_shuffled(bench: Bench) -> None:
    _from_queue(bench, tf.queue.RandomShuffleQueue(4096, 8, tf.float32, (FEATURES,), seed=3))


def _from_queue(bench: Bench, queue: Any) -> None:
    queue.enqueue_many(np.tile(POOL, (8, 1)))
    _sum(bench, lambda: tf.reduce_mean(queue.dequeue_many(2), 0))
    bench.keep("queue", lambda: [queue.size(), queue.dequeue()])


def _pool() -> Any:
    return tf.data.Dataset.from_tensor_slices(POOL).shuffle(96, seed=5).batch(4, drop_remainder=True)


def get_next(bench: Bench) -> None:
    iterator = iter(_pool().repeat())
    _sum(bench, lambda: tf.reduce_mean(iterator.get_next(), 0))
    bench.keep("next", lambda: iterator.get_next())


def get_next_as_optional(bench: Bench) -> None:
    iterator = iter(_pool().repeat())
    _sum(bench, lambda: tf.reduce_mean(iterator.get_next_as_optional().get_value(), 0))
    bench.keep("next", lambda: iterator.get_next())


def round_of_a_data_set(bench: Bench) -> None:
    """Go through a shuffled data set anew with every step; it counts its rounds."""
    pool = _pool()
    _sum(bench, lambda: tf.reduce_mean(pool.reduce(tf.zeros((4, FEATURES)), lambda _, batch: batch), 0))
    bench.keep("next", lambda: next(iter(pool)))


class Rate(keras.callbacks.Callback):
    """Sets the learning rate by a counter."""

    def __init__(self, counter: Any) -> None:
        super().__init__()
        self.counter = counter

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.model.optimizer.learning_rate = 0.01 / (1.0 + float(self.counter) / 48)


def _counter(bench: Bench, add: Callable[[Any, Any], Any]) -> None:
    seen = tf.Variable(0.0, trainable=False)
    bench.keep("seen", lambda: seen)
    bench.callbacks.append(Rate(seen))
    _layer(bench, lambda x: add(seen, tf.cast(tf.shape(x)[0], tf.float32)))


def counter_only_written(bench: Bench) -> None:
    _counter(bench, lambda seen, rows: seen.assign_add(rows, read_value=False))


def counter_in_a_branch(bench: Bench) -> None:
    def add(seen: Any, rows: Any) -> Any:
        return tf.cond(rows > 0, lambda: [seen.assign_add(rows, read_value=False), 0][1], lambda: 0)

    _counter(bench, add)


def counter_by_raw_operation(bench: Bench) -> None:
    _counter(bench, lambda seen, rows: tf.raw_ops.AssignAddVariableOp(resource=seen.handle, value=rows))


def counter_that_is_read(bench: Bench) -> None:
    """Weigh each batch less than the one before it, by a variable that Keras does not know."""
    seen = tf.Variable(0.0, trainable=False)
    bench.keep("seen", lambda: seen)
    bench.layers.append(OnlyTraining(lambda x: x / tf.cast(1 + 0.1 * seen.assign_add(1.0), x.dtype)))


def rows_scattered(bench: Bench) -> None:
    """Keep the sum of each batch in a row of a table, as a memory does."""
    table, at = tf.Variable(tf.zeros((64, FEATURES)), trainable=False), tf.Variable(0, trainable=False)
    bench.keep("table", lambda: [table, at])

    def scatter(x: Any) -> None:
        table.scatter_nd_update([[at.assign_add(1) % 64]], tf.reduce_mean(x, 0)[None])

    _layer(bench, scatter)


def loop_with_counter(bench: Bench) -> None:
    count = tf.Variable(0.0, trainable=False)
    bench.keep("count", lambda: count)

    def add(index: Any) -> Any:
        count.assign_add(1.0)
        return [index + 1]

    _layer(bench, lambda x: tf.while_loop(lambda index: index < 3, add, [tf.constant(0)]))


def custom_gradient(bench: Bench) -> None:
    """Count how often the gradient is computed, and with how large a signal."""
    backward = tf.Variable(0.0, trainable=False)
    bench.keep("backward", lambda: backward)

    @tf.custom_gradient
    def noted(x: Any) -> Any:
        def gradient(upstream: Any) -> Any:
            backward.assign_add(tf.reduce_sum(tf.abs(tf.cast(upstream, tf.float32))))
            return upstream

        return tf.identity(x), gradient

    bench.layers.append(OnlyTraining(noted))


def batch_statistics(bench: Bench) -> None:
    bench.layers.append(keras.layers.BatchNormalization(momentum=0.7))


def spectral_norm(bench: Bench) -> None:
    """A layer that moves a vector of its own with each training call."""
    bench.layers.append(keras.layers.SpectralNormalization(keras.layers.Dense(FEATURES)))


def critical_section(bench: Bench) -> None:
    section, total = tf.CriticalSection(), tf.Variable(0.0, trainable=False)
    bench.keep("total", lambda: total)
    _layer(bench, lambda x: section.execute(lambda: total.assign_add(tf.reduce_sum(x))))


EFFECTS: dict[str, Callable[[Bench], None] | None] = {
    "none": None,
    "py_function metric": py_function_metric,
    "numpy_function": numpy_function,
    "numpy_function that draws": numpy_function_draws,
    "tf.print to a file": print_to_file,
    "tf.print": print_to_error,
    "print": python_print,
    "tf.summary": summary,
    "file written": file_written,
    "file appended": file_appended,
    "lookup table": lookup_table,
    "enqueue_many": enqueue_many,
    "dequeue_many": dequeue_many,
    "dequeue_many, shuffled": dequeue_shuffled,
    "get_next": get_next,
    "get_next_as_optional": get_next_as_optional,
    "round of a data set": round_of_a_data_set,
    "counter only written": counter_only_written,
    "counter in a branch": counter_in_a_branch,
    "counter by a raw operation": counter_by_raw_operation,
    "counter that is read": counter_that_is_read,
    "rows scattered": rows_scattered,
    "loop with a counter": loop_with_counter,
    "custom gradient": custom_gradient,
    "batch statistics": batch_statistics,
    "spectral norm": spectral_norm,
    "critical section": critical_section,
}

XLA_CAN = {"counter that is read", "batch statistics", "spectral norm", "custom gradient", "loop with a counter"}
