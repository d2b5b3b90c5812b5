"""Files that must not come through, each with its own code; and what ``allow_partial`` makes of them."""

from __future__ import annotations

import array
import contextlib
import fcntl
import math
import os
import select
import stat
import sys
import termios
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from audiojobs.conversion import Conversion
from audiojobs.errors import (
    AudioJobError,
    CorruptAudio,
    InternalError,
    NoAudio,
    TimeLimit,
    TruncatedAudio,
    UnsupportedFormat,
)
from resample.engine.convert import convert
from resample.formats.containers import WAV
from resample.sandbox.process import Finished
from tests.audio import broken, measure, synth
from tests.audio.programs import run_full_ffmpeg
from tests.integration.converting import run_engine
from tests.integration.processes import listening

SECONDS = 2.0

Maker = Callable[[Path], Path]


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (broken.empty, NoAudio, "empty"),
        (broken.text, UnsupportedFormat, "text file"),
        (broken.header_only_wav, NoAudio, "header and no sound"),
        (broken.silent_movie, NoAudio, "video without sound"),
        (
            lambda path: broken.ffconcat_script(path, synth.write(path.with_name("other.wav"))),
            UnsupportedFormat,
            "list",
        ),
        (
            lambda path: broken.hls_playlist(path, synth.write(path.with_name("other.wav"))),
            UnsupportedFormat,
            "playlist",
        ),
        (broken.truncated_wav, TruncatedAudio, "2.000 seconds"),
    ],
    ids=["empty", "text", "header-only", "silent-movie", "ffconcat", "hls", "truncated"],
)
def test_broken_files_are_refused_with_a_sentence(
    tmp_path: Path, make: Maker, error: type[AudioJobError], words: str
) -> None:
    source = make(tmp_path / "song.wav")

    with pytest.raises(error, match=words) as caught:
        run_engine(source)

    assert str(tmp_path) not in caught.value.detail
    assert caught.value.detail.endswith(".")


def _encoded(name: str, *arguments: str) -> Callable[[Path], Path]:
    return lambda folder: synth.encode(folder / name, synth.tone(SECONDS), *arguments)


TRUNCATABLE = pytest.mark.parametrize(
    "make",
    [
        _encoded("tone.wav"),
        _encoded("float.wav", "-c:a", "pcm_f32le"),
        _encoded("adpcm.wav", "-c:a", "adpcm_ms"),
        _encoded("rf64.wav", "-rf64", "always"),
        _encoded("tone.w64"),
        _encoded("tone.aiff"),
        _encoded("tone.au"),
        _encoded("tone.caf"),
        _encoded("tone.mp3"),
        _encoded("vbr.mp3", "-q:a", "4"),
        _encoded("tone.flac"),
        _encoded("tone.ogg", "-c:a", "libvorbis", "-page_duration", "100000"),
        _encoded("index-first.m4a", "-c:a", "aac", "-movflags", "+faststart"),
    ],
)


@TRUNCATABLE
@pytest.mark.parametrize("fraction", [0.3, 0.9])
def test_truncated_files_are_found_out(tmp_path: Path, make: Maker, fraction: float) -> None:
    whole = make(tmp_path)
    assert run_engine(whole).converted.warnings == ()
    source = broken.truncated(tmp_path / f"cut{whole.suffix}", whole, fraction)

    with pytest.raises(TruncatedAudio):
        run_engine(source)


@TRUNCATABLE
def test_a_truncated_file_gives_what_is_there_where_that_is_allowed(tmp_path: Path, make: Maker) -> None:
    whole = make(tmp_path)
    source = broken.truncated(tmp_path / f"cut{whole.suffix}", whole, 0.6)

    run = run_engine(source, allow_partial=True)

    (warning,) = run.converted.warnings
    assert warning.code == "truncated-audio"
    assert 0.2 * SECONDS < run.sound.seconds < 0.9 * SECONDS
    assert run.converted.result.duration_seconds == run.sound.seconds == run.converted.source.duration_seconds


