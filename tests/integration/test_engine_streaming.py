"""A file that is decoded while it arrives gives what it gives from the disk: result, facts, warnings, errors."""

from __future__ import annotations

import errno
import os
import struct
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from audiojobs.conversion import Conversion
from audiojobs.errors import AudioJobError, CorruptAudio, InternalError, TimeLimit, UploadReplaced
from resample.engine import encode
from resample.engine.convert import Converted, convert
from resample.engine.encode_task import EncodeTask
from resample.engine.ffmpeg.probe import probe
from resample.engine.parallel import ParallelEncodingFailed
from resample.engine.progress import Progress
from resample.engine.streamed_source import StreamedSource
from tests.audio import broken, synth
from tests.audio.programs import run_full_ffmpeg
from tests.integration.converting import identify_file, run_engine
from tests.integration.test_engine_broken import fake_ffmpeg

__all__ = ["fake_ffmpeg"]

SECONDS = 0.7
HEAD_BYTES = 16_384
CHUNK_BYTES = 10_007

Maker = Callable[[Path], Path]


@dataclass
class Remote:
    """A file that is elsewhere. ``readings`` counts how often somebody began to read it."""

    content: bytes
    meanwhile: Callable[[int], object] = bool
    readings: int = 0

    def incoming(self) -> StreamedSource:
        return StreamedSource(len(self.content), self.content[:HEAD_BYTES], self.chunks)

    def chunks(self) -> Iterator[bytes]:
        self.readings += 1
        for offset in range(0, len(self.content), CHUNK_BYTES):
            self.meanwhile(offset)
            yield self.content[offset : offset + CHUNK_BYTES]


def convert_remote(
    remote: Remote,
    source: Path,
    *,
    seconds_allowed: float = 300.0,
    encoders: int = 1,
    allow_partial: bool = False,
    meanwhile: Callable[[float], object] = bool,
) -> tuple[Converted, Path, list[float]]:
    """Convert what is elsewhere, with `source` to tell its format; `meanwhile` is called at each step of progress."""

    def on_progress(fraction: float) -> None:
        progress.append(fraction)
        meanwhile(fraction)

    folder = source.parent / f"{source.name}.remote"
    folder.mkdir(exist_ok=True)
    progress: list[float] = []
    try:
        converted = convert(
            remote.incoming(),
            identify_file(source),
            Conversion(allow_partial=allow_partial),
            folder / "result.mp3",
            deadline=time.monotonic() + seconds_allowed,
            on_progress=on_progress,
            encoders=encoders,
        )
    finally:
        assert {path.name for path in folder.iterdir()} <= {"result.mp3"}, "nothing is left beside the result"
    return converted, folder / "result.mp3", progress


@pytest.fixture(autouse=True)
def nobody_reads_on() -> Iterator[None]:
    yield
    for thread in threading.enumerate():
        if thread.name == "incoming":
            thread.join(300)
            assert not thread.is_alive()


def wav(kind: str = "s16", seconds: float = SECONDS, **layout: object) -> Maker:
    def make(path: Path) -> Path:
        channels = int(str(layout.get("channels", 1)))
        path.write_bytes(synth.wav_bytes(synth.sine(seconds, channels=channels), kind, **layout))  # type: ignore[arg-type]
        return path

    return make


def encoded(*arguments: str, container: str = "wav", **given: object) -> Maker:
    return lambda path: synth.encode(path, synth.tone(SECONDS), *arguments, container=container, **given)  # type: ignore[arg-type]


def changed(make: Maker, change: Callable[[bytes], bytes]) -> Maker:
    def made(path: Path) -> Path:
        path.write_bytes(change(make(path).read_bytes()))
        return path

    return made


def with_chunk(name: bytes, content: bytes, *, before: bytes | None) -> Maker:
    """A WAV file with another chunk, before that one or at the end."""

    def insert(data: bytes) -> bytes:
        chunk = name + struct.pack("<I", len(content)) + content + b"\0" * (len(content) & 1)
        at = data.index(before) if before else len(data)
        size = struct.unpack("<I", data[4:8])[0] + len(chunk)
        return data[:4] + struct.pack("<I", size) + data[8:at] + chunk + data[at:]

    return changed(wav(), insert)


