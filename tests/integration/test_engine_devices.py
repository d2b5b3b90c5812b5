"""What phones, browsers, recorders, cameras and old collections hold: each format comes out whole, at its level."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import soundfile

from audiojobs.errors import CorruptAudio, NoAudio, TruncatedAudio, UnsupportedFormat
from tests.audio import dsd, measure, synth
from tests.audio.broken import ape_tag
from tests.audio.headers import sweeps
from tests.audio.programs import run_full_ffmpeg
from tests.integration.converting import run_engine

SECONDS = 1.2
AMR_NB = ("-c:a", "libopencore_amrnb", "-b:a")
DTS = ("-c:a", "dca", "-strict", "-2", "-b:a", "1411k")

LOSSLESS = [
    ("flac.mka", ("-c:a", "flac"), 44_100, "matroska", "flac"),
    ("alac.mka", ("-c:a", "alac"), 44_100, "matroska", "alac"),
    ("pcm.mkv", ("-c:a", "pcm_s24le"), 48_000, "matroska", "pcm_s24le"),
    ("big-endian.mka", ("-c:a", "pcm_s16be"), 44_100, "matroska", "pcm_s16be"),
    ("float.mka", ("-c:a", "pcm_f32le"), 44_100, "matroska", "pcm_f32le"),
    ("tta.mka", ("-c:a", "tta"), 44_100, "matroska", "tta"),
    ("wavpack.mka", ("-c:a", "wavpack"), 44_100, "matroska", "wavpack"),
    ("truehd.mka", ("-c:a", "truehd", "-strict", "-2"), 48_000, "matroska", "truehd"),
    ("tone.wv", ("-c:a", "wavpack"), 44_100, "wavpack", "wavpack"),
    ("float.wv", ("-c:a", "wavpack", "-sample_fmt", "fltp"), 96_000, "wavpack", "wavpack"),
    ("tone.tta", ("-c:a", "tta"), 44_100, "tta", "tta"),
    ("24-bit.tta", ("-c:a", "tta", "-sample_fmt", "s32"), 96_000, "tta", "tta"),
    ("tone.thd", ("-c:a", "truehd", "-strict", "-2", "-f", "truehd"), 48_000, "truehd", "truehd"),
]
LOSSY = [
    ("opus.webm", ("-c:a", "libopus"), 48_000, 2, "webm", "opus"),
    ("vorbis.webm", ("-c:a", "libvorbis"), 44_100, 2, "webm", "vorbis"),
    ("live.webm", ("-c:a", "libopus", "-f", "webm", "-live", "1"), 48_000, 2, "webm", "opus"),
    ("aac.mka", ("-c:a", "aac"), 44_100, 2, "matroska", "aac"),
    ("mp3.mka", ("-c:a", "libmp3lame"), 44_100, 2, "matroska", "mp3"),
    ("ac3.mka", ("-c:a", "ac3"), 48_000, 2, "matroska", "ac3"),
    ("dts.mka", DTS, 48_000, 2, "matroska", "dts"),
    ("tone.amr", (*AMR_NB, "12.2k"), 8_000, 1, "amr", "amr_nb"),
    ("small.amr", (*AMR_NB, "4.75k"), 8_000, 1, "amr", "amr_nb"),
    ("amr.3gp", (*AMR_NB, "12.2k"), 8_000, 1, "mp4", "amr_nb"),
    ("aac.3gp", ("-c:a", "aac"), 44_100, 1, "mp4", "aac"),
    ("amr.3g2", (*AMR_NB, "7.95k"), 8_000, 1, "mp4", "amr_nb"),
    ("tone.ac3", ("-c:a", "ac3", "-b:a", "192k"), 48_000, 2, "ac3", "ac3"),
    ("odd.ac3", ("-c:a", "ac3", "-b:a", "128k"), 44_100, 2, "ac3", "ac3"),
    ("mono.ac3", ("-c:a", "ac3", "-b:a", "64k"), 32_000, 1, "ac3", "ac3"),
    ("tone.eac3", ("-c:a", "eac3", "-b:a", "96k"), 44_100, 2, "eac3", "eac3"),
    ("eac3.mp4", ("-c:a", "eac3"), 48_000, 2, "mp4", "eac3"),
    ("ac3.wav", ("-c:a", "ac3", "-f", "wav"), 48_000, 2, "wav", "ac3"),
    ("tone.dts", DTS, 48_000, 2, "dts", "dts"),
    ("dts.mp4", DTS, 44_100, 2, "mp4", "dts"),
    ("version-1.wma", ("-c:a", "wmav1", "-b:a", "128k"), 44_100, 2, "asf", "wmav1"),
    ("version-2.wma", ("-c:a", "wmav2", "-b:a", "128k"), 44_100, 2, "asf", "wmav2"),
    ("mono.wma", ("-c:a", "wmav2", "-b:a", "48k"), 22_050, 1, "asf", "wmav2"),
    ("mp3.asf", ("-c:a", "libmp3lame", "-f", "asf"), 44_100, 2, "asf", "mp3"),
    ("g723_1.wav", ("-c:a", "g723_1", "-b:a", "6300", "-f", "wav"), 8_000, 1, "wav", "g723_1"),
    ("mp2.ts", ("-c:a", "mp2", "-f", "mpegts"), 44_100, 2, "mpegts", "mp2"),
    ("aac.ts", ("-c:a", "aac", "-f", "mpegts"), 44_100, 2, "mpegts", "aac"),
    ("latm.ts", ("-c:a", "aac", "-f", "mpegts", "-mpegts_flags", "latm"), 44_100, 2, "mpegts", "aac_latm"),
    ("ac3.m2ts", ("-c:a", "ac3", "-f", "mpegts", "-mpegts_m2ts_mode", "1"), 48_000, 2, "mpegts", "ac3"),
    ("opus.ts", ("-c:a", "libopus", "-f", "mpegts"), 48_000, 2, "mpegts", "opus"),
]


def made(folder: Path, name: str, arguments: tuple[str, ...], sample_rate: int, channels: int = 2) -> Path:
    return synth.encode(folder / name, synth.tone(SECONDS, sample_rate=sample_rate, channels=channels), *arguments)


@pytest.mark.parametrize(("name", "arguments", "sample_rate", "container", "codec"), LOSSLESS, ids=lambda it: str(it))
def test_lossless(
    tmp_path: Path, name: str, arguments: tuple[str, ...], sample_rate: int, container: str, codec: str
) -> None:
    run = run_engine(made(tmp_path, name, arguments, sample_rate))

    assert (run.converted.source.container, run.converted.source.codec) == (container, codec)
    assert run.sound.sample_frames == SECONDS * 32_000
    for channel in (0, 1):
        assert measure.tone_dbfs(run.sound.middle(channel), 1000, 32_000) == pytest.approx(-12, abs=0.1)
    assert run.converted.source.duration_seconds == pytest.approx(SECONDS, abs=0.0001)
    assert run.converted.source.sample_rate == sample_rate
    assert run.converted.warnings == ()


@pytest.mark.parametrize(
    ("name", "arguments", "sample_rate", "channels", "container", "codec"), LOSSY, ids=lambda it: str(it)
)
def test_lossy(
    tmp_path: Path, name: str, arguments: tuple[str, ...], sample_rate: int, channels: int, container: str, codec: str
) -> None:
    """As long and as loud as another build of ffmpeg makes it, give or take the codec's own blocks."""
    source = made(tmp_path, name, arguments, sample_rate, channels)
    before = tmp_path / "before.wav"
    run_full_ffmpeg("-i", source, "-c:a", "pcm_f32le", before)
    expected = measure.decode(before)

    run = run_engine(source)

    assert (run.converted.source.container, run.converted.source.codec) == (container, codec)
    assert len(run.sound.channels) == channels
    assert (
        -0.05 < run.sound.seconds - SECONDS < 0.1
    )  # the decoder of Windows Media leaves out two blocks of the beginning
    assert run.sound.seconds == pytest.approx(expected.seconds, abs=0.03)
    for channel in range(channels):
        level = measure.tone_dbfs(expected.middle(channel), 1000, sample_rate)
        assert measure.tone_dbfs(run.sound.middle(channel), 1000, 32_000) == pytest.approx(level, abs=0.2)
    assert run.converted.warnings == ()


