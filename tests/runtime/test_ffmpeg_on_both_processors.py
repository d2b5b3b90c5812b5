"""The same file in, the same facts out: ffmpeg for arm64 against the one for x86_64.

Decoders and the resampler have assembly of their own for each processor, and LAME is compiled with other flags. The
program that is not for this machine's processor runs under qemu.
"""

from __future__ import annotations

import array
import json
import math
import platform
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.audio.synth import write
from tests.integration import lame_outputs
from tests.runtime.artefacts import SAM_BUILDS

MACHINES = {"x86_64": "x86_64", "arm64": "aarch64"}
SECONDS = 2.0
SUFFIXES = [".wav", ".mp3", ".flac", ".ogg", ".opus", ".m4a"]


def layer(architecture: str) -> Path:
    return SAM_BUILDS[architecture] / "FfmpegLayer"


def command(architecture: str, program: str) -> list[str]:
    """How to run a program of a layer here."""
    path = layer(architecture) / "bin" / program
    machine = MACHINES[architecture]
    if platform.machine() == machine:
        return [str(path)]
    emulator = shutil.which(f"qemu-{machine}-static") or shutil.which(f"qemu-{machine}")
    assert emulator, f"qemu-{machine} is missing; `make emulator-arm64` installs it"
    return [emulator, str(path)]


@dataclass(frozen=True, slots=True)
class Facts:
    stream: dict[str, str]
    """What ffprobe says of the MP3."""
    pcm: array.array[float]
    """The MP3 decoded, channels interleaved, full scale being 1."""


def converted(architecture: str, source: Path, folder: Path) -> Facts:
    """Convert, decode and probe with one processor's programs."""
    mp3 = folder / f"{architecture}.mp3"
    quiet = ["-nostdin", "-v", "error", "-y"]
    soxr = ["-af", "aresample=resampler=soxr:precision=28", "-ar", "32000", "-b:a", "192k"]
    ffmpeg = command(architecture, "ffmpeg")
    subprocess.run([*ffmpeg, *quiet, "-i", source, "-map", "0:a:0", *soxr, mp3], check=True)
    entries = "stream=codec_name,sample_rate,channels,bit_rate,duration"
    shown = [*command(architecture, "ffprobe"), "-v", "error", "-show_entries", entries, "-of", "json", str(mp3)]
    stream = json.loads(subprocess.run(shown, capture_output=True, check=True).stdout)["streams"][0]
    raw = subprocess.run([*ffmpeg, *quiet, "-i", mp3, "-f", "f32le", "-"], capture_output=True, check=True).stdout
    return Facts(stream, array.array("f", raw))


def rms(samples: list[float] | array.array[float]) -> float:
    return math.sqrt(math.fsum(sample * sample for sample in samples) / len(samples))


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_same_rate_length_and_level(suffix: str, tmp_path: Path) -> None:
    source = write(tmp_path / f"tone{suffix}", SECONDS)

    ours, theirs = (converted(architecture, source, tmp_path) for architecture in SAM_BUILDS)

    assert ours.stream == theirs.stream
    assert ours.stream["sample_rate"] == "32000"
    assert len(ours.pcm) == len(theirs.pcm)
    level = 20 * math.log10(rms(ours.pcm) / rms(theirs.pcm))
    assert abs(level) < 0.01, f"levels differ by {level:.3f} dB"
    difference = rms([left - right for left, right in zip(ours.pcm, theirs.pcm, strict=True)])
    assert difference < 0.001 * rms(ours.pcm), "the sound itself differs by more than -60 dB"


def test_lame_for_arm64_writes_the_bytes_of_the_slower_lame() -> None:
    """Every twelfth of the outputs that are compared on x86_64: an emulator takes its time."""
    lines = (layer("arm64") / "share/ffmpeg-layer/versions.txt").read_text().splitlines()
    built = dict(line.split(" ", 1) for line in lines)
    table = lame_outputs.expected()[built["lame_flags"]]
    if built["gcc"] != table["gcc"]:
        pytest.skip(f"the table was made with gcc {table['gcc']}, this LAME with {built['gcc']}")

    found = lame_outputs.digests(command("arm64", "lame-frames"), step=12)

    assert len(found) == 33
    assert found == {case: table[case] for case in found}
