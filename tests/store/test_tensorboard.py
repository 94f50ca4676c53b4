"""What a stock TensorBoard makes of our files, with both of its loaders, in a process without TensorFlow."""

import json
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from runs import BEGAN, network, numbers, session

from gradscope.recording.histogram import histogram
from gradscope.records import NetworkChange, Record, StepRecord
from gradscope.schema import ACTIVATIONS, GRADIENTS, STEPS, version_text
from gradscope.store.event_files import event_files
from gradscope.store.event_sink import EventFileSink

# TensorBoard imports TensorFlow where it is installed, unless this module exists: several seconds for nothing.
WITHOUT_TENSORFLOW = """
import json, sys, types
sys.modules["tensorboard.compat.notf"] = types.ModuleType("notf")
path = sys.argv[1]
"""

INGEST = """
import argparse, logging, time
from tensorboard.context import RequestContext

def local():
    from tensorboard.backend.event_processing.data_ingester import LocalDataIngester
    flags = argparse.Namespace(
        logdir=path, logdir_spec="", samples_per_plugin={"gradscope": 0}, purge_orphaned_data=True,
        max_reload_threads=1, reload_multifile=False, reload_multifile_inactive_secs=0,
        detect_file_replacement=None, reload_interval=0,
        reload_task="blocking", generic_data="auto",
    )
    ingester = LocalDataIngester(flags)
    ingester.start()
    return ingester

def server():
    from tensorboard.data import server_ingester
    from tensorboard.util import grpc_util
    ingester = server_ingester.SubprocessServerDataIngester(
        server_ingester.get_server_binary(), path, reload_interval=0, samples_per_plugin={"gradscope": 0},
        channel_creds_type=grpc_util.ChannelCredsType.LOCAL,
    )
    ingester.start()
    return ingester

ingester = {"local": local, "server": server}[sys.argv[2]]()
provider, context = ingester.data_provider, RequestContext()
for _ in range(100):  # the server reads in the background
    runs = [run.run_name for run in provider.list_runs(context, experiment_id="")]
    tensors = provider.read_tensors(context, experiment_id="", plugin_name="gradscope", downsample=1000) if runs else {}
    if any(data and data[-1].step == int(sys.argv[3]) for run in tensors.values() for data in run.values()):
        break
    time.sleep(0.05)
scalars = provider.read_scalars(context, experiment_id="", plugin_name="scalars", downsample=1000)
histograms = provider.read_tensors(context, experiment_id="", plugin_name="histograms", downsample=1000)
def plain(data, value):
    return {
        run: {tag: [[d.step, value(d)] for d in points] for tag, points in tags.items()} for run, tags in data.items()
    }
print(json.dumps({
    "scalars": plain(scalars, lambda d: d.value),
    "histograms": plain(histograms, lambda d: d.numpy.tolist()),
    "tensors": plain(tensors, lambda d: [list(d.numpy.shape), str(d.numpy.dtype)]),
}))
"""


def tensorboard(script: str, *arguments: object) -> Any:
    """Run ``script`` in a process that has TensorBoard but no TensorFlow; return the JSON that it prints."""
    command = [sys.executable, "-W", "ignore", "-c", WITHOUT_TENSORFLOW + textwrap.dedent(script), *map(str, arguments)]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stderr
    return json.loads(answer.stdout.splitlines()[-1])


def step(number: int, loss: float) -> StepRecord:
    return StepRecord(
        number,
        0,
        BEGAN + number,
        steps=numbers(STEPS, [{"loss": loss, "global_norm": loss}])[0],
        activations=numbers(ACTIVATIONS, [{"saturated_fraction": 0.25}] * 2),
        gradients=numbers(GRADIENTS, [{"norm": 2.0}] * 4),
        histograms={"dense/first": histogram(np.arange(31, dtype=np.float32))},
    )


def write(log_dir: Path, records: list[Record]) -> None:
    sink = EventFileSink(log_dir)
    sink.open()
    for record in records:
        sink.write(record)
    sink.close()


@pytest.fixture(scope="module")
def resumed_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Steps 0 to 9, then a second file that resumes at step 6 and goes to step 12."""
    logs = tmp_path_factory.mktemp("logs")
    change = NetworkChange(0, BEGAN, network("relu", ["dense/first", "dense_1"]))
    write(logs / "run", [session(), change, *(step(number, 1.0) for number in range(10))])
    again = session(6, resumed=True)
    write(logs / "run", [again, NetworkChange(6, BEGAN, change.network), *(step(n, 2.0) for n in range(6, 13))])
    return logs


@pytest.mark.parametrize("loader", ["local", "server"])
def test_both_loaders_show_scalars_histograms_and_our_tables_of_a_resumed_run(resumed_run: Path, loader: str) -> None:
    found = tensorboard(INGEST, resumed_run, loader, 12)
    scalars, (run,) = found["scalars"], found["tensors"]
    assert run == "run/gradscope"
    assert scalars[run]["global_norm"] == [[n, 1.0 if n < 6 else 2.0] for n in range(13)]
    assert set(scalars[run]) == {
        "global_norm",
        "saturated_fraction/dense/first",
        "saturated_fraction/dense_1",
        "gradient_norm/dense/first",
        "gradient_norm/dense_1",
    }
    histogram = found["histograms"][run]["activation/dense/first"]
    assert [number for number, _ in histogram] == list(range(13))
    np.testing.assert_array_equal(histogram[0][1], [[n, n + 1, 1 + (n == 29)] for n in range(30)])
    table = found["tensors"][run]["gradscope/steps/0"]
    assert table == [[n, [[len(STEPS.statistics)], "float32"]] for n in range(13)]


def test_the_event_accumulator_reads_our_file(resumed_run: Path) -> None:
    script = """
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    found = EventAccumulator(path).Reload()
    metadata = found.SummaryMetadata("gradscope/activations/0")
    print(json.dumps([found.Tags()["tensors"], json.loads(metadata.plugin_data.content)]))
    """
    tags, content = tensorboard(script, resumed_run / "run" / "gradscope")
    assert {"gradscope/session", "gradscope/network", "gradscope/epoch", "activation/dense/first"} < set(tags)
    assert content == {
        "version": version_text(),
        "table": "activations",
        "columns": list(ACTIVATIONS.statistic_names),
        "rows": ["dense/first", "dense_1"],
    }


def test_the_raw_loader_reads_every_event_whole(resumed_run: Path) -> None:
    script = """
    from tensorboard.backend.event_processing.event_file_loader import RawEventFileLoader
    from tensorboard.compat.proto.event_pb2 import Event
    events = [Event.FromString(raw) for raw in RawEventFileLoader(path).Load()]
    print(json.dumps([[event.WhichOneof("what"), event.step] for event in events]))
    """
    file = event_files(resumed_run / "run" / "gradscope")[0]
    assert tensorboard(script, file) == [
        ["file_version", 0],
        ["session_log", 0],
        *[["summary", 0]] * 2,
        *(["summary", number] for number in range(10)),
    ]
