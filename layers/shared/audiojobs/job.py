"""A job, its states, and what the world sees of it.

::

    awaiting-upload -> processing -> ready -> claimed -> purged
                            |          |
                            v          v
                          failed     expired

Time passes without anybody writing it down: :meth:`Job.seen_at` says what a stored job is at a moment.
All moments are Unix times in seconds; they leave as RFC 3339 UTC.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import PurePosixPath
from typing import Any

from audiojobs.conversion import Conversion
from audiojobs.errors import AudioJobError, InternalError, TruncatedAudio

RETRY_GRACE_SECONDS = 300
"""How long after its lease ran out a job may still be taken over by one of Lambda's retries (after 1 and 2 minutes)."""

_ABSENT: Any = object()
_SECONDS_AND_SHARES = ("progress", "duration_seconds", "declared_seconds")
_API_KEY = re.compile(r"jobs/(?P<job_id>[0-9a-f]{32})")
_MAX_KEY_BYTES = 1024  # of an S3 object key
_MAX_FILENAME_BYTES = 255  # of the file systems that downloads are saved to


class Status(StrEnum):
    AWAITING_UPLOAD = "awaiting-upload"
    PROCESSING = "processing"
    READY = "ready"
    CLAIMED = "claimed"
    PURGED = "purged"
    FAILED = "failed"
    EXPIRED = "expired"


class Origin(StrEnum):
    API = "api"
    DIRECT = "direct"


@dataclass(frozen=True, slots=True)
class Source:
    """What was uploaded, in ffprobe's terms: ``sample_rate`` in Hz; ``duration_seconds`` is ``None`` where unknown."""

    container: str
    codec: str
    sample_rate: int
    channels: int
    duration_seconds: float | None
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Result:
    """What came out: ``sample_rate`` in Hz, ``bit_rate`` in bit/s (the mean, for variable bit rate)."""

    sample_rate: int
    bit_rate: int
    channels: int
    duration_seconds: float
    size_bytes: int
    passthrough: bool


@dataclass(frozen=True, slots=True)
class Notice:
    """A stable code and a sentence for people: a job's error, or one of its warnings.

    ``declared_seconds`` is how long a file that ends early says it is, where it says so exactly.
    """

    code: str
    detail: str
    declared_seconds: float | None = None

    @classmethod
    def of(cls, error: AudioJobError) -> Notice:
        return cls(error.code, error.detail, error.declared_seconds if isinstance(error, TruncatedAudio) else None)

    def as_json(self) -> dict[str, Any]:
        return {name: value for name, value in asdict(self).items() if value is not None}


