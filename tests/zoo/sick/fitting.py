"""Cases in which data, loss and output do not fit: scales, domains, labels out of range, outputs that drown, shapes
that broadcast."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from zoo.case import Case, Training
from zoo.data import digit_images, digits, friedman, lines_of_text, scaled, waves
from zoo.sick.nets import CLASSES, SPARSE, dense, logged, stack, training

HELD = frozenset(
    {"not_converging", "slow_convergence", "update_ratio", "unchanged_weights", "vanishing_gradient", "nan_or_inf"}
    | {"exploding_gradient", "exploding_activation", "dying_relu", "saturated_activation", "vanishing_activation"}
    | {"collapsed_output", "oscillating_loss", "blocked_gradient", "not_zero_centred", "poor_initialisation"}
    | {"output_loss_mismatch", "input_scale", "target_scale"}
)

# ---------------------------------------------------------------------------------------------------------- scales


def _series(layer: Callable[[], Any], in_scale: float, out_scale: float) -> Callable[[], Training]:
    """Forecast a wave around a level, as a sensor gives it, inputs and targets each times their scale."""

    def build() -> Training:
        x, y = waves(length=12)
        model = stack((12, 1), layer(), keras.layers.Dense(1))
        data = (in_scale * (2 + x), out_scale * (2 + y))
        return training(model, keras.optimizers.Adam(1e-3), "mse", data, epochs=4)

    return build


def _attention_on_a_table(in_scale: float, out_scale: float) -> Callable[[], Training]:
    """Attend over the columns of a table as over a sequence."""

    def build() -> Training:
        x, y = friedman()
        inputs = keras.Input((10, 1))
        projected = keras.layers.Dense(8)(inputs) if in_scale == 1 else inputs
        attended = keras.layers.MultiHeadAttention(2, 4)(projected, projected)
        model = keras.Model(inputs, keras.layers.Dense(1)(keras.layers.Flatten()(attended)))
        data = (np.float32(in_scale) * x[:, :, None], np.float32(out_scale) * y)
        return training(model, keras.optimizers.Adam(1e-3), "mse", data, epochs=4)

    return build


def _embedding_for_counts() -> Training:
    x, _ = lines_of_text(length=20)
    longest = (1000.0 * (x > 96).sum(1, keepdims=True)).astype(np.float32)
    model = keras.Sequential(
        [
            keras.Input((20,), dtype="int32"),
            keras.layers.Embedding(128, 8),
            keras.layers.GlobalAveragePooling1D(),
            keras.layers.Dense(1),
        ]
    )
    return training(model, "adam", "mse", (x, longest), epochs=4)


def _table_beside_text() -> Training:
    """A second input of large numbers drowns what is embedded."""
    x, y = lines_of_text(length=20)
    numbers = np.random.default_rng(0).normal(5000, 2000, (len(x), 4)).astype(np.float32)
    tokens, table = keras.Input((20,), dtype="int32"), keras.Input((4,))
    pooled = keras.layers.GlobalAveragePooling1D()(keras.layers.Embedding(128, 8)(tokens))
    joined = keras.layers.Dense(8, activation="tanh")(keras.layers.Concatenate()([pooled, table]))
    model = keras.Model([tokens, table], keras.layers.Dense(1, activation="sigmoid")(joined))
    return training(model, "adam", "binary_crossentropy", ([x, numbers], y[:, None]), epochs=4)


def _scaled_twice(rescaling: Callable[[], Any]) -> Callable[[], Training]:
    """Give a frozen base, which rescales by itself, what was rescaled before."""

    def build() -> Training:
        x, y = digit_images()
        base = stack(
            (8, 8, 1),
            rescaling(),
            keras.layers.Conv2D(8, 3, activation="tanh", bias_initializer="ones"),
            keras.layers.GlobalAveragePooling2D(),
        )
        base.trainable = False
        inputs = keras.Input((8, 8, 1))
        model = keras.Model(inputs, keras.layers.Dense(CLASSES, activation="softmax")(base(inputs)))
        return training(model, "adam", SPARSE, (x, y), epochs=4)

    return build


# --------------------------------------------------------------------------------------------------------- domains


def _domain(loss: Any, activation: str, units: int, kind: str = "shares") -> Callable[[], Training]:
    """Put an output function before a loss that is defined elsewhere, or labels that it does not take."""

    def build() -> Training:
        x, y = digits()
        truth: Any = {
            "shares": lambda: np.eye(CLASSES, dtype=np.float32)[y][:, :units],
            "counts": lambda: np.floor(8 * x[:, 20 : 20 + units]),
            "signs": lambda: np.where(y > 4, 1.0, -1.0)[:, None],
            "bytes": lambda: 255.0 * (x[:, 20 : 20 + units] > 0.5),
            "halves": lambda: (y > 4)[:, None] * 1.0,
            "gaps": lambda: x[:, 20 : 20 + units],
        }[kind]()
        model = stack((64,), *dense(24, "relu", 1), keras.layers.Dense(units, activation=activation))
        return training(model, keras.optimizers.Adam(0.01), loss, (x, truth.astype(np.float32)), epochs=4)

    return build


DOMAINS: tuple[tuple[str, str, Callable[[], Training]], ...] = (
    ("poisson of a linear output", "counts", _domain("poisson", "linear", 4, "counts")),
    ("logarithmic squares of a linear output", "logarithms", _domain("msle", "linear", 4, "counts")),
    ("percentages of zeros", "logarithms", _domain("mape", "linear", 4, "gaps")),
    ("divergence of a linear output", "divergences", _domain("kl_divergence", "linear", CLASSES)),
    ("binary entropy of a linear output", "binary", _domain("binary_crossentropy", "linear", 1, "halves")),
    ("binary focal entropy of a tanh", "binary", _domain("binary_focal_crossentropy", "tanh", 1, "halves")),
    ("categorical entropy of a linear output", "divergences", _domain("categorical_crossentropy", "linear", CLASSES)),
    ("categorical focal entropy of a tanh", "divergences", _domain("categorical_focal_crossentropy", "tanh", CLASSES)),
    ("dice of a linear output", "overlaps", _domain("dice", "linear", CLASSES)),
    ("tversky of a tanh", "overlaps", _domain("tversky", "tanh", CLASSES)),
    ("entropy of labels minus one and one", "below zero", _domain("binary_crossentropy", "sigmoid", 1, "signs")),
    ("entropy of bytes", "below zero", _domain("binary_crossentropy", "sigmoid", 4, "bytes")),
    ("categorical entropy over one unit", "one unit", _domain("categorical_crossentropy", "softmax", 1, "halves")),
    ("cosine over one unit", "one unit: angles", _domain("cosine_similarity", "linear", 1, "halves")),
)  # fmt: skip


# ------------------------------------------------------------------------------------------------ labels and codes


def _by_xla(made: Training) -> Training:
    """Compile as Keras does on a GPU, where an index out of range raises nothing."""
    made.model.compile(made.model.optimizer, made.model.loss, jit_compile=True)
    return made


def _labels(shift: int, gaps: int | None = None) -> Callable[[], Training]:
    def build() -> Training:
        x, y = digits()
        y = y + shift
        if gaps is not None:
            y[::40] = gaps
        model = stack((64,), *dense(24, "relu", 1), keras.layers.Dense(CLASSES, activation="softmax"))
        return _by_xla(training(model, "adam", SPARSE, (x, y), epochs=3))

    return build


def _codes(vocabulary: int) -> Training:
    x, y = lines_of_text(length=20)
    model = keras.Sequential(
        [
            keras.Input((20,), dtype="int32"),
            keras.layers.Embedding(vocabulary, 8),
            keras.layers.GlobalAveragePooling1D(),
            keras.layers.Dense(1, activation="sigmoid"),
        ]
    )
    return _by_xla(training(model, "adam", "binary_crossentropy", (x, y[:, None]), epochs=3))


# --------------------------------------------------------------------------------------------------------- outputs


def _two_answers(first: Any, second: Any, losses: dict[str, Any], **weights: float) -> Callable[[], Training]:
    """Two heads on one narrow trunk, of which the first one's loss is thousands of times the other's."""

    def build() -> Training:
        x, y = digits()
        inputs = keras.Input((64,))
        hidden = keras.layers.Dense(12, activation="tanh", name="trunk")(inputs)
        answers = {
            "size": keras.layers.Dense(1, name="size")(hidden),
            "digit": keras.layers.Dense(CLASSES, activation="softmax", name="digit")(hidden),
        }
        truth = {"size": first(x), "digit": second(y)}
        model = keras.Model(inputs, answers)
        model.compile(keras.optimizers.SGD(1e-4), losses, loss_weights=weights or None)
        return Training(model, {"x": x, "y": truth, "epochs": 6, "batch_size": 64})

    return build


# ---------------------------------------------------------------------------------------------------- broadcasting


class ByHand(keras.Sequential):
    """A training step whose difference of ``(n, 1)`` and ``(n,)`` is ``(n, n)``."""

    def __init__(self, layers: Any, difference: Callable[[Any, Any], Any], *, counted: bool) -> None:
        super().__init__(layers)
        self._difference, self._counted = difference, counted

    def train_step(self, data: Any) -> dict[str, Any]:
        x, y = data
        with tf.GradientTape() as tape:
            loss = self._difference(tf.cast(tf.reshape(y, (-1,)), tf.float32), self(x, training=True))
        self.optimizer.apply(tape.gradient(loss, self.trainable_variables), self.trainable_variables)
        return logged(self, loss) if self._counted else {"loss": loss}


def _broadcast(difference: Callable[[Any, Any], Any], *, counted: bool = True, binary: bool = False) -> Any:
    def build() -> Training:
        x, y = scaled("breast_cancer") if binary else friedman()
        y = y.astype(np.float32).reshape(-1, 1) if binary else (y - y.mean()) / y.std()
        layers = [keras.Input((x.shape[1],)), *dense(24, "tanh", 1)]
        layers.append(keras.layers.Dense(1, activation="sigmoid" if binary else None))
        loss = "binary_crossentropy" if binary else "mse"
        model = ByHand(layers, difference, counted=counted)
        return training(model, keras.optimizers.Adam(0.01), loss, (x, y), batch_size=32, epochs=6)

    return build


def _squares(truth: Any, guess: Any) -> Any:
    return tf.reduce_mean(tf.square(truth - guess))


def _entropy(truth: Any, guess: Any) -> Any:
    kept = tf.clip_by_value(guess, 1e-6, 1 - 1e-6)
    return -tf.reduce_mean(truth * tf.math.log(kept) + (1 - truth) * tf.math.log(1 - kept))


SERIES = "keras-team/keras issue 1727: a series as measured, of which a recurrent layer predicts a constant; here "
RECURRENT: tuple[tuple[str, str, Callable[[], Any]], ...] = (
    ("SimpleRNN", "plain", lambda: keras.layers.SimpleRNN(12)),
    ("LSTM", "gated", lambda: keras.layers.LSTM(12)),
    ("GRU", "gated", lambda: keras.layers.GRU(12)),
)


def _with_bounded_targets(x: Any) -> Any:
    return (1000 * x.mean(1, keepdims=True)).astype(np.float32)


CASES = (
    *(
        Case(f"raw series into {name}", f"raw inputs: {kind}", SERIES + name, _series(layer, 40.0, 1.0),
             {"input_scale": ()}, HELD)
        for name, kind, layer in RECURRENT
    ),
    *(
        Case(f"raw targets of {name}", f"raw targets: {kind}", SERIES + name, _series(layer, 1.0, 200.0),
             {"target_scale": (), "not_converging": ()}, HELD)
        for name, kind, layer in RECURRENT[:2]
    ),
    Case("raw table into attention", "raw inputs: attention", SERIES + "attention", _attention_on_a_table(500.0, 0.1),
         {"input_scale": ()}, HELD),
    Case("raw targets of attention", "raw targets: attention", SERIES + "attention", _attention_on_a_table(1.0, 1000.0),
         {"target_scale": (), "not_converging": ()}, HELD),
    Case("raw targets of embeddings", "raw targets: embeddings", SERIES + "an embedding", _embedding_for_counts,
         {"target_scale": (), "not_converging": ()}, HELD),
    Case("raw table beside text", "raw inputs: several", "made for the zoo: two inputs, one of them as measured",
         _table_beside_text, {"input_scale": ()}, HELD),
    *(
        Case(name, "scaled twice", "tensorflow/tensorflow issue 48412: a base that rescales by itself",
             _scaled_twice(layer), {"input_scale": (), "not_converging": ()}, HELD)
        for name, layer in (
            ("rescaled to bytes' share twice", lambda: keras.layers.Rescaling(1 / 255)),
            ("normalised twice", lambda: keras.layers.Normalization(mean=0.0, variance=4e4)),
        )
    ),
    *(
        Case(name, f"loss and output: {kind}", "keras-team/keras issues 590, 14729, 18886: outside of the domain",
             build, {"output_loss_mismatch": ("dense_1",)}, HELD)
        for name, kind, build in DOMAINS
    ),
    *(
        Case(name, f"out of range: {kind}", source, build, {"index_out_of_range": (layer,)}, HELD)
        for name, kind, layer, source, build in (
            ("labels from one", "labels", "dense_1", "keras-team/keras issue 11786: labels 1 to n", _labels(1)),
            ("labels of minus one", "labels", "dense_1", "made for the zoo: -1 for what is not known", _labels(0, -1)),
            ("codes beyond the vocabulary", "codes", "embedding", "made for the zoo: a vocabulary too small",
             lambda: _codes(100)),
        )
    ),
    *(
        Case(name, f"one of two drowns: {kind}", "keras-team/keras issue 10306: one output's loss is most of the sum",
             build, {"not_converging": ("digit",)}, HELD)
        for name, kind, build in (
            ("size drowns the digit", "squares", _two_answers(_with_bounded_targets, lambda y: y,
                                                   {"size": "mse", "digit": SPARSE})),
            ("size drowns the digit by its weight", "weights",
             _two_answers(lambda x: x.mean(1, keepdims=True), lambda y: y, {"size": "mse", "digit": SPARSE},
                          size=1000.0, digit=1.0)),
            ("percentages drown the digit", "squares",
             _two_answers(lambda x: x.mean(1, keepdims=True), lambda y: y, {"size": "mape", "digit": SPARSE})),
        )
    ),
    *(
        Case(name, f"shapes broadcast: {kind}", "keras-team/keras issue 16836: (n, 1) less (n,) is (n, n)", build,
             {"not_converging": ()}, HELD)
        for name, kind, build in (
            ("squares by hand", "squares", _broadcast(_squares)),
            ("squares by hand, not counted", "squares", _broadcast(_squares, counted=False)),
            ("entropy by hand", "entropies", _broadcast(_entropy, binary=True)),
        )
    ),
)  # fmt: skip
