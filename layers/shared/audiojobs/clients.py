"""boto3 clients, made once and kept for a warm Lambda's next invocation."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING

import boto3
from botocore.config import Config

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_events import EventBridgeClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sqs import SQSClient


def prepare(*clients: Callable[[], object]) -> None:
    """Make clients while a Lambda function starts: then it has a whole vCPU, later as much as its memory brings.

    Anywhere else they are made when they are first used.
    """
    if "AWS_LAMBDA_RUNTIME_API" in os.environ:
        for make in clients:
            make()


def _config(*, longest_answer_seconds: float = 10) -> Config:
    """How long one attempt at a call may hang, and how many there are: set for each function by the template.

    A call that gets no answer fails well before its function does. boto3's own 60 s and five attempts are longer than
    the API and the purge function may run.
    """
    timeout_seconds = float(os.environ.get("CALL_TIMEOUT_SECONDS") or longest_answer_seconds)
    attempts = int(os.environ.get("CALL_ATTEMPTS") or 5)
    return Config(
        connect_timeout=min(3, timeout_seconds),
        read_timeout=min(longest_answer_seconds, timeout_seconds),
        retries={"mode": "standard", "total_max_attempts": attempts},
    )


@cache
def s3() -> S3Client:
    """SigV4 on the bucket's regional virtual-hosted endpoint: what presigned URLs need in every region.

    Another endpoint than AWS's own (``AWS_ENDPOINT_URL``) has no host name for each bucket: path style there.
    Checksums only where S3 asks for them, because a presigned URL would promise the checksum of nothing.
    """
    elsewhere = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    return boto3.client(
        "s3",
        config=Config(
            signature_version="s3v4",
            s3={"addressing_style": "path" if elsewhere else "virtual", "us_east_1_regional_endpoint": "regional"},
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        ).merge(_config(longest_answer_seconds=60)),  # a copy on the server can take that long
    )


@cache
def dynamodb() -> DynamoDBClient:
    return boto3.client("dynamodb", config=_config())


@cache
def sqs() -> SQSClient:
    return boto3.client("sqs", config=_config())


@cache
def events() -> EventBridgeClient:
    return boto3.client("events", config=_config())
