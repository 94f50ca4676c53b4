"""How the parts of a comparison read: the same words in the terminal and on a page."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from gradscope.diagnose.finding import rank
from gradscope.nearest import few
from gradscope.report.values.comparison import KINDS, STATISTICS, Change, Comparison, FindingChange, Kind
from gradscope.report.values.configuration import Difference
from gradscope.report.words.findings import NAME_CELLS, number_of
from gradscope.report.words.names import printable, shortened
from gradscope.report.words.numbers import UNKNOWN, in_words, magnitude

KIND_WORDS: Final[Mapping[Kind, str]] = {
    "gained": "gained",
    "worse": "of higher severity",
    "lost": "lost",
    "milder": "of lower severity",
}
"""What became of findings, behind their number."""

VALUE_CELLS: Final = 24
"""Columns that the value of a setting may take."""

_NAMES: Final = 3


# --- findings and runs ---


def headline(comparison: Comparison) -> str:
    """Return in a sentence how many findings are not the same, a finding of several runs counted once."""
    count = {kind: len(by_finding(c for c in comparison.finding_changes if c.kind == kind)) for kind in KINDS}
    if not comparison.finding_changes:
        same = len(comparison.reference.summary.findings)
        return f"The same {number_of(same)} in all runs" if same else "No findings in any of the runs"
    parts = [
        f"{number_of(count['gained'])} gained" if count["gained"] else "No finding gained",
        f"{count['lost']:,} lost" if count["lost"] else "none lost",
    ]
    parts += [f"{count[kind]:,} {KIND_WORDS[kind]}" for kind in ("worse", "milder") if count[kind]]
    return ", ".join(parts)


def lacking_layer(change: FindingChange) -> str:
    """Return that the side without the finding has no such layer; ``""`` where it has."""
    if change.has_layer:
        return ""
    return "it has no such layer" if change.kind == "lost" else "the reference has no such layer"


def compared_runs(comparison: Comparison) -> str:
    """Return what is compared with what.

    Example:
        >>> from gradscope import compare
        >>> from gradscope.run import Run
        >>> from gradscope.testing import run, stack
        >>> compared_runs(compare(Run(run(stack()), name=name) for name in ("before", "after")))
        'after compared with before'
    """
    others = comparison.others
    named = printable(others[0].name) if len(others) == 1 else f"{len(others):,} runs"
    return f"{named} compared with {printable(comparison.reference.name)}"


def by_finding(changes: Iterable[FindingChange]) -> list[list[FindingChange]]:
    """Return ``changes`` of one finding and severity together, the severest first, then those of the most runs."""
    groups: dict[tuple[str, str], list[FindingChange]] = {}
    for change in changes:
        groups.setdefault((change.finding.key, change.finding.severity), []).append(change)
    return sorted(groups.values(), key=lambda group: (-rank(group[0].finding.severity), -len(group)))


def which_runs(names: Sequence[str], count: int) -> str:
    """Return which of ``count`` runs are meant, with their number where not all are named.

    Example:
        >>> which_runs(["a", "b"], 2), which_runs(["a"], 2), which_runs(["a", "b", "c", "d"], 9)
        ('all 2 runs', 'a', '4 of 9 runs: a, b, c and 1 more')
    """
    if len(names) == count:
        return f"all {count:,} runs"
    return few_short(names) if len(names) <= _NAMES else f"{len(names):,} of {count:,} runs: {few_short(names)}"


def few_short(names: Sequence[str]) -> str:
    """Return the first few names, shortened, and how many more there are."""
    return few([shortened(name, NAME_CELLS) for name in names], _NAMES)


# --- configuration ---


def setting_name(difference: Difference) -> str:
    """Return what a setting is called, with the layers that it is of."""
    name = printable(difference.name)
    return f"{name} of {few_short(difference.layers)}" if difference.layers else name


def setting_value(value: Any, cells: int = VALUE_CELLS) -> str:  # Any: a JSON value
    """Return the value of a setting, its middle left out where it is long."""
    if value is None:
        return UNKNOWN
    if isinstance(value, bool):
        return "yes" if value else "no"
    return shortened(f"{value:.6g}" if isinstance(value, float) else str(value), cells)


# --- numbers of layers ---


def number_text(statistic: str, value: float) -> str:
    """Return a number of a layer."""
    return in_words(value, STATISTICS[statistic].column)


def change_text(change: Change) -> str:
    """Return how far the run is from the reference: points of a share, or how many times more or less."""
    column = STATISTICS[change.statistic].column
    if column.is_fraction:
        return f"{100 * change.difference:+.0f} points"
    if column.scale == "log" and 0 < change.ratio < math.inf:
        return f"x{_factor(change.ratio)}" if change.ratio >= 1 else f"/{_factor(1 / change.ratio)}"
    return ""


def points(difference: float) -> str:
    """Return a difference of shares.

    Example:
        >>> points(0.1)
        '10 points'
    """
    return f"{100 * difference:g} points"


def _factor(value: float) -> str:
    return magnitude(value) if value >= 1000 else f"{value:.0f}" if value >= 10 else f"{value:.1f}"


# --- what only one of two runs has ---


@dataclass(frozen=True, slots=True)
class Lack:
    """What is missing on one side for the same reason.

    Attributes:
        runs: The runs that lack it; where the reference does, those that have it.
        keys: Of the sites or layers.
        reason: Why they are missing.
        in_reference: Whether it is the reference that lacks them.
    """

    runs: tuple[str, ...]
    keys: tuple[str, ...]
    reason: str
    in_reference: bool


def lacks(comparison: Comparison) -> list[Lack]:
    """Return what only one of two runs has, runs that lack the same together."""
    lists: dict[tuple[str, str, str], list[str]] = {}
    for item in comparison.unmatched:
        lists.setdefault((item.run, item.missing, item.reason), []).append(item.key)
    groups: dict[tuple[bool, str, tuple[str, ...]], list[str]] = {}
    for (run, missing, reason), keys in lists.items():
        groups.setdefault((missing == comparison.reference.name, reason, tuple(keys)), []).append(run)
    return [Lack(tuple(runs), keys, reason, in_reference) for (in_reference, reason, keys), runs in groups.items()]
