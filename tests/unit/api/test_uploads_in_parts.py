"""Uploads in parts, over AWS in memory: what may be begun, found, sent, completed and given up, and until when."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from api.requests import JobRequest, PartsRequest, SentPart, UploadRequest
from api.uploads import begun_upload
from audiojobs.conversion import Conversion
from audiojobs.errors import (
    AlreadyDownloaded,
    AudioJobError,
    InvalidRequest,
    JobNotFound,
    LinkExpired,
    UploadConflict,
    UploadIncomplete,
    UploadNotAwaited,
    UploadNotFound,
    UploadTooLarge,
)
from audiojobs.job import Job, MultipartUpload, Status, rfc3339
from audiojobs.multipart import part_bytes
from tests.unit.samples import api_job
from tests.unit.service.senders import Sender
from tests.unit.service.service_in_memory import UPLOADS, Service, Task

FILE = b"sound in parts"  # 4 + 4 + 4 + 2 bytes
NOTHING = UploadRequest(None, None, None)
MEBIBYTE = 2**20
ENDS: list[tuple[Job, type[AudioJobError]]] = [
    (api_job(Status.PURGED), AlreadyDownloaded),
    (api_job(Status.EXPIRED), LinkExpired),
    (api_job(Status.AWAITING_UPLOAD, expires_at=1.0), LinkExpired),
    (api_job(Status.FAILED, expires_at=1.0), LinkExpired),
]
BUSY = [api_job(status) for status in (Status.PROCESSING, Status.READY, Status.CLAIMED)]
BUSY.append(api_job(Status.FAILED, retryable=True))


@pytest.fixture
def sender(service: Service) -> Sender:
    """Who has begun."""
    sender = Sender(service.create().job.id, FILE)
    sender.begin(service)
    return sender


def announced(service: Service, size_bytes: int | None) -> Job:
    return service.jobs.create(JobRequest("song.wav", size_bytes, Conversion())).job


def begin(service: Service, job: Job, **wanted: Any) -> dict[str, Any]:
    request = {"size_bytes": None, "part_size_bytes": None, "fingerprint": None} | wanted
    return service.uploads_in_parts.begin(service.jobs.get(job.id), UploadRequest(**request))


def job_of(service: Service, sender: Sender) -> Job:
    return service.jobs.get(sender.job_id)


class TestBegin:
    def test_what_was_begun_is_shown(self, service: Service) -> None:
        job = service.create().job

        begun = begin(service, job, size_bytes=11 * MEBIBYTE)

        s3 = begun.pop("s3")
        assert begun == {
            "size_bytes": 11 * MEBIBYTE,
            "part_size_bytes": 5 * MEBIBYTE,
            "part_count": 3,
            "parts": [],
            "expires_at": rfc3339(job.expires_at),
        }
        assert (s3["key"], [s3["upload_id"]]) == (job.upload_key, [*service.aws.in_parts])
        assert {name: s3[name]["method"] for name in ("list", "complete", "abort")} == {
            "list": "GET",
            "complete": "POST",
            "abort": "DELETE",
        }
        assert begun_upload(service.jobs.get(job.id)) == {
            "upload_in_parts": {"size_bytes": 11 * MEBIBYTE, "part_count": 3}
        }
        assert begun_upload(job) == {}

    def test_the_size_that_the_job_was_announced_with_is_known(self, service: Service) -> None:
        assert begin(service, announced(service, 44))["size_bytes"] == 44

    def test_the_size_of_the_upload_that_was_begun_is_known(self, service: Service) -> None:
        job = announced(service, None)
        begun = begin(service, job, size_bytes=44)

        assert begin(service, job)["s3"]["upload_id"] == begun["s3"]["upload_id"]

    def test_a_size_that_nobody_told_is_asked_for(self, service: Service) -> None:
        with pytest.raises(InvalidRequest, match="required") as refused:
            begin(service, announced(service, None))

        assert refused.value.field == "size_bytes"

    @pytest.mark.parametrize("size_bytes", [43, 45])
    def test_no_other_size_than_the_announced_one_is_taken(self, service: Service, size_bytes: int) -> None:
        job = announced(service, 44)

        with pytest.raises(InvalidRequest, match="must be 44") as refused:
            begin(service, job, size_bytes=size_bytes)

        assert refused.value.field == "size_bytes"
        assert begin(service, job, size_bytes=44)["size_bytes"] == 44

    def test_the_largest_file_is_taken_and_no_larger_one(self, service: Service) -> None:
        job = announced(service, None)

        with pytest.raises(UploadTooLarge, match="at most 2048000000"):
            begin(service, job, size_bytes=2_048_000_001)

        assert begin(service, job, size_bytes=2_048_000_000)["part_count"] == 391

    def test_there_are_10_000_parts_at_most(self, service: Service) -> None:
        job = announced(service, None)

        with pytest.raises(InvalidRequest, match=f"at least {5 * MEBIBYTE}") as refused:
            begin(service, job, size_bytes=40_001, part_size_bytes=4)

        assert refused.value.field == "part_size_bytes"
        assert begin(service, job, size_bytes=40_000, part_size_bytes=4)["part_count"] == 10_000

    @pytest.mark.parametrize(("job", "error"), ENDS, ids=lambda value: getattr(value, "status", None))
    def test_a_job_that_is_over_takes_none(self, service: Service, job: Job, error: type[AudioJobError]) -> None:
        with pytest.raises(error):
            service.uploads_in_parts.begin(job, UploadRequest(1, None, None))

    @pytest.mark.parametrize("job", BUSY, ids=lambda job: job.status)
    def test_a_job_that_has_its_file_takes_none(self, service: Service, job: Job) -> None:
        with pytest.raises(UploadNotAwaited):
            service.uploads_in_parts.begin(job, UploadRequest(1, None, None))

    def test_the_moment_of_expiry_is_too_late(self, service: Service) -> None:
        job = announced(service, 44)
        service.now = job.expires_at - 0.25

        assert begin(service, job)

        service.now = job.expires_at
        with pytest.raises(LinkExpired):
            service.uploads_in_parts.begin(job, NOTHING)


class TestFind:
    def test_whoever_has_the_same_file_finds_the_parts_that_are_there(self, service: Service, sender: Sender) -> None:
        sender.send(service, 2)

        found = service.uploads_in_parts.begin(job_of(service, sender), sender.request)

        assert found["parts"] == [{"number": number, "size_bytes": 4, "etag": sender.sent[number]} for number in (1, 2)]
        assert len(service.aws.in_parts) == 1

    @pytest.mark.parametrize("changes", [{"size_bytes": None}, {"part_size_bytes": None}], ids=repr)
    def test_sizes_need_not_be_told_again(self, service: Service, sender: Sender, changes: dict[str, Any]) -> None:
        again = replace(sender.request, **changes)

        found = service.uploads_in_parts.begin(job_of(service, sender), again)

        assert found["s3"]["upload_id"] == sender.upload_id

    @pytest.mark.parametrize(
        "changes",
        [
            {"size_bytes": len(FILE) - 1},
            {"size_bytes": len(FILE) + 1},
            {"fingerprint": "sha256-another"},
            {"fingerprint": None},
            {"part_size_bytes": 3},
            {"part_size_bytes": 5},
        ],
        ids=repr,
    )
    def test_another_file_or_other_parts_are_refused(
        self, service: Service, sender: Sender, changes: dict[str, Any]
    ) -> None:
        with pytest.raises(UploadConflict):
            service.uploads_in_parts.begin(job_of(service, sender), replace(sender.request, **changes))

        assert [*service.aws.in_parts] == [sender.upload_id]

    def test_of_an_upload_that_s3_made_one_object_of_all_parts_are_there(
        self, service: Service, sender: Sender
    ) -> None:
        """The event of the object is still to come."""
        sender.send(service)
        sender.complete(service)

        found = service.uploads_in_parts.begin(job_of(service, sender), sender.request)

        assert [(part["number"], part["size_bytes"]) for part in found["parts"]] == [(1, 4), (2, 4), (3, 4), (4, 2)]
        assert service.aws.in_parts == {}

    @pytest.mark.parametrize("file", [FILE, FILE[1:]], ids=["of the same size", "of another size"])
    def test_another_object_is_not_taken_for_it(self, service: Service, sender: Sender, file: bytes) -> None:
        service.aws.in_parts.clear()
        service.aws.put(UPLOADS, f"jobs/{sender.job_id}", file)

        assert service.uploads_in_parts.begin(job_of(service, sender), sender.request)["parts"] == []

    @pytest.mark.parametrize("file", [FILE[1:], FILE + b"!"], ids=["smaller", "larger"])
    def test_another_object_of_as_many_parts_is_not_taken_for_it(
        self, service: Service, sender: Sender, file: bytes
    ) -> None:
        other = Sender(service.create().job.id, file)
        other.begin(service)
        other.send(service)
        other.complete_at_s3(service)
        service.aws.in_parts.clear()
        service.aws.objects[UPLOADS, f"jobs/{sender.job_id}"] = service.aws.objects[UPLOADS, f"jobs/{other.job_id}"]

        assert other.part_count == sender.part_count
        assert service.uploads_in_parts.begin(job_of(service, sender), sender.request)["parts"] == []

    def test_parts_beyond_the_last_are_not_shown(self, service: Service, sender: Sender) -> None:
        """Who has S3's upload id can send any number."""
        service.aws.client().upload_part(
            Bucket=UPLOADS, Key=f"jobs/{sender.job_id}", UploadId=sender.upload_id, PartNumber=5, Body=b"more"
        )

        assert service.uploads_in_parts.begin(job_of(service, sender), sender.request)["parts"] == []

    def test_what_s3_gave_up_is_begun_again(self, service: Service, sender: Sender) -> None:
        service.aws.in_parts.clear()

        found = service.uploads_in_parts.begin(job_of(service, sender), sender.request)

        assert found["s3"]["upload_id"] != sender.upload_id
        assert [*service.aws.in_parts] == [found["s3"]["upload_id"]]


