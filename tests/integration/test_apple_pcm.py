"""PCM in Apple's containers, whose samples need not fill their bytes: 24 bits in four."""

from __future__ import annotations

import math
import struct
from pathlib import Path
from typing import Literal

import pytest

from audiojobs.errors import UnsupportedFormat
from tests.audio import headers, measure
from tests.integration.converting import run_engine
from tests.integration.test_wav_as_recorders_write_it import LEVEL_DBFS, RATE, TONE, right_justified

LITTLE_ENDIAN_IN_CAF = 2
SIGNED, ALIGNED_HIGH, BIG_ENDIAN_IN_MOV = 4, 16, 2


def caf(bits: int, width: int, order: str, data: bytes, *, is_open: bool = False) -> bytes:
    """One channel; ``is_open`` as a recorder leaves it that was switched off."""
    flags = LITTLE_ENDIAN_IN_CAF if order == "<" else 0
    description = struct.pack(">d4s5I", RATE, b"lpcm", flags, width, 1, 1, bits)
    size = -1 if is_open else len(data) + 4
    return (
        b"caff\0\1\0\0desc"
        + struct.pack(">q", len(description))
        + description
        + b"data"
        + struct.pack(">qI", size, 0)
        + data
    )


def mov(bits: int, width: int, order: str, data: bytes, *, is_high: bool = True) -> bytes:
    """One track of one channel, in one chunk, with a version 2 sound description."""

    def box(name: bytes, *contents: bytes) -> bytes:
        content = b"".join(contents)
        return struct.pack(">I", 8 + len(content)) + name + content

    count = len(data) // width
    flags = SIGNED | (ALIGNED_HIGH if is_high else 0) | (BIG_ENDIAN_IN_MOV if order == ">" else 0)
    start = box(b"ftyp", b"qt  \0\0\0\0qt  ")
    entry = struct.pack(">6xHHHIHHhHI", 1, 2, 0, 0, 3, 16, -2, 0, 65536)
    entry += struct.pack(">IdIIIIII", 72, RATE, 1, 0x7F000000, bits, flags, width, 1)
    table = box(
        b"stbl",
        box(b"stsd", struct.pack(">II", 0, 1), box(b"lpcm", entry)),
        box(b"stts", struct.pack(">IIII", 0, 1, count, 1)),
        box(b"stsc", struct.pack(">IIIII", 0, 1, 1, count, 1)),
        box(b"stsz", struct.pack(">III", 0, width, count)),
        box(b"stco", struct.pack(">III", 0, 1, len(start) + 8)),
    )
    references = box(b"dinf", box(b"dref", struct.pack(">II", 0, 1), box(b"url ", struct.pack(">I", 1))))
    media = box(
        b"mdia",
        box(b"mdhd", struct.pack(">IIIIIHH", 0, 0, 0, RATE, count, 0, 0)),
        box(b"hdlr", struct.pack(">I4s4s12x", 0, b"mhlr", b"soun"), b"\0"),
        box(b"minf", box(b"smhd", bytes(8)), references, table),
    )
    track = box(b"trak", box(b"tkhd", struct.pack(">IIIIII", 7, 0, 0, 1, 0, count), bytes(60)), media)
    header = box(b"mvhd", struct.pack(">IIIII", 0, 0, 0, RATE, count), bytes(80))
    return start + box(b"mdat", data) + box(b"moov", header, track)


@pytest.mark.parametrize("is_open", [False, True])
@pytest.mark.parametrize(
    ("bits", "width", "order", "is_left"),
    [(24, 4, "<", True), (24, 4, "<", False), (24, 4, ">", True), (16, 4, "<", True), (20, 3, "<", True)],
)
def test_caf(tmp_path: Path, bits: int, width: int, order: Literal["<", ">"], is_left: bool, is_open: bool) -> None:
    data = headers.whole_numbers(TONE, bits, width, order) if is_left else right_justified(bits, width, order)
    source = tmp_path / "take.caf"
    source.write_bytes(caf(bits, width, order, data, is_open=is_open))

    run = run_engine(source)

    assert run.sound.seconds == pytest.approx(headers.SECONDS, abs=0.001)
    assert 20 * math.log10(measure.peak(run.sound.channels[0])) == pytest.approx(LEVEL_DBFS, abs=0.6)
    assert run.converted.warnings == ()


def test_samples_of_quicktime_that_fill_their_bytes(tmp_path: Path) -> None:
    source = tmp_path / "take.mov"
    source.write_bytes(mov(24, 3, "<", headers.whole_numbers(TONE, 24, 3)))

    run = run_engine(source)

    assert run.sound.seconds == pytest.approx(headers.SECONDS, abs=0.001)
    assert 20 * math.log10(measure.peak(run.sound.channels[0])) == pytest.approx(LEVEL_DBFS, abs=0.6)


@pytest.mark.parametrize(("bits", "is_high", "order"), [(24, True, "<"), (24, False, "<"), (16, True, ">")])
def test_samples_of_quicktime_that_do_not_are_refused(tmp_path: Path, bits: int, is_high: bool, order: str) -> None:
    source = tmp_path / "take.mov"
    source.write_bytes(mov(bits, 4, order, headers.whole_numbers(TONE, bits, 4), is_high=is_high))

    with pytest.raises(UnsupportedFormat, match="more bytes than they need"):
        run_engine(source)
