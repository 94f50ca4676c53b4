"""Fits: how often, by how many and with which callbacks a model is trained."""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras

from hazards.bench import CLASSES, SAMPLES, Bench, X, Y, cross_entropy, mlp

History = dict[str, list[float]]


@dataclass
class Training:
    """A compiled model and all it takes to train it.

    Attributes:
        model: The model.
        bench: What its parts share.
        callbacks: The callback that records, or none.
        fit: Trains once, with these callbacks and other keywords of ``fit``, and returns the history.
        compile: Compiles the model as it was, with other keywords.
    """

    model: Any
    bench: Bench
    callbacks: list[Any]
    fit: Callable[..., History]
    compile: Callable[..., None]


def one(training: Training) -> list[History]:
    return [training.fit(training.callbacks)]


def two(training: Training) -> list[History]:
    return [training.fit(training.callbacks) for _ in range(2)]


def twenty(training: Training) -> list[History]:
    return [training.fit(training.callbacks, epochs=1) for _ in range(20)]


def bare_before(training: Training) -> list[History]:
    return [training.fit([]), training.fit(training.callbacks)]


def bare_after(training: Training) -> list[History]:
    return [training.fit(training.callbacks), training.fit([])]


def going_on(training: Training) -> list[History]:
    return [training.fit(training.callbacks), training.fit(training.callbacks, initial_epoch=2, epochs=4)]


def compiled_between(training: Training) -> list[History]:
    first = training.fit(training.callbacks)
    training.compile(optimizer=keras.optimizers.RMSprop(0.01))
    return [first, training.fit(training.callbacks)]


def unfreezing(training: Training) -> list[History]:
    first_dense = next(layer for layer in training.model.layers if isinstance(layer, keras.layers.Dense))
    first_dense.trainable = False
    training.compile()
    first = training.fit(training.callbacks)
    first_dense.trainable = True
    training.compile(optimizer=keras.optimizers.Adam(1e-4))
    return [first, training.fit(training.callbacks, initial_epoch=2, epochs=4)]


def all_frozen(training: Training) -> list[History]:
    training.model.trainable = False
    training.compile()
    return one(training)


def validated_between(training: Training) -> list[History]:
    first = training.fit(training.callbacks)
    training.model.evaluate(X, Y, verbose=0)
    training.bench.keep("predicted", lambda: training.model.predict(X, verbose=0))
    return [first, training.fit(training.callbacks)]


def function_made_before(training: Training) -> list[History]:
    training.model.make_train_function()
    return one(training)


def function_made_by_a_callback(training: Training) -> list[History]:
    class Freeze(keras.callbacks.Callback):
        def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
            if batch == 1 and self.model.layers[0].trainable:
                self.model.layers[0].trainable = False
                self.model.make_train_function(force=True)

    return [training.fit([*training.callbacks, Freeze()])]


def step_called_before(training: Training) -> list[History]:
    training.model.train_on_batch(X[:8], Y[:8])
    return one(training)


def in_two_threads(training: Training) -> list[History]:
    """Train another model, without the callback, at the same time."""
    with training.model.distribute_strategy.scope():
        other = mlp(Bench(training.bench.folder))
    other.compile("sgd", cross_entropy(), jit_compile=False)
    histories: list[History] = [{}, {}]

    def train_other() -> None:
        histories[1] = other.fit(X, Y, batch_size=8, epochs=3, verbose=0, shuffle=False).history

    thread = threading.Thread(target=train_other)
    thread.start()
    histories[0] = training.fit(training.callbacks)
    thread.join()
    training.bench.keep("weights of the other", lambda: other.get_weights())
    return histories


def copied(training: Training) -> list[History]:
    return [training.fit(copy.deepcopy(training.callbacks))]


def last_of_the_callbacks(training: Training) -> list[History]:
    """Stand behind a callback that changes the logs, and one that reads them."""

    class Logs(keras.callbacks.Callback):
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            logs["seen"] = batch

    stop = keras.callbacks.ReduceLROnPlateau(monitor="loss", factor=0.5, patience=0, min_delta=10.0)
    return [training.fit([Logs(), stop, *training.callbacks])]