class TestAnotherIsQuicker:
    """Between the look at the job and the note that the upload was begun."""

    def begins(self, service: Service, file: bytes) -> tuple[Job, Task]:
        job = service.create().job
        sender = Sender(job.id, file)
        task = Task(lambda: service.uploads_in_parts.begin(job, sender.request), service.now + 15)
        task.advance(1)
        assert task.calls == ["CreateMultipartUpload"]
        return job, task

    def test_its_upload_of_the_same_file_is_found(self, service: Service) -> None:
        job, task = self.begins(service, FILE)
        quicker = Sender(job.id, FILE)
        quicker.begin(service)

        task.advance()

        assert task.result["s3"]["upload_id"] == quicker.upload_id
        assert [*service.aws.in_parts] == [quicker.upload_id]

    def test_its_upload_of_another_file_stays_alone(self, service: Service) -> None:
        job, task = self.begins(service, FILE)
        quicker = Sender(job.id, FILE[::-1])
        quicker.begin(service)

        task.advance()

        assert isinstance(task.error, UploadConflict)
        assert [*service.aws.in_parts] == [quicker.upload_id]

    def test_a_deletion_leaves_no_parts(self, service: Service) -> None:
        job, task = self.begins(service, FILE)
        service.jobs.delete(job.id)

        task.advance()

        assert isinstance(task.error, AlreadyDownloaded)
        assert service.aws.in_parts == {}

    def test_a_record_that_is_gone_leaves_no_parts(self, service: Service) -> None:
        _, task = self.begins(service, FILE)
        service.aws.items.clear()

        task.advance()

        assert isinstance(task.error, JobNotFound)
        assert service.aws.in_parts == {}


