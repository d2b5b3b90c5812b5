"""Whether a QuickTime file stores PCM whose samples do not fill their bytes, such as 24 bits in four.

Its sample description tells bits and bytes, and ffmpeg goes by the bits alone, where each track's packets end too:
what comes out is noise.

Standard: QuickTime File Format, Sound Sample Description (Version 2).
"""

from __future__ import annotations

from resample.formats.mp4_boxes import Box, Boxes
from resample.formats.reader import Reader

_VERSION_OFFSET, _CHANNELS_OFFSET, _BITS_OFFSET, _PACKET_BYTES_OFFSET = 8, 40, 48, 56


def has_padded_samples(read: Reader, size_bytes: int, start: int) -> bool:
    """Whether a PCM track has more bytes a sample than its bits need."""
    boxes = Boxes(read, size_bytes, start)
    return any(entry.name == b"lpcm" and _is_padded(boxes, entry) for entry in boxes.sample_entries())


def _is_padded(boxes: Boxes, entry: Box) -> bool:
    if boxes.number(entry, _VERSION_OFFSET, 2) != 2:
        return False
    channels, bits, packet_bytes = (
        boxes.number(entry, offset, 4) for offset in (_CHANNELS_OFFSET, _BITS_OFFSET, _PACKET_BYTES_OFFSET)
    )
    return packet_bytes > channels * ((bits + 7) // 8) > 0
