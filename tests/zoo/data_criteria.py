"""Criteria of data and loss: what in the inputs, the targets and the output shows that a training cannot do well."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from zoo.measurement import MODEL, Evidence, Measurement


class Domain(NamedTuple):
    """Where a loss is defined: answers, labels, and the least number of units over which it says anything."""

    answers: tuple[float, float]
    labels: tuple[float, float]
    units: int = 1


SHARES, COUNTS = (0.0, 1.0), (0.0, math.inf)
DOMAINS = {
    "binary_crossentropy": Domain(SHARES, SHARES),
    "binary_focal_crossentropy": Domain(SHARES, SHARES),
    "categorical_crossentropy": Domain(SHARES, SHARES, 2),
    "categorical_focal_crossentropy": Domain(SHARES, SHARES, 2),
    "categorical_generalized_cross_entropy": Domain(SHARES, COUNTS, 2),
    "sparse_categorical_crossentropy": Domain(SHARES, COUNTS, 2),
    "kl_divergence": Domain(SHARES, SHARES, 2),
    "dice": Domain(SHARES, SHARES),
    "tversky": Domain(SHARES, SHARES),
    "poisson": Domain(COUNTS, COUNTS),
    "mean_squared_logarithmic_error": Domain(COUNTS, COUNTS),
    "mean_absolute_percentage_error": Domain((-math.inf, math.inf), (1e-6, math.inf)),
    "cosine_similarity": Domain((-math.inf, math.inf), (-math.inf, math.inf), 2),
}


def input_scale(m: Measurement) -> Evidence:
    """What reaches the first layer with weights has a root mean square above 10, or below a fiftieth."""
    scales = list(m.facts.input_rms)
    for number, layer in enumerate(m.layers):
        if layer.class_name in ("Rescaling", "Normalization"):
            scales = [float(m.by_layer["rms"][0, number])]
    far = [scale for scale in scales if scale > 10 or scale < 0.02]
    return {MODEL: far[0]} if far else {}


def target_scale(m: Measurement) -> Evidence:
    """The largest target of a regression is 50 or more."""
    facts = m.facts
    largest = max(abs(facts.label_min), abs(facts.label_max))
    return {MODEL: largest} if not facts.class_counts and largest >= 50 else {}


def nonfinite_data(m: Measurement) -> Evidence:
    """An input or a label is no number."""
    return {MODEL: float(m.facts.input_nonfinite)} if m.facts.input_nonfinite else {}


def index_out_of_range(m: Measurement) -> Evidence:
    """A label that names no unit of the output, or a code that names no row of an embedding."""
    found: Evidence = {}
    facts = m.facts
    if facts.loss == "sparse_categorical_crossentropy":
        for layer in m.layers:
            if layer.is_output and layer.units and not 0 <= facts.label_min <= facts.label_max < layer.units:
                found[layer.key] = facts.label_max if facts.label_min >= 0 else facts.label_min
    for variable in m.variables:
        if variable.role == "embedding" and not 0 <= facts.input_min <= facts.input_max < variable.rows:
            found[variable.layer] = facts.input_max if facts.input_min >= 0 else facts.input_min
    return found


def output_loss_mismatch(m: Measurement) -> Evidence:
    """An answer or a label outside of where the loss is defined, or a loss over classes that has one unit."""
    domain = DOMAINS.get(m.facts.loss or "")
    found: Evidence = {}
    if domain is None:
        return found
    for number, layer in enumerate(m.layers):
        if not layer.is_output:
            continue
        pairs = [((m.facts.label_min, m.facts.label_max), domain.labels)]
        if not m.facts.from_logits and layer.activation not in ("softmax", "sigmoid"):
            seen = np.nanmin(m.by_layer["min"][:, number]), np.nanmax(m.by_layer["max"][:, number])
            pairs.append((seen, domain.answers))
        outside = [max(limits[0] - low, high - limits[1]) for (low, high), limits in pairs]
        if layer.units is not None and layer.units < domain.units:
            found[layer.key] = float(layer.units)
        elif max(outside) > 1e-3 or m.facts.label_min < domain.labels[0]:
            found[layer.key] = float(max(outside))
    return found
