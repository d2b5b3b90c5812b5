"""Where AWS is stricter than the emulator was, the embedded AWS is as strict: one test a row of local/README.md."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import boto3
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

from local.deployment import Aws
from tests.e2e.service import Service

BUCKET = "strict"
CUSTOMER_KEY = "arn:aws:kms:us-east-1:000000000000:key/1234abcd-12ab-34cd-56ef-1234567890ab"


@pytest.fixture(scope="module")
def bucket(service: Service) -> Iterator[str]:
    """A bucket that notifies nobody, with the ownership that new buckets have."""
    s3 = service.stack.admin.client("s3")
    s3.create_bucket(Bucket=BUCKET, ObjectOwnership="BucketOwnerEnforced")
    yield BUCKET
    for item in s3.list_objects_v2(Bucket=BUCKET).get("Contents", []):
        s3.delete_object(Bucket=BUCKET, Key=item["Key"])
    s3.delete_bucket(Bucket=BUCKET)


@pytest.fixture(scope="module")
def reader(service: Service, bucket: str) -> Any:
    """S3 for somebody who may put and get objects, and nothing else."""
    iam, access = service.stack.admin.client("iam"), service.stack.access
    allowed = {"Effect": "Allow", "Action": ["s3:GetObject", "s3:PutObject"], "Resource": f"arn:aws:s3:::{bucket}/*"}
    iam.create_user(UserName="reader")
    iam.put_user_policy(
        UserName="reader",
        PolicyName="read",
        PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [allowed]}),
    )
    key = iam.create_access_key(UserName="reader")["AccessKey"]
    return Aws(access.endpoint_url, access.region, key["AccessKeyId"], key["SecretAccessKey"]).client("s3")


def refusal(call: Any) -> tuple[int, str]:
    """Status and code of what a call is refused with."""
    with pytest.raises(ClientError) as refused:
        call()
    response = refused.value.response
    return response["ResponseMetadata"]["HTTPStatusCode"], response["Error"]["Code"]


def test_last_modified_is_in_whole_seconds_and_ahead_of_the_clock(service: Service, bucket: str) -> None:
    s3 = service.stack.admin.client("s3")
    time.sleep(1.05 - time.time() % 1)  # not at the very end of a second
    before = time.time()

    s3.put_object(Bucket=bucket, Key="now", Body=b"x")

    shown = s3.head_object(Bucket=bucket, Key="now")["LastModified"].timestamp()
    assert shown == math.ceil(shown) >= before
    assert shown == s3.list_objects_v2(Bucket=bucket, Prefix="now")["Contents"][0]["LastModified"].timestamp()


def test_events_tell_the_time_in_milliseconds(service: Service) -> None:
    s3 = service.stack.aws.client("s3")
    before = time.time()
    s3.put_object(Bucket=service.uploads, Key="strict/time", Body=b"no audio")

    record = service.notifications("strict/time")[0]["Records"][0]

    told = datetime.fromisoformat(record["eventTime"]).astimezone(UTC).timestamp()
    assert before - 0.002 <= told <= time.time()


def test_a_missing_object_is_forbidden_to_whoever_may_not_list(service: Service, bucket: str, reader: Any) -> None:
    owner = service.stack.admin.client("s3")
    reader.put_object(Bucket=bucket, Key="there", Body=b"x")

    assert refusal(lambda: reader.get_object(Bucket=bucket, Key="missing")) == (403, "AccessDenied")
    assert refusal(lambda: reader.head_object(Bucket=bucket, Key="missing")) == (403, "403")
    assert reader.get_object(Bucket=bucket, Key="there")["ContentLength"] == 1
    assert refusal(lambda: owner.get_object(Bucket=bucket, Key="missing")) == (404, "NoSuchKey")


def test_acl_headers_are_refused_where_the_owner_owns_all(service: Service, bucket: str, reader: Any) -> None:
    owner = service.stack.admin.client("s3")

    for upload in (owner.put_object, owner.create_multipart_upload):
        answer = refusal(partial(upload, Bucket=bucket, Key="acl", ACL="private"))
        assert answer == (400, "AccessControlListNotSupported")
    owner.put_object(Bucket=bucket, Key="acl", ACL="bucket-owner-full-control")
    without_the_right = partial(reader.put_object, Bucket=bucket, Key="acl", ACL="bucket-owner-full-control")
    assert refusal(without_the_right) == (403, "AccessDenied")


def test_an_upload_in_chunks_of_http_is_not_implemented(service: Service, bucket: str, reader: Any) -> None:
    url = reader.generate_presigned_url("put_object", Params={"Bucket": bucket, "Key": "chunked"})

    answer = service.http.put(url, data=iter([b"some", b"thing"]))

    assert (answer.status_code, "<Code>NotImplemented<" in answer.text) == (501, True), answer.text


def test_a_presigned_url_allows_no_header_that_was_not_signed(service: Service, bucket: str, reader: Any) -> None:
    url = reader.generate_presigned_url("put_object", Params={"Bucket": bucket, "Key": "unsigned"})

    refused = service.http.put(url, data=b"x", headers={"x-amz-meta-title": "song"})

    assert (refused.status_code, "not signed" in refused.text) == (403, True), refused.text
    assert service.http.put(url, data=b"x", headers={"Content-Type": "audio/wav"}).status_code == 200


def test_an_object_in_glacier_is_not_read(service: Service, bucket: str) -> None:
    s3 = service.stack.admin.client("s3")
    s3.put_object(Bucket=bucket, Key="frozen", Body=b"x", StorageClass="GLACIER")

    assert refusal(lambda: s3.get_object(Bucket=bucket, Key="frozen")) == (403, "InvalidObjectState")
    assert s3.head_object(Bucket=bucket, Key="frozen")["StorageClass"] == "GLACIER"


def test_an_object_of_another_key_is_read_by_whoever_may_decrypt(service: Service, bucket: str, reader: Any) -> None:
    owner = service.stack.admin.client("s3")
    owner.put_object(Bucket=bucket, Key="kms", Body=b"x", ServerSideEncryption="aws:kms", SSEKMSKeyId=CUSTOMER_KEY)

    assert refusal(lambda: reader.get_object(Bucket=bucket, Key="kms")) == (403, "AccessDenied")
    assert owner.get_object(Bucket=bucket, Key="kms")["ContentLength"] == 1


@pytest.mark.parametrize("name", ["dynamodb", "lambda", "sqs", "cloudformation"])
def test_a_signature_for_another_region_is_refused(service: Service, name: str) -> None:
    access = service.stack.access
    client: Any = boto3.client(  # type: ignore[call-overload]
        name,
        "eu-west-1",
        endpoint_url=access.endpoint_url,
        aws_access_key_id=access.access_key_id,
        aws_secret_access_key=access.secret_access_key,
        config=Config(retries={"total_max_attempts": 1}, proxies={}),
    )
    calls = {"dynamodb": "list_tables", "lambda": "list_functions", "sqs": "list_queues"}

    status, code = refusal(lambda: getattr(client, calls.get(name, "describe_stacks"))())

    assert status in {400, 403}
    assert code in {"InvalidSignatureException", "SignatureDoesNotMatch"}


def test_the_api_refuses_a_signature_for_another_region(service: Service) -> None:
    access = service.stack.access
    url = f"{access.api_url}/jobs?upload_key=x"
    request = AWSRequest("GET", url)
    SigV4Auth(Credentials(access.access_key_id, access.secret_access_key), "execute-api", "eu-west-1").add_auth(request)

    answer = service.request("GET", url, headers=dict(request.headers.items()))

    assert answer.status_code == 403
    assert "valid region" in answer.text


def test_the_page_and_s3_have_different_origins(service: Service) -> None:
    job = service.create_job("song.wav")

    origins = {urlsplit(address)[:2] for address in (job["link"], job["upload"]["url"])}

    service.delete(job["id"])
    assert len(origins) == 2


def test_a_bucket_without_cors_answers_no_browser(service: Service, bucket: str) -> None:
    asked = {"Origin": "https://elsewhere.example", "Access-Control-Request-Method": "PUT"}

    refused = service.http.options(f"{service.stack.access.endpoint_url}/{bucket}/x", headers=asked)
    allowed = service.http.options(f"{service.stack.access.endpoint_url}/{service.uploads}/x", headers=asked)

    assert refused.status_code == 403
    assert allowed.headers["Access-Control-Allow-Origin"] in {"*", asked["Origin"]}
