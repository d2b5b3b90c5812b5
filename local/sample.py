"""A little music for those who have no audio at hand: a chord with a soft attack and end, as a WAV file."""

from __future__ import annotations

import array
import math
import sys
import wave
from pathlib import Path

SAMPLE_RATE = 44100
CHORD = (220.0, 277.18, 329.63, 440.0)  # A major, Hz
FADE_SECONDS = 0.25


def write_sample(path: Path, seconds: float = 8.0) -> Path:
    """Write a 16-bit stereo WAV at 44.1 kHz; the chord sways between left and right. Returns `path`."""
    samples = array.array("h")
    total = int(seconds * SAMPLE_RATE)
    for index in range(total):
        moment = index / SAMPLE_RATE
        envelope = min(1.0, moment / FADE_SECONDS, (seconds - moment) / FADE_SECONDS)
        tone = sum(math.sin(2 * math.pi * frequency * moment) for frequency in CHORD) / len(CHORD)
        sway = 0.5 + 0.3 * math.sin(math.pi * moment / 2)
        for gain in (sway, 1 - sway):
            samples.append(round(envelope * gain * tone * 32767))
    if sys.byteorder == "big":
        samples.byteswap()
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE)
        file.writeframes(samples.tobytes())
    return path
