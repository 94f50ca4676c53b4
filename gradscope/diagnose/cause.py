"""Which finding follows from which, so that a person is led to the cause first."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Iterator, Mapping, Sequence

from gradscope.diagnose.finding import Finding, rank
from gradscope.diagnose.rule import Rule, facts_of
from gradscope.network import Network


def causes_by_rule(rules: Mapping[str, Rule]) -> dict[str, list[str]]:
    """Return by rule the rules whose findings explain its own, the likeliest first.

    What a rule follows from by its own word comes first, then what others say to explain. What would close a circle is
    left out with a warning; what gradscope's own rules say of one another never is.

    Args:
        rules: All that were asked, by id.

    Example:
        >>> from gradscope.diagnose.discover import known_rules
        >>> causes_by_rule(known_rules())["oscillating_loss"]
        ['update_ratio', 'exploding_gradient']
    """
    names = sorted(rules)
    said = [(name, cause) for name in names for cause in facts_of(rules[name]).follows]
    said += [(name, cause) for cause in names for name in facts_of(rules[cause]).explains]
    causes: dict[str, list[str]] = {}
    above = {name: {name} for pair in said for name in pair}  # itself, and all that it follows from, however far around
    for name, cause in dict.fromkeys(said):
        if name in above[cause]:
            warnings.warn(f"{name!r} cannot follow from {cause!r}, which follows from it: left out.", stacklevel=3)
            continue
        causes.setdefault(name, []).append(cause)
        for passed in above.values():
            if name in passed:
                passed |= above[cause]
    return causes


def linked(findings: Sequence[Finding], network: Network, rules: Mapping[str, Rule]) -> list[Finding]:
    """Return ``findings`` with their causes filled in, each cause directly before what follows from it.

    A cause was seen before what follows from it was over, for records are samples and the onset lies between two, and
    is no mere information where what follows is a fault.
    First comes what is severest, by what follows from it and then by itself; among equals the earliest, then the
    nearest to the input.

    Args:
        findings: In any order.
        network: Of the run.
        rules: Those that were asked, by id: they say what follows from what.
    """
    causes = causes_by_rule(rules)
    known = [
        dataclasses.replace(finding, cause=_cause(finding, findings, causes.get(finding.rule, ())))
        for finding in findings
    ]
    order = {layer.key: layer.order for layer in network.layers}
    following: dict[str | None, list[Finding]] = {}
    for finding in known:
        following.setdefault(finding.cause, []).append(finding)

    def worst(finding: Finding) -> int:
        return max(rank(finding.severity), *map(worst, following.get(finding.key, [])), 0)

    def chain(cause: str | None) -> Iterator[Finding]:
        for finding in sorted(
            following.pop(cause, []),
            key=lambda f: (
                -worst(f),
                -rank(f.severity),
                f.first_step,
                order.get(f.layer or "", -1),
                f.rule,
                f.layer or "",
                f.severity,
            ),
        ):
            yield finding
            yield from chain(finding.key)

    return list(chain(None))


def _cause(finding: Finding, findings: Sequence[Finding], rules: Sequence[str]) -> str | None:
    for rule in rules:
        causes = [other for other in findings if other.rule == rule and _explains(other, finding)]
        if causes:
            return max(causes, key=lambda other: (rank(other.severity), -other.first_step, other.key)).key
    return None


def _explains(cause: Finding, finding: Finding) -> bool:
    return cause.first_step <= finding.last_step and rank(cause.severity) >= min(1, rank(finding.severity))
