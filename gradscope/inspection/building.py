"""Building a model before its first step, so that the step can be looked at without running it."""

from __future__ import annotations

import warnings
from typing import Any

from gradscope.instrument.optimizers import optimizers


def build_ahead(model: Any, batch: Any) -> None:
    """Give layers, metrics and optimizer their variables, as `fit` would at its first step.

    What Keras cannot build ahead, such as the second network of a custom step, stays unbuilt or raises what Keras does.
    """
    # With other optimizers among its attributes, Keras would build the one that compile adds.
    if all(optimizer is model.optimizer for optimizer in optimizers(model)):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of layers that cannot be built ahead: the training says it again
            model._symbolic_build(data_batch=batch)


def unbuilt_parts(model: Any) -> list[str]:
    """Return the names of the layers and optimizers that have no variables yet."""
    return [part.name for part in (*model._flatten_layers(), *optimizers(model)) if not part.built]
