"""What an MP3 of ours says about itself, and the two things in it that ffmpeg gets wrong.

The Info tag tells how many sample frames the encoder put behind the audio. ffmpeg takes that number from LAME's last
MPEG frame alone and so can't say more than that frame holds; where more is needed (the last 47 sample frames before
a multiple of 1152, roughly) its files come out up to 1.5 ms too long. :func:`correct_length` puts the true number in.
The tag's own checksum is never right in a file of ffmpeg's: :func:`correct_tag_crc`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from resample.formats.containers import HEAD_BYTES, id3v2_bytes
from resample.formats.mpeg_frames import InfoTag, LameTag, MpegHeader, crc16, iterate_mpeg_frames, parse_info_tag
from resample.formats.reader import file_reader

_MAX_PADDING = 0xFFF
_PADDING_OFFSET = 21  # in LAME's extension: 12 bits of delay, 12 bits of padding
_TAG_CRC_OFFSET = 34


@dataclass(frozen=True, slots=True)
class Mp3Summary:
    """An MP3 with an Info tag: ``sample_frames`` of sound, without the encoder's delay and padding."""

    sample_rate: int
    channels: int
    sample_frames: int
    bit_rate: int
    size_bytes: int

    @property
    def duration_seconds(self) -> float:
        return self.sample_frames / self.sample_rate


def summarize_mp3(mp3: Path) -> Mp3Summary | None:
    """Read the Info tag as ffmpeg or LAME writes it; ``None`` if there is none. ``bit_rate`` is the mean, in bit/s.

    A few kB are read, whatever the length and however big the cover.
    """
    if not mp3.is_file():
        return None
    size_bytes = mp3.stat().st_size
    with file_reader(mp3) as read:
        start = id3v2_bytes(read(0, 10))
        head = read(start, HEAD_BYTES)
    first = next(iterate_mpeg_frames(head), None)
    info = parse_info_tag(head, first) if first else None
    sample_frames = info.sample_frames(first.header) if first and info else None
    if first is None or info is None or sample_frames is None:
        return None
    audio_bytes = (info.size_bytes or size_bytes - start) - first.length_bytes
    whole_seconds = (info.mpeg_frames or 0) * first.header.sample_frames / first.header.sample_rate
    return Mp3Summary(
        sample_rate=first.header.sample_rate,
        channels=first.header.channels,
        sample_frames=sample_frames,
        bit_rate=round(8 * audio_bytes / whole_seconds) if whole_seconds else 0,
        size_bytes=size_bytes,
    )


def correct_length(mp3: Path, sample_frames: int) -> bool:
    """Make the Info tag say that there are ``sample_frames`` of sound; tells whether that changed anything.

    Only what lies within the last MPEG frame is mended: the tag's count must be larger, by less than 1152.
    """
    with mp3.open("r+b") as file:
        found = _read_info(file)
        if found is None:
            return False
        surplus = (found.info.sample_frames(found.header) or 0) - sample_frames
        padding = found.lame.padding + surplus
        if not 0 < surplus < found.header.sample_frames or padding > _MAX_PADDING:
            return False
        at = found.lame.offset + _PADDING_OFFSET
        found.content[at : at + 3] = (found.lame.delay << 12 | padding).to_bytes(3, "big")
        _write_info(file, found)
    return True


def correct_tag_crc(mp3: Path) -> bool:
    """Put the checksum of the Info tag right, which ffmpeg gets wrong; tells whether that changed anything."""
    with mp3.open("r+b") as file:
        found = _read_info(file)
        if found is None or found.lame.tag_crc_is_valid:
            return False
        _write_info(file, found)
    return True


@dataclass(frozen=True, slots=True)
class _InfoFrame:
    """The MPEG frame with the Info tag: where it is in the file, its bytes, and what they say."""

    position: int
    content: bytearray
    header: MpegHeader
    info: InfoTag
    lame: LameTag


def _read_info(file: BinaryIO) -> _InfoFrame | None:
    start = id3v2_bytes(file.read(10))
    file.seek(start)
    head = file.read(HEAD_BYTES)
    first = next(iterate_mpeg_frames(head), None)
    info = parse_info_tag(head, first) if first else None
    if first is None or info is None or info.lame is None:
        return None
    return _InfoFrame(
        position=start + first.offset,
        content=bytearray(head[first.offset : first.end]),
        header=first.header,
        info=info,
        lame=info.lame,
    )


def _write_info(file: BinaryIO, found: _InfoFrame) -> None:
    """Write it, with its checksum."""
    at = found.lame.offset + _TAG_CRC_OFFSET
    found.content[at : at + 2] = crc16(found.content[:at]).to_bytes(2, "big")
    file.seek(found.position)
    file.write(found.content)
