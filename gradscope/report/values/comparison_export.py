"""A comparison as plain values, for other programs: two frames and JSON."""

from __future__ import annotations

from typing import Any, Final

import pandas as pd

from gradscope.diagnose.finding import SEVERITIES, Severity
from gradscope.report.values.comparison import Comparison, FindingChange

COLUMNS: Final = (
    "run", "layer", "site", "statistic", "value", "reference", "difference", "ratio", "extent", "notable",
)  # fmt: skip
"""Columns of `changes_frame`, and keys of a layer's number in JSON."""

_SEVERITIES: Final = ("severity", "reference_severity")
_FINDING_COLUMNS: Final = ("run", "change", "rule", "layer", *_SEVERITIES, "message")


def changes_frame(comparison: Comparison) -> pd.DataFrame:
    """Return one row a run, site and statistic, with `COLUMNS`."""
    rows = [[getattr(change, column) for column in COLUMNS] for change in comparison.changes]
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype({"notable": "bool"})


def finding_changes_frame(comparison: Comparison) -> pd.DataFrame:
    """Return one row a run and finding that differs; the severities are ordered categories."""
    rows = [
        {
            "run": change.run,
            "change": change.kind,
            "rule": change.finding.rule,
            "layer": change.finding.layer,
            **_severities(change),
            "message": change.finding.message,
        }
        for change in comparison.finding_changes
    ]
    frame = pd.DataFrame(rows, columns=list(_FINDING_COLUMNS))
    for name in _SEVERITIES:
        frame[name] = pd.Categorical(frame[name], list(SEVERITIES), ordered=True)
    return frame


def comparison_json(comparison: Comparison) -> dict[str, Any]:  # Any: JSON values
    """Return the whole of ``comparison`` as JSON values, but for numbers that are not finite."""
    return {
        "reference": comparison.reference.name,
        "limits": {"ratio": comparison.ratio, "difference": comparison.difference},
        "runs": comparison.sweep.to_json()["runs"],
        "findings": [
            {
                "run": change.run,
                "change": change.kind,
                **_severities(change),
                "has_layer": change.has_layer,
                "finding": change.finding.to_json(),
            }
            for change in comparison.finding_changes
        ],
        "settings": [
            {
                "name": difference.name,
                "layers": list(difference.layers),
                "values": dict(zip((side.name for side in comparison.sides), difference.values, strict=True)),
            }
            for difference in comparison.differences
        ],
        "layers": [{column: getattr(change, column) for column in COLUMNS} for change in comparison.changes],
        "unmatched": [
            {
                "run": item.run,
                "key": item.key,
                "present": item.present,
                "missing": item.missing,
                "reason": item.reason,
            }
            for item in comparison.unmatched
        ],
        "left_out": [{"run": run, "reason": reason} for run, reason in comparison.left_out.items()],
    }


def _severities(change: FindingChange) -> dict[str, Severity | None]:
    """Return how severe the finding is in the run and in the reference; None where it is not found."""
    here = None if change.kind == "lost" else change.finding.severity
    there = change.finding.severity if change.kind == "lost" else change.before and change.before.severity
    return dict(zip(_SEVERITIES, (here, there), strict=True))
