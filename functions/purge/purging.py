"""The purge: what a claimed, deleted or expired job left goes, and is seen to be gone.

A purge message is only a reminder, the job says what is due. A message can come twice, early, or for a claim that was
never granted; each of these changes nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress

from audiojobs.announcements import Announcer
from audiojobs.errors import InternalError
from audiojobs.job import Job, Origin, Status
from audiojobs.objects import ResultObjects, UploadObjects
from audiojobs.purges import PurgeSchedule
from audiojobs.settings import PurgeSettings
from audiojobs.store import JobStore, Refused
from audiojobs.telemetry import MetricUnit, logger, metrics

_CLAIM_SECONDS = 60  # after its purge message, by which a claim has been granted or never will be


class Purging:
    """Deletes what a job left, sees that it is gone, notes that, and tells of it."""

    def __init__(
        self,
        settings: PurgeSettings,
        store: JobStore,
        uploads: UploadObjects,
        results: ResultObjects,
        schedule: PurgeSchedule,
        announcer: Announcer,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._settings = settings
        self._store = store
        self._uploads = uploads
        self._results = results
        self._schedule = schedule
        self._announcer = announcer
        self._clock = clock

    def handle(self, job_id: str, *, sent_at: float) -> None:
        """Purge a job whose time has come. Raises :class:`~audiojobs.errors.InternalError` to be called again."""
        job = self._store.get(job_id)
        if job is None:
            return
        now = self._clock()
        if job.status is Status.READY and now < sent_at + _CLAIM_SECONDS:
            # The claim that sent this is not granted yet, and may still be.
            self._schedule.add(job.id, delay_seconds=_CLAIM_SECONDS)
        elif job.status is Status.CLAIMED:
            self.end_window(job, now)
        elif job.status is Status.PURGED:
            self.finish_purged(job, now)

    def end_window(self, job: Job, now: float) -> None:
        """Purge a claimed job whose download window is over; come back for one whose window is not."""
        remaining = (job.purge_at or 0) - now
        if remaining > 0:
            self._schedule.add(job.id, delay_seconds=remaining)
            return
        if not job.announced:
            self._announcer.announce(job)
        self._delete_result(job)
        if not self._settings.keep_originals:
            # Its conversion may have been killed between `ready` and the deletion, and the job claimed meanwhile.
            self._delete_upload(job)
        with suppress(Refused):  # deleted on request in this very moment
            purged = self._store.purge(job.id, now=now)
            metrics().add_metric("JobPurged", MetricUnit.Count, 1)
            logger().info("job purged", extra={"job_id": job.id})
            self._tell_and_end(purged)

    def finish_purged(self, job: Job, now: float) -> None:
        """What a purged job may have left: its conversion may still have been running, or its deletion broke off."""
        if not job.was_deleted:
            self._delete_result(job)
            self._tell_and_end(job)
        elif job.lease_expires_at > now:
            self._delete_result(job)
            self._delete_upload(job)
            self._schedule.add(job.id, delay_seconds=job.lease_expires_at - now)
        else:
            self.finish(job, now)

    def finish(self, job: Job, now: float) -> None:
        """Nothing of a job that is over is left, but for an original that is kept; then it is told, and done with."""
        self._delete_result(job)
        never_converted = job.status is Status.EXPIRED and job.result is None
        if job.was_deleted or never_converted or not self._settings.keep_originals:
            self._delete_upload(job)
        try:
            noted = self._store.note_deletion(job.id, now=now, status=job.status)
        except Refused:
            return
        self._tell_and_end(noted)

    def _tell_and_end(self, job: Job) -> None:
        if job.sweep_at is None:
            return  # told before
        if job.status is not Status.FAILED:
            self._announcer.announce(job)
        with suppress(Refused):
            self._store.end_sweep(job.id, status=job.status)

    def _delete_upload(self, job: Job) -> None:
        if self._uploads.delete(job) and job.origin is Origin.API and self._uploads.find(job.upload_key):
            raise InternalError("The upload is still there.")

    def _delete_result(self, job: Job) -> None:
        self._results.delete(job.result_key)
        if self._results.exists(job.result_key):
            raise InternalError("The result is still there.")
