"""The beginning of the result: tags, and the Xing/Info header with LAME's extension.

Everything that doesn't depend on the length (ID3v2 with the cover, the encoder's name, the delay, the low-pass) is
taken from a short MP3 that ffmpeg makes of the same source with the same options. What does depend on it is put in:
the number of MPEG frames, the size, the table of contents, the padding, and the two CRCs.

Layout: "Mp3 Info Tag revision 1.1" (G. Bouvigne); the table of contents as ffmpeg fills it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from resample.engine.parallel.failure import ParallelEncodingFailed
from resample.formats.containers import id3v2_bytes
from resample.formats.mpeg_frames import Crc16, InfoTag, LameTag, MpegFrame, crc16, iterate_mpeg_frames, parse_info_tag

_TOC_BAGS = 400
_MAXIMUM_PADDING = 0xFFF


@dataclass(frozen=True, slots=True)
class Head:
    """The template: ``id3v2`` as it stands in front, and the MPEG frame that holds the Xing/Info tag."""

    id3v2: bytes
    mpeg_frame: bytes
    info: InfoTag
    lame: LameTag
    sample_rate: int
    channels: int
    frame_sample_frames: int

    @classmethod
    def parse(cls, mp3: bytes) -> Head | None:
        """Read the head of an MP3 file, which may still be growing; ``None`` if it doesn't hold one yet."""
        start = id3v2_bytes(mp3[:10])
        first: MpegFrame | None = next(iterate_mpeg_frames(mp3, start), None)
        info = parse_info_tag(mp3, first) if first else None
        if first is None or info is None or info.lame is None or None in (info.mpeg_frames, info.size_bytes, info.toc):
            return None
        return cls(
            id3v2=mp3[:start],
            mpeg_frame=mp3[first.offset : first.end],
            info=info,
            lame=info.lame,
            sample_rate=first.header.sample_rate,
            channels=first.header.channels,
            frame_sample_frames=first.header.sample_frames,
        )

    @property
    def size_bytes(self) -> int:
        return len(self.id3v2) + len(self.mpeg_frame)

    def finished(self, music: Music, sample_frames: int) -> bytes:
        """The head of the file with all that ``music``, of which ``sample_frames`` are sound.

        Raises :class:`ParallelEncodingFailed` if the MPEG frames can't hold that.
        """
        padding = music.mpeg_frames * self.frame_sample_frames - self.lame.delay - sample_frames
        if not 0 <= padding <= _MAXIMUM_PADDING:
            raise ParallelEncodingFailed(f"{music.mpeg_frames} MPEG frames for {sample_frames} sample frames")
        data = bytearray(self.mpeg_frame)
        size_bytes = len(data) + music.size_bytes
        position = self.info.offset + 8
        data[position : position + 4] = music.mpeg_frames.to_bytes(4, "big")
        data[position + 4 : position + 8] = size_bytes.to_bytes(4, "big")
        data[position + 8 : position + 108] = music.toc(len(data))
        lame = self.lame.offset
        data[lame + 21 : lame + 24] = (self.lame.delay << 12 | padding).to_bytes(3, "big")
        data[lame + 28 : lame + 32] = size_bytes.to_bytes(4, "big")
        data[lame + 32 : lame + 34] = music.crc.value.to_bytes(2, "big")
        data[lame + 34 : lame + 36] = crc16(data[: lame + 34]).to_bytes(2, "big")
        return self.id3v2 + bytes(data)


class Music:
    """The MPEG frames behind the head, as they are written."""

    def __init__(self) -> None:
        self.mpeg_frames = 0
        self.size_bytes = 0
        self.crc = Crc16()
        self._stride = 1
        self._bags: list[int] = []  # the size after every `stride` MPEG frames

    def append(self, data: bytes | bytearray, lengths: Iterable[int]) -> None:
        """``data`` holds MPEG frames of these ``lengths`` in bytes."""
        self.crc.update(data)
        size, count = self.size_bytes, self.mpeg_frames
        for length in lengths:
            size += length
            count += 1
            if not count % self._stride:
                self._bags.append(size)
                if len(self._bags) == _TOC_BAGS:
                    self._bags = self._bags[1::2]
                    self._stride *= 2
        self.size_bytes, self.mpeg_frames = size, count

    def toc(self, head_bytes: int) -> bytes:
        """100 places, in 256ths of the size, where each percent of the duration begins."""
        size_bytes = head_bytes + self.size_bytes
        count = len(self._bags)
        places = (256 * (head_bytes + self._bags[percent * count // 100]) // size_bytes for percent in range(1, 100))
        return bytes([0, *(min(place, 255) for place in places)])
