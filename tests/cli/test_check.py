"""``gradscope check``: exit codes, formats, and which runs are meant."""

import json
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from installed import installed_rule
from runs import healthy, nothing_recorded, write

from gradscope import load, load_runs
from gradscope.cli.main import main
from gradscope.errors import CheckFailedError, GradscopeError, MissingTableError

# Told from others by their names: the rules that are installed have their own view of runs made by hand.
SOURCE = """
    from gradscope import Advice, Evidence, Finding

    def {name}(frames, *, floor: float = 3.0):
        '''See {name}.

        Args:
            frames: The run.
            floor: Records, a count.
        '''
        last = int(frames.steps["step"].max())
        numbers = (Evidence("records", len(frames.steps), floor),)
        advice = (Advice("Do less.", "model.stop()"),)
        yield Finding("{name}", "{severity}", "dense", 0, last, "There is {name}.", numbers, advice)
"""


@pytest.fixture(autouse=True)
def two_rules(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    folders = [tmp_path_factory.mktemp("package") for _ in range(2)]
    with (
        installed_rule("smoke", SOURCE.format(name="smoke", severity="medium"), folders[0]),
        installed_rule("fire", SOURCE.format(name="fire", severity="high"), folders[1]),
    ):
        yield


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(write(tmp_path / "mlp", healthy()))


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ([], 1),
        (["--ignore", "fire"], 0),
        (["--ignore", "fire@dense"], 0),
        (["--ignore", "fire@dense_1"], 1),
        (["--ignore", "fire", "--fail-on", "medium"], 1),
        (["--ignore", "fire", "--ignore", "smoke", "--fail-on", "medium"], 0),
    ],
)
def test_the_exit_code_says_whether_there_are_findings(path: str, arguments: list[str], code: int) -> None:
    assert main(["check", path, *arguments]) == code


