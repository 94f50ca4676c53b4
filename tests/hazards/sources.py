"""Random sources: where the noise of a program comes from. Each makes noise in the shape of a tensor."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from hazards.bench import Bench, L, OnlyTraining, Seeds

Noise = Callable[[Any], Any]


def dropout(bench: Bench) -> Noise:
    layer = bench.owned(L.Dropout(0.4, seed=3))
    layer.build(())
    bench.layers.append(layer)
    return lambda like: layer(keras.ops.ones_like(like), training=True)


def seed_generator(bench: Bench) -> Noise:
    seed = keras.random.SeedGenerator(4)
    bench.owned(Seeds(seed))
    return _in_a_layer(
        bench, lambda like: keras.random.normal(keras.ops.shape(like), dtype=like.dtype, seed=seed), seed=seed
    )


def keras_without_a_seed(bench: Bench) -> Noise:
    return _in_a_layer(bench, lambda like: keras.random.normal(keras.ops.shape(like), dtype=like.dtype))


def tf_random(bench: Bench) -> Noise:
    return _in_a_layer(bench, lambda like: tf.random.normal(tf.shape(like), dtype=like.dtype))


def tf_random_with_a_seed(bench: Bench) -> Noise:
    return _in_a_layer(bench, lambda like: tf.random.uniform(tf.shape(like), dtype=like.dtype, seed=3))


def tf_shuffle(bench: Bench) -> Noise:
    return _in_a_layer(bench, lambda like: tf.random.shuffle(tf.stop_gradient(like)))


def tf_generator(bench: Bench) -> Noise:
    generator = tf.random.Generator.from_seed(3)
    bench.keep("tf.random.Generator", lambda: generator.state)
    return _in_a_layer(bench, lambda like: generator.normal(tf.shape(like), dtype=like.dtype))


def tf_global_generator(bench: Bench) -> Noise:
    tf.random.set_global_generator(tf.random.Generator.from_seed(9))
    return _in_a_layer(bench, lambda like: tf.random.get_global_generator().normal(tf.shape(like), dtype=like.dtype))


def tf_stateless(bench: Bench) -> Noise:
    counter = tf.Variable(0, dtype=tf.int32, trainable=False)
    bench.keep("counter", lambda: counter)

    def noise(like: Any) -> Any:
        seed = tf.stack([7, counter.assign_add(1)])
        return tf.random.stateless_normal(tf.shape(like), seed, dtype=like.dtype)

    return _in_a_layer(bench, noise)


def numpy_global(bench: Bench) -> Noise:
    return _in_a_layer(bench, lambda like: _constant(like, np.random.normal(0, 0.5, like.shape[-1])))  # noqa: NPY002


def numpy_generator(bench: Bench) -> Noise:
    generator = np.random.default_rng(3)
    bench.keep("numpy.random.Generator", lambda: generator.bit_generator.state["state"])
    return _in_a_layer(bench, lambda like: _constant(like, generator.normal(0, 0.5, like.shape[-1])))


def _constant(like: Any, row: Any) -> Any:
    """Return a row of numbers, drawn when Python runs, for every row of the batch."""
    return tf.zeros_like(like) + tf.cast(row, like.dtype)


def python_random(bench: Bench) -> Noise:
    return _in_a_layer(bench, lambda like: tf.zeros_like(like) + random.gauss(0, 0.5))


def python_choice(bench: Bench) -> Noise:
    """Draw an operation instead of a number, so that the graph itself depends on it."""
    return _in_a_layer(bench, lambda like: random.choice([tf.sin, tf.cos, tf.square, tf.identity])(like))


def _in_a_layer(bench: Bench, noise: Noise, **tracked: Any) -> Noise:
    bench.layers.append(OnlyTraining(lambda x: x + 0.1 * noise(x), **tracked))
    return noise


SOURCES: dict[str, Callable[[Bench], Noise] | None] = {
    "none": None,
    "keras Dropout": dropout,
    "keras SeedGenerator": seed_generator,
    "keras.random without a seed": keras_without_a_seed,
    "tf.random.normal": tf_random,
    "tf.random.uniform with a seed": tf_random_with_a_seed,
    "tf.random.shuffle": tf_shuffle,
    "tf.random.Generator": tf_generator,
    "global tf.random.Generator": tf_global_generator,
    "stateless, seeded by a counter": tf_stateless,
    "numpy.random while tracing": numpy_global,
    "numpy Generator while tracing": numpy_generator,
    "Python random": python_random,
    "Python random.choice of an operation": python_choice,
}
