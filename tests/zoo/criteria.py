"""Criteria: what in a measurement shows that a training has a symptom, one function a rule, simple and strict.

They decide whether a case of the zoo deserves its label, so none of them knows how the package's rules decide. A
criterion gives the layers where it holds (an empty key for the whole model) with the number that shows it; nothing
where it does not hold. Layers are named as in the cases: activations by the layer that applies the function, gradients
and weights by the layer that owns the kernel.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np

from zoo import data_criteria
from zoo.measurement import MODEL, Evidence, Floats, Layer, Measurement

Criterion = Callable[[Measurement], Evidence]

RELUS = ("relu", "relu6")
# what leaves a linear map of its input linear
LINEAR_BETWEEN = (
    "Dropout",
    "SpatialDropout1D",
    "SpatialDropout2D",
    "Flatten",
    "Reshape",
    "Permute",
    "BatchNormalization",
    "Rescaling",
    "ZeroPadding1D",
    "ZeroPadding2D",
    "AveragePooling1D",
    "AveragePooling2D",
    "GlobalAveragePooling1D",
    "GlobalAveragePooling2D",
    "Cropping2D",
    "Identity",
)


def reference_loss(m: Measurement) -> float:
    """Return the loss of someone who has learnt nothing: the best constant's, else the untrained model's."""
    return m.facts.baseline_loss if math.isfinite(m.facts.baseline_loss) else float(m.loss[0])


def stuck(m: Measurement) -> bool:
    """Whether the last epoch's loss is not 10 % below `reference_loss`, or is no number."""
    losses = m.epoch_losses()
    return not len(losses) or not losses[-1] < 0.9 * reference_loss(m)


def vanishing_gradient(m: Measurement) -> Evidence:
    """Kernel gradient (RMS) below a thousandth of the largest kernel's, in the median of later samples, while stuck.

    A thousandfold loss along depth cannot come from the sizes of layers; that the loss is stuck excludes convergence
    and layers that need not move. The same along the time of a recurrent layer: what it reads first against last.
    """
    rms = _kernels(m, "gradient_rms")
    if not rms or not stuck(m):
        return {}
    with np.errstate(invalid="ignore", divide="ignore"):
        ratios = {layer: values / np.max(list(rms.values()), axis=0) for layer, values in rms.items()}
    along = [*ratios.items(), *_layers(m, "through_time", lambda _: True).items()]
    return {layer: value for layer, ratio in along if (value := _median(_later(ratio))) < 1e-3}


def exploding_gradient(m: Measurement) -> Evidence:
    """Kernel gradient a hundred times (L2) its own at the untrained model or a hundred times its weights, or no number.

    A training that works lowers its gradients within a factor of some ten. Of a recurrent layer also a gradient that
    grows a thousandfold, in the untrained model, from what it reads last back to what it reads first.
    """
    through_time = _layers(m, "through_time", lambda _: True)
    found: Evidence = {key: float(values[0]) for key, values in through_time.items() if values[0] >= 1e3}
    norms, weights, bad = (_kernels(m, name) for name in ("gradient_norm", "weight_norm", "gradient_nonfinite"))
    for layer, norm in norms.items():
        if np.nansum(bad[layer]) > 0:
            found[layer] = math.inf
            continue
        with np.errstate(invalid="ignore", divide="ignore"):
            growth = _largest(norm[1:] / norm[0]) if norm[0] > 0 else math.nan
            share = _largest(norm / np.maximum(weights[layer], 1))
        if max(growth if math.isfinite(growth) else 0, share) >= 100:
            found[layer] = max(growth if math.isfinite(growth) else 0, share)
    return found


def dying_relu(m: Measurement) -> Evidence:
    """A quarter or more of a ReLU layer's units are zero on the whole probe at the end."""
    return {key: share for key, share in dead_shares(m).items() if share >= 0.25}


def dead_shares(m: Measurement, sample: int = -1) -> Evidence:
    """Return the share of units of each ReLU layer that are zero on the whole probe."""
    shares = _layers(m, "zero_unit_fraction", lambda layer: layer.activation in RELUS)
    return {key: float(values[sample]) for key, values in shares.items() if math.isfinite(values[sample])}


def saturated_activation(m: Measurement) -> Evidence:
    """A bounded hidden function has lost its slope on 70 % of entries, in the median of the later samples.

    ReLU6 is flat at both ends too, but is a ReLU: half of its entries are zero by design.
    """
    return {key: value for key, values in saturated_shares(m).items() if (value := _median(_later(values))) >= 0.7}


