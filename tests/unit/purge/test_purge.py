"""The purge function, through its handler: a message is only a reminder, the job says what is due."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import pytest

from audiojobs import clients
from audiojobs.job import Job, Status
from audiojobs.objects import ResultObjects
from purge.app import lambda_handler
from tests.unit.cloud import Cloud, failing
from tests.unit.conftest import Logs
from tests.unit.gateway import FakeLambdaContext, TimePasses
from tests.unit.samples import api_job, direct_job

Purge = Callable[..., list[str]]


@pytest.fixture
def purge(configure: Callable[..., None], logs: Logs) -> Purge:
    """Delivers a message for each job id; returns the numbers of those that failed."""

    def purge(*job_ids: str) -> list[str]:
        return deliver(*(json.dumps({"job_id": job_id}) for job_id in job_ids))

    return purge


def deliver(*bodies: str, age_seconds: float = 3600, context: FakeLambdaContext | None = None) -> list[str]:
    records = [
        {
            "messageId": str(number),
            "body": body,
            "eventSource": "aws:sqs",
            "attributes": {"SentTimestamp": str(int((time.time() - age_seconds) * 1000))},
            "receiptHandle": "handle",
        }
        for number, body in enumerate(bodies)
    ]
    answer: dict[str, Any] = lambda_handler({"Records": records}, context or FakeLambdaContext())
    return [failure["itemIdentifier"] for failure in answer["batchItemFailures"]]


def stored(cloud: Cloud, job: Job) -> Job:
    """The job in the table and its result in the bucket."""
    cloud.store.create(job)
    cloud.put_result(job)
    return job


def claimed(**values: Any) -> Job:
    return api_job(Status.CLAIMED, **({"purge_at": time.time() - 1} | values))


def test_when_the_window_has_ended_the_result_goes_and_the_job_is_marked(cloud: Cloud, purge: Purge) -> None:
    job = stored(cloud, claimed())
    other = stored(cloud, api_job(Status.READY))

    assert purge(job.id) == []

    assert cloud.result_keys() == [other.result_key]
    assert cloud.job(job.id).status is Status.PURGED
    assert cloud.purge_messages() == []


@pytest.mark.parametrize("keep_originals", ["", "true"])
def test_an_original_that_is_still_there_when_the_window_ends_goes_with_the_result(
    cloud: Cloud, purge: Purge, configure: Callable[..., None], keep_originals: str
) -> None:
    """A conversion that was killed between ``ready`` and the deletion leaves it; a claim ends the retries."""
    configure(KEEP_ORIGINALS=keep_originals)
    cloud.upload("any/recording.wav")
    upload = cloud.uploads.find("any/recording.wav")
    assert upload
    job = stored(
        cloud,
        direct_job(
            Status.CLAIMED,
            purge_at=time.time() - 1,
            upload_key=upload.key,
            upload_etag=upload.etag,
            upload_last_modified=upload.last_modified,
        ),
    )

    assert purge(job.id) == []

    assert cloud.upload_keys() == ([upload.key] if keep_originals else [])
    assert cloud.result_keys() == []


def test_a_message_that_comes_twice_does_no_harm(cloud: Cloud, purge: Purge) -> None:
    job = stored(cloud, claimed())

    assert purge(job.id, job.id) == []
    marked = cloud.job(job.id)
    assert purge(job.id) == []

    assert cloud.job(job.id) == marked
    assert cloud.result_keys() == []


def test_a_message_that_is_early_comes_back_when_it_is_due(cloud: Cloud, purge: Purge) -> None:
    job = stored(cloud, claimed(purge_at=time.time() + 800))

    assert purge(job.id) == []

    assert cloud.purge_messages() == [{"job_id": job.id}]
    assert 400 < cloud.purge_delays()[0] <= 800
    assert cloud.job(job.id) == job
    assert cloud.result_keys() == [job.result_key]


def test_a_message_that_is_early_and_cannot_come_back_fails(cloud: Cloud, purge: Purge) -> None:
    job = stored(cloud, claimed(purge_at=time.time() + 800))
    cloud.delete_purge_queue()

    assert purge(job.id) == ["0"]


@pytest.mark.parametrize(
    "status",
    [Status.AWAITING_UPLOAD, Status.PROCESSING, Status.READY, Status.FAILED, Status.EXPIRED],
    ids=str,
)
def test_a_claim_that_was_never_granted_purges_nothing(cloud: Cloud, purge: Purge, status: Status) -> None:
    job = stored(cloud, api_job(status))

    assert purge(job.id) == []

    assert cloud.job(job.id) == job
    assert cloud.result_keys() == [job.result_key]
    assert cloud.purge_messages() == []


def test_a_message_comes_once_more_for_a_claim_that_takes_longer_than_the_window(cloud: Cloud, purge: Purge) -> None:
    job = stored(cloud, api_job(Status.READY))

    assert deliver(json.dumps({"job_id": job.id}), age_seconds=0) == []

    assert cloud.purge_messages() == [{"job_id": job.id}]
    assert cloud.purge_delays() == [60]
    assert cloud.job(job.id) == job
    assert cloud.result_keys() == [job.result_key]


def test_a_job_that_is_deleted_at_the_end_of_its_window_stays_deleted(
    cloud: Cloud, purge: Purge, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = stored(cloud, claimed())
    exists = ResultObjects.exists

    def deleted_meanwhile(results: ResultObjects, key: str) -> bool:
        cloud.store.delete(job.id, now=time.time())
        return exists(results, key)

    monkeypatch.setattr(ResultObjects, "exists", deleted_meanwhile)

    assert purge(job.id) == []

    assert (cloud.job(job.id).status, cloud.job(job.id).purge_at) == (Status.PURGED, None)


def test_a_job_whose_record_is_gone_needs_nothing(purge: Purge) -> None:
    assert purge("0" * 32) == []


@pytest.mark.parametrize(
    ("client", "operation"),
    [("s3", "DeleteObject"), ("s3", "HeadObject"), ("dynamodb", "GetItem"), ("dynamodb", "UpdateItem")],
)
def test_what_fails_is_reported_and_made_good_the_next_time(
    cloud: Cloud, purge: Purge, client: str, operation: str
) -> None:
    job = stored(cloud, claimed())

    with failing(getattr(clients, client)(), operation):
        assert purge(job.id) == ["0"]
    assert cloud.job(job.id).status is Status.CLAIMED

    assert purge(job.id) == []
    assert cloud.job(job.id).status is Status.PURGED
    assert cloud.result_keys() == []


def test_only_what_failed_comes_back(cloud: Cloud, purge: Purge) -> None:
    first, second = stored(cloud, claimed()), stored(cloud, claimed())

    with failing(clients.s3(), "DeleteObject", times=1):
        assert purge(first.id, second.id) == ["0"]

    assert cloud.result_keys() == [first.result_key]


def test_messages_that_no_time_is_left_for_come_back(cloud: Cloud, purge: Purge, logs: Logs) -> None:
    """A purge takes up to 15 s where a call gets no answer: one that is killed would take its batch with it."""
    jobs = [stored(cloud, claimed()) for _ in range(3)]
    bodies = [json.dumps({"job_id": job.id}) for job in jobs]

    assert deliver(*bodies, context=TimePasses(60_000, 14_999)) == ["1", "2"]

    assert cloud.job(jobs[0].id).status is Status.PURGED
    assert [cloud.job(job.id) for job in jobs[1:]] == jobs[1:]
    assert sorted(cloud.result_keys()) == sorted(job.result_key for job in jobs[1:])
    assert "No time is left for this message" in logs.text

    assert deliver(*bodies[1:]) == []
    assert cloud.result_keys() == []


def test_a_result_that_is_still_there_after_its_deletion_is_not_marked(
    cloud: Cloud, purge: Purge, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = stored(cloud, claimed())
    monkeypatch.setattr(clients.s3(), "delete_object", lambda **_: {})

    assert purge(job.id) == ["0"]

    assert cloud.job(job.id).status is Status.CLAIMED


def test_an_upload_that_is_still_there_after_its_deletion_is_not_marked(
    cloud: Cloud, purge: Purge, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = stored(cloud, claimed())
    cloud.upload(job.upload_key)
    delete_object = clients.s3().delete_object

    def delete_results_only(**named: Any) -> Any:
        return delete_object(**named) if named["Bucket"] == cloud.result_bucket else {}

    with monkeypatch.context() as patched:
        patched.setattr(clients.s3(), "delete_object", delete_results_only)
        assert purge(job.id) == ["0"]
    assert cloud.job(job.id).status is Status.CLAIMED

    assert purge(job.id) == []
    assert cloud.job(job.id).status is Status.PURGED
    assert cloud.upload_keys() == []


def test_another_upload_at_the_key_of_a_direct_job_is_none_of_it(cloud: Cloud, purge: Purge) -> None:
    cloud.upload("any/recording.wav", b"first")
    upload = cloud.uploads.find("any/recording.wav")
    assert upload
    pinned = {"upload_etag": upload.etag, "upload_last_modified": upload.last_modified}
    job = stored(cloud, direct_job(Status.CLAIMED, purge_at=time.time() - 1, upload_key=upload.key, **pinned))
    cloud.upload(upload.key, b"second")

    assert purge(job.id) == []

    assert cloud.job(job.id).status is Status.PURGED
    assert cloud.upload_keys() == [upload.key]


@pytest.mark.parametrize("body", ["", "text", "{}", "[]", '{"id": "x"}'], ids=repr)
def test_a_message_of_somebody_else_fails_and_leaves_the_others_alone(cloud: Cloud, purge: Purge, body: str) -> None:
    job = stored(cloud, claimed())

    assert deliver(body, json.dumps({"job_id": job.id})) == ["0"]

    assert cloud.job(job.id).status is Status.PURGED


def test_a_failure_is_logged_with_its_cause(cloud: Cloud, purge: Purge, logs: Logs) -> None:
    job = stored(cloud, claimed())

    with failing(clients.s3(), "DeleteObject"):
        purge(job.id)

    assert "EndpointConnectionError" in logs.text


def test_a_purge_is_counted_and_logged(
    cloud: Cloud, purge: Purge, logs: Logs, capsys: pytest.CaptureFixture[str]
) -> None:
    job = stored(cloud, claimed())

    purge(job.id)

    assert [line["job_id"] for line in logs.lines() if line["message"] == "job purged"] == [job.id]
    assert '"JobPurged":[1.0]' in capsys.readouterr().out


class TestSweepAfterDeletion:
    """``DELETE`` purges at once and sends a message, for what a conversion or an upload under way leaves behind."""

    def test_what_came_after_the_deletion_of_an_api_job_goes(self, cloud: Cloud, purge: Purge) -> None:
        job = stored(cloud, api_job(Status.PURGED))
        cloud.upload(job.upload_key)

        assert purge(job.id) == []

        assert cloud.upload_keys() == cloud.result_keys() == []

    def test_a_conversion_that_may_still_be_under_way_is_swept_again_when_it_must_have_ended(
        self, cloud: Cloud, purge: Purge
    ) -> None:
        job = stored(cloud, api_job(Status.PURGED, lease_expires_at=time.time() + 800))

        assert purge(job.id) == []

        assert cloud.result_keys() == []
        (delay,) = cloud.purge_delays()
        assert 400 < delay <= 800

    def test_what_a_deleted_direct_job_left_goes(self, cloud: Cloud, purge: Purge) -> None:
        job = stored(cloud, direct_job(Status.PURGED))

        assert purge(job.id) == []

        assert cloud.result_keys() == []


def test_a_message_after_the_end_of_the_window_is_the_last(cloud: Cloud, purge: Purge) -> None:
    """Each of many callers at once has sent one; the lease of the announcement may still run when windows are short."""
    now = time.time()
    job = stored(cloud, api_job(Status.PURGED, purge_at=now - 1, lease_expires_at=now + 800))

    assert purge(job.id) == []

    assert cloud.purge_delays() == []
