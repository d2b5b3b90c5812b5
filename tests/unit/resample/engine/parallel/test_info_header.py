"""The head of a joined file: what it says is so."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resample.engine.parallel.failure import ParallelEncodingFailed
from resample.engine.parallel.info_header import Head, Music
from resample.formats.mpeg_frames import crc16, iterate_mpeg_frames, parse_info_tag

FRAME = bytes.fromhex("fffb98c4")  # MPEG-1 Layer III, 128 kbit/s, 32 kHz, mono: 576 bytes
ID3V2 = b"ID3\3\0\0\0\0\1\2" + bytes(130)


def template() -> bytes:
    """The head as ffmpeg writes it before it knows the length."""
    tag = b"Info" + struct.pack(">III", 15, 1, 2) + bytes(100) + struct.pack(">I", 50)
    lame = b"Lavc60.31" + bytes(12) + (576 << 12).to_bytes(3, "big") + bytes(12)
    return ID3V2 + (FRAME + bytes(17) + tag + lame).ljust(576, b"\0")


def music(frames: int) -> Music:
    made = Music()
    for index in range(frames):
        made.append(bytes([index & 0xFF]) * 576, [576])
    return made


@given(st.integers(1, 3000))
def test_the_head_tells_the_length_and_the_size(frames: int) -> None:
    head = Head.parse(template())
    assert head is not None
    written = head.finished(music(frames), frames * 1152 - 576 - 1000)
    first = next(iterate_mpeg_frames(written, len(ID3V2)))

    tag = parse_info_tag(written, first)

    assert written.startswith(ID3V2)
    assert len(written) == head.size_bytes
    assert tag is not None
    assert tag.lame is not None
    assert (tag.mpeg_frames, tag.size_bytes) == (frames, (frames + 1) * 576)
    assert tag.sample_frames(first.header) == frames * 1152 - 576 - 1000
    assert (tag.lame.delay, tag.lame.padding, tag.lame.music_bytes) == (576, 1000, (frames + 1) * 576)
    assert tag.lame.music_crc == crc16(b"".join(bytes([index & 0xFF]) * 576 for index in range(frames)))
    assert tag.lame.tag_crc_is_valid


@given(st.lists(st.integers(100, 1000), min_size=1, max_size=2000))
def test_the_table_of_contents_points_to_where_each_percent_begins(lengths: list[int]) -> None:
    made = Music()
    made.append(bytes(sum(lengths)), lengths)

    toc = made.toc(576)

    size = 576 + sum(lengths)
    assert len(toc) == 100
    assert list(toc) == sorted(toc)
    for percent in range(100):
        begin = 576 + sum(lengths[: len(lengths) * percent // 100])
        assert abs(toc[percent] - 256 * begin // size) <= 1 + 256 * 1000 * (2 + len(lengths) // 200) // size


@pytest.mark.parametrize("count", [400, 1000, 2000, 10_000, 50_000])
def test_at_a_constant_bit_rate_the_table_of_contents_is_even(count: int) -> None:
    made = Music()
    for _ in range(10):
        made.append(bytes(576 * count // 10), [576] * (count // 10))

    places = [256 * percent / 100 for percent in range(100)]
    off = [abs(entry - place) for entry, place in zip(made.toc(576), places, strict=True)]
    assert max(off) < 2


@pytest.mark.parametrize("missing", [1, 300, 570])
def test_a_head_that_is_still_growing_is_none_yet(missing: int) -> None:
    assert Head.parse(template()[:-missing]) is None


def test_a_file_without_a_tag_is_no_head() -> None:
    assert Head.parse(ID3V2 + (FRAME + bytes(572)) * 3) is None
    assert Head.parse(b"") is None


@pytest.mark.parametrize("padding", [0, 4095], ids=["none", "12 bits"])
def test_the_padding_is_as_long_as_its_field(padding: int) -> None:
    head = Head.parse(template())
    assert head is not None

    written = head.finished(music(10), 10 * 1152 - 576 - padding)

    tag = parse_info_tag(written, next(iterate_mpeg_frames(written, len(ID3V2))))
    assert tag is not None
    assert tag.lame is not None
    assert (tag.lame.delay, tag.lame.padding) == (576, padding)


@pytest.mark.parametrize("sample_frames", [10 * 1152, 10 * 1152 - 576 + 1, 10 * 1152 - 576 - 4096])
def test_a_length_that_the_frames_cannot_have_is_an_error(sample_frames: int) -> None:
    head = Head.parse(template())
    assert head is not None

    with pytest.raises(ParallelEncodingFailed):
        head.finished(music(10), sample_frames)
