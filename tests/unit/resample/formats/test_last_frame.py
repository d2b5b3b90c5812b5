"""Does a file end with a whole frame? Frames are made by hand, as the standards lay them out."""

from __future__ import annotations

import pytest

from resample.formats.containers import AAC, FLAC, MP3, WAV, Container
from resample.formats.last_frame import LastFrame, crc, flac_header_bytes, last_frame
from tests.unit.resample.formats.test_passthrough import mpeg_frame

CUT, WHOLE, UNKNOWN = LastFrame.CUT, LastFrame.WHOLE, LastFrame.UNKNOWN


def ending(content: bytes, container: Container) -> LastFrame:
    return last_frame(lambda offset, length: content[offset : offset + length], len(content), container)


def adts_frame(length: int = 100) -> bytes:
    header = 0xFFF << 44 | 1 << 40 | 1 << 38 | 4 << 34 | 2 << 30 | length << 13 | 0x7FF << 2
    return header.to_bytes(7, "big").ljust(length, b"\x11")


def flac_frame(
    number: bytes = b"\x05",
    *,
    strategy: int = 0,
    block_size: int = 4,
    rate: int = 9,
    behind: bytes = b"",
    body: int = 40,
) -> bytes:
    """RFC 9639, section 9: ``number`` is coded as in UTF-8; block size and rate may stand ``behind`` it."""
    header = bytes((0xFF, 0xF8 | strategy, block_size << 4 | rate, 0x10)) + number + behind
    header += bytes([crc(header, 8, 0x07)])
    frame = header + bytes(range(100, 100 + body))
    return frame + crc(frame, 16, 0x8005).to_bytes(2, "big")


