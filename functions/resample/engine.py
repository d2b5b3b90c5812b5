"""Turns a file into the MP3 that was asked for, and judges what came out.

The input is hostile and ffmpeg's exit status is no verdict: it is 0 for truncated files and for files in which
nothing could be decoded. What counts is how much sound there is in the result, to the sample, against what the
source declares.
"""

from __future__ import annotations

import logging
import re
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from audiojobs.conversion import Conversion
from audiojobs.errors import CorruptAudio, InternalError, NoAudio, TruncatedAudio
from audiojobs.job import Notice, Result, Source
from resample.containers import HEAD_BYTES, Container, Reader, id3v2_bytes
from resample.declared import Declared, declared_length
from resample.ffmpeg import encode_command, output_channels
from resample.mpeg import iterate_mpeg_frames, parse_info_tag
from resample.probe import Probed, probe
from resample.process import Finished, executable, run

logger = logging.getLogger(__name__)

PROGRESS_SECONDS = 0.5

_LENGTH_TOLERANCE_SECONDS = 0.001
# MP4 tells its length in its index, but the last AAC frames (2048 sample frames at most) may be priming or padding.
_MP4_TOLERANCE_SECONDS = 0.1
_DECODE_ERROR = re.compile(r"Error (while decoding stream|submitting packet to decoder)|Decoding error")
_DISK_FULL = re.compile(r"No space left on device")


@dataclass(frozen=True, slots=True)
class Converted:
    """A finished conversion; ``warnings`` are for the file's owner."""

    source: Source
    result: Result
    warnings: tuple[Notice, ...]


@dataclass(frozen=True, slots=True)
class Encoded:
    """What an MP3 file says about itself: ``sample_frames`` of sound without the encoder's delay and padding."""

    sample_rate: int
    channels: int
    sample_frames: int
    bit_rate: int
    size_bytes: int

    @property
    def duration_seconds(self) -> float:
        return self.sample_frames / self.sample_rate


def convert(
    source: Path,
    container: Container,
    conversion: Conversion,
    destination: Path,
    *,
    deadline: float,
    on_progress: Callable[[float], None],
) -> Converted:
    """Convert ``source``, an absolute path, of which ``container`` was found out, to an MP3 at ``destination``.

    ``deadline`` is a moment of ``time.monotonic()``. ``on_progress`` gets a growing fraction from 0 to 1, at most
    every :data:`PROGRESS_SECONDS`; it stays at 0 while nobody knows how long the source is. What it raises ends the
    conversion.

    Raises :class:`~audiojobs.errors.NoAudio`, :class:`~audiojobs.errors.CorruptAudio`,
    :class:`~audiojobs.errors.TruncatedAudio`, :class:`~audiojobs.errors.UnsupportedFormat` for the file's faults;
    :class:`~audiojobs.errors.TimeLimit` and :class:`~audiojobs.errors.InternalError` for ours. With
    ``conversion.allow_partial`` a truncated or damaged file gives what there is, and a warning, unless that is nothing.
    """
    size_bytes = source.stat().st_size
    with file_reader(source) as read:
        declared = declared_length(read, size_bytes, container)
    if declared.sample_frames == 0:
        raise NoAudio("The file has a header and no sound.")
    if declared.missing_bytes and not conversion.allow_partial:
        raise _truncated(declared, None)

    with tempfile.TemporaryDirectory(prefix="ffmpeg-", dir=destination.parent) as scratch:
        folder = Path(scratch)
        try:
            probed = probe(source, container, folder=folder, deadline=deadline)
        except CorruptAudio as error:
            if declared.missing_bytes:
                raise TruncatedAudio("The file ends too early; what is there can't be decoded.") from error
            raise
        expected = _expected_seconds(declared, probed)
        finished = _encode(source, container, probed, conversion, destination, folder, deadline, expected, on_progress)
    if finished.exit_status != 0 or finished.matches:
        logger.warning(
            "ffmpeg complained",
            extra={
                "exit_status": finished.exit_status,
                "decode_errors": finished.matches,
                "stderr": finished.last_lines,
            },
        )
    encoded = read_encoded(destination)
    warnings = _judge(declared, probed, container, conversion, finished, encoded)
    assert encoded is not None  # noqa: S101 - judged
    return Converted(
        source=Source(
            container=container.name,
            codec=probed.codec,
            sample_rate=probed.sample_rate,
            channels=probed.channels,
            duration_seconds=encoded.duration_seconds if warnings else _exact_seconds(declared, probed, encoded),
            size_bytes=size_bytes,
        ),
        result=Result(
            sample_rate=encoded.sample_rate,
            bit_rate=conversion.constant_bit_rate or encoded.bit_rate,
            channels=encoded.channels,
            duration_seconds=encoded.duration_seconds,
            size_bytes=encoded.size_bytes,
            passthrough=False,
        ),
        warnings=warnings,
    )


def _encode(
    source: Path,
    container: Container,
    probed: Probed,
    conversion: Conversion,
    destination: Path,
    folder: Path,
    deadline: float,
    expected_seconds: float | None,
    on_progress: Callable[[float], None],
) -> Finished:
    """From the source to the MP3 file: everything before is asking, everything behind is judging."""
    progress = _Progress(expected_seconds, on_progress)
    return run(
        encode_command(executable("ffmpeg"), source, container, probed, conversion, destination),
        folder=folder,
        deadline=deadline,
        on_output=progress.feed,
        count=_DECODE_ERROR,
    )


