"""The length and the sample format of WAV files: RIFF, RIFX, RF64, BW64 and Sony Wave64.

Recorders crash and leave sizes behind that were true a minute ago; tools join files byte by byte. So nothing ends where
a header says so, unless what follows is a chunk, a tag or padding.

Standards: RIFF/WAVE (Microsoft 1994), WAVEFORMATEXTENSIBLE (Microsoft 2007), RF64/BW64 (EBU Tech 3306, ITU-R BS.2088),
Sony Wave64.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from audiojobs.errors import UnsupportedFormat
from resample.formats.declared import NOTHING, Declared
from resample.formats.pcm_samples import PcmSamples
from resample.formats.reader import Reader

MAX_CHUNKS = 4096
_CHUNK_HEADER_BYTES = 8  # of RIFF and IFF

_PCM, _FLOAT, _A_LAW, _MU_LAW, _EXTENSIBLE = 1, 3, 6, 7, 0xFFFE
_MAGICS = (b"RIFF", b"RIFX", b"RF64", b"BW64")

_STRAY_SECONDS = 0.05
"""Less than this behind the sound is nothing that anybody would miss: odd bytes, or a note of some program."""


@dataclass(frozen=True, slots=True)
class Chunk:
    name: bytes
    offset: int
    size: int

    @property
    def end(self) -> int:
        """Where the next chunk begins: chunks are padded to an even length."""
        return self.offset + self.size + (self.size & 1)


def read_chunks(read: Reader, offset: int, size_bytes: int, order: str) -> Iterator[Chunk]:
    """The chunks of a RIFF (``order`` is "<") or IFF (">") file from ``offset`` on."""
    for _ in range(MAX_CHUNKS):
        header = read(offset, _CHUNK_HEADER_BYTES) if offset + _CHUNK_HEADER_BYTES <= size_bytes else b""
        if len(header) < _CHUNK_HEADER_BYTES:
            return
        chunk = Chunk(header[:4], offset + 8, struct.unpack(order + "I", header[4:])[0])
        yield chunk
        offset = chunk.end


def is_placeholder(size: int) -> bool:
    """A length of a program that can't seek back: all ones, or the largest signed number, less a header."""
    return any(limit - 65_536 <= size <= limit for limit in (0xFFFFFFFF, 0x80000000))


@dataclass(frozen=True, slots=True)
class WaveFormat:
    """The ``fmt`` chunk. ``bits`` are the valid ones, where the header tells them apart from the container's."""

    tag: int
    channels: int
    sample_rate: int
    byte_rate: int
    block_align: int
    bits: int
    is_big_endian: bool

    @classmethod
    def parse(cls, fields: bytes, order: str) -> WaveFormat:
        """Raises :class:`struct.error` for fewer than 16 bytes."""
        tag, channels, sample_rate, byte_rate, block_align, bits = struct.unpack(order + "HHIIHH", fields[:16])
        if tag == _EXTENSIBLE and len(fields) >= 26:
            valid_bits = struct.unpack(order + "H", fields[18:20])[0]
            tag = struct.unpack(order + "H", fields[24:26])[0]
            if tag in (_PCM, _FLOAT) and valid_bits:
                bits = valid_bits
        return cls(tag, channels, sample_rate, byte_rate, block_align, bits, order == ">")

    @property
    def sample_bytes(self) -> int:
        """How many bytes a sample takes. The block size says so, unless the byte rate contradicts it."""
        needed = (self.bits + 7) // 8
        if not self.channels or self.block_align % self.channels or not self.block_align:
            return needed
        is_agreed = self.byte_rate == self.sample_rate * self.block_align
        if not is_agreed and self.byte_rate == self.sample_rate * self.channels * needed:
            return needed
        return self.block_align // self.channels

    @property
    def is_pcm(self) -> bool:
        """Whether every sample takes the same number of bytes."""
        if self.tag in (_A_LAW, _MU_LAW):
            return self.sample_bytes == 1 and self.channels > 0
        return self.tag in (_PCM, _FLOAT) and self.channels > 0 and self.sample_bytes > 0 and self.bits > 0

    @property
    def sample_frame_bytes(self) -> int:
        return self.channels * self.sample_bytes

    def samples(self, offset: int, size_bytes: int) -> PcmSamples | None:
        """The PCM of whole numbers or floats in ``size_bytes`` from ``offset`` on; ``None`` for any other coding.

        Raises :class:`~audiojobs.errors.UnsupportedFormat` for a sample size that no decoder reads.
        """
        if self.tag not in (_PCM, _FLOAT) or not self.is_pcm:
            return None
        is_float, width = self.tag == _FLOAT, self.sample_bytes
        if width != (self.bits + 7) // 8 and width not in ((4, 8) if is_float else (1, 2, 3, 4, 8)):
            raise UnsupportedFormat(
                f"The WAV file stores samples of {self.bits} bits in {width} bytes each, which is not supported."
                " Please export it with 16, 24 or 32 bits."
            )
        return PcmSamples(offset, size_bytes, self.channels, width, self.bits, is_float, self.is_big_endian)


