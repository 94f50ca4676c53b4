"""``gradscope report``: where the page goes, what is printed, and what is refused."""

import json
import subprocess
import sys
import webbrowser
from pathlib import Path

import pytest
from runs import healthy, sick, write

from gradscope.cli.main import main
from gradscope.cli.report import file_name


def test_the_page_is_called_after_the_run_and_lies_in_the_current_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path / "logs" / "mlp", sick())
    monkeypatch.chdir(tmp_path)
    assert main(["report", str(path)]) == 0
    assert "<h1>mlp</h1>" in (tmp_path / "mlp.html").read_text(encoding="utf-8")
    shown = capsys.readouterr().out
    assert shown.startswith("mlp: 2 findings of medium or high severity\n  mlp.html (2.")


def test_a_file_or_a_directory_is_where_it_is_asked_for(tmp_path: Path) -> None:
    path = str(write(tmp_path / "mlp", sick()))
    assert main(["report", path, "-o", str(tmp_path / "a.html")]) == 0
    assert main(["report", path, "-o", str(tmp_path / "pages")]) == 0
    assert (tmp_path / "a.html").is_file()
    assert (tmp_path / "pages" / "mlp.html").is_file()


def test_json_is_for_machines(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "a.html"
    assert main(["report", str(write(tmp_path / "mlp", sick())), "-o", str(file), "--json"]) == 0
    (page,) = json.loads(capsys.readouterr().out)["pages"]
    assert page == {"run": "mlp", "path": str(file), "bytes": file.stat().st_size}


def test_several_runs_need_a_directory_and_get_a_page_each(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    logs = tmp_path / "logs"
    for name, records in (("a", sick()), ("b/a", healthy()), ("b a", healthy())):
        write(logs / name, records)
    assert main(["report", str(logs)]) == 2
    assert "holds 3 runs: " in (error := capsys.readouterr().err)
    assert "-o pages" in error
    assert main(["report", str(logs), "-o", str(tmp_path / "one.html")]) == 2
    assert not (tmp_path / "one.html").exists()
    assert main(["report", str(logs), "-o", str(tmp_path / "pages")]) == 0
    names = sorted(file.name for file in (tmp_path / "pages").iterdir())
    assert len(names) == 3
    assert all(name.endswith(".html") for name in names)


def test_what_is_no_report_is_replaced_by_force_only(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, file = str(write(tmp_path / "mlp", sick())), tmp_path / "train.py"
    file.write_text("precious")
    assert main(["report", path, "-o", str(file)]) == 2
    assert "is no report, so it is not replaced" in capsys.readouterr().err
    assert file.read_text() == "precious"
    assert main(["report", path, "-o", str(file), "--force"]) == 0
    assert main(["report", path, "-o", str(file)]) == 0
    assert file.read_text(encoding="utf-8").startswith("<!doctype html>")


def test_names_and_paths_reach_the_terminal_as_text(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path / "mlp\x1b[31m", sick())
    assert main(["report", str(path), "-o", str(tmp_path / "a\x1b[2J.html")]) == 0
    shown = capsys.readouterr().out
    assert "\x1b" not in shown
    assert shown.count("\n") == 2


def test_a_missing_run_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", str(tmp_path / "nothing")]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_the_page_is_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []

    def remember(url: str) -> bool:
        opened.append(url)
        return True

    monkeypatch.setattr(webbrowser, "open", remember)  # what it starts is the machine's own business
    file = tmp_path / "a b.html"
    assert main(["report", str(write(tmp_path / "mlp", sick())), "-o", str(file), "--open"]) == 0
    assert opened == [file.as_uri()]


@pytest.mark.parametrize(
    ("run", "name"),
    [
        ("mlp", "mlp.html"),
        ("a/b c", "a-b-c.html"),
        ("..", "run.html"),
        ("ü🔥<x>", "ü-x.html"),
        ("x" * 300, "x" * 100 + ".html"),
    ],
)
def test_a_run_of_any_name_has_a_file_name(run: str, name: str) -> None:
    assert file_name(run) == name


def test_it_loads_no_framework(tmp_path: Path) -> None:
    program = """if True:
        import sys
        from gradscope.cli.main import main
        assert main(["report", sys.argv[1], "-o", sys.argv[2]]) == 0
        assert not {"keras", "tensorflow", "jax", "torch"} & set(sys.modules)
    """
    path = write(tmp_path / "sick", sick())
    line = [sys.executable, "-c", program, str(path), str(tmp_path / "a.html")]
    subprocess.run(line, check=True, capture_output=True, timeout=60)
