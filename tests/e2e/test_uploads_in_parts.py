"""Large files over HTTP: parts that are sent one by one, again and by several, and what is left when nobody ends it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.e2e.service import Job, Service
from tests.e2e.sounds import song

PART_BYTES = 5 << 20
SECONDS = 70  # a WAV of three parts

Call = Callable[..., requests.Response]


@pytest.fixture(scope="module")
def wav(files: Path) -> Path:
    return song(files / "long.wav", seconds=SECONDS)


def signed(service: Service, job: Job) -> Call:
    """The calls below `/jobs/{id}/upload`."""
    return lambda method, path="", body=None: service.api(method, f"/jobs/{job['id']}/upload{path}", body)


def with_link(service: Service, job: Job) -> Call:
    """The calls below `/d/{token}/upload`."""
    return lambda method, path="", body=None: service.request(method, f"{job['link']}/upload{path}", json=body)


DOORS = {"signed": signed, "link": with_link}
every_door = pytest.mark.parametrize("door", DOORS.values(), ids=DOORS)


def fingerprint(content: bytes) -> str:
    return f"sha256-{hashlib.sha256(content).hexdigest()}"


def begin(call: Call, content: bytes) -> dict[str, Any]:
    answer = call("POST", "", {"size_bytes": len(content), "fingerprint": fingerprint(content)})
    assert answer.status_code == 200, answer.text
    begun: dict[str, Any] = answer.json()
    return begun


def send_parts(service: Service, call: Call, content: bytes, numbers: list[int]) -> Mapping[int, str]:
    """Send some of the parts; gives the ETag of each."""
    answer = call("POST", "/parts", {"numbers": numbers})
    assert answer.status_code == 200, answer.text
    etags = {}
    for part in answer.json()["parts"]:
        service.remember(part["url"])
        start = (part["number"] - 1) * PART_BYTES
        sent = service.request(
            part["method"], part["url"], headers=part["headers"], data=content[start : start + PART_BYTES]
        )
        assert sent.status_code == 200, sent.text
        etags[part["number"]] = sent.headers["ETag"]
    return etags


def is_problem(answer: requests.Response, status: int, code: str) -> bool:
    return (answer.status_code, answer.json()["type"]) == (status, code)


def no_parts_are_left(service: Service, job: Job) -> bool:
    uploads = service.stack.admin.client("s3").list_multipart_uploads(Bucket=service.uploads).get("Uploads", [])
    return not [upload for upload in uploads if job["id"] in upload["Key"]]


@every_door
def test_a_file_in_parts_is_resumed_and_becomes_an_mp3(
    service: Service, wav: Path, door: Callable[[Service, Job], Call]
) -> None:
    content = wav.read_bytes()
    job = service.create_job("long.wav")
    call = door(service, job)

    first = begin(call, content)
    assert (first["part_size_bytes"], first["part_count"], first["parts"]) == (PART_BYTES, 3, [])
    sent = dict(send_parts(service, call, content, [2]))
    assert is_problem(call("POST", "/complete"), 409, "upload-incomplete")
    again = begin(call, content)
    assert [(part["number"], part["size_bytes"], part["etag"]) for part in again["parts"]] == [(2, PART_BYTES, sent[2])]
    sent |= send_parts(service, call, content, [1, 3])
    done = call("POST", "/complete", {"parts": [{"number": number, "etag": etag} for number, etag in sent.items()]})
    assert (done.status_code, done.json()["id"]) == (200, job["id"])
    repeated = call("POST", "/complete")
    assert repeated.status_code == 200

    source = service.ready(job["id"])["source"]
    assert (source["size_bytes"], source["duration_seconds"]) == (len(content), SECONDS)
    assert no_parts_are_left(service, job)
    service.delete(job["id"])


@every_door
def test_another_file_is_refused_until_the_first_is_given_up(
    service: Service, wav: Path, door: Callable[[Service, Job], Call]
) -> None:
    content = wav.read_bytes()
    other = content[:-1] + bytes([content[-1] ^ 1])
    job = service.create_job("long.wav")
    call = door(service, job)
    begin(call, content)
    send_parts(service, call, content, [1])

    refused = call("POST", "", {"size_bytes": len(other), "fingerprint": fingerprint(other)})
    assert is_problem(refused, 409, "upload-conflict")
    assert call("DELETE").status_code == 204
    assert call("DELETE").status_code == 204
    assert no_parts_are_left(service, job)
    assert begin(call, other)["parts"] == []
    service.delete(job["id"])

    assert no_parts_are_left(service, job)
    assert is_problem(call("POST", "", {"size_bytes": 1}), 410, "already-downloaded")


def test_somebody_elses_part_is_never_taken_for_ones_own(service: Service, wav: Path) -> None:
    """Two senders without a fingerprint share the upload of a link: whoever completes it names what it sent."""
    content = wav.read_bytes()
    other = bytes(len(content))
    job = service.create_job("long.wav")
    call = with_link(service, job)
    assert call("POST", "", {"size_bytes": len(content)}).status_code == 200
    sent = send_parts(service, call, content, [1, 2, 3])
    send_parts(service, call, other, [2])

    answer = call("POST", "/complete", {"parts": [{"number": number, "etag": etag} for number, etag in sent.items()]})

    assert is_problem(answer, 409, "upload-conflict")
    assert service.job(job["id"])["status"] == "awaiting-upload"
    service.delete(job["id"])
    assert no_parts_are_left(service, job)


def test_s3_takes_no_part_of_another_length(service: Service, wav: Path) -> None:
    content = wav.read_bytes()
    job = service.create_job("long.wav", size_bytes=len(content))
    call = signed(service, job)
    assert is_problem(call("POST", "", {"size_bytes": len(content) + 1}), 400, "invalid-request")
    begin(call, content)
    part = call("POST", "/parts", {"numbers": [3]}).json()["parts"][0]
    service.remember(part["url"])

    answer = service.request(part["method"], part["url"], data=content[2 * PART_BYTES : -1])

    assert answer.status_code == 403
    assert is_problem(call("POST", "/parts", {"numbers": [4]}), 400, "invalid-request")
    service.delete(job["id"])


def test_a_finished_job_takes_no_parts(service: Service, wav: Path) -> None:
    job = service.create_job("long.wav")
    call = signed(service, job)
    assert is_problem(call("POST", "/parts", {"numbers": [1]}), 404, "upload-not-found")
    assert is_problem(call("POST", "/complete"), 404, "upload-not-found")
    service.send(job, wav)
    service.ready(job["id"])

    assert is_problem(call("POST", "", {"size_bytes": 1}), 409, "upload-not-awaited")
    assert is_problem(call("POST", "/parts", {"numbers": [1]}), 409, "upload-not-awaited")
    assert call("POST", "/complete").status_code == 200
    service.delete(job["id"])
