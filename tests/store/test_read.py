"""The whole way from a path to frames: the golden file of every release, and the size and time that are promised."""

import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from runs import COSTS, healthy, network

from gradscope.lossless_json import from_json, to_json
from gradscope.network import Network, Site, Variable
from gradscope.recording.histogram import histogram
from gradscope.records import (
    BatchChecks,
    Causes,
    CausesNote,
    EpochRecord,
    FinalPass,
    MovingStatistics,
    NetworkChange,
    NonFiniteOrigin,
    Record,
    Session,
    SessionEnd,
    StepRecord,
)
from gradscope.schema import ACTIVATIONS, GRADIENTS, STEPS, UNITS, version_text
from gradscope.store.event_files import event_files
from gradscope.store.event_sink import LOCK_NAME, EventFileSink
from gradscope.store.read import Frames, frames_of, read_frames
from gradscope.store.tfrecord import unframed

GOLDEN = Path(__file__).parents[1] / "golden" / "events"
THIS_VERSION = version_text()
TABLES = ("steps", "activations", "final_activations", "gradients", "units", "epochs", "histograms")


def write(log_dir: Path, records: list[Record]) -> None:
    sink = EventFileSink(log_dir)
    sink.open()
    for record in records:
        sink.write(record)
    sink.close()


def assert_same(found: Frames, expected: Frames) -> None:
    for name in TABLES:
        pd.testing.assert_frame_equal(getattr(found, name), getattr(expected, name))
    for name in ("network", "networks", "sessions", "costs"):
        assert repr(getattr(found, name)) == repr(getattr(expected, name))


def test_frames_read_are_the_frames_of_the_records_written(tmp_path: Path) -> None:
    write(tmp_path, healthy())
    assert_same(read_frames(tmp_path), frames_of(healthy()))


def test_what_was_lost_is_told_in_the_frames(tmp_path: Path) -> None:
    write(tmp_path, healthy())
    (file,) = event_files(tmp_path / "gradscope")
    file.write_bytes(file.read_bytes()[:-5])
    assert "an unfinished record" in read_frames(tmp_path).lost[0]


# --- golden files ---


def golden_records() -> list[Record]:
    """A record of each kind, with every column told, and numbers that are not finite."""
    net = network("sigmoid", ["dense", "dense_1"])

    def counting(*shape: int) -> np.ndarray:
        return (np.arange(np.prod(shape), dtype=np.float32) / 4).reshape(shape)

    bins = histogram(counting(100))
    assert bins is not None
    first = StepRecord(
        0,
        0,
        1_700_000_001.5,
        steps=counting(len(STEPS.statistics)),
        activations=counting(2, len(ACTIVATIONS.statistics)),
        gradients=counting(4, len(GRADIENTS.statistics)),
        histograms={"dense": bins},
    )
    second = StepRecord(
        3,
        0,
        1_700_000_002.5,
        steps=np.full(len(STEPS.statistics), np.nan, np.float32),
        activations=np.full((2, len(ACTIVATIONS.statistics)), np.inf, np.float32),
        gradients=-counting(4, len(GRADIENTS.statistics)),
        units=counting(2, 1 + len(UNITS.statistics)).astype(np.float64) // 3,
    )
    final = FinalPass(3, 1, 1_700_000_004.0, activations=counting(2, len(ACTIVATIONS.statistics)))
    settings = {"schedule": None, "max_overhead": 0.02}
    return [
        Session(0, 1_700_000_000.0, False, "f" * 16, settings, {"seed": 3, "limit": float("inf")}),
        NetworkChange(0, 1_700_000_000.0, net),
        first,
        BatchChecks(0, 1_700_000_001.5, "0.1.0", ({"rule": "target_scale", "value": float("nan")},)),
        second,
        EpochRecord(3, 0, 1_700_000_003.0, {"loss": 0.5, "val_loss": float("nan")}, COSTS),
        final,
        CausesNote(
            4,
            1_700_000_004.5,
            Causes(
                NonFiniteOrigin("Sqrt", "root", True, "dense", "", "dense_1", lowest=0.0, highest=2.0),
                3,
                (MovingStatistics("norm", 1.5, 2.0),),
            ),
        ),
        SessionEnd(4, 1_700_000_005.0, COSTS),
    ]


def tables(frames: Frames) -> dict[str, pd.DataFrame]:
    return {name: getattr(frames, name) for name in TABLES}


