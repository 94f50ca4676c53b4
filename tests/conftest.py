"""What all tests share: a quiet framework, and golden files that are compared or rewritten."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import hypothesis
import pytest

hypothesis.settings.register_profile("without a clock", deadline=None)
hypothesis.settings.load_profile("without a clock")

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

TESTS = Path(__file__).parent
GOLDEN = TESTS / "golden"

sys.path.insert(0, str(TESTS))  # tests of every folder build their runs with `runs`


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="rewrite the files in tests/golden; read their diff")


SLOW_FILES = {
    "instrument/test_functions.py", "instrument/test_layers.py", "instrument/test_random_models.py",
    "instrument/test_steps.py", "diagnose/test_checks.py", "inspection/test_preflight.py", "test_callback.py",
    "test_code_quality.py", "test_faults.py", "test_non_interference.py", "test_phases.py", "watching/test_live.py",
    "zoo/test_measure.py", "zoo/test_record.py", "zoo/test_zoo.py",
}  # fmt: skip
"""Files whose tests take more than 25 seconds together, by `pytest --durations=0` on two cores with others beside."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what is slow, by file, and what is looked at in a browser: the tests of files that import one."""
    for item in items:
        if isinstance(item, pytest.Function) and hasattr(item.module, "browser"):
            item.add_marker(pytest.mark.browser)
        if item.path.is_relative_to(TESTS) and item.path.relative_to(TESTS).as_posix() in SLOW_FILES:
            item.add_marker(pytest.mark.slow)


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[str, str], None]:
    """Return a function that compares a text with the file of this name in ``tests/golden``."""

    def compare(name: str, text: str) -> None:
        file = GOLDEN / name
        if request.config.getoption("--update-golden"):
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
        assert text == file.read_text(encoding="utf-8"), f"{name} differs; --update-golden rewrites it"

    return compare
