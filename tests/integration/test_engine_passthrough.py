"""Which uploads are handed back byte for byte, and how little of them is read to know it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from audiojobs.conversion import Conversion
from audiojobs.job import Result, Source
from resample.formats.containers import identify
from resample.formats.passthrough import passthrough_result
from resample.formats.reader import file_reader
from tests.audio import broken, measure, synth

SECONDS = 20.0
AS_ASKED = ("-b:a", "128k", "-ar", "32000")


class CountingReader:
    """Reads a file and remembers how often and how much."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.calls = 0
        self.bytes = 0

    def __call__(self, offset: int, length: int) -> bytes:
        with file_reader(self.path) as read:
            data = read(offset, length)
        self.calls += 1
        self.bytes += len(data)
        return data


def decide(path: Path, **wishes: Any) -> tuple[Source, Result] | None:
    """The decision, made as the service makes it, within the promised number of requests and bytes."""
    reader, size_bytes = CountingReader(path), path.stat().st_size
    container = identify(reader, size_bytes)
    decision = passthrough_result(reader, size_bytes, Conversion(**wishes), container)
    assert reader.bytes <= 340_000
    assert reader.calls <= 17
    return decision


def mp3(folder: Path, *arguments: str, name: str = "tone.mp3", channels: int = 2, **more: Any) -> Path:
    sound = synth.tone(SECONDS, sample_rate=32_000, channels=channels)
    return synth.encode(folder / name, sound, "-c:a", "libmp3lame", *arguments, **more)


@pytest.mark.parametrize(
    "arguments",
    [
        ("-b:a", "128k"),
        ("-b:a", "320k"),
        ("-b:a", "32k"),
        ("-q:a", "2"),
        ("-q:a", "9"),
        ("-b:a", "128k", "-abr", "1"),
        ("-b:a", "128k", "-write_xing", "0"),
        ("-b:a", "128k", "-id3v2_version", "0"),
        ("-b:a", "128k", "-write_id3v1", "1"),
        ("-q:a", "4", "-write_xing", "0"),
    ],
    ids=" ".join,
)
@pytest.mark.parametrize("channels", [1, 2])
def test_an_mp3_at_the_right_rate_passes(tmp_path: Path, arguments: tuple[str, ...], channels: int) -> None:
    path = mp3(tmp_path, *arguments, channels=channels)

    decision = decide(path)

    assert decision is not None
    source, result = decision
    assert (source.container, source.codec, source.size_bytes) == ("mp3", "mp3", path.stat().st_size)
    assert (result.sample_rate, result.channels, result.passthrough) == (32_000, channels, True)
    assert result.size_bytes == path.stat().st_size
    has_tag = "-write_xing" not in arguments
    is_variable = "-q:a" in arguments
    decoded = measure.decode(path).seconds
    assert result.duration_seconds == pytest.approx(
        decoded, abs=1e-9 if has_tag else decoded / 20 if is_variable else 0.1
    )
    assert source.duration_seconds == result.duration_seconds
    if not is_variable and "-abr" not in arguments:
        assert result.bit_rate == int(arguments[1][:-1]) * 1000


@pytest.mark.parametrize("rate", [8000, 16_000, 22_050, 44_100, 48_000])
def test_any_rate_that_was_asked_for(tmp_path: Path, rate: int) -> None:
    path = mp3(tmp_path, "-b:a", "64k", "-ar", str(rate))

    decision = decide(path, sample_rate=rate)

    assert decision is not None
    assert decision[1].duration_seconds == pytest.approx(SECONDS, abs=0.006)
    assert decide(path) is None or rate == 32_000


@pytest.mark.parametrize(
    ("wishes", "passes"),
    [
        ({"bit_rate": 128_000}, True),
        ({"bit_rate": 192_000}, False),
        ({"channels": 2}, True),
        ({"channels": 1}, False),
        ({"vbr_quality": 2}, False),
        ({"allow_partial": True}, True),
        ({"sample_rate": 44_100}, False),
    ],
    ids=str,
)
def test_a_wish_is_never_contradicted(tmp_path: Path, wishes: dict[str, Any], passes: bool) -> None:
    path = mp3(tmp_path, *AS_ASKED)

    assert (decide(path, **wishes) is not None) == passes


def test_a_bit_rate_is_not_fulfilled_by_a_variable_one(tmp_path: Path) -> None:
    path = mp3(tmp_path, "-q:a", "4")

    assert decide(path) is not None
    assert decide(path, bit_rate=128_000) is None


@pytest.mark.parametrize("position", range(1, 19))
def test_a_second_at_another_rate_is_found_wherever_it_is(tmp_path: Path, position: int) -> None:
    rates = [32_000] * 20
    rates[position] = 44_100
    path = broken.mixed_rates(tmp_path / "mixed.mp3", tuple(rates))

    assert decide(path) is None


