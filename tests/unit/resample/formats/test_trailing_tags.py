"""Where the sound of a file ends and the tags behind it begin."""

from __future__ import annotations

import struct

import pytest

from resample.formats.trailing_tags import audio_end
from tests.audio.broken import ape_tag

SOUND = b"\xff\xfb\x98\x00" * 1000

ID3V1 = b"TAG".ljust(128, b" ")
ENHANCED = b"TAG+".ljust(227, b" ")
APE = ape_tag()
APE_WITHOUT_HEADER = b"A" * 100 + b"APETAGEX" + struct.pack("<IIII", 2000, 132, 1, 0) + bytes(8)
LYRICS3 = b"LYRICSBEGIN" + b"L" * 89 + b"000100LYRICS200"
ID3V2 = b"ID3\x04\0\x10\0\0\x01\x02" + bytes(130) + b"3DI\x04\0\x10\0\0\x01\x02"
TAGS = {
    "ID3v1": ID3V1,
    "ID3v1, enhanced": ENHANCED + ID3V1,
    "APE": APE,
    "APE without a header": APE_WITHOUT_HEADER,
    "Lyrics3": LYRICS3,
    "ID3v2 with a footer": ID3V2,
    "a large APE tag": ape_tag(b"x" * 100_000),
    "several": ID3V2 + APE + LYRICS3 + ID3V1,
}


def end_of(content: bytes) -> int:
    def read(offset: int, length: int) -> bytes:
        assert offset >= 0
        assert length >= 0
        return content[offset : offset + length]

    return audio_end(read, len(content))


@pytest.mark.parametrize("tag", TAGS.values(), ids=TAGS)
def test_tags_are_no_sound(tag: bytes) -> None:
    assert end_of(SOUND + tag) == len(SOUND)
    assert end_of(tag) == 0, "and may be all that there is"


@pytest.mark.parametrize(
    "tail",
    [
        b"",
        ID3V1[1:],
        b"TAX" + ID3V1[3:],
        APE[:-1],
        APE_WITHOUT_HEADER[:-20] + struct.pack("<I", 0) + APE_WITHOUT_HEADER[-16:],
        LYRICS3.replace(b"000100", b"00010x"),
        LYRICS3.replace(b"LYRICS200", b"LYRICS201"),
        ID3V2[:-10] + b"3DX" + ID3V2[-7:],
        ID3V2[:-1] + b"\x82",
    ],
    ids=["nothing", "cut", "no TAG", "no footer", "no size", "no number", "another version", "no 3DI", "not synchsafe"],
)
def test_what_is_no_tag_is_sound(tail: bytes) -> None:
    assert end_of(SOUND + tail) == len(SOUND) + len(tail)


def test_a_tag_that_is_larger_than_the_file_is_none() -> None:
    huge = b"APETAGEX" + struct.pack("<IIII", 2000, 1_000_000, 1, 0) + bytes(8)

    assert end_of(SOUND + huge) == len(SOUND) + len(huge)
    assert end_of(b"999999LYRICS200") == 15


def test_as_many_tags_as_make_sense() -> None:
    assert end_of(SOUND + ID3V1 * 8) == len(SOUND)
    assert end_of(SOUND + ID3V1 * 9) == len(SOUND) + len(ID3V1)


def test_a_file_of_a_few_bytes() -> None:
    for length in range(12):
        assert end_of(b"3DI\x04\0\x10\0\0\0\0\0\0"[:length]) == length
