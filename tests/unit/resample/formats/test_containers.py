"""What a file is, by its bytes alone."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from audiojobs.errors import NoAudio, TruncatedAudio, UnsupportedFormat
from resample.formats.containers import HEAD_BYTES, Container, detect, id3v2_bytes, identify
from resample.formats.reader import Reader
from tests.audio.broken import id3v2

MPEG_FRAME = b"\xff\xfb\x98\x00".ljust(576, b"\x55")  # Layer III, 128 kbit/s, 32 kHz
LAYER2_FRAME = b"\xff\xfd\xa8\x00".ljust(864, b"\x55")  # Layer II, 192 kbit/s, 32 kHz
LAYER1_FRAME = b"\xff\xff\x48\x00".ljust(192, b"\x55")  # Layer I, 128 kbit/s, 32 kHz
ADTS_FRAME = b"\xff\xf1\x50\x80\x19\x1f\xfc".ljust(200, b"\x55")
AC3_FRAME = b"\x0b\x77\0\0\x14\x40".ljust(768, b"\x55")  # 192 kbit/s, 48 kHz
EAC3_FRAME = b"\x0b\x77\1\x7f\x34\x86".ljust(768, b"\x55")
ASF = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")
FREE_FORMAT_FRAME = b"\xff\xfb\x08\x00".ljust(700, b"\x55")


def reader(content: bytes, requests: list[tuple[int, int]] | None = None) -> Reader:
    def read(offset: int, length: int) -> bytes:
        if requests is not None:
            requests.append((offset, length))
        return content[offset : offset + length]

    return read


def of(content: bytes) -> Container:
    return identify(reader(content), len(content))


@pytest.mark.parametrize(
    ("head", "name", "demuxer"),
    [
        (b"RIFF\x24\0\0\0WAVEfmt ", "wav", "wav"),
        (b"RIFX\0\0\0\x24WAVEfmt ", "wav", "wav"),
        (b"RF64\xff\xff\xff\xffWAVEds64", "wav", "wav"),
        (b"BW64\xff\xff\xff\xffWAVEds64", "wav", "wav"),
        (bytes.fromhex("726966662e91cf11a5d628db04c10000") + bytes(8), "w64", "w64"),
        (b"FORM\0\0\0\x24AIFFCOMM", "aiff", "aiff"),
        (b"FORM\0\0\0\x24AIFCFVER", "aiff", "aiff"),
        (b"fLaC\0\0\0\x22", "flac", "flac"),
        (b"OggS\0\x02", "ogg", "ogg"),
        (b".snd\0\0\0\x18", "au", "au"),
        (b"caff\0\x01\0\0desc", "caf", "caf"),
        (b"\0\0\0\x20ftypM4A \0\0\0\0", "mp4", "mov"),
        (b"\0\0\0\x08wide\0\0\x10\0mdat", "mp4", "mov"),
        (b"\0\0\x10\0moov\0\0\0\x6cmvhd", "mp4", "mov"),
        (b"\0\0\0\x01mdat\0\0\0\0\0\x10\0\0", "mp4", "mov"),
        (b"\0\0\x01\0free", "mp4", "mov"),
        (b"\x1a\x45\xdf\xa3\x9f\x42\x86\x81\1\x42\x82\x84webm\x42\x87\x81\4", "webm", "matroska"),
        (b"\x1a\x45\xdf\xa3\xa3\x42\x86\x81\1\x42\x82\x88matroska", "matroska", "matroska"),
        ((b"\x47" + bytes(187)) * 5, "mpegts", "mpegts"),
        ((bytes(4) + b"\x47" + bytes(187)) * 5, "mpegts", "mpegts"),
        (ASF, "asf", "asf"),
        (b"#!AMR\n\x3c", "amr", "amr"),
        (b"#!AMR-WB\n\x3c", "amr", "amr"),
        (AC3_FRAME * 5, "ac3", "ac3"),
        (AC3_FRAME, "ac3", "ac3"),
        (EAC3_FRAME * 5, "eac3", "eac3"),
        (b"\x7f\xfe\x80\1\xfc\x3c", "dts", "dts"),
        (b"\xfe\x7f\1\x80\x3c\xfc", "dts", "dts"),
        (b"\xff\x1f\0\xe8\xf1\7", "dts", "dts"),
        (b"DTSHDHDR" + bytes(8), "dts", "dtshd"),
        (b"\x71\x2c\0\0\xf8\x72\x6f\xba", "truehd", "truehd"),
        (b"wvpk\x18\0\0\0", "wavpack", "wv"),
        (b"MAC \x96\x0f", "ape", "ape"),
        (b"TTA1\1\0", "tta", "tta"),
        (b"MP+\x07\x10\0\0\0", "musepack", "mpc"),
        (b"MP+\x17\x10\0\0\0", "musepack", "mpc"),
        (b"MPCKSH", "musepack", "mpc8"),
        (b"DSD \x1c" + bytes(7), "dsf", "dsf"),
        (b"FRM8" + bytes(8) + b"DSD FVER", "dff", "iff"),
        (b"ajkg\2", "shorten", "shn"),
        ((b"\xd8" + b"\x20\xa2\xe1\x5a" * 8) * 20, "gsm", "gsm"),
        (MPEG_FRAME * 5, "mp3", "mp3"),
        (LAYER2_FRAME * 5, "mp3", "mp3"),
        (LAYER1_FRAME * 5, "mp3", "mp3"),
        (ADTS_FRAME * 5, "aac", "aac"),
        (b"\0" * 5000 + MPEG_FRAME * 5, "mp3", "mp3"),
        (b"junk" * 500 + MPEG_FRAME * 5, "mp3", "mp3"),
        (MPEG_FRAME[300:] + MPEG_FRAME * 5, "mp3", "mp3"),
        (MPEG_FRAME, "mp3", "mp3"),
        (MPEG_FRAME * 2 + MPEG_FRAME[:100], "mp3", "mp3"),
        (MPEG_FRAME + b"TAG" + bytes(125), "mp3", "mp3"),
        (ADTS_FRAME * 2, "aac", "aac"),
    ],
)
def test_accepted(head: bytes, name: str, demuxer: str) -> None:
    container = of(head)

    assert (container.name, container.demuxer, container.audio_offset) == (name, demuxer, 0)


def test_only_rifx_is_big_endian() -> None:
    assert of(b"RIFX\0\0\0\x24WAVEfmt ").is_big_endian
    assert not of(b"RIFF\x24\0\0\0WAVEfmt ").is_big_endian


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"#EXTM3U\n#EXTINF:1,\nx.wav\n", "playlist"),
        (b"\n  #extm3u\n", "playlist"),
        (b"ffconcat version 1.0\nfile 'x.wav'\n", "list of other files"),
        (b"[playlist]\nFile1=x.mp3\n", "playlist"),
        (b"<!DOCTYPE html><html>", "web page"),
        (b"<?xml version='1.0'?><smil>", "XML"),
        (b"%PDF-1.7\n", "PDF"),
        (b"PK\x03\x04\x14\0", "ZIP"),
        (b"\x1f\x8b\x08\0", "archive"),
        (b"\x89PNG\r\n\x1a\n", "picture"),
        (b"\xff\xd8\xff\xe0", "picture"),
        (b"\0\0\0\x18ftypheic", "picture"),
        (b"RIFF\0\0\0\0WEBPVP8 ", "picture"),
        (b"RIFF\0\0\0\0AVI LIST", "video"),
        (b"FLV\x01\x05", "video"),
        (b"\0\0\x01\xba\x44", "video"),
        (b"MThd\0\0\0\x06", "MIDI"),
        (b"#!AMR_MC1.0\n\0\0\0\2", "AMR file of several channels"),
        (b"TTA2" + bytes(20), "True Audio 2"),
        (b"MP+\x06" + bytes(20), "Musepack"),
        (b"tBaK" + bytes(20), "TAK"),
        (b"OFR \x0f\0\0\0", "OptimFROG"),
        (b"LA04" + bytes(20), "Lossless Audio"),
        (b"ADIF" + bytes(20), "ADIF"),
        (b"ea3\x03\0\0\0\0", "ATRAC"),
        (b"\x02dss" + bytes(20), "dictation"),
        (b"FORM\0\0\0\x248SVXVHDR", "8SVX"),
        (b"Creative Voice File\x1a\x1a\0", "Creative Voice"),
        (b"NIST_1A\n   1024\n", "NIST"),
        (b"dns.\x18\0\0\0", "AU"),
        (b".ra\xfd\0\4", "RealAudio"),
        (ASF + bytes(14) + bytes.fromhex("fbb3112223bdd211b4b700a0c955fc6e"), "protected.*unprotected"),
        (ASF + bytes(99) + bytes.fromhex("14e68a292226174cb935dae07ee9289c"), "protected.*unprotected"),
        (b"Just some words, nothing else.\n" * 100, "text file"),
        (("д" * 16 + " ").encode() * 3000, "text file"),
        ("Grüße aus Köln. ".encode() * 5000, "text file"),
        ("words".encode("utf-16"), "text file"),
        (FREE_FORMAT_FRAME * 5, "free-format"),
        (bytes(range(256)) * 20, "not in a supported audio format"),
        (bytes(100_000), "not in a supported audio format"),
        (b"RIFF\0\0\0\0", "not in a supported audio format"),
        (b"\xff", "not in a supported audio format"),
    ],
)
def test_refused_with_a_sentence_that_says_what_it_is(content: bytes, words: str) -> None:
    with pytest.raises(UnsupportedFormat, match=words) as caught:
        of(content)

    assert caught.value.detail.endswith(".")


@pytest.mark.parametrize("character", ["é", "€", "🎵"], ids=["2 bytes", "3 bytes", "4 bytes"])
@pytest.mark.parametrize("shift", range(4))
def test_text_is_text_wherever_the_part_ends_that_is_looked_at(character: str, shift: int) -> None:
    text = ("x" * shift + character * 3000).encode()

    with pytest.raises(UnsupportedFormat, match="a text file"):
        of(text)


@pytest.mark.parametrize(
    "content",
    ["café ".encode("latin-1") * 2000, b"x" * 4090 + b"\xe9" + b"x" * 100, "words, and an é".encode()[:-1]],
    ids=["Latin-1", "a wrong byte near the end", "cut at the end of the file"],
)
def test_what_is_no_utf8_is_no_text(content: bytes) -> None:
    with pytest.raises(UnsupportedFormat, match="not in a supported audio format"):
        of(content)


def test_empty() -> None:
    with pytest.raises(NoAudio, match="The file is empty"):
        of(b"")
    with pytest.raises(NoAudio, match="The file is empty"):
        detect(b"", is_whole_file=True)


def test_two_mpeg_frames_in_the_middle_of_something_are_not_enough() -> None:
    with pytest.raises(UnsupportedFormat):
        of(b"\x01" * 1000 + MPEG_FRAME * 2 + b"\x01" * 1000)


@pytest.mark.parametrize("behind", [MPEG_FRAME * 200, ADTS_FRAME * 500, b"fLaC" + bytes(1000)])
@pytest.mark.parametrize("tag_bytes", [0, 100, HEAD_BYTES - 100, HEAD_BYTES, 3_000_000])
def test_id3_tag_in_front(behind: bytes, tag_bytes: int) -> None:
    content = id3v2(tag_bytes, b"\xff\xfb\x98\x00" * 20 if tag_bytes > 100 else b"") + behind
    requests: list[tuple[int, int]] = []

    container = identify(reader(content, requests), len(content))

    assert container.audio_offset == 10 + tag_bytes
    assert container.name == of(behind).name
    assert len(requests) <= 2
    assert sum(length for _, length in requests) <= 2 * HEAD_BYTES


@pytest.mark.parametrize(
    ("tag_bytes", "reads"),
    [
        (100, 1),
        (HEAD_BYTES * 3 // 4 - 10, 1),
        (HEAD_BYTES * 3 // 4 - 9, 2),
        (HEAD_BYTES, 2),
    ],
    ids=["short", "a quarter is left", "less is left", "long"],
)
def test_only_a_long_tag_needs_a_second_read(tag_bytes: int, reads: int) -> None:
    content = id3v2(tag_bytes) + MPEG_FRAME * 1000
    requests: list[tuple[int, int]] = []

    assert identify(reader(content, requests), len(content)).audio_offset == 10 + tag_bytes
    assert requests == [(0, HEAD_BYTES), (10 + tag_bytes, HEAD_BYTES)][:reads]


@pytest.mark.parametrize(("second", "reads"), [(100, 2), (HEAD_BYTES * 3 // 4 - 10, 2), (HEAD_BYTES * 3 // 4 - 9, 3)])
def test_behind_a_long_tag_it_is_the_same(second: int, reads: int) -> None:
    content = id3v2(199_999) + id3v2(second) + MPEG_FRAME * 1000
    requests: list[tuple[int, int]] = []

    assert identify(reader(content, requests), len(content)).audio_offset == 200_019 + second
    assert requests == [(0, HEAD_BYTES), (200_009, HEAD_BYTES), (200_019 + second, HEAD_BYTES)][:reads]


def test_a_short_file_with_a_tag_is_read_once() -> None:
    content = id3v2(1000) + MPEG_FRAME * 5
    requests: list[tuple[int, int]] = []

    assert identify(reader(content, requests), len(content)).name == "mp3"
    assert requests == [(0, HEAD_BYTES)]


def test_several_id3_tags() -> None:
    content = id3v2(100) + id3v2(200_000) + id3v2(50) + MPEG_FRAME * 10

    assert of(content).audio_offset == 200_180


@pytest.mark.parametrize("first", [100, HEAD_BYTES, 200_000])
def test_a_header_behind_several_tags_has_no_junk_in_front(first: int) -> None:
    container = of(id3v2(first) + id3v2(50) + id3v2(70) + b"fLaC\0\0\0\x22" + bytes(HEAD_BYTES))

    assert (container.name, container.audio_offset, container.junk_bytes) == ("flac", first + 150, 0)


def test_id3_tag_and_nothing_else() -> None:
    with pytest.raises(NoAudio):
        of(id3v2(1000))
    with pytest.raises(TruncatedAudio):
        of(id3v2(100_000)[:50_000])
    with pytest.raises(UnsupportedFormat):
        of(id3v2(0) * 20)


def test_id3_length() -> None:
    assert id3v2_bytes(id3v2(300)) == 310
    assert id3v2_bytes(b"ID3\x04\0\x10\0\0\x02\x2c") == 320, "with a footer"
    assert id3v2_bytes(b"ID3\x04\0\xf0\0\0\x02\x2c") == 320, "and everything else"
    for other in (0x80, 0x40, 0x20, 0xE0, 0x0F):
        assert id3v2_bytes(b"ID3\x04\0" + bytes((other,)) + b"\0\0\x02\x2c") == 310
    assert id3v2_bytes(b"ID3\x04\0\0\0\0\x82\x2c") == 0, "not synchsafe"
    assert id3v2_bytes(b"ID3") == 0
    assert id3v2_bytes(b"ID3\xff\0\0\0\0\x02\x2c") == id3v2_bytes(b"ID3\x04\xff\0\0\0\x02\x2c") == 0, "no version"


@pytest.mark.parametrize("frame", [MPEG_FRAME, ADTS_FRAME], ids=["MPEG", "ADTS"])
def test_four_frames_in_a_row_are_no_chance(frame: bytes) -> None:
    junk = b"\x01" * 1000

    assert of(junk + frame * 4 + junk).name in ("mp3", "aac")
    with pytest.raises(UnsupportedFormat):
        of(junk + frame * 3 + junk)


@pytest.mark.parametrize("frame", [MPEG_FRAME, ADTS_FRAME, AC3_FRAME], ids=["MPEG", "ADTS", "AC-3"])
def test_a_whole_short_file_may_have_fewer(frame: bytes) -> None:
    assert of(frame).name in ("mp3", "aac", "ac3")
    assert of(frame + b"TAG" + bytes(125)).name in ("mp3", "aac", "ac3")
    assert of(frame + b"APETAGEX" + bytes(100)).name in ("mp3", "aac", "ac3")
    assert of(frame * 2 + frame[:-1]).name in ("mp3", "aac", "ac3"), "the last one is cut off"
    for content in (frame[:-1], frame + b"\x01" * 100, b"\x01" + frame):
        with pytest.raises(UnsupportedFormat):
            of(content)


def test_so_may_one_behind_a_tag() -> None:
    container = of(id3v2(100) + MPEG_FRAME)

    assert (container.name, container.audio_offset) == ("mp3", 110)


def test_the_beginning_of_a_long_file_is_no_short_file() -> None:
    with pytest.raises(UnsupportedFormat):
        of(MPEG_FRAME + b"TAG" + b"\x01" * HEAD_BYTES)


@pytest.mark.parametrize(
    ("at", "value"),
    [(0, 0xFE), (1, 0xE1), (1, 0xF3), (1, 0xF5), (2, 13 << 2), (3, 0x80), (4, 0x00)],
    ids=["sync", "sync too", "layer 1", "layer 2", "sampling index", "length", "length of 7"],
)
def test_what_is_no_adts_frame(at: int, value: int) -> None:
    broken = bytearray(ADTS_FRAME)
    broken[at] = value
    if at == 4:
        broken[3:6] = bytes((0x80, 0, 0xFF))  # seven bytes, which are the header alone

    if (at, value) == (3, 0x80):
        assert of(bytes(broken) * 5).name == "aac", "that is how long it is"
    else:
        with pytest.raises(UnsupportedFormat):
            of(bytes(broken) * 5)


@pytest.mark.parametrize("zeros", [1 << 20, (1 << 20) + 1, (16 << 20) - HEAD_BYTES])
def test_space_that_was_reserved_before_a_download(zeros: int) -> None:
    container = of(bytes(HEAD_BYTES + zeros) + b"fLaC\0\0\0\x22" + bytes(100))

    assert (container.name, container.audio_offset, container.junk_bytes) == ("flac", *[HEAD_BYTES + zeros] * 2)


def test_more_zeros_than_anybody_reserves() -> None:
    with pytest.raises(UnsupportedFormat, match="begins with many megabytes of zeros"):
        of(bytes(HEAD_BYTES + (16 << 20)) + b"fLaC\0\0\0\x22" + bytes(100))
    with pytest.raises(UnsupportedFormat, match="nothing but zeros"):
        of(bytes(HEAD_BYTES + (1 << 20)))


@pytest.mark.parametrize(("junk", "is_found"), [(b"\r\n", True), (b"\x01" * 1000, True), (b"\x01" * 1100, False)])
def test_a_little_junk_in_front_of_a_header(junk: bytes, is_found: bool) -> None:
    content = junk + b"RIFF\x24\0\0\0WAVEfmt " + b"\x01" * 100

    if is_found:
        container = of(content)
        assert (container.name, container.audio_offset, container.junk_bytes) == ("wav", len(junk), len(junk))
    else:
        with pytest.raises(UnsupportedFormat):
            of(content)


@pytest.mark.parametrize(("size", "is_mp4"), [(0, True), (1, True), (2, False), (7, False), (8, True), (0x20, True)])
def test_an_mp4_box_has_a_size(size: int, is_mp4: bool) -> None:
    content = size.to_bytes(4, "big") + b"moov" + bytes(range(1, 100))

    if is_mp4:
        assert of(content).name == "mp4"
    else:
        with pytest.raises(UnsupportedFormat):
            of(content)


@given(
    st.binary(max_size=3000) | st.lists(st.sampled_from([b"\xff", b"\xfb\x98", b"\0", b"ID3\x03\0\0"])).map(b"".join)
)
@example(b"\xff" * HEAD_BYTES)
@example(b"\xff\xfb\x98\x00" * (HEAD_BYTES // 4))
@example(b"\xff\xfb\x08\x00" * (HEAD_BYTES // 4))
def test_anything_is_accepted_or_refused(content: bytes) -> None:
    with contextlib.suppress(UnsupportedFormat, NoAudio, TruncatedAudio):
        assert 0 <= of(content).audio_offset < len(content)
