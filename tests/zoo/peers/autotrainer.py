"""AUTOTRAINER: one training problem, looked for every third epoch (Zhang et al., "AUTOTRAINER", ICSE 2021).

Source: shiningrain/AUTOTRAINER, ``AutoTrainer/utils/monitor.py`` (features and how they are judged),
``AutoTrainer/utils/utils.py`` (when), ``AutoTrainer/utils/modules.py`` (which of several problems is kept) and
``AutoTrainer/reproduce.py`` (the parameters: "they are all set the default value which is mentioned in our paper",
its README). It stops the training at the first problem, and names no layer. Features, which stay once they are set:

- vanish: ‖first kernel's gradient‖ / ‖last one's‖ < 1e-3 (beta_1), and the first < 1e-4 (beta_2).
- explode: the same ratio > 70 (beta_3).
- relu: 70 % (gamma) of the entries of all gradients together are exactly 0.
- NaN gradient, NaN weight: NaN or infinity anywhere.
- NaN loss: a training or validation loss that is NaN, infinite or ≥ 1,000.
- abnormal loss: a negative training or validation loss.
- unstable: a local maximum of training accuracy exceeds the local minimum of the same number by 0.03 (zeta), in 20 %
  (eta) of epochs; not converged: training and validation accuracy never reached 0.6 (Theta); slow: no epoch raised
  training or validation accuracy by 0.01 (delta). These three after 30 % of the epochs less three.
- abnormal output: mean absolute output ≥ 10 (omega_1) in a layer before the last.
- output activation: the sum of absolute outputs over the classes exceeds 1.1 (omega_2 + 0.1) or is NaN; or the loss
  fits the number of outputs, and the last activation is not sigmoid for a binary, softmax for a categorical loss.
- improper loss: given by name, and neither binary with at most 2 outputs nor categorical with more.

Problems are judged only at a check that looks at the layers' outputs: the first from half of the epochs on, and any
check after an earlier one has found NaN loss, abnormal loss or slow. By priority:

- 4, abnormal_data: abnormal output, without output activation.
- 3, loss_issue: abnormal loss; or improper loss without output activation. activation_issue: output activation, and
  NaN loss, not converged, slow or unstable.
- 2, relu, explode, vanish: not converged or slow, the first of the three that holds; explode also for NaN loss with
  NaN weight or gradient.
- 1, unstable: the feature. not_converge: not converged, slow, and none of the others.

``default_param`` in utils.py has Theta 0.7; the published runs are those of reproduce.py. Overfitting is computed and
commented out there.

Adapted: in a training of less than 14 epochs the published code judges accuracy at the first epoch already, and keeps
the verdict: everything that begins below 0.6 would be a problem. Here "not converged" and "slow" are judged afresh at
each check, in its favour. Without validation data the training's values stand for both; without an accuracy metric
the probe's accuracy at sampled epoch ends does, and without any (a regression) the rules on it are silent where the
original fails. An epoch that was not sampled is judged by the last sample before it. Gradients are those of training
mode (the original's are of inference); embeddings are left out of them as in the original, where theirs are no plain
arrays. Of problems with the same priority the original keeps a random one, here the first.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from zoo.measurement import Floats, Measurement
from zoo.peers.alarm import Alarm

BETA_1, BETA_2, BETA_3, GAMMA = 1e-3, 1e-4, 70.0, 0.7
ZETA, ETA, DELTA, THETA = 0.03, 0.2, 0.01, 0.6
OMEGA_1, OMEGA_2 = 10.0, 1.0
MAX_LOSS, EVERY, JUDGEMENT_POINT = 1e3, 3, 0.3
PRIORITY = {
    "abnormal_data": 4,
    "activation_issue": 3,
    "loss_issue": 3,
    "vanish": 2,
    "explode": 2,
    "relu": 2,
    "not_converge": 1,
    "unstable": 1,
}


@dataclass
class _Features:
    """What has been found so far; a feature once set stays, but for ``not_converged`` and ``slow``."""

    vanish: bool = False
    explode: bool = False
    relu: bool = False
    nan_gradient: bool = False
    nan_weight: bool = False
    nan_loss: bool = False
    abnormal_loss: bool = False
    unstable: bool = False
    not_converged: bool = False
    slow: bool = False
    abnormal_output: bool = False
    output_activation: bool = False
    improper_loss: bool = False


def verdict(measurement: Measurement) -> list[Alarm]:
    """Return the problem with the highest priority at the first check that finds any, or nothing."""
    m, features = measurement, _Features()
    _judge_loss_function(m, features)
    mid_check = True
    for epoch, ended in enumerate(int(step) for step in m.epoch_step):
        if epoch % EVERY:
            continue
        middle = m.facts.epochs * 0.5 <= epoch and mid_check
        looks = features.abnormal_loss or features.nan_loss or features.slow or middle
        mid_check = mid_check and not m.facts.epochs * 0.5 <= epoch
        sample = max(number for number in m.samples() if m.step[number] <= ended)
        if looks:
            _judge_outputs(m, sample, features)
        _judge_gradients(m, sample, features)
        features.nan_weight |= bool(np.nansum(m.by_variable["weight_nonfinite"][sample]) > 0)
        _judge_history(m, epoch, features)
        problems = list(_problems(features)) if looks else []
        if problems:
            return [Alarm(max(problems, key=PRIORITY.__getitem__), None, ended)]
    return []


def _problems(f: _Features) -> Iterator[str]:
    if f.abnormal_output:
        yield "abnormal_data"
    if f.abnormal_loss:
        yield "loss_issue"
    elif f.nan_loss and f.output_activation:
        yield "activation_issue"
    elif f.nan_loss and (f.nan_weight or f.nan_gradient):
        yield "explode"
    if f.not_converged or f.slow:
        if f.output_activation:
            yield "activation_issue"
        elif f.relu:
            yield "relu"
        elif f.explode:
            yield "explode"
        elif f.vanish:
            yield "vanish"
        elif f.not_converged and f.slow and not f.abnormal_output:
            yield "not_converge"
    if f.unstable:
        yield "activation_issue" if f.output_activation else "unstable"
    if f.improper_loss and not f.output_activation:
        yield "loss_issue"


def _judge_loss_function(m: Measurement, f: _Features) -> None:
    if not m.facts.loss_is_text or m.facts.loss is None or not m.layers:
        return
    last, loss = m.layers[-1], m.facts.loss
    outputs = last.units or 1
    activation = last.argument or last.class_name.lower()
    binary, categorical = "binary" in loss, "categorical" in loss
    f.improper_loss = not ((outputs <= 2 and binary) or (outputs > 2 and categorical))
    if not f.improper_loss:
        f.output_activation = (binary and activation != "sigmoid" and outputs != 2) or (
            categorical and activation != "softmax"
        )


def _judge_outputs(m: Measurement, sample: int, f: _Features) -> None:
    if not m.layers:
        return
    total = m.by_layer["sample_sum_max"][sample, -1]
    if total > OMEGA_2 + 0.1 or m.by_layer["nonfinite"][sample, -1] > 0:
        f.output_activation = True
    sizes = m.by_layer["mean_abs"][sample, :-1]
    # an Embedding throws away what came before it
    embeddings = [number for number, layer in enumerate(m.layers[:-1]) if "embed" in layer.key]
    if not f.output_activation and np.any(sizes[max(embeddings, default=0) :] >= OMEGA_1):
        f.abnormal_output = True


def _judge_gradients(m: Measurement, sample: int, f: _Features) -> None:
    chosen = [
        number
        for number, variable in enumerate(m.variables)
        if variable.role != "embedding" and m.by_variable["gradient_connected"][sample, number] == 1
    ]
    kernels = [number for number in chosen if m.variables[number].ndim != 1]
    if not kernels:
        return
    if m.by_variable["gradient_nonfinite"][sample, chosen].sum() > 0:
        f.nan_gradient = True
        return
    norms = m.by_variable["gradient_norm"][sample]
    first, last = float(norms[kernels[0]]), float(norms[kernels[-1]])
    ratio = first / last if last else (math.inf if first else math.nan)
    f.vanish |= ratio < BETA_1 and first < BETA_2
    f.explode |= ratio > BETA_3
    sizes = np.array([m.variables[number].size for number in chosen])
    zeros = m.by_variable["gradient_zero_fraction"][sample, chosen]
    f.relu |= bool((zeros * sizes).sum() / sizes.sum() >= GAMMA)


def _judge_history(m: Measurement, epoch: int, f: _Features) -> None:
    losses = m.epoch_losses()[: epoch + 1]
    held_losses = m.epoch_logs.get("val_loss", losses)[: epoch + 1]
    both = np.concatenate([losses, held_losses])
    if not np.isfinite(both).all() or both.max() >= MAX_LOSS:
        f.nan_loss = True
        return
    f.abnormal_loss |= bool(both.min() < 0)
    trained = m.epoch_accuracy()[: epoch + 1]
    validation = m.logged_accuracy("val_")
    held = trained if validation is None else validation[: epoch + 1]
    if not len(trained) or np.isnan(trained).any() or epoch + 1 < JUDGEMENT_POINT * m.facts.epochs - EVERY:
        return
    f.unstable |= _oscillates(trained)
    f.not_converged = bool(max(trained.max(), held.max()) < THETA)
    f.slow = bool(max(_largest_rise(trained), _largest_rise(held)) < DELTA)


def _oscillates(accuracies: Floats) -> bool:
    """Return whether paired local maxima and minima lie ``ZETA`` apart often enough; plateaus are both."""
    inner = accuracies[1:-1]
    maxima = inner[(inner >= accuracies[:-2]) & (inner >= accuracies[2:])]
    minima = inner[(inner <= accuracies[:-2]) & (inner <= accuracies[2:])]
    pairs = min(len(maxima), len(minima))
    return bool((maxima[:pairs] - minima[:pairs] >= ZETA).sum() >= ETA * len(accuracies))


def _largest_rise(accuracies: Floats) -> float:
    return float(max(0.0, np.diff(accuracies).max(initial=0.0)))
