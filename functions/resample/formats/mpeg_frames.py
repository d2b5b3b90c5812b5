"""What the bytes of an MPEG audio stream say about themselves: pure arithmetic, nothing is decoded.

Pass-through trusts no file name and no first header, a result's exact length comes from its LAME tag, and the
parallel encoder cuts and joins streams at their MPEG frames. All three read them here.

Standards: ISO/IEC 11172-3 (MPEG-1), ISO/IEC 13818-3 (MPEG-2 LSF, half the sample rates), the MPEG-2.5 extension
(a quarter); Xing's VBR header with LAME's extension ("Mp3 Info Tag revision 1"); Fraunhofer's VBRI header.

Units: lengths and offsets in bytes, rates in Hz and bit/s, durations in sample frames (one sample per channel).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from functools import lru_cache
from mmap import mmap

Bytes = bytes | bytearray | memoryview | mmap
"""What the functions here read from: anything whose slices give bytes."""

HEADER_BYTES = 4


class MpegVersion(StrEnum):
    MPEG1 = "1"
    MPEG2 = "2"
    MPEG25 = "2.5"


class ChannelMode(IntEnum):
    """The values are those of the header's field."""

    STEREO = 0
    JOINT_STEREO = 1
    DUAL_CHANNEL = 2
    MONO = 3


