"""What is asked of the network: several answers, rare classes, weights, wrong labels, tiny batches."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from zoo.case import Case, Training
from zoo.data import circles, friedman, scaled
from zoo.healthy.tasks import centred, classify, decide, digits_mlp, first, predict, trained

L: Any = keras.layers


def _answers(count: int, *, epochs: int, **fit: Any) -> Training:
    """Even? Above four? Prime? Does it have a hole? A constant reaches about 0.67 on average."""
    x, y = centred()
    table = np.stack([y % 2 == 0, y > 4, np.isin(y, (2, 3, 5, 7)), np.isin(y, (0, 4, 6, 8, 9))], 1)
    model = keras.Sequential([keras.Input((64,)), L.Dense(64, "relu"), L.Dense(count, "sigmoid")])
    return decide(model, (x, table[:, :count].astype(np.float32)), epochs=epochs, **fit)


def _two_outputs() -> Training:
    """A class and a number, the first five times as important; a constant reaches 5 × 2.30 + 0.083."""
    x, y = centred()
    inputs = keras.Input((64,))
    body = L.Dense(48, "relu")(inputs)
    model = keras.Model(
        inputs,
        {
            "digit": L.Dense(10, "softmax", name="digit")(L.Dense(24, "relu")(body)),
            "ink": L.Dense(1, name="ink")(L.Dense(8, "tanh")(body)),
        },
    )
    model.compile(
        "adam",
        {"digit": "sparse_categorical_crossentropy", "ink": "mean_squared_error"},
        loss_weights={"digit": 5.0, "ink": 1.0},
        metrics={"digit": ["accuracy"]},
    )
    targets = {"digit": y, "ink": x.mean(1, keepdims=True)}
    return Training(model, {"x": x, "y": targets, "epochs": 7, "batch_size": 32})


def _deeply_supervised() -> Training:
    """The same answer from two depths, summed."""
    x, y = centred()
    inputs = keras.Input((64,))
    early = L.Dense(48, "relu")(inputs)
    late = L.Dense(48, "relu")(early)
    model = keras.Model(inputs, [L.Dense(10, "softmax")(early), L.Dense(10, "softmax")(late)])
    loss = ["sparse_categorical_crossentropy"] * 2
    return trained(model, loss, (x, [y, y]), optimizer="adam", epochs=7, batch_size=32)


def _rare_class(**fit: Any) -> Training:
    x, y = centred()
    model = keras.Sequential([keras.Input((64,)), L.Dense(32, "relu"), L.Dense(1, "sigmoid")])
    return decide(model, (x, (y == 8).astype(np.int64)), epochs=10, **fit)


def _half_without_weight() -> Training:
    """Every other sample has weight 0, and a wrong label; a constant reaches 1.15."""
    x, y = centred()
    counted = np.arange(len(x)) % 2 == 0
    wrong = np.where(counted, y, (y + 3) % 10)
    return classify(digits_mlp(), (x, wrong), epochs=10, sample_weight=counted.astype(np.float32))


def _four_at_a_time() -> Training:
    """One label in ten is wrong."""
    x, y = first(480, centred())
    rng = np.random.default_rng(0)
    wrong = np.where(rng.random(len(y)) < 0.1, rng.integers(0, 10, len(y)), y)
    adam = keras.optimizers.Adam(3e-3)
    return classify(digits_mlp(), (x, wrong), optimizer=adam, epochs=6, batch_size=4)


def _one_at_a_time() -> Training:
    x, y = first(300, circles())
    model = keras.Sequential([keras.Input((2,)), L.Dense(24, "relu"), L.Dense(1, "sigmoid")])
    return decide(model, (x, y), optimizer=keras.optimizers.Adam(1e-2), epochs=4, batch_size=1)


def _smoothed_labels() -> Training:
    x, y = centred()
    loss = keras.losses.CategoricalCrossentropy(label_smoothing=0.1)
    return predict(digits_mlp(), (x, np.eye(10, dtype=np.float32)[y]), loss=loss, epochs=8)


def _summed_loss() -> Training:
    """The loss of a batch is a sum, and its gradient 64 times as large; a constant reaches 1600."""
    x, y = friedman()
    loss = keras.losses.MeanSquaredError(reduction="sum")
    model = keras.Sequential([keras.Input((10,)), L.Dense(64, "relu"), L.Dense(1)])
    return predict(model, (4 * x - 2, y), loss=loss, optimizer=keras.optimizers.Adam(2e-2), epochs=12, batch_size=64)


def _focal() -> Training:
    """Samples that are right already hardly count; a constant reaches 1.87."""
    x, y = centred()
    loss = keras.losses.CategoricalFocalCrossentropy(alpha=1.0)
    return predict(digits_mlp(), (x, np.eye(10, dtype=np.float32)[y]), loss=loss, epochs=8)


def _uncentred() -> Training:
    """Targets as they were measured, about 150: the loss begins five times above that of their mean, 5,930."""
    x, y = scaled("diabetes")
    model = keras.Sequential([keras.Input((10,)), L.Dense(64, "elu"), L.Dense(64, "elu"), L.Dense(1)])
    return predict(model, (x, y), optimizer=keras.optimizers.Adam(2e-3), epochs=40, batch_size=32)


def _offset_wave() -> Training:
    """A wave about 20: the loss begins at 25 times that of its mean, 16, and falls for epochs before it is there."""
    rng = np.random.default_rng(0)
    x = rng.uniform(-1.7, 1.7, (800, 1)).astype(np.float32)
    y = (20 + 3 * x + 2 * np.sin(2 * x)).astype(np.float32)
    model = keras.Sequential([keras.Input((1,)), L.Dense(32, "tanh"), L.Dense(32, "tanh"), L.Dense(1)])
    return predict(model, (x, y), optimizer=keras.optimizers.Adam(2e-3), epochs=25, batch_size=32)


_FAR = "for many epochs the loss is above that of a constant answer, and falls: too early to call it stuck"
_NOISY = "losses of neighbouring steps differ by more than they fall: SMD's LossNotDecreasing tosses a coin"
CASES: tuple[Case, ...] = (
    Case(
        "multi_label",
        "multi-label",
        "a sigmoid for each answer, sure of most",
        lambda: _answers(4, epochs=12),
        learns=0.2,
    ),
    Case(
        "two_outputs",
        "several outputs",
        "heads of different scale, one of which hardly learns more",
        _two_outputs,
        learns=3.0,
    ),
    Case(
        "deep_supervision",
        "several outputs",
        "two outputs, neither of them last in a chain",
        _deeply_supervised,
        learns=1.2,
    ),
    Case(
        "rare_class_weighted",
        "rare class",
        "the weighted loss jumps with each rare sample",
        lambda: _rare_class(class_weight={0: 0.55, 1: 5.0}),
        learns=0.3,
    ),
    Case(
        "rare_class",
        "rare class",
        "at the start the network learns to say no, and nearly all outputs are zero",
        _rare_class,
        learns=0.15,
    ),
    Case(
        "half_without_weight", "sample weights", "half of each batch has no gradient", _half_without_weight, learns=0.25
    ),
    Case("batches_of_four", "small batches", _NOISY, _four_at_a_time, learns=1.1),
    Case("batches_of_one", "small batches", _NOISY, _one_at_a_time, learns=0.25),
    Case(
        "label_smoothing",
        "label smoothing",
        "the loss ends at 0.5 and gradients do not vanish",
        _smoothed_labels,
        learns=0.9,
    ),
    Case(
        "summed_loss",
        "summed loss",
        "norms grow with the batch: exploding at > 100 or > 1e3 in fixed bands",
        _summed_loss,
        learns=500.0,
    ),
    Case("uncentred_targets", "targets far from zero", _FAR, _uncentred, learns=3500.0),
    Case("offset_wave", "targets far from zero", _FAR, _offset_wave, learns=4.0),
    Case("focal_loss", "focal loss", "gradients become tiny while accuracy still rises", _focal, learns=0.2),
)