@pytest.mark.parametrize("missing_bytes", [1, 2, 100, 10_000])
@pytest.mark.parametrize("kind", ["u8", "s16", "s24", "f32"])
def test_truncated_wav_to_the_byte(tmp_path: Path, kind: str, missing_bytes: int) -> None:
    """A header counted by mistake is forgiven, up to its length; a padding byte that is missing, too."""
    source = tmp_path / "tone.wav"
    source.write_bytes(synth.wav_bytes(synth.sine(1.0), kind)[:-missing_bytes])

    with contextlib.nullcontext() if missing_bytes <= 44 else pytest.raises(TruncatedAudio):
        run_engine(source)


def test_mp4_that_ends_before_its_index(tmp_path: Path) -> None:
    source = broken.truncated(tmp_path / "cut.m4a", synth.write(tmp_path / "tone.m4a"), 0.5)

    for allow_partial in (False, True):
        with pytest.raises(TruncatedAudio):
            run_engine(source, allow_partial=allow_partial)


@pytest.mark.parametrize("suffix", [".mp3", ".flac", ".m4a", ".ogg"])
def test_header_and_nothing_behind(tmp_path: Path, suffix: str) -> None:
    whole = synth.write(tmp_path / f"tone{suffix}")
    source = tmp_path / f"head{suffix}"
    source.write_bytes(whole.read_bytes()[:60])

    with pytest.raises((NoAudio, CorruptAudio, TruncatedAudio, UnsupportedFormat)):
        run_engine(source)
    with pytest.raises((NoAudio, CorruptAudio, TruncatedAudio, UnsupportedFormat)):
        run_engine(source, allow_partial=True)


@pytest.mark.parametrize("suffix", [".wav", ".flac", ".mp3", ".ogg", ".opus", ".m4a", ".aac", ".aiff"])
def test_magic_bytes_and_then_noise(tmp_path: Path, suffix: str) -> None:
    whole = synth.write(tmp_path / f"tone{suffix}", sample_rate=48_000).read_bytes()
    source = tmp_path / f"noise{suffix}"
    noise = bytes((index * 7919 >> 3) & 0xFF for index in range(50_000))
    source.write_bytes(whole[:40] + noise)

    try:
        run = run_engine(source)
    except (NoAudio, CorruptAudio, TruncatedAudio, UnsupportedFormat):
        return
    assert all(map(math.isfinite, run.sound.channels[0]))


@pytest.mark.parametrize("suffix", [".mp3", ".flac", ".ogg", ".m4a"])
def test_damage_in_the_middle_gives_an_error_or_a_warning(tmp_path: Path, suffix: str) -> None:
    whole = synth.encode(tmp_path / f"whole{suffix}", synth.tone(4.0).overlay(synth.tone(4.0, frequency=3111)))
    source = broken.flipped_bytes(tmp_path / f"damaged{suffix}", whole, count=400)

    run = run_engine(source, allow_partial=True)

    assert run.converted.warnings
    assert 0.5 < run.sound.seconds < 4.2


def test_a_codec_that_is_not_taken(tmp_path: Path) -> None:
    source = synth.encode(tmp_path / "tone.m4a", synth.tone(SECONDS), "-c:a", "ac3", container="mp4")

    source.write_bytes(source.read_bytes().replace(b"ac-3", b"xx-9"))

    with pytest.raises(UnsupportedFormat, match="codec of the sound"):
        run_engine(source)


@pytest.mark.parametrize("sample_rate", [1, 999, 3_072_001])
def test_absurd_sample_rates(tmp_path: Path, sample_rate: int) -> None:
    source = tmp_path / "tone.wav"
    source.write_bytes(synth.wav_bytes([0.1] * 1000, sample_rate=sample_rate))

    with pytest.raises(UnsupportedFormat, match=f"{sample_rate} Hz"):
        run_engine(source)


def test_absurd_number_of_channels(tmp_path: Path) -> None:
    source = tmp_path / "tone.wav"
    source.write_bytes(synth.wav_bytes([0.1] * 65 * 100, channels=65))

    with pytest.raises((UnsupportedFormat, CorruptAudio)):
        run_engine(source)


def test_no_time_left(tmp_path: Path) -> None:
    source = synth.write(tmp_path / "tone.wav")

    with pytest.raises(TimeLimit):
        run_engine(source, seconds_allowed=-1)

    assert list((tmp_path / "tone.wav.converted-by-1").iterdir()) == []


