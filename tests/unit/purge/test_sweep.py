"""The sweep, through the purge function's handler: what is due goes, whatever else fails, and a run is bounded."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from audiojobs import clients
from audiojobs.job import RETRY_GRACE_SECONDS, Job, Status
from audiojobs.objects import _Bucket
from purge.app import lambda_handler
from tests.unit.cloud import Cloud, failing
from tests.unit.conftest import Logs
from tests.unit.gateway import FakeLambdaContext, TimePasses
from tests.unit.samples import api_job, direct_job

Sweep = Callable[..., dict[str, Any]]
SCHEDULED = {"source": "aws.events", "detail-type": "Scheduled Event", "detail": {}}
LONG_AGO = 1_000_000.0


@pytest.fixture
def sweep(configure: Callable[..., None], logs: Logs) -> Sweep:
    def sweep(*, remaining_milliseconds: int = 60_000) -> dict[str, Any]:
        answer: dict[str, Any] = lambda_handler(
            SCHEDULED, FakeLambdaContext(remaining_milliseconds=remaining_milliseconds)
        )
        return answer

    return sweep


def stored(cloud: Cloud, job: Job) -> Job:
    """In the table and due, with all that a job can have in the buckets."""
    job = replace(job, sweep_at=job.sweep_at or LONG_AGO)
    cloud.store.create(job)
    cloud.put_result(job)
    return job


def due(status: Status, **values: Any) -> Job:
    return api_job(status, **({"expires_at": LONG_AGO, "sweep_at": LONG_AGO} | values))


@pytest.mark.parametrize(
    ("job", "status", "event"),
    [
        (due(Status.READY), Status.EXPIRED, "Job Expired"),
        (due(Status.AWAITING_UPLOAD), Status.EXPIRED, "Job Expired"),
        (due(Status.EXPIRED), Status.EXPIRED, "Job Expired"),
        (due(Status.CLAIMED, purge_at=LONG_AGO), Status.PURGED, "Job Purged"),
        (due(Status.PURGED), Status.PURGED, "Job Purged"),
        (due(Status.FAILED), Status.FAILED, None),
        (due(Status.FAILED, retryable=True), Status.FAILED, None),
    ],
    ids=["unfetched", "never uploaded", "broken off", "purge lost", "deletion broken off", "wrong file", "our fault"],
)
def test_what_is_due_goes_and_is_told(cloud: Cloud, sweep: Sweep, job: Job, status: Status, event: str | None) -> None:
    stored(cloud, job)

    assert sweep()["swept"] == 1

    swept = cloud.job(job.id)
    assert (swept.status, swept.sweep_at, swept.retryable) == (status, None, False)
    assert swept.deleted_at
    assert cloud.result_keys() == []
    assert [announced["detail-type"] for announced in cloud.announcements()] == ([event] if event else [])
    assert sweep()["swept"] == 0


def test_an_upload_that_nobody_converted_goes_too(cloud: Cloud, sweep: Sweep) -> None:
    failed = stored(cloud, due(Status.FAILED, retryable=True))
    cloud.upload(failed.upload_key)
    etag = f'"{cloud.upload("any/key.wav")}"'
    found = cloud.uploads.find("any/key.wav")
    assert found is not None
    pins = {"upload_etag": etag, "upload_last_modified": found.last_modified}
    stored(cloud, direct_job(Status.FAILED, expires_at=LONG_AGO, retryable=True, **pins))

    sweep()

    assert cloud.upload_keys() == []


def test_another_upload_at_the_key_stays(cloud: Cloud, sweep: Sweep) -> None:
    stored(cloud, direct_job(Status.FAILED, expires_at=LONG_AGO, upload_etag='"another"', upload_last_modified=1.0))
    cloud.upload("any/key.wav")

    sweep()

    assert cloud.upload_keys() == ["any/key.wav"]


def test_an_unfetched_result_goes_whatever_lies_at_the_key_of_its_upload(cloud: Cloud, sweep: Sweep) -> None:
    """Only a job that awaits an upload waits for a late event of one."""
    cloud.upload("any/key.wav", b"another")
    job = direct_job(Status.READY, expires_at=time.time() + 2, upload_etag='"another"', upload_last_modified=1.0)
    cloud.store.create(replace(job, sweep_at=LONG_AGO))
    cloud.put_result(job)
    time.sleep(2.1)

    sweep()

    assert cloud.job(job.id).status is Status.EXPIRED
    assert cloud.result_keys() == []
    assert cloud.upload_keys() == ["any/key.wav"]


def test_an_upload_that_came_in_time_waits_for_its_event(cloud: Cloud, sweep: Sweep) -> None:
    job = stored(cloud, due(Status.AWAITING_UPLOAD, expires_at=time.time() + 0.5))
    cloud.upload(job.upload_key)
    time.sleep(1.1)

    sweep()

    assert cloud.job(job.id).status is Status.AWAITING_UPLOAD
    assert cloud.upload_keys() == [job.upload_key]


def test_the_job_whose_last_attempt_was_killed_fails_and_is_told(cloud: Cloud, sweep: Sweep) -> None:
    killed_at = time.time() - RETRY_GRACE_SECONDS - 1
    job = stored(cloud, api_job(Status.PROCESSING, lease_expires_at=killed_at))
    at_work = stored(cloud, api_job(Status.PROCESSING, lease_expires_at=time.time() + 60))

    sweep()

    failed = cloud.job(job.id)
    assert (failed.status, failed.retryable, failed.announced) == (Status.FAILED, True, True)
    assert failed.error
    assert failed.error.code == "internal-error"
    assert [event["detail-type"] for event in cloud.announcements()] == ["Job Failed"]
    assert cloud.job(at_work.id).status is Status.PROCESSING


def test_an_end_that_was_never_told_is_told_with_a_fresh_link(cloud: Cloud, sweep: Sweep) -> None:
    job = stored(cloud, direct_job(Status.READY, announced=False, lease_expires_at=1.0, secret_hash="0" * 64))

    sweep()

    (event,) = cloud.announcements()
    assert event["detail"]["link"].rpartition("/")[2].startswith(job.id)
    assert cloud.job(job.id).secret_hash != job.secret_hash
    assert cloud.result_keys() == [job.result_key]


def test_a_failure_that_was_never_told_is_told_and_its_upload_waits_for_the_redrive(cloud: Cloud, sweep: Sweep) -> None:
    cloud.upload("any/key.wav")
    found = cloud.uploads.find("any/key.wav")
    assert found
    pins = {"upload_etag": found.etag, "upload_last_modified": found.last_modified}
    job = direct_job(Status.FAILED, announced=False, lease_expires_at=1.0, retryable=True, **pins)
    stored(cloud, job)

    sweep()

    assert [event["detail-type"] for event in cloud.announcements()] == ["Job Failed"]
    assert cloud.announcements()[0]["detail"]["link"] is None
    assert cloud.upload_keys() == ["any/key.wav"]


@pytest.mark.parametrize("status", list(Status), ids=str)
def test_what_is_not_due_is_not_touched(cloud: Cloud, sweep: Sweep, status: Status) -> None:
    job = stored(cloud, api_job(status, sweep_at=time.time() + 60))

    assert sweep()["swept"] == 0

    assert cloud.job(job.id) == job
    assert cloud.result_keys() == [job.result_key]


def test_one_that_fails_does_not_hold_up_the_others(cloud: Cloud, sweep: Sweep) -> None:
    poisoned = stored(cloud, due(Status.READY, sweep_at=LONG_AGO - 1))
    others = [stored(cloud, due(Status.READY)) for _ in range(3)]
    with failing(clients.s3(), "DeleteObject", times=1):
        report = sweep()

    assert (report["swept"], report["failed"]) == (3, 1)
    assert {cloud.job(job.id).deleted_at is None for job in others} == {False}
    assert (cloud.job(poisoned.id).sweep_at or 0) > time.time() + 200, "it comes again, behind the others"


def test_a_run_ends_before_its_function_does_and_tells_how_late_it_is(cloud: Cloud, sweep: Sweep) -> None:
    stored(cloud, due(Status.READY, sweep_at=time.time() - 4000))

    report = sweep(remaining_milliseconds=10_000)

    assert (report["swept"], report["is_complete"]) == (0, False)
    assert 4000 <= report["lag_seconds"] < 5000
    assert cloud.result_keys()


@pytest.mark.usefixtures("configure")
class TestTheTimeRunsOut:
    """A job takes up to 15 s where a call gets no answer, so none is begun when less is left."""

    def test_what_was_not_reached_is_as_it_was_and_comes_next_time(self, cloud: Cloud) -> None:
        jobs = [stored(cloud, due(Status.READY, sweep_at=LONG_AGO + number)) for number in range(4)]
        before = [cloud.job(job.id) for job in jobs]

        report = lambda_handler(SCHEDULED, TimePasses(60_000, 20_000, 14_999))

        assert (report["swept"], report["failed"], report["is_complete"]) == (2, 0, False)
        assert [cloud.job(job.id).status for job in jobs[:2]] == [Status.EXPIRED] * 2
        assert [cloud.job(job.id) for job in jobs[2:]] == before[2:]
        assert sorted(cloud.result_keys()) == sorted(job.result_key for job in jobs[2:])

        report = lambda_handler(SCHEDULED, TimePasses(60_000))

        assert (report["swept"], report["failed"], report["is_complete"]) == (2, 0, True)
        assert cloud.result_keys() == []

    def test_abandoned_parts_wait_too(self, cloud: Cloud) -> None:
        over = due(Status.AWAITING_UPLOAD, sweep_at=time.time() + 60)
        cloud.store.create(over)
        clients.s3().create_multipart_upload(Bucket=cloud.upload_bucket, Key=over.upload_key)
        clients.s3().create_multipart_upload(Bucket=cloud.result_bucket, Key=over.result_key)

        report = lambda_handler(SCHEDULED, TimePasses(14_999))

        assert not report["is_complete"]
        assert [len(bucket.partial_uploads()) for bucket in (cloud.uploads, cloud.results)] == [1, 1]

        report = lambda_handler(SCHEDULED, TimePasses(60_000))

        assert report["is_complete"]
        assert [len(bucket.partial_uploads()) for bucket in (cloud.uploads, cloud.results)] == [0, 0]


class TestParts:
    """Of uploads in parts that nobody completed."""

    def begin(self, bucket: str, key: str) -> str:
        return clients.s3().create_multipart_upload(Bucket=bucket, Key=key)["UploadId"]

    def left(self, bucket: str) -> list[str]:
        return [upload["Key"] for upload in clients.s3().list_multipart_uploads(Bucket=bucket).get("Uploads", [])]

    def test_those_of_a_job_that_is_over_go(self, cloud: Cloud, sweep: Sweep) -> None:
        over, waiting = due(Status.AWAITING_UPLOAD, expires_at=time.time() - 1), api_job()
        for job in (over, waiting):
            cloud.store.create(job)
            self.begin(cloud.upload_bucket, job.upload_key)

        sweep()

        assert self.left(cloud.upload_bucket) == [waiting.upload_key]

    @pytest.mark.parametrize(("age_seconds", "are_left"), [(0, True), (25 * 3600, False)], ids=["new", "a day old"])
    def test_those_of_others_stay_for_a_day(
        self, cloud: Cloud, sweep: Sweep, monkeypatch: pytest.MonkeyPatch, age_seconds: float, are_left: bool
    ) -> None:
        """moto calls every upload one of 2010."""
        list_parts = _Bucket.partial_uploads
        begun = time.time() - age_seconds
        monkeypatch.setattr(
            _Bucket,
            "partial_uploads",
            lambda bucket: [replace(parts, initiated=begun) for parts in list_parts(bucket)],
        )
        self.begin(cloud.upload_bucket, "large.wav")
        self.begin(cloud.result_bucket, "large.wav/0.mp3")

        sweep()

        assert self.left(cloud.upload_bucket) == (["large.wav"] if are_left else [])
        assert self.left(cloud.result_bucket) == (["large.wav/0.mp3"] if are_left else [])
