"""What the tab costs where it is hardest: runs of 200 layers and 10,000 recorded steps, in a TensorBoard of its own.

It writes the runs with the store's own sink, starts TensorBoard with and without the tab, and prints times and memory:

    python tests/dashboard/scale.py [--steps 10000] [--layers 200] [--runs 3] [--logs DIR] [--load-fast true|false]

It needs a gigabyte of disk for the runs and some minutes; a directory given with ``--logs`` is kept and used again.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from urllib.parse import urlencode
from urllib.request import urlopen

import numpy as np

from gradscope.network import Layer, Network, Site, Variable
from gradscope.records import Costs, NetworkChange, Session, SessionEnd, StepRecord
from gradscope.schema import ACTIVATIONS, GRADIENTS, STEPS
from gradscope.store.event_sink import EventFileSink

BEGAN = 1_700_000_000.0
SWITCHES = (
    "activations.saturated_fraction",
    "gradients.rms",
    "activations.backward_rms",
    "activations.dead_unit_fraction",
    "gradients.update_to_weight_ratio",
    "activations.sample_std",
    "activations.entropy",
)
WITHOUT_TAB = """
import sys
from tensorboard import default, main_lib, program
from tensorboard.plugins.base_plugin import TBLoader

class AllSteps(TBLoader):  # the same data in the server, without the tab
    def fix_flags(self, flags):
        flags.samples_per_plugin.setdefault("gradscope", 0)
    def load(self, context):
        return None

main_lib.global_init()  # as TensorBoard itself begins: it loads TensorFlow where that is installed
board = program.TensorBoard(plugins=[*default.get_static_plugins(), AllSteps()])
board.configure(sys.argv)
sys.exit(board.main())
"""


def write(log_dir: Path, layers: int, steps: int, seed: int) -> None:
    """Write a run of random numbers, every column of every row filled."""
    names = [f"dense_{index}" for index in range(layers)]
    net = Network(
        "deep",
        layers=tuple(Layer(name, name, "Dense", order, True, "float32") for order, name in enumerate(names)),
        sites=tuple(Site(name, name, "relu", None, 64) for name in names),
        variables=tuple(
            Variable(f"{name}/{part}", name, (64, 64), "kernel" if part == "kernel" else "bias")
            for name in names
            for part in ("kernel", "bias")
        ),
    )
    random = np.random.default_rng(seed)
    numbers = random.random((layers + 7, 4096), np.float32)  # rolled from step to step: random enough, and fast
    sink = EventFileSink(log_dir)
    sink.open()
    sink.write(Session(0, BEGAN, resumed=False, fingerprint="scale"))
    sink.write(NetworkChange(0, BEGAN, net))
    for step in range(steps):
        activations = np.roll(numbers, step, axis=0)[:layers, : len(ACTIVATIONS.statistics)]
        gradients = np.roll(numbers, -step, axis=0)[:layers, : 2 * len(GRADIENTS.statistics)]
        record = StepRecord(
            step,
            step // 1000,
            BEGAN + step,
            steps=numbers[step % layers, : len(STEPS.statistics)],
            activations=np.ascontiguousarray(activations),
            gradients=np.ascontiguousarray(gradients).reshape(2 * layers, -1),
        )
        sink.write(record)
    sink.write(SessionEnd(steps - 1, BEGAN + steps, Costs()))
    sink.close()


def resident(pid: int) -> tuple[float, float]:
    """Return what a process holds of memory now and what it held at most, in MB."""
    status = Path(f"/proc/{pid}/status").read_text()
    now, most = (int(re.search(rf"{name}:\s+(\d+) kB", status)[1]) for name in ("VmRSS", "VmHWM"))  # type: ignore
    return now / 1e3, most / 1e3


def data_server(pid: int) -> int | None:
    """Return the process id of TensorBoard's data server, or None."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return next((int(child) for child in children if "server" in Path(f"/proc/{child}/cmdline").read_text()), None)


