"""The event files of a run: where they lie, and the records in them.

A run's directory holds a folder ``gradscope``; a training writes one file in it. The files are read in the order in
which they were begun, which their names tell.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gradscope import schema
from gradscope.errors import RunFormatError, RunNotFoundError
from gradscope.nearest import few
from gradscope.records import Record
from gradscope.store.decoding import Decoding, decoded
from gradscope.store.events import PLUGIN
from gradscope.store.layout import Layout
from gradscope.store.sink import Previous, previous_of
from gradscope.store.tfrecord import unframed

FOLDER: Final = PLUGIN
"""The folder in a run's directory that holds its event files."""

_NAME = re.compile(r"events\.out\.tfevents\.(\d+)\..*\.gradscope")


@dataclass(frozen=True, slots=True)
class RunContent:
    """All that a run's event files hold.

    Attributes:
        records: In the order in which they were written.
        lost: One sentence for each loss by damage.
    """

    records: tuple[Record, ...]
    lost: tuple[str, ...]


class RecordReader:
    """Iterates over the records of event files; what else was met is complete when it has ended.

    Attributes:
        layouts: Every layout met, by tag.
        lost: One sentence for each loss by damage.

    Raises:
        RunFormatError: While iterating, if a file is of a newer major version.
    """

    def __init__(self, files: Iterable[Path]) -> None:
        self.layouts: dict[str, Layout] = {}
        self.lost: list[str] = []
        self._files = tuple(files)

    def __iter__(self) -> Iterator[Record]:
        version = schema.VERSION
        for file in self._files:
            content = unframed(file.read_bytes())
            self.lost += [f"{file.name}: {sentence}." for sentence in content.lost]
            decoding = Decoding()
            for payload in content.payloads:
                record, decoding = decoded(file, payload, decoding)
                if record is not None:
                    yield record
            self.lost += [f"{file.name}: {sentence}" for sentence in decoding.lost]
            self.layouts |= decoding.reading.layouts
            version = max(version, decoding.reading.version)
        if version != schema.VERSION:
            newer, ours = map(schema.version_text, (version, schema.VERSION))
            warnings.warn(
                f"The run was recorded in format {newer}, by a newer gradscope; this one knows {ours} and leaves out "
                "what is new. To see all of it: pip install --upgrade keras-gradscope",
                stacklevel=2,
            )


def read_records(path: str | Path) -> RunContent:
    """Return the records of the run at ``path``.

    Args:
        path: A run's log directory, its ``gradscope`` folder, or one event file.

    Raises:
        RunNotFoundError: If there is nothing at ``path``, or nothing that gradscope wrote; it says what is there.
        RunFormatError: If the files are empty, damaged beyond reading, or of a newer major version.
    """
    files = run_files(path)
    reader = RecordReader(files)
    records = tuple(reader)
    if not records:
        raise _unreadable(files, reader.lost)
    return RunContent(records, tuple(reader.lost))


def read_previous(log_dir: str | Path) -> Previous | None:
    """Return the last session recorded in ``log_dir`` and its last step; None if there is none.

    Raises:
        RunFormatError: If the run is of a newer major version.
    """
    return previous_of(RecordReader(event_files(Path(log_dir) / FOLDER)))


def event_files(folder: Path) -> tuple[Path, ...]:
    """Return the event files in ``folder`` that gradscope wrote, oldest first; none if there is no such folder."""
    begun = ((begun_at(file), file) for file in folder.glob("*.gradscope"))
    return tuple(file for time, file in sorted(begun, key=lambda item: (item[0], item[1].name)) if time >= 0)


def begun_at(file: Path) -> int:
    """Return the time in the name of an event file, in seconds since 1970; -1 if gradscope did not name it.

    Example:
        >>> begun_at(Path("events.out.tfevents.1700000000.host.17.0.gradscope"))
        1700000000
    """
    match = _NAME.fullmatch(file.name)
    return int(match[1]) if match else -1


def run_directories(parent: str | Path) -> list[Path]:
    """Return every directory at or below ``parent`` that holds a recorded run, sorted.

    Raises:
        RunNotFoundError: If there is no directory at ``parent``.
    """
    parent = Path(parent)
    if not parent.is_dir():
        raise RunNotFoundError(f"{str(parent)!r} is no directory. Pass the directory that holds the runs.")
    return sorted(folder.parent for folder in parent.rglob(FOLDER) if folder.is_dir() and event_files(folder))


def run_name(path: Path) -> str:
    """Return what to call the run at ``path``: its directory's name.

    Example:
        >>> run_name(Path("logs/mlp")), run_name(Path("logs/mlp/gradscope"))
        ('mlp', 'mlp')
    """
    path = path.resolve()
    path = path.parent if path.is_file() else path
    return path.parent.name if path.name == FOLDER else path.name


def run_files(path: str | Path) -> tuple[Path, ...]:
    """Return the event files of the run at ``path``, oldest first.

    Raises:
        RunNotFoundError: If there are none; it says what is there.
    """
    path = Path(path)
    if path.is_file():
        return (path,)
    if not path.exists():
        raise RunNotFoundError(f"There is nothing at {str(path)!r}.{_nearest(path)}")
    files = event_files(path / FOLDER) or event_files(path)
    if not files:
        raise RunNotFoundError(f"{str(path)!r} holds no run that gradscope recorded. {_found(path)}")
    return files


def _nearest(path: Path) -> str:
    """Return what there is on the way to a path that is missing."""
    parent = next((parent for parent in path.absolute().parents if parent.is_dir()), None)
    return "" if parent is None else f" In {str(parent)!r} there is: {_names(parent)}."


def _found(path: Path) -> str:
    if (path / FOLDER).is_dir():
        return f"Its folder {FOLDER!r} holds no record: a training began there and recorded nothing."
    if runs := [folder.parent for folder in _near(path, FOLDER) if folder.is_dir() and event_files(folder)]:
        return f"Runs lie below it: {_few(runs)}. Load one of them, or all with gradscope.load_runs."
    if others := [file.parent for file in _near(path, "events.out.tfevents.*")]:
        return f"It holds event files of another writer, as Keras' TensorBoard callback makes them: {_few(others)}."
    return f"It holds: {_names(path)}."


def _near(path: Path, pattern: str) -> list[Path]:
    """Return what lies in ``path`` or up to two folders below: an error must not walk through a whole disk."""
    return [found for depth in range(3) for found in path.glob("*/" * depth + pattern)]


def _few(paths: Iterable[Path]) -> str:
    return few(sorted({repr(str(path)) for path in paths}), 5)


def _names(folder: Path) -> str:
    names = sorted(entry.name + "/" * entry.is_dir() for entry in folder.iterdir())
    return few(names, 8) or "nothing"


def _unreadable(files: tuple[Path, ...], lost: list[str]) -> RunNotFoundError | RunFormatError:
    """Return the error that says why ``files`` hold no record."""
    named = ", ".join(repr(str(file)) for file in files[:3])
    if lost:
        return RunFormatError(f"No record can be read from {named}. {' '.join(lost)}")
    if not any(file.stat().st_size for file in files):
        return RunFormatError(
            f"{named} is empty: the training ended before it recorded anything, or its disk was full."
        )
    return RunNotFoundError(f"{named} is an event file, but it holds nothing that gradscope recorded.")
