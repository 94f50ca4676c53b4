"""Findings while a training runs: told once, in a bounded time and memory, and the same as afterwards."""

from __future__ import annotations

import io
import itertools
import math
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import findings as made
import numpy as np
import pytest
import runs
from installed import installed_rule
from trainings import X, Y, compiled, fitted, mlp, state

from gradscope import Evidence, Finding, GradScope, Run
from gradscope.diagnose.finding import Severity
from gradscope.lossless_json import to_json
from gradscope.records import EpochRecord, FindingsNote, Record, StepRecord
from gradscope.store.read import Frames, frames_of
from gradscope.watching.live import Live, OnFinding, print_live
from gradscope.watching.window import FIRST, LATEST, UNIT_TABLES, Window


def seen(frames: Frames, severity: Severity = "medium", **changes: Any) -> Finding:
    count = len(frames.steps)
    last = int(frames.steps["step"].iloc[-1])
    evidence = (Evidence("records", float(count), 7.0),)
    return Finding("rising", severity, "dense", 0, last, "It rises.", evidence, **changes)


def rising(frames: Frames) -> Iterator[Finding]:
    """A rule that is medium from the 7th record on, high from the 300th of the window on."""
    if len(frames.steps) >= 7:
        yield seen(frames, "high" if len(frames.steps) >= 300 else "medium")


def lost(frames: Frames) -> Iterator[Finding]:
    """A rule that finds from the 7th record on what no step can repair."""
    if len(frames.steps) >= 7:
        yield seen(frames, irreversible=True)


def passing(frames: Frames) -> Iterator[Finding]:
    """A rule of which nothing is seen any more once the window holds 310 records."""
    if 7 <= len(frames.steps) < 310:
        yield seen(frames)


def mild(frames: Frames) -> Iterator[Finding]:
    yield Finding("mild", "low", None, 0, 0, "It is nothing.", (Evidence("records", float(len(frames.steps))),))


def broken(frames: Frames) -> Iterator[Finding]:
    raise ValueError("out of ideas")


def records(count: int, losses: Sequence[float] | None = None) -> list[Record]:
    """Return the records of a training of ``count`` steps, epochs of 50 each."""
    net = runs.network("relu", runs.layer_names(2))
    losses = losses or [2.0] * count
    return runs.training(net, losses=losses, gradient=[1e-3] * 2, saturated=0.5, every=1)[:-1]


def live(on_finding: OnFinding = None, **arguments: Any) -> Live:
    return Live(on_finding, **{"rules": [rising, mild], **arguments})


def watched(live: Live, records: Sequence[Record]) -> list[int]:
    """Give ``live`` the records one by one and return how many steps there were at each look."""
    looks: list[int] = []
    steps = 0
    for record in records:
        live.take(record)
        steps += isinstance(record, StepRecord)
        if live.watch():
            looks.append(steps)
    return looks


# --- once each ---


def test_a_finding_is_told_once_and_again_when_it_becomes_more_severe() -> None:
    told: list[Finding] = []
    watched(live(told.append), records(600))
    assert [(finding.rule, finding.severity) for finding in told] == [("rising", "medium"), ("rising", "high")]


def test_a_lower_floor_tells_the_low_ones_too_and_a_higher_one_fewer() -> None:
    for floor, expected in (("low", {"rising", "mild"}), ("high", {"rising"})):
        told: list[Finding] = []
        watched(live(told.append, floor=floor), records(600))
        assert {finding.rule for finding in told} == expected
    assert [finding.severity for finding in told] == ["high"]


@pytest.mark.parametrize(
    ("rule", "planned", "first", "last"),
    [(lost, None, 7, 10), (rising, None, 250, 350), (rising, 3000, 600, 800), (rising, 50_000, math.inf, math.inf)],
)
def test_what_may_mend_itself_is_told_late_and_what_may_not_at_once(
    rule: Any, planned: int | None, first: float, last: float
) -> None:
    told: list[Finding] = []
    watched(live(told.append, rules=[rule], planned_steps=planned), records(1500))
    step = told[0].last_step + 1 if told else math.inf
    assert first <= step <= last


def test_while_the_loss_falls_towards_the_baseline_nothing_is_judged() -> None:
    falling = [20.0 * 0.999**step for step in range(1000)]  # 7.4 at the end; a constant answer has 2.3
    told: list[Finding] = []
    watched(live(told.append), records(1000, falling))
    assert told == []
    watched(live(told.append, rules=[lost]), records(1000, falling))
    assert len(told) == 1


