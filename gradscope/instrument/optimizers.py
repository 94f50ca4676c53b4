"""Which optimizers a model trains with, how many batches they were given, and at which rate they learn.

Keras knows one, ``model.optimizer``. A step of one's own may hold others among the model's attributes, in containers or
in models within, or none at all; what is not known is None here, and never an error.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from operator import attrgetter
from typing import Any, cast  # Any: optimizers are Keras', or whatever a user made

import numpy as np

from gradscope.instrument.keras_border import all_layers, batch_counter, given_rate, keras, trained_variables


def optimizers(model: Any) -> list[Any]:
    """Return every Keras optimizer that ``model`` holds, each once: its own first, then those among its attributes.

    Example:
        >>> model = keras.Sequential([keras.layers.Dense(1)])
        >>> model.compile("sgd", "mse")
        >>> model.others = {"generator": [keras.optimizers.Adam()]}
        >>> [type(optimizer).__name__ for optimizer in optimizers(model)]
        ['SGD', 'Adam']
    """
    own: Any = getattr(model, "optimizer", None)
    seen: set[int] = set()
    found = [*_within([own, vars(model)], seen)]
    for layer in all_layers(model):
        if isinstance(layer, keras.Model):
            found += _within([getattr(layer, "optimizer", None), vars(layer)], seen)
    return found


def _within(value: Any, seen: set[int]) -> Iterator[Any]:
    """Yield the optimizers in ``value``: itself, or in lists, tuples, sets and dicts at any depth."""
    if id(value) in seen:
        return
    if isinstance(value, keras.optimizers.Optimizer):
        seen.add(id(value))
        yield value
    elif isinstance(value, (Mapping, list, tuple, set, frozenset)):
        seen.add(id(cast("Any", value)))
        contents = cast("Mapping[Any, Any]", value).values() if isinstance(value, Mapping) else cast("Any", value)
        for each in list(contents):
            yield from _within(each, seen)


def inner(optimizer: Any) -> Any:
    """Return the optimizer within one that only scales the loss; any other itself."""
    return getattr(optimizer, "inner_optimizer", None) or optimizer


def batches_given(model: Any) -> tuple[int, ...]:
    """Return how many batches each of the model's optimizers was given, in the order of `optimizers`.

    The public counter leaves accumulated batches out, so Keras' private one is read where there is one. An object of
    the user's own as ``model.optimizer`` counts where it has ``iterations``.
    """
    found: list[Any] = [*optimizers(model)]
    own = getattr(model, "optimizer", None)
    if own is not None and not any(own is each for each in found):
        found.insert(0, own)
    return tuple(count for each in found if (count := _count(inner(each))) is not None)


def _count(optimizer: Any) -> int | None:
    for counter in (batch_counter, attrgetter("iterations")):
        try:
            return int(np.asarray(counter(optimizer)))  # also of a variable that is mirrored over devices
        except (AttributeError, TypeError, ValueError, RuntimeError, NotImplementedError):
            continue
    return None


def learning_rate(optimizer: Any) -> Any:
    """Return the rate of ``optimizer`` as a number, a variable or a tensor; None where it tells no single one.

    Example:
        >>> learning_rate(None) is None
        True
    """
    try:
        rate = optimizer.learning_rate
        return None if rate is None or np.ndim(rate) else rate
    except Exception:  # a MultiOptimizer raises, and an optimizer of the user's own may raise anything
        return None


def part_for(optimizer: Any, variable: Any) -> Any:
    """Return the optimizer that updates the variable: of several in one, its own."""
    parts: Any = getattr(optimizer, "optimizers", None)
    several: list[Any] = [*parts] if isinstance(parts, list) else []
    for part in several:
        if any(variable is each for each in trained_variables(part)):
            return part
    return optimizer


def scales_losses(optimizer: Any) -> bool:
    """Return whether the optimizer may scale the loss: most do not, and a division is a pass over each gradient."""
    return isinstance(optimizer, keras.optimizers.LossScaleOptimizer) or bool(
        getattr(optimizer, "loss_scale_factor", None)
    )


def loss_scale(optimizer: Any) -> float:
    """Return the factor by which an optimizer scales the loss; 1 without one."""
    if isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
        scale = optimizer.dynamic_scale if optimizer.built else optimizer.initial_scale
        return float(np.asarray(scale))
    return float(getattr(optimizer, "loss_scale_factor", None) or 1.0)


def known_rate(rate: Any, optimizers: Sequence[Any]) -> float:
    """Return a learning rate as a number, where nothing of the user's must run for it; else NaN.

    Args:
        rate: A number, a variable or a schedule; NaN is returned of anything else.
        optimizers: Those among which one follows it.
    """
    if isinstance(rate, keras.optimizers.schedules.LearningRateSchedule) and type(rate).__module__.startswith("keras."):
        return next(
            (float(rate(inner(o).iterations)) for o in optimizers if given_rate(inner(o)) is rate),
            math.nan,
        )
    return float(np.asarray(rate)) if isinstance(rate, (keras.Variable, int, float)) else math.nan
