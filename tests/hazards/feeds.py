"""Data: what the network is fed with, and in which form.

A feed says where the features come from, as Keras tensors, and what ``fit`` is given.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from hazards.bench import CLASSES, FEATURES, POOL, SAMPLES, Bench, L, X, Y


@dataclass
class Feed:
    """One way to feed a network.

    Attributes:
        x: What ``fit`` is given, labels apart.
        y: Labels; None where they come with ``x``.
        fit: Other keywords of ``fit``.
        inputs: Inputs of the model; None for one row of features.
        features: The features, made of the inputs.
        compile: Keywords of ``compile``.
    """

    x: Any
    y: Any = None
    fit: dict[str, Any] = field(default_factory=dict)
    inputs: Any = None
    features: Any = None
    compile: dict[str, Any] = field(default_factory=dict)


def arrays(bench: Bench) -> Feed:
    return Feed(X, Y)


def short_last_batch(bench: Bench) -> Feed:
    return Feed(X[:20], Y[:20])


def shuffled(bench: Bench) -> Feed:
    return Feed(X, Y, {"shuffle": True})


def _pairs(x: Any = X, y: Any = Y) -> tf.data.Dataset:
    return tf.data.Dataset.from_tensor_slices((x, y))


def tf_data(bench: Bench) -> Feed:
    return Feed(_pairs().batch(8).prefetch(2))


def tf_data_shuffled(bench: Bench) -> Feed:
    data = _pairs().shuffle(SAMPLES).map(lambda x, y: (x + 0.1 * tf.random.normal(tf.shape(x)), y))
    return Feed(data.batch(8))


def tf_data_of_unknown_length(bench: Bench) -> Feed:
    return Feed(_pairs().filter(lambda x, y: y < CLASSES).batch(8))


def tf_data_repeated(bench: Bench) -> Feed:
    return Feed(_pairs().shuffle(SAMPLES, seed=3).repeat().batch(8), fit={"steps_per_epoch": 4})


def tf_data_from_generator(bench: Bench) -> Feed:
    rows = []
    bench.keep("rows drawn", lambda: len(rows))

    def drawn() -> Iterator[Any]:
        for at in range(SAMPLES):
            rows.append(at)
            yield X[at], Y[at]

    signature = tf.TensorSpec((FEATURES,), tf.float32), tf.TensorSpec((), tf.int64)
    return Feed(tf.data.Dataset.from_generator(drawn, output_signature=signature).batch(8))


def generator(bench: Bench) -> Feed:
    return Feed(_batches(np.random.default_rng(3)), fit={"steps_per_epoch": 4})


def generator_of_global_random(bench: Bench) -> Feed:
    return Feed(_batches(np.random), fit={"steps_per_epoch": 4})


def _batches(rng: Any) -> Iterator[Any]:
    while True:
        at = rng.permutation(SAMPLES)[:8]
        yield X[at], Y[at]


def generator_that_counts(bench: Bench) -> Feed:
    """A generator that remembers how many batches were asked of it, and makes them harder."""
    asked: list[int] = []
    bench.keep("batches asked for", lambda: len(asked))

    def batches() -> Iterator[Any]:
        while True:
            asked.append(1)
            yield X[:8] * min(1.0, 0.1 * len(asked)), Y[:8]

    return Feed(batches(), fit={"steps_per_epoch": 4})


class Batches(keras.utils.PyDataset):
    def __len__(self) -> int:
        return 3

    def __getitem__(self, index: int) -> Any:
        rows = slice(8 * index, 8 * index + 8)
        return X[rows], Y[rows]


def py_dataset(bench: Bench) -> Feed:
    return Feed(Batches())


def py_dataset_with_workers(bench: Bench) -> Feed:
    return Feed(Batches(workers=2, max_queue_size=2))


def dictionary(bench: Bench) -> Feed:
    inputs = {"left": keras.Input((3,), name="left"), "right": keras.Input((3,), name="right")}
    return Feed({"left": X[:, :3], "right": X[:, 3:]}, Y, inputs=inputs, features=L.Concatenate()([*inputs.values()]))


def several_inputs(bench: Bench) -> Feed:
    inputs = [keras.Input((3,)), keras.Input((3,))]
    return Feed([X[:, :3], X[:, 3:]], Y, inputs=inputs, features=L.Concatenate()(inputs))


def tokens(bench: Bench) -> Feed:
    words = np.random.default_rng(5).integers(1, 12, (SAMPLES, 5)).astype("int32")
    inputs = keras.Input((5,), dtype="int32")
    return Feed(words, Y, inputs=inputs, features=L.GlobalAveragePooling1D()(L.Embedding(12, FEATURES)(inputs)))


def masks(bench: Bench) -> Feed:
    words = np.random.default_rng(5).integers(0, 12, (SAMPLES, 5)).astype("int32")
    inputs = keras.Input((5,), dtype="int32")
    features = L.GRU(FEATURES)(L.Embedding(12, 4, mask_zero=True)(inputs))
    return Feed(words, Y, inputs=inputs, features=features)


def class_weights(bench: Bench) -> Feed:
    return Feed(X, Y, {"class_weight": {0: 0.5, 1: 2.0, 2: 1.0}})


def sample_weights(bench: Bench) -> Feed:
    return Feed(X, Y, {"sample_weight": np.linspace(0, 2, SAMPLES)}, compile={"weighted_metrics": ["accuracy"]})


def validation(bench: Bench) -> Feed:
    return Feed(X, Y, {"validation_data": (X[:10], Y[:10]), "validation_freq": 1})


def ragged(bench: Bench) -> Feed:
    lengths = np.random.default_rng(2).integers(1, 6, SAMPLES)
    values = tf.RaggedTensor.from_row_lengths((np.arange(lengths.sum()) % 12).astype("int32"), lengths)
    inputs = keras.Input((None,), dtype="int32", ragged=True)
    features = L.GlobalAveragePooling1D()(L.Embedding(12, FEATURES)(Dense()(inputs)))
    return Feed(_pairs(values).batch(8), inputs=inputs, features=features)


class Dense(keras.layers.Layer):
    """Fills ragged rows with zeros."""

    def call(self, x: Any) -> Any:
        return x.to_tensor(shape=(None, 5)) if isinstance(x, tf.RaggedTensor) else x

    def compute_output_spec(self, x: Any) -> Any:
        return keras.KerasTensor((None, 5), "int32")


def sparse(bench: Bench) -> Feed:
    inputs = keras.Input((FEATURES,), sparse=True)
    rows = tf.sparse.from_dense(np.where(X > 0, X, 0))
    return Feed(_pairs(rows).batch(8), inputs=inputs, features=L.Dense(FEATURES, activation="relu")(inputs))


def unknown_shapes(bench: Bench) -> Feed:
    """A batch whose second axis changes from batch to batch, so that the step is traced several times."""

    def batches() -> Iterator[Any]:
        for length in (3, 4, 5):
            yield POOL[:40].reshape(8, 5, FEATURES)[:, :length], Y[:8]

    signature = tf.TensorSpec((None, None, FEATURES), tf.float32), tf.TensorSpec((None,), tf.int64)
    inputs = keras.Input((None, FEATURES))
    data = tf.data.Dataset.from_generator(batches, output_signature=signature)
    return Feed(data, inputs=inputs, features=L.GlobalMaxPooling1D()(L.Dense(FEATURES, activation="selu")(inputs)))


def shapes_that_change(bench: Bench) -> Feed:
    """Arrays of several lengths from a generator, each a shape of its own."""

    def batches() -> Iterator[Any]:
        while True:
            for size in (8, 8, 5, 3):
                yield X[:size], Y[:size]

    return Feed(batches(), fit={"steps_per_epoch": 4})


def strings(bench: Bench) -> Feed:
    words = np.array(["the cat sat", "a dog ran far", "the dog"] * 8)
    vectorise = L.TextVectorization(max_tokens=12, output_sequence_length=5)
    vectorise.adapt(words)
    inputs = keras.Input((), dtype="string")
    features = L.GlobalAveragePooling1D()(L.Embedding(12, FEATURES)(vectorise(inputs)))
    return Feed(tf.constant(words), Y, inputs=inputs, features=features)


def string_categories(bench: Bench) -> Feed:
    lookup = L.StringLookup(vocabulary=["a", "b", "c"], output_mode="one_hot")
    inputs = {"kind": keras.Input((1,), dtype="string"), "row": keras.Input((FEATURES,))}
    features = L.Concatenate()([lookup(inputs["kind"]), inputs["row"]])
    x = {"kind": tf.constant(np.array(["a", "b", "c", "d"] * 6)[:, None]), "row": X}
    return Feed(x, Y, inputs=inputs, features=features)


def bytes_of_images(bench: Bench) -> Feed:
    pixels = np.random.default_rng(6).integers(0, 255, (SAMPLES, 4, 4, 3)).astype("uint8")
    inputs = keras.Input((4, 4, 3), dtype="uint8")
    flipped = L.RandomFlip(seed=1)(L.Rescaling(1 / 255)(inputs))
    return Feed(pixels, Y, inputs=inputs, features=L.Flatten()(L.Conv2D(4, 3, activation="relu")(flipped)))


def no_labels(bench: Bench) -> Feed:
    return Feed(X, fit={"shuffle": False})


def tensors(bench: Bench) -> Feed:
    return Feed(tf.constant(X), tf.constant(Y))


FEEDS: dict[str, Callable[[Bench], Feed]] = {
    "arrays": arrays,
    "tensors": tensors,
    "no labels": no_labels,
    "short last batch": short_last_batch,
    "shuffled": shuffled,
    "tf.data": tf_data,
    "tf.data, shuffled with noise": tf_data_shuffled,
    "tf.data of unknown length": tf_data_of_unknown_length,
    "tf.data, repeated": tf_data_repeated,
    "tf.data from a generator": tf_data_from_generator,
    "generator": generator,
    "generator of numpy.random": generator_of_global_random,
    "generator that counts": generator_that_counts,
    "PyDataset": py_dataset,
    "PyDataset with workers": py_dataset_with_workers,
    "dict": dictionary,
    "several inputs": several_inputs,
    "tokens": tokens,
    "masks": masks,
    "class weights": class_weights,
    "sample weights": sample_weights,
    "validation": validation,
    "ragged": ragged,
    "sparse": sparse,
    "unknown shapes": unknown_shapes,
    "shapes that change": shapes_that_change,
    "strings": strings,
    "string categories": string_categories,
    "images of bytes, flipped": bytes_of_images,
}

ROWS_OF_FEATURES = {"arrays", "tensors", "no labels", "short last batch", "shuffled", "tf.data", "generator"}
"""Feeds that every step can take."""
