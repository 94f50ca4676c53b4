"""Reports where the numbers given to `fit` are not what the network or its loss expects."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from zoo.case import Training
from zoo.data import digit_images, digits, scaled
from zoo.reported.report import Line, Report, answers, overlap, share_explained, share_right

L: Any = keras.layers


def _species(first: int) -> Training:
    """Three species of iris, numbered from `first` on."""
    x, y = scaled("iris")
    order = np.random.default_rng(3).permutation(len(x))
    model = keras.Sequential([keras.Input((4,)), L.Dense(12, "tanh"), L.Dense(3, "softmax", name="species")])
    model.compile(keras.optimizers.Adam(0.02), "sparse_categorical_crossentropy")
    return Training(model, {"x": x[order], "y": y[order] + first, "epochs": 20, "batch_size": 10})


def _pretrained() -> tuple[Any, Any, Any]:
    """Return a frozen base that knows the digits 0 to 4 from bytes, and the bytes and classes of the others."""
    images, classes = digit_images()
    images = images * 255
    known = classes < 5
    base = keras.Sequential([keras.Input((8, 8, 1)), L.Rescaling(1 / 255)], name="base")
    for filters in (12, 24):
        base.add(L.Conv2D(filters, 3, padding="same", use_bias=False))
        base.add(L.BatchNormalization(momentum=0.9))
        base.add(L.Activation("elu"))
    base.add(L.GlobalAveragePooling2D())
    teacher = keras.Sequential([base, L.Dense(5, "softmax")])
    teacher.compile(keras.optimizers.Adam(5e-3), "sparse_categorical_crossentropy")
    teacher.fit(images[known], classes[known], epochs=10, batch_size=32, verbose=0)
    base.trainable = False
    return base, images[~known], classes[~known] - 5


def _on_a_base(divisor: float) -> Training:
    """Pixels are divided before a base that divides them itself; a constant reaches 1.61."""
    base, x, y = _pretrained()
    model = keras.Sequential([keras.Input((8, 8, 1)), base, L.Dropout(0.1), L.Dense(5, "softmax", name="answer")])
    model.compile(keras.optimizers.Adam(1e-2), "sparse_categorical_crossentropy")
    return Training(model, {"x": x / divisor, "y": y, "epochs": 14, "batch_size": 32})


def _measured_series(*, standardise: bool) -> Training:
    """The next reading of four sensors around 60, by two recurrent layers with a sigmoid behind each."""
    rng = np.random.default_rng(5)
    t = np.arange(640)[:, None]
    readings = 60 + 12 * np.sin(t / np.array([5.0, 7, 9, 11])) + 6 * np.cos(t / 3 + np.arange(4))
    readings += rng.normal(0, 0.8, readings.shape)
    if standardise:
        readings = (readings - readings.mean(0)) / readings.std(0)
    x = np.stack([readings[start : start + 24] for start in range(600)]).astype(np.float32)
    y = readings[24:624].astype(np.float32)
    model = keras.Sequential([keras.Input((24, 4)), L.LSTM(16, return_sequences=True), L.Activation("sigmoid")])
    model.add(L.LSTM(16))
    model.add(L.Activation("sigmoid"))
    model.add(L.Dense(4, name="reading"))
    model.compile(keras.optimizers.RMSprop(1e-2), "mse")
    return Training(model, {"x": x, "y": y, "epochs": 20, "batch_size": 40})


def _masks(white: float) -> Training:
    """Find a bright disc; the masks are 0 and `white`."""
    rng = np.random.default_rng(7)
    rows, columns = np.mgrid[:16, :16]
    centres = rng.uniform(4, 12, (320, 2, 1, 1))
    inside = (rows - centres[:, 0]) ** 2 + (columns - centres[:, 1]) ** 2 < 16
    x = (rng.normal(0.2, 0.08, inside.shape) + 0.5 * inside).astype(np.float32)[..., None]
    inputs = keras.Input((16, 16, 1))
    fine = L.Conv2D(8, 3, padding="same", activation="elu")(inputs)
    coarse = L.Conv2D(12, 3, padding="same", activation="elu")(L.AveragePooling2D(2)(fine))
    both = L.Concatenate()([L.UpSampling2D()(coarse), fine])
    model = keras.Model(inputs, L.Conv2D(1, 1, activation="sigmoid", name="mask")(both))
    model.compile(keras.optimizers.Adam(4e-3), "binary_crossentropy")
    return Training(model, {"x": x, "y": white * inside[..., None].astype(np.float32), "epochs": 12, "batch_size": 20})


class Drawn(keras.layers.Layer):
    """A draw from the code's normal distribution; its divergence from the standard one is added to the loss."""

    def __init__(self, **keywords: Any) -> None:
        super().__init__(**keywords)
        self.noise = keras.random.SeedGenerator(5)

    def call(self, mean: Any, log_variance: Any) -> Any:
        ops = keras.ops
        divergence = ops.exp(log_variance) + ops.square(mean) - log_variance - 1
        self.add_loss(0.5 * ops.mean(ops.sum(divergence, axis=1)))
        return mean + ops.exp(0.5 * log_variance) * keras.random.normal(ops.shape(mean), seed=self.noise)


