"""An output's activation function, its loss and its targets that do not fit each other."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradscope.diagnose.consequences import OF_BAD_DATA
from gradscope.diagnose.finding import Advice, Evidence, Finding, Severity
from gradscope.diagnose.keras_code import layer_code
from gradscope.diagnose.remedy import Remedy
from gradscope.diagnose.rule import rule
from gradscope.diagnose.subject import Output, Subject
from gradscope.network import Site

_CLASSES = {
    "categorical_crossentropy": "CategoricalCrossentropy",
    "sparse_categorical_crossentropy": "SparseCategoricalCrossentropy",
    "binary_crossentropy": "BinaryCrossentropy",
    "categorical_focal_crossentropy": "CategoricalFocalCrossentropy",
    "binary_focal_crossentropy": "BinaryFocalCrossentropy",
}
_WITH_LOGARITHM = frozenset({"poisson", "mean_squared_logarithmic_error"})
_HINGES = frozenset({"hinge", "squared_hinge"})
_NEAR_ZERO = 1e-3  # a target below it makes a percentage of it mean nothing
_ROUNDING = 1e-2  # of labels that were written with few digits


@rule(explains=OF_BAD_DATA, at_once=True)
def output_loss_mismatch(
    subject: Subject, *, unreachable: float = 0.05, mostly: float = 0.5, margin: float = 0.01
) -> Iterator[Finding]:
    """Yield a finding for each output whose function, loss and targets do not fit.

    Each pair is judged by what Keras computes for it: its cross-entropies take the logits from behind a softmax or a
    sigmoid where they find them, so that some mistakes of other frameworks are harmless here and said as information.
    Losses that are not Keras' own are not judged.

    Severity: high where the loss or the prediction cannot follow the targets at all; medium where it cannot for a part
    of them; low where training is right but the model's answers are not what they seem.

    Args:
        subject: The model and its batch.
        unreachable: Share of targets out of reach, fraction, from which it is medium.
        mostly: Share of targets out of reach, fraction, from which it is high.
        margin: Part of the function's range, fraction, by which a target may lie outside.
    """
    for output in subject.outputs:
        if not output.loss or output.site is None:
            continue
        found = (
            _one_unit(output, output.site)
            or _logits(output, output.site)
            or _no_probabilities(output, output.site)
            or _targets_no_probabilities(output, output.site, unreachable)
            or _wrong_pair(output, output.site, unreachable)
            or _one_target_for_many(output, output.site)
            or _no_domain(output, output.site, unreachable)
            or _out_of_reach(output, output.site, unreachable, mostly, margin)
        )
        if found is not None:
            yield found


def _one_unit(output: Output, site: Site) -> Finding | None:
    """A softmax over one unit, or one class of one."""
    if site.units != 1:
        return None
    evidence = Evidence("units", 1.0, 1.0, above=False)
    if site.activation == "softmax" and (output.is_binary or output.is_categorical or output.is_regression):
        said = f"Softmax over the single unit of {site.layer!r} is always 1, whatever the input."
        return _finding(output, site, "high", said, [evidence], _binary(output))
    if output.is_categorical:
        said = f"A categorical cross-entropy over the single unit of {site.layer!r} is always 0: there is one class."
        return _finding(output, site, "high", said, [evidence], _binary(output))
    return None


def _logits(output: Output, site: Site) -> Finding | None:
    """Probabilities given to a loss that expects logits."""
    if not output.from_logits or site.activation not in {"softmax", "sigmoid"} or output.reads_logits is None:
        return None
    name = _CLASSES[output.loss]
    evidence = [Evidence("from_logits", 1.0), Evidence("units", float(site.units))]
    advice = (
        Advice("Tell the loss that it gets probabilities.", f"loss = keras.losses.{name}()", Remedy("loss")),
        _function(output, "linear", "Or let the model answer with logits, which is the more exact."),
    )
    if output.reads_logits:
        said = (
            f"{name}(from_logits=True) meets {site.activation} in {site.layer!r}: Keras takes the logits from behind "
            f"it, so training is right, but no longer once the output is cast or reshaped."
        )
        return _finding(output, site, "low", said, evidence, advice)
    said = f"{name}(from_logits=True) applies a second function to the {site.activation} of {site.layer!r}."
    return _finding(output, site, "high", said, evidence, advice)


def _no_probabilities(output: Output, site: Site) -> Finding | None:
    """Numbers outside of 0…1 given to a loss that expects probabilities."""
    if output.loss not in _CLASSES or output.from_logits is not False:
        return None
    if not (output.minimum < 0 or output.maximum > 1):
        return None
    wanted = "sigmoid" if output.is_binary else "softmax"
    end = "no activation function" if site.activation == "linear" else site.activation
    evidence = [
        Evidence("smallest value of the output", output.minimum, 0.0, above=False),
        Evidence("largest value of the output", output.maximum, 1.0),
    ]
    advice = (
        Advice(
            "Tell the loss that it gets logits.",
            f"loss = keras.losses.{_CLASSES[output.loss]}(from_logits=True)",
            Remedy("loss", (), {"from_logits": True}),
        ),
        _function(output, wanted, f"Or end the model with {wanted}."),
    )
    said = (
        f"{output.loss} expects probabilities, but {site.layer!r} ends with {end}: values outside of 0…1 are cut off."
    )
    return _finding(output, site, "high", said, evidence, advice)


def _targets_no_probabilities(output: Output, site: Site, unreachable: float) -> Finding | None:
    """Labels such as −1 and 1 given to a cross-entropy."""
    targets = output.targets
    takes_shares = (output.is_binary or output.is_categorical) and not output.loss.startswith("sparse")
    if not takes_shares or targets is None or not targets.size:
        return None
    low, high = float(targets.min()), float(targets.max())
    share = float(np.mean((targets < 0) | (targets > 1)))
    if share == 0:
        return None
    evidence = [Evidence("smallest target", low, 0.0, above=False), Evidence("largest target", high, 1.0)]
    code = (
        f"y = (y - {low:g}) / {high - low:g}" if len(np.unique(targets)) == 2 else "y = keras.utils.to_categorical(y)"
    )
    said = f"{output.loss} takes targets from 0 to 1, not from {low:.3g} to {high:.3g}: the loss has no minimum."
    evidence.append(Evidence("targets outside of 0…1", share, unreachable, unit="fraction"))
    severity: Severity = "high" if share >= unreachable else "low"
    return _finding(
        output, site, severity, said, evidence, (Advice("Give targets from 0 to 1.", code, Remedy("data")),)
    )


def _no_domain(output: Output, site: Site, unreachable: float) -> Finding | None:
    """Answers or targets for which the loss is not made."""
    return _answers_outside(output, site) or _targets_outside(output, site, unreachable)


def _answers_outside(output: Output, site: Site) -> Finding | None:
    evidence = [Evidence("smallest value of the output", output.minimum, 0.0, above=False)]
    if output.loss in _WITH_LOGARITHM and output.minimum < 0:
        what = "is NaN" if output.loss == "poisson" else "has no gradient"
        said = f"{output.loss} takes the logarithm of the answers of {site.layer!r}: of those below zero it {what}."
        advised = _function(output, "softplus", "End with a function whose answers are above zero.")
        return _finding(output, site, "high", said, evidence, (advised,))
    if output.loss == "kl_divergence" and (output.minimum < 0 or output.maximum > 1):
        said = f"kl_divergence takes probabilities, but {site.layer!r} answers outside of 0…1: they are cut off."
        return _finding(output, site, "high", said, evidence, (_function(output, "softmax", "End with softmax."),))
    if output.loss == "cosine_similarity" and site.units == 1:
        said = f"The cosine of the single unit of {site.layer!r} is 1 or -1, whatever its size: it has no gradient."
        evidence = [Evidence("units", 1.0, 1.0, above=False)]
        return _finding(output, site, "high", said, evidence, (_loss("Measure a distance.", "mse"),))
    return None


def _targets_outside(output: Output, site: Site, unreachable: float) -> Finding | None:
    targets = output.targets
    if targets is None or not targets.size or targets.dtype.kind not in "fiub":
        return None
    if output.loss in _HINGES and not {float(label) for label in np.unique(targets)} <= {-1.0, 0.0, 1.0}:
        said = f"{output.loss} takes the targets -1 and 1, not {targets.min():.3g} to {targets.max():.3g}."
        code = f"y = keras.ops.where(y > {np.median(targets):.3g}, 1.0, -1.0)"
        advised = Advice("Give each label as -1 or 1.", code, Remedy("data"))
        return _finding(output, site, "high", said, [Evidence("largest target", float(targets.max()), 1.0)], (advised,))
    share = float(np.mean(targets < 0))
    if output.loss in _WITH_LOGARITHM and share >= unreachable:
        said = f"{output.loss} is for counts and sizes, but {100 * share:.3g}% of the targets are below zero."
        evidence = [Evidence("targets below zero", share, unreachable, unit="fraction")]
        return _finding(output, site, "high", said, evidence, (_loss("Measure a distance.", "mse"),))
    share = float(np.mean(np.abs(targets) < _NEAR_ZERO))
    if output.loss == "mean_absolute_percentage_error" and share >= unreachable:
        said = f"A percentage of nothing has no size, but {100 * share:.3g}% of the targets are next to 0."
        evidence = [Evidence("targets next to 0", share, unreachable, unit="fraction")]
        return _finding(output, site, "medium", said, evidence, (_loss("Measure a distance.", "mae"),))
    return _no_distribution(output, site, targets, unreachable)


def _no_distribution(output: Output, site: Site, targets: NDArray[Any], unreachable: float) -> Finding | None:
    """Rows of labels that are to share one, and do not."""
    if output.loss != "categorical_crossentropy" or targets.ndim < 2 or targets.shape[-1] < 2:
        return None
    share = float((np.abs(np.sum(targets, axis=-1) - 1) > _ROUNDING).mean())
    if share < unreachable:
        return None
    said = f"The labels of {100 * share:.3g}% of the samples do not sum to 1, as the softmax of {site.layer!r} does."
    evidence = [Evidence("samples whose labels do not sum to 1", share, unreachable, unit="fraction")]
    if float((np.count_nonzero(targets > 0.5, axis=-1) > 1).mean()) >= unreachable:
        advised = _loss("Several labels at once go with sigmoid and this loss.", "binary_crossentropy")
    else:
        code = "y = keras.utils.to_categorical(y.argmax(axis=-1))"
        advised = Advice("Give each sample one whole class.", code, Remedy("data"))
    return _finding(output, site, "medium", said, evidence, (advised,))


def _loss(why: str, loss: str) -> Advice:
    return Advice(why, f'model.compile(optimizer=model.optimizer, loss="{loss}")', Remedy("loss", (), {"loss": loss}))


def _wrong_pair(output: Output, site: Site, unreachable: float) -> Finding | None:
    """Classes that exclude each other, and functions that do not; or the other way round."""
    units = Evidence("units", float(site.units))
    if site.activation == "sigmoid" and output.is_categorical:
        said = (
            f"The sigmoids of {site.layer!r} are trained by {output.loss} as if they were one softmax: the order of "
            f"the classes is right, but the answers do not sum to 1."
        )
        return _finding(output, site, "low", said, [units], (_function(output, "softmax", "End with softmax."),))
    if not output.is_binary or site.units < 2 or output.targets is None or output.targets.ndim < 2:
        return None
    positives: NDArray[np.int64] = (output.targets > 0.5).sum(axis=-1)
    several = float(np.mean(positives > 1))
    if site.activation == "softmax" and several >= unreachable:
        said = f"Samples have several positive labels at once, but the softmax of {site.layer!r} shares 1 among all."
        evidence = [Evidence("samples with several positive labels", several, unreachable, unit="fraction")]
        advice = (_function(output, "sigmoid", "Answer each label by itself."),)
        return _finding(output, site, "medium", said, evidence, advice)
    is_one_hot = bool(np.all(positives == 1)) and set(np.unique(output.targets)) <= {0.0, 1.0}
    if site.activation == "sigmoid" and is_one_hot:
        said = f"Exactly one label is positive in each sample, but the sigmoids of {site.layer!r} do not know of it."
        advice = (
            _function(output, "softmax", "If the classes exclude each other, let them compete."),
            _loss("With it goes the categorical loss.", "categorical_crossentropy"),
        )
        evidence = [Evidence("samples with exactly one positive label", 1.0, 1.0, unit="fraction"), units]
        return _finding(output, site, "low", said, evidence, advice)
    return None


def _one_target_for_many(output: Output, site: Site) -> Finding | None:
    """Shapes of predictions and targets that differ and are broadcast without a word."""
    targets = output.targets
    if not output.is_regression or targets is None or targets.ndim < 2 or site.units < 1:
        return None
    if output.rank != targets.ndim:
        return None  # Keras adds or takes away the last axis
    given = int(targets.shape[-1])
    if given == site.units or 1 not in {given, site.units}:
        return None
    said = (
        f"{site.layer!r} gives {site.units} numbers for each sample, the target has {given}: they are compared by "
        f"broadcasting, each with every other."
    )
    evidence = [Evidence("numbers in the output", float(site.units), given), Evidence("in the target", float(given))]
    advice = Advice("Give the last layer as many units as the target has numbers.", "", Remedy("output"))
    if output.layer is not None and output.layer.class_name == "Dense":
        advice = replace(advice, code=f"keras.layers.Dense({given})")
    return _finding(output, site, "high", said, evidence, (advice,))


def _out_of_reach(output: Output, site: Site, unreachable: float, mostly: float, margin: float) -> Finding | None:
    """Targets of a regression outside of the range of the output's function."""
    targets, profile = output.targets, site.profile
    if not output.is_regression or targets is None or not targets.size or profile is None or not profile.elementwise:
        return None
    low, high = profile.minimum, profile.maximum
    slack = margin * (high - low) if math.isfinite(high - low) else 0.0
    outside: NDArray[Any] = (targets < low - slack) | (targets > high + slack)
    share = float(outside.mean())
    if share == 0:
        return None
    severity: Severity = "high" if share >= mostly else "medium" if share >= unreachable else "low"
    bounds = f"at least {low:.3g}" if math.isinf(high) else f"at most {high:.3g}"
    if math.isfinite(low) and math.isfinite(high):
        bounds = f"between {low:.3g} and {high:.3g}"
    said = f"{100 * share:.3g}% of the targets are out of reach: {site.activation} in {site.layer!r} answers {bounds}."
    evidence = [
        Evidence("targets out of reach", share, unreachable, unit="fraction"),
        Evidence("smallest target", float(targets.min())),
        Evidence("largest target", float(targets.max())),
    ]
    return _finding(output, site, severity, said, evidence, (_function(output, "linear", "End without a function."),))


def _binary(output: Output) -> tuple[Advice, ...]:
    return (
        _function(output, "sigmoid", "For two classes end with sigmoid."),
        _loss("With it goes the binary loss.", "binary_crossentropy"),
    )


def _function(output: Output, activation: str, why: str) -> Advice:
    layer = output.layer
    if layer is None:
        return Advice(why, "", Remedy("output", (), {"activation": activation}))
    change = Remedy("output", (layer.key,), {"activation": activation})
    if layer.class_name in {"Activation", "Softmax", "ReLU"}:
        return Advice(why, f'keras.layers.Activation("{activation}")  # instead of {layer.key}', change)
    return Advice(why, layer_code(layer, activation=activation), change)


def _finding(
    output: Output,
    site: Site,
    severity: Severity,
    message: str,
    evidence: list[Evidence],
    advice: tuple[Advice, ...],
) -> Finding:
    return Finding(
        rule="output_loss_mismatch",
        severity=severity,
        layer=site.layer,
        first_step=0,
        last_step=0,
        message=message,
        evidence=tuple(evidence),
        advice=advice,
    )
