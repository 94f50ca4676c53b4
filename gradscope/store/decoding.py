"""The records in the payloads of one event file; one that makes no sense is counted and does not hide the others."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

from google.protobuf.message import DecodeError

from gradscope.errors import RunFormatError
from gradscope.records import Record
from gradscope.store.events import Reading, decode


@dataclass(frozen=True, slots=True)
class Decoding:
    """How far an event file is decoded.

    Attributes:
        reading: What decoding the next record depends on.
        broken_count: Records that make no sense.
    """

    reading: Reading = field(default_factory=Reading)
    broken_count: int = 0

    @property
    def lost(self) -> tuple[str, ...]:
        """One sentence for each kind of loss."""
        broken, orphans = self.broken_count, self.reading.orphan_count
        return (
            *([f"{broken} of its records make no sense and are skipped."] if broken else []),
            *([f"{orphans} tables are skipped: the record that describes them is lost."] if orphans else []),
        )


def decoded(file: Path, payload: bytes, decoding: Decoding) -> tuple[Record | None, Decoding]:
    """Return the record that ``payload`` holds, None where it holds none, and how far ``file`` is decoded then.

    Raises:
        RunFormatError: If the file is of a newer major version.
    """
    try:
        record, reading = decode(payload, decoding.reading)
    except RunFormatError as error:
        raise RunFormatError(f"{file}: {error}") from None
    except (DecodeError, ValueError, KeyError, TypeError, IndexError):
        return None, replace(decoding, broken_count=decoding.broken_count + 1)
    return record, replace(decoding, reading=reading)
