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
from audiojobs.store import JobStore
from audiojobs.telemetry import MetricUnit, logger, metrics


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

    def handle(self, job_id: str) -> None:
        """Purge a job whose time has come. Raises :class:`~audiojobs.errors.InternalError` to be called again."""
        job = self._store.get(job_id)
        if job is None or job.status not in (Status.CLAIMED, Status.PURGED):
            return
        remaining = (job.purge_at or 0) - self._clock()
        if job.status is Status.CLAIMED and remaining > 0:
            self._schedule.add(job.id, delay_seconds=remaining)
            return
        self._delete(job)
        if job.status is Status.CLAIMED:
            self._store.purge(job.id, now=self._clock())
            metrics().add_metric("JobPurged", MetricUnit.Count, 1)
            logger().info("job purged", extra={"job_id": job.id})

    def _delete(self, job: Job) -> None:
        self._results.delete(job.result_key)
        if self._results.exists(job.result_key):
            raise InternalError("The result is still there.")
        if job.status is Status.PURGED and job.purge_at is None:
            # Deleted on request, perhaps in the middle of its upload or its conversion.
            self._uploads.delete(job)
