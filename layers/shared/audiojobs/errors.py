"""Every failure that a caller, a file's owner or an operator can meet, as one tree.

::

    AudioJobError
    ├── RequestError              the caller asked for something that can't be given
    │   ├── InvalidRequest        invalid-request       400
    │   ├── JobNotFound           job-not-found         404
    │   ├── JobNotReady           job-not-ready         409
    │   ├── AlreadyDownloaded     already-downloaded    410
    │   └── LinkExpired           link-expired          410
    ├── FileError                 the file's fault: final, never retried
    │   ├── UploadTooLarge        upload-too-large      413
    │   ├── UploadReplaced        upload-replaced       409
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
    """The caller asked for something that can't be given."""


class InvalidRequest(RequestError):
    """A field is missing, unknown, of the wrong type, or impossible in combination with another."""

    code = "invalid-request"
    title = "The request is not valid"
    http_status = 400

    def __init__(self, detail: str | None = None, *, field: str | None = None) -> None:
        super().__init__(detail)
        self.field = field


class JobNotFound(RequestError):
    """No such job, or a link whose secret is wrong: the two are never told apart."""

    code = "job-not-found"
    title = "There is no such job"
    http_status = 404


class JobNotReady(RequestError):
    code = "job-not-ready"
    title = "The result is not ready"
    http_status = 409


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
    """Another object took the place of the upload before it was read; that one has a job of its own."""

    code = "upload-replaced"
    title = "The file was replaced by a newer upload of the same name"
    http_status = 409


class UnsupportedFormat(FileError):
    code = "unsupported-format"
    title = "This is not an audio format that can be read here"
    http_status = 415


class NoAudio(FileError):
    code = "no-audio"
    title = "There is no sound in this file"
    http_status = 422


class CorruptAudio(FileError):
    code = "corrupt-audio"
    title = "The file is damaged and can't be decoded"
    http_status = 422


class TruncatedAudio(FileError):
    code = "truncated-audio"
    title = "The file ends before the length that it declares"
    http_status = 422


class ServiceError(AudioJobError):
    """Our fault: the invocation fails, so that Lambda delivers the event again."""


class TimeLimit(ServiceError):
    code = "time-limit"
    title = "The conversion did not finish in the time allowed"
    http_status = 504


class LeaseHeld(ServiceError):
    """Another is about to tell of the job's end, and may have been killed; this event may be the last there is."""

    code = "job-busy"
    title = "The job is still leased to another attempt"
    http_status = 409


class InternalError(ServiceError):
    code = "internal-error"
    title = "Something went wrong on our side"
    http_status = 500
