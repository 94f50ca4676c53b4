"""Cases in which gradients, activations or weights grow until the training breaks."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from zoo.case import Case, Training
from zoo.data import blobs, circles, digits, friedman, lines_of_text, measured, patches, waves
from zoo.sick.nets import CLASSES, SPARSE, dense, logged, numbered, stack, training

DIVERGED = frozenset({"not_converging", "oscillating_loss", "update_ratio"})
BROKEN = DIVERGED | {"unchanged_weights", "dying_relu", "exploding_activation", "exploding_gradient"}


def _line_through_large_numbers() -> Training:
    x = np.arange(0, 200, 2, dtype=np.float32)[:, None]
    return training(
        stack((1,), keras.layers.Dense(1)), keras.optimizers.SGD(0.001), "mse", (x, 2 * x), epochs=4, batch_size=1
    )


def _parabola_by_sum_of_squares() -> Training:
    x = np.tile(np.arange(4, dtype=np.float32), 16)[:, None]
    features = np.concatenate([x**2, x], 1)

    def sum_of_squares(truth: Any, guess: Any) -> Any:
        return keras.ops.sum(keras.ops.square(truth - guess))

    model = stack((2,), keras.layers.Dense(1, kernel_initializer="zeros"))
    return training(model, keras.optimizers.SGD(0.02), sum_of_squares, (features, x**2), batch_size=4, epochs=5)


def _prices_in_full() -> Training:
    x, y = friedman()
    model = stack((10,), *dense(32, "relu", 2), keras.layers.Dense(1))
    return training(model, keras.optimizers.SGD(0.1), "mse", (x, y * 25_000), batch_size=16)


class Ascent(keras.Sequential):
    """Adds the gradient where it should be subtracted."""

    def train_step(self, data: Any) -> dict[str, Any]:
        x, y = data
        with tf.GradientTape() as tape:
            loss = self.compute_loss(x=x, y=y, y_pred=self(x, training=True))
        gradients = tape.gradient(loss, self.trainable_variables)
        self.optimizer.apply([-gradient for gradient in gradients], self.trainable_variables)
        return logged(self, loss)


def _flipped_sign() -> Training:
    x, y = friedman()
    model = Ascent([keras.Input((10,)), *dense(16, "relu", 1), keras.layers.Dense(1)])
    return training(model, keras.optimizers.SGD(1e-3), "mse", (x, y / 10), batch_size=32, epochs=12)


def _flipped_sign_with_adam() -> Training:
    x, y = digits()
    model = Ascent([keras.Input((64,)), *dense(24, "relu", 2), keras.layers.Dense(CLASSES)])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    return training(model, keras.optimizers.Adam(0.01), loss, (x, y), epochs=6)


def _exponential_layers() -> Training:
    scaled = keras.initializers.VarianceScaling(2.0, "fan_in", "uniform")
    model = stack(
        (2,), *dense(5, "exponential", 9, kernel_initializer=scaled), keras.layers.Dense(3, activation="softmax")
    )
    return training(model, "adam", SPARSE, blobs(), batch_size=32)


def _exponential_recurrence() -> Training:
    x, y = waves(length=12)
    model = stack((12, 1), keras.layers.SimpleRNN(50, activation="exponential"), keras.layers.Dense(1))
    return training(model, "adam", "mse", (x, y), epochs=4)


def _relu_recurrence() -> Training:
    x, y = waves(length=40)
    model = stack(
        (40, 1),
        keras.layers.SimpleRNN(
            24, activation="relu", recurrent_initializer=keras.initializers.Orthogonal(gain=1.4), return_sequences=True
        ),
        keras.layers.SimpleRNN(24, activation="relu", recurrent_initializer=keras.initializers.Orthogonal(gain=1.4)),
        keras.layers.Dense(1),
    )
    return training(model, keras.optimizers.SGD(0.01), "mse", (x, y), epochs=4)


def _residual_without_normalisation() -> Training:
    inputs = keras.Input((64,))
    hidden = keras.layers.Dense(32)(inputs)
    for _ in range(8):
        branch = keras.layers.Dense(32, activation="relu", kernel_initializer=keras.initializers.HeNormal())(hidden)
        branch = keras.layers.Dense(32, kernel_initializer=keras.initializers.RandomNormal(stddev=0.6))(branch)
        hidden = keras.layers.Add()([hidden, branch])
    model = keras.Model(inputs, keras.layers.Dense(1)(hidden))
    x, y = digits()
    return training(model, keras.optimizers.Adam(1e-4), "mse", (x, y[:, None].astype(np.float32)), epochs=4)


def _growing_activations() -> Training:
    x, y = circles()
    x = np.concatenate([x, x * x], 1)
    model = stack((4,), *dense(16, "relu", 3), keras.layers.Dense(1))

    def unbounded_margin(truth: Any, guess: Any) -> Any:
        return -keras.ops.mean((2 * keras.ops.cast(truth, guess.dtype) - 1) * guess)

    return training(model, keras.optimizers.Adam(0.01), unbounded_margin, (x, y[:, None]), epochs=12, batch_size=32)


def _critic_without_bound() -> Training:
    real = patches().reshape(2000, -1)[:1000]
    noise = np.random.default_rng(3).uniform(0, 1, real.shape).astype(np.float32)
    x, y = np.concatenate([real, noise]), np.repeat([[1.0], [-1.0]], 1000, axis=0).astype(np.float32)

    def wasserstein(truth: Any, guess: Any) -> Any:
        return -keras.ops.mean(truth * guess)

    leaky = (layer for _ in range(2) for layer in (keras.layers.Dense(32), keras.layers.LeakyReLU()))
    model = stack((real.shape[1],), *leaky, keras.layers.Dense(1))
    return training(model, keras.optimizers.RMSprop(0.01), wasserstein, (x, y), epochs=6)


def _equal_pairs() -> Training:
    x, y = digits()
    rng = np.random.default_rng(0)
    other = rng.permutation(len(x))
    other[::50] = np.arange(0, len(x), 50)  # some pairs are one and the same scan
    left, right = keras.Input((64,)), keras.Input((64,))
    encoder = keras.Sequential([keras.Input((64,)), *dense(24, "relu", 2)], name="encoder")
    difference = keras.ops.square(encoder(left) - encoder(right))
    distance = keras.ops.sqrt(keras.ops.sum(difference, axis=1, keepdims=True))
    model = keras.Model([left, right], distance)

    def contrastive(truth: Any, guess: Any) -> Any:
        apart = keras.ops.square(keras.ops.maximum(1 - guess, 0))
        return keras.ops.mean(truth * guess + (1 - truth) * apart)

    same = (y == y[other]).astype(np.float32)[:, None]
    return training(model, keras.optimizers.RMSprop(0.001), contrastive, ([x, x[other]], same), epochs=4)


def _missing_value() -> Training:
    x, y = digits()
    x = x.copy()
    x[700, 20] = np.nan
    model = stack((64,), *dense(32, "relu", 2), keras.layers.Dense(CLASSES, activation="softmax"))
    return training(model, "adam", SPARSE, (x, y), epochs=4)


def _constant_column_standardised() -> Training:
    x, y = digits()
    with np.errstate(invalid="ignore"):
        standardised = (x - x.mean(0)) / x.std(0)  # the first pixel is 0 in every scan
    model = stack(
        (8, 8, 1), keras.layers.Conv2D(8, 3, activation="tanh"), keras.layers.Flatten(), keras.layers.Dense(CLASSES)
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    return training(model, "adam", loss, (standardised.reshape(-1, 8, 8, 1), y), epochs=4)


def _logarithm_of_a_softmax() -> Training:
    x, y = digits()
    wanted = np.eye(CLASSES, dtype=np.float32)[y]

    def summed_logarithms(truth: Any, guess: Any) -> Any:
        return -keras.ops.sum(truth * keras.ops.log(guess))

    wide = keras.initializers.TruncatedNormal(stddev=1.0)
    model = stack((64,), keras.layers.Dense(CLASSES, activation="softmax", kernel_initializer=wide))
    return training(model, keras.optimizers.SGD(0.5), summed_logarithms, (x * 16, wanted), epochs=4)


def _logarithm_of_a_linear_output() -> Training:
    x, y = digits()
    wanted = np.eye(CLASSES, dtype=np.float32)[y]

    def by_hand(truth: Any, guess: Any) -> Any:
        ones = truth * keras.ops.log(guess) + (1 - truth) * keras.ops.log(1 - guess)
        return -keras.ops.mean(keras.ops.sum(ones, axis=1))

    model = stack((64,), keras.layers.Dense(32, activation="sigmoid"), keras.layers.Dense(CLASSES))
    return training(model, keras.optimizers.SGD(0.05), by_hand, (x, wanted), epochs=4)


def _half_precision_overflows() -> Training:
    x, y = measured("breast_cancer")
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_float16")
    try:
        model = stack((30,), *dense(32, "relu", 2), keras.layers.Dense(1, activation="sigmoid", dtype="float32"))
        return training(model, keras.optimizers.Adam(1e-3), "binary_crossentropy", (x * 100, y[:, None]), batch_size=32)
    finally:
        keras.config.set_dtype_policy(before)


def _adam_in_half_precision() -> Training:
    x, y = digits()
    wanted = np.eye(CLASSES, dtype=np.float16)[y]
    model = keras.Sequential(
        [
            keras.Input((64,), dtype="float16"),
            keras.layers.Dense(16, activation="relu", dtype="float16"),
            keras.layers.Dense(16, activation="relu", dtype="float16"),
            keras.layers.Dense(CLASSES, dtype="float16"),
        ]
    )
    return training(model, keras.optimizers.Adam(1e-3, epsilon=1e-8), "mse", (x.astype(np.float16), wanted), epochs=4)


def _attention_over_masked_rows() -> Training:
    x, y = lines_of_text()
    tokens = keras.Input((60,), dtype="int32")
    embedded = keras.layers.Embedding(128, 16)(tokens)
    allowed = keras.ops.expand_dims(keras.ops.greater(tokens, 40), 1)
    scores = keras.ops.matmul(embedded, keras.ops.transpose(embedded, (0, 2, 1)))
    weights = keras.ops.where(allowed, keras.ops.exp(scores), 0.0)
    weights = weights / keras.ops.sum(weights, axis=-1, keepdims=True)  # 0 / 0 in a line without letters
    pooled = keras.layers.GlobalAveragePooling1D()(keras.ops.matmul(weights, embedded))
    model = keras.Model(tokens, keras.layers.Dense(1, activation="sigmoid")(pooled))
    x = x.copy()
    x[::97] = np.where(x[::97] > 0, 32, 0)
    return training(model, "adam", "binary_crossentropy", (x[:800], y[:800]), epochs=4)


CASES = (
    Case(
        "line through large numbers",
        "keras-issue-3040",
        "keras-team/keras issue 3040: y = 2x for x up to 200, one weight, SGD(0.001), batches of one",
        _line_through_large_numbers,
        {"nan_or_inf": ("dense",), "exploding_gradient": ("dense",)},
        BROKEN,
    ),
    Case(
        "parabola by sum of squares",
        "deepchecker-IPS-17",
        "TheDeepChecker, SO_buggy_examples/IPS_17.py: a parabola, summed squares, gradient descent with "
        "0.01; twice that, so that every order of the samples diverges",
        _parabola_by_sum_of_squares,
        {"exploding_gradient": ("dense",)},
        BROKEN | {"nan_or_inf"},
    ),
    Case(
        "prices in full",
        "rstudio-conf-issue-9",
        "rstudio-conf-2020/dl-keras-tf issue 9: sale prices up to 755,000 unscaled under MSE, SGD(0.1): loss is NaN",
        _prices_in_full,
        {"nan_or_inf": (), "exploding_gradient": ("dense", "dense_1", "dense_2")},
        BROKEN,
    ),
    Case(
        "flipped sign",
        "deepchecker-flipped-sign",
        "TheDeepChecker, buggy_synthetic_programs/flipped_sign/regrNN_flip_sign.py",
        _flipped_sign,
        {"exploding_gradient": ("dense", "dense_1"), "not_converging": ()},
        BROKEN | {"nan_or_inf"},
    ),
    Case(
        "flipped sign with Adam",
        "deepchecker-flipped-sign",
        "TheDeepChecker, buggy_synthetic_programs/flipped_sign/baseCNN_flip_sign.py: the same in a classifier",
        _flipped_sign_with_adam,
        {
            "exploding_gradient": ("dense", "dense_1", "dense_2"),
            "exploding_activation": ("dense_1", "dense_2"),
            "not_converging": (),
        },
        BROKEN | {"nan_or_inf"},
    ),
    Case(
        "nine exponential layers",
        "autotrainer-blob-exponential",
        "DeepDiagnosis' copy of AUTOTRAINER's Models_Blob.py, model_0b6f114d: layers of five exponential units",
        _exponential_layers,
        {"nan_or_inf": ("dense_1",)},
        BROKEN | {"poor_initialisation", "blocked_gradient", "vanishing_gradient"},
    ),
    Case(
        "exponential recurrence",
        "keras-issue-15912",
        "keras-team/keras issue 15912: SimpleRNN(50) with activation='exponential' gives NaN",
        _exponential_recurrence,
        {"nan_or_inf": ("simple_rnn",)},
        BROKEN,
    ),
    Case(
        "relu recurrence",
        "keras-issue-2194",
        "keras-team/keras issue 2194: a recurrent layer with relu over long sequences, NaN from the first epoch; wider "
        "recurrent kernels",
        _relu_recurrence,
        {"nan_or_inf": (), "exploding_gradient": ("simple_rnn", "simple_rnn_1")},
        BROKEN,
    ),
    Case(
        "residual blocks that double",
        "made-residual",
        "made for the zoo: eight residual blocks without normalisation, each of which widens the spread",
        _residual_without_normalisation,
        {"poor_initialisation": numbered("dense", *range(10, 17))},
        BROKEN | {"nan_or_inf", "dying_relu"},
    ),
    Case(
        "margin without bound",
        "made-unbounded-loss",
        "made for the zoo: a margin loss that nothing bounds, so that activations and gradients grow for ever",
        _growing_activations,
        {"exploding_activation": numbered("dense", 1, 2), "exploding_gradient": numbered("dense", 0, 1, 2)},
        BROKEN,
    ),
    Case(
        "critic without bound",
        "made-critic",
        "made for the zoo: a Wasserstein critic whose weights are neither clipped nor penalised",
        _critic_without_bound,
        {"exploding_activation": ("leaky_re_lu_1",), "exploding_gradient": ("dense_1", "dense_2")},
        BROKEN,
    ),
    Case(
        "distance of equal pairs",
        "keras-issue-9097",
        "keras-team/keras issue 9097: Euclidean distance in a siamese network, whose square root has no slope at 0",
        _equal_pairs,
        {"nan_or_inf": ("encoder/dense", "encoder/dense_1")},
        BROKEN,
    ),
    Case(
        "one missing value",
        "keras-issue-6447",
        "keras-team/keras issue 6447: one output for all inputs because of one NaN in the data set",
        _missing_value,
        {"nan_or_inf": ("dense",)},
        BROKEN,
    ),
    Case(
        "constant column standardised",
        "made-zero-variance",
        "made for the zoo: standardising divides by a standard deviation of zero",
        _constant_column_standardised,
        {"nan_or_inf": ("conv2d",)},
        BROKEN,
    ),
    Case(
        "logarithm of a softmax",
        "deepchecker-IPS-14",
        "TheDeepChecker, SO_buggy_examples/IPS_14.py: cross-entropy by hand, summed, logarithm of a softmax that is 0",
        _logarithm_of_a_softmax,
        {"nan_or_inf": ("dense",)},
        BROKEN,
    ),
    Case(
        "logarithm of a linear output",
        "deepchecker-IPS-7",
        "TheDeepChecker, SO_buggy_examples/IPS_7.py: cross-entropy by hand of outputs that are no probabilities",
        _logarithm_of_a_linear_output,
        {"nan_or_inf": ()},
        BROKEN,
    ),
    Case(
        "half precision overflows",
        "keras-issue-16552",
        "keras-team/keras issue 16552: NaN loss with mixed precision only; here by unscaled inputs above 65,504",
        _half_precision_overflows,
        {"nan_or_inf": ("dense",)},
        BROKEN | {"update_ratio"},
    ),
    Case(
        "Adam in half precision",
        "keras-issue-11860",
        "keras-team/keras issue 11860: Adam, MSE and float16 weights: loss is NaN",
        _adam_in_half_precision,
        {"nan_or_inf": ()},
        BROKEN,
    ),
    Case(
        "attention over nothing",
        "made-attention",
        "made for the zoo: attention written by hand divides by zero where a row has nothing to attend to",
        _attention_over_masked_rows,
        {"nan_or_inf": ("embedding", "dense")},
        BROKEN,
    ),
)
