"""Following a run that is being written: each call reads what has come since the last one, and nothing twice.

What is read so far travels as a `Following`, so that a caller decides when to read on. A record that lies there by half
is left until the rest has come; the files of a resumed training are met as they appear; nothing is ever written.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from gradscope.records import Record
from gradscope.store.decoding import Decoding, decoded
from gradscope.store.event_files import FOLDER, event_files
from gradscope.store.tfrecord import HEADER_SIZE, Unframed, said_of_skipped, said_of_unreadable, unframed

CHUNK: Final = 4 << 20
"""Bytes that one call reads of a file, more only where a single record is longer: a long run is never in memory."""


@dataclass(frozen=True, slots=True)
class Place:
    """How far a file is read.

    Attributes:
        size: Bytes of the records that are read; a record that is not whole yet begins there.
        decoding: What decoding the next record depends on.
        damaged: Where the records begin that are skipped as damaged.
        unreadable_size: Bytes behind all of them that cannot be read, because the length of a record is damaged.
    """

    size: int = 0
    decoding: Decoding = field(default_factory=Decoding)
    damaged: tuple[int, ...] = ()
    unreadable_size: int = 0

    @property
    def lost(self) -> tuple[str, ...]:
        """One sentence for each kind of loss."""
        return (
            *([f"{said_of_skipped(self.damaged)}."] if self.damaged else []),
            *([f"{said_of_unreadable(self.size, self.unreadable_size)}."] if self.unreadable_size else []),
            *self.decoding.lost,
        )


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
    def lost(self) -> tuple[str, ...]:
        """One sentence for each loss by damage."""
        return tuple(f"{file.name}: {text}" for file, place in self.places.items() for text in place.lost)


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
            found, places[file], is_behind = _read(file, place)
        except FileNotFoundError:
            continue
        records += found
    return records, Following(following.path, places, is_behind)


def _files(path: Path) -> tuple[Path, ...]:
    return (path,) if path.is_file() else event_files(path / FOLDER) or event_files(path)


def _read(file: Path, place: Place) -> tuple[list[Record], Place, bool]:
    """Return the records behind ``place`` that are whole, the place behind them, and whether there may be more."""
    size = file.stat().st_size
    if size == place.size:
        return [], replace(place, unreadable_size=0), False
    if size < place.size:
        place = Place()
    with file.open("rb") as stream:
        stream.seek(place.size)
        content = stream.read(CHUNK)
        while _is_within_a_record(found := unframed(content)) and (more := stream.read(len(content))):
            content += more
        behind = stream.seek(0, os.SEEK_END) - place.size - found.size
    records: list[Record] = []
    decoding = place.decoding
    for payload in found.payloads:
        record, decoding = decoded(file, payload, decoding)
        records += [] if record is None else [record]
    # Zeros are no damage: a network file system may have to fill them yet.
    is_damaged = found.ending == "damaged" and any(content[found.size : found.size + HEADER_SIZE])
    place = Place(
        size=place.size + found.size,
        decoding=decoding,
        damaged=(*place.damaged, *(place.size + at for at in found.damaged)),
        unreadable_size=behind if is_damaged else 0,
    )
    return records, place, found.size > 0 and len(content) >= CHUNK


def _is_within_a_record(found: Unframed) -> bool:
    return found.ending == "unfinished" and not found.size
