"""Following a run that is being written: each call reads what has come since the last one, and nothing twice.

What is read so far travels as a `Following`, so that a caller decides when to read on. A record that lies there by half
is left until the rest has come; the files of a resumed training are met as they appear; nothing is ever written.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from google.protobuf.message import DecodeError

from gradscope.errors import RunFormatError
from gradscope.records import Record
from gradscope.store.event_files import FOLDER, event_files
from gradscope.store.events import Reading, decode
from gradscope.store.tfrecord import framed, unframed

CHUNK: Final = 4 << 20
"""Bytes that one call reads of a file, more only where a single record is longer: a long run is never in memory."""

_FRAME = len(framed(b""))
_LENGTH = 8


@dataclass(frozen=True, slots=True)
class Place:
    """How far a file is read.

    Attributes:
        size: Bytes of the records that are read; a record that is not whole yet begins there.
        pending: Bytes behind them, as last seen.
        reading: What decoding the next record depends on.
        damaged: One sentence for each stretch that holds damaged records.
        broken_count: Records that make no sense.
    """

    size: int = 0
    pending: int = 0
    reading: Reading = field(default_factory=Reading)
    damaged: tuple[str, ...] = ()
    broken_count: int = 0


@dataclass(frozen=True, slots=True)
class Following:
    """How far a run is read.

    Attributes:
        path: A run's log directory, its ``gradscope`` folder, or one event file; it need not exist yet.
        places: How far each of its event files is read.
        is_behind: Whether the last call left something that could be read at once.
    """

    path: Path
    places: Mapping[Path, Place] = field(default_factory=dict[Path, Place])
    is_behind: bool = False

    @property
    def has_begun(self) -> bool:
        """Whether there is an event file."""
        return bool(self.places)

    @property
    def lost(self) -> tuple[str, ...]:
        """One sentence for each loss by damage."""
        return tuple(f"{file.name}: {text}" for file, place in self.places.items() for text in _losses(place))


def read_on(following: Following) -> tuple[list[Record], Following]:
    """Return the records that have come since, in the order in which they were written, and how far the run is read.

    A file that has vanished is forgotten; one that is shorter than what was read of it is another file of the same
    name, and is read from its beginning.

    Raises:
        RunFormatError: If a file is of a newer major version.

    Example:
        >>> read_on(Following(Path("no/such/run")))[0]
        []
    """
    records: list[Record] = []
    places: dict[Path, Place] = {}
    is_behind = False
    # Files are listed before they are read: the last record of one is on the disk before the next is begun.
    for file in _files(following.path):
        place = following.places.get(file, Place())
        if is_behind:  # records must come in their order
            places |= {file: place} if file in following.places else {}
            continue
        try:
            content, place, is_behind = _read(file, place)
        except FileNotFoundError:
            continue
        found, places[file] = _decoded(file, content, place)
        records += found
    return records, Following(following.path, places, is_behind)


def _files(path: Path) -> tuple[Path, ...]:
    return (path,) if path.is_file() else event_files(path / FOLDER) or event_files(path)


def _read(file: Path, place: Place) -> tuple[bytes, Place, bool]:
    """Return the whole records behind ``place``, where they begin now, and whether there is more."""
    size = file.stat().st_size
    if size < place.size:
        place = Place()
    if size == place.size:
        return b"", replace(place, pending=0), False
    with file.open("rb") as stream:
        stream.seek(place.size)
        content = stream.read(CHUNK)
        needed = _frame_size(content, 0)
        if needed > CHUNK and place.size + needed <= size:
            content += stream.read(needed - CHUNK)
    whole = whole_size(content)
    is_behind = whole > 0 and len(content) >= CHUNK
    return content[:whole], replace(place, pending=0 if is_behind else len(content) - whole), is_behind


def whole_size(content: bytes) -> int:
    """Return how many bytes at the beginning of ``content`` are whole records.

    A length of 0 is none that gradscope writes: it is a hole that a network file system has not filled yet.

    Example:
        >>> whole_size(framed(b"whole") + framed(b"cut short")[:-1]) == len(framed(b"whole"))
        True
    """
    at = 0
    while (size := _frame_size(content, at)) > _FRAME and at + size <= len(content):
        at += size
    return at


def _frame_size(content: bytes, at: int) -> int:
    """Return the bytes of the record that begins at ``at``, by the length that stands there."""
    return int.from_bytes(content[at : at + _LENGTH], "little") + _FRAME


def _decoded(file: Path, content: bytes, place: Place) -> tuple[list[Record], Place]:
    """Return the records that ``content`` holds, and the place behind it."""
    records: list[Record] = []
    unpacked = unframed(content)
    reading, broken_count = place.reading, place.broken_count
    for payload in unpacked.payloads:
        try:
            record, reading = decode(payload, reading)
        except RunFormatError as error:
            raise RunFormatError(f"{file}: {error}") from None
        except (DecodeError, ValueError, KeyError, TypeError, IndexError):
            broken_count += 1
        else:
            records += [] if record is None else [record]
    damaged = place.damaged + tuple(f"behind byte {place.size:,}, {text}." for text in unpacked.lost)
    return records, Place(place.size + len(content), place.pending, reading, damaged, broken_count)


def _losses(place: Place) -> list[str]:
    lost = list(place.damaged)
    if place.broken_count:
        lost.append(f"{place.broken_count} of its records make no sense and are skipped.")
    if place.reading.orphan_count:
        lost.append(f"{place.reading.orphan_count} tables are skipped: the record that describes them is lost.")
    return lost