def _pixel_entropy(y: Any, p: Any) -> Any:
    return keras.ops.sum(keras.ops.binary_crossentropy(y, p), axis=-1)


def _variational(brightest: float) -> Training:
    """An autoencoder of digits whose pixels lie in 0 to `brightest`; what it is to draw lies in 0 to 1."""
    y, _ = digits()
    inputs = keras.Input((64,))
    body = L.Dense(40, "elu")(L.Dense(56, "elu")(inputs))
    code = Drawn(name="draw")(L.Dense(6, name="mean")(body), L.Dense(6, name="log_variance")(body))
    model = keras.Model(inputs, L.Dense(64, "sigmoid", name="pixels")(L.Dense(56, "elu")(code)))
    model.compile(keras.optimizers.RMSprop(2e-3), _pixel_entropy)
    return Training(model, {"x": y * np.float32(brightest), "y": y, "epochs": 14, "batch_size": 40})


class Pictures(keras.utils.PyDataset):
    """Pictures with and without a bright square, their labels as one column or as two."""

    def __init__(self, *, two_columns: bool) -> None:
        super().__init__()
        rng = np.random.default_rng(11)
        self.classes = np.arange(320) % 2
        self.pictures = rng.normal(0, 0.3, (320, 12, 12, 1)).astype(np.float32)
        self.pictures[self.classes == 1, 3:8, 3:8] += 0.8
        self.labels = np.eye(2, dtype=np.float32)[self.classes] if two_columns else self.classes.astype(np.float32)

    def __len__(self) -> int:
        return 16

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        chosen = slice(20 * index, 20 * index + 20)
        return self.pictures[chosen], self.labels[chosen]


def _from_a_folder(*, two_columns: bool) -> Training:
    model = keras.Sequential(
        [
            keras.Input((12, 12, 1)),
            L.Conv2D(8, 3, activation="elu"),
            L.GlobalAveragePooling2D(),
            L.Dense(8, "tanh"),
            L.Dense(1, "sigmoid", name="answer"),
        ]
    )
    model.compile(keras.optimizers.Adam(1e-2), "binary_crossentropy")
    return Training(model, {"x": Pictures(two_columns=two_columns), "epochs": 12})


def _pictures_right(training: Training) -> float:
    pictures = training.fit["x"]
    found = training.model.predict(pictures.pictures, verbose=0).ravel() > 0.5
    return float(np.mean(found == pictures.classes))


def _face(*, standardise: bool) -> Training:
    """One of six moods, and an age in years, whose squared error is some hundred times the other loss."""
    rng = np.random.default_rng(13)
    x = rng.normal(0, 1, (1600, 16)).astype(np.float32)
    mood = (x[:, :6] + 0.5 * x[:, 6:12] * x[:, [12]]).argmax(1)
    age = 40 + 12 * x[:, 13] + 9 * np.tanh(x[:, 14]) + 4 * rng.normal(size=1600)
    if standardise:
        age = (age - age.mean()) / age.std()
    inputs = keras.Input((16,))
    body = L.Dense(40, "elu")(L.Dense(40, "elu")(inputs))
    outputs = {"mood": L.Dense(6, "softmax", name="mood")(body), "age": L.Dense(1, name="age")(body)}
    model = keras.Model(inputs, outputs)
    rate = keras.optimizers.SGD(0.05, momentum=0.9) if standardise else keras.optimizers.SGD(2e-4)
    model.compile(rate, {"mood": "sparse_categorical_crossentropy", "age": "mse"})
    targets = {"mood": mood, "age": age.astype(np.float32)[:, None]}
    return Training(model, {"x": x, "y": targets, "epochs": 16, "batch_size": 40})