class TestPresign:
    def test_each_part_has_its_address_in_the_order_that_was_asked_for(self, service: Service, sender: Sender) -> None:
        given = service.uploads_in_parts.presign(job_of(service, sender), PartsRequest([4, 1]))

        assert [(part["number"], part["method"], part["headers"]) for part in given["parts"]] == [
            (4, "PUT", {}),
            (1, "PUT", {}),
        ]
        assert given["expires_at"] == rfc3339(service.now + 3600)

    @pytest.mark.parametrize(("seconds_left", "seconds"), [(3601, 3600), (100.9, 100), (0.5, 1)])
    def test_no_address_outlives_its_job(
        self, service: Service, sender: Sender, seconds_left: float, seconds: int
    ) -> None:
        job = job_of(service, sender)
        service.now = job.expires_at - seconds_left

        given = service.uploads_in_parts.presign(job, PartsRequest([1]))

        assert given["expires_at"] == rfc3339(service.now + seconds)

    def test_a_number_beyond_the_last_part_is_refused(self, service: Service, sender: Sender) -> None:
        with pytest.raises(InvalidRequest, match="from 1 to 4") as refused:
            service.uploads_in_parts.presign(job_of(service, sender), PartsRequest([1, 5]))

        assert refused.value.field == "numbers"

    def test_an_upload_that_was_not_begun_has_no_parts(self, service: Service) -> None:
        with pytest.raises(UploadNotFound):
            service.uploads_in_parts.presign(service.create().job, PartsRequest([1]))

    @pytest.mark.parametrize(("job", "error"), ENDS, ids=lambda value: getattr(value, "status", None))
    def test_a_job_that_is_over_has_none(self, service: Service, job: Job, error: type[AudioJobError]) -> None:
        with pytest.raises(error):
            service.uploads_in_parts.presign(replace(job, multipart=MultipartUpload("id", 1, 1)), PartsRequest([1]))


