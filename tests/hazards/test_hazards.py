"""A sample of the hazards, and what the table of all of them has to hold."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from hazards import tables
from hazards.program import KINDS, Program
from hazards.rows import rows

HERE = Path(__file__).parent
SAMPLE = [
    Program(step="VAE"),
    Program(random="keras Dropout", data="shuffled", fits="two"),
    Program(step="GAN", mode="eager"),
    Program(optimizer="accumulation, EMA, clipping, decay"),
    Program(data="short last batch", fits="steps_per_execution"),
    Program(device="MirroredStrategy of 2", random="tf.random.normal"),
    Program(effect="batch statistics"),
    Program(effect="lookup table"),
    Program(error="KeyboardInterrupt"),
    Program(precision="mixed_float16, steps skipped"),
    Program(data="masks"),
    Program(python="variable made in call", mode="eager"),
]


def test_there_are_rows_enough() -> None:
    assert len(rows()) == len(set(rows())) >= 150


@pytest.mark.parametrize("kind", KINDS)
def test_every_value_of_a_kind_is_tried(kind: str) -> None:
    tried = {program.parts[kind] for program in rows()}
    assert tried == {*KINDS[kind]}


@pytest.mark.parametrize("kind", sorted(KINDS.keys() - {"mode"}))
def test_every_value_is_tried_in_a_graph_where_a_graph_can_have_it(kind: str) -> None:
    eagerly = {"running mean", "eager tensor of the step before"}
    assert {program.parts[kind] for program in rows() if program.mode == "graph"} == {*KINDS[kind]} - eagerly


def test_a_sample_is_of_the_table() -> None:
    assert {*SAMPLE} <= {*rows()}


def test_the_tables_are_those_of_the_verdicts_that_are_kept() -> None:
    written = tables.README.read_text(encoding="utf-8")
    assert tables.with_tables(written, tables.read()) == written


@pytest.mark.slow
def test_recording_changes_none_of_a_sample() -> None:
    names = "|".join(f"^{re.escape(program.name)}$" for program in SAMPLE)
    done = subprocess.run(
        [sys.executable, str(HERE / "measure.py"), "--only", names],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("kind", [[], ["--steps"]], ids=["models", "steps"])
def test_recording_changes_no_random_program(kind: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, str(HERE / "random_models.py"), "--count", "4", *kind],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