TITLE = b"INFOINAM" + struct.pack("<I", 6) + b"Title\0"
ID3 = broken.id3v2(200, b"TIT2" + struct.pack(">I", 6) + b"\0\0\0Title")

ARRIVES = {
    **{f"RIFF-{kind}": wav(kind) for kind in synth.SAMPLE_KINDS},
    **{f"RF64-{kind}": wav(kind, form="RF64") for kind in ("u8", "s24", "f64")},
    "BW64": wav(form="BW64"),
    **{f"RIFX-{kind}": wav(kind, form="RIFX") for kind in ("s16", "f32")},
    "a-law": encoded("-c:a", "pcm_alaw"),
    "extensible": wav(extensible=True, channels=2, channel_mask=3),
    "9-channels": wav(channels=9, extensible=True),
    "5.1": wav(channels=6, extensible=True, channel_mask=0x3F),
    "channels-behind": wav(channels=2, extensible=True, channel_mask=0x30),
    "absurd-rate": wav(sample_rate=999),
    **{f"length-{size:x}": wav(declared_bytes=size, riff_bytes=0xFFFFFFFF) for size in (0, 0xFFFFFFFF, 0x7FFFF000)},
    "odd-length": changed(wav("u8"), lambda data: data[:4] + data[4:40] + struct.pack("<I", 30_001) + data[44:30_046]),
    "half-a-sample": wav(declared_bytes=0xFFFFFFFF, kind="s24", seconds=0.5),
    **{
        f"missing-{missing}": changed(wav(), lambda data, missing=missing: data[:-missing])  # type: ignore[misc]
        for missing in (1, 2, 10_000)
    },
    "tags-before": with_chunk(b"LIST", TITLE, before=b"data"),
    "id3-before": with_chunk(b"id3 ", ID3, before=b"data"),
    "bext-before": with_chunk(b"bext", b"y" * 603, before=b"data"),
    "rf64-of-ffmpeg": encoded("-rf64", "always", tags={"title": "Tïtle"}),
    "w64": encoded(container="w64"),
    "w64-cut": changed(encoded(container="w64"), lambda data: data[:-10_000]),
    "noise": changed(wav(), lambda data: data[:44] + bytes(i * 7919 >> 3 & 0xFF for i in range(len(data) - 44))),
    "not-a-number": changed(wav("f32"), lambda data: data[:9000] + struct.pack("<2f", *[float("nan")] * 2) * 5000),
    "mp3-that-says-pcm": changed(lambda path: broken.riff_wrapped_mp3(path), lambda data: _as_pcm(data)),
}
FETCHED = {
    "tags-behind": with_chunk(b"LIST", TITLE, before=None),
    "id3-behind": with_chunk(b"id3 ", ID3, before=None),
    "junk-behind": wav(junk=True),
    "data-far-behind": with_chunk(b"JUNK", bytes(20_000), before=b"data"),
    "no-data": with_chunk(b"JUNK", bytes(40_000), before=None),
    "small": wav(seconds=0.1),
    "header-only": wav(seconds=0),
    "adpcm": encoded("-c:a", "adpcm_ms"),
    "mp3-in-wav": broken.riff_wrapped_mp3,
    "aiff": encoded(container="aiff"),
    "flac": encoded("-c:a", "flac", container="flac"),
    "mp3": encoded("-b:a", "128k", container="mp3"),
    "m4a": encoded("-c:a", "aac", container="mp4"),
    "m4a-cut": changed(encoded("-c:a", "aac", container="mp4"), lambda data: data[: len(data) // 2]),
}


def _as_pcm(data: bytes) -> bytes:
    """A WAV file's format chunk says 16-bit stereo PCM."""
    at = data.index(b"fmt ") + 8
    return data[:at] + struct.pack("<HHIIHH", 1, 2, 44_100, 176_400, 4, 16) + data[at + 16 :]


MIXED_DOWN = ("9-channels", "5.1")


@pytest.mark.parametrize(
    ("name", "allow_partial"),
    [(name, False) for name in ARRIVES | FETCHED]
    + [(name, True) for name in ("missing-1", "missing-10000", "w64-cut", "not-a-number", "m4a-cut")],
)
def test_the_way_makes_no_difference(tmp_path: Path, name: str, allow_partial: bool) -> None:
    source = (ARRIVES | FETCHED)[name](tmp_path / "tone.wav")
    remote = Remote(source.read_bytes())

    def outcome(run: Callable[[], tuple[Converted, Path]]) -> object:
        try:
            converted, mp3 = run()
        except AudioJobError as error:
            return type(error), error.detail
        return converted, mp3.read_bytes()

    def from_disk() -> tuple[Converted, Path]:
        run = run_engine(source, allow_partial=allow_partial)
        return run.converted, run.mp3

    expected = outcome(from_disk)
    found = outcome(lambda: convert_remote(remote, source, allow_partial=allow_partial)[:2])

    assert found == expected
    assert remote.incoming().is_sequential(identify_file(source)) == (name in ARRIVES)
    assert remote.readings <= (2 if name in MIXED_DOWN else 1), "a mix is measured before it is encoded"


@pytest.fixture(params=[1, 2], ids=["one-encoder", "two-encoders"])
def encoders(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(encode, "PARALLEL_FROM_SECONDS", 0.0)
    return int(request.param)


def test_nothing_of_it_is_stored(tmp_path: Path, encoders: int) -> None:
    source = wav(seconds=3.0)(tmp_path / "tone.wav")
    stored_bytes: list[int] = []

    def look(offset: int) -> None:
        files = [path for path in (tmp_path / "tone.wav.remote").rglob("*") if path.name != "result.mp3"]
        stored_bytes.append(sum(512 * path.stat().st_blocks for path in files if path.is_file()))

    remote = Remote(source.read_bytes(), look)

    converted, _, progress = convert_remote(remote, source, encoders=encoders)

    assert len(stored_bytes) > 20
    assert max(stored_bytes) < 3 * HEAD_BYTES, "the beginning, and the head of the MP3"
    assert not converted.is_fallback
    assert progress == sorted(progress)


@pytest.mark.parametrize("error", [UploadReplaced(), InternalError("S3 is gone")], ids=["replaced", "failed"])
@pytest.mark.parametrize("container", ["wav", "aiff"])
def test_what_ends_the_download_is_what_is_told(
    tmp_path: Path, encoders: int, container: str, error: AudioJobError
) -> None:
    source = encoded(container=container)(tmp_path / "tone.wav")

    def break_off(offset: int) -> None:
        if offset > source.stat().st_size // 2:
            raise error

    with pytest.raises(type(error)) as caught:
        convert_remote(Remote(source.read_bytes(), break_off), source, encoders=encoders, allow_partial=True)

    assert caught.value is error


@pytest.mark.parametrize(("container", "encoders"), [("wav", 1), ("wav", 2), ("aiff", 1)])
def test_the_deadline_holds_while_nothing_comes(
    tmp_path: Path, container: str, encoders: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(encode, "PARALLEL_FROM_SECONDS", 0.0)
    source = encoded(container=container)(tmp_path / "tone.wav")
    goes_on = threading.Event()
    remote = Remote(source.read_bytes(), lambda offset: offset == 0 or goes_on.wait())

    try:
        with pytest.raises(TimeLimit):
            convert_remote(remote, source, seconds_allowed=0.6, encoders=encoders)
    finally:
        goes_on.set()


def test_ffmpeg_that_ends_early_leaves_nobody_reading(tmp_path: Path, fake_ffmpeg: Callable[[str], None]) -> None:
    source = tmp_path / "tone.wav"
    source.write_bytes(synth.wav_bytes([0.1] * 2_000_000))  # more than the pipe holds
    remote = Remote(source.read_bytes())
    fake_ffmpeg("import sys; sys.stdin.buffer.read(5); sys.exit(1)")

    with pytest.raises(CorruptAudio):
        convert_remote(remote, source)

    assert remote.readings == 1


def test_an_exception_from_the_progress_callback_ends_the_download(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("resample.engine.progress.PROGRESS_INTERVAL_SECONDS", 0.0)
    source = wav(seconds=3.0)(tmp_path / "tone.wav")
    is_told = threading.Event()
    remote = Remote(source.read_bytes(), lambda _: is_told.wait(0.05))

    def refuse(fraction: float) -> None:
        is_told.set()
        raise RuntimeError("enough")

    with pytest.raises(RuntimeError, match="enough"):
        convert_remote(remote, source, meanwhile=refuse)


def test_what_several_encoders_do_not_understand_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = wav(seconds=3.0)(tmp_path / "tone.wav")
    remote = Remote(source.read_bytes())

    def fail(pcm: int, *_: object, **__: object) -> None:
        os.read(pcm, 1000)
        raise ParallelEncodingFailed("on purpose")

    monkeypatch.setattr(encode, "PARALLEL_FROM_SECONDS", 0.0)
    monkeypatch.setattr(encode, "encode_in_parallel", fail)

    converted, mp3, _ = convert_remote(remote, source, encoders=2)

    alone = run_engine(source)
    assert remote.readings == 2
    assert converted == replace(alone.converted, is_fallback=True)
    assert mp3.read_bytes() == alone.mp3.read_bytes()


@pytest.mark.parametrize("granted", [0, 1], ids=["none", "one"])
def test_pipes_that_cannot_be_had_leave_nothing_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, granted: int
) -> None:
    source = wav(seconds=3.0)(tmp_path / "tone.wav")
    pipes = [os.pipe() for _ in range(granted)]
    remote = Remote(source.read_bytes())
    probed = probe(source, identify_file(source), folder=tmp_path, deadline=time.monotonic() + 300)
    task = EncodeTask(
        source=remote.incoming(),
        container=identify_file(source),
        probed=probed,
        conversion=Conversion(),
        destination=tmp_path / "result.mp3",
        folder=tmp_path,
        deadline=time.monotonic() + 300,
    )
    monkeypatch.setattr(encode, "PARALLEL_FROM_SECONDS", 0.0)
    before = open_files() - 2 * len(pipes)

    def pipe() -> tuple[int, int]:
        if not pipes:
            raise OSError(errno.EMFILE, "on purpose")
        return pipes.pop()

    monkeypatch.setattr(os, "pipe", pipe)

    with pytest.raises(OSError, match="on purpose"):
        encode.encode(task, Progress(3.0, lambda _: None), encoders=2)

    assert open_files() == before


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_progress_grows_while_it_arrives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("resample.engine.progress.PROGRESS_INTERVAL_SECONDS", 0.0)
    source = tmp_path / "tone.wav"
    run_full_ffmpeg("-f", "lavfi", "-i", "sine=d=60:r=44100", "-ac", "2", source)
    half = source.stat().st_size // 2  # more than ffmpeg reads before it begins
    is_told = threading.Event()
    remote = Remote(source.read_bytes(), lambda offset: offset < half or is_told.wait(120))

    _, _, progress = convert_remote(remote, source, meanwhile=lambda _: is_told.set())

    assert progress == sorted(progress)
    assert 0 < progress[0] < 0.6 < progress[-1] <= 1


def test_progress_grows_through_the_download(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("resample.engine.progress.PROGRESS_INTERVAL_SECONDS", 0.0)
    source = wav(seconds=3.0, junk=True)(tmp_path / "tone.wav")

    _, _, progress = convert_remote(Remote(source.read_bytes()), source)

    assert progress == sorted(progress)
    assert 0 < progress[0] <= 0.1 < progress[-1] <= 1
