"""A comparison: how runs differ from one of them, the reference, in findings, layers, configuration and outcome.

Findings are matched by rule and layer. Numbers of a layer are matched by its key, which counts automatic names anew, so
that two builds of one program meet. What only one run has is listed, with the reason where it is known. A difference is
called notable by one stated criterion: it is no test of significance, for two runs of one program differ too.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal, TypeAlias, get_args

import pandas as pd

from gradscope import schema
from gradscope.diagnose.finding import SEVERITIES, Finding, Severity, rank
from gradscope.network import Network
from gradscope.report.values.configuration import Difference, Settings
from gradscope.report.values.runs_table import RunRow, Sweep
from gradscope.report.values.shown import Shown, rendered
from gradscope.report.values.summary import NAN, Summary
from gradscope.schema import Statistic

if TYPE_CHECKING:
    from os import PathLike

    from gradscope.store.read import Frames

Kind: TypeAlias = Literal["gained", "worse", "lost", "milder"]
"""What became of a finding: the reference lacks it, only the reference has it, or its severity is another."""

KINDS: Final[tuple[Kind, ...]] = get_args(Kind)
"""In the order in which they are shown: what is worse than in the reference comes first."""

STATISTICS: Final[Mapping[str, Statistic]] = {
    **{name: schema.STATISTICS[f"activations.{name}"] for name in ("saturated_fraction", "dead_unit_fraction")},
    "gradient_rms": schema.STATISTICS["gradients.rms"],
    "backward_rms": schema.STATISTICS["activations.backward_rms"],
    "update_to_weight_ratio": schema.STATISTICS["gradients.update_to_weight_ratio"],
    "sample_std": schema.STATISTICS["activations.sample_std"],
    "connected": schema.STATISTICS["gradients.connected"],
    "nonfinite_count": schema.STATISTICS["activations.nonfinite_count"],
}
"""What is compared of a layer: columns of `SiteRow`, and the spread of its activations over samples."""

COLUMNS: Final = (
    "run", "layer", "site", "statistic", "value", "reference", "difference", "ratio", "extent", "notable",
)  # fmt: skip
"""Columns of `changes_frame`, and keys of a layer's number in JSON."""

_SEVERITIES: Final = ("severity", "reference_severity")
_FINDING_COLUMNS: Final = ("run", "change", "rule", "layer", *_SEVERITIES, "message")


@dataclass(frozen=True, slots=True)
class Side:
    """One of the runs compared.

    Attributes:
        summary: The run in one table, its findings among it.
        row: The run in one line: outcome, parameters, overhead.
        network: What was trained.
        settings: What it was trained with.
        spreads: By site, the spread of the activations over samples at the last record.
        load: Returns the run's tables, for the figures of a page: they are not kept, so that tens of runs need no
            memory, but read again. None where they are not to be had; the page then goes without them.
    """

    summary: Summary
    row: RunRow
    network: Network
    settings: Settings
    spreads: Mapping[str, float]
    load: Callable[[], Frames] | None = field(default=None, compare=False, repr=False)

    @property
    def name(self) -> str:
        """The run's name, which no other side has."""
        return self.row.run


@dataclass(frozen=True, slots=True)
class FindingChange:
    """A finding that is not the same in a run and in the reference.

    Attributes:
        kind: What became of it.
        run: The run that is compared with the reference.
        finding: As the run has it; for a lost one, as the reference has it.
        before: As the reference has it, where both have it; else None.
        has_layer: Whether the run without the finding has its layer at all.
    """

    kind: Kind
    run: str
    finding: Finding
    before: Finding | None
    has_layer: bool