def saturated_shares(m: Measurement) -> dict[str, Floats]:
    """Return the saturated share of each bounded hidden function, sample by sample."""
    return _layers(m, "saturated_fraction", lambda layer: not layer.is_output and layer.activation not in RELUS)


def vanishing_activation(m: Measurement) -> Evidence:
    """A hidden layer's spread over samples is less than a thousandth of the input's or of the widest hidden layer's."""
    spreads = _layers(m, "std_over_samples", lambda layer: not layer.is_output)
    found: Evidence = {}
    if spreads:
        widest = np.max([np.nan_to_num(values) for values in spreads.values()], axis=0)
        widest = np.maximum(widest, np.nan_to_num(m.facts.input_std))
        with np.errstate(invalid="ignore", divide="ignore"):
            found = {key: _median(_later(values / widest)) for key, values in spreads.items()}
    return {key: ratio for key, ratio in found.items() if ratio < 1e-3}


def exploding_activation(m: Measurement) -> Evidence:
    """A layer's RMS is a thousand times its own at the untrained model or the inputs', or above 10,000, or no number.

    Inputs smaller than one count as one.
    """
    found: Evidence = {}
    entered = max(1.0, *m.facts.input_rms) if m.facts.input_rms else 1.0
    for key, rms in _layers(m, "rms", lambda _: True).items():
        seen = rms[np.isfinite(rms)]
        if not len(seen):
            continue
        if len(seen) < len(rms):
            found[key] = math.inf
        elif seen.max() >= min(1e4, 1e3 * entered) or (seen[0] > 0 and seen.max() >= 1e3 * seen[0]):
            found[key] = float(seen.max())
    return found


def nan_or_inf(m: Measurement) -> Evidence:
    """Output, gradient or weight with NaN or infinity, at the first sample with any; the loss, for the whole model.

    Samples lie steps apart: the layers given are those already hit at the first, not the one where it began.
    """
    found: Evidence = {}
    if len(m.batch_loss) and not np.isfinite(m.batch_loss).all():
        found[MODEL] = float(np.flatnonzero(~np.isfinite(m.batch_loss))[0])
    for sample in m.samples():
        for number, layer in enumerate(m.layers):
            counts = [m.by_layer[name][sample, number] for name in ("nonfinite", "pre_nonfinite", "backward_nonfinite")]
            if np.nansum(counts) > 0:
                found.setdefault(layer.key, float(m.step[sample]))
        for number, variable in enumerate(m.variables):
            counts = [m.by_variable[name][sample, number] for name in ("weight_nonfinite", "gradient_nonfinite")]
            if np.nansum(counts) > 0:
                found.setdefault(variable.layer, float(m.step[sample]))
        if any(key != MODEL for key in found):
            break
    return found | ({MODEL: min(found.values())} if found else {})


def blocked_gradient(m: Measurement) -> Evidence:
    """A kernel whose gradient is None or exactly zero in every sample, while another kernel has one."""
    connected, largest = _kernels(m, "gradient_connected"), _kernels(m, "gradient_abs_max")
    cut = {
        layer: float(np.nanmax(connected[layer]))
        for layer, values in largest.items()
        if np.isfinite(connected[layer]).any() and not np.nansum(np.abs(values)) > 0
    }
    return cut if len(cut) < len(largest) else {}


def linear_stack(m: Measurement) -> Evidence:
    """A linear layer with a kernel and the next one, with nothing but linear layers between.

    Read from the order of execution: only for networks without branches.
    """
    kernels = {variable.layer for variable in m.variables if variable.role == "kernel"}
    found: Evidence = {}
    open_layer: str | None = None
    for layer in m.layers:
        if layer.key in kernels:
            if open_layer is not None:
                found[open_layer] = found[layer.key] = 1.0
            linear = layer.activation in ("linear", None) and layer.argument in ("linear", None)
            open_layer = layer.key if linear else None
        elif layer.class_name not in LINEAR_BETWEEN and layer.activation != "linear":
            open_layer = None
    return found


def not_zero_centred(m: Measurement) -> Evidence:
    """A hidden layer's outputs have one sign and 80 % of their power in the mean, in the median of the first steps."""
    early = [sample for sample in m.samples() if m.step[sample] <= 10]

    def hidden(layer: Layer) -> bool:
        return layer.activation not in (None, "linear", "softmax") and not layer.is_output

    found: Evidence = {}
    lows, means, spreads = (_layers(m, name, hidden) for name in ("min", "mean", "std_over_samples"))
    for key, low in lows.items():
        if early and low[early].min() >= 0:
            power = means[key][early] ** 2
            share = _median(power / (power + spreads[key][early] ** 2))
            if share > 0.8:
                found[key] = share
    return found


