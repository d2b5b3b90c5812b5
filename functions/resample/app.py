"""The Lambda handler for S3 events, and for ``sam local invoke``."""

from __future__ import annotations

import os
import time
from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_plus

from audiojobs import clients
from audiojobs.announcements import Announcer
from audiojobs.objects import ResultObjects, UploadObjects
from audiojobs.settings import ResampleSettings
from audiojobs.store import JobStore
from audiojobs.telemetry import format_logs_of, instrumented
from resample.job_run import Invocation, JobRunner, Outcome, UploadEvent

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext


clients.prepare(clients.dynamodb, clients.s3, clients.events)


@instrumented
def lambda_handler(event: dict[str, Any], context: LambdaContext) -> Any:
    """Returns the job as JSON with its ``link``; a list where the event holds several records.

    An event that was given up and is sent again bears the id of its request as ``retry_of``, and goes on with its job.
    """
    request_id = event.get("retry_of", context.aws_request_id)
    invocation = Invocation(request_id, time.time() + context.get_remaining_time_in_millis() / 1000)
    views = [_view(_runner().handle(upload, invocation)) for upload in upload_events(event)]
    return views[0] if len(views) == 1 else views


def upload_events(event: dict[str, Any]) -> list[UploadEvent]:
    """The created objects of an S3 notification; none for the test event that S3 sends when a bucket is set up.

    Keys arrive URL-encoded, with a plus sign for a space.
    """
    return [
        UploadEvent(
            bucket=record["s3"]["bucket"]["name"],
            key=unquote_plus(record["s3"]["object"]["key"]),
            version=record["s3"]["object"].get("versionId") or record["s3"]["object"].get("sequencer", ""),
            etag=record["s3"]["object"].get("eTag"),
            created_at=_moment(record.get("eventTime")),
        )
        for record in event.get("Records", [])
    ]


def _moment(text: str | None) -> float | None:
    """RFC 3339 -> Unix time; ``None`` for what an event made by hand may have there."""
    try:
        return datetime.fromisoformat(text or "").timestamp()
    except ValueError:
        return None


def _view(outcome: Outcome | None) -> dict[str, Any] | None:
    return {**outcome.job.as_json(), "link": outcome.link} if outcome else None


@cache
def _runner() -> JobRunner:
    format_logs_of(__package__)
    settings = ResampleSettings.from_environment(os.environ)
    return JobRunner(
        settings,
        JobStore(clients.dynamodb(), settings.jobs_table),
        UploadObjects(clients.s3(), settings.upload_bucket),
        ResultObjects(clients.s3(), settings.result_bucket),
        Announcer(clients.events(), settings.upload_bucket),
    )