def test_what_no_longer_holds_is_taken_back_once_and_may_be_told_again(capsys: pytest.CaptureFixture[str]) -> None:
    watcher = live("warn", rules=[passing])
    watched(watcher, records(900))
    out = capsys.readouterr().out
    assert out.count("medium: rising in dense") == 1
    assert out.count("GradScope: rising in dense is no longer seen.") == 1
    assert watcher.looks.told == {}


def test_equal_trainings_are_told_the_same_at_the_same_steps() -> None:
    told: list[list[tuple[str, int]]] = []
    for pause in (0.0, 2e-3):
        keys: list[tuple[str, int]] = []

        def tell(finding: Finding, keys: list[tuple[str, int]] = keys, pause: float = pause) -> None:
            time.sleep(pause)
            keys.append((finding.key, finding.last_step))

        watched(live(tell), records(600))
        told.append(keys)
    assert told[0] == told[1]


@pytest.mark.parametrize(
    ("rule", "stop_on", "stops"), [(lost, (), True), (rising, (), False), (rising, ("rising",), True)]
)
def test_only_what_no_step_can_repair_stops_and_what_the_user_names(
    rule: Any, stop_on: tuple[str, ...], stops: bool
) -> None:
    watcher = live("stop", rules=[rule], stop_on=stop_on, quiet=True)
    watched(watcher, records(600))
    assert (watcher.stopped_by is not None) == stops


def test_a_new_training_is_told_anew_and_a_resumed_one_is_not() -> None:
    told: list[Finding] = []
    watcher = live(told.append, rules=[lost])
    watched(watcher, records(20))
    watcher = live(told.append, looks=watcher.looks, rules=[lost])
    watched(watcher, records(20))
    assert len(told) == 2
    watcher = live(told.append, looks=watcher.looks, rules=[lost])
    resumed = runs.training(
        runs.network("relu", runs.layer_names(2)), losses=[2.0] * 10, gradient=[1e-3] * 2, every=1,
        start=runs.session(20, resumed=True),
    )  # fmt: skip
    watched(watcher, resumed)
    assert len(told) == 2
    watcher.finish()
    assert watcher.looks.findings[0].evidence[0].value == 30


# --- when ---


def test_the_looks_become_rarer() -> None:
    steps_only = [record for record in records(3000) if not isinstance(record, EpochRecord)]
    looks = watched(live("warn", quiet=True), steps_only)
    assert looks[0] == 5
    assert len(looks) < 30
    ratios = [later / earlier for earlier, later in itertools.pairwise(looks[3:])]
    assert all(1.2 < ratio < 1.5 for ratio in ratios)


def test_an_epoch_s_end_is_looked_at() -> None:
    looks = watched(live("warn", quiet=True), records(200))
    assert {50, 100, 150, 200} <= set(looks)


def test_without_anything_to_do_with_a_finding_nothing_is_looked_at_before_the_end() -> None:
    watcher = live(None)
    assert watched(watcher, records(100)) == []
    assert watcher.looks.findings == ()
    watcher.finish()
    assert [finding.rule for finding in watcher.looks.findings] == ["rising", "mild"]


def test_the_ends_of_many_short_trainings_of_one_run_are_looked_at_ever_more_rarely() -> None:
    watcher = live(None)
    looks = 0
    for at, record in enumerate(records(100)):
        watcher = live(None, looks=watcher.looks)
        watcher.take(record)
        looks += watcher.finish() > 0
        watcher.note(at, 0.0)
        assert watcher.note(at, 0.0) is None, "nothing is noted twice"
    assert 10 < looks < 30
    watcher.take(records(1)[0])
    assert watcher.finish() > 0, "a new run is looked at when it ends"


# --- the window ---


def test_a_window_is_bounded_and_keeps_the_first_and_the_latest() -> None:
    window = Window()
    for record in records(2000):
        window.take(record)
    steps = [record.step for record in window.records if isinstance(record, StepRecord)]
    assert steps == [*range(FIRST), *range(2000 - LATEST, 2000)]


def test_what_units_said_outlives_the_record_it_came_with() -> None:
    window = Window()
    for step in range(5000):
        units = np.full((1, 11), float(step)) if step % 2 == 0 else None
        window.take(StepRecord(step, 0, 0.0, steps=np.zeros(10, np.float32), units=units))
    kept = [record for record in window.records if isinstance(record, StepRecord)]
    assert sum(record.steps is not None for record in kept) == FIRST + LATEST
    alone = [record for record in kept if record.steps is None]
    assert len(alone) == UNIT_TABLES
    assert all(record.units is not None for record in alone)
    assert [record.step for record in kept] == sorted(record.step for record in kept)


