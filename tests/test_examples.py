"""Every example runs as it stands and prints what it promises."""

import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

import gradscope

EXAMPLES = Path(__file__).parents[1] / "examples"

pytestmark = pytest.mark.slow


def run(name: str, directory: Path, *, exit_code: int = 0) -> str:
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
    assert finished.returncode == exit_code, finished.stderr
    return finished.stdout + (finished.stderr if exit_code else "")


def test_the_quickstart_prints_the_summary_of_its_training_and_frames(tmp_path: Path) -> None:
    out = run("quickstart.py", tmp_path)
    trained = gradscope.load(tmp_path / "logs" / "quickstart")
    assert len(trained.steps) > 10
    assert str(trained.summary()) in out
    rows = [line.split() for line in out.splitlines() if line.startswith("dense")]
    assert [row[0] for row in rows] == ["dense", "dense_1", "dense_2"] * 2
    norms = trained.gradients.query("variable.str.endswith('kernel') and layer == 'dense_1'").groupby("epoch")["norm"]
    assert [float(cell) for cell in rows[-2][1:]] == pytest.approx(norms.mean().tolist(), abs=5e-4)


def test_relu_units_die_at_a_high_rate_and_the_advice_cures_them(tmp_path: Path) -> None:
    out = run("dying_relu.py", tmp_path)
    assert "dying_relu in dense" in out
    cures = re.findall(r"at most (\d+)% of a layer's units dead, findings: (\d+)", out)
    assert len(cures) == 2
    assert all(int(share) < 25 and findings == "0" for share, findings in cures)
    assert cures[1][0] == "0", "leaky ReLU has no dead units"


def test_the_gradient_fades_through_the_steps_of_a_sigmoid_recurrent_network(tmp_path: Path) -> None:
    out = run("vanishing_recurrent_gradient.py", tmp_path)
    sigmoid, tanh = re.findall(r"simple_rnn_cell/kernel +sigmoid (\S+) +tanh (\S+)", out)[0]
    assert float(sigmoid) < 1e-9 < 1e-4 < float(tanh)
    accuracies = re.findall(r"^(sigmoid|tanh): accuracy (\S+)", out, re.MULTILINE)
    assert {name: float(accuracy) > 0.5 for name, accuracy in accuracies} == {"sigmoid": False, "tanh": True}
    assert "high: vanishing_activation in reader" in out


def test_a_convolutional_network_saturates_where_its_weights_are_too_large(tmp_path: Path) -> None:
    sick, healthy = run("convolutional_network.py", tmp_path).split("weights drawn as")
    assert "saturated_activation in conv2d_2" in sick
    assert "No findings." in healthy
    assert [int(share) for share in re.findall(r"conv2d_2 +(\d+)%", sick)][-1] > 50


def test_the_gradient_of_post_norm_is_largest_at_the_top_and_that_of_pre_norm_is_not(tmp_path: Path) -> None:
    out = run("transformer_block.py", tmp_path)
    pre, post = zip(
        *(map(float, row) for row in re.findall(r"^wide_\d+ +(\S+) +(\S+)", out, re.MULTILINE)), strict=True
    )
    assert post[-1] > 1.5 * post[0]
    assert pre[-1] < pre[0]
    assert max(post) < min(pre)


def test_the_gate_lets_no_sick_training_through(tmp_path: Path) -> None:
    out = run("gate_in_ci.py", tmp_path, exit_code=1)
    assert "high: vanishing_gradient in dense" in out


def test_a_sweep_is_summed_up_and_its_worst_compared_with_its_best(tmp_path: Path) -> None:
    out = run("compare_a_sweep.py", tmp_path)
    runs = gradscope.load_runs(tmp_path / "logs" / "sweep")
    assert len(runs) == 12
    assert {str(run.sessions[-1].params["rate"]) for run in runs.values()} == {"0.01", "1.0"}
    overview, _, comparison = out.partition("What differs in")
    assert overview.count("high: ") >= 4
    assert re.search(r"findings? gained", comparison)


def test_the_notebook_runs_and_shows_run_findings_and_figures(tmp_path: Path) -> None:
    notebook = nbformat.read(EXAMPLES / "notebook.ipynb", as_version=4)
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}}).execute()
    shown = [output.get("data", {}) for cell in notebook.cells for output in cell.get("outputs", [])]
    pages = "".join(data.get("text/html", "") for data in shown)
    assert "<strong>high: vanishing_gradient in dense, steps" in pages
    assert "No findings" in pages
    assert sum("application/vnd.plotly.v1+json" in data for data in shown) == 3
    assert (tmp_path / "sick.html").stat().st_size > 100_000


def test_each_example_is_listed_in_the_readme_and_run_by_a_test() -> None:
    listed = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    tests = "".join(path.read_text(encoding="utf-8") for path in Path(__file__).parent.glob("test_*.py"))
    for script in [*EXAMPLES.glob("*.py"), *EXAMPLES.glob("*.ipynb")]:
        assert f"`{script.name}`" in listed
        assert f'"{script.name}"' in tests
