"""Verdicts as JUnit XML, the format in which build servers show tests: one suite a run, one case a rule."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from xml.etree import ElementTree as ET

from gradscope.diagnose.finding import Finding
from gradscope.diagnose.verdict import Verdict
from gradscope.report.terminal.findings import findings_text
from gradscope.report.values.findings import counted
from gradscope.report.words.findings import number_of, sentence
from gradscope.report.words.names import printable


def junit_xml(verdicts: Iterable[Verdict], rules: Sequence[str]) -> str:
    """Return ``verdicts`` as an XML document; every character of a name is one that XML can hold.

    A case fails where its rule has a finding of the severity asked for. Milder findings stand in its output, and it
    counts as skipped where all its findings were to be ignored.

    Args:
        verdicts: One a run.
        rules: Ids of the rules that were run, each a case.
    """
    root = ET.Element("testsuites", name="gradscope")
    for verdict in verdicts:
        found = [finding.rule for finding in (*verdict.findings, *verdict.ignored)]
        cases = [_case(verdict, rule) for rule in dict.fromkeys([*rules, *found])]
        suite = ET.SubElement(
            root,
            "testsuite",
            name=printable(verdict.run),
            tests=str(len(cases)),
            failures=str(sum(case.find("failure") is not None for case in cases)),
            errors="0",
            skipped=str(sum(case.find("skipped") is not None for case in cases)),
        )
        suite.extend(cases)
    ET.indent(root)
    return ET.tostring(root, encoding="us-ascii", xml_declaration=True).decode("ascii")  # so that any encoding will do


def _case(verdict: Verdict, rule: str) -> ET.Element:
    case = ET.Element("testcase", classname=f"gradscope.{printable(verdict.run)}", name=printable(rule))
    findings = [finding for finding in verdict.findings if finding.rule == rule]
    failing = [finding for finding in verdict.failing if finding.rule == rule]
    ignored = [finding for finding in verdict.ignored if finding.rule == rule]
    if failing:
        ET.SubElement(case, "failure", type=failing[0].severity, message=_message(failing)).text = _text(findings)
    elif ignored and not findings:
        ET.SubElement(case, "skipped", message=f"ignored: {number_of(len(ignored))}, {counted(ignored)}")
    elif findings:
        ET.SubElement(case, "system-out").text = _text(findings)
    return case


def _message(findings: Sequence[Finding]) -> str:
    more = f" (and {len(findings) - 1:,} more)" if len(findings) > 1 else ""
    return f"{sentence(findings[0].message)}{more}"


def _text(findings: Sequence[Finding]) -> str:
    return f"\n{findings_text(findings, width=120).plain}\n"
