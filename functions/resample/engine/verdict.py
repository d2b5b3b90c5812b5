"""Is the result the whole of the source?

ffmpeg's exit status is no verdict: it is 0 for truncated files and for files in which nothing could be decoded. What
counts is how much sound there is in the result, to the sample, against what the source declares.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from audiojobs.errors import CorruptAudio, FileError, InternalError, NoAudio, TruncatedAudio
from audiojobs.job import Notice
from resample.engine.encode_task import EncodeTask
from resample.engine.ffmpeg.arguments import output_channels
from resample.engine.ffmpeg.messages import FfmpegReport
from resample.engine.ffmpeg.probe_result import ProbeResult
from resample.engine.mp3_file import Mp3Summary, correct_length, summarize_mp3
from resample.formats.containers import Container
from resample.formats.declared_length import Declared

_LENGTH_TOLERANCE_SECONDS = 0.001
# Their duration, as ffprobe reads it from an index or a last page, is no estimate; but an MP4 may or may not count the
# priming and padding of AAC, 2048 sample frames each at most.
_INDEXED = ("mp4", "ogg")
_INDEX_TOLERANCE_SECONDS = 0.1


def check_result(task: EncodeTask, report: FfmpegReport, declared: Declared) -> Mp3Summary:
    """What was written, if there is any sound in it at all and it is of the kind that was asked for.

    Raises the file's fault or ours otherwise.
    """
    if report.sample_frames is not None and task.destination.is_file():
        correct_length(task.destination, report.sample_frames)
    summary = _summary_with_sound(report, task.destination, declared)
    wanted = task.conversion.sample_rate, output_channels(task.probed, task.conversion)
    if (summary.sample_rate, summary.channels) != wanted:
        raise InternalError
    return summary


def _summary_with_sound(report: FfmpegReport, mp3: Path, declared: Declared) -> Mp3Summary:
    if report.was_killed:
        raise InternalError("The conversion ran out of memory.")
    if report.is_disk_full:
        raise InternalError("The conversion ran out of disk space.")
    summary = summarize_mp3(mp3)
    if summary is not None and summary.sample_frames > 0:
        return summary
    if declared.missing_bytes:
        raise TruncatedAudio("The file ends before its sound begins.")
    if report.exit_status or report.decode_errors:
        raise CorruptAudio
    raise NoAudio("No sound could be decoded from this file.")


def find_shortfall(
    report: FfmpegReport, result: Mp3Summary, declared: Declared, probed: ProbeResult, container: Container
) -> FileError | None:
    """Why the result is not the whole of the source; ``None`` if it is."""
    promised_seconds = 0.0
    if declared.sample_frames is not None:
        promised_frames = declared.sample_frames - declared.tolerance
        promised_seconds = promised_frames / probed.sample_rate - _LENGTH_TOLERANCE_SECONDS
    elif container.name in _INDEXED and probed.duration_seconds is not None:
        declared = replace(declared, sample_frames=round(probed.duration_seconds * probed.sample_rate))
        promised_seconds = probed.duration_seconds - _INDEX_TOLERANCE_SECONDS
    if declared.missing_bytes or result.duration_seconds < promised_seconds:
        return truncated(replace(declared, sample_rate=probed.sample_rate), result)
    if report.exit_status:
        return CorruptAudio("The file is damaged; only a part of it could be decoded.")
    return None


def damage_warnings(report: FfmpegReport, container: Container) -> tuple[Notice, ...]:
    """A warning for a file of the right length with damage in it.

    A tag at the end that ffmpeg does not know, or a last frame cut short, makes one error in very many MP3 and FLAC
    files.
    """
    if report.decode_errors > (1 if container.demuxer in ("mp3", "flac") else 0):
        return (Notice("decode-errors", "Parts of the file are damaged and may sound wrong."),)
    return ()


def truncated(declared: Declared, result: Mp3Summary | None = None) -> TruncatedAudio:
    """The error for a file that ends before what it declares; ``result`` is what could be decoded."""
    promised = declared.duration_seconds
    if promised is None:
        return TruncatedAudio()
    if result is None:
        return TruncatedAudio(f"The file ends before the {promised:.3f} seconds that it declares.")
    return TruncatedAudio(
        f"The file declares {promised:.3f} seconds of sound; {result.duration_seconds:.3f} could be decoded."
    )
