"""Where the sound of a file ends and the tags behind it begin: ID3v1, Lyrics3, APE, ID3v2 with a footer."""

from __future__ import annotations

from collections.abc import Callable

from resample.formats.reader import Reader

_TAIL_BYTES = 16_384
_MAX_TAGS = 8


def audio_end(read: Reader, size_bytes: int) -> int:
    """Where the tags begin that stand behind the audio; ``size_bytes`` where there are none."""
    tail_start = max(0, size_bytes - _TAIL_BYTES)
    tail = read(tail_start, size_bytes - tail_start)

    def before(end: int, length: int) -> bytes:
        start = max(0, end - length)
        return tail[start - tail_start : end - tail_start] if start >= tail_start else read(start, end - start)

    end = size_bytes
    for _ in range(_MAX_TAGS):
        tag_bytes = next(filter(None, (length_of(before, end) for length_of in _TAGS_AT_END)), 0)
        if not tag_bytes or tag_bytes > end:
            break
        end -= tag_bytes
    return end


_Before = Callable[[int, int], bytes]


def _id3v1_bytes(before: _Before, end: int) -> int:
    return 128 if before(end, 128)[:3] == b"TAG" else 227 if before(end, 227)[:4] == b"TAG+" else 0


def _ape_bytes(before: _Before, end: int) -> int:
    """APE tag v1 and v2: the size at 12 counts the footer; bit 31 of the flags at 20 says that there is a header."""
    footer = before(end, 32)
    if footer[:8] != b"APETAGEX" or len(footer) < 32:
        return 0
    size = int.from_bytes(footer[12:16], "little")
    return size + (32 if footer[23] & 0x80 else 0)


def _lyrics3_bytes(before: _Before, end: int) -> int:
    """Lyrics3 v2: six digits and LYRICS200, neither counted in the size."""
    footer = before(end, 15)
    return int(footer[:6]) + 15 if footer[6:] == b"LYRICS200" and footer[:6].isdigit() else 0


def _id3v2_footer_bytes(before: _Before, end: int) -> int:
    footer = before(end, 10)
    if footer[:3] != b"3DI" or any(byte & 0x80 for byte in footer[6:]):
        return 0
    size = 0
    for byte in footer[6:]:
        size = size << 7 | byte
    return size + 20


_TAGS_AT_END = (_id3v1_bytes, _ape_bytes, _lyrics3_bytes, _id3v2_footer_bytes)
