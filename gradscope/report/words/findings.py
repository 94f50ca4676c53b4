"""Findings in words: the cause first, what follows from it beneath, with evidence and what to try.

Severity is a word and never a colour. Names of layers, and whatever a rule says, are data: control characters are shown
as text. Code is printed as it is, one line a line, so that it can be copied.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Final

import pandas as pd
from rich.text import Text

from gradscope.diagnose.finding import SEVERITIES, Finding, Severity, at_least, findings_frame
from gradscope.nearest import few
from gradscope.report.terminal.printing import WIDTH, wrapped
from gradscope.report.words.wording import printable, shortened

NAME_CELLS: Final = 32
"""Columns that a layer's name may take within a sentence."""

FLOOR: Final = "medium"
"""Least severity that a summary shows."""

_WORD_CELLS: Final = 60
_SHOWN: Final = 5
_NAMES_SHOWN: Final = 3
_UNITS_SHOWN: Final = 8
_INDENT: Final = "  "


class Findings(tuple[Finding, ...]):
    """The findings of a run, causes before consequences and the severest first: a tuple that prints itself.

    Example:
        >>> from gradscope import Evidence, Finding
        >>> findings = Findings([Finding("dying_relu", "high", "dense", 0, 90, "Dead.", (Evidence("dead", 0.9),))])
        >>> findings
        <gradscope findings: 1 high>
        >>> print(findings)
        high: dying_relu in dense, steps 0–90
          Dead.
          Evidence: dead 0.9
    """

    @cached_property
    def frame(self) -> pd.DataFrame:
        """One row a finding; evidence, advice and code as text, one item a line."""
        return findings_frame(self)

    def __str__(self) -> str:
        return findings_text(self).plain

    def __repr__(self) -> str:
        return f"<gradscope findings: {counted(self)}>"

    def _repr_html_(self) -> str:
        from gradscope.report.notebook import findings_html  # it shows findings, so it cannot be imported first

        return findings_html(self)


def findings_text(findings: Sequence[Finding], *, width: int = WIDTH) -> Text:
    """Return all that there is to say of ``findings``, none of it wider than ``width`` but code.

    Args:
        findings: What to show, in this order; one that follows from another stands beneath that.
        width: Columns of the terminal.
    """
    if not findings:
        return Text("No findings.")
    blocks = [Text("\n").join(_block(*group, width)) for group in grouped(findings)]
    return Text("\n\n").join(blocks)


def short_lines(
    finding: Finding, consequences: Sequence[Finding] = (), *, width: int = WIDTH, prefix: str = ""
) -> list[Text]:
    """Return what a person has to know of a finding: its title, its message, and what follows from what.

    Args:
        finding: One that is not shown beneath its cause.
        consequences: What follows from it.
        width: Columns of the terminal.
        prefix: What stands before its title.
    """
    message = _indented([sentence(finding.message)], width, hanging="")
    lines = [*wrapped([prefix + title(finding)], width, "bold"), *message]
    return [*lines, *_indented([*followed(finding), *following(consequences)], width)]


def overview_lines(findings: Sequence[Finding], *, more: str, width: int = WIDTH) -> list[Text]:
    """Return the findings of medium or high severity in a few lines; that there are none, if there are none.

    Args:
        findings: All findings of a run.
        more: What to type to see all of them; ``""`` for nothing.
        width: Columns of the terminal.
    """
    first, *others = overview(findings, more)
    groups = overview_groups(findings)
    lines = wrapped([first], width, "bold" if groups else "")
    for group in groups:
        lines += short_lines(*group, width=width)
    return [*lines, *map(Text, others)]


def _block(finding: Finding, consequences: Sequence[Finding], width: int) -> list[Text]:
    lines = short_lines(finding, width=width)
    lines += _indented(details(finding), width)
    for advice in finding.advice:
        lines += _indented([f"Try: {sentence(advice.text)}"], width)
        lines += [Text(_INDENT * 3 + line) for line in code_lines(advice.code)]
    return [*lines, *_indented(following(consequences), width)]


def _indented(texts: Iterable[str], width: int, *, hanging: str = _INDENT) -> list[Text]:
    return [Text(_INDENT).append_text(line) for line in wrapped(texts, width - len(_INDENT), hanging=hanging)]


# --- words, the same in the terminal, in a notebook and in a report for a build server ---


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
    rule, _, layer = finding.cause.partition("@")
    return [f"Follows from {printable(rule)}{f' in {shortened(layer, NAME_CELLS)}' if layer else ''}."]


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


def counted(findings: Iterable[Finding]) -> str:
    """Return how many findings there are of each severity, the severest first.

    Example:
        >>> counted([])
        'none'
    """
    severities = [finding.severity for finding in findings]
    present = [s for s in reversed(SEVERITIES) if s in severities]
    return ", ".join(f"{severities.count(severity)} {severity}" for severity in present) or "none"


def or_higher(floor: Severity) -> str:
    """Return the severities from ``floor`` on, in words.

    Example:
        >>> or_higher("medium"), or_higher("high")
        ('medium or high severity', 'high severity')
    """
    return f"{' or '.join(SEVERITIES[SEVERITIES.index(floor) :])} severity"


def number_of(count: int) -> str:
    """Return ``count`` findings in words."""
    return f"{count:,} finding" if count == 1 else f"{count:,} findings"


def _few(names: Sequence[str]) -> str:
    return few([shortened(name, NAME_CELLS) for name in names], _NAMES_SHOWN)


# --- causes ---


def grouped(findings: Iterable[Finding]) -> Iterator[tuple[Finding, list[Finding]]]:
    """Yield each finding that stands for itself, with all that follow from it, directly or not.

    A finding whose cause is not among ``findings`` stands for itself.

    Example:
        >>> from gradscope import Evidence, Finding
        >>> def found(rule, cause=None):
        ...     return Finding(rule, "high", None, 0, 9, "", (Evidence("loss", 2.0),), cause=cause)
        >>> chain = [found("a"), found("b", "a"), found("c", "b")]
        >>> [(finding.rule, [other.rule for other in follow]) for finding, follow in grouped(chain)]
        [('a', ['b', 'c'])]
    """
    findings = list(findings)
    known = {finding.key: finding for finding in reversed(findings)}
    roots = [_root(finding, known) for finding in findings]
    for finding, its_root in zip(findings, roots, strict=True):
        if its_root is finding:
            others = zip(findings, roots, strict=True)
            yield finding, [other for other, root in others if root is finding and other is not finding]


def _root(finding: Finding, known: Mapping[str, Finding]) -> Finding:
    """Return the finding that ``finding`` follows from in the end; itself where causes go round in a circle."""
    root, seen = finding, {finding.key}
    while root.cause is not None and root.cause in known:
        root = known[root.cause]
        if root.key in seen:
            return finding
        seen.add(root.key)
    return root
