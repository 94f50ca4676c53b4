"""Matching: what of two runs belongs together, and how far it is apart.

Findings are matched by rule and layer, numbers of sites by the site's key, numbers of weights by the layer's.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from gradscope.diagnose.finding import Finding, rank
from gradscope.errors import ArgumentError, MissingTableError
from gradscope.nearest import nearest, question
from gradscope.report.values.comparison import (
    KINDS,
    STATISTICS,
    Change,
    Comparison,
    FindingChange,
    Side,
    Unmatched,
)
from gradscope.report.values.configuration import differences, settings_of
from gradscope.report.values.runs_table import RunRow
from gradscope.report.values.summary import NAN, SiteRow, Summary
from gradscope.schema import GRADIENTS, Column

if TYPE_CHECKING:
    from gradscope.store.read import Frames


def side_of(frames: Frames, summary: Summary, row: RunRow) -> Side:
    """Return what a comparison needs of a run; the tables themselves are let go."""
    last = frames.activations.drop_duplicates("site", keep="last")
    spreads = {str(site): float(spread) for site, spread in zip(last["site"], last["sample_std"], strict=True)}
    return Side(summary, row, frames.network, settings_of(frames), spreads)


def compared(
    sides: Sequence[Side], *, reference: str | None = None, ratio: float = 2.0, difference: float = 0.1
) -> Comparison:
    """Return how ``sides`` differ from one of them; the arguments are those of `gradscope.compare`.

    Raises:
        ArgumentError: If there are fewer than two runs, or an argument cannot work.
        MissingTableError: If the reference or every other run has no recorded step.
    """
    if len(sides) < 2:
        given = f"only {sides[0].name!r}" if sides else "none"
        raise ArgumentError(f"A comparison needs two runs or more, and {given} was given.")
    if not ratio > 1:
        raise ArgumentError(f"ratio={ratio} would call every number different. Pass a ratio above 1, such as 2.")
    if not 0 < difference <= 1:
        raise ArgumentError(f"difference={difference} is no difference of shares. Pass one in (0, 1], such as 0.1.")
    first = sides[0] if reference is None else _side_named(sides, reference)
    if not first.row.recorded_count:
        raise MissingTableError(
            f"Run {first.name!r} has no recorded step, so nothing can be compared with it. Take another reference."
        )
    others = [side for side in sides if side is not first]
    empty = [side.name for side in others if not side.row.recorded_count]
    others = [side for side in others if side.row.recorded_count]
    if not others:
        raise MissingTableError(f"No step is recorded of {', '.join(empty)}, so there is nothing to compare.")
    return Comparison(
        sides=(first, *others),
        finding_changes=tuple(change for side in others for change in _finding_changes(first, side)),
        changes=tuple(change for side in others for change in _changes(first, side, ratio, difference)),
        differences=tuple(differences([side.settings for side in (first, *others)])),
        unmatched=tuple(item for side in others for item in _unmatched(first, side)),
        ratio=ratio,
        difference=difference,
        left_out=dict.fromkeys(empty, "no step of it is recorded"),
    )


def _side_named(sides: Sequence[Side], name: str) -> Side:
    by_name = {side.name: side for side in sides}
    if name not in by_name:
        hint = question(nearest(name, by_name)) or f" The runs are: {', '.join(list(by_name)[:8])}."
        raise ArgumentError(f"reference={name!r} is none of the runs.{hint}")
    return by_name[name]


# --- findings ---


def _finding_changes(reference: Side, side: Side) -> list[FindingChange]:
    """Return what became of each finding, by kind, the severest first."""
    before, after = _by_key(reference.summary.findings), _by_key(side.summary.findings)
    layers, layers_before = _layer_keys(side), _layer_keys(reference)
    changes: list[FindingChange] = []
    matches = _matches(before, after)
    for key, finding in after.items():
        known = before.get(matches.get(key, ""))
        if known is None:
            has_layer = finding.layer is None or finding.layer in layers_before
            changes.append(FindingChange("gained", side.name, finding, None, has_layer))
        elif known.severity != finding.severity:
            kind = "worse" if rank(finding.severity) > rank(known.severity) else "milder"
            changes.append(FindingChange(kind, side.name, finding, known, has_layer=True))
    for key, finding in before.items():
        if key not in matches.values():
            changes.append(
                FindingChange("lost", side.name, finding, None, finding.layer is None or finding.layer in layers)
            )
    return sorted(changes, key=lambda change: (KINDS.index(change.kind), -rank(change.finding.severity)))


def _matches(before: Mapping[str, Finding], after: Mapping[str, Finding]) -> dict[str, str]:
    """Return by key the finding before that each finding after is the same as: of one rule, about a layer of its own.

    A finding about several layers stands under the worst of them, which may be another one in another run.
    """
    matches = {key: key for key in after if key in before}
    for key, finding in after.items():
        for other, known in before.items():
            is_free = key not in matches and other not in matches.values()
            if is_free and finding.rule == known.rule and set(finding.layers) & set(known.layers):
                matches[key] = other
    return matches


def _by_key(findings: Iterable[Finding]) -> dict[str, Finding]:
    """Return ``findings`` by rule and layer; of two with one key, the severer."""
    found: dict[str, Finding] = {}
    for finding in findings:
        if finding.key not in found or rank(finding.severity) > rank(found[finding.key].severity):
            found[finding.key] = finding
    return found


def _layer_keys(side: Side) -> set[str]:
    return {layer.key for layer in side.network.layers} | {row.layer for row in side.summary.rows}


# --- numbers of layers ---


def _changes(reference: Side, side: Side, ratio: float, difference: float) -> Iterator[Change]:
    sites = {row.site: row for row in side.summary.rows}
    weighted = {row.layer: row for row in side.summary.rows if row.variable}
    for row in reference.summary.rows:
        for statistic, declared in STATISTICS.items():
            is_of_weights = declared.table is GRADIENTS
            other = weighted.get(row.layer) if is_of_weights else sites.get(row.site)
            if other is None or (is_of_weights and not row.variable):
                continue
            before, value = _value(reference, row, statistic), _value(side, other, statistic)
            extent = _extent(declared.column, value, before, ratio, difference)
            if statistic == "saturated_fraction" and not _same_tails(row, other):
                extent = NAN
            yield Change(side.name, row.layer, row.site, statistic, value, before, extent)


def _value(side: Side, row: SiteRow, statistic: str) -> float:
    return side.spreads.get(row.site, NAN) if statistic == "sample_std" else float(getattr(row, statistic))


def _same_tails(row: SiteRow, other: SiteRow) -> bool:
    """Return whether both functions are flat on one side, or both on two: half of ReLU's entries are, none of tanh's.

    What is not known of a function is no reason to call its number another.
    """
    return row.profile is None or other.profile is None or row.profile.bounded == other.profile.bounded


def _extent(column: Column, value: float, reference: float, ratio: float, difference: float) -> float:
    """Return how many times the smallest notable difference lies between two values.

    Shares are compared by their difference, sizes by their ratio, and counts by whether they are zero.
    """
    if math.isnan(value) or math.isnan(reference):
        return NAN
    if value == reference:
        return 0.0
    if column.is_fraction:
        return round(abs(value - reference), 9) / difference  # 0.3 - 0.2 is less than 0.1 by rounding
    if column.scale == "log":
        is_known = 0 < value < math.inf and 0 < reference < math.inf
        return abs(math.log(value / reference)) / math.log(ratio) if is_known else math.inf
    return math.inf if bool(value) != bool(reference) else 0.0


# --- what only one of two runs has ---


def _unmatched(reference: Side, side: Side) -> Iterator[Unmatched]:
    for present, missing in ((reference, side), (side, reference)):
        there = {row.site for row in missing.summary.rows}
        for row in present.summary.rows:
            if row.site not in there:
                yield Unmatched(side.name, row.site, present.name, missing.name, _reason(row, missing))


def _reason(row: SiteRow, missing: Side) -> str:
    """Return why ``missing`` has no numbers for the place of ``row``."""
    for thing in missing.network.not_measured:
        if thing.name in (row.site, row.layer):
            return f"not measured there: {thing.reason}"
    if row.layer in _layer_keys(missing):
        return "the layer is there, but has no such site"
    return "there is no layer of this name"
