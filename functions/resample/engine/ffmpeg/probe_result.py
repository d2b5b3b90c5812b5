"""What is known of the sound in a file before it is decoded."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """The first audio stream of a file.

    ``sample_rate`` in Hz; ``sample_format`` and ``channel_layout`` as ffmpeg spells them, the latter ``None`` where
    the file does not tell. ``duration_seconds`` is ffprobe's word, often an estimate. ``cover_index`` is the index of
    the stream that holds a cover picture. ``decoder`` has to be forced, where it is not ``None``; its samples are to be
    multiplied with ``sample_gain``. ``is_size_stale`` tells that the sound goes on behind its declared end, to that of
    the file.
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
    is_size_stale: bool = False
