"""What headers promise about the length of a file."""

from __future__ import annotations

import struct
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resample.formats.containers import (
    AIFF,
    ASF,
    AU,
    CAF,
    DSDIFF,
    DSF,
    FLAC,
    MATROSKA,
    MONKEYS_AUDIO,
    MP3,
    MP4,
    MUSEPACK_7,
    MUSEPACK_8,
    OGG,
    TRUE_AUDIO,
    W64,
    WAV,
    WAVPACK,
    Container,
)
from resample.formats.declared import NOTHING, Declared
from resample.formats.declared_length import declared_length
from tests.audio import dsd
from tests.audio.synth import SAMPLE_KINDS, wav_bytes
from tests.unit.resample.formats.test_passthrough import info_frame, mpeg_frame


def of(content: bytes, container: Container) -> Declared:
    def read(offset: int, length: int) -> bytes:
        assert length > 0, "no range of S3 is empty"
        assert 0 <= offset < len(content), "nor does it begin outside the object"
        return content[offset : offset + length]

    return declared_length(read, len(content), container)


@pytest.mark.parametrize("form", ["RIFF", "RIFX", "RF64", "BW64"])
@pytest.mark.parametrize("kind", SAMPLE_KINDS)
@pytest.mark.parametrize("junk", [False, True])
def test_wav(kind: str, form: str, junk: bool) -> None:
    content = wav_bytes([0.0] * 600, kind, channels=2, form=form, junk=junk, extensible=junk)

    assert of(content, WAV) == Declared(300, 44_100, is_sequential=not junk)


def test_truncated_wav() -> None:
    content = wav_bytes([0.0] * 600, "s16")

    assert of(content[:-200], WAV) == Declared(600, 44_100, missing_bytes=200, is_sequential=True)


@pytest.mark.parametrize("declared_bytes", [0xFFFFFFFF, 0xFFFFFFFF - 36, 0x7FFFF000, 0x80000000])
def test_streamed_wav(declared_bytes: int) -> None:
    assert of(wav_bytes([0.0] * 600, declared_bytes=declared_bytes), WAV) == Declared(600, 44_100, is_sequential=True)


def test_wav_of_length_zero() -> None:
    assert of(wav_bytes([]), WAV).sample_frames == 0
    assert of(wav_bytes([], junk=True), WAV).sample_frames == 0
    assert of(wav_bytes([0.0] * 600, declared_bytes=0, riff_bytes=0), WAV) == Declared(600, 44_100, is_sequential=True)
    assert of(wav_bytes([0.0] * 600, declared_bytes=0, riff_bytes=36), WAV) == Declared(600, 44_100, is_sequential=True)


@pytest.mark.parametrize("start", [0, 255])
@pytest.mark.parametrize(("off", "is_meant"), [(-2, False), (-1, True), (0, True), (1, True), (2, False)])
def test_wav_of_length_zero_is_meant_if_the_size_of_the_file_is_true(start: int, off: int, is_meant: bool) -> None:
    """To the byte of padding."""
    content = wav_bytes([0.0] * 600, declared_bytes=0, riff_bytes=1236 + off)

    declared = of(bytes(start) + content, replace(WAV, audio_offset=start))

    assert declared.sample_frames == (0 if is_meant else 600)


def test_wav_whose_writer_counted_the_header() -> None:
    assert of(wav_bytes([0.0] * 600, declared_bytes=1244), WAV) == Declared(600, 44_100, is_sequential=True)


@pytest.mark.parametrize(("count", "padding"), [(600, 0), (601, 1)], ids=["even", "odd"])
def test_wav_with_room_for_another_chunk_is_not_sequential(count: int, padding: int) -> None:
    content = wav_bytes([0.0] * count, "u8")[: 44 + count]

    assert of(content, WAV).is_sequential
    assert of(content + bytes(padding + 7), WAV).is_sequential is (padding == 0)
    assert not of(content + bytes(padding + 8), WAV).is_sequential


