"""Cases whose weights do not move, move too little or move too far."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from zoo.case import Case, Training
from zoo.data import circles, digit_images, digits, friedman, lines_of_text, measured, scaled, waves
from zoo.sick.nets import CLASSES, SPARSE, dense, logged, on_digits, stack, training

LOGITS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
STUCK = frozenset({"not_converging", "slow_convergence", "unchanged_weights", "vanishing_gradient", "update_ratio"})
TOO_FAR = frozenset(
    {
        "not_converging",
        "oscillating_loss",
        "exploding_gradient",
        "exploding_activation",
        "dying_relu",
        "saturated_activation",
        "vanishing_gradient",
        "unchanged_weights",
    }
)


def _rounded_hidden_layer() -> Training:
    inputs = keras.Input((64,))
    hidden = keras.layers.Dense(32, activation="relu")(inputs)
    hidden = keras.ops.round(keras.layers.Dense(16)(hidden))
    model = keras.Model(inputs, keras.layers.Dense(CLASSES, activation="softmax")(hidden))
    return training(model, "adam", SPARSE, digits())


def _most_likely_symbol() -> Training:
    inputs = keras.Input((64,))
    symbols = keras.layers.Dense(16, activation="softmax")(keras.layers.Dense(24, activation="relu")(inputs))
    hard = keras.layers.Lambda(lambda p: keras.ops.one_hot(keras.ops.argmax(p, -1), 16), output_shape=(16,))(symbols)
    model = keras.Model(inputs, keras.layers.Dense(CLASSES)(keras.layers.Dense(24, activation="relu")(hard)))
    return training(model, "adam", LOGITS, digits())


def _signs() -> Training:
    return on_digits(*dense(32, keras.ops.sign, 2), optimizer=keras.optimizers.SGD(0.1))


def _thresholds() -> Training:
    def fires(z: Any) -> Any:
        return keras.ops.cast(z > 0, "float32")

    x, y = circles()
    model = stack((2,), *dense(24, "tanh", 1), *dense(6, fires, 1), keras.layers.Dense(1, activation="sigmoid"))
    return training(model, "rmsprop", "binary_crossentropy", (x, y[:, None]))


class FrozenByMistake(keras.Model):
    """Features whose gradient is stopped, as for the target network of another program."""

    def __init__(self) -> None:
        super().__init__()
        self.features = keras.layers.Conv2D(6, 3, activation="relu", name="features")
        self.flatten = keras.layers.Flatten()
        self.hidden = keras.layers.Dense(4, activation="relu", name="hidden")
        self.head = keras.layers.Dense(CLASSES, activation="softmax", name="head")

    def call(self, inputs: Any) -> Any:
        hidden = self.hidden(self.flatten(self.features(inputs)))
        return self.head(keras.ops.stop_gradient(hidden))


def _stopped_gradient() -> Training:
    return training(FrozenByMistake(), "adam", SPARSE, digit_images())


def _choice_of_a_word() -> Training:
    x, y = lines_of_text(length=12)
    tokens = keras.Input((12,), dtype="int32")
    embedded = keras.layers.Embedding(128, 8)(tokens)
    states = keras.layers.LSTM(12)(embedded)
    choice = keras.ops.argmax(keras.layers.Dense(8)(states), axis=-1)
    again = keras.layers.Embedding(8, 8)(choice)
    model = keras.Model(tokens, keras.layers.Dense(1, activation="sigmoid")(again))
    return training(model, "adam", "binary_crossentropy", (x, y), epochs=4)


class OnlyTheHead(keras.Model):
    """A training step that hands only the head's variables to the optimizer."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden = keras.layers.Dense(24, activation="tanh", name="hidden")
        self.narrow = keras.layers.Dense(3, activation="tanh", name="narrow")
        self.head = keras.layers.Dense(CLASSES, name="head")

    def call(self, inputs: Any) -> Any:
        return self.head(self.narrow(self.hidden(inputs)))

    def train_step(self, data: Any) -> dict[str, Any]:
        x, y = data
        with tf.GradientTape() as tape:
            loss = self.compute_loss(x=x, y=y, y_pred=self(x, training=True))
        variables = self.head.trainable_variables
        self.optimizer.apply(tape.gradient(loss, variables), variables)
        return logged(self, loss)


