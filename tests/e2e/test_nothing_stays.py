"""After everything else: what is left of all the files, and what the logs tell. Always the last of these modules."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.e2e import sounds
from tests.e2e.service import Job, Service, until


@pytest.fixture(scope="module")
def last_job(service: Service, files: Path, tmp_path_factory: pytest.TempPathFactory) -> Job:
    """One more job, downloaded and purged, so that there is something to look for."""
    created = service.create_job("last.wav")
    service.send(created, sounds.song(files / "last.wav"))
    service.ready(created["id"])
    service.request("GET", created["link"])
    service.fetch(created["link"], tmp_path_factory.mktemp("last") / "last.mp3")
    service.purged(created["id"])
    return created


def test_no_object_is_left_but_of_failed_and_unclaimed_jobs(service: Service, last_job: Job) -> None:
    until(lambda: "claimed" not in statuses(service).values(), "every claimed job is purged")
    ready = {job_id for job_id, status in statuses(service).items() if status == "ready"}
    failed = {job_id for job_id, status in statuses(service).items() if status == "failed"}
    uploads_of_ready = {
        record["upload_key"]["S"] for record in service.records() if record["id"]["S"] in ready
    } & service.objects(service.uploads).keys()

    for job_id in ready | failed:
        service.delete(job_id)

    assert uploads_of_ready == set(), "the original goes right after success"
    assert {**service.objects(service.uploads), **service.objects(service.results)} == {}
    uploads = service.stack.admin.client("s3").list_multipart_uploads(Bucket=service.uploads)
    assert uploads.get("Uploads", []) == []


def statuses(service: Service) -> dict[str, str]:
    """What all jobs read, by id."""
    return {record["id"]["S"]: record["status"]["S"] for record in service.records()}


def test_no_file_of_a_function_is_left(service: Service, last_job: Job) -> None:
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
    assert {record["id"]["S"] for record in records if record["status"]["S"] == "processing"} == set()


def test_the_logs_hold_no_link_and_no_presigned_url(service: Service, last_job: Job) -> None:
    secret = last_job["link"].rpartition(".")[2]

    until(lambda: service.log_lines(last_job["id"], "job purged"), "the last job's purge is logged")
    files = list(Path(service.stack.access.log_folder).glob("*.log"))
    messages = service.log_messages() + [line for path in files for line in path.read_text().splitlines()]

    assert {"api.log", "emulator.log", "purge.log", "resample.log"} <= {path.name for path in files}
    assert secret in service.secrets
    assert len(service.secrets) >= 3, "the link, the upload's and the download's signature"
    assert service.log_lines(last_job["id"], "job ready")
    assert [line for line in messages if any(known in line for known in service.secrets)] == []
    assert [line for line in messages if "X-Amz-Signature" in line] == []


def test_the_table_holds_no_secret_either(service: Service, last_job: Job) -> None:
    records = str(service.records())

    assert last_job["id"] in records
    assert [known for known in service.secrets if known in records] == []
