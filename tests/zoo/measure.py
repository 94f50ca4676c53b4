"""Measure: a callback that measures a training slowly and independently of the package, as the judge of both.

At its samples it runs the model on a fixed probe batch of the training's own data: once as in inference, for what the
layers put out, and once as in training, for the gradients. Every variable that the two passes may change (moving
statistics, seeds, metrics) is put back, so that the training ends with the same weights as without.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any  # Keras ships no types: models and layers are Any here

import keras
import numpy as np
from numpy.typing import NDArray

from zoo import layout, reference
from zoo.measurement import (
    LAYER_STATISTICS,
    VARIABLE_STATISTICS,
    Facts,
    Layer,
    Measurement,
    Variable,
    load,
    stacked,
)
from zoo.passes import Passes, Runner, built
from zoo.probe import Probe, accuracy, baseline_loss, class_counts, probe

__all__ = ["Measure", "load"]

EARLY_STEPS = (0, 1, 2, 4, 8, 16, 32)
MAX_EPOCH_SAMPLES = 17  # with the early ones, 24


class Measure(keras.callbacks.Callback):
    """Measures one `fit`; `measurement` is there after it.

    Args:
        fit: The keywords of `fit`, of which the probe batch is taken. Without them, and with a generator, only
            weights and logs are measured.
    """

    def __init__(self, fit: Mapping[str, Any] | None = None) -> None:
        super().__init__()
        self._fit = fit
        self._fresh()

    def _fresh(self) -> None:
        self._probe: Probe | None = None
        self._runner: Runner | None = None
        self._layers: tuple[Layer, ...] = ()
        self._variables: tuple[Variable, ...] = ()
        self._facts = Facts()
        self._rows: list[dict[str, float]] = []
        self._variable_rows: list[dict[str, list[float]]] = []
        self._layer_rows: list[dict[str, list[float]]] = []
        self._before: list[NDArray[Any]] | None = None
        self._not_measured: list[str] = []
        self._batch_loss: list[float] = []
        self._batch_accuracy: list[float] = []
        self._totals: dict[str, tuple[float, float]] = {}
        self._epoch_logs: list[dict[str, float]] = []
        self._epoch_steps: list[int] = []
        self._untracked: dict[str, tuple[Any, NDArray[Any]]] = {}
        self._step = self._epoch = self._epoch_start = 0

    # ------------------------------------------------------------------------------------------- what Keras calls

    def on_train_begin(self, logs: Mapping[str, Any] | None = None) -> None:
        self._fresh()
        try:
            self._probe = probe(self._fit)
        except Exception as error:  # sparse and ragged data are no arrays
            self._not_measured.append(f"layers, gradients: the data cannot be read: {error!r}"[:300])
        if self._probe is None:
            self._not_measured.append("layers, gradients: no data to run the model on")
        elif (reason := built(self.model, self._probe)) is not None:
            self._not_measured.append(f"layers, gradients: {reason}")
            self._probe = None
        epochs = int(self.params.get("epochs") or 1)
        self._facts = _facts(self.model, self._probe, epochs, (self._fit or {}).get("y"))
        self._every = math.ceil(epochs / MAX_EPOCH_SAMPLES)
        if self._probe is not None:
            self._runner = Runner(self.model, self._probe, self._not_measured)
        self._sample()
        for variable in self._runner.untracked() if self._runner is not None else ():
            self._untracked[layout.holder(self.model, variable)] = variable, np.array(variable.numpy())

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        self._totals = {}
        self._epoch_start = self._step

    def on_train_batch_end(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        before, self._step = self._step, self._epoch_start + batch + 1
        loss, right = self._batch(logs or {})
        self._batch_loss += [loss] * (self._step - before)
        self._batch_accuracy += [right] * (self._step - before)
        if self._rows[-1]["step"] == before and self._step == before + 1:
            self._measure_step()
        if any(before < early <= self._step for early in EARLY_STEPS):
            self._sample()

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        self._epoch += 1
        self._epoch_logs.append({name: float(value) for name, value in (logs or {}).items() if np.ndim(value) == 0})
        self._epoch_steps.append(self._step)
        if self._epoch % self._every == 0 or self._rows[-1]["step"] == self._step:
            self._sample()

    def on_train_end(self, logs: Mapping[str, Any] | None = None) -> None:
        self._sample()

    # ------------------------------------------------------------------------------------------------ the result

    @property
    def measurement(self) -> Measurement:
        width = len(self._layers)
        rows = [{name: row[name] or [math.nan] * width for name in LAYER_STATISTICS} for row in self._layer_rows]
        names = {name for logs in self._epoch_logs for name in logs}
        return Measurement(
            facts=_with(self._facts, not_measured=tuple(self._not_measured), untracked=self._still_untracked()),
            layers=self._layers,
            variables=self._variables,
            **{
                name: np.array([row[name] for row in self._rows], np.float64)
                for name in ("step", "epoch", "loss", "accuracy", "learning_rate", "inference_loss")
            },
            by_variable=stacked(self._variable_rows, VARIABLE_STATISTICS, len(self._variables)),
            by_layer=stacked(rows, LAYER_STATISTICS, width),
            batch_loss=np.array(self._batch_loss),
            batch_accuracy=np.array(self._batch_accuracy),
            epoch_logs={
                name: np.array([logs.get(name, math.nan) for logs in self._epoch_logs]) for name in sorted(names)
            },
            epoch_step=np.array(self._epoch_steps, np.float64),
        )

    def _still_untracked(self) -> tuple[str, ...]:
        held = self._untracked.items()
        return tuple(key for key, (variable, before) in held if np.array_equal(variable.numpy(), before))

    def save(self, path: str | Path) -> None:
        """Write the measurement to one ``.npz`` file."""
        self.measurement.save(path)

    # -------------------------------------------------------------------------------------------------- one sample

    def _sample(self) -> None:
        if self._rows and self._rows[-1]["step"] == self._step:
            self._rows[-1]["epoch"] = self._epoch
            return
        passes = None if self._runner is None else self._runner.run()
        self._variables = layout.variables(self.model)
        weights = [np.array(variable.numpy()) for variable in self.model.trainable_variables]
        befores: list[NDArray[Any] | None] = [None] * len(weights)
        if self._before is not None and len(self._before) == len(weights):
            befores = list(self._before)
        gradients = [None] * len(weights) if passes is None else passes.gradients
        rows = [
            reference.variable_row(
                weight, before, gradient, passes is None or not passes.gradients or gradient is not None
            )
            for weight, before, gradient in zip(weights, befores, gradients or [None] * len(weights), strict=True)
        ]
        if passes is None or not passes.gradients:
            for row in rows:
                row["gradient_connected"] = math.nan
        self._before = weights
        self._variable_rows.append({name: [row[name] for row in rows] for name in VARIABLE_STATISTICS})
        self._layer_rows.append(self._layer_sample(passes))
        probed, facts = self._probe, self._facts
        self._rows.append(
            {
                "step": self._step,
                "epoch": self._epoch,
                "loss": math.nan if passes is None else passes.loss,
                "accuracy": math.nan
                if passes is None or probed is None
                else accuracy(facts.loss, facts.from_logits, probed.y, passes.predicted),
                "learning_rate": _learning_rate(self.model),
                "inference_loss": math.nan if passes is None else passes.inference_loss,
            }
        )

    def _measure_step(self) -> None:
        assert self._before is not None
        weights = [np.array(variable.numpy()) for variable in self.model.trainable_variables]
        if len(weights) == len(self._before):
            pairs = zip(weights, self._before, strict=True)
            self._variable_rows[-1]["step_norm"] = [reference.change_norm(weight, before) for weight, before in pairs]

    def _layer_sample(self, passes: Passes | None) -> dict[str, list[float]]:
        if passes is None:
            return {name: [] for name in LAYER_STATISTICS}
        if not self._layers:
            known = {place.key: place for place in layout.places(self.model)}
            order = [*passes.seen, *(key for key in known if key not in passes.seen)]
            self._layers = tuple(
                layout.described(
                    known[key], passes.seen[key][0].output if key in passes.seen else None, key in passes.outputs
                )
                for key in order
            )
            unseen = [key for key in known if key not in passes.seen]
            self._not_measured += [f"{key}: not called where the probe could see it" for key in unseen]
        rows = []
        for layer in self._layers:
            applied = passes.seen.get(layer.key, [])
            rows.append(
                reference.layer_row(
                    _together([each.output for each in applied]),
                    _together([each.pre for each in applied]),
                    _together(passes.backward.get(layer.key, [])),
                    layer,
                    passes.by_time.get(layer.key),
                    passes.trained.get(layer.key) if len(applied) == 1 else None,
                )
            )
        return {name: [row[name] for row in rows] for name in LAYER_STATISTICS}

    def _batch(self, logs: Mapping[str, Any]) -> tuple[float, float]:
        """Return the last batch's own loss and accuracy, of the running means that Keras keeps.

        A `train_step` of the user's own that leaves them alone gives its loss in the batch's logs.
        """
        found = {"loss": math.nan, "accuracy": math.nan}
        for metric in _flat(self.model.metrics):
            if not (hasattr(metric, "total") and hasattr(metric, "count")):
                continue
            name = "accuracy" if "acc" in str(metric.name) else str(metric.name)
            total, count = (
                float(metric.total.numpy()),
                float(metric.count.numpy()),
            )
            old_total, old_count = self._totals.get(str(metric.name), (0.0, 0.0))
            self._totals[str(metric.name)] = total, count
            if name in found and count > old_count:
                found[name] = (total - old_total) / (count - old_count)
        if math.isnan(found["loss"]) and "loss" in logs and self._totals.get("loss", (0.0, 0.0))[1] == 0:
            found["loss"] = float(logs["loss"])
        return found["loss"], found["accuracy"]


def _together(arrays: list[NDArray[Any] | None]) -> NDArray[Any] | None:
    """Return all applications of a shared layer as one array; the first where their shapes do not match."""
    known = [array for array in arrays if array is not None and array.ndim]
    same = [array for array in known if array.shape[1:] == known[0].shape[1:]]
    return np.concatenate(same) if same else None


def _facts(model: Any, data: Probe | None, epochs: int, y: Any = None) -> Facts:
    given = model.loss
    loss, from_logits = _loss_name(given)
    optimizer = getattr(model.optimizer, "inner_optimizer", model.optimizer)
    facts = Facts(
        loss=loss,
        loss_is_text=isinstance(given, str),
        from_logits=from_logits,
        optimizer=type(optimizer).__name__,
        learning_rate=_learning_rate(model),
        epochs=epochs,
    )
    if data is None:
        return facts
    counts = class_counts(loss, data.labels)
    inputs = [np.asarray(array) for array in keras.tree.flatten(data.x)]
    only = inputs[0] if len(inputs) == 1 else None
    numbers = np.concatenate(
        [array.astype(np.float64).ravel() for array in inputs if array.dtype.kind in "fiub"] or [[]]
    )
    labels = data.labels if data.labels is not None and data.labels.dtype.kind in "fiub" and data.labels.size else None
    return _with(
        facts,
        classes=len(counts) or None,
        class_counts=counts,
        baseline_loss=baseline_loss(loss, data.labels, data.label_weights),
        label_min=math.nan if labels is None else float(labels.min()),
        label_max=math.nan if labels is None else float(labels.max()),
        input_min=float(numbers.min()) if numbers.size else math.nan,
        input_max=float(numbers.max()) if numbers.size else math.nan,
        input_mean=float(numbers.mean()) if numbers.size else math.nan,
        input_std=float(numbers.std()) if numbers.size else math.nan,
        input_shape=None if only is None else tuple(only.shape),
        input_is_floating=only is None or only.dtype.kind == "f",
        input_channel_means=tuple(map(float, only.mean((0, 1, 2)))) if only is not None and only.ndim == 4 else (),
        samples=data.samples,
        input_rms=tuple(
            float(np.sqrt((array.astype(np.float64) ** 2).mean())) for array in inputs if array.dtype.kind == "f"
        ),
        input_nonfinite=sum(
            int((~np.isfinite(array)).sum())
            for array in (*inputs, *([] if labels is None else [labels]))
            if array.dtype.kind == "f"
        ),
        output_baselines=tuple(
            (name, baseline_loss(_loss_name(loss)[0], y[name], None))
            for name, loss in (given.items() if isinstance(given, dict) and isinstance(y, dict) else ())
            if loss is not None and name in y
        ),
    )


def _with(facts: Facts, **changes: Any) -> Facts:
    return Facts(**(vars(facts) | changes))


def _loss_name(given: Any) -> tuple[str | None, bool]:
    if given is None or isinstance(given, (dict, list, tuple)):
        return None, False
    loss = keras.losses.get(given) if isinstance(given, str) else given
    function = getattr(loss, "fn", loss)  # a loss object wraps its function
    name = getattr(function, "__name__", None) or getattr(loss, "name", None)
    keywords = getattr(loss, "_fn_kwargs", {})
    return name, bool(getattr(loss, "from_logits", keywords.get("from_logits", False)))


def _learning_rate(model: Any) -> float:
    optimizer = getattr(model.optimizer, "inner_optimizer", model.optimizer)
    return math.nan if optimizer is None else float(keras.ops.convert_to_tensor(optimizer.learning_rate).numpy())


def _flat(metrics: Any) -> list[Any]:
    return [
        inner
        for metric in metrics
        for inner in ([metric] if hasattr(metric, "total") else getattr(metric, "metrics", []))
    ]
