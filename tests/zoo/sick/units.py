"""Cases whose units are of no use: dead behind a rectifier, or saturated at both ends of a bounded function."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from zoo.case import Case, Training
from zoo.data import digit_images, digits, friedman, lines_of_text, measured, patches
from zoo.sick.nets import CLASSES, dense, numbered, on_digits, stack, training

DEAD = frozenset(
    {
        "not_converging",
        "slow_convergence",
        "unchanged_weights",
        "vanishing_gradient",
        "vanishing_activation",
        "update_ratio",
        "oscillating_loss",
        "exploding_gradient",
    }
)
FLAT = frozenset(
    {
        "not_converging",
        "slow_convergence",
        "vanishing_gradient",
        "update_ratio",
        "oscillating_loss",
        "not_zero_centred",
        "unchanged_weights",
        "poor_initialisation",
    }
)
LOGITS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def _adam_at_three_tenths() -> Training:
    return on_digits(
        *(layer for n in (64, 48, 32) for layer in dense(n, "relu", 1)), optimizer=keras.optimizers.Adam(0.3)
    )


def _images_not_scaled() -> Training:
    x, y = digit_images()
    model = stack(
        (8, 8, 1),
        keras.layers.Conv2D(8, 3, activation="relu"),
        keras.layers.Conv2D(8, 3, activation="relu", padding="same"),
        keras.layers.MaxPooling2D(),
        keras.layers.Flatten(),
        keras.layers.Dense(32, activation="relu"),
        keras.layers.Dense(CLASSES),
    )
    return training(model, keras.optimizers.SGD(0.05, momentum=0.9), LOGITS, (x * 255, y))


def _targets_not_scaled() -> Training:
    x, y = measured("diabetes")
    normal = ((x - x.mean(0)) / x.std(0)).astype(np.float32)
    model = stack(
        (10,),
        keras.layers.Dense(32),
        keras.layers.ReLU(),
        keras.layers.Dense(8),
        keras.layers.ReLU(),
        keras.layers.Dense(1),
    )
    return training(model, keras.optimizers.SGD(0.01), "mse", (normal, y[:, None]), batch_size=32, epochs=10)


def _minus_a_half() -> Training:
    x, y = digits()
    model = stack(
        (64,),
        keras.layers.Dense(10, activation="relu", kernel_initializer=keras.initializers.Constant(0.5)),
        keras.layers.Dense(10, activation="relu", kernel_initializer=keras.initializers.Constant(-0.5)),
        keras.layers.Dense(1, activation="sigmoid"),
    )
    return training(model, "adam", "binary_crossentropy", (x, (y > 4)[:, None].astype(np.float32)), batch_size=32)


def _negative_biases() -> Training:
    return on_digits(
        *dense(48, "relu", 1),
        *dense(32, tf.nn.relu, 1, bias_initializer=keras.initializers.Constant(-10)),
        optimizer="rmsprop",
    )


def _half_of_a_layer() -> Training:
    def one_half(shape: Any, dtype: Any = None) -> Any:
        return keras.ops.convert_to_tensor(np.where(np.arange(shape[0]) < 40, -6, 0), dtype)

    return on_digits(*dense(64, "relu", 1, bias_initializer=one_half), *dense(32, "relu", 1), optimizer="adam")


def _rectified_targets_below_zero() -> Training:
    x, _ = digits()
    centred = (x - x.mean(0)).astype(np.float32)
    points = (centred[:, :30] - 0.5).clip(-1, 1)
    model = stack((64,), *dense(50, "relu", 2), keras.layers.Dense(30, activation="relu"))
    optimizer = keras.optimizers.SGD(0.05, momentum=0.9, nesterov=True, clipnorm=1.0)
    return training(model, optimizer, "mse", (x, points), epochs=8)


def _rectified_recurrence() -> Training:
    x, y = lines_of_text()
    tokens = keras.Input((60,), dtype="int32")
    hidden = keras.layers.Embedding(128, 16)(tokens)
    hidden = keras.layers.GRU(16, return_sequences=False)(hidden)
    hidden = keras.ops.relu(keras.layers.Dense(24)(hidden))
    hidden = keras.ops.relu(keras.layers.Dense(24)(hidden))
    model = keras.Model(tokens, keras.layers.Dense(1, activation="sigmoid")(hidden))
    return training(
        model, keras.optimizers.SGD(10.0, clipnorm=1.0), "binary_crossentropy", (x[:768], y[:768]), epochs=5
    )


class Residual(keras.Model):
    """A stem and two blocks with skips."""

    def __init__(self) -> None:
        super().__init__()
        self.layers_and_functions = [
            (keras.layers.Dense(32, name=name), keras.layers.Activation("relu", name=f"{name}_relu"))
            for name in ("stem", "first", "second")
        ]
        self.head = keras.layers.Dense(CLASSES, name="head")

    def call(self, inputs: Any) -> Any:
        hidden: Any = 0
        for layer, function in self.layers_and_functions:
            hidden = function(hidden + layer(inputs))
            inputs = hidden
        return self.head(hidden)


def _residual_with_a_large_step() -> Training:
    return training(Residual(), keras.optimizers.SGD(5.0, momentum=0.9), LOGITS, digits())


def _outlier_in_the_targets() -> Training:
    x, y = friedman()
    y = y.copy()
    y[::200] *= 2_000
    model = stack((10,), *dense(32, "relu", 2), keras.layers.Dense(1))
    return training(model, keras.optimizers.Adagrad(0.5), "mse", (x, y), batch_size=32, epochs=8)


def _sigmoid_of_a_thousand() -> Training:
    x = np.arange(-1000, 1000, 5, dtype=np.float32)[:, None]
    model = stack(
        (1,),
        keras.layers.Dense(50),
        keras.layers.Activation("sigmoid"),
        keras.layers.Dense(50, activation="elu"),
        keras.layers.Dense(1),
    )
    return training(model, keras.optimizers.SGD(0.01), "mse", (x, (x / 1000) ** 4), epochs=12)


def _sigmoid_autoencoder_of_bytes() -> Training:
    x = patches().reshape(2000, -1) * 255
    model = stack((192,), keras.layers.Dense(32, activation="sigmoid"), keras.layers.Dense(192, activation="sigmoid"))
    return training(model, keras.optimizers.SGD(0.1), "mse", (x, x / 255), epochs=6)


def _wide_weights_and_a_step_of_three() -> Training:
    x, y = digits()
    wide = keras.initializers.RandomNormal(stddev=1)
    model = stack(
        (64,),
        *dense(30, "sigmoid", 1, kernel_initializer=wide, bias_initializer=wide),
        *dense(CLASSES, "sigmoid", 1, kernel_initializer=wide, bias_initializer=wide),
    )
    wanted = np.eye(CLASSES, dtype=np.float32)[y]
    return training(model, keras.optimizers.SGD(3.0), "mse", (x * 255, wanted), epochs=6)


def _tanh_of_a_table_as_measured() -> Training:
    x, y = measured("breast_cancer")
    model = stack((30,), *dense(10, "tanh", 2), keras.layers.Dense(1, activation="sigmoid"))
    return training(model, keras.optimizers.SGD(0.01), "binary_crossentropy", (x * 10, y[:, None]), epochs=12)


def _sigmoids_from_wide_weights() -> Training:
    wide = keras.initializers.RandomNormal(stddev=3)
    return on_digits(
        *dense(128, "sigmoid", 2, kernel_initializer=wide),
        *dense(6, "sigmoid", 1, kernel_initializer=wide),
        optimizer=keras.optimizers.SGD(0.05),
        epochs=6,
    )


def _steep_sigmoid() -> Training:
    def steep(z: Any) -> Any:
        return keras.ops.sigmoid(60 * z)

    return on_digits(*dense(32, steep, 4), optimizer=keras.optimizers.SGD(0.001), epochs=6)


def _deep_tanh_with_unit_weights() -> Training:
    wide = keras.initializers.RandomNormal(stddev=1)
    return on_digits(*dense(64, "tanh", 6, kernel_initializer=wide), optimizer=keras.optimizers.SGD(0.001), epochs=6)


class Block(keras.layers.Layer):
    """A transformer's block whose feed-forward part is a tanh that nothing normalises."""

    def __init__(self, width: int, **keywords: Any) -> None:
        super().__init__(**keywords)
        self.attention = keras.layers.MultiHeadAttention(2, width // 2, name="attention")
        self.inner = keras.layers.Dense(2 * width, activation="tanh", name="inner")
        self.outer = keras.layers.Dense(width, activation="tanh", name="outer")

    def build(self, shape: Any) -> None:
        self.attention.build(shape, shape)
        self.inner.build(shape)
        self.outer.build((*shape[:-1], self.inner.units))
        self.built = True

    def call(self, inputs: Any) -> Any:
        hidden = inputs + self.attention(inputs, inputs)
        return self.outer(self.inner(hidden))


def _transformer_on_large_embeddings() -> Training:
    x, y = lines_of_text()
    tokens = keras.Input((24,), dtype="int32")
    large = keras.initializers.RandomNormal(stddev=60)
    hidden = keras.layers.Embedding(128, 16, embeddings_initializer=large)(tokens)
    hidden = Block(16, name="block")(hidden)
    hidden = keras.layers.GlobalAveragePooling1D()(hidden)
    model = keras.Model(tokens, keras.layers.Dense(1, activation="sigmoid")(hidden))
    return training(model, keras.optimizers.SGD(0.001), "binary_crossentropy", (x[:, :24], y), epochs=4)


def _large_step_into_the_tails() -> Training:
    x, y = digit_images()
    model = stack(
        (8, 8, 1),
        keras.layers.Conv2D(8, 3, activation="tanh"),
        keras.layers.Conv2D(8, 3, activation="tanh"),
        keras.layers.Flatten(),
        keras.layers.Dense(32, activation="tanh"),
        keras.layers.Dense(CLASSES),
    )
    return training(model, keras.optimizers.Adam(1.0), LOGITS, (x, y))


def _hard_sigmoid_of_pixels() -> Training:
    x, y = digits()
    model = stack(
        (64,),
        *(layer for _ in range(2) for layer in (keras.layers.Dense(32), keras.layers.Activation("hard_sigmoid"))),
        keras.layers.Dense(CLASSES),
    )
    return training(model, keras.optimizers.SGD(0.001), LOGITS, (x * 255, y), epochs=6)


CASES = (
    Case(
        "Adam at three tenths",
        "notebook-dying-relu-learning-rate",
        "Ayush-dhabale/Deeplearning, notebook 'Layer-wise Dying ReLU Check on MNIST (0.1 LR)': three relu layers, "
        "Adam; three times as fast",
        _adam_at_three_tenths,
        {"dying_relu": ("dense", "dense_1", "dense_2")},
        DEAD,
    ),
    Case(
        "images not scaled",
        "keras-issue-11791",
        "keras-team/keras issue 11791: a convolutional network on raw images whose accuracy is constant",
        _images_not_scaled,
        {"dying_relu": ("conv2d", "conv2d_1", "dense"), "not_converging": ()},
        DEAD,
    ),
    Case(
        "targets not scaled",
        "keras-issue-13891",
        "keras-team/keras issue 13891: a regression that answers one value for all inputs once a relu layer is added",
        _targets_not_scaled,
        {"dying_relu": ("re_lu_1",), "not_converging": ()},
        DEAD,
    ),
    Case(
        "kernel of minus a half",
        "notebook-constant-relu",
        "ayush9818/MLDS-SQ, notebook 'Dying ReLU': kernels Constant(0.5) and Constant(-0.5)",
        _minus_a_half,
        {"dying_relu": ("dense_1",), "poor_initialisation": ("dense", "dense_1"), "not_converging": ()},
        DEAD,
    ),
    Case(
        "biases of minus ten",
        "made-negative-bias",
        "made for the zoo: a layer dead at birth by its biases",
        _negative_biases,
        {"dying_relu": ("dense_1",), "poor_initialisation": ("dense_1",), "not_converging": ()},
        DEAD,
    ),
    Case(
        "half of a layer dead",
        "made-negative-bias",
        "made for the zoo: a network that learns although 40 of its 64 first units never fire",
        _half_of_a_layer,
        {"dying_relu": ("dense",), "poor_initialisation": ("dense",)},
        frozenset(),
    ),
    Case(
        "rectified targets below zero",
        "deeplocalize-facial-keypoints",
        "DeepLocalize benchmark, GitHub FacialKeypointsDetection: 30 outputs in [-1, 1] behind relu",
        _rectified_targets_below_zero,
        {"dying_relu": ("dense_2",), "not_converging": ()},
        DEAD,
    ),
    Case(
        "gated recurrence under dead relus",
        "keras-issue-3687",
        "keras-team/keras issue 3687: a recurrent network with relu whose predictions are all zero",
        _rectified_recurrence,
        {"dying_relu": ("relu", "relu_1"), "not_converging": ()},
        DEAD,
    ),
    Case(
        "residual blocks with a large step",
        "made-subclassed-residual",
        "made for the zoo: a subclassed network with skips whose rectifiers die together",
        _residual_with_a_large_step,
        {"dying_relu": ("stem_relu", "first_relu", "second_relu"), "not_converging": ()},
        DEAD,
    ),
    Case(
        "outliers in the targets",
        "made-outliers",
        "made for the zoo: one target in 200 is 2,000 times too large",
        _outlier_in_the_targets,
        {"dying_relu": ("dense", "dense_1"), "not_converging": ()},
        DEAD,
    ),
    Case(
        "sigmoid of a thousand",
        "deeplocalize-52800582",
        "DeepLocalize benchmark, StackOverflow 52800582: y = x^4 for x in [-100, 100] through a sigmoid; "
        "here to 1,000, and the targets scaled",
        _sigmoid_of_a_thousand,
        {"saturated_activation": ("activation",), "not_converging": ()},
        FLAT,
    ),
    Case(
        "sigmoid autoencoder of bytes",
        "keras-issue-3642",
        "keras-team/keras issue 3642: an autoencoder fed with integers up to 255",
        _sigmoid_autoencoder_of_bytes,
        {"saturated_activation": ("dense",)},
        FLAT,
    ),
    Case(
        "wide weights and a step of three",
        "deeplocalize-48385830",
        "DeepLocalize benchmark, StackOverflow 48385830: sigmoids, RandomNormal(stddev=1), SGD(lr=3.0), MSE",
        _wide_weights_and_a_step_of_three,
        {"saturated_activation": ("dense",)},
        FLAT,
    ),
    Case(
        "tanh of a table as measured",
        "deepfd-46995209",
        "DeepFD benchmark, StackOverflow 46995209: tanh layers on a table that was not normalised",
        _tanh_of_a_table_as_measured,
        {"saturated_activation": ("dense",)},
        FLAT,
    ),
    Case(
        "wide sigmoids from wide weights",
        "deepchecker-IPS-7",
        "TheDeepChecker, SO_buggy_examples/IPS_7.py: sigmoids from random_normal kernels; deeper, with a spread of 3",
        _sigmoids_from_wide_weights,
        {"saturated_activation": ("dense_1", "dense_2")},
        FLAT,
    ),
    Case(
        "steep sigmoid",
        "tensorflow-forum-24849",
        "discuss.tensorflow.org topic 24849: a sigmoid made steep until it is a step; a function of the user's own",
        _steep_sigmoid,
        {"saturated_activation": numbered("dense", 1, 2, 3)},
        FLAT | {"exploding_gradient"},
    ),
    Case(
        "deep tanh with weights of one",
        "made-wide-tanh",
        "made for the zoo: six tanh layers of 64 units from RandomNormal(stddev=1)",
        _deep_tanh_with_unit_weights,
        {"saturated_activation": numbered("dense", *range(1, 6))},
        FLAT | {"poor_initialisation", "exploding_gradient"},
    ),
    Case(
        "transformer block on large embeddings",
        "made-transformer",
        "made for the zoo: a block without normalisation on embeddings of RandomNormal(stddev=60)",
        _transformer_on_large_embeddings,
        {"saturated_activation": ("block/inner",)},
        FLAT,
    ),
    Case(
        "large step into the tails",
        "deepchecker-high-lr",
        "TheDeepChecker, buggy_synthetic_programs/high_lr/baseCNN_high_lr.py; tanh instead of relu",
        _large_step_into_the_tails,
        {"saturated_activation": ("conv2d", "conv2d_1", "dense"), "not_converging": ()},
        FLAT,
    ),
    Case(
        "hard sigmoid of pixels",
        "deeplocalize-55328966",
        "DeepLocalize benchmark, StackOverflow 55328966: pixels that were not divided by 255",
        _hard_sigmoid_of_pixels,
        {"saturated_activation": ("activation",)},
        FLAT,
    ),
)
