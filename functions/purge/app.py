"""The Lambda handler for the purge queue, and for the schedule of the sweep."""

from __future__ import annotations

import os
from dataclasses import asdict
from functools import cache
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response

from audiojobs import clients
from audiojobs.announcements import Announcer
from audiojobs.errors import InternalError
from audiojobs.objects import ResultObjects, UploadObjects
from audiojobs.purges import PurgeSchedule
from audiojobs.settings import PurgeSettings
from audiojobs.store import JobStore
from audiojobs.telemetry import MetricUnit, instrumented, logger, metrics
from purge.purging import Purging
from purge.sweeping import Sweep

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
    from aws_lambda_powertools.utilities.typing import LambdaContext


_LONGEST_PURGE_MILLISECONDS = 15_000  # where one call gets no answer

clients.prepare(clients.dynamodb, clients.s3, clients.sqs, clients.events)


@instrumented
def lambda_handler(event: dict[str, Any], context: LambdaContext) -> Any:
    """For the queue: the messages that failed, so that only these come back (``ReportBatchItemFailures``).

    The schedule's event has no messages: a sweep, and what it did.
    """
    if "Records" not in event:
        return _swept(context)
    processor = BatchProcessor(
        event_type=EventType.SQS,
        raise_on_entire_batch_failure=False,
        logger=logger(),  # type: ignore[arg-type]
    )
    return process_partial_response(event=event, record_handler=_purge, processor=processor, context=context)


def _swept(context: LambdaContext) -> dict[str, Any]:
    report = _sweep().run(has_time=lambda: context.get_remaining_time_in_millis() > _LONGEST_PURGE_MILLISECONDS)
    metrics().add_metric("SweepLag", MetricUnit.Seconds, report.lag_seconds)
    metrics().add_metric("SweepFailed", MetricUnit.Count, report.failed)
    logger().info("swept", extra=asdict(report))
    return asdict(report)


def _purge(record: SQSRecord, lambda_context: LambdaContext) -> None:
    if lambda_context.get_remaining_time_in_millis() < _LONGEST_PURGE_MILLISECONDS:
        raise InternalError("No time is left for this message; it comes back.")
    sent_at = int(record.attributes.sent_timestamp) / 1000
    _purging().handle(record.json_body["job_id"], sent_at=sent_at)


@cache
def _purging() -> Purging:
    settings = _settings()
    return Purging(
        settings,
        _store(),
        UploadObjects(clients.s3(), settings.upload_bucket),
        ResultObjects(clients.s3(), settings.result_bucket),
        PurgeSchedule(clients.sqs(), settings.purge_queue_url),
        _announcer(),
    )


@cache
def _sweep() -> Sweep:
    settings = _settings()
    return Sweep(
        settings,
        _store(),
        UploadObjects(clients.s3(), settings.upload_bucket),
        ResultObjects(clients.s3(), settings.result_bucket),
        _purging(),
        _announcer(),
    )


@cache
def _settings() -> PurgeSettings:
    return PurgeSettings.from_environment(os.environ)


@cache
def _store() -> JobStore:
    return JobStore(clients.dynamodb(), _settings().jobs_table)


@cache
def _announcer() -> Announcer:
    return Announcer(clients.events(), _settings().upload_bucket)
