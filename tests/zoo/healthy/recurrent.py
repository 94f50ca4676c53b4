"""Recurrent networks, whose gates open and close for good reasons, on sequences of equal and of unequal length."""

from __future__ import annotations

from functools import partial
from typing import Any

import keras
import numpy as np

from zoo.case import Case, Training
from zoo.data import first_matters, waves, written_lines
from zoo.healthy.tasks import classify, decide, first, predict

L: Any = keras.layers


def _next_value(*layers: Any, epochs: int = 8, rate: float = 1e-2) -> Training:
    """Sines; a constant reaches 0.5."""
    model = keras.Sequential([keras.Input((20, 1)), *layers, L.Dense(1)])
    x, y = first(640, waves(length=20))
    return predict(model, (x, y), optimizer=keras.optimizers.Adam(rate, clipnorm=1.0), epochs=epochs)


def _remembering() -> Training:
    """An LSTM that keeps the first entry: a forget gate at 1 is what solves it."""
    model = keras.Sequential([keras.Input((12, 1)), L.LSTM(16), L.Dense(1, "sigmoid")])
    x, y = first_matters(length=12)
    return decide(model, (x, y), optimizer=keras.optimizers.Adam(2e-2), epochs=10)


def _masked_lengths() -> Training:
    """Sines of which the end is missing, and masked."""
    x, y = first(640, waves(length=20))
    x = x.copy()
    for number, row in enumerate(x):
        row[: number % 10] = -9
    model = keras.Sequential([keras.Input((20, 1)), L.Masking(-9.0), L.GRU(16), L.Dense(1)])
    return predict(model, (x, y), optimizer=keras.optimizers.Adam(1e-2), epochs=10)


def _both_directions() -> Training:
    x, y = written_lines(length=24, count=800)
    model = keras.Sequential(
        [keras.Input((24,)), L.Embedding(128, 12, mask_zero=True), L.Bidirectional(L.LSTM(12)), L.Dense(1, "sigmoid")]
    )
    return decide(model, (x, y), optimizer=keras.optimizers.Adam(1e-2), epochs=9)


def _at_every_step() -> Training:
    """Class of each point of a sine: rising or falling; a layer is called at every time step."""
    x, _ = first(640, waves(length=20))
    y = (np.diff(x, axis=1, append=x[:, -1:] * 2 - x[:, -2:-1]) > 0).astype(np.int64)
    model = keras.Sequential(
        [
            keras.Input((20, 1)),
            L.GRU(16, return_sequences=True),
            L.TimeDistributed(L.Dense(12, "relu")),
            L.Dense(2, "softmax"),
        ]
    )
    return classify(model, (x, y), optimizer=keras.optimizers.Adam(1e-2), epochs=10)


_simple = partial(L.SimpleRNN, recurrent_initializer="orthogonal")
_GATES = "gates and candidate states sit at their limits in a trained network; torchmortem flags |a| > 0.95"
CASES: tuple[Case, ...] = (
    Case("lstm", "lstm", _GATES, lambda: _next_value(L.LSTM(16)), learns=0.05),
    Case("lstm_remembers_first", "lstm", _GATES, _remembering, learns=0.3),
    Case("gru_stacked", "gru", _GATES, lambda: _next_value(L.GRU(12, return_sequences=True), L.GRU(12)), learns=0.05),
    Case("gru_masked", "gru", "masked steps give zeros and no gradient", _masked_lengths, learns=0.1),
    Case("gru_at_every_step", "gru", _GATES, _at_every_step, learns=0.3),
    Case(
        "simple_rnn",
        "simple rnn",
        "tanh at every step, and gradients that fall with time",
        lambda: _next_value(_simple(24), rate=5e-3),
        learns=0.1,
    ),
    Case(
        "simple_rnn_relu",
        "simple rnn",
        "a recurrent ReLU: zero entries at many steps",
        lambda: _next_value(_simple(32, activation="relu"), rate=3e-3),
        learns=0.1,
    ),
    Case(
        "bidirectional_lstm_of_text",
        "text",
        "rows of the embedding that no line uses never change",
        _both_directions,
        learns=0.4,
    ),
)
