"""The two buckets: pinned reads, pinned deletes, presigned URLs and the names in them."""

from __future__ import annotations

import re
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError, IncompleteReadError
from botocore.response import StreamingBody
from hypothesis import given
from hypothesis import strategies as st
from urllib3.exceptions import SSLError

from audiojobs import clients
from audiojobs.errors import InternalError, UploadReplaced
from audiojobs.job import Job
from audiojobs.objects import Upload, content_disposition
from tests.unit.cloud import Cloud, failing
from tests.unit.samples import api_job, direct_job

KEY = "any/ä key+100%.wav"
JOB_ID = "0f8d3c1e5b7a49f2a6c4e8d0b1f3a597"


def put(cloud: Cloud, data: bytes, key: str = KEY) -> Upload:
    cloud.upload(key, data)
    upload = cloud.uploads.find(key)
    assert upload is not None
    return upload


def refused(status: int, code: str) -> ClientError:
    answer: Any = {"Error": {"Code": code, "Message": ""}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(answer, "AnyOperation")


@pytest.mark.parametrize(
    ("etag", "last_modified", "is_it"),
    [
        ('"b"', 5.0, True),
        *(('"b"', moment, False) for moment in (4.0, 6.0)),
        *((etag, 5.0, False) for etag in ('"a"', '"c"')),
    ],
)
def test_an_upload_is_told_from_others_by_its_etag_and_its_time(etag: str, last_modified: float, is_it: bool) -> None:
    job = direct_job(upload_etag='"b"', upload_last_modified=5.0)

    assert Upload(KEY, etag, last_modified, 1, {}).is_pinned_by(job) is is_it


@pytest.mark.parametrize(
    ("etag", "last_modified", "is_it"),
    [('"b"', 4.0, True), ('"b"', 5.0, True), ('"b"', 6.0, False), ('"a"', 5.0, False)],
)
def test_a_record_of_an_earlier_version_means_what_was_there_before_the_job(
    etag: str, last_modified: float, is_it: bool
) -> None:
    job = direct_job(upload_etag='"b"', created_at=5.0)

    assert Upload(KEY, etag, last_modified, 1, {}).is_pinned_by(job) is is_it


class TestUploads:
    def test_what_lies_at_a_key_is_found_with_its_metadata(self, cloud: Cloud) -> None:
        etag = cloud.upload(KEY, b"12345", bit_rate="64000")

        upload = cloud.uploads.find(KEY)

        assert upload is not None
        assert abs(upload.last_modified - time.time()) < 3600
        assert upload == Upload(KEY, f'"{etag}"', upload.last_modified, 5, {"bit-rate": "64000"})

    def test_nothing_is_found_where_nothing_is(self, cloud: Cloud) -> None:
        assert cloud.uploads.find(KEY) is None

    def test_a_failing_bucket_is_our_fault(self, cloud: Cloud) -> None:
        with failing(clients.s3(), "HeadObject"), pytest.raises(InternalError):
            cloud.uploads.find(KEY)

    @pytest.mark.parametrize("body", [b"0123456789", b"0123", b"01", b""], ids=len)
    def test_what_is_found_comes_with_its_beginning(self, cloud: Cloud, body: bytes) -> None:
        cloud.upload(KEY, body, bit_rate="64000")

        found = cloud.uploads.find_and_read(KEY, 4)

        assert found == (cloud.uploads.find(KEY), body[:4])

    def test_nothing_is_read_where_nothing_is(self, cloud: Cloud) -> None:
        assert cloud.uploads.find_and_read(KEY, 4) == (None, b"")

    def test_what_cannot_be_read_is_found_all_the_same(self, cloud: Cloud) -> None:
        put(cloud, b"0123456789")

        with failing(clients.s3(), "GetObject"):
            assert cloud.uploads.find_and_read(KEY, 4) == (cloud.uploads.find(KEY), b"")
        with failing(clients.s3(), "GetObject"), failing(clients.s3(), "HeadObject"), pytest.raises(InternalError):
            cloud.uploads.find_and_read(KEY, 4)

    @pytest.mark.parametrize(
        ("offset", "length", "expected"),
        [
            *((0, 4, b"0123"), (3, 4, b"3456"), (5, 4, b"5678"), (6, 4, b"6789"), (8, 4, b"89")),
            *((10, 4, b""), (99, 4, b""), (0, 0, b""), (3, 0, b""), (0, 99, None)),
        ],
    )
    def test_a_range_is_read_and_nothing_beyond_the_end(
        self, cloud: Cloud, offset: int, length: int, expected: bytes | None
    ) -> None:
        upload = put(cloud, b"0123456789")

        assert cloud.uploads.read(upload, offset, length) == (b"0123456789" if expected is None else expected)

    def test_an_empty_object_has_nothing_to_read(self, cloud: Cloud) -> None:
        upload = put(cloud, b"")

        assert cloud.uploads.read(upload, 0, 4) == b""
        assert list(cloud.uploads.chunks(upload)) == []

    def test_the_whole_object_comes_in_pieces(self, cloud: Cloud) -> None:
        data = bytes(range(256)) * 10_000

        chunks = list(cloud.uploads.chunks(put(cloud, data)))

        assert b"".join(chunks) == data
        assert max(map(len, chunks)) <= 1024 * 1024

    def test_a_part_of_an_object(self, cloud: Cloud) -> None:
        data = bytes(range(256)) * 10_000
        upload = put(cloud, data)

        assert b"".join(cloud.uploads.chunks(upload, 1000, 2_000_001)) == data[1000:2_000_001]
        assert b"".join(cloud.uploads.chunks(upload, 2_000_001, len(data))) == data[2_000_001:]
        assert list(cloud.uploads.chunks(upload, 5, 5)) == []

    @pytest.mark.parametrize(
        "error",
        [IncompleteReadError(actual_bytes=1000, expected_bytes=9999), SSLError("bad record mac")],
        ids=["incomplete", "tls"],
    )
    def test_a_broken_download_goes_on_where_it_broke(
        self, cloud: Cloud, monkeypatch: pytest.MonkeyPatch, error: Exception
    ) -> None:
        data = bytes(range(256)) * 10_000
        upload = put(cloud, data)
        break_downloads(monkeypatch, times=3, error=error)

        assert b"".join(cloud.uploads.chunks(upload)) == data

    def test_a_download_that_breaks_again_and_again_is_our_fault(
        self, cloud: Cloud, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        upload = put(cloud, bytes(10_000_000))
        break_downloads(monkeypatch, times=99)

        with pytest.raises(InternalError):
            list(cloud.uploads.chunks(upload))

    @pytest.mark.parametrize("newer", [b"another", None], ids=["replaced", "deleted"])
    def test_an_upload_is_never_taken_for_what_took_its_place(self, cloud: Cloud, newer: bytes | None) -> None:
        upload = put(cloud, b"first")
        if newer:
            put(cloud, newer)
        else:
            cloud.s3.delete_object(Bucket=cloud.upload_bucket, Key=KEY)

        with pytest.raises(UploadReplaced):
            cloud.uploads.read(upload, 0, 4)
        with pytest.raises(UploadReplaced):
            list(cloud.uploads.chunks(upload))

    def test_the_upload_of_a_job_is_deleted(self, cloud: Cloud) -> None:
        api, direct = api_job(), direct_job(upload_key=KEY, upload_etag=f'"{cloud.upload(KEY)}"')
        cloud.upload(api.upload_key)

        cloud.uploads.delete(api)
        assert cloud.upload_keys() == [KEY]

        cloud.uploads.delete(direct)
        assert cloud.upload_keys() == []

    def test_what_took_the_place_of_a_direct_upload_stays(self, cloud: Cloud) -> None:
        job = direct_job(upload_key=KEY, upload_etag=put(cloud, b"first").etag)
        put(cloud, b"second")

        cloud.uploads.delete(job)

        assert cloud.upload_keys() == [KEY]

    def test_the_same_file_uploaded_again_stays(self, cloud: Cloud) -> None:
        again = put(cloud, b"the same file")
        job = direct_job(upload_key=KEY, upload_etag=again.etag, created_at=again.last_modified - 1)

        cloud.uploads.delete(job)

        assert cloud.upload_keys() == [KEY]

    @pytest.mark.parametrize("job", [api_job(), direct_job(upload_etag='"etag"')], ids=["api", "direct"])
    def test_what_is_gone_can_be_deleted_again(self, cloud: Cloud, job: Job) -> None:
        cloud.uploads.delete(job)

    @pytest.mark.parametrize("operation", ["HeadObject", "DeleteObject"])
    def test_a_delete_that_fails_is_our_fault(self, cloud: Cloud, operation: str) -> None:
        job = direct_job(upload_key=KEY, upload_etag=put(cloud, b"sound").etag)

        with failing(clients.s3(), operation), pytest.raises(InternalError):
            cloud.uploads.delete(job)

    @pytest.mark.parametrize(("size_bytes", "signed"), [(None, "host"), (5, "content-length;host")])
    def test_a_presigned_upload_holds_the_client_to_key_and_size(
        self, cloud: Cloud, size_bytes: int | None, signed: str
    ) -> None:
        presigned = cloud.uploads.presign("jobs/0", size_bytes=size_bytes, expires_in_seconds=600)

        url = urlsplit(presigned.url)
        query = parse_qs(url.query)
        assert presigned.method == "PUT"
        assert url.scheme == "https"
        assert url.path == "/jobs/0"
        assert query["X-Amz-Algorithm"] == ["AWS4-HMAC-SHA256"]
        assert query["X-Amz-Expires"] == ["600"]
        assert query["X-Amz-SignedHeaders"] == [signed]


class TestWhatWasRead:
    """A failed job deletes the very upload that it read, and says whether that is gone."""

    def pinned(self, upload: Upload) -> Job:
        return direct_job(upload_key=KEY, upload_etag=upload.etag, upload_last_modified=upload.last_modified)

    def test_goes(self, cloud: Cloud) -> None:
        assert cloud.uploads.delete_if_read(self.pinned(put(cloud, b"sound")))
        assert cloud.upload_keys() == []

    def test_is_gone(self, cloud: Cloud) -> None:
        job = self.pinned(put(cloud, b"sound"))
        cloud.s3.delete_object(Bucket=cloud.upload_bucket, Key=KEY)

        assert cloud.uploads.delete_if_read(job)

    def test_is_another_one(self, cloud: Cloud) -> None:
        job = self.pinned(put(cloud, b"first"))
        put(cloud, b"second")

        assert not cloud.uploads.delete_if_read(job)
        assert cloud.upload_keys() == [KEY]

    @pytest.mark.parametrize("metadata", [{"bit_rate": "64000"}, {"reference": "album"}], ids=["options", "reference"])
    def test_asks_for_something_else(self, cloud: Cloud, metadata: dict[str, str]) -> None:
        job = self.pinned(put(cloud, b"sound"))
        cloud.upload(KEY, b"sound", **metadata)

        assert not cloud.uploads.delete_if_read(job)
        assert cloud.upload_keys() == [KEY]

    def test_cannot_be_looked_at(self, cloud: Cloud) -> None:
        job = self.pinned(put(cloud, b"sound"))

        with failing(clients.s3(), "HeadObject", error=refused(400, "400")):
            assert not cloud.uploads.delete_if_read(job)

        assert cloud.upload_keys() == [KEY]

    @pytest.mark.parametrize(("status", "code"), [(404, "NoSuchKey"), (412, "PreconditionFailed")])
    def test_is_replaced_at_this_very_moment(self, cloud: Cloud, status: int, code: str) -> None:
        """Then what lies there is no longer what was read, and that is gone."""
        job = self.pinned(put(cloud, b"sound"))

        with failing(clients.s3(), "DeleteObject", error=refused(status, code)):
            assert cloud.uploads.delete_if_read(job)


class TestResults:
    def test_a_file_becomes_an_mp3_object(self, cloud: Cloud, tmp_path: Path) -> None:
        file = tmp_path / "result.mp3"
        file.write_bytes(b"MP3")

        cloud.results.put(KEY, file)

        answer = cloud.s3.get_object(Bucket=cloud.result_bucket, Key=KEY)
        assert answer["Body"].read() == b"MP3"
        assert answer["ContentType"] == "audio/mpeg"

    def test_a_file_of_many_parts_arrives_whole(self, cloud: Cloud, tmp_path: Path) -> None:
        file = tmp_path / "result.mp3"
        file.write_bytes(bytes(range(256)) * 80_000)

        cloud.results.put(KEY, file)

        assert cloud.s3.get_object(Bucket=cloud.result_bucket, Key=KEY)["Body"].read() == file.read_bytes()

    @pytest.mark.parametrize("size_bytes", [10, 9_000_000], ids=["one part", "many parts"])
    def test_a_put_that_fails_is_our_fault(self, cloud: Cloud, tmp_path: Path, size_bytes: int) -> None:
        file = tmp_path / "result.mp3"
        file.write_bytes(bytes(size_bytes))

        with (
            failing(clients.s3(), "PutObject"),
            failing(clients.s3(), "UploadPart"),
            pytest.raises(InternalError),
        ):
            cloud.results.put(KEY, file)

    def test_a_copy_has_the_bytes_and_nothing_else_of_the_upload(self, cloud: Cloud) -> None:
        cloud.upload(KEY, b"MP3", secret="note")
        upload = cloud.uploads.find(KEY)
        assert upload is not None

        cloud.results.copy_from(cloud.upload_bucket, upload, "copy")

        answer = cloud.s3.get_object(Bucket=cloud.result_bucket, Key="copy")
        assert answer["Body"].read() == b"MP3"
        assert answer["ContentType"] == "audio/mpeg"
        assert answer["Metadata"] == {}

    def test_a_copy_that_fails_is_our_fault(self, cloud: Cloud) -> None:
        upload = put(cloud, b"MP3")

        with failing(clients.s3(), "CopyObject"), pytest.raises(InternalError):
            cloud.results.copy_from(cloud.upload_bucket, upload, "copy")

    def test_a_result_is_there_until_it_is_deleted(self, cloud: Cloud) -> None:
        cloud.s3.put_object(Bucket=cloud.result_bucket, Key=KEY, Body=b"MP3")
        assert cloud.results.exists(KEY)

        cloud.results.delete(KEY)
        assert not cloud.results.exists(KEY)

        cloud.results.delete(KEY)

    def test_a_bucket_that_fails_is_our_fault(self, cloud: Cloud) -> None:
        with failing(clients.s3(), "DeleteObject"), pytest.raises(InternalError):
            cloud.results.delete(KEY)
        with failing(clients.s3(), "HeadObject"), pytest.raises(InternalError):
            cloud.results.exists(KEY)

    def test_a_bucket_that_is_gone_is_our_fault(self, cloud: Cloud, tmp_path: Path) -> None:
        """And no upload that was replaced."""
        file = tmp_path / "result.mp3"
        file.write_bytes(b"MP3")
        cloud.delete_result_bucket()

        for call in (
            lambda: cloud.results.put(KEY, file),
            lambda: cloud.results.delete(KEY),
            lambda: cloud.results.partial_uploads(),
        ):
            with pytest.raises(InternalError):
                call()

    def test_a_presigned_download_is_regional_sigv4_with_name_and_type(self, cloud: Cloud) -> None:
        result_key = f"{KEY}/{JOB_ID}.mp3"

        presigned = cloud.results.presign(result_key, filename="Ä song.mp3", expires_in_seconds=300)

        url = urlsplit(presigned)
        query = parse_qs(url.query)
        assert url.netloc == f"{cloud.result_bucket}.s3.eu-central-1.amazonaws.com"
        assert unquote(url.path) == f"/{result_key}"
        assert query["X-Amz-Algorithm"] == ["AWS4-HMAC-SHA256"]
        assert query["X-Amz-Expires"] == ["300"]
        assert query["response-content-type"] == ["audio/mpeg"]
        assert query["response-content-disposition"] == [content_disposition("Ä song.mp3", job_id=JOB_ID)]
        assert cloud.results.origin() == f"https://{url.netloc}"


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (EndpointConnectionError(endpoint_url=f"https://uploads.s3.amazonaws.com/{KEY}"), "EndpointConnectionError"),
        (
            ClientError(
                {
                    "Error": {"Code": "AccessDenied", "Message": f"not authorized on arn:aws:s3:::uploads/{KEY}"},
                    "ResponseMetadata": {"HTTPStatusCode": 403, "RequestId": "4442587FB7D0A2F9"},  # type: ignore[typeddict-item]
                },
                "AnyOperation",
            ),
            "AnyOperation: AccessDenied (request 4442587FB7D0A2F9)",
        ),
    ],
    ids=["no-answer", "refused"],
)
def test_what_fails_tells_why_and_not_whose_file_it_was(
    cloud: Cloud, tmp_path: Path, error: Exception, told: str
) -> None:
    upload = put(cloud, b"sound")
    file = tmp_path / "result.mp3"
    file.write_bytes(b"MP3")
    calls: list[Callable[[], object]] = [
        lambda: cloud.uploads.find(KEY),
        lambda: cloud.uploads.find_and_read(KEY, 4),
        lambda: cloud.uploads.read(upload, 0, 4),
        lambda: list(cloud.uploads.chunks(upload)),
        lambda: cloud.uploads.delete(api_job(upload_key=KEY)),
        lambda: cloud.results.put(KEY, file),
        lambda: cloud.results.copy_from(cloud.upload_bucket, upload, KEY),
        lambda: cloud.results.delete(KEY),
        lambda: cloud.results.exists(KEY),
    ]

    for call in calls:
        with failing(clients.s3(), "*", error=error), pytest.raises(InternalError) as caught:
            call()

        logged = "".join(traceback.format_exception(caught.value))
        assert KEY not in logged
        assert told in logged


