"""Which of a file's audio tracks is converted.

The default track; else the first that can be decoded. Tracks for the blind or the deaf, and comments, come last. Mono
tracks of one recording (the same codec, rate and length, no different languages) become one result: the first, third,
fifth ... go to the left, the second, fourth, sixth ... to the right.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from audiojobs.job import Notice

SEPARATE_TRACKS = "separate tracks"
"""The channel layout of mono tracks that become one result."""

_MAX_MONO_TRACKS = 32
_SAME_LENGTH_SECONDS = 0.1
_SPECIAL = ("comment", "hearing_impaired", "visual_impaired", "karaoke", "clean_effects", "dub", "lyrics")


@dataclass(frozen=True, slots=True)
class TrackChoice:
    """``index`` is ffprobe's, ``None`` for the first audio stream. ``mono_tracks`` are merged, where there are any."""

    stream: dict[str, Any]
    index: int | None = None
    mono_tracks: tuple[int, ...] = ()
    warnings: tuple[Notice, ...] = ()


def choose_track(streams: list[dict[str, Any]], *, is_decodable: Callable[[str], bool]) -> TrackChoice | None:
    """Choose from ffprobe's streams; ``None`` where none is audio."""
    tracks = [stream for stream in streams if stream.get("codec_type") == "audio"]
    if len(tracks) < 2:
        return TrackChoice(tracks[0]) if tracks else None
    if _are_one_recording(tracks) and is_decodable(str(tracks[0].get("codec_name"))):
        return TrackChoice(
            tracks[0],
            mono_tracks=tuple(int(track["index"]) for track in tracks),
            warnings=(
                Notice(
                    "tracks-merged",
                    f"The file has {len(tracks)} mono tracks of one recording. They were merged into one result: odd"
                    " tracks on the left, even tracks on the right.",
                ),
            ),
        )
    usable = [track for track in tracks if is_decodable(str(track.get("codec_name"))) and _has_sound(track)] or tracks
    ranked = sorted(usable, key=lambda track: (_is_special(track), not _disposition(track, "default")))
    chosen = ranked[0]
    number = tracks.index(chosen) + 1
    warning = Notice("one-of-several-tracks", f"The file has {len(tracks)} audio tracks; track {number} was converted.")
    index = chosen.get("index")
    return TrackChoice(chosen, int(index) if number > 1 and index is not None else None, warnings=(warning,))


def _are_one_recording(tracks: list[dict[str, Any]]) -> bool:
    if len(tracks) > _MAX_MONO_TRACKS or any(_is_special(track) or "index" not in track for track in tracks):
        return False
    kinds = {(track.get("codec_name"), track.get("sample_rate"), str(track.get("channels"))) for track in tracks}
    languages = {_language(track) for track in tracks}
    lengths = [seconds for track in tracks if (seconds := _seconds(track)) is not None]
    return (
        len(kinds) == 1
        and next(iter(kinds))[2] == "1"
        and len(languages) == 1
        and len(lengths) == len(tracks)
        and max(lengths) - min(lengths) <= _SAME_LENGTH_SECONDS
    )


def _language(track: dict[str, Any]) -> str:
    tags = track.get("tags")
    return str(tags.get("language", "und")) if isinstance(tags, dict) else "und"


def _seconds(track: dict[str, Any]) -> float | None:
    try:
        return float(str(track.get("duration")))
    except ValueError:
        return None


def _has_sound(track: dict[str, Any]) -> bool:
    return str(track.get("sample_rate")).isdecimal() and str(track.get("channels", 0)) not in ("0", "None")


def _is_special(track: dict[str, Any]) -> bool:
    return any(_disposition(track, name) for name in _SPECIAL)


def _disposition(track: dict[str, Any], name: str) -> bool:
    disposition = track.get("disposition")
    return isinstance(disposition, dict) and disposition.get(name) == 1
