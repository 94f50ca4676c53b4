"""The sink that writes a run's event file while the training runs.

A record is one `write` to an unbuffered file, on the caller's thread: what was written survives the death of the
process. One training writes to a directory at a time; a file lock sees to it.
"""

from __future__ import annotations

import contextlib
import io
import itertools
import os
import re
import socket
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, get_args

import filelock

from gradscope.errors import ArgumentError, RunFormatError, WriterError
from gradscope.records import Record
from gradscope.store.event_files import FOLDER, RecordReader, begun_at, event_files
from gradscope.store.events import Writing, encode, file_version
from gradscope.store.layout import Layout
from gradscope.store.sink import Previous, after, previous_of
from gradscope.store.tfrecord import framed
from gradscope.store.time_series import Scalars

LOCK_NAME: Final = "writer.lock"

_open_sinks: dict[Path, EventFileSink] = {}
"""Sinks of this process that hold a directory. Keras skips ``on_train_end`` when ``fit`` raises, so that a sink may
stay open after its training is dead; the next one in the same thread takes over from it."""

_file_numbers = itertools.count()


@dataclass(frozen=True, slots=True)
class _Left:
    """A directory as this process left it, which need not be read again if nobody has written to it since."""

    stamp: tuple[tuple[str, int, int], ...]
    previous: Previous | None
    layouts: Mapping[str, Layout]


_left: dict[Path, _Left] = {}


class EventFileSink:
    """Writes the records of one training to an event file in ``log_dir/gradscope``.

    Args:
        log_dir: The run's directory; made if it is missing.
        scalars: What TensorBoard's Time Series tab gets: ``"auto"`` for scalars of each layer, or extremes and means
            above 30 layers; ``"all"`` for each layer always; ``"none"``.

    Raises:
        ArgumentError: If ``scalars`` is another word.

    Example:
        >>> import tempfile
        >>> from gradscope.records import Session
        >>> from gradscope.store.event_files import read_previous
        >>> log_dir = tempfile.mkdtemp()
        >>> sink = EventFileSink(log_dir)
        >>> sink.open() is None
        True
        >>> sink.write(Session(step=0, wall_time=0.0, resumed=False, fingerprint="a1"))
        >>> sink.close()
        >>> read_previous(log_dir).session.fingerprint
        'a1'
    """

    def __init__(self, log_dir: str | Path, *, scalars: Scalars = "auto") -> None:
        if scalars not in get_args(Scalars):
            raise ArgumentError(f'scalars={scalars!r} is not known. Pass "auto", "all" or "none".')
        self.log_dir = Path(log_dir)
        self._scalars: Scalars = scalars
        self._folder = self.log_dir / FOLDER
        self._writing = Writing(scalars)
        self._lock: filelock.BaseFileLock | None = None
        self._file: io.FileIO | None = None
        self._size = 0
        self._previous: Previous | None = None
        self._owner = (os.getpid(), threading.current_thread())

    def open(self) -> Previous | None:
        """Make the directory, lock it, and return what is recorded there already, or None.

        Raises:
            WriterError: If the directory is a file, cannot be written, is being written by another training, or holds
                a run of a newer version.
        """
        self._make_folder()
        self._take_over()
        self._owner = (os.getpid(), threading.current_thread())
        self._acquire_lock()
        left = _left.pop(self._key, None)
        if left is None or left.stamp != self._stamp():
            left = self._read()
        self._previous = left.previous
        self._writing = Writing(self._scalars, layouts=left.layouts)
        return self._previous

    def write(self, record: Record) -> None:
        """Append ``record`` to the file, which begins with the first record.

        A record that could not be written whole is taken back, so that later ones can be read.

        Raises:
            WriterError: If the disk refuses it, the sink is not open, or another training took the directory over.
            ShapeError: If the record does not fit the network written before.
        """
        if self._lock is None:
            raise WriterError(
                f"The sink of {str(self.log_dir)!r} is not open: it was closed, or another took the directory over. "
                "Give each training one GradScope, with a directory of its own."
            )
        payloads, writing = encode(record, self._writing)
        if not self._size:
            payloads = (file_version(record.wall_time), *payloads)
        try:
            if self._file is None:
                self._file = io.FileIO(self._new_path(record.wall_time), "xb")
            self._append(self._file, b"".join(map(framed, payloads)))
        except OSError as error:
            raise WriterError(f"{str(self._folder)!r} cannot be written: {error.strerror or error}.") from error
        self._writing = writing
        self._previous = after(self._previous, record)

    def close(self) -> None:
        """Close the file and release the directory; harmless when closed already."""
        if self._file is not None:
            with contextlib.suppress(OSError):  # nothing is buffered that closing could lose
                self._file.close()
        if self._lock is not None:
            with contextlib.suppress(OSError):
                _left[self._key] = _Left(self._stamp(), self._previous, self._writing.layouts)
            self._lock.release()
        if _open_sinks.get(self._key) is self:
            del _open_sinks[self._key]
        self._file, self._lock, self._size = None, None, 0

    def _read(self) -> _Left:
        reader = RecordReader(event_files(self._folder))
        try:
            previous = previous_of(reader)
        except (RunFormatError, OSError) as error:
            self.close()
            _left.pop(self._key, None)
            raise WriterError(f"log_dir={str(self.log_dir)!r} cannot be continued. {error}") from error
        return _Left((), previous, reader.layouts)

    def _stamp(self) -> tuple[tuple[str, int, int], ...]:
        files = [(file.name, file.stat()) for file in event_files(self._folder)]
        return tuple((name, stat.st_size, stat.st_mtime_ns) for name, stat in files)

    @property
    def _key(self) -> Path:
        return self._folder.resolve()

    def _make_folder(self) -> None:
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError) as error:
            file = next(path for path in (self._folder, *self._folder.parents) if path.is_file())
            raise WriterError(
                f"log_dir={str(self.log_dir)!r} cannot be made: {str(file)!r} is a file. Pass a directory."
            ) from error
        except OSError as error:
            raise _not_writable(self.log_dir, error) from error

    def _take_over(self) -> None:
        """Close the sink of a dead training in this thread, or complain about a live one in another."""
        earlier = _open_sinks.get(self._key)
        if earlier is None:
            return
        process, thread = earlier._owner
        if process != os.getpid():
            return  # inherited by a fork: the lock tells whether the parent still writes
        if thread is not threading.current_thread() and thread.is_alive():
            raise _in_use(self.log_dir, f"thread {thread.name!r} of this process")
        earlier.close()

    def _acquire_lock(self) -> None:
        # Not thread-local: a sink whose thread ended is released from another.
        lock = filelock.FileLock(self._folder / LOCK_NAME, timeout=0, thread_local=False)
        try:
            lock.acquire()
        except filelock.Timeout as error:
            raise _in_use(self.log_dir, "another process") from error
        except OSError as error:
            raise _not_writable(self.log_dir, error) from error
        self._lock = lock
        _open_sinks[self._key] = self

    def _new_path(self, wall_time: float) -> Path:
        """Return the file's path, whose name comes behind all others: TensorBoard follows the last one by name."""
        begun = max(int(wall_time), *(begun_at(file) + 1 for file in event_files(self._folder)), 0)
        host = re.sub(r"[^\w-]", "_", socket.gethostname())
        name = f"events.out.tfevents.{begun:010d}.{host}.{os.getpid()}.{next(_file_numbers)}.gradscope"
        return self._folder / name

    def _append(self, file: io.FileIO, data: bytes) -> None:
        rest = memoryview(data)
        try:
            while rest:  # a disk that fills up takes a part first, and refuses the rest
                rest = rest[file.write(rest) :]
        except OSError:
            with contextlib.suppress(OSError):
                file.truncate(self._size)
                file.seek(self._size)
            raise
        self._size += len(data)


def _in_use(log_dir: Path, by: str) -> WriterError:
    return WriterError(
        f"log_dir={str(log_dir)!r} is being written by {by}. Give each training a directory of its own, "
        f"for example {str(log_dir) + '-2'!r}."
    )


def _not_writable(log_dir: Path, error: OSError) -> WriterError:
    return WriterError(
        f"log_dir={str(log_dir)!r} cannot be written: {error.strerror or error}. Pass another directory."
    )
