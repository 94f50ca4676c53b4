"""Following a run while it is written: nothing twice, nothing missed, whatever happens to its files."""

import threading
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from runs import healthy, network, session, sick, training, write

from gradscope.errors import RunFormatError
from gradscope.records import Record, Session, StepRecord
from gradscope.schema import version_text
from gradscope.store import follow
from gradscope.store.event_files import event_files, read_records
from gradscope.store.event_sink import EventFileSink
from gradscope.store.follow import Following, Place, read_on
from gradscope.store.tfrecord import HEADER_SIZE, framed, unframed


def seen(records: Sequence[Record]) -> list[tuple[str, int, float]]:
    return [(type(record).__name__, record.step, record.wall_time) for record in records]


def only_file(log_dir: Path) -> Path:
    (file,) = event_files(log_dir / "gradscope")
    return file


def read_all(following: Following) -> tuple[list[Record], Following]:
    """Read on until nothing is left."""
    records, following = read_on(following)
    while following.is_behind:
        more, following = read_on(following)
        records += more
    return records, following


def test_a_run_that_does_not_exist_yet_has_no_records_and_is_met_when_it_appears(tmp_path: Path) -> None:
    records, following = read_on(Following(tmp_path / "mlp"))
    assert (records, following.places) == ([], {})
    write(tmp_path / "mlp", healthy())
    records, following = read_on(following)
    assert seen(records) == seen(read_records(tmp_path / "mlp").records)


@pytest.mark.parametrize("part", [".", "gradscope", "file"])
def test_a_run_is_followed_by_its_directory_its_folder_or_its_file(tmp_path: Path, part: str) -> None:
    write(tmp_path, healthy())
    path = only_file(tmp_path) if part == "file" else tmp_path / part
    assert seen(read_on(Following(path))[0]) == seen(healthy())


def test_each_record_comes_once_while_a_training_writes(tmp_path: Path) -> None:
    expected = healthy()
    sink = EventFileSink(tmp_path)
    sink.open()
    following, found = Following(tmp_path), list[Record]()
    for record in expected:
        sink.write(record)
        came, following = read_on(following)
        assert seen(came) == seen([record])
        found += came
    assert read_on(following)[0] == []
    sink.close()
    assert seen(found) == seen(expected)


def test_a_record_is_left_until_its_last_byte_has_come(tmp_path: Path) -> None:
    whole = only_file(write(tmp_path / "whole", healthy())).read_bytes()
    file = tmp_path / "cut" / "gradscope" / only_file(tmp_path / "whole").name
    file.parent.mkdir(parents=True)
    file.write_bytes(whole[:-1])
    records, following = read_on(Following(tmp_path / "cut"))
    assert seen(records) == seen(healthy()[:-1])
    with file.open("ab") as stream:
        stream.write(whole[-1:])
    records, following = read_on(following)
    assert seen(records) == seen(healthy()[-1:])
    assert following.places[file] == Place(len(whole), following.places[file].decoding)
    assert following.lost == ()


@given(cuts=st.lists(st.integers(0, 30_000), max_size=6))
def test_wherever_the_reads_fall_the_records_are_the_same(
    cuts: list[int], tmp_path_factory: pytest.TempPathFactory
) -> None:
    whole = only_file(write(tmp_path_factory.mktemp("whole"), sick()[:8])).read_bytes()
    log_dir = tmp_path_factory.mktemp("growing")
    file = log_dir / "gradscope" / "events.out.tfevents.1700000000.host.1.0.gradscope"
    file.parent.mkdir()
    following, found, written = Following(log_dir), list[Record](), 0
    for cut in [*sorted(cuts), len(whole)]:
        with file.open("ab") as stream:
            stream.write(whole[written:cut])
        written = max(written, min(cut, len(whole)))
        came, following = read_on(following)
        found += came
    assert seen(found) == seen(sick()[:8])


def test_a_hole_that_a_file_system_has_not_filled_yet_is_waited_for(tmp_path: Path) -> None:
    file = only_file(write(tmp_path, healthy()))
    content = file.read_bytes()
    last = unframed(content[:-1]).size
    file.write_bytes(content[:last] + bytes(len(content) - last))
    records, following = read_on(Following(tmp_path))
    assert len(records) == len(healthy()) - 1
    assert following.lost == ()
    file.write_bytes(content)
    assert seen(read_on(following)[0]) == seen(healthy()[-1:])


def test_the_file_of_a_resumed_training_comes_behind_the_first(tmp_path: Path) -> None:
    write(tmp_path, healthy())
    records, following = read_on(Following(tmp_path))
    resumed = training(network("relu", ["dense"]), losses=[0.1], gradient=[1e-3], start=session(300, resumed=True))
    write(tmp_path, resumed)
    assert seen(records) == seen(healthy())
    records, following = read_on(following)
    assert seen(records) == seen(resumed)
    assert len(following.places) == 2


def test_a_file_that_vanishes_is_forgotten_and_what_comes_in_its_place_is_read(tmp_path: Path) -> None:
    file = only_file(write(tmp_path, healthy()))
    following = read_on(Following(tmp_path))[1]
    file.unlink()
    records, following = read_on(following)
    assert (records, following.places) == ([], {})
    write(tmp_path, sick())
    assert seen(read_on(following)[0]) == seen(sick())


