"""The tab over HTTP, in a TensorBoard of its own, with either of its data servers."""

import dataclasses
import gzip
import importlib.metadata
import json
import math
import shutil
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import runs
from dashboard.server import Server, tensorboard, until

import gradscope
from gradscope import schema
from gradscope.recording.histogram import histogram
from gradscope.records import FindingsNote, NetworkChange, Record, Session, StepRecord
from gradscope.store.event_files import event_files
from gradscope.store.event_sink import EventFileSink
from gradscope.store.layout import known_columns
from gradscope.store.messages import Event, Value, mark_as, scalar_tensor
from gradscope.store.tfrecord import framed
from gradscope_dashboard import menu

pytestmark = pytest.mark.slow

FOREIGN_COUNT = 60
FINDING = {
    "rule": "dying_relu", "severity": "medium", "layer": "dense", "first_step": 0, "last_step": 275, "message": "m",
    "evidence": [{"name": "n", "value": math.inf, "threshold": 0.25, "above": True, "unit": "fraction"}],
    "advice": [], "layers": ["dense"], "units": [3], "cause": None, "key": "dying_relu@dense",
    "statistic": "activations.dead_unit_fraction", "to_come": {"what": ["ever"]},
}  # fmt: skip


def mlp() -> list[Record]:
    """A whole run: with units, histograms, the user's parameters and findings."""
    begun, *records = runs.healthy()
    assert isinstance(begun, Session)
    units = np.full((2, len(known_columns("units"))), np.nan)
    columns = {name: units[:, place] for place, name in enumerate(known_columns("units"))}
    columns["site"][:], columns["unit"][:], columns["dead"][:] = [0, 1], [3, 5], 1.0
    columns["dead_since_step"][:], columns["confirmed"][:], columns["active_fraction"][:] = 25, [1.0, 0.0], 0.0
    full: list[Record] = [replace(begun, params={"seed": 3})]
    for record in records:
        if isinstance(record, StepRecord) and record.step == 50:
            record = replace(record, units=units, histograms={"dense": histogram(np.arange(31.0))})
        full.append(record)
    note = FindingsNote(299, runs.BEGAN + 300, "0.1.0", ({**FINDING, "severity": "low"},), "text")
    last = replace(note, findings=({**FINDING, "severity": "low"}, FINDING))
    return [*full[:-1], note, last, full[-1]]


def retrained() -> tuple[list[Record], list[Record]]:
    """A long training, and a shorter one of another network in the same directory."""
    second = runs.training(
        runs.network("relu", ["only", "out"]),
        losses=[1.0, 0.5],
        gradient=[1e-3, 2e-3],
        saturated=0.25,
        start=Session(0, runs.BEGAN + 1_000, resumed=False, fingerprint="other"),
    )
    later = [dataclasses.replace(record, wall_time=runs.BEGAN + 1_000 + record.step) for record in second]
    return mlp(), later


def resumed() -> tuple[list[Record], list[Record]]:
    """A training, and its continuation from step 100 with a layer less."""
    start = Session(100, runs.BEGAN + 5_000, resumed=True, fingerprint="0123456789abcdef")
    again = runs.training(
        runs.network("relu", runs.layer_names(8)), losses=[9.0, 8.0], gradient=[1.0] * 8, saturated=0.75, start=start
    )
    return runs.healthy(), [dataclasses.replace(r, wall_time=runs.BEGAN + 5_000 + r.step) for r in again]


