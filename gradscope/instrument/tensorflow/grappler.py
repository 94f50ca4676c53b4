"""Running a graph as it was written, without TensorFlow's graph optimiser.

The statistics of a training run a few hundred times at most. Optimising their graph takes several times longer than
tracing it, and saves little of each run.
"""

from __future__ import annotations

import contextlib
from collections.abc import Generator

from gradscope.instrument.tensorflow.framework import tf


@contextlib.contextmanager
def as_written() -> Generator[None]:
    """Switch the graph optimiser off for the calls that are made meanwhile; the training's own are not touched."""
    before = tf.config.optimizer.get_experimental_options().get("disable_meta_optimizer", False)
    tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})
    try:
        yield
    finally:
        tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": before})
