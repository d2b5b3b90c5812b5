"""Turns a file into the MP3 that was asked for, and judges what came out.

The input is hostile and ffmpeg's exit status is no verdict: it is 0 for truncated files and for files in which
nothing could be decoded. What counts is how much sound there is in the result, to the sample, against what the
source declares.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from audiojobs.conversion import Conversion
from audiojobs.errors import (
    CorruptAudio,
    FileError,
    InternalError,
    NoAudio,
    TimeLimit,
    TruncatedAudio,
    UploadTooLarge,
)
from audiojobs.job import Notice, Result, Source
from resample.engine.encoding import Progress, Report, Task, encode
from resample.engine.ffmpeg.arguments import output_channels
from resample.engine.ffmpeg.probe import probe
from resample.engine.ffmpeg.probed import Probed
from resample.engine.mp3_file import Encoded, file_reader, mend_length, read_encoded
from resample.engine.streamed_source import StreamedSource
from resample.formats.containers import Container
from resample.formats.declared_length import Declared, declared_length

# Three times what one core makes of silence in mono, so that only what is hopeless is refused.
_FASTEST_SAMPLE_FRAMES_A_SECOND = 50_000_000
_SOUND_SECONDS_A_SECOND = 20
"""What even the smallest function makes of music. Whoever was as fast and ran out of time would do so again."""

_FETCHING_SHARE = 0.1  # of the progress
_LENGTH_TOLERANCE_SECONDS = 0.001
# Their duration, as ffprobe reads it from an index or a last page, is no estimate; but an MP4 may or may not count the
# priming and padding of AAC, 2048 sample frames each at most.
_INDEXED = ("mp4", "ogg")
_INDEX_TOLERANCE_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class Converted:
    """A finished conversion; ``warnings`` are for the file's owner.

    ``is_fallback`` tells that several encoders were tried, and one did it.
    """

    source: Source
    result: Result
    warnings: tuple[Notice, ...]
    is_fallback: bool = False


def convert(
    source: Path | StreamedSource,
    container: Container,
    conversion: Conversion,
    destination: Path,
    *,
    deadline: float,
    on_progress: Callable[[float], None],
    encoders: int = 1,
) -> Converted:
    """Convert ``source``, which is a ``container``, to an MP3 at ``destination``; both paths are absolute.

    A file that is still elsewhere is decoded while it arrives, if that can be; otherwise it is fetched first.
    ``deadline`` is a moment of ``time.monotonic()``. ``on_progress`` gets a growing fraction from 0 to 1, some times
    a second, and nothing while nobody knows how long the source is. What it raises ends the conversion.
    ``encoders`` may work on a long file at a time.

    Raises :class:`~audiojobs.errors.NoAudio`, :class:`~audiojobs.errors.CorruptAudio`,
    :class:`~audiojobs.errors.TruncatedAudio`, :class:`~audiojobs.errors.UnsupportedFormat`,
    :class:`~audiojobs.errors.UploadTooLarge` for the file's faults; :class:`~audiojobs.errors.TimeLimit` and
    :class:`~audiojobs.errors.InternalError` for ours; and whatever a
    :class:`~resample.engine.streamed_source.StreamedSource` raises.
    With ``conversion.allow_partial`` a truncated or damaged file gives what there is, and a warning, unless that is
    nothing.
    """
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="ffmpeg-", dir=destination.parent) as name:
        folder = Path(name)
        source, file, on_progress = _at_hand(source, container, folder, deadline, on_progress)
        size_bytes = file.stat().st_size
        declared = _declared(file, size_bytes, container, conversion)
        probed = _probe(file, container, declared, folder, deadline)
        expected_seconds = declared.duration_seconds or probed.duration_seconds
        if not conversion.allow_partial:
            _refuse_endless(expected_seconds, conversion, seconds=encoders * (deadline - time.monotonic()))
        task = Task(source, container, probed, conversion, destination, folder, deadline)
        report = _encode(task, Progress(expected_seconds, on_progress), encoders, started)

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
        is_fallback=report.is_fallback,
    )


def _at_hand(
    source: Path | StreamedSource,
    container: Container,
    folder: Path,
    deadline: float,
    on_progress: Callable[[float], None],
) -> tuple[Path | StreamedSource, Path, Callable[[float], None]]:
    """What shall be decoded, a file that begins like it and is as long, and whom to tell of the progress from here."""
    if isinstance(source, Path):
        return source, source, on_progress
    file = folder / "source"
    if source.is_sequential(container):
        source.write_outline(file)
        return source, file, on_progress
    source.fetch(file, deadline=deadline, on_progress=lambda fraction: on_progress(_FETCHING_SHARE * fraction))
    return file, file, partial(_after_fetching, on_progress)


def _after_fetching(on_progress: Callable[[float], None], fraction: float) -> None:
    on_progress(_FETCHING_SHARE + (1 - _FETCHING_SHARE) * fraction)


def _declared(file: Path, size_bytes: int, container: Container, conversion: Conversion) -> Declared:
    with file_reader(file) as read:
        declared = declared_length(read, size_bytes, container)
    if declared.sample_frames == 0:
        raise NoAudio("The file has a header and no sound.")
    if declared.missing_bytes and not conversion.allow_partial:
        raise _truncated(declared, None)
    return declared


def _probe(source: Path, container: Container, declared: Declared, folder: Path, deadline: float) -> Probed:
    try:
        return probe(source, container, folder=folder, deadline=deadline)
    except CorruptAudio as error:
        if declared.missing_bytes:
            raise TruncatedAudio("The file is cut off, and the part that is there cannot be decoded.") from error
        raise


def _refuse_endless(expected_seconds: float | None, conversion: Conversion, *, seconds: float) -> None:
    """What can't be done in so many ``seconds`` of one encoder's time is not begun, nor tried again by a retry."""
    if expected_seconds and expected_seconds * conversion.sample_rate > _FASTEST_SAMPLE_FRAMES_A_SECOND * seconds > 0:
        raise UploadTooLarge(
            f"The file declares {expected_seconds / 3600:,.0f} hours of sound. That is more than can be converted."
        )


def _encode(task: Task, progress: Progress, encoders: int, started: float) -> Report:
    """Encode; for a file that is so long that its time runs out, however fast that goes, that is its own fault."""
    try:
        return encode(task, progress, encoders=encoders)
    except TimeLimit:
        if progress.seconds > _SOUND_SECONDS_A_SECOND * (time.monotonic() - started):
            raise UploadTooLarge("The file contains more sound than can be converted in the time limit.") from None
        raise


def _judge_encoding(report: Report, encoded: Encoded | None, declared: Declared) -> Encoded:
    """The result, if there is any sound in it at all."""
    if report.exit_status == -9:
        raise InternalError("The conversion ran out of memory.")
    if report.is_disk_full:
        raise InternalError("The conversion ran out of disk space.")
    if encoded is not None and encoded.sample_frames > 0:
        return encoded
    if declared.missing_bytes:
        raise TruncatedAudio("The file ends before its sound begins.")
    if report.exit_status or report.decode_errors:
        raise CorruptAudio
    raise NoAudio("No sound could be decoded from this file.")


def _judge_length(
    report: Report, encoded: Encoded, declared: Declared, probed: Probed, container: Container
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


def _damage(report: Report, container: Container) -> tuple[Notice, ...]:
    """A warning for a file of the right length with damage in it.

    A tag at the end that ffmpeg does not know, or a last frame cut short, makes one error in very many MP3 and FLAC
    files.
    """
    if report.decode_errors > (1 if container.demuxer in ("mp3", "flac") else 0):
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
