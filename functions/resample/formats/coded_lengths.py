"""How long files of coded sound say that they are: lossless and DSD formats, Musepack, Windows Media, Matroska.

Each function takes a reader, the size of the file in bytes and where it begins. Headers that make no sense may raise
:class:`struct.error` or :class:`ValueError`; :func:`resample.formats.declared_length.declared_length` catches them.

Sources: the format descriptions of WavPack 5, Monkey's Audio 3.99, True Audio 1, Musepack SV7 and SV8, DSF 1.01
(Sony), DSDIFF 1.5 (Philips), ASF 01.20.03 (Microsoft), RFC 8794 (EBML) and RFC 9559 (Matroska).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import replace

from resample.formats.declared import NOTHING, Declared
from resample.formats.reader import Reader

_MAX_CHUNKS = 1024

_WAVPACK_SAMPLE_RATES = (
    *(6_000, 8_000, 9_600, 11_025, 12_000, 16_000, 22_050, 24_000),
    *(32_000, 44_100, 48_000, 64_000, 88_200, 96_000, 192_000),
)
_WAVPACK_DSD = 1 << 31


def wavpack_length(read: Reader, size_bytes: int, start: int) -> Declared:
    """The first block tells the length of all; all ones if it was never known."""
    del size_bytes
    header = read(start, 32)
    upper = header[11]
    total, _, _, flags = struct.unpack("<4I", header[12:28])
    if total == 0xFFFFFFFF or flags & _WAVPACK_DSD:
        return NOTHING
    rate = flags >> 23 & 15
    sample_rate = _WAVPACK_SAMPLE_RATES[rate] if rate < len(_WAVPACK_SAMPLE_RATES) else None
    return Declared(total + (upper << 32) - upper or None, sample_rate)


def ape_length(read: Reader, size_bytes: int, start: int) -> Declared:
    """A descriptor and a header since version 3.98, one header before."""
    head = read(start, 1024)
    version = struct.unpack("<H", head[4:6])[0]
    missing = 0
    if version >= 3980:
        descriptor_bytes, header_bytes, seek_bytes, wav_bytes, low, high = struct.unpack("<6I", head[8:32])
        blocks, last_blocks, count, _, _, sample_rate = struct.unpack(
            "<3IHHI", head[descriptor_bytes + 4 : descriptor_bytes + 24]
        )
        end = start + descriptor_bytes + header_bytes + seek_bytes + wav_bytes + (high << 32 | low)
        missing = max(0, end - size_bytes)
    else:
        compression = struct.unpack("<H", head[6:8])[0]
        sample_rate, _, _, count, last_blocks = struct.unpack("<5I", head[12:32])
        is_large = version >= 3900 or (version >= 3800 and compression >= 4000)
        blocks = 73_728 * 4 if version >= 3950 else 73_728 if is_large else 9_216
    if not count or last_blocks > blocks:
        return NOTHING
    return Declared((count - 1) * blocks + last_blocks, sample_rate or None, 0, missing)


_MAX_TTA_FRAMES = 65_536  # 19 hours


def tta_length(read: Reader, size_bytes: int, start: int) -> Declared:
    """The header tells the length, and the table behind it how many bytes each frame of 256/245 seconds has."""
    sample_rate, sample_frames = struct.unpack("<II", read(start + 10, 8))
    missing = 0
    count = -(-sample_frames // max(1, sample_rate * 256 // 245))
    if count <= _MAX_TTA_FRAMES:
        table = read(start + 22, 4 * count)
        sound = start + 22 + 4 * count + 4
        missing = max(0, sound + sum(struct.unpack(f"<{len(table) // 4}I", table[: len(table) // 4 * 4])) - size_bytes)
    return Declared(sample_frames or None, sample_rate or None, 0, missing)


_MUSEPACK_SAMPLE_RATES = (44_100, 48_000, 37_800, 32_000)
_MUSEPACK_FRAME = 1152
"""What decoders may leave out at either end: some count the delay of the filter bank, some don't."""


def musepack_length(read: Reader, size_bytes: int, start: int) -> Declared:
    head = read(start, 64)
    if head[:4] == b"MPCK":
        return _musepack_8_length(head, size_bytes - start)
    count, flags = struct.unpack("<II", head[4:12])
    last = struct.unpack("<I", head[20:24])[0] >> 20 & 0x7FF
    if not count or count > size_bytes:
        return NOTHING
    sample_frames = (count - 1) * _MUSEPACK_FRAME + (last or _MUSEPACK_FRAME)
    return Declared(sample_frames, _MUSEPACK_SAMPLE_RATES[flags >> 16 & 3], _MUSEPACK_FRAME)


def _musepack_8_length(head: bytes, size_bytes: int) -> Declared:
    """The packet SH tells the length, SO where the last packet but one begins."""
    declared = NOTHING
    offset = 4
    while head[offset : offset + 2].isalpha():
        name = head[offset : offset + 2]
        size, after = _seven_bits(head, offset + 2)
        if name == b"SH":
            total, after = _seven_bits(head, after + 5)  # behind a checksum and the version
            silent, after = _seven_bits(head, after)
            rates = _MUSEPACK_SAMPLE_RATES
            declared = Declared(max(0, total - silent) or None, rates[head[after] >> 5 & 3], _MUSEPACK_FRAME)
        elif name == b"SO":
            seek_table, _ = _seven_bits(head, after)
            return replace(declared, missing_bytes=max(0, offset + seek_table - size_bytes))
        offset += max(size, 3)
    return declared


