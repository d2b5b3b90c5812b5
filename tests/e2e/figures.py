"""What is in a finished MP3: its MPEG headers, and its decoded samples, read window by window."""

from __future__ import annotations

import array
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_BIT_RATES = (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
_SAMPLE_RATES = (44_100, 48_000, 32_000)
_BYTES = 4  # of a 32-bit float


@dataclass(frozen=True, slots=True)
class Header:
    """An MPEG audio frame header (ISO/IEC 11172-3, 2.4.1.3), as far as it was asked for."""

    version: int
    layer: int
    bit_rate: int
    sample_rate: int
    length_bytes: int


def mpeg_headers(mp3: bytes) -> Iterator[Header]:
    """The header of every frame, from behind the ID3v2 tag to the end. Only MPEG-1 Layer III is understood."""
    offset = 0
    if mp3[:3] == b"ID3":
        offset = 10 + sum(byte << shift for byte, shift in zip(mp3[6:10], (21, 14, 7, 0), strict=True))
    while offset < len(mp3):
        sync, flags, rates = mp3[offset], mp3[offset + 1], mp3[offset + 2]
        assert sync == 0xFF, f"no frame at {offset}"
        assert flags & 0xFE == 0xFA, f"not MPEG-1 Layer III at {offset}"
        bit_rate, sample_rate = 1000 * _BIT_RATES[rates >> 4], _SAMPLE_RATES[rates >> 2 & 3]
        length = 144 * bit_rate // sample_rate + (rates >> 1 & 1)
        yield Header(1, 3, bit_rate, sample_rate, length)
        offset += length
    assert offset == len(mp3), "the last frame is cut"


@dataclass(frozen=True, slots=True)
class Pcm:
    """Decoded audio in a file of interleaved 32-bit floats; long files are never held in memory."""

    path: Path
    sample_rate: int
    channels: int

    @property
    def sample_frames(self) -> int:
        return self.path.stat().st_size // (_BYTES * self.channels)

    @property
    def seconds(self) -> float:
        return self.sample_frames / self.sample_rate

    def window(self, start_seconds: float, seconds: float, channel: int) -> array.array[float]:
        """The samples of a channel from a moment on, full scale being 1."""
        stride = _BYTES * self.channels
        with self.path.open("rb") as file:
            file.seek(round(start_seconds * self.sample_rate) * stride)
            raw = file.read(round(seconds * self.sample_rate) * stride)
        return array.array("f", raw)[channel :: self.channels]


def decode(programs: Path, source: Path, sample_rate: int, channels: int = 2) -> Pcm:
    """Decode with the ffmpeg in the folder `programs`, without any resampling or mixing."""
    destination = source.with_suffix(".f32")
    arguments = ["-nostdin", "-loglevel", "error", "-i", str(source), "-map", "0:a:0", "-f", "f32le", "-y"]
    subprocess.run([str(programs / "ffmpeg"), *arguments, str(destination)], check=True)
    return Pcm(destination, sample_rate, channels)
