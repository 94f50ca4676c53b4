"""The healthy half of the zoo: trainings that learn, chosen among those where a naive detector raises an alarm."""

from __future__ import annotations

from zoo.case import Case
from zoo.healthy import (
    activation_functions,
    attentive,
    composed,
    constrained,
    converged,
    convolutional,
    dropped,
    frozen,
    half_precision,
    normalised,
    numeric,
    optimisers,
    reconstructing,
    recurrent,
    saturated,
    schedules,
    sparse,
    targets,
)

CASES: tuple[Case, ...] = (
    *sparse.CASES,
    *saturated.CASES,
    *converged.CASES,
    *schedules.CASES,
    *optimisers.CASES,
    *constrained.CASES,
    *dropped.CASES,
    *activation_functions.CASES,
    *normalised.CASES,
    *half_precision.CASES,
    *frozen.CASES,
    *convolutional.CASES,
    *recurrent.CASES,
    *attentive.CASES,
    *reconstructing.CASES,
    *numeric.CASES,
    *targets.CASES,
    *composed.CASES,
)
