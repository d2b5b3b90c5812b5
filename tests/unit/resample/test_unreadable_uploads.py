"""What S3 keeps from the service is the file's fault, at once: archive classes, and keys that only the uploader has."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest
from botocore.exceptions import ClientError

from audiojobs import clients
from audiojobs.job import Job, Status
from tests.unit.cloud import Cloud, failing
from tests.unit.conftest import Logs
from tests.unit.resample.test_resample_handler import s3_event
from tests.unit.samples import api_job

Handler = Callable[..., Any]
Refused = tuple[str, int, str, str]


def refusal(operation: str, status: int, code: str, message: str) -> ClientError:
    return ClientError(
        {
            "Error": {"Code": code, "Message": message},
            "ResponseMetadata": {"HTTPStatusCode": status, "RequestId": "4442587FB7D0A2F9"},  # type: ignore[typeddict-item]
        },
        operation,
    )


# As S3 answers: HEAD has no body, so its code is the status.
WITH_A_KEY_OF_ITS_OWN = [
    ("GetObject", 400, "InvalidRequest", "The object was stored using a form of Server Side Encryption."),
    ("HeadObject", 400, "400", "Bad Request"),
]
WITH_A_KMS_KEY = [
    (
        "GetObject",
        403,
        "AccessDenied",
        "User: arn:aws:sts::1:role/f is not authorized to perform: kms:Decrypt on this resource",
    )
]
WITH_A_KMS_KEY_THAT_IS_OFF = [
    ("GetObject", 400, "KMS.DisabledException", "arn:aws:kms:eu-central-1:1:key/1 is disabled")
]
REFUSALS = pytest.mark.parametrize(
    "refused",
    [WITH_A_KEY_OF_ITS_OWN, WITH_A_KMS_KEY, WITH_A_KMS_KEY_THAT_IS_OFF],
    ids=["SSE-C", "foreign KMS key", "KMS key that is off"],
)


@contextmanager
def refusing(refused: list[Refused]) -> Iterator[None]:
    with ExitStack() as refusals:
        for call in refused:
            refusals.enter_context(failing(clients.s3(), call[0], error=refusal(*call)))
        yield


def put_archived(cloud: Cloud, key: str, storage_class: Any) -> None:
    cloud.s3.put_object(Bucket=cloud.upload_bucket, Key=key, Body=b"RIFF...", StorageClass=storage_class)


def waiting(cloud: Cloud) -> Job:
    job = api_job(secret_hash="f" * 64)
    cloud.store.create(job)
    return job


@pytest.mark.parametrize("storage_class", ["GLACIER", "DEEP_ARCHIVE"])
def test_an_archived_file_fails_at_once_and_is_told_what_to_do(
    cloud: Cloud, handler: Handler, storage_class: str
) -> None:
    put_archived(cloud, "any/old.wav", storage_class)

    view = handler(s3_event(cloud.upload_bucket, "any/old.wav"))

    assert (view["status"], view["error"]["code"]) == ("failed", "unreadable-upload")
    assert "archive class" in view["error"]["detail"]
    assert not cloud.job(view["id"]).retryable
    assert [event["detail-type"] for event in cloud.announcements()] == ["Job Failed"]


@REFUSALS
def test_an_encrypted_file_fails_at_once_and_is_told_what_to_do(
    cloud: Cloud, handler: Handler, logs: Logs, refused: list[Refused]
) -> None:
    cloud.upload("any/secret.wav")

    with refusing(refused):
        view = handler(s3_event(cloud.upload_bucket, "any/secret.wav"))

    assert (view["status"], view["error"]["code"]) == ("failed", "unreadable-upload")
    assert "encrypted" in view["error"]["detail"]
    assert not cloud.job(view["id"]).retryable
    assert logs.codes() == ["unreadable-upload"], "nobody is called for it"


@REFUSALS
def test_a_job_of_the_api_takes_the_file_without_the_key(
    cloud: Cloud, handler: Handler, refused: list[Refused]
) -> None:
    job = waiting(cloud)
    cloud.upload(job.upload_key, b"RIFF, encrypted")
    with refusing(refused):
        assert handler(s3_event(cloud.upload_bucket, job.upload_key))["error"]["code"] == "unreadable-upload"

    cloud.upload(job.upload_key, b"RIFF, as it is")
    view = handler(s3_event(cloud.upload_bucket, job.upload_key))

    assert (view["id"], view["status"], view["error"]) == (job.id, "ready", None)


def test_a_job_of_the_api_takes_the_file_that_is_not_archived(cloud: Cloud, handler: Handler) -> None:
    job = waiting(cloud)
    put_archived(cloud, job.upload_key, "GLACIER")
    assert handler(s3_event(cloud.upload_bucket, job.upload_key))["error"]["code"] == "unreadable-upload"

    cloud.upload(job.upload_key, b"RIFF, and now as STANDARD")
    view = handler(s3_event(cloud.upload_bucket, job.upload_key))

    assert (view["id"], view["status"]) == (job.id, "ready")
    assert cloud.job(job.id).status is Status.READY


@pytest.mark.parametrize("operation", ["HeadObject", "GetObject"])
def test_a_plain_refusal_is_our_fault(cloud: Cloud, handler: Handler, operation: str) -> None:
    cloud.upload("any/key.wav")

    with (
        failing(clients.s3(), operation, error=refusal(operation, 403, "AccessDenied", "Access Denied")),
        pytest.raises(Exception, match="Something went wrong on our side"),
    ):
        handler(s3_event(cloud.upload_bucket, "any/key.wav"))

    assert cloud.upload_keys() == ["any/key.wav"]
