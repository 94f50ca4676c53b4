"""Small layers, narrow passages, kept layers and short trainings: few units, few steps, and it learns."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from zoo.case import Case, Training
from zoo.data import blobs, circles, digit_images, digits, scaled
from zoo.healthy.tasks import centred, classify, decide, digits_mlp, first, predict

L: Any = keras.layers


class SomeFarBelow(keras.initializers.Initializer):
    """Biases of 0.1, and of −9 for the first units: these never fire."""

    def __init__(self, count: int) -> None:
        self.count = count

    def __call__(self, shape: Any, dtype: Any = None) -> Any:
        return keras.ops.convert_to_tensor(np.where(np.arange(shape[0]) < self.count, -9.0, 0.1).astype(np.float32))


def _with_dead_units(units: int, dead: int) -> Training:
    below = SomeFarBelow(dead)
    model = keras.Sequential([keras.Input((64,)), L.Dense(48, "elu"), L.Dense(units, "relu", bias_initializer=below)])
    model.add(L.Dense(10, "softmax"))
    return classify(model, optimizer=keras.optimizers.Adam(5e-3), epochs=8)


def _dead_channel() -> Training:
    channels = L.Conv2D(8, 3, activation="relu", bias_initializer=SomeFarBelow(1))
    model = keras.Sequential([keras.Input((8, 8, 1)), channels])
    model.add(L.Flatten())
    model.add(L.Dense(10, "softmax"))
    return classify(model, first(900, digit_images()), optimizer=keras.optimizers.Adam(5e-3), epochs=8)


def _seldom_active() -> Training:
    """Units that fire for one sample in fifty: dead in most batches, and needed."""
    rng = np.random.default_rng(19)
    kind = rng.integers(0, 40, 1600)
    x = np.eye(40, dtype=np.float32)[kind] * 3 - 0.5
    y = np.sin(kind * 1.7).astype(np.float32)[:, None]
    detectors = L.Dense(40, "relu", kernel_initializer="identity", trainable=False)
    model = keras.Sequential([keras.Input((40,)), detectors, L.Dense(1)])
    return predict(model, (x, y), optimizer=keras.optimizers.Adam(1e-2))


def _relu_code(units: int) -> Training:
    """A code of few ReLU units between wider layers; a constant reaches 0.073."""
    x, _ = digits()
    code = [L.Dense(units), L.BatchNormalization(momentum=0.9), L.ReLU()]
    layers = [L.Dense(48, "elu"), *code, L.Dense(48, "elu"), L.Dense(64)]
    model = keras.Sequential([keras.Input((64,)), *layers])
    return predict(model, (x, x), optimizer=keras.optimizers.Adam(5e-3), epochs=12)


def _relu_passage() -> Training:
    """All ten classes pass five ReLU units."""
    alive = keras.initializers.Constant(1.0)
    model = keras.Sequential([keras.Input((64,)), L.Dense(48, "elu"), L.Dense(5, "relu", bias_initializer=alive)])
    model.add(L.Dense(48, "elu"))
    model.add(L.Dense(10, "softmax"))
    return classify(model, optimizer=keras.optimizers.Adam(3e-3), epochs=10)


def _mask_through_four_channels() -> Training:
    """Bright pixels of digits are found through four ReLU channels; a constant reaches 0.39."""
    x, _ = first(700, digit_images())
    y = (x > 0.4).astype(np.float32)
    model = keras.Sequential([keras.Input((8, 8, 1)), L.Conv2D(12, 3, padding="same", activation="elu")])
    model.add(L.Conv2D(4, 3, padding="same"))
    model.add(L.BatchNormalization(momentum=0.9))
    model.add(L.ReLU())
    model.add(L.Conv2D(1, 1, activation="sigmoid"))
    return decide(model, (x, y), optimizer=keras.optimizers.Adam(5e-3), epochs=8)


def _images_and_pretrained(epochs: int = 5) -> tuple[Any, Any]:
    images, y = first(900, digit_images())
    model = keras.Sequential([keras.Input((8, 8, 1))])
    for filters in (12, 16):
        model.add(L.Conv2D(filters, 3, activation="elu"))
    model.add(L.Flatten())
    model.add(L.Dense(10, "softmax"))
    classify(model, (images, y), optimizer=keras.optimizers.Adam(3e-3), epochs=epochs)
    model.fit(images, y, epochs=epochs, verbose=0)
    return model, (images, y)


def _upside_down() -> Training:
    """Digits turned over, by the frozen convolutions of digits that are not; a constant reaches 2.30."""
    model, (images, y) = _images_and_pretrained()
    for layer in model.layers[:2]:
        layer.trainable = False
    return classify(model, (images[:, ::-1], y), optimizer=keras.optimizers.Adam(3e-3), epochs=8)


def _biases_only() -> Training:
    """Only biases and scales are trained, all kernels are kept; a constant reaches 2.30."""
    model, (images, y) = _images_and_pretrained(2)
    bare = keras.Sequential([keras.Input((8, 8, 1))])
    for layer in model.layers:
        layer.trainable = False
        bare.add(layer)
        if isinstance(layer, L.Conv2D):
            bare.add(L.BatchNormalization(momentum=0.9))
    return classify(bare, (images + 0.3, y), optimizer=keras.optimizers.Adam(1e-2), epochs=8)


class Adapted(keras.layers.Layer):
    """A frozen kernel and a narrow way around it, the second half of which begins at zero."""

    def __init__(self, dense: Any, rank: int, **keywords: Any) -> None:
        super().__init__(**keywords)
        self.dense, self.down = dense, L.Dense(rank, use_bias=False)
        self.up = L.Dense(dense.units, use_bias=False, kernel_initializer="zeros")
        dense.trainable = False

    def call(self, x: Any) -> Any:
        return self.dense(x) + self.up(self.down(x))


def _adapted() -> Training:
    """The first half of an adapter has no gradient at the first step, since the second is zero."""
    base = digits_mlp(activation="elu")
    classify(base, epochs=4)
    x, y = centred()
    base.fit(x, y, epochs=4, verbose=0)
    adapted = [Adapted(layer, 6) for layer in base.layers[:-1]]
    model = keras.Sequential([keras.Input((64,)), *adapted, L.Dense(10, "softmax")])
    return classify(model, (x[:, ::-1], y), optimizer=keras.optimizers.Adam(1e-2), epochs=8)


def _one_short_epoch() -> Training:
    """Twenty-five steps of one epoch; a constant reaches 1.39."""
    data = blobs(800, 4, 6, 3.0)
    model = keras.Sequential([keras.Input((6,)), L.Dense(32, "elu"), L.Dense(4, "softmax")])
    return classify(model, data, optimizer=keras.optimizers.Adam(2e-2), epochs=1)


def _three_short_epochs() -> Training:
    x, y = first(320, circles(noise=0.05))
    model = keras.Sequential([keras.Input((2,)), L.Dense(48, "relu"), L.Dense(24, "elu"), L.Dense(1, "sigmoid")])
    return decide(model, (x, y), optimizer=keras.optimizers.Adam(3e-2), epochs=3, batch_size=16)


def _one_step_epochs() -> Training:
    """One step an epoch: each epoch's loss is that of one batch before it is learnt from."""
    x, y = scaled("iris")
    model = keras.Sequential([keras.Input((4,)), L.Dense(16, "tanh"), L.Dense(3, "softmax")])
    return classify(model, (x, y), optimizer=keras.optimizers.Adam(3e-2), epochs=40, batch_size=150)


