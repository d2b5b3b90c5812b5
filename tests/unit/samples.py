"""Jobs to begin a test with."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

from audiojobs.job import Job, Notice, Origin, Result, Source, Status, api_upload_key, new_job_id
from audiojobs.links import hash_secret, new_secret

SOURCE = Source("wav", "pcm_s16le", 44_100, 2, 181.25, 31_963_724)
RESULT = Result(32_000, 192_000, 2, 181.25, 4_350_000, passthrough=False)
NOTICE = Notice("truncated-audio", "The file ends 3 seconds early.")


def api_job(status: Status = Status.AWAITING_UPLOAD, **values: Any) -> Job:
    """A job that came over the API."""
    job_id = values.pop("id", None) or new_job_id()
    return _job(job_id, Origin.API, api_upload_key(job_id), status, values)


def direct_job(status: Status = Status.PROCESSING, **values: Any) -> Job:
    """The job of a direct upload."""
    return _job(new_job_id(), Origin.DIRECT, values.pop("upload_key", "any/key.wav"), status, values)


def linked(job: Job) -> tuple[Job, str]:
    """The job with a new link, and the link's token."""
    secret = new_secret()
    return replace(job, secret_hash=hash_secret(secret)), f"{job.id}.{secret}"


def _job(job_id: str, origin: Origin, upload_key: str, status: Status, values: dict[str, Any]) -> Job:
    now = time.time()
    job = Job(
        id=job_id,
        status=status,
        origin=origin,
        upload_key=upload_key,
        filename="song.wav",
        created_at=now,
        updated_at=now,
        expires_at=now + 3600,
        delete_at=int(now) + 86_400,
    )
    if status in (Status.READY, Status.CLAIMED, Status.PURGED):
        job = replace(job, source=SOURCE, result=RESULT, progress=1.0, attempts=1, announced=True)
    if status is Status.FAILED:
        job = replace(job, error=NOTICE, attempts=1, announced=True)
    if status is Status.PROCESSING:
        job = replace(job, attempts=1, lease_holder="another", lease_request_id="another", lease_expires_at=now + 600)
    return replace(job, **values)
