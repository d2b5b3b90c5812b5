"""Purges to come: messages to the purge function, delayed by SQS itself."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING

from audiojobs.aws_errors import aws_errors

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

MAX_DELAY_SECONDS = 900  # of an SQS message


class PurgeSchedule:
    """The queue of purges to come."""

    def __init__(self, client: SQSClient, queue_url: str) -> None:
        self._client = client
        self._queue_url = queue_url

    def add(self, job_id: str, *, delay_seconds: float) -> None:
        """Look at a job again after a delay (cut to SQS's 900 s: the purge function comes back as often as needed).

        Raises :class:`~audiojobs.errors.InternalError` when it can't be scheduled.
        """
        delay = min(MAX_DELAY_SECONDS, max(0, math.ceil(delay_seconds)))
        with aws_errors():
            self._client.send_message(
                QueueUrl=self._queue_url, MessageBody=json.dumps({"job_id": job_id}), DelaySeconds=delay
            )
