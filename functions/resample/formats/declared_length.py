"""How long a file says that it is, and whether all of it is there: read from its own headers.

ffmpeg exits 0 for a truncated file, so what it decoded is compared with this. Nothing here decodes; each format's
reader follows its chunks and believes no length that points outside the file.

Standards: RIFF/WAVE (Microsoft 1994), RF64/BW64 (EBU Tech 3306, ITU-R BS.2088), Sony Wave64, AIFF/AIFF-C 1.3/9.26.91,
RFC 9639 (FLAC), RFC 3533 (Ogg), ISO/IEC 14496-12 (MP4), Apple CAF 1.0, Sun AU.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from resample.formats.containers import HEAD_BYTES, Container
from resample.formats.mpeg_frames import iterate_mpeg_frames, parse_info_tag, parse_vbri_tag
from resample.formats.reader import Reader

_MAX_CHUNKS = 4096
_CHUNK_HEADER_BYTES = 8  # of RIFF and IFF
_MPEG_FRAMES_OFF = 2  # writers differ in whether they count the first and the last one


@dataclass(frozen=True, slots=True)
class Declared:
    """``sample_frames`` at ``sample_rate`` Hz is what the header promises, ``None`` if it doesn't or can't be trusted.

    ``tolerance`` in sample frames is how much less still counts as all of it. ``missing_bytes`` of the audio lie
    behind the end of the file. ``is_sequential`` tells that the audio is PCM and the last thing in the file, so that
    it can be decoded from the first byte to the last, without a look at what comes later.
    """

    sample_frames: int | None = None
    sample_rate: int | None = None
    tolerance: int = 0
    missing_bytes: int = 0
    is_sequential: bool = False

    @property
    def duration_seconds(self) -> float | None:
        if self.sample_frames is None or not self.sample_rate:
            return None
        return self.sample_frames / self.sample_rate


NOTHING = Declared()


def declared_length(read: Reader, size_bytes: int, container: Container) -> Declared:
    """What the headers of a file promise. Headers that make no sense promise nothing; nothing is raised."""
    reader = _READERS.get(container.name)
    try:
        return reader(_inside(read, size_bytes), size_bytes, container.audio_offset) if reader else NOTHING
    except (struct.error, ValueError, OverflowError):
        return NOTHING


def _inside(read: Reader, size_bytes: int) -> Reader:
    """A reader that is never asked for nothing, nor for places outside the file, wherever a header points."""
    return lambda offset, length: read(offset, length) if length > 0 and 0 <= offset < size_bytes else b""


@dataclass(frozen=True, slots=True)
class _Chunk:
    name: bytes
    offset: int
    size: int


def _wav(read: Reader, size_bytes: int, start: int) -> Declared:
    big = read(start, 4) == b"RIFX"
    order = ">" if big else "<"
    riff_size = struct.unpack(order + "I", read(start + 4, 4))[0]
    long_sizes: tuple[int, int] | None = None
    block_align = sample_rate = 0
    is_pcm = False
    for chunk in _chunks(read, start + 12, size_bytes, order):
        if chunk.name == b"ds64":
            riff_size, data_size = struct.unpack("<QQ", read(chunk.offset, 16))
            long_sizes = riff_size, data_size
        elif chunk.name == b"fmt ":
            fields = read(chunk.offset, min(chunk.size, 40))
            kind, channels, sample_rate, _, block_align, bits = struct.unpack(order + "HHIIHH", fields[:16])
            if kind == 0xFFFE and len(fields) >= 26:
                kind = struct.unpack(order + "H", fields[24:26])[0]
            is_pcm = kind in (1, 3, 6, 7) and block_align == channels * ((bits + 7) // 8) and block_align > 0
        elif chunk.name == b"data":
            declared = chunk.size
            if long_sizes and declared == 0xFFFFFFFF:
                declared = long_sizes[1]
            available = max(0, size_bytes - chunk.offset)
            if declared == 0 and available and not _fits(start, riff_size, size_bytes):
                declared = available  # written to a pipe, the header never mended
            elif not long_sizes and _is_placeholder(declared):
                declared = available
            missing = max(0, declared - available)
            if missing <= chunk.offset - start <= 128:
                missing = 0  # a writer that counted its own header
            if is_pcm:
                count = (declared if missing else min(declared, available)) // block_align
                is_last = available < declared + _CHUNK_HEADER_BYTES
                return Declared(count, sample_rate or None, 0, missing, is_last)
            # Coded in blocks: the decoder gives the last one whole, and the fact chunk is often wrong.
            return Declared(None if declared and available else 0, sample_rate or None, 0, missing)
    return NOTHING


def _fits(start: int, riff_size: int, size_bytes: int) -> bool:
    """Whether a RIFF size is the file's, so that a length of zero inside it is meant."""
    return riff_size > 0 and abs(start + 8 + riff_size - size_bytes) <= 1


