"""When purge and sweep act, to the second: over AWS in memory, whose clock a test sets."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import pytest

from audiojobs.job import RETRY_GRACE_SECONDS, Job, Status
from tests.unit.samples import RESULT, api_job, direct_job
from tests.unit.service.in_memory_aws import Perform
from tests.unit.service.service_in_memory import (
    RESULTS,
    START,
    UPLOADS,
    Fault,
    Killed,
    Service,
    Task,
    suffer,
)

HOUR = 3600
DAY = 24 * HOUR


def stored(service: Service, status: Status, make: Callable[..., Job] = api_job, **values: Any) -> Job:
    """A job of this moment, due for the sweep at once, that expires in an hour."""
    times = {"created_at": START, "updated_at": START, "expires_at": START + HOUR, "delete_at": int(START) + 30 * DAY}
    job = make(status, **({**times, "sweep_at": START} | values))
    service.store.create(job)
    if job.result:
        service.aws.put(RESULTS, job.result_key, b"MP3")
    return job


def seen(service: Service, job: Job) -> Job:
    found = service.store.get(job.id)
    assert found
    return found


def sweep_at(service: Service, moment: float) -> None:
    service.now = moment
    assert service.sweep().failed == 0


@contextmanager
def meeting(service: Service, fault: Fault, operation: str) -> Iterator[None]:
    """One kind of call meets a fault, each time."""

    def around(name: str, perform: Perform) -> Any:
        return suffer(fault, perform) if name == operation else perform()

    with patch.object(service.aws, "around", around):
        yield


def told(service: Service) -> list[str]:
    return [event["DetailType"] for event in service.aws.events]


class TestLateEvents:
    """An upload that came in time is given a day: S3's event, and Lambda's retries of it, may be that late."""

    @pytest.mark.parametrize("status", [Status.AWAITING_UPLOAD, Status.FAILED], ids=["first", "corrected"])
    @pytest.mark.parametrize(("seconds", "is_over"), [(DAY - 1, False), (DAY, True)], ids=["within", "after"])
    def test_of_an_upload(self, service: Service, status: Status, seconds: float, is_over: bool) -> None:
        job = stored(service, status)
        service.aws.put(UPLOADS, job.upload_key, b"sound")

        sweep_at(service, job.expires_at + seconds)

        assert (seen(service, job).deleted_at is not None) is is_over
        assert ((UPLOADS, job.upload_key) not in service.aws.objects) is is_over

    def test_not_of_an_upload_that_came_too_late(self, service: Service) -> None:
        job = stored(service, Status.AWAITING_UPLOAD)
        service.now = job.expires_at + 1
        service.aws.put(UPLOADS, job.upload_key, b"sound")

        sweep_at(service, job.expires_at + 2)

        assert seen(service, job).status is Status.EXPIRED
        assert service.aws.objects == {}

    def test_not_of_an_upload_that_was_read_already(self, service: Service) -> None:
        upload = service.aws.put(UPLOADS, (key := "jobs/" + "0" * 32), b"sound")
        job = stored(
            service,
            Status.FAILED,
            id="0" * 32,
            upload_etag=upload.etag,
            upload_last_modified=upload.last_modified.timestamp(),
        )

        sweep_at(service, job.expires_at)

        assert seen(service, job).sweep_at is None
        assert (UPLOADS, key) not in service.aws.objects


@pytest.mark.parametrize("status", [Status.AWAITING_UPLOAD, Status.READY, Status.FAILED], ids=str)
@pytest.mark.parametrize(("seconds", "is_over"), [(-1, False), (0, True)], ids=["before", "then"])
def test_a_job_is_over_at_the_very_moment_that_it_names(
    service: Service, status: Status, seconds: float, is_over: bool
) -> None:
    job = stored(service, status)

    sweep_at(service, job.expires_at + seconds)

    assert (seen(service, job).deleted_at is not None) is is_over


@pytest.mark.parametrize(("seconds", "is_killed"), [(-1, False), (0, True)], ids=["before", "then"])
def test_a_conversion_was_killed_when_no_retry_can_come_any_more(
    service: Service, seconds: float, is_killed: bool
) -> None:
    job = stored(service, Status.PROCESSING, lease_expires_at=START + 900)

    sweep_at(service, START + 900 + RETRY_GRACE_SECONDS + seconds)

    assert seen(service, job).status is (Status.FAILED if is_killed else Status.PROCESSING)
    assert told(service) == (["Job Failed"] if is_killed else [])


@pytest.mark.parametrize(
    ("status", "values", "is_kept"),
    [
        (Status.EXPIRED, {"result": RESULT}, True),
        (Status.EXPIRED, {}, False),
        (Status.FAILED, {}, True),
        (Status.PURGED, {}, False),
    ],
    ids=["never fetched", "never converted", "at fault", "deleted on request"],
)
@pytest.mark.parametrize("keep_originals", [False, True], ids=["deletes", "keeps"])
def test_originals_are_kept_where_that_is_wanted_and_they_were_converted(
    service: Service, status: Status, values: dict[str, Any], is_kept: bool, keep_originals: bool
) -> None:
    service.keep_originals = keep_originals
    job = stored(service, status, expires_at=START - 2 * DAY, **values)
    service.aws.put(UPLOADS, job.upload_key, b"sound")

    sweep_at(service, START)

    assert seen(service, job).deleted_at == START
    assert [*service.aws.objects] == ([(UPLOADS, job.upload_key)] if is_kept and keep_originals else [])


def test_what_is_not_finished_is_due_again_in_five_minutes(service: Service) -> None:
    job = stored(service, Status.PROCESSING, lease_expires_at=START + 900)

    sweep_at(service, START)

    assert seen(service, job).sweep_at == START + 300


@pytest.mark.parametrize(
    ("status", "lease_expires_at"), [(Status.READY, 0.0), (Status.FAILED, 0.0), (Status.PROCESSING, START - HOUR)]
)
def test_a_sweep_that_is_killed_before_it_tells_is_followed_by_one_that_tells(
    service: Service, status: Status, lease_expires_at: float
) -> None:
    stored(service, status, announced=False, lease_expires_at=lease_expires_at)
    with meeting(service, Fault.KILLED_BEFORE, "PutEvents"), pytest.raises(Killed):
        service.sweep()

    sweep_at(service, START + 600)

    assert told(service) == ["Job Ready" if status is Status.READY else "Job Failed"]


def test_parts_that_cannot_be_listed_fail_the_run_and_nothing_else(service: Service) -> None:
    job = stored(service, Status.EXPIRED)

    with meeting(service, Fault.NO_CONNECTION, "ListMultipartUploads"):
        report = service.sweep()

    assert (report.swept, report.failed, report.is_complete) == (1, 1, True)
    assert seen(service, job).deleted_at


class TestMissedAnnouncement:
    @pytest.mark.parametrize("keep_originals", [False, True], ids=["deleted", "kept"])
    def test_the_upload_goes_before_a_ready_job_is_told_unless_originals_are_kept(
        self, service: Service, keep_originals: bool
    ) -> None:
        service.keep_originals = keep_originals
        job = stored(service, Status.READY, announced=False)
        service.aws.put(UPLOADS, job.upload_key, b"sound")

        sweep_at(service, START)

        assert told(service) == ["Job Ready"]
        assert seen(service, job).announced
        assert ((UPLOADS, job.upload_key) in service.aws.objects) is keep_originals

    def test_the_upload_of_a_failure_stays_for_another_try(self, service: Service) -> None:
        job = stored(service, Status.FAILED, announced=False, retryable=True)
        service.aws.put(UPLOADS, job.upload_key, b"sound")

        sweep_at(service, START)

        assert told(service) == ["Job Failed"]
        assert (UPLOADS, job.upload_key) in service.aws.objects

    def test_whoever_announces_it_now_is_not_disturbed(self, service: Service) -> None:
        job = stored(service, Status.READY, announced=False, lease_expires_at=START + 1)

        sweep_at(service, START)

        assert told(service) == []
        assert not seen(service, job).announced

    @pytest.mark.parametrize(
        ("make", "status", "has_link"),
        [
            (direct_job, Status.READY, True),
            (direct_job, Status.FAILED, False),
            (api_job, Status.READY, False),
            (api_job, Status.FAILED, False),
        ],
    )
    def test_only_the_result_of_a_direct_upload_gets_a_link(
        self, service: Service, make: Callable[..., Job], status: Status, has_link: bool
    ) -> None:
        job = stored(service, status, make, announced=False)

        sweep_at(service, START)

        (event,) = service.aws.events
        link = json.loads(event["Detail"])["link"]
        assert (link is not None) is has_link
        assert (seen(service, job).secret_hash is not None) is has_link

    def test_a_result_that_has_expired_is_not_told_of_as_ready(self, service: Service) -> None:
        job = stored(service, Status.READY, announced=False)

        sweep_at(service, job.expires_at)

        assert told(service) == ["Job Expired"]


class TestAbandonedParts:
    def begin(self, service: Service, bucket: str, key: str) -> None:
        service.now = int(service.now)  # S3 tells whole seconds
        service.aws.client().create_multipart_upload(Bucket=bucket, Key=key)

    @pytest.mark.parametrize(
        ("bucket", "seconds"), [(UPLOADS, DAY), (RESULTS, HOUR / 2)], ids=["direct upload", "result"]
    )
    def test_those_of_no_job_go_when_nobody_can_still_be_at_work(
        self, service: Service, bucket: str, seconds: float
    ) -> None:
        self.begin(service, bucket, "large.wav")
        begun = service.now

        sweep_at(service, begun + seconds)
        assert service.aws.in_parts

        sweep_at(service, begun + seconds + 1)
        assert service.aws.in_parts == {}

    def test_those_of_a_job_go_when_it_expires(self, service: Service) -> None:
        job = stored(service, Status.AWAITING_UPLOAD)
        self.begin(service, UPLOADS, job.upload_key)

        sweep_at(service, job.expires_at - 1)
        assert service.aws.in_parts

        sweep_at(service, job.expires_at)
        assert service.aws.in_parts == {}

    @pytest.mark.parametrize("status", list(Status), ids=str)
    def test_those_of_a_job_that_ended_early_go_at_once(self, service: Service, status: Status) -> None:
        job = stored(service, status, sweep_at=START + DAY, lease_expires_at=START + HOUR)
        self.begin(service, UPLOADS, job.upload_key)

        sweep_at(service, START)

        assert bool(service.aws.in_parts) is (status not in (Status.PURGED, Status.EXPIRED))


class TestPurgeMessages:
    def handle(self, service: Service, job: Job, *, sent_at: float) -> list[float]:
        """Returns in how many seconds the message comes again."""
        service.aws.messages.clear()
        service.purging.handle(job.id, sent_at=sent_at)
        return [message.due_at - service.now for message in service.aws.messages]

    def test_a_claim_is_given_a_minute_from_its_message_on(self, service: Service) -> None:
        job = stored(service, Status.READY)

        service.now = START + 59
        assert self.handle(service, job, sent_at=START) == [60]

        service.now = START + 60
        assert self.handle(service, job, sent_at=START) == []
        assert seen(service, job).status is Status.READY

    def test_a_window_is_over_at_the_very_moment_that_it_names(self, service: Service) -> None:
        job = stored(service, Status.CLAIMED, purge_at=START + 300)

        service.now = START + 299
        assert self.handle(service, job, sent_at=START) == [1]
        assert (RESULTS, job.result_key) in service.aws.objects

        service.now = START + 300
        assert self.handle(service, job, sent_at=START) == []
        assert seen(service, job).status is Status.PURGED
        assert service.aws.objects == {}

    def test_the_leavings_of_a_deleted_job_are_looked_for_until_its_conversion_has_ended(
        self, service: Service
    ) -> None:
        job = stored(service, Status.PURGED, lease_expires_at=START + 100)

        assert self.handle(service, job, sent_at=START) == [100]
        assert seen(service, job).deleted_at is None

        service.now = START + 100
        assert self.handle(service, job, sent_at=START) == []
        assert seen(service, job).deleted_at == service.now

    def test_a_record_that_goes_meanwhile_needs_no_note(self, service: Service) -> None:
        job = stored(service, Status.PURGED)
        task = Task(lambda: service.purging.handle(job.id, sent_at=START), START + 60)
        task.advance(1)
        service.aws.items.clear()

        task.advance()

        assert task.error is None
        assert (service.aws.objects, told(service)) == ({}, [])

    @pytest.mark.parametrize(
        ("announced", "events"),
        [(True, ["Job Purged"]), (False, ["Job Claimed", "Job Purged"])],
        ids=["told", "missed"],
    )
    def test_a_claim_that_was_not_told_is_told_with_its_purge(
        self, service: Service, announced: bool, events: list[str]
    ) -> None:
        job = stored(service, Status.CLAIMED, purge_at=START, announced=announced)

        self.handle(service, job, sent_at=START)

        assert told(service) == events
