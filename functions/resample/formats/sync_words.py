"""Raw streams of coded sound, which have no header of their own: each block begins with a few known bits.

Standards: ETSI TS 102 366 (AC-3 and E-AC-3), ETSI EN 300 961 (GSM 06.10).
"""

from __future__ import annotations

_AC3_KILOBITS = (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 448, 512, 576, 640)
_AC3_SAMPLE_RATES = (48_000, 44_100, 32_000)
_AC3_SAMPLE_FRAMES = 1536

_GSM_BYTES = 33
_GSM_BLOCKS_NEEDED = 12  # half a byte each: by chance that happens once in 10^14 files


def ac3_bytes(data: bytes, offset: int, *, is_enhanced: bool) -> int | None:
    """Length of the AC-3 or (``is_enhanced``) E-AC-3 block at ``offset``; ``None`` if there is none."""
    header = data[offset : offset + 6]
    if len(header) < 6 or header[:2] != b"\x0b\x77" or (header[5] >> 3 > 10) != is_enhanced or header[5] >> 3 > 16:
        return None
    if is_enhanced:
        length = 2 * (((header[2] & 7) << 8 | header[3]) + 1)
        return length if length > 6 else None
    rate, size = header[4] >> 6, header[4] & 63
    if rate == 3 or size >= 2 * len(_AC3_KILOBITS):
        return None
    words = _AC3_KILOBITS[size // 2] * 1000 * _AC3_SAMPLE_FRAMES // (16 * _AC3_SAMPLE_RATES[rate])
    return 2 * (words + (size & 1 if rate == 1 else 0))


def is_gsm(head: bytes) -> bool:
    """Whether every 33rd byte begins with the four bits that GSM 06.10 blocks begin with."""
    firsts = head[::_GSM_BYTES]
    return len(firsts) >= _GSM_BLOCKS_NEEDED and all(byte >> 4 == 0xD for byte in firsts)