def test_a_shorter_file_of_the_same_name_is_read_from_its_beginning(tmp_path: Path) -> None:
    file = only_file(write(tmp_path / "a", healthy()))
    following = read_on(Following(tmp_path / "a"))[1]
    file.write_bytes(only_file(write(tmp_path / "b", healthy()[:3])).read_bytes())
    assert seen(read_on(following)[0]) == seen(healthy()[:3])


def test_a_long_run_is_read_in_parts_and_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, healthy())
    write(tmp_path, training(network("relu", ["dense"]), losses=[0.1], gradient=[1e-3]))
    monkeypatch.setattr(follow, "CHUNK", 1000)  # less than a step's record
    parts, following = list[list[Record]](), Following(tmp_path, is_behind=True)
    while following.is_behind:
        part, following = read_on(following)
        parts.append(part)
    assert len(parts) > 5
    assert seen([record for part in parts for record in part]) == seen(read_records(tmp_path).records)


def test_damage_is_told_and_what_lies_behind_it_is_read(tmp_path: Path) -> None:
    file = only_file(write(tmp_path, healthy()))
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    records, following = read_on(Following(tmp_path))
    assert len(records) == len(healthy()) - 1
    (said,) = following.lost
    assert "1 record is skipped, damaged" in said
    assert following.lost == read_records(tmp_path).lost


def test_records_that_are_damaged_in_several_parts_of_a_file_are_told_as_the_reader_tells_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follow, "CHUNK", 1000)
    file = only_file(write(tmp_path, healthy()))
    content = bytearray(file.read_bytes())
    for place in (len(content) // 3, len(content) - 20):
        content[place] ^= 1
    file.write_bytes(content)
    lost = read_all(Following(tmp_path))[1].lost
    assert "2 records are skipped" in lost[0]
    assert lost == read_records(tmp_path).lost


@pytest.mark.parametrize("flipped", [0, 2, 7, 8, 11])
@pytest.mark.parametrize("chunk", [1000, 4 << 20])
def test_a_length_that_is_damaged_is_told_and_ends_the_reading_but_does_not_make_it_spin(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flipped: int, chunk: int
) -> None:
    monkeypatch.setattr(follow, "CHUNK", chunk)
    file = only_file(write(tmp_path, healthy()))
    content = bytearray(file.read_bytes())
    last = unframed(bytes(content[:-1])).size
    content[last + flipped] ^= 1
    file.write_bytes(content)
    records, following = read_all(Following(tmp_path))
    assert seen(records) == seen(healthy()[:-1])
    assert following.lost == read_records(tmp_path).lost
    assert f"nothing behind byte {last} can be read, {len(content) - last} bytes" in following.lost[0]
    again, following = read_on(following)
    assert (again, following.is_behind) == ([], False)
    assert len(following.lost) == 1


def test_a_length_is_judged_once_its_checksum_has_come(tmp_path: Path) -> None:
    file = only_file(write(tmp_path, healthy()))
    content = file.read_bytes()
    last = unframed(content[:-1]).size
    file.write_bytes(content[:last] + b"\xff" * (HEADER_SIZE - 1))
    following = read_on(Following(tmp_path))[1]
    assert following.lost == ()
    file.write_bytes(content[:last] + b"\xff" * HEADER_SIZE)
    assert "the length of a record is damaged" in read_on(following)[1].lost[0]


def test_a_run_of_a_newer_major_version_is_refused_by_name(tmp_path: Path) -> None:
    file = only_file(write(tmp_path, healthy()))
    file.write_bytes(_of_another_version(file.read_bytes()))
    with pytest.raises(RunFormatError, match="newer gradscope"):
        read_on(Following(tmp_path))


def _of_another_version(content: bytes) -> bytes:
    return b"".join(
        framed(p.replace(f'"version": "{version_text()}"'.encode(), b'"version": "9.0"'))
        for p in unframed(content).payloads
    )


def test_a_real_file_is_followed_while_another_thread_writes_it(tmp_path: Path) -> None:
    expected = [*healthy(), *training(network("relu", ["dense"]), losses=[0.5] * 40, gradient=[1e-3])]

    def train() -> None:
        sink = EventFileSink(tmp_path)
        sink.open()
        for record in expected:
            sink.write(record)
            time.sleep(0.002)
        sink.close()

    writer = threading.Thread(target=train)
    following, found, reads = Following(tmp_path), list[Record](), 0
    writer.start()
    while writer.is_alive():
        came, following = read_on(following)
        found += came
        reads += bool(came)
    writer.join()
    found += read_on(following)[0]
    assert seen(found) == seen(expected)
    assert reads > 5


def test_nothing_is_written_into_the_run(tmp_path: Path) -> None:
    write(tmp_path, healthy())
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    read_on(read_on(Following(tmp_path))[1])
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


def test_the_numbers_are_those_of_the_whole_run_read_at_once(tmp_path: Path) -> None:
    write(tmp_path, sick())
    followed = [record for record in read_on(Following(tmp_path))[0] if isinstance(record, StepRecord)]
    at_once = [record for record in read_records(tmp_path).records if isinstance(record, StepRecord)]
    for one, other in zip(followed, at_once, strict=True):
        assert one.activations is not None
        assert other.activations is not None
        assert one.activations.tobytes() == other.activations.tobytes()
    assert isinstance(read_on(Following(tmp_path))[0][0], Session)
