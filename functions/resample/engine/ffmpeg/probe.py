"""What ffprobe says about a file: which stream to take, how it is coded, whether there is a cover picture."""

from __future__ import annotations

import json
import logging
import re
import time
from pathlib import Path
from typing import Any

from audiojobs.errors import CorruptAudio, InternalError, NoAudio, TimeLimit, UnsupportedFormat
from audiojobs.job import Notice
from resample.engine.ffmpeg.arguments import input_arguments, larger_packets
from resample.engine.ffmpeg.probe_result import ProbeResult
from resample.engine.ffmpeg.tracks import SEPARATE_TRACKS, choose_track
from resample.formats.containers import Container
from resample.sandbox.process import executable, run

logger = logging.getLogger(__name__)

MIN_SAMPLE_RATE, MAX_SAMPLE_RATE = 1_000, 3_072_000  # DSD of 24.6 MHz, eight bits of which make a sample
MAX_CHANNELS = 64

MAX_SECONDS = 60.0
"""The index of an MP4 of 60 hours takes less than one. A tag full of chapters takes far longer."""

_MAX_OUTPUT_BYTES = 1 << 20
_MAX_TAGGED_OUTPUT_BYTES = 4 << 20
_ENTRIES = (
    "stream=index,codec_type,codec_name,codec_tag_string,sample_fmt,sample_rate,channels,channel_layout,start_time,duration"
    ",width,height:stream_disposition:format=duration"
)
_TAG_ENTRIES = ":stream_tags:format_tags"
# The decoders of our own build. With another build of ffmpeg, a decoder that we don't know is not let near a file.
_CODECS = re.compile(
    "pcm_[a-z0-9_]+|mp[123]|aac|aac_latm|alac|flac|vorbis|opus|speex|adpcm_(ms|ima_wav|ima_qt|yamaha|g722|g726|g726le)"
    "|ac3|eac3|dts|mlp|truehd|wma(v1|v2|pro|lossless|voice)|wavpack|ape|tta|musepack[78]|shorten"
    "|dsd_[lm]sbf(_planar)?|dst|amr_[nw]b|qcelp|evrc|g723_1|g729|truespeech|gsm|gsm_ms"
)


def probe(source: Path, container: Container, *, folder: Path, deadline: float) -> ProbeResult:
    """Ask ffprobe, in a scratch ``folder``, until ``deadline`` (``time.monotonic()``).

    Raises :class:`~audiojobs.errors.NoAudio` for a file without an audio stream,
    :class:`~audiojobs.errors.CorruptAudio` for one that can't be read,
    :class:`~audiojobs.errors.UnsupportedFormat` for a codec, rate or number of channels that is not taken, and
    :class:`~audiojobs.errors.ServiceError`.
    """
    try:
        output = _run_ffprobe(source, container, _ENTRIES + _TAG_ENTRIES, _MAX_TAGGED_OUTPUT_BYTES, folder, deadline)
    except _TooMuchOutput:
        try:
            output = _run_ffprobe(source, container, _ENTRIES, _MAX_OUTPUT_BYTES, folder, deadline)
        except _TooMuchOutput:
            raise CorruptAudio("The file declares too many streams.") from None
    return read_answer(json.loads(output), container)


class _TooMuchOutput(Exception):
    """ffprobe says more than is read."""


def _run_ffprobe(
    source: Path, container: Container, entries: str, max_bytes: int, folder: Path, deadline: float
) -> bytes:
    output = bytearray()

    def collect(data: bytes) -> None:
        output.extend(data)
        if len(output) > max_bytes:
            raise _TooMuchOutput

    soonest = min(deadline, time.monotonic() + MAX_SECONDS)
    try:
        finished = run(
            [
                *(executable("ffprobe"), "-hide_banner", "-loglevel", "error"),
                *("-show_entries", entries, "-of", "json"),
                *_less_to_look_at(container),
                *input_arguments(source, container),
            ],
            folder=folder,
            deadline=soonest,
            on_output=collect,
        )
    except TimeLimit:
        if soonest == deadline:
            raise
        raise CorruptAudio("Reading what stands before the sound in this file takes too long.") from None
    if finished.exit_status == -9:
        raise InternalError("The conversion ran out of memory.")
    if finished.exit_status != 0:
        logger.info("ffprobe failed", extra={"exit_status": finished.exit_status, "stderr": finished.last_lines})
        raise CorruptAudio(f"The file begins as {container.name} but is damaged and cannot be read.")
    return bytes(output)


def _less_to_look_at(container: Container) -> list[str]:
    """In 16-bit WAV ffprobe looks for coded sound, in 5 MB in 1,200 pieces; 64 kB hold dozens of coded frames.

    Such frames behind silence are found by :func:`~resample.formats.pcm_samples.coded_sound`.
    """
    return [*larger_packets(container), "-probesize", "65536"] if container.demuxer == "wav" else []


