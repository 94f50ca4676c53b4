"""Public reports of trainings that went wrong or only seemed to, rebuilt as small trainings of the zoo's own."""

from __future__ import annotations

from zoo.reported import data_and_targets, nothing_wrong, output_and_loss, own_code, steps
from zoo.reported.report import Report

REPORTS: tuple[Report, ...] = (
    *data_and_targets.CASES,
    *output_and_loss.CASES,
    *own_code.CASES,
    *steps.CASES,
    *nothing_wrong.CASES,
)
