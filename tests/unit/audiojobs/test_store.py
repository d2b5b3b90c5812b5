"""The jobs table: every transition, granted and refused.

Which of several simultaneous callers wins is not asked here: moto is no judge of that, the embedded AWS is.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from audiojobs import clients
from audiojobs.conversion import Conversion
from audiojobs.errors import InternalError, InvalidRequest
from audiojobs.job import RETRY_GRACE_SECONDS, Job, Origin, Status
from audiojobs.store import RECORD_SECONDS, SWEEP_GRACE_SECONDS, JobStore, Refused
from tests.unit.cloud import Cloud, failing
from tests.unit.samples import NOTICE, RESULT, SOURCE, api_job, direct_job

NOW = 1_800_000_000.5
LEASE_END = NOW + 900

JOB_ID = "0" * 32
NO_POSITIONS: list[Any] = [
    1,
    "ab",
    {},
    [],
    [JOB_ID],
    [JOB_ID, "now"],
    [JOB_ID, None],
    [JOB_ID, {}],
    [JOB_ID, "1", 2],
    [JOB_ID, "NaN"],
    [JOB_ID, "Infinity"],
    [JOB_ID, "1e999"],
    [JOB_ID, "-1"],
    [JOB_ID, f"1.{'1' * 99}"],
    ["", "1"],
    ["k" * 9999, "1"],
    [{}, "1"],
]


def sample(status: Status = Status.AWAITING_UPLOAD, **values: Any) -> Job:
    """An API job around ``NOW``; in ``processing`` it is held by ``me``."""
    lease: dict[str, Any] = {}
    if status is Status.PROCESSING:
        lease = {"lease_holder": "me", "lease_request_id": "request", "lease_expires_at": LEASE_END}
    times = {"created_at": NOW - 60, "updated_at": NOW - 60, "expires_at": NOW + 3600, "delete_at": int(NOW) + 99_999}
    return api_job(status, **(times | lease | values))


def stored(store: JobStore, status: Status = Status.AWAITING_UPLOAD, **values: Any) -> Job:
    job = sample(status, **values)
    store.create(job)
    return job


def begin(store: JobStore, job: Job, *, now: float = NOW, holder: str = "me", request_id: str = "request") -> Job:
    return store.begin(job, now=now, holder=holder, request_id=request_id, lease_expires_at=now + 900)


FIRST: dict[str, Any] = {"upload_etag": '"1"', "upload_last_modified": 1.0}


def begin_anew(store: JobStore, job: Job, *, uploaded_at: float = NOW) -> Job:
    return store.begin_with_another_upload(
        job, now=NOW, holder="me", request_id="again", lease_expires_at=NOW + 900, uploaded_at=uploaded_at
    )


def complete(
    store: JobStore,
    job: Job,
    *,
    holder: str = "me",
    expires_at: float = NOW + 86_400,
    secret_hash: str | None = None,
) -> Job:
    return store.complete(
        job.id,
        now=NOW,
        holder=holder,
        source=SOURCE,
        result=RESULT,
        warnings=(NOTICE,),
        expires_at=expires_at,
        lease_expires_at=NOW + 30,
        secret_hash=secret_hash,
    )


def fail(store: JobStore, job: Job, *, holder: str = "me", retryable: bool = False) -> Job:
    return store.fail(job.id, now=NOW, holder=holder, error=NOTICE, lease_expires_at=NOW + 30, retryable=retryable)


def test_a_job_is_read_as_it_was_written(store: JobStore) -> None:
    job = sample(
        Status.READY,
        filename="Ä \U0001f3b5.wav",
        conversion=Conversion(sample_rate=8_000, vbr_quality=0, channels=1, allow_partial=True),
        warnings=(NOTICE,),
        source=replace(SOURCE, duration_seconds=None),
        result=replace(RESULT, duration_seconds=0.1 + 0.2),
        purge_at=NOW,
        secret_hash="f" * 64,
    )

    store.create(job)

    assert store.get(job.id) == job


def test_an_unknown_job_is_none(store: JobStore) -> None:
    assert store.get("0" * 32) is None


@pytest.mark.parametrize(
    ("operation", "read"),
    [
        ("GetItem", lambda store: store.get(JOB_ID)),
        ("Query", lambda store: store.get_by_link(JOB_ID, secret_hash="a" * 64)),
        ("BatchGetItem", lambda store: store.list_by_reference("album", limit=1)),
        ("BatchGetItem", lambda store: store.list_by_status(Status.READY, limit=1)),
    ],
    ids=["by id", "by link", "by reference", "by state"],
)
def test_a_job_is_read_as_it_was_last_written(
    store: JobStore, operation: str, read: Callable[[JobStore], object]
) -> None:
    """DynamoDB may answer other reads with what stood there a second ago: moto never does."""
    store.create(sample(Status.READY, id=JOB_ID, reference="album", secret_hash="a" * 64))
    asked: list[dict[str, Any]] = []

    def note(params: dict[str, Any], **_: Any) -> None:
        asked.append(params)

    name = f"provide-client-params.dynamodb.{operation}"
    clients.dynamodb().meta.events.register(name, note)
    try:
        assert read(store)
    finally:
        clients.dynamodb().meta.events.unregister(name, note)

    (params,) = asked
    (found,) = params["RequestItems"].values() if operation == "BatchGetItem" else [params]
    assert found["ConsistentRead"] is True


class TestByLink:
    def test_the_hash_of_its_secret_opens_a_job(self, store: JobStore) -> None:
        job = sample(secret_hash="a" * 64)
        store.create(job)

        assert store.get_by_link(job.id, secret_hash="a" * 64) == job

    @pytest.mark.parametrize("secret_hash", ["b" * 64, "a" * 63, "", "secret_hash", ":hash"], ids=repr)
    def test_nothing_else_does(self, store: JobStore, secret_hash: str) -> None:
        job = sample(secret_hash="a" * 64)
        store.create(job)

        assert store.get_by_link(job.id, secret_hash=secret_hash) is None

    @pytest.mark.parametrize("secret_hash", ["a" * 64, "", "None"], ids=repr)
    def test_nothing_opens_a_job_that_has_no_link(self, store: JobStore, secret_hash: str) -> None:
        job = sample(secret_hash=None)
        store.create(job)

        assert store.get_by_link(job.id, secret_hash=secret_hash) is None

    def test_another_job_has_another_secret(self, store: JobStore) -> None:
        jobs = [sample(id=digit * 32, secret_hash=digit * 64) for digit in "12"]
        for job in jobs:
            store.create(job)

        assert store.get_by_link(jobs[0].id, secret_hash="2" * 64) is None
        assert store.get_by_link("3" * 32, secret_hash="2" * 64) is None


def test_an_id_is_taken_once(store: JobStore) -> None:
    job = sample(Status.READY)
    store.create(job)

    with pytest.raises(Refused) as refusal:
        store.create(replace(job, status=Status.AWAITING_UPLOAD))

    assert refusal.value.job == job


class TestBegin:
    def test_an_upload_begins_a_waiting_job_under_a_lease(self, store: JobStore) -> None:
        job = sample()
        store.create(job)

        begun = begin(store, job)

        assert begun == replace(
            job,
            status=Status.PROCESSING,
            updated_at=NOW,
            attempts=1,
            lease_holder="me",
            lease_request_id="request",
            lease_expires_at=LEASE_END,
            sweep_at=LEASE_END + RETRY_GRACE_SECONDS,
        )
        assert store.get(job.id) == begun

    def test_a_direct_upload_begins_a_job_that_was_not_there(self, store: JobStore) -> None:
        job = direct_job(upload_etag='"etag"', created_at=NOW, conversion=Conversion(bit_rate=64_000))

        begun = begin(store, job)

        assert begun.status is Status.PROCESSING
        assert begun.attempts == 1
        assert begun.origin is Origin.DIRECT
        assert (begun.upload_key, begun.upload_etag, begun.filename) == (job.upload_key, '"etag"', job.filename)
        assert begun.conversion == job.conversion
        assert (begun.created_at, begun.expires_at, begun.delete_at) == (NOW, job.expires_at, job.delete_at)
        assert store.get(job.id) == begun

    def test_an_api_job_that_is_not_there_is_not_begun(self, store: JobStore) -> None:
        job = sample()

        with pytest.raises(Refused) as refusal:
            begin(store, job)

        assert refusal.value.job is None
        assert store.get(job.id) is None

    def test_a_job_whose_upload_came_too_late_is_not_begun(self, store: JobStore) -> None:
        job = sample(expires_at=NOW)
        store.create(job)

        with pytest.raises(Refused):
            begin(store, job)

        assert store.get(job.id) == job

    @pytest.mark.parametrize("make", [sample, direct_job], ids=["api", "direct"])
    def test_a_duplicate_event_does_not_begin_what_is_at_work(self, store: JobStore, make: Callable[[], Job]) -> None:
        job = make()
        if job.origin is Origin.API:
            store.create(job)
        begun = begin(store, job)

        with pytest.raises(Refused) as refusal:
            begin(store, job, now=NOW + 899, holder="another", request_id="another")

        assert refusal.value.job == begun == store.get(job.id)

    def test_a_lease_that_ran_out_is_taken_over(self, store: JobStore) -> None:
        job = direct_job(upload_etag='"first"', created_at=NOW)
        begin(store, job)

        taken = begin(store, replace(job, upload_etag='"second"', created_at=NOW + 900), now=NOW + 900, holder="retry")

        assert (taken.lease_holder, taken.attempts, taken.progress) == ("retry", 2, 0.0)
        assert (taken.upload_etag, taken.created_at) == ('"first"', NOW)

    def test_who_lost_the_lease_can_write_nothing(self, store: JobStore) -> None:
        job = direct_job()
        begin(store, job)
        taken = begin(store, job, now=NOW + 900, holder="retry")

        for write in (
            lambda: store.record_progress(job.id, now=NOW, holder="me", progress=0.5),
            lambda: complete(store, job),
            lambda: fail(store, job),
            lambda: store.release(job.id, now=NOW, holder="me"),
        ):
            with pytest.raises(Refused) as refusal:
                write()
            assert refusal.value.job == taken

        assert store.get(job.id) == taken

    @pytest.mark.parametrize("changes", [{"upload_etag": '"2"'}, {"upload_last_modified": 2.0}], ids=["file", "time"])
    def test_another_upload_begins_a_job_anew_whose_file_was_at_fault(
        self, store: JobStore, changes: dict[str, Any]
    ) -> None:
        first = sample(Status.FAILED, **FIRST, progress=0.4, attempts=3, error=NOTICE, announced=True, deleted_at=NOW)
        store.create(first)

        begun = begin_anew(store, replace(first, **changes))

        assert (begun.status, begun.progress, begun.attempts, begun.announced) == (Status.PROCESSING, 0.0, 1, False)
        assert (begun.error, begun.deleted_at) == (None, None)
        assert (begun.lease_holder, begun.lease_request_id, begun.lease_expires_at) == ("me", "again", NOW + 900)
        assert {"upload_etag": begun.upload_etag, "upload_last_modified": begun.upload_last_modified} == FIRST | changes
        assert begun == store.get(first.id)

    @pytest.mark.parametrize(
        ("stored", "changes", "uploaded_at"),
        [
            ({}, {}, NOW),
            ({"retryable": True}, {"upload_etag": '"2"'}, NOW),
            ({"expires_at": NOW}, {"upload_etag": '"2"'}, NOW),
            ({"status": Status.READY}, {"upload_etag": '"2"'}, NOW),
        ],
        ids=["the same upload", "our fault", "too late", "not failed"],
    )
    def test_nothing_else_begins_it_anew(
        self, store: JobStore, stored: dict[str, Any], changes: dict[str, Any], uploaded_at: float
    ) -> None:
        job = replace(sample(Status.FAILED, **FIRST), **stored)
        store.create(job)

        with pytest.raises(Refused):
            begin_anew(store, replace(job, **changes), uploaded_at=uploaded_at)

        assert store.get(job.id) == job

    @pytest.mark.parametrize("make", [sample, direct_job], ids=["api", "direct"])
    def test_a_failure_of_ours_may_begin_again(self, store: JobStore, make: Callable[[], Job]) -> None:
        job = make()
        if job.origin is Origin.API:
            store.create(job)
        begin(store, job)
        store.record_progress(job.id, now=NOW, holder="me", progress=0.5)
        fail(store, job, retryable=True)
        store.end_announcement(job.id, holder="me")

        begun = begin(store, job, now=NOW + 86_400, holder="redriven", request_id="redriven")

        assert begun.status is Status.PROCESSING
        assert begun.error is None
        assert (begun.attempts, begun.retryable, begun.announced, begun.progress) == (2, False, False, 0.0)

    @pytest.mark.parametrize(
        "status", [Status.READY, Status.CLAIMED, Status.PURGED, Status.FAILED, Status.EXPIRED], ids=str
    )
    @pytest.mark.parametrize("make", [api_job, direct_job], ids=["api", "direct"])
    def test_a_late_event_does_not_begin_what_has_ended(
        self, store: JobStore, make: Callable[..., Job], status: Status
    ) -> None:
        job = make(status, lease_expires_at=NOW - 900)
        store.create(job)

        with pytest.raises(Refused) as refusal:
            begin(store, job)

        assert refusal.value.job == job == store.get(job.id)


class TestWork:
    def test_progress_is_written_down(self, store: JobStore) -> None:
        job = sample(Status.PROCESSING)
        store.create(job)

        store.record_progress(job.id, now=NOW + 2, holder="me", progress=0.333)

        assert store.get(job.id) == replace(job, progress=0.333, updated_at=NOW + 2)

    def test_an_api_job_becomes_ready_and_keeps_its_link(self, store: JobStore) -> None:
        job = sample(Status.PROCESSING, secret_hash="f" * 64)
        store.create(job)

        ready = complete(store, job)

        assert ready == replace(
            job,
            status=Status.READY,
            updated_at=NOW,
            progress=1.0,
            source=SOURCE,
            result=RESULT,
            warnings=(NOTICE,),
            expires_at=NOW + 86_400,
            delete_at=int(NOW + 86_400) + RECORD_SECONDS,
            lease_expires_at=NOW + 30,
            sweep_at=NOW + 30 + RETRY_GRACE_SECONDS,
        )
        assert store.get(job.id) == ready

    def test_a_direct_job_gets_its_link_when_it_is_ready(self, store: JobStore) -> None:
        job = direct_job()
        begin(store, job)

        assert complete(store, job, secret_hash="e" * 64).secret_hash == "e" * 64

    @pytest.mark.parametrize("retryable", [False, True], ids=["the file's fault", "our fault"])
    def test_a_job_fails_with_a_code_and_a_sentence(self, store: JobStore, retryable: bool) -> None:
        job = sample(Status.PROCESSING)
        store.create(job)

        failed = fail(store, job, retryable=retryable)

        assert (failed.status, failed.error, failed.retryable) == (Status.FAILED, NOTICE, retryable)
        assert failed.lease_expires_at == NOW + 30

    def test_a_lease_that_was_given_back_is_free_at_once(self, store: JobStore) -> None:
        job = sample(Status.PROCESSING)
        store.create(job)

        store.release(job.id, now=NOW, holder="me")

        assert begin(store, job, holder="retry").lease_holder == "retry"

    @pytest.mark.parametrize(
        "status",
        [Status.AWAITING_UPLOAD, Status.READY, Status.CLAIMED, Status.PURGED, Status.FAILED, Status.EXPIRED],
        ids=str,
    )
    def test_what_is_not_at_work_takes_nothing_from_a_worker(self, store: JobStore, status: Status) -> None:
        job = sample(status, lease_holder="somebody", lease_expires_at=LEASE_END)
        store.create(job)

        for write in (
            lambda: store.record_progress(job.id, now=NOW, holder="somebody", progress=0.5),
            lambda: store.release(job.id, now=NOW, holder="somebody"),
            lambda: complete(store, job, holder="me"),
            lambda: fail(store, job, holder="me"),
        ):
            with pytest.raises(Refused):
                write()

        assert store.get(job.id) == job

    def test_work_on_a_job_that_is_gone_is_refused(self, store: JobStore) -> None:
        with pytest.raises(Refused) as refusal:
            complete(store, sample())

        assert refusal.value.job is None


class TestAnnouncement:
    @pytest.mark.parametrize("status", [Status.READY, Status.FAILED], ids=str)
    def test_what_was_never_announced_is_taken_over_when_the_lease_ran_out(
        self, store: JobStore, status: Status
    ) -> None:
        job = sample(status, announced=False, lease_expires_at=NOW, secret_hash="a" * 64)
        store.create(job)

        taken = store.begin_announcement(job.id, now=NOW, lease_expires_at=NOW + 30, secret_hash="b" * 64)

        sweep_at = NOW + 30 + RETRY_GRACE_SECONDS
        expected = replace(job, lease_expires_at=NOW + 30, secret_hash="b" * 64, sweep_at=sweep_at)
        assert taken == replace(expected, lease_holder=taken.lease_holder)

    def test_without_a_new_link_the_old_one_stays(self, store: JobStore) -> None:
        job = sample(Status.READY, announced=False, lease_expires_at=NOW, secret_hash="a" * 64)
        store.create(job)

        assert store.begin_announcement(job.id, now=NOW, lease_expires_at=NOW + 30, secret_hash=None).secret_hash

    @pytest.mark.parametrize(
        "job",
        [
            sample(Status.READY, announced=False, lease_expires_at=NOW + 1),
            sample(Status.READY, announced=True, lease_expires_at=NOW),
            sample(Status.FAILED, announced=True, lease_expires_at=NOW),
            sample(Status.PROCESSING, announced=False, lease_expires_at=NOW),
            sample(Status.CLAIMED, announced=False, lease_expires_at=NOW),
            sample(Status.PURGED, announced=False, lease_expires_at=NOW),
        ],
        ids=["being announced", "ready, announced", "failed, announced", "at work", "claimed", "purged"],
    )
    def test_nothing_else_is_announced(self, store: JobStore, job: Job) -> None:
        store.create(job)

        with pytest.raises(Refused):
            store.begin_announcement(job.id, now=NOW, lease_expires_at=NOW + 30, secret_hash="b" * 64)

        assert store.get(job.id) == job

    def test_an_announcement_is_noted(self, store: JobStore) -> None:
        job = sample(Status.FAILED, announced=False, lease_holder="me")
        store.create(job)

        store.end_announcement(job.id, holder="me")

        assert store.get(job.id) == replace(job, announced=True, sweep_at=job.expires_at)

    @pytest.mark.parametrize(
        "job",
        [
            sample(Status.CLAIMED, announced=False, lease_holder="me"),
            sample(Status.PROCESSING, announced=False, lease_holder="me"),
            sample(Status.READY, announced=False, lease_holder="another"),
        ],
        ids=["claimed", "begun again", "announced by another"],
    )
    def test_but_not_of_a_job_that_has_gone_on_meanwhile(self, store: JobStore, job: Job) -> None:
        store.create(job)

        with pytest.raises(Refused):
            store.end_announcement(job.id, holder="me")

        assert store.get(job.id) == job

    def test_the_announcement_of_a_job_that_is_gone_makes_none(self, store: JobStore) -> None:
        with pytest.raises(Refused):
            store.end_announcement("0" * 32, holder="me")

        assert store.get("0" * 32) is None


class TestLinks:
    def test_a_ready_job_gets_a_new_link(self, store: JobStore) -> None:
        job = sample(Status.READY, secret_hash="a" * 64)
        store.create(job)

        renewed = store.renew_link(job.id, now=NOW, secret_hash="b" * 64)

        assert renewed == replace(job, updated_at=NOW, secret_hash="b" * 64) == store.get(job.id)

    def test_a_ready_job_is_claimed_once(self, store: JobStore) -> None:
        job = sample(Status.READY, secret_hash="a" * 64)
        store.create(job)

        claimed = store.claim(job.id, now=NOW, secret_hash="a" * 64, purge_at=NOW + 300)

        expected = replace(job, status=Status.CLAIMED, updated_at=NOW, claimed_at=NOW, purge_at=NOW + 300)
        expected = replace(expected, announced=False, sweep_at=NOW + 300 + SWEEP_GRACE_SECONDS)
        assert claimed == replace(expected, lease_holder=claimed.lease_holder)
        with pytest.raises(Refused) as refusal:
            store.claim(job.id, now=NOW, secret_hash="a" * 64, purge_at=NOW + 400)
        assert refusal.value.job == claimed == store.get(job.id)

    def test_who_has_claimed_under_a_name_of_its_own_has_the_same_claim_again(self, store: JobStore) -> None:
        job = sample(Status.READY, secret_hash="a" * 64)
        store.create(job)

        claimed = store.claim(job.id, now=NOW, secret_hash="a" * 64, purge_at=NOW + 300, holder="mine")

        assert store.claim(job.id, now=NOW + 5, secret_hash="a" * 64, purge_at=NOW + 305, holder="mine") == claimed
        for holder in ("yours", None):
            with pytest.raises(Refused):
                store.claim(job.id, now=NOW, secret_hash="a" * 64, purge_at=NOW + 300, holder=holder)
        assert store.get(job.id) == claimed
        store.purge(job.id, now=NOW + 400)
        with pytest.raises(Refused):
            store.claim(job.id, now=NOW + 401, secret_hash="a" * 64, purge_at=NOW + 300, holder="mine")

    def test_another_secret_claims_nothing(self, store: JobStore) -> None:
        job = sample(Status.READY, secret_hash="a" * 64)
        store.create(job)

        with pytest.raises(Refused):
            store.claim(job.id, now=NOW, secret_hash="b" * 64, purge_at=NOW + 300)

        assert store.get(job.id) == job

    @pytest.mark.parametrize(
        "job",
        [
            sample(Status.READY, secret_hash="a" * 64, expires_at=NOW),
            *(sample(status, secret_hash="a" * 64) for status in Status if status is not Status.READY),
        ],
        ids=["ready, but expired", *(str(status) for status in Status if status is not Status.READY)],
    )
    def test_what_is_not_ready_is_neither_claimed_nor_linked(self, store: JobStore, job: Job) -> None:
        store.create(job)

        with pytest.raises(Refused) as claim_refusal:
            store.claim(job.id, now=NOW, secret_hash="a" * 64, purge_at=NOW + 300)
        with pytest.raises(Refused) as renewal_refusal:
            store.renew_link(job.id, now=NOW, secret_hash="b" * 64)

        assert claim_refusal.value.job == renewal_refusal.value.job == job == store.get(job.id)

    def test_a_job_without_a_link_is_not_claimed(self, store: JobStore) -> None:
        job = sample(Status.READY, secret_hash=None)
        store.create(job)

        with pytest.raises(Refused):
            store.claim(job.id, now=NOW, secret_hash="", purge_at=NOW + 300)


def test_a_claimed_job_is_purged_when_its_window_ends(store: JobStore) -> None:
    job = api_job(Status.CLAIMED, purge_at=NOW)
    store.create(job)

    with pytest.raises(Refused):
        store.purge(job.id, now=NOW - 0.5)

    assert store.purge(job.id, now=NOW).status is Status.PURGED


@pytest.mark.parametrize("status", [status for status in Status if status is not Status.CLAIMED], ids=str)
def test_only_a_claimed_job_is_purged(store: JobStore, status: Status) -> None:
    job = api_job(status, purge_at=NOW)
    store.create(job)

    with pytest.raises(Refused):
        store.purge(job.id, now=NOW)

    assert store.get(job.id) == job


@pytest.mark.parametrize("status", list(Status), ids=str)
def test_every_job_can_be_deleted(store: JobStore, status: Status) -> None:
    job = sample(status, purge_at=NOW)
    deleted = replace(job, status=Status.PURGED, purge_at=None, sweep_at=NOW + SWEEP_GRACE_SECONDS)
    store.create(job)

    assert store.delete(job.id, now=NOW) == replace(deleted, updated_at=NOW) == store.get(job.id)


def test_deleting_does_not_make_a_job(store: JobStore) -> None:
    with pytest.raises(Refused) as refusal:
        store.delete("0" * 32, now=NOW)

    assert refusal.value.job is None
    assert store.get("0" * 32) is None


@pytest.mark.parametrize("job_id", ["", "x", "..", "A" * 32, "0" * 31, "0" * 33, "0" * 32 + "\n", "0" * 3000, "٠" * 32])
def test_what_cannot_be_an_id_never_gets_to_the_table(store: JobStore, job_id: str) -> None:
    dynamodb = clients.dynamodb()
    with failing(dynamodb, "GetItem"), failing(dynamodb, "Query"), failing(dynamodb, "UpdateItem"):
        assert store.get(job_id) is None
        assert store.get_by_link(job_id, secret_hash="a" * 64) is None
        with pytest.raises(Refused) as refusal:
            store.renew_link(job_id, now=NOW, secret_hash="b" * 64)

    assert refusal.value.job is None


class TestList:
    def test_the_jobs_of_a_key_come_newest_first_page_by_page(self, store: JobStore) -> None:
        jobs = [direct_job(created_at=NOW + number) for number in range(5)]
        for job in [*jobs, direct_job(upload_key="another/key.wav")]:
            store.create(job)

        pages: list[list[Job]] = []
        token: str | None = None
        while not pages or token:
            page, token = store.list_by_upload_key("any/key.wav", limit=2, next_token=token)
            pages.append(page)

        assert [job for page in pages for job in page] == jobs[::-1]
        assert all(len(page) <= 2 for page in pages)

    def test_an_unknown_key_has_none(self, store: JobStore) -> None:
        assert store.list_by_upload_key("nothing", limit=20) == ([], None)

    def test_a_token_opens_no_other_key(self, store: JobStore) -> None:
        for number in range(3):
            store.create(direct_job(created_at=NOW + number))
        other = direct_job(upload_key="another/key.wav", created_at=NOW)
        store.create(other)
        _, token = store.list_by_upload_key("any/key.wav", limit=1)

        jobs, _ = store.list_by_upload_key("another/key.wav", limit=20, next_token=token)

        assert all(job.upload_key == "another/key.wav" for job in jobs)

    @pytest.mark.parametrize(
        "token",
        [
            "x",
            "====",
            "ä",
            base64.urlsafe_b64encode(b"\xff\xff").decode(),
            *(base64.urlsafe_b64encode(json.dumps(value).encode()).decode() for value in NO_POSITIONS),
        ],
        ids=repr,
    )
    def test_a_token_that_was_never_given_out_is_refused(self, store: JobStore, token: str) -> None:
        with pytest.raises(InvalidRequest) as refusal:
            store.list_by_upload_key("any/key.wav", limit=20, next_token=token)

        assert refusal.value.field == "next_token"


@pytest.mark.parametrize(
    ("operation", "call"),
    [
        ("GetItem", lambda store: store.get("0" * 32)),
        ("Query", lambda store: store.get_by_link("0" * 32, secret_hash="a")),
        ("PutItem", lambda store: store.create(sample())),
        ("Query", lambda store: store.list_by_upload_key("any", limit=20)),
        ("UpdateItem", lambda store: store.purge("0" * 32, now=NOW)),
        ("UpdateItem", lambda store: store.claim("0" * 32, now=NOW, secret_hash="a", purge_at=NOW)),
    ],
    ids=["get", "by-link", "create", "list", "purge", "claim"],
)
def test_a_failing_table_is_our_fault(store: JobStore, operation: str, call: Callable[[JobStore], object]) -> None:
    with failing(clients.dynamodb(), operation), pytest.raises(InternalError):
        call(store)


def test_a_missing_table_is_our_fault(cloud: Cloud, store: JobStore) -> None:
    cloud.delete_table()

    with pytest.raises(InternalError):
        store.get("0" * 32)
