"""Giving back what was taken from the training's iterator, to the very function that would have taken it.

One generator-fed iterator serves a whole training: it has the element spec of the training's own. Making a new one for
each step would cost about 60 ms.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator
from typing import Any

from gradscope.instrument.tensorflow.framework import tf


class Feed:
    """Yields what it is given, as an iterator that a train function takes for its own.

    TensorFlow keeps the generator, and with it the feed, for as long as the process lives. An iterator that is still
    there when the interpreter ends makes it complain: `close` lets go of it, and so does the end of the process where
    `fit` was broken off.
    """

    def __init__(self) -> None:
        self._next: Callable[[], Any] | None = None
        self._spec: Any = None
        self._iterators: list[Any] = []  # one at most; a list, to be emptied when the process ends
        weakref.finalize(self, self._iterators.clear)

    def of(self, source: Callable[[], Any], element_spec: Any) -> Any:
        """Return an iterator whose elements are what ``source`` returns, until it raises StopIteration."""
        self._next = source
        if not self._iterators or self._spec != element_spec:
            self._spec = element_spec
            self._iterators[:] = [iter(self._dataset(element_spec))]
        return self._iterators[0]

    def release(self) -> None:
        """Forget the source, so that the memory of its batches is free."""
        self._next = None

    def close(self) -> None:
        """Let go of the source and of the iterator."""
        self.release()
        self._iterators.clear()

    def _dataset(self, element_spec: Any) -> Any:
        iterators = self._iterators

        def elements() -> Iterator[Any]:
            while self._next is not None:
                try:
                    element = self._next()
                except StopIteration:
                    iterators.clear()  # it has ended for good
                    return
                except BaseException:
                    iterators.clear()
                    raise
                yield element

        options = tf.data.Options()
        options.autotune.enabled = False  # else a prefetch is put in, and a stale batch is trained on
        options.experimental_optimization.inject_prefetch = False
        return tf.data.Dataset.from_generator(elements, output_signature=element_spec).with_options(options)


def can_feed(element_spec: Any) -> bool:
    """Return whether a generator can yield such elements."""
    known = (tf.TensorSpec, tf.RaggedTensorSpec, tf.SparseTensorSpec)
    return all(isinstance(spec, known) for spec in tf.nest.flatten(element_spec))
