"""The two buckets: uploads come in, results go out, and both are deleted.

ClientErrors become errors of our own only here. Their words stay here too: they name keys, and so people's files.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

from boto3.exceptions import Boto3Error
from boto3.s3.transfer import TransferConfig
from botocore.exceptions import BotoCoreError, ClientError
from urllib3.exceptions import HTTPError

from audiojobs.conversion import Conversion
from audiojobs.errors import AudioJobError, InternalError, InvalidRequest, UnreadableUpload, UploadReplaced
from audiojobs.filenames import harmless
from audiojobs.job import Job, Origin
from audiojobs.references import reference_from_metadata

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import GetObjectOutputTypeDef, HeadObjectOutputTypeDef

RESULT_CONTENT_TYPE = "audio/mpeg"

_CHUNK_BYTES = 1024 * 1024
_MAX_BROKEN_DOWNLOADS = 5
_MAX_FILENAME_CHARACTERS = 255
_MAX_POST_BYTES = 5 * 2**30  # of a file, whether by PUT or by a form

# Four parts of 8 MB under way at a time: small in memory, whatever the length.
_TRANSFER = TransferConfig(max_concurrency=4, multipart_chunksize=8 * 1024 * 1024)


@dataclass(frozen=True, slots=True)
class Upload:
    """An uploaded object, told from what replaces it by ``etag`` and ``last_modified``.

    The same file uploaded again has the same ETag; only ``last_modified`` (Unix time, in whole seconds) is another.
    S3 tells for an upload in parts when it was begun, and for others may round up.
    """

    key: str
    etag: str
    last_modified: float
    size_bytes: int
    metadata: Mapping[str, str]

    def is_pinned_by(self, job: Job) -> bool:
        """Whether this is the object that the job read.

        A record of an earlier version does not say when that was made: before the job.
        """
        if job.upload_last_modified is None:
            return self.etag == job.upload_etag and self.last_modified <= job.created_at
        return (self.etag, self.last_modified) == (job.upload_etag, job.upload_last_modified)


@dataclass(frozen=True, slots=True)
class PartialUpload:
    """A multipart upload that was begun (``initiated``, Unix time), and neither completed nor aborted."""

    key: str
    upload_id: str
    initiated: float


@dataclass(frozen=True, slots=True)
class PresignedUpload:
    """How to put the file: the method, the URL, and the headers that have to be sent with it."""

    method: str
    url: str
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class PresignedForm:
    """How a browser's form posts the file: where to, and the fields in front of that of the file."""

    url: str
    fields: Mapping[str, str]


class _Bucket:
    """Methods raise :class:`~audiojobs.errors.InternalError` when S3 fails."""

    def __init__(self, client: S3Client, bucket: str) -> None:
        self._client = client
        self._bucket = bucket

    def partial_uploads(self) -> list[PartialUpload]:
        """The multipart uploads that are under way or abandoned, at most 1000 of them."""
        with s3_errors():
            answer = self._client.list_multipart_uploads(Bucket=self._bucket)
        return [
            PartialUpload(upload["Key"], upload["UploadId"], upload["Initiated"].timestamp())
            for upload in answer.get("Uploads", [])
        ]

    def abort_parts(self, key: str, upload_id: str) -> None:
        """Delete the parts of a multipart upload; one that S3 does not know is no error."""
        with suppress(UploadReplaced), s3_errors(or_replaced=True):
            self._client.abort_multipart_upload(Bucket=self._bucket, Key=key, UploadId=upload_id)