@pytest.mark.parametrize(
    ("make", "container", "codec"),
    [(dsd.dsf, "dsf", "dsd_lsbf_planar"), (dsd.dff, "dff", "dsd_msbf")],
    ids=["dsf", "dff"],
)
@pytest.mark.parametrize(("rate", "channels"), [(2_822_400, 2), (2_822_400, 1), (5_644_800, 1), (11_289_600, 1)])
def test_dsd(tmp_path: Path, make: Callable[..., bytes], container: str, codec: str, rate: int, channels: int) -> None:
    seconds = 0.3
    source = tmp_path / "tone"
    source.write_bytes(make(dsd.dsd_tone(seconds, rate, channels), rate))

    run = run_engine(source)

    assert (run.converted.source.container, run.converted.source.codec) == (container, codec)
    assert run.sound.seconds == pytest.approx(seconds, abs=0.001)
    for channel in range(channels):
        assert measure.tone_dbfs(run.sound.middle(channel), 1000, 32_000) == pytest.approx(-12.04, abs=0.1)
    assert run.converted.warnings == ()


def _with(program: str, *arguments: str, suffix: str, sample_rate: int, channels: int) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        if shutil.which(program) is None:
            pytest.skip(f"{program} is missing; `make encoders` installs it")
        wav = synth.encode(folder / "tone.wav", synth.tone(SECONDS, sample_rate=sample_rate, channels=channels))
        target = folder / f"tone{suffix}"
        subprocess.run([program, *arguments, wav, target], check=True, capture_output=True)
        return target

    return make


