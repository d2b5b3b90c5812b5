"""What is in a result: decoded with the ffmpeg that the service uses, measured with nothing but arithmetic."""

from __future__ import annotations

import array
import cmath
import json
import math
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Sound:
    """Decoded audio: ``channels`` holds one array of samples, full scale being 1, for each channel."""

    sample_rate: int
    channels: tuple[array.array[float], ...]

    @property
    def sample_frames(self) -> int:
        return len(self.channels[0])

    @property
    def seconds(self) -> float:
        return self.sample_frames / self.sample_rate

    def middle(self, channel: int = 0) -> array.array[float]:
        """The samples without the first and last tenth: the faded ends of a test tone are left out."""
        samples = self.channels[channel]
        margin = len(samples) // 10
        return samples[margin : len(samples) - margin]


def decode(path: Path) -> Sound:
    """Decode the first audio stream to 32-bit floats."""
    stream = streams(path)[0]
    command = ["ffmpeg", "-nostdin", "-loglevel", "error", "-i", str(path), "-map", "0:a:0", "-f", "f32le", "-"]
    raw = subprocess.run(command, capture_output=True, check=True).stdout
    samples, count = array.array("f", raw), int(stream["channels"])
    return Sound(int(stream["sample_rate"]), tuple(samples[index::count] for index in range(count)))


def streams(path: Path, kind: str = "audio") -> list[dict[str, Any]]:
    """ffprobe's streams of a kind."""
    return [stream for stream in probe(path)["streams"] if stream["codec_type"] == kind]


def tags(path: Path) -> dict[str, str]:
    """A file's tags, names in lower case."""
    found = probe(path)["format"].get("tags", {})
    return {name.lower(): value for name, value in found.items()}


def probe(path: Path) -> dict[str, Any]:
    """ffprobe's streams, format and chapters."""
    command = ["ffprobe", "-loglevel", "error", "-show_streams", "-show_format", "-show_chapters", "-of", "json"]
    answer: dict[str, Any] = json.loads(subprocess.run([*command, str(path)], capture_output=True, check=True).stdout)
    return answer


def tone_dbfs(samples: Sequence[float], frequency: float, sample_rate: int) -> float:
    """Peak level of the sine of ``frequency`` Hz in ``samples``, in dB of full scale, through a Hann window."""
    count = len(samples)
    turn = 2 * math.pi / count
    step = cmath.exp(-2j * math.pi * frequency / sample_rate)
    phasor, total = 1 + 0j, 0j
    for index, sample in enumerate(samples):
        total += (0.5 - 0.5 * math.cos(turn * index)) * sample * phasor
        phasor *= step
    return _decibels(4 * abs(total) / count)


def rms_dbfs(samples: Sequence[float]) -> float:
    """RMS level in dB, a full-scale sine being -3 dB."""
    return _decibels(math.sqrt(math.fsum(sample * sample for sample in samples) / len(samples)))


def peak(samples: Sequence[float]) -> float:
    return max(map(abs, samples))


def _decibels(amplitude: float) -> float:
    return 20 * math.log10(amplitude) if amplitude > 0 else -math.inf
