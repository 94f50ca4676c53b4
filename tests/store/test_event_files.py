import json
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from runs import healthy, network, session, training
from tensorboard.compat.proto import event_pb2

from gradscope.errors import RunFormatError, RunNotFoundError
from gradscope.records import Record, Session, StepRecord
from gradscope.store.event_files import event_files, read_previous, read_records, run_directories
from gradscope.store.event_sink import EventFileSink
from gradscope.store.tfrecord import framed, unframed

Event: Any = getattr(event_pb2, "Event")  # noqa: B009 - a generated module, whose classes no type checker sees


def write(log_dir: Path, records: Iterable[Record]) -> Path:
    """Write ``records`` and return their file."""
    sink = EventFileSink(log_dir)
    sink.open()
    for record in records:
        sink.write(record)
    sink.close()
    return event_files(log_dir / "gradscope")[-1]


def steps(records: Iterable[Record]) -> list[int]:
    return [record.step for record in records if isinstance(record, StepRecord)]


def rewrite(file: Path, change: Callable[[Any], None]) -> None:
    """Write the file as another version would have."""
    events = [Event.FromString(payload) for payload in unframed(file.read_bytes()).payloads]
    for event in events:
        change(event)
    file.write_bytes(b"".join(framed(event.SerializeToString()) for event in events))


def of_version(version: str) -> Callable[[Any], None]:
    def change(event: Any) -> None:
        for value in event.summary.value:
            data = value.metadata.plugin_data
            if data.plugin_name == "gradscope":
                data.content = json.dumps({**json.loads(data.content), "version": version}).encode()

    return change


# --- where a run lies ---


def test_a_run_is_found_by_its_directory_its_folder_and_its_file(tmp_path: Path) -> None:
    file = write(tmp_path / "run", healthy())
    expected = [repr(record) for record in read_records(tmp_path / "run").records]
    for path in (str(tmp_path / "run"), tmp_path / "run" / "gradscope", file):
        assert [repr(record) for record in read_records(path).records] == expected


def test_files_are_read_in_the_order_in_which_they_were_begun(tmp_path: Path) -> None:
    for start in (0, 25, 50, 75):  # all in one second, by their names
        net = network("relu", ["a", "b"])
        write(tmp_path, training(net, losses=[1.0], gradient=[1.0, 1.0], start=session(start)))
    assert steps(read_records(tmp_path).records) == [0, 25, 50, 75]


def test_every_directory_with_a_run_is_listed(tmp_path: Path) -> None:
    for name in ("b", "a/deep", "a"):
        write(tmp_path / name, [session()])
    (tmp_path / "opened" / "gradscope").mkdir(parents=True)
    assert run_directories(tmp_path) == [tmp_path / "a", tmp_path / "a" / "deep", tmp_path / "b"]
    assert run_directories(tmp_path / "b") == [tmp_path / "b"]


def test_runs_below_a_missing_directory_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(RunNotFoundError, match="is no directory"):
        run_directories(tmp_path / "nowhere")


# --- where none lies ---


def test_a_missing_path_tells_what_there_is_on_the_way(tmp_path: Path) -> None:
    (tmp_path / "mlp").mkdir()
    with pytest.raises(RunNotFoundError, match=r"nothing at '.*mpl'. In '.*' there is: mlp/."):
        read_records(tmp_path / "mpl")


def test_a_directory_without_our_data_tells_what_it_holds(tmp_path: Path) -> None:
    with pytest.raises(RunNotFoundError, match=r"holds no run that gradscope recorded\. It holds: nothing"):
        read_records(tmp_path)
    (tmp_path / "notes.txt").touch()
    with pytest.raises(RunNotFoundError, match=r"It holds: notes\.txt"):
        read_records(tmp_path)
    (tmp_path / "train").mkdir()
    (tmp_path / "train" / "events.out.tfevents.1.host.2.0.v2").touch()
    with pytest.raises(RunNotFoundError, match=r"event files of another writer, as Keras' .*: '.*train'"):
        read_records(tmp_path)
    write(tmp_path / "mlp", [session()])
    with pytest.raises(RunNotFoundError, match=r"Runs lie below it: '.*mlp'. .*load_runs"):
        read_records(tmp_path)


def test_a_training_that_recorded_nothing_is_said_to_have_done_so(tmp_path: Path) -> None:
    sink = EventFileSink(tmp_path)
    sink.open()
    sink.close()
    with pytest.raises(RunNotFoundError, match="a training began there and recorded nothing"):
        read_records(tmp_path)
    assert read_previous(tmp_path) is None


def test_an_event_file_of_another_writer_is_no_run(tmp_path: Path) -> None:
    file = tmp_path / "events.out.tfevents.1.host"
    file.write_bytes(framed(Event(file_version="brain.Event:2").SerializeToString()))
    with pytest.raises(RunNotFoundError, match="is an event file, but it holds nothing that gradscope recorded"):
        read_records(file)