def told(frames: Frames) -> dict[str, Any]:
    """What the frames say, as JSON values, so that later versions may compare column by column."""
    columns = {name: {str(key): frame[key].tolist() for key in frame} for name, frame in tables(frames).items()}
    sessions = [[s.step, s.wall_time, s.resumed, s.fingerprint, s.settings, s.params] for s in frames.sessions]
    checked = [dict(finding) for finding in frames.checked]
    return {**columns, "checked": checked, "sites": [site.key for site in frames.network.sites], "sessions": sessions}


def write_golden(folder: Path) -> None:
    """Write the run of this version; that of a release is never rewritten."""
    write(folder, golden_records())
    (file,) = event_files(folder / "gradscope")
    file.rename(file.with_name("events.out.tfevents.1700000000.host.1.0.gradscope"))
    (folder / "gradscope" / LOCK_NAME).unlink(missing_ok=True)
    (folder / "frames.json").write_text(to_json(told(frames_of(golden_records()))) + "\n", encoding="utf-8")


@pytest.fixture(scope="session", autouse=True)
def golden_of_this_version(request: pytest.FixtureRequest) -> None:
    folder = GOLDEN / THIS_VERSION
    if request.config.getoption("--update-golden") and not folder.exists():
        write_golden(folder)


@pytest.mark.parametrize("version", sorted({THIS_VERSION, *(folder.name for folder in GOLDEN.glob("*.*"))}))
def test_the_run_of_every_version_is_read_for_ever(version: str) -> None:
    expected = from_json((GOLDEN / version / "frames.json").read_text(encoding="utf-8"))
    frames = read_frames(GOLDEN / version)
    found = told(frames)
    assert frames.lost == ()
    for table in TABLES:
        for column, values in expected[table].items():
            assert repr(found[table][column]) == repr(values), (table, column)
    if version == THIS_VERSION:
        assert frames.causes.origin is not None
        assert (frames.causes.origin.operation, frames.causes.origin_step) == ("Sqrt", 3)
        assert frames.causes.statistics[0].layer == "norm"
    assert (found["sites"], found["sessions"]) == (expected["sites"], expected["sessions"])
    assert repr(found["checked"]) == repr(expected.get("checked", []))


def test_this_version_still_writes_what_its_golden_file_holds(tmp_path: Path) -> None:
    write(tmp_path, golden_records())
    (file,), (golden,) = event_files(tmp_path / "gradscope"), event_files(GOLDEN / THIS_VERSION / "gradscope")
    assert unframed(file.read_bytes()) == unframed(golden.read_bytes())


# --- size and time ---


def deep_training(count: int) -> list[Record]:
    """Steps of 50 sites and 100 variables in which every number differs, and nothing is out of the ordinary."""
    rng = np.random.default_rng(0)
    net = Network(
        "deep",
        sites=tuple(Site(f"dense_{index}", f"dense_{index}", "relu", None, 64) for index in range(50)),
        variables=tuple(
            Variable(f"dense_{index}/{role}", f"dense_{index}", (64,), role)
            for index in range(50)
            for role in ("kernel", "bias")
        ),
    )
    steps = rng.random((64, len(STEPS.statistics)), np.float32)
    activations = rng.random((64, 50, len(ACTIVATIONS.statistics)), np.float32)
    gradients = rng.random((64, 100, len(GRADIENTS.statistics)), np.float32)
    activations[:, :, ACTIVATIONS.statistic_names.index("nonfinite_count")] = 0
    gradients[:, :, GRADIENTS.statistic_names.index("nonfinite_count")] = 0
    gradients[:, :, GRADIENTS.statistic_names.index("connected")] = 1
    return [
        Session(0, 0.0, False, "deep"),
        NetworkChange(0, 0.0, net),
        *(
            StepRecord(n, n // 1000, float(n), steps[n % 64], activations[n % 64], gradients[n % 64])
            for n in range(count)
        ),
    ]


@pytest.mark.slow
def test_ten_thousand_steps_of_fifty_sites_are_small_and_read_whole(tmp_path: Path) -> None:
    write(tmp_path, deep_training(10_000))
    (file,) = event_files(tmp_path / "gradscope")
    assert file.stat().st_size <= 90e6
    frames = read_frames(tmp_path)
    assert (len(frames.activations), len(frames.gradients)) == (500_000, 1_000_000)


@pytest.mark.overhead
def test_ten_thousand_steps_of_fifty_sites_are_soon_written_and_read(tmp_path: Path) -> None:
    records = deep_training(10_000)
    start = time.process_time()
    write(tmp_path, records)
    written = time.process_time() - start
    start = time.process_time()
    read_frames(tmp_path)
    read = time.process_time() - start
    # Measured on two busy cores: 1.1 s of processor time, and 0.9 s to write; the bound on writing leaves room.
    assert read <= 2.0
    assert written <= 2.0
