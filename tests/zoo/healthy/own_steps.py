"""Steps of one's own that return another loss than the one trained on, and sequences of which a part is masked."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from zoo.case import Case, Training
from zoo.healthy.tasks import Data, centred

L: Any = keras.layers


class ReturnsAnother(keras.Model):
    """Trains on the mean loss and returns what `told` makes of it, the squared answers and the size of the batch."""

    told: Any = None

    def train_step(self, data: Data) -> dict[str, Any]:
        x, y = data
        with tf.GradientTape() as tape:
            answers = self(x, training=True)
            loss = self.compute_loss(x, y, answers)
        self.optimizer.apply(tape.gradient(loss, self.trainable_variables), self.trainable_variables)
        return type(self).told(loss, answers, tf.cast(tf.shape(x)[0], tf.float32))


class Summed(ReturnsAnother):
    """Returns the sum over the batch of what it trains on the mean of."""

    @staticmethod
    def told(loss: Any, answers: Any, count: Any) -> dict[str, Any]:
        return {"loss": loss * count}


class WithSharpness(ReturnsAnother):
    """Returns a loss plus how unsure the answers are."""

    @staticmethod
    def told(loss: Any, answers: Any, count: Any) -> dict[str, Any]:
        unsure = 1 - tf.reduce_mean(tf.reduce_max(answers, -1))
        return {"loss": loss + 2 * unsure, "unsure": unsure}


class InPercent(ReturnsAnother):
    """Returns a hundred times the loss that it trains on."""

    @staticmethod
    def told(loss: Any, answers: Any, count: Any) -> dict[str, Any]:
        return {"loss": 100 * loss}


class Nameless(ReturnsAnother):
    """Returns its loss under a name of its own; Keras' own tracker of a loss is left at 0."""

    @staticmethod
    def told(loss: Any, answers: Any, count: Any) -> dict[str, Any]:
        return {"objective": loss}


def _returning(kind: type[ReturnsAnother]) -> Training:
    inputs = keras.Input((64,))
    model = kind(inputs, L.Dense(10, "softmax")(L.Dense(48, "elu")(inputs)))
    model.compile(keras.optimizers.Adam(2e-3), "sparse_categorical_crossentropy")
    x, y = centred()
    return Training(model, {"x": x, "y": y, "epochs": 8, "batch_size": 32})


class EveryOther(keras.Model):
    """Two losses by turns: the class in even steps, the picture in odd ones."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.answer, self.picture = L.Dense(48, "elu"), L.Dense(10), L.Dense(64)
        self.mean_loss = keras.metrics.Mean(name="loss")

    @property
    def metrics(self) -> list[Any]:
        return [self.mean_loss]

    def call(self, x: Any) -> Any:
        body = self.body(x)
        return self.answer(body), self.picture(body)

    def train_step(self, data: Data) -> dict[str, Any]:
        x, y = data
        even = tf.cast(self.optimizer.iterations % 2, tf.float32)
        with tf.GradientTape() as tape:
            answer, picture = self(x, training=True)
            classes = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(y, answer))
            loss = (1 - even) * classes + even * 5 * tf.reduce_mean((picture - x) ** 2)
        self.optimizer.apply(tape.gradient(loss, self.trainable_variables), self.trainable_variables)
        self.mean_loss.update_state(loss)
        return {"loss": self.mean_loss.result()}


def _every_other() -> Training:
    """A constant reaches about 1.3: the mean of 2.30 and five times 0.073."""
    model = EveryOther()
    model.compile(keras.optimizers.Adam(2e-3))
    x, y = centred()
    return Training(model, {"x": x, "y": y, "epochs": 9, "batch_size": 32})


def _sequences(count: int = 900, length: int = 16) -> tuple[Any, Any, Any]:
    """Numbers, of which a row has as many as it has, and the sign of their sum after each; and how many."""
    rng = np.random.default_rng(20)
    counts = rng.integers(3, length + 1, count)
    x = rng.normal(0, 1, (count, length, 1)).astype(np.float32)
    x[np.arange(length) >= counts[:, None]] = 0.0
    return x, (x.cumsum(1) > 0).astype(np.float32), counts


def _masked_end() -> Training:
    """The sign of the whole sum, after a mask; a constant reaches 0.69."""
    x, y, _ = _sequences()
    model = keras.Sequential([keras.Input((16, 1)), L.Masking(0.0), L.GRU(16), L.Dense(1, "sigmoid")])
    model.compile(keras.optimizers.Adam(1e-2), "binary_crossentropy")
    return Training(model, {"x": x, "y": y[:, -1], "epochs": 8, "batch_size": 32})


def _masked_steps() -> Training:
    """The sign after every number; what is behind the end has weight 0, which is 40 in 100 of all steps."""
    x, y, counts = _sequences()
    weights = (np.arange(16) < counts[:, None]).astype(np.float32)
    model = keras.Sequential([keras.Input((16, 1)), L.LSTM(16, return_sequences=True), L.Dense(1, "sigmoid")])
    model.compile(keras.optimizers.Adam(1e-2), "binary_crossentropy")
    return Training(model, {"x": x, "y": y, "sample_weight": weights, "epochs": 8, "batch_size": 32})


def _masked_words() -> Training:
    """Words of unlike length, padded with zeros that the embedding masks; a constant reaches 0.69."""
    rng = np.random.default_rng(21)
    counts = rng.integers(2, 13, 1000)
    x = rng.integers(1, 40, (1000, 12)) * (np.arange(12) < counts[:, None])
    good = np.where(x > 0, np.where(x % 3 == 0, 1.0, -0.6), 0.0).sum(1)
    model = keras.Sequential([keras.Input((12,), dtype="int32"), L.Embedding(40, 8, mask_zero=True)])
    model.add(L.GlobalAveragePooling1D())
    model.add(L.Dense(16, "elu"))
    model.add(L.Dense(1, "sigmoid"))
    model.compile(keras.optimizers.Adam(1e-2), "binary_crossentropy")
    return Training(model, {"x": x, "y": (good > 0).astype(np.float32)[:, None], "epochs": 10, "batch_size": 32})


_ANOTHER = "what it returns is not what it trains on, nor of its size"
_MASKED = "a part of each sequence has no loss and no gradient"
CASES: tuple[Case, ...] = (
    Case("step_returns_a_sum", "own steps", _ANOTHER, lambda: _returning(Summed), learns=10.0),
    Case("step_returns_more", "own steps", _ANOTHER, lambda: _returning(WithSharpness), learns=1.0),
    Case("step_returns_percent", "own steps", _ANOTHER, lambda: _returning(InPercent), learns=30.0),
    Case("step_returns_other_names", "own steps", "no log is called loss", lambda: _returning(Nameless), learns=0.3),
    Case("losses_by_turns", "own steps", "the loss of every other step is another one", _every_other, learns=0.4),
    Case("masked_end", "masks", _MASKED, _masked_end, learns=0.3),
    Case("masked_steps", "masks", _MASKED, _masked_steps, learns=0.2),
    Case("masked_words", "masks", _MASKED, _masked_words, learns=0.3),
)
