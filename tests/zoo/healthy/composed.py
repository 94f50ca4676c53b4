"""Models built and fed in other ways: shared layers, nested and subclassed models, own train steps, datasets."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from zoo.case import Case, Training
from zoo.data import digit_images
from zoo.healthy.tasks import Data, centred, classify, decide, digits_mlp, predict

L: Any = keras.layers


def _pairs() -> tuple[dict[str, Any], Any]:
    """Two digits each, and whether they are the same, which half of them are."""
    x, y = centred()
    rng = np.random.default_rng(0)
    left = rng.integers(0, len(x), 2000)
    same = np.arange(2000) % 2
    right = np.array([rng.choice(np.flatnonzero((y == y[i]) == wanted)) for i, wanted in zip(left, same, strict=True)])
    return {"left": x[left], "right": x[right]}, same


def _siamese() -> Training:
    left, right = keras.Input((64,), name="left"), keras.Input((64,), name="right")
    encoder = keras.Sequential([L.Dense(48, "relu"), L.Dense(24)])
    distance = keras.ops.square(encoder(left) - encoder(right))
    model = keras.Model({"left": left, "right": right}, L.Dense(1, "sigmoid")(distance))
    return decide(model, _pairs(), optimizer=keras.optimizers.Adam(3e-3), epochs=8)


def _one_layer_four_times() -> Training:
    inputs = keras.Input((64,))
    again = L.Dense(48, "tanh", kernel_initializer="orthogonal")
    x = L.Dense(48, "tanh")(inputs)
    for _ in range(4):
        x = again(x)
    return classify(keras.Model(inputs, L.Dense(10, "softmax")(x)), optimizer=keras.optimizers.Adam(3e-3), epochs=7)


def _tied_decoder() -> Training:
    """The decoder is the encoder transposed; a constant reaches 0.073."""

    class Tied(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.encoder = L.Dense(16, "tanh")
            self.offset = self.add_weight(shape=(64,), initializer="zeros", name="offset")

        def call(self, x: Any) -> Any:
            return self.encoder(x) @ keras.ops.transpose(self.encoder.kernel) + self.offset

    x, _ = centred()
    return predict(Tied(), (x, x), optimizer=keras.optimizers.Adam(5e-3), epochs=8)


def _nested() -> Training:
    stem = keras.Sequential(
        [keras.Input((8, 8, 1)), L.Conv2D(12, 3, activation="relu"), L.Conv2D(16, 3, activation="relu")]
    )
    inputs = keras.Input((4, 4, 16))
    neck = keras.Model(inputs, L.Dense(32, "relu")(L.Flatten()(inputs)))
    model = keras.Sequential(
        [keras.Input((8, 8, 1)), stem, keras.Sequential([neck, L.Dropout(0.2)]), L.Dense(10, "softmax")]
    )
    return classify(model, digit_images(), optimizer=keras.optimizers.Adam(2e-3), epochs=6)


class Subclassed(keras.Model):
    """Activation functions inside `call`, which belong to no layer."""

    def __init__(self) -> None:
        super().__init__()
        self.widen = L.Dense(64)
        self.narrow = L.Dense(32)
        self.drop = L.Dropout(0.2)
        self.answer = L.Dense(10)

    def call(self, x: Any, training: bool = False) -> Any:
        x = keras.ops.relu(self.widen(x))
        x = self.drop(keras.ops.tanh(self.narrow(x)), training=training)
        return keras.ops.softmax(self.answer(x))


class OwnStep(keras.Model):
    """A train step of one's own: mean loss of the batch and of its noisy copy."""

    def __init__(self, *arguments: Any, **keywords: Any) -> None:
        super().__init__(*arguments, **keywords)
        self.mean_loss = keras.metrics.Mean(name="loss")

    @property
    def metrics(self) -> list[Any]:
        return [self.mean_loss]

    def train_step(self, data: Data) -> dict[str, Any]:
        import tensorflow as tf

        x, y = data
        with tf.GradientTape() as tape:
            noisy = self(x + 0.1 * keras.random.normal(keras.ops.shape(x)), training=True)
            loss = (self.compute_loss(x, y, self(x, training=True)) + self.compute_loss(x, y, noisy)) / 2
        self.optimizer.apply(tape.gradient(loss, self.trainable_variables), self.trainable_variables)
        self.mean_loss.update_state(loss)
        return {"loss": self.mean_loss.result()}


def _own_step() -> Training:
    inputs = keras.Input((64,))
    outputs = L.Dense(10, "softmax")(L.Dense(48, "relu")(inputs))
    model = OwnStep(inputs, outputs)
    return predict(model, centred(), loss="sparse_categorical_crossentropy", epochs=8)


def _dataset() -> Training:
    import tensorflow as tf

    batches = tf.data.Dataset.from_tensor_slices(centred()).shuffle(1797, seed=1).batch(32).prefetch(2)
    training = classify(digits_mlp(), epochs=7)
    return Training(training.model, {"x": batches, "epochs": 7, "shuffle": False})


class Batches(keras.utils.PyDataset):
    """Digits in batches, a sample weight for each."""

    def __init__(self) -> None:
        super().__init__()
        self.images, self.labels = centred()

    def __len__(self) -> int:
        return len(self.images) // 32

    def __getitem__(self, index: int) -> tuple[Any, Any, Any]:
        chosen = slice(32 * index, 32 * index + 32)
        return self.images[chosen], self.labels[chosen], np.ones(32, np.float32)


def _py_dataset() -> Training:
    training = classify(digits_mlp(), epochs=8)
    return Training(training.model, {"x": Batches(), "epochs": 8})


def _endless_dataset() -> Training:
    """Epochs are counted in steps, not in passes."""
    import tensorflow as tf

    batches = tf.data.Dataset.from_tensor_slices(centred()).repeat().shuffle(500, seed=1).batch(32)
    training = classify(digits_mlp(), epochs=10)
    return Training(training.model, {"x": batches, "epochs": 10, "steps_per_epoch": 40, "shuffle": False})


_TWICE = "one layer, several calls: its gradient is a sum, its activations are not one distribution"
CASES: tuple[Case, ...] = (
    Case("siamese", "shared layers", _TWICE, _siamese, learns=0.3),
    Case("one_layer_four_times", "shared layers", _TWICE, _one_layer_four_times, learns=0.4),
    Case("tied_decoder", "shared layers", "a kernel that is used forwards and backwards", _tied_decoder, learns=0.03),
    Case("nested_models", "nested models", "layers lie two models deep", _nested, learns=0.5),
    Case(
        "subclassed_functions",
        "subclassed",
        "activation functions that belong to no layer",
        lambda: classify(Subclassed(), epochs=8),
        learns=0.4,
    ),
    Case("own_train_step", "subclassed", "the network runs twice in a step of one's own", _own_step, learns=0.4),
    Case("tf_data", "datasets", "batches come from a dataset", _dataset, learns=0.3),
    Case("tf_data_endless", "datasets", "epochs are no passes over the data", _endless_dataset, learns=0.3),
    Case("py_dataset", "datasets", "the same order in every epoch", _py_dataset, learns=0.3),
)