@pytest.mark.parametrize("name", ["healthy", "sick", "saturated", "not_finite", "cut_off"])
def test_the_same_rules_find_the_same_in_the_window_as_in_the_run(name: str) -> None:
    made_by_hand = getattr(runs, name)()
    watcher = Live(None)
    for record in made_by_hand:
        watcher.take(record)
    watcher.finish()
    assert made.alike(watcher.looks.findings, Run(frames_of(made_by_hand)).diagnose())


# --- failures ---


def test_a_function_that_fails_warns_once_and_ends_the_looking_only() -> None:
    calls: list[Finding] = []

    def fails(finding: Finding) -> None:
        calls.append(finding)
        raise KeyError("no such dashboard")

    watcher = live(fails, rules=[lost])
    with pytest.warns(UserWarning, match="looks for findings no more.*no such dashboard") as caught:
        watched(watcher, records(200))
    watcher.finish()
    assert len(caught) == len(calls) == 1
    assert watcher.note(1, 0.0) is None


def test_warnings_that_are_errors_end_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    watcher = live("warn", rules=[broken])
    watched(watcher, records(200))
    assert capsys.readouterr().err.count("out of ideas") == 1


# --- what is printed ---


def test_lines_of_a_finding_stand_below_the_bar_and_names_are_text(monkeypatch: pytest.MonkeyPatch) -> None:
    out = io.StringIO()
    monkeypatch.setattr(sys, "stdout", out)
    print("12/100 bar", end="")
    print_live([made.named("\x1b[31m[red]x")], after_bar=True)
    first, *others = out.getvalue().splitlines()
    assert first == "12/100 bar"
    assert others[0] == r"GradScope: high: dying_relu in \x1b[31m[red]x, steps 0–9"
    assert out.getvalue().endswith("\n")
    assert max(map(len, others)) <= 80


def test_a_consequence_that_is_new_names_its_cause(capsys: pytest.CaptureFixture[str]) -> None:
    print_live([made.unchanged("dense_1")])
    assert "  Follows from vanishing_gradient in dense.\n" in capsys.readouterr().out


def test_the_note_holds_every_finding_and_all_words() -> None:
    watcher = live(None)
    for record in records(50):
        watcher.take(record)
    watcher.finish()
    note = watcher.note(49, 7.0)
    assert note is not None
    assert (note.step, note.wall_time) == (49, 7.0)
    assert [finding["key"] for finding in note.findings] == ["rising@dense", "mild"]
    assert "It rises." in note.text


def test_what_is_certain_is_noted_whenever_it_changes() -> None:
    watcher = live("warn", quiet=True)
    notes: list[FindingsNote | None] = []
    for record in records(600):
        watcher.take(record)
        watcher.watch()
        notes.append(watcher.news(record.step, 7.0))
    written = [note for note in notes if note is not None]
    assert [[(f["key"], f["severity"]) for f in note.findings] for note in written] == [
        [("rising@dense", "medium")],
        [("rising@dense", "high")],
    ]
    assert written[0].step < written[1].step


# --- in a training ---


@pytest.fixture
def unlucky() -> Any:
    """A compiled model of which half of the ReLU units are dead at birth."""
    model = compiled(mlp())
    kernel, _ = model.layers[2].get_weights()
    model.layers[2].set_weights([kernel, np.array([-1e3] * 8, np.float32)])
    return model


LONG_X, LONG_Y = np.tile(X, (30, 1)), np.tile(Y, 30)  # 1,200 samples: enough to judge units by


def test_live_findings_are_those_of_the_run(unlucky: Any) -> None:
    scope = GradScope(schedule=1, on_finding=None, quiet=True)
    fitted(unlucky, [scope], LONG_X, LONG_Y, batch_size=50, epochs=3)
    *_, note = [record for record in vars(scope)["_run"].sink.records if isinstance(record, FindingsNote)]
    diagnosed = scope.run.diagnose()
    assert "dying_relu@dense_1" in [finding.key for finding in diagnosed]
    assert to_json(note.findings) == to_json([finding.to_json() for finding in diagnosed])


