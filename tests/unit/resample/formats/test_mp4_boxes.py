"""What the boxes of an MP4 or QuickTime file tell: whether its sound is encrypted, and how PCM is packed."""

from __future__ import annotations

import struct

import pytest

from resample.formats.mp4_boxes import Boxes
from resample.formats.mp4_protection import is_protected
from resample.formats.mp4_samples import has_padded_samples


def box(name: bytes, *content: bytes, size: int | None = None, is_long: bool = False) -> bytes:
    body = b"".join(content)
    if is_long:
        return struct.pack(">I4sQ", 1, name, 16 + len(body)) + body
    return struct.pack(">I4s", 8 + len(body) if size is None else size, name) + body


def track(*entries: bytes, is_long: bool = False) -> bytes:
    description = box(b"stsd", struct.pack(">II", 0, len(entries)), *entries, is_long=is_long)
    return box(b"trak", box(b"tkhd", bytes(20)), box(b"mdia", box(b"minf", box(b"stbl", description))))


def file(*tracks: bytes) -> bytes:
    return box(b"ftyp", b"M4A ") + box(b"mdat", bytes(100)) + box(b"moov", box(b"mvhd", bytes(30)), *tracks)


def entry(name: bytes) -> bytes:
    return box(name, bytes(28))


def protected(content: bytes, start: int = 0) -> bool:
    return is_protected(lambda offset, length: content[offset : offset + length], len(content), start)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (file(track(entry(b"mp4a"))), False),
        (file(track(entry(b"enca"))), True),
        (file(track(entry(b"drms"))), True),
        (file(track(entry(b"enca")), track(entry(b"mp4a"))), False),
        (file(track(entry(b"mp4a")), track(entry(b"enca"))), False),
        (file(track(entry(b"enca"), entry(b"mp4a"))), False),
        (file(track(entry(b"avc1")), track(entry(b"enca"))), True),
        (file(track(entry(b"avc1"))), False),
        (file(), False),
        (b"", False),
        (file(track(entry(b"enca"), is_long=True)), True),
        (file(track(box(b"enca", bytes(28), size=0))), True),
    ],
    ids=[
        "open",
        "encrypted",
        "FairPlay",
        "one of two",
        "the other of two",
        "both in a track",
        "beside pictures",
        "pictures",
        "no track",
        "nothing",
        "long boxes",
        "a box to the end",
    ],
)
def test_whether_all_sound_is_encrypted(content: bytes, expected: bool) -> None:
    assert protected(content) is expected
    assert protected(b"junk" + content, 4) is expected


def test_boxes_that_make_no_sense_end_the_search() -> None:
    good = file(track(entry(b"enca")))

    assert not protected(box(b"free", size=7) + good)
    assert protected(box(b"free", size=8) + good)
    assert not protected(box(b"free", bytes(10), size=1 << 30) + good)
    assert not protected(good[:20])


def test_the_name_alone_is_no_box() -> None:
    """``moov`` at the top, and its boxes in their places."""
    assert not protected(box(b"udta", file(track(entry(b"enca")))))
    assert not protected(box(b"trak", box(b"moov", track(entry(b"enca")))))


def test_there_is_a_bound() -> None:
    def boxes(count: int) -> list[bytes]:
        content = box(b"free") * count + box(b"last")
        found = Boxes(lambda offset, length: content[offset : offset + length], len(content), 0)
        return [found_box.name for found_box in found.find(b"last")]

    assert boxes(1999) == [b"last"]
    assert boxes(2000) == []


@pytest.mark.parametrize(("offset", "number"), [(0, 0x0102), (2, 0x0304), (3, 0), (4, 0)])
def test_a_number_stands_inside_its_box(offset: int, number: int) -> None:
    content = box(b"free", b"\1\2\3\4") + b"\5\6\7\x08"
    boxes = Boxes(lambda at, length: content[at : at + length], len(content), 0)
    (found,) = boxes.find(b"free")

    assert boxes.number(found, offset, 2) == number


def padded(
    *, version: int = 2, channels: int = 2, bits: int = 24, packet_bytes: int = 8, name: bytes = b"lpcm"
) -> bool:
    body = bytearray(64)
    struct.pack_into(">H", body, 8, version)
    struct.pack_into(">I", body, 40, channels)
    struct.pack_into(">I", body, 48, bits)
    struct.pack_into(">I", body, 56, packet_bytes)
    content = file(track(box(name, bytes(body))))
    return has_padded_samples(lambda offset, length: content[offset : offset + length], len(content), 0)


def test_samples_that_do_not_fill_their_bytes() -> None:
    assert padded()
    assert padded(bits=20, channels=1, packet_bytes=4)
    assert not padded(packet_bytes=6)
    assert not padded(bits=17, packet_bytes=6)
    assert not padded(bits=32)
    assert not padded(version=1)
    assert not padded(name=b"sowt")
    assert not padded(bits=0)
    assert not padded(channels=0)
    short = file(track(box(b"lpcm", bytes(8) + b"\0\2" + bytes(20))))
    assert not has_padded_samples(lambda offset, length: short[offset : offset + length], len(short), 0)
