"""Uploads in parts: a large file goes to S3 in pieces, each of which can be sent again by itself.

S3 keeps the parts of one multipart upload apart from those of every other. An upload bears the size and the
fingerprint of its file, and whoever comes with another file is refused, so no upload ever gets parts of two files.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from audiojobs.job import MultipartUpload
from audiojobs.objects import PresignedUpload, s3_errors

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

MIN_PART_BYTES = 5 << 20
MAX_PART_BYTES = 5 << 30
MAX_PARTS = 10_000
"""S3's limits; only the last part may be smaller."""


class NoSuchUpload(Exception):
    """S3 does not know the multipart upload: it was completed, aborted, or never begun."""


@dataclass(frozen=True, slots=True)
class Part:
    """A part that S3 holds: its number from 1 on, its size, and its ETag with the quotes around it."""

    number: int
    size_bytes: int
    etag: str


def part_bytes(size_bytes: int) -> int:
    """The size of the parts of a file: 5 MiB, or as much more as 10,000 parts take for it."""
    return max(MIN_PART_BYTES, -(-size_bytes // MAX_PARTS))


class UploadParts:
    """The multipart uploads of the upload bucket. Methods raise :class:`~audiojobs.errors.InternalError` when S3 fails.

    Where S3 does not know the upload, methods raise :class:`NoSuchUpload`.
    """

    def __init__(self, client: S3Client, bucket: str) -> None:
        self._client = client
        self._bucket = bucket

    def begin(self, key: str) -> str:
        """Begin a multipart upload. Returns S3's id of it."""
        with s3_errors():
            return self._client.create_multipart_upload(Bucket=self._bucket, Key=key)["UploadId"]

    def list(self, key: str, upload_id: str) -> list[Part]:
        """The parts that S3 holds, by number."""
        parts: list[Part] = []
        with s3_errors(), _no_such_upload():
            pages = self._client.get_paginator("list_parts").paginate(Bucket=self._bucket, Key=key, UploadId=upload_id)
            for page in pages:
                parts += [Part(part["PartNumber"], part["Size"], part["ETag"]) for part in page.get("Parts", ())]
        return parts

    def presign(self, key: str, upload: MultipartUpload, number: int, *, expires_in_seconds: int) -> PresignedUpload:
        """A presigned PUT of one part. S3 takes no other length than the part's."""
        url = self._client.generate_presigned_url(
            "upload_part",
            Params={
                "Bucket": self._bucket,
                "Key": key,
                "UploadId": upload.upload_id,
                "PartNumber": number,
                "ContentLength": upload.size_of(number),
            },
            ExpiresIn=expires_in_seconds,
        )
        return PresignedUpload("PUT", url, {})

    def presign_requests(self, key: str, upload_id: str, *, expires_in_seconds: int) -> dict[str, PresignedUpload]:
        """Presigned calls of S3's own multipart API, for clients that speak it: ``list``, ``complete``, ``abort``."""
        calls = {
            "list": ("GET", "list_parts"),
            "complete": ("POST", "complete_multipart_upload"),
            "abort": ("DELETE", "abort_multipart_upload"),
        }
        return {
            name: PresignedUpload(
                method,
                self._client.generate_presigned_url(
                    operation,
                    Params={"Bucket": self._bucket, "Key": key, "UploadId": upload_id},
                    ExpiresIn=expires_in_seconds,
                ),
                {},
            )
            for name, (method, operation) in calls.items()
        }

    def complete(self, key: str, upload_id: str, parts: Sequence[Part]) -> None:
        """Make the object of its parts. S3 refuses where a part's ETag is another by now."""
        with s3_errors(), _no_such_upload():
            self._client.complete_multipart_upload(
                Bucket=self._bucket,
                Key=key,
                UploadId=upload_id,
                MultipartUpload={"Parts": [{"PartNumber": part.number, "ETag": part.etag} for part in parts]},
            )


@contextmanager
def _no_such_upload() -> Iterator[None]:
    try:
        yield
    except ClientError as error:
        if error.response["Error"]["Code"] == "NoSuchUpload":
            raise NoSuchUpload from error
        raise