def unchanged_weights(m: Measurement) -> Evidence:
    """A trainable kernel that does not change by a bit between any two samples, three at least.

    Or by less than 1e-5 of its norm in all, where another changes by a hundredth; a trainable variable that
    Keras does not track; a model with nothing to train.
    """
    found: Evidence = dict.fromkeys(m.facts.untracked, 0.0)
    norms = _kernels(m, "weight_norm")
    moved = {
        layer: np.nansum(change) / max(norms[layer][0], 1e-30) for layer, change in _kernels(m, "change_norm").items()
    }
    for layer, change in _kernels(m, "change_max").items():
        known = change[~np.isnan(change)]
        if len(known) >= 3 and (known.max() == 0 or (moved[layer] < 1e-5 and max(moved.values()) > 1e-2)):
            found[layer] = float(known.max())
    return found if m.variables else {MODEL: 0.0}


def update_ratio(m: Measurement) -> Evidence:
    """A kernel that a single step moves by more than a tenth of its norm, or by less than 1e-5, in the median.

    Over the samples after the untrained model, so that a first step from small weights does not decide.
    """
    found: Evidence = {}
    norms = _kernels(m, "weight_norm")
    for layer, step in _kernels(m, "step_norm").items():
        with np.errstate(invalid="ignore", divide="ignore"):
            ratio = _median((step / norms[layer])[1:])
        if ratio > 0.1 or ratio < 1e-5:
            found[layer] = ratio
    return found


def poor_initialisation(m: Measurement) -> Evidence:
    """At the untrained model: units alike, half of a ReLU layer dead, saturation, or a spread far off the input's.

    Far is a hundredfold, saturation 70 % of the entries of a bounded hidden function. The number tells which: 1 for
    units alike, the share dead or saturated, or the ratio of spreads.
    """
    found: Evidence = {}
    hidden = {layer.key for layer in m.layers if not layer.is_output}
    for layer, equal in _kernels(m, "weight_equal_units").items():
        if equal[0] == 1 and layer in hidden:
            found[layer] = 1.0
    found |= {key: share for key, share in dead_shares(m, 0).items() if share >= 0.5}
    for key, share in saturated_shares(m).items():
        if share[0] >= 0.7:
            found.setdefault(key, float(share[0]))
    reference = m.facts.input_std
    kernels = {variable.layer for variable in m.variables if variable.role == "kernel"}
    if math.isfinite(reference) and reference > 0:
        for key, spread in _layers(m, "std_over_samples", lambda layer: layer.key in kernels).items():
            ratio = float(spread[0] / reference)
            if ratio > 1e2 or ratio < 1e-2:
                found.setdefault(key, ratio)
    return found


