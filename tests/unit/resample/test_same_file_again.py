"""The same file, uploaded again under its key, was deleted as the upload of the job before: it has the same ETag.

Three hands deleted it: the first job's end, a deletion of the first job, and a purge message that came late.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable

import pytest

from audiojobs.job import Job, Status
from audiojobs.objects import UploadObjects
from purge.app import lambda_handler
from tests.unit.cloud import Cloud
from tests.unit.gateway import Api, FakeLambdaContext
from tests.unit.resample.test_job_run import KEY
from tests.unit.samples import api_job, direct_job
from tests.unit.service.in_memory_aws import AwsInMemory, Perform


def purge(job: Job) -> None:
    attributes = {"SentTimestamp": str(int(time.time() * 1000))}
    record = {"messageId": "0", "body": json.dumps({"job_id": job.id}), "attributes": attributes}
    assert lambda_handler({"Records": [record]}, FakeLambdaContext()) == {"batchItemFailures": []}


def job_of_an_earlier_upload(cloud: Cloud, status: Status) -> Job:
    """A job of the file that now lies at its key again, uploaded a minute after the job was made."""
    etag = cloud.upload(KEY, b"the same file")
    job = direct_job(status, upload_key=KEY, upload_etag=f'"{etag}"', created_at=time.time() - 60)
    cloud.store.create(job)
    return job


def test_it_outlives_the_deletion_of_the_first_job(api: Api, cloud: Cloud) -> None:
    first = job_of_an_earlier_upload(cloud, Status.CLAIMED)

    assert api.delete(f"/jobs/{first.id}").status == 204

    assert cloud.upload_keys() == [KEY]


def test_it_outlives_a_late_purge_message_of_the_first_job(api: Api, cloud: Cloud) -> None:
    first = job_of_an_earlier_upload(cloud, Status.PURGED)

    purge(first)

    assert cloud.upload_keys() == [KEY]


def test_with_other_options_it_outlives_the_deletion_of_the_first_job_even_within_a_second(
    api: Api, cloud: Cloud
) -> None:
    etag = cloud.upload(KEY, b"the same file", bit_rate="64000")
    first = direct_job(Status.CLAIMED, upload_key=KEY, upload_etag=f'"{etag}"', created_at=time.time() + 60)
    cloud.store.create(first)

    assert api.delete(f"/jobs/{first.id}").status == 204

    assert cloud.upload_keys() == [KEY]


def test_another_file_outlives_the_deletion_even_if_it_comes_between_look_and_deletion() -> None:
    def replaced_at_last(operation: str, perform: Perform) -> object:
        if operation == "DeleteObject":
            aws.put("uploads", KEY, b"another file")
        return perform()

    aws = AwsInMemory(lambda: 1_800_000_000.0, replaced_at_last)
    etag = aws.put("uploads", KEY, b"the first file").etag

    UploadObjects(aws.client(), "uploads").delete(direct_job(upload_key=KEY, upload_etag=etag, created_at=aws.clock()))

    assert aws.objects["uploads", KEY].body == b"another file"


@pytest.mark.parametrize("make", [api_job, direct_job], ids=["api", "direct"])
def test_a_kept_original_outlives_a_purge_message_that_comes_twice(
    api: Api, cloud: Cloud, configure: Callable[..., None], make: Callable[..., Job]
) -> None:
    configure(KEEP_ORIGINALS="true")
    job = make(Status.CLAIMED, purge_at=1.0, created_at=time.time() + 60, upload_etag=f'"{cloud.upload(KEY)}"')
    cloud.upload(job.upload_key)
    cloud.store.create(job)

    purge(job)
    purge(job)

    assert cloud.job(job.id).status is Status.PURGED
    assert job.upload_key in cloud.upload_keys()