@dataclass(frozen=True, slots=True)
class Change:
    """One number of one layer, in a run and in the reference.

    Attributes:
        run: The run that is compared with the reference.
        layer: Key of the layer.
        site: Key of the site; the layer's for numbers of its weights.
        statistic: One of `STATISTICS`.
        value: The run's.
        reference: The reference's.
        extent: The difference in multiples of the smallest notable one, so 1 or more is notable; NaN where the two
            cannot be compared: one is not known, or their functions differ in kind.
    """

    run: str
    layer: str
    site: str
    statistic: str
    value: float
    reference: float
    extent: float

    @property
    def notable(self) -> bool:
        """Whether the difference reaches the limit."""
        return self.extent >= 1

    @property
    def difference(self) -> float:
        """The run's value less the reference's."""
        return self.value - self.reference if math.isfinite(self.value) and math.isfinite(self.reference) else NAN

    @property
    def ratio(self) -> float:
        """The run's value over the reference's; infinite where only the reference is 0, NaN where both are."""
        if self.reference == 0:
            return NAN if self.value == 0 or math.isnan(self.value) else math.inf
        return self.value / self.reference


@dataclass(frozen=True, slots=True)
class Range:
    """One number of one layer over all runs that have it.

    Attributes:
        layer: Key of the layer.
        site: Key of the site.
        statistic: One of `STATISTICS`.
        reference: The reference's value.
        lowest: The least value of the other runs.
        lowest_run: The run that has it.
        highest: The largest value of the other runs.
        highest_run: The run that has it.
        notable_count: Runs whose difference from the reference is notable.
        extent: The largest `Change.extent` of them.
    """

    layer: str
    site: str
    statistic: str
    reference: float
    lowest: float
    lowest_run: str
    highest: float
    highest_run: str
    notable_count: int
    extent: float


@dataclass(frozen=True, slots=True)
class Unmatched:
    """A site, or a layer with weights only, that one of two runs lacks.

    Attributes:
        run: The run that is compared with the reference.
        key: Key of the site or layer.
        present: Name of the run that has it.
        missing: Name of the run that lacks it.
        reason: Why it is missing there.
    """

    run: str
    key: str
    present: str
    missing: str
    reason: str


