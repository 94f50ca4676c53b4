"""Giving a batch that was taken from the iterator to the training's own function.

One generator-fed iterator serves the whole training: it has the element spec of the training's own, so that the very
same compiled function runs on it. Building a new iterator for each step would cost about 60 ms.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from typing import Any

from gradscope.instrument.tensorflow.framework import tf


class Feed:
    """Yields batches that were taken before, as an iterator that Keras' train function takes for its own.

    TensorFlow keeps the generator, and with it the feed, for as long as the process lives. An iterator that is still
    there when the interpreter ends makes it complain: `close` lets go of it, and so does the end of the process where
    `fit` was broken off.
    """

    def __init__(self) -> None:
        self._batch: Any = None
        self._spec: Any = None
        self._iterators: list[Any] = []  # one at most; a list, to be emptied when the process ends
        weakref.finalize(self, self._iterators.clear)

    def same_batch(self, batch: Any, element_spec: Any) -> Any:
        """Return an iterator whose next element is ``batch``."""
        self._batch = batch
        if not self._iterators or self._spec != element_spec:
            self._spec = element_spec
            self._iterators[:] = [iter(self._dataset(element_spec))]
        return self._iterators[0]

    def release(self) -> None:
        """Forget the batch, so that its memory is free."""
        self._batch = None

    def close(self) -> None:
        """Let go of the batch and of the iterator."""
        self.release()
        self._iterators.clear()

    def _dataset(self, element_spec: Any) -> Any:
        def latest() -> Iterator[Any]:
            while True:
                yield self._batch

        options = tf.data.Options()
        options.autotune.enabled = False  # else a prefetch is put in, and a stale batch is trained on
        options.experimental_optimization.inject_prefetch = False
        return tf.data.Dataset.from_generator(latest, output_signature=element_spec).with_options(options)


def can_feed(iterator: Any, steps_per_execution: int) -> bool:
    """Return whether the generator can stand in for ``iterator``: not for several batches at once, nor for replicas."""
    if steps_per_execution != 1 or not isinstance(iterator, tf.data.Iterator):
        return False
    specs = tf.nest.flatten(iterator.element_spec)
    return all(isinstance(spec, (tf.TensorSpec, tf.RaggedTensorSpec, tf.SparseTensorSpec)) for spec in specs)
