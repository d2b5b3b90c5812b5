"""What AWS answers, as errors of our own: mapped here once for the table, the queue and the event bus.

S3 has a map of its own in ``objects``, because its words name keys, and so people's files.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from botocore.exceptions import BotoCoreError, ClientError

from audiojobs.errors import InternalError


class ConditionFailed(Exception):
    """The condition of a write to DynamoDB did not hold."""


@contextmanager
def aws_errors() -> Iterator[None]:
    """Raises :class:`ConditionFailed`, or :class:`~audiojobs.errors.InternalError` for every other failure."""
    try:
        yield
    except ClientError as error:
        if error.response["Error"]["Code"] == "ConditionalCheckFailedException":
            raise ConditionFailed from error
        raise InternalError from error
    except BotoCoreError as error:
        raise InternalError from error