def _moods_right(training: Training) -> float:
    return float(np.mean(answers(training)["mood"].argmax(1) == training.fit["y"]["mood"]))


_GITHUB = "https://github.com/"
CASES: tuple[Report, ...] = (
    Report(
        "classes counted from one",
        f"{_GITHUB}rstudio/keras3/issues/465",
        "The last class names no unit; count from 0. TensorFlow raises on a CPU, and gives NaN on a GPU.",
        lambda: _species(1),
        lambda: _species(0),
        share_right,
        0.9,
        top=(Line("index_out_of_range", ("species",)),),
        remedies=frozenset({"data", "output"}),
        raises="label value of 3",
        explained=True,
    ),
    Report(
        "pixels divided twice",
        f"{_GITHUB}tensorflow/tensorflow/issues/48412",
        "The frozen base rescales by itself: what it gets is nearly black to it. Leave the first division out.",
        lambda: _on_a_base(255.0),
        lambda: _on_a_base(1.0),
        share_right,
        0.7,
        top=(Line("input_scale"),),
        remedies=frozenset({"input_scaling", "data"}),
    ),
    Report(
        "sensors as they were read",
        f"{_GITHUB}keras-team/keras/issues/1727",
        "Readings of 60 go in and are to come out: every gate is saturated, and the output creeps to the mean.",
        lambda: _measured_series(standardise=False),
        lambda: _measured_series(standardise=True),
        share_explained,
        0.6,
        top=(Line("input_scale"), Line("target_scale")),
        remedies=frozenset({"input_scaling", "target_scaling"}),
        also=frozenset({"vanishing_activation", "saturated_activation", "not_zero_centred"}),
    ),
    Report(
        "masks of bytes",
        f"{_GITHUB}qubvel/segmentation_models/issues/95",
        "Masks of 0 and 255 under a binary cross-entropy, which falls below zero without end. Divide them by 255.",
        lambda: _masks(255.0),
        lambda: _masks(1.0),
        overlap,
        0.8,
        top=(Line("output_loss_mismatch", ("mask",)), Line("target_scale", ("mask",))),
        remedies=frozenset({"target_scaling", "data"}),
    ),
    Report(
        "a divergence of bytes",
        f"{_GITHUB}AppliedDataSciencePartners/WorldModels/issues/9",
        "From pixels of 0 to 255 the log variance is in the tens, and its exponential astronomic. Divide them.",
        lambda: _variational(255.0),
        lambda: _variational(1.0),
        share_explained,
        0.25,
        top=(Line("input_scale"),),
        remedies=frozenset({"input_scaling", "data"}),
        also=frozenset({"nan_or_inf", "exploding_activation", "exploding_gradient"}),
    ),
    Report(
        "labels of two columns",
        f"{_GITHUB}keras-team/keras/issues/13006",
        "The generator gives one-hot rows to one unit; it has a mode for one column. Keras raises and says so.",
        lambda: _from_a_folder(two_columns=True),
        lambda: _from_a_folder(two_columns=False),
        _pictures_right,
        0.9,
        top=(Line("output_loss_mismatch", ("answer",)),),
        remedies=frozenset({"data", "output"}),
        raises="same shape",
        explained=True,
    ),
    Report(
        "years drown moods",
        f"{_GITHUB}keras-team/keras/issues/10306",
        "The squared error of an age is in the hundreds, and the step that it bears too small for the other output.",
        lambda: _face(standardise=False),
        lambda: _face(standardise=True),
        _moods_right,
        0.6,
        top=(Line("target_scale", ("age",)), Line("not_converging", ("mood",))),
        remedies=frozenset({"target_scaling", "loss"}),
    ),
)
