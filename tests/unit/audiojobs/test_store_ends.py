"""The jobs table: how jobs end, what the sweep finds of them, and when there is nothing left to do."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from audiojobs.errors import InternalError
from audiojobs.job import RETRY_GRACE_SECONDS, Job, Notice, Status
from audiojobs.store import JobStore, Refused
from tests.unit.audiojobs.test_store import NOW, begin, complete, fail, sample, stored
from tests.unit.samples import direct_job

OURS = Notice.of(InternalError())
WEEK = 7 * 24 * 3600


def refused(store: JobStore, job: Job, write: Any) -> bool:
    """Whether it is, and changes nothing."""
    with pytest.raises(Refused):
        write()
    return store.get(job.id) == job


def all_but(*statuses: Status) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("status", [status for status in Status if status not in statuses], ids=str)


class TestTheTimeOfAJobIsOver:
    @pytest.mark.parametrize("status", [Status.AWAITING_UPLOAD, Status.READY], ids=str)
    def test_at_its_very_moment(self, store: JobStore, status: Status) -> None:
        job = stored(store, status)

        assert refused(store, job, lambda: store.expire(job.id, now=job.expires_at - 0.5))
        expired = store.expire(job.id, now=job.expires_at)

        assert expired == replace(job, status=Status.EXPIRED, updated_at=job.expires_at) == store.get(job.id)

    @all_but(Status.AWAITING_UPLOAD, Status.READY)
    def test_but_not_of_one_that_is_at_work_or_over(self, store: JobStore, status: Status) -> None:
        job = stored(store, status)

        assert refused(store, job, lambda: store.expire(job.id, now=job.expires_at))

    @pytest.mark.parametrize("retryable", [False, True])
    def test_of_a_failed_one_it_stays_failed_and_takes_no_more(self, store: JobStore, retryable: bool) -> None:
        job = stored(store, Status.FAILED, retryable=retryable)

        assert refused(store, job, lambda: store.close_failed(job.id, now=job.expires_at - 0.5))
        closed = store.close_failed(job.id, now=job.expires_at)

        assert closed == replace(job, retryable=False, updated_at=job.expires_at)
        with pytest.raises(Refused):
            begin(store, job, now=job.expires_at)

    @all_but(Status.FAILED)
    def test_only_a_failed_one_is_closed(self, store: JobStore, status: Status) -> None:
        job = stored(store, status)

        assert refused(store, job, lambda: store.close_failed(job.id, now=job.expires_at))

    def test_its_record_stays_for_a_week(self, store: JobStore) -> None:
        job = stored(store, Status.PROCESSING)

        assert complete(store, job).delete_at == int(NOW) + 86_400 + WEEK


class TestAnAttemptThatWasKilled:
    LONG_AGO = NOW - RETRY_GRACE_SECONDS

    def fail_abandoned(self, store: JobStore, job: Job) -> Job:
        return store.fail_abandoned(job.id, now=NOW, error=OURS, lease_expires_at=NOW + 30)

    def test_is_our_fault_when_no_retry_has_come_for_five_minutes(self, store: JobStore) -> None:
        job = stored(store, Status.PROCESSING, announced=True, lease_expires_at=NOW - 300)

        failed = self.fail_abandoned(store, job)

        assert failed == replace(
            job,
            status=Status.FAILED,
            updated_at=NOW,
            error=OURS,
            retryable=True,
            announced=False,
            lease_holder=failed.lease_holder,
            lease_expires_at=NOW + 30,
        )
        assert failed.lease_holder not in (None, "", job.lease_holder)
        assert store.get(job.id) == failed

    def test_is_waited_for_until_then(self, store: JobStore) -> None:
        job = stored(store, Status.PROCESSING, lease_expires_at=self.LONG_AGO + 0.5)

        assert refused(store, job, lambda: self.fail_abandoned(store, job))

    @all_but(Status.PROCESSING)
    def test_is_that_of_a_job_at_work_only(self, store: JobStore, status: Status) -> None:
        job = stored(store, status, lease_expires_at=self.LONG_AGO)

        assert refused(store, job, lambda: self.fail_abandoned(store, job))


class TestWhatIsLeft:
    @pytest.mark.parametrize("status", [Status.PURGED, Status.EXPIRED, Status.FAILED], ids=str)
    def test_is_nothing_when_that_was_seen(self, store: JobStore, status: Status) -> None:
        job = stored(store, status, sweep_at=NOW, announced=False)

        noted = store.note_deletion(job.id, now=NOW, status=status)
        store.end_sweep(job.id, status=status)

        assert noted == replace(job, deleted_at=NOW)
        assert store.get(job.id) == replace(job, deleted_at=NOW, sweep_at=None, announced=True)
        assert store.list_due(now=NOW + 1, limit=10).ids == []

    def test_was_seen_to_be_nothing_once(self, store: JobStore) -> None:
        job = stored(store, Status.PURGED, deleted_at=NOW - 60)

        assert store.note_deletion(job.id, now=NOW, status=Status.PURGED).deleted_at == NOW - 60

    def test_is_not_done_with_before(self, store: JobStore) -> None:
        job = stored(store, Status.PURGED, sweep_at=NOW)

        assert refused(store, job, lambda: store.end_sweep(job.id, status=Status.PURGED))

    def test_is_another_question_for_a_job_that_has_gone_on(self, store: JobStore) -> None:
        job = stored(store, Status.PURGED, sweep_at=NOW, deleted_at=NOW)

        assert refused(store, job, lambda: store.note_deletion(job.id, now=NOW, status=Status.EXPIRED))
        assert refused(store, job, lambda: store.end_sweep(job.id, status=Status.EXPIRED))


class TestWhatIsDue:
    def test_comes_the_longest_overdue_first_page_by_page(self, store: JobStore) -> None:
        jobs = [stored(store, Status.READY, sweep_at=NOW - seconds) for seconds in (5, 30.5, 10, 0)]
        stored(store, Status.READY, sweep_at=NOW + 0.5)
        stored(store, Status.PURGED, sweep_at=None)

        first = store.list_due(now=NOW, limit=3)
        rest = store.list_due(now=NOW, limit=3, start=first.next_page)

        assert first.ids == [jobs[1].id, jobs[2].id, jobs[0].id]
        assert (first.oldest, rest.ids, rest.next_page) == (NOW - 30.5, [jobs[3].id], None)

    def test_is_nothing(self, store: JobStore) -> None:
        due = store.list_due(now=NOW, limit=3)

        assert (due.ids, due.oldest, due.next_page) == ([], None, None)

    def test_is_taken_once_and_due_again_later(self, store: JobStore) -> None:
        job = stored(store, Status.READY, sweep_at=NOW)

        assert refused(store, job, lambda: store.begin_sweep(job.id, now=NOW - 0.5, again_at=NOW + 300))
        taken = store.begin_sweep(job.id, now=NOW, again_at=NOW + 300)

        assert taken == replace(job, sweep_at=NOW + 300)
        assert refused(store, taken, lambda: store.begin_sweep(job.id, now=NOW, again_at=NOW + 300))
        assert store.list_due(now=NOW + 300, limit=9).ids == [job.id]


class TestWhenTheSweepLooksAtAJob:
    """Each write that leaves something to do says when, in case nobody else does it."""

    def due_at(self, store: JobStore, job: Job, moment: float) -> None:
        assert store.list_due(now=moment - 0.5, limit=9).ids == []
        assert store.list_due(now=moment, limit=9).ids == [job.id]

    def test_that_awaits_its_upload(self, store: JobStore) -> None:
        self.due_at(store, stored(store, Status.AWAITING_UPLOAD, sweep_at=NOW), NOW)

    @pytest.mark.parametrize("make", [sample, direct_job], ids=["api", "direct"])
    def test_that_is_at_work(self, store: JobStore, make: Any) -> None:
        job = make()
        if make is sample:
            store.create(job)
        begin(store, job)
        self.due_at(store, job, NOW + 900 + 300)

    def test_that_is_at_work_again(self, store: JobStore) -> None:
        job = stored(store, Status.FAILED, upload_etag='"1"')
        store.begin_with_another_upload(
            replace(job, upload_etag='"2"', upload_last_modified=2.0),
            now=NOW,
            holder="me",
            request_id="again",
            lease_expires_at=NOW + 900,
            uploaded_at=NOW,
        )
        self.due_at(store, job, NOW + 900 + 300)

    def test_whose_attempt_gave_up(self, store: JobStore) -> None:
        job = stored(store, Status.PROCESSING)
        store.release(job.id, now=NOW, holder="me")
        self.due_at(store, job, NOW + 300)

    def test_that_is_ready(self, store: JobStore) -> None:
        job = stored(store, Status.PROCESSING)
        complete(store, job)
        self.due_at(store, job, NOW + 30 + 300)

    def test_that_is_ready_for_a_moment_only(self, store: JobStore) -> None:
        job = stored(store, Status.PROCESSING)
        complete(store, job, expires_at=NOW + 60)
        self.due_at(store, job, NOW + 60)

    def test_that_has_failed(self, store: JobStore) -> None:
        job = stored(store, Status.PROCESSING)
        fail(store, job)
        self.due_at(store, job, NOW + 30 + 300)

    def test_that_is_announced_by_another(self, store: JobStore) -> None:
        job = stored(store, Status.READY, announced=False, lease_expires_at=NOW)
        store.begin_announcement(job.id, now=NOW, lease_expires_at=NOW + 30, secret_hash=None)
        self.due_at(store, job, NOW + 30 + 300)

    def test_that_was_announced(self, store: JobStore) -> None:
        job = stored(store, Status.READY, announced=False, lease_holder="me")
        store.end_announcement(job.id, holder="me")
        self.due_at(store, job, job.expires_at)

    def test_that_is_claimed(self, store: JobStore) -> None:
        job = stored(store, Status.READY, secret_hash="a" * 64)
        store.claim(job.id, now=NOW, secret_hash="a" * 64, purge_at=NOW + 300)
        self.due_at(store, job, NOW + 300 + 120)

    def test_that_is_purged(self, store: JobStore) -> None:
        job = stored(store, Status.CLAIMED, purge_at=NOW)
        purged = store.purge(job.id, now=NOW)
        self.due_at(store, job, NOW + 120)
        assert purged.deleted_at == NOW

    def test_that_was_deleted(self, store: JobStore) -> None:
        job = stored(store, Status.READY, deleted_at=NOW - 9)
        deleted = store.delete(job.id, now=NOW)
        self.due_at(store, job, NOW + 120)
        assert deleted.deleted_at is None
