"""A deletion took an upload that belonged to another job, or to none yet: no job, no event, no trace.

What identifies a direct upload is what its event told of: ETag and the moment of its creation.
"""

from __future__ import annotations

import json

import pytest

from audiojobs.job import Job, Status
from resample.job_run import Outcome, UploadEvent
from tests.unit.service.service_in_memory import RESULTS, UPLOADS, Service

KEY = "any/key.wav"


def put(service: Service, data: bytes, version: str, key: str = KEY, **metadata: str) -> UploadEvent:
    stored = service.aws.put(UPLOADS, key, data, metadata)
    return UploadEvent(UPLOADS, key, version, stored.etag.strip('"'), service.now)


def handle(service: Service, event: UploadEvent) -> Outcome:
    outcome = service.handle(event, f"request {event.version}", service.now + 900)
    assert outcome is not None
    return outcome


def error_of(job: Job) -> str | None:
    return job.error.code if job.error else None


def test_a_deletion_takes_no_upload_that_has_not_been_handled_yet(service: Service) -> None:
    first, second = put(service, b"first", "1"), put(service, b"second", "2")
    job = handle(service, first).job
    assert error_of(job) == "upload-replaced"

    service.jobs.delete(job.id)

    assert service.aws.objects[UPLOADS, KEY].body == b"second"
    assert handle(service, second).job.status is Status.READY


def test_a_deletion_takes_no_original_that_another_job_keeps(service: Service) -> None:
    service.keep_originals = True
    first, second = put(service, b"first", "1"), put(service, b"second", "2")
    job = handle(service, first).job
    handle(service, second)

    service.jobs.delete(job.id)

    assert service.aws.objects[UPLOADS, KEY].body == b"second"


def test_the_same_bytes_with_other_options_have_a_job_of_their_own(service: Service) -> None:
    first = put(service, b"sound", "1", vbr_quality="9")
    service.now += 120
    second = put(service, b"sound", "2", **{"vbr-quality": "2"})

    late = handle(service, first).job
    job = handle(service, second).job

    assert error_of(late) == "upload-replaced"
    assert (job.status, job.conversion.vbr_quality) == (Status.READY, 2)
    assert (RESULTS, job.result_key) in service.aws.objects


def test_the_same_bytes_put_again_during_the_conversion_outlive_its_end(service: Service) -> None:
    first = put(service, b"sound", "1")
    complete = type(service.store).complete

    def put_again(store: object, *arguments: object, **named: object) -> Job:
        service.now += 60
        put(service, b"sound", "2")
        return complete(store, *arguments, **named)  # type: ignore[arg-type]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(service.store), "complete", put_again)
        assert handle(service, first).job.status is Status.READY

    assert (UPLOADS, KEY) in service.aws.objects


def test_an_upload_that_is_gone_leaves_a_trace(service: Service) -> None:
    event = put(service, b"sound", "1")
    service.aws.objects.clear()

    job = handle(service, event).job

    assert error_of(job) == "upload-replaced"
    assert json.loads(service.aws.events[-1]["Detail"])["job"]["id"] == job.id


class TestAroundTheExpiry:
    def test_an_upload_in_time_is_converted_however_late_its_event_is(self, service: Service) -> None:
        job = service.create().job
        service.now = job.expires_at - 5
        event = put(service, b"sound", "1", job.upload_key)
        service.now += 600

        assert handle(service, event).job.status is Status.READY

    @pytest.mark.parametrize("keep_originals", [False, True])
    def test_an_upload_that_came_too_late_is_deleted(self, service: Service, keep_originals: bool) -> None:
        service.keep_originals = keep_originals
        job = service.create().job
        service.now = job.expires_at + 5
        event = put(service, b"sound", "1", job.upload_key)

        assert handle(service, event).job.seen_at(service.now).status is Status.EXPIRED

        assert service.aws.objects == {}

    def test_the_address_ends_with_the_job(self, service: Service) -> None:
        job = service.create().job
        service.now = job.expires_at - 90.5

        upload = service.jobs.presign_upload(job)

        assert upload["expires_at"] <= job.as_json()["expires_at"]


class TestAnotherFile:
    def test_a_wrong_file_goes_at_once_and_a_corrected_one_is_taken(self, service: Service) -> None:
        job = service.create().job
        wrong = put(service, b"corrupt", "1", job.upload_key)
        assert error_of(handle(service, wrong).job) == "corrupt-audio"
        assert service.aws.objects == {}
        service.now += 60

        corrected = put(service, b"sound", "2", job.upload_key)
        ready = handle(service, corrected).job

        assert (ready.status, ready.error, ready.attempts) == (Status.READY, None, 1)
        assert [event["DetailType"] for event in service.aws.events] == ["Job Failed", "Job Ready"]

    def test_an_event_of_the_wrong_file_that_comes_again_changes_nothing(self, service: Service) -> None:
        job = service.create().job
        wrong = put(service, b"corrupt", "1", job.upload_key)
        failed = handle(service, wrong).job

        again = handle(service, wrong).job

        assert (again.status, error_of(again), again.attempts) == (Status.FAILED, "corrupt-audio", 1)
        assert failed.id == again.id
        assert len(service.aws.events) == 1

    def test_after_the_expiry_it_is_not_taken_and_deleted(self, service: Service) -> None:
        job = service.create().job
        handle(service, put(service, b"corrupt", "1", job.upload_key))
        service.now = job.expires_at + 1

        late = handle(service, put(service, b"sound", "2", job.upload_key)).job

        assert error_of(late) == "corrupt-audio"
        assert service.aws.objects == {}

    def test_a_direct_upload_has_a_job_for_each_file(self, service: Service) -> None:
        failed = handle(service, put(service, b"corrupt", "1")).job
        service.now += 60

        ready = handle(service, put(service, b"sound", "2")).job

        assert (failed.status, ready.status) == (Status.FAILED, Status.READY)
        assert failed.id != ready.id


@pytest.mark.parametrize("hours", [0, 6], ids=["at once", "after Lambda's retries"])
def test_an_event_that_is_sent_again_after_two_weeks_takes_no_newer_upload_of_the_same_bytes(
    service: Service, hours: int
) -> None:
    """So long the queue of failed events keeps it."""
    first = put(service, b"sound", "1")
    service.now += (14 * 24 + hours) * 3600
    second = put(service, b"sound", "2")

    assert error_of(handle(service, first).job) == "upload-replaced"
    assert handle(service, second).job.status is Status.READY