@pytest.mark.parametrize("long_bytes", [0, 600, 5000, 1 << 40])
def test_rf64_whose_data_chunk_has_a_size_of_its_own(long_bytes: int) -> None:
    """The chunk ``ds64`` counts only where the data chunk refers to it (EBU Tech 3306)."""
    content = bytearray(wav_bytes([0.0] * 600, form="RF64"))
    assert content[12:16] == b"ds64"
    content[28:36] = struct.pack("<Q", long_bytes)
    size_at = content.index(b"data") + 4
    content[size_at : size_at + 4] = struct.pack("<I", 1200)

    assert of(bytes(content), WAV) == Declared(600, 44_100, is_sequential=True)


def test_wav_without_a_data_chunk() -> None:
    assert of(wav_bytes([])[:36], WAV) == NOTHING


@pytest.mark.parametrize("size", [0, 15])
def test_wav_whose_format_is_too_short(size: int) -> None:
    content = bytearray(wav_bytes([0.0] * 600))
    content[16:20] = struct.pack("<I", size)

    assert of(bytes(content), WAV) == NOTHING


def test_wav_with_block_codes_tells_only_what_is_missing() -> None:
    content = bytearray(wav_bytes([0.0] * 600))
    content[20:22] = b"\x02\0"  # Microsoft ADPCM

    assert of(bytes(content), WAV) == Declared(None, 44_100)
    assert of(bytes(content[:-100]), WAV) == Declared(None, 44_100, missing_bytes=100)


def _w64(data: bytes, size: int | None = None) -> bytes:
    rest = bytes.fromhex("f3acd3118cd100c04f8edb8a")
    fmt = struct.pack("<HHIIHH", 1, 2, 48_000, 192_000, 4, 16)
    declared = 24 + len(data) if size is None else size
    body = b"fmt " + rest + struct.pack("<Q", 40) + fmt + b"data" + rest + struct.pack("<Q", declared) + data
    riff = bytes.fromhex("726966662e91cf11a5d628db04c10000")
    return riff + struct.pack("<Q", 40 + len(body)) + b"wave" + rest + body


def test_w64() -> None:
    assert of(_w64(bytes(400)), W64) == Declared(100, 48_000, is_sequential=True)
    assert of(_w64(bytes(400))[:-40], W64) == Declared(100, 48_000, missing_bytes=40, is_sequential=True)
    assert of(_w64(bytes(400), size=0), W64) == NOTHING
    assert of(_w64(b""), W64).sample_frames == 0
    assert of(_w64(bytes(400)) + bytes(23), W64).is_sequential
    assert not of(_w64(bytes(400)) + bytes(24), W64).is_sequential


def test_w64_without_a_format_tells_only_what_is_missing() -> None:
    whole = _w64(bytes(400))
    content = whole[:40] + whole[80:]

    assert of(content, W64) == Declared()
    assert of(content[:-40], W64) == Declared(missing_bytes=40)


def test_w64_with_block_codes_tells_only_what_is_missing() -> None:
    content = _w64(bytes(400)).replace(b"\1\0\2\0\x80\xbb", b"\2\0\2\0\x80\xbb")  # Microsoft ADPCM

    assert of(content, W64) == Declared(None, 48_000)
    assert of(content[:-40], W64) == Declared(None, 48_000, missing_bytes=40)


@pytest.mark.parametrize(("size", "is_read"), [(24 + 15, False), (24 + 16, True)])
def test_w64_whose_format_is_too_short(size: int, is_read: bool) -> None:
    content = bytearray(_w64(bytes(400)))
    content[56:64] = struct.pack("<Q", size)

    assert of(bytes(content), W64) == (Declared(100, 48_000, is_sequential=True) if is_read else NOTHING)


@pytest.mark.parametrize(("size", "is_chunk"), [(24, True), (23, False)], ids=["empty", "less than its header"])
def test_w64_with_a_chunk_in_front(size: int, is_chunk: bool) -> None:
    whole = _w64(bytes(400))
    content = whole[:40] + b"junk" + whole[44:56] + struct.pack("<Q", size) + whole[40:]

    assert of(content, W64) == (Declared(100, 48_000, is_sequential=True) if is_chunk else NOTHING)