@pytest.mark.parametrize(("container", "frame"), [(MP3, mpeg_frame()), (AAC, adts_frame())], ids=["MP3", "ADTS"])
class TestAChainOfFrames:
    @pytest.mark.parametrize(
        ("behind", "expected"),
        [(b"", WHOLE), (bytes(50), WHOLE), (b"TAG".ljust(128, b"\0"), WHOLE)],
        ids=["nothing", "zeros", "a tag"],
    )
    def test_that_is_whole(self, container: Container, frame: bytes, behind: bytes, expected: LastFrame) -> None:
        assert ending(frame * 5 + behind, container) is expected

    @pytest.mark.parametrize("missing", [1, 50, 90])
    def test_that_is_cut(self, container: Container, frame: bytes, missing: int) -> None:
        assert ending((frame * 5)[:-missing], container) is CUT

    @pytest.mark.parametrize(("count", "expected"), [(2, UNKNOWN), (3, WHOLE)])
    def test_that_is_short_proves_nothing(
        self, container: Container, frame: bytes, count: int, expected: LastFrame
    ) -> None:
        assert ending(frame * count, container) is expected

    def test_that_is_cut_after_few_frames_proves_nothing(self, container: Container, frame: bytes) -> None:
        assert ending((frame * 3)[:-1], container) is UNKNOWN

    def test_of_which_the_end_alone_is_read(self, container: Container, frame: bytes) -> None:
        content = frame * (200_000 // len(frame))
        read: list[int] = []

        def reader(offset: int, length: int) -> bytes:
            read.append(length)
            return content[offset : offset + length]

        assert last_frame(reader, len(content), container) is WHOLE
        assert sum(read) < 40_000


@pytest.mark.parametrize("container", [MP3, AAC, FLAC], ids=lambda container: container.name)
@pytest.mark.parametrize("content", [b"\xff\x11" * 500, b""], ids=["noise", "nothing"])
def test_noise_and_nothing(container: Container, content: bytes) -> None:
    assert ending(content, container) is UNKNOWN


@pytest.mark.parametrize(
    "last",
    [
        flac_frame(),
        flac_frame(strategy=1),
        flac_frame(b"\xc2\x80"),
        flac_frame(b"\xe1\x80\x80"),
        flac_frame(b"\xf1\x80\x80\x80"),
        flac_frame(b"\xfe\x81\x80\x80\x80\x80\x80"),
        flac_frame(block_size=6, behind=b"\x40"),
        flac_frame(block_size=7, behind=b"\x40\x41"),
        flac_frame(rate=12, behind=b"\x20"),
        flac_frame(rate=13, behind=b"\x20\x21"),
        flac_frame(rate=14, behind=b"\x20\x21"),
        flac_frame(block_size=7, rate=14, behind=b"\x40\x41\x20\x21"),
        flac_frame(body=1),
    ],
    ids=[
        "number of 1 byte",
        "of a sample, as block sizes vary",
        "of 2",
        "of 3",
        "of 4",
        "of 7",
        "block size of 1 byte",
        "of 2 bytes",
        "rate of 1 byte",
        "of 2 bytes, in Hz",
        "in tens of Hz",
        "both",
        "small",
    ],
)
def test_a_flac_file(last: bytes) -> None:
    assert ending(last, FLAC) is WHOLE
    assert ending(flac_frame() * 3 + last, FLAC) is WHOLE
    assert ending(flac_frame() * 3 + last[:-1], FLAC) is CUT
    assert ending(flac_frame() * 3 + last[:-2] + bytes((last[-2] ^ 1, last[-1])), FLAC) is CUT


def test_a_flac_header_with_no_sound_behind_it_is_no_frame() -> None:
    assert ending(flac_frame(body=0), FLAC) is CUT


@pytest.mark.parametrize(
    "header",
    [
        b"",
        flac_frame()[:5],
        b"\xfe" + flac_frame()[1:],
        b"\xff\xfa" + flac_frame()[2:],
        flac_frame(b"\xff"),
        flac_frame(b"\xff" + b"\x80" * 7),
        flac_frame(b"\x80"),
        flac_frame(b"\xbf"),
        flac_frame(block_size=0),
        flac_frame(rate=15),
        flac_frame()[:5] + b"\0" + flac_frame()[6:],
    ],
    ids=[
        "none",
        "cut",
        "no sync",
        "no sync, either",
        "7 bits",
        "8 bytes",
        "continued",
        "both",
        "no size",
        "no rate",
        "checksum",
    ],
)
def test_what_is_no_flac_header(header: bytes) -> None:
    assert flac_header_bytes(header) is None


def test_a_flac_header_is_as_long_as_it_is() -> None:
    assert flac_header_bytes(flac_frame()) == 6
    assert flac_header_bytes(flac_frame()[:6]) == 6, "and nothing need stand behind it"
    assert flac_header_bytes(flac_frame(block_size=7, rate=13, behind=b"abcd")) == 10


@pytest.mark.parametrize(("bits", "polynomial", "check"), [(8, 0x07, 0xF4), (16, 0x8005, 0xFEE8)], ids=["CRC-8", "16"])
def test_checksums_have_their_published_check_values(bits: int, polynomial: int, check: int) -> None:
    """Of RFC 9639, sections 9.1.8 and 9.3; in catalogues CRC-8/SMBUS and CRC-16/UMTS."""
    assert crc(b"123456789", bits, polynomial) == check
    assert crc(b"123456789" + check.to_bytes(bits // 8, "big"), bits, polynomial) == 0


def test_flac_with_nothing_in_it() -> None:
    assert ending(bytes(1000), FLAC) is UNKNOWN


def test_what_begins_like_a_header_inside_a_frame_does_not_hide_it() -> None:
    inside = flac_frame()[:6]
    frame = flac_frame(block_size=7, behind=b"\x40\x41")[:-2] + inside * 5 + bytes(10)
    frame += crc(frame, 16, 0x8005).to_bytes(2, "big")

    assert ending(flac_frame() + frame, FLAC) is WHOLE


@pytest.mark.parametrize("container", [WAV, Container("ogg", "ogg")], ids=lambda container: container.name)
def test_others_do_not_tell(container: Container) -> None:
    assert ending(mpeg_frame() * 5, container) is UNKNOWN