@pytest.mark.parametrize("verbose", [0, 1, 2])
def test_a_finding_is_printed_on_lines_of_its_own(
    verbose: int, unlucky: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    fitted(unlucky, [GradScope(schedule=1)], LONG_X, LONG_Y, batch_size=50, epochs=3, verbose=verbose)
    out = capsys.readouterr().out
    training = out.partition("steps in 3 epochs")[0]
    told = [line for line in training.splitlines() if "GradScope:" in line and "dying_relu in dense_1" in line]
    severities = [line.partition("GradScope: ")[2].split(":")[0] for line in told]
    # Once, and again only if it has become more severe.
    assert severities in (["high"], ["medium"], ["medium", "high"])
    assert told[0].startswith("GradScope: ")
    if verbose == 0:
        assert training.startswith("GradScope: ")
    assert "24/24" in training or verbose == 0


def test_a_finding_can_stop_the_training_which_then_says_why(unlucky: Any, capsys: pytest.CaptureFixture[str]) -> None:
    scope = GradScope(schedule=1, on_finding="stop", quiet=True)
    trained = fitted(unlucky, [scope], LONG_X, LONG_Y, batch_size=50, epochs=50)
    assert len(trained.histories[0]["loss"]) < 50
    assert np.isfinite(trained.model.predict(X, verbose=0)).all()
    out = " ".join(capsys.readouterr().out.split())
    assert out.startswith(f"GradScope stopped this training after step {scope.run.steps['step'].max()}. The reason: ")
    again = fitted(unlucky, [], LONG_X, LONG_Y, batch_size=50, epochs=2)
    assert len(again.histories[0]["loss"]) == 2


SOMETHING = """
    from gradscope import Evidence, Finding, rule

    @rule(at_once=True)
    def something(frames):
        '''Something that is always there.'''
        last = int(frames.steps["step"].max())
        yield Finding("something", "medium", None, 0, last, "It is there.", (Evidence("records", len(frames.steps)),))
"""


@pytest.mark.parametrize(
    ("floor", "stop_on", "epochs"),
    [("medium", "something", 1), ("high", "something", 3), (None, "something", 3), ("medium", (), 3)],
)
def test_only_a_finding_of_the_floor_and_of_a_rule_that_is_named_stops_the_training(
    floor: Severity | None, stop_on: Any, epochs: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    easy = np.argmax(LONG_X[:, :3], axis=1)
    with installed_rule("something", SOMETHING, tmp_path):
        scope = GradScope(schedule=1, on_finding="stop", finding_floor=floor, stop_on=stop_on, quiet=True)
        trained = fitted(compiled(mlp()), [scope], LONG_X, easy, batch_size=50, epochs=3)
    assert len(trained.histories[0]["loss"]) == epochs
    assert ("It is there." in capsys.readouterr().out) == (epochs == 1)


def test_a_function_gets_the_finding_and_may_fail(unlucky: Any) -> None:
    told: list[Finding] = []
    fitted(unlucky, [GradScope(schedule=1, on_finding=told.append, quiet=True)], LONG_X, LONG_Y, batch_size=50)
    assert "dying_relu@dense_1" in [finding.key for finding in told]

    def fails(finding: Finding) -> None:
        raise RuntimeError("offline")

    scope = GradScope(schedule=1, on_finding=fails, quiet=True)
    with pytest.warns(UserWarning, match="offline"):
        fitted(unlucky, [scope], LONG_X, LONG_Y, batch_size=50)
    assert len(scope.run.steps) > 40
    assert scope.run.not_measured == ()


def test_looking_changes_nothing_of_the_training() -> None:
    def train(callbacks: list[Any]) -> Any:
        return fitted(compiled(mlp()), callbacks, LONG_X, LONG_Y, batch_size=50)

    assert state(train, []) == state(train, [GradScope(schedule=1, on_finding=lambda finding: None, quiet=True)])


def test_what_looking_costs_is_charged(unlucky: Any) -> None:
    told: list[Finding] = []

    def slow(finding: Finding) -> None:
        told.append(finding)
        time.sleep(0.5)

    scope = GradScope(schedule=1, on_finding=slow, quiet=True)
    fitted(unlucky, [scope], LONG_X, LONG_Y, batch_size=50, epochs=2)
    costs = scope.run.costs
    recording = scope.run.steps["recording_seconds"].sum()
    assert told
    assert costs.setup_seconds + costs.early_seconds + costs.running_seconds > recording + 0.5 * len(told)
