"""Every failure that a caller, a file's owner or an operator can meet, as one tree.

::

    AudioJobError
    ├── RequestError              the caller has to change something, or wait
    │   ├── InvalidRequest        invalid-request       400
    │   ├── CrossOriginClaim      cross-origin-claim    403
    │   ├── PassphraseRequired    passphrase-required   403
    │   ├── WrongPassphrase       wrong-passphrase      403
    │   ├── LinkLocked            link-locked           403
    │   ├── JobNotFound           job-not-found         404
    │   ├── JobNotReady           job-not-ready         409
    │   ├── UploadNotFound        upload-not-found      404
    │   ├── UploadNotAwaited      upload-not-awaited    409
    │   ├── UploadIncomplete      upload-incomplete     409
    │   ├── UploadConflict        upload-conflict       409
    │   ├── IdempotencyKeyReused  idempotency-key-reused  422
    │   ├── AlreadyDownloaded     already-downloaded    410
    │   └── LinkExpired           link-expired          410
    ├── FileError                 the file's fault: final, never retried
    │   ├── UploadTooLarge        upload-too-large      413
    │   ├── UploadReplaced        upload-replaced       409
    │   ├── UnreadableUpload      unreadable-upload     422
    │   ├── UnsupportedFormat     unsupported-format    415
    │   ├── NoAudio               no-audio              422
    │   ├── CorruptAudio          corrupt-audio         422
    │   └── TruncatedAudio        truncated-audio       422
    └── ServiceError              our fault: raised, so that the event is delivered again
        ├── TimeLimit             time-limit            504
        ├── LeaseHeld             job-busy              409
        └── InternalError         internal-error        500

``code`` is stable: it is the ``type`` of a problem document (RFC 9457), the job's ``error.code``,
and the name in logs and metrics. ``detail`` is a full sentence for people and never holds a secret,
a path or another program's output.
"""

from __future__ import annotations

from typing import ClassVar


class AudioJobError(Exception):
    """The root of the tree. ``str(error)`` is the detail."""

    code: ClassVar[str]
    title: ClassVar[str]
    http_status: ClassVar[int]

    def __init__(self, detail: str | None = None) -> None:
        super().__init__(detail or f"{self.title}.")

    @property
    def detail(self) -> str:
        return str(self)


class RequestError(AudioJobError):
    """The request cannot be fulfilled: the caller has to change something, or wait."""


class InvalidRequest(RequestError):
    """A field is missing, unknown, of the wrong type, or impossible in combination with another."""

    code = "invalid-request"
    title = "The request is not valid"
    http_status = 400

    def __init__(self, detail: str | None = None, *, field: str | None = None) -> None:
        super().__init__(detail)
        self.field = field


class CrossOriginClaim(RequestError):
    """A script of another site sent the claim: its browser would not let it read the answer."""

    code = "cross-origin-claim"
    title = "A script of another site cannot claim a link"
    http_status = 403


class PassphraseRequired(RequestError):
    code = "passphrase-required"
    title = "This download needs a passphrase"
    http_status = 403


class WrongPassphrase(RequestError):
    code = "wrong-passphrase"
    title = "The passphrase is wrong"
    http_status = 403


class LinkLocked(RequestError):
    """Whatever is tried now, right or wrong, is not compared."""

    code = "link-locked"
    title = "The link is locked after too many wrong passphrases"
    http_status = 403


class JobNotFound(RequestError):
    """No such job, or a link with a wrong secret: the answer never tells which."""

    code = "job-not-found"
    title = "There is no such job"
    http_status = 404


class JobNotReady(RequestError):
    """``retry_after_seconds``: when it is worth asking again; ``None`` where waiting alone will not help."""

    code = "job-not-ready"
    title = "The result is not ready"
    http_status = 409

    def __init__(self, detail: str | None = None, *, retry_after_seconds: int | None = None) -> None:
        super().__init__(detail)
        self.retry_after_seconds = retry_after_seconds


class UploadNotFound(RequestError):
    """No upload in parts was begun, or it was given up."""

    code = "upload-not-found"
    title = "There is no such upload"
    http_status = 404


class UploadNotAwaited(RequestError):
    code = "upload-not-awaited"
    title = "The job has its file already"
    http_status = 409


class UploadIncomplete(RequestError):
    code = "upload-incomplete"
    title = "Parts of the upload are missing"
    http_status = 409


class UploadConflict(RequestError):
    """An upload in parts holds one file, and this call is about another."""

    code = "upload-conflict"
    title = "The upload of another file was started"
    http_status = 409


class IdempotencyKeyReused(RequestError):
    """The same caller made another job with this key."""

    code = "idempotency-key-reused"
    title = "The Idempotency-Key was used for another job"
    http_status = 422


class AlreadyDownloaded(RequestError):
    code = "already-downloaded"
    title = "The file was already downloaded or deleted"
    http_status = 410


class LinkExpired(RequestError):
    code = "link-expired"
    title = "The link has expired"
    http_status = 410


class FileError(AudioJobError):
    """The file's fault: the job fails for good, and the event is not retried."""


class UploadTooLarge(FileError):
    code = "upload-too-large"
    title = "The file is too large"
    http_status = 413


class UploadReplaced(FileError):
    """A newer upload replaced this one before it was read. The newer one has a job of its own."""

    code = "upload-replaced"
    title = "A newer upload of the same name replaced this file"
    http_status = 409


class UnreadableUpload(FileError):
    """S3 keeps the object from the service: a key of the uploader's own (SSE-C, KMS), or an archive class."""

    code = "unreadable-upload"
    title = "The service cannot read this file: it is archived, or encrypted with a key that the service does not have"
    http_status = 422


class UnsupportedFormat(FileError):
    code = "unsupported-format"
    title = "This file is not in a supported audio format"
    http_status = 415


class NoAudio(FileError):
    code = "no-audio"
    title = "This file contains no sound"
    http_status = 422


class CorruptAudio(FileError):
    code = "corrupt-audio"
    title = "The file is damaged and cannot be decoded"
    http_status = 422


class TruncatedAudio(FileError):
    """``declared_seconds`` is how long the file says it is, where it says so exactly."""

    code = "truncated-audio"
    title = "The file is shorter than it declares"
    http_status = 422

    def __init__(self, detail: str | None = None, *, declared_seconds: float | None = None) -> None:
        super().__init__(detail)
        self.declared_seconds = declared_seconds


class ServiceError(AudioJobError):
    """Our fault: the invocation fails, so that Lambda delivers the event again."""


class TimeLimit(ServiceError):
    code = "time-limit"
    title = "The conversion did not finish in the time allowed"
    http_status = 504


class LeaseHeld(ServiceError):
    """Another attempt is about to announce the job's end, unless it was killed. Lambda shall retry this event."""

    code = "job-busy"
    title = "Another attempt is still working on this job"
    http_status = 409


class InternalError(ServiceError):
    code = "internal-error"
    title = "Something went wrong on our side"
    http_status = 500
