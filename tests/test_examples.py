"""Every example runs as it stands and prints what it promises."""

import subprocess
import sys
from pathlib import Path

import pytest

import gradscope

EXAMPLES = Path(__file__).parents[1] / "examples"


def run(name: str, directory: Path) -> str:
    """Run an example with ``directory`` as the current one and return what it printed."""
    finished = subprocess.run(
        [sys.executable, "-W", "error::UserWarning", EXAMPLES / name],
        cwd=directory,
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
        timeout=300,
    )
    assert finished.returncode == 0, finished.stderr
    return finished.stdout


@pytest.mark.slow
def test_the_quickstart_prints_the_summary_of_its_training_and_frames(tmp_path: Path) -> None:
    out = run("quickstart.py", tmp_path)
    trained = gradscope.load(tmp_path / "logs" / "quickstart")
    assert len(trained.steps) > 10
    assert str(trained.summary()) in out
    rows = [line.split() for line in out.splitlines() if line.startswith("dense")]
    assert [row[0] for row in rows] == ["dense", "dense_1", "dense_2"] * 2
    norms = trained.gradients.query("variable.str.endswith('kernel') and layer == 'dense_1'").groupby("epoch")["norm"]
    assert [float(cell) for cell in rows[-2][1:]] == pytest.approx(norms.mean().tolist(), abs=5e-4)


def test_each_example_is_listed_in_the_readme_and_run_here() -> None:
    listed = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    here = Path(__file__).read_text(encoding="utf-8")
    for script in EXAMPLES.glob("*.py"):
        assert f"`{script.name}`" in listed
        assert f'run("{script.name}"' in here
