"""With the callback and without: the same weights, optimizer state and history, bit for bit."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from trainings import CLASSES, FEATURES, SAMPLES, Callbacks, Trained, X, Y, compiled, differences, fitted, mlp, state

from gradscope import GradScope

RNG = np.random.default_rng(12)
IMAGES = RNG.normal(size=(SAMPLES, 8, 8, 2)).astype("float32")
SERIES = RNG.normal(size=(SAMPLES, 5, FEATURES)).astype("float32")


class Steps(keras.callbacks.Callback):
    """Counts the batches of a training."""

    count = 0

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.count += 1


def cnn() -> Any:
    return keras.Sequential(
        [
            keras.Input((8, 8, 2)),
            keras.layers.Conv2D(4, 3),
            keras.layers.BatchNormalization(),
            keras.layers.ReLU(),
            keras.layers.SpatialDropout2D(0.3),
            keras.layers.Conv2D(4, 3, strides=2, activation="gelu"),
            keras.layers.Flatten(),
            keras.layers.Dense(CLASSES, activation="softmax"),
        ]
    )


def functional() -> Any:
    inputs = keras.Input((FEATURES,))
    shared = keras.layers.Dense(FEATURES, activation="sigmoid")
    left = shared(inputs)
    right = keras.ops.tanh(shared(left))
    joined = keras.layers.LayerNormalization()(keras.layers.concatenate([left, right]))
    outputs = keras.layers.Dense(CLASSES, activation="softmax")(keras.layers.GaussianNoise(0.1)(joined))
    return keras.Model(inputs, outputs)


class Subclassed(keras.Model):
    """Unbuilt until its first batch, with functions in its call."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden = keras.layers.Dense(8)
        self.drop = keras.layers.Dropout(0.3)
        self.head = keras.layers.Dense(CLASSES)

    def call(self, inputs: Any, training: bool = False) -> Any:
        hidden = keras.ops.relu(self.hidden(inputs))
        return tf.nn.softmax(self.head(self.drop(hidden, training=training)))


ADAM = keras.optimizers.Adam, {}
MOMENTUM = keras.optimizers.SGD, {"learning_rate": 0.05, "momentum": 0.9}
EXECUTIONS: dict[str, dict[str, Any]] = {
    "graph": {"jit_compile": False},
    "xla": {"jit_compile": True},
    "eager": {"run_eagerly": True},
}


def architecture(build: Callable[[], Any], execution: str, optimizer: Any) -> Callable[[Callbacks], Trained]:
    def train(callbacks: Callbacks) -> Trained:
        kind, settings = optimizer
        model = compiled(build(), kind(**settings), **EXECUTIONS[execution])
        return fitted(model, callbacks, IMAGES if build is cnn else X)

    return train


def lstm(callbacks: Callbacks) -> Trained:
    model = keras.Sequential(
        [keras.Input((5, FEATURES)), keras.layers.LSTM(6, dropout=0.2), keras.layers.Dense(CLASSES)]
    )
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    return fitted(model, callbacks, SERIES)


def half_precision_that_skips_steps(callbacks: Callbacks) -> Trained:
    dtype = keras.DTypePolicy("mixed_float16")
    model = keras.Sequential(
        [
            keras.Input((FEATURES,)),
            keras.layers.Dense(8, activation="relu", dtype=dtype),
            keras.layers.Dense(CLASSES, activation="softmax", dtype="float32"),
        ]
    )
    optimizer = keras.optimizers.LossScaleOptimizer(
        keras.optimizers.SGD(0.1), initial_scale=2.0**19, dynamic_growth_steps=3
    )
    return fitted(compiled(model, optimizer), callbacks, x=3 * X)


def accumulation_and_moving_average(callbacks: Callbacks) -> Trained:
    optimizer = keras.optimizers.Adam(
        gradient_accumulation_steps=3, use_ema=True, ema_overwrite_frequency=2, clipnorm=0.5, weight_decay=1e-3
    )
    return fitted(compiled(mlp(), optimizer), callbacks)


def generator(callbacks: Callbacks) -> Trained:
    def batches() -> Iterator[Any]:
        rng = np.random.default_rng(3)
        while True:
            rows = rng.integers(0, SAMPLES, rng.integers(4, 9))
            yield X[rows], Y[rows]

    return fitted(compiled(mlp()), callbacks, batches(), None, batch_size=None, steps_per_epoch=6)


class Batches(keras.utils.PyDataset):
    def __len__(self) -> int:
        return 5

    def __getitem__(self, index: int) -> Any:
        rows = slice(8 * index, 8 * index + 8)
        return X[rows], Y[rows]


