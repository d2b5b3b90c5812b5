"""After everything else: what is left of all the files, and what the logs tell. Always the last of these modules."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.e2e import sounds
from tests.e2e.service import WINDOW_SECONDS, Job, Service, until


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


def log_messages(service: Service) -> list[str]:
    """Every line of every log group."""
    logs = service.stack.admin.client("logs")
    groups = [group["logGroupName"] for group in logs.describe_log_groups()["logGroups"]]
    pages = (page for group in groups for page in logs.get_paginator("filter_log_events").paginate(logGroupName=group))
    return [event["message"] for page in pages for event in page["events"]]


def lines_of(service: Service, job_id: str, text: str) -> list[str]:
    """The lines about a job with a text in them."""
    return [line for line in log_messages(service) if job_id in line and text in line]


def test_no_object_is_left(service: Service, last_job: Job) -> None:
    def left() -> list[str]:
        return [key for bucket in (service.uploads, service.results) for key in service.objects(bucket)]

    until(lambda: not left(), f"the buckets are empty: {left()}", seconds=WINDOW_SECONDS + 30)
    uploads = service.stack.admin.client("s3").list_multipart_uploads(Bucket=service.uploads)
    assert uploads.get("Uploads", []) == []


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

    until(lambda: lines_of(service, last_job["id"], "job purged"), "the last job's purge is logged")
    messages = log_messages(service)

    assert secret in service.secrets
    assert len(service.secrets) >= 3, "the link, the upload's and the download's signature"
    assert lines_of(service, last_job["id"], "job ready")
    assert [line for line in messages if any(known in line for known in service.secrets)] == []
    assert [line for line in messages if "X-Amz-Signature" in line] == []


def test_the_table_holds_no_secret_either(service: Service, last_job: Job) -> None:
    records = str(service.records())

    assert last_job["id"] in records
    assert [known for known in service.secrets if known in records] == []
