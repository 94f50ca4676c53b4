"""The reports: their labels are whole, the criteria judge as they say, and a few are trained anew.

All of them, with every seed, are a study of its own: see README.md.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from gradscope.diagnose.discover import known_rules
from gradscope.diagnose.finding import Advice, Evidence, Finding, Severity
from gradscope.diagnose.remedy import REMEDY_KINDS, Remedy, RemedyKind
from zoo.case import Training
from zoo.reported import REPORTS
from zoo.reported.judging import Outcome, Row, as_labelled, judge, table
from zoo.reported.report import Line, Report
from zoo.reports import README, row
from zoo.score import replace_block

BY_NAME = {report.name: report for report in REPORTS}
# rules that are named by reports before they are written
TO_COME = {"batch_statistics", "collapsed_output", "falling_learning_rate"}
CHECKS = {"input_scale", "target_scale", "output_loss_mismatch", "index_out_of_range", "constant_data"}


def _never() -> Training:
    raise AssertionError("judging trains nothing")


SICK = Report(
    "made",
    "made for a test",
    "",
    _never,
    _never,
    lambda training: 0.0,
    0.5,
    top=(Line("dying_relu", ("dense",)), Line("not_converging")),
    remedies=frozenset({"output"}),
    also=frozenset({"unchanged_weights"}),
)
HEALTHY = replace(SICK, top=(), remedies=frozenset(), also=frozenset())


def found(rule: str, severity: Severity = "high", layer: str | None = None, *remedies: RemedyKind) -> Finding:
    advice = (Advice("Only look."), *(Advice("Made.", remedy=Remedy(kind)) for kind in remedies))
    return Finding(rule, severity, layer, 0, 9, "Made.", (Evidence("made", 1.0),), advice)


# ---- The labels


def test_there_are_thirty_two_reports_of_different_names_each_with_a_public_source() -> None:
    assert len(REPORTS) == 32
    assert [name for name, count in Counter(report.name for report in REPORTS).items() if count > 1] == []
    assert all(report.source.startswith("https://") and report.happened for report in REPORTS)


def test_a_report_names_rules_that_there_are_and_remedies_of_known_kinds() -> None:
    named = {line.rule for report in REPORTS for line in report.top}.union(*(report.also for report in REPORTS))
    assert named - set(known_rules()) - CHECKS <= TO_COME
    assert set().union(*(report.remedies for report in REPORTS)) <= set(REMEDY_KINDS)
    assert [report.name for report in REPORTS if bool(report.top) != bool(report.remedies)] == []


# ---- The criteria


@pytest.mark.parametrize(
    ("findings", "verdict"),
    [
        ([], "missed"),
        ([found("dying_relu", "low", "dense", "output")], "missed"),
        ([found("dying_relu", "medium", "dense", "output", "loss")], "right"),
        ([found("dying_relu", "high", "other", "output")], "partly"),
        ([found("unchanged_weights", "high", "dense", "output"), found("dying_relu", "high", "dense")], "partly"),
        ([found("slow_convergence", "medium", None, "learning_rate")], "partly"),
        ([found("exploding_gradient", "high", "dense", "output"), found("dying_relu", "high", "dense")], "wrong"),
    ],
)
def test_what_stands_on_top_decides(findings: list[Finding], verdict: str) -> None:
    assert judge(SICK, Outcome(tuple(findings))) == verdict


@pytest.mark.parametrize(
    ("kinds", "verdict"), [(["output", "loss"], "right"), (["initialiser", "output"], "partly"), ([], "partly")]
)
def test_the_first_remedy_must_be_a_cure(kinds: list[RemedyKind], verdict: str) -> None:
    assert judge(SICK, Outcome((found("dying_relu", "high", "dense", *kinds),))) == verdict
    assert judge(SICK, Outcome((found("not_converging", "high", None, *kinds),))) == verdict


def test_a_finding_must_be_as_severe_as_the_report_asks() -> None:
    outcome = Outcome((found("dying_relu", "medium", "dense", "output"),))
    assert judge(replace(SICK, least="high"), outcome) == "partly"


def test_of_a_training_without_fault_nothing_is_said_while_it_runs_either() -> None:
    assert judge(HEALTHY, Outcome((found("dying_relu", "low", "dense"),))) == "right"
    assert judge(HEALTHY, Outcome((found("dying_relu", "medium", "dense"),))) == "wrong"
    assert judge(HEALTHY, Outcome(live=(found("not_converging"),))) == "wrong"


def test_an_error_that_explains_itself_needs_no_finding() -> None:
    ended = Outcome(ended_by="ValueError: shapes")
    assert judge(replace(SICK, raises="shapes", explained=True), ended) == "right"
    assert judge(replace(SICK, raises="shapes"), ended) == "missed"


def test_a_callback_that_fails_is_a_crash_whatever_it_has_found() -> None:
    assert judge(SICK, Outcome((found("dying_relu", "high", "dense", "output"),), broken="IndexError")) == "crash"


def test_a_training_counts_as_labelled_where_it_fails_as_reported_and_learns_after_the_cure() -> None:
    failing, learning = Outcome(), Outcome(score=0.7)
    assert as_labelled(Row(SICK, "–", failing, learning))
    assert not as_labelled(Row(SICK, "–", learning, learning))
    assert not as_labelled(Row(HEALTHY, "–", failing, learning))


def test_the_table_counts_what_is_held_against_the_bars() -> None:
    loud = Outcome((found("dying_relu", "medium", "dense"),), (found("not_converging"),), stopped=True, score=0.7)
    rows = [Row(SICK, "–", Outcome(stopped=True), loud), Row(HEALTHY, "–", loud, Outcome(score=0.7))]
    text = table(rows, 0)
    assert "2 reports, seed 0: 0 right, 0 partly, 1 wrong, 1 missed, 0 crash." in text
    assert "- cured, and not silent: 1 (to be 0)" in text
    assert "- healthy or cured, and stopped: 2 (to be 0)" in text
    assert "| made | medium `dying_relu@dense` |  | wrong | high `not_converging` | yes | yes / no | – |" in text


def test_the_readme_has_a_row_for_each_report() -> None:
    text = README.read_text(encoding="utf-8")
    assert [report.name for report in REPORTS if f"| {report.name} |" not in text] == []


def test_only_what_lies_between_the_markers_is_replaced(tmp_path: Any) -> None:
    readme = tmp_path / "README.md"
    readme.write_text("a\n<b>\nold\n</b>\nz\n", encoding="utf-8")
    replace_block(readme, "new", ("<b>", "</b>"))
    assert readme.read_text(encoding="utf-8") == "a\n<b>\nnew\n</b>\nz\n"


# ---- A light sample


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("name", ["all on one point", "labels of two columns", "accuracy of a number", "one in twenty"])
def test_the_top_line_leads_to_the_cure_and_the_cured_training_is_left_alone(name: str) -> None:
    became = row(BY_NAME[name], 0)
    assert became.verdict == "right"
    assert as_labelled(became)
    assert became.fixed.silent
    assert became.needless_stops == 0
