"""The two buckets: uploads come in, results go out, and both are deleted.

ClientErrors become errors of our own only here. Their words stay here too: they name keys, and so people's files.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

from boto3.exceptions import Boto3Error
from boto3.s3.transfer import TransferConfig
from botocore.exceptions import BotoCoreError, ClientError
from urllib3.exceptions import HTTPError

from audiojobs.conversion import Conversion
from audiojobs.errors import AudioJobError, InternalError, InvalidRequest, UploadReplaced
from audiojobs.filenames import is_harmless
from audiojobs.job import Job, Origin

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

RESULT_CONTENT_TYPE = "audio/mpeg"

_CHUNK_BYTES = 1024 * 1024
_MAX_BROKEN_DOWNLOADS = 5

# Two parts of 8 MB under way at a time: small in memory, whatever the length.
_TRANSFER = TransferConfig(max_concurrency=2, multipart_chunksize=8 * 1024 * 1024)


@dataclass(frozen=True, slots=True)
class Upload:
    """An uploaded object, pinned by its ``etag``: what replaces it is another upload.

    The same file uploaded again has the same ETag; only ``last_modified`` (Unix time, in whole seconds) is another.
    """

    key: str
    etag: str
    last_modified: float
    size_bytes: int
    metadata: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class PresignedUpload:
    """How to put the file: the method, the URL, and the headers that have to be sent with it."""

    method: str
    url: str
    headers: Mapping[str, str]


class UploadObjects:
    """The upload bucket. Methods raise :class:`~audiojobs.errors.InternalError` when S3 fails."""

    def __init__(self, client: S3Client, bucket: str) -> None:
        self._client = client
        self._bucket = bucket

    def find(self, key: str) -> Upload | None:
        """The object that now lies at a key, ``None`` if there is none."""
        try:
            with s3_errors(or_replaced=True):
                answer = self._client.head_object(Bucket=self._bucket, Key=key)
        except UploadReplaced:
            return None
        return Upload(
            key,
            answer["ETag"],
            answer["LastModified"].timestamp(),
            answer["ContentLength"],
            answer.get("Metadata", {}),
        )

    def read(self, upload: Upload, offset: int, length: int) -> bytes:
        """Up to ``length`` bytes from ``offset``; nothing from beyond the end.

        Raises :class:`~audiojobs.errors.UploadReplaced`.
        """
        end = min(offset + length, upload.size_bytes) - 1
        if end < offset:
            return b""
        with s3_errors(or_replaced=True):
            answer = self._client.get_object(
                Bucket=self._bucket, Key=upload.key, IfMatch=upload.etag, Range=f"bytes={offset}-{end}"
            )
            return answer["Body"].read()

    def chunks(self, upload: Upload, offset: int = 0) -> Iterator[bytes]:
        """The object from ``offset`` on, in pieces of at most 1 MB. A broken connection is resumed where it broke.

        Raises :class:`~audiojobs.errors.UploadReplaced`.
        """
        failures = 0
        while offset < upload.size_bytes:
            try:
                answer = self._client.get_object(
                    Bucket=self._bucket, Key=upload.key, IfMatch=upload.etag, Range=f"bytes={offset}-"
                )
                with closing(answer["Body"]) as body:
                    for chunk in body.iter_chunks(_CHUNK_BYTES):
                        offset += len(chunk)
                        yield chunk
            except ClientError as error:
                raise _replaced_or_internal(error) from None
            except (BotoCoreError, HTTPError) as error:
                failures += 1
                if failures == _MAX_BROKEN_DOWNLOADS:
                    raise _failure(error) from None

    def delete(self, job: Job) -> None:
        """Delete the upload of a job and the parts of it, and nothing that took its place.

        Whatever lies at the key of an API job belongs to it. A direct upload is told from what replaced it by its
        ETag, and from the same file uploaded again by its options and the time: its job is younger than the upload.
        S3 tells that time in whole seconds: the same file with the same options in the same second is the same.
        """
        if job.multipart:
            self.abort_parts(job.upload_key, job.multipart.upload_id)
        pinned = {}
        if job.origin is Origin.DIRECT:
            found = self.find(job.upload_key)
            if found is None or found.etag != job.upload_etag or found.last_modified > job.created_at:
                return
            if _conversion(found) != job.conversion:
                return
            pinned = {"IfMatch": found.etag}
        with suppress(UploadReplaced), s3_errors(or_replaced=True):
            self._client.delete_object(Bucket=self._bucket, Key=job.upload_key, **pinned)  # type: ignore[arg-type]

    def abort_parts(self, key: str, upload_id: str) -> None:
        """Delete the parts of a multipart upload; one that S3 does not know is no error."""
        with suppress(UploadReplaced), s3_errors(or_replaced=True):
            self._client.abort_multipart_upload(Bucket=self._bucket, Key=key, UploadId=upload_id)

    def presign(self, key: str, *, size_bytes: int | None, expires_in_seconds: int) -> PresignedUpload:
        """A presigned PUT. With ``size_bytes``, S3 takes no other length."""
        parameters: dict[str, Any] = {"Bucket": self._bucket, "Key": key}
        if size_bytes is not None:
            parameters["ContentLength"] = size_bytes
        url = self._client.generate_presigned_url("put_object", Params=parameters, ExpiresIn=expires_in_seconds)
        return PresignedUpload("PUT", url, {})

    def origin(self) -> str:
        """The web origin of presigned URLs, as a Content-Security-Policy spells it."""
        return _origin(self.presign("any", size_bytes=None, expires_in_seconds=1).url)


class ResultObjects:
    """The result bucket. Methods raise :class:`~audiojobs.errors.InternalError` when S3 fails."""

    def __init__(self, client: S3Client, bucket: str) -> None:
        self._client = client
        self._bucket = bucket

    def put(self, key: str, source: Path) -> None:
        """Upload a file."""
        with s3_errors():
            self._client.upload_file(
                str(source), self._bucket, key, ExtraArgs={"ContentType": RESULT_CONTENT_TYPE}, Config=_TRANSFER
            )

    def copy_from(self, upload_bucket: str, upload: Upload, key: str) -> None:
        """Copy an upload on the server, byte for byte, without its metadata and tags.

        Raises :class:`~audiojobs.errors.UploadReplaced`.
        """
        with s3_errors(or_replaced=True):
            self._client.copy_object(
                Bucket=self._bucket,
                Key=key,
                CopySource={"Bucket": upload_bucket, "Key": upload.key},
                CopySourceIfMatch=upload.etag,
                ContentType=RESULT_CONTENT_TYPE,
                MetadataDirective="REPLACE",
                TaggingDirective="REPLACE",
            )

    def delete(self, key: str) -> None:
        """Delete a result; one that is not there is no error."""
        with s3_errors():
            self._client.delete_object(Bucket=self._bucket, Key=key)

    def exists(self, key: str) -> bool:
        try:
            with s3_errors(or_replaced=True):
                self._client.head_object(Bucket=self._bucket, Key=key)
        except UploadReplaced:
            return False
        return True

    def origin(self) -> str:
        """The web origin of presigned URLs, as a Content-Security-Policy spells it."""
        return _origin(self.presign("any", filename="any", expires_in_seconds=1))

    def presign(self, key: str, *, filename: str, expires_in_seconds: int) -> str:
        """A presigned GET that saves under ``filename`` (RFC 6266)."""
        return self._client.generate_presigned_url(
            "get_object",
            Params={
                "Bucket": self._bucket,
                "Key": key,
                "ResponseContentType": RESULT_CONTENT_TYPE,
                "ResponseContentDisposition": content_disposition(filename),
            },
            ExpiresIn=expires_in_seconds,
        )


def content_disposition(filename: str) -> str:
    """``attachment`` with the name twice: in ASCII for old clients, and in UTF-8 (RFC 6266, RFC 8187)."""
    name = "".join(character if is_harmless(character) and character not in '/\\"' else "_" for character in filename)
    ascii_name = name.encode("ascii", "replace").decode().replace("?", "_").replace("%", "_")
    return f"attachment; filename=\"{ascii_name}\"; filename*=UTF-8''{quote(name, safe='')}"


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def _conversion(upload: Upload) -> Conversion:
    """What an upload asks for; a job whose options were impossible has the defaults."""
    try:
        return Conversion.from_metadata(upload.metadata)
    except InvalidRequest:
        return Conversion()


@contextmanager
def s3_errors(*, or_replaced: bool = False) -> Iterator[None]:
    """Raises errors of our own; ``or_replaced``: an object that is gone or changed is no fault of ours."""
    try:
        yield
    except (ClientError, BotoCoreError, Boto3Error) as error:
        raise (_replaced_or_internal(error) if or_replaced else _failure(error)) from None


def _replaced_or_internal(error: Exception) -> AudioJobError:
    status = error.response["ResponseMetadata"]["HTTPStatusCode"] if isinstance(error, ClientError) else 0
    return UploadReplaced() if status in (404, 409, 412) else _failure(error)


def _failure(error: Exception) -> InternalError:
    """Our fault. For the log it bears a note of what happened, in none but S3's codes and the names of errors."""
    cause = error.__context__ if isinstance(error, Boto3Error) else error  # a put in parts hides what S3 answered
    note = type(cause).__name__
    if isinstance(cause, ClientError):
        request_id = cause.response["ResponseMetadata"].get("RequestId")
        note = f"{cause.operation_name}: {cause.response['Error']['Code']} (request {request_id})"
    failure = InternalError()
    failure.add_note(note)
    return failure