def _aiff(data: bytes, count: int, *, compression: bytes = b"") -> bytes:
    rate = struct.pack(">HQ", 16_383 + 15, 44_100 << 48)
    comm = struct.pack(">HIH", 2, count, 16) + rate + (compression + b"\0\0" if compression else b"")
    body = b"COMM" + struct.pack(">I", len(comm)) + comm
    body += b"SSND" + struct.pack(">III", 8 + len(data), 0, 0) + data
    return b"FORM" + struct.pack(">I", 4 + len(body)) + (b"AIFC" if compression else b"AIFF") + body


def test_aiff() -> None:
    assert of(_aiff(bytes(400), 100), AIFF) == Declared(100, 44_100)
    assert of(_aiff(bytes(400), 100, compression=b"sowt"), AIFF) == Declared(100, 44_100)
    assert of(_aiff(bytes(400), 100, compression=b"ima4"), AIFF).sample_frames is None
    assert of(_aiff(bytes(400), 100)[:-40], AIFF) == Declared(100, 44_100, missing_bytes=40)
    assert of(_aiff(bytes(400), 0), AIFF).sample_frames is None, "written to a pipe"
    assert of(_aiff(b"", 0), AIFF).sample_frames == 0


def _flac(total: int, sample_rate: int = 96_000) -> bytes:
    packed = sample_rate << 44 | 1 << 41 | 23 << 36 | total
    return b"fLaC\x80\0\0\x22" + bytes(10) + packed.to_bytes(8, "big") + bytes(16)


def test_flac() -> None:
    assert of(_flac(12_345_678_901), FLAC) == Declared(12_345_678_901, 96_000)
    assert of(_flac(0), FLAC).sample_frames is None


def test_au() -> None:
    header = b".snd" + struct.pack(">5I", 24, 400, 3, 44_100, 2)

    assert of(header + bytes(400), AU) == Declared(100, 44_100)
    assert of(header + bytes(300), AU) == Declared(100, 44_100, missing_bytes=100)
    assert of(b".snd" + struct.pack(">5I", 24, 0xFFFFFFFF, 3, 44_100, 2) + bytes(400), AU) == NOTHING


def _caf(data: bytes, size: int | None = None, *, packet_bytes: int = 4) -> bytes:
    description = struct.pack(">d4sIIIII", 44_100.0, b"lpcm", 2, packet_bytes, 1, 2, 4 * packet_bytes)
    declared = 4 + len(data) if size is None else size
    return (
        b"caff\0\1\0\0desc"
        + struct.pack(">q", 32)
        + description
        + b"data"
        + struct.pack(">q", declared)
        + bytes(4)
        + data
    )


def test_caf() -> None:
    assert of(_caf(bytes(400)), CAF) == Declared(100, 44_100, 1)
    assert of(_caf(bytes(400))[:-40], CAF) == Declared(100, 44_100, 1, missing_bytes=40)
    assert of(_caf(bytes(400), size=-1), CAF).sample_frames is None
    assert of(_caf(bytes(403)), CAF).sample_frames == 100, "without a part of a packet"
    assert of(_caf(b"", size=3, packet_bytes=1), CAF).sample_frames is None, "shorter than its own header"


def test_mp3() -> None:
    assert of(info_frame(100, 58_176) + mpeg_frame() * 100, MP3) == Declared(99 * 1152, 32_000, 2 * 1152)
    assert of(mpeg_frame() * 100, MP3) == NOTHING
    assert of(b"\0" * 500 + info_frame(100, 58_176) + mpeg_frame() * 100, MP3).sample_frames == 99 * 1152


def test_mp4() -> None:
    content = struct.pack(">I", 16) + b"ftyp" + bytes(8) + struct.pack(">I", 108) + b"mdat" + bytes(100)

    assert of(content, MP4) == NOTHING
    assert of(content[:-30], MP4) == Declared(missing_bytes=30)
    assert of(content + b"TAG" + bytes(125), MP4) == NOTHING, "no box, but what old programs append"
    assert of(content + struct.pack(">I", 50) + b"moov" + bytes(30), MP4) == Declared(missing_bytes=12)
    assert of(content[:16] + struct.pack(">I", 50) + b"free" + bytes(30), MP4) == Declared(missing_bytes=12)
    long = struct.pack(">I", 1) + b"mdat" + struct.pack(">Q", 116) + bytes(100)
    assert of(long, MP4) == NOTHING
    assert of(long[:-30], MP4) == Declared(missing_bytes=30)
    assert of(struct.pack(">I", 0) + b"mdat" + bytes(100), MP4) == NOTHING


