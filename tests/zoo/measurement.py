"""Measurement: what a training of the zoo was found to do, by slow code that shares nothing with the package.

Read without Keras: `load` needs NumPy only. Statistics of a table stand as ``(samples, variables)`` or
``(samples, layers)`` in float64; NaN where something was not measured.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, get_type_hints

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Evidence = dict[str, float]
"""What shows a symptom, by layer; the key `MODEL` stands for the whole model."""
MODEL = ""

VARIABLE_STATISTICS: tuple[str, ...] = (
    "weight_mean",
    "weight_variance",
    "weight_norm",
    "weight_abs_max",
    "weight_nonfinite",
    "weight_equal_units",  # 1 where all units of a kernel have the same weights
    "change_norm",  # since the sample before; NaN at the first
    "change_max",
    "change_close",  # 1 where numpy.allclose calls the weight unchanged
    "step_norm",  # of the change that the one batch after the sample makes; NaN where that is not known
    "gradient_connected",  # 0 where the tape returns None
    "gradient_mean",
    "gradient_mean_abs",
    "gradient_rms",
    "gradient_norm",
    "gradient_abs_max",
    "gradient_zero_fraction",
    "gradient_spread",  # 95th less 5th percentile
    "gradient_nonfinite",
)
LAYER_STATISTICS: tuple[str, ...] = (
    "mean",
    "mean_abs",
    "std",
    "std_over_samples",
    "rms",
    "abs_max",
    "min",
    "max",
    "zero_fraction",
    "nonpositive_fraction",
    "nonfinite",
    "zero_unit_fraction",  # units that are zero at every position of every sample
    "saturated_fraction",  # slope at most a twentieth of its largest; NaN for functions that are not flat at both ends
    "sample_sum_max",  # largest sum of |a| over axis 1
    "pre_mean",  # pre_*: of what goes into the activation function
    "pre_std",
    "pre_min",
    "pre_max",
    "pre_nonfinite",
    "pre_nonpositive_fraction",
    "pre_beyond_five_fraction",  # share with |z| >= 5
    "pre_silent_unit_fraction",  # units with z > 0 in less than 1 % of entries
    "pre_tanh_idle_unit_fraction",  # units with z in -9.4999 to 9.4999 in less than 1 % of entries
    "pre_sigmoid_idle_unit_fraction",  # units with z in -23 to 16.99999 in less than 1 % of entries
    "backward_mean",  # backward_*: gradient of the batch's loss at the output
    "backward_mean_abs",
    "backward_abs_max",
    "backward_nonfinite",
    "through_time",  # of a recurrent layer: gradient (RMS) at the first time step it reads over that at the last
    "training_apart",  # of BatchNormalization: RMS of its output in training less that in inference, over the spread
)


@dataclass(frozen=True)
class Layer:
    """A layer without layers of its own, or a recurrent layer.

    Attributes:
        key: Path without the root model, automatic numbers recounted among siblings.
        class_name: Its class.
        activation: Name of the function it ends with, the layer's own class included (``ReLU`` is ``relu``); None
            where it has none, ``linear`` where the argument says so.
        argument: What ``activation`` says in its configuration; None where it has no such argument.
        trainable: Whether Keras trains it.
        weight_arrays: How many arrays ``get_weights`` returns.
        units: Size of the output's last axis; None where it was not seen.
        rank: Axes of the output, the samples included; None where it was not seen.
        dropout: Rate of a dropout layer.
        tails: Beyond which pre-activations its function has lost its slope, if it does at both ends.
        is_output: Whether its output is the model's.
    """

    key: str
    class_name: str
    activation: str | None = None
    argument: str | None = None
    trainable: bool = True
    weight_arrays: int = 0
    units: int | None = None
    rank: int | None = None
    dropout: float | None = None
    tails: tuple[float, float] | None = None
    is_output: bool = False


@dataclass(frozen=True)
class Variable:
    """A trainable variable: its path, the key of its layer, its own name, axes, entries, and the first axis' length."""

    path: str
    layer: str
    name: str
    ndim: int
    size: int
    rows: int = 0

    @property
    def role(self) -> str:
        """``embedding``, ``kernel`` with two axes or more, else ``vector``."""
        if self.name == "embeddings":
            return "embedding"
        return "kernel" if self.ndim >= 2 else "vector"


