"""A rule of another package can do all that one of ours can: what is known of it stands on its function."""

from __future__ import annotations

from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path

import pytest
import runs
from html_page import HtmlPage
from installed import installed_rule
from trainings import X, Y, compiled, mlp

from gradscope import Finding, preflight
from gradscope.diagnose.diagnosis import diagnose
from gradscope.diagnose.rule import FIGURE_KINDS
from gradscope.report.page.finding_figures import figure_of
from gradscope.report.page.run import report_html
from gradscope.testing import run, stack
from gradscope.watching.live import Live

NOW = datetime(2026, 1, 2, tzinfo=UTC)
SATURATED = run(
    stack("tanh", depth=3),
    epochs={"loss": [2.31, 2.3, 2.3, 2.3, 2.3, 2.3]},
    activations={"*": {"saturated_fraction": 0.9}},
    units={"dense": {0: {"dead": 1.0}}},
)
SOURCE = """
    from gradscope import Evidence, Finding, rule

    @rule({facts})
    def tired(frames):
        '''A network that is tired.'''
        records = Evidence("records", len(frames.steps))
        last = int(frames.steps["step"].max())
        yield Finding("tired", "medium", "dense", 0, last, "It is tired.", (records,), statistic="{statistic}")
"""


def tired(folder: Path, facts: str, statistic: str = "activations.saturated_fraction") -> AbstractContextManager[None]:
    return installed_rule("tired", SOURCE.format(facts=facts, statistic=statistic), folder)


@pytest.mark.parametrize(("facts", "at_once"), [("", False), ("at_once=True", True)])
def test_it_is_told_late_or_at_once(tmp_path: Path, facts: str, at_once: bool) -> None:
    told: list[Finding] = []
    with tired(tmp_path, facts):
        live = Live(told.append)
        looks = 0
        for record in runs.healthy():
            live.take(record)
            looks += live.watch() > 0
            if told:
                break
        live.finish()
    assert (looks == 1) == at_once
    assert [finding.rule for finding in told] == ["tired"]


@pytest.mark.parametrize(("facts", "asked"), [("", False), ("before_training=True", True)])
def test_preflight_asks_it_if_one_step_can_show_it(tmp_path: Path, facts: str, asked: bool) -> None:
    with tired(tmp_path, facts):
        findings = preflight(compiled(mlp()), X, Y).findings
    assert ("tired" in [finding.rule for finding in findings]) == asked


@pytest.mark.parametrize(
    ("facts", "consequence", "cause"),
    [
        ("", "tired", None),
        ("follows=('saturated_activation',)", "tired", "saturated_activation@dense"),
        ("explains=('oscillating_loss', 'saturated_activation')", "saturated_activation", "tired@dense"),
    ],
)
def test_it_follows_from_ours_and_explains_them(
    tmp_path: Path, facts: str, consequence: str, cause: str | None
) -> None:
    with tired(tmp_path, facts):
        findings = diagnose(SATURATED)
    assert next(finding.cause for finding in findings if finding.rule == consequence) == cause


def test_the_page_shows_it_beneath_its_cause_with_its_explanation(tmp_path: Path) -> None:
    with tired(tmp_path, "follows=('saturated_activation',), figure='heatmap'"):
        text = HtmlPage(report_html(SATURATED, diagnose(SATURATED), name="mlp", now=NOW)).text
    assert text.index("What follows from it") < text.index("It is tired.")
    assert "A network that is tired." in text


FIGURES = {
    "curves": "curves/activations.saturated_fraction/tired@dense",
    "heatmap": "activations.saturated_fraction",
    "loss": "loss/tired@dense",
    "profile": "backward/0-125-275",
    "units": "units/dense",
}


@pytest.mark.parametrize("kind", FIGURE_KINDS)
def test_every_kind_of_figure_shows_what_it_finds(tmp_path: Path, kind: str) -> None:
    with tired(tmp_path, f"figure={kind!r}"):
        figure = figure_of(diagnose(SATURATED, ["tired"])[0], SATURATED)
    assert figure is not None
    assert figure.key == FIGURES[kind]
    assert figure.draw().data


@pytest.mark.parametrize(("statistic", "shown"), [("gradients.rms", "gradient"), ("activations.mean", "activation")])
def test_a_profile_is_of_the_statistic_that_the_finding_names(tmp_path: Path, statistic: str, shown: str) -> None:
    with tired(tmp_path, "figure='profile'", statistic):
        figure = figure_of(diagnose(SATURATED, ["tired"])[0], SATURATED)
    assert figure is not None
    assert figure.key == f"{shown}/0-125-275"
