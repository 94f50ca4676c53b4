"""A step that returns its loss under another name: nothing speaks of a loss, and nothing says that it is NaN."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import pytest
import runs
import tensorflow as tf
from trainings import X, Y, fitted, mlp

import gradscope
from gradscope import GradScope
from gradscope.cli.main import main
from gradscope.records import EpochRecord, Record, StepRecord
from gradscope.report.terminal.pair import paired_table
from gradscope.run import Run
from gradscope.schema import STEPS
from gradscope.store.event_sink import EventFileSink
from gradscope.store.read import frames_of

UNKNOWN = [STEPS.statistic_names.index(name) for name in ("loss", "baseline_loss")]


def without_loss(records: list[Record]) -> Iterator[Record]:
    for record in records:
        if isinstance(record, EpochRecord):
            record = dataclasses.replace(record, logs={"d_loss": 0.5, "g_loss": 0.7})
        elif isinstance(record, StepRecord) and record.steps is not None:
            steps = record.steps.copy()
            steps[UNKNOWN] = math.nan
            record = dataclasses.replace(record, steps=steps)
        yield record


@pytest.fixture(params=[runs.healthy, runs.sick], ids=["healthy", "sick"])
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    sink = EventFileSink(tmp_path / "gan")
    sink.open()
    for record in without_loss(request.param()):
        sink.write(record)
    sink.close()
    return tmp_path / "gan"


def faults(text: str) -> list[str]:
    return [line for line in text.splitlines() if re.search(r"\bnan\b(?! where)|batch.loss", line, re.IGNORECASE)]


@pytest.mark.parametrize(
    "arguments",
    [
        ["summary"],
        ["check"],
        ["check", "--fail-on", "low"],
        ["watch", "--once"],
        ["compare", "again"],
        ["summary", "all"],
    ],
    ids=" ".join,
)
def test_the_commands_leave_it_out(arguments: list[str], path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command, *more = arguments
    where = {"again": str(path), "all": ""}
    targets = [str(path.parent)] if "all" in more else [str(path)]
    main([command, *targets, *(where.get(each, each) for each in more if each != "all")])
    output = capsys.readouterr().out
    assert output
    assert faults(output) == []


def test_summary_findings_and_report_leave_it_out(path: Path) -> None:
    run = gradscope.load(path)
    assert not run.summary().progress.loss_known
    assert faults(str(run.summary())) == []
    assert faults(str(run.diagnose())) == []
    page = run.report(path / "gan.html").read_text("utf-8")
    words = re.sub(r"<[^>]+>", " ", re.sub(r"<(script|style).*?</\1>", "", page, flags=re.DOTALL))
    assert faults(words) == []
    assert "g_loss" in words


def test_side_by_side_with_a_run_that_tells_it_the_other_has_a_dash(path: Path) -> None:
    known = Run(frames_of(runs.healthy())).summary()
    table = paired_table(gradscope.load(path).summary(), known, ("left", "right"), width=200).plain
    assert re.search(r"batch loss +– +\d", table)


def test_a_loss_that_is_nan_is_still_told() -> None:
    records = [
        dataclasses.replace(record, logs={"loss": math.nan}) if isinstance(record, EpochRecord) else record
        for record in without_loss(runs.healthy())
    ]
    assert "NaN → NaN" in str(Run(frames_of(records)).summary())


class Adversarial(keras.Model):
    """Calls its loss otherwise."""

    def __init__(self) -> None:
        super().__init__()
        self.net = mlp()

    def call(self, inputs: Any) -> Any:
        return self.net(inputs)

    def train_step(self, data: Any) -> dict[str, Any]:
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(keras.losses.sparse_categorical_crossentropy(data[1], self(data[0], training=True)))
        gradients = tape.gradient(loss, self.trainable_variables)
        self.optimizer.apply(gradients, self.trainable_variables)
        return {"d_loss": loss}


def test_live_and_at_the_end_of_a_training_nothing_speaks_of_it(capsys: pytest.CaptureFixture[str]) -> None:
    model = Adversarial()
    model.compile("adam")
    scope = GradScope(schedule=1)
    fitted(model, [scope], X, Y, epochs=3)
    assert scope.run.steps["loss"].isna().all()
    output = capsys.readouterr().out
    assert "d_loss" in output
    assert faults(output) == []
