"""boto3 repeats a write whose answer was lost; the repetition was refused by what the first one had written.

A claim was spent and nobody got the file; a finished job was never announced; a retry waited for its own lease.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from audiojobs import clients
from audiojobs.errors import InternalError
from audiojobs.job import Job, Status
from audiojobs.store import JobStore, Refused
from tests.unit.audiojobs.test_store import NOW, complete
from tests.unit.cloud import answer_lost_once
from tests.unit.samples import NOTICE, api_job, direct_job
from tests.unit.service.in_memory_aws import AwsInMemory, Perform
from tests.unit.service.service_in_memory import Fault, suffer

LEASED = {"lease_holder": "me", "lease_expires_at": NOW + 900}


def begin(store: JobStore, job: Job) -> Job:
    return store.begin(job, now=NOW, holder="me", request_id="request", lease_expires_at=NOW + 900)


def fail(store: JobStore, job: Job) -> Job:
    return store.fail(job.id, now=NOW, holder="me", error=NOTICE, lease_expires_at=NOW + 30, retryable=True)


def announce(store: JobStore, job: Job) -> Job:
    return store.begin_announcement(job.id, now=NOW, lease_expires_at=NOW + 30, secret_hash="b" * 64)


def claim(store: JobStore, job: Job) -> Job:
    return store.claim(job.id, now=NOW, secret_hash="a" * 64, purge_at=NOW + 300)


WAITING = api_job(expires_at=NOW + 3600)
PROCESSING = api_job(Status.PROCESSING, **LEASED)
UNANNOUNCED = api_job(Status.READY, announced=False)
READY = api_job(Status.READY, secret_hash="a" * 64, expires_at=NOW + 3600)


EVERY_WRITE = {
    "begin": (WAITING, begin, Status.PROCESSING),
    "complete": (PROCESSING, complete, Status.READY),
    "fail": (PROCESSING, fail, Status.FAILED),
    "announce": (UNANNOUNCED, announce, Status.READY),
    "claim": (READY, claim, Status.CLAIMED),
}
every_write = pytest.mark.parametrize(("job", "write", "status"), EVERY_WRITE.values(), ids=EVERY_WRITE)


@every_write
def test_a_repeated_write_finds_itself(
    store: JobStore, job: Job, write: Callable[[JobStore, Job], Job], status: Status
) -> None:
    store.create(job)

    with answer_lost_once(clients.dynamodb(), "UpdateItem") as losses:
        written = write(store, job)

    assert losses
    assert written.status is status
    assert written == store.get(job.id)


def store_that_fails(fault: Fault) -> JobStore:
    """In memory; each write meets the fault."""

    def around(operation: str, perform: Perform) -> Any:
        return suffer(fault, perform) if operation == "UpdateItem" else perform()

    return JobStore(AwsInMemory(lambda: NOW, around).client(), "jobs")


@every_write
def test_a_write_that_never_got_an_answer_finds_itself(
    job: Job, write: Callable[[JobStore, Job], Job], status: Status
) -> None:
    store = store_that_fails(Fault.ANSWER_LOST)
    store.create(job)

    written = write(store, job)

    assert written.status is status
    assert written == store.get(job.id)


@pytest.mark.parametrize(("job", "write"), [case[:2] for case in EVERY_WRITE.values()], ids=EVERY_WRITE)
def test_a_write_that_was_not_done_is_our_fault(job: Job, write: Callable[[JobStore, Job], Job]) -> None:
    store = store_that_fails(Fault.NO_CONNECTION)
    store.create(job)

    with pytest.raises(InternalError):
        write(store, job)

    assert store.get(job.id) == job


def test_a_repeated_begin_of_a_direct_upload_finds_itself(store: JobStore) -> None:
    with answer_lost_once(clients.dynamodb(), "UpdateItem") as losses:
        begun = begin(store, direct_job())

    assert losses
    assert (begun.status, begun.attempts) == (Status.PROCESSING, 1)


def test_a_repeated_create_finds_itself(store: JobStore) -> None:
    with answer_lost_once(clients.dynamodb(), "PutItem") as losses:
        store.create(WAITING)

    assert losses
    assert store.get(WAITING.id) == WAITING


def test_a_second_claim_is_no_repetition(store: JobStore) -> None:
    store.create(READY)
    claim(store, READY)

    with pytest.raises(Refused):
        claim(store, READY)


@pytest.mark.parametrize("status", [Status.PURGED, Status.READY, Status.FAILED], ids=str)
def test_whoever_held_the_job_last_is_still_told_that_it_has_ended(store: JobStore, status: Status) -> None:
    job = api_job(status, **LEASED)
    store.create(job)

    with pytest.raises(Refused):
        store.record_progress(job.id, now=NOW, holder="me", progress=0.5)
    with pytest.raises(Refused):
        store.release(job.id, now=NOW, holder="me")
