"""Our own readers of hostile bytes: whatever they are given, they say so or raise what they document, and soon.

How soon is counted, in calls of functions for each byte. What reads an upload before it is fetched reads over the
network: how much it asks for is bounded, and it asks for nothing outside the file, which S3 answers with an error.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from cProfile import Profile
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from audiojobs.conversion import Conversion
from audiojobs.errors import FileError
from resample.engine.ffmpeg.probe import read_answer
from resample.engine.mp3_file import correct_length, summarize_mp3
from resample.engine.parallel.failure import ParallelEncodingFailed
from resample.engine.parallel.info_header import Head, Music
from resample.engine.parallel.join import Join, last_frames
from resample.engine.parallel.mpeg_stream import EncodedStream, Expected
from resample.formats.containers import HEAD_BYTES, Container, identify
from resample.formats.declared_length import declared_length
from resample.formats.last_frame import LastFrame, last_frame
from resample.formats.mpeg_frames import (
    crc16,
    free_format_unpadded_bytes,
    iterate_mpeg_frames,
    parse_info_tag,
    parse_side_info,
    parse_vbri_tag,
)
from resample.formats.passthrough import passthrough_result
from resample.formats.pcm_samples import coded_sound, is_plain, right_justified_gain
from tests.audio import hostile

EXAMPLES_IN_CI = 250
EXAMPLES_IN_ALL = 4_000
MAX_CALLS, MAX_CALLS_A_BYTE = 1_000, 20

_MAGICS = (
    *(b"", b"\0" * 9, b"ID3\x03\0\0\0\0\0\x05", b"ID3\x04\0\x10\x7f\x7f\x7f\x7f", b"fLaC\0\0\0\x22", b"OggS\0\2"),
    *(b"RIFF\xff\xff\xff\xffWAVEfmt \x10\0\0\0", b"RIFX\0\0\0\0WAVE", b"RF64\xff\xff\xff\xffWAVEds64\x1c\0\0\0"),
    *(b"riff\x2e\x91\xcf\x11\xa5\xd6\x28\xdb\x04\xc1\0\0" + bytes(24), b"FORM\0\0\0\0AIFCCOMM\0\0\0\x16", b".snd"),
    *(b"caff\0\1\0\0desc" + bytes(7) + b"\x20", b"\0\0\0\x10ftypM4A ", b"\0\0\0\1mdat" + b"\x7f" * 8, b"\0\0\0\0moov"),
    *(
        b"\x1a\x45\xdf\xa3\x80\x18\x53\x80\x67\x01" + bytes(7),
        b"wvpk\x18\0\0\0\x10\4",
        b"TTA1\1\0\2\0",
        b"MAC \x96\x0f",
    ),
    *(
        b"MAC \x6e\x0f",
        b"MP+\x07",
        b"MPCKSH\x0e",
        b"MPCKSO\x08",
        b"DSD \x1c" + bytes(7),
        b"FRM8" + bytes(8) + b"DSD PROP",
    ),
    *(
        bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")
        + bytes(14)
        + bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365"),
    ),
    *(
        b"\x0b\x77\0\0\x1e\x40",
        b"\x0b\x77\2\xff\x34\x86",
        b"#!AMR\n",
        b"\xd0" + bytes(32),
        b"ajkg",
        b"\x47" + bytes(187),
    ),
    *(b"\xff\xfb\x90\x64", b"\xff\xf3\x14\xc4", b"\xff\xfb\x00\x64", b"\xff\xf1\x50\x80", b"\xff\xe3\x18\xc4"),
)
_TAILS = (b"", b"TAG" + bytes(125), b"APETAGEX" + b"\xff" * 24, b"999999LYRICS200", b"3DI\4\0\0\x7f\x7f\x7f\x7f")


def _made(magic: bytes, data: bytes, repeats: int, tail: bytes) -> bytes:
    return (magic + data) * repeats + tail


HOSTILE = st.one_of(
    st.binary(max_size=300),
    st.builds(
        _made,
        st.sampled_from(_MAGICS),
        st.binary(max_size=80),
        st.sampled_from((1, 2, 9, 3000)),
        st.sampled_from(_TAILS),
    ),
    st.integers(0, 10**9).map(lambda seed: hostile.mutated(seed).content),
)

Property = Callable[[bytes], None]


class CountingReader:
    """Reads from bytes as S3 would, and counts. A place outside the file is an error, as it is there."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self.calls = 0
        self.bytes_read = 0

    def __call__(self, offset: int, length: int) -> bytes:
        assert 0 <= offset < len(self._content), f"{offset} is outside of {len(self._content)} bytes"
        assert length > 0
        piece = self._content[offset : offset + length]
        self.calls += 1
        self.bytes_read += len(piece)
        return piece


