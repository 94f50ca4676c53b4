"""What TensorBoard loads more with the tab, and what that costs."""

import json
import subprocess
import sys
from typing import Any

import pytest

START = """
import json, sys, time
from tensorboard import default, main_lib  # what every TensorBoard has loaded by then
default.get_plugins()
before = set(sys.modules)
began = time.perf_counter()
import gradscope_dashboard.plugin
seconds = time.perf_counter() - began
print(json.dumps([seconds, sorted(set(sys.modules) - before)]))
"""

FLAGS = """
import json
from types import SimpleNamespace
from gradscope_dashboard.loader import GradscopeLoader
found = []
for samples in ({}, {"gradscope": 50}, {"images": 3}):
    flags = SimpleNamespace(samples_per_plugin=samples)
    GradscopeLoader().fix_flags(flags)
    found.append(flags.samples_per_plugin)
GradscopeLoader().fix_flags(SimpleNamespace())
import sys
print(json.dumps([found, [name for name in sys.modules if name.startswith("gradscope")]]))
"""


def printed_by(program: str) -> Any:
    line = [sys.executable, "-W", "ignore", "-c", program]
    return json.loads(subprocess.run(line, capture_output=True, text=True, check=True).stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def start() -> tuple[float, set[str]]:
    seconds, loaded = printed_by(START)
    return seconds, set(loaded)


def test_the_tab_loads_neither_a_framework_nor_pandas_nor_plotly(start: tuple[float, set[str]]) -> None:
    packages = {name.partition(".")[0] for name in start[1]}
    assert packages.isdisjoint({"tensorflow", "keras", "pandas", "plotly", "rich", "typer", "jax", "torch"})


def test_the_tab_loads_little_besides_its_own_modules(start: tuple[float, set[str]]) -> None:
    own = {name for name in start[1] if name.startswith("gradscope")}
    assert "gradscope_dashboard.plugin" in own
    assert len(own) <= 35, sorted(own)  # 27 today, and 2 of others
    assert len(start[1] - own) <= 10, sorted(start[1] - own)


@pytest.mark.overhead
def test_the_tab_adds_at_most_three_tenths_of_a_second() -> None:
    assert min(printed_by(START)[0] for _ in range(3)) <= 0.3


def test_all_steps_are_asked_for_unless_the_user_says_how_many() -> None:
    flags, _ = printed_by(FLAGS)
    assert flags == [{"gradscope": 0}, {"gradscope": 50}, {"images": 3, "gradscope": 0}]


def test_the_loader_alone_loads_nothing_of_gradscope() -> None:
    _, loaded = printed_by(FLAGS)
    assert set(loaded) == {"gradscope_dashboard", "gradscope_dashboard.loader"}