class TestComplete:
    def test_all_parts_become_one_object(self, service: Service, sender: Sender) -> None:
        sender.send(service)

        service.uploads_in_parts.complete(job_of(service, sender), ())

        assert [stored.body for stored in service.aws.objects.values()] == [FILE]
        assert service.aws.in_parts == {}

    @pytest.mark.parametrize("sent", [(), (1, 2), (4,), (1, 3, 4)], ids=repr)
    def test_what_is_missing_is_told(self, service: Service, sender: Sender, sent: tuple[int, ...]) -> None:
        sender.send(service)
        for number in {1, 2, 3, 4} - {*sent}:
            del service.aws.in_parts[sender.upload_id].parts[number]
        first = min({1, 2, 3, 4} - {*sent})

        with pytest.raises(
            UploadIncomplete, match=f"{4 - len(sent)} of 4 parts are missing, the first is number {first}"
        ):
            service.uploads_in_parts.complete(job_of(service, sender), ())

        assert service.aws.objects == {}

    @pytest.mark.parametrize(("number", "body"), [(2, b"cut"), (2, b"longer"), (4, b"four")])
    def test_a_part_of_another_length_is_missing(
        self, service: Service, sender: Sender, number: int, body: bytes
    ) -> None:
        sender.send(service)
        service.aws.client().upload_part(
            Bucket=UPLOADS, Key=f"jobs/{sender.job_id}", UploadId=sender.upload_id, PartNumber=number, Body=body
        )

        with pytest.raises(UploadIncomplete, match=f"the first is number {number}"):
            service.uploads_in_parts.complete(job_of(service, sender), ())

    @pytest.mark.parametrize("numbers", [(1,), (1, 2, 3, 4)], ids=repr)
    @pytest.mark.parametrize("quotes", [True, False], ids=["quoted", "bare"])
    def test_parts_may_be_named_with_or_without_quotes(
        self, service: Service, sender: Sender, numbers: tuple[int, ...], quotes: bool
    ) -> None:
        sender.send(service)
        sent = [SentPart(number, sender.sent[number].strip("" if quotes else '"')) for number in numbers]

        service.uploads_in_parts.complete(job_of(service, sender), sent)

        assert service.aws.objects

    @pytest.mark.parametrize("part", [SentPart(2, '"0"'), SentPart(5, '"0"')], ids=["another", "beyond the last"])
    def test_somebody_elses_part_is_not_taken(self, service: Service, sender: Sender, part: SentPart) -> None:
        sender.send(service)

        with pytest.raises(UploadConflict, match=f"Part {part.number} "):
            service.uploads_in_parts.complete(job_of(service, sender), [SentPart(1, sender.sent[1]), part])

        assert service.aws.objects == {}

    def test_it_can_be_repeated(self, service: Service, sender: Sender) -> None:
        sender.send(service)
        job = job_of(service, sender)

        assert [service.uploads_in_parts.complete(job, ()) for _ in range(2)] == [job, job]

    def test_what_came_in_one_piece_is_complete(self, service: Service) -> None:
        job = service.create().job

        with pytest.raises(UploadNotFound):
            service.uploads_in_parts.complete(job, ())
        service.aws.put(UPLOADS, job.upload_key, FILE)

        assert service.uploads_in_parts.complete(job, ()) == job

    def test_parts_that_s3_gave_up_are_not_found(self, service: Service, sender: Sender) -> None:
        service.aws.in_parts.clear()

        with pytest.raises(UploadNotFound):
            service.uploads_in_parts.complete(job_of(service, sender), ())

    @pytest.mark.parametrize("job", BUSY, ids=lambda job: job.status)
    def test_a_job_that_has_its_file_is_given_back(self, service: Service, job: Job) -> None:
        assert service.uploads_in_parts.complete(job, ()) == job

    @pytest.mark.parametrize(("job", "error"), ENDS, ids=lambda value: getattr(value, "status", None))
    def test_a_job_that_is_over_completes_nothing(self, service: Service, job: Job, error: type[AudioJobError]) -> None:
        with pytest.raises(error):
            service.uploads_in_parts.complete(job, ())


def test_what_is_given_up_leaves_nothing_and_can_be_given_up_again(service: Service, sender: Sender) -> None:
    sender.send(service, 2)

    for _ in range(2):
        sender.abort(service)

        assert service.aws.in_parts == {}
        assert job_of(service, sender).multipart is None


@pytest.mark.parametrize(
    ("size_bytes", "expected"),
    [
        (1, 5 * MEBIBYTE),
        (50_000 * MEBIBYTE, 5 * MEBIBYTE),
        (50_000 * MEBIBYTE + 1, 5 * MEBIBYTE + 1),
        (100_000 * MEBIBYTE, 10 * MEBIBYTE),
    ],
)
def test_parts_are_as_small_as_s3_and_their_number_let_them_be(size_bytes: int, expected: int) -> None:
    assert part_bytes(size_bytes) == expected