@dataclass(frozen=True, slots=True)
class MultipartUpload:
    """The upload of an API job in parts: S3's id of it, and the file that it was begun with.

    ``fingerprint`` is its sender's hash of the whole file, where the sender gave one.
    """

    upload_id: str
    size_bytes: int
    part_size_bytes: int
    fingerprint: str | None = None

    @property
    def part_count(self) -> int:
        return -(-self.size_bytes // self.part_size_bytes)

    def size_of(self, number: int) -> int:
        """The bytes of a part, by its number from 1 on: all are of one size but the last."""
        return min(self.part_size_bytes, self.size_bytes - (number - 1) * self.part_size_bytes)


@dataclass(frozen=True, slots=True)
class Job:
    """One file on its way.

    ``upload_size_bytes`` was announced with the job: S3 takes no other upload. ``upload_etag`` and
    ``upload_last_modified`` pin the object that the last attempt read: for a direct upload the one that its event told
    of, and no other. ``lease_holder`` is a name that nobody else can guess, of whoever last got the job:
    an attempt, an announcement, a claim. ``lease_expires_at`` is the end of the invocation at work; ``purge_at`` that
    of the download window; ``delete_at`` the moment from which the record itself may go (DynamoDB TTL). ``announced``
    tells that the event of its state went out; ``retryable`` that a failure was ours, so that a redriven event may try
    again. ``more_secret_hashes`` are further links: whoever repeats the job's creation gets one of its own.
    ``passphrase_hash`` is slow and salted; ``passphrase_tries`` counts what was tried, the right ones too.
    ``deleted_at`` is when it was proved that nothing of it is left that should not be. ``sweep_at`` is when the sweep
    looks at it next; without one, there is nothing left to do.
    """

    id: str
    status: Status
    origin: Origin
    upload_key: str
    filename: str
    created_at: float
    updated_at: float
    expires_at: float
    delete_at: int
    conversion: Conversion = field(default_factory=Conversion)
    upload_size_bytes: int | None = None
    multipart: MultipartUpload | None = None
    upload_etag: str | None = None
    upload_last_modified: float | None = None
    secret_hash: str | None = None
    more_secret_hashes: frozenset[str] | None = None
    passphrase_hash: str | None = None
    passphrase_tries: int = 0
    reference: str | None = None
    progress: float = 0.0
    source: Source | None = None
    result: Result | None = None
    warnings: tuple[Notice, ...] = ()
    error: Notice | None = None
    attempts: int = 0
    lease_holder: str | None = None
    lease_request_id: str | None = None
    lease_expires_at: float = 0.0
    retryable: bool = False
    announced: bool = False
    purge_at: float | None = None
    claimed_at: float | None = None
    deleted_at: float | None = None
    sweep_at: float | None = None

    @property
    def result_key(self) -> str:
        """``{upload key}/{job id}.mp3``, the upload key cut where S3's 1024 bytes would not hold both.

        S3 takes ``.`` and ``..`` as parts of a key, but browsers and curl take them out of an address.
        """
        suffix = f"/{self.id}.mp3"
        room = _MAX_KEY_BYTES - len(suffix)
        cut = self.upload_key.encode()[:room].decode(errors="ignore")
        return "/".join("_" * len(part) if part in (".", "..") else part for part in cut.split("/")) + suffix

    @property
    def download_filename(self) -> str:
        """The uploader's file name with the new sample rate: ``song.wav`` -> ``song.32k.mp3``.

        It is cut to what can be saved: the last part of a key can be four times as long.
        """
        suffix = f".{self.conversion.sample_rate / 1000:g}k.mp3"
        stem = PurePosixPath(self.filename).stem or "audio"
        room = _MAX_FILENAME_BYTES - len(suffix)
        return stem.encode()[:room].decode(errors="ignore") + suffix

    @property
    def was_deleted(self) -> bool:
        """On request, not by the end of a download window."""
        return self.status is Status.PURGED and self.purge_at is None

    @property
    def can_become_ready(self) -> bool:
        """Whether an attempt, under way or still to come, may end with a result; otherwise none may be left lying."""
        return self.retryable if self.status is Status.FAILED else self.status is not Status.PURGED

    @property
    def takes_another_upload(self) -> bool:
        """The file was at fault, and the job has a key to which a corrected one can go; ``expires_at`` decides, too."""
        return self.origin is Origin.API and self.status is Status.FAILED and not self.retryable

    @property
    def awaits_announcement(self) -> bool:
        """The work has ended, and its event has not gone out."""
        return self.status in (Status.READY, Status.FAILED) and not self.announced

    @property
    def awaits_upload(self) -> bool:
        """Its first one, or a corrected one; ``expires_at`` decides, too."""
        return self.status is Status.AWAITING_UPLOAD or self.takes_another_upload

    def seen_at(self, now: float) -> Job:
        """The job as it is at ``now``, whatever was last written.

        An upload that did not come and a result that nobody fetched have expired. A job whose lease ran out and
        that no retry took over has failed: nothing stays in ``processing`` for ever.
        """
        if self.status in (Status.AWAITING_UPLOAD, Status.READY) and now >= self.expires_at:
            return replace(self, status=Status.EXPIRED)
        if self.status is Status.PROCESSING and now >= self.lease_expires_at + RETRY_GRACE_SECONDS:
            return replace(self, status=Status.FAILED, error=Notice.of(InternalError()), retryable=True)
        return self

    def as_json(self) -> dict[str, Any]:
        """The job as the API shows it. Nothing in it opens a link."""
        return {
            "id": self.id,
            "status": str(self.status),
            "filename": self.filename,
            "reference": self.reference,
            "created_at": rfc3339(self.created_at),
            "updated_at": rfc3339(self.updated_at),
            "expires_at": rfc3339(self.expires_at),
            "claimed_at": rfc3339(self.claimed_at) if self.claimed_at else None,
            "deleted_at": rfc3339(self.deleted_at) if self.deleted_at else None,
            "progress": self.progress,
            "warnings": [warning.as_json() for warning in self.warnings],
            "error": self.error.as_json() if self.error else None,
            "source": asdict(self.source) if self.source else None,
            "result": asdict(self.result) if self.result else None,
        }


def new_job_id() -> str:
    """A random id: 128 bits, 32 hexadecimal digits."""
    return secrets.token_hex(16)


def idempotent_job_id(caller: str, key: str) -> str:
    """The id of the job that a caller makes with an ``Idempotency-Key``: keys of two callers never meet."""
    return hashlib.sha256(f"idempotency\0{caller}\0{key}".encode()).hexdigest()[:32]


def direct_job_id(bucket: str, key: str, version: str) -> str:
    """The id of a direct upload; ``version`` is the event's version id or sequencer.

    A duplicate of the event finds the same job, a second upload under the same key gets another.
    """
    digest = hashlib.sha256(f"{bucket}\0{key}\0{version}".encode())
    return digest.hexdigest()[:32]


def api_upload_key(job_id: str) -> str:
    """Where the upload of an API job goes. The user's file name never becomes a key."""
    return f"jobs/{job_id}"


def api_job_id(upload_key: str) -> str | None:
    """The job id in an API job's upload key, ``None`` for any other key."""
    match = _API_KEY.fullmatch(upload_key)
    return match["job_id"] if match else None


def rfc3339(moment: float) -> str:
    """Unix time in seconds -> ``2026-01-31T12:00:00Z`` (RFC 3339, UTC, whole seconds)."""
    return datetime.fromtimestamp(int(moment), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def as_record(job: Job) -> dict[str, Any]:
    """A job as plain values, without what is ``None``; :func:`from_record` gives it back."""
    record = {name: value for name, value in asdict(job).items() if value is not None}
    record["conversion"] = job.conversion.as_json()
    return record


def from_record(record: Mapping[str, Any]) -> Job:
    """The job of a record that :func:`as_record` made, in this version of the service or in another."""
    values = _known(Job, record)
    values["status"] = Status(values["status"])
    values["origin"] = Origin(values["origin"])
    values["conversion"] = Conversion.from_json(values["conversion"])
    if values.get("more_secret_hashes") is not None:
        values["more_secret_hashes"] = frozenset(values["more_secret_hashes"])
    values["warnings"] = tuple(Notice(**_known(Notice, warning)) for warning in values.get("warnings", ()))
    for name, kind in (
        ("source", Source),
        ("result", Result),
        ("error", Notice),
        ("multipart", MultipartUpload),
    ):
        if values.get(name) is not None:
            values[name] = kind(**_known(kind, values[name]))
    return Job(**values)


def _known(kind: Any, record: Mapping[str, Any]) -> dict[str, Any]:
    """The values that ``kind`` has fields for; another version of the service may have written more.

    DynamoDB does not tell 8.0 from 8, but what the API shows shall always be of one type.
    """
    return {
        field.name: float(value) if field.name in _SECONDS_AND_SHARES and value is not None else value
        for field in fields(kind)
        if (value := record.get(field.name, _ABSENT)) is not _ABSENT
    }
