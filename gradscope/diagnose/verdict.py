"""Verdict: whether a run passes a check, and which of its findings decide."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import cast

from gradscope.diagnose.discover import rule_named
from gradscope.diagnose.finding import SEVERITIES, Finding, Severity, at_least
from gradscope.errors import ArgumentError
from gradscope.nearest import nearest, question


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a check says of one run.

    Attributes:
        run: The run's name.
        fail_on: Least severity that makes the check fail.
        findings: All that count, of every severity.
        ignored: Those that were asked to be left out.
    """

    run: str
    fail_on: Severity
    findings: tuple[Finding, ...]
    ignored: tuple[Finding, ...]

    @property
    def failing(self) -> list[Finding]:
        """The findings that make the check fail; empty where it passes."""
        return at_least(self.findings, self.fail_on)


def verdict(run: str, findings: Sequence[Finding], fail_on: Severity, ignore: Sequence[str]) -> Verdict:
    """Return what a check says of ``findings``.

    Args:
        run: The run's name.
        findings: All findings of the run.
        fail_on: Least severity that makes the check fail.
        ignore: Ids of rules whose findings do not count, or keys of single findings such as ``"dying_relu@dense"``.
    """
    ignored = tuple(finding for finding in findings if finding.rule in ignore or finding.key in ignore)
    return Verdict(run, fail_on, tuple(finding for finding in findings if finding not in ignored), ignored)


def severity_named(value: object, argument: str) -> Severity:
    """Return ``value``, a severity that was given as ``argument``.

    Raises:
        ArgumentError: If it is none; it names the nearest.

    Example:
        >>> severity_named("high", "fail_on")
        'high'
    """
    if value not in SEVERITIES:
        hint = question(nearest(str(value), SEVERITIES))
        raise ArgumentError(f"{argument}={value!r} is no severity.{hint} Pass 'low', 'medium' or 'high'.")
    return value


def ignored_names(ignore: object) -> tuple[str, ...]:
    """Return what ``ignore`` names: ids of rules, each with ``@layer`` behind it or without.

    Raises:
        ArgumentError: If a rule is not known; it names the nearest.
    """
    names = [ignore] if isinstance(ignore, str) or not isinstance(ignore, Iterable) else cast("list[object]", [*ignore])
    ignored: list[str] = []
    for name in names:
        if not isinstance(name, str):
            raise ArgumentError(f"ignore={ignore!r} names no rules. Pass ids such as ['dying_relu'].")
        rule_named(name.partition("@")[0])
        ignored.append(name)
    return tuple(ignored)
