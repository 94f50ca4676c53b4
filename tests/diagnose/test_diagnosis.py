"""All rules over one run: those asked for, with the thresholds given, whatever one of them does."""

from collections.abc import Iterator

import pytest
from diagnose.answers import STUCK

from gradscope.diagnose.diagnosis import diagnose
from gradscope.diagnose.finding import Evidence, Finding
from gradscope.errors import ArgumentError
from gradscope.store.frames import Frames
from gradscope.testing import run, stack

SATURATED = run(stack("tanh"), epochs=STUCK, activations={"*": {"saturated_fraction": 0.9}})


def few_samples(frames: Frames, *, least: float = 100.0) -> Iterator[Finding]:
    """A rule of one's own: batches are small."""
    samples = frames.steps["samples"].to_numpy()
    if len(samples) and samples.max() < least:
        step = int(frames.steps["step"].iloc[-1])
        evidence = (Evidence("samples", float(samples.max()), least, above=False),)
        yield Finding("few_samples", "low", None, 0, step, "Batches are small.", evidence)


def failing_rule(frames: Frames) -> Iterator[Finding]:
    yield from few_samples(frames)
    raise RuntimeError("no such thing")


def rules_of(findings: list[Finding]) -> list[str]:
    return [finding.rule for finding in findings]


def test_all_rules_are_asked_and_their_findings_are_linked() -> None:
    findings = diagnose(SATURATED)
    assert rules_of(findings)[:2] == ["saturated_activation", "not_converging"]
    assert findings[1].cause == "saturated_activation@dense"


def test_only_the_rules_that_are_named_are_asked() -> None:
    assert rules_of(diagnose(SATURATED, ["not_converging"])) == ["not_converging"]
    assert diagnose(SATURATED, []) == []


def test_a_rule_of_one_s_own_is_passed_as_a_function() -> None:
    assert rules_of(diagnose(SATURATED, ["not_converging", few_samples])) == ["not_converging", "few_samples"]


def test_a_threshold_is_given_by_the_name_of_the_rule() -> None:
    assert diagnose(SATURATED, [few_samples], few_samples={"least": 10.0}) == []
    assert diagnose(SATURATED, ["saturated_activation"], saturated_activation={"fraction": 0.95}) == []


def test_a_rule_that_raises_is_named_in_a_warning_and_the_others_go_on() -> None:
    with pytest.warns(UserWarning, match="'failing_rule' failed and is left out: RuntimeError: no such thing"):
        findings = diagnose(SATURATED, [failing_rule, "not_converging"])
    assert "not_converging" in rules_of(findings)


def test_of_a_rule_that_raises_nothing_is_kept() -> None:
    with pytest.warns(UserWarning, match="failing_rule"):
        assert diagnose(SATURATED, [failing_rule]) == []


def test_an_unknown_threshold_is_an_error_that_names_those_there_are() -> None:
    with pytest.raises(ArgumentError, match=r"'few_samples' has no threshold 'most'. It has: least"):
        diagnose(SATURATED, [few_samples], few_samples={"most": 1.0})
    with pytest.raises(ArgumentError, match=r"'not_converging' has no threshold 'x'. It has: spread"):
        diagnose(SATURATED, not_converging={"x": 1.0})


def test_thresholds_of_a_rule_that_is_not_run_are_an_error() -> None:
    with pytest.raises(ArgumentError, match="'dying_relu', which is none of the rules run: few_samples"):
        diagnose(SATURATED, [few_samples], dying_relu={"floor": 0.1})


def test_a_threshold_without_its_name_is_an_error_that_says_so() -> None:
    with pytest.raises(ArgumentError):
        diagnose(SATURATED, dying_relu=0.4)  # type: ignore[arg-type]


def test_evidence_without_a_threshold_is_equal_to_the_same() -> None:
    shown = Evidence("epochs", 1.0)
    assert shown == Evidence("epochs", 1.0, float("nan"))
    assert hash(shown) == hash(Evidence("epochs", 1.0, float("nan")))
    assert shown != Evidence("epochs", 2.0)