@pytest.mark.parametrize(
    ("filename", "ascii_name", "name"),
    [
        ("song.32k.mp3", "song.32k.mp3", "song.32k.mp3"),
        ("Ä ö.mp3", "0f8d3c1e-_ _.mp3", "Ä ö.mp3"),
        ('a"b.mp3', "a_b.mp3", "a_b.mp3"),
        ("a\\b/c.mp3", "a_b_c.mp3", "a_b_c.mp3"),
        ("a\r\nSet-Cookie: x=1.mp3", "a__Set-Cookie: x=1.mp3", "a__Set-Cookie: x=1.mp3"),
        ("50%41.mp3", "50_41.mp3", "50%41.mp3"),
        ("a;b='c'.mp3", "a;b='c'.mp3", "a;b='c'.mp3"),
        ("\u202egpj.mp3", "_gpj.mp3", "_gpj.mp3"),
        ("漢.mp3", "0f8d3c1e-_.mp3", "漢.mp3"),
        ("a\x00b\x7f.mp3", "a_b_.mp3", "a_b_.mp3"),
        ("\ud800.mp3", "_.mp3", "_.mp3"),
    ],
    ids=repr,
)
def test_a_hostile_name_stays_a_name(filename: str, ascii_name: str, name: str) -> None:
    disposition = content_disposition(filename, job_id=JOB_ID)

    kind, quoted, extended = disposition.split("; filename", 2)
    assert kind == "attachment"
    assert quoted == f'="{ascii_name}"'
    assert extended.startswith("*=UTF-8''")
    assert unquote(extended.removeprefix("*=UTF-8''")) == name


