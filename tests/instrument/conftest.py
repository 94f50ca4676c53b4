"""Makes the trainings of this folder start faster."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import tensorflow as tf


@pytest.fixture(autouse=True, scope="package")
def _no_graph_optimiser() -> Iterator[None]:
    """Leave out the rewriting of graphs, which takes most of the time to the first step and changes no number."""
    tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})
    yield
    tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": False})
