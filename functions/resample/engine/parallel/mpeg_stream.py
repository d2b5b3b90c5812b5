"""What one encoder has written so far, as MPEG frames that are counted from the beginning of the whole file."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from resample.engine.parallel.failure import ParallelEncodingFailed
from resample.formats.mpeg_frames import (
    HEADER_BYTES,
    MpegFrame,
    MpegHeader,
    MpegVersion,
    SideInfo,
    parse_header,
    parse_side_info,
)

RESERVOIR_FRAMES = 96
"""How many MPEG frames back main data may reach at most: 511 bytes in areas of 60 (32 kbit/s at 48 kHz), or 255
in areas of 3 (8 kbit/s at 24 kHz, stereo)."""

_BIT_RATE_AND_PADDING = 0xF200


@dataclass(frozen=True, slots=True)
class Expected:
    """What every MPEG frame has to be; ``bit_rate`` in bit/s, ``None`` for a variable one."""

    sample_rate: int
    channels: int
    bit_rate: int | None

    def accepts(self, header: MpegHeader | None) -> bool:
        return (
            header is not None
            and header.layer == 3
            and not header.has_crc
            and (header.sample_rate, header.channels) == (self.sample_rate, self.channels)
            and header.bit_rate is not None
            and self.bit_rate in (None, header.bit_rate)
        )


@dataclass(frozen=True, slots=True)
class Content:
    """What an MPEG frame decodes from, apart from where its parts lie.

    ``word`` is the header without bit rate and padding, ``side_info`` has no ``main_data_begin``, ``main_data`` no
    ancillary data: two MPEG frames with the same content, after the same past, give the same sound.
    """

    word: int
    side_info: int
    main_data: bytes


class EncodedStream:
    """MPEG frames ``first`` to ``end``, of which those from ``kept`` on are in memory."""

    def __init__(self, first: int, expected: Expected) -> None:
        self.first = first
        self.end = first
        self.kept = first
        self._expected = expected
        self._data = bytearray()
        self._offsets = [0]  # where each kept MPEG frame starts; the last one, where the incomplete one starts
        self._lengths: dict[bytes, int] = {}

    def append(self, data: bytes) -> None:
        """Take what the encoder has written.

        Raises :class:`ParallelEncodingFailed` if that is not a row of MPEG frames as expected.
        """
        self._data += data
        content, lengths, offsets = self._data, self._lengths, self._offsets
        offset, size = offsets[-1], len(content)
        while offset + HEADER_BYTES <= size:
            word = bytes(content[offset : offset + HEADER_BYTES])
            length = lengths.get(word) or self._length(word)
            if offset + length > size:
                break
            offset += length
            offsets.append(offset)
        self.end = self.kept + len(offsets) - 1

    def _length(self, word: bytes) -> int:
        header = parse_header(word)
        if header is None or header.length_bytes is None or not self._expected.accepts(header):
            raise ParallelEncodingFailed("an encoder wrote something else than the MPEG frames asked for")
        self._lengths[word] = header.length_bytes
        return header.length_bytes

    @property
    def is_whole(self) -> bool:
        """Whether the last MPEG frame is complete."""
        return self._offsets[-1] == len(self._data)

    def slice(self, begin: int, end: int) -> bytearray:
        """The bytes of MPEG frames ``begin`` to ``end``."""
        return self._data[self._offsets[begin - self.kept] : self._offsets[end - self.kept]]

    def offset(self, index: int) -> int:
        """Where an MPEG frame starts in the bytes kept."""
        return self._offsets[index - self.kept]

    def lengths(self, begin: int, end: int) -> list[int]:
        """The length in bytes of each of the MPEG frames ``begin`` to ``end``."""
        offsets = self._offsets[begin - self.kept : end - self.kept + 1]
        return [after - before for before, after in pairwise(offsets)]

    def forget(self, before: int) -> None:
        """Drop MPEG frames that were written, except those into which main data of later ones may reach back."""
        before -= RESERVOIR_FRAMES
        if before - self.kept < 4 * RESERVOIR_FRAMES:
            return
        count = before - self.kept
        cut = self._offsets[count]
        del self._data[:cut]
        self._offsets = [offset - cut for offset in self._offsets[count:]]
        self.kept = before

    def main_data_begin(self, index: int) -> int:
        """How many bytes of main data before the MPEG frame's own area belong to it."""
        return self._side_info(index)[2].main_data_begin

    def main_data_before(self, index: int, count: int) -> bytes:
        """The last ``count`` bytes of main data in front of an MPEG frame.

        Raises :class:`ParallelEncodingFailed` if there are not as many.
        """
        pieces: list[bytes] = []
        while count > 0:
            index -= 1
            if index < self.kept:
                raise ParallelEncodingFailed("main data reaches back behind the beginning")
            start, end = self.main_data_area(index)
            piece = bytes(self._data[max(start, end - count) : end])
            pieces.append(piece)
            count -= len(piece)
        return b"".join(reversed(pieces))

    def main_data_area(self, index: int) -> tuple[int, int]:
        """Where the main data of an MPEG frame's own area lies in the bytes kept."""
        offset, end = self._offsets[index - self.kept], self._offsets[index - self.kept + 1]
        header = parse_header(self._data, offset)
        assert header is not None  # noqa: S101 - append() has seen it
        return offset + header.main_data_offset, end

    def content(self, index: int) -> Content:
        """What an MPEG frame decodes from."""
        mpeg_frame, side_info_bits, side_info = self._side_info(index)
        start, end = self.main_data_area(index)
        begin = side_info.main_data_begin
        length = side_info.main_data_bytes
        main_data = bytearray((self.main_data_before(index, begin) + self._data[start:end])[:length])
        if len(main_data) < length:
            raise ParallelEncodingFailed("an MPEG frame has less main data than it says")
        if excess_bits := -sum(side_info.part2_3_lengths) % 8:
            main_data[-1] &= 0xFF << excess_bits & 0xFF
        return Content(mpeg_frame.header.word & ~_BIT_RATE_AND_PADDING, side_info_bits, bytes(main_data))

    def _side_info(self, index: int) -> tuple[MpegFrame, int, SideInfo]:
        offset, end = self._offsets[index - self.kept], self._offsets[index - self.kept + 1]
        header = parse_header(self._data, offset)
        assert header is not None  # noqa: S101 - append() has seen it
        mpeg_frame = MpegFrame(offset, end - offset, header)
        side_info = parse_side_info(self._data, mpeg_frame)
        start = offset + header.side_info_offset
        bits = int.from_bytes(self._data[start : start + header.side_info_bytes], "big")
        bits &= (1 << 8 * header.side_info_bytes - (9 if header.version is MpegVersion.MPEG1 else 8)) - 1
        return mpeg_frame, bits, side_info
