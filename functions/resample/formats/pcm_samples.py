"""How PCM samples are stored, where the header leaves that open, and whether they are samples at all.

A sample of 24 bits in 4 bytes stands at their upper end, says Microsoft; some recorders put it at the lower end. And
what a header calls 16-bit stereo may be DTS, or the frames of an S/PDIF cable with AC-3 in them: played as samples,
that is noise at full scale. Only the samples tell.

Standards: IEC 61937-1 (bursts on S/PDIF), ETSI TS 102 114 (DTS core frames).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from resample.formats.reader import Reader

_WINDOW_BYTES = 131_072
_PLAIN_BYTES = 8192
_PLACES = 16
_PLACE_BYTES = 16_384
_BLOCK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class PcmSamples:
    """``size_bytes`` of PCM from ``offset`` on; each sample has ``bits`` in ``width`` bytes."""

    offset: int
    size_bytes: int
    channels: int
    width: int
    bits: int
    is_float: bool
    is_big_endian: bool

    @property
    def decoder(self) -> str | None:
        """ffmpeg's decoder for samples with unused bits, which it would read as narrower ones; ``None`` for others."""
        if self.width == (self.bits + 7) // 8:
            return None
        if self.width == 1:
            return "pcm_u8"
        return f"pcm_{'f' if self.is_float else 's'}{8 * self.width}{'be' if self.is_big_endian else 'le'}"

    @property
    def unused_bits(self) -> int:
        return max(0, 8 * self.width - self.bits)


def right_justified_gain(read: Reader, samples: PcmSamples) -> int:
    """What to multiply samples with whose bits stand at the lower end of their bytes; 1 for all others.

    They do if everywhere the bits above are copies of the sign, and the lowest ones are in use.
    """
    unused = samples.unused_bits
    if samples.is_float or samples.width == 1 or not unused:
        return 1
    half = 1 << samples.bits - 1
    order: Literal["big", "little"] = "big" if samples.is_big_endian else "little"
    is_low_end_used = False
    for piece in _pieces(read, samples):
        for at in range(0, len(piece) - samples.width + 1, samples.width):
            value = int.from_bytes(piece[at : at + samples.width], order, signed=True)
            if not -half <= value < half:
                return 1
            is_low_end_used = is_low_end_used or bool(value & (1 << unused) - 1)
    return 1 << unused if is_low_end_used else 1


def _pieces(read: Reader, samples: PcmSamples) -> Iterator[bytes]:
    """Whole samples from places all over the file, the first that are not zero among them."""
    frame_bytes = samples.width * samples.channels
    first = first_sound(read, samples)
    if first is None:
        return
    yield read(first, _PLACE_BYTES // samples.width * samples.width)
    step = max(_PLACE_BYTES, samples.size_bytes // _PLACES) // frame_bytes * frame_bytes
    end = samples.offset + samples.size_bytes
    for place in range(first, end, max(frame_bytes, step)):
        yield read(place, min(_PLACE_BYTES, end - place) // samples.width * samples.width)


def is_plain(read: Reader, samples: PcmSamples) -> bool:
    """Whether the beginning of a file, which ``read`` is limited to, tells all that there is to know of its samples."""
    if samples.unused_bits and samples.width > 1:
        return False
    start = first_sound(read, samples)
    return start is not None and len(read(start, _PLAIN_BYTES)) == _PLAIN_BYTES


def first_sound(read: Reader, samples: PcmSamples) -> int | None:
    """Where the first sample frame stands that is not digital silence; ``None`` if there is none."""
    frame_bytes = samples.width * samples.channels
    for start in range(samples.offset, samples.offset + samples.size_bytes, _BLOCK_BYTES):
        block = read(start, min(_BLOCK_BYTES, samples.offset + samples.size_bytes - start))
        if not block:
            return None
        zeros = len(block) - len(block.lstrip(b"\0"))
        if zeros < len(block):
            return samples.offset + (start + zeros - samples.offset) // frame_bytes * frame_bytes
    return None


# IEC 61937-2: the data type in the five lowest bits of the third word.
_BURSTS = {
    1: "AC-3",
    **dict.fromkeys((4, 5, 6, 8, 9, 10), "MPEG audio"),
    **dict.fromkeys((7, 19, 20), "AAC"),
    **dict.fromkeys((11, 12, 13), "DTS"),
    **dict.fromkeys((14, 15, 16), "ATRAC"),
    17: "DTS-HD",
    18: "WMA",
    21: "E-AC-3",
    22: "Dolby TrueHD",
}
_PREAMBLE = re.compile(rb"\xf8\x72\x4e\x1f")
# The sync word, then: a normal frame (1 bit), 32 samples in its last block (5 bits). In 16-bit and 14-bit words.
_DTS = (re.compile(rb"\x7f\xfe\x80\x01[\xfc-\xff]"), re.compile(rb"\x1f\xff\xe8\x00\x07[\xf0-\xff]"))
_DTS_FRAMES_NEEDED = 3


def coded_sound(read: Reader, samples: PcmSamples) -> str | None:
    """The name of the coding, where what looks like samples is compressed sound; ``None`` for real samples."""
    if samples.is_float or samples.width == 1:
        return None
    start = first_sound(read, samples)
    if start is None:
        return None
    size = min(_WINDOW_BYTES // 2 * samples.width, samples.offset + samples.size_bytes - start)
    words = _upper_words(read(start, size), samples)
    bursts = [match.start() for match in _PREAMBLE.finditer(words) if not match.start() % 2]
    if len(bursts) >= 2:
        kinds = {_BURSTS.get(words[at + 5] & 31) for at in bursts if at + 5 < len(words)} - {None}
        if kinds:
            return f"{min(map(str, kinds))} in S/PDIF frames"
    for pattern in _DTS:
        found = [match.start() for match in pattern.finditer(words) if not match.start() % 2]
        if len(found) >= _DTS_FRAMES_NEEDED:
            steps = {second - first for first, second in pairwise(found)}
            if max(steps) - min(steps) <= 4:
                return "DTS"
    return None


def _upper_words(data: bytes, samples: PcmSamples) -> bytes:
    """The upper 16 bits of each sample, big-endian."""
    width = samples.width
    data = data[: len(data) // width * width]
    upper, lower = (0, 1) if samples.is_big_endian else (width - 1, width - 2)
    words = bytearray(len(data) // width * 2)
    words[0::2], words[1::2] = data[upper::width], data[lower::width]
    return bytes(words)
