"""The command line as a person uses it, in a process of its own where that matters."""

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
import typer
from pseudo_terminal import COLOUR, terminal
from runs import not_finite, sick, write

from gradscope import __version__
from gradscope.cli.main import app, main


def command(*arguments: str | Path, environment: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "gradscope", *map(str, arguments)]
    env = {**os.environ, **(environment or {})}
    return subprocess.run(line, capture_output=True, text=True, check=False, timeout=60, encoding="utf-8", env=env)


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"gradscope {__version__}\n"


COMMANDS = [command.name or command.callback.__name__ for command in app.registered_commands if command.callback]
TAKES_RUNS = {"summary", "watch", "check", "compare", "report", "export"} & set(COMMANDS)


def refuse(constant: str) -> None:
    raise AssertionError(f"{constant} is no JSON")


def help_of(name: str, capsys: pytest.CaptureFixture[str]) -> str:
    assert main([name, "--help"]) == 0
    return capsys.readouterr().out


def examples(shown: str) -> list[str]:
    """Return the commands under "Examples" of a help text, what is piped and what is explained behind them left out."""
    lines = shown.split("Examples:\n")[1].split("\n\n")[0].splitlines()
    return [re.split(r"\s{2,}|\s[|>]\s|\s&&\s", line.strip())[0] for line in lines]


@pytest.mark.parametrize("arguments", [[], ["--help"], ["-h"]])
def test_help_names_the_commands_and_gives_examples(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 0
    shown = capsys.readouterr().out
    assert "\n    gradscope summary logs/mlp " in shown
    assert set(COMMANDS) <= {line.split()[0] for line in shown.splitlines() if line.startswith("  ")}
    assert max(map(len, shown.splitlines())) <= 80


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself_within_80_columns(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    shown = help_of(name, capsys)
    assert any(re.fullmatch(rf"    gradscope {name}( logs(/\w+)?)*( -.*)?", line) for line in shown.splitlines())
    assert max(map(len, shown.splitlines())) <= 80


@pytest.mark.parametrize("name", ["", *COMMANDS])
def test_every_example_can_be_parsed(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    commands = typer.main.get_command(app).commands  # pyright: ignore
    shown = examples(help_of(name, capsys) if name else help_of("--help", capsys))
    assert shown
    for line in shown:
        program, called, *arguments = shlex.split(line)
        assert program == "gradscope"
        assert not name or called == name
        commands[called].make_context(called, arguments)  # raises for an option or a value that is none


@pytest.mark.parametrize("name", sorted(TAKES_RUNS))
def test_a_wrong_path_is_one_line_and_exit_code_2_for_every_command(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path / "mlp", sick())
    others = {"compare": [tmp_path / "mlp"], "export": ["--to", "csv", "-o", tmp_path / "out"]}.get(name, [])
    assert main([name, str(tmp_path / "mpl"), *map(str, others)]) == 2
    out, error = capsys.readouterr()
    assert out == ""
    assert error.startswith("gradscope: ")
    assert error.count("\n") == 1
    assert "mpl" in error


@pytest.mark.parametrize("name", sorted(TAKES_RUNS))
def test_json_of_every_command_is_strict(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)  # where a page goes that is given no name
    path = str(write(tmp_path / "mlp", not_finite()))
    if "--json" not in help_of(name, capsys):
        pytest.skip(f"{name} has no --json")
    others = {"compare": [write(tmp_path / "b", sick())], "export": ["--to", "csv", "-o", tmp_path / "out"]}
    assert main([name, path, *map(str, others.get(name, [])), "--json"]) in (0, 1)
    assert json.loads(capsys.readouterr().out, parse_constant=refuse)


# --- colour and completion ---


@pytest.mark.parametrize("name", ["summary", "check", "watch"])
def test_what_is_no_terminal_gets_no_escape_codes_and_no_color_gets_no_colour(name: str, tmp_path: Path) -> None:
    path = write(tmp_path / "mlp", sick())
    assert "\x1b" not in command(name, path).stdout
    arguments = [name, path, *(["--once"] if name == "watch" else [])]
    with terminal(*arguments) as shown:
        shown.finish()
    assert "\x1b[1m" in shown.written
    assert bool(COLOUR.search(shown.written)) is (name == "watch")  # a severity is a word; only strips have colour
    with terminal(*arguments, environment={"NO_COLOR": "1"}) as shown:
        shown.finish()
    assert not COLOUR.search(shown.written)


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("gradscope s", {"summary"}),
        ("gradscope rules dying", {"dying_relu"}),
        ("gradscope check . --ignore nan", {"nan_or_inf"}),
        ("gradscope watch . --show sat", {"saturation"}),
        ("gradscope watch --inter", {"--interval"}),
    ],
)
def test_the_shell_completes_commands_rules_options_and_their_values(typed: str, offered: set[str]) -> None:
    words = {"COMP_WORDS": typed, "COMP_CWORD": str(len(typed.split()) - 1), "_GRADSCOPE_COMPLETE": "complete_bash"}
    finished = command(environment=words)
    assert set(finished.stdout.split()) == offered
    assert finished.stderr == ""


@pytest.mark.overhead
def test_help_answers_at_once() -> None:
    program = "import time; from gradscope.cli.main import main; main(['--help']); print(time.process_time())"
    finished = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True, timeout=60)
    assert float(finished.stdout.split()[-1]) < 0.5  # CPU seconds: the machine may be busy with other tests


def test_an_interrupt_ends_with_the_code_of_shells(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("gradscope.diagnose.discover.known_rules", interrupted)
    assert main(["rules"]) == 130


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["sumary"], "Did you mean 'summary'?"),
        (["wach", "logs"], "Did you mean 'watch'?"),
        (["summary"], "PATH"),
        (["summary", "here", "there"], "there"),
        (["summary", "--jsn", "here"], "Did you mean '--json'?"),
        (["check", ".", "--fail-on", "hihg"], "'hihg' is not one of 'low', 'medium', 'high'. Did you mean 'high'?"),
        (["check", ".", "--format=jnit"], "Did you mean 'junit'?"),
        (["watch", ".", "--show", "grad"], "Did you mean 'gradient'?"),
        (["watch", ".", "--interval", "0"], "--interval"),
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