def test_ogg() -> None:
    page = b"OggS\0\4" + bytes(20) + b"\2" + b"\xff\x2d" + bytes(300)

    assert of(page * 3, OGG) == NOTHING
    assert of((page * 3)[:-50], OGG) == Declared(missing_bytes=50)
    assert of((page * 3)[: 2 * len(page) + 20], OGG).missing_bytes == 7


def test_duration() -> None:
    assert Declared(44_100, 44_100).duration_seconds == 1.0
    assert NOTHING.duration_seconds is None


SAMPLES = {
    "wav": (WAV, wav_bytes([0.0] * 50, junk=True, form="RF64")),
    "w64": (W64, _w64(bytes(40))),
    "aiff": (AIFF, _aiff(bytes(40), 10, compression=b"sowt")),
    "flac": (FLAC, _flac(1000)),
    "au": (AU, b".snd" + struct.pack(">5I", 24, 400, 3, 44_100, 2)),
    "caf": (CAF, _caf(bytes(40))),
    "mp3": (MP3, info_frame(1, 1152) + mpeg_frame()),
    "mp4": (MP4, struct.pack(">I", 16) + b"ftyp" + bytes(8) + struct.pack(">I", 108) + b"mdat" + bytes(100)),
    "ogg": (OGG, b"OggS\0\4" + bytes(20) + b"\2" + b"\xff\x2d" + bytes(300)),
}


def assert_tells_the_same_behind_junk(content: bytes, container: Container) -> None:
    for kept in (len(content), len(content) - 7):
        expected = of(content[:kept], container)
        for junk in (251, 255):
            found = of(b"\x01" * junk + content[:kept], replace(container, audio_offset=junk))

            assert found == expected
            moved = expected.samples and replace(expected.samples, offset=expected.samples.offset + junk)
            assert found.samples == moved


@pytest.mark.parametrize("name", SAMPLES)
def test_what_stands_in_front_makes_no_difference(name: str) -> None:
    container, content = SAMPLES[name]

    assert_tells_the_same_behind_junk(content, container)


@pytest.mark.parametrize("name", SAMPLES)
@given(data=st.data())
def test_no_header_makes_it_fail(name: str, data: st.DataObject) -> None:
    container, whole = SAMPLES[name]
    content = bytearray(whole[: data.draw(st.integers(0, len(whole)))])
    for _ in range(data.draw(st.integers(0, 8)) if content else 0):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.sampled_from((0, 1, 0x7F, 0x80, 0xFF)))

    declared = of(bytes(content), container)

    assert declared.sample_frames is None or declared.sample_frames >= 0
    assert declared.missing_bytes >= 0


# --- coded sound


def test_wavpack() -> None:
    flags = 9 << 23  # 44.1 kHz

    def block(total: int, upper: int = 0, flags: int = flags) -> bytes:
        head = b"wvpk" + struct.pack("<IHBB", 1000, 0x410, 0, upper)
        return head + struct.pack("<5I", total, 0, 22_050, flags, 0)

    assert of(block(88_200), WAVPACK) == Declared(88_200, 44_100)
    assert of(block(0, 1), WAVPACK).sample_frames == 0xFFFFFFFF
    assert of(block(88_200, flags=15 << 23), WAVPACK) == Declared(88_200)
    assert of(block(0xFFFFFFFF), WAVPACK) == NOTHING


def ape(version: int, *, sound: int = 500, present: int = 500) -> bytes:
    if version >= 3980:
        descriptor = struct.pack("<4sHH7I16x", b"MAC ", version, 0, 52, 24, 8, 44, sound, 0, 0)
        header = struct.pack("<HHIIIHHI", 2000, 0, 73_728, 1_000, 3, 16, 2, 44_100)
        return descriptor + header + bytes(8 + 44 + present)
    return struct.pack("<4s4HIIIII", b"MAC ", version, 2000, 0, 2, 44_100, 44, 0, 3, 1_000) + bytes(present)


