"""``gradscope watch``: in a real terminal while a run grows, and as a script uses it."""

import json
import math
import signal
import threading
import time
from pathlib import Path

import pytest
from pseudo_terminal import COLOUR, ENTER, LEAVE, SHOW_CURSOR, terminal
from runs import healthy, nothing_recorded, sick, write

from gradscope.cli.main import main
from gradscope.store.event_sink import EventFileSink


def content(folder: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in (folder, *folder.rglob("*"))}


# --- in a terminal ---


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 0), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_an_interrupted_view_restores_the_terminal(tmp_path: Path, number: signal.Signals, code: int) -> None:
    path = write(tmp_path / "sick", sick())
    before = content(tmp_path)
    with terminal("watch", path) as shown:
        mode = shown.mode
        shown.read_until("dense_8")
        shown.process.send_signal(number)
        assert shown.finish() == code
        assert shown.mode == mode
    assert shown.written.index(ENTER) < shown.written.index(LEAVE)
    assert SHOW_CURSOR in shown.written.split(LEAVE)[0].split(ENTER)[1] + shown.written.split(LEAVE)[1]
    assert "Traceback" not in shown.written
    assert content(tmp_path) == before


def test_what_was_last_known_stays_on_the_terminal(tmp_path: Path) -> None:
    with terminal("watch", write(tmp_path / "sick", sick())) as shown:
        shown.read_until("dense_8")
        shown.process.send_signal(signal.SIGINT)
        shown.finish()
    left = shown.written.split(LEAVE)[1]
    assert "sick: 300 steps in 6 epochs, 12 recorded; ended" in left
    assert "high: vanishing_gradient in dense" in left


def test_a_training_is_met_when_it_begins_and_followed_as_it_grows(tmp_path: Path) -> None:
    records = sick()

    def train() -> None:
        sink = EventFileSink(tmp_path / "mlp")
        sink.open()
        for record in records[:-1]:
            sink.write(record)
            time.sleep(0.02)
        sink.close()

    with terminal("watch", tmp_path / "mlp", "--interval", "0.2") as shown:
        assert "no record yet" in shown.read_until("Waiting for a training")
        writer = threading.Thread(target=train)
        writer.start()
        shown.read_until("mlp: ")
        writer.join()
        shown.read_until("300 steps in 6 epochs, 12 recorded; no new record for")
        shown.process.send_signal(signal.SIGINT)
        assert shown.finish() == 0
    assert "vanishing_gradient" in shown.written


def test_a_terminal_of_another_size_is_drawn_anew_before_the_next_look(tmp_path: Path) -> None:
    with terminal("watch", write(tmp_path / "sick", sick()), "--interval", "60") as shown:
        assert "update /" not in shown.read_until("Ctrl-C")
        shown.resize(130, 40)
        shown.read_until("update /", seconds=40)
        shown.resize(60, 16)
        shown.read_until("of 9 layers", seconds=40)


def test_blocks_have_colour_and_no_color_takes_it_away(tmp_path: Path) -> None:
    path = write(tmp_path / "sick", sick())
    for environment, has_colour in (({}, True), ({"NO_COLOR": "1"}, False)):
        with terminal("watch", path, environment=environment) as shown:
            screen = shown.read_until("Ctrl-C")
        assert "▇" in screen
        assert bool(COLOUR.search(screen)) is has_colour


def test_a_terminal_without_blocks_gets_shades(tmp_path: Path) -> None:
    path = write(tmp_path / "sick", sick())
    with terminal("watch", path, environment={"PYTHONUTF8": "0", "PYTHONIOENCODING": "ascii"}) as shown:
        assert " .:-=+*#%@ " in shown.read_until("Ctrl-C")
    assert shown.written.isascii()
    with terminal("watch", path, environment={"TERM": "dumb"}) as shown:
        assert shown.finish() == 0
    assert " .:-=+*#%@ " in shown.written
    assert "\x1b" not in shown.written


# --- as a script uses it ---


def test_one_view_is_printed_where_no_terminal_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = str(write(tmp_path / "sick", sick()))
    assert main(["watch", path]) == main(["watch", path, "--once"]) == 0
    shown = capsys.readouterr().out
    assert shown.count("dense_8 ") == 2
    assert "\x1b" not in shown
    assert max(map(len, shown.splitlines())) <= 80


def test_json_says_whether_the_training_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is no JSON")

    for name, records, phase in (("ended", healthy(), "ended"), ("running", healthy()[:-1], "running")):
        assert main(["watch", str(write(tmp_path / name, records)), "--json"]) == 0
        document = json.loads(capsys.readouterr().out, parse_constant=refuse)
        assert (document["run"], document["phase"], document["recorded_count"]) == (name, phase, 12)
        assert math.isfinite(document["silent_seconds"])
        assert len(document["layers"]) == 9


def test_the_run_begun_last_is_shown_and_the_others_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    earlier, later = write(tmp_path / "z", healthy()), write(tmp_path / "a", sick())
    (file,) = (later / "gradscope").glob("*.gradscope")
    file.rename(file.with_name(file.name.replace("1700000000", "1800000000")))
    assert main(["watch", str(tmp_path)]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith("a: 300 steps")
    assert f"Other runs, begun earlier: {earlier}" in " ".join(shown.split())


def test_a_run_that_is_not_there_is_code_2_with_the_nearest_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path / "mlp", healthy())
    assert main(["watch", str(tmp_path / "mpl")]) == 2
    assert f"Did you mean '{path}'?" in capsys.readouterr().err
    (tmp_path / "none").mkdir()
    assert main(["watch", str(tmp_path / "none")]) == 2


def test_a_training_that_recorded_no_step_yet_is_shown_as_that(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["watch", str(write(tmp_path / "mlp", nothing_recorded()))]) == 0
    assert "0 recorded" in capsys.readouterr().out
