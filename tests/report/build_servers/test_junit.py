"""Verdicts for build servers: JUnit XML and GitHub's workflow commands."""

import re
from xml.etree import ElementTree as ET

import findings as made
import pytest

from gradscope.diagnose.verdict import Verdict, verdict
from gradscope.report.build_servers.github import annotation_lines
from gradscope.report.build_servers.junit import junit_xml

RULES = ["dying_relu", "nan_or_inf", "unchanged_weights", "vanishing_gradient"]
HOSTILE = made.named(']]>\x1b[31m\n<a b="c">&\x00\ufffe🔥', message="100%,\r\n::error::a: b")


def judged(*findings: made.Finding, run: str = "mlp", ignore: tuple[str, ...] = ()) -> Verdict:
    return verdict(run, findings, "medium", ignore)


def suites(*verdicts: Verdict) -> list[ET.Element]:
    text = junit_xml(verdicts, RULES)
    assert text.isascii()
    return ET.fromstring(text).findall("testsuite")


def test_a_case_is_a_rule_and_a_suite_a_run() -> None:
    sick, healthy = suites(judged(*made.SICK), judged(run="healthy"))
    assert [case.get("name") for case in healthy] == RULES
    assert [case.get("name") for case in sick] == [*RULES, "oscillating_loss"]
    assert {name: sick.get(name) for name in ("name", "tests", "failures", "errors", "skipped")} == {
        "name": "mlp", "tests": "5", "failures": "3", "errors": "0", "skipped": "0",
    }  # fmt: skip
    assert healthy.get("failures") == "0"
    assert sick[0].get("classname") == "gradscope.mlp"


def test_a_failure_has_the_message_and_the_whole_text() -> None:
    (sick,) = suites(judged(*made.SICK))
    cases = {case.get("name"): case for case in sick}
    failure = cases["unchanged_weights"].find("failure")
    assert failure is not None
    assert failure.get("message") == "The weights of dense_1 do not change. (and 4 more)"
    assert failure.get("type") == "medium"
    assert failure.text is not None
    assert failure.text.count("Evidence:") == 5
    assert cases["oscillating_loss"].find("failure") is None
    assert "oscillating_loss" in (cases["oscillating_loss"].findtext("system-out") or "")
    assert len(cases["nan_or_inf"]) == 0


def test_an_ignored_rule_is_a_skipped_case() -> None:
    (sick,) = suites(judged(*made.SICK, ignore=("dying_relu",)))
    skipped = sick[0].find("skipped")
    assert skipped is not None
    assert skipped.get("message") == "ignored: 1 finding, 1 medium"
    assert sick.get("skipped") == "1"


def test_any_name_makes_valid_xml() -> None:
    (suite,) = suites(judged(HOSTILE, run="\x1b<run>\n"))
    assert suite.get("name") == r"\x1b<run>\n"
    failure = suite[0].find("failure")
    assert failure is not None
    assert r"]]>\x1b[31m\n<a b" in (failure.text or "")


@pytest.mark.parametrize("finding", [*made.SICK, HOSTILE])
def test_a_finding_is_one_workflow_command(finding: made.Finding) -> None:
    (line,) = annotation_lines([judged(finding)])
    level = {"high": "error", "medium": "error", "low": "notice"}[finding.severity]
    assert re.fullmatch(rf"::{level} title=[^:,\r\n]+::[^\r\n]+", line)
    assert not re.search(r"%(?!25|0D|0A|3A|2C)", line)


def test_the_title_says_where_and_the_message_what() -> None:
    (line,) = annotation_lines([judged(made.OSCILLATING)])
    assert line == (
        "::notice title=mlp%3A low%3A oscillating_loss%2C step 75"
        "::The loss goes up and down.%0AEvidence: autocorrelation -0.6 (limit: ≥ -0.5)"
    )


def test_what_does_not_fail_is_a_warning() -> None:
    (line,) = annotation_lines([verdict("mlp", [made.DYING], "high", ())])
    assert line.startswith("::warning ")
