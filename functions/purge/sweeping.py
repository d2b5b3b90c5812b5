"""The sweep: every few minutes it deletes what is due, and tells what has not been told.

The index of due jobs says where to look; each job says what is to be done. What a run does not finish, the next one
does: a job is put off before it is worked on, so one that fails does not hold up the others, and of two runs at once
only one works on it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from audiojobs.announcements import Announcer
from audiojobs.errors import AudioJobError, InternalError
from audiojobs.job import RETRY_GRACE_SECONDS, Job, Notice, Origin, Status, api_job_id
from audiojobs.links import hash_secret, link_url, new_secret
from audiojobs.objects import PartialUpload, ResultObjects, UploadObjects
from audiojobs.settings import PurgeSettings
from audiojobs.store import JobStore, Refused
from audiojobs.telemetry import MetricUnit, logger, metrics
from purge.purging import Purging

AGAIN_SECONDS = 300  # after which a job that was not finished is due again
PAGE_JOBS = 50

_ANNOUNCEMENT_LEASE_SECONDS = 30
_LATE_EVENT_SECONDS = 24 * 3600  # S3's events and Lambda's retries of them have come by then
_DIRECT_PARTS_SECONDS = 24 * 3600  # after which an upload in parts that no job awaits is abandoned
_RESULT_PARTS_SECONDS = 1800  # no invocation runs that long


@dataclass(frozen=True, slots=True)
class SweepReport:
    """``lag_seconds``: how long the job that was due first had been due when the run began."""

    swept: int
    failed: int
    lag_seconds: float
    is_complete: bool


class Sweep:
    """One run, bounded by its deadline. Any number of runs may work at the same time."""

    def __init__(
        self,
        settings: PurgeSettings,
        store: JobStore,
        uploads: UploadObjects,
        results: ResultObjects,
        purging: Purging,
        announcer: Announcer,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._settings = settings
        self._store = store
        self._uploads = uploads
        self._results = results
        self._purging = purging
        self._announcer = announcer
        self._clock = clock

    def run(self, *, has_time: Callable[[], bool] = lambda: True) -> SweepReport:
        """Sweep all jobs that are due, the longest overdue first, then abandoned parts of uploads."""
        started = self._clock()
        page = self._store.list_due(now=started, limit=PAGE_JOBS)
        lag_seconds = started - page.oldest if page.oldest is not None else 0.0
        swept = failed = 0
        while page.ids:
            for job_id in page.ids:
                if not has_time():
                    return SweepReport(swept, failed, lag_seconds, is_complete=False)
                try:
                    self.sweep(job_id)
                    swept += 1
                except AudioJobError:
                    failed += 1
                    logger().exception("a job could not be swept", extra={"job_id": job_id})
            if not page.next_page:
                break
            page = self._store.list_due(now=started, limit=PAGE_JOBS, start=page.next_page)
        is_complete = True
        try:
            is_complete = self._abort_abandoned_parts(has_time)
        except AudioJobError:
            failed += 1
            logger().exception("parts could not be swept")
        return SweepReport(swept, failed, lag_seconds, is_complete)

    def sweep(self, job_id: str) -> None:
        """Do what is due for a job. Raises :class:`~audiojobs.errors.AudioJobError`."""
        now = self._clock()
        try:
            job = self._store.begin_sweep(job_id, now=now, again_at=now + AGAIN_SECONDS)
            self._settle(job, now)
        except Refused:
            logger().info("another was faster", extra={"job_id": job_id})

    def _settle(self, job: Job, now: float) -> None:
        """Each step may be done twice. Raises ``Refused`` where the job has gone on meanwhile."""
        if job.status is Status.PROCESSING and now >= job.lease_expires_at + RETRY_GRACE_SECONDS:
            job = self._store.fail_abandoned(
                job.id, now=now, error=Notice.of(InternalError()), lease_expires_at=now + _ANNOUNCEMENT_LEASE_SECONDS
            )
            metrics().add_metric("JobFailed", MetricUnit.Count, 1)
            metrics().add_metadata("code", InternalError.code)
            self._announce_end(job, link=None)
        elif job.awaits_announcement and (job.status is Status.FAILED or now < job.expires_at):
            self._take_over_announcement(job, now)
        if job.status is Status.CLAIMED:
            self._purging.end_window(job, now)
        if job.status is Status.PURGED:
            self._purging.finish_purged(job, now)
        if job.status in (Status.AWAITING_UPLOAD, Status.READY) and now >= job.expires_at:
            if self._may_still_get_an_event(job, now):
                return
            job = self._store.expire(job.id, now=now)
            metrics().add_metric("JobExpired", MetricUnit.Count, 1)
        if job.status is Status.EXPIRED:
            self._purging.finish(job, now)
        if job.status is Status.FAILED and now >= job.expires_at and not self._may_still_get_an_event(job, now):
            job = self._store.close_failed(job.id, now=now)
            self._purging.finish(job, now)

    def _may_still_get_an_event(self, job: Job, now: float) -> bool:
        """Whether an upload came in time, and its event is late."""
        if not job.awaits_upload or now >= job.expires_at + _LATE_EVENT_SECONDS:
            return False
        upload = self._uploads.find(job.upload_key)
        return upload is not None and not upload.is_pinned_by(job) and upload.last_modified <= job.expires_at

    def _take_over_announcement(self, job: Job, now: float) -> None:
        if job.status is Status.READY and not self._settings.keep_originals:
            self._uploads.delete(job)  # which comes before the announcement, and may have been missed, too
        secret = new_secret() if job.origin is Origin.DIRECT and job.status is Status.READY else None
        job = self._store.begin_announcement(
            job.id,
            now=now,
            lease_expires_at=now + _ANNOUNCEMENT_LEASE_SECONDS,
            secret_hash=hash_secret(secret) if secret else None,
        )
        self._announce_end(job, link=link_url(self._settings.public_url, job.id, secret) if secret else None)

    def _announce_end(self, job: Job, *, link: str | None) -> None:
        self._announcer.announce(job, link=link)
        self._store.end_announcement(job.id, holder=job.lease_holder or "")

    def _abort_abandoned_parts(self, has_time: Callable[[], bool]) -> bool:
        """Returns whether there was time for all of them."""
        now = self._clock()
        for parts in self._uploads.partial_uploads():
            if not has_time():
                return False
            if self._is_abandoned(parts, now):
                self._uploads.abort_parts(parts.key, parts.upload_id)
        for parts in self._results.partial_uploads():
            if not has_time():
                return False
            if parts.initiated < now - _RESULT_PARTS_SECONDS:
                self._results.abort_parts(parts.key, parts.upload_id)
        return True

    def _is_abandoned(self, parts: PartialUpload, now: float) -> bool:
        job_id = api_job_id(parts.key)
        job = self._store.get(job_id) if job_id else None
        if job is None:
            return parts.initiated < now - _DIRECT_PARTS_SECONDS
        return now >= job.expires_at or job.status in (Status.PURGED, Status.EXPIRED)
