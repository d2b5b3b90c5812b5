"""A large result on a slow line: the window is as long as the download takes, and what broke off goes on."""

from __future__ import annotations

import hashlib
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.e2e.service import JSON, Service
from tests.e2e.slow_line import SlowLine
from tests.e2e.sounds import encode_mp3, song


def minutes_of_mp3(service: Service, folder: Path, minutes: int) -> Path:
    """An MP3 of constant bit rate that is passed through: one minute, again and again."""
    wav = song(folder / "minute.wav", seconds=60)
    bare = ["-ar", "32000", "-b:a", "192k", "-write_xing", "0", "-id3v2_version", "0"]
    minute = encode_mp3(service.programs, wav, folder / "minute.mp3", *bare).read_bytes()
    long = folder / "long.mp3"
    with long.open("wb") as file:
        for _ in range(minutes):
            file.write(minute)
    return long


@pytest.mark.parametrize(
    ("minutes", "bytes_per_second", "broken_after_seconds"),
    [
        pytest.param(4, 2_000_000, 1, id="6-MB"),
        pytest.param(
            118, 100_000, 360, id="170-MB-at-100-kB-per-second", marks=[pytest.mark.long, pytest.mark.timeout(3000)]
        ),
    ],
)
def test_a_download_that_broke_off_goes_on(
    service: Service,
    tmp_path: Path,
    minutes: int,
    bytes_per_second: int,
    broken_after_seconds: float,
    figure: Callable[[str], None],
) -> None:
    mp3 = minutes_of_mp3(service, tmp_path, minutes)
    job = service.create_job("long.mp3")
    service.send(job, mp3)
    result = service.ready(job["id"])["result"]
    assert result["passthrough"]
    saved = tmp_path / "saved.mp3"

    claim = service.request("POST", job["link"], headers={**JSON, "Prefer": "return=representation"}).json()
    url = claim["download"]["url"]
    service.remember(url)
    with SlowLine(service.stack.access.endpoint_url, bytes_per_second, 0.05).up() as line:
        to = f"{urlsplit(url).netloc}:127.0.0.1:{line.port}"
        command = ["curl", "-sS", "--fail", "--noproxy", "*", "--connect-to", to, "-C", "-", "-o", str(saved), url]
        started = time.monotonic()
        first = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        time.sleep(broken_after_seconds)
        line.cut_seconds = 0
        line.cut()
        assert first.wait() != 0
        there = saved.stat().st_size
        assert 0 < there < mp3.stat().st_size
        subprocess.run(command, check=True)
        seconds = time.monotonic() - started

    figure(
        f"download of {mp3.stat().st_size / 1e6:.1f} MB at {bytes_per_second / 1e3:.0f} kB/s,"
        f" broken at {there / 1e6:.1f} MB:"
        f" {seconds:.0f} s, {line.received_bytes / 1e6:.1f} MB received"
    )
    assert hashlib.sha256(saved.read_bytes()).digest() == hashlib.sha256(mp3.read_bytes()).digest()
    assert service.job(job["id"])["status"] == "claimed", "the window is longer than the download took"
    service.after_window(job["id"])
    mp3.unlink()
    saved.unlink()  # pytest keeps its folders for a while
    assert not [
        key for bucket in (service.uploads, service.results) for key in service.objects(bucket) if job["id"] in key
    ]
