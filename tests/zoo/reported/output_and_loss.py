"""Reports where the last layer, the loss and the targets do not go together."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from zoo.case import Training
from zoo.data import scaled
from zoo.reported.report import Line, Report, share_explained, share_right

L: Any = keras.layers


def _tumours(loss: str) -> Training:
    x, y = scaled("breast_cancer")
    small = keras.initializers.RandomUniform(-0.05, 0.05)
    model = keras.Sequential([keras.Input((30,)), L.Dense(20, "relu", kernel_initializer=small), L.Dropout(0.1)])
    model.add(L.Dense(12, "relu", kernel_initializer=small))
    model.add(L.Dense(1, "sigmoid", kernel_initializer=small, name="answer"))
    model.compile("adam", loss)
    return Training(model, {"x": x, "y": y.astype(np.float32)[:, None], "epochs": 20, "batch_size": 60})


class Signed(keras.initializers.Initializer):
    """Weights of one sign, so that a ReLU's sum lies below zero for all inputs that are not negative."""

    def __init__(self, sign: float) -> None:
        self.sign = sign

    def __call__(self, shape: Any, dtype: Any = None) -> Any:
        return self.sign * keras.ops.abs(keras.random.normal(shape, dtype=dtype or "float32", stddev=0.4))


def _share_of_ones(end: str | None) -> Training:
    """How much of a padded sequence is ones; the mask leaves out the rest, and a ReLU at the end begins dead."""
    rng = np.random.default_rng(17)
    counts = rng.integers(5, 55, 400)
    x = (np.arange(60) >= 60 - counts[:, None]).astype(np.float32)[..., None]
    y = x.mean((1, 2))[:, None]
    # a state of positive entries, before weights that are not
    positive = {"kernel_initializer": Signed(1.0), "recurrent_initializer": Signed(0.3)}
    model = keras.Sequential([keras.Input((60, 1)), L.Masking(0.0), L.LSTM(8, **positive)])
    model.add(L.Dense(1, end, kernel_initializer=Signed(-1.0), name="share"))
    model.compile(keras.optimizers.Adam(1e-2), "mse")
    return Training(model, {"x": x, "y": y, "epochs": 20, "batch_size": 16})


def _line_of_points(end: str | None) -> Training:
    """Points of y = 3x − 4, half of which lie below zero."""
    x = np.linspace(-2, 4, 9, dtype=np.float32)[:, None]
    drawn = (Signed(1.0), Signed(-1.0)) if end else ("he_normal", "he_normal")  # of the draws, one that is dead
    model = keras.Sequential([keras.Input((1,)), L.Dense(12, "relu", kernel_initializer=drawn[0])])
    model.add(L.Dense(1, end, kernel_initializer=drawn[1], name="y"))
    model.compile(keras.optimizers.Adam(0.03), "mse")
    return Training(model, {"x": x, "y": 3 * x - 4, "epochs": 150})


def _either_or(end: str, dtype: str) -> Training:
    """Exclusive or; `tanh` answers below 0, where the logarithm of the loss is cut off."""
    x = np.tile(np.array([[0, 0], [0, 1], [1, 0], [1, 1]], np.float32), (30, 1))
    y = (x.sum(1, keepdims=True) == 1).astype(np.float32)
    model = keras.Sequential([keras.Input((2,)), *([] if end == "tanh" else [L.Dense(8, "tanh")])])
    model.add(L.Dense(1, end, dtype=dtype, name="answer"))
    rate = keras.optimizers.SGD(0.01) if end == "tanh" else keras.optimizers.Adam(0.05)
    model.compile(rate, "binary_crossentropy")
    return Training(model, {"x": x, "y": y, "epochs": 8, "batch_size": 1 if end == "tanh" else 4})


def _rows_to_themselves(*, out_of_reach: bool) -> Training:
    """An autoencoder that ends in a sigmoid, of rows that hold 2 and 4, or of rows in 0 to 1."""
    rng = np.random.default_rng(19)
    x = np.tile([[1.0, 2.0, 4.0]], (12, 1)) if out_of_reach else np.repeat(rng.uniform(0, 1, (80, 3)), 2, 0)
    x = x.astype(np.float32)
    code = "relu" if out_of_reach else "tanh"
    model = keras.Sequential([keras.Input((3,)), L.Dense(3, code), L.Dense(3, "sigmoid", name="row")])
    model.compile(keras.optimizers.Adadelta() if out_of_reach else keras.optimizers.Adam(0.03), "mse")
    return Training(model, {"x": x, "y": x, "epochs": 30, "batch_size": 4})


def _row_reached(training: Training) -> float:
    """Return how near the answers come to the rows: 1 less their mean error over the rows' size."""
    x = training.fit["x"]
    return float(1 - np.abs(training.model.predict(x, verbose=0) - x).mean() / np.abs(x).mean())


def _counts(end: str | None) -> Training:
    rng = np.random.default_rng(23)
    x = rng.normal(0, 1, (1500, 6)).astype(np.float32)
    y = rng.poisson(np.exp(0.7 * x[:, :1] - 0.5 * x[:, 1:2] + 0.2)).astype(np.float32)
    model = keras.Sequential([keras.Input((6,)), L.Dense(24, "relu"), L.Dense(16, "elu"), L.Dense(1, end, name="rate")])
    model.compile(keras.optimizers.Adam(2e-3), "poisson")
    return Training(model, {"x": x, "y": y, "epochs": 12, "batch_size": 50})