_DEAD = "units that never fire, fewer than a quarter of the layer"
_NARROW = "a passage of few ReLU units, each of which is silent for half of the samples"
_KEPT = "layers that are kept as they are, on purpose"
_SHORT = "over before anything is certain"
CASES: tuple[Case, ...] = (
    Case("two_dead_of_twelve", "dead units", _DEAD, lambda: _with_dead_units(12, 2), learns=0.5),
    Case("one_dead_of_eight", "dead units", _DEAD, lambda: _with_dead_units(8, 1), learns=0.6),
    Case("one_dead_channel_of_eight", "dead units", _DEAD, _dead_channel, learns=0.5),
    Case("units_for_one_in_forty", "dead units", "most units are silent in most batches", _seldom_active, learns=0.15),
    Case("code_of_six_relus", "narrow passages", _NARROW, lambda: _relu_code(6), learns=0.05),
    Case("passage_of_five_relus", "narrow passages", _NARROW, _relu_passage, learns=0.6),
    Case("mask_through_four_relus", "narrow passages", _NARROW, _mask_through_four_channels, learns=0.2),
    Case("digits_upside_down", "kept layers", _KEPT, _upside_down, learns=0.6),
    Case("biases_and_scales_only", "kept layers", _KEPT, _biases_only, learns=1.0),
    Case("narrow_adapters", "kept layers", "half of each adapter has no gradient at first", _adapted, learns=0.9),
    Case("one_short_epoch", "short trainings", _SHORT, _one_short_epoch, learns=0.9),
    Case("three_short_epochs", "short trainings", _SHORT, _three_short_epochs, learns=0.4),
    Case("one_step_an_epoch", "short trainings", _SHORT, _one_step_epochs, learns=0.5),
)
