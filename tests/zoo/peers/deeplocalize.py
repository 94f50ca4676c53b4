"""DeepLocalize: NaN, zero and unchanging means of layers (Wardat et al., "DeepLocalize", ICSE 2021).

Source: DeepDiagnosis/ICSE2022, ``callback/callbacks.py``, class ``DeepLocalize``; the same class in
Wardat-ISU/DeepLocalize, ``Our Callback/callbacks.py``. It looks at every batch, in the order below, and ends the
program at the first error, so there is one alarm at most. Tensors are judged by their *mean*.

- Error in forward: a layer's output is NaN or infinite; exactly 0 in at least half of the batches so far; every 5th
  batch: equal in the last 5 (not for Flatten).
- Error in Weights: the same of a layer's kernel; equality for Dense layers only.
- Invalid loss: NaN or infinite. MDL: every 5th batch: loss, or accuracy, equal in the last 5 batches.
- Error in delta Weights: the same of the gradient of a Dense kernel.
- Error in Output Gradient: the same of the gradient at a layer's output (equality not for Flatten).

"Equal" is ``mean == max`` in floating point, as published: an accuracy of 1 in five batches is an alarm.

Adapted: layers and gradients are seen in our samples (about 20 a training) in place of every batch; loss and accuracy
at every batch, as published. The original's five batches differ, ours is one probe: an output is equal over batches
only if all samples give the same (spread over samples 0), and a gradient if it is 0, which the rule on zeros finds
first. Gradients are those of training mode. The original unpacks two arrays a layer and crashes at another number
(BatchNormalization, recurrent layers, Embedding); such layers are passed over. A gradient of which the loss does not
depend is passed over, the softmax or sigmoid output among them: Keras computes its loss from the logits.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from zoo.measurement import Floats, Measurement
from zoo.peers.alarm import Alarm

EVERY = 5


def verdict(measurement: Measurement) -> list[Alarm]:
    """Return the first alarm, or nothing."""
    from_layers = next(_layers(measurement), None)
    from_batches = next(_batches(measurement), None)
    alarms = [alarm for alarm in (from_layers, from_batches) if alarm is not None]
    return [min(alarms, key=lambda alarm: alarm.step)] if alarms else []


def unchanged(values: Floats) -> bool:
    """Return whether mean and maximum are equal: the published test for a series that stands still."""
    with np.errstate(all="ignore"):
        return len(values) > 0 and float(np.mean(values)) == float(np.max(values))


def _batches(m: Measurement) -> Iterator[Alarm]:
    for batch, loss in enumerate(m.batch_loss):
        if math.isinf(loss) or (math.isnan(loss) and not np.isnan(m.batch_loss).all()):
            yield Alarm("Invalid loss", None, batch + 1)
        if (batch + 1) % EVERY == 0:
            last = slice(batch + 1 - EVERY, batch + 1)
            if unchanged(m.batch_loss[last]) or unchanged(m.batch_accuracy[last]):
                yield Alarm("MDL", None, batch + 1)


def _layers(m: Measurement) -> Iterator[Alarm]:
    zeros: dict[tuple[str, str], int] = {}

    def broken(kind: str, key: str, value: float, sample: int) -> bool:
        if value == 0:
            zeros[kind, key] = zeros.get((kind, key), 0) + 1
        return math.isinf(value) or zeros.get((kind, key), 0) >= (sample + 1) / 2

    kernels = _first_arrays(m)
    dense = {layer.key for layer in m.layers if layer.class_name == "Dense"}
    for sample in m.samples():
        step = int(m.step[sample])
        last = slice(sample + 1 - EVERY, sample + 1) if (sample + 1) % EVERY == 0 else None
        for number, layer in enumerate(m.layers):
            value = m.by_layer["mean"][sample, number]
            if broken("forward", layer.key, value, sample) or m.by_layer["nonfinite"][sample, number] > 0:
                yield Alarm("Error in forward", layer.key, step)
        for number, layer in enumerate(m.layers):
            constant = last is not None and np.all(m.by_layer["std_over_samples"][last, number] == 0)
            if constant and unchanged(m.by_layer["mean"][last, number]) and layer.class_name != "Flatten":
                yield Alarm("Error in forward", layer.key, step)
        for key, number in reversed(kernels.items()):
            value = m.by_variable["weight_mean"][sample, number]
            if broken("weights", key, value, sample) or m.by_variable["weight_nonfinite"][sample, number] > 0:
                yield Alarm("Error in Weights", key, step)
            if last is not None and key in dense and unchanged(m.by_variable["weight_mean"][last, number]):
                yield Alarm("Error in Weights", key, step)
        for key, number in reversed(kernels.items()):
            value = m.by_variable["gradient_mean"][sample, number]
            bad = m.by_variable["gradient_nonfinite"][sample, number] > 0
            if key in dense and (broken("delta", key, value, sample) or bad):
                yield Alarm("Error in delta Weights", key, step)
        for number, layer in reversed(list(enumerate(m.layers))):
            value = m.by_layer["backward_mean"][sample, number]
            if broken("output", layer.key, value, sample) or m.by_layer["backward_nonfinite"][sample, number] > 0:
                yield Alarm("Error in Output Gradient", layer.key, step)


def _first_arrays(m: Measurement) -> dict[str, int]:
    """Return the number of the kernel of each layer with exactly two arrays, in the order of the variables."""
    two = {layer.key for layer in m.layers if layer.weight_arrays == 2}
    result: dict[str, int] = {}
    for number, variable in enumerate(m.variables):
        if variable.layer in two:
            result.setdefault(variable.layer, number)
    return result
