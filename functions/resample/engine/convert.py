"""Turns a file into the MP3 that was asked for, step by step. The input is hostile."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from audiojobs.conversion import Conversion
from audiojobs.errors import CorruptAudio, NoAudio, TimeLimit, TruncatedAudio, UnsupportedFormat, UploadTooLarge
from audiojobs.job import Notice, Result, Source
from resample.engine.coded_sound import coded_sound_in
from resample.engine.encode import encode
from resample.engine.encode_task import EncodeTask
from resample.engine.ffmpeg.messages import FfmpegReport
from resample.engine.ffmpeg.probe import cover_warning, probe
from resample.engine.ffmpeg.probe_result import ProbeResult
from resample.engine.id3_tag import id3_frames_of, write_frames
from resample.engine.mixdown import is_mixed_down, measure_mixdown
from resample.engine.mp3_file import Mp3Summary
from resample.engine.progress import Progress
from resample.engine.streamed_source import StreamedSource
from resample.engine.verdict import (
    check_result,
    cut_warning,
    damage_warnings,
    find_shortfall,
    is_cut_between_frames,
    surplus_warnings,
    truncated,
)
from resample.formats.containers import Container
from resample.formats.declared import Declared
from resample.formats.declared_length import declared_length
from resample.formats.last_frame import LastFrame, last_frame
from resample.formats.mp4_protection import is_protected
from resample.formats.mp4_samples import has_padded_samples
from resample.formats.pcm_samples import coded_sound, right_justified_gain
from resample.formats.reader import file_reader
from resample.formats.tags import kept_tags, own_tags, unreadable_covers

# Three times what one core makes of silence in mono, so that only what is hopeless is refused.
_FASTEST_SAMPLE_FRAMES_A_SECOND = 50_000_000
_SOUND_SECONDS_A_SECOND = 20
"""What even the smallest function makes of music. Whoever was as fast and ran out of time would do so again."""

_TAG_PADDING_BYTES = 512
_FETCHING_SHARE = 0.1  # of the progress
_SURPLUS_SECONDS = 0.001


@dataclass(frozen=True, slots=True)
class Converted:
    """A finished conversion; ``warnings`` are for the file's owner.

    ``is_fallback`` tells that parallel encoding was tried and failed. ``fetch_seconds`` passed until decoding could
    begin, because the whole file had to be there.
    """

    source: Source
    result: Result
    warnings: tuple[Notice, ...]
    is_fallback: bool = False
    fetch_seconds: float = field(default=0.0, compare=False)


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
        source, outline, on_progress = _fetch_or_stream(source, container, folder, deadline, on_progress)
        fetch_seconds = time.monotonic() - started
        declared = _read_declared_length(outline, container, conversion)
        _refuse_protected(outline, container)
        probed = _probe(outline, container, declared, folder, deadline)
        probed, declared = _look_at_samples(outline, container, probed, declared, folder, deadline)
        tag_frames, probed = _read_tags(outline, container, probed)
        expected_seconds = declared.duration_seconds or probed.duration_seconds
        if not conversion.allow_partial:
            _refuse_endless(expected_seconds, conversion, seconds=encoders * (deadline - time.monotonic()))
        task = _measured(EncodeTask(source, container, probed, conversion, destination, folder, deadline))
        report = _encode(task, Progress(expected_seconds, on_progress), encoders, started)
        size_bytes = outline.stat().st_size
        ending = _ending(outline, container)

    written = check_result(task, report, declared)
    write_frames(destination, tag_frames)
    shortfall = find_shortfall(report, written, declared, probed, container)
    is_piece = shortfall is not None and is_cut_between_frames(report, declared, ending)
    if shortfall and not is_piece and not conversion.allow_partial:
        raise shortfall
    if is_piece:
        warnings: tuple[Notice, ...] = (cut_warning(declared, written),)
    elif shortfall:
        warnings = (Notice.of(shortfall),)
    else:
        warnings = damage_warnings(report, declared, container, ending)
    return Converted(
        source=_source(container, probed, size_bytes, _source_seconds(declared, written, shortfall)),
        result=_result(written, conversion),
        warnings=(*task.probed.warnings, *warnings, *surplus_warnings(declared)),
        is_fallback=report.is_fallback,
        fetch_seconds=fetch_seconds,
    )


def _fetch_or_stream(
    source: Path | StreamedSource,
    container: Container,
    folder: Path,
    deadline: float,
    on_progress: Callable[[float], None],
) -> tuple[Path | StreamedSource, Path, Callable[[float], None]]:
    """What to decode; a file that begins like it and is as long; and the callback for the progress from here on."""
    if isinstance(source, Path):
        return source, source, on_progress
    file = folder / "source"
    if source.is_sequential(container):
        source.write_outline(file)
        return source, file, on_progress
    source.fetch(file, deadline=deadline, on_progress=lambda fraction: on_progress(_FETCHING_SHARE * fraction))
    return file, file, partial(_report_after_fetching, on_progress)


def _report_after_fetching(on_progress: Callable[[float], None], fraction: float) -> None:
    on_progress(_FETCHING_SHARE + (1 - _FETCHING_SHARE) * fraction)


def _read_declared_length(file: Path, container: Container, conversion: Conversion) -> Declared:
    with file_reader(file) as read:
        declared = declared_length(read, file.stat().st_size, container)
    if declared.sample_frames == 0:
        raise NoAudio("The file has a header and no sound.")
    if declared.missing_bytes and not conversion.allow_partial:
        raise truncated(declared)
    return declared


def _probe(file: Path, container: Container, declared: Declared, folder: Path, deadline: float) -> ProbeResult:
    try:
        return probe(file, container, folder=folder, deadline=deadline)
    except CorruptAudio as error:
        if container.is_big_endian:
            raise UnsupportedFormat(
                "This big-endian WAV file (RIFX) has a header of a kind that is not supported."
                " Please export it as an ordinary WAV or AIFF file."
            ) from error
        if declared.missing_bytes:
            raise TruncatedAudio("The file is cut off, and the part that is there cannot be decoded.") from error
        raise


def _refuse_protected(file: Path, container: Container) -> None:
    if container.name != "mp4":
        return
    with file_reader(file) as read:
        if is_protected(read, file.stat().st_size, container.audio_offset):
            raise UnsupportedFormat(
                "The sound in this file is encrypted (DRM protected), so it cannot be decoded here."
                " Please send a copy without protection."
            )


def _read_tags(file: Path, container: Container, probed: ProbeResult) -> tuple[bytes, ProbeResult]:
    """The ID3v2 frames of the result, and what is known of the source: with room for them, and covers that are lost."""
    with file_reader(file) as read:
        own = own_tags(read, file.stat().st_size, container)
        covers = unreadable_covers(read) if probed.cover_index is None and not probed.warnings else []
    frames = id3_frames_of(kept_tags(probed.tags, own))
    warnings = (*probed.warnings, *(cover_warning(kind) for kind in covers[:1]))
    return frames, replace(probed, tag_bytes=len(frames) + _TAG_PADDING_BYTES, warnings=warnings)


def _measured(task: EncodeTask) -> EncodeTask:
    """The same task with the gain that its mix needs, where channels are mixed down."""
    if not is_mixed_down(task):
        return task
    gain, warnings = measure_mixdown(task)
    probed = task.probed
    return replace(task, probed=replace(probed, mix_gain=gain, warnings=(*probed.warnings, *warnings)))


def _look_at_samples(
    file: Path, container: Container, probed: ProbeResult, declared: Declared, folder: Path, deadline: float
) -> tuple[ProbeResult, Declared]:
    """How PCM has to be read, which its header does not tell, nor ffprobe; and whether it is sound at all."""
    if container.name == "mp4" and probed.codec.startswith("pcm_"):
        _refuse_padded(file, container)
    samples = declared.samples
    if samples is None:
        _refuse_coded(coded_sound_in(file, container, probed, folder=folder, deadline=deadline))
        return probed, declared
    if not probed.codec.startswith("pcm_"):
        return probed, replace(declared, sample_frames=None)  # something else in the clothes of PCM: of another length
    with file_reader(file) as read:
        _refuse_coded(coded_sound(read, samples))
        gain = right_justified_gain(read, samples)
    probed = replace(probed, sample_gain=gain, is_size_stale=declared.is_size_stale)
    decoder = samples.decoder
    if decoder:
        sample_format = "u8" if samples.width == 1 else "flt" if samples.is_float else "s32"
        probed = replace(probed, codec=decoder, decoder=decoder, sample_format=sample_format)
    return probed, declared


def _refuse_coded(coding: str | None) -> None:
    if coding:
        raise UnsupportedFormat(
            f"This file says that it holds samples, but it holds {coding}."
            " Please decode it with the program that made it, and send the decoded file."
        )


def _refuse_padded(file: Path, container: Container) -> None:
    with file_reader(file) as read:
        if has_padded_samples(read, file.stat().st_size, container.audio_offset):
            raise UnsupportedFormat(
                "The samples in this QuickTime file have more bytes than they need, which is not supported."
                " Please export it as a WAV file, or with 16, 24 or 32 bits in as many bytes."
            )


def _ending(file: Path, container: Container) -> LastFrame:
    with file_reader(file) as read:
        return last_frame(read, file.stat().st_size, container)


def _refuse_endless(expected_seconds: float | None, conversion: Conversion, *, seconds: float) -> None:
    """Refuse a file that no encoder could convert in so many ``seconds``; a retry would not help."""
    if expected_seconds and expected_seconds * conversion.sample_rate > _FASTEST_SAMPLE_FRAMES_A_SECOND * seconds > 0:
        raise UploadTooLarge(
            f"The file declares {expected_seconds / 3600:,.0f} hours of sound. That is more than can be converted."
        )


def _encode(task: EncodeTask, progress: Progress, encoders: int, started: float) -> FfmpegReport:
    """Encode. A timeout is the file's fault if the encoder was fast and the file is too long; otherwise it is ours."""
    try:
        return encode(task, progress, encoders=encoders)
    except TimeLimit:
        if progress.seconds > _SOUND_SECONDS_A_SECOND * (time.monotonic() - started):
            raise UploadTooLarge("The file contains more sound than can be converted in the time limit.") from None
        raise


def _source_seconds(declared: Declared, written: Mp3Summary, shortfall: Exception | None) -> float:
    """What the header declares, where it is exact and true; otherwise what could be decoded."""
    promised = declared.duration_seconds
    is_exact = promised and not declared.tolerance and not shortfall
    if not promised or not is_exact or written.duration_seconds > promised + _SURPLUS_SECONDS:
        return written.duration_seconds
    return promised


def _source(container: Container, probed: ProbeResult, size_bytes: int, duration_seconds: float) -> Source:
    return Source(
        container=container.name,
        codec=probed.codec,
        sample_rate=probed.sample_rate,
        channels=probed.channels,
        duration_seconds=duration_seconds,
        size_bytes=size_bytes,
    )


def _result(written: Mp3Summary, conversion: Conversion) -> Result:
    return Result(
        sample_rate=written.sample_rate,
        bit_rate=conversion.constant_bit_rate or written.bit_rate,
        channels=written.channels,
        duration_seconds=written.duration_seconds,
        size_bytes=written.size_bytes,
        passthrough=False,
    )