def test_a_finding_is_shown_with_evidence_and_code_and_the_verdict_comes_last(
    path: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", path, "--ignore", "smoke"]) == 1
    out = capsys.readouterr().out
    assert out.startswith("mlp: 1 high; ignored: 1 medium\n\nhigh: fire in dense, steps 0–275\n  There is fire.\n")
    assert "  Evidence: records 12 (limit: ≥ 3)\n  Try: Do less.\n      model.stop()\n" in out
    assert out.endswith("\nFailed: 1 finding of high severity.\n")


def test_a_pass_is_said(path: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", path, "--ignore", "fire"]) == 0
    assert capsys.readouterr().out.endswith("Passed: no finding of high severity.\n")


def test_all_runs_below_a_directory_are_checked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("a", "sweep/b"):
        write(tmp_path / name, healthy())
    assert main(["check", str(tmp_path), "--json"]) == 1
    document = json.loads(capsys.readouterr().out)
    assert [run["run"] for run in document["runs"]] == ["a", "sweep/b"]


def test_json_is_the_same_by_either_name_and_complete(path: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", path, "--json", "--ignore", "smoke"]) == 1
    text = capsys.readouterr().out
    assert main(["check", path, "--format", "json", "--ignore", "smoke"]) == 1
    assert capsys.readouterr().out == text
    document = json.loads(text)
    assert (document["fail_on"], document["failed"]) == ("high", True)
    (run,) = document["runs"]
    (fire,) = (finding for finding in run["findings"] if finding["rule"] == "fire")
    assert (fire["key"], fire["first_step"], fire["advice"][0]["code"]) == ("fire@dense", 0, "model.stop()")
    assert [finding["rule"] for finding in run["ignored"]] == ["smoke"]


def test_junit_and_github_say_the_same(path: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", path, "--format", "junit"]) == 1
    suite = ET.fromstring(capsys.readouterr().out).find("testsuite")
    assert suite is not None
    cases = {case.get("name"): case for case in suite}
    assert cases["fire"].find("failure") is not None
    assert cases["smoke"].find("failure") is None
    assert {"dying_relu", "nan_or_inf"} <= set(cases)
    assert main(["check", path, "--format", "github"]) == 1
    out = capsys.readouterr().out
    assert "::error title=mlp%3A high%3A fire in dense%2C steps 0–275::There is fire.%0AEvidence" in out
    assert "::warning title=mlp%3A medium%3A smoke in dense" in out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["no/such/run"], "no/such/run"),
        ([".", "--fail-on", "hihg"], "hihg"),
        ([".", "--format", "xml"], "xml"),
        ([".", "--format", "junit", "--json"], "two formats"),
    ],
)
def test_what_cannot_run_is_one_line_and_code_2(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", *arguments]) == 2
    out, error = capsys.readouterr()
    assert (out, error.count("\n")) == ("", 1)
    assert said in error


def test_a_rule_to_ignore_that_is_none_is_refused_with_the_nearest(
    path: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", path, "--ignore", "smoek"]) == 2
    assert "Nearest: smoke" in capsys.readouterr().err


def test_a_run_that_recorded_nothing_does_not_pass(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path / "empty", nothing_recorded())
    write(tmp_path / "mlp", healthy())
    assert main(["check", str(tmp_path), "--ignore", "fire"]) == 2
    out, error = capsys.readouterr()
    assert "mlp: " in out
    assert "Run 'empty' has no recorded step" in error
    with pytest.raises(MissingTableError):
        load(tmp_path / "empty").check()


@pytest.mark.filterwarnings("default")  # as outside of tests, where the warning is one line on standard error
def test_a_run_that_cannot_be_read_is_code_2_and_the_others_are_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path / "mlp", healthy())
    (file,) = (write(tmp_path / "bad", healthy()) / "gradscope").glob("*.gradscope")
    file.write_bytes(b"no event at all")
    assert main(["check", str(tmp_path), "--ignore", "fire"]) == 2
    out, error = capsys.readouterr()
    assert "mlp: " in out
    assert "bad" in error


# --- the same in Python ---


def test_a_run_is_checked_in_python(path: str) -> None:
    run = load(path)
    run.check(ignore="fire")
    run.check("high", ["fire", "smoke"])
    with pytest.raises(CheckFailedError) as caught:
        run.check(fail_on="medium")
    assert isinstance(caught.value, GradscopeError)
    assert isinstance(caught.value, AssertionError)
    message = str(caught.value)
    assert message.startswith("Run 'mlp' has ")
    assert "\n  high: fire in dense, steps 0–275: There is fire.\n" in message
    assert "\n  medium: smoke in dense, steps 0–275: There is smoke.\n" in message


def test_all_runs_are_checked_and_named(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write(tmp_path / name, healthy())
    runs = load_runs(tmp_path)
    runs.check(ignore=["fire"])
    with pytest.raises(CheckFailedError, match=r"Run 'a' has 1 finding of high severity:\n.*\n.*\n?Run 'b'"):
        runs.check()


def test_the_rules_are_listed_with_those_of_other_packages(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["rules"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert {"smoke", "fire", "dying_relu"} <= {line.split()[0] for line in lines if not line.startswith(" ")}
    assert max(map(len, lines)) <= 80


def test_a_rule_has_a_page(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["rules", "smoke"]) == 0
    assert capsys.readouterr().out == (
        "smoke\n\nSee smoke.\n\nThresholds:\n  floor  3.0  Records, a count.\n\n"
        "To use another one:\n  run.diagnose(smoke={'floor': 3.0})\n"
    )
    assert main(["rules", "smoek"]) == 2
    assert "Nearest: smoke" in capsys.readouterr().err


def test_a_rule_that_fails_is_named_and_no_check_passes_without_it(
    path: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = """
        def broken(frames):
            raise RuntimeError("no such column")
    """
    folder = tmp_path / "package"
    folder.mkdir()
    with installed_rule("broken", source, folder):
        assert main(["check", path, "--ignore", "fire"]) == 2
    assert "'broken' failed and is left out: RuntimeError: no such column" in capsys.readouterr().err