def _fake_program(folder: Path, name: str, script: str) -> None:
    folder.mkdir(exist_ok=True)
    program = folder / name
    program.write_text(f"#!{sys.executable}\n{script}")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)


@pytest.fixture
def fake_ffmpeg(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Puts a program of the test's own in front of the real ffmpeg."""

    def install(script: str) -> None:
        _fake_program(tmp_path / "bin", "ffmpeg", script)
        monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")

    return install


def test_ffmpeg_and_its_children_are_killed_at_the_deadline(
    tmp_path: Path, fake_ffmpeg: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which has come when both hold a pipe: each has written a byte into it."""
    held = tmp_path / "held"
    os.mkfifo(held)
    fake_ffmpeg(
        "import os, signal, time\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        f"end = os.open({str(held)!r}, os.O_WRONLY)\n"
        "os.fork()\n"
        "os.write(end, b'x')\n"
        "os.write(1, b'begun')\n"
        "time.sleep(3600)\n"
    )
    source = synth.write(tmp_path / "tone.wav")
    reading = os.open(held, os.O_RDONLY | os.O_NONBLOCK)

    def clock() -> float:
        waiting_bytes = array.array("i", [0])
        fcntl.ioctl(reading, termios.FIONREAD, waiting_bytes)
        return time.monotonic() + (1000 if waiting_bytes[0] == 2 else 0)

    monkeypatch.setattr("resample.sandbox.process.time", SimpleNamespace(monotonic=clock))

    with pytest.raises(TimeLimit):
        run_engine(source)

    assert os.read(reading, 10) == b"xx"
    select.select([reading], [], [], 300)  # a killed process takes a moment to be gone
    assert os.read(reading, 10) == b"", "nobody is left who could write"
    os.close(reading)


def test_ffmpeg_gets_nothing_from_the_service(
    tmp_path: Path, fake_ffmpeg: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "very secret")
    seen = tmp_path / "seen"
    fake_ffmpeg(
        "import os, sys\n"
        "environment = {name for name in os.environ if not name.startswith(('LC_', '__'))}\n"
        f"open({str(seen)!r}, 'w').write(repr((sorted(environment), sys.stdin.read(), os.listdir(), os.getcwd())))\n"
        "sys.exit(1)\n"
    )
    source = synth.write(tmp_path / "tone.wav")

    with pytest.raises(CorruptAudio):
        run_engine(source)

    environment, stdin, listing, folder = eval(seen.read_text())  # noqa: S307
    assert (environment, stdin, listing) == ([], "", [])
    assert folder.startswith(str(tmp_path / "tone.wav.converted-by-1"))


def test_what_ffmpeg_says_stays_in_the_log(
    tmp_path: Path, fake_ffmpeg: Callable[[str], None], caplog: pytest.LogCaptureFixture
) -> None:
    fake_ffmpeg(
        "import sys\n"
        "for number in range(200_000): print(f'[error] /secret/path line {number}', file=sys.stderr)\n"
        "sys.stderr.write('[error] ' + 'x' * 10_000_000)\n"
        "sys.exit(1)\n"
    )
    source = synth.write(tmp_path / "tone.wav")

    with pytest.raises(CorruptAudio) as caught:
        run_engine(source)

    assert "secret" not in caught.value.detail
    (record,) = [record for record in caplog.records if record.message == "ffmpeg complained"]
    assert len(record.stderr) == 20  # type: ignore[attr-defined]
    assert max(map(len, record.stderr)) <= 1000  # type: ignore[attr-defined]


def test_tags_are_not_taken_for_words_of_ffmpeg(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    diary = "Dear diary,\nDear diary,\n[error] Error while decoding stream\r\n[error] Channel layout is not supported"
    at_a_lines_beginning = "eng\n[error] No space left on device\n"
    tags = {"comment": diary, "language": at_a_lines_beginning}
    source = synth.encode(tmp_path / "tone.ogg", synth.tone(0.5), tags=tags)

    run = run_engine(source)

    assert run.converted.warnings == ()
    assert not [record for record in caplog.records if "diary" in repr(record.__dict__)]


def test_a_full_disk_is_not_the_files_fault(tmp_path: Path) -> None:
    (tmp_path / "tone.wav.converted-by-1").mkdir()
    (tmp_path / "tone.wav.converted-by-1" / "result.mp3").symlink_to("/dev/full")

    with pytest.raises(InternalError, match="disk"):
        run_engine(synth.write(tmp_path / "tone.wav"))


@pytest.mark.parametrize(
    ("script", "error"),
    [
        ("import os; os.abort()", CorruptAudio),
        ("import errno, sys; sys.exit(256 - errno.ENOSPC)", InternalError),
        ("pass", NoAudio),
    ],
    ids=["crash", "disk-full", "nothing-written"],
)
def test_how_ffmpeg_ends(
    tmp_path: Path, fake_ffmpeg: Callable[[str], None], script: str, error: type[AudioJobError]
) -> None:
    fake_ffmpeg(script)
    source = synth.write(tmp_path / "tone.wav")

    with pytest.raises(error):
        run_engine(source)


def test_a_machine_without_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel ends a program that has not reached its own limit: that is not the file's fault."""
    monkeypatch.setattr("resample.engine.serial.run", lambda *_, **__: Finished(-9, ()))

    with pytest.raises(InternalError, match="memory"):
        run_engine(synth.write(tmp_path / "tone.wav"))


@pytest.mark.parametrize("missing", ["ffmpeg", "ffprobe"])
def test_no_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
    source = synth.write(tmp_path / "tone.wav")
    if missing == "ffmpeg":
        answer = measure.probe(source)
        _fake_program(tmp_path / "bin", "ffprobe", f"import json; print(json.dumps({answer!r}))")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))

    with pytest.raises(InternalError, match=missing):
        run_engine(source)


