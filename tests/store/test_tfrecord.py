import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradscope.store.tfrecord import framed, unframed


def slow_masked_crc(data: bytes) -> int:
    """CRC32C bit by bit, as RFC 3720 defines it, then TFRecord's mask."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82F63B78 if crc & 1 else 0)
    crc ^= 0xFFFFFFFF
    return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) % 2**32


@given(st.binary(max_size=40))
def test_a_record_is_length_checksum_payload_checksum(payload: bytes) -> None:
    length = struct.pack("<Q", len(payload))
    expected = (
        length + struct.pack("<I", slow_masked_crc(length)) + payload + struct.pack("<I", slow_masked_crc(payload))
    )
    assert framed(payload) == expected


@given(st.lists(st.binary(max_size=30), max_size=6))
def test_what_is_framed_comes_back(payloads: list[bytes]) -> None:
    content = unframed(b"".join(map(framed, payloads)))
    assert (list(content.payloads), content.lost) == (payloads, ())


@given(st.lists(st.binary(max_size=30), min_size=1, max_size=6), st.data())
def test_a_file_cut_anywhere_gives_every_whole_record_and_tells_the_rest(payloads: list[bytes], data: st.DataObject):
    whole = b"".join(map(framed, payloads))
    cut = data.draw(st.integers(0, len(whole)))
    ends = [sum(len(framed(p)) for p in payloads[:count]) for count in range(len(payloads) + 1)]
    complete = sum(end <= cut for end in ends[1:])
    content = unframed(whole[:cut])
    assert list(content.payloads) == payloads[:complete]
    rest = cut - ends[complete]
    assert content.lost == ((f"the last {rest} bytes are an unfinished record",) if rest else ())
    assert (content.size, content.rest) == (ends[complete], rest)
    assert content.ending == ("unfinished" if rest else "whole")


@given(st.lists(st.binary(max_size=30), min_size=1, max_size=6), st.data())
def test_a_flipped_bit_never_gives_a_wrong_payload_and_is_always_told(payloads: list[bytes], data: st.DataObject):
    content = bytearray(b"".join(map(framed, payloads)))
    place = data.draw(st.integers(0, len(content) - 1))
    content[place] ^= 1 << data.draw(st.integers(0, 7))
    ends = [sum(len(framed(p)) for p in payloads[: count + 1]) for count in range(len(payloads))]
    hit = sum(end <= place for end in ends)
    in_header = place - (ends[hit - 1] if hit else 0) < 12
    result = unframed(bytes(content))
    assert list(result.payloads) == (payloads[:hit] if in_header else payloads[:hit] + payloads[hit + 1 :])
    assert len(result.lost) == 1


def test_records_with_a_damaged_payload_are_counted_in_one_sentence() -> None:
    records = [bytearray(framed(b"payload")) for _ in range(5)]
    records[1][14] ^= 1
    records[3][14] ^= 1
    content = unframed(b"".join(records))
    assert len(content.payloads) == 3
    assert content.lost == (f"2 records are skipped, damaged from byte {len(records[0])} on",)


def test_a_length_that_is_damaged_ends_the_file_even_where_it_would_ask_for_exabytes() -> None:
    record = bytearray(framed(b"payload"))
    record[7] ^= 0x70
    content = unframed(framed(b"first") + bytes(record) + framed(b"third"))
    assert content.payloads == (b"first",)
    assert "the length of a record is damaged" in content.lost[0]


@pytest.mark.parametrize("content", [b"", bytes(0)])
def test_an_empty_file_has_no_records_and_no_damage(content: bytes) -> None:
    assert unframed(content).payloads == unframed(content).lost == ()


def test_tensorboards_own_reader_takes_the_framing(tmp_path: Path) -> None:
    from tensorboard.compat.tensorflow_stub.pywrap_tensorflow import PyRecordReader_New

    file = tmp_path / "events"
    file.write_bytes(framed(b"first") + framed(b"second"))
    reader = PyRecordReader_New(str(file))
    found = []
    for _ in range(2):
        reader.GetNext()
        found.append(reader.record())
    assert found == [b"first", b"second"]
