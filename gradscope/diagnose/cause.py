"""Which finding follows from which, so that a person is led to the cause first."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from gradscope.diagnose.finding import Finding, rank
from gradscope.network import Network

FOLLOWS: Final[Mapping[str, tuple[str, ...]]] = {
    "dying_relu": ("update_ratio", "exploding_gradient"),
    "saturated_activation": ("poor_initialisation", "exploding_activation", "update_ratio"),
    "vanishing_activation": ("dying_relu", "poor_initialisation"),
    "exploding_activation": ("poor_initialisation", "update_ratio"),
    "vanishing_gradient": (
        "blocked_gradient", "saturated_activation", "dying_relu",
    ),
    "exploding_gradient": ("poor_initialisation", "exploding_activation", "update_ratio"),
    "unchanged_weights": ("blocked_gradient", "dying_relu", "saturated_activation", "vanishing_gradient", "nan_or_inf"),
    "nan_or_inf": ("exploding_gradient", "exploding_activation", "update_ratio", "poor_initialisation"),
    "not_zero_centred": (),
    "linear_stack": (),
    "slow_convergence": (
        "vanishing_gradient", "saturated_activation", "dying_relu", "blocked_gradient", "linear_stack", "update_ratio",
        "unchanged_weights", "poor_initialisation",
    ),
    "oscillating_loss": ("update_ratio", "exploding_gradient"),
    "not_converging": (
        "nan_or_inf", "exploding_gradient", "blocked_gradient", "saturated_activation", "dying_relu",
        "vanishing_gradient", "vanishing_activation", "exploding_activation", "unchanged_weights", "update_ratio",
        "poor_initialisation", "linear_stack", "slow_convergence", "oscillating_loss",
    ),
}  # fmt: skip
"""By rule, the rules whose findings explain its own, the likeliest first. There is no circle in it."""


def linked(findings: Sequence[Finding], network: Network) -> list[Finding]:
    """Return ``findings`` with their causes filled in, each cause directly before what follows from it.

    A cause was seen before what follows from it was over, for records are samples and the onset lies between two, and
    is no mere information where what follows is a fault.
    First comes what is severest, by what follows from it and then by itself; among equals the earliest, then the
    nearest to the input.
    """
    known = [dataclasses.replace(finding, cause=_cause(finding, findings)) for finding in findings]
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


def _cause(finding: Finding, findings: Sequence[Finding]) -> str | None:
    for rule in FOLLOWS.get(finding.rule, ()):
        causes = [other for other in findings if other.rule == rule and _explains(other, finding)]
        if causes:
            return max(causes, key=lambda other: (rank(other.severity), -other.first_step, other.key)).key
    return None


def _explains(cause: Finding, finding: Finding) -> bool:
    return cause.first_step <= finding.last_step and rank(cause.severity) >= min(1, rank(finding.severity))
