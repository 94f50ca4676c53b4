"""Convolutional networks: plain, separable, residual with branches that begin at zero, dense, and U-shaped."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import keras
import numpy as np

from zoo.case import Case, Training
from zoo.data import digit_images, waves
from zoo.healthy.tasks import centred, classify, decide, digits_mlp, first, predict

L: Any = keras.layers
_ZERO_BRANCH = "branches end in zeros: all gradients inside them are exactly zero at step 0"


def _images(body: Callable[[Any], Any], epochs: int, *, samples: int = 1000, optimizer: Any = "adam") -> Training:
    inputs = keras.Input((8, 8, 1))
    outputs = L.Dense(10, "softmax")(body(inputs))
    x, y = first(samples, centred())
    images = x.reshape(-1, 8, 8, 1), y
    return classify(keras.Model(inputs, outputs), images, epochs=epochs, optimizer=optimizer)


def _plain(x: Any) -> Any:
    x = L.Conv2D(16, 3, padding="same", activation="relu")(x)
    x = L.MaxPooling2D()(x)
    x = L.Conv2D(32, 3, padding="same", activation="relu")(x)
    x = L.MaxPooling2D()(x)
    return L.Flatten()(x)


def _eight_layers(x: Any) -> Any:
    for _ in range(8):
        x = L.Conv2D(12, 3, padding="same", activation="relu", kernel_initializer="he_normal")(x)
    return L.GlobalAveragePooling2D()(x)


def _separable(x: Any) -> Any:
    x = L.Conv2D(16, 3, padding="same", activation="relu")(x)
    x = L.SeparableConv2D(24, 3, padding="same", activation="relu")(x)
    x = L.SeparableConv2D(32, 3, strides=2, padding="same", activation="relu")(x)
    return L.Flatten()(x)


def _inverted_bottlenecks(x: Any) -> Any:
    """MobileNetV2's block: wide and depthwise inside, linear and narrow at its ends."""
    x = L.Conv2D(8, 3, padding="same")(x)
    for _ in range(2):
        inner = L.ReLU(6.0)(L.BatchNormalization()(L.Conv2D(32, 1, use_bias=False)(x)))
        inner = L.ReLU(6.0)(L.BatchNormalization()(L.DepthwiseConv2D(3, padding="same", use_bias=False)(inner)))
        x = L.Add()([x, L.BatchNormalization()(L.Conv2D(8, 1, use_bias=False)(inner))])
    return L.Flatten()(x)


def _residual(x: Any, gamma: str = "ones") -> Any:
    x = L.ReLU()(L.BatchNormalization()(L.Conv2D(12, 3, padding="same", use_bias=False)(x)))
    for _ in range(3):
        branch = L.Conv2D(12, 3, padding="same", use_bias=False)(x)
        branch = L.ReLU()(L.BatchNormalization()(branch))
        branch = L.Conv2D(12, 3, padding="same", use_bias=False)(branch)
        branch = L.BatchNormalization(gamma_initializer=gamma)(branch)
        x = L.ReLU()(L.Add()([x, branch]))
    return L.GlobalAveragePooling2D()(x)


def _pre_activated(x: Any) -> Any:
    """Residual blocks without normalisation, whose last kernel begins at zero (Fixup)."""
    x = L.Conv2D(16, 3, padding="same")(x)
    for _ in range(3):
        branch = L.Conv2D(16, 3, padding="same", activation="relu")(L.ReLU()(x))
        x = L.Add()([x, L.Conv2D(16, 3, padding="same", kernel_initializer="zeros")(branch)])
    return L.Flatten()(x)


class Gain(keras.layers.Layer):
    """Multiplies by one weight that begins at zero (ReZero)."""

    def build(self, input_shape: Any) -> None:
        self.gain = self.add_weight(shape=(), initializer="zeros", name="gain")

    def call(self, x: Any) -> Any:
        return self.gain * x


def _gained_dense() -> Training:
    inputs = keras.Input((64,))
    x = L.Dense(48)(inputs)
    for _ in range(6):
        x = L.Add()([x, Gain()(L.Dense(48, "relu")(x))])
    return classify(keras.Model(inputs, L.Dense(10, "softmax")(x)), epochs=6)


def _zero_output_layer() -> Training:
    """The output begins at zero, so that nothing before it has a gradient in the first step."""
    model = digits_mlp()
    model.layers[-1].kernel_initializer = keras.initializers.Zeros()
    model = keras.models.clone_model(model)
    return classify(model, epochs=6)


