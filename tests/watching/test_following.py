"""Watching: what is known of a training from its files, and what looking costs."""

from pathlib import Path

import pytest
from findings import alike
from runs import BEGAN, healthy, layer_names, network, session, sick, training, write

from gradscope import load
from gradscope.store.event_sink import EventFileSink
from gradscope.watching.following import SHARE, Watching, latest_run
from gradscope.watching.window import FIRST, LATEST


def test_what_is_found_is_what_a_check_finds(tmp_path: Path) -> None:
    path = write(tmp_path / "sick", sick())
    watching = Watching(path)
    assert watching.read()
    assert watching.look(0.0)
    assert watching.summary is not None
    assert watching.summary.findings
    assert alike(watching.summary.findings, load(path).diagnose())


def test_the_phase_and_the_silence_are_those_of_the_records(tmp_path: Path) -> None:
    watching = Watching(tmp_path / "mlp")
    assert watching.watched(now=0.0).phase == "waiting"
    write(tmp_path / "mlp", healthy()[:-1])
    watching.read()
    known = watching.watched(now=BEGAN + 310.0)
    assert (known.phase, known.silent_seconds, known.usual_seconds) == ("running", 10.0, 25.0)
    write(tmp_path / "mlp", training(network("relu", ["a"]), losses=[1.0], gradient=[1e-3]))
    watching.read()
    assert watching.watched(now=BEGAN).phase == "ended"
    assert watching.watched(now=BEGAN - 9.0).silent_seconds == 0.0  # another machine's clock


def test_a_look_waits_for_news_and_for_its_share_of_the_time(tmp_path: Path) -> None:
    sink = EventFileSink(tmp_path)
    sink.open()
    records = healthy()
    for record in records[:6]:
        sink.write(record)
    watching = Watching(tmp_path)
    watching.read()
    assert watching.look(100.0)
    assert not watching.look(1e9)  # nothing new
    sink.write(records[6])
    sink.close()
    watching.read()
    assert not watching.look(100.0)  # a look takes time, of which it may have a twentieth
    assert watching.look(100.0 + 60.0 / SHARE)


def test_a_long_run_is_counted_whole_though_a_window_of_it_is_kept(tmp_path: Path) -> None:
    count = FIRST + LATEST + 100
    path = write(tmp_path, training(network("relu", ["a"]), losses=[1.0] * count, gradient=[1e-3], every=50))
    watching = Watching(path)
    watching.read()
    watching.look(0.0)
    assert watching.summary is not None
    progress = watching.summary.progress
    assert (progress.recorded_count, progress.epoch_count) == (count, count)
    assert watching.watched(now=BEGAN).history.grid("gradient", ["a/kernel"], 1000).first_step == 0


def test_a_resumed_training_is_continued_and_a_new_one_begins_anew(tmp_path: Path) -> None:
    net = network("relu", layer_names(9))
    write(tmp_path, healthy())
    watching = Watching(tmp_path)
    watching.read()
    write(tmp_path, training(net, losses=[0.1] * 2, gradient=[1e-3] * 9, start=session(250, resumed=True)))
    watching.read()
    watching.look(0.0)
    assert watching.summary is not None
    assert watching.summary.progress.recorded_count == 12
    write(tmp_path, training(net, losses=[0.1] * 2, gradient=[1e-3] * 9))
    watching.read()
    watching.look(1e9)
    assert watching.summary.progress.recorded_count == 2


def test_the_run_begun_last_is_the_latest(tmp_path: Path) -> None:
    assert latest_run(tmp_path / "none") == (tmp_path / "none", [])
    one, two = write(tmp_path / "sweep" / "one", healthy()), write(tmp_path / "two", healthy())
    assert latest_run(tmp_path) == (two, [one])
    assert latest_run(one) == (one, [])
    write(one, healthy())  # a second training in it, whose file's name comes behind
    assert latest_run(tmp_path) == (one, [two])


@pytest.mark.filterwarnings("error")
def test_a_rule_that_fails_is_a_remark_and_no_warning_on_the_screen(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    from installed import installed_rule

    source = """
        def broken(frames):
            raise RuntimeError("no such column")
    """
    watching = Watching(write(tmp_path, healthy()))
    watching.read()
    with installed_rule("broken", source, tmp_path_factory.mktemp("package")):
        watching.look(0.0)
    (remark,) = watching.watched(now=BEGAN).remarks
    assert "'broken' failed and is left out" in remark


def test_damage_that_no_record_follows_is_a_remark_at_once(tmp_path: Path) -> None:
    watching = Watching(write(tmp_path, healthy()))
    watching.read()
    watching.look(0.0)
    assert watching.watched(now=BEGAN).remarks == ()
    (file,) = (tmp_path / "gradscope").glob("*.gradscope")
    with file.open("ab") as stream:
        stream.write(b"\xff" * 30)
    assert not watching.read()
    (remark,) = watching.watched(now=BEGAN).remarks
    assert "30 bytes: the length of a record is damaged" in remark
