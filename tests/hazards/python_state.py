"""Python's own state: counters, lists and flags that a step keeps beside its tensors.

In a graph, Python runs while tracing only; eagerly it runs with every step. One trace more, or a step run twice, shows.
"""

from __future__ import annotations

import inspect
import itertools
from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from hazards.bench import Bench, L, OnlyTraining, cross_entropy


def calls_counted_in_a_layer(bench: Bench) -> None:
    bench.layers.append(OnlyTraining(_warming(bench)))


def calls_counted_in_the_step(bench: Bench) -> None:
    bench.on_value.append(_warming(bench))


def _warming(bench: Bench) -> Callable[[Any], Any]:
    calls: list[int] = []
    bench.keep("calls", lambda: len(calls))

    def warm(x: Any) -> Any:
        calls.append(1)
        return x * min(1.0, 0.1 * len(calls))

    return warm


def calls_counted_in_a_loss(bench: Bench) -> None:
    warm = _warming(bench)

    class Warm(keras.losses.Loss):
        def call(self, y: Any, p: Any) -> Any:
            return warm(keras.losses.sparse_categorical_crossentropy(y, p, from_logits=True))

    bench.losses.append(Warm())


def calls_counted_in_a_metric(bench: Bench) -> None:
    class Average(keras.metrics.Metric):
        calls = 0

        def __init__(self) -> None:
            super().__init__(name="average")
            self.total = self.add_variable((), "zeros")

        def update_state(self, y: Any, p: Any, sample_weight: Any = None) -> None:
            self.calls += 1
            self.total.assign_add(keras.ops.mean(keras.ops.cast(p, self.total.dtype)))

        def result(self) -> Any:
            return self.total / self.calls

    bench.metrics.append(Average())
    bench.keep("calls of the metric", lambda: bench.metrics[0].calls)


def first_call_is_another(bench: Bench) -> None:
    """Keep a flag, so that the first trace is another graph than those after it."""
    seen: list[bool] = []
    bench.layers.append(OnlyTraining(lambda x: (seen.append(True), x if len(seen) > 1 else tf.sin(x))[1]))
    bench.keep("seen", lambda: len(seen))


def list_of_values(bench: Bench) -> None:
    kept: list[Any] = []
    bench.on_value.append(lambda value: (kept.append(value), value)[1])
    bench.keep("values", lambda: [len(kept), *(value for value in kept if hasattr(value, "numpy"))])


def running_mean(bench: Bench) -> None:
    """Keep a mean of the loss as a plain value, to be read when the epoch ends."""
    kept: list[Any] = []

    def keep(value: Any) -> Any:
        kept[:] = [0.9 * (kept[0] if kept else 0.0) + 0.1 * value]
        return value

    class AtEpochEnd(keras.callbacks.Callback):
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            logs["kept"] = float(kept[0])

    bench.on_value.append(keep)
    bench.callbacks.append(AtEpochEnd())


def loss_of_the_step_before(bench: Bench) -> None:
    """Keep the last loss as an eager tensor that the next step computes with."""
    last = [tf.constant(0.0)]

    def mixed(value: Any) -> Any:
        mean, last[0] = value + 0.1 * last[0], tf.stop_gradient(value)
        return mean

    bench.on_value.append(mixed)
    bench.keep("last", lambda: last[0])


def cycle(bench: Bench) -> None:
    """Take the next of several operations at each call."""
    operations = itertools.cycle([tf.sin, tf.cos, tf.square])
    bench.layers.append(OnlyTraining(lambda x: x + 0.1 * next(operations)(x)))
    bench.keep("next", lambda: next(operations).__name__)


def sublayer_made_in_call(bench: Bench) -> None:
    """Make a layer with the first call, where Keras does not see it."""
    made: list[Any] = []

    def through(x: Any) -> Any:
        if not made:
            made.append(L.Dense(x.shape[-1], activation="relu"))
        return x + made[0](x)

    bench.layers.append(OnlyTraining(through))
    bench.keep("weights of the layer", lambda: made[0].get_weights())


def variable_made_in_call(bench: Bench) -> None:
    """Make a variable of TensorFlow with the first training call, that Keras does not know."""
    made: list[Any] = []

    def scaled(x: Any) -> Any:
        if not made:
            with tf.init_scope():
                made.append(tf.Variable(0.5, trainable=False))
        return x * tf.cast(made[0].assign_add(0.01), x.dtype)

    bench.layers.append(OnlyTraining(scaled))
    bench.keep("made", lambda: made)


def cache_by_shape(bench: Bench) -> None:
    """Remember constants by the shape that they are for."""
    cache: dict[Any, Any] = {}

    def positions(x: Any) -> Any:
        if x.shape[-1] not in cache:
            with tf.init_scope():
                cache[x.shape[-1]] = tf.random.uniform((x.shape[-1],), dtype=x.dtype)
        return x + cache[x.shape[-1]]

    bench.layers.append(OnlyTraining(positions))
    bench.keep("cache", lambda: cache)


