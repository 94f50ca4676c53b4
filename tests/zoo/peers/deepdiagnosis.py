"""DeepDiagnosis: eight symptoms, looked for at the end of each epoch (Wardat et al., "DeepDiagnosis", ICSE 2022).

Source: DeepDiagnosis/ICSE2022, ``callback/callbacks.py``, class ``mapFaluireToFix`` and the functions before it. At
the end of each epoch it runs the first batch of the training data through the model; the first symptom, in this
order, stops the training, so there is one alarm at most.

- Out of Rang Problem: first epoch, last layer not softmax: labels outside the range of its activation; relu or linear
  with a categorical cross-entropy; linear, and the outputs' range above 10 times that of the labels.
- Numerical Problem Forward: a layer's mean output is NaN, infinite or exactly 0.
- Dead Node Problem: last epoch: 70 % of the *entries* of a relu or exponential layer are ≤ 0.
- Saturated Activation Problem: every 5th epoch: more than half of what goes into sigmoid or tanh is ≤ −5 or ≥ 5.
- Unchange Tensor in forward: every 5th epoch: a layer's mean output (not the last, not Flatten) is equal in the last
  5.
- Invalid loss: NaN or infinite. Loss Not Decreasing: every 5th epoch: equal in the last 5.
- Invalid accuracy: NaN, infinite or 0. Accurcy Not Increasing: every 20th epoch: equal in the last 20.
- Numerical Error in delta Weights: the mean gradient of a Dense kernel is NaN, infinite or exactly 0.
- Vanishing Gradient Problem in delta Weights: the mean absolute gradient of a Dense kernel is below 1e-7.
- Numerical Error in Weights: a kernel's mean is NaN, infinite or exactly 0.
- Unchange Tensor in Delta Weights, in Weights: every 5th epoch: a Dense kernel's mean gradient, mean, equal in the
  last 5.

Published behaviour kept: the entries, not the units, of "Dead Node"; an output is judged like any layer for
saturation; the gradients of Dense layers are taken two at a time from the end of the list, so that the gamma and beta
of a BatchNormalization after a Dense layer stand in for its kernel and bias. The variance of weights ("Poor Weight")
and the learning rate choose the advice only, not the symptom, and with one mean for all the weights of a layer the
former never holds.

Adapted: a layer with an activation argument is read as two layers, the second named after the function, as in the
programs of its evaluation; a symptom of the first part carries the layer's key too. Five epochs in a row are five
sampled ones. The batch is the probe; gradients are those of training mode. Without accuracy in the logs those rules
are silent. Layers with another number of arrays than two crash the original and are passed over, and so are output
activations of which it knows no range. The published code fails while it writes the advice for "Loss Not Decreasing";
the symptom has been written by then, and counts.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from zoo.measurement import Floats, Measurement
from zoo.peers.alarm import Alarm
from zoo.peers.deeplocalize import unchanged

EVERY, EVERY_ACCURACY = 5, 20
MAX_DEAD, MAX_SATURATED, MIN_GRADIENT, MAX_RANGES = 0.7, 0.5, 1e-7, 10
RANGES = {"sigmoid": (0.0, 1.0), "tanh": (-1.0, 1.0), "relu": (0.0, math.inf), "elu": (-1.0, math.inf)}


class _Part(NamedTuple):
    """A layer as DeepDiagnosis sees it: its key, the name it goes by, and the table columns of its output."""

    key: str
    name: str
    number: int
    prefix: str  # "pre_" where this is the linear part of a layer with an activation


def verdict(measurement: Measurement) -> list[Alarm]:
    """Return the first alarm, or nothing."""
    alarm = next(_alarms(measurement), None)
    return [] if alarm is None else [alarm]


def _alarms(m: Measurement) -> Iterator[Alarm]:
    parts, ends = _parts(m), m.epoch_ends()
    losses = m.epoch_losses()
    accuracies = m.logged_accuracy()
    for count, sample in enumerate(ends, 1):
        epoch = int(m.epoch[sample]) - 1
        last = ends[count - EVERY : count] if count % EVERY == 0 else []
        yield from _forward(m, parts, sample, epoch, last)
        yield from _metrics(losses, accuracies, epoch, int(m.step[sample]))
        yield from _weights(m, sample, last)


def _forward(m: Measurement, parts: list[_Part], sample: int, epoch: int, last: list[int]) -> Iterator[Alarm]:
    step = int(m.step[sample])
    final = epoch == m.facts.epochs - 1

    def of(part: _Part, statistic: str, at: int = sample) -> float:
        return float(m.by_layer[part.prefix + statistic][at, part.number])

    for place, part in enumerate(parts):
        if place + 1 == len(parts) and part.name != "softmax" and epoch == 0 and _out_of_range(m, part, sample):
            yield Alarm("Out of Rang Problem", part.key, step)
        if of(part, "nonfinite") > 0 or of(part, "mean") == 0:
            yield Alarm("Numerical Problem Forward", part.key, step)
        if final and part.name in ("relu", "exponential") and of(part, "nonpositive_fraction") >= MAX_DEAD:
            yield Alarm("Dead Node Problem", part.key, step)
        follower = parts[place + 1] if place + 1 < len(parts) else None
        if last and follower is not None and follower.name in ("sigmoid", "tanh"):
            share = m.by_layer["pre_beyond_five_fraction"][sample, follower.number]
            if share > MAX_SATURATED:
                yield Alarm("Saturated Activation Problem", part.key, step)
    for part in parts[:-1] if last else []:
        if "flatten" not in part.name and unchanged(np.array([of(part, "mean", at) for at in last])):
            yield Alarm("Unchange Tensor in forward", part.key, step)


def _out_of_range(m: Measurement, part: _Part, sample: int) -> bool:
    facts, linear = m.facts, part.name == "linear" or "dense" in part.name
    if not (linear or part.name in RANGES):
        return False
    low, high = RANGES.get(part.name, (-math.inf, math.inf))
    if (linear or part.name == "relu") and facts.loss in (
        "categorical_crossentropy",
        "sparse_categorical_crossentropy",
    ):
        return True
    smallest, largest = (m.by_layer[part.prefix + name][sample, part.number] for name in ("min", "max"))
    if linear and abs(largest - smallest) > abs(facts.label_max - facts.label_min) * MAX_RANGES:
        return True
    return facts.label_min < low or facts.label_max > high


def _metrics(losses: Floats, accuracies: Floats | None, epoch: int, step: int) -> Iterator[Alarm]:
    if epoch < len(losses):
        if not math.isfinite(losses[epoch]):
            yield Alarm("Invalid loss", None, step)
        if (epoch + 1) % EVERY == 0 and unchanged(losses[epoch + 1 - EVERY : epoch + 1]):
            yield Alarm("Loss Not Decreasing", None, step)
    if accuracies is not None and epoch < len(accuracies):
        if not math.isfinite(accuracies[epoch]) or accuracies[epoch] == 0:
            yield Alarm("Invalid accuracy", None, step)
        if (epoch + 1) % EVERY_ACCURACY == 0 and unchanged(accuracies[epoch + 1 - EVERY_ACCURACY : epoch + 1]):
            yield Alarm("Accurcy Not Increasing", None, step)


def _weights(m: Measurement, sample: int, last: list[int]) -> Iterator[Alarm]:
    step = int(m.step[sample])
    gradients = _gradient_numbers(m)
    kernels = {}
    for number, variable in enumerate(m.variables):
        kernels.setdefault(variable.layer, number)
    for layer in reversed(m.layers):
        if layer.key in gradients:
            number = gradients[layer.key]
            mean = m.by_variable["gradient_mean"][sample, number]
            if m.by_variable["gradient_nonfinite"][sample, number] > 0 or mean == 0:
                yield Alarm("Numerical Error in delta Weights", layer.key, step)
            if m.by_variable["gradient_mean_abs"][sample, number] < MIN_GRADIENT:
                yield Alarm("Vanishing Gradient Problem in delta Weights", layer.key, step)
        if layer.weight_arrays == 2 and layer.key in kernels:
            number = kernels[layer.key]
            mean = m.by_variable["weight_mean"][sample, number]
            if m.by_variable["weight_nonfinite"][sample, number] > 0 or mean == 0:
                yield Alarm("Numerical Error in Weights", layer.key, step)
    for layer in reversed(m.layers) if last else []:
        if layer.key in gradients and unchanged(m.by_variable["gradient_mean"][last, gradients[layer.key]]):
            yield Alarm("Unchange Tensor in Delta Weights", layer.key, step)
        judged = layer.class_name == "Dense" and layer.weight_arrays == 2 and layer.key in kernels
        if judged and unchanged(m.by_variable["weight_mean"][last, kernels[layer.key]]):
            yield Alarm("Unchange Tensor in Weights", layer.key, step)


def _gradient_numbers(m: Measurement) -> dict[str, int]:
    """Return the variable that the published code takes for each Dense layer's kernel: two at a time, from the end."""
    numbers: dict[str, int] = {}
    index = len(m.variables) - 2
    for layer in reversed(m.layers):
        if layer.class_name == "Dense":
            if not -len(m.variables) <= index:
                break
            numbers[layer.key] = index
            index -= 2
    return numbers


def _parts(m: Measurement) -> list[_Part]:
    parts: list[_Part] = []
    for number, layer in enumerate(m.layers):
        name = layer.class_name.lower()
        split = layer.argument not in (None, "linear") and not np.isnan(m.by_layer["pre_mean"][:, number]).all()
        if split and layer.class_name != "Activation":
            parts.append(_Part(layer.key, name, number, "pre_"))
        parts.append(_Part(layer.key, str(layer.argument) if split else layer.activation or name, number, ""))
    return [part._replace(name="dense") if part.name == "linear" else part for part in parts]