def _seven_bits(data: bytes, offset: int) -> tuple[int, int]:
    """A number of seven bits a byte, the upper ones first, and where it ends."""
    number = 0
    for at in range(offset, offset + 9):
        if at >= len(data):
            break
        number = number << 7 | data[at] & 127
        if not data[at] & 128:
            return number, at + 1
    raise ValueError("a number without an end")


# ffmpeg makes one sample of eight bits of DSD.
_DSD_BITS = 8


def dsf_length(read: Reader, size_bytes: int, start: int) -> Declared:
    head = read(start, 92)
    rate, _, count = struct.unpack("<IIQ", head[56:72])
    data_size = struct.unpack("<Q", head[84:92])[0]
    if head[28:32] != b"fmt " or head[80:84] != b"data":
        return NOTHING
    missing = max(0, start + 80 + data_size - size_bytes)
    return Declared(count // _DSD_BITS or None, rate // _DSD_BITS or None, 1, missing)


def dff_length(read: Reader, size_bytes: int, start: int) -> Declared:
    """DSDIFF: the sound is DSD, or DST frames that tell their number."""
    rate = channels = 0
    for name, offset, size in _long_chunks(read, start + 16, size_bytes):
        if name == b"PROP":
            for inner, at, _ in _long_chunks(read, offset + 4, min(size_bytes, offset + size)):
                if inner == b"FS  ":
                    rate = struct.unpack(">I", read(at, 4))[0]
                elif inner == b"CHNL":
                    channels = struct.unpack(">H", read(at, 2))[0]
        elif name in (b"DSD ", b"DST "):
            missing = max(0, offset + size - size_bytes)
            if not rate or not channels:
                return Declared(missing_bytes=missing)
            if name == b"DSD ":
                return Declared(size // channels or None, rate // _DSD_BITS, 1, missing)
            count, frames_a_second = struct.unpack(">IH", read(offset + 12, 6))
            sample_frames = count * (rate // _DSD_BITS) // max(1, frames_a_second)
            return Declared(sample_frames or None, rate // _DSD_BITS, 1, missing)
    return NOTHING


def _long_chunks(read: Reader, offset: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """The chunks of an IFF file with sizes of 64 bits: name, where the content begins, its size."""
    for _ in range(_MAX_CHUNKS):
        header = read(offset, 12)
        if len(header) < 12 or offset + 12 > end:
            return
        size = struct.unpack(">Q", header[4:])[0]
        yield header[:4], offset + 12, size
        offset += 12 + size + (size & 1)


_ASF_FILE_PROPERTIES = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")
_ASF_BROADCAST = 1


def asf_length(read: Reader, size_bytes: int, start: int) -> Declared:
    """Only whether all packets are there: the duration is in milliseconds, and counts the silence put before."""
    header_bytes, count = struct.unpack("<QI", read(start + 16, 12))
    offset = start + 30
    for _ in range(min(count, _MAX_CHUNKS)):
        head = read(offset, 24 + 80)
        size = struct.unpack("<Q", head[16:24])[0]
        if head[:16] == _ASF_FILE_PROPERTIES:
            packets = struct.unpack("<Q", head[56:64])[0]
            flags, smallest, largest = struct.unpack("<3I", head[88:100])
            if flags & _ASF_BROADCAST or smallest != largest:
                return NOTHING
            return Declared(missing_bytes=max(0, start + header_bytes + 50 + packets * largest - size_bytes))
        if size < 24:
            break
        offset += size
    return NOTHING


_EBML_SEGMENT = 0x18538067


def matroska_length(read: Reader, size_bytes: int, start: int) -> Declared:
    """Only whether the segment ends behind the file: recorders that stream never write its size.

    The duration that stands in the file is that of all tracks, the pictures too.
    """
    offset = start
    for _ in range(8):
        head = read(offset, 12)
        identifier, id_bytes = _vint(head, 0, keeps_marker=True)
        size, size_field_bytes = _vint(head, id_bytes, keeps_marker=False)
        content = offset + id_bytes + size_field_bytes
        is_unknown = size == (1 << 7 * size_field_bytes) - 1
        if identifier == _EBML_SEGMENT:
            return NOTHING if is_unknown else Declared(missing_bytes=max(0, content + size - size_bytes))
        offset = content + size
    return NOTHING


def _vint(data: bytes, offset: int, *, keeps_marker: bool) -> tuple[int, int]:
    """A number of variable size (RFC 8794, section 4) and its bytes."""
    if offset >= len(data) or not data[offset]:
        raise ValueError("not a number of variable size")
    length = 9 - data[offset].bit_length()
    number = int.from_bytes(data[offset : offset + length], "big")
    return (number if keeps_marker else number & (1 << 7 * length) - 1), length
