"""One upload event becomes one job's end: ready, or failed for a reason that its owner understands.

Events come at least once, in any order, and late; :class:`~audiojobs.store.JobStore` decides which of them
may begin. Whatever happens, an invocation leaves nothing in ``/tmp``, and an upload goes only after its
result is safe.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import PurePosixPath

from audiojobs.announcements import Announcer
from audiojobs.conversion import Conversion, misspelled_options
from audiojobs.errors import (
    AudioJobError,
    FileError,
    InternalError,
    InvalidRequest,
    LeaseHeld,
    ServiceError,
    UnreadableUpload,
    UploadReplaced,
    UploadTooLarge,
)
from audiojobs.filenames import harmless
from audiojobs.job import Job, Notice, Origin, Status, api_job_id, direct_job_id
from audiojobs.links import hash_secret, link_url, new_secret
from audiojobs.objects import ResultObjects, Upload, UploadObjects
from audiojobs.references import reference_from_metadata
from audiojobs.settings import ResampleSettings
from audiojobs.store import RECORD_SECONDS, JobStore, Refused
from audiojobs.telemetry import MetricUnit, logger, metrics
from resample.engine.convert import Converted, convert
from resample.engine.streamed_source import STREAM_HEAD_BYTES, StreamedSource
from resample.formats.containers import identify
from resample.formats.passthrough import passthrough_result
from resample.formats.reader import Reader
from resample.sandbox.scratch import scratch_folder

PROGRESS_INTERVAL_SECONDS = 2.0

# S3 shows metadata to whoever may read the object, and the uploader would believe the result protected.
_PROTECTS_NOTHING = "A direct upload takes no passphrase. Create the job with POST /jobs to give it one."

_ANNOUNCEMENT_LEASE_SECONDS = 30  # what is left after `ready`: two deletes and an event
_NEVER = 0.0  # the upload was not seen
_LAST_MODIFIED_SECONDS = 2  # by which S3's own moments of one upload may differ
_CLOCK_SKEW_SECONDS = 60
_LATEST_EVENT_SECONDS = 15 * 24 * 3600  # Lambda's retries, then two weeks in the queue of failed events
_MAX_RESERVE_SECONDS = 30  # of the invocation's time, kept for storing the result
_CONVERSION_SHARE = 0.95  # of the progress


@dataclass(frozen=True, slots=True)
class UploadEvent:
    """An object was created. ``version`` is its version id or the event's sequencer; ``etag`` is without quotes.

    ``created_at`` is the Unix time at which S3 had all of it.
    """

    bucket: str
    key: str
    version: str
    etag: str | None
    created_at: float | None = None

    @property
    def job_id(self) -> str:
        """Of a direct upload."""
        return direct_job_id(self.bucket, self.key, self.version)


@dataclass(frozen=True, slots=True)
class Invocation:
    """``request_id`` is the same for all attempts at an event; ``deadline`` is the Unix time of this one's end."""

    request_id: str
    deadline: float


@dataclass(frozen=True, slots=True)
class Outcome:
    """The job as it is now, and the link if this invocation made one."""

    job: Job
    link: str | None = None


