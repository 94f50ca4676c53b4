"""Learning rates that begin at zero, end at zero or fall by themselves: no update is then no fault."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import keras

from zoo.case import Case, Training
from zoo.data import digit_images
from zoo.healthy.tasks import classify, digits_mlp, first

L: Any = keras.layers
_STEPS = 57  # an epoch of the digits in batches of 32


def _small_cnn() -> Any:
    return keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            L.Conv2D(12, 3, activation="relu"),
            L.Conv2D(12, 3),
            L.ReLU(),
            L.Flatten(),
            L.Dense(10, "softmax"),
        ]
    )


def _warm_up_and_cosine() -> Training:
    rate = keras.optimizers.schedules.CosineDecay(0.0, decay_steps=5 * _STEPS, warmup_target=1e-2, warmup_steps=_STEPS)
    return classify(digits_mlp(), optimizer=keras.optimizers.Adam(rate), epochs=6)


def _by_epoch(rate: Callable[[int], float], epochs: int) -> Training:
    callbacks = [keras.callbacks.LearningRateScheduler(lambda epoch, _: rate(epoch))]
    optimizer = keras.optimizers.SGD(0.1, momentum=0.9)
    return classify(_small_cnn(), first(640, digit_images()), optimizer=optimizer, epochs=epochs, callbacks=callbacks)


def _decay(schedule: Any, epochs: int = 8) -> Training:
    return classify(digits_mlp(), optimizer=keras.optimizers.Adam(schedule), epochs=epochs)


def _plateau() -> Training:
    callbacks = [keras.callbacks.ReduceLROnPlateau(monitor="loss", factor=0.1, patience=1, min_delta=0.02, verbose=0)]
    return classify(digits_mlp(), optimizer=keras.optimizers.Adam(1e-2), epochs=14, callbacks=callbacks)


def _stopped_early() -> Training:
    callbacks = [keras.callbacks.EarlyStopping(monitor="loss", min_delta=0.03, restore_best_weights=True)]
    return classify(digits_mlp(), optimizer=keras.optimizers.Adam(3e-3), epochs=20, callbacks=callbacks)


_S = keras.optimizers.schedules
CASES: tuple[Case, ...] = (
    Case("warm_up_from_zero_then_cosine", "warm-up", "the first step changes nothing", _warm_up_and_cosine, learns=0.3),
    Case(
        "first_epoch_without_learning",
        "warm-up",
        "a linear warm-up by epoch: the whole first epoch has learning rate 0, so weights are unchanged",
        partial(_by_epoch, lambda epoch: min(epoch, 4) * 0.02, 8),
        learns=0.5,
    ),
    Case(
        "one_cycle",
        "warm-up",
        "a peak rate at which the loss goes up and down, then nearly none",
        partial(_by_epoch, lambda epoch: (0.01, 0.04, 0.08, 0.04, 0.02, 0.01, 1e-3, 1e-5)[epoch], 8),
        learns=0.4,
    ),
    Case(
        "exponential_decay_to_nothing",
        "decay",
        "for half of the training updates lie below any band of update:weight (TheDeepChecker, torchmortem 1e-5)",
        partial(_decay, _S.ExponentialDecay(2e-2, _STEPS, 0.15)),
        learns=0.5,
    ),
    Case(
        "polynomial_decay_to_zero",
        "decay",
        "learning rate exactly 0 in the second half of the training",
        partial(_decay, _S.PolynomialDecay(1e-2, 4 * _STEPS, 0.0)),
        learns=0.3,
    ),
    Case(
        "cosine_restarts",
        "decay",
        "the loss jumps at each restart",
        partial(_decay, _S.CosineDecayRestarts(2e-2, 2 * _STEPS, t_mul=1.0)),
        learns=0.2,
    ),
    Case(
        "reduced_on_plateaus",
        "plateau",
        "the rate falls to 1e-8 by itself, and the loss stands still",
        _plateau,
        learns=0.2,
    ),
    Case("stopped_early", "plateau", "ends before windows are full", _stopped_early, learns=0.3),
)