def read_answer(answer: dict[str, Any], container: Container) -> ProbeResult:
    """Choose from ffprobe's JSON. Raises like :func:`probe`."""
    streams = answer.get("streams", [])
    choice = choose_track(streams, is_decodable=lambda codec: _CODECS.fullmatch(codec) is not None)
    if choice is None:
        video = any(stream.get("codec_type") == "video" for stream in streams)
        raise NoAudio("The file is a video without sound." if video else "There is no sound in this file.")
    audio = choice.stream
    codec = audio.get("codec_name", "unknown")
    decoder = None
    if container.is_big_endian and (match := re.fullmatch("(pcm_.+)le", codec)):
        codec = decoder = f"{match[1]}be"
    # ffmpeg takes NMS ADPCM of voice mail systems, which has the same number in a WAV header, for AMR.
    if not _CODECS.fullmatch(codec) or (codec == "amr_nb" and container.demuxer in ("wav", "w64")):
        raise UnsupportedFormat(
            f"The codec of the sound in this {container.name} file is not supported"
            + (f" ({codec})." if codec.isidentifier() and codec not in ("unknown", "none") else ".")
        )
    sample_rate, channels = _whole(audio.get("sample_rate")), _whole(audio.get("channels"))
    if not sample_rate or not channels:
        raise CorruptAudio(f"The file begins as {container.name} but contains no sound that can be decoded.")
    if not MIN_SAMPLE_RATE <= sample_rate <= MAX_SAMPLE_RATE:
        raise UnsupportedFormat(
            f"The file has a sample rate of {sample_rate} Hz; {MIN_SAMPLE_RATE} to {MAX_SAMPLE_RATE} Hz are supported."
        )
    if channels > MAX_CHANNELS:
        raise UnsupportedFormat(f"The file has {channels} channels; up to {MAX_CHANNELS} are supported.")
    layout = audio.get("channel_layout")
    duration_seconds = _seconds(audio.get("duration")) or _seconds(answer.get("format", {}).get("duration"))
    if codec == "opus" and container.demuxer == "ogg" and duration_seconds:
        # Counted from the beginning of a broadcast, which may be long before that of its recording.
        duration_seconds -= min(duration_seconds, _seconds(audio.get("start_time")) or 0.0)
    return ProbeResult(
        codec=codec,
        sample_rate=sample_rate,
        channels=len(choice.mono_tracks) or channels,
        sample_format=audio.get("sample_fmt", "unknown"),
        channel_layout=SEPARATE_TRACKS if choice.mono_tracks else None if layout in (None, "", "unknown") else layout,
        duration_seconds=duration_seconds or None,
        cover_index=_cover_index(streams),
        decoder=decoder,
        stream_index=choice.index,
        mono_tracks=choice.mono_tracks,
        tags={**_tags_of(answer.get("format", {})), **_tags_of(audio)},
        warnings=(*choice.warnings, *_cover_warnings(streams)),
    )


def _tags_of(entry: dict[str, Any]) -> dict[str, str]:
    tags = entry.get("tags", {})
    return {str(name): str(value) for name, value in tags.items()} if isinstance(tags, dict) else {}


def _cover_warnings(streams: list[dict[str, Any]]) -> tuple[Notice, ...]:
    if _cover_index(streams) is not None:
        return ()
    for stream in streams:
        if stream.get("codec_type") == "video" and stream.get("disposition", {}).get("attached_pic") == 1:
            return (cover_warning(str(stream.get("codec_name", ""))),)
    return ()


def cover_warning(kind: str) -> Notice:
    """For a cover picture that is not JPEG or PNG."""
    named = f" ({kind})" if kind.isalnum() and kind.isascii() else ""
    return Notice(
        "cover-left-out",
        f"The cover picture{named} was left out: MP3 players show JPEG and PNG pictures only.",
    )


def _cover_index(streams: list[dict[str, Any]]) -> int | None:
    """The first cover whose size ffprobe could find out: without one it can't be written into an MP3."""
    for stream in streams:
        is_cover = stream.get("codec_type") == "video" and stream.get("disposition", {}).get("attached_pic") == 1
        if is_cover and stream.get("codec_name") in ("png", "mjpeg") and stream.get("width") and stream.get("height"):
            return int(stream["index"])
    return None


def _whole(text: Any) -> int:
    return int(text) if str(text).isdecimal() else 0


def _seconds(text: Any) -> float | None:
    try:
        seconds = float(text)
    except (TypeError, ValueError):
        return None
    return seconds if 0 < seconds < 1e9 else None