def _concatenating(x: Any) -> Any:
    x = L.Conv2D(12, 3, padding="same", activation="relu")(x)
    for _ in range(4):
        new = L.Conv2D(8, 3, padding="same")(L.ReLU()(L.BatchNormalization()(x)))
        x = L.Concatenate()([x, new])
    return L.GlobalAveragePooling2D()(L.ReLU()(L.BatchNormalization()(x)))


def _u_net() -> Training:
    """Find the ink under noise; a constant reaches 0.64."""
    clean, _ = first(800, digit_images())
    noisy = clean + np.random.default_rng(0).normal(0, 0.3, clean.shape).astype(np.float32)
    conv = partial(L.Conv2D, kernel_size=3, padding="same", activation="leaky_relu")
    inputs = keras.Input((8, 8, 1))
    top = conv(12)(inputs)
    middle = conv(16)(L.MaxPooling2D()(top))
    bottom = conv(24)(L.MaxPooling2D()(middle))
    middle = conv(16)(L.Concatenate()([middle, L.UpSampling2D()(bottom)]))
    top = conv(12)(L.Concatenate()([top, L.Conv2DTranspose(12, 2, strides=2)(middle)]))
    model = keras.Model(inputs, L.Conv2D(1, 1, activation="sigmoid")(top))
    return decide(model, (noisy, (clean > 0.4).astype(np.float32)), epochs=10, optimizer=keras.optimizers.Adam(2e-3))


def _dilated() -> Training:
    """Causal convolutions with growing holes, as in WaveNet: gates of tanh and sigmoid."""
    inputs = keras.Input((40, 1))
    x = L.Conv1D(12, 1)(inputs)
    for holes in (1, 2, 4, 8):
        opened = L.Conv1D(12, 2, padding="causal", dilation_rate=holes, activation="tanh")(x)
        gate = L.Conv1D(12, 2, padding="causal", dilation_rate=holes, activation="sigmoid")(x)
        x = L.Add()([x, L.Conv1D(12, 1)(L.Multiply()([opened, gate]))])
    outputs = L.Dense(1)(L.Dense(24, "relu")(x[:, -1]))
    return predict(keras.Model(inputs, outputs), waves(), optimizer=keras.optimizers.Adam(3e-3), epochs=8)


_adam = partial(keras.optimizers.Adam, 3e-3)
CASES: tuple[Case, ...] = (
    Case(
        "cnn_plain",
        "plain convolutions",
        "after pooling and ReLU most entries are zero; borders of the images always are",
        lambda: _images(_plain, 10),
        learns=0.3,
    ),
    Case(
        "cnn_eight_layers",
        "plain convolutions",
        "gradient norms differ by layer: AUTOTRAINER and torchmortem compare the first with the last",
        lambda: _images(_eight_layers, 12, samples=700, optimizer=_adam()),
        learns=1.1,
    ),
    Case(
        "cnn_separable",
        "separable convolutions",
        "depthwise kernels have few weights and small norms",
        lambda: _images(_separable, 8, optimizer=_adam()),
        learns=0.4,
    ),
    Case(
        "cnn_inverted_bottlenecks",
        "separable convolutions",
        "linear layers one after another on purpose, ReLU6 at both ends",
        lambda: _images(_inverted_bottlenecks, 6, samples=800),
        learns=0.3,
    ),
    Case(
        "resnet",
        "residual",
        "skip connections make any gradient ratio of first to last layer meaningless",
        lambda: _images(_residual, 7, samples=640, optimizer=_adam()),
        learns=0.5,
    ),
    Case(
        "resnet_gamma_zero",
        "zero branches",
        _ZERO_BRANCH,
        lambda: _images(partial(_residual, gamma="zeros"), 9, samples=640, optimizer=_adam()),
        learns=0.6,
    ),
    Case("fixup_zero_kernels", "zero branches", _ZERO_BRANCH, lambda: _images(_pre_activated, 6), learns=0.4),
    Case("rezero_dense", "zero branches", _ZERO_BRANCH, _gained_dense, learns=0.3),
    Case(
        "zero_output_layer",
        "zero branches",
        "the first step gives no gradient to any hidden layer",
        _zero_output_layer,
        learns=0.4,
    ),
    Case(
        "densenet",
        "dense connections",
        "normalised concatenations: a layer's output is seen by many",
        lambda: _images(_concatenating, 7, samples=640, optimizer=_adam()),
        learns=0.9,
    ),
    Case("u_net", "u-net", "skips leave little for the bottom to do", _u_net, learns=0.25),
    Case("wavenet_gates", "dilated", "sigmoid gates and tanh that close", _dilated, learns=0.1),
)
