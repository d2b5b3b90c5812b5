"""What the resampler, the limiter and the encoder do to a signal."""

from __future__ import annotations

import array
import math
from pathlib import Path

import pytest

from tests.audio import measure, synth
from tests.audio.programs import run_full_ffmpeg
from tests.integration.converting import run_engine


@pytest.mark.parametrize("name", ["tone24.wav", "tone24.flac", "float.wav"])
@pytest.mark.parametrize("frequency", [17_000, 18_500, 21_000])
def test_nothing_above_half_the_sample_rate_comes_through(tmp_path: Path, frequency: int, name: str) -> None:
    codecs = {"tone24.wav": ("pcm_s24le",), "tone24.flac": ("flac", "-sample_fmt", "s32"), "float.wav": ("pcm_f32le",)}
    sound = synth.tone(1.0, frequency=frequency, level_dbfs=-6)
    source = synth.encode(tmp_path / name, sound, "-c:a", *codecs[name])

    result = run_engine(source).sound

    assert measure.rms_dbfs(result.channels[0]) < -105
    assert measure.tone_dbfs(result.middle(), 32_000 - frequency, 32_000) < -110


def test_nothing_of_a_17_khz_tone_comes_through_beside_a_1_khz_tone(tmp_path: Path) -> None:
    both = synth.tone(1.0, level_dbfs=-7).overlay(synth.tone(1.0, frequency=17_000, level_dbfs=-7))
    source = synth.encode(tmp_path / "both.wav", both)

    result = run_engine(source, bit_rate=320_000).sound

    assert measure.tone_dbfs(result.middle(), 1000, 32_000) == pytest.approx(-7, abs=0.1)
    assert measure.tone_dbfs(result.middle(), 15_000, 32_000) < -97


@pytest.mark.parametrize("frequency", [50, 1000, 10_000, 14_000])
@pytest.mark.parametrize("codec", ["pcm_s16le", "pcm_f32le", "libmp3lame"])
def test_the_pass_band_is_flat(tmp_path: Path, frequency: int, codec: str) -> None:
    suffix, arguments = (".mp3", ("-b:a", "320k")) if codec == "libmp3lame" else (".wav", ("-c:a", codec))
    source = synth.encode(tmp_path / f"tone{suffix}", synth.tone(1.0, frequency=frequency), *arguments)

    result = run_engine(source, bit_rate=320_000).sound

    assert measure.tone_dbfs(result.middle(), frequency, 32_000) == pytest.approx(-12, abs=0.1)


def _float_wav(path: Path, samples: list[float]) -> Path:
    path.write_bytes(synth.wav_bytes(samples, "f32"))
    return path


@pytest.mark.parametrize(
    "poison", [math.nan, math.inf, -math.inf, 1e30, -3.4e38], ids=["nan", "inf", "minus-inf", "huge", "minus-huge"]
)
def test_impossible_float_samples_do_no_harm_to_the_rest(tmp_path: Path, poison: float) -> None:
    samples = synth.sine(2.0)
    samples[20_000:20_010] = [poison] * 10
    source = _float_wav(tmp_path / "poison.wav", samples)

    run = run_engine(source)

    sound = run.sound
    assert sound.seconds == pytest.approx(2.0, abs=0.001)
    clean = sound.channels[0][32_000:60_000]
    assert measure.tone_dbfs(clean, 1000, 32_000) == pytest.approx(-12.04, abs=0.1)
    assert all(map(math.isfinite, sound.channels[0]))


@pytest.mark.parametrize("poison", [math.nan, math.inf, 1e30])
@pytest.mark.parametrize("kind", ["f32", "f64"])
def test_nothing_but_impossible_float_samples(tmp_path: Path, kind: str, poison: float) -> None:
    source = tmp_path / "poison.wav"
    source.write_bytes(synth.wav_bytes([poison] * 44_100, kind))

    sound = run_engine(source).sound

    assert sound.seconds == pytest.approx(1.0, abs=0.001)
    assert all(map(math.isfinite, sound.channels[0]))


def test_double_samples_beyond_single_precision(tmp_path: Path) -> None:
    source = tmp_path / "huge.wav"
    source.write_bytes(synth.wav_bytes([value * 1e200 for value in synth.sine(1.0)], "f64"))

    assert run_engine(source).sound.seconds == pytest.approx(1.0, abs=0.001)


def test_float_peaks_above_full_scale_are_not_clipped(tmp_path: Path) -> None:
    source = _float_wav(tmp_path / "hot.wav", synth.sine(1.0, amplitude=3.0))

    sound = run_engine(source, bit_rate=320_000).sound

    assert measure.peak(sound.middle()) == pytest.approx(3.0, abs=0.05)


def test_a_quiet_24_bit_signal_is_not_rounded_to_16_bits(tmp_path: Path) -> None:
    source = tmp_path / "quiet.wav"
    source.write_bytes(synth.wav_bytes(synth.sine(1.0, amplitude=10 ** (-100 / 20)), "s24"))

    sound = run_engine(source, bit_rate=320_000).sound

    assert measure.tone_dbfs(sound.middle(), 1000, 32_000) == pytest.approx(-100, abs=0.5)


@pytest.mark.long
@pytest.mark.parametrize("name", ["long.wav", "long.mp3"])
def test_ten_minutes(tmp_path: Path, name: str) -> None:
    """The figures that the service promises, on ten minutes of tones and noise."""
    source = tmp_path / name
    graph = (
        "sine=1000:r=44100:d=600,volume=-12.04dB[a];sine=17000:r=44100:d=600,volume=-12.04dB[b];"
        "[a][b]amix=normalize=0,pan=stereo|c0=8*c0|c1=8*c0"
    )
    run_full_ffmpeg("-filter_complex", graph, "-b:a", "320k", source)
    seconds = measure.decode(source).seconds

    run = run_engine(source)

    sound = run.sound
    assert sound.sample_rate == 32_000
    assert sound.seconds == pytest.approx(seconds, abs=0.001)
    assert run.progress == sorted(run.progress)
    for start in range(0, 600, 100):
        part = array.array("f", sound.channels[0][32_000 * start + 16_000 : 32_000 * start + 48_000])
        assert measure.tone_dbfs(part, 1000, 32_000) == pytest.approx(-12.04, abs=0.1)
        assert measure.tone_dbfs(part, 15_000, 32_000) < -102