@contextmanager
def tensorboard(logs: Path, load_fast: str, *, tab: bool) -> Iterator[tuple[str, int]]:
    """Start TensorBoard; give its address and process id."""
    program = ["-m", "tensorboard.main"] if tab else ["-c", WITHOUT_TAB]
    line = ["--logdir", str(logs), "--host", "127.0.0.1", "--port", "0", "--load_fast", load_fast]
    with tempfile.NamedTemporaryFile() as said:
        server = subprocess.Popen([sys.executable, *program, *line], stdout=said, stderr=subprocess.STDOUT)
        try:
            while (found := re.search(r"http://[\w.]+:\d+", Path(said.name).read_text())) is None:
                if server.poll() is not None:
                    raise SystemExit(Path(said.name).read_text())
                time.sleep(0.05)
            yield found.group(), server.pid
        finally:
            server.terminate()
            server.wait(timeout=60)


def get(address: str, route: str, **arguments: object) -> tuple[bytes, float]:
    """Return an answer of the tab and the seconds that it took."""
    began = time.perf_counter()
    with urlopen(f"{address}/data/plugin/gradscope/{route}?{urlencode(arguments)}", timeout=600) as answer:
        return answer.read(), time.perf_counter() - began


def until_loaded(address: str, runs: int, steps: int) -> None:
    """Wait until TensorBoard has read all steps of all runs."""
    while True:
        listed = json.loads(get(address, "runs")[0])["runs"]
        if len(listed) == runs and all(run["last_step"] == steps - 1 and run["ended"] for run in listed):
            return
        time.sleep(0.2)


def report(name: str, value: str) -> None:
    print(f"| {name} | {value} |", flush=True)


def main() -> None:
    """Write, measure and print a table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=10_000)
    parser.add_argument("--layers", type=int, default=200)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--logs", type=Path)
    parser.add_argument("--load-fast", choices=("true", "false"), default="true")
    wanted = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        logs: Path = wanted.logs or Path(scratch)
        for number in range(wanted.runs):
            if not (logs / f"run{number}").exists():
                write(logs / f"run{number}", wanted.layers, wanted.steps, number)
        measure(logs, wanted.runs, wanted.layers, wanted.steps, wanted.load_fast)


def measure(logs: Path, runs: int, layers: int, steps: int, load_fast: str) -> None:
    """Print what TensorBoard and the tab cost for these runs."""
    size = sum(file.stat().st_size for file in logs.rglob("*.gradscope"))
    report(f"{layers} layers × {steps:,} steps × {runs} runs", f"{size / 1e6:,.0f} MB of event files")
    with tensorboard(logs, load_fast, tab=False) as (address, pid):
        time.sleep(20)  # reading is a second or two with the data server; there is no route of ours to ask
        urlopen(f"{address}/data/plugins_listing").read()
        before, _ = resident(pid)
    report("TensorBoard's process without the tab", f"{before:,.0f} MB")
    with tensorboard(logs, load_fast, tab=True) as (address, pid):
        began = time.perf_counter()
        until_loaded(address, runs, steps)
        report("all steps loaded after start", f"{time.perf_counter() - began:.1f} s")
        loaded, _ = resident(pid)
        report("TensorBoard's process with the tab, nothing shown", f"{loaded:,.0f} MB")
        firsts, switches, sizes = [], [], []
        for number in range(runs):
            firsts.append(get(address, "matrix", run=f"run{number}", statistic=SWITCHES[0])[1])
            get(address, "curves", run=f"run{number}", layer="dense_0")  # waits for both tables
            for statistic in SWITCHES:
                answer, seconds = get(address, "matrix", run=f"run{number}", statistic=statistic)
                switches.append(seconds)
                sizes.append(len(answer))
        answer, _ = get(address, "matrix", run="run0", statistic=SWITCHES[0], columns=2000)
        report("first matrix of a run", f"{min(firsts):.1f}–{max(firsts):.1f} s")
        report(
            "switch of the statistic", f"median {1e3 * median(switches):.0f} ms, at most {1e3 * max(switches):.0f} ms"
        )
        report("a matrix", f"{max(sizes) / 1e6:.2f} MB; asked for 2,000 columns {len(answer) / 1e6:.2f} MB")
        rest, most = resident(pid)
        report("TensorBoard's process with all runs shown", f"{rest:,.0f} MB, at most {most:,.0f} MB")
        report("what the tab holds", f"{rest - before:,.0f} MB")
        if server := data_server(pid):
            report("the data server", f"{resident(server)[0]:,.0f} MB")


if __name__ == "__main__":
    main()
