"""TFRecord framing: how one record after the other lies in an event file, and what of a damaged file can be read.

A record is its length (8 bytes), a checksum of the length (4), the payload, and a checksum of the payload (4), little
endian. A checksum is a CRC32C, rotated and shifted, so that checksums of data that hold checksums stay good ones.

Source: the format that TensorFlow's ``record_writer.h`` defines.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias, cast

import google_crc32c

_HEADER = struct.Struct("<QI")
_FOOTER = struct.Struct("<I")
_OVERHEAD = _HEADER.size + _FOOTER.size

HEADER_SIZE: Final = _HEADER.size
"""Bytes of a record's length and of the checksum of that."""

Ending: TypeAlias = Literal["whole", "unfinished", "damaged"]
"""What is behind the records: nothing; the beginning of one; or one whose length is damaged, so that none is found."""


@dataclass(frozen=True, slots=True)
class Unframed:
    """What a file's bytes hold.

    Attributes:
        payloads: The payloads of all records that are whole.
        damaged: Where the records begin that are skipped because their own checksum is wrong.
        size: Bytes of the records, damaged ones included; the first of those behind them, where reading on begins.
        rest: Bytes behind them.
        ending: What those are.
    """

    payloads: tuple[bytes, ...]
    damaged: tuple[int, ...]
    size: int
    rest: int
    ending: Ending

    @property
    def lost(self) -> tuple[str, ...]:
        """One sentence for each kind of loss; empty for a sound file."""
        skipped = (said_of_skipped(self.damaged),) if self.damaged else ()
        match self.ending:
            case "whole":
                return skipped
            case "unfinished":
                return (*skipped, f"the last {self.rest} bytes are an unfinished record")
            case "damaged":
                return (*skipped, said_of_unreadable(self.size, self.rest))


def said_of_skipped(damaged: Sequence[int]) -> str:
    """Return that records are skipped, those that begin at the bytes ``damaged``."""
    records = "1 record is" if len(damaged) == 1 else f"{len(damaged)} records are"
    return f"{records} skipped, damaged from byte {damaged[0]} on"


def said_of_unreadable(at: int, size: int) -> str:
    """Return that the ``size`` bytes from ``at`` on cannot be read."""
    return f"nothing behind byte {at} can be read, {size} bytes: the length of a record is damaged"


def framed(payload: bytes) -> bytes:
    """Return ``payload`` as one record of an event file.

    Example:
        >>> unframed(framed(b"first") + framed(b"second")).payloads
        (b'first', b'second')
    """
    header = len(payload).to_bytes(8, "little")
    return b"".join(
        (header, _FOOTER.pack(_masked_crc(header)), payload, _FOOTER.pack(_masked_crc(payload))),
    )


def unframed(content: bytes) -> Unframed:
    """Return the records of a file's bytes; damage loses the records it hits, and is told.

    A record whose own checksum is wrong is skipped. Where a length is wrong, or the file ends within a record, nothing
    behind it can be found.

    Example:
        >>> unframed(framed(b"whole") + framed(b"cut short")[:-1]).lost
        ('the last 24 bytes are an unfinished record',)
    """
    payloads: list[bytes] = []
    damaged: list[int] = []
    at, size = 0, len(content)
    ending: Ending = "whole"
    while at < size:
        if size - at < _HEADER.size:
            ending = "unfinished"
            break
        length, length_crc = _HEADER.unpack_from(content, at)
        if _masked_crc(content[at : at + 8]) != length_crc:
            ending = "damaged"
            break
        end = at + _OVERHEAD + length
        if end > size:
            ending = "unfinished"
            break
        payload = content[at + _HEADER.size : end - _FOOTER.size]
        if _FOOTER.unpack_from(content, end - _FOOTER.size)[0] == _masked_crc(payload):
            payloads.append(payload)
        else:
            damaged.append(at)
        at = end
    return Unframed(tuple(payloads), tuple(damaged), at, size - at, ending)


def _masked_crc(data: bytes) -> int:
    crc = cast("int", google_crc32c.value(data))  # pyright: ignore[reportUnknownMemberType] - it has no annotations
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF
