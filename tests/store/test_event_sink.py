import collections
import contextlib
import errno
import itertools
import os
import shutil
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from runs import healthy, network, session, two_trainings

from gradscope.errors import ArgumentError, ShapeError, WriterError
from gradscope.records import NetworkChange, StepRecord
from gradscope.schema import STEPS, version_text
from gradscope.store.event_files import event_files, read_previous, read_records
from gradscope.store.event_sink import EventFileSink
from gradscope.store.sink import MemorySink, Sink

NETWORK = network("relu", ["a", "b"])


def step(number: int, size: int = 0) -> StepRecord:
    """A step; with ``size``, so many rows of units, of 88 bytes each."""
    units = np.zeros((size, 11)) if size else None
    return StepRecord(number, 0, 0.0, steps=np.zeros(len(STEPS.statistics), np.float32), units=units)


def opened(log_dir: Path) -> EventFileSink:
    """A sink with a session and a network in it."""
    sink = EventFileSink(log_dir)
    sink.open()
    sink.write(session())
    sink.write(NetworkChange(0, 0.0, NETWORK))
    return sink


def recorded_steps(log_dir: Path) -> list[int]:
    return [record.step for record in read_records(log_dir).records if isinstance(record, StepRecord)]


# --- every sink ---


@pytest.fixture(params=["memory", "file"])
def sink(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Sink]:
    sink: Sink = MemorySink() if request.param == "memory" else EventFileSink(tmp_path)
    yield sink
    sink.close()


def test_a_new_sink_holds_nothing(sink: Sink) -> None:
    assert sink.open() is None


def test_a_sink_opened_again_knows_what_it_holds(sink: Sink) -> None:
    sink.open()
    for record in two_trainings():
        sink.write(record)
    sink.close()
    previous = sink.open()
    assert previous is not None
    assert previous.session == session(300, resumed=True)
    assert previous.last_step == 349


def test_a_sink_may_be_closed_twice_and_before_it_is_opened(sink: Sink) -> None:
    sink.close()
    sink.open()
    sink.close()
    sink.close()


# --- the file ---


def test_nothing_but_the_lock_is_written_before_the_first_record(tmp_path: Path) -> None:
    sink = EventFileSink(tmp_path / "deep" / "run")
    sink.open()
    assert event_files(tmp_path / "deep" / "run" / "gradscope") == ()
    sink.close()


def test_each_training_has_a_file_whose_name_comes_behind_the_others(tmp_path: Path) -> None:
    for _ in range(12):
        opened(tmp_path).close()
    names = sorted(path.name for path in (tmp_path / "gradscope").glob("events.out.tfevents.*.gradscope"))
    assert len(names) == 12
    assert names == [file.name for file in event_files(tmp_path / "gradscope")]


def test_each_record_is_in_the_file_as_soon_as_it_is_written(tmp_path: Path) -> None:
    sink = opened(tmp_path)
    for number in range(5):
        sink.write(step(number))
        assert recorded_steps(tmp_path)[-1] == number
    sink.close()


def test_a_directory_continues_the_layouts_of_its_tags(tmp_path: Path) -> None:
    for names in (["a", "b"], ["a", "c"], ["a", "b"]):
        sink = EventFileSink(tmp_path)
        sink.open()
        net = network("relu", names)
        sink.write(NetworkChange(0, 0.0, net))
        sink.write(StepRecord(0, 0, 0.0, units=np.zeros((1, 11))))
        sink.close()
    tags = [
        tag
        for file in event_files(tmp_path / "gradscope")
        for tag in (b"gradscope/units/0", b"gradscope/units/1", b"gradscope/units/2")
        if tag in file.read_bytes()
    ]
    assert tags == [b"gradscope/units/0", b"gradscope/units/1", b"gradscope/units/0"]


def test_writing_to_a_closed_sink_is_an_error(tmp_path: Path) -> None:
    sink = opened(tmp_path)
    sink.close()
    with pytest.raises(WriterError, match="is not open"):
        sink.write(step(0))


def test_a_record_that_does_not_fit_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    sink = opened(tmp_path)
    with pytest.raises(ShapeError):
        sink.write(StepRecord(0, 0, 0.0, steps=np.zeros(3, np.float32)))
    sink.write(step(1))
    sink.close()
    assert recorded_steps(tmp_path) == [1]


def test_an_unknown_choice_of_scalars_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match=r"scalars='some' is not known"):
        EventFileSink(tmp_path, scalars="some")  # type: ignore[arg-type]


# --- directories that cannot be written ---


def test_a_log_directory_that_is_a_file_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "notes.txt"
    file.touch()
    for log_dir in (file, file / "run"):
        with pytest.raises(WriterError, match=r"notes\.txt' is a file. Pass a directory"):
            EventFileSink(log_dir).open()


@pytest.mark.skipif(os.name == "nt", reason="permissions are of another kind there")
def test_a_log_directory_that_is_not_writable_is_refused(tmp_path: Path) -> None:
    locked = tmp_path / "locked"
    (locked / "made" / "gradscope").mkdir(parents=True)
    for folder in (locked / "made" / "gradscope", locked):
        folder.chmod(0o555)
    # Nothing is closed to root, who may step down instead; the paths above must stay open to the other user.
    for parent in (tmp_path, *itertools.islice(tmp_path.parents, 2)):
        parent.chmod(0o755)
    script = textwrap.dedent(
        """
        import os, sys
        from gradscope.errors import WriterError
        from gradscope.store.event_sink import EventFileSink
        if os.geteuid() == 0:
            os.setuid(65534)
        for log_dir in sys.argv[1:]:
            try:
                EventFileSink(log_dir).open()
            except WriterError as error:
                print(error)
        """
    )
    new, made = str(locked / "new"), str(locked / "made")
    answer = subprocess.run([sys.executable, "-c", script, new, made], capture_output=True, text=True, check=True)
    assert answer.stdout.splitlines() == [
        f"log_dir={path!r} cannot be written: Permission denied. Pass another directory." for path in (new, made)
    ]


def test_a_directory_of_a_newer_version_is_refused_and_released(tmp_path: Path) -> None:
    sink = opened(tmp_path)
    sink.close()
    (file,) = event_files(tmp_path / "gradscope")
    sound = file.read_bytes()
    from gradscope.store.tfrecord import framed, unframed

    payloads = [payload.replace(f'"{version_text()}"'.encode(), b'"9.0"') for payload in unframed(sound).payloads]
    file.write_bytes(b"".join(map(framed, payloads)))
    with pytest.raises(WriterError, match=r"cannot be continued.*format 9\.0"):
        EventFileSink(tmp_path).open()
    file.write_bytes(sound)
    opened(tmp_path).close()


# --- one writer at a time ---


def test_a_second_training_in_one_thread_takes_over_from_a_dead_one(tmp_path: Path) -> None:
    dead = opened(tmp_path)
    dead.write(step(3))
    sink = EventFileSink(tmp_path)
    previous = sink.open()
    assert previous is not None
    assert previous.last_step == 3
    with pytest.raises(WriterError, match="another took the directory over"):
        dead.write(step(4))
    dead.close()  # as a callback that is collected later may do
    sink.write(session())
    sink.close()


def test_another_thread_is_refused_while_the_first_lives_and_served_after(tmp_path: Path) -> None:
    ready, done = threading.Event(), threading.Event()

    def train() -> None:
        sink = opened(tmp_path)
        sink.write(step(0))
        ready.set()
        done.wait(10)

    thread = threading.Thread(target=train, name="trainer")
    thread.start()
    ready.wait(10)
    with pytest.raises(WriterError, match="is being written by thread 'trainer' of this process"):
        EventFileSink(tmp_path).open()
    done.set()
    thread.join()
    opened(tmp_path).close()


def test_another_process_is_refused_while_the_first_lives_and_served_after(tmp_path: Path) -> None:
    script = f"""
from pathlib import Path
from typing import Any
from gradscope.store.event_sink import EventFileSink
sink = EventFileSink(Path({str(tmp_path)!r}))
sink.open()
print("open", flush=True)
input()
"""
    with subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"open\n"
        with pytest.raises(WriterError, match=r"is being written by another process\. Give each training a directory"):
            EventFileSink(tmp_path).open()
        child.kill()
    opened(tmp_path).close()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_forked_child_is_refused_and_leaves_its_parent_alone(tmp_path: Path) -> None:
    script = f"""
import os
import shutil
from gradscope.errors import WriterError
from gradscope.records import Session
from gradscope.store.event_sink import EventFileSink
parent = EventFileSink({str(tmp_path)!r})
parent.open()
child = os.fork()
if child == 0:
    try:
        EventFileSink({str(tmp_path)!r}).open()
    except WriterError:
        os._exit(7)
    os._exit(0)
_, status = os.waitpid(child, 0)
parent.write(Session(0, 0.0, False, "parent"))
print(os.waitstatus_to_exitcode(status))
"""
    answer = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert answer.stdout == "7\n"
    previous = read_previous(tmp_path)
    assert previous is not None
    assert previous.session.fingerprint == "parent"


