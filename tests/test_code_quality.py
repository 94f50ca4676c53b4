"""Lint, format and types are part of the tests, and CI runs the line that the README tells people to run."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(["ruff", "check", "--no-fix", "--output-format=concise"], id="ruff check"),
        pytest.param(["ruff", "format", "--check"], id="ruff format"),
        # Without --pythonpath it would look into whatever `python` is first on PATH.
        pytest.param(["pyright", "--pythonpath", sys.executable], id="pyright"),
    ],
)
def test_the_code_passes(arguments: list[str]) -> None:
    finished = subprocess.run([sys.executable, "-m", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stdout + finished.stderr


def test_ci_runs_the_line_of_the_readme_and_nothing_but_it_decides() -> None:
    last_line = (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()[-1]
    assert last_line.endswith("-m pytest")
    assert last_line in (line.strip() for line in (ROOT / "README.md").read_text(encoding="utf-8").splitlines())