def attribute_by_callback(bench: Bench) -> None:
    """A callback sets a Python number that the step reads, as a schedule of one's own does."""

    class Schedule(keras.callbacks.Callback):
        share = 1.0

        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            self.share = 1.0 / (1 + epoch)
            self.model.make_train_function(force=True)

    schedule = Schedule()
    bench.callbacks.append(schedule)
    bench.losses.append(_Scaled(lambda: schedule.share))


class _Scaled(keras.losses.Loss):
    def __init__(self, share: Callable[[], float]) -> None:
        super().__init__()
        self.share = share

    def call(self, y: Any, p: Any) -> Any:
        return self.share() * cross_entropy()(y, p)


def names_drawn(bench: Bench) -> None:
    """Ask Keras for automatic names while tracing; a model made later is named by the count."""
    bench.layers.append(OnlyTraining(lambda x: tf.identity(x, name=L.Activation("linear").name)))
    bench.keep("name", lambda: L.Activation("linear").name)


def squash(x: Any) -> Any:
    return x * tf.sigmoid(1.702 * x)


def halved(x: Any) -> Any:
    return tf.where(x > 0, x, 0.5 * x)


class Scaled:
    """A function with a parameter that others read."""

    factor = 1.5

    def __call__(self, x: Any) -> Any:
        return tf.tanh(self.factor * x)


class Looking(L.Layer):
    """Looks at the function that it applies, and lets it decide what it does."""

    def __init__(self, activation: Any, looks: Callable[[Any], Any]) -> None:
        super().__init__()
        self.dense, self.activation, self.looks = L.Dense(6), activation, looks

    def call(self, x: Any) -> Any:
        return self.activation(self.dense(x)) * self.looks(self.activation)


def function_known(bench: Bench) -> None:
    bench.layers.append(Looking(squash, lambda function: 1.5 if function is squash else 1.0))


def function_with_a_parameter(bench: Bench) -> None:
    bench.layers.append(Looking(Scaled(), lambda function: 1.0 / function.factor))


def layer_for_a_function(bench: Bench) -> None:
    looks: Callable[[Any], Any] = lambda layer: layer.negative_slope if isinstance(layer, L.Layer) else 1.0  # noqa: E731
    bench.layers.append(Looking(L.LeakyReLU(0.2), looks))


def function_set_in_call(bench: Bench) -> None:
    class Chooses(L.Layer):
        def __init__(self) -> None:
            super().__init__()
            self.act_fn = squash

        def call(self, x: Any, training: bool = False) -> Any:
            if training:
                self.act_fn = halved
            return self.act_fn(x)

    layer = Chooses()
    bench.layers.append(layer)
    bench.keep("function", lambda: layer.act_fn is halved)


def arguments_asked_for(bench: Bench) -> None:
    class Shifted(L.Layer):
        def call(self, x: Any, shift: Any = None) -> Any:
            return x if shift is None else x + shift

    class Asks(L.Layer):
        def __init__(self) -> None:
            super().__init__()
            self.parts = [Shifted(), L.ReLU(), Shifted()]

        def call(self, x: Any) -> Any:
            for part in self.parts:
                x = part(x, shift=0.1) if "shift" in inspect.getfullargspec(part.call).args else part(x)
            return x

    bench.layers.append(Asks())


def layers_called_operations(bench: Bench) -> None:
    class Mixed(L.Layer):
        def __init__(self) -> None:
            super().__init__()
            self.operations = [L.Dense(6, "relu"), L.Dense(6, "tanh"), lambda x: x]

        def call(self, x: Any) -> Any:
            return sum(operation(x) for operation in self.operations)

    bench.layers.append(Mixed())


PYTHON_STATES: dict[str, Callable[[Bench], None] | None] = {
    "none": None,
    "function that is compared": function_known,
    "function with a parameter": function_with_a_parameter,
    "layer for a function": layer_for_a_function,
    "function set in call": function_set_in_call,
    "arguments asked for": arguments_asked_for,
    "layers called operations": layers_called_operations,
    "calls counted in a layer": calls_counted_in_a_layer,
    "calls counted in the step": calls_counted_in_the_step,
    "calls counted in a loss": calls_counted_in_a_loss,
    "calls counted in a metric": calls_counted_in_a_metric,
    "flag": first_call_is_another,
    "list of values": list_of_values,
    "running mean": running_mean,
    "eager tensor of the step before": loss_of_the_step_before,
    "cycle": cycle,
    "layer made in call": sublayer_made_in_call,
    "variable made in call": variable_made_in_call,
    "cache": cache_by_shape,
    "number set by a callback": attribute_by_callback,
    "automatic names": names_drawn,
}

OF_THE_STEP = {"calls counted in the step", "list of values", "running mean", "eager tensor of the step before"}
"""Those that need a train step of one's own."""
EAGER_ONLY = {"running mean", "eager tensor of the step before"}
"""Those that keep a tensor of one step for another, which a graph cannot give away."""
