"""Whether a recorded training has said that it ended."""

from pathlib import Path

import pytest
from runs import healthy, sick, write

from gradscope import RunNotFoundError
from gradscope.records import FindingsNote, SessionEnd, StepRecord
from gradscope.store.ending import has_ended


def test_a_training_that_went_to_its_end_has_ended(tmp_path: Path) -> None:
    assert has_ended(write(tmp_path, healthy()))


@pytest.mark.parametrize("kept", [1, 2, 3, -1])
def test_a_training_without_its_last_record_has_not(tmp_path: Path, kept: int) -> None:
    assert not has_ended(write(tmp_path, healthy()[:kept]))


def test_findings_before_the_end_are_not_the_end(tmp_path: Path) -> None:
    *records, end = healthy()
    assert isinstance(end, SessionEnd)
    note = FindingsNote(9, end.wall_time, "1.0", (), "No findings.")
    assert not has_ended(write(tmp_path / "a", [*records, note]))
    assert has_ended(write(tmp_path / "b", [*records, note, end]))


def test_the_last_training_of_a_directory_counts(tmp_path: Path) -> None:
    write(tmp_path, healthy())
    write(tmp_path, [record for record in sick() if not isinstance(record, SessionEnd)])
    assert not has_ended(tmp_path)


def test_a_file_that_is_cut_short_or_empty_has_no_end(tmp_path: Path) -> None:
    (file,) = (write(tmp_path, healthy()) / "gradscope").glob("*.gradscope")
    whole = file.read_bytes()
    for content in (whole[:-1], b"", whole[:40]):
        file.write_bytes(content)
        assert not has_ended(file)


def test_a_recorded_step_at_the_end_needs_no_layout_to_be_told(tmp_path: Path) -> None:
    records = healthy()
    last = max(at for at, record in enumerate(records) if isinstance(record, StepRecord))
    assert not has_ended(write(tmp_path, records[: last + 1]))


def test_no_run_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(RunNotFoundError):
        has_ended(tmp_path)