def another_model(training: Training) -> list[History]:
    with training.model.distribute_strategy.scope():
        other = keras.Sequential([keras.Input(X.shape[1:]), keras.layers.Dense(CLASSES, activation="softmax")])
    other.compile("sgd", "sparse_categorical_crossentropy")
    second = other.fit(X, Y, epochs=1, verbose=0, shuffle=False, callbacks=training.callbacks).history
    training.bench.keep("weights of the other", lambda: other.get_weights())
    return [second, training.fit(training.callbacks)]


def others_in_between(training: Training) -> list[History]:
    """Have a callback in front that trains another model, and this one, between the steps."""
    other = mlp(Bench(training.bench.folder))
    other.compile("sgd", cross_entropy(), jit_compile=False)

    class Between(keras.callbacks.Callback):
        def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
            other.train_on_batch(X[:4], Y[:4])

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            other.train_on_batch(3 * X[:4], Y[:4])
            self.model.train_on_batch(3 * X[:4], Y[:4])

    training.bench.keep("weights of the other", lambda: other.get_weights())
    return [training.fit([Between(), *training.callbacks])]


def broken_off(training: Training) -> list[History]:
    """Interrupt the training in a callback in front, and go on without the one that records."""

    class Stops(keras.callbacks.Callback):
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            if batch:
                raise KeyboardInterrupt

    try:
        training.fit([Stops(), *training.callbacks])
    except KeyboardInterrupt:
        return [training.fit([])]
    raise AssertionError("it was not interrupted")


def inside_another(training: Training) -> list[History]:
    """Train in a callback of another training."""
    histories: list[History] = []

    class Inner(keras.callbacks.Callback):
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            histories.append(training.fit(training.callbacks, epochs=1))

    outer = mlp(Bench(training.bench.folder))
    outer.compile("sgd", cross_entropy(), jit_compile=False)
    outer.fit(X, Y, batch_size=8, epochs=2, verbose=0, shuffle=False, callbacks=[Inner()])
    training.bench.keep("weights of the outer", lambda: outer.get_weights())
    return histories


def saved_and_loaded(training: Training) -> list[History]:
    first = training.fit(training.callbacks)
    path = training.bench.folder / "model.weights.h5"
    training.model.save_weights(path)
    second = training.fit(training.callbacks, epochs=1)
    training.model.load_weights(path)
    path.unlink()  # the file holds times
    return [first, second, training.fit(training.callbacks, epochs=1)]


def cloned(training: Training) -> list[History]:
    """Train a copy that is made through the configuration when the training has ended."""
    first = training.fit(training.callbacks)
    clone = keras.models.clone_model(training.model)
    clone.compile("sgd", cross_entropy(), jit_compile=False)
    second = clone.fit(X, Y, batch_size=8, epochs=1, verbose=0, shuffle=False).history
    training.bench.keep("weights of the clone", lambda: clone.get_weights())
    return [first, second]


def several_steps_an_execution(training: Training) -> list[History]:
    training.compile(steps_per_execution=2)
    return one(training)


def unrolled(training: Training) -> list[History]:
    training.compile(steps_per_execution=2)
    training.model.unrolled_steps_per_execution = 2
    return one(training)


def many_short_batches(training: Training) -> list[History]:
    return [training.fit(training.callbacks, batch_size=SAMPLES // 12)]


FITS: dict[str, Callable[[Training], list[History]]] = {
    "one": one,
    "two": two,
    "twenty": twenty,
    "one without it before": bare_before,
    "one without it afterwards": bare_after,
    "going on at initial_epoch": going_on,
    "compiled between": compiled_between,
    "unfreezing": unfreezing,
    "all frozen": all_frozen,
    "evaluated between": validated_between,
    "train function made before": function_made_before,
    "train function made by a callback": function_made_by_a_callback,
    "train_on_batch before": step_called_before,
    "two threads": in_two_threads,
    "deep-copied callback": copied,
    "last of the callbacks": last_of_the_callbacks,
    "another model before": another_model,
    "others trained in between": others_in_between,
    "broken off, then without it": broken_off,
    "inside another training": inside_another,
    "weights saved and loaded": saved_and_loaded,
    "cloned afterwards": cloned,
    "steps_per_execution": several_steps_an_execution,
    "steps_per_execution, unrolled": unrolled,
    "twelve batches an epoch": many_short_batches,
}
