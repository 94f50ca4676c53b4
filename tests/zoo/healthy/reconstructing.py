"""Autoencoders: bottlenecks, linear layers in a row and saturated outputs, all on purpose."""

from __future__ import annotations

from typing import Any

import keras

from zoo.case import Case, Training
from zoo.data import digit_images, digits, patches
from zoo.healthy.tasks import centred, first, predict

L: Any = keras.layers


def _digits_to_themselves(*layers: Any, epochs: int = 8) -> Training:
    """A constant reaches a squared error of 0.073."""
    model = keras.Sequential([keras.Input((64,)), *layers])
    data = centred()[0], digits()[0]
    return predict(model, data, optimizer=keras.optimizers.Adam(3e-3), epochs=epochs)


def _denoising() -> Training:
    x = patches(600)
    model = keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            L.GaussianNoise(0.1),
            L.Conv2D(16, 3, strides=2, padding="same", activation="relu"),
            L.Conv2D(24, 3, strides=2, padding="same", activation="relu"),
            L.Conv2DTranspose(16, 3, strides=2, padding="same", activation="relu"),
            L.Conv2DTranspose(16, 3, strides=2, padding="same", activation="relu"),
            L.Conv2D(3, 3, padding="same", activation="sigmoid"),
        ]
    )
    return predict(model, (x, x), optimizer=keras.optimizers.Adam(5e-3), epochs=10)


class Sample(keras.layers.Layer):
    """Draws from the encoder's normal distribution, and adds its divergence from the standard one to the loss."""

    def __init__(self, **keywords: Any) -> None:
        super().__init__(**keywords)
        self.seeds = keras.random.SeedGenerator()

    def call(self, mean_and_log_variance: Any) -> Any:
        mean, log_variance = keras.ops.split(mean_and_log_variance, 2, axis=-1)
        divergence = 0.5 * (keras.ops.square(mean) + keras.ops.exp(log_variance) - 1 - log_variance)
        self.add_loss(0.002 * keras.ops.mean(keras.ops.sum(divergence, axis=-1)))
        noise = keras.random.normal(keras.ops.shape(mean), seed=self.seeds)
        return mean + keras.ops.exp(log_variance / 2) * noise


def _variational() -> Training:
    return _digits_to_themselves(
        L.Dense(48, "relu"), L.Dense(16), Sample(), L.Dense(48, "relu"), L.Dense(64, "sigmoid"), epochs=10
    )


def _convolutional_digits() -> Training:
    x, _ = first(800, digit_images())
    model = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            L.Conv2D(12, 3, padding="same", activation="elu"),
            L.MaxPooling2D(),
            L.Conv2D(16, 3, padding="same", activation="elu"),
            L.UpSampling2D(),
            L.Conv2D(1, 3, padding="same", activation="hard_sigmoid"),
        ]
    )
    return predict(model, (x, x), optimizer=keras.optimizers.Adam(5e-3), epochs=8)


_BLACK = "most pixels are black: the output sits at 0 in its flat tail, where it should"
CASES: tuple[Case, ...] = (
    Case(
        "autoencoder_sigmoid",
        "autoencoder",
        _BLACK,
        lambda: _digits_to_themselves(
            L.Dense(32, "relu"), L.Dense(12, "relu"), L.Dense(32, "relu"), L.Dense(64, "sigmoid"), epochs=12
        ),
        learns=0.035,
    ),
    Case(
        "autoencoder_linear",
        "linear bottleneck",
        "linear layers in a row on purpose: principal components",
        lambda: _digits_to_themselves(L.Dense(10), L.Dense(64)),
        learns=0.03,
    ),
    Case(
        "autoencoder_linear_code",
        "linear bottleneck",
        "a linear code between two ReLU layers",
        lambda: _digits_to_themselves(L.Dense(48, "relu"), L.Dense(8), L.Dense(48, "relu"), L.Dense(64)),
        learns=0.03,
    ),
    Case(
        "autoencoder_denoising",
        "convolutional autoencoder",
        "input and target are nearly the same",
        _denoising,
        learns=0.02,
    ),
    Case("autoencoder_digit_images", "convolutional autoencoder", _BLACK, _convolutional_digits, learns=0.025),
    Case(
        "autoencoder_variational",
        "variational",
        "units that the divergence switches off in the code, and added losses",
        _variational,
        learns=0.048,
    ),
)