def wav_length(read: Reader, size_bytes: int, start: int) -> Declared:
    """What a RIFF, RIFX, RF64 or BW64 file at ``start`` promises, and what lies behind its sound."""
    magic = read(start, 4)
    order = ">" if magic == b"RIFX" else "<"
    riff_size = struct.unpack(order + "I", read(start + 4, 4))[0]
    long_sizes: tuple[int, int] | None = None
    form: WaveFormat | None = None
    for chunk in read_chunks(read, start + 12, size_bytes, order):
        if chunk.name == b"ds64":
            riff_size, data_size = struct.unpack("<QQ", read(chunk.offset, 16))
            long_sizes = riff_size, data_size
        elif chunk.name == b"fmt ":
            form = WaveFormat.parse(read(chunk.offset, min(chunk.size, 40)), order)
        elif chunk.name == b"data":
            declared = chunk.size
            if long_sizes and declared == 0xFFFFFFFF:
                declared = long_sizes[1]
            available = max(0, size_bytes - chunk.offset)
            if declared == 0 and available and not _fits(start, riff_size, size_bytes):
                declared = available  # written to a pipe, the header never mended
            elif not long_sizes and is_placeholder(declared):
                declared = available
            missing = max(0, declared - available)
            if missing <= chunk.offset - start <= 128:
                missing = 0  # a writer that counted its own header
            data = Chunk(chunk.name, chunk.offset, declared)
            return _declared(read, size_bytes, form, data, missing, order)
    return NOTHING


def _declared(
    read: Reader, size_bytes: int, form: WaveFormat | None, data: Chunk, missing: int, order: str
) -> Declared:
    available = max(0, size_bytes - data.offset)
    sample_rate = form.sample_rate or None if form else None
    if form is None or not form.is_pcm:
        # Coded in blocks: the decoder gives the last one whole, and the fact chunk is often wrong.
        return Declared(None if data.size and available else 0, sample_rate, 0, missing)
    size = data.size if missing else min(data.size, available)
    behind = Behind(0.0, is_sound=False)
    if not missing and available >= data.size + _CHUNK_HEADER_BYTES:
        behind = _look_behind(read, size_bytes, form, data, order)
    size = available if behind.is_sound else size
    return Declared(
        sample_frames=size // form.sample_frame_bytes,
        sample_rate=sample_rate,
        missing_bytes=missing,
        is_sequential=available < data.size + _CHUNK_HEADER_BYTES,
        samples=form.samples(data.offset, size),
        is_size_stale=behind.is_sound,
        left_out_seconds=behind.left_out_seconds,
    )


def _fits(start: int, riff_size: int, size_bytes: int) -> bool:
    """Whether a RIFF size is the file's, so that a length of zero inside it is meant."""
    return riff_size > 0 and abs(start + 8 + riff_size - size_bytes) <= 1


@dataclass(frozen=True, slots=True)
class Behind:
    """What stands behind the first ``data`` chunk: more of them, a file of its own, or the rest of the take."""

    left_out_seconds: float
    is_sound: bool


def _look_behind(read: Reader, size_bytes: int, form: WaveFormat, data: Chunk, order: str) -> Behind:
    byte_rate = form.sample_frame_bytes * max(1, form.sample_rate)
    left_out_bytes = 0
    position = data.end
    if data.size & 1 and _is_chunk_header(read(data.end - 1, 8), size_bytes - data.end + 1, order):
        position = data.end - 1  # written without the padding
    for chunk in read_chunks(read, position, size_bytes, order):
        at = chunk.offset - _CHUNK_HEADER_BYTES
        if chunk.name in _MAGICS and read(at + 8, 4) == b"WAVE":
            return Behind(left_out_bytes / byte_rate + _joined_seconds(read, size_bytes, at), is_sound=False)
        is_data = chunk.name == b"data"  # which may be cut off
        if not is_data and not _is_chunk_header(read(at, 8), size_bytes - at, order):
            is_long_enough = (size_bytes - at) / byte_rate >= _STRAY_SECONDS
            is_sound = at == position and is_long_enough and not _is_padding_or_tag(read, at, size_bytes)
            return Behind(left_out_bytes / byte_rate, is_sound=is_sound)
        if is_data:  # ffmpeg stops at the end of the first one
            left_out_bytes += min(chunk.size, size_bytes - chunk.offset)
    return Behind(left_out_bytes / byte_rate, is_sound=False)