def foreign(folder: Path) -> None:
    """Write a run of another writer: one scalar."""
    folder.mkdir(parents=True)
    value = Value(tag="loss", tensor=scalar_tensor(1.0))
    mark_as("scalars", value)
    event = Event(step=1, wall_time=runs.BEGAN)
    event.summary.value.append(value)
    version = Event(wall_time=runs.BEGAN, file_version="brain.Event:2")
    content = b"".join(framed(part.SerializeToString()) for part in (version, event))
    (folder / "events.out.tfevents.1700000000.host").write_bytes(content)


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    logs = tmp_path_factory.mktemp("logs")
    runs.write(logs / "mlp", mlp())
    for name, parts in (("retrained", retrained()), ("resumed", resumed())):
        for part in parts:
            runs.write(logs / name, part)
    runs.write(logs / "a/b c", runs.sick())
    runs.write(logs, runs.awkward_names())
    runs.write(logs / "nothing", runs.nothing_recorded())
    runs.write(logs / "cut", runs.healthy())
    (file,) = event_files(logs / "cut" / "gradscope")
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(schema, "VERSION", (9, 0))
        runs.write(logs / "newer", runs.healthy())
    for number in range(FOREIGN_COUNT):
        foreign(logs / f"other/{number}")
    return logs


VARIANTS = [("--load_fast", "true"), ("--load_fast", "false", "--path_prefix", "/a/b")]


