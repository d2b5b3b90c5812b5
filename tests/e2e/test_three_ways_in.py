"""Direct upload, API, and invocation: each as the README tells a user to go."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.e2e import sounds
from tests.e2e.figures import mpeg_headers
from tests.e2e.service import EXAMPLE_EVENT, Service


@pytest.fixture(scope="module")
def song(files: Path) -> Path:
    return sounds.song(files / "song.wav", seconds=2)


def test_a_direct_upload_is_announced_with_its_link(service: Service, song: Path, tmp_path: Path) -> None:
    key = "albums/first album/song (live).wav"

    service.aws("s3", "cp", song, f"s3://{service.uploads}/{key}")
    [job] = service.appeared(key)
    event = service.event_of(job["id"])

    assert event["source"] == "audio-resampler"
    assert event["detail-type"] == "Job Ready"
    assert event["detail"]["upload_key"] == key
    assert event["detail"]["upload_bucket"] == service.uploads
    assert event["detail"]["job"]["status"] == "ready"
    assert list(service.objects(service.results, key)) == [f"{key}/{job['id']}.mp3"]
    assert not service.objects(service.uploads, key), "the original goes right after success"
    assert_mp3_of_two_seconds(job, service.fetch(event["detail"]["link"], tmp_path / "result.mp3"))


@pytest.mark.parametrize(
    "key",
    [
        "Größe – 1+1=2 & 50% (ü).wav",
        "no-suffix",
        "doubled//slash/.wav",
        "jobs/not-an-id.wav",
        "long/" + "ü" * 500 + ".wav",
    ],
    ids=lambda key: key[:20],
)
def test_any_key_will_do(service: Service, song: Path, tmp_path: Path, key: str) -> None:
    job = service.put(key, song)
    event = service.event_of(job["id"])

    url = service.claim(event["detail"]["link"])

    assert event["detail"]["upload_key"] == key
    assert job["filename"] == key.rpartition("/")[2]
    assert_mp3_of_two_seconds(job, save(service, url, tmp_path))


def test_an_api_job_from_curl_alone(service: Service, song: Path, tmp_path: Path) -> None:
    access = service.stack.access
    signed = ["--user", f"{access.access_key_id}:{access.secret_access_key}"]
    signed += ["--aws-sigv4", f"aws:amz:{access.region}:execute-api"]
    jobs = f"{access.api_url}/jobs"

    body = ["-H", "Content-Type: application/json", "-d", '{"filename": "song.wav"}']
    created = json.loads(service.curl(*signed, jobs, *body))
    service.remember(created["link"], created["upload"]["url"])
    before = json.loads(service.curl(*signed, f"{jobs}/{created['id']}"))
    service.curl("--fail", "-T", song, created["upload"]["url"])
    service.ready(created["id"])
    service.curl("--fail", "-LOJ", "-d", "", created["link"], folder=tmp_path)
    again = service.curl("-o", "again", "-w", "%{http_code}", "-LOJ", "-d", "", created["link"], folder=tmp_path)

    assert before["status"] == "awaiting-upload"
    assert again == "410"
    assert_mp3_of_two_seconds(service.job(created["id"]), tmp_path / "song.32k.mp3")
    service.after_window(created["id"])


def test_an_api_job_with_any_http_client(service: Service, song: Path, tmp_path: Path) -> None:
    created = service.create_job("my song.wav", size_bytes=song.stat().st_size)
    service.send(created, song)

    job = service.ready(created["id"])
    path = service.fetch(created["link"], tmp_path / "result.mp3")

    assert job["filename"] == "my song.wav"
    assert_mp3_of_two_seconds(job, path)
    event = service.event_of(job["id"])
    assert event["detail"]["link"] is None, "an API job's link is known to its creator alone"


def test_an_invocation_with_an_event_returns_the_job_and_its_link(service: Service, song: Path, tmp_path: Path) -> None:
    event = json.loads(EXAMPLE_EVENT.read_text())
    key = "recordings/my first song (take 1).wav"  # as the example event has it, URL-encoded
    with service.without_notifications():
        service.s3.upload_file(str(song), service.uploads, key)

        job = service.invoke(event)

    assert job["status"] == "ready"
    assert job["filename"] == "my first song (take 1).wav"
    assert_mp3_of_two_seconds(job, service.fetch(job["link"], tmp_path / "result.mp3"))


def save(service: Service, url: str, folder: Path) -> Path:
    """What curl makes of a presigned URL; its one file."""
    service.curl("--fail", "-OJ", url, folder=folder)
    [path] = folder.iterdir()
    assert path.name.endswith(".32k.mp3")
    return path


def assert_mp3_of_two_seconds(job: dict[str, Any], path: Path) -> None:
    content = path.read_bytes()
    headers = list(mpeg_headers(content))
    assert {header.sample_rate for header in headers} == {32_000}
    assert job["source"] == {
        "container": "wav",
        "codec": "pcm_s16le",
        "sample_rate": 44_100,
        "channels": 2,
        "duration_seconds": 2,
        "size_bytes": 352_844,
    }
    assert job["result"] == {
        "sample_rate": 32_000,
        "bit_rate": 192_000,
        "channels": 2,
        "duration_seconds": 2,
        "size_bytes": len(content),
        "passthrough": False,
    }
    assert (job["progress"], job["warnings"], job["error"]) == (1, [], None)
