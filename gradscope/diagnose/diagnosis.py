"""Diagnosis: all rules over one run, and which finding follows from which."""

from __future__ import annotations

import dataclasses
import math
import warnings
from collections.abc import Mapping, Sequence

from gradscope import reasons
from gradscope.diagnose.cause import linked
from gradscope.diagnose.checked import checked_findings
from gradscope.diagnose.discover import chosen_rules, known_checks, thresholds_of
from gradscope.diagnose.finding import SEVERITIES, Finding
from gradscope.diagnose.rule import Rule
from gradscope.errors import ArgumentError
from gradscope.store.frames import Frames


class RuleFailedWarning(UserWarning):
    """A rule raised and was left out, so that what it would have seen is not known."""


def diagnose(
    frames: Frames, rules: Sequence[str | Rule] | None = None, **thresholds: Mapping[str, float]
) -> list[Finding]:
    """Return what is wrong with a run, causes before consequences and the severest first.

    A rule that raises is left out with a warning that names it: the other findings are not lost.

    Args:
        frames: The run.
        rules: Ids of rules, or functions of frames; None for all that are installed, and for what the checks found in
            the first batch.
        thresholds: By the id of a rule, the thresholds to use instead of its defaults, such as
            ``dying_relu={"floor": 0.4}``.

    Raises:
        ArgumentError: If a rule or a threshold is not known.
    """
    chosen = chosen_rules(rules)
    _check_thresholds(chosen, thresholds)
    findings = list(checked_findings(frames)) if rules is None else list[Finding]()
    for name, rule in chosen.items():
        try:
            found = [_checked(finding) for finding in rule(frames, **thresholds.get(name, {}))]
        except Exception as error:
            said = f"The rule {name!r} failed and is left out: {reasons.named(error)}"
            warnings.warn(said, RuleFailedWarning, stacklevel=2)
        else:
            findings += found
    return linked(findings, frames.network, {**known_checks(), **chosen})


def _checked(finding: Finding) -> Finding:
    """Return what a rule yielded, without evidence that is no number; raise if it is no finding."""
    if not isinstance(finding, Finding) or finding.severity not in SEVERITIES:  # pyright: ignore - of others' rules
        raise TypeError(f"it yielded {finding!r}, which is no finding of a known severity")
    numbers = tuple(item for item in finding.evidence if not math.isnan(item.value))
    return dataclasses.replace(finding, evidence=numbers or finding.evidence)


def _check_thresholds(chosen: Mapping[str, Rule], thresholds: Mapping[str, Mapping[str, float]]) -> None:
    for name, values in thresholds.items():
        if name not in chosen:
            raise ArgumentError(
                f"Thresholds were given for {name!r}, which is none of the rules run: {', '.join(chosen)}."
            )
        known = [threshold.name for threshold in thresholds_of(chosen[name])]
        if not isinstance(values, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance] - a user may pass anything
            example = f"{name}={{{known[0]!r}: ...}}" if known else "none: it has no threshold"
            raise ArgumentError(f"{name}={values!r} does not say which threshold. Pass a dict, such as {example}.")
        for threshold in values:
            if threshold not in known:
                raise ArgumentError(
                    f"The rule {name!r} has no threshold {threshold!r}. It has: {', '.join(known) or 'none'}."
                )
