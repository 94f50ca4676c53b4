"""Passes: run a model on a probe once as in inference and once as in training, and put back what that changed."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from typing import Any, NamedTuple  # Keras ships no types: models and layers are Any here

import keras
import tensorflow as tf
from numpy.typing import NDArray

from zoo import layout
from zoo.probe import Probe


class Seen(NamedTuple):
    """What one application of a layer took and gave; ``entered`` is what a recurrent layer reads in training."""

    pre: Any
    output: Any
    entered: Any = None


class Passes(NamedTuple):
    """The result of one sample, as arrays; ``backward`` and ``gradients`` are None where the loss does not depend."""

    loss: float
    predicted: Any
    seen: dict[str, list[Seen]]
    outputs: frozenset[str]
    gradients: list[NDArray[Any] | None]
    backward: dict[str, list[NDArray[Any] | None]]
    inference_loss: float
    by_time: dict[str, NDArray[Any] | None]
    trained: dict[str, NDArray[Any]]


def built(model: Any, data: Probe) -> str | None:
    """Create the variables of the model and of its loss, as `fit` would at its first batch; not the optimizer's.

    A `train_step` of the user's own may give the optimizer other variables than all that are trainable. Returns the
    reason where the model cannot be run on the probe.
    """
    try:
        x, y, weight = keras.tree.map_structure(
            lambda array: None if array is None else keras.KerasTensor((None, *array.shape[1:]), str(array.dtype)),
            (data.x, data.y, data.sample_weight),
        )
        predicted = keras.src.backend.compute_output_spec(model, x, training=False)
    except Exception:
        try:
            model(keras.tree.map_structure(tf.constant, data.x))
        except Exception as error:
            return f"the model cannot be built on the probe: {error!r}"[:300]
        return None
    # a loss that cannot be built is reported when it is needed
    with suppress(Exception):
        keras.src.backend.compute_output_spec(
            lambda *parts: model.compute_loss(x=parts[0], y=parts[1], y_pred=parts[2], sample_weight=weight),
            *(x, y, predicted),
        )
    return None


class Runner:
    """Runs the two passes, compiled where the model can be traced."""

    def __init__(self, model: Any, data: Probe, not_measured: list[str]) -> None:
        self._model = model
        self._places = layout.places(model)
        self._data = keras.tree.map_structure(
            lambda array: None if array is None else tf.constant(array), (data.x, data.y, data.sample_weight)
        )
        self._not_measured = not_measured
        self._has_loss = True
        self._keys: list[tuple[str, bool]] = []
        self._outputs: frozenset[str] = frozenset()
        self._connected: list[bool] = []
        self._mode = "eager" if model.run_eagerly else "compiled"
        self._concrete: Any = None
        self._was_built = False

    def untracked(self) -> list[Any]:
        """Return the trainable variables that the passes use and Keras does not know."""
        known = {id(variable.value) for variable in self._model.variables}
        used = [] if self._concrete is None else self._concrete.graph.variables
        return [each for each in used if each.trainable and id(each) not in known]

    def run(self) -> Passes | None:
        while True:
            try:
                return self._arrays(self._compiled() if self._mode == "compiled" else self._eager())
            except Exception as error:
                if self._mode == "compiled":
                    self._mode = "eager"
                elif self._has_loss:
                    self._has_loss = False
                    self._not_measured.append(f"gradients: {error!r}"[:300])
                else:
                    self._not_measured.append(f"layers: {error!r}"[:300])
                    return None

    def _compiled(self) -> Any:
        # the loss scale is a number until the optimizer is built, a variable after
        scaled_anew = (
            hasattr(self._model.optimizer, "inner_optimizer") and self._model.optimizer.built != self._was_built
        )
        if self._concrete is None or scaled_anew:
            self._was_built = getattr(self._model.optimizer, "built", False)
            self._concrete = tf.function(self._body, autograph=False).get_concrete_function()
        with _unchanged(self._concrete.graph.variables):
            return self._concrete()

    def _eager(self) -> Any:
        variables = [*self._model.variables, *(v for metric in self._model.metrics for v in metric.variables)]
        with _unchanged([variable.value for variable in variables]):
            return self._body()

    def _body(self) -> Any:
        """Return only tensors: predictions, what each tap saw, loss, and gradients where there are any."""
        model, (x, y, weight) = self._model, self._data
        with _taps(self._places) as seen:
            predicted = self._call(x, training=False)
        flat = keras.tree.flatten(predicted)
        self._outputs = frozenset(
            key for key, applied in seen.items() for each in applied if any(each.output is one for one in flat)
        )
        self._keys = [(key, each.pre is not None) for key, applied in seen.items() for each in applied]
        tensors = [tensor for applied in seen.values() for each in applied for tensor in each if tensor is not None]
        if not self._has_loss:
            return predicted, tensors, None, [], None, []
        inference_loss = model.compute_loss(x=x, y=y, y_pred=predicted, sample_weight=weight)
        with tf.GradientTape() as tape, _taps(self._places, tape) as trained:
            loss = model.compute_loss(x=x, y=y, y_pred=self._call(x, training=True), sample_weight=weight)
            # half precision loses small gradients without the factor that the optimizer puts in
            factor = tf.constant(1.0) if model.optimizer is None else model.optimizer.scale_loss(tf.constant(1.0))
            scaled = loss * tf.cast(factor, loss.dtype)
        taps = [trained[key][number].output for key, number in self._numbered(trained)]
        recurrent = {key: applied[0].entered for key, applied in trained.items() if applied[0].entered is not None}
        self._recurrent = list(recurrent)
        normalising = {place.key for place in self._places if _normalises(place.layer)}
        self._normalised = [key for key in trained if key in normalising and key in seen]
        sources = [variable.value for variable in model.trainable_variables]
        gradients = tape.gradient(scaled, [*sources, *taps, *recurrent.values()])
        self._connected = [gradient is not None for gradient in gradients]
        dense = [tf.convert_to_tensor(gradient) for gradient in gradients if gradient is not None]
        factor64 = tf.cast(factor, tf.float64)
        unscaled = [tf.cast(gradient, tf.float64) / factor64 for gradient in dense]
        return predicted, tensors, loss, unscaled, inference_loss, [trained[key][0].output for key in self._normalised]

    def _call(self, x: Any, *, training: bool) -> Any:
        return self._model(x, training=training) if self._model._call_has_training_arg else self._model(x)

    def _numbered(self, seen: Mapping[str, list[Seen]]) -> list[tuple[str, int]]:
        self._backward = [
            (key, number)
            for key, applied in seen.items()
            for number, each in enumerate(applied)
            if each.output.dtype.is_floating
        ]
        return self._backward

    def _arrays(self, result: Any) -> Passes:
        predicted, tensors, loss, gradients, inference_loss, normalised = keras.tree.map_structure(
            lambda tensor: None if tensor is None else tensor.numpy(), result
        )
        values = iter(tensors)
        seen: dict[str, list[Seen]] = {}
        for key, has_pre in self._keys:
            pre = next(values) if has_pre else None
            seen.setdefault(key, []).append(Seen(pre, next(values)))
        found = iter(gradients)
        every = [next(found) if connected else None for connected in self._connected] if loss is not None else []
        count = len(self._model.trainable_variables) if every else 0
        backward: dict[str, list[Any]] = {}
        for (key, _), gradient in zip(self._backward if every else [], every[count:], strict=False):
            backward.setdefault(key, []).append(gradient)
        total, in_inference = (math.nan if value is None else float(value) for value in (loss, inference_loss))
        by_time = dict(zip(self._recurrent, every[count + len(self._backward) :], strict=True)) if every else {}
        trained = dict(zip(self._normalised, normalised, strict=True)) if every else {}
        return Passes(total, predicted, seen, self._outputs, every[:count], backward, in_inference, by_time, trained)


@contextmanager
def _taps(places: list[layout.Place], tape: Any = None) -> Iterator[dict[str, list[Seen]]]:
    """Collect what each place takes and gives; a tensor from inside a loop belongs to another graph and is left out."""
    seen: dict[str, list[Seen]] = {}
    graph = None if tf.executing_eagerly() else tf.compat.v1.get_default_graph()

    def reachable(tensor: Any) -> bool:
        if not tf.is_tensor(tensor):
            return False
        # the probe itself is a constant from outside the graph
        return isinstance(tensor, tf.__internal__.EagerTensor) or (graph is not None and tensor.graph is graph)

    def tap(place: layout.Place) -> None:
        layer, call = place.layer, place.layer.call
        pres: list[Any] = []

        def activated(z: Any, *args: Any, **keywords: Any) -> Any:
            pres.append(z)
            return function(z, *args, **keywords)

        def called(*args: Any, **keywords: Any) -> Any:
            pres.clear()
            entered = None
            if tape is not None and isinstance(layer, keras.layers.RNN) and args and reachable(args[0]):
                entered = tf.identity(args[0])
                tape.watch(entered)
                args = (entered, *args[1:])
            result = call(*args, **keywords)
            output = next(iter(keras.tree.flatten(result)), None)
            if reachable(output):
                if tape is not None and output.dtype.is_floating:
                    tape.watch(output)
                pre = pres[-1] if pres else args[0] if layout.is_activation_layer(place.described) and args else None
                seen.setdefault(place.key, []).append(Seen(pre if reachable(pre) else None, output, entered))
            return result

        _set(stack, layer, "call", called)
        if layout.has_activation(place.described):
            function = place.described.activation
            _set(stack, place.described, "activation", activated)

    with ExitStack() as stack:
        for place in places:
            tap(place)
        yield seen


def _normalises(layer: Any) -> bool:
    return isinstance(layer, keras.layers.BatchNormalization)


def _set(stack: ExitStack, owner: Any, name: str, value: Any) -> None:
    # around Keras' own __setattr__, which would track the function or refuse
    if name in vars(owner):
        stack.callback(object.__setattr__, owner, name, vars(owner)[name])
    else:
        stack.callback(object.__delattr__, owner, name)
    object.__setattr__(owner, name, value)


@contextmanager
def _unchanged(variables: Any) -> Iterator[None]:
    kept = [(variable, tf.identity(variable)) for variable in variables]
    try:
        yield
    finally:
        for variable, value in kept:
            variable.assign(value)