def _identified(content: bytes) -> Container | None:
    try:
        return identify(CountingReader(content), len(content))
    except FileError:
        return None


def what_a_file_is(content: bytes) -> None:
    read = CountingReader(content)

    with suppress(FileError):
        assert 0 <= identify(read, len(content)).audio_offset < len(content)

    assert read.calls <= 11 + 16
    assert read.bytes_read <= 11 * HEAD_BYTES + (16 << 20)


def how_long_a_file_says_it_is(content: bytes) -> None:
    container = _identified(content)
    if container is None:
        return
    read = CountingReader(content)

    with suppress(FileError):
        declared = declared_length(read, len(content), container)

        assert declared.sample_frames is None or declared.sample_frames >= 0
        assert declared.missing_bytes >= 0
        assert declared.left_out_seconds >= 0
        assert declared.uncounted_seconds >= 0
        assert declared.links >= 1
    assert read.calls <= 4 * 4096 + 24 + len(content) // HEAD_BYTES
    assert read.bytes_read <= 3 * 4096 * 24 + 3 * HEAD_BYTES + len(content) + (64 << 10)


def what_its_samples_are(content: bytes) -> None:
    container = _identified(content)
    if container is None:
        return
    read = CountingReader(content)
    samples = None
    with suppress(FileError):
        samples = declared_length(read, len(content), container).samples
    if samples is None:
        return

    def inside(offset: int, length: int) -> bytes:
        return read(offset, length) if length and offset < len(content) else b""

    gain = right_justified_gain(inside, samples)
    assert gain == 1 or gain == 1 << samples.unused_bits
    assert coded_sound(inside, samples) is None or not samples.is_float
    is_plain(inside, samples)


def how_a_file_ends(content: bytes) -> None:
    container = _identified(content)
    if container is None:
        return
    read = CountingReader(content)

    assert last_frame(read, len(content), container) in LastFrame
    assert read.bytes_read <= 600_000


def whether_a_file_passes_through(content: bytes) -> None:
    container = _identified(content)
    if container is None:
        return
    for conversion in (Conversion(), Conversion(sample_rate=44_100, bit_rate=128_000), Conversion(channels=1)):
        read = CountingReader(content)

        passed = passthrough_result(read, len(content), conversion, container)

        assert read.calls <= 15 + 4 * 8
        assert read.bytes_read <= 256_000
        if passed:
            source, result = passed
            assert result.sample_rate == conversion.sample_rate
            assert result.size_bytes == source.size_bytes == len(content)
            assert result.duration_seconds > 0


def mpeg_frames_and_their_tags(content: bytes) -> None:
    end = 0
    for mpeg_frame in iterate_mpeg_frames(content):
        assert mpeg_frame.offset == end
        assert mpeg_frame.length_bytes > 0
        end = mpeg_frame.end
        assert end <= len(content)
        info = parse_info_tag(content, mpeg_frame)
        assert info is None or info.toc is None or len(info.toc) == 100
        parse_vbri_tag(content, mpeg_frame)
        if mpeg_frame.header.layer == 3:
            side_info = parse_side_info(content, mpeg_frame)
            assert 0 <= side_info.main_data_begin < 512
            assert all(0 <= bits < 4096 for bits in side_info.part2_3_lengths)
    for offset in range(0, min(len(content), 64), 3):
        length = free_format_unpadded_bytes(content, offset)
        assert length is None or 0 < length <= 5760


def an_mp3_of_ours(content: bytes) -> None:
    with NamedTemporaryFile() as file:
        mp3 = Path(file.name)
        mp3.write_bytes(content)

        encoded = summarize_mp3(mp3)
        if encoded is None or not correct_length(mp3, encoded.sample_frames - 100):
            return

        mended = summarize_mp3(mp3)
        assert mended is not None
        assert mended.sample_frames == encoded.sample_frames - 100
        assert mp3.stat().st_size == len(content)


def the_head_of_a_joined_file(content: bytes) -> None:
    head = Head.parse(content)
    if head is None:
        return
    assert head.size_bytes <= len(content)
    music = Music()
    for mpeg_frame in iterate_mpeg_frames(content, head.size_bytes):
        music.append(content[mpeg_frame.offset : mpeg_frame.end], [mpeg_frame.length_bytes])
    if not music.mpeg_frames:
        return

    try:
        finished = head.finished(music, music.mpeg_frames * head.frame_sample_frames - head.lame.delay)
    except ParallelEncodingFailed:
        return

    assert len(finished) == head.size_bytes
    again = Head.parse(finished)
    assert again is not None
    assert again.info.mpeg_frames == music.mpeg_frames
    assert again.lame.tag_crc == crc16(finished[len(head.id3v2) :][: head.lame.offset + 34])


