"""The trace as TensorFlow sees it: which graph is the replay's own, gradient taps, where functions can be caught."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

from gradscope.framework import keras
from gradscope.instrument.taps import ChokePoint
from gradscope.instrument.tensorflow.framework import keras_activations, keras_backend, registered_gradients, tf


class TensorFlowTrace:
    """One graph under construction: the `TraceBackend` of TensorFlow.

    Tensors made in a loop body, a branch or a scratch graph cannot be taken out of it: using them raises
    InaccessibleTensorError, so they are recognised by the graph that is current when a tap fires.
    """

    def __init__(self) -> None:
        self.graph = tf.compat.v1.get_default_graph()
        self._registered: list[str] = []

    def close(self) -> None:
        """Let go of the gradient taps once the graph is complete.

        TensorFlow registers the gradient of each for as long as the process lives, and with it the whole graph.
        """
        for name in self._registered:
            registered_gradients().pop(name, None)

    def here(self) -> bool:
        return not tf.executing_eagerly() and tf.compat.v1.get_default_graph() is self.graph

    def is_floating(self, value: Any) -> bool:
        return tf.is_tensor(value) and isinstance(value, tf.Tensor) and value.dtype.is_floating

    def watched(self, tensor: Any, receive: Callable[[Any], None]) -> Any:
        @tf.custom_gradient
        def identity(x: Any) -> Any:
            def gradient(upstream: Any) -> Any:
                if self.here():
                    receive(upstream)
                return upstream

            return tf.identity(x), gradient

        known = len(registered_gradients())
        result = identity(tensor)
        self._registered += list(registered_gradients())[known:]
        mask = getattr(tensor, "_keras_mask", None)
        if mask is not None:
            result._keras_mask = mask
        return result

    def operation_count(self) -> int:
        return self.graph.num_operations()

    def choke_points(self) -> Sequence[ChokePoint]:
        return _CHOKE_POINTS


def _choke_points() -> list[ChokePoint]:
    """Return where all public names of an activation function meet.

    `keras.ops.gelu`, `keras.activations.gelu` and ``activation="gelu"`` all look `gelu` up in the backend's module
    when they are called; two functions of Keras and those of TensorFlow that leave no operation of their own name in
    the graph are caught where they stand.
    """
    published: dict[str, Any] = keras.activations.__dict__
    names = [name for name, value in published.items() if inspect.isfunction(value)]
    nn = keras_backend.nn
    points = [ChokePoint(nn, name, name) for name in names if inspect.isfunction(getattr(nn, name, None))]
    points.append(ChokePoint(keras_backend.numpy, "tanh", "tanh"))
    points += [
        ChokePoint(owner, "static_call", name)
        for name, owner in (("relu", keras_activations.ReLU), ("mish", keras_activations.Mish))
    ]
    points += [ChokePoint(tf.nn, name, public) for name, public in _TENSORFLOW_FUNCTIONS.items()]
    return points


_TENSORFLOW_FUNCTIONS = {"silu": "silu", "swish": "silu", "gelu": "gelu", "softmax": "softmax"}
_CHOKE_POINTS = _choke_points()