class UploadObjects(_Bucket):
    """The upload bucket."""

    def find(self, key: str) -> Upload | None:
        """The object that now lies at a key, ``None`` if there is none.

        Raises :class:`~audiojobs.errors.UnreadableUpload`.
        """
        try:
            with s3_errors(or_replaced=True):
                answer = self._client.head_object(Bucket=self._bucket, Key=key)
        except UploadReplaced:
            return None
        return _upload(key, answer, answer["ContentLength"])

    def find_and_read(self, key: str, length: int) -> tuple[Upload | None, bytes]:
        """What :meth:`find` finds and its first ``length`` bytes, in one call; no bytes where they can't be had.

        Raises :class:`~audiojobs.errors.UnreadableUpload`.
        """
        try:
            with s3_errors(or_replaced=True):
                answer = self._client.get_object(Bucket=self._bucket, Key=key, Range=f"bytes=0-{length - 1}")
                beginning = answer["Body"].read()
        except UploadReplaced:
            return None, b""
        except (InternalError, UnreadableUpload):
            # Of an empty object S3 gives no range, and an archived one may be looked at all the same.
            return self.find(key), b""
        size_bytes = int(answer["ContentRange"].rpartition("/")[2])
        return _upload(key, answer, size_bytes), beginning

    def read(self, upload: Upload, offset: int, length: int) -> bytes:
        """Up to ``length`` bytes from ``offset``; nothing from beyond the end.

        Raises :class:`~audiojobs.errors.UploadReplaced` or :class:`~audiojobs.errors.UnreadableUpload`.
        """
        end = min(offset + length, upload.size_bytes) - 1
        if end < offset:
            return b""
        with s3_errors(or_replaced=True):
            answer = self._client.get_object(
                Bucket=self._bucket, Key=upload.key, IfMatch=upload.etag, Range=f"bytes={offset}-{end}"
            )
            return answer["Body"].read()

    def chunks(self, upload: Upload, offset: int = 0, end: int | None = None) -> Iterator[bytes]:
        """The object from ``offset`` on, up to ``end``, in pieces of at most 1 MB.

        A broken connection is resumed where it broke. Raises :class:`~audiojobs.errors.UploadReplaced`.
        """
        failures = 0
        end = upload.size_bytes if end is None else end
        last = "" if end >= upload.size_bytes else str(end - 1)
        while offset < end:
            try:
                answer = self._client.get_object(
                    Bucket=self._bucket, Key=upload.key, IfMatch=upload.etag, Range=f"bytes={offset}-{last}"
                )
                with closing(answer["Body"]) as body:
                    for chunk in body.iter_chunks(_CHUNK_BYTES):
                        offset += len(chunk)
                        yield chunk
            except ClientError as error:
                raise _upload_error(error) from None
            except (BotoCoreError, HTTPError) as error:
                failures += 1
                if failures == _MAX_BROKEN_DOWNLOADS:
                    raise _failure(error) from None

    def delete(self, job: Job) -> bool:
        """Delete the upload of a job and its parts, and nothing that took its place; ``False`` if another lies there.

        Whatever lies at the key of an API job belongs to it.
        """
        if job.multipart:
            self.abort_parts(job.upload_key, job.multipart.upload_id)
        if job.origin is Origin.DIRECT:
            return self.delete_if_read(job)
        with suppress(UploadReplaced), s3_errors(or_replaced=True):
            self._client.delete_object(Bucket=self._bucket, Key=job.upload_key)
        return True

    def delete_if_read(self, job: Job) -> bool:
        """Delete the very upload that the job read; ``False`` if another one lies there.

        No clocks are compared: ETag, ``LastModified`` and options must be those that the job began with. S3 tells
        ``LastModified`` in whole seconds: the same file with the same options in the same second is the same.
        """
        try:
            found = self.find(job.upload_key)
        except UnreadableUpload:
            return False
        if found is None:
            return True
        if not found.is_pinned_by(job) or (job.origin is Origin.DIRECT and not _is_asked_alike(found, job)):
            return False
        with suppress(UploadReplaced), s3_errors(or_replaced=True):
            self._client.delete_object(Bucket=self._bucket, Key=job.upload_key, IfMatch=found.etag)
        return True

    def presign(self, key: str, *, size_bytes: int | None, expires_in_seconds: int) -> PresignedUpload:
        """A presigned PUT. With ``size_bytes``, S3 takes no other length."""
        parameters: dict[str, Any] = {"Bucket": self._bucket, "Key": key}
        if size_bytes is not None:
            parameters["ContentLength"] = size_bytes
        url = self._client.generate_presigned_url("put_object", Params=parameters, ExpiresIn=expires_in_seconds)
        return PresignedUpload("PUT", url, {})

    def presign_form(
        self, key: str, *, least_bytes: int, most_bytes: int, returns_to: str, expires_in_seconds: int
    ) -> PresignedForm:
        """A form for one file. Its policy lets S3 take this key only, a size in between, and no other field.

        From there the browser goes to ``returns_to``.
        """
        redirect = {"success_action_redirect": returns_to}
        form = self._client.generate_presigned_post(
            self._bucket,
            key,
            Fields=dict(redirect),
            Conditions=[redirect, ["content-length-range", least_bytes, min(most_bytes, _MAX_POST_BYTES)]],
            ExpiresIn=expires_in_seconds,
        )
        return PresignedForm(form["url"], form["fields"])

    def origin(self) -> str:
        """The web origin of presigned URLs, as a Content-Security-Policy spells it."""
        return _origin(self.presign("any", size_bytes=None, expires_in_seconds=1).url)


