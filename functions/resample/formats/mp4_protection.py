"""Whether the sound of an MP4 is encrypted (DRM): its sample description says so, not its codec.

Standards: ISO/IEC 14496-12 (``sinf``, ``enca``), ISO/IEC 23001-7 (common encryption); Apple's FairPlay (``drms``).
"""

from __future__ import annotations

from resample.formats.mp4_boxes import Boxes
from resample.formats.reader import Reader

_PROTECTED = (b"enca", b"drms", b"drmi", b"aavd", b"p608")
_SOUND = (b"mp4a", b"alac", b"ac-3", b"ec-3", b"Opus", b"fLaC", b"lpcm", b"sowt", b"twos", b"samr", b"sawb", b".mp3")


def is_protected(read: Reader, size_bytes: int, start: int) -> bool:
    """Whether every sound track is encrypted, and there is one."""
    entries = [entry.name for entry in Boxes(read, size_bytes, start).sample_entries()]
    sound = [name for name in entries if name in _PROTECTED or name in _SOUND]
    return bool(sound) and all(name in _PROTECTED for name in sound)