@pytest.mark.parametrize(
    ("make", "codec", "longer_seconds"),
    [
        (_with("mpcenc", suffix=".mpc", sample_rate=44_100, channels=2), "musepack8", 0.06),
        (_with("mpcenc", "--thumb", suffix=".mpc", sample_rate=32_000, channels=1), "musepack8", 0.06),
        (_with("speexenc", "--narrowband", suffix=".spx", sample_rate=8_000, channels=1), "speex", 0.04),
        (_with("speexenc", "--narrowband", suffix=".spx", sample_rate=8_000, channels=2), "speex", 0.04),
        (_with("speexenc", "--wideband", suffix=".spx", sample_rate=16_000, channels=1), "speex", 0.04),
        (_with("speexenc", "--ultra-wideband", suffix=".spx", sample_rate=32_000, channels=1), "speex", 0.04),
    ],
    ids=["musepack", "musepack-mono", "speex", "speex-stereo", "speex-wide", "speex-ultra-wide"],
)
def test_encoders_of_their_own(tmp_path: Path, make: Callable[[Path], Path], codec: str, longer_seconds: float) -> None:
    run = run_engine(make(tmp_path))

    assert run.converted.source.codec == codec
    assert -0.001 <= run.sound.seconds - SECONDS < longer_seconds
    assert measure.tone_dbfs(run.sound.middle(), 1000, 32_000) == pytest.approx(-12, abs=1.5)
    assert run.converted.warnings == ()


# --- whether all of it is there

_KNOWN = ("opus.webm", "flac.mka", "pcm.mkv", "tone.wv", "tone.tta", "amr.3gp", "version-2.wma", "mono.wma", "ac3.wav")
_WITH_LENGTH = [
    *[(name, arguments, rate, 2) for name, arguments, rate, *_ in LOSSLESS if name in _KNOWN],
    *[(name, arguments, rate, channels) for name, arguments, rate, channels, *_ in LOSSY if name in _KNOWN],
    ("live.webm", ("-c:a", "libopus", "-f", "webm", "-live", "1"), 48_000, 1),
]


@pytest.mark.parametrize("part", [0.5, 0.97])
@pytest.mark.parametrize(("name", "arguments", "rate", "channels"), _WITH_LENGTH, ids=lambda it: str(it))
def test_truncated(
    tmp_path: Path, name: str, arguments: tuple[str, ...], rate: int, channels: int, part: float
) -> None:
    source = made(tmp_path, name, arguments, rate, channels)
    content = source.read_bytes()
    source.write_bytes(content[: int(part * len(content))])

    with pytest.raises(TruncatedAudio):
        run_engine(source)
    if (name, part) in (("tone.tta", 0.5), ("amr.3gp", 0.5), ("amr.3gp", 0.97)):
        return  # not one whole block is left, or no index
    lost = 0.001 if part < 0.9 else 0.0  # the last packet may hold nothing but padding
    whole = run_engine(made(tmp_path, f"whole-{name}", arguments, rate, channels)).sound

    partial = run_engine(source, allow_partial=True)

    assert 0 < partial.sound.seconds <= whole.seconds - lost
    assert [warning.code for warning in partial.converted.warnings] == ["truncated-audio"]


@pytest.mark.parametrize("part", [0.5, 0.97])
@pytest.mark.parametrize(
    "make",
    [dsd.dsf, dsd.dff, _with("mpcenc", suffix=".mpc", sample_rate=44_100, channels=2)],
    ids=["dsf", "dff", "mpc"],
)
def test_truncated_of_other_makers(tmp_path: Path, make: Callable[..., bytes | Path], part: float) -> None:
    source = tmp_path / "source"
    made_by = make(tmp_path) if make not in (dsd.dsf, dsd.dff) else make(dsd.dsd_tone(0.3, 2_822_400), 2_822_400)
    content = made_by.read_bytes() if isinstance(made_by, Path) else made_by
    source.write_bytes(content[: int(part * len(content))])

    with pytest.raises(TruncatedAudio):
        run_engine(source)