def _has_chunk_name(header: bytes) -> bool:
    return len(header) >= _CHUNK_HEADER_BYTES and all(32 <= byte < 127 for byte in header[:4])


def _is_chunk_header(header: bytes, room: int, order: str) -> bool:
    if not _has_chunk_name(header):
        return False
    size = struct.unpack(order + "I", header[4:])[0]
    return size <= room or is_placeholder(size)


def _is_padding_or_tag(read: Reader, offset: int, size_bytes: int) -> bool:
    """Whether what lies behind the sound is zeros, text, or a tag, and no sound."""
    head = read(offset, 4096)
    if head.startswith((b"TAG", b"ID3", b"APETAGEX", b"LYRICSBEGIN", b"<?xml", b"PK\3\4", b"\x89PNG", b"\xff\xd8\xff")):
        return True
    if all(9 <= byte < 127 for byte in head):
        return True
    step = max(1, (size_bytes - offset) // 8)
    return not any(any(read(place, 4096)) for place in range(offset, size_bytes, step))


def _joined_seconds(read: Reader, size_bytes: int, offset: int) -> float:
    """How long the files are that were appended to this one, from ``offset`` on."""
    seconds = 0.0
    order = "<"
    form: WaveFormat | None = None
    for _ in range(MAX_CHUNKS):
        header = read(offset, 12)
        if header[:4] in _MAGICS and header[8:] == b"WAVE":
            order, form = ">" if header[:4] == b"RIFX" else "<", None
            offset += 12
            continue
        if not _has_chunk_name(header):
            break
        chunk = Chunk(header[:4], offset + 8, struct.unpack(order + "I", header[4:8])[0])
        if chunk.name == b"fmt ":
            form = WaveFormat.parse(read(chunk.offset, min(chunk.size, 40)), order)
        elif chunk.name == b"data" and form and form.byte_rate:
            seconds += min(chunk.size, size_bytes - chunk.offset) / form.byte_rate
        offset = chunk.end
    return seconds


_W64_CHUNK_TAIL = bytes.fromhex("f3acd3118cd100c04f8edb8a")


def w64_length(read: Reader, size_bytes: int, start: int) -> Declared:
    """What a Sony Wave64 file at ``start`` promises, and whether more lies behind its sound."""
    offset = start + 40
    form: WaveFormat | None = None
    for _ in range(MAX_CHUNKS):
        header = read(offset, 24)
        if len(header) < 24:
            break
        size = struct.unpack("<Q", header[16:])[0]  # the header counts
        if header[:4] == b"fmt ":
            form = WaveFormat.parse(read(offset + 24, min(max(0, size - 24), 40)), "<")
        elif header[:4] == b"data":
            available = size_bytes - offset - 24
            if size < 24 or size >> 62:
                return NOTHING if available else Declared(0)
            sample_rate = form.sample_rate or None if form else None
            missing = max(0, size - 24 - available)
            if form is None or not form.is_pcm:
                return Declared(None, sample_rate, 0, missing)
            end = offset + (size + 7 & ~7)
            left_out = 0.0
            is_chunk = end >= size_bytes or read(end, 16)[4:] == _W64_CHUNK_TAIL
            if not is_chunk and not _is_padding_or_tag(read, end, size_bytes):
                left_out = (size_bytes - end) / form.sample_frame_bytes / max(1, form.sample_rate)
            return Declared(
                sample_frames=(size - 24) // form.sample_frame_bytes,
                sample_rate=sample_rate,
                missing_bytes=missing,
                is_sequential=available < size,
                samples=form.samples(offset + 24, min(size - 24, available)),
                left_out_seconds=left_out if left_out >= _STRAY_SECONDS else 0.0,
            )
        if size < 24:
            break
        offset += size + 7 & ~7
    return NOTHING
