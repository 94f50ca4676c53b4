"""Running a graph as it was written, without TensorFlow's graph optimiser.

The statistics of a training run a few hundred times at most. Optimising their graph takes several times longer than
tracing it, and saves little of each run.

`tf.config.optimizer` is not asked for it: each change of it makes TensorFlow build all functions of the process anew
when they are next called, and random operations that keep a state would begin from the start.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Generator
from typing import Any

from gradscope.instrument.tensorflow.framework import FunctionCallOptions, call_options, called_with, tf


@contextlib.contextmanager
def as_written() -> Generator[None]:
    """Switch the graph optimiser off for what this thread calls meanwhile."""
    options = call_options()
    with called_with(_without_optimiser(options.config_proto_serialized, options.executor_type)):
        yield


@functools.lru_cache(maxsize=8)
def _without_optimiser(configuration: bytes, executor: str) -> Any:
    changed = tf.compat.v1.ConfigProto.FromString(configuration)
    changed.graph_options.rewrite_options.disable_meta_optimizer = True
    return FunctionCallOptions(executor, changed)
