"""The exact length in an MP3's Info tag, and putting it right."""

from __future__ import annotations

from pathlib import Path

import pytest

from resample.engine.mp3_file import correct_length, correct_tag_crc, summarize_mp3
from resample.formats.mpeg_frames import iterate_mpeg_frames, parse_info_tag
from tests.audio.broken import id3v2
from tests.unit.resample.formats.test_passthrough import info_frame, mpeg_frame


def _mp3(path: Path, count: int, padding: int, tag: bytes = b"") -> Path:
    audio = mpeg_frame(192) * count
    path.write_bytes(tag + info_frame(count, len(audio) + 576, padding=padding) + audio)
    return path


@pytest.mark.parametrize("tag", [b"", id3v2(300_000)], ids=["plain", "behind-a-cover"])
def test_length_is_read_and_mended(tmp_path: Path, tag: bytes) -> None:
    mp3 = _mp3(tmp_path / "x.mp3", 10, 1681, tag)
    before = summarize_mp3(mp3)

    assert correct_length(mp3, 11_520 - 576 - 1681 - 30)

    after = summarize_mp3(mp3)
    assert before is not None
    assert after is not None
    assert before.sample_frames == 11_520 - 576 - 1681
    assert after.sample_frames == before.sample_frames - 30
    assert (after.sample_rate, after.channels, after.bit_rate) == (32_000, 2, 192_000)
    assert after.size_bytes == before.size_bytes == mp3.stat().st_size
    assert not correct_length(mp3, after.sample_frames), "nothing left to mend"


def test_mending_keeps_the_rest_of_the_file(tmp_path: Path) -> None:
    mp3 = _mp3(tmp_path / "x.mp3", 10, 600)
    before = mp3.read_bytes()

    correct_length(mp3, 11_520 - 576 - 700)

    after = mp3.read_bytes()
    first = next(iterate_mpeg_frames(after))
    info = parse_info_tag(after, first)
    assert info is not None
    assert info.lame is not None
    assert info.lame.tag_crc_is_valid
    assert (info.lame.delay, info.lame.padding, info.mpeg_frames) == (576, 700, 10)
    assert after[first.end :] == before[first.end :]
    assert len(after) == len(before)


@pytest.mark.parametrize("sample_frames", [0, 11_520 - 576 - 600, 11_520, 11_520 - 576 - 600 - 1152, -1])
def test_nothing_is_mended_beyond_one_mpeg_frame(tmp_path: Path, sample_frames: int) -> None:
    mp3 = _mp3(tmp_path / "x.mp3", 10, 600)
    before = mp3.read_bytes()

    assert not correct_length(mp3, sample_frames)
    assert mp3.read_bytes() == before


@pytest.mark.parametrize(("surplus", "is_mended"), [(1, True), (95, True), (96, False)])
def test_nothing_is_mended_beyond_what_the_field_holds(tmp_path: Path, surplus: int, is_mended: bool) -> None:
    """12 bits, which is 4095."""
    mp3 = _mp3(tmp_path / "x.mp3", 10, 4000)

    assert correct_length(mp3, 11_520 - 576 - 4000 - surplus) is is_mended

    summary = summarize_mp3(mp3)
    assert summary
    assert summary.sample_frames == 11_520 - 576 - 4000 - (surplus if is_mended else 0)


@pytest.mark.parametrize(("surplus", "is_mended"), [(1151, True), (1152, False)])
def test_all_but_the_whole_of_an_mpeg_frame_is_mended(tmp_path: Path, surplus: int, is_mended: bool) -> None:
    mp3 = _mp3(tmp_path / "x.mp3", 10, 600)

    assert correct_length(mp3, 11_520 - 576 - 600 - surplus) is is_mended


@pytest.mark.parametrize("tag", [b"", id3v2(300_000)], ids=["plain", "behind-a-cover"])
def test_the_checksum_of_the_tag_is_mended(tmp_path: Path, tag: bytes) -> None:
    mp3 = _mp3(tmp_path / "x.mp3", 10, 600, tag)
    before = mp3.read_bytes()

    assert correct_tag_crc(mp3)

    after = mp3.read_bytes()
    first = next(iterate_mpeg_frames(after, len(tag)))
    info = parse_info_tag(after, first)
    assert info is not None
    assert info.lame is not None
    assert info.lame.tag_crc_is_valid
    assert len(after) == len(before)
    assert sum(one != other for one, other in zip(before, after, strict=True)) <= 2, "nothing else"
    assert not correct_tag_crc(mp3), "nothing left to mend"


@pytest.mark.parametrize("content", [b"", b"ID3", mpeg_frame() * 3, b"text"])
def test_without_an_info_tag(tmp_path: Path, content: bytes) -> None:
    mp3 = tmp_path / "x.mp3"
    mp3.write_bytes(content)

    assert summarize_mp3(mp3) is None
    assert not correct_length(mp3, 100)
    assert not correct_tag_crc(mp3)
    assert mp3.read_bytes() == content


def test_no_file(tmp_path: Path) -> None:
    assert summarize_mp3(tmp_path / "missing.mp3") is None