def oscillating_loss(m: Measurement) -> Evidence:
    """Batch losses that alternate, or epoch losses that rise about as much as they fall.

    Alternate: the lag-1 autocorrelation of the later half, without its trend, is below −0.5. About: the rises add up to
    half of the falls, in three turns at least, and to 5 % of the mean loss. In a training that has learnt the fall at
    the beginning hides this: there the later half of eight epochs or more decides, whose rises must add up to a fifth
    of its mean loss and to a hundredth of the reference.
    """
    batches = m.batch_loss[len(m.batch_loss) // 2 :]
    if len(batches) >= 20 and np.isfinite(batches).all():
        x = np.arange(len(batches))
        rest = batches - np.polyval(np.polyfit(x, batches, 1), x)
        if rest.std() > 1e-3 * abs(batches.mean()):
            lag = float((rest[1:] * rest[:-1]).mean() / rest.var())
            if lag < -0.5:
                return {MODEL: lag}
    losses = m.epoch_losses()
    moves = np.diff(losses)
    if len(moves) >= 4 and np.isfinite(losses).all():
        rises, falls = moves[moves > 0].sum(), -moves[moves < 0].sum()
        turns = int((np.sign(moves[1:]) != np.sign(moves[:-1])).sum())
        if rises >= 0.5 * falls and rises >= 0.05 * np.abs(losses).mean() and turns >= 3:
            return {MODEL: float(rises / falls) if falls else math.inf}
    later = losses[len(losses) // 2 :]
    if len(losses) >= 8 and np.isfinite(losses).all():
        moves = np.diff(later)
        rises, falls = moves[moves > 0].sum(), -moves[moves < 0].sum()
        turns = int((np.sign(moves[1:]) != np.sign(moves[:-1])).sum())
        size = max(0.2 * np.abs(later).mean(), 0.01 * abs(reference_loss(m)))
        if turns >= 3 and rises >= 0.5 * falls and rises >= size:
            return {MODEL: float(rises / falls)}
    return {}


def slow_convergence(m: Measurement) -> Evidence:
    """Each of the last three epochs lowers the loss by less than 1 %, and it is still above half of the reference."""
    losses = m.epoch_losses()
    if len(losses) < 4 or not np.isfinite(losses).all():
        return {}
    gains = -np.diff(losses)[-3:] / np.abs(losses[-4:-1])
    slow = bool((gains < 0.01).all()) and losses[-1] > 0.5 * reference_loss(m)
    return {MODEL: float(gains.mean())} if slow else {}


def not_converging(m: Measurement) -> Evidence:
    """The last epoch's loss is not 10 % below the best constant's (unknown: the untrained model's), or is no number.

    The same of one output of several, whose layer is then given.
    """
    losses = m.epoch_losses()
    found: Evidence = {MODEL: float(losses[-1] / reference_loss(m)) if len(losses) else math.nan} if stuck(m) else {}
    for output, baseline in m.facts.output_baselines:
        logged = m.epoch_logs.get(f"{output}_loss", np.zeros(0))
        if len(logged) and not logged[-1] < 0.9 * baseline:
            found[output] = float(logged[-1] / baseline)
    return found


def falling_learning_rate(m: Measurement) -> Evidence:
    """The learning rate falls a thousandfold while more than half of the reference loss is left."""
    rates, losses = m.learning_rate, m.epoch_losses()
    fell = float(rates[-1] / rates.max())
    return {MODEL: fell} if fell <= 1e-3 and len(losses) and losses[-1] > 0.5 * reference_loss(m) else {}


def collapsed_output(m: Measurement) -> Evidence:
    """At the end all answers are alike: their spread is below a hundredth of their RMS or of the spread untrained."""
    spreads, rms = (_layers(m, name, lambda layer: layer.is_output) for name in ("std_over_samples", "rms"))
    shares = {key: float(spread[-1] / max(spread[0], rms[key][-1], 1e-30)) for key, spread in spreads.items()}
    return {MODEL: min(shares.values())} if shares and min(shares.values()) < 1e-2 else {}


def batch_statistics(m: Measurement) -> Evidence:
    """BatchNormalization answers otherwise in inference by half of its spread, where the loss is twice as large."""
    apart = _layers(m, "training_apart", lambda _: True)
    worse = len(m.inference_loss) > 0 and not m.inference_loss[-1] < 2 * m.loss[-1]
    return {key: float(values[-1]) for key, values in apart.items() if worse and not values[-1] < 0.5}


CRITERIA: Mapping[str, Criterion] = {
    each.__name__: each
    for each in (
        vanishing_gradient,
        exploding_gradient,
        dying_relu,
        saturated_activation,
        vanishing_activation,
        exploding_activation,
        nan_or_inf,
        blocked_gradient,
        linear_stack,
        not_zero_centred,
        unchanged_weights,
        update_ratio,
        poor_initialisation,
        oscillating_loss,
        slow_convergence,
        not_converging,
        falling_learning_rate,
        collapsed_output,
        batch_statistics,
        data_criteria.input_scale,
        data_criteria.target_scale,
        data_criteria.nonfinite_data,
        data_criteria.index_out_of_range,
        data_criteria.output_loss_mismatch,
    )
}


def _kernels(m: Measurement, statistic: str) -> dict[str, Floats]:
    """Return each layer's largest kernel's series; embeddings, biases and scales are no kernels."""
    series: dict[str, Floats] = {}
    sizes: dict[str, int] = {}
    for number, variable in enumerate(m.variables):
        if variable.role == "kernel" and variable.size > sizes.get(variable.layer, 0):
            sizes[variable.layer] = variable.size
            series[variable.layer] = m.by_variable[statistic][:, number]
    return series


def _layers(m: Measurement, statistic: str, chosen: Callable[[Layer], bool]) -> dict[str, Floats]:
    return {
        layer.key: m.by_layer[statistic][:, number]
        for number, layer in enumerate(m.layers)
        if chosen(layer) and not np.isnan(m.by_layer[statistic][:, number]).all()
    }


def _later(values: Floats) -> Floats:
    return values[len(values) // 2 :]


def _median(values: Floats) -> float:
    known = values[~np.isnan(values)]
    return float(np.median(known)) if len(known) else math.nan


def _largest(values: Floats) -> float:
    known = values[~np.isnan(values)]
    return float(known.max()) if len(known) else 0.0