def test_monkeys_audio() -> None:
    assert of(ape(3990), MONKEYS_AUDIO) == Declared(2 * 73_728 + 1_000, 44_100)
    assert of(ape(3990, present=400), MONKEYS_AUDIO) == Declared(2 * 73_728 + 1_000, 44_100, missing_bytes=100)
    assert of(ape(3970), MONKEYS_AUDIO) == Declared(2 * 294_912 + 1_000, 44_100)
    assert of(ape(3920), MONKEYS_AUDIO) == Declared(2 * 73_728 + 1_000, 44_100)
    assert of(ape(3800), MONKEYS_AUDIO) == Declared(2 * 9_216 + 1_000, 44_100)


def test_true_audio() -> None:
    head = b"TTA1" + struct.pack("<HHHII4x", 1, 2, 16, 44_100, 60_000)
    content = head + struct.pack("<II4x", 700, 200) + bytes(900)

    assert of(content, TRUE_AUDIO) == Declared(60_000, 44_100)
    assert of(content[:-250], TRUE_AUDIO) == Declared(60_000, 44_100, missing_bytes=250)


def test_musepack() -> None:
    seven = b"MP+\x07" + struct.pack("<IIII", 100, 1 << 16, 0, 0) + struct.pack("<I", 1 << 31 | 500 << 20) + bytes(100)
    length = b"SH" + bytes((14,)) + bytes(4) + b"\x08" + b"\x85\x10" + b"\x00" + b"\x20\x00" + b"\x00"
    seek = b"SO" + bytes((5,)) + b"\x82\x00"
    eight = b"MPCK" + length + seek + bytes(300)

    assert of(seven, MUSEPACK_7) == Declared(99 * 1152 + 500, 48_000, 1152)
    assert of(eight, MUSEPACK_8) == Declared(5 * 128 + 16, 48_000, 1152)
    assert of(eight[:-100], MUSEPACK_8).missing_bytes == 256 + 4 + 14 - len(eight) + 100


@pytest.mark.parametrize("channels", [1, 2])
def test_dsd(channels: int) -> None:
    samples = dsd.dsd_tone(0.02, 2_822_400, channels)
    sony, philips = dsd.dsf(samples, 2_822_400), dsd.dff(samples, 2_822_400)

    assert of(sony, DSF) == Declared(7_056, 352_800, 1)
    assert of(sony[:-99], DSF) == Declared(7_056, 352_800, 1, missing_bytes=99)
    assert of(philips, DSDIFF) == Declared(7_056, 352_800, 1)
    assert of(philips[:-99], DSDIFF) == Declared(7_056, 352_800, 1, missing_bytes=99)


def asf(*, packets: int = 3, flags: int = 2, present: int = 3) -> bytes:
    other = bytes(16) + struct.pack("<Q", 40) + bytes(16)
    properties = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365") + struct.pack("<Q", 104) + bytes(32)
    properties += struct.pack("<QQQQIIII", packets, 0, 0, 0, flags, 100, 100, 0)
    header = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")
    header += struct.pack("<QIBB", 30 + 40 + 104, 2, 1, 2) + other + properties
    return header + bytes(50 + 100 * present)


def test_windows_media() -> None:
    assert of(asf(), ASF) == NOTHING
    assert of(asf(present=2), ASF) == Declared(missing_bytes=100)
    assert of(asf(present=2, flags=1), ASF) == NOTHING


def test_matroska() -> None:
    head = b"\x1a\x45\xdf\xa3\x84" + bytes(4)

    assert of(head + b"\x18\x53\x80\x67\x40\x64" + bytes(100), MATROSKA) == NOTHING
    assert of(head + b"\x18\x53\x80\x67\x40\x64" + bytes(60), MATROSKA) == Declared(missing_bytes=40)
    assert of(head + b"\x18\x53\x80\x67\x01" + b"\xff" * 7 + bytes(60), MATROSKA) == NOTHING