@dataclass(frozen=True, repr=False)
class Comparison(Shown):
    """How runs differ from the first of them. Print it, or take its `frame`.

    Attributes:
        sides: The runs, the reference first.
        finding_changes: Findings gained and lost, the severest first within a run.
        changes: Every number that a run and the reference both have a place for, notable or not.
        differences: Settings that are not the same in all runs.
        unmatched: What could not be compared because one of two runs lacks it.
        ratio: From which ratio on, either way, magnitudes are notable.
        difference: From which difference on fractions are notable.
        left_out: Runs that could not be compared at all, each with the reason.
    """

    TEXT: ClassVar[str] = "gradscope.report.terminal.comparison:comparison_text"
    PAGE: ClassVar[str] = "gradscope.report.page.comparison:write_comparison"

    sides: tuple[Side, ...]
    finding_changes: tuple[FindingChange, ...]
    changes: tuple[Change, ...]
    differences: tuple[Difference, ...]
    unmatched: tuple[Unmatched, ...]
    ratio: float = 2.0
    difference: float = 0.1
    left_out: Mapping[str, str] = field(default_factory=dict[str, str])

    @property
    def reference(self) -> Side:
        """The run that all others are compared with."""
        return self.sides[0]

    @property
    def others(self) -> tuple[Side, ...]:
        """The runs that are compared with the reference."""
        return self.sides[1:]

    @property
    def sweep(self) -> Sweep:
        """All runs, one row each, in the order in which they are compared."""
        return Sweep(tuple(side.row for side in self.sides))

    def gained(self, floor: Severity = "low") -> list[FindingChange]:
        """Return the findings of severity ``floor`` or higher that the reference lacks or has in a milder form."""
        changes = (change for change in self.finding_changes if change.kind in ("gained", "worse"))
        return [change for change in changes if rank(change.finding.severity) >= rank(floor)]

    def lost(self) -> list[FindingChange]:
        """Return the findings that only the reference has."""
        return [change for change in self.finding_changes if change.kind == "lost"]

    @property
    def frame(self) -> pd.DataFrame:
        """One row a run, site and statistic: value, reference value, difference, ratio and whether it is notable."""
        rows = [[getattr(change, column) for column in COLUMNS] for change in self.changes]
        return pd.DataFrame(rows, columns=list(COLUMNS)).astype({"notable": "bool"})

    @property
    def findings(self) -> pd.DataFrame:
        """One row a run and finding that differs: what became of it, severity here and in the reference."""
        rows = [
            {
                "run": change.run,
                "change": change.kind,
                "rule": change.finding.rule,
                "layer": change.finding.layer,
                **_severities(change),
                "message": change.finding.message,
            }
            for change in self.finding_changes
        ]
        frame = pd.DataFrame(rows, columns=list(_FINDING_COLUMNS))
        for name in _SEVERITIES:
            frame[name] = pd.Categorical(frame[name], list(SEVERITIES), ordered=True)
        return frame

    @cached_property
    def ranges(self) -> tuple[Range, ...]:
        """Each number of a layer over the runs where it can be compared: by statistic, then in the model's order."""
        groups: dict[tuple[str, str], list[Change]] = {
            (statistic, row.site): [] for statistic in STATISTICS for row in self.reference.summary.rows
        }
        for change in self.changes:
            if not math.isnan(change.extent):
                groups[change.statistic, change.site].append(change)
        return tuple(_range(group) for group in groups.values() if group)

    def to_json(self) -> dict[str, Any]:  # Any: JSON values
        """Return the comparison as JSON values, but for numbers that are not finite."""
        return {
            "reference": self.reference.name,
            "limits": {"ratio": self.ratio, "difference": self.difference},
            "runs": self.sweep.to_json()["runs"],
            "findings": [
                {
                    "run": change.run,
                    "change": change.kind,
                    **_severities(change),
                    "has_layer": change.has_layer,
                    "finding": change.finding.to_json(),
                }
                for change in self.finding_changes
            ],
            "settings": [
                {
                    "name": difference.name,
                    "layers": list(difference.layers),
                    "values": dict(zip((side.name for side in self.sides), difference.values, strict=True)),
                }
                for difference in self.differences
            ],
            "layers": [{column: getattr(change, column) for column in COLUMNS} for change in self.changes],
            "unmatched": [
                {
                    "run": item.run,
                    "key": item.key,
                    "present": item.present,
                    "missing": item.missing,
                    "reason": item.reason,
                }
                for item in self.unmatched
            ],
            "left_out": [{"run": run, "reason": reason} for run, reason in self.left_out.items()],
        }

    def report(self, path: str | PathLike[str], *, force: bool = False) -> Path:
        """Write the comparison as one page that needs nothing else, and return where it is.

        It says what was gained and lost and what to try, what differs in configuration and layers, and shows losses,
        profiles and heatmaps side by side. The tables of the runs are read again for the figures.

        Args:
            path: The file, such as ``"comparison.html"``.
            force: True to replace a file that is no report.

        Raises:
            ArgumentError: If the file is there and is no report, or its directory is not there.
            RunNotFoundError: If a run has been moved away since.
        """
        rendered(self.PAGE, self, path=Path(path), force=force, now=datetime.now().astimezone())
        return Path(path)

    def __repr__(self) -> str:
        others = f"{self.others[0].name!r}" if len(self.others) == 1 else f"{len(self.others):,} runs"
        gained = len(self.gained())
        counts = f"{gained:,} finding{'s' * (gained != 1)} gained, {len(self.lost()):,} lost"
        return f"<gradscope comparison of {others} with {self.reference.name!r}: {counts}>"


def _range(changes: Sequence[Change]) -> Range:
    lowest = min(changes, key=lambda change: change.value)
    highest = max(changes, key=lambda change: change.value)
    return Range(
        layer=lowest.layer,
        site=lowest.site,
        statistic=lowest.statistic,
        reference=lowest.reference,
        lowest=lowest.value,
        lowest_run=lowest.run,
        highest=highest.value,
        highest_run=highest.run,
        notable_count=sum(change.notable for change in changes),
        extent=max(change.extent for change in changes),
    )


def _severities(change: FindingChange) -> dict[str, Severity | None]:
    """Return how severe the finding is in the run and in the reference; None where it is not found."""
    here = None if change.kind == "lost" else change.finding.severity
    there = change.finding.severity if change.kind == "lost" else change.before and change.before.severity
    return dict(zip(_SEVERITIES, (here, there), strict=True))
