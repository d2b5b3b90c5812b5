"""Ten minutes of tones, as a WAV and as an MP3 of it, measured in what the service gives back."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.audio.measure import rms_dbfs, tone_dbfs
from tests.e2e import sounds
from tests.e2e.figures import Pcm, decode, mpeg_headers
from tests.e2e.service import Service

SAMPLE_RATE = 32_000
SOURCE_SAMPLE_FRAMES = 600 * sounds.SAMPLE_RATE + 123  # an odd length
# Each part by its start, in seconds. Levels are peaks in dB of full scale.
LOW_AT, LOW_DBFS = (0, 120, 239), (-12.0, -20.0)  # 1 kHz alone, left and right
HIGH_AT, HIGH_DBFS = (241, 400, 538), -1.0  # 17 kHz alone
BOTH_AT, BOTH_DBFS = (541, 570, 598), -12.0  # 1 kHz and 17 kHz
ALIAS = SAMPLE_RATE - 17_000  # where a resampler that rejects too little would fold the 17 kHz tone to


@pytest.fixture(scope="module")
def ten_minutes(files: Path) -> Path:
    both = sounds.tone(60, 1000, BOTH_DBFS).overlay(sounds.tone(60, 17_000, BOTH_DBFS))
    sound = sounds.tone(240, 1000, *LOW_DBFS) + sounds.tone(300, 17_000, HIGH_DBFS) + both
    return sounds.write_wav(files / "ten-minutes.wav", sound, extra_sample_frames=123)


@pytest.fixture(scope="module", params=["wav", "mp3"])
def source(request: pytest.FixtureRequest, service: Service, ten_minutes: Path) -> Path:
    """The WAV, or an MP3 of it that has the 17 kHz tone at its full level."""
    if request.param == "wav":
        return ten_minutes
    options = ("-b:a", "320k", "-compression_level", "9")  # the fastest
    mp3 = sounds.encode_mp3(service.programs, ten_minutes, ten_minutes.with_suffix(".mp3"), *options)
    decoded = decode(service.programs, mp3, sounds.SAMPLE_RATE)
    assert decoded.sample_frames == SOURCE_SAMPLE_FRAMES
    assert tone_dbfs(decoded.window(400, 1, 0), 17_000, sounds.SAMPLE_RATE) == pytest.approx(HIGH_DBFS, abs=0.1)
    decoded.path.unlink()
    return mp3


@pytest.fixture(scope="module")
def mp3(service: Service, source: Path) -> Path:
    """What came back."""
    created = service.create_job(source.name, size_bytes=source.stat().st_size)
    service.send(created, source)
    job = service.ready(created["id"])
    assert job["result"]["duration_seconds"] == pytest.approx(SOURCE_SAMPLE_FRAMES / sounds.SAMPLE_RATE, abs=0.001)
    return service.fetch(created["link"], source.with_name(f"{source.name}.32k.mp3"))


@pytest.fixture(scope="module")
def decoded(service: Service, mp3: Path) -> Pcm:
    return decode(service.programs, mp3, SAMPLE_RATE)


def test_every_frame_is_mpeg_1_layer_3_at_32_khz(mp3: Path) -> None:
    headers = list(mpeg_headers(mp3.read_bytes()))

    assert {(header.version, header.layer, header.sample_rate, header.bit_rate) for header in headers} == {
        (1, 3, 32_000, 192_000)
    }


def test_the_decoded_length_is_that_of_the_source_within_a_millisecond(decoded: Pcm) -> None:
    assert decoded.seconds == pytest.approx(SOURCE_SAMPLE_FRAMES / sounds.SAMPLE_RATE, abs=0.001)


@pytest.mark.parametrize("channel", [0, 1], ids=["left", "right"])
def test_a_1_khz_tone_keeps_its_level_within_a_tenth_of_a_decibel(decoded: Pcm, channel: int) -> None:
    alone = [tone_dbfs(decoded.window(at + 0.1, 0.5, channel), 1000, SAMPLE_RATE) for at in LOW_AT]
    beside = [tone_dbfs(decoded.window(at + 0.1, 0.5, channel), 1000, SAMPLE_RATE) for at in BOTH_AT]

    assert alone == pytest.approx([LOW_DBFS[channel]] * 3, abs=0.1)
    assert beside == pytest.approx([BOTH_DBFS] * 3, abs=0.1)


@pytest.mark.parametrize("channel", [0, 1], ids=["left", "right"])
def test_a_17_khz_tone_is_at_least_90_db_down(decoded: Pcm, channel: int) -> None:
    alone = [decoded.window(at, 1, channel) for at in HIGH_AT]
    beside = [decoded.window(at, 1, channel) for at in BOTH_AT]

    # Alone, it may leave nothing at any frequency; beside a tone that stays, only at the alias, or LAME's noise counts.
    assert max(map(rms_dbfs, alone)) - (HIGH_DBFS - 3.01) < -90
    assert max(tone_dbfs(window, ALIAS, SAMPLE_RATE) for window in alone) - HIGH_DBFS < -90
    assert max(tone_dbfs(window, ALIAS, SAMPLE_RATE) for window in beside) - BOTH_DBFS < -90
