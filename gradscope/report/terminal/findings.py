"""Findings in a terminal: the cause first, what follows from it beneath, with evidence and what to try.

Severity is a word and never a colour. Code is printed as it is, one line a line, so that it can be copied.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from rich.text import Text

from gradscope.diagnose.finding import Finding
from gradscope.report.terminal.printing import WIDTH, wrapped
from gradscope.report.values.findings import grouped
from gradscope.report.words.findings import (
    code_lines,
    details,
    followed,
    following,
    overview,
    overview_groups,
    sentence,
    title,
)

_INDENT: Final = "  "


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
