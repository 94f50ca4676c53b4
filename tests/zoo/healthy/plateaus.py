"""Losses that stand for epochs, or go up, before they fall: what is learnt comes late, and it comes."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from zoo.case import Case, Training
from zoo.data import digit_images
from zoo.healthy.tasks import Data, centred, classify, decide, digits_mlp, first, predict

L: Any = keras.layers


def _signs(count: int, bits: int) -> Data:
    """Signs, and whether they have an even number of minus: no bit tells anything by itself."""
    x = np.random.default_rng(1).choice([-1.0, 1.0], (count, bits)).astype(np.float32)
    return x, (x.prod(1) > 0).astype(np.float32)[:, None]


def _parity(bits: int, epochs: int, rate: float) -> Training:
    model = keras.Sequential([keras.Input((bits,)), L.Dense(48, "tanh"), L.Dense(48, "tanh"), L.Dense(1, "sigmoid")])
    return decide(model, _signs(1200, bits), optimizer=keras.optimizers.Adam(rate), epochs=epochs)


def _parity_in_time() -> Training:
    x, y = _signs(1000, 4)
    model = keras.Sequential([keras.Input((4, 1)), L.GRU(20), L.Dense(1, "sigmoid")])
    return decide(model, (x[..., None], y), optimizer=keras.optimizers.Adam(1e-2), epochs=20)


def _deep_and_small() -> Training:
    """Three linear layers of small weights learn one direction after the other; a constant reaches 1."""
    rng = np.random.default_rng(2)
    x = rng.normal(0, 1, (800, 12)).astype(np.float32)
    y = x @ np.linalg.qr(rng.normal(0, 1, (12, 12)))[0][:, :4].astype(np.float32)
    small = keras.initializers.RandomNormal(stddev=0.03)
    layers = [L.Dense(16, kernel_initializer=small) for _ in range(2)]
    model = keras.Sequential([keras.Input((12,)), *layers, L.Dense(4, kernel_initializer=small)])
    return predict(model, (x, y), optimizer=keras.optimizers.SGD(0.05), epochs=24)


def _warm_up(of_all: float) -> Training:
    """The rate grows from zero over a share of all steps, and falls over the rest."""
    steps = 10 * 57
    warm = int(of_all * steps)
    rate = keras.optimizers.schedules.CosineDecay(0.0, steps - warm, warmup_target=0.1, warmup_steps=warm)
    return classify(digits_mlp(), optimizer=keras.optimizers.SGD(rate, momentum=0.9), epochs=10)


class Noam(keras.optimizers.schedules.LearningRateSchedule):
    """The rate of the first transformer: linear warm-up, then the inverse square root of the step."""

    def __init__(self, width: int, warm: int) -> None:
        self.width, self.warm = width, warm

    def __call__(self, step: Any) -> Any:
        step = keras.ops.cast(step, "float32") + 1
        return self.width**-0.5 * keras.ops.minimum(step**-0.5, step * self.warm**-1.5)


def _noam() -> Training:
    x, y = first(900, digit_images())
    inputs = keras.Input((8, 8, 1))
    state = L.Dense(16)(L.Reshape((8, 8))(inputs))
    state = L.LayerNormalization()(state + L.MultiHeadAttention(2, 8)(state, state))
    state = L.LayerNormalization()(state + L.Dense(16)(L.Dense(32, "relu")(state)))
    model = keras.Model(inputs, L.Dense(10, "softmax")(L.Flatten()(state)))
    return classify(model, (x, y), optimizer=keras.optimizers.Adam(Noam(16, 200)), epochs=10)


def _remainders(kept: float) -> Training:
    """(a + b) modulo 11: what is shown is learnt long before what is held back; a constant reaches 2.40."""
    pairs = np.stack(np.meshgrid(np.arange(11), np.arange(11)), -1).reshape(-1, 2)
    pairs = np.random.default_rng(3).permutation(pairs)
    y = pairs.sum(1) % 11
    cut = int(kept * len(pairs))
    inputs = keras.Input((2,), dtype="int32")
    body = L.Dense(96, "relu")(L.Flatten()(L.Embedding(11, 24)(inputs)))
    rate = keras.optimizers.AdamW(1e-2, weight_decay=0.05)
    shown, held_back = (pairs[:cut], y[:cut]), (pairs[cut:], y[cut:])
    model = keras.Model(inputs, L.Dense(11, "softmax")(body))
    return classify(model, shown, optimizer=rate, epochs=40, batch_size=16, validation_data=held_back)


def _random_labels() -> Training:
    """Nothing can be learnt but by heart, and it is; a constant reaches 1.61."""
    rng = np.random.default_rng(4)
    x, y = rng.normal(0, 1, (240, 24)).astype(np.float32), rng.integers(0, 5, 240)
    model = keras.Sequential([keras.Input((24,)), L.Dense(96, "relu"), L.Dense(96, "relu"), L.Dense(5, "softmax")])
    rate = keras.optimizers.Adam(3e-3)
    return classify(model, (x, y), optimizer=rate, epochs=35, batch_size=24, validation_split=0.15)


def _again_with_a_warm_rate() -> Training:
    """Fitted with a rate that fell to nothing, then again with the first rate: the loss jumps at once."""
    fall = keras.optimizers.schedules.CosineDecay(2e-2, 4 * 57)
    training = classify(digits_mlp(), optimizer=keras.optimizers.Adam(fall), epochs=4)
    training.model.fit(**training.fit, verbose=0)
    return classify(training.model, optimizer=keras.optimizers.Adam(2e-2), epochs=8)


def _warm_restarts_of_momentum() -> Training:
    rate = keras.optimizers.schedules.CosineDecayRestarts(0.15, 57, t_mul=2.0, m_mul=0.9, alpha=1e-3)
    return classify(digits_mlp(), optimizer=keras.optimizers.SGD(rate, momentum=0.9), epochs=7)


def _restarted_from_noise() -> Training:
    """Weights of an earlier training, shaken: the loss begins ten times above where that had ended."""
    model = digits_mlp()
    classify(model, epochs=6)
    model.fit(*centred(), epochs=6, verbose=0)
    rng = np.random.default_rng(5)
    model.set_weights([w + rng.normal(0, 0.15, w.shape) for w in model.get_weights()])
    return classify(model, epochs=5)


def _spiked(factor: float, every: int) -> Training:
    """Some batches have inputs a `factor` too large, as a sensor's glitch: the loss jumps there and comes back."""
    x, y = (np.array(part) for part in centred())
    glitched = np.flatnonzero(np.arange(len(x)) // 32 % every == every // 2)
    x[glitched] *= factor
    rate = keras.optimizers.Adam(1e-3, global_clipnorm=1.0)
    return classify(digits_mlp(), (x, y), optimizer=rate, epochs=10, shuffle=False)


class OneLeap(keras.callbacks.Callback):
    """One step at a rate so large that the loss is as at the start after it."""

    def __init__(self, at: int, rate: float) -> None:
        super().__init__()
        self.at, self.rate, self.step = at, rate, 0

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        optimizer: Any = self.model.optimizer
        if self.step == self.at:
            self.usual = float(optimizer.learning_rate)
            optimizer.learning_rate = self.rate
        elif self.step == self.at + 1:
            optimizer.learning_rate = self.usual
        self.step += 1


def _one_leap() -> Training:
    rate = keras.optimizers.Adam(3e-3)
    return classify(digits_mlp(activation="elu"), optimizer=rate, epochs=8, callbacks=[OneLeap(130, 0.3)])


_STANDS = "for epochs the loss is that of a constant answer, and flat"
_SLOW = "the loss hardly moves while the rate grows, for longer than most rules wait"
_HELD_BACK = "the loss on what is held back stays at chance for most of it"
_JUMPS = "the loss jumps, and comes back"
CASES: tuple[Case, ...] = (
    Case("parity_of_four", "late start", _STANDS, lambda: _parity(4, 20, 3e-3), learns=0.2),
    Case("parity_of_five", "late start", _STANDS, lambda: _parity(5, 30, 2e-3), learns=0.2),
    Case("parity_in_time", "late start", _STANDS, _parity_in_time, learns=0.2),
    Case("deep_linear_small_weights", "saddles", "steps down from one saddle to the next", _deep_and_small, learns=0.2),
    Case("warm_up_of_a_third", "warm-up", _SLOW, lambda: _warm_up(0.35), learns=0.3),
    Case("warm_up_of_two_thirds", "warm-up", _SLOW, lambda: _warm_up(0.7), learns=0.3),
    Case("warm_up_inverse_root", "warm-up", _SLOW, _noam, learns=0.5),
    Case("remainders_half_held_back", "grokking", _HELD_BACK, lambda: _remainders(0.5), learns=0.3),
    Case("remainders_most_shown", "grokking", _HELD_BACK, lambda: _remainders(0.8), learns=0.3),
    Case("labels_by_heart", "grokking", _HELD_BACK, _random_labels, learns=0.4),
    Case("restart_with_warm_rate", "restarts", _JUMPS, _again_with_a_warm_rate, learns=0.2),
    Case("restarts_of_momentum", "restarts", _JUMPS, _warm_restarts_of_momentum, learns=0.3),
    Case("restart_from_shaken_weights", "restarts", _JUMPS, _restarted_from_noise, learns=0.2),
    Case("glitches_in_the_data", "spikes", _JUMPS, lambda: _spiked(20.0, 28), learns=1.0),
    Case("one_leap_of_the_rate", "spikes", _JUMPS, _one_leap, learns=0.4),
)