def test_names_that_lose_all_their_letters_are_told_apart() -> None:
    headers = [
        content_disposition(name, job_id=job_id)
        for name, job_id in [("東京.32k.mp3", "1" * 32), ("大阪.32k.mp3", "2" * 32)]
    ]

    assert [re.findall('"(.+)"', header)[0] for header in headers] == ["11111111-__.32k.mp3", "22222222-__.32k.mp3"]


def test_the_longest_name_can_be_saved_by_old_clients_too() -> None:
    header = content_disposition("é" + "x" * 249 + ".mp3", job_id=JOB_ID)

    [name] = re.findall('"(.+)"', header)
    assert len(name) == 255
    assert name.startswith("0f8d3c1e-x")
    assert name.endswith("x.mp3")


@given(st.text(st.characters(exclude_categories=())))
def test_every_name_gives_one_header_line_of_ascii(filename: str) -> None:
    disposition = content_disposition(filename, job_id=JOB_ID)

    assert disposition.isascii()
    assert disposition.isprintable()
    assert disposition.count('"') == 2


def break_downloads(
    monkeypatch: pytest.MonkeyPatch,
    *,
    times: int,
    error: Exception = IncompleteReadError(actual_bytes=1000, expected_bytes=9999),  # noqa: B008
) -> None:
    """The connection breaks after the first piece, ``times`` times."""
    whole = StreamingBody.iter_chunks
    breaks: list[None] = []

    def iter_chunks(body: StreamingBody, chunk_size: int = 1024) -> object:
        for chunk in whole(body, chunk_size):
            yield chunk[:1000]
            if len(breaks) < times:
                breaks.append(None)
                raise error
            yield chunk[1000:]

    monkeypatch.setattr(StreamingBody, "iter_chunks", iter_chunks)
