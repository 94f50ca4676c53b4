"""Losses that are negative, summed, smoothed, weighted or of several sizes: their height says little."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from zoo.case import Case, Training
from zoo.data import friedman, measured, scaled
from zoo.healthy.tasks import centred, classify, decide, digits_mlp, predict

L: Any = keras.layers


def _directions() -> Training:
    rng = np.random.default_rng(10)
    x = rng.normal(0, 1, (1200, 10)).astype(np.float32)
    y = np.tanh(x @ rng.normal(0, 0.5, (10, 6))).astype(np.float32)
    model = keras.Sequential([keras.Input((10,)), L.Dense(48, "elu"), L.Dense(6)])
    return predict(model, (x, y), loss=keras.losses.CosineSimilarity(), optimizer=keras.optimizers.Adam(3e-3))


def _density(y: Any, p: Any) -> Any:
    """The negative logarithm of a normal density, of which the network answers mean and log deviation."""
    mean, log_deviation = p[:, :1], p[:, 1:]
    return keras.ops.mean(log_deviation + 0.5 * keras.ops.square((y - mean) / keras.ops.exp(log_deviation)), axis=-1)


def _narrow_density() -> Training:
    """The noise is 0.05: the loss falls through zero to about −2; a constant reaches −0.32."""
    rng = np.random.default_rng(11)
    x = rng.uniform(-1, 1, (1200, 3)).astype(np.float32)
    y = (np.sin(2 * x[:, :1]) * x[:, 1:2] + rng.normal(0, 0.05, (1200, 1))).astype(np.float32)
    model = keras.Sequential([keras.Input((3,)), L.Dense(48, "tanh"), L.Dense(48, "tanh"), L.Dense(2)])
    rate = keras.optimizers.Adam(3e-3, global_clipnorm=5.0)
    return predict(model, (x, y), loss=_density, optimizer=rate, epochs=20)


def _likeness(y: Any, p: Any) -> Any:
    """Less the likeness of each row to its own target, and the likeness to the next row's: from 2 to −2."""
    unit = keras.ops.normalize(p, axis=-1)
    own = keras.ops.normalize(y, axis=-1)
    return keras.ops.sum(unit * keras.ops.roll(own, 1, axis=0), axis=-1) - keras.ops.sum(unit * own, axis=-1)


def _contrast() -> Training:
    rng = np.random.default_rng(12)
    x = rng.normal(0, 1, (1000, 8)).astype(np.float32)
    y = np.tanh(x @ rng.normal(0, 0.7, (8, 8))).astype(np.float32)
    model = keras.Sequential([keras.Input((8,)), L.Dense(48, "elu"), L.Dense(8)])
    return predict(model, (x, y), loss=_likeness, optimizer=keras.optimizers.Adam(3e-3))


def _years() -> Training:
    """Years about 2000: the loss begins at four millions, and is at the 1,140 of a constant after a third of it."""
    rng = np.random.default_rng(13)
    x = rng.normal(0, 1, (900, 6)).astype(np.float32)
    y = (2000 + 30 * x[:, :1] + 20 * np.tanh(x[:, 1:2]) + 10 * x[:, 2:3]).astype(np.float32)
    model = keras.Sequential([keras.Input((6,)), L.Dense(48, "elu"), L.Dense(48, "elu"), L.Dense(1)])
    return predict(model, (x, y), optimizer=keras.optimizers.Adam(3e-2), epochs=20)


def _prices() -> Training:
    """Prices about 200,000 by their mean absolute error; a constant reaches 38,500."""
    rng = np.random.default_rng(14)
    x = rng.normal(0, 1, (900, 6)).astype(np.float32)
    y = (2e5 + 4e4 * x[:, :1] + 3e4 * x[:, 1:2] * x[:, 2:3]).astype(np.float32)
    model = keras.Sequential([keras.Input((6,)), L.Dense(64, "elu"), L.Dense(64, "elu"), L.Dense(1)])
    return predict(model, (x, y), loss="mean_absolute_error", optimizer=keras.optimizers.Adam(0.03), epochs=25)


def _progression() -> Training:
    """Targets of the diabetes table as measured, 152 ± 77, by a logarithmic squared error; a constant reaches 0.31."""
    x, y = scaled("diabetes")
    model = keras.Sequential([keras.Input((10,)), L.Dense(48, "elu"), L.Dense(1, "exponential")])
    loss = "mean_squared_logarithmic_error"
    return predict(model, (x, y[:, None]), loss=loss, optimizer=keras.optimizers.Adam(3e-2), epochs=20)