def _is_placeholder(size: int) -> bool:
    """Lengths that programs write when they can't seek back: all ones, or the largest signed number, less a header."""
    return any(limit - 65_536 <= size <= limit for limit in (0xFFFFFFFF, 0x80000000))


def _chunks(read: Reader, offset: int, size_bytes: int, order: str) -> Iterator[_Chunk]:
    """The chunks of a RIFF or IFF file, each padded to an even length."""
    for _ in range(_MAX_CHUNKS):
        header = read(offset, _CHUNK_HEADER_BYTES) if offset + _CHUNK_HEADER_BYTES <= size_bytes else b""
        if len(header) < _CHUNK_HEADER_BYTES:
            return
        size = struct.unpack(order + "I", header[4:])[0]
        yield _Chunk(header[:4], offset + 8, size)
        offset += 8 + size + (size & 1)


def _w64(read: Reader, size_bytes: int, start: int) -> Declared:
    offset, sample_rate, block_align, is_pcm = start + 40, 0, 0, False
    for _ in range(_MAX_CHUNKS):
        header = read(offset, 24)
        if len(header) < 24:
            break
        size = struct.unpack("<Q", header[16:])[0]  # the header counts
        if header[:4] == b"fmt ":
            kind, channels, sample_rate, _, block_align, bits = struct.unpack("<HHIIHH", read(offset + 24, 16))
            if kind == 0xFFFE:
                kind = struct.unpack("<H", read(offset + 48, 2))[0]
            is_pcm = kind in (1, 3, 6, 7) and block_align == channels * ((bits + 7) // 8) and block_align > 0
        elif header[:4] == b"data":
            available = size_bytes - offset - 24
            if size < 24 or size >> 62:
                return NOTHING if available else Declared(0)
            missing = max(0, size - 24 - available)
            count = (size - 24) // block_align if is_pcm else None
            return Declared(count, sample_rate or None, 0, missing, is_pcm and available < size)
        if size < 24:
            break
        offset += size + 7 & ~7
    return NOTHING


_AIFF_PCM = re.compile(rb"NONE|twos|sowt|raw |[fF][lL](32|64)|in24|in32|23ni|42ni|[au]law|[AU]LAW")


def _aiff(read: Reader, size_bytes: int, start: int) -> Declared:
    is_aifc = read(start + 8, 4) == b"AIFC"
    sample_frames: int | None = None
    sample_rate: int | None = None
    missing = 0
    has_data = False
    for chunk in _chunks(read, start + 12, size_bytes, ">"):
        if chunk.name == b"COMM":
            fields = read(chunk.offset, 22)
            compression = fields[18:22] if is_aifc else b"NONE"
            sample_rate = _extended(fields[8:18])
            if _AIFF_PCM.fullmatch(compression):
                sample_frames = struct.unpack(">I", fields[2:6])[0]
        elif chunk.name == b"SSND":
            has_data = chunk.size > 8
            missing = max(0, chunk.offset + chunk.size - size_bytes)
            if _is_placeholder(chunk.size):
                missing = 0
    if sample_frames is not None and ((not sample_frames and has_data) or _is_placeholder(sample_frames)):
        sample_frames = None
    return Declared(sample_frames, sample_rate, 0, missing)


def _extended(ten_bytes: bytes) -> int | None:
    """The 80-bit floating point number of SANE, as a whole number of Hz."""
    exponent, mantissa = struct.unpack(">HQ", ten_bytes)
    shift = 63 + 16383 - (exponent & 0x7FFF)
    return mantissa >> shift if 0 <= shift < 64 else None


def _flac(read: Reader, size_bytes: int, start: int) -> Declared:
    del size_bytes
    head = read(start, 26)
    if len(head) < 26 or head[4] & 0x7F:
        return NOTHING
    bits = int.from_bytes(head[18:26], "big")  # 20 sample rate, 3 channels, 5 bits per sample, 36 total
    return Declared(bits & (1 << 36) - 1 or None, bits >> 44 or None)


def _au(read: Reader, size_bytes: int, start: int) -> Declared:
    data_offset, data_size, encoding, sample_rate, channels = struct.unpack(">5I", read(start + 4, 20))
    widths = {1: 1, 2: 1, 3: 2, 4: 3, 5: 4, 6: 4, 7: 8, 27: 1}
    if data_size == 0xFFFFFFFF or encoding not in widths or not channels:
        return NOTHING
    missing = max(0, start + data_offset + data_size - size_bytes)
    return Declared(data_size // (widths[encoding] * channels), sample_rate or None, 0, missing)


def _caf(read: Reader, size_bytes: int, start: int) -> Declared:
    offset = start + 8
    sample_rate: int | None = None
    packet_bytes = packet_sample_frames = missing = data_bytes = 0
    sample_frames: int | None = None
    for _ in range(_MAX_CHUNKS):
        header = read(offset, 12)
        if len(header) < 12:
            break
        name, size = header[:4], struct.unpack(">q", header[4:])[0]
        if name == b"desc":
            rate, _, _, packet_bytes, packet_sample_frames = struct.unpack(">d4sIII", read(offset + 12, 24))
            sample_rate = int(rate)
        elif name == b"data":
            if size < 0:
                break  # up to the end of the file
            data_bytes = max(0, size - 4)
            missing = max(0, offset + 12 + size - size_bytes)
        elif name == b"pakt":
            sample_frames = struct.unpack(">q", read(offset + 20, 8))[0]
        if size < 0:
            break
        offset += 12 + size
    if packet_bytes and packet_sample_frames:
        sample_frames = data_bytes // packet_bytes * packet_sample_frames or None
    if sample_frames is not None and sample_frames <= 0:
        sample_frames = None
    return Declared(sample_frames, sample_rate, packet_sample_frames, missing)


def _mp3(read: Reader, size_bytes: int, start: int) -> Declared:
    head = read(start, HEAD_BYTES)
    start = len(head) - len(head.lstrip(b"\0"))
    first = next(iterate_mpeg_frames(head, start), None)
    if first is None:
        return NOTHING
    info, vbri = parse_info_tag(head, first), parse_vbri_tag(head, first)
    tag = info or vbri
    if tag is None or not tag.mpeg_frames:
        return NOTHING
    exact = info.sample_frames(first.header) if info else None
    count = tag.mpeg_frames * first.header.sample_frames if exact is None else exact
    if count <= 0 or tag.mpeg_frames > size_bytes:
        return NOTHING
    return Declared(count, first.header.sample_rate, _MPEG_FRAMES_OFF * first.header.sample_frames)


def _mp4(read: Reader, size_bytes: int, start: int) -> Declared:
    """Only whether the boxes reach beyond the end: the index tells the length, and ffprobe reads that.

    What lies behind the sound may be no box at all: programs append tags and notes of their own.
    """
    offset = start
    has_sound = False
    for _ in range(_MAX_CHUNKS):
        header = read(offset, 16)
        if len(header) < 8:
            break
        size = int.from_bytes(header[:4], "big")
        if size == 1 and len(header) == 16:
            size = int.from_bytes(header[8:], "big")
        if size < 8:
            break  # 0: up to the end of the file
        offset += size
        is_needed = header[4:8] in (b"mdat", b"moov", b"moof")
        if offset > size_bytes and (is_needed or not has_sound):
            return Declared(missing_bytes=offset - size_bytes)
        has_sound |= header[4:8] == b"mdat"
    return NOTHING


_MAX_OGG_PAGE_BYTES = 27 + 255 + 255 * 255


def _ogg(read: Reader, size_bytes: int, start: int) -> Declared:
    """Only whether the last page is whole."""
    tail_start = max(start, size_bytes - 2 * _MAX_OGG_PAGE_BYTES)
    tail = read(tail_start, size_bytes - tail_start)
    offset = tail.rfind(b"OggS\0")
    if offset < 0:
        return NOTHING
    header = tail[offset : offset + 27 + 255]
    if len(header) < 27:
        return Declared(missing_bytes=27 - len(header))
    lacing = header[27 : 27 + header[26]]
    page_bytes = 27 + header[26] + sum(lacing)
    return Declared(missing_bytes=max(0, offset + page_bytes - len(tail)))


_READERS: dict[str, Callable[[Reader, int, int], Declared]] = {
    "wav": _wav,
    "w64": _w64,
    "aiff": _aiff,
    "flac": _flac,
    "au": _au,
    "caf": _caf,
    "mp3": _mp3,
    "mp4": _mp4,
    "ogg": _ogg,
}
