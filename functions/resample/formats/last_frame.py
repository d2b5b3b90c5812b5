"""Does a file end with a whole frame?

Tools that cut without encoding copy whole frames, and the header that tells the length of the original: what they make
is a piece, and not broken. A recorder that was stopped, or a download that broke off, ends in the middle of a frame.

Standards: ISO/IEC 11172-3 (MPEG audio), ISO/IEC 13818-7 (ADTS), RFC 9639 (FLAC, sections 9.1 and 9.3).
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from functools import cache

from resample.formats.containers import Container, adts_frame_bytes, mpeg_frame_bytes
from resample.formats.reader import Reader
from resample.formats.trailing_tags import audio_end

_TAIL_BYTES = 16_384
_FLAC_TAIL_BYTES = 262_144
_MAX_FLAC_CANDIDATES = 8
_FRAMES_NEEDED = 3


class LastFrame(StrEnum):
    WHOLE = "whole"
    CUT = "cut"
    UNKNOWN = "unknown"


def last_frame(read: Reader, size_bytes: int, container: Container) -> LastFrame:
    """How an MP3, ADTS or FLAC file ends, tags behind its sound left aside; ``UNKNOWN`` for other files, and for noise.

    Reads the last 16 kB, of FLAC 256 kB, and what :func:`~resample.formats.trailing_tags.audio_end` reads.
    """
    if container.name not in ("mp3", "aac", "flac"):
        return LastFrame.UNKNOWN
    end = audio_end(read, size_bytes)
    start = max(container.audio_offset, end - (_FLAC_TAIL_BYTES if container.name == "flac" else _TAIL_BYTES))
    tail = read(start, end - start) if end > start else b""
    if container.name == "flac":
        return _last_flac_frame(tail)
    return _last_of_chain(tail, mpeg_frame_bytes if container.name == "mp3" else adts_frame_bytes)


def _last_of_chain(tail: bytes, length_of: Callable[[bytes, int], int | None]) -> LastFrame:
    """Follow frames that tell their own length to the end."""
    seen: set[int] = set()
    start = tail.find(b"\xff")
    while start >= 0:
        offset, count = start, 0
        while offset not in seen and (length := length_of(tail, offset)) is not None:
            seen.add(offset)
            if offset + length > len(tail):
                return LastFrame.CUT if count >= _FRAMES_NEEDED else LastFrame.UNKNOWN
            offset += length
            count += 1
        if count >= _FRAMES_NEEDED and not any(tail[offset:]):
            return LastFrame.WHOLE  # zeros may follow
        start = tail.find(b"\xff", start + 1)
    return LastFrame.UNKNOWN


def _last_flac_frame(tail: bytes) -> LastFrame:
    """FLAC frames don't tell their length, but end in a checksum of all of it."""
    candidates = 0
    position = len(tail)
    while candidates < _MAX_FLAC_CANDIDATES and (position := tail.rfind(b"\xff", 0, position)) >= 0:
        header_bytes = flac_header_bytes(tail[position : position + 16])
        if header_bytes:
            candidates += 1
            if len(tail) - position > header_bytes + 2 and crc(tail[position:], 16, 0x8005) == 0:
                return LastFrame.WHOLE
    return LastFrame.CUT if candidates else LastFrame.UNKNOWN


def flac_header_bytes(data: bytes) -> int | None:
    """Length of the FLAC frame header that ``data`` begins with; ``None`` if its checksum is wrong."""
    if len(data) < 6 or data[0] != 0xFF or data[1] & 0xFE != 0xF8:
        return None
    first = data[4]
    extra = 0 if first < 0x80 else 7 - (first ^ 0xFF).bit_length()
    block_size, rate = data[2] >> 4, data[2] & 15
    if first == 0xFF or (first & 0xC0) == 0x80 or not block_size or rate == 15:
        return None
    length = 5 + extra + {6: 1, 7: 2}.get(block_size, 0) + {12: 1, 13: 2, 14: 2}.get(rate, 0) + 1
    return length if len(data) >= length and crc(data[:length], 8, 0x07) == 0 else None


def crc(data: bytes, bits: int, polynomial: int) -> int:
    """A checksum, most significant bit first, from 0; over data with its own checksum behind it is 0."""
    table, value = _crc_table(bits, polynomial), 0
    shift, mask = bits - 8, (1 << bits) - 1
    for byte in data:
        value = (value << 8 & mask) ^ table[value >> shift ^ byte]
    return value


@cache
def _crc_table(bits: int, polynomial: int) -> tuple[int, ...]:
    top, mask = 1 << bits - 1, (1 << bits) - 1
    table = []
    for byte in range(256):
        value = byte << bits - 8
        for _ in range(8):
            value = (value << 1 ^ (polynomial if value & top else 0)) & mask
        table.append(value)
    return tuple(table)
