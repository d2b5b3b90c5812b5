"""Jobs, as signed callers see them: create, look, list, renew the link, delete."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from api.requests import JobQuery, JobRequest
from audiojobs.errors import (
    AlreadyDownloaded,
    IdempotencyKeyReused,
    InternalError,
    JobNotFound,
    JobNotReady,
    LinkExpired,
    RequestError,
    UploadTooLarge,
)
from audiojobs.job import Job, Origin, Status, api_upload_key, idempotent_job_id, new_job_id, rfc3339
from audiojobs.links import hash_secret, new_secret
from audiojobs.objects import PresignedForm, ResultObjects, UploadObjects
from audiojobs.passphrases import hash_passphrase, is_passphrase
from audiojobs.purges import PurgeSchedule
from audiojobs.settings import ApiSettings
from audiojobs.store import RECORD_SECONDS, JobStore, Refused

_SWEEP_SECONDS = 60  # after which a deletion that we began has ended, one way or the other
_ASK_AGAIN_SECONDS = {Status.AWAITING_UPLOAD: 15, Status.PROCESSING: 3}


@dataclass(frozen=True, slots=True)
class CreatedJob:
    """A job, how to upload to it, and the secret of its link.

    Both may be missing where a call is repeated: the job may have its file already, or be over.
    """

    job: Job
    upload: Mapping[str, Any] | None
    secret: str | None


class Jobs:
    """Moments come from ``clock``; every job is shown as it is at that moment."""

    def __init__(
        self,
        settings: ApiSettings,
        store: JobStore,
        uploads: UploadObjects,
        results: ResultObjects,
        schedule: PurgeSchedule,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._settings = settings
        self._store = store
        self._uploads = uploads
        self._results = results
        self._schedule = schedule
        self._clock = clock

    def create(self, request: JobRequest, *, caller: str = "", key: str | None = None) -> CreatedJob:
        """A job that awaits its upload; or the one that this ``caller`` made with this ``key`` before.

        Raises :class:`~audiojobs.errors.UploadTooLarge`, and :class:`~audiojobs.errors.IdempotencyKeyReused` where the
        request before was another one.
        """
        if request.size_bytes is not None and request.size_bytes > self._settings.max_upload_bytes:
            raise UploadTooLarge(f"size_bytes may be at most {self._settings.max_upload_bytes}.")
        now = self._clock()
        job_id = new_job_id() if key is None else idempotent_job_id(caller, key)
        secret = new_secret()
        job = Job(
            id=job_id,
            status=Status.AWAITING_UPLOAD,
            origin=Origin.API,
            upload_key=api_upload_key(job_id),
            filename=request.filename,
            reference=request.reference,
            passphrase_hash=hash_passphrase(request.passphrase) if request.passphrase else None,
            created_at=now,
            updated_at=now,
            expires_at=now + self._settings.link_seconds,
            delete_at=int(now) + self._settings.link_seconds + RECORD_SECONDS,
            sweep_at=now + self._settings.link_seconds,
            conversion=request.conversion,
            upload_size_bytes=request.size_bytes,
            secret_hash=hash_secret(secret),
        )
        try:
            self._store.create(job)
        except Refused as refused:
            if key is None or refused.job is None:
                raise InternalError from refused
            return self._create_again(refused.job, request)
        return CreatedJob(job, self.presign_upload(job), secret)

    def _create_again(self, job: Job, request: JobRequest) -> CreatedJob:
        """The job that was there already, with a link of its own: the secret of the first one is nowhere to be read."""
        if (job.filename, job.upload_size_bytes, job.conversion, job.reference) != (
            request.filename,
            request.size_bytes,
            request.conversion,
            request.reference,
        ) or not _is_same_passphrase(request.passphrase, job.passphrase_hash):
            raise IdempotencyKeyReused
        secret: str | None = new_secret()
        try:
            job = self._store.add_link(job.id, now=self._clock(), secret_hash=hash_secret(secret or ""))
        except Refused as refused:
            job, secret = refused.job or job, None
        job = job.seen_at(self._clock())
        return CreatedJob(job, self.presign_upload(job) if self.takes_upload(job) else None, secret)

    def takes_upload(self, job: Job) -> bool:
        """Whether there is an address to upload to: for the first file, or after one that was at fault."""
        return job.awaits_upload and self._clock() < job.expires_at

    def presign_upload(self, job: Job) -> dict[str, Any]:
        """How to upload to a job that awaits it, from now on. Nothing is changed: it can be had any number of times."""
        seconds = self._upload_seconds(job)
        presigned = self._uploads.presign(job.upload_key, size_bytes=job.upload_size_bytes, expires_in_seconds=seconds)
        return {
            "method": presigned.method,
            "url": presigned.url,
            "headers": presigned.headers,
            "size_bytes": job.upload_size_bytes,
            "expires_at": rfc3339(self._clock() + seconds),
        }

    def presign_upload_form(self, job: Job, *, returns_to: str) -> PresignedForm:
        """The same for a browser's form, which can't PUT; ``returns_to`` is the page that it comes back to."""
        least, most = job.upload_size_bytes or 1, job.upload_size_bytes or self._settings.max_upload_bytes
        return self._uploads.presign_form(
            job.upload_key,
            least_bytes=least,
            most_bytes=most,
            returns_to=returns_to,
            expires_in_seconds=self._upload_seconds(job),
        )

    def _upload_seconds(self, job: Job) -> int:
        """How long an address to upload to lives: it ends with the job."""
        return max(1, min(self._settings.upload_url_seconds, int(job.expires_at - self._clock())))

    def get(self, job_id: str) -> Job:
        """Raises :class:`~audiojobs.errors.JobNotFound`."""
        job = self._store.get(job_id)
        if job is None:
            raise JobNotFound
        return job.seen_at(self._clock())

    def list_jobs(self, query: JobQuery, *, limit: int, next_token: str | None) -> tuple[list[Job], str | None]:
        """A page of jobs, newest first, and the token of the next one.

        With a ``status``, jobs of the page that are in another one by now are left out.
        """
        if query.upload_key is not None:
            jobs, token = self._store.list_by_upload_key(query.upload_key, limit=limit, next_token=next_token)
        elif query.reference is not None:
            jobs, token = self._store.list_by_reference(query.reference, limit=limit, next_token=next_token)
        elif query.status is not None:
            jobs, token = self._store.list_by_status(query.status, limit=limit, next_token=next_token)
        else:
            return [], None
        now = self._clock()
        seen = [job.seen_at(now) for job in jobs]
        return [job for job in seen if query.status in (None, job.status)], token

    def renew_link(self, job_id: str) -> tuple[Job, str]:
        """The job and the secret of its new link; the one before it is dead.

        Raises what :func:`why_not_ready` says, or :class:`~audiojobs.errors.JobNotFound`.
        """
        secret = new_secret()
        try:
            return self._store.renew_link(job_id, now=self._clock(), secret_hash=hash_secret(secret)), secret
        except Refused as refused:
            if refused.job is None:
                raise JobNotFound from refused
            raise why_not_ready(refused.job.seen_at(self._clock())) from refused

    def delete(self, job_id: str) -> None:
        """Upload and result are gone when this returns, and a conversion under way is left without a job.

        The purge function sweeps once more, and again when that conversion can't be running any longer. Its message is
        sent first: if we fail in the middle, the sweep finishes the work.
        Raises :class:`~audiojobs.errors.JobNotFound`.
        """
        job = self.get(job_id)
        self._schedule.add(job.id, delay_seconds=_SWEEP_SECONDS)
        try:
            job = self._store.delete(job.id, now=self._clock())  # with the parts that were begun since we looked
        except Refused as refused:
            raise JobNotFound from refused
        self._uploads.delete(job)
        self._results.delete(job.result_key)


def _is_same_passphrase(given: str | None, stored: str | None) -> bool:
    if given is None or stored is None:
        return given is None and stored is None
    return is_passphrase(given, stored)


def why_not_ready(job: Job) -> RequestError:
    """Why the result of a job, as it is now, can't be had."""
    match job.status:
        case Status.CLAIMED | Status.PURGED:
            return AlreadyDownloaded()
        case Status.EXPIRED:
            return LinkExpired()
        case Status.FAILED:
            return JobNotReady(f"The conversion failed: {job.error.detail if job.error else 'No reason is known.'}")
        case Status.READY:
            return JobNotFound()  # the link was renewed in this very moment
        case _:
            return JobNotReady(retry_after_seconds=_ASK_AGAIN_SECONDS[job.status])
