"""Running a train step whose optimizers only look: what they were given is kept, and no weight moves."""

from __future__ import annotations

import contextlib
from collections.abc import Generator
from dataclasses import dataclass, field
from typing import Any

from gradscope.framework import keras
from gradscope.instrument.taps import replaced
from gradscope.instrument.tensorflow.framework import tf
from gradscope.optimizers import optimizers


@dataclass(frozen=True, slots=True)
class GivenGradient:
    """A trained variable and its gradient, loss scale removed; None where the loss does not depend on it."""

    variable: Any
    gradient: Any


@dataclass
class Silenced:
    """What a silenced train step showed.

    Attributes:
        gradients: What the optimizers were given, by the path of the variable.
        loss: The batch's loss; None where the step never asked the model for it.
    """

    gradients: dict[str, GivenGradient] = field(default_factory=dict[str, GivenGradient])
    loss: Any = None


def loss_scale(optimizer: Any) -> Any:
    """Return the factor by which ``optimizer`` scales the loss: a tensor for a dynamic one, else a number."""
    if isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
        return tf.convert_to_tensor(optimizer.dynamic_scale) if optimizer.built else optimizer.initial_scale
    return getattr(optimizer, "loss_scale_factor", None) or 1.0


@contextlib.contextmanager
def silenced(model: Any) -> Generator[Silenced]:
    """Make every optimizer of ``model`` keep the gradients it is given and apply none, for as long as it lasts."""
    seen = Silenced()
    with contextlib.ExitStack() as stack:
        for optimizer in optimizers(model):
            stack.enter_context(replaced(optimizer, "apply", _looking(optimizer, seen)))
        stack.enter_context(replaced(model, "compute_loss", _kept_loss(model, seen)))
        yield seen


def _looking(optimizer: Any, seen: Silenced) -> Any:
    def apply(grads: Any, trainable_variables: Any = None) -> None:
        scale = loss_scale(optimizer)
        variables = optimizer._trainable_variables if trainable_variables is None else trainable_variables
        for variable, gradient in zip(variables, grads, strict=True):
            seen.gradients[variable_path(variable)] = GivenGradient(variable, _unscaled(gradient, scale))

    return apply


def _unscaled(gradient: Any, scale: Any) -> Any:
    """Return the gradient over the loss scale, in float32: what underflows in half precision is seen as it arrived."""
    if gradient is None:
        return None
    if isinstance(gradient, tf.IndexedSlices):
        values = tf.cast(gradient.values, tf.float32) / tf.cast(scale, tf.float32)
        return tf.IndexedSlices(values, gradient.indices, gradient.dense_shape)
    return tf.cast(gradient, tf.float32) / tf.cast(scale, tf.float32)


def variable_path(variable: Any) -> str:
    """Return a Keras variable's path, or the name of a TensorFlow variable that a custom step trains."""
    return str(getattr(variable, "path", None) or variable.name)


def _kept_loss(model: Any, seen: Silenced) -> Any:
    compute_loss = model.compute_loss

    def keeping(*arguments: Any, **keywords: Any) -> Any:
        loss = compute_loss(*arguments, **keywords)
        seen.loss = loss if seen.loss is None else seen.loss
        return loss

    return keeping