def _forgotten_variables() -> Training:
    return training(OnlyTheHead(), keras.optimizers.SGD(0.1), LOGITS, digits())


class UnusedBranch(keras.Model):
    """A context that is computed and then left out of the answer."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = keras.layers.Embedding(128, 8, name="embed")
        self.pool = keras.layers.GlobalAveragePooling1D()
        self.context = keras.layers.Dense(8, activation="tanh", name="context")
        self.gate = keras.layers.Dense(8, activation="sigmoid", name="gate")
        self.head = keras.layers.Dense(1, activation="sigmoid", name="head")

    def call(self, inputs: Any) -> Any:
        pooled = self.pool(self.embed(inputs))
        self.gate(self.context(pooled))
        return self.head(pooled)


def _unused_branch() -> Training:
    return training(UnusedBranch(), keras.optimizers.Adam(0.01), "binary_crossentropy", lines_of_text(), epochs=4)


def _half_precision_swallows_updates() -> Training:
    x, y = digits()
    model = keras.Sequential(
        [
            keras.Input((64,), dtype="float16"),
            *(keras.layers.Dense(32, activation="tanh", dtype="float16", bias_initializer="zeros") for _ in range(2)),
            keras.layers.Dense(CLASSES, dtype="float32"),
        ]
    )
    return training(model, keras.optimizers.SGD(1e-7), LOGITS, (x.astype(np.float16), y), epochs=5)


def _below_resolution() -> Training:
    x, y = scaled("wine")
    model = stack((13,), *dense(16, "relu", 2), keras.layers.Dense(3, activation="softmax"))
    return training(model, keras.optimizers.SGD(1e-11), SPARSE, (x, y), batch_size=16, epochs=8)


def _share(z: Any) -> Any:
    """Softmax; written out, since Keras takes the logits back from its own and so heals the fault."""
    raised = keras.ops.exp(z - keras.ops.max(z, axis=-1, keepdims=True))
    return raised / keras.ops.sum(raised, axis=-1, keepdims=True)


def _softmax_over_one() -> Training:
    x, y = circles()
    model = stack((2,), *dense(50, "relu", 2), keras.layers.Dense(1, activation=_share))
    return training(model, "rmsprop", "binary_crossentropy", (x, y[:, None].astype(np.float32)))


def _softmax_over_one_under_squares() -> Training:
    x, y = scaled("breast_cancer")
    model = stack(
        (30,), *dense(24, "tanh", 1), *dense(2, "tanh", 1), keras.layers.Dense(1), keras.layers.Activation(_share)
    )
    optimizer = keras.optimizers.SGD(0.1, momentum=0.9, nesterov=True)
    return training(model, optimizer, "mse", (x, y[:, None].astype(np.float32)), batch_size=32)


def _softmax_for_a_regression() -> Training:
    x, y = friedman()
    model = stack((10,), *dense(32, "relu", 2), keras.layers.Dense(1, activation=_share))
    return training(model, "adam", "mse", (x, y), batch_size=32)


def _convolutions_at_a_crawl() -> Training:
    x, y = digit_images()
    model = stack(
        (8, 8, 1),
        keras.layers.Conv2D(8, 3, activation="relu"),
        keras.layers.Conv2D(8, 3, activation="relu"),
        keras.layers.Flatten(),
        keras.layers.Dense(CLASSES),
    )
    return training(model, keras.optimizers.SGD(1e-6), LOGITS, (x, y), epochs=5)


def _adam_at_a_crawl() -> Training:
    return on_digits(*dense(32, "relu", 2), optimizer=keras.optimizers.Adam(1e-7))


def _rmsprop_at_a_crawl() -> Training:
    x, y = lines_of_text()
    model = keras.Sequential(
        [
            keras.Input((20,), dtype="int32"),
            keras.layers.Embedding(128, 16),
            keras.layers.LSTM(12),
            keras.layers.Dense(16, activation="relu"),
            keras.layers.Dense(1, activation="sigmoid"),
        ]
    )
    return training(model, keras.optimizers.RMSprop(1e-7), "binary_crossentropy", (x[:640, :20], y[:640]), epochs=4)


def _decayed_to_nothing() -> Training:
    backbone = stack((64,), *dense(48, "relu", 2))
    backbone.name = "backbone"
    backbone.trainable = False
    inputs = keras.Input((64,))
    model = keras.Model(
        inputs, keras.layers.Dense(CLASSES)(keras.layers.Dense(24, activation="relu")(backbone(inputs)))
    )
    gone = keras.optimizers.schedules.ExponentialDecay(1e-3, decay_steps=1, decay_rate=0.5)
    return training(model, keras.optimizers.Adam(gone), LOGITS, digits(), epochs=8)


def _rmsprop_of_one() -> Training:
    x, y = digit_images()
    bounded = {"kernel_constraint": keras.constraints.MaxNorm(3.0, axis=[0, 1, 2])}
    model = stack(
        (8, 8, 1),
        keras.layers.Conv2D(8, 3, **bounded),
        keras.layers.LeakyReLU(),
        keras.layers.Conv2D(8, 3, **bounded),
        keras.layers.LeakyReLU(),
        keras.layers.Flatten(),
        keras.layers.Dense(CLASSES, kernel_constraint=keras.constraints.MaxNorm(3.0)),
    )
    return training(model, keras.optimizers.RMSprop(1.0), LOGITS, (x, y), epochs=5)


def _keypoints_with_adam() -> Training:
    x, y = friedman()
    model = stack((10,), *dense(50, None, 1), *dense(100, "elu", 1), keras.layers.Dense(1))
    return training(model, keras.optimizers.Adam(0.5), "mse", (x, y / 10), epochs=5)


def _nesterov_too_fast() -> Training:
    x, y = scaled("wine")
    bounded = {"kernel_constraint": keras.constraints.UnitNorm()}
    model = stack((13,), *dense(16, "leaky_relu", 2, **bounded), keras.layers.Dense(3, **bounded))
    optimizer = keras.optimizers.SGD(4.0, momentum=0.9, nesterov=True)
    return training(model, optimizer, LOGITS, (x, y), batch_size=16, epochs=10)


def _clipped_but_too_fast() -> Training:
    x, y = scaled("breast_cancer")
    bounded = {"kernel_constraint": keras.constraints.MaxNorm(2.0)}
    model = stack((30,), *dense(24, "softsign", 2, **bounded), keras.layers.Dense(1, activation="sigmoid", **bounded))
    optimizer = keras.optimizers.SGD(20.0, clipnorm=1.0)
    return training(model, optimizer, "binary_crossentropy", (x, y[:, None]), batch_size=32, epochs=6)


def _transformer_without_warm_up() -> Training:
    x, y = lines_of_text()
    tokens = keras.Input((16,), dtype="int32")
    hidden = keras.layers.Embedding(128, 16)(tokens)
    for _ in range(2):
        attended = keras.layers.MultiHeadAttention(2, 8)(hidden, hidden)
        hidden = keras.layers.LayerNormalization()(keras.layers.Add()([hidden, attended]))
        inner = keras.layers.Dense(16)(keras.layers.Dense(32, activation="gelu")(hidden))
        hidden = keras.layers.LayerNormalization()(keras.layers.Add()([hidden, inner]))
    pooled = keras.layers.GlobalAveragePooling1D()(hidden)
    model = keras.Model(tokens, keras.layers.Dense(1, activation="sigmoid")(pooled))
    return training(
        model, keras.optimizers.Adam(1.0), "binary_crossentropy", (x[:640, :16], y[:640]), epochs=4, batch_size=32
    )


def _whole_batches_and_momentum() -> Training:
    x = np.linspace(-2, 2, 200, dtype=np.float32)[:, None]
    turning = 1.5 / (2 * float(np.mean(x**2)))  # turns the error by about a quarter of a circle a step
    model = stack((1,), keras.layers.Dense(1, use_bias=False))
    return training(model, keras.optimizers.SGD(turning, momentum=0.99), "mse", (x, 30 * x), batch_size=200, epochs=40)


def _two_values() -> Training:
    x, y = circles()
    model = stack((2,), keras.layers.Dense(1, kernel_initializer=keras.initializers.Constant(0.3)))
    loss = keras.losses.BinaryCrossentropy(from_logits=True)
    return training(model, keras.optimizers.SGD(3.0), loss, (x + 10, y[:, None]), batch_size=len(x), epochs=40)


def _logistic_regression_of_a_table() -> Training:
    x, y = measured("breast_cancer")
    model = stack((30,), keras.layers.Dense(1, activation="sigmoid"))
    return training(
        model, keras.optimizers.SGD(0.5), "binary_crossentropy", (x / 100, y[:, None]), batch_size=len(x), epochs=40
    )


def _adagrad_at_a_thousandth() -> Training:
    return on_digits(*dense(32, "relu", 2), optimizer=keras.optimizers.Adagrad(1e-4), epochs=8)


def _adadelta_by_default() -> Training:
    x, y = digit_images()
    model = stack(
        (8, 8, 1),
        keras.layers.Conv2D(8, 3, activation="relu"),
        keras.layers.Flatten(),
        keras.layers.Dense(CLASSES, activation="softmax"),
    )
    return training(model, keras.optimizers.Adadelta(), SPARSE, (x, y), epochs=8)


def _exclusive_or() -> Training:
    x = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], np.float32)
    y = np.array([[0], [1], [1], [0]], np.float32)
    model = stack((2,), *dense(4, "sigmoid", 1), *dense(1, "sigmoid", 1))
    optimizer = keras.optimizers.SGD(0.05, momentum=0.11, nesterov=True)
    return training(model, optimizer, "mae", (np.tile(x, (20, 1)), np.tile(y, (20, 1))), batch_size=4, epochs=10)


def _waves_at_a_crawl() -> Training:
    x, y = waves(length=12)
    model = stack((12, 1), keras.layers.GRU(12), keras.layers.Dense(1))
    return training(model, keras.optimizers.SGD(2e-4), "mse", (x, y), epochs=6)


CASES = (
    Case(
        "rounded hidden layer",
        "keras-issue-5521",
        "keras-team/keras issue 5521: K.round and tf.floor inside a network have no gradient",
        _rounded_hidden_layer,
        {"blocked_gradient": ("dense", "dense_1")},
        STUCK,
    ),
    Case(
        "most likely symbol",
        "keras-issue-9169",
        "keras-team/keras issue 9169: a one-hot argmax between two halves of a network",
        _most_likely_symbol,
        {"blocked_gradient": ("dense", "dense_1")},
        STUCK,
    ),
    Case(
        "hidden signs",
        "geeksmental-threshold",
        "geeksmental.com, Backpropagation with step or threshold activation function: sign has zero slope everywhere",
        _signs,
        {"blocked_gradient": ("dense", "dense_1")},
        STUCK,
    ),
    Case(
        "hidden thresholds",
        "geeksmental-threshold",
        "geeksmental.com, Backpropagation with step or threshold activation function: units that fire or do not",
        _thresholds,
        {"blocked_gradient": ("dense", "dense_1")},
        STUCK,
    ),
    Case(
        "stopped gradient",
        "made-stopped-gradient",
        "made for the zoo: a subclassed model whose features are cut off by stop_gradient",
        _stopped_gradient,
        {"blocked_gradient": ("features", "hidden")},
        STUCK,
    ),
    Case(
        "choice of a word",
        "keras-issue-11157",
        "keras-team/keras issue 11157: argmax between an LSTM and a second embedding",
        _choice_of_a_word,
        {"blocked_gradient": ("lstm", "dense")},
        STUCK,
    ),
    Case(
        "forgotten variables",
        "made-training-step",
        "made for the zoo: a training step of one's own that updates the head only",
        _forgotten_variables,
        {"unchanged_weights": ("hidden", "narrow")},
        frozenset({"slow_convergence", "not_converging"}),
    ),
    Case(
        "unused branch",
        "keras-issue-12521",
        "keras-team/keras issue 12521: weights that are defined but left unused have no gradient",
        _unused_branch,
        {"unchanged_weights": ("context", "gate")},
        frozenset({"blocked_gradient"}),
    ),
    Case(
        "half precision swallows updates",
        "made-resolution",
        "made for the zoo: weights in float16 and a learning rate whose updates are smaller than their resolution",
        _half_precision_swallows_updates,
        {"unchanged_weights": ("dense", "dense_1")},
        STUCK,
    ),
    Case(
        "below resolution",
        "made-resolution",
        "made for the zoo: the same in float32, on a table",
        _below_resolution,
        {"unchanged_weights": ("dense", "dense_1", "dense_2")},
        STUCK,
    ),
    Case(
        "softmax over one unit",
        "deeplocalize-31880720",
        "DeepLocalize benchmark, StackOverflow 31880720: Dense(1) and softmax under binary cross-entropy",
        _softmax_over_one,
        {"unchanged_weights": ("dense", "dense_1", "dense_2"), "not_converging": ()},
        STUCK | {"blocked_gradient"},
    ),
    Case(
        "softmax over one unit under squares",
        "deeplocalize-33969059",
        "DeepLocalize benchmark, StackOverflow 33969059: tanh layers, Dense(1) and softmax, MSE, "
        "SGD(0.1, momentum=0.9)",
        _softmax_over_one_under_squares,
        {"unchanged_weights": ("dense", "dense_1", "dense_2"), "not_converging": ()},
        STUCK | {"blocked_gradient"},
    ),
    Case(
        "softmax for a regression",
        "deepchecker-wrong-activation",
        "TheDeepChecker, buggy_synthetic_programs/wrong_activation/regrNN_wrong_act.py: softmax over one output",
        _softmax_for_a_regression,
        {"unchanged_weights": ("dense", "dense_1", "dense_2"), "not_converging": ()},
        STUCK | {"blocked_gradient"},
    ),
    Case(
        "convolutions at a crawl",
        "deepchecker-low-lr",
        "TheDeepChecker, buggy_synthetic_programs/low_lr/baseCNN_low_lr.py",
        _convolutions_at_a_crawl,
        {"update_ratio": ()},
        STUCK,
    ),
    Case(
        "Adam at a crawl",
        "keras-issue-2711",
        "keras-team/keras issue 2711, a comment of 2019: the loss did not change because the learning "
        "rate was too small",
        _adam_at_a_crawl,
        {"update_ratio": ()},
        STUCK,
    ),
    Case(
        "RMSprop at a crawl",
        "keras-issue-4541",
        "keras-team/keras issue 4541: an LSTM with RMSprop(lr=0.00001) whose loss stays at 0.5; smaller still",
        _rmsprop_at_a_crawl,
        {"update_ratio": ()},
        STUCK,
    ),
    Case(
        "decayed to nothing",
        "made-fine-tuning",
        "made for the zoo: a head on a frozen backbone, with a learning rate that halves at every step",
        _decayed_to_nothing,
        {"update_ratio": ()},
        STUCK,
    ),
    Case(
        "RMSprop with a rate of one",
        "deepchecker-high-lr",
        "TheDeepChecker, buggy_synthetic_programs/high_lr: a learning rate that hinders the learning; "
        "with kernels of bounded norm",
        _rmsprop_of_one,
        {"update_ratio": ()},
        TOO_FAR,
    ),
    Case(
        "regression with too fast an Adam",
        "deeplocalize-facial-keypoints",
        "DeepLocalize benchmark, GitHub FacialKeypointsDetection, 1_single_hidden_layer.py: Adam(lr=0.1) under MSE",
        _keypoints_with_adam,
        {"not_converging": ()},
        TOO_FAR | {"update_ratio"},
    ),
    Case(
        "Nesterov too fast",
        "deepfd-37624102",
        "DeepFD benchmark, StackOverflow 37624102: SGD(lr=0.1, momentum=0.9, nesterov=True), mended by a tenth of it; "
        "kernels of unit norm here",
        _nesterov_too_fast,
        {"update_ratio": ()},
        TOO_FAR,
    ),
    Case(
        "clipped but too fast",
        "made-clipped",
        "made for the zoo: clipping bounds the gradient, not a learning rate of 20",
        _clipped_but_too_fast,
        {"update_ratio": ()},
        TOO_FAR,
    ),
    Case(
        "transformer without warm-up",
        "xiong-post-layer-norm",
        "Xiong et al., On layer normalization in the transformer architecture (2020): post-LN and a "
        "large learning rate",
        _transformer_without_warm_up,
        {"not_converging": ()},
        TOO_FAR | {"update_ratio"},
    ),
    Case(
        "whole batches and momentum",
        "keras-issue-13418",
        "keras-team/keras issue 13418: losses of a linear regression with too high a learning rate; momentum 0.99 here",
        _whole_batches_and_momentum,
        {"oscillating_loss": ()},
        TOO_FAR | {"update_ratio"},
    ),
    Case(
        "between two values",
        "darkflow-issue-118",
        "thtrieu/darkflow issue 118: the loss goes between two values, answered by a lower learning rate",
        _two_values,
        {"update_ratio": (), "oscillating_loss": (), "not_converging": ()},
        TOO_FAR,
    ),
    Case(
        "logistic regression of a table",
        "deepchecker-IPS-13",
        "TheDeepChecker, SO_buggy_examples/IPS_13.py: logistic regression on a table as measured, learning rate 0.5",
        _logistic_regression_of_a_table,
        {"oscillating_loss": ()},
        TOO_FAR | {"update_ratio"},
    ),
    Case(
        "Adagrad at a ten-thousandth",
        "tensorflow-pull-30941",
        "tensorflow/tensorflow pull request 30941: Adagrad's default learning rate fell to 0.001; a tenth of it here",
        _adagrad_at_a_thousandth,
        {"slow_convergence": ()},
        STUCK,
    ),
    Case(
        "Adadelta by default",
        "tensorflow-issue-36785",
        "tensorflow/tensorflow issue 36785: Adadelta's default learning rate is 0.001 instead of the paper's 1",
        _adadelta_by_default,
        {"slow_convergence": ()},
        STUCK,
    ),
    Case(
        "exclusive or",
        "deeplocalize-31556268",
        "DeepLocalize benchmark, StackOverflow 31556268: four sigmoids, MAE, SGD(lr=0.05, momentum=0.11)",
        _exclusive_or,
        {"not_converging": ()},
        STUCK | {"not_zero_centred"},
    ),
    Case(
        "waves at a crawl",
        "made-recurrent-crawl",
        "made for the zoo: a GRU whose loss falls by less than a hundredth an epoch",
        _waves_at_a_crawl,
        {"slow_convergence": ()},
        STUCK,
    ),
)
