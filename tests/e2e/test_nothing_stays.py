"""After everything else: what is left of all the files, and what the logs tell. Always the last of these modules."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tests.e2e import sounds
from tests.e2e.service import Job, Service, until

PASSPHRASE, WRONG_PASSPHRASE = "twenty-three blue geese", "twenty-four blue geese"


@pytest.fixture(scope="module")
def last_job(service: Service, files: Path, tmp_path_factory: pytest.TempPathFactory) -> Job:
    """One more job, downloaded and purged, so that there is something to look for."""
    created = service.create_job("last.wav")
    service.send(created, sounds.song(files / "last.wav"))
    service.ready(created["id"])
    service.finished(created["id"])
    service.request("GET", created["link"])
    service.fetch(created["link"], tmp_path_factory.mktemp("last") / "last.mp3")
    service.after_window(created["id"])
    return created


def test_no_object_is_left_but_of_failed_and_unclaimed_jobs(service: Service, last_job: Job) -> None:
    for job_id in now(service, "claimed"):
        service.after_window(job_id)
    ready, failed = now(service, "ready"), now(service, "failed")
    for job_id in ready | failed:
        service.finished(job_id)
    uploads_of_ready = {service.record(job_id)["upload_key"]["S"] for job_id in ready}

    assert not uploads_of_ready & service.objects(service.uploads).keys(), "the original goes right after success"
    for job_id in ready | failed:
        service.delete(job_id)

    assert {**service.objects(service.uploads), **service.objects(service.results)} == {}
    uploads = service.stack.admin.client("s3").list_multipart_uploads(Bucket=service.uploads)
    assert uploads.get("Uploads", []) == []


def now(service: Service, status: str) -> set[str]:
    """The ids of the jobs that read so."""
    return {record["id"]["S"] for record in service.records() if record["status"]["S"] == status}


def test_no_file_of_a_function_is_left(service: Service, last_job: Job) -> None:
    until(lambda: not now(service, "processing"), "no job is under way")

    assert list(Path(service.stack.access.function_temp_folder).iterdir()) == []


def test_no_event_and_no_purge_has_failed(service: Service, last_job: Job) -> None:
    sqs = service.stack.aws.client("sqs")
    for queue in ("FailedEventsQueue", "PurgeDeadLetterQueue"):
        url = service.stack.access.queues[queue]
        attributes: dict[str, Any] = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
        assert int(attributes["ApproximateNumberOfMessages"]) == 0, queue
        assert int(attributes["ApproximateNumberOfMessagesNotVisible"]) == 0, queue


def test_no_job_was_begun_twice_and_none_is_under_way(service: Service, last_job: Job) -> None:
    records = service.records()

    assert last_job["id"] in {record["id"]["S"] for record in records}
    assert {record["id"]["S"] for record in records if int(record.get("attempts", {"N": "0"})["N"]) > 1} == set()
    until(lambda: not now(service, "processing"), "no job is under way")


# ---------------------------------------------------------------- what is written


@pytest.fixture(scope="module")
def waiting_job(service: Service, files: Path) -> Iterator[Job]:
    """A job with a result, whose link was tried in every wrong way."""
    song = sounds.song(files / "last.wav")
    fields = {"size_bytes": song.stat().st_size, "passphrase": PASSPHRASE, "reference": "order 4711"}
    created = service.create_job("waiting.wav", **fields)
    service.send(created, song)
    service.ready(created["id"])
    link = created["link"]
    wrong = link[:-1] + ("A" if link[-1] != "A" else "B")
    service.remember(wrong)
    for method in ("GET", "HEAD", "POST", "DELETE", "PUT", "PATCH"):
        for address in (wrong, f"{wrong}%00", f"{link}.more", f"{link}/more"):
            service.request(method, address)
    for passphrase in (WRONG_PASSPHRASE, None):
        assert service.request("POST", link, json={"passphrase": passphrase}).status_code == 403
        assert service.request("POST", link, data={"passphrase": passphrase or ""}).status_code == 403
    service.secrets.update((PASSPHRASE, WRONG_PASSPHRASE))
    for headers in ({"Idempotency-Key": "short"}, {"Idempotency-Key": f"{link} {link}"}):
        assert service.request("POST", link, headers=headers).status_code == 400
    yield created
    service.delete(created["id"])


def test_no_secret_is_written_anywhere(service: Service, last_job: Job, waiting_job: Job) -> None:
    service.logged(last_job["id"], "job ready")
    service.logged(last_job["id"], "job purged")

    written = everything_written(service, waiting_job)

    known = service.secrets | {service.stack.access.secret_access_key}
    assert {job["link"].rpartition(".")[2] for job in (last_job, waiting_job)} <= known
    assert len(known) >= 6, "links, signatures and session tokens of uploads and downloads, the client's key"
    assert {"api.log", "emulator.log", "purge.log", "resample.log"} <= written.keys()
    found = [
        f"{place}: {form}"
        for secret in known
        for form in spellings(secret)
        if len(form) > 8
        for place, text in written.items()
        if form in text
    ]
    assert found == []
    assert [place for place, text in written.items() if "X-Amz-S" in text] == [], "a presigned URL of somebody else"


def test_a_secret_that_were_written_would_be_found(service: Service, last_job: Job) -> None:
    secret = last_job["link"].rpartition(".")[2]
    line = f"GET /d/{last_job['id']}.{secret}".encode()

    for text in (
        line.decode(),
        base64.b64encode(line).decode(),
        base64.urlsafe_b64encode(b"x" + line).decode(),
        line.hex(),
    ):
        assert any(form in text for form in spellings(secret))


def everything_written(service: Service, job: Job) -> dict[str, str]:
    """What the stack wrote, by place. `job` has a result, and its event is the last one that is waited for."""
    s3 = service.stack.admin.client("s3")
    service.event_of(job["id"])
    events = [{**event, "detail": {**event["detail"], "link": None}} for event in service.events()]
    objects = [
        s3.head_object(Bucket=bucket, Key=key)
        for bucket in (service.uploads, service.results)
        for key in service.objects(bucket)
    ]
    written = {
        "log groups": "\n".join(service.log_messages()),
        "table": str(service.records()),
        "events, but for the links of direct uploads": str(events),
        "objects": str(objects),
    }
    assert all(written.values())
    written |= {path.name: path.read_text() for path in Path(service.stack.access.log_folder).glob("*.log")}
    written["metrics"] = str(service.stack.admin.client("cloudwatch").list_metrics()["Metrics"])
    return written


def spellings(secret: str) -> Iterator[str]:
    """A secret as it is, in an address, in hexadecimal, and in base64 wherever in a text it stands."""
    data = secret.encode()
    yield from {secret, quote(secret, safe=""), data.hex()}
    for offset in range(3):
        inside = base64.b64encode(bytes(offset) + data).decode()[4:-4]
        yield from {inside, inside.replace("+", "-").replace("/", "_")}