def _expected_seconds(declared: Declared, probed: Probed) -> float | None:
    return declared.duration_seconds or probed.duration_seconds


def _exact_seconds(declared: Declared, probed: Probed, encoded: Encoded) -> float:
    """The source's duration: the declared one where it is exact, otherwise what was decoded."""
    if declared.sample_frames is not None and not declared.tolerance:
        return declared.sample_frames / probed.sample_rate
    return encoded.duration_seconds


def _judge(
    declared: Declared,
    probed: Probed,
    container: Container,
    conversion: Conversion,
    finished: Finished,
    encoded: Encoded | None,
) -> tuple[Notice, ...]:
    """Compare the result with the promise. Returns warnings, or raises."""
    if finished.exit_status == -9:
        raise InternalError("The conversion ran out of memory.")
    if any(_DISK_FULL.search(line) for line in finished.last_lines):
        raise InternalError("The conversion ran out of disk space.")
    if encoded is None or encoded.sample_frames <= 0:
        if declared.missing_bytes:
            raise TruncatedAudio("The file ends before its sound begins.")
        if finished.exit_status != 0 or finished.matches:
            raise CorruptAudio
        raise NoAudio("No sound could be decoded from this file.")
    if (encoded.sample_rate, encoded.channels) != (conversion.sample_rate, output_channels(probed, conversion)):
        raise InternalError

    short_seconds = _promised_seconds(declared, probed, container) - encoded.duration_seconds
    if declared.missing_bytes or short_seconds > 0:
        error = _truncated(declared, encoded)
        if not conversion.allow_partial:
            raise error
        return (Notice.of(error),)
    if finished.exit_status != 0:
        damaged = CorruptAudio("The file is damaged; only a part of it could be decoded.")
        if not conversion.allow_partial:
            raise damaged
        return (Notice.of(damaged),)
    # A tag that is not known, or a last frame cut short, makes one error in very many MP3 files.
    if finished.matches > (1 if container.demuxer == "mp3" else 0):
        return (Notice("decode-errors", "Parts of the file are damaged and may sound wrong."),)
    return ()


def _promised_seconds(declared: Declared, probed: Probed, container: Container) -> float:
    """The least that has to come out."""
    if declared.sample_frames is not None:
        return (declared.sample_frames - declared.tolerance) / probed.sample_rate - _LENGTH_TOLERANCE_SECONDS
    if container.demuxer == "mov" and probed.duration_seconds is not None:
        return probed.duration_seconds - _MP4_TOLERANCE_SECONDS
    return 0.0


def _truncated(declared: Declared, encoded: Encoded | None) -> TruncatedAudio:
    promised = declared.duration_seconds
    if encoded is not None and promised is not None:
        return TruncatedAudio(
            f"The file declares {promised:.3f} seconds of sound, but only {encoded.duration_seconds:.3f} are there."
        )
    if promised is not None:
        return TruncatedAudio(f"The file ends before the {promised:.3f} seconds that it declares.")
    return TruncatedAudio()


def read_encoded(mp3: Path) -> Encoded | None:
    """What the Info tag of an MP3 file, as ffmpeg or LAME writes it, says; ``None`` if there is none.

    A few kB are read, whatever the length and however big the cover.
    """
    if not mp3.is_file():
        return None
    size_bytes = mp3.stat().st_size
    with file_reader(mp3) as read:
        start = id3v2_bytes(read(0, 10))
        head = read(start, HEAD_BYTES)
    first = next(iterate_mpeg_frames(head), None)
    info = parse_info_tag(head, first) if first else None
    sample_frames = info.sample_frames(first.header) if first and info else None
    if first is None or info is None or sample_frames is None:
        return None
    audio_bytes = (info.size_bytes or size_bytes - start) - first.length_bytes
    sound_seconds = (info.mpeg_frames or 0) * first.header.sample_frames / first.header.sample_rate
    return Encoded(
        sample_rate=first.header.sample_rate,
        channels=first.header.channels,
        sample_frames=sample_frames,
        bit_rate=round(8 * audio_bytes / sound_seconds) if sound_seconds else 0,
        size_bytes=size_bytes,
    )


@contextmanager
def file_reader(path: Path) -> Iterator[Reader]:
    """A :data:`~resample.containers.Reader` on a file of this machine."""
    with path.open("rb") as file:

        def read(offset: int, length: int) -> bytes:
            file.seek(offset)
            return file.read(length)

        yield read


class _Progress:
    """Reads ffmpeg's progress reports (``out_time_us=1234567`` and other lines)."""

    def __init__(self, expected_seconds: float | None, on_progress: Callable[[float], None]) -> None:
        self._expected_seconds = expected_seconds
        self._on_progress = on_progress
        self._rest = b""
        self._fraction = 0.0
        self._last = time.monotonic()

    def feed(self, data: bytes) -> None:
        *lines, rest = (self._rest + data).split(b"\n")
        self._rest = rest[:100]
        for line in lines:
            name, _, value = line.partition(b"=")
            if name == b"out_time_us" and value.strip().isdigit() and self._expected_seconds:
                self._fraction = max(self._fraction, min(1.0, int(value) / 1e6 / self._expected_seconds))
        now = time.monotonic()
        if self._fraction and now - self._last >= PROGRESS_SECONDS:
            self._last = now
            self._on_progress(self._fraction)
