"""Every client of docs/clients.md, with the command or program that stands there, as it stands there.

What Debian has and what `make test-clients` gets from PyPI and npm; a client that is not there is skipped. The embedded
AWS has buckets as parts of the path; `source .local/env` says so to those that have to be told.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

from local.instructions import S3CMD_CONFIG
from local.stack import STATE_FOLDER
from tests.e2e import sounds
from tests.e2e.readme import PROJECT, blocks, commands, section, shell
from tests.e2e.service import REQUEST_SECONDS, Service

DOCUMENT = "docs/clients.md"
EVENT_SCHEMA = json.loads((PROJECT / "docs" / "events.schema.json").read_text())
PART_BYTES = 5 * 1024 * 1024
"""The smallest part that S3 takes, but for the last."""
FROM_PYPI = STATE_FOLDER / "clients" / "python" / "bin"
FROM_NPM = STATE_FOLDER / "clients" / "node_modules"

[SIGNED, *_] = commands("With curl")
DEFINITIONS = SIGNED.partition("\njob=")[0]
TO_THE_URL = "To the presigned URL"
[NEW_JOB, *PUTS] = commands(TO_THE_URL, DOCUMENT)
[NEW_KEY, *CLAIMS] = commands("Claiming a link", DOCUMENT)
TO_THE_BUCKET = commands("Into the upload bucket", DOCUMENT)
IN_PARTS = {
    "rclone": {"RCLONE_S3_UPLOAD_CUTOFF": "5Mi", "RCLONE_S3_CHUNK_SIZE": "5Mi"},
    "s3cmd": {},
}
"""Of the commands; those that are missing send parts from 50 MB on."""


def name_of(command: str) -> str:
    """The client that a command or program is for."""
    imported = re.search(r"^import (requests|httpx|minio|boto3)$|@aws-sdk/(lib-storage)", command, re.MULTILINE)
    if imported:
        return imported[1] or imported[2]
    names: list[str] = re.findall(r"\b(wget|http|aria2c|rclone|s3cmd|s5cmd)\b", command)
    return names[-1]


def each(found: list[str]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("command", found, ids=map(name_of, found))


@pytest.fixture(scope="module")
def song(files: Path) -> Path:
    return sounds.song(files / "client.wav", seconds=2)


@pytest.fixture(scope="module")
def long_song(files: Path) -> Path:
    """Longer than a part of a multipart upload."""
    path = sounds.song(files / "client-long.wav", seconds=32)
    assert PART_BYTES < path.stat().st_size < 2 * PART_BYTES
    return path


def uploader(service: Service) -> dict[str, str]:
    """The keys of a new user with the rights that docs/clients.md names, and no others, as environment variables."""
    iam, name = service.stack.admin.client("iam"), f"uploader-{uuid.uuid4()}"
    actions = ["s3:PutObject", "s3:PutObjectAcl", "s3:AbortMultipartUpload"]
    assert all(f"`{action}`" in section("Into the upload bucket", DOCUMENT) for action in actions)
    rights = {"Effect": "Allow", "Action": actions, "Resource": f"arn:aws:s3:::{service.uploads}/*"}
    iam.create_user(UserName=name)
    iam.put_user_policy(
        UserName=name,
        PolicyName="upload",
        PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [rights]}),
    )
    key = iam.create_access_key(UserName=name)["AccessKey"]
    return {"AWS_ACCESS_KEY_ID": key["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"]}


def typed(service: Service, folder: Path, *lines: str, **variables: str) -> str:
    """Type commands; the last is a client's."""
    path = os.pathsep.join([os.environ["PATH"], str(FROM_PYPI)])
    client = name_of(lines[-1])
    if shutil.which(client, path=path) is None:
        pytest.skip(f"{client} is not installed")
    on_path = f'PATH="$PATH:{FROM_PYPI}"'
    return shell(service, folder, on_path, *lines, RCLONE_CONFIG="/dev/null", **variables)


def run(service: Service, folder: Path, program: str, **values: Any) -> None:
    """Run a program of the document; `values` are variables that it finds."""
    client = name_of(program)
    beginning = [f"{name} = {value!r}" for name, value in values.items()]
    python = sys.executable if client in ("requests", "boto3") else str(FROM_PYPI / "python")
    (folder / "program.py").write_text("\n".join([*beginning, program]))
    if not Path(python).exists():
        pytest.skip(f"{client} is not installed; `make test-clients` gets it")
    shell(service, folder, f"{python} program.py", **(uploader(service) if client in ("minio", "boto3") else {}))


@each(PUTS)
def test_a_command_puts_to_the_presigned_url(service: Service, tmp_path: Path, command: str) -> None:
    printed = typed(
        service, tmp_path, DEFINITIONS, NEW_JOB, f'{command}\necho\necho "link: $LINK" # {name_of(command)}'
    )

    link = printed.rpartition("link: ")[2].strip()
    assert_link_works(service, link, tmp_path)


@each(blocks("python", TO_THE_URL, DOCUMENT))
def test_a_program_puts_to_the_presigned_url(service: Service, song: Path, tmp_path: Path, command: str) -> None:
    shutil.copy(song, tmp_path / "song.wav")
    job = service.create_job("song.wav", size_bytes=song.stat().st_size)

    run(service, tmp_path, command, job=job)

    assert_link_works(service, job["link"], tmp_path)


@each(TO_THE_BUCKET)
def test_a_command_puts_into_the_bucket(service: Service, tmp_path: Path, command: str) -> None:
    typed(service, tmp_path, command, **uploader(service))

    assert_resampled(service, f"by-{name_of(command)}.wav", tmp_path / "song.wav")


