"""UMLAUT: heuristics on the program and its epoch logs (Schoop et al., "UMLAUT", CHI 2021).

Source: BerkeleyHCI/umlaut, ``umlaut/heuristics.py`` (checks), ``umlaut/callback.py`` (when they run) and
``umserver/errors.py`` (titles, used as symptoms). It reports everything and never stops the training.

Before the training:

- Missing Softmax layer before loss: the last layer is not called ``softmax``, and the loss is not ``from_logits``.
- Missing activation functions: a layer before the last has ``activation='linear'``, unless a ``softmax`` layer
  follows it as the last.
- Last model layer has nonlinear activation: the last layer (before a ``softmax`` layer, the one before it) has
  another activation than ``linear``.
- High dropout rate: above 0.5.

At the end of each epoch:

- Input data exceeds typical limits: an input below −1 or above 1.
- Image data may have incorrect shape: four axes, the second and third of unequal size.
- NaN (Not a number) in input: the epoch's loss is NaN, and there is NaN in the input.
- Learning Rate is high (above 0.01), is low (below 1e-7).
- Possible overfitting: the validation loss has risen since the last epoch, and the training loss has not.
- Check validation accuracy: from epoch 3 on, above 0.95, or 0.05 above the training's.

Published behaviour kept: "softmax" is looked for in the layer's *name*, so ``Dense(10, activation='softmax')`` is
missing it and raises the first and the third; a Dense layer followed by an Activation layer is a linear one; every
regression misses its softmax. "Input is not a Float type" cannot fire: the callback casts the input before the check.

Adapted: a layer is judged by its class where the original goes by its automatic name. The input is the probe batch,
not the epoch's last batch. The original raises KeyError without validation data or accuracy; those checks are left
out then. Nested models are read as a flat list of layers. The learning rate is known at sampled epochs. An alarm that
recurs is given once, at its first.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from zoo.measurement import Floats, Layer, Measurement
from zoo.peers.alarm import Alarm

MIN_INPUT, MAX_INPUT = -1.0, 1.0
MAX_LEARNING_RATE, MIN_LEARNING_RATE = 0.01, 1e-7
MAX_DROPOUT = 0.5
MAX_VALIDATION_ACCURACY, MAX_VALIDATION_LEAD, FIRST_EPOCH = 0.95, 0.05, 3


def verdict(measurement: Measurement) -> list[Alarm]:
    """Return every alarm, once each."""
    alarms = [*_program(measurement)]
    for alarm in _epochs(measurement):
        if all((alarm.symptom, alarm.layer) != (known.symptom, known.layer) for known in alarms):
            alarms.append(alarm)
    return alarms


def _program(m: Measurement) -> Iterator[Alarm]:
    if not m.layers:
        return
    layers, last = m.layers, m.layers[-1]
    if not _is_softmax(last) and not m.facts.from_logits:
        yield Alarm("Missing Softmax layer before loss", None, 0)
    for number, layer in enumerate(layers[:-1]):
        before_softmax = number == len(layers) - 2 and _is_softmax(last)
        if layer.argument == "linear" and not before_softmax:
            yield Alarm("Missing activation functions", layer.key, 0)
    judged = layers[-2] if _is_softmax(last) and len(layers) > 1 else last
    if judged.argument not in (None, "linear"):
        yield Alarm("Last model layer has nonlinear activation", judged.key, 0)
    for layer in layers[:-1]:
        if layer.dropout is not None and layer.dropout > MAX_DROPOUT:
            yield Alarm("High dropout rate", layer.key, 0)


def _epochs(m: Measurement) -> Iterator[Alarm]:
    facts, losses = m.facts, m.epoch_losses()
    rates = {int(step): rate for step, rate in zip(m.step, m.learning_rate, strict=True)}
    for epoch, ended in enumerate(int(step) for step in m.epoch_step):
        if (
            facts.input_shape is not None
            and len(facts.input_shape) == 4
            and facts.input_shape[1] != facts.input_shape[2]
        ):
            yield Alarm("Image data may have incorrect shape", None, ended)
        if facts.input_min < MIN_INPUT or facts.input_max > MAX_INPUT:
            yield Alarm("Input data exceeds typical limits", None, ended)
        nan_input = bool(m.layers) and math.isnan(facts.input_mean)
        if epoch < len(losses) and math.isnan(losses[epoch]) and nan_input:
            yield Alarm("NaN (Not a number) in input", None, ended)
        rate = rates.get(ended, math.nan)
        if rate > MAX_LEARNING_RATE:
            yield Alarm("Learning Rate is high", None, ended)
        if rate < MIN_LEARNING_RATE:
            yield Alarm("Learning Rate is low", None, ended)
        yield from _validation(m, epoch, ended, losses)


def _validation(m: Measurement, epoch: int, ended: int, losses: Floats) -> Iterator[Alarm]:
    validation = m.epoch_logs.get("val_loss")
    if validation is not None and 0 < epoch < len(losses):
        rose = validation[epoch] - validation[epoch - 1] > 0
        if rose and losses[epoch] - losses[epoch - 1] <= 0:
            yield Alarm("Possible overfitting", None, ended)
    held, trained = m.logged_accuracy("val_"), m.logged_accuracy()
    if epoch >= FIRST_EPOCH and held is not None and trained is not None:
        lead = held[epoch] - trained[epoch]
        if held[epoch] > MAX_VALIDATION_ACCURACY or lead > MAX_VALIDATION_LEAD:
            yield Alarm("Check validation accuracy", None, ended)


def _is_softmax(layer: Layer) -> bool:
    return layer.class_name == "Softmax" or "softmax" in layer.key.rsplit("/", 1)[-1]
