"""SageMaker Debugger's built-in rules for neural networks, with their default parameters.

The rules are closed source. Source of definitions and defaults: awsdocs/amazon-sagemaker-developer-guide,
``doc_source/debugger-built-in-rules.md``; what they look at by default: awslabs/sagemaker-debugger-rulesconfig,
``smdebug_rulesconfig/debugger_rules/rule_config_jsons/ruleConfigs.json``. Each rule runs on its own; once it has
fired on a layer, it is not repeated here.

- VanishingGradient: mean absolute gradient of a weight below 1e-7.
- ExplodingTensor: NaN or infinity in losses, weights, gradients, outputs.
- DeadRelu: more than 50 % of a layer's ReLUs are active less than 1 % of the time.
- SaturatedActivation: more than 50 % of the nodes of a tanh or sigmoid, the output too, have inputs within ±9.4999
  (tanh) or −23 to 16.99999 (sigmoid) less than 1 % of the time.
- PoorWeightInitialization: in the first 10 steps the variance of ReLU inputs differs between layers by a factor above
  10, a gradient's 5th and 95th percentiles lie within 0.001, or the loss has not fallen for 5 steps.
- WeightUpdateRatio: ‖update‖ / (‖weight‖ + 1e-9) above 10 or below 1e-8 from one step to the next.
- UnchangedTensor: a weight is ``numpy.allclose`` over the last 3 saved steps.
- AllZero: all entries of a gradient or a ReLU's output are 0.
- LossNotDecreasing: the loss is not below that at least 10 steps before.
- Overfit: (validation − training) / training loss above 0.1 at the end of an epoch.
- Overtraining: the training loss has not improved by 0.1 for 5 epochs, or the validation loss for 10.
- ClassImbalance: the largest class is above 10 times the smallest, from 500 labels on.
- CheckInputImages: a channel's mean is more than 0.2 from 0, for inputs with four axes, from 500 images on.

Not here: TensorVariance (no default thresholds, so it never fires), Confusion and the mispredictions of
ClassImbalance (need predictions by class), SimilarAcrossRuns, StalledTraining and NLPSequenceRatio (need another run,
a clock, tokens), and what is for trees.

Adapted: the saved steps are our samples (by default every 500th, which in a small training is one or none); the
update is that of the single step after a sample, as the rule demands. AllZero, UnchangedTensor and ExplodingTensor
must be told what to look at; weights, which may begin at zero, are left out of AllZero, in its favour. Undocumented
and read so: the ratio is of L2 norms, and a weight that is zero is passed over; "the minimum difference" of
percentiles is the smallest over all gradients; a loss "no longer decreasing" has had no new minimum.
LossNotDecreasing gets epoch means, less noisy than batches, at ends of epochs at least 10 steps apart; Overfit and
Overtraining get epochs for steps.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from zoo.measurement import Measurement
from zoo.peers.alarm import Alarm

MIN_GRADIENT = 1e-7
MAX_INACTIVE_LAYER = 0.5
MAX_VARIANCES, MIN_DISTRIBUTION_RANGE, LOSS_PATIENCE, FIRST_STEPS = 10.0, 1e-3, 5, 10
MAX_UPDATE, MIN_UPDATE, EPSILON = 10.0, 1e-8, 1e-9
UNCHANGED_STEPS = 3
LOSS_STEPS = 10
MAX_OVERFIT = 0.1
PATIENCE_TRAIN, PATIENCE_VALIDATION, MIN_IMPROVEMENT = 5, 10, 0.1
MAX_IMBALANCE, MIN_LABELS = 10.0, 500
MAX_CHANNEL_MEAN, MIN_IMAGES = 0.2, 500


def verdict(measurement: Measurement) -> list[Alarm]:
    """Return the first alarm of each rule on each layer."""
    alarms: dict[tuple[str, str | None], Alarm] = {}
    for rule in (_tensors, _activations, _initialisation, _updates, _losses, _data):
        for alarm in rule(measurement):
            alarms.setdefault((alarm.symptom, alarm.layer), alarm)
    return sorted(alarms.values(), key=lambda alarm: alarm.step)


def _tensors(m: Measurement) -> Iterator[Alarm]:
    for sample in m.samples():
        step = int(m.step[sample])
        for number, variable in enumerate(m.variables):
            row = {name: values[sample, number] for name, values in m.by_variable.items()}
            if row["gradient_mean_abs"] < MIN_GRADIENT:
                yield Alarm("VanishingGradient", variable.layer, step)
            if row["gradient_nonfinite"] > 0 or row["weight_nonfinite"] > 0:
                yield Alarm("ExplodingTensor", variable.layer, step)
            if row["gradient_zero_fraction"] == 1:
                yield Alarm("AllZero", variable.layer, step)
        for number, layer in enumerate(m.layers):
            if m.by_layer["nonfinite"][sample, number] > 0:
                yield Alarm("ExplodingTensor", layer.key, step)
            if layer.activation == "relu" and m.by_layer["zero_fraction"][sample, number] == 1:
                yield Alarm("AllZero", layer.key, step)
    broken = np.flatnonzero(~np.isfinite(m.batch_loss)) if not np.isnan(m.batch_loss).all() else []
    for batch in broken[:1]:
        yield Alarm("ExplodingTensor", None, int(batch) + 1)


def _activations(m: Measurement) -> Iterator[Alarm]:
    statistics = {
        "relu": ("DeadRelu", "pre_silent_unit_fraction"),
        "tanh": ("SaturatedActivation", "pre_tanh_idle_unit_fraction"),
        "sigmoid": ("SaturatedActivation", "pre_sigmoid_idle_unit_fraction"),
    }
    for number, layer in enumerate(m.layers):
        rule, statistic = statistics.get(layer.activation or "", ("", ""))
        for sample in m.samples() if rule else ():
            if m.by_layer[statistic][sample, number] > MAX_INACTIVE_LAYER:
                yield Alarm(rule, layer.key, int(m.step[sample]))


def _initialisation(m: Measurement) -> Iterator[Alarm]:
    relus = [number for number, layer in enumerate(m.layers) if layer.activation == "relu"]
    for sample in m.samples():
        if m.step[sample] > FIRST_STEPS:
            break
        with np.errstate(all="ignore"):
            variances = m.by_layer["pre_std"][sample, relus] ** 2
            spread = variances.max() / variances.min() if len(relus) > 1 else math.nan
        ranges = m.by_variable["gradient_spread"][sample]
        if spread > MAX_VARIANCES or (not np.isnan(ranges).all() and np.nanmin(ranges) < MIN_DISTRIBUTION_RANGE):
            yield Alarm("PoorWeightInitialization", None, int(m.step[sample]))
    first = m.batch_loss[:FIRST_STEPS]
    since = 0
    for batch in range(1, len(first)):
        since = 0 if first[batch] < first[:batch].min() else since + 1
        if since >= LOSS_PATIENCE:
            yield Alarm("PoorWeightInitialization", None, batch + 1)


def _updates(m: Measurement) -> Iterator[Alarm]:
    for number, variable in enumerate(m.variables):
        norm = m.by_variable["weight_norm"][:, number]
        update = m.by_variable["step_norm"][:, number]
        close = m.by_variable["change_close"][:, number]
        for sample in m.samples():
            step = int(m.step[sample])
            ratio = update[sample] / (norm[sample] + EPSILON)
            if norm[sample] > 0 and (ratio > MAX_UPDATE or ratio < MIN_UPDATE):
                yield Alarm("WeightUpdateRatio", variable.layer, step + 1)
            if sample >= UNCHANGED_STEPS - 1 and (close[sample + 2 - UNCHANGED_STEPS : sample + 1] == 1).all():
                yield Alarm("UnchangedTensor", variable.layer, step)


def _losses(m: Measurement) -> Iterator[Alarm]:
    losses, ends = m.epoch_losses(), m.epoch_step
    held = m.epoch_logs.get("val_loss")
    checked = 0
    for epoch in range(1, min(len(losses), len(ends))):
        if ends[epoch] - ends[checked] >= LOSS_STEPS:
            if not losses[epoch] < losses[checked]:
                yield Alarm("LossNotDecreasing", None, int(ends[epoch]))
            checked = epoch
    for name, series, patience in (("train", losses, PATIENCE_TRAIN), ("validation", held, PATIENCE_VALIDATION)):
        best, since = math.inf, 0
        for epoch, loss in enumerate([] if series is None else series):
            best, since = (loss, 0) if loss < best - MIN_IMPROVEMENT else (best, since + 1)
            if since >= patience and epoch < len(ends):
                yield Alarm(f"Overtraining ({name})", None, int(ends[epoch]))
    if held is not None:
        for epoch in range(min(len(losses), len(ends))):
            if losses[epoch] > 0 and (held[epoch] - losses[epoch]) / losses[epoch] > MAX_OVERFIT:
                yield Alarm("Overfit", None, int(ends[epoch]))


def _data(m: Measurement) -> Iterator[Alarm]:
    counts = m.facts.class_counts
    if counts and sum(counts) >= MIN_LABELS and max(counts) > MAX_IMBALANCE * min(counts):
        yield Alarm("ClassImbalance", None, 0)
    if m.facts.samples >= MIN_IMAGES and any(abs(mean) > MAX_CHANNEL_MEAN for mean in m.facts.input_channel_means):
        yield Alarm("CheckInputImages", None, 0)