@each([command for command in TO_THE_BUCKET if name_of(command) in IN_PARTS])
def test_a_command_puts_in_parts(service: Service, long_song: Path, tmp_path: Path, command: str) -> None:
    client = name_of(command)
    key = f"{client}/mit Größe/song (1).wav"
    shutil.copy(long_song, tmp_path / "song.wav")
    in_parts = f'echo "multipart_chunk_size_mb = 5" >> .local/{S3CMD_CONFIG}'

    typed(
        service, tmp_path, in_parts, command.replace(f"by-{client}.wav", key), **IN_PARTS[client], **uploader(service)
    )

    job = assert_resampled(service, key, long_song)
    assert service.record(job["id"])["upload_etag"]["S"].strip('"').endswith("-2"), (
        "S3's mark of an object of two parts"
    )


@each(blocks("python", "Into the upload bucket", DOCUMENT))
def test_a_program_puts_into_the_bucket(service: Service, song: Path, tmp_path: Path, command: str) -> None:
    shutil.copy(song, tmp_path / "song.wav")

    run(service, tmp_path, command)

    assert_resampled(service, f"by-{name_of(command)}.wav", song)


def test_the_sdk_for_javascript_puts_into_the_bucket(service: Service, long_song: Path, tmp_path: Path) -> None:
    [program] = blocks("js", "Into the upload bucket", DOCUMENT)
    if not (FROM_NPM / "@aws-sdk").exists() or shutil.which("node") is None:
        pytest.skip("the SDK for JavaScript is not installed; `make test-clients` gets it")
    shutil.copy(long_song, tmp_path / "song.wav")
    (tmp_path / "node_modules").symlink_to(FROM_NPM)
    (tmp_path / "program.mjs").write_text(program)

    shell(service, tmp_path, "node program.mjs", **uploader(service))

    job = assert_resampled(service, "by-sdk-js.wav", long_song)
    assert service.record(job["id"])["upload_etag"]["S"].strip('"').endswith("-2")


@each(CLAIMS)
def test_a_command_claims_and_its_repetition_too(service: Service, song: Path, tmp_path: Path, command: str) -> None:
    job = ready_job(service, song)
    saved = tmp_path / "song.32k.mp3"

    typed(service, tmp_path, NEW_KEY, f"{command}\nmv {saved.name} first.mp3\n{command}", LINK=job["link"])

    size = service.job(job["id"])["result"]["size_bytes"]
    assert [saved.stat().st_size, (tmp_path / "first.mp3").stat().st_size] == [size, size]


@each(CLAIMS)
def test_a_claim_that_is_refused_leaves_what_is_there(
    service: Service, song: Path, tmp_path: Path, command: str
) -> None:
    job = ready_job(service, song)
    service.claim(job["link"])
    (tmp_path / "song.32k.mp3").write_text("of yesterday")

    typed(service, tmp_path, NEW_KEY, f"if {command.strip()}; then exit 1; fi", LINK=job["link"])

    assert (tmp_path / "song.32k.mp3").read_text() == "of yesterday"


@each(blocks("python", "Claiming a link", DOCUMENT))
def test_a_program_claims(service: Service, song: Path, tmp_path: Path, command: str) -> None:
    job = ready_job(service, song)

    run(service, tmp_path, command, link=job["link"])

    assert (tmp_path / "song.32k.mp3").stat().st_size == service.job(job["id"])["result"]["size_bytes"]


def test_curl_that_posts_to_s3_too_can_be_typed_again_with_the_same_key(service: Service, song: Path) -> None:
    job = ready_job(service, song)
    key = ["-H", f"Idempotency-Key: {uuid.uuid4()}"]

    wrong = curl(*key, "-L", "-X", "POST", job["link"])
    right = curl(*key, "-L", "-d", "", job["link"])

    assert wrong.startswith(b"<?xml")
    assert len(right) == service.job(job["id"])["result"]["size_bytes"]


def curl(*arguments: str) -> bytes:
    command = ["curl", "-sS", "--noproxy", "*", *arguments]
    return subprocess.run(command, stdout=subprocess.PIPE, check=True, timeout=REQUEST_SECONDS).stdout


def ready_job(service: Service, song: Path) -> dict[str, Any]:
    created = service.create_job("song.wav")
    service.send(created, song)
    service.ready(created["id"])
    return created


def assert_link_works(service: Service, link: str, folder: Path) -> None:
    """The link's job becomes ready, and gives an MP3 of the song in the folder."""
    job = service.ready(service.request("GET", link).json()["id"])
    assert job["source"]["size_bytes"] == (folder / "song.wav").stat().st_size
    assert service.fetch(link, folder / "result.mp3").stat().st_size == job["result"]["size_bytes"]


def assert_resampled(service: Service, key: str, path: Path) -> dict[str, Any]:
    """The upload's one job is ready, the file came whole with its option, one event went out and is as documented."""
    [job] = service.appeared(key)
    assert job["status"] == "ready", job
    assert job["source"]["size_bytes"] == path.stat().st_size
    assert (job["result"]["sample_rate"], job["result"]["bit_rate"]) == (32_000, 128_000)
    assert job["result"]["duration_seconds"] == job["source"]["duration_seconds"]
    event = service.event_of(job["id"])
    Draft202012Validator(EVENT_SCHEMA).validate(event)
    assert event["detail"]["job"] == job
    saved = service.fetch(event["detail"]["link"], path.with_name(f"{uuid.uuid4()}.mp3"))
    assert saved.stat().st_size == job["result"]["size_bytes"]
    return job
