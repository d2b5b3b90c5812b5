"""The Lambda handler for the purge queue."""

from __future__ import annotations

import os
from functools import cache
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response

from audiojobs import clients
from audiojobs.objects import ResultObjects, UploadObjects
from audiojobs.purges import PurgeSchedule
from audiojobs.settings import PurgeSettings
from audiojobs.store import JobStore
from audiojobs.telemetry import instrumented, logger
from purge.purging import Purging

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
    from aws_lambda_powertools.utilities.typing import LambdaContext


clients.prepare(clients.dynamodb, clients.s3, clients.sqs)


@instrumented
def lambda_handler(event: dict[str, Any], context: LambdaContext) -> Any:
    """Returns the messages that failed, so that only these come back (``ReportBatchItemFailures``)."""
    processor = BatchProcessor(
        event_type=EventType.SQS,
        raise_on_entire_batch_failure=False,
        logger=logger(),  # type: ignore[arg-type]
    )
    return process_partial_response(event=event, record_handler=_purge, processor=processor, context=context)


def _purge(record: SQSRecord) -> None:
    sent_at = int(record.attributes.sent_timestamp) / 1000
    _purging().handle(record.json_body["job_id"], sent_at=sent_at)


@cache
def _purging() -> Purging:
    settings = PurgeSettings.from_environment(os.environ)
    return Purging(
        JobStore(clients.dynamodb(), settings.jobs_table),
        UploadObjects(clients.s3(), settings.upload_bucket),
        ResultObjects(clients.s3(), settings.result_bucket),
        PurgeSchedule(clients.sqs(), settings.purge_queue_url),
    )
