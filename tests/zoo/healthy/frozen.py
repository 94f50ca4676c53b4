"""Layers that are not trained, and second trainings of networks that are good already: little moves, as meant."""

from __future__ import annotations

from typing import Any

import keras

from zoo.case import Case, Training
from zoo.data import digit_images
from zoo.healthy.tasks import Data, centred, classify, digits_mlp, first

L: Any = keras.layers


def _classes(chosen: range) -> Data:
    x, y = centred()
    kept = (y >= chosen.start) & (y < chosen.stop)
    return x[kept], y[kept] - chosen.start


def _fitted(training: Training) -> Any:
    training.model.fit(**training.fit, verbose=0)
    return training.model


def _random_features() -> Training:
    model = digits_mlp(widths=(200, 48))
    model.layers[0].trainable = False
    return classify(model, epochs=6)


def _frozen_base() -> Training:
    """Digits from 5 to 9 by what was learnt from 0 to 4; a constant reaches 1.61."""
    base = _fitted(classify(digits_mlp(classes=5), _classes(range(5)), epochs=6))
    base.trainable = False
    inputs = keras.Input((64,))
    features = keras.Model(base.inputs, base.layers[-2].output)(inputs, training=False)
    return classify(
        keras.Model(inputs, L.Dense(5, "softmax")(features)),
        _classes(range(5, 10)),
        optimizer=keras.optimizers.Adam(1e-2),
        epochs=10,
    )


def _frozen_normalisation() -> Training:
    model = keras.Sequential([keras.Input((8, 8, 1))])
    for _ in range(2):
        model.add(L.Conv2D(16, 3, use_bias=False))
        model.add(L.BatchNormalization(momentum=0.8))
        model.add(L.ReLU())
    model.add(L.Flatten())
    model.add(L.Dense(10, "softmax"))
    data = first(900, digit_images())
    _fitted(classify(model, data, epochs=3))
    for layer in model.layers:
        layer.trainable = not isinstance(layer, L.BatchNormalization)
    return classify(model, data, optimizer=keras.optimizers.Adam(1e-4), epochs=4)


def _second_fit_with_a_small_rate() -> Training:
    model = _fitted(classify(digits_mlp(), epochs=8))
    return classify(model, optimizer=keras.optimizers.SGD(1e-4), epochs=6)


def _second_fit_continued() -> Training:
    """The same optimizer goes on: steps do not begin at 0."""
    training = classify(digits_mlp(), epochs=4)
    _fitted(training)
    return training


def _one_layer_after_the_other() -> Training:
    """Only the middle layer is trained, both ends are kept as an earlier training left them."""
    model = _fitted(classify(digits_mlp(widths=(48, 48)), epochs=2))
    model.layers[0].trainable = model.layers[2].trainable = False
    return classify(model, epochs=6)


_STILL = "weights that never change, as meant (SMD's UnchangedTensor)"
_SMALL = "updates below any fixed band of update:weight, and a loss that hardly falls any more"
CASES: tuple[Case, ...] = (
    Case("frozen_random_features", "frozen", _STILL, _random_features, learns=0.5),
    Case("frozen_base", "frozen", _STILL, _frozen_base, learns=0.6),
    Case("frozen_normalisation", "fine-tuning", _STILL, _frozen_normalisation, learns=0.3),
    Case("frozen_ends", "frozen", _STILL, _one_layer_after_the_other, learns=0.7),
    Case("fine_tuned_with_small_rate", "fine-tuning", _SMALL, _second_fit_with_a_small_rate, learns=0.25),
    Case(
        "second_fit",
        "fine-tuning",
        "the beginning of the record is not the beginning of the training",
        _second_fit_continued,
        learns=0.25,
    ),
)
