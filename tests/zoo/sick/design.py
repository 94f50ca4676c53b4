"""Cases whose fault is in how the network was drawn up: initialisers, missing functions, losses and labels."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from zoo.case import Case, Training
from zoo.data import circles, digit_images, digits, first_matters, friedman, patches, scaled
from zoo.sick.nets import CLASSES, SPARSE, dense, numbered, on_digits, stack, training

LOGITS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
UNBROKEN = frozenset({"not_converging", "slow_convergence", "unchanged_weights", "vanishing_gradient", "dying_relu"})
CENTRED = frozenset({"slow_convergence", "not_converging", "vanishing_gradient", "update_ratio"})


def _constant_convolutions() -> Training:
    same = keras.initializers.Constant(0.01)
    x, y = digit_images()
    model = stack(
        (8, 8, 1),
        keras.layers.Conv2D(8, 3, activation="relu", kernel_initializer=same),
        keras.layers.Conv2D(16, 3, activation="relu", kernel_initializer=same),
        keras.layers.Flatten(),
        keras.layers.Dense(32, activation="relu", kernel_initializer=same),
        keras.layers.Dense(CLASSES, kernel_initializer=same),
    )
    return training(model, keras.optimizers.SGD(0.1), LOGITS, (x, y))


def _constant_regression() -> Training:
    same = keras.initializers.Constant(0.01)
    x, y = friedman()
    model = stack((10,), *dense(32, "relu", 2, kernel_initializer=same), keras.layers.Dense(1, kernel_initializer=same))
    return training(model, keras.optimizers.Adam(0.01), "mse", (x, y / 10), batch_size=32, epochs=10)


def _zeros() -> Training:
    return on_digits(*dense(50, "relu", 2, kernel_initializer="zeros"), optimizer="adam")


def _zero_tanh() -> Training:
    x, y = circles()
    model = stack(
        (2,),
        *dense(16, "tanh", 2, kernel_initializer="zeros"),
        keras.layers.Dense(1, activation="sigmoid", kernel_initializer="zeros"),
    )
    return training(model, keras.optimizers.SGD(0.1), "binary_crossentropy", (x, y[:, None]))


def _ones() -> Training:
    return on_digits(*dense(24, "tanh", 2, kernel_initializer="ones"), optimizer=keras.optimizers.SGD(0.05))


def _unit_weights_under_relu() -> Training:
    wide = keras.initializers.RandomNormal(stddev=1)
    x, y = digits()
    model = stack((64,), *dense(64, "relu", 5, kernel_initializer=wide), keras.layers.Dense(CLASSES))
    return training(model, keras.optimizers.SGD(1e-5), LOGITS, (x, y))


def _keypoints_without_functions() -> Training:
    x, y = circles()
    model = stack((2,), *dense(50, None, 1), *dense(100, None, 1), keras.layers.Dense(1, activation="sigmoid"))
    return training(model, keras.optimizers.Adam(0.01), "binary_crossentropy", (x, y[:, None]), epochs=8)


def _contrast() -> tuple[Any, Any]:
    """Patches without their mean, and whether their contrast is above the median: no linear question."""
    x = patches()
    x = x - x.mean((1, 2, 3), keepdims=True)
    spread = x.std((1, 2, 3))
    return 5 * x, (spread > np.median(spread)).astype(np.float32)[:, None]


def _convolutions_without_functions() -> Training:
    model = stack(
        (8, 8, 3),
        keras.layers.Conv2D(8, 3),
        keras.layers.Conv2D(16, 3),
        keras.layers.Flatten(),
        keras.layers.Dense(24),
        keras.layers.Dense(1, activation="sigmoid"),
    )
    return training(model, keras.optimizers.Adam(1e-3), "binary_crossentropy", _contrast(), epochs=6)


def _product_of_signs() -> tuple[Any, Any]:
    x = np.random.default_rng(0).uniform(-1, 1, (1000, 2)).astype(np.float32)
    return x, x[:, :1] * x[:, 1:] * 3


def _linear_regression_of_a_product() -> Training:
    model = stack(
        (2,),
        *(layer for _ in range(3) for layer in (keras.layers.Dense(32), keras.layers.Activation("linear"))),
        keras.layers.Dense(1),
    )
    return training(model, keras.optimizers.RMSprop(0.003), "mse", _product_of_signs(), epochs=8)


def _hidden_sigmoids() -> Training:
    return on_digits(*dense(64, "sigmoid", 2), optimizer=keras.optimizers.SGD(0.1))


def _positive_features() -> Training:
    x, y = scaled("wine")
    model = stack((13,), *dense(32, "hard_sigmoid", 2), keras.layers.Dense(3))
    return training(model, keras.optimizers.SGD(0.1), LOGITS, (x, y), batch_size=16, epochs=8)


def _sigmoids_as_layers() -> Training:
    x, y = digit_images()
    model = stack(
        (8, 8, 1),
        keras.layers.Conv2D(8, 3),
        keras.layers.Activation("sigmoid"),
        keras.layers.Flatten(),
        keras.layers.Dense(32),
        keras.layers.Activation("sigmoid"),
        keras.layers.Dense(CLASSES),
    )
    return training(model, keras.optimizers.SGD(0.05), LOGITS, (x, y))


def _rectified_probability() -> Training:
    x, y = scaled("breast_cancer")
    flipped = (1 - y)[:, None].astype(np.float32)

    def below(shape: Any, dtype: Any = None) -> Any:
        return keras.ops.full(shape, -4.0, dtype)

    model = stack((30,), *dense(12, "relu", 2), keras.layers.Dense(1, activation="relu", bias_initializer=below))
    return training(model, "adam", "binary_crossentropy", (x, flipped), batch_size=32)


def _sigmoid_for_large_targets() -> Training:
    x, y = scaled("diabetes")
    model = stack((10,), *dense(32, "relu", 2), keras.layers.Dense(1, activation="sigmoid"))
    return training(model, keras.optimizers.Adam(0.01), "mse", (x, y[:, None]), batch_size=32, epochs=8)


def _shuffled_labels() -> Training:
    x, y = digits()
    shuffled = np.random.default_rng(1).permutation(y)
    model = stack((64,), keras.layers.Dense(8, activation="relu"), keras.layers.Dense(CLASSES, activation="softmax"))
    return training(model, keras.optimizers.Adam(0.001), SPARSE, (x, shuffled), epochs=6)


def _same_input_for_all() -> Training:
    x, y = digits()
    model = stack((64,), *dense(32, "relu", 2), keras.layers.Dense(CLASSES, activation="softmax"))
    return training(model, "adam", SPARSE, (np.ones_like(x), y))


def _forty_steps_ago() -> Training:
    x, y = first_matters()
    model = stack((40, 1), keras.layers.SimpleRNN(16), keras.layers.Dense(1, activation="sigmoid"))
    return training(model, keras.optimizers.Adam(0.001), "binary_crossentropy", (x, y[:, None]), epochs=5)


CASES = (
    Case(
        "constant convolutions",
        "deepchecker-wrong-init",
        "TheDeepChecker, buggy_synthetic_programs/wrong_init/baseCNN_constant.py: constant(0.01), SGD(0.1)",
        _constant_convolutions,
        {"poor_initialisation": ("conv2d", "conv2d_1", "dense")},
        UNBROKEN | {"vanishing_activation"},
    ),
    Case(
        "constant regression",
        "deepchecker-wrong-init",
        "TheDeepChecker, buggy_synthetic_programs/wrong_init/regrNN_constant.py: constant(0.01), Adam",
        _constant_regression,
        {"poor_initialisation": ("dense", "dense_1")},
        UNBROKEN,
    ),
    Case(
        "zeros under relu",
        "notebook-zero-weights",
        "AliPakzad/DeepLearning-WeightInitialization-Impact-CIFAR10: all kernels zero, relu layers of 50 units",
        _zeros,
        {"poor_initialisation": ("dense", "dense_1"), "not_converging": ()},
        UNBROKEN | {"blocked_gradient", "vanishing_activation"},
    ),
    Case(
        "zeros under tanh",
        "neuralint-zeros-init",
        "NeuraLint, TF_lenet_zeros_init: kernels initialised with zeros",
        _zero_tanh,
        {
            "poor_initialisation": ("dense", "dense_1"),
            "vanishing_activation": ("dense", "dense_1"),
            "not_converging": (),
        },
        UNBROKEN | {"blocked_gradient"},
    ),
    Case(
        "ones under tanh",
        "stackexchange-datascience-19170",
        "datascience.stackexchange.com question 19170, answer: equal weights compute the same output and gradient",
        _ones,
        {
            "poor_initialisation": ("dense", "dense_1"),
            "saturated_activation": ("dense", "dense_1"),
            "vanishing_activation": ("dense", "dense_1"),
            "not_converging": (),
        },
        UNBROKEN,
    ),
    Case(
        "weights of one under relu",
        "deepchecker-IPS-4",
        "TheDeepChecker, SO_buggy_examples/IPS_4.py: wide relu layers from random_normal(stddev=1)",
        _unit_weights_under_relu,
        {"poor_initialisation": numbered("dense", 3, 4)},
        frozenset({"exploding_gradient", "exploding_activation", "update_ratio", "not_converging", "slow_convergence"}),
    ),
    Case(
        "keypoints without functions",
        "deeplocalize-facial-keypoints",
        "DeepLocalize benchmark, GitHub FacialKeypointsDetection, 1_single_hidden_layer.py: three Dense, no functions",
        _keypoints_without_functions,
        {"linear_stack": ("dense", "dense_1", "dense_2"), "not_converging": ()},
        frozenset({"slow_convergence"}),
    ),
    Case(
        "convolutions without functions",
        "neuralint-missing-relus",
        "NeuraLint, TF_lenet_missing_relus",
        _convolutions_without_functions,
        {"linear_stack": ("conv2d", "conv2d_1", "dense", "dense_1")},
        frozenset({"slow_convergence", "not_converging"}),
    ),
    Case(
        "linear regression of a product",
        "keras-issue-1597",
        "keras-team/keras issue 1597, a comment: nothing learnt until the layers were given an activation",
        _linear_regression_of_a_product,
        {"linear_stack": ("dense", "dense_1", "dense_2", "dense_3"), "not_converging": ()},
        frozenset({"slow_convergence"}),
    ),
    Case(
        "hidden sigmoids",
        "stackexchange-stats-237169",
        "stats.stackexchange.com question 237169: why functions that are not zero-centred are a problem",
        _hidden_sigmoids,
        {"not_zero_centred": ("dense", "dense_1")},
        CENTRED,
    ),
    Case(
        "hard sigmoids on a table",
        "varma-input-normalisation",
        "R. Varma, Downsides of the sigmoid activation and why you should center your inputs",
        _positive_features,
        {"not_zero_centred": ("dense", "dense_1")},
        CENTRED,
    ),
    Case(
        "sigmoids as layers",
        "varma-input-normalisation",
        "R. Varma, Downsides of the sigmoid activation and why you should center your inputs; in a "
        "convolutional network",
        _sigmoids_as_layers,
        {"not_zero_centred": ("activation", "activation_1")},
        CENTRED,
    ),
    Case(
        "rectified probability",
        "deeplocalize-44066044",
        "DeepLocalize benchmark, StackOverflow 44066044: relu as the last function under binary cross-entropy; "
        "biased so that it is dead with every seed",
        _rectified_probability,
        {"dying_relu": ("dense_2",), "not_converging": ()},
        UNBROKEN | {"poor_initialisation", "blocked_gradient"},
    ),
    Case(
        "sigmoid for large targets",
        "deepchecker-wrong-activation",
        "TheDeepChecker, buggy_synthetic_programs/wrong_activation/regrNN_inapp_act.py: targets outside of a sigmoid",
        _sigmoid_for_large_targets,
        {"not_converging": ()},
        UNBROKEN | {"saturated_activation", "slow_convergence"},
    ),
    Case(
        "shuffled labels",
        "deepchecker-wrong-labels",
        "TheDeepChecker, buggy_synthetic_programs/wrong_labels: labels that do not belong to their samples",
        _shuffled_labels,
        {"not_converging": ()},
        frozenset({"slow_convergence"}),
    ),
    Case(
        "same input for all",
        "tensorflow-issue-47586",
        "tensorflow/tensorflow issue 47586: after normalising, all inputs were the same",
        _same_input_for_all,
        {"not_converging": ()},
        frozenset({"slow_convergence", "vanishing_activation", "vanishing_gradient"}),
    ),
    Case(
        "forty steps ago",
        "made-long-memory",
        "made for the zoo: a plain recurrence asked for the first of forty values",
        _forty_steps_ago,
        {"not_converging": ()},
        frozenset({"slow_convergence"}),
    ),
)
