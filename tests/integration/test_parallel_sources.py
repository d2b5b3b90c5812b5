"""Sources of every sample rate, depth and number of channels: two encoders in the engine write what one writes."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import pytest

from audiojobs.conversion import BIT_RATES
from resample.engine import encode
from resample.engine.parallel import ParallelResult, encode_in_parallel, plan
from tests.audio.programs import run_full_ffmpeg
from tests.integration.converting import run_engine
from tests.integration.test_parallel_encoding import MUSIC, decoded

SECONDS = 40
MPEG_FRAMES = 600  # of sound in the result: enough for a join or two, mostly
SOURCE_RATES = (8_000, 11_025, 16_000, 22_050, 32_000, 44_100, 48_000, 88_200, 96_000, 176_400, 192_000)
LAYOUTS = {1: "mono", 2: "stereo", 6: "5.1"}
# Each channel of six is another mix of the two voices.
SURROUND = "pan=5.1|c0=c0|c1=c1|c2=0.5*c0+0.5*c1|c3=0.2*c0|c4=0.7*c1|c5=c0-0.5*c1"

# Each source rate and each sample rate of MP3, with each depth and each number of channels.
MIXED: list[tuple[int, int, str, dict[str, Any]]] = [
    (8_000, 1, "s16", {"vbr_quality": 3}),
    (11_025, 2, "s24", {"sample_rate": 11_025, "bit_rate": 32_000}),
    (16_000, 6, "f32", {"sample_rate": 8_000, "bit_rate": 24_000}),
    (22_050, 1, "s24", {"sample_rate": 22_050, "bit_rate": 64_000}),
    (32_000, 2, "f32", {"bit_rate": 320_000}),
    (44_100, 6, "s16", {"bit_rate": 128_000}),
    (48_000, 2, "s24", {"sample_rate": 44_100, "bit_rate": 192_000}),
    (88_200, 1, "f32", {"sample_rate": 16_000, "bit_rate": 48_000}),
    (96_000, 6, "s24", {"sample_rate": 48_000, "bit_rate": 128_000, "channels": 1}),
    (176_400, 2, "s16", {"sample_rate": 12_000, "bit_rate": 40_000}),
    (192_000, 2, "f32", {"sample_rate": 24_000, "bit_rate": 160_000}),
]
EVERY: list[tuple[int, int, str, dict[str, Any]]] = [
    (source_rate, channels, depth, wishes)
    for source_rate in SOURCE_RATES
    for channels in LAYOUTS
    for depth in ("s16", "s24", "f32")
    for wishes in ({"bit_rate": 64_000}, {"bit_rate": 192_000, "channels": 1}, {"vbr_quality": 4})
] + [
    (source_rate, channels, "s16", {"sample_rate": sample_rate, "bit_rate": BIT_RATES[sample_rate][5]})
    for source_rate in SOURCE_RATES
    for channels in (1, 2)
    for sample_rate in BIT_RATES
]


@cache
def music() -> bytes:
    """Two voices as 32-bit floats at 48 kHz."""
    return run_full_ffmpeg("-f", "lavfi", "-i", f"{MUSIC}:s=48000,atrim=end={SECONDS}", "-f", "f32le", "pipe:1")


def make_source(path: Path, sample_rate: int, channels: int, depth: str, wishes: dict[str, Any]) -> Path:
    wanted_rate = wishes.get("sample_rate", 32_000)
    seconds = min(SECONDS, MPEG_FRAMES * (1152 if wanted_rate >= 32_000 else 576) / wanted_rate)
    mix = ("-af", SURROUND) if channels == 6 else ()
    as_pcm = ("-f", "f32le", "-ar", "48000", "-ac", "2", "-i", "pipe:0")
    wanted = ("-ar", str(sample_rate), "-ac", str(channels), "-c:a", f"pcm_{depth}le", "-t", str(seconds))
    run_full_ffmpeg(*as_pcm, *mix, *wanted, path, stdin=music())
    return path


@pytest.fixture(autouse=True)
def joins(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Has seconds of sound encoded by several encoders, and tells how often the stream went over to another one."""
    seen: list[int] = []

    def encode_and_count(*given: Any, **options: Any) -> ParallelResult:
        encoded = encode_in_parallel(*given, **options)
        seen.append(encoded.joins)
        return encoded

    monkeypatch.setattr(encode, "PARALLEL_FROM_SECONDS", 0.0)
    monkeypatch.setattr(plan, "MINIMUM_FRAMES", plan.START_GRID)
    monkeypatch.setattr(encode, "encode_in_parallel", encode_and_count)
    return seen


def two_encoders_write_what_one_writes(source: Path, wishes: dict[str, Any]) -> None:
    one = run_engine(source, **wishes)
    two = run_engine(source, encoders=2, **wishes)

    assert decoded(two.mp3) == decoded(one.mp3)
    assert two.converted == one.converted


def cases(sources: list[tuple[int, int, str, dict[str, Any]]]) -> list[Any]:
    return [
        pytest.param(*case, id="-".join([str(case[0]), LAYOUTS[case[1]], case[2], *map(str, case[3].values())]))
        for case in sources
    ]


@pytest.mark.parametrize(("sample_rate", "channels", "depth", "wishes"), cases(MIXED))
def test_every_source_rate_every_depth_and_every_layout(
    sample_rate: int, channels: int, depth: str, wishes: dict[str, Any], tmp_path: Path, joins: list[int]
) -> None:
    two_encoders_write_what_one_writes(
        make_source(tmp_path / "music.wav", sample_rate, channels, depth, wishes), wishes
    )

    assert len(joins) == 1, "several encoders did it"


@pytest.mark.long
@pytest.mark.parametrize(("sample_rate", "channels", "depth", "wishes"), cases(EVERY))
def test_every_combination_of_them(
    sample_rate: int, channels: int, depth: str, wishes: dict[str, Any], tmp_path: Path, joins: list[int]
) -> None:
    two_encoders_write_what_one_writes(
        make_source(tmp_path / "music.wav", sample_rate, channels, depth, wishes), wishes
    )

    assert len(joins) == 1, "several encoders did it"
