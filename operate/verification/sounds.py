"""Files to convert, made here, and a look at what comes back: libsndfile is both."""

from __future__ import annotations

import io
import math
from array import array

import soundfile

SOURCE_RATE = 44_100
TONE_HZ = 440


def tone(seconds: float, container: str) -> bytes:
    """A quiet stereo tone of 44.1 kHz and 16 bits as "WAV" or "FLAC"."""
    period = SOURCE_RATE // math.gcd(SOURCE_RATE, TONE_HZ)  # sample frames after which the tone repeats
    one = array("h")
    for index in range(period):
        level = round(8000 * math.sin(2 * math.pi * TONE_HZ * index / SOURCE_RATE))
        one.extend((level, level))
    sample_frames = round(seconds * SOURCE_RATE)
    samples = (one * (sample_frames // period + 1))[: 2 * sample_frames]
    file = io.BytesIO()
    with soundfile.SoundFile(file, "w", SOURCE_RATE, 2, "PCM_16", format=container) as writer:
        writer.buffer_write(samples.tobytes(), "int16")
    return file.getvalue()


def broken(sound: bytes) -> bytes:
    """A FLAC file whose second half is noise of zeros: a whole header, and frames that no decoder accepts."""
    return sound[: len(sound) // 2] + bytes(len(sound) // 2)


def heard(content: bytes) -> tuple[str, int, int, float]:
    """Format, sample rate in Hz, channels and seconds of a file, by decoding it. Raises LibsndfileError."""
    with soundfile.SoundFile(io.BytesIO(content)) as reader:
        sample_frames = 0
        while block := len(reader.buffer_read(65_536, "int16")) // (2 * reader.channels):
            sample_frames += block
        return str(reader.format), reader.samplerate, reader.channels, sample_frames / reader.samplerate