class ResultObjects(_Bucket):
    """The result bucket."""

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
                "ResponseContentDisposition": content_disposition(filename, job_id=PurePosixPath(key).stem),
            },
            ExpiresIn=expires_in_seconds,
        )


def content_disposition(filename: str, *, job_id: str) -> str:
    """``attachment`` with the name twice: in ASCII for old clients, and in UTF-8 (RFC 6266, RFC 8187).

    An ASCII name that lost letters begins with a piece of the job's id, so that the names of two files still differ.
    """
    name = re.sub(r'[/\\"]', "_", harmless(filename))
    ascii_name = name.encode("ascii", "replace").decode().replace("?", "_").replace("%", "_")
    if not name.isascii():
        mark = f"{job_id[:8]}-"
        ascii_name = mark + ascii_name[len(mark) - _MAX_FILENAME_CHARACTERS :]
    return f"attachment; filename=\"{ascii_name}\"; filename*=UTF-8''{quote(name, safe='')}"


def _upload(key: str, answer: HeadObjectOutputTypeDef | GetObjectOutputTypeDef, size_bytes: int) -> Upload:
    return Upload(key, answer["ETag"], answer["LastModified"].timestamp(), size_bytes, answer.get("Metadata", {}))


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def _is_asked_alike(upload: Upload, job: Job) -> bool:
    """Whether an upload asks for what the job does; one whose options were impossible has the defaults."""
    conversion, reference = Conversion(), None
    with suppress(InvalidRequest):
        conversion = Conversion.from_metadata(upload.metadata)
    with suppress(InvalidRequest):
        reference = reference_from_metadata(upload.metadata)
    return (conversion, reference) == (job.conversion, job.reference)


@contextmanager
def s3_errors(*, or_replaced: bool = False) -> Iterator[None]:
    """Raises errors of our own; ``or_replaced``: one that is gone, changed or out of reach is no fault of ours."""
    try:
        yield
    except (ClientError, BotoCoreError, Boto3Error) as error:
        raise (_upload_error(error) if or_replaced else _failure(error)) from None


def _upload_error(error: Exception) -> AudioJobError:
    if not isinstance(error, ClientError):
        return _failure(error)
    status = error.response["ResponseMetadata"]["HTTPStatusCode"]
    code, message = error.response["Error"]["Code"], error.response["Error"].get("Message", "")
    if status in (404, 409, 412):
        return UploadReplaced()
    if code == "InvalidObjectState":
        return UnreadableUpload("The file is in an archive class of S3. Restore it or upload it again as STANDARD.")
    # SSE-C answers 400 to whoever sends no key, and HEAD has no body to say why. KMS says so in code or message.
    if (status == 400 and code in ("400", "InvalidRequest")) or code.startswith("KMS.") or "kms:" in message:
        return UnreadableUpload(
            "The file is encrypted with a key that the service does not have. Upload it without a key of your own."
        )
    return _failure(error)


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
