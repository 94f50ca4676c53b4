"""The command line as a person uses it, in a process of its own where that matters."""

import subprocess
import sys
from pathlib import Path

import pytest
from runs import sick, write

from gradscope import __version__
from gradscope.cli.main import main


def command(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "gradscope", *map(str, arguments)]
    return subprocess.run(line, capture_output=True, text=True, check=False, timeout=60, encoding="utf-8")


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"gradscope {__version__}\n"


@pytest.mark.parametrize("arguments", [[], ["--help"], ["-h"]])
def test_help_names_the_commands_and_gives_examples(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 0
    shown = capsys.readouterr().out
    assert "\n    gradscope summary logs/mlp " in shown
    assert {"summary", "check", "rules", "demo"} <= {
        line.split()[0] for line in shown.splitlines() if line.startswith("  ")
    }


@pytest.mark.parametrize("name", ["summary", "check", "rules", "demo"])
def test_every_command_explains_itself_within_80_columns(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([name, "--help"]) == 0
    shown = capsys.readouterr().out
    assert f"    gradscope {name}\n" in shown or f"    gradscope {name} logs/mlp\n" in shown
    assert max(map(len, shown.splitlines())) <= 80


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["summry"], "Did you mean 'summary'"),
        (["summary"], "PATH"),
        (["summary", "here", "there"], "there"),
        (["summary", "--jsn", "here"], "--json"),
        (["summary", "no/such/run"], "no/such/run"),
    ],
)
def test_a_mistake_gets_one_line_and_exit_code_2(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    out, error = capsys.readouterr()
    assert out == ""
    assert error.startswith("gradscope: ")
    assert error.count("\n") == 1
    assert said in error


def test_the_module_runs_and_its_mistakes_show_no_traceback(tmp_path: Path) -> None:
    assert command("--version").stdout == f"gradscope {__version__}\n"
    mistaken = command("summary", tmp_path)
    assert mistaken.returncode == 2
    assert "Traceback" not in mistaken.stderr


def test_a_reader_that_has_had_enough_is_no_error(tmp_path: Path) -> None:
    line = [sys.executable, "-m", "gradscope", "summary", str(write(tmp_path / "mlp", sick()))]
    process = subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    assert process.stderr.read() == ""
    process.stderr.close()
    assert process.wait(timeout=60) == 1


def test_the_demo_says_what_is_missing(tmp_path: Path) -> None:
    for name in ("keras", "tensorflow"):
        (tmp_path / f"{name}.py").write_text(f"raise ModuleNotFoundError('No module', name={name!r})")
    program = """if True:
        import sys
        sys.path.insert(0, sys.argv[1])
        from gradscope.cli.main import main
        sys.exit(main(["demo"]))
    """
    line = [sys.executable, "-c", program, str(tmp_path)]
    finished = subprocess.run(line, capture_output=True, text=True, check=False, timeout=60)
    assert finished.returncode == 2
    assert "pip install 'keras-gradscope[tensorflow,demo]'" in finished.stderr
    assert "Traceback" not in finished.stderr
