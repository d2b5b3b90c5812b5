"""The fmt chunk of a WAV file, as recorders write it: bits, bytes and rates that do not agree."""

from __future__ import annotations

import struct
from dataclasses import replace

import pytest

from audiojobs.errors import UnsupportedFormat
from resample.formats.containers import WAV
from resample.formats.declared import NOTHING
from resample.formats.riff import WaveFormat, is_placeholder
from tests.audio.synth import wav_bytes
from tests.unit.resample.formats.test_declared_length import of


def form(
    tag: int = 1,
    channels: int = 2,
    bits: int = 16,
    *,
    align: int | None = None,
    rate: int = 48_000,
    byte_rate: int | None = None,
    extension: bytes = b"",
    order: str = "<",
) -> WaveFormat:
    block = channels * ((bits + 7) // 8) if align is None else align
    fields = struct.pack(
        order + "HHIIHH", tag, channels, rate, rate * block if byte_rate is None else byte_rate, block, bits
    )
    return WaveFormat.parse(fields + extension, order)


def extension(valid_bits: int, tag: int, order: str = "<") -> bytes:
    return struct.pack(order + "HHIH", 22, valid_bits, 0, tag) + bytes(14)


@pytest.mark.parametrize(
    ("found", "sample_bytes"),
    [
        (form(bits=16), 2),
        (form(bits=20), 3),
        (form(bits=24, align=8), 4),
        (form(bits=12, channels=1, align=2), 2),
        (form(bits=16, align=0), 2),
        (form(bits=16, align=5), 2),
        (form(bits=24, align=8, byte_rate=48_000 * 6), 3),
        (form(bits=24, align=8, byte_rate=1), 4),
        (form(bits=24, align=8, byte_rate=48_000 * 8), 4),
        (form(bits=16, channels=0, align=4), 2),
    ],
    ids=[
        "as it should be",
        "20 bits",
        "24 bits in four bytes",
        "12 bits",
        "no block size",
        "a block of no whole samples",
        "the byte rate says three",
        "the byte rate says nothing",
        "both say four",
        "no channels",
    ],
)
def test_how_many_bytes_a_sample_takes(found: WaveFormat, sample_bytes: int) -> None:
    assert found.sample_bytes == sample_bytes
    assert found.sample_frame_bytes == sample_bytes * found.channels


@pytest.mark.parametrize(
    ("found", "is_pcm"),
    [
        (form(1), True),
        (form(3, bits=32), True),
        (form(6, bits=8), True),
        (form(7, bits=8), True),
        (form(6, channels=1, bits=8), True),
        (form(1, channels=1, bits=8), True),
        (form(6, bits=16), False),
        (form(2, bits=4), False),
        (form(0x55), False),
        (form(1, channels=0, align=0), False),
        (form(6, channels=0, bits=8, align=0), False),
        (form(1, bits=0, align=4), False),
        (form(1, bits=1, align=2), True),
    ],
    ids=[
        "whole",
        "float",
        "A-law",
        "mu-law",
        "A-law in mono",
        "whole, mono, of a byte",
        "A-law of two bytes",
        "ADPCM",
        "MP3",
        "none",
        "none, A-law",
        "0 bits",
        "1 bit",
    ],
)
def test_what_is_pcm(found: WaveFormat, is_pcm: bool) -> None:
    assert found.is_pcm is is_pcm
    assert (found.samples(44, 400) is not None) is (is_pcm and found.tag in (1, 3))


@pytest.mark.parametrize("order", ["<", ">"])
def test_an_extensible_header_says_what_it_is(order: str) -> None:
    found = form(0xFFFE, bits=32, extension=extension(24, 1, order), order=order)
    assert (found.tag, found.bits, found.sample_bytes, found.is_big_endian) == (1, 24, 4, order == ">")

    assert form(0xFFFE, bits=32, extension=extension(0, 3)).bits == 32
    assert form(0xFFFE, bits=32, extension=extension(20, 0x55)).bits == 32, "of another coding"
    assert form(0xFFFE, extension=extension(16, 1)[:9]).tag == 0xFFFE, "cut off"
    assert form(0xFFFE, extension=extension(16, 1)[:10]).tag == 1
    assert form(1, bits=32, extension=extension(24, 3)).tag == 1, "no extensible header"


@pytest.mark.parametrize(
    ("tag", "bits", "width", "is_read"),
    [
        (1, 16, 2, True),
        (1, 16, 1, True),
        (1, 8, 2, True),
        (1, 16, 3, True),
        (1, 8, 4, True),
        (1, 24, 8, True),
        (1, 24, 5, False),
        (1, 24, 6, False),
        (1, 24, 7, False),
        (1, 24, 9, False),
        (1, 48, 6, True),
        (3, 32, 4, True),
        (3, 32, 8, True),
        (3, 24, 4, True),
        (3, 64, 4, True),
        (3, 32, 1, False),
        (3, 32, 2, False),
        (3, 16, 3, False),
        (3, 32, 5, False),
    ],
)
def test_samples_that_no_decoder_reads_are_refused(tag: int, bits: int, width: int, is_read: bool) -> None:
    found = form(tag, bits=bits, align=2 * width)

    if is_read:
        samples = found.samples(44, 400)
        assert samples
        assert (samples.offset, samples.size_bytes, samples.width, samples.bits) == (44, 400, width, bits)
    else:
        with pytest.raises(UnsupportedFormat, match=f"{bits} bits in {width} bytes"):
            found.samples(44, 400)


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        (0xFFFFFFFF, True),
        (0xFFFFFFFF - 65_536, True),
        (0xFFFFFFFF - 65_537, False),
        (0x80000000, True),
        (0x80000001, False),
        (0x80000000 - 65_536, True),
        (0x80000000 - 65_537, False),
        (0, False),
    ],
)
def test_lengths_of_programs_that_cannot_seek_back(size: int, expected: bool) -> None:
    assert is_placeholder(size) is expected


@pytest.mark.parametrize(("missing", "is_missing"), [(1, False), (44, False), (45, True)])
def test_a_writer_may_have_counted_its_header(missing: int, is_missing: bool) -> None:
    """Which has 44 bytes here; what is less than that is no loss that anybody hears."""
    content = wav_bytes([0.0] * 600, declared_bytes=1200 + missing)

    for start in (0, 255):
        declared = of(bytes(start) + content, replace(WAV, audio_offset=start))
        assert declared.missing_bytes == (missing if is_missing else 0)


def test_chunks_without_end() -> None:
    content = b"RIFF\0\0\0\0WAVE" + b"junk\0\0\0\0" * 4095 + b"data\x04\0\0\0" + bytes(4)

    assert of(content, WAV).sample_frames is None
    assert of(content.replace(b"data", b"fmt "), WAV) == NOTHING