_VERSIONS = (MpegVersion.MPEG25, None, MpegVersion.MPEG2, MpegVersion.MPEG1)
_SAMPLE_RATES = {
    MpegVersion.MPEG1: (44_100, 48_000, 32_000),
    MpegVersion.MPEG2: (22_050, 24_000, 16_000),
    MpegVersion.MPEG25: (11_025, 12_000, 8_000),
}
# kbit/s by (MPEG-1 or not, layer); index 0 of the header's field is free format and 15 is forbidden.
_KILOBITS = {
    (True, 1): (32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (True, 2): (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (True, 3): (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (False, 1): (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (False, 2): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (False, 3): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}


@dataclass(frozen=True, slots=True)
class MpegHeader:
    """The four bytes that an MPEG frame starts with.

    ``bit_rate`` is in bit/s, or ``None`` for free format, where the header doesn't tell the frame's length.
    """

    version: MpegVersion
    layer: int
    has_crc: bool
    bit_rate: int | None
    sample_rate: int
    is_padded: bool
    channel_mode: ChannelMode
    word: int
    """The header itself, as a big-endian number."""

    @property
    def channels(self) -> int:
        return 1 if self.channel_mode is ChannelMode.MONO else 2

    @property
    def sample_frames(self) -> int:
        """Sample frames that one MPEG frame decodes to: 384, 576 or 1152."""
        if self.layer == 1:
            return 384
        return 576 if self.layer == 3 and self.version is not MpegVersion.MPEG1 else 1152

    @property
    def padding_bytes(self) -> int:
        return 0 if not self.is_padded else 4 if self.layer == 1 else 1

    @property
    def length_bytes(self) -> int | None:
        """The whole MPEG frame, header included; ``None`` for free format."""
        if self.bit_rate is None:
            return None
        if self.layer == 1:
            return 12 * self.bit_rate // self.sample_rate * 4 + self.padding_bytes
        return self.sample_frames // 8 * self.bit_rate // self.sample_rate + self.padding_bytes

    @property
    def side_info_offset(self) -> int:
        """Where Layer III's side info starts in the MPEG frame: after the header and the optional CRC."""
        return HEADER_BYTES + (2 if self.has_crc else 0)

    @property
    def side_info_bytes(self) -> int:
        """Length of Layer III's side info: 9, 17 or 32."""
        if self.version is MpegVersion.MPEG1:
            return 17 if self.channels == 1 else 32
        return 9 if self.channels == 1 else 17

    @property
    def main_data_offset(self) -> int:
        """Where Layer III's part of the main-data stream starts in the MPEG frame."""
        return self.side_info_offset + self.side_info_bytes

    def same_stream(self, other: MpegHeader) -> bool:
        """Whether a decoder can go from one to the other without starting anew."""
        return (self.version, self.layer, self.sample_rate, self.channels) == (
            other.version,
            other.layer,
            other.sample_rate,
            other.channels,
        )


def parse_header(data: Bytes, offset: int = 0) -> MpegHeader | None:
    """The header at ``offset``, or ``None`` if there is none: no sync, a reserved value, or fewer than 4 bytes."""
    four = data[offset : offset + HEADER_BYTES]
    return _header(int.from_bytes(four, "big")) if len(four) == HEADER_BYTES else None


@lru_cache(maxsize=4096)
def _header(word: int) -> MpegHeader | None:
    if word >> 21 != 0x7FF:
        return None
    version = _VERSIONS[word >> 19 & 3]
    layer = 4 - (word >> 17 & 3)
    bit_rate_index = word >> 12 & 15
    sample_rate_index = word >> 10 & 3
    if version is None or layer == 4 or bit_rate_index == 15 or sample_rate_index == 3 or word & 3 == 2:
        return None
    kilobits = _KILOBITS[version is MpegVersion.MPEG1, layer]
    return MpegHeader(
        version=version,
        layer=layer,
        has_crc=not word >> 16 & 1,
        bit_rate=1000 * kilobits[bit_rate_index - 1] if bit_rate_index else None,
        sample_rate=_SAMPLE_RATES[version][sample_rate_index],
        is_padded=bool(word >> 9 & 1),
        channel_mode=ChannelMode(word >> 6 & 3),
        word=word,
    )


@dataclass(frozen=True, slots=True)
class MpegFrame:
    """One MPEG frame of a stream: where it starts, how long it is (both in bytes), and its header."""

    offset: int
    length_bytes: int
    header: MpegHeader

    @property
    def end(self) -> int:
        return self.offset + self.length_bytes


def iterate_mpeg_frames(data: Bytes, offset: int = 0) -> Iterator[MpegFrame]:
    """The MPEG frames that follow each other without a gap from ``offset`` on.

    Ends before the first byte that starts no complete MPEG frame: the end of the stream, a tag, damage, or a frame
    cut short. The last frame's ``end`` tells where. Nothing is assumed about what stays the same between frames;
    see :meth:`MpegHeader.same_stream`. The Xing/Info frame comes out like any other; see :func:`parse_info_tag`.
    """
    size = len(data)
    unpadded_bytes: int | None = None  # of a free-format stream
    while (header := parse_header(data, offset)) is not None:
        length_bytes = header.length_bytes
        if length_bytes is None:
            unpadded_bytes = unpadded_bytes or free_format_unpadded_bytes(data, offset)
            if unpadded_bytes is None:
                return
            length_bytes = unpadded_bytes + header.padding_bytes
        if offset + length_bytes > size:
            return
        yield MpegFrame(offset, length_bytes, header)
        offset += length_bytes


# The most that a free-format frame takes in practice: 640 kbit/s, LAME's limit, at 8 kHz.
_FREE_FORMAT_LIMIT_BYTES = 5760


def free_format_unpadded_bytes(data: Bytes, offset: int) -> int | None:
    """Length of the free-format MPEG frame at ``offset`` without its padding; the same in the whole stream.

    It is the distance to the next header of the same stream, where a third one (or the end of ``data``) must follow
    at the same distance again. ``None`` if there is no such pair: then it's no free format.
    """
    first = parse_header(data, offset)
    if first is None or first.bit_rate is not None:
        return None
    window = bytes(data[offset : offset + 2 * (_FREE_FORMAT_LIMIT_BYTES + HEADER_BYTES)])
    position = first.main_data_offset if first.layer == 3 else HEADER_BYTES
    while 0 <= (position := window.find(b"\xff", position)) <= _FREE_FORMAT_LIMIT_BYTES + first.padding_bytes:
        second = parse_header(window, position)
        if second is not None and second.bit_rate is None and first.same_stream(second):
            unpadded_bytes = position - first.padding_bytes
            end = position + unpadded_bytes + second.padding_bytes
            third = parse_header(window, end)
            if end == len(window) or (third is not None and third.bit_rate is None and first.same_stream(third)):
                return unpadded_bytes
        position += 1
    return None


@dataclass(frozen=True, slots=True)
class SideInfo:
    """What Layer III's side info says about where the main data of an MPEG frame lies.

    ``main_data_begin`` is how many bytes before this frame's own main-data area its main data starts, counted
    without headers and side info. ``part2_3_lengths`` are in bits: granule by granule, in each channel by channel.
    """

    main_data_begin: int
    part2_3_lengths: tuple[int, ...]

    @property
    def main_data_bytes(self) -> int:
        """Bytes of the main-data stream that this MPEG frame owns, ancillary data left out."""
        return (sum(self.part2_3_lengths) + 7) // 8


def parse_side_info(data: Bytes, mpeg_frame: MpegFrame) -> SideInfo:
    """Read the side info of a Layer III frame of ``data``.

    Raises :class:`ValueError` for another layer: only Layer III has side info.
    """
    header = mpeg_frame.header
    if header.layer != 3:
        raise ValueError("only Layer III has side info")
    start = mpeg_frame.offset + header.side_info_offset
    bits = 8 * header.side_info_bytes
    number = int.from_bytes(data[start : start + header.side_info_bytes], "big")
    # main_data_begin, private bits, scfsi (MPEG-1 only), then granules x channels of 59 or 63 bits each.
    if header.version is MpegVersion.MPEG1:
        begin_bits, first, step, count = 9, 18 if header.channels == 1 else 20, 59, 2 * header.channels
    else:
        begin_bits, first, step, count = 8, 9 if header.channels == 1 else 10, 63, header.channels
    return SideInfo(
        main_data_begin=number >> bits - begin_bits,
        part2_3_lengths=tuple(number >> bits - first - step * index - 12 & 0xFFF for index in range(count)),
    )


class VbrMethod(IntEnum):
    """How the encoder chose bit rates, as the LAME tag says. The values are those of the field."""

    UNKNOWN = 0
    CONSTANT = 1
    AVERAGE = 2
    VARIABLE_OLD = 3
    VARIABLE_MTRH = 4
    VARIABLE_MT = 5
    CONSTANT_TWO_PASS = 8
    AVERAGE_TWO_PASS = 9


_VBR_METHODS = {int(method): method for method in VbrMethod}


@dataclass(frozen=True, slots=True)
class LameTag:
    """LAME's extension of the Xing header; ffmpeg writes it too.

    ``delay`` and ``padding`` are the sample frames that the encoder put before and after the audio, without the
    529 that every decoder adds. ``offset`` is where the extension starts in the MPEG frame.
    """

    offset: int
    encoder: str
    vbr_method: VbrMethod
    delay: int
    padding: int
    music_bytes: int
    music_crc: int
    tag_crc: int
    tag_crc_is_valid: bool


@dataclass(frozen=True, slots=True)
class InfoTag:
    """The Xing (variable bit rate) or Info (constant) header that stands in a stream's first MPEG frame.

    ``mpeg_frames`` counts the audio, without the frame that holds the tag; ``size_bytes`` is of the whole stream,
    with it. ``toc`` has 100 entries: the place, in 256ths of the size, of each percent of the duration. A field
    that the header doesn't hold is ``None``. ``offset`` is where the four letters stand in the MPEG frame.
    """

    offset: int
    is_variable: bool
    mpeg_frames: int | None
    size_bytes: int | None
    toc: bytes | None
    quality: int | None
    lame: LameTag | None

    def sample_frames(self, header: MpegHeader) -> int | None:
        """The exact length of the audio without delay and padding; ``None`` if the tag doesn't tell."""
        if self.mpeg_frames is None or self.lame is None:
            return None
        return self.mpeg_frames * header.sample_frames - self.lame.delay - self.lame.padding


_LAME_BYTES = 36
_ENCODERS_WITH_DELAY = (b"LAME", b"Lavf", b"Lavc", b"L3.9", b"GOGO")


def parse_info_tag(data: Bytes, mpeg_frame: MpegFrame) -> InfoTag | None:
    """The Xing/Info tag that an MPEG frame of ``data`` holds instead of audio, or ``None`` if it is audio."""
    content = bytes(data[mpeg_frame.offset : mpeg_frame.end])
    header = mpeg_frame.header
    if header.layer != 3:
        return None
    # Behind the side info; some writers forget the two bytes of the CRC.
    for offset in {header.main_data_offset, HEADER_BYTES + header.side_info_bytes}:
        if content[offset : offset + 4] in (b"Xing", b"Info"):
            break
    else:
        return None

    position = offset + 4
    flags = int.from_bytes(content[position : position + 4], "big")
    position += 4
    fields: list[bytes | None] = []
    for bit, length in enumerate((4, 4, 100, 4)):
        present = flags >> bit & 1 and position + length <= len(content)
        fields.append(content[position : position + length] if present else None)
        position += length if present else 0
    mpeg_frames, size_bytes, toc, quality = fields

    return InfoTag(
        offset=offset,
        is_variable=content[offset : offset + 4] == b"Xing",
        mpeg_frames=_number(mpeg_frames),
        size_bytes=_number(size_bytes),
        toc=toc,
        quality=_number(quality),
        lame=_lame_tag(content, position),
    )


def _number(field: bytes | None) -> int | None:
    return None if field is None else int.from_bytes(field, "big")


def _lame_tag(content: bytes, offset: int) -> LameTag | None:
    tag = content[offset : offset + _LAME_BYTES]
    if len(tag) < _LAME_BYTES or tag[:4] not in _ENCODERS_WITH_DELAY:
        return None
    tag_crc = int.from_bytes(tag[34:36], "big")
    return LameTag(
        offset=offset,
        encoder=tag[:9].rstrip(b"\0 ").decode("latin-1"),
        vbr_method=_VBR_METHODS.get(tag[9] & 15, VbrMethod.UNKNOWN),
        delay=tag[21] << 4 | tag[22] >> 4,
        padding=(tag[22] & 15) << 8 | tag[23],
        music_bytes=int.from_bytes(tag[28:32], "big"),
        music_crc=int.from_bytes(tag[32:34], "big"),
        tag_crc=tag_crc,
        tag_crc_is_valid=tag_crc == crc16(content[: offset + 34]),
    )


@dataclass(frozen=True, slots=True)
class VbriTag:
    """Fraunhofer's header of a variable bit rate stream. It tells no padding, so no exact length."""

    mpeg_frames: int
    size_bytes: int


def parse_vbri_tag(data: Bytes, mpeg_frame: MpegFrame) -> VbriTag | None:
    """The VBRI tag that an MPEG frame of ``data`` holds instead of audio, or ``None`` if it is audio."""
    start = mpeg_frame.offset + HEADER_BYTES + 32
    content = bytes(data[start : min(start + 18, mpeg_frame.end)])
    if mpeg_frame.header.layer != 3 or len(content) < 18 or content[:4] != b"VBRI":
        return None
    return VbriTag(mpeg_frames=int.from_bytes(content[14:18], "big"), size_bytes=int.from_bytes(content[10:14], "big"))


def crc16(data: Bytes) -> int:
    """The CRC of LAME's tag: polynomial x^16 + x^15 + x^2 + 1, reflected, starting from 0 (known as CRC-16/ARC)."""
    crc = Crc16()
    crc.update(data)
    return crc.value


def _crc16_table() -> tuple[int, ...]:
    table = []
    for byte in range(256):
        for _ in range(8):
            byte = byte >> 1 ^ (0xA001 if byte & 1 else 0)
        table.append(byte)
    return tuple(table)


_CRC16_TABLE = _crc16_table()
# The polynomial is (x + 1)(x^15 + x + 1) and its second factor is primitive, so x^32767 = 1 modulo it: bytes that are
# 32767 apart count alike.
_CRC16_PERIOD = 32_767


class Crc16:
    """:func:`crc16` of a stream that comes in pieces, at the speed of memory instead of a table step per byte.

    Every 32767 bytes are added (XOR) to one block of as many; only that block is divided by the polynomial.
    """

    __slots__ = ("_block", "_size")

    def __init__(self) -> None:
        self._block = 0
        self._size = 0

    def update(self, data: Bytes) -> None:
        """Append ``data`` to the stream."""
        position = -(self._size % _CRC16_PERIOD)
        self._size += len(data)
        block = self._block
        while position < len(data):
            # Little-endian: byte i of the block is at bit 8 i, so a piece that starts inside a block is shifted up.
            piece = data[max(position, 0) : position + _CRC16_PERIOD]
            block ^= int.from_bytes(piece, "little") << 8 * max(-position, 0)
            position += _CRC16_PERIOD
        self._block = block

    @property
    def value(self) -> int:
        block = self._block.to_bytes(min(self._size, _CRC16_PERIOD), "little")
        end = self._size % _CRC16_PERIOD  # the stream's last byte belongs last
        crc = 0
        for byte in block[end:] + block[:end]:
            crc = crc >> 8 ^ _CRC16_TABLE[(crc ^ byte) & 0xFF]
        return crc
