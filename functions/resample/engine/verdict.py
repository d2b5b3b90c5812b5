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
from resample.engine.mp3_file import Mp3Summary, correct_length, correct_tag_crc, summarize_mp3
from resample.formats.containers import Container
from resample.formats.declared import Declared
from resample.formats.last_frame import LastFrame

_LENGTH_TOLERANCE_SECONDS = 0.001
# Their duration, as ffprobe reads it from an index or a last page, is no estimate; but an MP4 may or may not count the
# priming and padding of AAC: 2112 and 1023 sample frames, of HE-AAC 5186 and 2047.
_INDEXED = ("mp4", "ogg")
_INDEX_TOLERANCE_SECONDS = 0.1
_AAC_TOLERANCE_FRAMES = 4
# Headers of a chained Ogg stream, which the decoder takes for sound.
_ERRORS_PER_LINK = 3
# A tag that ffmpeg does not know, a few odd bytes, or a last frame cut short make one error in very many of these.
_ONE_ERROR_IS_NO_DAMAGE = (
    *("mp3", "flac", "wav", "w64", "aiff", "au", "caf", "wv", "ape", "tta", "mpc", "mpc8"),
    *("amr", "gsm", "ac3", "eac3", "dts", "dtshd", "truehd", "mpegts"),
)


def check_result(task: EncodeTask, report: FfmpegReport, declared: Declared) -> Mp3Summary:
    """What was written, if there is any sound in it at all and it is of the kind that was asked for.

    Raises the file's fault or ours otherwise.
    """
    if report.sample_frames is not None and task.destination.is_file():
        correct_length(task.destination, report.sample_frames)
        correct_tag_crc(task.destination)
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
        promised_seconds = probed.duration_seconds - declared.uncounted_seconds - _index_tolerance(probed)
    if declared.missing_bytes or report.ended_early or result.duration_seconds < promised_seconds:
        return truncated(replace(declared, sample_rate=probed.sample_rate), result)
    if report.exit_status:
        return CorruptAudio("The file is damaged; only a part of it could be decoded.")
    return None


def _index_tolerance(probed: ProbeResult) -> float:
    if probed.codec != "aac":
        return _INDEX_TOLERANCE_SECONDS
    frame = 2048 if probed.sample_rate >= 32_000 else 1024  # SBR doubles the rate, and nobody tells where it is in use
    return max(_INDEX_TOLERANCE_SECONDS, _AAC_TOLERANCE_FRAMES * frame / probed.sample_rate)


def is_cut_between_frames(report: FfmpegReport, declared: Declared, ending: LastFrame) -> bool:
    """Whether a file that is too short is a whole piece of a longer one, whose header it still has."""
    is_sound = not report.exit_status and report.decode_errors <= 1 and not declared.missing_bytes
    return is_sound and ending is LastFrame.WHOLE


def cut_warning(declared: Declared, result: Mp3Summary) -> Notice:
    """For a file that was cut without encoding it anew."""
    return Notice(
        "shorter-than-declared",
        f"The file's header declares {declared.duration_seconds or 0:.3f} seconds of sound; the file holds"
        f" {result.duration_seconds:.3f}, all of which were converted. It ends with a whole frame, as files do that"
        " were cut without encoding.",
        declared_seconds=round(declared.duration_seconds, 3) if declared.duration_seconds else None,
    )


def surplus_warnings(declared: Declared) -> tuple[Notice, ...]:
    """For sound behind the end that the header gives."""
    if declared.is_size_stale:
        return (
            Notice(
                "longer-than-declared",
                "The sound goes on behind the size that the file's header gives, as after a crash of the recorder."
                " All of it was converted.",
            ),
        )
    if declared.left_out_seconds:
        return (
            Notice(
                "sound-left-out",
                f"Behind the end of the recording stand {declared.left_out_seconds:.3f} more seconds of sound, which"
                " were left out. If several files were joined into one, please send each of them on its own.",
            ),
        )
    return ()


def damage_warnings(
    report: FfmpegReport, declared: Declared, container: Container, ending: LastFrame
) -> tuple[Notice, ...]:
    """A warning for a file of the right length with damage in it."""
    is_end_cut = ending is LastFrame.CUT or container.demuxer in _ONE_ERROR_IS_NO_DAMAGE
    harmless = (1 if is_end_cut else 0) + _ERRORS_PER_LINK * (declared.links - 1)
    if report.decode_errors > harmless:
        return (Notice("decode-errors", "Parts of the file are damaged and may sound wrong."),)
    return ()


def truncated(declared: Declared, result: Mp3Summary | None = None) -> TruncatedAudio:
    """The error for a file that ends before what it declares; ``result`` is what could be decoded."""
    promised = declared.duration_seconds
    if promised is None:
        return TruncatedAudio()
    if result is None:
        detail = f"The file ends before the {promised:.3f} seconds that it declares."
    else:
        detail = f"The file declares {promised:.3f} seconds of sound; {result.duration_seconds:.3f} could be decoded."
    return TruncatedAudio(detail, declared_seconds=round(promised, 3))
