"""What a purge message does: it is only a reminder, the job says what is due.

A message can come twice, early, or for a claim that was never granted; each of these changes nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from audiojobs.errors import InternalError
from audiojobs.job import Job, Status
from audiojobs.objects import ResultObjects, UploadObjects
from audiojobs.purges import PurgeSchedule
from audiojobs.store import JobStore, Refused
from audiojobs.telemetry import MetricUnit, logger, metrics

_CLAIM_SECONDS = 60  # after its purge message, by which a claim has been granted or never will be


class Purging:
    """Deletes what a claimed or deleted job left, sees that it is gone, and marks the job."""

    def __init__(
        self,
        store: JobStore,
        uploads: UploadObjects,
        results: ResultObjects,
        schedule: PurgeSchedule,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._uploads = uploads
        self._results = results
        self._schedule = schedule
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
            self._end_window(job, now)
        elif job.status is Status.PURGED:
            self._sweep(job, now)

    def _end_window(self, job: Job, now: float) -> None:
        remaining = (job.purge_at or 0) - now
        if remaining > 0:
            self._schedule.add(job.id, delay_seconds=remaining)
            return
        self._delete_result(job)
        try:
            self._store.purge(job.id, now=now)
        except Refused:
            return  # deleted on request in this very moment
        metrics().add_metric("JobPurged", MetricUnit.Count, 1)
        logger().info("job purged", extra={"job_id": job.id})

    def _sweep(self, job: Job, now: float) -> None:
        """What a purged job may have left: its conversion may still have been running, or its deletion broke off."""
        self._delete_result(job)
        if not job.was_deleted:
            return  # its conversion had ended before its download, and a kept original stays
        self._uploads.delete(job)
        if job.lease_expires_at > now:
            self._schedule.add(job.id, delay_seconds=job.lease_expires_at - now)

    def _delete_result(self, job: Job) -> None:
        self._results.delete(job.result_key)
        if self._results.exists(job.result_key):
            raise InternalError("The result is still there.")
