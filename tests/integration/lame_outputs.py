"""What lame-frames makes of one sound at every rate that it has: the fingerprint of the LAME in the layer.

The sound is made of integers alone, so it is the same on every machine. `python -m tests.integration.lame_outputs
NAME LAME_FRAMES...` prints the digests, to be put into lame_outputs.json under that name, of the outputs of a program
(with an emulator before it, where it is for another processor).
"""

from __future__ import annotations

import array
import hashlib
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import islice
from pathlib import Path

TABLE = Path(__file__).with_suffix(".json")

BIT_RATES_KBPS = {
    "MPEG-1": (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    "MPEG-2": (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    "MPEG-2.5": (8, 16, 24, 32, 40, 48, 56, 64),
}
SAMPLE_RATES = {
    "MPEG-1": (48_000, 44_100, 32_000),
    "MPEG-2": (24_000, 22_050, 16_000),
    "MPEG-2.5": (12_000, 11_025, 8_000),
}
VBR_QUALITIES = range(10)

FULL_SCALE = 1 << 15
PART_SAMPLE_FRAMES = 14 * 1152


def cases() -> Iterator[tuple[int, int, str]]:
    """Sample rate, channels and rate, as lame-frames takes them."""
    for version, sample_rates in SAMPLE_RATES.items():
        rates = [f"{1000 * kbps}" for kbps in BIT_RATES_KBPS[version]] + [f"v{quality}" for quality in VBR_QUALITIES]
        for sample_rate in sample_rates:
            for channels in (1, 2):
                yield from ((sample_rate, channels, rate) for rate in rates)


@cache
def sound(channels: int) -> bytes:
    """Tones, noise, beats, silence, clicks, a crescendo beyond full scale: 32-bit float PCM, one part after the other.

    What goes to one side and what to both changes from part to part, so that joint stereo has both to do.
    """
    left: list[int] = []
    right: list[int] = []
    noise = _noise()
    for part in range(8):
        for index in range(PART_SAMPLE_FRAMES):
            near, far = _part(part, index, next(noise))
            left.append(near)
            right.append(far)
    mixed = left if channels == 1 else [sample for pair in zip(left, right, strict=True) for sample in pair]
    pcm = array.array("f", [sample / FULL_SCALE for sample in mixed])
    if sys.byteorder == "big":
        pcm.byteswap()
    return pcm.tobytes()


def _part(part: int, index: int, noise: int) -> tuple[int, int]:
    """One sample of both sides, full scale being 2**15."""
    fading = PART_SAMPLE_FRAMES - index
    match part:
        case 0:  # a chord of tones with many harmonics
            chord = _saw(index, 301) + _saw(index, 377) + _saw(index, 449)
            return chord >> 3, chord >> 3
        case 1:  # noise, another tone on each side
            return (noise >> 3) + (_saw(index, 97) >> 2), (noise >> 4) - (_saw(index, 61) >> 3)
        case 2:  # beats that die away
            beat = noise * max(0, 1500 - index % 2304) // 1500
            return beat, beat * 3 // 4
        case 3:  # almost silence, then silence
            return (noise >> 13, 0) if index < PART_SAMPLE_FRAMES // 2 else (0, 0)
        case 4:  # single clicks in a quiet tone
            click = FULL_SCALE - 1 if index % 3001 == 0 else 0
            return click + (_saw(index, 150) >> 6), _saw(index, 150) >> 6
        case 5:  # out of phase
            tone = _saw(index * index >> 9, 1024)
            return tone >> 1, -(tone >> 1)
        case 6:  # one side only, fading
            return (_saw(index, 523) + (noise >> 2)) * fading // (2 * PART_SAMPLE_FRAMES), 0
        case _:  # beyond full scale
            loud = (_saw(index, 211) + (noise >> 1)) * index // (PART_SAMPLE_FRAMES // 4)
            return loud, loud - (noise >> 5)


def _saw(index: int, period: int) -> int:
    """From -2**15 to 2**15 in `period` samples of 8, so that periods need not be whole samples."""
    return 2 * FULL_SCALE * (8 * index % period) // period - FULL_SCALE


def _noise() -> Iterator[int]:
    """White noise within 2**15: a linear congruential generator (Knuth's MMIX)."""
    state = 1
    while True:
        state = (6364136223846793005 * state + 1442695040888963407) % (1 << 64)
        yield (state >> 48) - FULL_SCALE


def digests(lame_frames: Sequence[str | Path], *, step: int = 1) -> dict[str, str]:
    """The beginning of the SHA-256 of each output (or of every `step`-th), by "SAMPLE_RATE CHANNELS RATE"."""

    def digest(case: tuple[int, int, str]) -> tuple[str, str]:
        sample_rate, channels, rate = case
        command = [*map(str, lame_frames), str(sample_rate), str(channels), rate]
        done = subprocess.run(command, input=sound(channels), capture_output=True, check=True)
        return f"{sample_rate} {channels} {rate}", hashlib.sha256(done.stdout).hexdigest()[:16]

    with ThreadPoolExecutor(2) as pool:
        return dict(pool.map(digest, islice(cases(), 0, None, step)))


def expected() -> Mapping[str, Mapping[str, str]]:
    """By the flags that LAME was compiled with: the digests by case, `gcc`, and the `processor` they were made on."""
    return dict(json.loads(TABLE.read_text()))


if __name__ == "__main__":
    name, *program = sys.argv[1:]
    sys.stdout.write(json.dumps({name: digests(program)}, indent=1) + "\n")
