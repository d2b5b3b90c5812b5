"""The decision to hand an upload back, on streams made of bare MPEG headers."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audiojobs.conversion import Conversion
from audiojobs.job import Result, Source
from resample.formats.containers import MP3, WAV
from resample.formats.passthrough import passthrough_result
from tests.audio.broken import ape_tag, id3v2

KILOBITS = (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
RATES = (44_100, 48_000, 32_000)


def mpeg_frame(kilobits: int = 128, rate: int = 32_000, *, mono: bool = False, body: bytes = b"") -> bytes:
    index, rate_index = KILOBITS.index(kilobits) + 1, RATES.index(rate)
    header = bytes((0xFF, 0xFB, index << 4 | rate_index << 2, 0xC0 if mono else 0))
    return (header + body).ljust(144_000 * kilobits // rate, b"\0")


def info_frame(
    mpeg_frames: int, size_bytes: int, *, name: bytes = b"Info", delay: int = 576, padding: int = 576
) -> bytes:
    """A first MPEG frame that holds a Xing or Info tag with LAME's extension."""
    tag = name + struct.pack(">III", 3, mpeg_frames, size_bytes)
    lame = b"LAME3.100".ljust(21, b"\0") + (delay << 12 | padding).to_bytes(3, "big")
    return mpeg_frame(body=bytes(32) + tag + lame + bytes(12))


def stream(count: int, *, name: bytes = b"Info", kilobits: int = 128) -> bytes:
    audio = mpeg_frame(kilobits) * count
    return info_frame(count, len(audio) + 576, name=name) + audio


def decide(content: bytes, conversion: Conversion | None = None) -> tuple[Source, Result] | None:
    def read(offset: int, length: int) -> bytes:
        return content[offset : offset + length]

    return passthrough_result(read, len(content), conversion or Conversion(), MP3)


@pytest.mark.parametrize("count", [3, 10, 300, 341, 342, 343, 5000])
def test_constant_bit_rate_with_a_tag(count: int) -> None:
    content = stream(count)

    decision = decide(content)

    assert decision is not None
    seconds = (count * 1152 - 1152) / 32_000
    assert decision[0] == Source("mp3", "mp3", 32_000, 2, seconds, len(content))
    assert decision[1] == Result(32_000, 128_000, 2, seconds, len(content), True)


def test_a_single_mpeg_frame_behind_a_tag() -> None:
    decision = decide(info_frame(1, 2 * 576, delay=100, padding=0) + mpeg_frame())

    assert decision is not None
    assert decision[1].duration_seconds == 1052 / 32_000


@pytest.mark.parametrize("count", [3, 1000])
def test_constant_bit_rate_without_a_tag(count: int) -> None:
    decision = decide(mpeg_frame() * count)

    assert decision is not None
    assert decision[1].duration_seconds == count * 1152 / 32_000
    assert decision[1].bit_rate == 128_000


@pytest.mark.parametrize("tail", [b"TAG" + bytes(125), bytes(500)], ids=["id3v1", "zeros"])
@pytest.mark.parametrize("count", [3, 20, 340, 1000])
def test_something_behind_the_audio(count: int, tail: bytes) -> None:
    for content in (stream(count), mpeg_frame() * count):
        with_tail, without = decide(content + tail), decide(content)
        assert with_tail is not None
        assert without is not None
        assert with_tail[1].duration_seconds == without[1].duration_seconds


@pytest.mark.parametrize("tag_bytes", [150_000, 1_000_000])
def test_a_file_that_is_mostly_a_tag_at_its_end(tag_bytes: int) -> None:
    decision = decide(stream(10) + ape_tag(bytes(tag_bytes)))

    assert decision is None or decision[1].duration_seconds == 9 * 1152 / 32_000


@pytest.mark.parametrize("count", [20, 3000])
def test_variable_bit_rate(count: int) -> None:
    audio = (mpeg_frame(64) + mpeg_frame(192)) * count

    with_tag = decide(info_frame(2 * count, len(audio) + 576, name=b"Xing") + audio)
    without = decide(audio)

    assert with_tag is not None
    assert without is not None
    assert with_tag[1].duration_seconds == (2 * count - 1) * 1152 / 32_000
    assert with_tag[1].bit_rate == pytest.approx(128_000, rel=0.03)
    assert without[1].duration_seconds == pytest.approx(2 * count * 1152 / 32_000, rel=0.05)


@pytest.mark.parametrize("count", [20, 3000])
def test_variable_bit_rate_as_fraunhofer_counts_it(count: int) -> None:
    """VBRI tells how many MPEG frames there are, and no padding."""
    audio = (mpeg_frame(64) + mpeg_frame(192)) * count
    vbri = b"VBRI" + struct.pack(">HHHII", 1, 576, 75, len(audio) + 576, 2 * count)

    decision = decide(mpeg_frame(body=bytes(32) + vbri) + audio)

    assert decision is not None
    assert decision[1].duration_seconds == 2 * count * 1152 / 32_000
    assert decision[1].bit_rate == pytest.approx(128_000, rel=0.001)