# --- death and full disks ---


@pytest.mark.parametrize("delay", [0.0, 0.013, 0.05])
def test_a_killed_process_loses_nothing_that_was_written(tmp_path: Path, delay: float) -> None:
    script = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parents[1])!r})
import itertools
import numpy as np
from runs import network, session
from gradscope.records import NetworkChange, StepRecord
from gradscope.schema import ACTIVATIONS, STEPS
from gradscope.store.event_sink import EventFileSink
sink = EventFileSink({str(tmp_path)!r})
sink.open()
sink.write(session())
sink.write(NetworkChange(0, 0.0, network("relu", [str(i) for i in range(50)])))
activations = np.random.rand(50, len(ACTIVATIONS.statistics)).astype(np.float32)
for number in itertools.count():
    sink.write(StepRecord(number, 0, 0.0, np.zeros(len(STEPS.statistics), np.float32), activations))
    print(number, flush=True)
"""
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        time.sleep(delay)
        child.kill()
        told = [int(line) for line in child.stdout.read().splitlines(keepends=True) if line.endswith(b"\n")]
    last_told = max(told, default=0)
    found = recorded_steps(tmp_path)
    assert found == list(range(len(found)))
    assert len(found) >= last_told + 1
    # Only the record that was being written when the process died may be cut short.
    assert all("unfinished record" in sentence for sentence in read_records(tmp_path).lost)


@contextlib.contextmanager
def small_files(size: int) -> Iterator[None]:
    """Let no file grow beyond ``size`` bytes: a real refusal by the system, in the middle of a write.

    Only within a test: the limit is the whole process's, and pytest may write its own output to a file.
    """
    resource: Any = pytest.importorskip("resource", reason="this system does not limit the size of files")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_a_record_that_is_refused_half_way_is_taken_back(tmp_path: Path) -> None:
    sink = opened(tmp_path)
    sink.write(step(1))
    (file,) = event_files(tmp_path / "gradscope")
    size = file.stat().st_size
    for _ in range(2):
        refused = pytest.raises(WriterError, match="cannot be written: File too large")
        with refused as caught, small_files(20_000):
            sink.write(step(2, size=20_000 // 88 + 1))
        assert isinstance(caught.value.__cause__, OSError)
        assert file.stat().st_size == size
    sink.write(step(3, size=1))
    sink.close()
    assert recorded_steps(tmp_path) == [1, 3]
    assert read_records(tmp_path).lost == ()


def test_a_first_record_that_is_refused_does_not_spoil_the_file(tmp_path: Path) -> None:
    sink = EventFileSink(tmp_path)
    sink.open()
    with pytest.raises(WriterError), small_files(20_000):
        sink.write(NetworkChange(0, 0.0, network("relu", ["x" * 20_000, "b"])))
    for record in healthy()[:2]:
        sink.write(record)
    sink.close()
    assert [repr(record) for record in read_records(tmp_path).records] == [repr(record) for record in healthy()[:2]]


@pytest.fixture
def full_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 64 kB, where the system lets us make one."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if not shutil.which("mount"):
        pytest.skip("no file system can be mounted here; the limit on file size stands in for it")
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", disk], capture_output=True, check=False)
    if mounted.returncode:
        pytest.skip("no file system can be mounted here; the limit on file size stands in for it")
    yield disk
    subprocess.run(["umount", disk], check=True)


def test_a_full_disk_is_told_and_what_was_written_before_is_read(full_disk: Path) -> None:
    sink = opened(full_disk)
    numbers = itertools.count()
    with pytest.raises(WriterError, match=f"cannot be written: {os.strerror(errno.ENOSPC)}"):
        collections.deque(sink.write(step(number, size=100)) for number in numbers)
    sink.close()
    found = recorded_steps(full_disk)
    assert found == list(range(len(found)))
    assert len(found) > 2
    assert read_records(full_disk).lost == ()