def test_a_changed_bit_rate_in_the_middle(tmp_path: Path) -> None:
    parts = [
        mp3(tmp_path, "-b:a", rate, "-write_xing", "0", "-id3v2_version", "0", name=f"{rate}.mp3")
        for rate in ("128k", "160k", "128k")
    ]
    path = tmp_path / "mixed.mp3"
    path.write_bytes(b"".join(part.read_bytes() for part in parts))

    assert decide(path) is not None, "still an MP3 of 32 kHz"
    assert decide(path, bit_rate=128_000) is None


@pytest.mark.parametrize("tag_bytes", [100, 60_000, 5_000_000])
def test_tags_of_any_size_with_a_cover_in_front(tmp_path: Path, tag_bytes: int) -> None:
    path = mp3(tmp_path, *AS_ASKED)
    path.write_bytes(broken.id3v2(tag_bytes, b"\xff\xfb\x90\x00" * 10) + path.read_bytes())

    decision = decide(path)

    assert decision is not None
    assert decision[1].duration_seconds == SECONDS


@pytest.mark.parametrize(
    "tail",
    [
        b"TAG" + bytes(125),
        broken.ape_tag(),
        broken.ape_tag(b"\xff\xfb\x90\x00" * 50_000) + b"TAG" + bytes(125),
        b"LYRICSBEGIN" + b"IND0000200" + b"000021" + b"LYRICS200" + b"TAG" + bytes(125),
        bytes(1000),
    ],
    ids=["id3v1", "ape", "huge-ape-and-id3v1", "lyrics3", "zeros"],
)
@pytest.mark.parametrize("arguments", [("-b:a", "128k"), ("-b:a", "128k", "-write_xing", "0")], ids=["tag", "no-tag"])
def test_tags_at_the_end(tmp_path: Path, arguments: tuple[str, ...], tail: bytes) -> None:
    path = mp3(tmp_path, *arguments)
    path.write_bytes(path.read_bytes() + tail)

    decision = decide(path)

    assert decision is not None
    assert decision[1].duration_seconds == pytest.approx(SECONDS, abs=0.1)


@pytest.mark.parametrize("fraction", [0.1, 0.5, 0.97])
@pytest.mark.parametrize("arguments", [("-b:a", "128k"), ("-q:a", "2")], ids=["cbr", "vbr"])
def test_a_truncated_one_does_not_pass(tmp_path: Path, arguments: tuple[str, ...], fraction: float) -> None:
    path = broken.truncated(tmp_path / "cut.mp3", mp3(tmp_path, *arguments), fraction)

    assert decide(path) is None


@pytest.mark.parametrize("position", [0.01, 0.99])
def test_damage_where_it_is_looked_at(tmp_path: Path, position: float) -> None:
    whole = mp3(tmp_path, *AS_ASKED)
    damaged = broken.flipped_bytes(tmp_path / "damaged.mp3", whole, (position,), count=3000)

    assert decide(damaged) is None


def test_what_is_no_mp3(tmp_path: Path) -> None:
    sound = synth.tone(3.0, sample_rate=32_000)

    assert decide(broken.riff_wrapped_mp3(tmp_path / "wrapped.mp3")) is None
    assert decide(synth.encode(tmp_path / "layer2.mp3", sound, "-c:a", "mp2", container="mp2")) is None
    assert decide(synth.encode(tmp_path / "adts.mp3", sound, "-c:a", "aac", container="adts")) is None
    assert decide(synth.encode(tmp_path / "wave.mp3", sound, "-c:a", "pcm_s16le", container="wav")) is None


def test_a_large_file_is_hardly_read(tmp_path: Path) -> None:
    """100 MB: of 20 seconds, repeated; decided from less than 300 kB."""
    part = mp3(tmp_path, "-b:a", "320k", "-write_xing", "0", "-id3v2_version", "0")
    content = part.read_bytes()
    path = tmp_path / "large.mp3"
    repetitions = 100_000_000 // len(content) + 1
    with path.open("wb") as file:
        file.write(broken.id3v2(1_000_000))
        for _ in range(repetitions):
            file.write(content)
    reader = CountingReader(path)

    decision = passthrough_result(reader, path.stat().st_size, Conversion())

    assert decision is not None
    assert decision[1].duration_seconds == pytest.approx(len(content) * repetitions / 40_000, abs=0.05)
    assert reader.bytes < 300_000
    assert reader.calls <= 12


def test_a_file_that_has_to_be_encoded_costs_little(tmp_path: Path) -> None:
    path = mp3(tmp_path, "-ar", "44100", "-b:a", "128k")
    reader = CountingReader(path)
    container = identify(reader, path.stat().st_size)

    assert passthrough_result(reader, path.stat().st_size, Conversion(), container) is None
    assert reader.calls == 2
