"""Ogg files: whether the last page is whole, and what their granule positions count.

Several streams may follow each other in one file ("chained", RFC 3533 section 4). The granule positions of Opus count
samples that the decoder has to leave out (pre-skip, RFC 7845 section 4.2).
"""

from __future__ import annotations

from collections.abc import Iterator

from resample.formats.declared import NOTHING, Declared
from resample.formats.reader import Reader

_MAX_PAGE_BYTES = 27 + 255 + 255 * 255
_BLOCK_BYTES = 1 << 20
_MAX_LINKS = 1000
_FIRST_PAGE = b"OggS\0\2"
_OPUS_RATE = 48_000


_MAGIC_BYTES = 7  # as "\x01vorbis" has; "OpusHead" and the others are told apart by as many


def ogg_length(read: Reader, size_bytes: int, start: int) -> Declared:
    """How much of the last page is missing, how long the pre-skip is, and how many streams follow each other."""
    tail_start = max(start, size_bytes - 2 * _MAX_PAGE_BYTES)
    tail = read(tail_start, size_bytes - tail_start)
    offset = tail.rfind(b"OggS\0")
    if offset < 0:
        return NOTHING
    header = tail[offset : offset + 27 + 255]
    if len(header) < 27:
        return Declared(missing_bytes=27 - len(header))
    lacing = header[27 : 27 + header[26]]
    page_bytes = 27 + header[26] + sum(lacing)
    codecs = list(_links(read, size_bytes, start))
    return Declared(
        missing_bytes=max(0, offset + page_bytes - len(tail)),
        uncounted_seconds=_pre_skip(read(start, 27 + 255 + 19)) / _OPUS_RATE,
        # Where the codec changes, ffmpeg leaves the rest out: that is no row of headers taken for sound.
        links=len(codecs) if len(set(codecs)) == 1 else 1,
    )


def _pre_skip(page: bytes) -> int:
    at = page.find(b"OpusHead")
    return int.from_bytes(page[at + 10 : at + 12], "little") if at >= 0 else 0


def _links(read: Reader, size_bytes: int, start: int) -> Iterator[bytes]:
    """The first bytes of each stream that follows another, which name its codec; simultaneous ones count once."""
    count, previous_end = 0, -1
    for block_start in range(start, size_bytes, _BLOCK_BYTES):
        block = read(block_start, min(_BLOCK_BYTES + 282, size_bytes - block_start))
        at = block.find(_FIRST_PAGE)
        while 0 <= at < _BLOCK_BYTES:
            header = block[at : at + 27 + 255]
            if len(header) < 27:
                return
            if block_start + at != previous_end:
                packet = at + 27 + header[26]
                yield block[packet : packet + _MAGIC_BYTES]
                count += 1
                if count == _MAX_LINKS:
                    return
            previous_end = block_start + at + 27 + header[26] + sum(header[27 : 27 + header[26]])
            at = block.find(_FIRST_PAGE, at + 1)
