"""WAV files whose header does not tell how the samples lie, or where they end."""

from __future__ import annotations

import math
import struct
from pathlib import Path
from typing import Any, Literal

import pytest

from audiojobs.errors import UnsupportedFormat
from tests.audio import headers, measure
from tests.integration.converting import Run, run_engine

RATE = headers.SAMPLE_RATE
LEVEL_DBFS = 20 * -0.523  # 0.3 of full scale

TONE = headers.sweeps(1)


def right_justified(bits: int, size: int, order: Literal["<", ">"] = "<") -> bytes:
    left = headers.whole_numbers(TONE, bits, size, order)
    numbers = [left[at : at + size] for at in range(0, len(left), size)]
    endian: Literal["little", "big"] = "little" if order == "<" else "big"
    shift = 8 * size - bits
    return b"".join(
        (int.from_bytes(number, endian, signed=True) >> shift).to_bytes(size, endian, signed=True) for number in numbers
    )


def converted(folder: Path, content: bytes, **wishes: Any) -> Run:
    source = folder / "take.wav"
    source.write_bytes(content)
    return run_engine(source, **wishes)


def assert_is_the_tone(run: Run, *, seconds: float = headers.SECONDS) -> None:
    assert run.sound.seconds == pytest.approx(seconds, abs=0.001)
    assert 20 * math.log10(measure.peak(run.sound.channels[0])) == pytest.approx(LEVEL_DBFS, abs=0.6)


@pytest.mark.parametrize(
    ("kind", "bits", "size", "is_extensible", "is_left"),
    [
        ("RIFF", 24, 4, False, True),
        ("RIFF", 24, 4, False, False),
        ("RIFF", 24, 4, True, False),
        ("RIFX", 24, 4, False, False),
        ("RIFX", 16, 4, False, True),
        ("RF64", 16, 4, False, True),
        ("RF64", 20, 4, True, False),
        ("W64", 16, 3, False, True),
        ("W64", 24, 4, True, False),
        ("RIFF", 20, 3, True, False),
        ("RIFF", 12, 2, False, False),
    ],
)
def test_fewer_bits_than_bytes(
    tmp_path: Path, kind: str, bits: int, size: int, is_extensible: bool, is_left: bool
) -> None:
    order: Literal["<", ">"] = ">" if kind == "RIFX" else "<"
    data = headers.whole_numbers(TONE, bits, size, order) if is_left else right_justified(bits, size, order)
    form = headers.Form(1, 1, 8 * size, size, bits, 4) if is_extensible else headers.Form(1, 1, bits, size)

    run = converted(tmp_path, headers.wav(kind, form, data))

    assert_is_the_tone(run)
    assert run.converted.warnings == ()


def test_silence_in_front_does_not_hide_where_the_bits_stand(tmp_path: Path) -> None:
    silence = bytes(4 * RATE * 20)

    run = converted(tmp_path, headers.wav("RIFF", headers.Form(1, 1, 24, 4), silence + right_justified(24, 4)))

    assert_is_the_tone(run, seconds=20 + headers.SECONDS)


def test_a_quiet_recording_is_not_turned_up(tmp_path: Path) -> None:
    """Left-justified and more than 48 dB down: the upper byte is unused, and so is the lowest."""
    data = headers.whole_numbers(TONE * 0.002, 24, 4)

    run = converted(tmp_path, headers.wav("RIFF", headers.Form(1, 1, 32, 4, 24, 4), data))

    assert measure.peak(run.sound.middle()) < 0.001


def test_samples_of_five_bytes_are_refused_by_name(tmp_path: Path) -> None:
    content = headers.wav("RIFF", headers.Form(1, 1, 24, 5), headers.whole_numbers(TONE, 24, 5))

    with pytest.raises(UnsupportedFormat, match="24 bits in 5 bytes"):
        converted(tmp_path, content)


def _crashed(kind: str, **layout: Any) -> bytes:
    data = headers.whole_numbers(headers.sweeps(1, sample_frames=2 * RATE), 16, 2)
    return headers.wav(kind, headers.Form(1, 1, 16, 2), data, headers.Layout(**layout))