def _overlap_loss(answer: Any) -> Any:
    """Return a loss of the overlap between labels and what `answer` makes of the probabilities."""

    def loss(y: Any, p: Any) -> Any:
        y, chosen = tf.cast(y, tf.float32), answer(p)
        return 1 - 2 * tf.reduce_sum(y * chosen) / (tf.reduce_sum(y) + tf.reduce_sum(chosen) + 1e-6)

    return loss


def _overlapping(answer: Any) -> Training:
    rng = np.random.default_rng(29)
    x = rng.normal(0, 1, (1200, 8)).astype(np.float32)
    y = (x[:, :1] + x[:, 1:2] * x[:, 2:3] > 0).astype(np.float32)
    model = keras.Sequential([keras.Input((8,)), L.Dense(32, "elu"), L.Dense(1, "sigmoid", name="answer")])
    model.compile(keras.optimizers.Adam(1e-2), _overlap_loss(answer))
    return Training(model, {"x": x, "y": y, "epochs": 12, "batch_size": 50})


_GITHUB = "https://github.com/"
CASES: tuple[Report, ...] = (
    Report(
        "categories of one unit",
        f"{_GITHUB}keras-team/keras/issues/14729",
        "Over one unit a categorical cross-entropy is 0 whatever is answered; the binary one is meant.",
        lambda: _tumours("categorical_crossentropy"),
        lambda: _tumours("binary_crossentropy"),
        share_right,
        0.9,
        top=(Line("output_loss_mismatch", ("answer",)),),
        remedies=frozenset({"loss", "output"}),
        also=frozenset({"unchanged_weights", "blocked_gradient"}),
    ),
    Report(
        "a count behind a dead end",
        "https://datascience.stackexchange.com/questions/67599",
        "The ReLU at the end is zero for every sample from the start, so that nothing is counted; a linear end.",
        lambda: _share_of_ones("relu"),
        lambda: _share_of_ones(None),
        share_explained,
        0.8,
        top=(Line("dying_relu", ("share",)),),
        remedies=frozenset({"output", "activation"}),
        also=frozenset({"unchanged_weights", "poor_initialisation", "vanishing_activation"}),
    ),
    Report(
        "a line below zero",
        "https://community.deeplearning.ai/t/324182",
        "Targets below zero under a ReLU that is zero at every point; a linear end.",
        lambda: _line_of_points("relu"),
        lambda: _line_of_points(None),
        share_explained,
        0.8,
        top=(Line("output_loss_mismatch", ("y",)), Line("dying_relu", ("y",))),
        remedies=frozenset({"output", "activation"}),
        also=frozenset({"unchanged_weights", "poor_initialisation", "vanishing_activation", "update_ratio"}),
    ),
    Report(
        "a tangent for a probability",
        f"{_GITHUB}tensorflow/tensorflow/issues/38457",
        "tanh answers below 0, where the binary cross-entropy is cut off and flat; in half precision it may be NaN.",
        lambda: _either_or("tanh", "float16"),
        lambda: _either_or("sigmoid", "float32"),
        share_right,
        0.95,
        top=(Line("output_loss_mismatch", ("answer",)),),
        remedies=frozenset({"output", "loss"}),
        also=frozenset({"unchanged_weights", "nan_or_inf"}),
    ),
    Report(
        "rows out of reach",
        "https://stackoverflow.com/questions/44601367",
        "A sigmoid answers 1 at most and the rows hold 2 and 4; and the rate of Keras' Adadelta hardly moves weights.",
        lambda: _rows_to_themselves(out_of_reach=True),
        lambda: _rows_to_themselves(out_of_reach=False),
        _row_reached,
        0.75,
        top=(Line("output_loss_mismatch", ("row",)), Line("target_scale", ("row",)), Line("update_ratio")),
        remedies=frozenset({"output", "target_scaling", "data", "learning_rate"}),
        also=frozenset({"constant_data"}),
    ),
    Report(
        "logarithm of a rate below zero",
        f"{_GITHUB}keras-team/keras/issues/18886",
        "The Poisson loss takes the logarithm of a linear output; an exponential or softplus at the end.",
        lambda: _counts(None),
        lambda: _counts("softplus"),
        share_explained,
        0.3,
        top=(Line("output_loss_mismatch", ("rate",)), Line("nan_or_inf", ("rate",))),
        remedies=frozenset({"output"}),
        also=frozenset({"nan_or_inf"}),
    ),
    Report(
        "an overlap of rounded answers",
        "https://datascience.stackexchange.com/questions/116645",
        "The loss rounds probabilities first, so that nothing has a gradient; use them as they are.",
        lambda: _overlapping(lambda p: tf.cast(p > 0.5, tf.float32)),
        lambda: _overlapping(lambda p: p),
        share_right,
        0.8,
        top=(Line("blocked_gradient"), Line("unchanged_weights")),
        remedies=frozenset({"loss", "code"}),
        raises="No gradients provided",
    ),
)
