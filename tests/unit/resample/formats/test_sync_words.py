"""Streams without a header, by the first bits of their blocks. Lengths are those of the standard's table."""

from __future__ import annotations

import pytest

from resample.formats.sync_words import ac3_bytes, is_gsm


def ac3(rate: int, size: int, version: int = 8) -> bytes:
    """The beginning of a block: sync word, checksum, ``fscod`` and ``frmsizecod``, ``bsid``."""
    return bytes((0x0B, 0x77, 0, 0, rate << 6 | size, version << 3))


KILOBITS = "32 40 48 56 64 80 96 112 128 160 192 224 256 320 384 448 512 576 640"


def test_ac3_blocks_are_as_long_as_their_bit_rate_says() -> None:
    """1536 sample frames are 32 ms at 48 kHz and 48 ms at 32 kHz; odd sizes are for 44.1 kHz alone."""
    for index, kilobits in enumerate(map(int, KILOBITS.split())):
        for size in (2 * index, 2 * index + 1):
            assert ac3_bytes(ac3(0, size), 0, is_enhanced=False) == 4 * kilobits
            assert ac3_bytes(ac3(2, size), 0, is_enhanced=False) == 6 * kilobits


@pytest.mark.parametrize(
    ("size", "words"),
    # ETSI TS 102 366, table 4.13
    [(0, 69), (1, 70), (8, 139), (9, 140), (20, 417), (21, 418), (27, 697), (31, 976), (36, 1393), (37, 1394)],
)
def test_ac3_blocks_at_44_1_khz_are_as_long_as_the_table_says(size: int, words: int) -> None:
    assert ac3_bytes(ac3(1, size), 0, is_enhanced=False) == 2 * words


@pytest.mark.parametrize(
    "header",
    [b"\x0b\x76" + ac3(0, 20)[2:], ac3(3, 20), ac3(0, 38), ac3(0, 20, version=11), ac3(0, 20)[:5], b""],
    ids=["no sync word", "no sample rate", "no size", "E-AC-3", "cut", "nothing"],
)
def test_what_is_no_ac3_block(header: bytes) -> None:
    assert ac3_bytes(header, 0, is_enhanced=False) is None


@pytest.mark.parametrize(
    ("size", "version", "length"),
    [(383, 16, 768), (2047, 16, 4096), (3, 11, 8), (2, 16, None), (383, 10, None), (383, 17, None)],
    ids=["usual", "largest", "smallest", "too small", "AC-3", "of a later version"],
)
def test_eac3_blocks_tell_their_length(size: int, version: int, length: int | None) -> None:
    header = bytes((0x0B, 0x77, size >> 8, size & 0xFF, 0x34, version << 3))

    assert ac3_bytes(header, 0, is_enhanced=True) == length
    assert ac3_bytes(b"\0" + header, 1, is_enhanced=True) == length


@pytest.mark.parametrize("version", [0, 8, 10])
def test_every_version_of_ac3(version: int) -> None:
    assert ac3_bytes(ac3(0, 20, version), 0, is_enhanced=False) == 768


def test_gsm_blocks() -> None:
    block = b"\xd3" + bytes(32)

    assert is_gsm(block * 12)
    assert is_gsm(block * 11 + b"\xdf"), "the twelfth has just begun"
    assert not is_gsm(block * 11)
    assert not is_gsm(block * 11 + b"\xc3" + bytes(32))