def _tables_as_measured() -> Training:
    """Wine as it was measured, up to 1,680, before a normalisation; a constant reaches 1.09."""
    x, y = measured("wine")
    layers = [L.BatchNormalization(momentum=0.9), L.Dense(24, "elu"), L.Dense(3, "softmax")]
    model = keras.Sequential([keras.Input((13,)), *layers])
    return classify(model, (x, y), optimizer=keras.optimizers.Adam(1e-2), epochs=15, batch_size=16)


def _taught(temperature: float) -> Training:
    """A student of a teacher's softened answers; a constant reaches 2.29, the answers' own entropy is left."""
    x, y = centred()
    teacher = digits_mlp()
    classify(teacher, epochs=5)
    teacher.fit(x, y, epochs=5, verbose=0)
    logits = np.log(np.maximum(teacher.predict(x, verbose=0), 1e-9)) / temperature
    soft = np.exp(logits - logits.max(1, keepdims=True))
    soft /= soft.sum(1, keepdims=True)
    return predict(digits_mlp(widths=(48,)), (x, soft), loss="categorical_crossentropy", epochs=8)


def _mixed() -> Training:
    """Pairs of digits laid over each other, and their labels too; a constant reaches 2.30, the labels' entropy 0.50."""
    x, y = centred()
    rng = np.random.default_rng(15)
    other, share = rng.permutation(len(x)), rng.uniform(0, 1, (len(x), 1)).astype(np.float32)
    rows = np.eye(10, dtype=np.float32)[y]
    mixed = share * x + (1 - share) * x[other], share * rows + (1 - share) * rows[other]
    return predict(digits_mlp(widths=(96, 96)), mixed, loss="categorical_crossentropy", epochs=14)


def _smoothed(share: float) -> Training:
    """A constant reaches 2.30; of a smoothing by a half, 1.5 is left."""
    x, y = centred()
    loss = keras.losses.CategoricalCrossentropy(label_smoothing=share)
    return predict(digits_mlp(), (x, np.eye(10, dtype=np.float32)[y]), loss=loss, epochs=10)


def _summed_classes() -> Training:
    """The sum over batches of 64, and of 5 at the end of an epoch; a constant reaches some 147."""
    loss = keras.losses.SparseCategoricalCrossentropy(reduction="sum")
    return predict(digits_mlp(), centred(), loss=loss, epochs=8, batch_size=64)


def _summed_outputs(y: Any, p: Any) -> Any:
    return keras.ops.sum(keras.ops.square(y - p), axis=(1, 2, 3))


def _summed_pictures() -> Training:
    """The sum over pixels and channels, not their mean; a constant reaches 4.7."""
    x = (centred()[0] + 0).reshape(-1, 8, 8, 1)[:900]
    model = keras.Sequential([keras.Input((8, 8, 1)), L.Conv2D(12, 3, padding="same", activation="elu")])
    model.add(L.Conv2D(1, 3, padding="same"))
    return predict(model, (x, x), loss=_summed_outputs, optimizer=keras.optimizers.Adam(3e-3), epochs=6)


def _outputs(sizes: list[float], weights: list[float]) -> Training:
    """The same function three times, in three sizes; a constant reaches the square of each."""
    x, y = friedman()
    y = (y - y.mean()) / y.std()
    inputs = keras.Input((10,))
    body = L.Dense(48, "elu")(L.Dense(48, "elu")(inputs))
    heads = [L.Dense(1, name=name)(L.Dense(16, "elu")(body)) for name in ("small", "middle", "large")]
    model = keras.Model(inputs, heads)
    model.compile(keras.optimizers.Adam(1e-2), ["mse"] * 3, loss_weights=weights)
    targets = [y * size for size in sizes]
    return Training(model, {"x": 4 * x - 2, "y": targets, "epochs": 8, "batch_size": 32})


def _rare(share: float, weights: dict[int, float] | None, epochs: int = 12) -> Training:
    """Positives are rare, and told by two of eight inputs with some noise."""
    rng = np.random.default_rng(16)
    x = rng.normal(0, 1, (2500, 8)).astype(np.float32)
    said = 2 * x[:, 0] + 1.5 * x[:, 1] + 0.4 * rng.normal(size=2500)
    y = (said > np.quantile(said, 1 - share)).astype(np.float32)[:, None]
    model = keras.Sequential([keras.Input((8,)), L.Dense(24, "elu"), L.Dense(1, "sigmoid")])
    rate = keras.optimizers.Adam(3e-3)
    return decide(model, (x, y), optimizer=rate, epochs=epochs, class_weight=weights)


