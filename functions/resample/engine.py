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
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from audiojobs.conversion import Conversion
from audiojobs.errors import CorruptAudio, FileError, InternalError, NoAudio, TruncatedAudio, UnsupportedFormat
from audiojobs.job import Notice, Result, Source
from resample.containers import Container
from resample.declared import Declared, declared_length
from resample.encoded import Encoded, file_reader, mend_length, read_encoded
from resample.ffmpeg import encode_command, output_channels
from resample.probe import Probed, probe
from resample.process import executable, run

logger = logging.getLogger(__name__)

PROGRESS_INTERVAL_SECONDS = 0.5

_LENGTH_TOLERANCE_SECONDS = 0.001
# Their duration, as ffprobe reads it from an index or a last page, is no estimate; but an MP4 may or may not count the
# priming and padding of AAC, 2048 sample frames each at most.
_INDEXED = ("mp4", "ogg")
_INDEX_TOLERANCE_SECONDS = 0.1

_LEVEL = re.compile(r"\[(verbose|info|warning|error|fatal|panic)\] ")
_ENCODED = re.compile(
    r"(\[[^\[\]]* @ 0x[0-9a-f]+\] )?\[verbose\]   Output stream #0:\d+ \(audio\): \d+ frames encoded \((\d+) samples\)"
)
_DECODE_ERROR = re.compile(r"Error (while decoding stream|submitting packet to decoder)|Decoding error")


@dataclass(frozen=True, slots=True)
class Converted:
    """A finished conversion; ``warnings`` are for the file's owner."""

    source: Source
    result: Result
    warnings: tuple[Notice, ...]


