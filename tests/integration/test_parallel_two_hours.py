"""Memory doesn't grow with the length: two hours through the whole engine, while they arrive."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.audio.programs import run_full_ffmpeg
from tests.bench.measuring import watched_memory
from tests.integration.test_parallel_encoding import pcm
from tests.integration.two_hours import SAMPLE_RATE, SECONDS

LIMIT_BYTES = 250 << 20
PROJECT = Path(__file__).resolve().parents[2]


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("encoders", [2, 6])
def test_two_hours_of_stereo_need_no_more_memory_than_minutes(encoders: int, tmp_path: Path) -> None:
    source, mp3 = tmp_path / "music.s16", tmp_path / "music.mp3"
    as_pcm = ("-f", "f32le", "-ar", str(SAMPLE_RATE), "-ac", "2", "-i", "pipe:0")
    run_full_ffmpeg(*as_pcm, "-f", "s16le", source, stdin=pcm())
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": os.pathsep.join(map(str, (PROJECT, PROJECT / "functions", PROJECT / "layers" / "shared"))),
        "AWS_DEFAULT_REGION": "eu-central-1",
    }

    command = [sys.executable, "-m", "tests.integration.two_hours", str(source), str(encoders), str(mp3)]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE)
    with process, watched_memory(process.pid) as peak:
        answer, _ = process.communicate()
    converted = json.loads(answer)

    print(f"\n{encoders} encoders: at most {peak[0] / 2**20:.1f} MiB")  # noqa: T201
    assert not converted["is_fallback"]
    assert not converted["warnings"]
    assert converted["result"]["duration_seconds"] == SECONDS
    assert converted["result"]["size_bytes"] == mp3.stat().st_size > SECONDS * 192_000 / 8
    assert peak[0] < LIMIT_BYTES