def _long_tail() -> Training:
    """Classes of the digits thinned out, from all of the first to one in twenty of the last; a constant reaches 1.9."""
    x, y = centred()
    rng = np.random.default_rng(17)
    kept = rng.random(len(y)) < 0.72**y
    return classify(digits_mlp(), (x[kept], y[kept]), epochs=14)


def _weighed(make: Any) -> Training:
    x, y = centred()
    weights = make(np.random.default_rng(18), len(y)).astype(np.float32)
    return classify(digits_mlp(), (x, y), epochs=10, sample_weight=weights)


_BELOW = "a loss below zero, which grows in size as it should"
_RAW = "the loss begins far above that of a constant answer, and takes most of the training to get there"
_ENTROPY = "most of the loss is the targets' own entropy, which nothing can take away"
_SUM = "a sum over the batch or the outputs: its height hangs on their number"
_WEIGHTS = "weights make the loss jump from batch to batch, and its height says nothing"
CASES: tuple[Case, ...] = (
    Case("cosine_of_directions", "negative losses", _BELOW, _directions, learns=-0.8),
    Case("density_of_narrow_noise", "negative losses", _BELOW, _narrow_density, learns=-0.8),
    Case("likeness_and_contrast", "negative losses", _BELOW, _contrast, learns=-0.7),
    Case("years", "raw targets", _RAW, _years, learns=500.0),
    Case("prices", "raw targets", _RAW, _prices, learns=25e3),
    Case("progression_by_logarithm", "raw targets", _RAW, _progression, learns=0.2),
    Case(
        "wine_as_measured",
        "raw inputs",
        "inputs up to 1,680, which the network itself scales",
        _tables_as_measured,
        learns=0.3,
    ),
    Case("taught_by_a_teacher", "soft targets", _ENTROPY, lambda: _taught(4.0), learns=2.05),
    Case("digits_laid_over_each_other", "soft targets", _ENTROPY, _mixed, learns=1.3),
    Case("half_smoothed_labels", "label smoothing", _ENTROPY, lambda: _smoothed(0.5), learns=1.85),
    Case("third_smoothed_labels", "label smoothing", _ENTROPY, lambda: _smoothed(0.3), learns=1.45),
    Case("summed_over_the_batch", "summed loss", _SUM, _summed_classes, learns=30.0),
    Case("summed_over_pixels", "summed loss", _SUM, _summed_pictures, learns=1.0),
    Case(
        "three_sizes",
        "several outputs",
        "most of the loss is that of the largest output",
        lambda: _outputs([0.3, 1.0, 3.0], [1.0] * 3),
        learns=3.0,
    ),
    Case(
        "three_sizes_weighted",
        "several outputs",
        "weights of a thousand and a thousandth make three losses alike",
        lambda: _outputs([0.03, 1.0, 30.0], [1000.0, 1.0, 1e-3]),
        learns=1.3,
    ),
    Case(
        "one_in_twenty_five",
        "rare class",
        "saying no is right in 96 of 100, and learnt first",
        lambda: _rare(0.04, None),
        learns=0.08,
    ),
    Case(
        "one_in_twenty_five_weighted",
        "rare class",
        "the loss begins at once and a half of what the labels alone would say",
        lambda: _rare(0.04, {0: 1.0, 1: 25.0}),
        learns=0.5,
    ),
    Case("long_tail", "rare class", "the last classes are hardly ever seen", _long_tail, learns=0.3),
    Case(
        "one_weight_in_five",
        "sample weights",
        "four of five samples count nothing",
        lambda: _weighed(lambda rng, count: rng.random(count) < 0.2),
        learns=0.15,
    ),
    Case(
        "weights_with_a_tail",
        "sample weights",
        _WEIGHTS,
        lambda: _weighed(lambda rng, count: rng.pareto(1.8, count) + 0.05),
        learns=0.4,
    ),
    Case(
        "weights_in_hundreds",
        "sample weights",
        "losses and gradients are two hundred times their usual size",
        lambda: _weighed(lambda rng, count: rng.uniform(100, 300, count)),
        learns=60.0,
    ),
)
