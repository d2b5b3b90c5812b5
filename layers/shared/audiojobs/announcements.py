"""Each step of a job goes out as an EventBridge event, so that a mail, a queue or a webhook is a rule away."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from audiojobs.aws_errors import aws_errors
from audiojobs.errors import InternalError
from audiojobs.job import Job, Status

if TYPE_CHECKING:
    from mypy_boto3_events import EventBridgeClient

SOURCE = "audio-resampler"
DETAIL_TYPES = {
    Status.READY: "Job Ready",
    Status.FAILED: "Job Failed",
    Status.CLAIMED: "Job Claimed",
    Status.PURGED: "Job Purged",
    Status.EXPIRED: "Job Expired",
}


class Announcer:
    """Puts events on the account's default bus."""

    def __init__(self, client: EventBridgeClient, upload_bucket: str) -> None:
        self._client = client
        self._upload_bucket = upload_bucket

    def announce(self, job: Job, *, link: str | None = None) -> None:
        """Tell of a job's state; ``link`` is the one-time link of a direct upload that is ready.

        Delivered at least once. Raises :class:`~audiojobs.errors.InternalError`.
        """
        detail = {
            "job": job.as_json(),
            "upload_bucket": self._upload_bucket,
            "upload_key": job.upload_key,
            "link": link,
        }
        with aws_errors():
            answer = self._client.put_events(
                Entries=[{"Source": SOURCE, "DetailType": DETAIL_TYPES[job.status], "Detail": json.dumps(detail)}]
            )
        if answer["FailedEntryCount"]:
            raise InternalError