def what_two_encoders_wrote(content: bytes) -> None:
    """The second one wrote the same but for one byte."""
    content = content[max(0, content.find(b"\xff\xfb")) :]
    written = content, content[:500] + b"\0" + content[501:]
    first, second = (EncodedStream(0, Expected(32_000, 2, None)) for _ in written)
    with suppress(ParallelEncodingFailed):
        for stream, data in zip((first, second), written, strict=True):
            for start in range(0, len(data), 1000):
                stream.append(data[start : start + 1000])
        join = Join(first, second).find()
        if join is not None:
            assert len(last_frames(first, second, 0, join)) == len(first.slice(0, join))
            JOINED.append(join)


JOINED: list[int] = []

PROPERTIES: tuple[Property, ...] = (
    what_a_file_is,
    how_long_a_file_says_it_is,
    what_its_samples_are,
    how_a_file_ends,
    whether_a_file_passes_through,
    mpeg_frames_and_their_tags,
    an_mp3_of_ours,
    the_head_of_a_joined_file,
    what_two_encoders_wrote,
)

# A chunk that must have something in it has nothing.
_EMPTY_FORMAT = b"RIFF\x24\x00\x00\x00WAVEfmt " + bytes(4) + b"data" + bytes(300)
# Everywhere a header, and a chain of MPEG frames from every one of them to the end, where it breaks.
_SLOWEST = b"\xff\xf3\x14\xc4" * 48_000 + b"\x01" * 30


def calls_of(work: Callable[[], object]) -> int:
    profile = Profile()
    profile.runcall(work)
    return sum(entry.callcount for entry in profile.getstats())


def _holds(check: Property, examples: int) -> None:
    @settings(max_examples=examples)
    @given(HOSTILE)
    @example(_SLOWEST)
    @example(_EMPTY_FORMAT)
    @example(b"\xff" * 200_000)
    @example(b"\xff\xfb" * 100_000)
    def run(content: bytes) -> None:
        assert calls_of(lambda: check(content)) <= MAX_CALLS + MAX_CALLS_A_BYTE * len(content)

    run()


@pytest.mark.parametrize("check", PROPERTIES, ids=lambda check: check.__name__)
def test_hostile_bytes(check: Property) -> None:
    _holds(check, EXAMPLES_IN_CI)


def test_the_fuzzed_encoders_do_come_to_agree() -> None:
    JOINED.clear()

    what_two_encoders_wrote(hostile.whole_files()["wanted.mp3"])

    assert JOINED


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("check", PROPERTIES, ids=lambda check: check.__name__)
def test_very_many_hostile_bytes(check: Property) -> None:
    _holds(check, EXAMPLES_IN_ALL)


_WORDS = st.one_of(
    st.none(), st.text(max_size=8), st.integers().map(str), st.integers(), st.just("N/A"), st.just("nan")
)
_STREAMS = st.fixed_dictionaries(
    {"codec_type": st.sampled_from(("audio", "video", "data"))},
    optional={
        "index": st.integers(0, 9),
        "codec_name": st.one_of(st.sampled_from(("mp3", "aac", "pcm_s16le", "png", "none")), st.text(max_size=8)),
        "sample_rate": _WORDS,
        "channels": st.one_of(st.integers(-1, 99), _WORDS),
        "channel_layout": st.one_of(st.just("5.1"), st.text(max_size=8)),
        "duration": _WORDS,
        "width": st.integers(0, 9),
        "height": st.integers(0, 9),
        "disposition": st.fixed_dictionaries({"attached_pic": st.integers(0, 1)}),
    },
)


@settings(max_examples=500)
@given(st.lists(_STREAMS, max_size=4), _WORDS)
def test_what_ffprobe_may_say(streams: list[dict[str, Any]], duration: object) -> None:
    answer = {"streams": streams, "format": {"duration": duration}}
    container = identify(CountingReader(hostile.whole_files()["pcm.wav"]), 100_000)

    try:
        probed = read_answer(answer, container)
    except FileError:
        return

    assert 1_000 <= probed.sample_rate <= 768_000
    assert 1 <= probed.channels <= 64
    assert probed.duration_seconds is None or 0 < probed.duration_seconds < 1e9


def test_the_slowest_file_is_not_slow() -> None:
    container = _identified(_SLOWEST)
    assert container is not None
    read, conversion = CountingReader(_SLOWEST), Conversion(sample_rate=24_000)

    calls = calls_of(lambda: passthrough_result(read, len(_SLOWEST), conversion, container))

    assert passthrough_result(read, len(_SLOWEST), conversion, container) is None
    assert calls <= MAX_CALLS + MAX_CALLS_A_BYTE * len(_SLOWEST)
