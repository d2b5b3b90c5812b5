"""Files to upload that are made once a session."""

from __future__ import annotations

import subprocess
import wave
from pathlib import Path

from pydub import AudioSegment
from pydub.generators import Sine

SAMPLE_RATE = 44_100
_BLOCK_MILLISECONDS = 10  # 441 sample frames: whole periods of every multiple of 100 Hz, so that blocks join


def tone(seconds: float, frequency: int, left_dbfs: float, right_dbfs: float | None = None) -> AudioSegment:
    """A stereo sine of a multiple of 100 Hz, its peak at the given levels."""
    left, right = (
        Sine(frequency, sample_rate=SAMPLE_RATE, bit_depth=16).to_audio_segment(_BLOCK_MILLISECONDS, volume=level)
        for level in (left_dbfs, left_dbfs if right_dbfs is None else right_dbfs)
    )
    return AudioSegment.from_mono_audiosegments(left, right) * round(1000 * seconds / _BLOCK_MILLISECONDS)


def write_wav(path: Path, sound: AudioSegment, extra_sample_frames: int = 0) -> Path:
    """Write a WAV; `extra_sample_frames` of silence make its length an odd one."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(sound.channels)
        file.setsampwidth(sound.sample_width)
        file.setframerate(sound.frame_rate)
        file.writeframes(sound.raw_data)
        file.writeframes(bytes(extra_sample_frames * sound.channels * sound.sample_width))
    return path


def song(path: Path, seconds: float = 1.0, frequency: int = 1000) -> Path:
    """A short WAV."""
    return write_wav(path, tone(seconds, frequency, -12))


def encode_mp3(programs: Path, source: Path, destination: Path, *arguments: str) -> Path:
    """Encode a file to MP3 with the ffmpeg in the folder `programs`."""
    quiet = ["-nostdin", "-loglevel", "error", "-y", "-i", str(source)]
    subprocess.run([str(programs / "ffmpeg"), *quiet, "-c:a", "libmp3lame", *arguments, str(destination)], check=True)
    return destination
