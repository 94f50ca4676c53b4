"""The demo as a person runs it, and that what it shows is true."""

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest
from rich.cells import cell_len

import gradscope
from gradscope import demo
from gradscope.cli.main import main
from gradscope.diagnose.finding import at_least

pytestmark = pytest.mark.slow


class Shown(NamedTuple):
    out: str
    error: str
    logs: Path


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Shown:
    """The demo in a process of its own, as on a fresh machine: nothing is set to quiet TensorFlow."""
    logs = tmp_path_factory.mktemp("demo") / "the logs"
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("TF_", "CUDA_", "KERAS_"))}
    finished = subprocess.run(
        [sys.executable, "-m", "gradscope", "demo", "--dir", str(logs)],
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
        timeout=300,
        env={**environment, "PYTHONUTF8": "1"},
    )
    assert finished.returncode == 0, finished.stderr
    return Shown(finished.stdout, finished.stderr, logs)


@pytest.fixture(scope="module")
def data() -> demo.Digits:
    return demo.digits()


def test_it_prints_both_side_by_side_within_80_columns_and_no_noise(shown: Shown) -> None:
    lines = shown.out.splitlines()
    rows = [line.split() for line in lines if line.startswith("dense")]
    assert [row[1:3] for row in rows] == [["sigmoid", "relu"]] * demo.DEPTH + [["softmax", "softmax"]]
    # the folder of these logs is as long as the temporary directory makes it
    assert max(cell_len(line) for line in lines if str(shown.logs) not in line) <= 80
    assert shown.error == ""


def test_it_says_what_it_is_doing_before_it_shows_anything(shown: Shown) -> None:
    order = ["Loading TensorFlow", "1,437 scanned digits", "Training sick", "Training healthy", "gradient RMS", "Next"]
    places = [shown.out.index(text) for text in order]
    assert places == sorted(places)


def test_the_healthy_network_reads_the_digits_and_the_sick_one_does_not(shown: Shown) -> None:
    runs = {name: gradscope.load(shown.logs / name) for name in ("sick", "healthy")}
    accuracy = {name: run.epochs["val_accuracy"].iloc[-1] for name, run in runs.items()}
    assert accuracy["healthy"] >= 0.95
    assert accuracy["sick"] < 0.2
    right = {name: round(share * 360) for name, share in accuracy.items()}
    sentence = (
        f"Of 360 scans that neither has seen, sick reads {right['sick']} correctly and healthy {right['healthy']}."
    )
    assert sentence in " ".join(shown.out.split())


def test_the_gradient_fades_in_the_sick_network_only(shown: Shown) -> None:
    for name, least, most in (("sick", 1e4, float("inf")), ("healthy", 0.05, 20.0)):
        run = gradscope.load(shown.logs / name)
        kernels = run.gradients[run.gradients["role"] == "kernel"]
        rms = kernels[kernels["step"] == kernels["step"].max()].set_index("layer")["rms"]
        last_hidden = f"dense_{demo.DEPTH - 1}"
        assert least < rms[last_hidden] / rms["dense"] < most
        assert demo.fading(run.summary()) == pytest.approx(rms[last_hidden] / rms["dense"])


def test_it_says_what_is_wrong_with_the_sick_network_and_nothing_of_the_healthy_one(shown: Shown) -> None:
    sick, healthy = (gradscope.load(shown.logs / name) for name in ("sick", "healthy"))
    assert "vanishing_gradient" in {finding.rule for finding in at_least(sick.diagnose(), "high")}
    assert at_least(healthy.diagnose(), "medium") == []
    _, of_sick, of_healthy = shown.out.split("What is wrong with ")
    assert of_sick.startswith(f"sick? {len(at_least(sick.diagnose(), 'medium'))} findings of medium or high severity:")
    assert "vanishing_gradient in dense" in of_sick
    assert f'check "{shown.logs / "sick"}"' in of_sick
    assert of_sick.count("\n") <= 15
    assert of_healthy.startswith("healthy? No findings of medium or high severity")


@pytest.mark.parametrize("recipe", [demo.SICK, demo.HEALTHY], ids=lambda recipe: recipe.name)
def test_without_the_callback_keras_reaches_the_same_history(
    recipe: demo.Recipe, shown: Shown, data: demo.Digits
) -> None:
    epochs = gradscope.load(shown.logs / recipe.name).epochs
    history = demo.fit(recipe, data, [])
    assert {name: epochs[name].tolist() for name in history} == history


def test_the_commands_it_names_work(
    shown: Shown, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    commands = [shlex.split(line) for line in shown.out.partition("\nNext:\n")[2].splitlines()]
    assert [Path(command[0]).name for command in commands] == ["gradscope", "gradscope", "tensorboard"]
    assert all(shutil.which(program) for program, *_ in commands)
    monkeypatch.chdir(tmp_path)  # where the report is written
    for _, *arguments in commands[:2]:
        assert main(arguments) == 0
    assert "sick compared with healthy" in capsys.readouterr().out
    assert "vanishing_gradient" in (tmp_path / "sick.html").read_text("utf-8")
    assert commands[2][1:] == ["--logdir", str(shown.logs)]


def test_the_images_for_the_test_are_none_of_the_training(data: demo.Digits) -> None:
    train, test = ({scan.tobytes() for scan in scans} for scans in (data.train_x, data.test_x))
    assert len(train) + len(test) == len(data.train_x) + len(data.test_x) == 1797
    assert train.isdisjoint(test)


def test_without_a_directory_it_keeps_nothing_and_in_a_terminal_it_draws_bars(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(demo, "EPOCHS", 2)
    monkeypatch.setattr(demo, "load_framework", lambda: None)  # it is loaded, and its settings are for a whole process
    monkeypatch.setenv("FORCE_COLOR", "1")  # what rich takes for a terminal
    monkeypatch.chdir(tmp_path)
    demo.demo(None)
    out = capsys.readouterr().out
    assert out.count("2/2") >= 2
    assert "demo --dir logs" in out
    assert list(tmp_path.iterdir()) == []


def test_a_command_is_named_with_its_folder_unless_the_shell_finds_it(monkeypatch: pytest.MonkeyPatch) -> None:
    folder = Path(sys.executable).parent
    monkeypatch.setenv("PATH", str(folder))
    assert demo.next_commands(None)[-1] == "  gradscope demo --dir logs"
    monkeypatch.setenv("PATH", "")
    monkeypatch.chdir(folder.parent)
    assert demo.next_commands(None)[-1] == f"  {Path(folder.name) / 'gradscope'} demo --dir logs"


@pytest.mark.parametrize("seed", [0, 1])  # and the demo's own, 2, in the tests above
def test_with_other_seeds_too_the_disease_is_named_and_the_healthy_network_is_left_alone(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    from gradscope.callback import GradScope  # after the settings that the demo makes for TensorFlow

    monkeypatch.setattr(demo, "SEED", seed)
    findings = {}
    for recipe in (demo.SICK, demo.HEALTHY):
        scope = GradScope(quiet=True)
        demo.fit(recipe, demo.digits(), [scope])
        findings[recipe.name] = at_least(scope.run.diagnose(), "medium")
    assert ("vanishing_gradient", "high", "dense") in [(f.rule, f.severity, f.layer) for f in findings["sick"]]
    assert findings["healthy"] == []
