"""Another judge than ffmpeg: libsndfile reads the source and the MP3, and arithmetic compares them."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import soundfile

from tests.audio.headers import Samples

MIN_CORRELATION = 0.99
MAX_LEVEL_OFF_DB = 0.1
RESULT_SAMPLE_RATE = 32_000


def read_with_libsndfile(content: bytes) -> tuple[Samples, int]:
    """All samples, from -1 to 1, and the sample rate in Hz. Raises :class:`soundfile.LibsndfileError`."""
    samples, sample_rate = soundfile.read(io.BytesIO(content), always_2d=True, dtype="float64")
    return samples, sample_rate


def resampled(samples: Samples, sample_rate: int, wanted: int) -> Samples:
    """Through the spectrum, exactly: no filter's idea of a pass band. For sounds that begin and end in silence."""
    if sample_rate == wanted:
        return samples
    count = round(len(samples) * wanted / sample_rate)
    padded = np.pad(samples, ((0, -len(samples) % sample_rate), (0, 0)))  # whole seconds are whole numbers at any rate
    seconds = len(padded) // sample_rate
    spectrum = np.fft.rfft(padded, axis=0)
    bins = seconds * wanted // 2 + 1
    spectrum = np.pad(spectrum[:bins], ((0, max(0, bins - len(spectrum))), (0, 0)))
    whole = np.fft.irfft(spectrum, n=seconds * wanted, axis=0) * wanted / sample_rate
    return np.asarray(whole[:count], np.float64)


def differences(reference: Samples, sample_rate: int, mp3: Path, *, sample_frames_off: int = 0) -> list[str]:
    """What in the MP3 is not as in ``reference``: length, correlation and level of every channel; [] if all is."""
    found, found_rate = read_with_libsndfile(mp3.read_bytes())
    wanted = resampled(reference, sample_rate, RESULT_SAMPLE_RATE)
    if found_rate != RESULT_SAMPLE_RATE or found.shape[1] != wanted.shape[1]:
        return [f"{found.shape[1]} channels at {found_rate} Hz instead of {wanted.shape[1]}"]
    wrong = []
    if abs(len(found) - len(wanted)) > sample_frames_off:
        wrong.append(f"{len(found)} sample frames instead of {len(wanted)}")
    length = min(len(found), len(wanted))
    for channel in range(wanted.shape[1]):
        mine, other = found[:length, channel], wanted[:length, channel]
        # No dot products: for those NumPy starts threads, which cost more than they save.
        common, energy = float(np.sum(mine * other)), float(np.sum(other * other))
        correlation = common / max(float(np.sqrt(energy * np.sum(mine * mine))), 1e-12)
        if correlation < MIN_CORRELATION:
            wrong.append(f"channel {channel}: correlation {correlation:.3f}")
        elif abs(level := 20 * float(np.log10(common / energy))) > MAX_LEVEL_OFF_DB:
            wrong.append(f"channel {channel}: {level:.2f} dB")
    return wrong
