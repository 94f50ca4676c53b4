"""Reports where steps are too large, fall to nothing, or leave the statistics of a normalisation behind."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from zoo.case import Training
from zoo.data import digits
from zoo.reported.report import Line, Report, answers, overlap, share_explained, share_right

L: Any = keras.layers
_MARGIN = 0.4


def _hardest_triplets(labels: Any, points: Any) -> Any:
    """Distance to the farthest of one's own class, less that to the nearest of another, and a margin."""
    apart = tf.reduce_sum((points[:, None] - points[None]) ** 2, -1)
    distance = tf.sqrt(tf.maximum(apart, 1e-10))
    own = tf.cast(tf.equal(tf.reshape(labels, (-1, 1)), tf.reshape(labels, (1, -1))), tf.float32)
    farthest, nearest = tf.reduce_max(distance * own, 1), tf.reduce_min(distance + 1e3 * own, 1)
    return tf.nn.relu(farthest - nearest + _MARGIN)


def _embedded(rate: float, *, on_a_sphere: bool) -> Training:
    x, y = digits()
    model = keras.Sequential([keras.Input((64,)), L.Dense(96, "relu"), L.Dense(48, "relu"), L.Dense(12, name="point")])
    if on_a_sphere:
        model.add(L.UnitNormalization())
    model.compile(keras.optimizers.Adam(rate), _hardest_triplets)
    return Training(model, {"x": x, "y": y.astype(np.float32)[:, None], "epochs": 10, "batch_size": 60})


def _neighbours_right(training: Training) -> float:
    points, classes = answers(training)[:400], np.ravel(training.fit["y"])[:400]
    apart = ((points[:, None] - points[None]) ** 2).sum(-1) + np.diag(np.full(400, np.inf))
    return float(np.mean(classes[apart.argmin(1)] == classes))


def _walk(*, bounded: bool) -> Training:
    """How far a walk is from where it began, at every step of it."""
    rng = np.random.default_rng(59)
    x = rng.normal(0, 1, (300, 25, 4)).astype(np.float32)
    y = np.abs(np.cumsum(x[..., :1], 1)) + np.abs(x[..., 1:2])
    cell = "tanh" if bounded else "relu"
    model = keras.Sequential([keras.Input((25, 4))])
    model.add(L.LSTM(32, cell, return_sequences=True))
    model.add(L.LSTM(24, cell, return_sequences=True))
    model.add(L.TimeDistributed(L.Dense(1, None if bounded else "relu")))
    wild = keras.optimizers.SGD(0.01, momentum=0.99, nesterov=True)
    model.compile(keras.optimizers.Adam(1e-2) if bounded else wild, "mse")
    return Training(model, {"x": x, "y": y, "epochs": 14, "batch_size": 20})


def _squares(*, narrow: bool) -> Training:
    """Find squares in noise; the last layer but one has two ReLU channels, which a large step switches off."""
    rng = np.random.default_rng(61)
    x = rng.uniform(0.1, 0.5, (200, 16, 16, 1)).astype(np.float32)
    y = np.zeros((200, 16, 16, 1), np.float32)
    for picture, mask in zip(x, y, strict=True):
        for top, left in rng.integers(0, 11, (2, 2)):
            mask[top : top + 5, left : left + 5] = 1
        picture += 0.35 * mask
    inputs = keras.Input((16, 16, 1))
    he = {"padding": "same", "kernel_initializer": "he_normal"}
    body = L.Conv2D(12, 3, activation="elu", **he)(inputs)
    body = L.Concatenate()([L.UpSampling2D()(L.Conv2D(16, 3, strides=2, activation="elu", **he)(body)), body])
    if narrow:
        body = L.Conv2D(2, 3, activation="relu", name="narrow", **he)(body)
    model = keras.Model(inputs, L.Conv2D(1, 1, activation="sigmoid", name="mask")(body))
    model.compile(keras.optimizers.Adam(0.2 if narrow else 4e-3), "binary_crossentropy")
    return Training(model, {"x": x, "y": y, "epochs": 8, "batch_size": 20})


class Pieces(keras.layers.Layer):
    """Sixteen pieces of a scan, each with what is learnt of its place."""

    def build(self, shape: Any) -> None:
        self.project = L.Dense(24)
        self.project.build((None, 16, 4))
        self.place = self.add_weight(shape=(16, 24), initializer=keras.initializers.RandomNormal(stddev=0.02))

    def call(self, x: Any) -> Any:
        pieces = keras.ops.transpose(keras.ops.reshape(x, (-1, 4, 2, 4, 2)), (0, 1, 3, 2, 4))
        return self.project(keras.ops.reshape(pieces, (-1, 16, 4))) + self.place


def _vision_transformer(rate: float, dropout: float) -> Training:
    x, y = (part[:1000] for part in digits())
    inputs = keras.Input((64,))
    state = L.Dropout(dropout)(Pieces(name="pieces")(inputs))
    for _ in range(2):
        looked = L.Dropout(dropout)(L.MultiHeadAttention(3, 8, dropout=dropout)(state, state))
        state = L.LayerNormalization()(state + looked)
        thought = L.Dropout(dropout)(L.Dense(24)(L.Dense(48, "gelu")(state)))
        state = L.LayerNormalization()(state + thought)
    model = keras.Model(inputs, L.Dense(10, "softmax", name="digit")(L.GlobalAveragePooling1D()(state)))
    model.compile(keras.optimizers.Adam(rate), "sparse_categorical_crossentropy")
    return Training(model, {"x": x, "y": y, "epochs": 10, "batch_size": 50})


