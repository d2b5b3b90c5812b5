"""Uploads in parts, for signed callers and for whoever has the link: begin or find, presign, complete, abort.

Every call may be repeated. ``fingerprint`` is the caller's hash of the whole file: with it, a second file of the same
size is told from the first, whoever sends it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from api.requests import PartsRequest, SentPart, UploadRequest
from audiojobs.errors import (
    AlreadyDownloaded,
    InvalidRequest,
    JobNotFound,
    LinkExpired,
    UploadConflict,
    UploadIncomplete,
    UploadNotAwaited,
    UploadNotFound,
    UploadTooLarge,
)
from audiojobs.job import Job, MultipartUpload, Status, rfc3339
from audiojobs.multipart import MAX_PARTS, NoSuchUpload, Part, UploadParts, part_bytes
from audiojobs.objects import UploadObjects
from audiojobs.settings import ApiSettings
from audiojobs.store import JobStore, Refused


class Uploads:
    """The upload of an API job in parts. Moments come from ``clock``; a ``job`` is as it was seen just now."""

    def __init__(
        self,
        settings: ApiSettings,
        store: JobStore,
        uploads: UploadObjects,
        parts: UploadParts,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._settings = settings
        self._store = store
        self._uploads = uploads
        self._parts = parts
        self._clock = clock

    def begin(self, job: Job, request: UploadRequest) -> dict[str, Any]:
        """Begin the upload, or find it with the parts that are there: all of them, once it is complete.

        Raises :class:`~audiojobs.errors.UploadConflict` where the upload of another file was begun,
        :class:`~audiojobs.errors.UploadTooLarge`, :class:`~audiojobs.errors.InvalidRequest` and
        :class:`~audiojobs.errors.UploadNotAwaited`.
        """
        self._require_awaiting(job)
        wanted = self._wanted(job, request)
        if job.multipart:
            try:
                return self._found(job, job.multipart, request)
            except NoSuchUpload:
                pass  # S3 gave it up meanwhile, so another one takes its place
        begun = MultipartUpload(self._parts.begin(job.upload_key), **wanted)
        try:
            job = self._store.begin_multipart(job.id, begun, replaces=job.multipart, now=self._clock())
        except Refused as refused:
            if refused.job and refused.job.multipart == begun:
                return self._view(refused.job, begun, [])  # the answer to our own write was lost
            self._uploads.abort_parts(job.upload_key, begun.upload_id)
            return self._begun_by_another(refused.job, request, refused)
        return self._view(job, begun, [])

    def presign(self, job: Job, request: PartsRequest) -> dict[str, Any]:
        """A presigned PUT for each of the parts.

        Raises :class:`~audiojobs.errors.UploadNotFound`, :class:`~audiojobs.errors.UploadNotAwaited` and
        :class:`~audiojobs.errors.InvalidRequest` for a number that the upload does not have.
        """
        self._require_awaiting(job)
        upload = job.multipart
        if upload is None:
            raise UploadNotFound
        if max(request.numbers) > upload.part_count:
            raise InvalidRequest(f"numbers must be from 1 to {upload.part_count}.", field="numbers")
        seconds = self._seconds(job)
        return {
            "parts": [
                {"number": number, "method": part.method, "url": part.url, "headers": part.headers}
                for number in request.numbers
                for part in [self._parts.presign(job.upload_key, upload, number, expires_in_seconds=seconds)]
            ],
            "expires_at": rfc3339(self._clock() + seconds),
        }

    def complete(self, job: Job, sent: Sequence[SentPart]) -> Job:
        """Make one object of the parts. Returns the job; a completed upload completes again.

        ``sent`` is what the caller sent, if it tells: then nobody else's part is taken for one of these. Raises
        :class:`~audiojobs.errors.UploadIncomplete` while parts are missing, :class:`~audiojobs.errors.UploadConflict`
        where a part is not the one that was sent, and :class:`~audiojobs.errors.UploadNotFound`.
        """
        if not job.awaits_upload and job.status in (Status.PROCESSING, Status.READY, Status.CLAIMED, Status.FAILED):
            return job
        self._require_awaiting(job)
        if job.multipart is None:
            return self._completed(job)
        try:
            parts = self._parts.list(job.upload_key, job.multipart.upload_id)
            _require_whole(job.multipart, parts)
            _require_same(parts, sent)
            self._parts.complete(job.upload_key, job.multipart.upload_id, parts)
        except NoSuchUpload:
            return self._completed(job)
        return job

    def abort(self, job: Job) -> None:
        """Delete the parts; where there are none, nothing happens."""
        if job.multipart is None:
            return
        self._uploads.abort_parts(job.upload_key, job.multipart.upload_id)
        self._store.end_multipart(job.id, job.multipart)

    def _wanted(self, job: Job, request: UploadRequest) -> dict[str, Any]:
        size = request.size_bytes or job.upload_size_bytes or (job.multipart and job.multipart.size_bytes)
        if not size:
            raise InvalidRequest("size_bytes is required: the size of the whole file.", field="size_bytes")
        if job.upload_size_bytes and size != job.upload_size_bytes:
            raise InvalidRequest(
                f"size_bytes must be {job.upload_size_bytes}, as the job was announced.", field="size_bytes"
            )
        if size > self._settings.max_upload_bytes:
            raise UploadTooLarge(f"size_bytes may be at most {self._settings.max_upload_bytes}.")
        part_size = request.part_size_bytes or part_bytes(size)
        if -(-size // part_size) > MAX_PARTS:
            raise InvalidRequest(f"part_size_bytes must be at least {part_bytes(size)}.", field="part_size_bytes")
        return {"size_bytes": size, "part_size_bytes": part_size, "fingerprint": request.fingerprint}

    def _found(self, job: Job, upload: MultipartUpload, request: UploadRequest) -> dict[str, Any]:
        try:
            parts = self._parts.list(job.upload_key, upload.upload_id)
        except NoSuchUpload:
            completed = self._parts_of_completed(job, upload)
            if completed is None:
                raise
            parts = completed
        if request.size_bytes not in (None, upload.size_bytes) or request.fingerprint != upload.fingerprint:
            raise UploadConflict(
                "The upload of another file was started. Send the same file, or delete that upload first."
            )
        if request.part_size_bytes not in (None, upload.part_size_bytes):
            raise UploadConflict(f"The upload was begun with parts of {upload.part_size_bytes} bytes.")
        return self._view(job, upload, parts)

    def _parts_of_completed(self, job: Job, upload: MultipartUpload) -> list[Part] | None:
        """All parts, where S3 has made them one object already and its event is still to come.

        S3 no longer tells the ETags of the parts; each has that of the object.
        """
        found = self._uploads.find(job.upload_key)
        if (
            found is None
            or found.is_pinned_by(job)
            or found.size_bytes != upload.size_bytes
            or not found.etag.strip('"').endswith(f"-{upload.part_count}")
        ):
            return None
        return [Part(number, upload.size_of(number), found.etag) for number in range(1, upload.part_count + 1)]

    def _begun_by_another(self, job: Job | None, request: UploadRequest, refused: Refused) -> dict[str, Any]:
        """Another call was quicker: its upload is the job's."""
        if job is None:
            raise JobNotFound from refused
        job = job.seen_at(self._clock())
        self._require_awaiting(job)
        if job.multipart is None:
            raise UploadConflict("The upload was ended at this very moment. Begin it again.") from refused
        try:
            return self._found(job, job.multipart, request)
        except NoSuchUpload as error:
            raise UploadConflict("The upload was ended at this very moment. Begin it again.") from error

    def _completed(self, job: Job) -> Job:
        """The job, if its upload is there, or was judged already, although S3 knows no parts of it."""
        if job.status is Status.AWAITING_UPLOAD and self._uploads.find(job.upload_key) is None:
            raise UploadNotFound
        return job

    def _view(self, job: Job, upload: MultipartUpload, parts: Sequence[Part]) -> dict[str, Any]:
        return {
            "size_bytes": upload.size_bytes,
            "part_size_bytes": upload.part_size_bytes,
            "part_count": upload.part_count,
            "parts": [
                {"number": part.number, "size_bytes": part.size_bytes, "etag": part.etag}
                for part in parts
                if part.number <= upload.part_count
            ],
            "expires_at": rfc3339(job.expires_at),
            "s3": {
                "key": job.upload_key,
                "upload_id": upload.upload_id,
                **{
                    name: {"method": call.method, "url": call.url, "headers": call.headers}
                    for name, call in self._parts.presign_requests(
                        job.upload_key, upload.upload_id, expires_in_seconds=self._seconds(job)
                    ).items()
                },
            },
        }

    def _require_awaiting(self, job: Job) -> None:
        """Raises what stands against an upload to the job, as it is now."""
        if job.status is Status.PURGED:
            raise AlreadyDownloaded
        if job.status is Status.EXPIRED or (job.awaits_upload and self._clock() >= job.expires_at):
            raise LinkExpired
        if not job.awaits_upload:
            raise UploadNotAwaited

    def _seconds(self, job: Job) -> int:
        """How long a part's address lives: never longer than the job."""
        return max(1, min(self._settings.upload_url_seconds, int(job.expires_at - self._clock())))


def begun_upload(job: Job) -> dict[str, Any]:
    """What a look at the link shows of an upload in parts; nothing where none was begun."""
    if job.multipart is None:
        return {}
    return {"upload_in_parts": {"size_bytes": job.multipart.size_bytes, "part_count": job.multipart.part_count}}


def _require_whole(upload: MultipartUpload, parts: Sequence[Part]) -> None:
    whole = {part.number for part in parts if part.size_bytes == upload.size_of(part.number)}
    missing = [number for number in range(1, upload.part_count + 1) if number not in whole]
    if missing:
        raise UploadIncomplete(
            f"{len(missing)} of {upload.part_count} parts are missing, the first is number {missing[0]}."
        )


def _require_same(parts: Sequence[Part], sent: Sequence[SentPart]) -> None:
    there = {part.number: part.etag.strip('"') for part in parts}
    for part in sent:
        if there.get(part.number) != part.etag.strip('"'):
            raise UploadConflict(f"Part {part.number} is not the one that was sent. Send it again.")