@dataclass(frozen=True)
class Facts:
    """What holds for the whole training.

    Attributes:
        loss: Name of the loss in snake case; None for several or a function of the user's.
        loss_is_text: Whether it was given to `compile` by name.
        from_logits: What the loss says of it.
        classes: Number of classes in the labels; None for a regression.
        class_counts: Labels of each class.
        baseline_loss: Loss of the best constant prediction under the training labels.
        label_min: Smallest entry of the labels, as numbers.
        label_max: Largest.
        input_min: Smallest entry over all inputs of the probe.
        input_max: Largest.
        input_mean: Mean.
        input_std: Standard deviation.
        input_shape: Shape of the only input with samples, None for several.
        input_is_floating: Whether that input has a floating dtype.
        input_channel_means: Mean of each channel, where the only input has four axes.
        optimizer: Its class.
        learning_rate: At the beginning.
        epochs: As many as `fit` was asked for.
        samples: Samples of the training set, as far as known.
        input_rms: Root mean square of each input of a floating dtype.
        input_nonfinite: Entries of the probe's inputs and of all labels that are no numbers.
        output_baselines: Loss of the best constant prediction of each output, where there are several by name.
        untracked: Layers that use a trainable variable which Keras does not know and no step has changed.
        not_measured: What could not be measured, with the reason.
    """

    loss: str | None = None
    loss_is_text: bool = False
    from_logits: bool = False
    classes: int | None = None
    class_counts: tuple[int, ...] = ()
    baseline_loss: float = float("nan")
    label_min: float = float("nan")
    label_max: float = float("nan")
    input_min: float = float("nan")
    input_max: float = float("nan")
    input_mean: float = float("nan")
    input_std: float = float("nan")
    input_shape: tuple[int, ...] | None = None
    input_is_floating: bool = True
    input_channel_means: tuple[float, ...] = ()
    optimizer: str = ""
    learning_rate: float = float("nan")
    epochs: int = 0
    samples: int = 0
    input_rms: tuple[float, ...] = ()
    input_nonfinite: int = 0
    output_baselines: tuple[tuple[str, float], ...] = ()
    untracked: tuple[str, ...] = ()
    not_measured: tuple[str, ...] = ()