def _parity(patience: int) -> Training:
    """Whether five signs have an even number of minus: nothing is learnt for some epochs, then all at once."""
    rng = np.random.default_rng(67)
    x = rng.choice([-1.0, 1.0], (1000, 5, 1)).astype(np.float32)
    y = (x.prod((1, 2)) > 0).astype(np.float32)[:, None]
    model = keras.Sequential([keras.Input((5, 1)), L.LSTM(20), L.Dense(1, "sigmoid", name="even")])
    model.compile(keras.optimizers.Adam(1e-2), "binary_crossentropy")
    fall = keras.callbacks.ReduceLROnPlateau("val_loss", 0.1, patience, min_delta=5e-3, min_lr=1e-7)
    fit = {"x": x, "y": y, "epochs": 30, "batch_size": 40, "validation_split": 0.2, "callbacks": [fall]}
    return Training(model, fit)


def _few_pictures(momentum: float, epochs: int) -> Training:
    """Two kinds of pictures; moving statistics that have seen 24 steps, or enough."""
    rng = np.random.default_rng(71)
    y = (np.arange(64) % 2).astype(np.float32)[:, None]
    x = rng.normal(110, 25, (64, 16, 16, 3))
    x[1::2, 4:12, 4:12] += 20
    model = keras.Sequential([keras.Input((16, 16, 3))])
    for filters in (8, 16):
        model.add(L.Conv2D(filters, 4, strides=2, padding="same"))
        model.add(L.BatchNormalization(momentum=momentum))
        model.add(L.Activation("elu"))
    model.add(L.Flatten())
    model.add(L.Dense(1, "sigmoid", name="answer"))
    model.compile("adam", "binary_crossentropy", metrics=["accuracy"])
    x = np.clip(x, 0, 255).astype(np.float32)
    return Training(model, {"x": x, "y": y, "epochs": epochs, "batch_size": 16, "validation_data": (x, y)})


_GITHUB = "https://github.com/"
CASES: tuple[Report, ...] = (
    Report(
        "all on one point",
        f"{_GITHUB}omoindrot/tensorflow-triplet-loss/issues/50",
        "A step a hundred times too large switches every unit off: one point, a loss of the margin, no gradient left.",
        lambda: _embedded(0.1, on_a_sphere=False),
        lambda: _embedded(1e-3, on_a_sphere=True),
        _neighbours_right,
        0.9,
        top=(Line("collapsed_output"), Line("dying_relu", ("dense", "dense_1"))),
        remedies=frozenset({"learning_rate", "normalisation"}),
        also=frozenset({"update_ratio", "unchanged_weights", "vanishing_activation"}),
        least="high",
    ),
    Report(
        "cells without a bound",
        f"{_GITHUB}keras-team/keras/issues/3687",
        "LSTM cells of ReLU and a momentum of 0.99 throw the weights away in a few steps; the ReLU end hides it as 0.",
        lambda: _walk(bounded=False),
        lambda: _walk(bounded=True),
        share_explained,
        0.5,
        top=tuple(Line(rule) for rule in ("exploding_gradient", "exploding_activation", "nan_or_inf")),
        remedies=frozenset({"activation", "learning_rate", "clipping"}),
        also=frozenset({"dying_relu", "update_ratio"}),
    ),
    Report(
        "two channels before the mask",
        f"{_GITHUB}zhixuhao/unet/issues/148",
        "Two ReLU channels that a large step has switched off: the mask is its bias everywhere. Leave the layer out.",
        lambda: _squares(narrow=True),
        lambda: _squares(narrow=False),
        overlap,
        0.6,
        top=(Line("dying_relu", ("narrow",)),),
        remedies=frozenset({"layer_removal", "learning_rate", "activation"}),
        also=frozenset({"vanishing_activation", "update_ratio"}),
    ),
    Report(
        "a transformer thrown at the start",
        f"{_GITHUB}lucidrains/vit-pytorch/issues/16",
        "Adam at 0.02 without warm-up throws it away: it answers a constant from then on. A smaller rate.",
        lambda: _vision_transformer(2e-2, 0.2),
        lambda: _vision_transformer(2e-3, 0.2),
        share_right,
        0.7,
        top=(Line("not_converging"), Line("update_ratio"), Line("collapsed_output")),
        remedies=frozenset({"learning_rate"}),
        also=frozenset({"exploding_gradient", "vanishing_gradient", "unchanged_weights"}),
    ),
    Report(
        "a rate that falls on the first plateau",
        f"{_GITHUB}keras-team/keras/issues/10924",
        "A callback cuts the rate tenfold every other epoch, on the plateau before anything is learnt; more patience.",
        lambda: _parity(1),
        lambda: _parity(20),
        share_right,
        0.9,
        top=(Line("falling_learning_rate"),),
        remedies=frozenset({"learning_rate", "code"}),
        also=frozenset({"update_ratio"}),
    ),
    Report(
        "statistics of a few steps",
        f"{_GITHUB}keras-team/keras/issues/6014",
        "At a momentum of 0.99 the moving statistics lag behind after 24 steps, so that only `evaluate` is wrong.",
        lambda: _few_pictures(0.99, 6),
        lambda: _few_pictures(0.6, 14),
        share_right,
        0.9,
        top=(Line("batch_statistics"),),
        remedies=frozenset({"normalisation"}),
        also=frozenset({"input_scale"}),
    ),
)
