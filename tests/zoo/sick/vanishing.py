"""Cases whose gradient, or whose signal, is lost on its way through the layers."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from zoo.case import Case, Training
from zoo.data import circles, digit_images, digits, lines_of_text, patches, waves
from zoo.sick.nets import CLASSES, SPARSE, dense, numbered, on_digits, stack, training

FOLLOWS = frozenset(
    {
        "not_converging",
        "slow_convergence",
        "vanishing_activation",
        "poor_initialisation",
        "update_ratio",
        "not_zero_centred",
    }
)


def _sigmoid_mlp() -> Training:
    return on_digits(*dense(32, "sigmoid", 8), optimizer=keras.optimizers.SGD(0.1))


def _sigmoid_lenet() -> Training:
    model = stack(
        (8, 8, 1),
        keras.layers.Conv2D(6, 3, padding="same"),
        keras.layers.Activation("sigmoid"),
        keras.layers.MaxPooling2D(),
        keras.layers.Conv2D(16, 3, padding="same"),
        keras.layers.Activation("sigmoid"),
        keras.layers.MaxPooling2D(),
        keras.layers.Flatten(),
        *(layer for _ in range(6) for layer in (keras.layers.Dense(24), keras.layers.Activation("sigmoid"))),
        keras.layers.Dense(CLASSES, activation="softmax"),
    )
    return training(model, keras.optimizers.SGD(0.05, momentum=0.9), SPARSE, digit_images())


def _binary_vectors() -> tuple[Any, Any]:
    """Vectors of ten bits and the weighted count of their ones."""
    bits = ((np.arange(1024)[:, None] >> np.arange(10)) & 1).astype(np.float32)
    return bits, (bits @ np.arange(1, 11, dtype=np.float32))[:, None] / 10


def _binary_vectors_to_real() -> Training:
    model = stack((10,), *dense(64, keras.activations.sigmoid, 8), keras.layers.Dense(1))
    return training(model, keras.optimizers.SGD(0.01), "mse", _binary_vectors())


def _sort_bits_by_sigmoids() -> Training:
    x, _ = _binary_vectors()
    wanted = np.sort(x, axis=1)
    model = stack((10,), *dense(10, "sigmoid", 5, kernel_initializer=keras.initializers.RandomNormal(stddev=0.05)))
    return training(model, "sgd", "mse", (x, wanted), batch_size=50)


def _sigmoids_on_circles() -> Training:
    x, y = circles()
    model = stack((2,), *dense(5, "sigmoid", 8), keras.layers.Dense(1, activation="sigmoid"))
    return training(model, keras.optimizers.SGD(0.02), "binary_crossentropy", (x, y[:, None]))


def _sigmoid_autoencoder() -> Training:
    x, _ = digits()
    model = stack((64,), *(layer for units in (48, 32, 16, 8, 16, 32, 48, 64) for layer in dense(units, "sigmoid", 1)))
    return training(model, keras.optimizers.SGD(0.001, momentum=0.1), "mse", (x, x))


def _stacked_sigmoid_recurrence() -> Training:
    keywords = {"activation": "sigmoid", "kernel_initializer": keras.initializers.RandomNormal(stddev=0.02)}
    model = stack(
        (8, 1),
        *(keras.layers.SimpleRNN(8, return_sequences=True, **keywords) for _ in range(3)),
        keras.layers.SimpleRNN(8, **keywords),
        keras.layers.Dense(1),
    )
    x, y = waves(length=8)
    return training(model, keras.optimizers.SGD(0.05), "mse", (x, y), epochs=5)


def _averaged_embedding_under_sigmoids() -> Training:
    tokens = keras.Input((60,), dtype="int32")
    hidden = keras.layers.GlobalAveragePooling1D()(keras.layers.Embedding(128, 16)(tokens))
    for _ in range(6):
        hidden = keras.ops.sigmoid(keras.layers.Dense(16)(hidden))
    model = keras.Model(tokens, keras.layers.Dense(1, activation="sigmoid")(hidden))
    return training(model, keras.optimizers.Adagrad(0.01), "binary_crossentropy", lines_of_text())


def _below_the_epsilon_of_adam() -> Training:
    x, y = digits()
    labels = np.stack([y % 2 == 0, y > 4, np.isin(y, (0, 6, 8, 9))], 1).astype(np.float32)
    squashed = keras.initializers.RandomNormal(stddev=0.05)
    model = stack(
        (64,), *dense(24, "sigmoid", 10, kernel_initializer=squashed), keras.layers.Dense(3, activation="sigmoid")
    )
    return training(model, "adam", "binary_crossentropy", (x, labels))


def _sixteen_narrow_relus() -> Training:
    thin = keras.initializers.RandomUniform(-0.05, 0.05)
    return on_digits(*dense(24, "relu", 16, kernel_initializer=thin), optimizer="adam")


def _tiny_weights_under_tanh() -> Training:
    tiny = keras.initializers.RandomNormal(stddev=0.01)
    return on_digits(*dense(64, "tanh", 8, kernel_initializer=tiny), optimizer=keras.optimizers.SGD(0.1))


def _tiny_convolutions() -> Training:
    x, y = digit_images()
    tiny = keras.initializers.RandomNormal(stddev=0.005)
    model = stack(
        (8, 8, 1),
        *(keras.layers.Conv2D(8, 3, padding="same", activation="relu", kernel_initializer=tiny) for _ in range(6)),
        keras.layers.GlobalAveragePooling2D(),
        keras.layers.Dense(CLASSES, activation="softmax"),
    )
    return training(model, keras.optimizers.SGD(0.05, momentum=0.9), SPARSE, (x, y), epochs=5)


def _regularised_to_nothing() -> Training:
    heavy = keras.regularizers.L2(0.5)
    flat = patches().reshape(2000, -1)
    wanted = flat[:, ::4]
    model = stack(
        (flat.shape[1],), *dense(48, "relu", 4, kernel_regularizer=heavy), keras.layers.Dense(wanted.shape[1])
    )
    return training(model, keras.optimizers.SGD(0.1), "mse", (flat, wanted), epochs=8)


CASES = (
    Case(
        "eight sigmoid layers",
        "autotrainer-sigmoid-mnist",
        "AUTOTRAINER's models as published with DeepDiagnosis, Models_MNIST.py: chains of sigmoid layers "
        "(gradient vanish)",
        _sigmoid_mlp,
        {"vanishing_gradient": numbered("dense", 0, 1, 2)},
        FOLLOWS,
    ),
    Case(
        "lenet of sigmoids",
        "autotrainer-sigmoid-mnist",
        "DeepDiagnosis' copy of AUTOTRAINER's Models_MNIST.py, model_2af630c4: two convolutions and many "
        "dense sigmoids",
        _sigmoid_lenet,
        {"vanishing_gradient": ("conv2d", "conv2d_1")},
        FOLLOWS,
    ),
    Case(
        "bits to a number through sigmoids",
        "stackexchange-ai-16557",
        "ai.stackexchange.com question 16557: binary vectors to real values, sigmoid layers that do not learn; eight "
        "layers here instead of four wider ones",
        _binary_vectors_to_real,
        {"vanishing_gradient": numbered("dense", 0, 1, 2)},
        FOLLOWS,
    ),
    Case(
        "sorting bits with sigmoids",
        "deeplocalize-39217567",
        "DeepLocalize benchmark, StackOverflow 39217567: sigmoids from init='normal', MSE, plain SGD; two layers more",
        _sort_bits_by_sigmoids,
        {"vanishing_gradient": ("dense",)},
        FOLLOWS,
    ),
    Case(
        "sigmoids on circles",
        "brownlee-circles",
        "J. Brownlee, How to fix vanishing gradients using the rectified linear activation function (2019): the "
        "two-circles problem and a deeper network for it; sigmoids here",
        _sigmoids_on_circles,
        {"vanishing_gradient": numbered("dense", 0, 1, 2)},
        FOLLOWS,
    ),
    Case(
        "sigmoid autoencoder",
        "keras-issue-1604",
        "keras-team/keras issue 1604: an autoencoder whose loss stays at 0.158, SGD(0.001, momentum=0.1); made deeper",
        _sigmoid_autoencoder,
        {"vanishing_gradient": ("dense", "dense_1")},
        FOLLOWS,
    ),
    Case(
        "four recurrent layers of sigmoids",
        "made-stacked-recurrence",
        "made for the zoo: the loss of gradient over depth in a recurrent network, where only kernels show it",
        _stacked_sigmoid_recurrence,
        {"vanishing_gradient": ("simple_rnn", "simple_rnn_1")},
        FOLLOWS,
    ),
    Case(
        "embedding under six sigmoids",
        "made-embedding",
        "made for the zoo: an embedding averaged over text, functions in a functional graph, Adagrad",
        _averaged_embedding_under_sigmoids,
        {"vanishing_gradient": ("dense",)},
        FOLLOWS,
    ),
    Case(
        "below the epsilon of Adam",
        "made-multi-label",
        "made for the zoo: Adam divides small gradients out until they are smaller than its epsilon; multi-label",
        _below_the_epsilon_of_adam,
        {"vanishing_gradient": numbered("dense", *range(6))},
        FOLLOWS,
    ),
    Case(
        "sixteen narrow relus",
        "autotrainer-motivation-relu",
        "AUTOTRAINER, Motivation/: MNIST MLPs of 20 and 34 relu layers trained with Adam",
        _sixteen_narrow_relus,
        {
            "vanishing_gradient": numbered("dense", *range(13)),
            "poor_initialisation": numbered("dense", *range(3, 16)),
        },
        FOLLOWS | {"unchanged_weights", "dying_relu"},
    ),
    Case(
        "tiny weights under tanh",
        "stackexchange-datascience-19170",
        "datascience.stackexchange.com question 19170, which asks whether initial weights should always be tiny",
        _tiny_weights_under_tanh,
        {
            "vanishing_gradient": numbered("dense", *range(6)),
            "poor_initialisation": numbered("dense", *range(2, 8)),
        },
        FOLLOWS,
    ),
    Case(
        "tiny convolutions",
        "deepchecker-wrong-init",
        "TheDeepChecker, buggy_synthetic_programs/wrong_init/baseCNN_random.py: an arbitrary standard "
        "deviation; smaller",
        _tiny_convolutions,
        {"vanishing_activation": ("conv2d_5",), "poor_initialisation": numbered("conv2d", *range(2, 6))},
        FOLLOWS | {"vanishing_gradient", "unchanged_weights", "dying_relu"},
    ),
    Case(
        "regularised to nothing",
        "deepchecker-over-regularisation",
        "TheDeepChecker, buggy_synthetic_programs/over_regulariaztion: an L2 factor that hinders the learning",
        _regularised_to_nothing,
        {"vanishing_activation": numbered("dense", 0, 1, 2, 3), "not_converging": ()},
        FOLLOWS | {"vanishing_gradient", "dying_relu"},
    ),
)