@pytest.mark.parametrize("name", ["tone.amr", "tone.ac3", "tone.eac3", "tone.dts", "mp2.ts", "aac.ts", "latm.ts"])
def test_a_stream_that_was_stopped_is_not_damaged(tmp_path: Path, name: str) -> None:
    """It has no length, and ends in the middle of a block."""
    arguments, rate, channels = next((it[1], it[2], it[3]) for it in LOSSY if it[0] == name)
    source = made(tmp_path, name, arguments, rate, channels)
    source.write_bytes(source.read_bytes()[: int(0.75 * source.stat().st_size)])

    run = run_engine(source)

    assert run.sound.seconds == pytest.approx(0.75 * SECONDS, abs=0.1)
    assert run.converted.warnings == ()


@pytest.mark.parametrize("name", ["tone.wv", "tone.tta", "tone.dts"])
@pytest.mark.parametrize("tail", [b"TAG".ljust(128, b"\0"), ape_tag()], ids=["id3v1", "ape"])
def test_tags_at_the_end_are_no_damage(tmp_path: Path, name: str, tail: bytes) -> None:
    known = [*((it[0], it[1], it[2], 2) for it in LOSSLESS), *((it[0], it[1], it[2], it[3]) for it in LOSSY)]
    source = made(tmp_path, *next(it for it in known if it[0] == name))
    seconds = run_engine(source).sound.seconds
    source.write_bytes(source.read_bytes() + tail)

    run = run_engine(source)

    assert run.sound.seconds == pytest.approx(seconds, abs=0.001)
    assert run.converted.warnings == ()


# --- pictures, gaps, and what is not taken


@pytest.mark.parametrize(
    ("name", "codec"),
    [("silent.mkv", "mpeg4"), ("silent.webm", "libvpx"), ("silent.wmv", "wmv2"), ("silent.ts", "mpeg2video")],
)
def test_a_video_without_sound(tmp_path: Path, name: str, codec: str) -> None:
    source = tmp_path / name
    run_full_ffmpeg("-f", "lavfi", "-i", "color=red:s=64x64:r=10:d=1", "-c:v", codec, source)

    with pytest.raises(NoAudio):
        run_engine(source)


@pytest.mark.parametrize("name", ["film.mkv", "film.wmv", "film.ts"])
def test_the_sound_of_a_video(tmp_path: Path, name: str) -> None:
    sound = synth.write(tmp_path / "tone.wav", SECONDS, sample_rate=48_000)
    picture = ("-f", "lavfi", "-i", f"testsrc=s=64x64:r=10:d={SECONDS}")
    audio = {"film.mkv": "libopus", "film.wmv": "wmav2", "film.ts": "ac3"}[name]
    run_full_ffmpeg(*picture, "-i", sound, "-c:v", "mpeg2video", "-c:a", audio, tmp_path / name)

    run = run_engine(tmp_path / name)

    assert run.sound.seconds == pytest.approx(SECONDS, abs=0.1)
    assert measure.streams(run.mp3, "video") == []


@pytest.mark.parametrize(
    ("name", "codec"), [("gap.mka", "libopus"), ("gap.webm", "libvorbis"), ("gap.wma", "wmav2"), ("gap.ts", "mp2")]
)
def test_gaps_between_timestamps_become_silence(tmp_path: Path, name: str, codec: str) -> None:
    whole = synth.encode(
        tmp_path / f"whole-{name}", synth.tone(3.0, sample_rate=48_000), "-c:a", codec, "-flush_packets", "1"
    )
    gap = tmp_path / name
    run_full_ffmpeg("-i", whole, "-c", "copy", "-bsf:a", "setts=ts=TS+if(gt(PTS*TB\\,1.5)\\,5/TB\\,0)", gap)

    run = run_engine(gap)

    assert run.sound.seconds == pytest.approx(8.0, abs=0.15)
    assert run.converted.warnings == ()


def test_tags_and_cover_of_a_matroska_file(tmp_path: Path) -> None:
    source = synth.encode(tmp_path / "tone.mka", synth.tone(SECONDS), "-c:a", "flac", tags={"title": "Tïtle"})

    assert measure.tags(run_engine(source).mp3)["title"] == "Tïtle"


def test_voice_mail_is_not_taken_for_amr(tmp_path: Path) -> None:
    """NMS ADPCM has the number in WAV headers that ffmpeg takes for AMR."""
    source = tmp_path / "voice.wav"
    soundfile.write(source, sweeps(1, sample_rate=8_000), 8_000, "NMS_ADPCM_32")

    with pytest.raises((UnsupportedFormat, CorruptAudio)):
        run_engine(source)
