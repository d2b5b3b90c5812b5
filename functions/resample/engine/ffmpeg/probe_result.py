"""What is known of the sound in a file before it is decoded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from audiojobs.job import Notice


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """The audio stream of a file that is converted.

    ``sample_rate`` in Hz; ``sample_format`` and ``channel_layout`` as ffmpeg spells them, the latter ``None`` where
    the file does not tell. ``duration_seconds`` is ffprobe's word, often an estimate. ``cover_index`` is the index of
    the stream that holds a cover picture. ``decoder`` has to be forced, where it is not ``None``; its samples are to be
    multiplied with ``sample_gain``. ``is_size_stale`` tells that the sound goes on behind its declared end, to that of
    the file. ``stream_index`` is which stream it is, ``None`` for the first audio stream; ``mono_tracks`` are those
    that become its channels, where several do. ``mix_gain`` keeps a mix from clipping. ``tags`` are those of the file
    and the stream; ``tag_bytes`` is the room to leave for them in the result.
    """

    codec: str
    sample_rate: int
    channels: int
    sample_format: str
    channel_layout: str | None
    duration_seconds: float | None
    cover_index: int | None
    decoder: str | None = None
    sample_gain: int = 1
    mix_gain: float = 1.0
    stream_index: int | None = None
    mono_tracks: tuple[int, ...] = ()
    is_size_stale: bool = False
    tags: Mapping[str, str] = field(default_factory=dict)
    tag_bytes: int | None = None
    warnings: tuple[Notice, ...] = ()
