"""Uploads with what people have at hand: wget for a presigned URL, rclone and s3cmd for the bucket itself.

The two sync clients see the emulator at one address, so buckets are parts of the path here. Everything else, the
signatures too, is as with AWS.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

from tests.e2e import sounds
from tests.e2e.service import Job, Service

EVENT_SCHEMA = json.loads((Path(__file__).resolve().parents[2] / "docs" / "events.schema.json").read_text())
PART_BYTES = 5 * 1024 * 1024
"""The smallest part that S3 takes, but for the last."""


@pytest.fixture(scope="module")
def song(files: Path) -> Path:
    return sounds.song(files / "client.wav", seconds=2)


@pytest.fixture(scope="module")
def long_song(files: Path) -> Path:
    """Longer than a part of a multipart upload."""
    path = sounds.song(files / "client-long.wav", seconds=32)
    assert PART_BYTES < path.stat().st_size < 2 * PART_BYTES
    return path


def run(folder: Path, program: str, *arguments: str | Path, **environment: str) -> None:
    """Run a client of Debian's in a folder, without any settings of the user's."""
    path = shutil.which(program)
    if path is None:
        pytest.skip(f"{program} is not installed")
    done = subprocess.run(
        [path, *map(str, arguments)],
        cwd=folder,
        env={"PATH": os.environ["PATH"], "HOME": str(folder), "LANG": "C.UTF-8", **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def wget(service: Service, folder: Path, created: Job, path: Path) -> None:
    upload = created["upload"]
    headers = [f"--header={name}: {value}" for name, value in upload["headers"].items()]
    put = [f"--method={upload['method']}", f"--body-file={path}", *headers]
    run(folder, "wget", "--no-verbose", "--tries=1", *put, "--output-document=-", upload["url"])


def rclone(service: Service, folder: Path, path: Path, key: str, *options: str) -> None:
    access = service.stack.access
    settings = {
        "TYPE": "s3",
        "PROVIDER": "Other",
        "ENDPOINT": access.endpoint_url,
        "REGION": access.region,
        "ACCESS_KEY_ID": access.access_key_id,
        "SECRET_ACCESS_KEY": access.secret_access_key,
        "FORCE_PATH_STYLE": "true",
        "NO_CHECK_BUCKET": "true",
    }
    remote = {f"RCLONE_CONFIG_AUDIO_{name}": value for name, value in settings.items()}
    once = ["--retries=1", "--low-level-retries=1", *options]
    run(folder, "rclone", "copyto", *once, path, f"audio:{service.uploads}/{key}", RCLONE_CONFIG="/dev/null", **remote)


def s3cmd(service: Service, folder: Path, path: Path, key: str, *options: str) -> None:
    access = service.stack.access
    host = urlsplit(access.endpoint_url).netloc
    settings = folder / "s3cmd.ini"
    lines = {
        "access_key": access.access_key_id,
        "secret_key": access.secret_access_key,
        "host_base": host,
        "host_bucket": host,
        "bucket_location": access.region,
        "use_https": "False",
        "signature_v2": "False",
        "max_retries": "1",
    }
    settings.write_text("\n".join(["[default]", *(f"{name} = {value}" for name, value in lines.items())]))
    run(folder, "s3cmd", f"--config={settings}", *options, "put", path, f"s3://{service.uploads}/{key}")


CLIENTS = {"rclone": rclone, "s3cmd": s3cmd}
OPTIONS = {"rclone": "--header-upload=x-amz-meta-bit-rate: 64000", "s3cmd": "--add-header=x-amz-meta-bit-rate: 64000"}
IN_PARTS = {"rclone": ["--s3-upload-cutoff=5Mi", "--s3-chunk-size=5Mi"], "s3cmd": ["--multipart-chunk-size-mb=5"]}


def test_wget_puts_to_the_presigned_url(service: Service, song: Path, tmp_path: Path) -> None:
    created = service.create_job("song.wav", size_bytes=song.stat().st_size)

    wget(service, tmp_path, created, song)

    job = service.ready(created["id"])
    assert_resampled(service, job, song)
    assert service.fetch(created["link"], tmp_path / "song.mp3").stat().st_size == job["result"]["size_bytes"]


@pytest.mark.parametrize("client", CLIENTS)
def test_a_client_puts_into_the_bucket(service: Service, song: Path, tmp_path: Path, client: str) -> None:
    key = f"{client}/mit Größe/song (1).wav"

    CLIENTS[client](service, tmp_path, song, key)

    [job] = service.appeared(key)
    assert_resampled(service, job, song)
    link = service.event_of(job["id"])["detail"]["link"]
    assert service.fetch(link, tmp_path / "song.mp3").stat().st_size == job["result"]["size_bytes"]


@pytest.mark.parametrize("client", CLIENTS)
def test_a_client_gives_options_as_metadata(service: Service, song: Path, tmp_path: Path, client: str) -> None:
    key = f"{client}/low.wav"

    CLIENTS[client](service, tmp_path, song, key, OPTIONS[client])

    [job] = service.appeared(key)
    assert_resampled(service, job, song, bit_rate=64_000)


@pytest.mark.parametrize("client", CLIENTS)
def test_a_client_puts_in_parts(service: Service, long_song: Path, tmp_path: Path, client: str) -> None:
    key = f"{client}/long.wav"

    CLIENTS[client](service, tmp_path, long_song, key, *IN_PARTS[client])

    [job] = service.appeared(key)
    assert service.record(job["id"])["upload_etag"]["S"].strip('"').endswith("-2"), (
        "S3's mark of an object of two parts"
    )
    assert_resampled(service, job, long_song)


def assert_resampled(service: Service, job: dict[str, Any], path: Path, *, bit_rate: int = 192_000) -> None:
    """The job of an upload is ready, the file came whole, one event went out and is as documented."""
    assert job["status"] == "ready", job
    assert job["source"]["size_bytes"] == path.stat().st_size
    assert (job["result"]["sample_rate"], job["result"]["bit_rate"]) == (32_000, bit_rate)
    assert job["result"]["duration_seconds"] == job["source"]["duration_seconds"]
    event = service.event_of(job["id"])
    Draft202012Validator(EVENT_SCHEMA).validate(event)
    assert event["detail"]["job"] == job