@dataclass(frozen=True)
class Measurement:
    """Samples of one training.

    Attributes:
        facts: What holds for the whole training.
        layers: In the order of execution.
        variables: In the order of Keras' trainable variables.
        step: Of each sample: batches trained before it; 0 is the untrained model.
        epoch: Of each sample: epochs completed before it.
        loss: Of each sample: loss of the probe batch, as in training, regularisation included.
        accuracy: Of each sample: accuracy on the probe batch; NaN where it is no classification.
        learning_rate: Of each sample.
        by_variable: `VARIABLE_STATISTICS`, each ``(samples, variables)``.
        by_layer: `LAYER_STATISTICS`, each ``(samples, layers)``.
        batch_loss: Loss of every trained batch, as the training itself measured it.
        batch_accuracy: The same of the accuracy; NaN without that metric.
        epoch_logs: Each epoch's logs.
        epoch_step: Batches trained when each epoch ended.
        inference_loss: Of each sample: loss of the probe batch, as in inference.
    """

    facts: Facts
    layers: tuple[Layer, ...]
    variables: tuple[Variable, ...]
    step: Floats
    epoch: Floats
    loss: Floats
    accuracy: Floats
    learning_rate: Floats
    by_variable: Mapping[str, Floats]
    by_layer: Mapping[str, Floats]
    batch_loss: Floats
    batch_accuracy: Floats
    epoch_logs: Mapping[str, Floats] = field(default_factory=dict[str, Floats])
    epoch_step: Floats = field(default_factory=lambda: np.zeros(0))
    inference_loss: Floats = field(default_factory=lambda: np.zeros(0))

    def samples(self) -> range:
        return range(len(self.step))

    def epoch_ends(self) -> list[int]:
        """Return the samples taken where an epoch ended, in order."""
        ends = {int(step) for step in self.epoch_step}
        return [sample for sample in self.samples() if int(self.step[sample]) in ends]

    def logged_accuracy(self, prefix: str = "") -> Floats | None:
        """Return the accuracy in the epochs' logs under any of Keras' names; ``prefix`` is ``val_`` for validation."""
        kinds = ("accuracy", "acc", "sparse_categorical_accuracy", "categorical_accuracy", "binary_accuracy")
        return next((self.epoch_logs[prefix + kind] for kind in kinds if prefix + kind in self.epoch_logs), None)

    def epoch_accuracy(self) -> Floats:
        """Return the training accuracy of each epoch; if it is no metric, that of the probe at the last sample."""
        logged = self.logged_accuracy()
        if logged is not None:
            return logged
        last = np.searchsorted(self.step, self.epoch_step, side="right") - 1
        return self.accuracy[last.astype(int)]

    def epoch_losses(self) -> Floats:
        """Return the training loss of each epoch: Keras' mean, else the mean of its batches, else that of the probe.

        Keras logs 0 where a `train_step` of the user's own does not update its loss.
        """
        logged = self.epoch_logs.get("loss", np.zeros(0))
        if np.any(logged != 0):
            return logged
        if len(self.batch_loss) and not np.isnan(self.batch_loss).all() and len(self.epoch_step):
            return np.array([each.mean() for each in np.split(self.batch_loss, self.epoch_step[:-1].astype(int))])
        return self.loss[self.epoch_ends()]

    def save(self, path: str | Path) -> None:
        """Write everything to one ``.npz`` file, which `load` reads."""
        arrays: dict[str, NDArray[Any]] = {
            name: getattr(self, name)
            for name in (
                "step",
                "epoch",
                "loss",
                "accuracy",
                "learning_rate",
                "batch_loss",
                "batch_accuracy",
                "epoch_step",
                "inference_loss",
            )
        }
        for table in ("by_variable", "by_layer", "epoch_logs"):
            arrays |= {f"{table}/{name}": values for name, values in getattr(self, table).items()}
        described = {
            "facts": asdict(self.facts),
            "layers": [asdict(layer) for layer in self.layers],
            "variables": [asdict(variable) for variable in self.variables],
        }
        with Path(path).open("wb") as file:
            np.savez_compressed(file, description=np.array(json.dumps(described)), **arrays)


def load(path: str | Path) -> Measurement:
    """Return what `Measurement.save` wrote."""
    with np.load(path) as stored:
        arrays = {name: stored[name] for name in stored.files}
    described = json.loads(str(arrays.pop("description")))
    tables: dict[str, dict[str, Floats]] = {"by_variable": {}, "by_layer": {}, "epoch_logs": {}}
    plain: dict[str, Floats] = {}
    for name, values in arrays.items():
        table, _, statistic = name.partition("/")
        if statistic:
            tables[table][statistic] = values
        else:
            plain[name] = values
    return Measurement(
        facts=_facts(described["facts"]),
        layers=tuple(
            Layer(**(layer | {"tails": layer["tails"] and tuple(layer["tails"])})) for layer in described["layers"]
        ),
        variables=tuple(Variable(**variable) for variable in described["variables"]),
        **plain,
        **tables,
    )


def _facts(described: Mapping[str, Any]) -> Facts:
    hints = get_type_hints(Facts)
    values = {each.name: described[each.name] for each in fields(Facts) if each.name in described}
    return Facts(**{k: tuple(v) if isinstance(v, list) and "tuple" in str(hints[k]) else v for k, v in values.items()})


def stacked(rows: Sequence[Mapping[str, Sequence[float]]], names: Sequence[str], width: int) -> dict[str, Floats]:
    """Return one ``(samples, width)`` table a statistic, of one row a sample."""
    return {name: np.array([row[name] for row in rows], np.float64).reshape(len(rows), width) for name in names}
