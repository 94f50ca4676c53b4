"""A sweep: one row a run, with its worst finding, its outcome, the user's parameters and what recording cost."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Final

import pandas as pd

from gradscope.diagnose.finding import SEVERITIES, Finding, rank
from gradscope.report.values.flat_names import flat
from gradscope.report.values.overhead import overhead
from gradscope.report.values.shown import Shown
from gradscope.report.values.summary import NAN, Summary

COLUMNS: Final = (
    "run", "severity", "finding", "findings", "steps", "epochs", "recorded", "batch_loss", "overhead",
    "setup_seconds", "ended",
)  # fmt: skip
"""Columns that every sweep has; the epochs' logs and the parameters of the runs come behind."""


@dataclass(frozen=True, slots=True)
class RunRow:
    """One run.

    Attributes:
        run: Its name.
        worst: The severest of its findings, a cause before what follows from it; None without findings.
        finding_count: Findings of every severity.
        step_count: Steps trained, as far as is known.
        epoch_count: Epochs ended.
        recorded_count: Steps recorded; with none, nothing can be said of findings.
        batch_loss: Loss of the last recorded batch; None where no loss is known.
        metrics: The last epoch's logs, validation included.
        params: The user's own ``params``, nested ones by names with dots.
        overhead: Seconds that recording took over those of the training, set-up left out: what a limit can bound.
        setup_seconds: Seconds that setting up took.
        ended: Whether the training said that it ended; False while it runs, or where it was broken off; None where
            that is not known, as of a run in memory.
        last_wall_time: Last sign of life, in seconds since 1970; NaN for none.
        path: Where the run lies; None for one that was kept in memory.
    """

    run: str
    worst: Finding | None
    finding_count: int
    step_count: int
    epoch_count: int
    recorded_count: int
    batch_loss: float | None
    metrics: Mapping[str, float] = field(default_factory=dict[str, float])
    params: Mapping[str, Any] = field(default_factory=dict[str, Any])
    overhead: float = NAN
    setup_seconds: float = 0.0
    ended: bool | None = None
    last_wall_time: float = NAN
    path: Path | None = None


def run_row(
    summary: Summary, params: Mapping[str, Any], *, ended: bool | None = None, last_wall_time: float = NAN
) -> RunRow:
    """Return the row of the run that ``summary`` sums up."""
    costs, progress = summary.costs, summary.progress
    return RunRow(
        run=summary.name,
        worst=max(summary.findings, key=lambda finding: rank(finding.severity), default=None),  # the first of equals
        finding_count=len(summary.findings),
        step_count=progress.step_count,
        epoch_count=progress.epoch_count,
        recorded_count=progress.recorded_count,
        batch_loss=progress.last_loss if progress.loss_known else None,
        metrics=dict(progress.metrics),
        params=flat(params),
        overhead=overhead(costs),
        setup_seconds=costs.setup_seconds,
        ended=ended,
        last_wall_time=last_wall_time,
        path=summary.path,
    )


@dataclass(frozen=True, repr=False)
class Sweep(Shown):
    """Many runs in one table. Print it, or take its `frame`.

    Attributes:
        rows: One a run.
        left_out: Runs that could not be read, by name, each with the reason.
    """

    TEXT: ClassVar[str] = "gradscope.report.terminal.runs_table:sweep_text"

    rows: tuple[RunRow, ...]
    left_out: Mapping[str, str] = field(default_factory=dict[str, str])

    @cached_property
    def metric_names(self) -> tuple[str, ...]:
        """The logs that at least one run has."""
        return tuple(dict.fromkeys(name for row in self.rows for name in row.metrics if name not in COLUMNS))

    @cached_property
    def param_names(self) -> Mapping[str, str]:
        """For each parameter the name of its column: its own, or ``params.`` before it where that is taken."""
        taken = {*COLUMNS, *self.metric_names}
        names = dict.fromkeys(name for row in self.rows for name in row.params)
        return {name: f"params.{name}" if name in taken else name for name in names}

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """The names of all columns."""
        return (*COLUMNS, *self.metric_names, *self.param_names.values())

    @cached_property
    def varying(self) -> tuple[str, ...]:
        """The columns of the parameters that tell the runs apart; all of them where there is one run."""
        kept: list[str] = []
        for name, column in self.param_names.items():
            values = {json.dumps(row.params.get(name), sort_keys=True) for row in self.rows}
            kept += [column] if len(values) > 1 or len(self.rows) == 1 else []
        return tuple(kept)

    @cached_property
    def records(self) -> tuple[Mapping[str, Any], ...]:
        """For each row its values by column; None where a run has none."""
        return tuple(self._record(row) for row in self.rows)

    @property
    def frame(self) -> pd.DataFrame:
        """One row a run, with `columns`."""
        frame = pd.DataFrame([dict(record) for record in self.records], columns=list(self.columns))
        frame["severity"] = pd.Categorical(frame["severity"], list(SEVERITIES), ordered=True)
        return frame

    def _record(self, row: RunRow) -> dict[str, Any]:
        values: dict[str, Any] = {
            "run": row.run,
            "severity": row.worst.severity if row.worst else None,
            "finding": row.worst.key if row.worst else None,
            "findings": row.finding_count if row.recorded_count else None,
            "steps": row.step_count,
            "epochs": row.epoch_count,
            "recorded": row.recorded_count,
            "batch_loss": row.batch_loss if row.recorded_count else None,
            "overhead": None if math.isnan(row.overhead) else row.overhead,
            "setup_seconds": row.setup_seconds,
            "ended": row.ended,
        }
        values |= {name: row.metrics.get(name) for name in self.metric_names}
        return values | {column: row.params.get(name) for name, column in self.param_names.items()}

    def to_json(self) -> dict[str, Any]:  # Any: JSON values
        """Return the sweep as JSON values, but for numbers that are not finite."""
        return {
            "runs": [
                {
                    **{name: record[name] for name in COLUMNS},
                    "metrics": dict(row.metrics),
                    "params": dict(row.params),
                    "last_wall_time": row.last_wall_time,
                    "path": None if row.path is None else str(row.path),
                }
                for row, record in zip(self.rows, self.records, strict=True)
            ],
            "left_out": [{"run": run, "reason": reason} for run, reason in self.left_out.items()],
        }

    def __repr__(self) -> str:
        return f"<gradscope sweep of {len(self.rows):,} run{'s' * (len(self.rows) != 1)}>"


def worst_first(rows: Iterable[RunRow]) -> list[RunRow]:
    """Return ``rows``, those with the severest findings first; equals keep their order, unrecorded runs come last."""
    return sorted(rows, key=lambda row: (not row.recorded_count, -rank(row.worst.severity) if row.worst else 1))