@pytest.mark.parametrize("kind", ["RIFX"])
def test_sizes_from_before_a_crash(tmp_path: Path, kind: str) -> None:
    run = converted(tmp_path, _crashed(kind, data_size=RATE, riff_size=36 + RATE))

    assert run.sound.seconds == pytest.approx(2.0, abs=0.001)
    assert run.converted.source.duration_seconds == pytest.approx(2.0, abs=0.001)
    assert [warning.code for warning in run.converted.warnings] == ["longer-than-declared"]


@pytest.mark.parametrize(
    "behind",
    [
        b"\0" * 100_000,
        b"TAG" + bytes(125),
        b"LIST\x04\0\0\0INFO",
        b"ID3\3\0\0\0\0\7\x68" + b"x" * 1000,
        b"a note of some program\n" * 4000,
        b"\1",
        b"\1\2\3\4\5",
    ],
    ids=["zeros", "id3v1", "chunk", "id3v2", "text", "one-byte", "five-bytes"],
)
def test_what_is_no_sound_behind_the_sound(tmp_path: Path, behind: bytes) -> None:
    content = headers.wav("RIFF", headers.Form(1, 1, 16, 2), headers.whole_numbers(TONE, 16, 2)) + behind

    run = converted(tmp_path, content)

    assert_is_the_tone(run)
    assert run.converted.warnings == ()


def test_a_second_data_chunk_is_not_passed_over_in_silence(tmp_path: Path) -> None:
    data = headers.whole_numbers(TONE, 16, 2)
    layout = headers.Layout(after=((b"LIST", b"INFO"), (b"data", data)))

    run = converted(tmp_path, headers.wav("RIFF", headers.Form(1, 1, 16, 2), data, layout))

    assert_is_the_tone(run)
    (warning,) = run.converted.warnings
    assert f"{headers.SECONDS:.3f} more seconds" in warning.detail


@pytest.mark.parametrize("count", [1, 3])
def test_joined_files_say_what_was_left_out(tmp_path: Path, count: int) -> None:
    one = headers.wav("RIFF", headers.Form(1, 1, 16, 2), headers.whole_numbers(TONE, 16, 2))

    run = converted(tmp_path, one * (1 + count))

    assert_is_the_tone(run)
    (warning,) = run.converted.warnings
    assert warning.code == "sound-left-out"
    assert f"{count * headers.SECONDS:.3f} more seconds" in warning.detail


@pytest.mark.parametrize("bits", [24])
def test_odd_bytes_at_the_end_are_no_damage(tmp_path: Path, bits: int) -> None:
    size = bits // 8
    data = headers.whole_numbers(headers.sweeps(2), bits, size) + b"\1" * (2 * size - 1)

    run = converted(tmp_path, headers.wav("RIFF", headers.Form(1, 2, bits, size), data))

    assert run.converted.warnings == ()


def _burst(words: list[int], length: int) -> list[int]:
    return words + [0] * (length - len(words))


@pytest.mark.parametrize(
    ("size", "order", "data_type", "name", "silence"),
    [(3, "<", 1, "AC-3", 0), (2, "<", 11, "DTS", 300_000), (2, ">", 21, "E-AC-3", 0)],
)
def test_frames_of_a_digital_cable_never_become_noise(
    tmp_path: Path, size: int, order: Literal["<", ">"], data_type: int, name: str, silence: int
) -> None:
    """Not even sound that no decoder knows: the bursts here hold nothing but noise."""
    payload = [0x1234 * index & 0xFFFF for index in range(1, 500)]
    words = [0] * silence + _burst([0xF872, 0x4E1F, data_type, 8000, *payload], 3072) * 6
    packed = struct.pack(f"{order}{len(words)}H", *words)
    pieces = [packed[at : at + 2] for at in range(0, len(packed), 2)]
    data = b"".join(bytes(size - 2) + piece if order == "<" else piece + bytes(size - 2) for piece in pieces)
    content = headers.wav("RIFF" if order == "<" else "RIFX", headers.Form(1, 2, 8 * size, size), data)

    with pytest.raises(UnsupportedFormat, match=name):
        converted(tmp_path, content)
