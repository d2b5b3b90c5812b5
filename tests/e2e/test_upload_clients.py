"""Uploads with what people have at hand: wget for a presigned URL, rclone and s3cmd for the bucket itself.

The two sync clients see the emulator at one address, so buckets are parts of the path here. Everything else, the
signatures too, is as with AWS.
"""

from __future__ import annotations

import json
import shutil
import uuid
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

from tests.e2e import sounds
from tests.e2e.readme import commands, shell
from tests.e2e.service import Service

EVENT_SCHEMA = json.loads((Path(__file__).resolve().parents[2] / "docs" / "events.schema.json").read_text())
PART_BYTES = 5 * 1024 * 1024
"""The smallest part that S3 takes, but for the last."""


COMMANDS = {command.split()[0]: command for command in commands("With other clients", "docs/clients.md")}
TO_THE_BUCKET = ["rclone", "s3cmd"]
IN_PARTS = {"rclone": "--s3-upload-cutoff=5Mi --s3-chunk-size=5Mi", "s3cmd": "--multipart-chunk-size-mb=5"}


@pytest.fixture(scope="module")
def song(files: Path) -> Path:
    return sounds.song(files / "client.wav", seconds=2)


@pytest.fixture(scope="module")
def long_song(files: Path) -> Path:
    """Longer than a part of a multipart upload."""
    path = sounds.song(files / "client-long.wav", seconds=32)
    assert PART_BYTES < path.stat().st_size < 2 * PART_BYTES
    return path


def uploader(service: Service) -> tuple[str, str]:
    """The keys of a new user with the rights that docs/clients.md names, and no others."""
    iam, name = service.stack.admin.client("iam"), f"uploader-{uuid.uuid4()}"
    allowed = {
        "Effect": "Allow",
        "Action": ["s3:PutObject", "s3:PutObjectAcl", "s3:AbortMultipartUpload"],
        "Resource": f"arn:aws:s3:::{service.uploads}/*",
    }
    iam.create_user(UserName=name)
    iam.put_user_policy(
        UserName=name,
        PolicyName="upload",
        PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [allowed]}),
    )
    key = iam.create_access_key(UserName=name)["AccessKey"]
    return key["AccessKeyId"], key["SecretAccessKey"]


def put(service: Service, folder: Path, client: str, *changes: tuple[str, str], **variables: str) -> None:
    """Type a client's command of docs/clients.md, changed as given. It knows no settings but the endpoint's address."""
    if shutil.which(client) is None:
        pytest.skip(f"{client} is not installed")
    access = service.stack.access
    host = urlsplit(access.endpoint_url).netloc
    access_key_id, secret_access_key = uploader(service)
    variables |= {"AWS_ACCESS_KEY_ID": access_key_id, "AWS_SECRET_ACCESS_KEY": secret_access_key}
    settings = {
        "access_key": access_key_id,
        "secret_key": secret_access_key,
        "bucket_location": access.region,
        "host_base": host,
        "host_bucket": host,
        "use_https": "False",
        "max_retries": "1",
    }
    lines = [f"{name} = {value}" for name, value in settings.items()]
    (folder / ".s3cfg").write_text("\n".join(["[default]", *lines]))
    for_rclone = {
        "RCLONE_S3_ENDPOINT": access.endpoint_url,
        "RCLONE_S3_FORCE_PATH_STYLE": "true",
        "RCLONE_CONFIG": "/dev/null",
        "RCLONE_LOW_LEVEL_RETRIES": "1",
        "RCLONE_RETRIES": "1",
    }
    # The provider AWS would have the bucket in the host's name.
    command = COMMANDS[client].replace("provider=AWS", "provider=Other")
    for typed, instead in changes:
        assert typed in command
        command = command.replace(typed, instead)
    shell(service, folder, command, **for_rclone, **variables)


def test_wget_puts_to_the_presigned_url(service: Service, song: Path, tmp_path: Path) -> None:
    created = service.create_job("song.wav", size_bytes=song.stat().st_size)

    put(service, tmp_path, "wget", ("song.wav", str(song)), UPLOAD_URL=created["upload"]["url"])

    job = service.ready(created["id"])
    assert_resampled(service, job, song)
    assert service.fetch(created["link"], tmp_path / "song.mp3").stat().st_size == job["result"]["size_bytes"]


@pytest.mark.parametrize("client", TO_THE_BUCKET)
def test_a_client_puts_into_the_bucket(service: Service, tmp_path: Path, client: str) -> None:
    put(service, tmp_path, client)

    [job] = service.appeared(f"by-{client}.wav")
    assert_resampled(service, job, tmp_path / "song.wav", bit_rate=128_000)
    link = service.event_of(job["id"])["detail"]["link"]
    assert service.fetch(link, tmp_path / "song.mp3").stat().st_size == job["result"]["size_bytes"]


@pytest.mark.parametrize("client", TO_THE_BUCKET)
def test_a_client_puts_in_parts(service: Service, long_song: Path, tmp_path: Path, client: str) -> None:
    key = f"{client}/mit Größe/song (1).wav"
    in_parts = (f"{client} ", f"{client} {IN_PARTS[client]} ")

    put(service, tmp_path, client, (f"by-{client}.wav", key), in_parts, (" song.wav", f" {long_song}"))

    [job] = service.appeared(key)
    assert service.record(job["id"])["upload_etag"]["S"].strip('"').endswith("-2"), (
        "S3's mark of an object of two parts"
    )
    assert_resampled(service, job, long_song, bit_rate=128_000)


def assert_resampled(service: Service, job: dict[str, Any], path: Path, *, bit_rate: int = 192_000) -> None:
    """The job of an upload is ready, the file came whole, one event went out and is as documented."""
    assert job["status"] == "ready", job
    assert job["source"]["size_bytes"] == path.stat().st_size
    assert (job["result"]["sample_rate"], job["result"]["bit_rate"]) == (32_000, bit_rate)
    assert job["result"]["duration_seconds"] == job["source"]["duration_seconds"]
    event = service.event_of(job["id"])
    Draft202012Validator(EVENT_SCHEMA).validate(event)
    assert event["detail"]["job"] == job