class JobRunner:
    """Takes a job from its upload to its end."""

    def __init__(
        self,
        settings: ResampleSettings,
        store: JobStore,
        uploads: UploadObjects,
        results: ResultObjects,
        announcer: Announcer,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._settings = settings
        self._store = store
        self._uploads = uploads
        self._results = results
        self._announcer = announcer
        self._clock = clock

    def handle(self, event: UploadEvent, invocation: Invocation) -> Outcome | None:
        """Work on an upload, or find that there is nothing to do; ``None`` for an event that came too late to matter.

        Raises :class:`~audiojobs.errors.ServiceError` where Lambda should deliver the event again.
        """
        api_id = api_job_id(event.key)
        api_job = self._store.get(api_id) if api_id else None
        if api_job and self._uploaded_at(event) < api_job.created_at - _CLOCK_SKEW_SECONDS:
            # Its record is gone, and the same Idempotency-Key has made another job of the same id since.
            logger().info("the event is of an earlier job")
            return None
        refusal: AudioJobError | None = None
        upload, beginning = None, b""
        try:
            upload, beginning = self._uploads.find_and_read(event.key, STREAM_HEAD_BYTES)
        except UnreadableUpload as error:
            refusal = error
        if upload and _is_folder(upload):
            logger().info("a folder, made by hand")
            return None
        job = api_job or self._store.get(event.job_id) if upload is None else api_job
        if job is None and upload is None and refusal is None and not self._is_recent(event, RECORD_SECONDS):
            logger().warning("the upload is gone and its job unknown")
            return None
        if upload is None:
            refusal = refusal or UploadReplaced("The file was replaced or deleted before it could be read.")
        if job is None:
            job, refusal = self._new_direct_job(event, upload, refusal)
        elif upload:
            job = replace(job, upload_etag=upload.etag, upload_last_modified=upload.last_modified)
        logger().append_keys(job_id=job.id)
        attempt = secrets.token_hex(8)
        is_another = api_job and upload and api_job.takes_another_upload and not upload.is_pinned_by(api_job)
        begin = self._store.begin_with_another_upload if is_another else self._store.begin
        try:
            job = begin(
                job,
                now=self._clock(),
                holder=attempt,
                request_id=invocation.request_id,
                lease_expires_at=invocation.deadline,
                uploaded_at=self._uploaded_at(event),
            )
        except Refused as refused:
            return self._finish_duplicate(refused.job, upload, event) if refused.job else None
        if upload and not upload.is_pinned_by(job):
            refusal = UploadReplaced()
        return self._run_attempt(job, upload, beginning, attempt, invocation, refusal)

    def _new_direct_job(
        self, event: UploadEvent, upload: Upload | None, refusal: AudioJobError | None
    ) -> tuple[Job, AudioJobError | None]:
        """The job of a direct upload, and why it can't be done, if that shows already."""
        now = self._clock()
        conversion, reference = Conversion(), None
        metadata = upload.metadata if upload else {}
        try:
            if "passphrase" in metadata:
                raise InvalidRequest(_PROTECTS_NOTHING, field="passphrase")
            reference = reference_from_metadata(metadata)
        except InvalidRequest as error:
            refusal = error
        try:
            conversion = Conversion.from_metadata(metadata)
        except InvalidRequest as error:
            refusal = error
        is_of_event = upload is not None and not self._has_replaced(upload, event)
        job = Job(
            id=event.job_id,
            status=Status.PROCESSING,
            origin=Origin.DIRECT,
            upload_key=event.key,
            upload_etag=f'"{event.etag}"' if event.etag else (upload.etag if upload else None),
            upload_last_modified=upload.last_modified if upload and is_of_event else _NEVER,
            filename=harmless(PurePosixPath(event.key).name) or "audio",
            reference=reference,
            created_at=now,
            updated_at=now,
            expires_at=now + self._settings.link_seconds,
            delete_at=int(now) + self._settings.link_seconds + RECORD_SECONDS,
            conversion=conversion,
        )
        return job, refusal

    def _has_replaced(self, upload: Upload, event: UploadEvent) -> bool:
        """Whether the object is another than the one that the event told of.

        The same file uploaded again has the same ETag, but was made after the event. Both moments are S3's own;
        ``LastModified`` may be rounded up to a whole second.
        """
        if event.etag and event.etag != upload.etag.strip('"'):
            return True
        return self._is_recent(event) and upload.last_modified > (event.created_at or 0) + _LAST_MODIFIED_SECONDS

    def _is_recent(self, event: UploadEvent, within_seconds: float = _LATEST_EVENT_SECONDS) -> bool:
        """Whether AWS may still deliver the event. The time of one that was made by hand tells nothing."""
        if event.created_at is None:
            return False
        return -within_seconds < event.created_at - self._clock() < _CLOCK_SKEW_SECONDS

    def _uploaded_at(self, event: UploadEvent) -> float:
        """When the upload was complete: that decides whether it came in time, however late its event is."""
        if event.created_at is not None and self._is_recent(event):
            return event.created_at
        return self._clock()

    def _run_attempt(
        self,
        job: Job,
        upload: Upload | None,
        beginning: bytes,
        attempt: str,
        invocation: Invocation,
        refusal: AudioJobError | None,
    ) -> Outcome:
        secret = new_secret() if job.origin is Origin.DIRECT else None
        try:
            if refusal or upload is None:
                raise refusal or InternalError
            converted = self._convert(job, upload, beginning, attempt, invocation)
            now = self._clock()
            job = self._store.complete(
                job.id,
                now=now,
                holder=attempt,
                source=converted.source,
                result=converted.result,
                warnings=(*_option_warnings(job, upload), *converted.warnings),
                expires_at=now + self._settings.link_seconds,
                lease_expires_at=now + _ANNOUNCEMENT_LEASE_SECONDS,
                secret_hash=hash_secret(secret) if secret else None,
            )
        except Refused as refused:
            return self._abandon(job, refused.job)
        except (FileError, InvalidRequest) as error:
            if isinstance(error, UploadReplaced) and job.origin is Origin.API and upload:
                current_job = self._store.get(job.id)
                if current_job is None or current_job.was_deleted:
                    return self._abandon(job, current_job)
                # The object that took its place belongs to this very job: begin again with that one.
                raise self._release_or_fail(job, attempt, error) from error
            return self._fail(job, upload, attempt, error)
        except Exception as error:
            raise self._release_or_fail(job, attempt, error) from error
        metrics().add_metric("JobReady", MetricUnit.Count, 1)
        logger().info("job ready", extra={"result": job.as_json()["result"], "source": job.as_json()["source"]})
        return self._finish(job, upload, secret)

    def _abandon(self, job: Job, current_job: Job | None) -> Outcome:
        """Deleted, or taken over after the lease ran out: in both cases this result is nobody's."""
        logger().warning("the job is no longer ours", extra={"status": current_job and current_job.status})
        if current_job is None or not current_job.can_become_ready:
            self._results.delete(job.result_key)
        return Outcome(current_job or job)

    def _fail(self, job: Job, upload: Upload | None, attempt: str, error: FileError | InvalidRequest) -> Outcome:
        try:
            job = self._store.fail(
                job.id,
                now=self._clock(),
                holder=attempt,
                error=Notice.of(error),
                lease_expires_at=self._clock() + _ANNOUNCEMENT_LEASE_SECONDS,
                retryable=False,
            )
        except Refused as refused:
            return Outcome(refused.job or job)
        _tell_failed(error)
        return self._finish(job, upload, None)

    def _release_or_fail(self, job: Job, attempt: str, error: Exception) -> ServiceError:
        """Free the lease for the next retry, or, after the last one, fail the job. Returns what to raise."""
        ours = error if isinstance(error, ServiceError) else InternalError()
        logger().exception("attempt failed", extra={"code": ours.code, "attempt": job.attempts})
        metrics().add_metric("AttemptFailed", MetricUnit.Count, 1)
        metrics().add_metadata("code", ours.code)
        try:
            if job.attempts >= self._settings.max_attempts:
                now = self._clock()
                failed = self._store.fail(
                    job.id,
                    now=now,
                    holder=attempt,
                    error=Notice.of(ours),
                    lease_expires_at=now + _ANNOUNCEMENT_LEASE_SECONDS,
                    retryable=True,
                )
                _tell_failed(ours)
                self._finish(failed, None, None)
            else:
                self._store.release(job.id, now=self._clock(), holder=attempt)
        except (Refused, ServiceError):
            logger().exception("the lease stays until it runs out")
        return ours

    def _finish_duplicate(self, job: Job, upload: Upload | None, event: UploadEvent) -> Outcome:
        """What an event still has to do for a job that it may not begin: mostly nothing."""
        now = self._clock()
        logger().info("nothing to begin", extra={"job_id": job.id, "status": job.status})
        if upload and job.origin is Origin.API:
            if job.status in (Status.READY, Status.CLAIMED, Status.PURGED):
                self._delete_original(job)
            elif (job.status is Status.EXPIRED and not (job.result and self._settings.keep_originals)) or (
                job.status in (Status.AWAITING_UPLOAD, Status.FAILED)
                and not job.retryable
                and self._uploaded_at(event) >= job.expires_at
            ):
                logger().info("the upload came too late")
                self._uploads.delete(job)
        if job.seen_at(now).status is Status.EXPIRED:
            return Outcome(job)  # there is nothing left to tell of
        if job.awaits_announcement:
            secret = new_secret() if job.origin is Origin.DIRECT and job.status is Status.READY else None
            try:
                job = self._store.begin_announcement(
                    job.id,
                    now=now,
                    lease_expires_at=now + _ANNOUNCEMENT_LEASE_SECONDS,
                    secret_hash=hash_secret(secret) if secret else None,
                )
            except Refused as refused:
                if refused.job and refused.job.awaits_announcement:
                    # Whoever announces it may have been killed: look again when that lease has run out.
                    raise LeaseHeld from refused
                return Outcome(refused.job or job)
            return self._finish(job, upload, secret)
        return Outcome(job)

    def _finish(self, job: Job, upload: Upload | None, secret: str | None) -> Outcome:
        """After the end of the work: what is no longer needed goes, the news goes out. Each step may be done twice."""
        if upload and job.status is Status.READY:
            self._delete_original(job)
        if upload and job.status is Status.FAILED and not job.retryable and not self._settings.keep_originals:
            # A corrected file may lie at the key of an API job already.
            self._count_left(job, self._uploads.delete_if_read(job))
        if job.attempts > 1 and not job.can_become_ready:
            # An attempt before may have put a result, and could not write it down.
            self._results.delete(job.result_key)
        link = link_url(self._settings.public_url, job.id, secret) if secret and job.status is Status.READY else None
        self._announcer.announce(job, link=link)
        with suppress(Refused):  # claimed, deleted or begun again meanwhile
            self._store.end_announcement(job.id, holder=job.lease_holder or "")
        return Outcome(job, link)

    def _delete_original(self, job: Job) -> None:
        if job.was_deleted or not self._settings.keep_originals:
            self._count_left(job, self._uploads.delete(job))

    def _count_left(self, job: Job, is_gone: bool) -> None:
        if not is_gone and job.upload_last_modified:
            logger().warning("another upload lies at the key; it is left", extra={"job_id": job.id})
            metrics().add_metric("UploadLeft", MetricUnit.Count, 1)

    def _convert(self, job: Job, upload: Upload, beginning: bytes, attempt: str, invocation: Invocation) -> Converted:
        """Put the result into the result bucket. Raises :class:`~audiojobs.errors.AudioJobError` or ``Refused``."""
        if upload.size_bytes > self._settings.max_upload_bytes:
            raise UploadTooLarge(
                f"The file has {upload.size_bytes / 1e6:,.0f} MB,"
                f" more than the {self._settings.max_upload_megabytes:,} MB that are allowed."
            )
        started = time.monotonic()
        remaining = invocation.deadline - self._clock()
        deadline = started + remaining - min(_MAX_RESERVE_SECONDS, remaining / 10)
        source, read = self._open_upload(upload, beginning)
        container = identify(read, upload.size_bytes)
        passed = passthrough_result(read, upload.size_bytes, job.conversion, container)
        if passed:
            source_facts, result = passed
            self._results.copy_from(self._settings.upload_bucket, upload, job.result_key)
            metrics().add_metric("JobPassedThrough", MetricUnit.Count, 1)
            return Converted(source_facts, result, ())
        progress = _ProgressWriter(
            partial(self._record_progress, job.id, attempt), interval_seconds=PROGRESS_INTERVAL_SECONDS
        )
        looked_at = time.monotonic()
        with scratch_folder() as folder:
            mp3 = folder / "result.mp3"
            converted = convert(
                source,
                container,
                job.conversion,
                mp3,
                deadline=deadline,
                on_progress=lambda fraction: progress(_CONVERSION_SHARE * fraction),
                encoders=self._settings.encoders,
            )
            converted_at = time.monotonic()
            self._results.put(job.result_key, mp3)
        ended = time.monotonic()
        _log_steps(
            look=looked_at - started,
            fetch=converted.fetch_seconds,
            convert=converted_at - looked_at - converted.fetch_seconds,
            put=ended - converted_at,
        )
        seconds = ended - started
        if converted.is_fallback:
            metrics().add_metric("ParallelEncodingFailed", MetricUnit.Count, 1)
        metrics().add_metric("RealtimeFactor", MetricUnit.NoUnit, converted.result.duration_seconds / seconds)
        return converted

    def _open_upload(self, upload: Upload, beginning: bytes) -> tuple[StreamedSource, Reader]:
        """The upload as the engine takes it, and to look into it; its beginning is read only once."""
        head = beginning or self._uploads.read(upload, 0, STREAM_HEAD_BYTES)

        def read(offset: int, length: int) -> bytes:
            if offset + length <= len(head) or len(head) == upload.size_bytes:
                return head[offset : offset + length]
            return self._uploads.read(upload, offset, length)

        def chunks() -> Iterator[bytes]:
            yield head
            yield from self._uploads.chunks(upload, len(head))

        return StreamedSource(upload.size_bytes, head, chunks, partial(self._uploads.chunks, upload)), read

    def _record_progress(self, job_id: str, attempt: str, fraction: float) -> None:
        try:
            self._store.record_progress(job_id, now=self._clock(), holder=attempt, progress=round(fraction, 3))
        except InternalError:
            logger().warning("progress could not be written")


def _log_steps(**seconds: float) -> None:
    """How long the steps of a conversion took; what is decoded while it arrives is not fetched before."""
    logger().info("converted", extra={"seconds": {step: round(taken, 3) for step, taken in seconds.items()}})


def _is_folder(upload: Upload) -> bool:
    """S3's console makes an empty object for a folder."""
    return upload.key.endswith("/") and upload.size_bytes == 0


def _option_warnings(job: Job, upload: Upload) -> Iterator[Notice]:
    """What the metadata of a direct upload may have meant. That of an API job asks for nothing."""
    if job.origin is Origin.DIRECT:
        for name, option in misspelled_options(upload.metadata).items():
            yield Notice("unknown-option", f"The object metadata {name} is not an option. Did you mean {option}?")


def _tell_failed(error: AudioJobError) -> None:
    """The code beside the metric is no dimension, which would cost by the code; queries of the log find it there."""
    logger().info("job failed", extra={"code": error.code})
    metrics().add_metric("JobFailed", MetricUnit.Count, 1)
    metrics().add_metadata("code", error.code)


class _ProgressWriter:
    """Passes a fraction on, at most once in an interval."""

    def __init__(self, write: Callable[[float], None], *, interval_seconds: float) -> None:
        self._write = write
        self._interval_seconds = interval_seconds
        self._last = time.monotonic()

    def __call__(self, fraction: float) -> None:
        now = time.monotonic()
        if now - self._last >= self._interval_seconds:
            self._last = now
            self._write(fraction)