def py_dataset(callbacks: Callbacks) -> Trained:
    return fitted(compiled(mlp()), callbacks, Batches(workers=2), None, batch_size=None)


def tf_data_of_unknown_length(callbacks: Callbacks) -> Trained:
    data = tf.data.Dataset.from_tensor_slices((X, Y)).shuffle(SAMPLES, seed=1).filter(lambda x, y: y < CLASSES)
    data = data.map(lambda x, y: (x + tf.random.normal(tf.shape(x)), y)).batch(8).prefetch(2)
    return fitted(compiled(mlp()), callbacks, data, None, batch_size=None)


def ragged_batches(callbacks: Callbacks) -> Trained:
    lengths = np.random.default_rng(2).integers(1, 6, SAMPLES)
    tokens = tf.RaggedTensor.from_row_lengths(np.arange(lengths.sum()) % 7, lengths)
    data = tf.data.Dataset.from_tensor_slices((tokens, Y)).batch(8)

    class Bag(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.embed = keras.layers.Embedding(7, 4)
            self.head = keras.layers.Dense(CLASSES, activation="softmax")

        def call(self, inputs: Any) -> Any:
            return self.head(keras.ops.mean(self.embed(inputs.to_tensor()), axis=1))

        def build(self, input_shape: Any) -> None:
            self.built = True

    return fitted(compiled(Bag()), callbacks, data, None, batch_size=None)


def smaller_last_batch(callbacks: Callbacks) -> Trained:
    class_weight = {0: 0.5, 1: 2.0, 2: 1.0}
    return fitted(compiled(mlp()), callbacks, X[:37], Y[:37], class_weight=class_weight, validation_split=0.2)


def weighted_and_validated(callbacks: Callbacks) -> Trained:
    weights = np.linspace(0, 2, SAMPLES)
    validation = X[:16], Y[:16], weights[:16]
    return fitted(compiled(mlp()), callbacks, sample_weight=weights, validation_data=validation)


class Adversaries(keras.Model):
    """A custom step with two optimizers and two models that nothing has built before the first batch."""

    def __init__(self) -> None:
        super().__init__()
        self.generator = keras.Sequential([keras.layers.Dense(8, activation="relu"), keras.layers.Dense(FEATURES)])
        self.critic = keras.Sequential([keras.layers.Dense(8, activation="leaky_relu"), keras.layers.Dense(1)])
        self.generator_optimizer = keras.optimizers.Adam(0.01)
        self.critic_optimizer = keras.optimizers.SGD(0.01, momentum=0.5)
        self.seed = keras.random.SeedGenerator(4)
        self.distance = keras.metrics.Mean(name="distance")

    def call(self, inputs: Any) -> Any:
        return self.generator(inputs)

    def train_step(self, data: Any) -> Any:
        real = data[0]
        noise = keras.random.normal(tf.shape(real), seed=self.seed)
        with tf.GradientTape(persistent=True) as tape:
            fake = self.generator(noise)
            gap = tf.reduce_mean(self.critic(fake)) - tf.reduce_mean(self.critic(real))
            loss = -tf.reduce_mean(self.critic(fake))
        for optimizer, network, value in (
            (self.critic_optimizer, self.critic, gap),
            (self.generator_optimizer, self.generator, loss),
        ):
            variables = network.trainable_variables
            optimizer.apply_gradients(zip(tape.gradient(value, variables), variables, strict=True))
        self.distance.update_state(gap)
        return {"gap": gap, "distance": self.distance.result()}


def adversaries(callbacks: Callbacks) -> Trained:
    model = Adversaries()
    model.compile()
    return fitted(model, callbacks)


class UnseededNoise(keras.layers.Layer):
    """Random without a seed generator: by TensorFlow's counter, and by Keras' global one."""

    def call(self, inputs: Any) -> Any:
        shape = tf.shape(inputs)
        return inputs + 0.1 * tf.random.normal(shape) + 0.1 * keras.random.normal(shape)


def unseeded_noise(execution: str) -> Callable[[Callbacks], Trained]:
    def train(callbacks: Callbacks) -> Trained:
        model = keras.Sequential([keras.Input((FEATURES,)), UnseededNoise(), keras.layers.Dense(CLASSES, "softmax")])
        return fitted(compiled(model, **EXECUTIONS[execution]), callbacks)

    return train


def three_fits_and_compiled_anew(callbacks: Callbacks) -> Trained:
    model = compiled(mlp())
    histories = fitted(model, callbacks).histories + fitted(model, callbacks, initial_epoch=2, epochs=3).histories
    model.layers[0].trainable = False
    compiled(model, keras.optimizers.SGD(0.1, momentum=0.9))
    return Trained(model, histories + fitted(model, callbacks).histories)


class Freeze(keras.callbacks.Callback):
    """Freezes a layer in the middle of the training, which takes a new train function."""

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        if batch == 3 and self.model.layers[0].trainable:
            self.model.layers[0].trainable = False
            self.model.make_train_function(force=True)


def frozen_meanwhile_by_a_callback_before(callbacks: Callbacks) -> Trained:
    return fitted(compiled(mlp()), [Freeze(), *callbacks])


def frozen_meanwhile_by_a_callback_after(callbacks: Callbacks) -> Trained:
    return fitted(compiled(mlp()), [*callbacks, Freeze()])


@pytest.mark.filterwarnings("ignore:Your input ran out of data")  # Keras says so of any dataset of unknown length
@pytest.mark.parametrize(
    "train",
    [
        *(
            pytest.param(architecture(build, execution, optimizer), id=f"{build.__name__} {execution}")
            for row, build in enumerate((mlp, cnn, functional, Subclassed))
            for column, execution in enumerate(EXECUTIONS)
            for optimizer in ((ADAM, MOMENTUM)[(row + column) % 2],)
        ),
        lstm,
        half_precision_that_skips_steps,
        accumulation_and_moving_average,
        generator,
        py_dataset,
        tf_data_of_unknown_length,
        ragged_batches,
        smaller_last_batch,
        weighted_and_validated,
        adversaries,
        pytest.param(unseeded_noise("graph"), id="unseeded noise graph"),
        pytest.param(unseeded_noise("eager"), id="unseeded noise eager"),
    ],
)
def test_recording_every_step_changes_no_bit(train: Callable[[Callbacks], Trained]) -> None:
    steps = Steps()
    bare = state(train, [steps])
    scope = GradScope(schedule=1, quiet=True)
    assert differences(state(train, [scope]), bare) == []
    assert [*scope.run.steps["step"]] == [*range(steps.count)]
    if train is half_precision_that_skips_steps:
        assert 0 < scope.run.steps["skipped"].sum() < steps.count


def test_several_fits_with_one_callback_change_no_bit() -> None:
    scope = GradScope(schedule=1, quiet=True)
    assert differences(state(three_fits_and_compiled_anew, [scope]), state(three_fits_and_compiled_anew, [])) == []
    assert len(scope.run.sessions) == 3


@pytest.mark.parametrize("train", [frozen_meanwhile_by_a_callback_before, frozen_meanwhile_by_a_callback_after])
def test_a_train_function_made_anew_meanwhile_is_the_one_that_trains(train: Callable[[Callbacks], Trained]) -> None:
    scope = GradScope(schedule=1, quiet=True)
    assert differences(state(train, [scope]), state(train, [])) == []
    assert {*range(10)} <= {*scope.run.steps["step"]}


def test_two_recorders_at_once_change_no_bit() -> None:
    def train(callbacks: Callbacks) -> Trained:
        return fitted(compiled(mlp()), callbacks)

    scopes = [GradScope(schedule=1, quiet=True), GradScope(schedule=1, quiet=True)]
    assert differences(state(train, scopes), state(train, [])) == []
    one, other = (scope.run.gradients["norm"] for scope in scopes)
    assert len(one) == len(other) == 6 * 2 * SAMPLES // 8
    np.testing.assert_array_equal(one, other)


def test_several_steps_per_execution_change_no_bit() -> None:
    def train(callbacks: Callbacks) -> Trained:
        model = compiled(mlp(), steps_per_execution=4)
        return fitted(model, callbacks, X[:36], Y[:36], batch_size=2, epochs=3)  # the last execution is short

    scope = GradScope(schedule=1, quiet=True)
    assert differences(state(train, [scope]), state(train, [])) == []
    executions = 3 * 5
    assert len(scope.run.steps) == executions


def test_the_default_schedule_changes_no_bit(tmp_path: Path) -> None:
    def train(callbacks: Callbacks) -> Trained:
        return fitted(compiled(mlp()), callbacks, batch_size=2, epochs=3)

    scope = GradScope(tmp_path, quiet=True)
    assert differences(state(train, [scope]), state(train, [])) == []
    assert 10 < len(scope.run.steps) < 3 * SAMPLES // 2
