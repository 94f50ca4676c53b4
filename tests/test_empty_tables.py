"""A model without sites, or without weights that train, has a table without rows, which everything takes and shows."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from dashboard.provider import MemoryProvider, Tab
from runs import BEGAN, COSTS, network, session
from trainings import CLASSES, FEATURES, Callbacks, Trained, compiled, differences, fitted, state

import gradscope
from gradscope import GradScope, figures, schema
from gradscope.cli.main import main
from gradscope.network import Network
from gradscope.records import EpochRecord, NetworkChange, Record, SessionEnd, StepRecord
from gradscope.run import Run
from gradscope.store.event_sink import EventFileSink
from gradscope.store.layout import known_columns
from gradscope.store.read import frames_of

FULL = network("relu", ["dense", "out"])
NETWORKS = {
    "without sites": dataclasses.replace(FULL, sites=()),
    "without variables": dataclasses.replace(FULL, variables=()),
    "without either": dataclasses.replace(FULL, sites=(), variables=()),
    "without layers": Network("nothing"),
}


def records(net: Network) -> list[Record]:
    """Six steps, an epoch and an end."""

    def array(table: str, rows: int) -> Any:
        return np.full((rows, len(known_columns(table))), 0.25, np.float32)

    steps = [
        StepRecord(
            step,
            0,
            BEGAN + step,
            array("steps", 1)[0],
            array("activations", len(net.sites)),
            array("gradients", len(net.variables)),
        )
        for step in range(6)
    ]
    epoch = EpochRecord(5, 0, BEGAN + 6, {"loss": 0.25}, COSTS)
    return [session(), NetworkChange(0, BEGAN, net), *steps, epoch, SessionEnd(5, BEGAN + 7, COSTS)]


@pytest.fixture(params=NETWORKS)
def net(request: pytest.FixtureRequest) -> Network:
    return NETWORKS[request.param]


@pytest.fixture
def path(net: Network, tmp_path: Path) -> Path:
    sink = EventFileSink(tmp_path / "run")
    sink.open()
    for record in records(net):
        sink.write(record)
    sink.close()
    return tmp_path / "run"


def test_the_store_gives_back_what_was_written(net: Network, path: Path) -> None:
    run, kept = gradscope.load(path), Run(frames_of(records(net)))
    assert run.lost == ()
    for name in schema.TABLES:
        written, read = getattr(kept.frames, name), getattr(run.frames, name)
        assert [*read.columns] == [*written.columns]
        assert len(read) == len(written)
    rows = len(run.steps), len(run.activations), len(run.gradients)
    assert rows == (6, 6 * len(net.sites), 6 * len(net.variables))


def test_a_run_shows_checks_reports_and_draws_them(path: Path) -> None:
    run = gradscope.load(path)
    assert "6 recorded" in str(run.summary())
    assert len(run.findings) == 0
    run.check()
    assert "6 steps" in run.report(path / "report.html").read_text("utf-8")
    for figure in (figures.saturation_heatmap, figures.dead_unit_heatmap, figures.activation_profile):
        figure(run.activations)
    for figure in (figures.gradient_heatmap, figures.update_ratio_heatmap, figures.gradient_profile):
        figure(run.gradients)


@pytest.mark.parametrize(
    "command",
    [
        lambda run, out: ["summary", run],
        lambda run, out: ["summary", run, "--json"],
        lambda run, out: ["check", run],
        lambda run, out: ["report", run, "-o", f"{out}/report.html"],
        lambda run, out: ["watch", run, "--once"],
        lambda run, out: ["compare", run, run],
        lambda run, out: ["export", run, "--to", "csv", "-o", f"{out}/csv"],
        lambda run, out: ["export", run, "--to", "json", "-o", f"{out}/run.json"],
        lambda run, out: ["export", run, "--to", "parquet", "-o", f"{out}/parquet"],
    ],
    ids=lambda command: " ".join(command("", "")[:4:3]),
)
def test_every_command_takes_them(command: Callable[[str, str], list[str]], path: Path, tmp_path: Path) -> None:
    assert main(command(str(path), str(tmp_path))) == 0


def test_the_tab_reads_them(net: Network) -> None:
    provider = MemoryProvider("run")
    provider.write(records(net))
    tab = Tab(provider)
    for statistic, rows in (
        ("activations.rms", len(net.sites)),
        ("gradients.rms", len(net.variables) // 2),
    ):  # kernels only
        body = tab.body("matrix", run="run", statistic=statistic)
        head = json.loads(body[4 : 4 + int.from_bytes(body[:4], "little")])
        assert len(head["rows"]) == rows
    assert tab.json("network", run="run")["network"]["name"] == net.name


def frozen(callbacks: Callbacks, *, is_frozen: bool = False) -> Trained:
    layers = [keras.Input((FEATURES,)), keras.layers.Dense(8), keras.layers.ReLU(), keras.layers.Dropout(0.1)]
    model = keras.Sequential([*layers, keras.layers.Dense(CLASSES, "softmax")])
    model.trainable = not is_frozen
    return fitted(compiled(model), callbacks)


@pytest.mark.filterwarnings("ignore:The model does not have any trainable weights")  # of Keras
@pytest.mark.parametrize("in_memory", [True, False])
@pytest.mark.parametrize(
    ("layers", "is_frozen", "sites", "variables"),
    [
        ("re_lu", False, {"re_lu"}, set[str]()),
        ("dropout", False, set[str](), set[str]()),
        (None, True, None, set[str]()),
    ],
)
def test_layers_without_weights_or_sites_are_recorded(
    layers: str | None, is_frozen: bool, sites: set[str] | None, variables: set[str], in_memory: bool, tmp_path: Path
) -> None:
    def train(callbacks: Callbacks) -> Trained:
        return frozen(callbacks, is_frozen=is_frozen)

    scope = GradScope(None if in_memory else tmp_path, schedule=1, layers=layers, quiet=True)
    assert differences(state(train, []), state(train, [scope])) == []
    assert [*scope.run.steps["step"]] == [*range(10)]
    assert sites is None or {*scope.run.activations["layer"]} == sites
    assert {*scope.run.gradients["layer"]} == variables
    assert "10 recorded" in str(scope.run.summary())
