"""Verdicts as workflow commands, which GitHub shows as annotations of a build."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from gradscope.diagnose.verdict import Verdict
from gradscope.report.words.findings import code_lines, details, sentence, title
from gradscope.report.words.names import printable

_LEVELS: Final = {"high": "warning", "medium": "warning", "low": "notice"}


def annotation_lines(verdicts: Iterable[Verdict]) -> Iterator[str]:
    """Yield one command a finding: an error where it makes the check fail, else a warning, or a notice if it is low."""
    for verdict in verdicts:
        failing = verdict.failing
        for finding in verdict.findings:
            level = "error" if finding in failing else _LEVELS[finding.severity]
            lines = [sentence(finding.message), *details(finding)]
            for advice in finding.advice:
                lines += [f"Try: {sentence(advice.text)}", *code_lines(advice.code)]
            heading = f"{printable(verdict.run)}: {title(finding)}"
            yield f"::{level} title={_property(heading)}::{_data(chr(10).join(lines))}"


def _data(text: str) -> str:
    """Return ``text`` as the message of a command: what would end or alter it is written as in a URL."""
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
