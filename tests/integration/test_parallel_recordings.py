"""Music and speech as people upload them: the comparison's recordings (:mod:`tests.bench.recordings`)."""

from __future__ import annotations

import subprocess
from array import array
from functools import cache
from pathlib import Path

import pytest

from audiojobs.conversion import BIT_RATES
from resample.engine.encode import PARALLEL_ENCODER
from resample.engine.parallel.join import Join
from resample.sandbox.process import executable
from tests.audio.programs import run_full_ffmpeg
from tests.bench.recordings import FOLDER, CannotPrepare, recordings
from tests.integration.test_parallel_encoding import (
    decoded,
    encode_both,
    encoding,
    needs_judges,
    other_programs_agree,
)

pytestmark = pytest.mark.long

SECONDS = 300
WINDOW_BYTES = 12 << 20  # a channel: for joins every minute
KINDS: list[tuple[int, dict[str, int]]] = [
    *((channels, {"bit_rate": rate}) for channels in (1, 2) for rate in (64_000, 96_000, 128_000, 192_000, 320_000)),
    *((channels, {"vbr_quality": quality}) for channels in (1, 2) for quality in range(10)),
]


@cache
def recording(sample_rate: int, channels: int, start: int = 0, seconds: int = SECONDS) -> bytes:
    """Music, with somebody speaking over it from the third minute on, as 32-bit floats."""
    try:
        (ten_minutes,) = recordings(FOLDER)["wav-10min"].files
    except CannotPrepare as error:
        pytest.skip(str(error))
    cut = ("-ss", str(start), "-t", str(seconds), "-i", ten_minutes)
    return run_full_ffmpeg(*cut, "-ar", str(sample_rate), "-ac", str(channels), "-f", "f32le", "pipe:1")


@pytest.fixture
def joined_at(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The MPEG frames at which the stream goes over to another encoder."""
    found: list[int] = []
    find = Join.find

    def look(join: Join) -> int | None:
        index = find(join)
        if index is not None:
            found.append(index)
        return index

    monkeypatch.setattr(Join, "find", look)
    return found


@needs_judges
@pytest.mark.parametrize(
    ("channels", "rate"), [pytest.param(*kind, id="-".join(map(str, (kind[0], *kind[1].items())))) for kind in KINDS]
)
def test_a_recording_sounds_as_from_one_encoder(
    channels: int, rate: dict[str, int], tmp_path: Path, joined_at: list[int]
) -> None:
    wanted, samples = encoding(channels=channels, **rate), recording(32_000, channels)
    both = encode_both(samples, wanted, tmp_path, window_bytes=WINDOW_BYTES * channels)
    ours, theirs, facts = decoded(both.parallel), decoded(both.serial), both.facts
    mpeg_frame_bytes = 2304 * channels
    places = differing(ours, theirs, mpeg_frame_bytes)
    print(  # noqa: T201
        f"\n{channels} channels {rate}: {len(joined_at)} joins, size {both.size_ratio:.6f},"
        f" {len(places)} of {facts.mpeg_frames} MPEG frames differ, by at most {largest(ours, theirs, places)}"
    )
    assert facts.joins == len(joined_at) >= 2
    assert len(ours) == len(theirs) == 2 * channels * facts.sample_frames
    other_programs_agree(both.parallel, facts.sample_frames, channels)
    assert places == []
    assert both.size_ratio == 1


def differing(ours: bytes, theirs: bytes, length: int) -> list[int]:
    """Where the pieces of a ``length`` begin that are not the same."""
    return [at for at in range(0, len(ours), length) if ours[at : at + length] != theirs[at : at + length]]


def largest(ours: bytes, theirs: bytes, places: list[int]) -> int:
    """The largest difference in the MPEG frames that begin at these places, in steps of 16 bits."""
    pieces = ((array("h", ours[at : at + 4608]), array("h", theirs[at : at + 4608])) for at in places)
    return max((abs(our - their) for piece in pieces for our, their in zip(*piece, strict=True)), default=0)


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("sample_rate", sorted(BIT_RATES))
def test_lame_frames_writes_what_ffmpeg_writes(sample_rate: int, channels: int, tmp_path: Path) -> None:
    pcm = tmp_path / "recording.f32"
    pcm.write_bytes(recording(sample_rate, channels, start=112, seconds=16))
    as_raw_pcm = ("-f", "f32le", "-ar", str(sample_rate), "-ac", str(channels), "-i", pcm)
    no_head = ("-map_metadata", "-1", "-id3v2_version", "0", "-write_xing", "0")
    rates = [*(("-b:a", str(rate)) for rate in BIT_RATES[sample_rate]), *(("-q:a", str(q)) for q in range(10))]
    for option, rate in rates:
        mp3 = tmp_path / f"{rate}.mp3"
        command: list[str | Path] = [executable("ffmpeg"), "-nostdin", "-v", "error", *as_raw_pcm, option, rate]
        subprocess.run([*command, *no_head, mp3], check=True)
        asked = f"v{rate}" if option == "-q:a" else rate
        with pcm.open("rb") as file:
            frames = subprocess.run(
                [executable(PARALLEL_ENCODER), str(sample_rate), str(channels), asked],
                stdin=file,
                capture_output=True,
                check=True,
            )
        assert frames.stdout == mp3.read_bytes(), (option, rate)
