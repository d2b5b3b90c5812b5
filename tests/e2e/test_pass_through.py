"""A file that already is what was asked for comes back as it is, and is hardly looked at."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from tests.e2e import sounds
from tests.e2e.service import Service

BIG_BYTES = 100_000_000
FEW_BYTES = 1_000_000


@pytest.fixture(scope="module")
def small(service: Service, files: Path) -> Path:
    """A 32 kHz MP3 with tags and an Info frame."""
    song = sounds.song(files / "for-mp3.wav", seconds=3)
    options = ("-ar", "32000", "-b:a", "128k", "-metadata", "title=A song", "-id3v2_version", "3", "-write_id3v1", "1")
    return sounds.encode_mp3(service.programs, song, files / "small.mp3", *options)


@pytest.fixture(scope="module")
def big(service: Service, files: Path) -> Path:
    """100 MB of 32 kHz MP3, 41 minutes: ten seconds again and again, frames that need no other."""
    song = sounds.song(files / "for-big-mp3.wav", seconds=10)
    options = ("-ar", "32000", "-b:a", "320k", "-reservoir", "0", "-write_xing", "0", "-id3v2_version", "0")
    part = sounds.encode_mp3(service.programs, song, files / "part.mp3", *options).read_bytes()
    path = files / "big.mp3"
    with path.open("wb") as file:
        for _ in range(-(-BIG_BYTES // len(part))):
            file.write(part)
    return path


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@pytest.mark.parametrize("through_api", [True, False], ids=["api", "direct"])
def test_a_32_khz_mp3_comes_back_byte_for_byte(
    service: Service, small: Path, tmp_path: Path, through_api: bool
) -> None:
    if through_api:
        created = service.create_job("small.mp3")
        service.send(created, small)
        job, link = service.ready(created["id"]), created["link"]
    else:
        job = service.put("small.mp3", small)
        link = service.event_of(job["id"])["detail"]["link"]

    result = service.fetch(link, tmp_path / "result.mp3")

    assert sha256(result) == sha256(small)
    assert job["result"]["passthrough"] is True
    assert job["result"]["duration_seconds"] == 3
    assert job["source"]["size_bytes"] == job["result"]["size_bytes"] == small.stat().st_size


def test_of_a_32_khz_mp3_of_100_mb_less_than_1_mb_is_read(service: Service, big: Path, tmp_path: Path) -> None:
    size_bytes = big.stat().st_size

    with service.to_s3.counted() as traffic:
        job = service.put("big.mp3", big)
        service.finished(job["id"])

    result = service.fetch(service.event_of(job["id"])["detail"]["link"], tmp_path / "result.mp3")
    assert size_bytes >= BIG_BYTES
    assert job["result"]["passthrough"] is True
    assert job["result"]["size_bytes"] == size_bytes
    assert sha256(result) == sha256(big)
    assert 10_000 < traffic.received_bytes < FEW_BYTES, "nothing at all would mean that the relay was not asked"
    assert traffic.sent_bytes < FEW_BYTES


def test_the_relay_counts_what_has_to_be_read(service: Service, files: Path, tmp_path: Path) -> None:
    """The measurement above would notice a whole file."""
    song = sounds.song(files / "counted.wav", seconds=10)

    with service.to_s3.counted() as traffic:
        job = service.put("counted.wav", song)
        service.finished(job["id"])

    service.fetch(service.event_of(job["id"])["detail"]["link"], tmp_path / "result.mp3")
    assert traffic.received_bytes > song.stat().st_size
    assert traffic.sent_bytes > job["result"]["size_bytes"]


def test_a_32_khz_mp3_is_encoded_anew_where_another_bit_rate_is_asked_for(service: Service, small: Path) -> None:
    job = service.put("small-but-64.mp3", small, **{"bit-rate": "64000"})

    assert job["result"]["passthrough"] is False
    assert job["result"]["bit_rate"] == 64_000
    service.delete(job["id"])
