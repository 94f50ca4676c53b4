"""Reading runs, as a user writes it: it runs, and pyright in strict mode knows every type."""

from collections.abc import Iterator
from pathlib import Path
from typing import assert_type

import pandas as pd
import pytest

import gradscope
from gradscope.network import Network, NotMeasured
from gradscope.records import Costs, Session
from gradscope.store.event_sink import EventFileSink
from gradscope.store.read import Frames


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    sink = EventFileSink(tmp_path / "mlp")
    sink.open()
    sink.write(Session(0, 1e9, resumed=False, fingerprint="f"))
    sink.close()
    return tmp_path


def test_a_run_is_typed_frames(logs: Path) -> None:
    run = gradscope.load(logs / "mlp")
    assert_type(run, gradscope.Run)
    for frame in (run.steps, run.epochs, run.activations, run.gradients, run.units):
        assert_type(frame, pd.DataFrame)
        assert isinstance(frame, pd.DataFrame)
    assert_type(run.name, str)
    assert_type(run.path, Path | None)
    assert_type(run.network, Network)
    assert_type(run.costs, Costs)
    assert_type(run.sessions, tuple[Session, ...])
    assert_type(run.not_measured, tuple[NotMeasured, ...])
    assert_type(run.lost, tuple[str, ...])
    assert_type(run.summary(), gradscope.Summary)


def test_findings_are_typed(logs: Path) -> None:
    run = gradscope.load(logs / "mlp")
    assert_type(run.findings, pd.DataFrame)
    findings = run.diagnose(rules=["dying_relu"], dying_relu={"floor": 0.4})
    assert_type(findings, gradscope.Findings)
    for finding in findings:
        assert_type(finding, gradscope.Finding)
        assert_type(finding.layer, str | None)
        assert_type(finding.evidence, tuple[gradscope.Evidence, ...])
        assert_type(finding.advice, tuple[gradscope.Advice, ...])
    assert_type(findings.frame, pd.DataFrame)
    with pytest.raises(gradscope.MissingTableError):  # the run has no step
        run.check(fail_on="medium", ignore=["dying_relu"])
    assert issubclass(gradscope.CheckFailedError, AssertionError)


def test_a_rule_of_ones_own_is_a_function_of_frames(logs: Path) -> None:
    @gradscope.rule(explains=("not_converging",), figure="loss")
    def short(frames: Frames) -> Iterator[gradscope.Finding]:
        if len(frames.steps) < 10:
            evidence = gradscope.Evidence("records", len(frames.steps), 10, above=False)
            advice = gradscope.Advice("Train longer.", "model.fit(x, y, epochs=20)")
            yield gradscope.Finding("short", "low", None, 0, 0, "It is short.", (evidence,), (advice,))

    assert_type(short(gradscope.load(logs / "mlp").frames), Iterator[gradscope.Finding])
    (finding,) = gradscope.load(logs / "mlp").diagnose(rules=[short])
    assert finding.key == "short"


def test_a_path_may_be_text(logs: Path) -> None:
    assert_type(gradscope.load(str(logs / "mlp")), gradscope.Run)


def test_many_runs_are_a_mapping_with_frames_of_their_own(logs: Path) -> None:
    runs = gradscope.load_runs(logs)
    assert_type(runs, gradscope.Runs)
    assert_type(runs["mlp"], gradscope.Run)
    assert_type(list(runs), list[str])
    assert_type(runs.activations, pd.DataFrame)
    assert_type(runs.findings, pd.DataFrame)


def test_an_error_may_be_caught_as_ours_or_as_pythons(tmp_path: Path) -> None:
    for family in (gradscope.GradscopeError, gradscope.RunNotFoundError, FileNotFoundError):
        with pytest.raises(family):
            gradscope.load(tmp_path / "nowhere")
