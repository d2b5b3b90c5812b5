"""Whether the sound of an MP4 is encrypted (DRM): its sample description says so, not its codec.

Standards: ISO/IEC 14496-12 (``sinf``, ``enca``), ISO/IEC 23001-7 (common encryption); Apple's FairPlay (``drms``).
"""

from __future__ import annotations

from collections.abc import Iterator

from resample.formats.reader import Reader

_MAX_BOXES = 2000
_PROTECTED = (b"enca", b"drms", b"drmi", b"aavd", b"p608")
_PATH = (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd")


def is_protected(read: Reader, size_bytes: int, start: int) -> bool:
    """Whether every sound track is encrypted, and there is one."""
    tracks = list(_sample_entries(read, start, size_bytes, _PATH, [_MAX_BOXES]))
    sound = [entry for entry in tracks if entry in _PROTECTED or entry in _SOUND]
    return bool(sound) and all(entry in _PROTECTED for entry in sound)


_SOUND = (b"mp4a", b"alac", b"ac-3", b"ec-3", b"Opus", b"fLaC", b"lpcm", b"sowt", b"twos", b"samr", b"sawb", b".mp3")


def _sample_entries(read: Reader, start: int, end: int, path: tuple[bytes, ...], budget: list[int]) -> Iterator[bytes]:
    for name, body, box_end in _boxes(read, start, end, budget):
        if name != path[0]:
            continue
        if len(path) > 1:
            yield from _sample_entries(read, body, box_end, path[1:], budget)
        else:
            yield from (entry for entry, _, _ in _boxes(read, body + 8, box_end, budget))


def _boxes(read: Reader, offset: int, end: int, budget: list[int]) -> Iterator[tuple[bytes, int, int]]:
    while offset + 8 <= end and budget[0] > 0:
        budget[0] -= 1
        header = read(offset, 16)
        if len(header) < 8:
            return
        size, body = int.from_bytes(header[:4], "big"), offset + 8
        if size == 1 and len(header) == 16:
            size, body = int.from_bytes(header[8:], "big"), offset + 16
        box_end = end if size == 0 else offset + size
        if size and size < 8:
            return
        yield header[4:8], body, min(box_end, end)
        offset = box_end
