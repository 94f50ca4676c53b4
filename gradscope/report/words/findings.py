"""How findings read: the same words in every medium.

Names of layers, and whatever a rule says, are data: control characters are shown as text.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from gradscope.diagnose.finding import SEVERITIES, Finding, Severity, at_least
from gradscope.nearest import few
from gradscope.report.values.findings import FLOOR, grouped
from gradscope.report.words.names import printable, shortened
from gradscope.report.words.numbers import plural

NAME_CELLS: Final = 32
"""Columns that a layer's name may take within a sentence."""

_WORD_CELLS: Final = 60
_SHOWN: Final = 5
_NAMES_SHOWN: Final = 3
_UNITS_SHOWN: Final = 8


def overview(findings: Sequence[Finding], more: str) -> list[str]:
    """Return the sentence above the findings of medium or high severity, then those below them.

    Example:
        >>> overview([], "gradscope check logs/mlp")
        ['No findings of medium or high severity.']
    """
    severe = at_least(findings, FLOOR)
    see = [f"Evidence and what to try: {printable(more)}"] if more else []
    if not severe:
        rest = f", {len(findings):,} of low severity" if findings else ""
        return [f"No findings of {or_higher(FLOOR)}{rest}.", *(see if findings else [])]
    hidden = len(list(grouped(severe))) - _SHOWN
    return [
        f"{number_of(len(severe))} of {or_higher(FLOOR)}:",
        *([f"… and {hidden:,} more."] if hidden > 0 else []),
        *see,
    ]


def overview_groups(findings: Sequence[Finding]) -> list[tuple[Finding, list[Finding]]]:
    """Return the first of the findings of medium or high severity, each with what follows from it."""
    return list(grouped(at_least(findings, FLOOR)))[:_SHOWN]


def title(finding: Finding) -> str:
    """Return how severe the finding is, its rule, its layer and when it is seen."""
    where = "" if finding.layer is None else f" in {shortened(finding.layer, NAME_CELLS)}"
    return f"{finding.severity}: {printable(finding.rule)}{where}, {steps(finding)}"


def steps(finding: Finding) -> str:
    """Return the steps at which the finding is seen."""
    if finding.first_step == finding.last_step:
        return f"step {finding.first_step:,}"
    return f"steps {finding.first_step:,}–{finding.last_step:,}"


def sentence(text: str) -> str:
    """Return a rule's words on one line, control characters as text and very long names shortened."""
    return " ".join(shortened(word, _WORD_CELLS) for word in text.split(" "))


def details(finding: Finding) -> list[str]:
    """Return the numbers that made the rule fire, and which layers and units it is about."""
    numbers = [sentence(str(item)) for item in finding.evidence]
    lines = [f"Evidence: {numbers[0]}"] if len(numbers) == 1 else ["Evidence:", *(f"- {text}" for text in numbers)]
    if len(finding.layers) > 1:
        lines.append(f"Layers: {_few(finding.layers)}")
    if finding.units:
        lines.append(f"Units: {few([*map(str, finding.units)], _UNITS_SHOWN)}")
    return lines


def followed(finding: Finding) -> list[str]:
    """Return the sentence that names the finding's cause; none where it has none."""
    if finding.cause is None:
        return []
    return [f"Follows from {named(finding.cause)}."]


def named(key: str) -> str:
    """Return the finding of this `Finding.key` in words.

    Example:
        >>> named("dying_relu@dense"), named("not_converging")
        ('dying_relu in dense', 'not_converging')
    """
    rule, _, layer = key.partition("@")
    return f"{printable(rule)}{f' in {shortened(layer, NAME_CELLS)}' if layer else ''}"


def following(consequences: Iterable[Finding]) -> list[str]:
    """Return the sentence that names what follows from a finding; none where nothing does."""
    layers: dict[tuple[str, str], list[str]] = {}
    for finding in consequences:
        layers.setdefault((finding.rule, finding.severity), []).append(finding.layer or "")
    parts = [
        f"{printable(rule)} ({severity}){f' in {_few(names)}' if any(names) else ''}"
        for (rule, severity), names in layers.items()
    ]
    return [f"Follows from it: {'; '.join(parts)}"] if parts else []


def code_lines(code: str) -> list[str]:
    """Return the lines of Keras code, control characters in them shown as text."""
    return [printable(line) for line in code.expandtabs(4).split("\n")] if code else []


def or_higher(floor: Severity) -> str:
    """Return the severities from ``floor`` on, in words.

    Example:
        >>> or_higher("medium"), or_higher("high")
        ('medium or high severity', 'high severity')
    """
    return f"{' or '.join(SEVERITIES[SEVERITIES.index(floor) :])} severity"


def number_of(count: int) -> str:
    """Return ``count`` findings in words."""
    return plural(count, "finding")


def _few(names: Sequence[str]) -> str:
    return few([shortened(name, NAME_CELLS) for name in names], _NAMES_SHOWN)