def convert(
    source: Path,
    container: Container,
    conversion: Conversion,
    destination: Path,
    *,
    deadline: float,
    on_progress: Callable[[float], None],
) -> Converted:
    """Convert ``source``, which is a ``container``, to an MP3 at ``destination``; both paths are absolute.

    ``deadline`` is a moment of ``time.monotonic()``. ``on_progress`` gets a growing fraction from 0 to 1, at most
    every :data:`PROGRESS_INTERVAL_SECONDS`, and nothing while nobody knows how long the source is. What it raises
    ends the conversion.

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

    with tempfile.TemporaryDirectory(prefix="ffmpeg-", dir=destination.parent) as folder:
        probed = _probe(source, container, declared, Path(folder), deadline)
        progress = _Progress(declared.duration_seconds or probed.duration_seconds, on_progress)
        command = encode_command(executable("ffmpeg"), source, container, probed, conversion, destination)
        report = _encode(command, Path(folder), deadline, progress)

    if report.sample_frames is not None and destination.is_file():
        mend_length(destination, report.sample_frames)
    encoded = _judge_encoding(report, read_encoded(destination), declared)
    if (encoded.sample_rate, encoded.channels) != (conversion.sample_rate, output_channels(probed, conversion)):
        raise InternalError
    warnings = _judge_length(report, encoded, declared, probed, container)
    if warnings and not conversion.allow_partial:
        raise warnings[0]
    exact_source = declared.sample_frames is not None and not declared.tolerance and not warnings
    return Converted(
        source=Source(
            container=container.name,
            codec=probed.codec,
            sample_rate=probed.sample_rate,
            channels=probed.channels,
            duration_seconds=declared.duration_seconds if exact_source else encoded.duration_seconds,
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
        warnings=tuple(map(Notice.of, warnings)) or _damage(report, container),
    )


def _probe(source: Path, container: Container, declared: Declared, folder: Path, deadline: float) -> Probed:
    try:
        return probe(source, container, folder=folder, deadline=deadline)
    except CorruptAudio as error:
        if declared.missing_bytes:
            raise TruncatedAudio("The file ends too early; what is there can't be decoded.") from error
        raise


@dataclass(slots=True)
class _Report:
    """What ffmpeg wrote to stderr, as far as it matters.

    ``sample_frames`` is how many went into the encoder, ``None`` if it did not get to the end.
    """

    exit_status: int = 0
    decode_errors: int = 0
    sample_frames: int | None = None
    is_disk_full: bool = False
    is_layout_refused: bool = False

    def read_line(self, line: str) -> bool:
        """Take note of a line; tells whether it is worth keeping for the log.

        A line without a level is LAME's or libc's own. The tags of the file are printed too, as information.
        """
        level = _LEVEL.search(line)
        if match := _ENCODED.match(line):
            self.sample_frames = int(match[2])
        if level is not None and level[1] in ("verbose", "info", "warning"):
            return False
        self.decode_errors += _DECODE_ERROR.search(line) is not None
        self.is_disk_full |= "No space left on device" in line
        self.is_layout_refused |= "hannel layout" in line and "is not supported" in line
        return True


def _encode(command: list[str], folder: Path, deadline: float, progress: _Progress) -> _Report:
    """From the source to the MP3 file."""
    report = _Report()
    finished = run(command, folder=folder, deadline=deadline, on_output=progress.feed, on_line=report.read_line)
    report.exit_status = finished.exit_status
    if finished.exit_status or finished.last_lines:
        logger.warning(
            "ffmpeg complained", extra={"exit_status": finished.exit_status, "stderr": list(finished.last_lines)}
        )
    return report


def _judge_encoding(report: _Report, encoded: Encoded | None, declared: Declared) -> Encoded:
    """The result, if there is any sound in it at all."""
    if report.exit_status == -9:
        raise InternalError("The conversion ran out of memory.")
    if report.is_disk_full:
        raise InternalError("The conversion ran out of disk space.")
    if encoded is not None and encoded.sample_frames > 0:
        return encoded
    if report.is_layout_refused:
        raise UnsupportedFormat("The channels of this file are arranged in a way that is not supported.")
    if declared.missing_bytes:
        raise TruncatedAudio("The file ends before its sound begins.")
    if report.exit_status or report.decode_errors:
        raise CorruptAudio
    raise NoAudio("No sound could be decoded from this file.")


def _judge_length(
    report: _Report, encoded: Encoded, declared: Declared, probed: Probed, container: Container
) -> list[FileError]:
    """What speaks against calling the result the whole of the source."""
    promised = 0.0
    if declared.sample_frames is not None:
        promised = (declared.sample_frames - declared.tolerance) / probed.sample_rate - _LENGTH_TOLERANCE_SECONDS
    elif container.name in _INDEXED and probed.duration_seconds is not None:
        declared = replace(declared, sample_frames=round(probed.duration_seconds * probed.sample_rate))
        promised = probed.duration_seconds - _INDEX_TOLERANCE_SECONDS
    if declared.missing_bytes or encoded.duration_seconds < promised:
        return [_truncated(replace(declared, sample_rate=probed.sample_rate), encoded)]
    if report.exit_status:
        return [CorruptAudio("The file is damaged; only a part of it could be decoded.")]
    return []


def _damage(report: _Report, container: Container) -> tuple[Notice, ...]:
    """A warning for a file of the right length with damage in it.

    A tag that ffmpeg does not know, or a last frame cut short, makes one error in very many MP3 files.
    """
    if report.decode_errors > (1 if container.demuxer == "mp3" else 0):
        return (Notice("decode-errors", "Parts of the file are damaged and may sound wrong."),)
    return ()


def _truncated(declared: Declared, encoded: Encoded | None) -> TruncatedAudio:
    promised = declared.duration_seconds
    if promised is None:
        return TruncatedAudio()
    if encoded is None:
        return TruncatedAudio(f"The file ends before the {promised:.3f} seconds that it declares.")
    return TruncatedAudio(
        f"The file declares {promised:.3f} seconds of sound; {encoded.duration_seconds:.3f} could be decoded."
    )


class _Progress:
    """Reads ffmpeg's progress reports (``out_time_us=1234567`` among other lines)."""

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
        if self._fraction and now - self._last >= PROGRESS_INTERVAL_SECONDS:
            self._last = now
            self._on_progress(self._fraction)
