"""Findings made by hand, for whatever shows them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from gradscope import Advice, Evidence, Finding
from gradscope.diagnose.finding import Severity

RELU = Advice(
    "Use an activation function whose slope is 1, with weights drawn to match, so that the signal keeps its size.",
    'keras.layers.Dense(\n    64, activation="relu", kernel_initializer="he_normal"\n)',
)
NORMALISE = Advice("Or normalise before the activation function.", "keras.layers.BatchNormalization()")

VANISHING = Finding(
    "vanishing_gradient",
    "high",
    "dense",
    0,
    275,
    "The gradient that arrives at dense is 10,000,000 times smaller than that at dense_7, and nothing is learnt.",
    (
        Evidence("backward signal over that of the last hidden layer", 1e-7, 1e-3, above=False),
        Evidence("update_to_weight_ratio", 1e-13, 1e-5, above=False),
        Evidence("loss left of the baseline", 0.998, 0.95, unit="fraction"),
    ),
    (RELU, NORMALISE),
    layers=("dense", "dense_1", "dense_2", "dense_3", "dense_4"),
    statistic="activations.backward_rms",
)


def unchanged(layer: str, severity: Severity = "medium") -> Finding:
    evidence = (Evidence("records without an update", 3.0, 3.0),)
    message = f"The weights of {layer} do not change."
    return Finding(
        "unchanged_weights",
        severity,
        layer,
        50,
        275,
        message,
        evidence,
        cause="vanishing_gradient@dense",
        statistic="gradients.update_to_weight_ratio",
    )


DYING = Finding(
    "dying_relu",
    "medium",
    "dense_5",
    100,
    275,
    "A third of the units of dense_5 are 0 for every sample.",
    (Evidence("dead_unit_fraction", 0.34, 0.25, unit="fraction"), Evidence("dead units", 22, math.nan)),
    (Advice("Lower the learning rate."),),
    layers=("dense_5",),
    units=tuple(range(2, 46, 2)),
    statistic="activations.dead_unit_fraction",
)
OSCILLATING = Finding(
    "oscillating_loss",
    "low",
    None,
    75,
    75,
    "The loss goes up and down.",
    (Evidence("autocorrelation", -0.6, -0.5),),
    statistic="steps.loss",
)

SICK = (VANISHING, *(unchanged(f"dense_{index}") for index in range(1, 6)), DYING, OSCILLATING)


def alike(some: Sequence[Finding], others: Sequence[Finding]) -> bool:
    """Whether both say the same in the same order; a number that is unknown equals itself."""
    return [*some] == [*others]


def named(name: str, **changed: Any) -> Finding:
    """A finding about a layer of this name, which its message and its code name too."""
    fields: dict[str, Any] = {
        "rule": "dying_relu",
        "severity": "high",
        "layer": name,
        "first_step": 0,
        "last_step": 9,
        "message": f"Units of {name} are dead.",
        "evidence": (Evidence(f"dead units of {name}", math.inf, 0.25),),
        "advice": (Advice(f"Replace {name}.", f'model.get_layer("{name}")'),),
        "layers": (name, "other"),
    }
    return Finding(**{**fields, **changed})
