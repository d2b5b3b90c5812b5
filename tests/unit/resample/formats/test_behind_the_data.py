"""What stands behind the data of a WAV or Wave64 file: nothing, chunks, a tag, another file, or more sound."""

from __future__ import annotations

import struct
from random import Random

import pytest

from resample.formats.containers import W64, WAV
from resample.formats.declared import Declared
from tests.audio.synth import wav_bytes
from tests.unit.resample.formats.test_declared_length import _w64, of

RATE = 44_100
FRAMES = 600
SOUND = Random(1).randbytes(RATE * 2)  # a second of it


def wav(frames: int = FRAMES, **layout: object) -> bytes:
    return wav_bytes([0.1] * frames, sample_rate=RATE, **layout)  # type: ignore[arg-type]


def chunk(name: bytes, content: bytes, order: str = "<") -> bytes:
    return name + struct.pack(order + "I", len(content)) + content + b"\0" * (len(content) & 1)


def found(content: bytes) -> tuple[int | None, bool, float]:
    """Sample frames, whether the size in the header is stale, and the seconds that are left out."""
    declared = of(content, WAV)
    return declared.sample_frames, declared.is_size_stale, round(declared.left_out_seconds, 3)


@pytest.mark.parametrize(
    "behind",
    [
        b"",
        chunk(b"LIST", b"INFOIART\x04\0\0\0abc\0"),
        chunk(b"LIST", b"WAVE" + bytes(2000)),
        chunk(b"RIFF", b"AVI " + bytes(2000)),
        chunk(b"id3 ", b"ID3" + bytes(2000)) + chunk(b"bext", bytes(602)),
        b"TAG" + b"\xff" * 50_000,
        b"ID3\x04\0\0" + b"\xff" * 50_000,
        b"APETAGEX" + b"\xff" * 50_000,
        b"LYRICSBEGIN" + b"\xff" * 50_000,
        b"\x89PNG" + SOUND,
        b"\xff\xd8\xff\xe0" + SOUND,
        b"PK\3\4" + SOUND,
        b"text that somebody wrote behind it\r\n" * 5000,
        bytes(90_000),
    ],
    ids=[
        "nothing",
        "tags",
        "a chunk that begins with WAVE",
        "RIFF of another kind",
        "chunks",
        "ID3v1",
        "ID3v2",
        "APE",
        "Lyrics3",
        "PNG",
        "JPEG",
        "ZIP",
        "text",
        "zeros",
    ],
)
def test_what_is_no_sound_is_left(behind: bytes) -> None:
    assert found(wav() + behind) == (FRAMES, False, 0.0)


def test_sound_goes_on_where_the_recorder_did_not_come_to_write_the_size() -> None:
    assert found(wav() + SOUND) == (FRAMES + RATE, True, 0.0)
    assert of(wav() + SOUND, WAV).samples == of(wav(FRAMES + RATE), WAV).samples


@pytest.mark.parametrize(("seconds", "is_sound"), [(0.049, False), (0.051, True)])
def test_a_few_stray_bytes_are_no_sound(seconds: float, is_sound: bool) -> None:
    assert of(wav() + SOUND[: round(seconds * RATE) * 2], WAV).is_size_stale is is_sound


def test_sound_behind_other_chunks_is_none_of_it() -> None:
    assert found(wav() + chunk(b"LIST", b"INFO") + SOUND) == (FRAMES, False, 0.0)


def test_another_data_chunk_is_left_out() -> None:
    assert found(wav() + chunk(b"data", SOUND)) == (FRAMES, False, 1.0)
    assert found(wav() + chunk(b"data", SOUND) + chunk(b"LIST", b"INFO") + chunk(b"data", SOUND)) == (
        FRAMES,
        False,
        2.0,
    )
    assert found(wav() + chunk(b"data", SOUND)[:-RATE]) == (FRAMES, False, 0.5)


@pytest.mark.parametrize(
    "between", [chunk(b"LIST", b"WAVE" + bytes(20)), chunk(b"RIFF", b"AVI " + bytes(20))], ids=["WAVE", "RIFF"]
)
def test_what_is_half_like_another_file_is_a_chunk(between: bytes) -> None:
    assert found(wav() + between + chunk(b"data", SOUND)) == (FRAMES, False, 1.0)


@pytest.mark.parametrize("form", ["RIFF", "RIFX", "RF64", "BW64"])
def test_another_file_is_left_out(form: str) -> None:
    appended = wav(RATE).replace(b"RIFF", form.encode(), 1) if form in ("RF64", "BW64") else wav(RATE, form=form)

    assert found(wav() + appended) == (FRAMES, False, 1.0)
    assert found(wav() + appended + wav(RATE // 2)) == (FRAMES, False, 1.5)
    assert found(wav() + chunk(b"data", SOUND) + appended) == (FRAMES, False, 2.0)
    assert found(wav() + appended[:-RATE]) == (FRAMES, False, 0.5), "which is cut off"
    assert found(wav() + appended[:40]) == (FRAMES, False, 0.0), "in its header"


def test_another_file_has_a_format_of_its_own() -> None:
    stereo = wav_bytes([0.1] * RATE * 2, channels=2, sample_rate=RATE * 2)

    assert found(wav() + stereo) == (FRAMES, False, 0.5)


def test_an_odd_chunk_may_come_without_its_padding() -> None:
    odd = wav_bytes([0.1] * 601, "u8", sample_rate=RATE)[: 44 + 601]

    declared = of(odd + chunk(b"data", bytes([200]) * RATE), WAV)

    assert (declared.sample_frames, round(declared.left_out_seconds, 3)) == (601, 1.0)


def test_an_even_chunk_ends_where_it_says() -> None:
    """Its last byte, and the name behind it, look like the header of another chunk."""
    even = wav()[:-1] + b"x"

    assert found(even + chunk(b"LIST", b"INFO") + chunk(b"data", SOUND)) == (FRAMES, False, 1.0)


class TestWave64:
    SOUND = Random(2).randbytes(48_000 * 4)  # a second

    def declared(self, behind: bytes) -> Declared:
        return of(_w64(bytes(4000)) + behind, W64)

    def test_nothing_or_a_chunk(self) -> None:
        tail = bytes.fromhex("f3acd3118cd100c04f8edb8a")
        for behind in (b"", b"junk" + tail + struct.pack("<Q", 24 + 8000) + self.SOUND[:8000]):
            assert (self.declared(behind).sample_frames, self.declared(behind).left_out_seconds) == (1000, 0.0)
            assert self.declared(behind).missing_bytes == 0

    @pytest.mark.parametrize(("seconds", "left_out"), [(1.0, 1.0), (0.2, 0.2), (0.049, 0.0)])
    def test_sound(self, seconds: float, left_out: float) -> None:
        declared = self.declared(self.SOUND[: round(48_000 * seconds) * 4])

        assert (declared.sample_frames, round(declared.left_out_seconds, 3)) == (1000, left_out)

    def test_no_data_but_something_behind(self) -> None:
        tail = bytes.fromhex("f3acd3118cd100c04f8edb8a")
        content = _w64(b"") + b"junk" + tail + struct.pack("<Q", 24 + 800) + self.SOUND[:800]

        assert of(content, W64).sample_frames == 0

    def test_zeros(self) -> None:
        assert self.declared(bytes(48_000 * 4)).left_out_seconds == 0.0
