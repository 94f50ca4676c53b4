"""The page of a rule: what it sees, why that harms and what to try, with its thresholds, made of its docstring."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping
from typing import Final

from gradscope.diagnose.discover import Threshold, thresholds_of
from gradscope.diagnose.docstring import OF_THE_CODE, Paragraph, paragraphs
from gradscope.diagnose.rule import Rule, facts_of
from gradscope.report.terminal.printing import WIDTH

_SILENT: Final = "It has no description."


def rule_list(rules: Mapping[str, Rule], *, width: int = WIDTH) -> str:
    """Return one entry a rule: its id, and what it sees in a sentence."""
    cells = max(map(len, rules), default=0) + 2
    return "\n".join(
        textwrap.fill(first_line(rule), width, initial_indent=f"{name:<{cells}}", subsequent_indent=" " * cells)
        for name, rule in rules.items()
    )


def rule_page(name: str, rule: Rule, *, width: int = WIDTH) -> str:
    """Return all that a rule's docstring says of it, its facts and its thresholds."""
    told = ["\n".join(_filled(text, width)) for heading, text in _paragraphs(rule) if heading not in OF_THE_CODE]
    parts = [name, *(told or [_SILENT]), *_facts(rule, width)]
    thresholds = thresholds_of(rule)
    if thresholds:
        parts.append("\n".join(["Thresholds:", *_threshold_lines(thresholds, width)]))
        values = f"{{{thresholds[0].name!r}: {thresholds[0].default!r}}}"
        argument = f"{name}={values}" if name.isidentifier() else f"**{{{name!r}: {values}}}"
        parts.append(f"To use another one:\n  run.diagnose({argument})")
    return "\n\n".join(parts)


def first_line(rule: Rule) -> str:
    """Return what the rule sees, in the words that its docstring begins with."""
    return next((text.replace("\n", " ") for _, text in _paragraphs(rule)), _SILENT)


def _paragraphs(rule: Rule) -> Iterator[Paragraph]:
    return (Paragraph(heading, text.replace("``", "`")) for heading, text in paragraphs(rule))


def _facts(rule: Rule, width: int) -> Iterator[str]:
    """Yield what is known of the rule beside what its docstring says."""
    facts = facts_of(rule)
    if facts.follows:
        yield _fill([f"May follow from, the likeliest first: {', '.join(facts.follows)}."], width)
    if facts.explains:
        yield _fill([f"May explain: {', '.join(facts.explains)}."], width)
    if facts.before_training:
        yield "Before a training: `gradscope.preflight` asks it, too."
    if facts.at_once:
        yield "During a training: told at the first look."


def _threshold_lines(thresholds: list[Threshold], width: int) -> Iterator[str]:
    name_cells = max(len(threshold.name) for threshold in thresholds)
    value_cells = max(len(repr(threshold.default)) for threshold in thresholds)
    for threshold in thresholds:
        start = f"  {threshold.name:<{name_cells}}  {threshold.default!r:>{value_cells}}  "
        yield textwrap.fill(threshold.meaning, width, initial_indent=start, subsequent_indent=" " * len(start)) or start


def _filled(paragraph: str, width: int) -> Iterator[str]:
    """Yield the lines of a paragraph, refilled; headings, entries of a list and code begin lines of their own."""
    run: list[str] = []
    for line in paragraph.split("\n"):
        indent, text = _indent(line), line.strip()
        begins = not run or text.startswith(("- ", "* ", ">>>", "...")) or run[-1].endswith(":")
        if run and (begins or indent < _indent(run[0])):
            yield _fill(run, width)
            run = []
        run.append(line)
    yield _fill(run, width)


def _fill(lines: list[str], width: int) -> str:
    indent = " " * _indent(lines[0])
    hanging = indent + ("  " if lines[0].strip().startswith(("- ", "* ")) else "")
    text = " ".join(line.strip() for line in lines)
    return textwrap.fill(text, width, initial_indent=indent, subsequent_indent=hanging, break_on_hyphens=False)


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())
