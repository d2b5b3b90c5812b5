"""How long a file says that it is, and whether all of it is there: read from its own headers.

ffmpeg exits 0 for a truncated file, so what it decoded is compared with this. Nothing here decodes; each format's
reader follows its chunks and believes no length that points outside the file.

Standards: AIFF/AIFF-C 1.3/9.26.91, RFC 9639 (FLAC), ISO/IEC 14496-12 (MP4), Apple CAF 1.0, Sun AU; of
WAV files see :mod:`resample.formats.riff`, of the rest :mod:`resample.formats.coded_lengths`.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable

from audiojobs.errors import NoAudio, UnsupportedFormat
from resample.formats import coded_lengths
from resample.formats.containers import HEAD_BYTES, Container
from resample.formats.declared import NOTHING, Declared
from resample.formats.mpeg_frames import iterate_mpeg_frames, parse_info_tag, parse_vbri_tag
from resample.formats.ogg import ogg_length
from resample.formats.pcm_samples import PcmSamples
from resample.formats.reader import Reader
from resample.formats.riff import MAX_CHUNKS, is_placeholder, read_chunks, w64_length, wav_length
from resample.formats.trailing_tags import audio_end

_MPEG_FRAMES_OFF = 2  # writers differ in whether they count the first and the last one


def declared_length(read: Reader, size_bytes: int, container: Container) -> Declared:
    """What the headers of a file promise. Headers that make no sense promise nothing.

    Raises :class:`~audiojobs.errors.UnsupportedFormat` for samples of a size that no decoder reads, and
    :class:`~audiojobs.errors.NoAudio` for an MP3 of a single MPEG frame.
    """
    reader = _READERS.get(container.name)
    try:
        return reader(_inside(read, size_bytes), size_bytes, container.audio_offset) if reader else NOTHING
    except (struct.error, ValueError, IndexError, OverflowError):
        return NOTHING


def _inside(read: Reader, size_bytes: int) -> Reader:
    """A reader that is never asked for nothing, nor for places outside the file, wherever a header points."""
    return lambda offset, length: read(offset, length) if length > 0 and 0 <= offset < size_bytes else b""


_AIFF_PCM = re.compile(rb"NONE|twos|sowt|raw |[fF][lL](32|64)|in24|in32|23ni|42ni|[au]law|[AU]LAW")


def _aiff(read: Reader, size_bytes: int, start: int) -> Declared:
    is_aifc = read(start + 8, 4) == b"AIFC"
    sample_frames: int | None = None
    sample_rate: int | None = None
    missing = 0
    has_data = False
    for chunk in read_chunks(read, start + 12, size_bytes, ">"):
        if chunk.name == b"COMM":
            fields = read(chunk.offset, 22)
            compression = fields[18:22] if is_aifc else b"NONE"
            _refuse_swapped_samples(compression, struct.unpack(">H", fields[6:8])[0])
            sample_rate = _extended(fields[8:18])
            if _AIFF_PCM.fullmatch(compression):
                sample_frames = struct.unpack(">I", fields[2:6])[0]
        elif chunk.name == b"SSND":
            has_data = chunk.size > 8
            missing = max(0, chunk.offset + chunk.size - size_bytes)
            if is_placeholder(chunk.size):
                missing = 0
    if sample_frames is not None and ((not sample_frames and has_data) or is_placeholder(sample_frames)):
        sample_frames = None
    return Declared(sample_frames, sample_rate, 0, missing)


def _refuse_swapped_samples(compression: bytes, bits: int) -> None:
    """ffmpeg reads little-endian samples of any width as if they had 16 bits, which is noise."""
    if (compression == b"sowt" and not 8 < bits <= 16) or compression in (b"42ni", b"42n1", b"23ni"):
        raise UnsupportedFormat(
            f"The samples in this AIFF-C file are little-endian and have {bits} bits; that is not supported."
            " Please export it as an ordinary AIFF or WAV file."
        )


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
    format_fields = b""
    samples: PcmSamples | None = None
    for _ in range(MAX_CHUNKS):
        header = read(offset, 12)
        if len(header) < 12:
            break
        name, size = header[:4], struct.unpack(">q", header[4:])[0]
        if name == b"desc":
            rate, _, _, packet_bytes, packet_sample_frames = struct.unpack(">d4sIII", read(offset + 12, 24))
            sample_rate = int(rate)
            format_fields = read(offset + 20, 24)
        elif name == b"data":
            samples = _caf_samples(format_fields, offset + 16, size_bytes if size < 0 else offset + 12 + size)
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
    return Declared(sample_frames, sample_rate, packet_sample_frames, missing, samples=samples)


_CAF_IS_FLOAT, _CAF_IS_LITTLE_ENDIAN = 1, 2


def _caf_samples(fields: bytes, offset: int, end: int) -> PcmSamples | None:
    """``fields`` of the description, from the format's name on; ``None`` for all but PCM."""
    if not fields:
        return None
    name, flags, packet_bytes, sample_frames, channels, bits = struct.unpack(">4s5I", fields)
    width, rest = divmod(packet_bytes, channels or 1)
    if name != b"lpcm" or rest or sample_frames != 1 or width not in (1, 2, 3, 4, 8) or not 0 < bits <= 8 * width:
        return None
    is_float, is_big_endian = bool(flags & _CAF_IS_FLOAT), not flags & _CAF_IS_LITTLE_ENDIAN
    return PcmSamples(offset, max(0, end - offset), channels, width, bits, is_float, is_big_endian)


def _mp3(read: Reader, size_bytes: int, start: int) -> Declared:
    offset, head = start, read(start, HEAD_BYTES)
    frames = iterate_mpeg_frames(head, len(head) - len(head.lstrip(b"\0")))
    first = next(frames, None)
    if first is None:
        return NOTHING
    if next(frames, None) is None and audio_end(read, size_bytes) <= offset + first.end:
        raise NoAudio("The file holds a single MPEG frame, less than a tenth of a second of sound.")
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
    for _ in range(MAX_CHUNKS):
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


_READERS: dict[str, Callable[[Reader, int, int], Declared]] = {
    "wav": wav_length,
    "w64": w64_length,
    "aiff": _aiff,
    "flac": _flac,
    "au": _au,
    "caf": _caf,
    "mp3": _mp3,
    "mp4": _mp4,
    "ogg": ogg_length,
    "wavpack": coded_lengths.wavpack_length,
    "ape": coded_lengths.ape_length,
    "tta": coded_lengths.tta_length,
    "musepack": coded_lengths.musepack_length,
    "dsf": coded_lengths.dsf_length,
    "dff": coded_lengths.dff_length,
    "asf": coded_lengths.asf_length,
    "webm": coded_lengths.matroska_length,
    "matroska": coded_lengths.matroska_length,
}
