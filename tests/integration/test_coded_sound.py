"""Compressed sound that was copied as if it were samples, where no bit of it changes: it is refused by name."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from audiojobs.errors import UnsupportedFormat
from tests.audio.programs import run_full_ffmpeg
from tests.integration.converting import run_engine

RATE = 44_100


@pytest.fixture(scope="module")
def dts_cd(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The samples of a DTS CD, big-endian: DTS frames of 512 sample frames in as many sample frames of stereo."""
    path = tmp_path_factory.mktemp("dts") / "track.dts"
    tone = f"sine=frequency=997:sample_rate={RATE}:duration=2"
    run_full_ffmpeg("-f", "lavfi", "-i", tone, "-ac", "2", "-c:a", "dca", "-strict", "-2", "-b:a", "1411200", path)
    return path


@pytest.fixture(scope="module")
def cable(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The frames of a digital cable that carries AC-3 (IEC 61937), big-endian."""
    burst = [0xF872, 0x4E1F, 1, 8000, *(0x1234 * index & 0xFFFF for index in range(1, 500))]
    words = (burst + [0] * (3072 - len(burst))) * 20
    path = tmp_path_factory.mktemp("cable") / "take.raw"
    path.write_bytes(struct.pack(f">{len(words)}H", *words))
    return path


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("track.flac", ()),
        ("24-bit.flac", ("-sample_fmt", "s32", "-bits_per_raw_sample", "24")),
        ("track.m4a", ("-c:a", "alac")),
        ("track.wv", ()),
        ("track.tta", ()),
        ("track.aiff", ()),
        ("track.mka", ("-c:a", "pcm_s16le")),
        ("track.mov", ("-c:a", "pcm_s16be")),
        ("track.caf", ("-c:a", "pcm_s16be")),
    ],
)
def test_compressed_sound_in_what_changes_no_bit(
    tmp_path: Path, dts_cd: Path, cable: Path, name: str, options: tuple[str, ...]
) -> None:
    for raw, coding in ((dts_cd, "DTS"), (cable, "AC-3 in S/PDIF frames")):
        source = tmp_path / name
        run_full_ffmpeg("-f", "s16be", "-ar", str(RATE), "-ac", "2", "-i", raw, *options, source)

        with pytest.raises(UnsupportedFormat, match=f"it holds {coding}"):
            run_engine(source)


@pytest.mark.parametrize(
    ("name", "options"), [("noise.flac", ("-sample_fmt", "s16")), ("noise.m4a", ("-c:a", "alac")), ("noise.aiff", ())]
)
def test_noise_is_sound(tmp_path: Path, name: str, options: tuple[str, ...]) -> None:
    source = tmp_path / name
    noise = f"anoisesrc=sample_rate={RATE}:amplitude=1:duration=2:seed=1"
    run_full_ffmpeg("-f", "lavfi", "-i", noise, "-ac", "2", *options, source)

    assert run_engine(source).converted.result.duration_seconds == 2
