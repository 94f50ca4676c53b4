"""``gradscope compare``: paths, output, and exit codes."""

import json
import re
from pathlib import Path

import pytest
from runs import awkward_names, healthy, not_finite, nothing_recorded, sick, write

from gradscope import compare, load
from gradscope.cli.main import main


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    for name, records in (("before", healthy()), ("after", sick()), ("broken", not_finite())):
        write(tmp_path / "logs" / name, records)
    return tmp_path / "logs"


def shown(capsys: pytest.CaptureFixture[str], *arguments: str | Path, code: int = 0) -> str:
    assert main(["compare", *map(str, arguments)]) == code
    return capsys.readouterr().out


def test_the_text_is_that_of_the_comparison(logs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = shown(capsys, logs / "before", logs / "after")
    assert said == f"{compare([load(logs / 'before'), load(logs / 'after')])}\n"
    assert said.startswith("after compared with before:\n")
    assert said.index("vanishing_gradient in dense") < said.index("gradient RMS")
    assert f"gradscopecheck{logs / 'after'}" in "".join(said.split()), "whole, wherever the line is broken"


def test_runs_are_named_by_where_their_paths_part(logs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(logs.parent / "old" / "before", healthy())
    said = json.loads(shown(capsys, logs / "before", logs.parent / "old" / "before", "--json"))
    assert [run["run"] for run in said["runs"]] == ["logs/before", "old/before"]


def test_a_directory_of_runs_stands_for_all_of_them(logs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = json.loads(shown(capsys, logs, "--json"))
    assert [run["run"] for run in said["runs"]] == ["after", "before", "broken"]


@pytest.mark.parametrize("as_path", [False, True])
def test_the_reference_is_named_by_name_or_path(logs: Path, capsys: pytest.CaptureFixture[str], as_path: bool) -> None:
    name = str(logs / "before") if as_path else "before"
    assert json.loads(shown(capsys, logs, "--reference", name, "--json"))["reference"] == "before"


def test_json_is_strict(logs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is no JSON")

    document = json.loads(shown(capsys, logs / "before", logs / "broken", "--json"), parse_constant=refuse)
    assert document["limits"] == {"ratio": 2.0, "difference": 0.1}
    nan = [each for each in document["layers"] if each["statistic"] == "gradient_rms" and each["site"] == "dense"]
    assert nan[0]["value"] == "NaN"
    assert "nan_or_inf@dense" in [each["finding"]["key"] for each in document["findings"]]


def test_all_shows_what_is_left_out_otherwise(logs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paths = (logs / "before", logs / "after")
    assert "… and 3 more" in shown(capsys, *paths)
    assert "… and" not in shown(capsys, *paths, "--all")


def test_a_page_is_written_instead_of_the_text_and_named_with_what_changed(
    logs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "out.html"
    said = shown(capsys, logs / "before", logs / "after", "-o", page)
    gained = len(compare([load(logs / "before"), load(logs / "after")]).gained())
    assert re.fullmatch(
        rf"after compared with before: {gained} findings gained, none lost\n  {re.escape(str(page))} \(\d\.\d MB\)\n",
        said,
    )
    text = page.read_text(encoding="utf-8")
    assert "<h1>after compared with before</h1>" in text
    assert "figure-pair" in text  # the tables were read again for the figures


def test_a_page_leaves_the_json_as_it_is_and_the_exit_code_too(
    logs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = [str(logs / "before"), str(logs / "after")]
    plain = shown(capsys, *paths, "--json")
    page = tmp_path / "out.html"
    assert main(["compare", *paths, "--json", "-o", str(page), "--fail-on-gained", "high"]) == 1
    assert capsys.readouterr().out == plain
    assert page.is_file()


def test_the_page_names_what_was_left_out(logs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (file,) = (write(logs / "damaged", sick()) / "gradscope").glob("*.gradscope")
    file.write_bytes(b"no event at all")
    shown(capsys, logs, "-o", tmp_path / "out.html", code=2)
    assert "<strong>damaged</strong>" in (tmp_path / "out.html").read_text(encoding="utf-8")


def test_a_file_that_is_no_report_is_kept_unless_forced(logs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = logs.parent / "model.py"
    other.write_text("precious")
    arguments = ["compare", str(logs / "before"), str(logs / "after"), "-o"]
    assert main([*arguments, str(other)]) == 2
    assert "is no report, so it is not replaced" in capsys.readouterr().err
    assert other.read_text() == "precious"
    assert main([*arguments, str(logs)]) == 2
    assert "is a directory" in capsys.readouterr().err
    assert main([*arguments, str(logs / "missing" / "out.html")]) == 2
    assert "There is no directory" in capsys.readouterr().err
    assert main([*arguments, str(other), "--force"]) == 0


def test_it_fails_where_a_severe_finding_was_gained_if_asked_to(logs: Path) -> None:
    paths = [str(logs / "before"), str(logs / "after")]
    assert main(["compare", *paths]) == 0
    assert main(["compare", *paths, "--fail-on-gained", "high"]) == 1
    assert main(["compare", *paths[::-1], "--fail-on-gained", "low"]) == 0


@pytest.mark.parametrize("what", ["damaged", "nothing recorded"])
@pytest.mark.parametrize("option", [[], ["--json"], ["-o", "out.html"]])
def test_a_run_that_could_not_be_compared_fails_after_the_others_are_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], what: str, option: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, records in (("a", healthy()), ("b", healthy()), ("c", nothing_recorded())):
        write(tmp_path / name, records)
    if what == "damaged":
        (file,) = (tmp_path / "c" / "gradscope").glob("*.gradscope")
        file.write_bytes(b"no event at all")
    assert main(["compare", "a", "b", "c", "--fail-on-gained", "high", *option]) == 2
    assert "b" in capsys.readouterr().out


def test_the_same_run_twice_does_not_differ(logs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = shown(capsys, logs / "before", logs / "before")
    assert said.startswith("before (2) compared with before:")
    assert "the same in all runs" in said


def test_names_reach_the_terminal_as_text(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path / "[red]a", awkward_names())
    write(tmp_path / "b", healthy())
    said = shown(capsys, tmp_path / "[red]a", tmp_path / "b")
    assert "[red]a" in said
    assert "\x1b" not in said


def test_other_files_and_damaged_runs_are_left_out_with_the_reason(
    logs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (logs / "notes.txt").write_text("lr 0.1 was too much")
    (file,) = (write(logs / "damaged", sick()) / "gradscope").glob("*.gradscope")
    file.write_bytes(b"no event at all")
    write(logs / "empty", nothing_recorded())
    said = shown(capsys, *sorted(logs.iterdir()), code=2)
    for name in ("notes.txt", "damaged", "empty"):
        assert f"{name} is left out: " in said


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["compare"], "PATH"),
        (["compare", "logs/before"], "only 'before' was given"),
        (["compare", "logs/before", "logs/aftr"], "Did you mean 'logs/after'?"),
        (["compare", "logs/before", "lgs/after"], "There is nothing at 'lgs/after'"),
        (["compare", "logs", "--reference", "befor"], "Did you mean 'before'?"),
        (["compare", "logs", "--fail-on-gained", "sevre"], "sevre"),
        (["compare", "logs", "--ratio", "1"], "ratio=1"),
        (["compare", "logs/before", "logs/notes.txt"], "notes.txt"),
        (["compare", "logs/empty", "logs/before"], "'empty' has no recorded step"),
    ],
)
def test_a_mistake_gets_one_line_and_exit_code_2(
    logs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    (logs / "notes.txt").write_text("")
    write(logs / "empty", nothing_recorded())
    monkeypatch.chdir(logs.parent)
    assert main(arguments) == 2
    out, error = capsys.readouterr()
    assert out == ""
    assert error.startswith("gradscope: ")
    assert error.count("\n") == 1
    assert said in error


def test_it_explains_itself_within_80_columns(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", "--help"]) == 0
    said = capsys.readouterr().out
    assert "    gradscope compare logs/before logs/after\n" in said
    assert max(map(len, said.splitlines())) <= 80