def test_fraunhofers_tag_says_variable() -> None:
    vbri = b"VBRI" + struct.pack(">HHHII", 1, 576, 75, 576 * 101, 100)

    assert decide(mpeg_frame(body=bytes(32) + vbri) + mpeg_frame() * 100, Conversion(bit_rate=128_000)) is None


@pytest.mark.parametrize(
    "conversion",
    [
        Conversion(sample_rate=44_100),
        Conversion(bit_rate=160_000),
        Conversion(channels=1),
        Conversion(vbr_quality=0),
    ],
    ids=str,
)
def test_other_wishes(conversion: Conversion) -> None:
    assert decide(stream(1000), conversion) is None


@pytest.mark.parametrize("conversion", [Conversion(bit_rate=128_000), Conversion(channels=2)], ids=str)
def test_the_same_wishes(conversion: Conversion) -> None:
    assert decide(stream(1000), conversion) is not None


def test_a_tag_that_says_variable_is_believed() -> None:
    assert decide(stream(1000, name=b"Xing"), Conversion(bit_rate=128_000)) is None


@pytest.mark.parametrize("missing_bytes", [2 * 576 + 300, 10_000, 300_000])
def test_shorter_than_the_tag_says(missing_bytes: int) -> None:
    assert decide(stream(1000)[:-missing_bytes]) is None


def test_longer_than_the_tag_says() -> None:
    assert decide(stream(1000) + mpeg_frame() * 100) is None


def test_a_tag_with_an_impossible_number_of_frames() -> None:
    audio = mpeg_frame() * 1000

    assert decide(info_frame(3, len(audio) + 576) + audio) is None
    assert decide(info_frame(1_000_000, len(audio) + 576) + audio) is None
    assert decide(info_frame(0, len(audio) + 576) + audio) is None


@pytest.mark.parametrize("position", [5, 500, 1500, 2995])
@pytest.mark.parametrize(
    "other",
    [mpeg_frame(rate=44_100), mpeg_frame(mono=True)[:-1], mpeg_frame(rate=48_000), b"\xff\xfb\x08\x00" + bytes(600)],
    ids=["44.1k", "short", "48k", "free-format"],
)
def test_one_frame_of_another_kind_anywhere(position: int, other: bytes) -> None:
    """Even one frame between the places that are looked at shifts all that follow."""
    content = mpeg_frame() * position + other + mpeg_frame() * (3000 - position)

    assert decide(content) is None


def test_two_faults_that_make_up_for_each_other() -> None:
    """What comes after both is where it would be without them; only what stands between them is not."""
    between_first_windows, between_next_windows = 200, 650  # of 3000 MPEG frames
    content = bytearray(mpeg_frame() * 3000)
    assert decide(bytes(content)) is not None

    content[576 * between_next_windows : 576 * between_next_windows] = bytes(476)
    content[576 * between_first_windows : 576 * between_first_windows] = bytes(100)

    assert decide(bytes(content)) is None


@pytest.mark.parametrize("tag_bytes", [37, 100, 575, 576, 1000])
def test_a_tag_in_front_of_a_long_file(tag_bytes: int) -> None:
    for audio in (stream(3000), mpeg_frame() * 3000):
        assert decide(id3v2(tag_bytes) + audio) is not None


@pytest.mark.parametrize("zeros", [1, 1500, 10_000])
@pytest.mark.parametrize("count", [20, 1000])
def test_zeros_in_front_are_skipped(zeros: int, count: int) -> None:
    decision = decide(bytes(zeros) + mpeg_frame() * count)

    assert decision is not None
    assert decision[1].duration_seconds == count * 1152 / 32_000


@pytest.mark.parametrize("count", [20, 1000])
def test_sound_that_looks_like_headers_is_sound(count: int) -> None:
    """Of free format here, at even distances, in front of the first whole MPEG frame of every window but the first."""
    decision = decide(mpeg_frame(body=bytes(96) + b"\xff\xfb\x08\x00") * count)

    assert decision is not None
    assert decision[1].duration_seconds == count * 1152 / 32_000


@pytest.mark.parametrize("count", [3, 100])
def test_junk_behind_the_last_frame(count: int) -> None:
    """Less than a header may be a part of one; four bytes that are none are something else."""
    audio = mpeg_frame() * count

    assert decide(audio + b"jun") is not None
    assert decide(audio + b"junk") is None


def test_other_containers() -> None:
    content = stream(1000)

    assert (
        passthrough_result(lambda offset, length: content[offset : offset + length], len(content), Conversion(), WAV)
        is None
    )


@pytest.mark.parametrize(
    "content",
    [b"", b"\xff\xfb", mpeg_frame()[:300], info_frame(0, 576), bytes(100_000), b"\xff" * 100_000],
    ids=["nothing", "two-bytes", "part-of-a-frame", "tag-only", "zeros", "ones"],
)
def test_what_is_no_stream(content: bytes) -> None:
    assert decide(content) is None


@given(st.lists(st.binary(max_size=700) | st.sampled_from([mpeg_frame(), mpeg_frame(320), b"\xff\xfb\x08\x00"])))
def test_never_fails(parts: list[bytes]) -> None:
    content = b"".join(parts)

    decision = decide(content)

    assert decision is None or decision[1].size_bytes == len(content)
