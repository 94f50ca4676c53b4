"""TFRecord framing: how one record after the other lies in an event file, and what of a damaged file can be read.

A record is its length (8 bytes), a checksum of the length (4), the payload, and a checksum of the payload (4), little
endian. A checksum is a CRC32C, rotated and shifted, so that checksums of data that hold checksums stay good ones.

Source: the format that TensorFlow's ``record_writer.h`` defines.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import cast

import google_crc32c

_HEADER = struct.Struct("<QI")
_FOOTER = struct.Struct("<I")
_OVERHEAD = _HEADER.size + _FOOTER.size


@dataclass(frozen=True, slots=True)
class Unframed:
    """What a file's bytes hold.

    Attributes:
        payloads: The payloads of all records that are whole.
        lost: One sentence for each kind of loss; empty for a sound file.
    """

    payloads: tuple[bytes, ...]
    lost: tuple[str, ...]


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
    ending: tuple[str, ...] = ()
    at, size = 0, len(content)
    while at < size:
        if size - at < _HEADER.size:
            ending = (_unfinished(size - at),)
            break
        length, length_crc = _HEADER.unpack_from(content, at)
        if _masked_crc(content[at : at + 8]) != length_crc:
            ending = (f"nothing behind byte {at} can be read, {size - at} bytes: the length of a record is damaged",)
            break
        end = at + _OVERHEAD + length
        if end > size:
            ending = (_unfinished(size - at),)
            break
        payload = content[at + _HEADER.size : end - _FOOTER.size]
        if _FOOTER.unpack_from(content, end - _FOOTER.size)[0] == _masked_crc(payload):
            payloads.append(payload)
        else:
            damaged.append(at)
        at = end
    skipped = (f"{_records(len(damaged))} skipped, damaged from byte {damaged[0]} on",) if damaged else ()
    return Unframed(tuple(payloads), skipped + ending)


def _unfinished(size: int) -> str:
    return f"the last {size} bytes are an unfinished record"


def _records(count: int) -> str:
    return "1 record is" if count == 1 else f"{count} records are"


def _masked_crc(data: bytes) -> int:
    crc = cast("int", google_crc32c.value(data))  # pyright: ignore[reportUnknownMemberType] - it has no annotations
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF
