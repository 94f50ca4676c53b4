"""Cases that explode from the first step on: along depth, through recurrent time, or in absolute size; and recurrent
layers in which the gradient vanishes on its way back through time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras

from zoo.case import Case, Training
from zoo.data import circles, digit_images, digits, first_matters, friedman, lines_of_text
from zoo.sick.nets import CLASSES, dense, numbered, stack, training

GROWN = frozenset(
    {"not_converging", "slow_convergence", "oscillating_loss", "exploding_activation", "exploding_gradient"}
    | {"nan_or_inf", "poor_initialisation", "update_ratio", "unchanged_weights", "dying_relu", "vanishing_gradient"}
    | {"saturated_activation", "vanishing_activation", "target_scale", "input_scale", "collapsed_output"}
)
FADED = frozenset(
    {"not_converging", "slow_convergence", "unchanged_weights", "update_ratio", "vanishing_activation"}
    | {"poor_initialisation", "not_zero_centred", "collapsed_output"}
)
LOGITS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def _wide(stddev: float) -> Any:
    return keras.initializers.RandomNormal(stddev=stddev)


def _deep(activation: str, depth: int, stddev: float) -> Callable[[], Training]:
    """Dense layers each of which widens what it is given."""

    def build() -> Training:
        hidden = dense(48, activation, depth, kernel_initializer=_wide(stddev))
        return training(stack((64,), *hidden, keras.layers.Dense(CLASSES)), "adam", LOGITS, digits(), epochs=4)

    return build


def _deep_convolutions() -> Training:
    model = stack(
        (8, 8, 1),
        *(
            keras.layers.Conv2D(12, 3, padding="same", activation="leaky_relu", kernel_initializer=_wide(1.2))
            for _ in range(6)
        ),
        keras.layers.GlobalAveragePooling2D(),
        keras.layers.Dense(CLASSES),
    )
    return training(model, keras.optimizers.Adam(1e-4), LOGITS, digit_images(), epochs=4)


def _doubling_residuals() -> Training:
    inputs = keras.Input((64,))
    hidden = keras.layers.Dense(32)(inputs)
    for number in range(8):
        branch = keras.layers.Dense(32, activation="relu", kernel_initializer=_wide(0.8))(hidden)
        hidden = keras.layers.Add(name=f"sum_{number}")([hidden, branch])
    model = keras.Model(inputs, keras.layers.Dense(CLASSES)(hidden))
    return training(model, keras.optimizers.SGD(1e-7), LOGITS, digits(), epochs=4)


def _repeated_squares() -> Training:
    """Each layer's outputs are squared, so that sizes square along depth."""
    x, y = circles()
    model = stack((2,), *dense(16, keras.ops.square, 4, kernel_initializer=_wide(1.0)), keras.layers.Dense(1))
    loss = keras.losses.BinaryCrossentropy(from_logits=True)
    return training(model, keras.optimizers.Adam(1e-3), loss, (x, y[:, None]), epochs=4)


def _embeddings_of_thousands() -> Training:
    x, y = lines_of_text(length=20)
    large = keras.initializers.RandomUniform(-5e4, 5e4)
    model = keras.Sequential(
        [
            keras.Input((20,), dtype="int32"),
            keras.layers.Embedding(128, 8, embeddings_initializer=large),
            keras.layers.GlobalAveragePooling1D(),
            keras.layers.Dense(8, activation="relu"),
            keras.layers.Dense(1),
        ]
    )
    loss = keras.losses.BinaryCrossentropy(from_logits=True)
    return training(model, "adam", loss, (x, y[:, None]), epochs=4)


def _sum_over_everything() -> Training:
    """A loss that is summed over samples and answers, at a rate fit for a mean."""
    x, _ = digits()

    def summed(truth: Any, guess: Any) -> Any:
        return keras.ops.sum(keras.ops.square(truth - guess))

    model = stack((64,), *dense(48, "relu", 2), keras.layers.Dense(64))
    return training(model, keras.optimizers.SGD(0.01), summed, (x * 16, x * 16), epochs=4)


def _targets_of_thousands() -> Training:
    x, y = friedman()
    model = stack((10,), *dense(24, "tanh", 2), keras.layers.Dense(1))
    return training(model, keras.optimizers.SGD(0.01), "mse", (x, 1000 * y), batch_size=32, epochs=6)


def _penalty_in_full() -> Training:
    heavy = keras.regularizers.L2(1e4)
    model = stack((64,), *dense(32, "relu", 2, kernel_regularizer=heavy), keras.layers.Dense(CLASSES))
    return training(model, keras.optimizers.SGD(1e-3), LOGITS, digits(), epochs=4)


Recurrent = Callable[..., Any]


def _cells(cell: Recurrent) -> Recurrent:
    return lambda units, **keywords: keras.layers.RNN(cell(units, **keywords))


def _stacked(units: int, **keywords: Any) -> Any:
    cells = [keras.layers.SimpleRNNCell(units, **keywords) for _ in range(2)]
    return keras.layers.RNN(keras.layers.StackedRNNCells(cells))


def _through_time(layer: Recurrent, optimizer: Any, length: int = 40, **keywords: Any) -> Callable[[], Training]:
    """Ask a recurrent layer for the sign of the first of many values."""

    def build() -> Training:
        x, y = first_matters(length=length)
        model = stack((length, 1), layer(16, **keywords), keras.layers.Dense(1, activation="sigmoid"))
        given = keras.optimizers.get(optimizer)
        return training(model, given, "binary_crossentropy", (x[:640], y[:640, None]), epochs=4)

    return build


def _recurring(gain: float, **keywords: Any) -> dict[str, Any]:
    # by name, so that each layer draws its own when it is built
    return {"recurrent_initializer": {"class_name": "Orthogonal", "config": {"gain": gain}}, **keywords}


RELU = _recurring(2.3, activation="relu")
CHAOS = _recurring(2.5, kernel_initializer={"class_name": "RandomNormal", "config": {"stddev": 0.05}})
LINEAR = _recurring(1.5, activation="linear")
LEAKY = _recurring(2.3, activation="leaky_relu")
CALM = {"class_name": "SGD", "config": {"learning_rate": 1e-4}}
GROWING: Sequence[tuple[str, str, Recurrent, str, Mapping[str, Any]]] = (
    ("SimpleRNN of relus", "growth through time: plain", keras.layers.SimpleRNN, "simple_rnn", RELU),
    ("SimpleRNN without function", "growth through time: plain", keras.layers.SimpleRNN, "simple_rnn", LINEAR),
    ("SimpleRNN of tanh", "growth through time: gated", keras.layers.SimpleRNN, "simple_rnn", CHAOS),
    ("LSTM of relus", "growth through time: gated", keras.layers.LSTM, "lstm", _recurring(8.0, activation="relu")),
    ("RNN of plain cells", "growth through time: cells", _cells(keras.layers.SimpleRNNCell), "rnn", LEAKY),
    ("RNN of stacked cells", "growth through time: cells", _stacked, "rnn", _recurring(2.2, activation="relu")),
)
SHRINKING = _recurring(0.4)
SOFT = _recurring(0.5, activation="softsign")
SHUT = {"unit_forget_bias": False, "bias_initializer": keras.initializers.Constant(-1.0)}
FADING: Sequence[tuple[str, str, Recurrent, str, Mapping[str, Any]]] = (
    ("SimpleRNN that forgets", "fading through time: plain", keras.layers.SimpleRNN, "simple_rnn", SHRINKING),
    (
        "SimpleRNN of sigmoids",
        "fading through time: plain",
        keras.layers.SimpleRNN,
        "simple_rnn",
        {"activation": "sigmoid"},
    ),
    ("LSTM that forgets", "fading through time: gated", keras.layers.LSTM, "lstm", SHUT),
    (
        "GRU that forgets",
        "fading through time: gated",
        keras.layers.GRU,
        "gru",
        {"bias_initializer": keras.initializers.Constant(-2.0), **SHRINKING},
    ),
    ("RNN of cells that forget", "fading through time: cells", _cells(keras.layers.SimpleRNNCell), "rnn", SOFT),
)

CASES = (
    Case(
        "eight layers that widen",
        "growth along depth: layers",
        "He et al., Delving deep into rectifiers (2015): a wrong initialisation makes signals grow along depth",
        _deep("relu", 8, 1.0),
        {"exploding_activation": numbered("dense", 5, 6, 7, 8)},
        GROWN,
    ),
    Case(
        "six layers of elu that widen",
        "growth along depth: layers",
        "Saxe et al., Exact solutions to the nonlinear dynamics of learning (2014): kernels multiply along depth",
        _deep("elu", 6, 1.5),
        {"exploding_activation": numbered("dense", 4, 5, 6)},
        GROWN,
    ),
    Case(
        "six convolutions that widen",
        "growth along depth: convolutions",
        "made for the zoo: the same of maps",
        _deep_convolutions,
        {"exploding_activation": numbered("conv2d", 4, 5)},
        GROWN,
    ),
    Case(
        "sums that double",
        "growth along depth: sums",
        "Zhang et al., Fixup initialization (2019): sums of branches grow exponentially with the number of blocks",
        _doubling_residuals,
        {"exploding_activation": ("sum_6", "sum_7")},
        GROWN,
    ),
    Case(
        "squares of squares",
        "growth along depth: powers",
        "made for the zoo: outputs squared layer by layer",
        _repeated_squares,
        {"exploding_activation": ("dense_3",)},
        GROWN,
    ),
    Case(
        "embeddings of thousands",
        "large from the start: embeddings",
        "made for the zoo: an initialiser whose limit was meant for something else",
        _embeddings_of_thousands,
        {"exploding_activation": ("embedding",)},
        GROWN,
    ),
    Case(
        "a sum over everything",
        "large from the start: losses",
        "keras-team/keras issue 2194 and its kin: a loss summed over samples and answers",
        _sum_over_everything,
        {"exploding_gradient": ("dense", "dense_1", "dense_2")},
        GROWN,
    ),
    Case(
        "a penalty in full",
        "large from the start: penalties",
        "TheDeepChecker, buggy_synthetic_programs/over_regulariaztion, with plain descent",
        _penalty_in_full,
        {"exploding_gradient": ("dense", "dense_1")},
        GROWN,
    ),
    Case(
        "targets of thousands",
        "large from the start: targets",
        "rstudio-conf-2020/dl-keras-tf issue 9: sale prices in full",
        _targets_of_thousands,
        {"exploding_gradient": ("dense_2",), "target_scale": ()},
        GROWN,
    ),
    *(
        Case(
            name,
            family,
            "Pascanu et al., On the difficulty of training recurrent neural networks (2013): growth through time",
            _through_time(layer, CALM, 40, **keywords),
            {"exploding_gradient": (key,)},
            GROWN,
        )
        for name, family, layer, key, keywords in GROWING
    ),
    *(
        Case(
            name,
            family,
            "Bengio et al., Learning long-term dependencies with gradient descent is difficult (1994)",
            _through_time(layer, "adam", 40, **keywords),
            {"vanishing_gradient": (key,), "not_converging": ()},
            FADED,
        )
        for name, family, layer, key, keywords in FADING
    ),
)
