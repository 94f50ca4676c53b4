"""What recording cost beside the training: one number for the live view, the table of runs and a comparison."""

from __future__ import annotations

from gradscope.records import Costs
from gradscope.report.values.summary import NAN
from gradscope.schema import COSTS, Column


def recording_seconds(costs: Costs) -> float:
    """Return the seconds that recording took, set-up left out, which is paid once however long a training is."""
    return costs.early_seconds + costs.epoch_seconds + costs.running_seconds


def cost_parts(costs: Costs) -> list[tuple[Column, float]]:
    """Return each part of what recording cost, as the schema names it, with its seconds."""
    return [(part, getattr(costs, part.name)) for part in COSTS]


def overhead(costs: Costs) -> float:
    """Return the seconds that recording took over those of the training, set-up left out; NaN where not known.

    It is more than what ``max_overhead`` limits: the records of the beginning and the one an epoch are made whatever
    they cost.

    Example:
        >>> overhead(Costs(training_seconds=10.0, setup_seconds=3.0, early_seconds=0.4, running_seconds=0.1))
        0.05
    """
    return recording_seconds(costs) / costs.training_seconds if costs.training_seconds > 0 else NAN
