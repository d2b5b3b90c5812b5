"""Thousands of broken and malicious files through the engine, with the layer's ffmpeg.

Each ends in an MP3 that decodes, at the right rate, or in a code that is the file's own fault; soon, and with nothing
left behind. A failure names its case: ``hostile.mutated(SEED)`` makes it again.
"""

from __future__ import annotations

import os
import random
import shutil
import struct
import subprocess
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from audiojobs.conversion import Conversion
from audiojobs.errors import AudioJobError, CorruptAudio, FileError, TimeLimit, UploadTooLarge
from resample.engine.convert import convert
from resample.engine.encode_task import EncodeTask
from resample.engine.ffmpeg.messages import FfmpegReport
from resample.engine.mp3_file import summarize_mp3
from resample.engine.progress import Progress
from resample.engine.streamed_source import StreamedSource
from resample.formats.containers import identify
from resample.formats.passthrough import passthrough_result
from resample.formats.reader import file_reader
from tests.audio import broken, hostile
from tests.audio.hostile import Case
from tests.audio.measure import tags
from tests.audio.programs import full_ffmpeg
from tests.integration.converting import identify_file, run_engine
from tests.integration.processes import children, listening

MUTATIONS_IN_CI = 160
MUTATIONS_IN_ALL = 6000
SECONDS_ALLOWED = 120.0  # the slowest takes half of one

_WISHES = (
    Conversion(),
    Conversion(allow_partial=True),
    Conversion(sample_rate=8_000, channels=1, allow_partial=True),
    Conversion(sample_rate=48_000, vbr_quality=5, channels=2, allow_partial=True),
)


def _end_of(case: Case, conversion: Conversion, folder: Path) -> tuple[str, float]:
    """How a case ends, as a word, and after how many seconds. Fails where that is no right end."""
    folder.mkdir()
    source, mp3 = folder / "original", folder / "result.mp3"
    source.write_bytes(case.content)
    started = time.monotonic()
    try:
        container = identify_file(source)
        with file_reader(source) as read:
            passed = passthrough_result(read, len(case.content), conversion, container)
        if passed:
            return "passed-through", time.monotonic() - started
        converted = convert(
            source, container, conversion, mp3, deadline=started + SECONDS_ALLOWED, on_progress=lambda _: None
        )
    except FileError as error:
        end, detail = error.code, error.detail
    except Exception as error:
        raise AssertionError(f"{case.name}: {error!r}") from error
    else:
        end, detail = "ready", "."
        encoded = summarize_mp3(mp3)
        assert encoded is not None, case.name
        assert encoded.sample_rate == conversion.sample_rate, case.name
        assert encoded.duration_seconds == converted.result.duration_seconds > 0, case.name
        assert _decodes(mp3), case.name
    seconds = time.monotonic() - started
    assert detail.endswith("."), case.name
    assert str(folder) not in detail, case.name
    assert {path.name for path in folder.iterdir()} <= {"original", "result.mp3"}, case.name
    shutil.rmtree(folder)
    return end, seconds


def _decodes(mp3: Path) -> bool:
    command = [
        "ffmpeg",
        "-nostdin",
        "-loglevel",
        "error",
        "-xerror",
        "-i",
        str(mp3),
        "-map",
        "0:a:0",
        "-f",
        "null",
        "-",
    ]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def _all_end_well(cases: Iterable[Case], folder: Path) -> Counter[str]:
    ends: Counter[str] = Counter()
    before = children()

    def end(numbered: tuple[int, Case]) -> tuple[str, float]:
        number, case = numbered
        return _end_of(case, _WISHES[number % len(_WISHES)], folder / str(number))

    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as threads:
        slowest = 0.0
        for word, seconds in threads.map(end, enumerate(cases)):
            ends[word] += 1
            slowest = max(slowest, seconds)
    print(f"{ends.total()} files: {dict(ends)}, the slowest {slowest:.1f} s")  # noqa: T201
    assert children() <= before, "no process is left"
    assert slowest < SECONDS_ALLOWED
    return ends


