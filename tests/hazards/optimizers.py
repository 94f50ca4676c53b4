"""Optimizers: every one of Keras, and those that have more to them than a learning rate."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

O = keras.optimizers  # noqa: E741 - as short as L

WRAPPERS = {"Optimizer", "LossScaleOptimizer", "MultiOptimizer"}
PLAIN = sorted(
    name
    for name, value in vars(O).items()
    if inspect.isclass(value) and issubclass(value, O.Optimizer) and name not in WRAPPERS
)


class Lookahead(O.SGD):
    """Has slow weights that begin as a copy of the weights."""

    def build(self, variables: list[Any]) -> None:
        super().build(variables)
        self.slow = [self.add_variable_from_reference(v, name="slow") for v in variables]
        for slow, variable in zip(self.slow, variables, strict=True):
            self.assign(slow, variable)

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        super().update_step(gradient, variable, learning_rate)
        slow = self.slow[self._get_variable_index(variable)]
        self.assign_add(slow, 0.5 * (variable - slow))
        self.assign(variable, slow)


class Langevin(O.SGD):
    """Adds noise to every update."""

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        noise = tf.random.normal(tf.shape(gradient), stddev=0.01, dtype=gradient.dtype)
        super().update_step(gradient + noise, variable, learning_rate)


class CountsCalls(O.SGD):
    """Scales by how often Python has come here, which in a graph is how often it was traced."""

    calls = 0

    def apply(self, grads: Any, trainable_variables: Any = None) -> Any:
        self.calls += 1
        return super().apply([gradient / self.calls for gradient in grads], trainable_variables)


class ScaledApply(O.SGD):
    """Has a method `apply` that takes more than Keras' own."""

    def apply_gradients(self, grads_and_vars: Any) -> Any:
        grads, variables = zip(*grads_and_vars, strict=True)
        return self.apply(grads, variables, scale=0.5)

    def apply(self, grads: Any, trainable_variables: Any = None, scale: float = 1.0) -> Any:
        return super().apply([scale * gradient for gradient in grads], trainable_variables)


class ApplyByName(O.SGD):
    """Has a method `apply` that takes gradients by the path of their variable."""

    def apply_gradients(self, grads_and_vars: Any) -> Any:
        pairs = [*grads_and_vars]
        return self.apply({variable.path: gradient for gradient, variable in pairs}, [v for _, v in pairs])

    def apply(self, grads: Any, trainable_variables: Any = None) -> Any:
        by_name = isinstance(grads, dict)
        return super().apply([grads[v.path] for v in trainable_variables] if by_name else grads, trainable_variables)


class Descent:
    """No optimizer of Keras, though it has the one method that is called."""

    learning_rate = 0.1

    def apply_gradients(self, pairs: Any) -> None:
        for gradient, weight in pairs:
            weight.assign_sub(self.learning_rate * gradient)

    def scale_loss(self, loss: Any) -> Any:
        return loss


def several() -> Any:
    return O.MultiOptimizer(O.OptimizerMap(O.SGD(0.01), {".*dense_1.*": O.Adam(0.01)}))


Make = Callable[[], Any]
OPTIMIZERS: dict[str, Make] = {
    **{name: functools.partial(getattr(O, name), 0.01) for name in PLAIN},
    "'adam'": lambda: "adam",
    "SGD with momentum": lambda: O.SGD(0.05, momentum=0.9, nesterov=True),
    "Adam, amsgrad": lambda: O.Adam(0.01, amsgrad=True),
    "a schedule": lambda: O.Adam(O.schedules.CosineDecay(0.01, 4, warmup_steps=2, warmup_target=0.05)),
    "clipnorm": lambda: O.Adam(0.01, clipnorm=0.1),
    "global_clipnorm": lambda: O.Adam(0.01, global_clipnorm=0.1),
    "clipvalue": lambda: O.Adam(0.01, clipvalue=0.01),
    "weight decay": lambda: O.AdamW(0.01, weight_decay=0.1),
    "EMA": lambda: O.Adam(0.01, use_ema=True, ema_overwrite_frequency=2),
    "accumulation": lambda: O.Adam(0.01, gradient_accumulation_steps=2),
    "accumulation, EMA, clipping, decay": lambda: O.Adam(
        0.01, gradient_accumulation_steps=3, use_ema=True, ema_overwrite_frequency=2, clipnorm=0.5, weight_decay=1e-3
    ),
    "loss_scale_factor": lambda: O.Adam(0.01, loss_scale_factor=8.0),
    "LossScaleOptimizer": lambda: O.LossScaleOptimizer(O.Adam(0.01), initial_scale=4.0, dynamic_growth_steps=2),
    "MultiOptimizer": several,
    "Lookahead": lambda: Lookahead(0.05),
    "noise in the update": lambda: Langevin(0.05),
    "counts its calls": lambda: CountsCalls(0.05),
    "apply with another argument": lambda: ScaledApply(0.05),
    "gradients by name": lambda: ApplyByName(0.05),
    "None": lambda: None,
    "an object of one's own": Descent,
}
"""By name, what ``compile`` is given; an object of one's own is set afterwards, as ``compile`` refuses it."""
