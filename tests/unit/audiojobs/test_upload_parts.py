"""Uploads in parts and forms: what a browser and S3 are held to."""

from __future__ import annotations

import base64
import json
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from botocore.exceptions import IncompleteReadError

from audiojobs import clients
from audiojobs.errors import InternalError
from audiojobs.job import MultipartUpload
from audiojobs.multipart import NoSuchUpload, Part, UploadParts
from audiojobs.objects import PartialUpload
from tests.unit.audiojobs.test_objects import break_downloads, put
from tests.unit.cloud import Cloud, failing
from tests.unit.samples import api_job, direct_job
from tests.unit.service.in_memory_aws import refused

GIB = 1 << 30
MIB = 1 << 20


def parts_of(cloud: Cloud) -> UploadParts:
    return UploadParts(clients.s3(), cloud.upload_bucket)


@pytest.mark.parametrize(("most", "allowed"), [(1000, 1000), (5 * GIB, 5 * GIB), (5 * GIB + 1, 5 * GIB)])
def test_a_form_takes_one_file_of_a_size_that_s3_takes(cloud: Cloud, most: int, allowed: int) -> None:
    """S3 takes no more than 5 GiB in one piece."""
    form = cloud.uploads.presign_form(
        "jobs/0", least_bytes=1, most_bytes=most, returns_to="https://audio.example.com/d/x", expires_in_seconds=60
    )

    policy = json.loads(base64.b64decode(form.fields["policy"]))
    assert ["content-length-range", 1, allowed] in policy["conditions"]
    assert form.fields["success_action_redirect"] == "https://audio.example.com/d/x"
    assert form.fields["key"] == "jobs/0"


@pytest.mark.parametrize(("number", "size"), [(1, 5 * MIB), (2, 5 * MIB), (3, 7)], ids=["first", "second", "last"])
def test_a_part_has_an_address_for_its_own_length(cloud: Cloud, number: int, size: int) -> None:
    upload = MultipartUpload("upload", 10 * MIB + 7, 5 * MIB)

    presigned = parts_of(cloud).presign("jobs/0", upload, number, expires_in_seconds=60)

    query = parse_qs(urlsplit(presigned.url).query)
    assert upload.part_count == 3
    assert upload.size_of(number) == size
    assert (presigned.method, query["partNumber"], query["uploadId"]) == ("PUT", [str(number)], ["upload"])
    assert query["X-Amz-SignedHeaders"] == ["content-length;host"]
    assert query["X-Amz-Expires"] == ["60"]


@pytest.mark.parametrize(("size", "count"), [(5 * MIB, 1), (5 * MIB + 1, 2), (10 * MIB, 2), (1, 1)])
def test_a_file_has_as_many_parts_as_it_takes(size: int, count: int) -> None:
    upload = MultipartUpload("upload", size, 5 * MIB)

    assert upload.part_count == count
    assert sum(upload.size_of(number) for number in range(1, count + 1)) == size


def test_clients_of_s3s_own_api_get_the_calls_that_they_make(cloud: Cloud) -> None:
    calls = parts_of(cloud).presign_requests("jobs/0", "upload", expires_in_seconds=60)

    assert {name: call.method for name, call in calls.items()} == {"list": "GET", "complete": "POST", "abort": "DELETE"}
    for call in calls.values():
        assert parse_qs(urlsplit(call.url).query)["uploadId"] == ["upload"]


def test_parts_become_one_object(cloud: Cloud) -> None:
    parts = parts_of(cloud)
    upload_id = parts.begin("jobs/0")
    sizes = [5 * MIB, 3]
    for number, size in enumerate(sizes, 1):
        clients.s3().upload_part(
            Bucket=cloud.upload_bucket, Key="jobs/0", UploadId=upload_id, PartNumber=number, Body=bytes(size)
        )

    listed = parts.list("jobs/0", upload_id)
    parts.complete("jobs/0", upload_id, listed)

    assert [(part.number, part.size_bytes) for part in listed] == [(1, sizes[0]), (2, sizes[1])]
    found = cloud.uploads.find("jobs/0")
    assert found
    assert found.size_bytes == sum(sizes)
    assert cloud.uploads.partial_uploads() == []


def test_an_upload_that_s3_does_not_know_is_told_from_a_failure(cloud: Cloud) -> None:
    parts = parts_of(cloud)

    with pytest.raises(NoSuchUpload):
        parts.list("jobs/0", "none")
    with failing(clients.s3(), "*", error=refused("NoSuchUpload", 404)), pytest.raises(NoSuchUpload):
        parts.complete("jobs/0", "none", [Part(1, 1, '"0"')])
    with failing(clients.s3(), "*", error=refused("AccessDenied", 403)):
        with pytest.raises(InternalError):
            parts.list("jobs/0", "none")
        with pytest.raises(InternalError):
            parts.complete("jobs/0", "none", [Part(1, 1, '"0"')])


@pytest.mark.parametrize("make", [api_job, direct_job], ids=["api", "direct"])
def test_the_parts_of_a_job_go_with_its_upload(cloud: Cloud, make: Any) -> None:
    job = make()
    upload_id = parts_of(cloud).begin(job.upload_key)
    other = parts_of(cloud).begin(job.upload_key)
    begun = make(id=job.id, multipart=MultipartUpload(upload_id, 1, 1)) if make is api_job else job

    cloud.uploads.delete(begun)

    left = {upload.upload_id for upload in cloud.uploads.partial_uploads()}
    assert left == ({other} if make is api_job else {upload_id, other})


def test_parts_that_nobody_completed_are_listed_until_they_are_aborted(cloud: Cloud) -> None:
    upload_id = parts_of(cloud).begin("jobs/0")

    (found,) = cloud.uploads.partial_uploads()
    assert found == PartialUpload("jobs/0", upload_id, found.initiated)

    cloud.uploads.abort_parts("jobs/0", upload_id)
    cloud.uploads.abort_parts("jobs/0", upload_id)
    assert cloud.uploads.partial_uploads() == []


@pytest.mark.parametrize(("times", "is_whole"), [(4, True), (5, False)])
def test_a_download_is_begun_five_times(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch, times: int, is_whole: bool
) -> None:
    data = bytes(range(256)) * 40_000
    upload = put(cloud, data)
    break_downloads(monkeypatch, times=times, error=IncompleteReadError(actual_bytes=1, expected_bytes=9))

    if is_whole:
        assert b"".join(cloud.uploads.chunks(upload)) == data
    else:
        with pytest.raises(InternalError):
            list(cloud.uploads.chunks(upload))