@pytest.fixture(scope="module", params=VARIANTS, ids=["data server", "Python loader, below a prefix"])
def server(request: pytest.FixtureRequest, logs: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    said = tmp_path_factory.mktemp("tensorboard") / "said.txt"
    with tensorboard(said, "--logdir", str(logs), *request.param) as server:
        until(lambda: len(server.json("runs")["runs"]) == 8)
        until(lambda: server.json("network", run="resumed")["network"]["layers"][-1]["key"] == "dense_7")
        until(lambda: run_named(server, "retrained")["last_step"] == 25)
        until(lambda: run_named(server, "mlp")["ended"])
        yield server


def run_named(server: Server, name: str) -> dict[str, Any]:
    return next(run for run in server.json("runs")["runs"] if run["run"] == name)


# --- the tab in TensorBoard ---


def test_tensorboard_lists_the_tab_as_active_and_serves_its_page(server: Server) -> None:
    listed = json.loads(server.get("data/plugins_listing").body)["gradscope"]
    assert listed["enabled"]
    assert listed["tab_name"] == "GradScope"
    assert listed["loading_mechanism"]["module_path"].endswith("/data/plugin/gradscope/static/index.js")
    assert b"static/index.js" in server.get("data/plugin_entry.html?name=gradscope").body


def test_without_a_run_the_tab_is_inactive_but_can_be_opened(tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    with tensorboard(tmp_path / "said.txt", "--logdir", str(tmp_path / "logs")) as server:
        assert not json.loads(server.get("data/plugins_listing").body)["gradscope"]["enabled"]
        assert server.get("data/plugin_entry.html?name=gradscope").code == 200
        assert server.json("runs") == {"runs": []}
        assert len(server.json("statistics")["statistics"]) > 30


# --- runs ---


def test_the_runs_are_ours_by_their_short_names(server: Server) -> None:
    names = [run["run"] for run in server.json("runs")["runs"]]
    assert names == sorted([".", "a/b c", "cut", "mlp", "newer", "nothing", "resumed", "retrained"])


def test_a_run_tells_what_a_list_of_runs_shows(server: Server) -> None:
    run = run_named(server, "mlp")
    assert run.pop("stamp")
    assert run == {
        "run": "mlp",
        "model": "mlp",
        "last_step": 275,
        "trained_to": 299,
        "last_wall_time": runs.BEGAN + 300,
        "first_wall_time": runs.BEGAN,
        "ended": True,
        "params": {"seed": 3},
        "params_left_out": False,
        "sessions": [{"step": 0, "wall_time": runs.BEGAN, "resumed": False}],
        "worst": "medium",
    }


def test_a_resumed_run_tells_both_sessions_and_a_repeated_one_the_last(server: Server) -> None:
    assert [s["step"] for s in run_named(server, "resumed")["sessions"]] == [0, 100]
    assert [s["wall_time"] for s in run_named(server, "retrained")["sessions"]] == [runs.BEGAN + 1_000]


def test_what_a_repeated_training_found_earlier_is_forgotten(server: Server) -> None:
    assert run_named(server, "retrained")["worst"] is None
    assert server.json("findings", run="retrained")["findings"] == []


def test_a_run_that_was_cut_off_is_shown_up_to_there_and_has_not_ended(server: Server) -> None:
    run = run_named(server, "cut")
    assert 0 <= run["last_step"] < 275
    assert not run["ended"]
    header, _ = server.binary("steps", run="cut")
    assert header["steps"][-1] == run["last_step"]


def test_a_run_of_a_newer_version_is_listed_and_refused_with_the_reason(server: Server) -> None:
    assert run_named(server, "newer")["model"] == ""
    found = server.tab("network", run="newer")
    assert found.code == 404
    assert b"pip install --upgrade keras-gradscope" in found.body


# --- what is recorded ---


def test_a_matrix_holds_the_numbers_of_the_frame(server: Server, logs: Path) -> None:
    frame = gradscope.load(logs / "mlp").activations.pivot(index="site", columns="step", values="dead_unit_fraction")
    header, values = server.binary("matrix", run="mlp", statistic="activations.dead_unit_fraction")
    assert [row["key"] for row in header["rows"]] == frame.index.tolist() == runs.layer_names(9)
    assert header["steps"] == header["last_steps"] == frame.columns.tolist()
    assert header["epochs"] == [step // runs.STEPS_AN_EPOCH for step in header["steps"]]
    assert header["wall_times"] == [runs.BEGAN + step for step in header["steps"]]
    assert header["recorded"] == header["read"] == 12
    assert header["stamp"] == run_named(server, "mlp")["stamp"]
    np.testing.assert_array_equal(values, frame.to_numpy(np.float32))


def test_a_matrix_of_gradients_has_the_main_variable_of_each_layer(server: Server, logs: Path) -> None:
    frame = gradscope.load(logs / "a/b c").gradients
    kernels = frame[frame["role"] == "kernel"].pivot(index="layer", columns="step", values="rms")
    header, values = server.binary("matrix", run="a/b c", statistic="gradients.rms")
    assert [row["label"] for row in header["rows"]] == kernels.index.tolist()
    np.testing.assert_array_equal(values, kernels.to_numpy(np.float32))


def test_a_matrix_is_thinned_to_the_columns_asked_for(server: Server) -> None:
    _, whole = server.binary("matrix", run="mlp", statistic="gradients.rms")
    header, values = server.binary("matrix", run="mlp", statistic="gradients.rms", columns=4)
    assert (header["steps"], header["last_steps"]) == ([0, 75, 150, 225], [50, 125, 200, 275])
    np.testing.assert_array_equal(values, whole.reshape(9, 4, 3).max(axis=2))


def test_every_statistic_has_a_matrix(server: Server) -> None:
    for statistic in menu.statistics():
        header, _ = server.binary("matrix", run="mlp", statistic=statistic["id"])
        assert len(header["rows"]) == (1 if statistic["table"] == "steps" else 9)


def test_a_column_that_is_not_written_has_its_constant(server: Server) -> None:
    _, values = server.binary("matrix", run="mlp", statistic="gradients.connected")
    assert (values == 1).all()
    _, values = server.binary("matrix", run="mlp", statistic="activations.nonfinite_count")
    assert (values == 0).all()


def test_a_resumed_run_shows_the_later_numbers_and_every_row_that_there_was(server: Server) -> None:
    header, values = server.binary("matrix", run="resumed", statistic="activations.saturated_fraction")
    assert header["steps"] == [0, 25, 50, 75, 100, 125]
    keys = [row["key"] for row in header["rows"]]
    assert keys == [*runs.layer_names(8), "dense_8"]
    shown = values[keys.index("dense_1")]
    assert shown.tolist() == [0.5] * 4 + [0.75] * 2
    assert np.isnan(values[keys.index("dense_8"), 4:]).all()
    _, losses = server.binary("steps", run="resumed")
    assert losses[0, -2:].tolist() == [9.0, 8.0]


def test_a_repeated_training_shows_the_last_network_only(server: Server) -> None:
    header, values = server.binary("matrix", run="retrained", statistic="activations.saturated_fraction")
    assert [row["key"] for row in header["rows"]] == ["only", "out"]
    assert header["steps"] == [0, 25]
    assert values[0].tolist() == [0.25, 0.25]
    epochs = server.json("epochs", run="retrained")["epochs"]
    assert [epoch["step"] for epoch in epochs] == [49]


def test_curves_hold_every_statistic_of_a_layer_that_is_known(server: Server, logs: Path) -> None:
    header, values = server.binary("curves", run="mlp", layer="dense_2")
    told = [(line["id"], line.get("site") or line["variable"]) for line in header["series"]]
    series = dict(zip(told, values, strict=True))
    assert ("activations.entropy", "dense_2") not in series
    gradients = gradscope.load(logs / "mlp").gradients
    for variable in ("dense_2/kernel", "dense_2/bias"):
        expected = gradients[gradients["variable"] == variable]["norm"].to_numpy(np.float32)
        np.testing.assert_array_equal(series["gradients.norm", variable], expected)
    assert not any(np.isnan(row).all() for row in values)


def test_steps_hold_the_loss_and_what_recording_cost(server: Server) -> None:
    header, values = server.binary("steps", run="mlp")
    assert header["series"][0] == {"id": "steps.loss"}
    assert values[0, 0] == np.float32(2.35)
    assert header["training_seconds"] == runs.COSTS.training_seconds
    told = [(part["title"], part["meaning"], part["seconds"]) for part in header["costs"]]
    assert told == [(part.title, part.meaning, getattr(runs.COSTS, part.name)) for part in schema.COSTS]


def test_epochs_hold_the_logs(server: Server) -> None:
    first, *_ = server.json("epochs", run="mlp")["epochs"]
    assert first == {
        "epoch": 0,
        "step": 49,
        "wall_time": runs.BEGAN + 50,
        "logs": {"loss": 1.6, "accuracy": 1 / 2.6, "val_loss": pytest.approx(1.76)},
    }


def test_findings_are_those_last_written_and_numbers_that_are_not_finite_are_words(server: Server) -> None:
    found = server.json("findings", run="mlp")
    assert (found["step"], found["version"]) == (299, "0.1.0")
    assert [finding["severity"] for finding in found["findings"]] == ["low", "medium"]
    assert found["findings"][1]["evidence"][0]["value"] == "Infinity"


def test_what_a_finding_says_besides_is_passed_on(server: Server) -> None:
    _, found = server.json("findings", run="mlp")["findings"]
    assert {**found, "evidence": ...} == {**FINDING, "evidence": ...}


def test_histograms_hold_the_bins(server: Server) -> None:
    header, values = server.binary("histograms", run="mlp", site="dense")
    assert (header["steps"], header["bins"], header["wall_times"]) == ([50], 30, [runs.BEGAN + 50])
    expected = histogram(np.arange(31.0))
    assert expected is not None
    np.testing.assert_array_equal(values.reshape(30, 3), expected)
    assert server.binary("histograms", run="mlp", site="dense_1")[0]["steps"] == []


def test_units_hold_the_changes_of_their_site(server: Server) -> None:
    found = server.json("units", run="mlp", site="dense_1")
    assert found.pop("stamp")
    change = {"step": 50, "unit": 5, "state": "dead", "dead_since_step": 25, "active_fraction": 0.0}
    assert found == {"site": "dense_1", "units": 64, "last_step": 275, "left_out": 0, "changes": [change]}


def test_the_network_is_what_was_recorded(server: Server) -> None:
    change = next(record for record in mlp() if isinstance(record, NetworkChange))
    assert server.json("network", run="mlp")["network"] == json.loads(change.network.to_json())


def test_names_are_text_whatever_they_are(server: Server) -> None:
    names = [layer["key"] for layer in server.json("network", run=".")["network"]["layers"]]
    assert "<img src=x onerror=alert(1)>" in names
    for name in names:
        header, _ = server.binary("curves", run=".", layer=name)
        assert header["layer"] == name
        assert server.json("units", run=".", site=name)["site"] == name


def test_what_is_not_recorded_is_an_empty_answer(server: Server) -> None:
    header, values = server.binary("matrix", run="nothing", statistic="gradients.rms")
    assert (header["rows"], header["steps"], header["recorded"], values.size) == ([], [], 0, 0)
    assert server.binary("steps", run="nothing")[0]["series"] == []
    assert server.binary("curves", run="nothing", layer="dense")[0]["series"] == []
    assert server.json("findings", run="nothing")["step"] is None
    assert server.json("epochs", run="nothing")["epochs"] == []


# --- what is refused ---

REFUSED = [
    (400, "matrix", {"run": "mlp"}, "'statistic' is missing"),
    (400, "matrix", {"statistic": "gradients.rms"}, "'run' is missing"),
    (400, "matrix", {"run": "mlp", "statistic": "gradients.unknown"}, "not known"),
    *[
        (400, "matrix", {"run": "mlp", "statistic": "gradients.rms", "columns": text}, "whole number from 1 to 2000")
        for text in ("0", "2001", "-1", "many", "1.5", "", "²", "9" * 5_000)
    ],
    (400, "curves", {"run": "mlp"}, "'layer' is missing"),
    (400, "units", {"run": "mlp"}, "'site' is missing"),
    (404, "network", {"run": "no such run"}, "no run 'no such run'"),
    (404, "network", {"run": "other/1"}, "no run 'other/1'"),
    (404, "network", {"run": "../mlp"}, "no run '../mlp'"),
    (404, "curves", {"run": "mlp", "layer": "no"}, "no layer 'no'"),
    (404, "histograms", {"run": "mlp", "site": "no"}, "no site 'no'"),
    (404, "units", {"run": "mlp", "site": "no"}, "no site 'no'"),
]


@pytest.mark.parametrize(("code", "route", "arguments", "sentence"), REFUSED)
def test_a_wrong_request_is_refused_with_a_sentence(
    server: Server, code: int, route: str, arguments: dict[str, str], sentence: str
) -> None:
    found = server.tab(route, **arguments)
    assert found.code == code
    assert sentence in found.body.decode()
    assert found.headers["Content-Type"].startswith("text/plain")
    assert found.headers["X-Content-Type-Options"] == "nosniff"


def test_only_reading_is_answered(server: Server) -> None:
    assert server.get("data/plugin/gradscope/runs", method="POST").code == 405


@pytest.mark.parametrize(
    "path", ["../plugin.py", "%2e%2e/plugin.py", "..%2fplugin.py", "views/../../plugin.py", "/etc/passwd", "", ".",
             "no.js", "views", "index.js/", "..%5cplugin.py", "index.js%00.css", "x.py", "C:/Users/x/secret.json",
             "views/C:x.js", "C%3a%5csecret.json"],
)  # fmt: skip
def test_a_path_that_leads_to_no_file_of_ours_is_refused(server: Server, path: str) -> None:
    found = server.get(f"data/plugin/gradscope/static/{path}")
    assert found.code == 404
    assert found.headers["X-Content-Type-Options"] == "nosniff"


# --- how it is sent ---


def test_json_is_compressed_for_whoever_takes_it(server: Server) -> None:
    path = "data/plugin/gradscope/statistics"
    plain, packed = server.get(path), server.get(path, **{"Accept-Encoding": "gzip"})
    assert packed.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(packed.body) == plain.body
    assert plain.headers["Content-Type"] == "application/json"
    assert plain.headers["X-Content-Type-Options"] == "nosniff"


def test_plotly_comes_from_the_installed_package_and_may_be_kept_by_version(server: Server) -> None:
    path = "data/plugin/gradscope/static/plotly.min.js"
    version = server.json("statistics")["plotly"]
    assert version == importlib.metadata.version("plotly")
    found = server.get(f"{path}?v={version}", **{"Accept-Encoding": "gzip"})
    assert found.headers["Content-Type"] == "text/javascript; charset=utf-8"
    assert "max-age=2592000" in found.headers["Cache-Control"]
    assert len(found.body) < 2e6
    assert b"plotly.js" in gzip.decompress(found.body)[:1_000]
    assert "no-cache" in server.get(path).headers["Cache-Control"]


# --- a run that changes ---


def test_a_training_is_followed_while_it_writes(server: Server, logs: Path) -> None:
    log_dir = logs / f"live-{time.time_ns()}"
    records = runs.healthy()
    sink = EventFileSink(log_dir)
    sink.open()
    try:
        for record in records[:4]:
            sink.write(record)
        until(lambda: log_dir.name in [run["run"] for run in server.json("runs")["runs"]])
        until(lambda: run_named(server, log_dir.name)["last_step"] == 25)
        before, _ = server.binary("matrix", run=log_dir.name, statistic="gradients.rms")
        assert before["steps"] == [0, 25]
        assert not run_named(server, log_dir.name)["ended"]
        for record in records[4:]:
            sink.write(record)
    finally:
        sink.close()
    until(lambda: run_named(server, log_dir.name)["ended"])
    after, values = server.binary("matrix", run=log_dir.name, statistic="gradients.rms")
    assert after["stamp"] != before["stamp"]
    assert after["steps"][-1] == 275
    assert values.shape == (9, 12)
    shutil.rmtree(log_dir)


def test_a_run_that_is_deleted_is_gone_without_an_error_of_the_server(server: Server, logs: Path) -> None:
    log_dir = logs / f"gone-{time.time_ns()}"
    runs.write(log_dir, runs.healthy())
    asked = {"run": log_dir.name, "statistic": "gradients.rms"}
    until(lambda: server.tab("matrix", **asked).code == 200)
    shutil.rmtree(log_dir)
    codes: set[int] = set()

    def is_gone() -> bool:
        codes.update((server.tab("matrix", **asked).code, server.tab("runs").code))
        return 404 in codes

    until(is_gone)
    assert codes <= {200, 404}
    assert b"has been deleted" in server.tab("matrix", **asked).body
    assert log_dir.name not in [run["run"] for run in server.json("runs")["runs"]]


def test_several_log_directories_are_shown_together(logs: Path, tmp_path: Path) -> None:
    spec = f"one:{logs / 'mlp'},two:{logs / 'a'}"
    with tensorboard(tmp_path / "said.txt", "--logdir_spec", spec) as server:
        until(lambda: len(server.json("runs")["runs"]) == 2)
        assert [run["run"] for run in server.json("runs")["runs"]] == ["one", "two/b c"]
        until(lambda: server.binary("steps", run="two/b c")[0]["recorded"] == 12)


def test_as_many_steps_are_shown_as_the_user_lets_the_data_server_keep(logs: Path, tmp_path: Path) -> None:
    few = ("--logdir", str(logs / "mlp"), "--samples_per_plugin", "gradscope=4", "--load_fast", "true")
    with tensorboard(tmp_path / "said.txt", *few) as server:
        until(lambda: server.json("runs")["runs"] and server.json("runs")["runs"][0]["last_step"] == 275)
        header, values = server.binary("matrix", run=".", statistic="gradients.rms")
        assert header["recorded"] == header["read"] == 4
        assert header["steps"][-1] == 275
        assert not np.isnan(values).any()


def test_a_log_directory_that_is_one_run_s_own_is_found(logs: Path, tmp_path: Path) -> None:
    with tensorboard(tmp_path / "said.txt", "--logdir", str(logs / "mlp" / "gradscope")) as server:
        until(lambda: server.json("runs")["runs"])
        assert [run["run"] for run in server.json("runs")["runs"]] == ["."]
        until(lambda: server.binary("steps", run=".")[0]["recorded"] == 12)