# --- damage ---


def test_an_empty_file_is_said_to_be_empty(tmp_path: Path) -> None:
    write(tmp_path, [session()]).write_bytes(b"")
    with pytest.raises(RunFormatError, match="is empty"):
        read_records(tmp_path)


def test_a_file_that_is_no_event_file_is_said_to_be_unreadable(tmp_path: Path) -> None:
    file = write(tmp_path, [session()])
    file.write_bytes(b"import keras\n" * 20)
    with pytest.raises(RunFormatError, match=r"No record can be read from .* the length of a record is damaged"):
        read_records(tmp_path)


def test_a_truncated_file_is_read_up_to_the_damage(tmp_path: Path) -> None:
    file = write(tmp_path, healthy())
    whole = steps(read_records(tmp_path).records)
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    content = read_records(tmp_path)
    found = steps(content.records)
    assert 0 < len(found) < len(whole)
    assert found == whole[: len(found)]
    assert [name in content.lost[0] for name in (file.name, "an unfinished record")] == [True, True]


def test_a_flipped_byte_loses_one_record_only(tmp_path: Path) -> None:
    file = write(tmp_path, healthy())
    whole = read_records(tmp_path).records
    content = bytearray(file.read_bytes())
    content[-300] ^= 1  # in the last step, or what follows it
    file.write_bytes(content)
    damaged = read_records(tmp_path)
    assert len(damaged.records) == len(whole) - 1
    assert "1 record is skipped" in damaged.lost[0]


def test_damage_in_one_file_does_not_hide_the_others(tmp_path: Path) -> None:
    write(tmp_path, [session()]).write_bytes(b"no event file")
    write(tmp_path, healthy())
    content = read_records(tmp_path)
    assert steps(content.records) == steps(healthy())
    assert len(content.lost) == 1


def test_records_that_make_no_sense_are_skipped_and_counted(tmp_path: Path) -> None:
    file = write(tmp_path, healthy())

    def spoil(event: Any) -> None:
        for value in event.summary.value:
            if value.tag == "gradscope/epoch_end":
                value.tensor.string_val[0] = b"{"
            elif value.tag == "gradscope/steps/0" and event.step:
                value.tensor.tensor_content += b"x"

    rewrite(file, spoil)
    content = read_records(tmp_path)
    epoch_ends, recorded = 6, 11
    assert steps(content.records) == [0]
    assert content.lost == (f"{file.name}: {epoch_ends + recorded} of its records make no sense and are skipped.",)


def test_a_lost_network_is_told(tmp_path: Path) -> None:
    file = write(tmp_path, healthy())
    payloads = unframed(file.read_bytes()).payloads
    file.write_bytes(b"".join(framed(payload) for payload in payloads if b"gradscope/network" not in payload))
    assert "24 tables are skipped: the record that describes them is lost" in read_records(tmp_path).lost[0]


# --- versions ---


def test_a_newer_minor_version_warns_once(tmp_path: Path) -> None:
    for file in [write(tmp_path, healthy()), write(tmp_path, healthy())]:
        rewrite(file, of_version("1.4"))
    with pytest.warns(UserWarning, match=r"format 1\.4, by a newer gradscope; this one knows 1\.2") as caught:
        records = read_records(tmp_path).records
    assert len(caught) == 1
    assert steps(records) == 2 * steps(healthy())


def test_a_newer_major_version_is_an_error_that_names_the_file(tmp_path: Path) -> None:
    file = write(tmp_path, healthy())
    rewrite(file, of_version("2.0"))
    with pytest.raises(RunFormatError, match=rf"{file.name}: The run was recorded in format 2\.0"):
        read_records(tmp_path)


# --- what was there before ---


def test_the_last_session_and_its_last_step_are_known(tmp_path: Path) -> None:
    assert read_previous(tmp_path) is None
    write(tmp_path, healthy())
    net = network("relu", ["a", "b"])
    resumed = training(net, losses=[1.0, 1.0], gradient=[1.0, 1.0], start=session(50, resumed=True))
    write(tmp_path, resumed)
    previous = read_previous(tmp_path)
    assert previous is not None
    assert previous.session == resumed[0]
    assert previous.last_step == 99


def test_a_training_begun_anew_counts_its_own_steps_only(tmp_path: Path) -> None:
    write(tmp_path, healthy())
    write(tmp_path, [Session(0, 5.0, False, "other")])
    previous = read_previous(tmp_path)
    assert previous is not None
    assert (previous.session.fingerprint, previous.last_step) == ("other", 0)


def test_a_run_that_was_copied_elsewhere_is_read_there(tmp_path: Path) -> None:
    write(tmp_path / "here", healthy())
    shutil.copytree(tmp_path / "here", tmp_path / "there")
    assert steps(read_records(tmp_path / "there").records) == steps(healthy())