def test_attacks_made_by_hand(tmp_path: Path) -> None:
    with listening() as (port, callers):
        cases = hostile.by_hand(port)
        # The many scripts and first bytes are refused within a millisecond; of what ffmpeg sees, a part will do.
        ends = _all_end_well(cases[::5], tmp_path)

    assert callers == []
    assert ends["unsupported-format"] > 30
    assert ends["ready"] > 5


@pytest.mark.parametrize(
    ("script", "careless"),
    [("hls", ("-allowed_extensions", "ALL", "-extension_picky", "0")), ("ffconcat", ("-safe", "0"))],
    ids=["hls", "ffconcat"],
)
def test_a_careless_ffmpeg_is_heard(tmp_path: Path, script: str, careless: tuple[str, ...]) -> None:
    """The scripts work, and somebody listens: a full ffmpeg that is allowed everything does call."""
    with listening() as (port, callers):
        case = next(case for case in hostile.scripts(port) if case.name == f"script-{script}-0-plain")
        (tmp_path / "script").write_bytes(case.content)
        demuxer = {"ffconcat": "concat"}.get(script, script)
        command = [full_ffmpeg(), "-nostdin", "-protocol_whitelist", "file,http,tcp", *careless, "-f", demuxer]
        process = subprocess.Popen(
            [*command, "-i", tmp_path / "script", "-f", "null", "-"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + 300
        while not callers and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.01)
        process.kill()
        process.wait()

    assert callers


@pytest.mark.long
def test_all_attacks_made_by_hand(tmp_path: Path) -> None:
    with listening() as (port, callers):
        for wish in range(len(_WISHES)):
            (tmp_path / str(wish)).mkdir()
            cases = hostile.by_hand(port)
            _all_end_well(cases[wish:] + cases[:wish], tmp_path / str(wish))

    assert callers == []


def test_damaged_files(tmp_path: Path) -> None:
    ends = _all_end_well(map(hostile.mutated, range(MUTATIONS_IN_CI)), tmp_path)

    assert ends["ready"] > MUTATIONS_IN_CI // 10
    assert len(ends) >= 5, "the generator reaches every kind of end"


@pytest.mark.long
def test_many_damaged_files(tmp_path: Path) -> None:
    _all_end_well(map(hostile.mutated, range(1_000_000, 1_000_000 + MUTATIONS_IN_ALL)), tmp_path)


def test_minutes_of_silence_in_a_few_kilobytes(tmp_path: Path) -> None:
    bomb = hostile.silence(tmp_path / "silence.flac", 600, "-c:a", "flac", "-frame_size", "65535", "-strict", "-2")
    assert bomb.stat().st_size < 20_000

    run = run_engine(bomb, sample_rate=8_000, bit_rate=8_000)

    assert run.converted.result.duration_seconds == 600.0


@pytest.mark.long
@pytest.mark.parametrize(
    ("suffix", "codec"),
    [
        (".flac", ("-c:a", "flac", "-frame_size", "65535", "-strict", "-2")),
        (".opus", ("-c:a", "libopus", "-b:a", "6k", "-frame_duration", "60")),
        (".m4a", ("-c:a", "alac")),
        (".ogg", ("-c:a", "libvorbis")),
    ],
    ids=["flac", "opus", "alac", "vorbis"],
)
def test_an_hour_of_silence(tmp_path: Path, suffix: str, codec: tuple[str, ...]) -> None:
    bomb = hostile.silence(tmp_path / f"silence{suffix}", 3600, *codec)

    run = run_engine(bomb, seconds_allowed=550)

    assert run.converted.result.duration_seconds == pytest.approx(3600.0, abs=0.1)


def test_chapters_without_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What keeps ffprobe busy for long is the file's fault; the deadline is far away."""
    monkeypatch.setattr("resample.engine.ffmpeg.probe.MAX_SECONDS", 0.0)
    source = tmp_path / "chapters.mp3"
    tag = hostile.chapters(99_999)
    source.write_bytes(broken.id3v2(len(tag), tag) + hostile.whole_files()["variable.mp3"])

    with pytest.raises(CorruptAudio, match="too long"):
        run_engine(source)


def with_comment(path: Path, comment: bytes, seconds: int = 45) -> Path:
    """A WAV file at 8 kHz with a tag in front of its sound."""
    tag = b"INFOICMT" + struct.pack("<I", len(comment)) + comment + bytes(len(comment) % 2)
    form = b"WAVEfmt " + struct.pack("<IHHIIHH", 16, 1, 1, 8000, 8000, 1, 8)
    data = random.Random(1).randbytes(8000 * seconds)
    content = form + b"LIST" + struct.pack("<I", len(tag)) + tag + b"data" + struct.pack("<I", len(data)) + data
    path.write_bytes(b"RIFF" + struct.pack("<I", len(content)) + content)
    return path


@pytest.mark.parametrize("encoders", [1, 2])
def test_a_tag_of_line_breaks(tmp_path: Path, encoders: int) -> None:
    """ffmpeg prints a line of 23 bytes for each, twice: that is stopped, and the file's fault."""
    source = with_comment(tmp_path / "tag.wav", b"\n" * 1_000_000)

    with pytest.raises(CorruptAudio, match="too much text in its tags"):
        run_engine(source, encoders=encoders)


@pytest.mark.parametrize("encoders", [1, 2])
def test_a_tag_of_many_lines_is_kept(tmp_path: Path, encoders: int) -> None:
    lyrics = "\n".join(f"this is line {number} of the song" for number in range(5000))

    run = run_engine(with_comment(tmp_path / "song.wav", lyrics.encode()), encoders=encoders)

    assert not run.converted.is_fallback
    assert tags(run.mp3)["comment"] == lyrics


def test_a_cover_that_is_too_big_to_hold_in_memory_takes_one_encoder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = with_comment(tmp_path / "song.wav", b"a" * 10_000)
    monkeypatch.setattr("resample.engine.encode.MAX_HEAD_BYTES", 9_999)

    run = run_engine(source, encoders=2)

    assert run.converted.is_fallback
    assert tags(run.mp3)["comment"] == "a" * 10_000


@pytest.mark.long
def test_sound_without_end(tmp_path: Path) -> None:
    """Nobody knows how long it is, so nobody refuses it before; but it is not tried three times."""
    codec = ("-c:a", "flac", "-frame_size", "65535", "-strict", "-2")
    bomb = hostile.silence(tmp_path / "silence.flac", 3 * 3600, *codec, sample_rate=8_000)
    content = bytearray(bomb.read_bytes())
    content[21] &= 0xF0
    content[22:26] = bytes(4)
    bomb.write_bytes(content)

    with pytest.raises(UploadTooLarge, match="more sound than"):
        run_engine(bomb, seconds_allowed=4, sample_rate=48_000)  # which would take four times as long, at least


@pytest.mark.parametrize(
    ("seconds_done", "error"), [(9.9, TimeLimit), (3600.0, UploadTooLarge)], ids=["slow", "at-full-speed"]
)
def test_whose_fault_it_is_that_the_time_ran_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seconds_done: float, error: type[AudioJobError]
) -> None:
    """Half a second is lost while the file is fetched: ours."""

    def run_out_of_time(_: EncodeTask, progress: Progress, *, encoders: int) -> FfmpegReport:
        progress.reach(seconds_done)
        raise TimeLimit(f"with {encoders} encoders")

    def late() -> Iterator[bytes]:
        time.sleep(0.5)
        yield content

    monkeypatch.setattr("resample.engine.convert.encode", run_out_of_time)
    content = hostile.whole_files()["tone.flac"]

    with pytest.raises(error):
        convert(
            StreamedSource(len(content), content, late),
            identify(lambda offset, length: content[offset : offset + length], len(content)),
            Conversion(),
            tmp_path / "result.mp3",
            deadline=time.monotonic() + 300,
            on_progress=lambda _: None,
        )


def test_more_sound_than_anybody_could_encode(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A FLAC header that declares half a year is not even tried."""
    monkeypatch.setattr("resample.engine.convert.encode", lambda *_, **__: pytest.fail("it is tried"))
    content = bytearray(hostile.whole_files()["tone.flac"])
    content[21] |= 0x0F
    content[22:26] = b"\xff\xff\xff\xff"
    source = tmp_path / "endless.flac"
    source.write_bytes(content)

    with pytest.raises(UploadTooLarge, match="hours"):
        run_engine(source, seconds_allowed=900)