@pytest.mark.parametrize("magic", [b"", b"ID3\x03\0\0\0\0\0\0", b"RIFF\0\0\0\0WAVE"], ids=["plain", "id3", "riff"])
@pytest.mark.parametrize("script", ["#EXTM3U\n#EXTINF:1,\n{url}\n", "ffconcat version 1.0\nfile '{url}'\n"])
def test_no_file_makes_ffmpeg_open_another(tmp_path: Path, script: str, magic: bytes) -> None:
    with listening() as (port, callers):
        source = tmp_path / "song.wav"
        source.write_bytes(magic + script.format(url=f"http://127.0.0.1:{port}/x.wav").encode())

        with pytest.raises((UnsupportedFormat, CorruptAudio, NoAudio)):
            run_engine(source)

    assert callers == []


def test_mp4_that_refers_to_another_file(tmp_path: Path) -> None:
    """A QuickTime data reference to a local file is not followed."""
    movie = tmp_path / "reference.mov"
    run_full_ffmpeg("-f", "lavfi", "-i", "sine=d=1", "-c:a", "pcm_s16le", movie)
    content = movie.read_bytes()
    assert b"alis" in content or b"url " in content
    secret = array.array("h", [12_345] * 44_100).tobytes()
    (tmp_path / "secret.raw").write_bytes(secret)
    # flags 0 of the data reference: the samples are not in this file
    at = content.rindex(b"url ") if b"url " in content else content.rindex(b"alis")
    movie.write_bytes(content[: at + 4] + b"\0\0\0\0" + content[at + 8 :])

    with contextlib.suppress(AudioJobError):
        sound = run_engine(movie).sound
        assert measure.peak(sound.middle()) < 0.3


def test_an_exception_from_the_progress_callback_ends_ffmpeg(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("resample.engine.progress.PROGRESS_INTERVAL_SECONDS", 0.0)
    source = tmp_path / "noise.wav"
    run_full_ffmpeg("-f", "lavfi", "-i", "anoisesrc=d=600:r=44100", source)

    def refuse(fraction: float) -> None:
        raise RuntimeError("enough")

    with pytest.raises(RuntimeError, match="enough"):
        convert(source, WAV, Conversion(), tmp_path / "out.mp3", deadline=time.monotonic() + 300, on_progress=refuse)

    assert sorted(path.name for path in tmp_path.iterdir() if path.is_dir()) == []
