"""The two commands of the README, typed as a newcomer types them."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest
import requests

from tests.audio import synth
from tests.audio.measure import streams
from tests.runtime.artefacts import size_bytes

PROJECT = Path(__file__).resolve().parents[2]
STACK_FILE = PROJECT / ".local" / "stack.json"
ENVIRONMENT_FILE = PROJECT / ".local" / "env"
S3CMD_CONFIG = PROJECT / ".local" / "s3cfg"
SAMPLE = PROJECT / ".local" / "sample.wav"
SECONDS_ALLOWED = 300.0
PACKAGES_BUDGET_BYTES = 150_000_000


@pytest.fixture
def environment() -> dict[str, str]:
    """Without what an outer make tells an inner one, and without the options of the image."""
    ours = ("MAKE", "MFLAGS", "SERVE_OPTIONS")
    return {name: value for name, value in os.environ.items() if not name.startswith(ours)}


def make_run(audio: Path, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["make", "run", f"AUDIO={audio}"],
        cwd=PROJECT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=SECONDS_ALLOWED,
    )


def test_make_run_goes_the_whole_way(tmp_path: Path, environment: dict[str, str]) -> None:
    song = synth.write(tmp_path / "my song.flac", seconds=3)

    done = make_run(song, environment)

    assert done.returncode == 0, done.stdout + done.stderr
    assert streams(tmp_path / "my song.32k.mp3")[0]["sample_rate"] == "32000"
    assert "refused: 410" in done.stdout
    assert "0 objects in the upload bucket, 0 in the result bucket" in done.stdout
    last = done.stdout.rstrip().splitlines()[-1]
    assert str(tmp_path / "my song.32k.mp3") in last
    assert re.search(r"0:03 of audio at \d+ times real time$", last)
    assert "\x1b" not in done.stdout, "no colours and no bars where there is no terminal"
    assert "WARNING" not in done.stderr
    assert size_bytes(PROJECT / ".venv-run") < PACKAGES_BUDGET_BYTES


def test_make_run_tells_why_a_file_is_not_taken(tmp_path: Path, environment: dict[str, str]) -> None:
    letter = tmp_path / "letter.wav"
    letter.write_text("Dear reader, this is no music.\n" * 100)

    done = make_run(letter, environment)

    assert done.returncode != 0
    assert "unsupported-format" in done.stdout + done.stderr
    assert list(tmp_path.iterdir()) == [letter]


def in_another_shell(command: str) -> str:
    """What a command prints that is typed in the project's folder; PATH has nothing of the project."""
    environment = {"PATH": "/usr/local/bin:/usr/bin:/bin"}
    return subprocess.run(
        ["bash", "-c", command], cwd=PROJECT, env=environment, stdout=subprocess.PIPE, text=True, check=True
    ).stdout


def test_make_serve_stays_until_it_is_interrupted(environment: dict[str, str]) -> None:
    for file in (STACK_FILE, ENVIRONMENT_FILE, SAMPLE):
        file.unlink(missing_ok=True)

    serving = subprocess.Popen(
        ["make", "serve"], cwd=PROJECT, env=environment, stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        deadline = time.monotonic() + SECONDS_ALLOWED
        while not ENVIRONMENT_FILE.exists():
            assert serving.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.1)
        access = json.loads(STACK_FILE.read_text())
        contract = requests.get(f"{access['api_url']}/openapi.json", timeout=SECONDS_ALLOWED)
        listed = in_another_shell('source .local/env && aws s3 ls "s3://$UPLOADS" && echo "$API"')
    finally:
        os.killpg(serving.pid, signal.SIGINT)
        printed, _ = serving.communicate(timeout=SECONDS_ALLOWED)

    assert contract.json()["openapi"].startswith("3.1")
    assert f"{access['api_url']}/d/" in printed
    assert streams(SAMPLE)[0]["codec_name"] == "pcm_s16le"
    assert listed.strip() == access["api_url"]
    assert not STACK_FILE.exists()
    assert not ENVIRONMENT_FILE.exists()
    assert not S3CMD_CONFIG.exists()
