"""A job: what time makes of it, its keys and names, and what the world sees."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audiojobs.conversion import Conversion
from audiojobs.job import (
    RETRY_GRACE_SECONDS,
    Job,
    MultipartUpload,
    Notice,
    Origin,
    Status,
    api_job_id,
    api_upload_key,
    as_record,
    direct_job_id,
    from_record,
    idempotent_job_id,
    new_job_id,
    rfc3339,
)
from tests.unit.samples import NOTICE, RESULT, SOURCE, api_job, direct_job


@pytest.mark.parametrize("status", [Status.AWAITING_UPLOAD, Status.READY])
def test_what_nobody_uploads_or_fetches_expires(status: Status) -> None:
    job = api_job(status, expires_at=1000.0)

    assert job.seen_at(999.999).status is status
    assert job.seen_at(1000.0).status is Status.EXPIRED


@pytest.mark.parametrize("status", [Status.CLAIMED, Status.PURGED, Status.FAILED, Status.EXPIRED])
def test_what_has_ended_stays_as_it_is(status: Status) -> None:
    job = api_job(status, expires_at=1000.0)

    assert job.seen_at(10_000_000_000.0) == job


def test_a_job_is_processing_while_its_lease_lasts_and_a_retry_may_come() -> None:
    job = api_job(Status.PROCESSING, lease_expires_at=1000.0, expires_at=500.0)

    assert job.seen_at(1000.0 + RETRY_GRACE_SECONDS - 1) == job


def test_no_job_stays_in_processing_for_ever() -> None:
    job = api_job(Status.PROCESSING, lease_expires_at=1000.0)

    seen = job.seen_at(1000.0 + RETRY_GRACE_SECONDS)

    assert seen.status is Status.FAILED
    assert seen.error == Notice("internal-error", "Something went wrong on our side.")
    assert seen.retryable


@pytest.mark.parametrize(
    ("job", "takes_it"),
    [
        (api_job(Status.FAILED), True),
        (api_job(Status.FAILED, retryable=True), False),
        (direct_job(Status.FAILED), False),
        *((api_job(status), False) for status in Status if status is not Status.FAILED),
    ],
    ids=["wrong file", "our fault", "direct upload", *(status for status in Status if status is not Status.FAILED)],
)
def test_a_corrected_file_is_taken_where_the_first_one_was_at_fault(job: Job, takes_it: bool) -> None:
    assert job.takes_another_upload is takes_it
    assert job.awaits_upload is (takes_it or job.status is Status.AWAITING_UPLOAD)


@pytest.mark.parametrize("status", list(Status), ids=str)
def test_only_what_is_deleted_or_failed_for_good_can_never_become_ready(status: Status) -> None:
    assert api_job(status, retryable=False).can_become_ready is (status not in (Status.FAILED, Status.PURGED))
    assert api_job(status, retryable=True).can_become_ready is (status is not Status.PURGED)


@pytest.mark.parametrize("status", list(Status), ids=str)
def test_an_end_is_to_be_announced_once(status: Status) -> None:
    assert api_job(status, announced=False).awaits_announcement is (status in (Status.READY, Status.FAILED))
    assert not api_job(status, announced=True).awaits_announcement


def test_what_was_deleted_on_request_is_told_from_what_was_downloaded() -> None:
    assert api_job(Status.PURGED).was_deleted
    assert not api_job(Status.PURGED, purge_at=1.0).was_deleted
    assert not api_job(Status.CLAIMED).was_deleted


@pytest.mark.parametrize(
    ("size_bytes", "sizes"),
    [(1, [1]), (9, [9]), (10, [10]), (11, [10, 1]), (30, [10, 10, 10]), (39, [10, 10, 10, 9])],
)
def test_all_parts_of_an_upload_have_one_size_but_the_last(size_bytes: int, sizes: list[int]) -> None:
    upload = MultipartUpload("id", size_bytes, part_size_bytes=10)

    assert upload.part_count == len(sizes)
    assert [upload.size_of(number) for number in range(1, len(sizes) + 1)] == sizes


def test_job_ids_are_random_and_their_upload_keys_tell_them() -> None:
    ids = {new_job_id() for _ in range(100)}

    assert len(ids) == 100
    assert all(api_job_id(api_upload_key(job_id)) == job_id for job_id in ids)


@pytest.mark.parametrize(
    "key",
    [
        "song.wav",
        "jobs/song.wav",
        f"jobs/{'0' * 31}",
        f"jobs/{'0' * 33}",
        f"jobs/{'A' * 32}",
        f"jobs/{'0' * 32}/",
        f"jobs/{'0' * 32}\n",
        f"x/jobs/{'0' * 32}",
        f"/jobs/{'0' * 32}",
        "",
    ],
    ids=repr,
)
def test_any_other_key_is_a_direct_upload(key: str) -> None:
    assert api_job_id(key) is None


def test_a_direct_upload_has_the_same_id_for_a_duplicate_event_and_another_for_anything_else() -> None:
    job_id = direct_job_id("uploads", "song.wav", "0055AED6DCD90281E5")

    assert job_id == direct_job_id("uploads", "song.wav", "0055AED6DCD90281E5")
    others = [
        direct_job_id("uploads", "song.wav", "0055AED6DCD90281E6"),
        direct_job_id("uploads", "song.wa", "v0055AED6DCD90281E5"),
        direct_job_id("upload", "ssong.wav", "0055AED6DCD90281E5"),
        direct_job_id("uploads", "song2.wav", "0055AED6DCD90281E5"),
    ]
    assert job_id not in others
    assert api_job_id(f"jobs/{job_id}") == job_id


def test_the_same_key_of_the_same_caller_names_the_same_job_and_no_other_one_does() -> None:
    job_id = idempotent_job_id("caller", "key")

    assert job_id == idempotent_job_id("caller", "key")
    assert api_job_id(api_upload_key(job_id)) == job_id
    assert job_id not in (idempotent_job_id("callerk", "ey"), idempotent_job_id("another", "key"))


def test_of_a_new_job_nothing_is_done_yet() -> None:
    job = api_job()

    assert (job.progress, job.attempts, job.passphrase_tries, job.lease_expires_at) == (0.0, 0, 0, 0.0)
    assert (job.announced, job.retryable, job.warnings) == (False, False, ())


def test_the_result_lies_below_the_upload_key() -> None:
    job = direct_job(upload_key="any/key.wav")

    assert job.result_key == f"any/key.wav/{job.id}.mp3"


@pytest.mark.parametrize(
    "upload_key",
    ["k" * 1024, "k" * 988, "ä" * 512, "k" + "ä" * 511, "\U0001f3b5" * 256, "kk" + "漢" * 340],
    ids=["ascii", "just too long", "two bytes", "two bytes, odd", "four bytes", "three bytes"],
)
def test_the_result_key_of_the_longest_upload_keys_is_a_key(upload_key: str) -> None:
    job = direct_job(upload_key=upload_key)

    assert len(job.result_key.encode()) <= 1024
    assert job.result_key.endswith(f"/{job.id}.mp3")
    assert upload_key.startswith(job.result_key.rpartition("/")[0])


def test_results_of_two_long_keys_with_the_same_beginning_never_meet() -> None:
    one, other = direct_job(upload_key="k" * 1023 + "1"), direct_job(upload_key="k" * 1023 + "2")

    assert one.result_key != other.result_key


@given(st.text(min_size=1, max_size=1024).filter(lambda key: len(key.encode(errors="replace")) <= 1024))
def test_every_upload_key_gives_a_result_key_that_s3_takes(upload_key: str) -> None:
    try:
        upload_key.encode()
    except UnicodeEncodeError:
        return  # S3 keys are UTF-8
    job = direct_job(upload_key=upload_key)

    assert len(job.result_key.encode()) <= 1024
    assert job.result_key.endswith(f"{job.id}.mp3")


@pytest.mark.parametrize(
    ("filename", "sample_rate", "expected"),
    [
        ("song.wav", 32_000, "song.32k.mp3"),
        ("song.wav", 44_100, "song.44.1k.mp3"),
        ("song.wav", 22_050, "song.22.05k.mp3"),
        ("song", 32_000, "song.32k.mp3"),
        ("a.b.flac", 8_000, "a.b.8k.mp3"),
        (".", 32_000, "audio.32k.mp3"),
        ("Ä ö.mp3", 32_000, "Ä ö.32k.mp3"),
    ],
)
def test_a_download_has_the_uploaders_name_and_the_new_sample_rate(
    filename: str, sample_rate: int, expected: str
) -> None:
    job = api_job(filename=filename, conversion=Conversion(sample_rate=sample_rate))

    assert job.download_filename == expected


def test_the_json_has_the_documented_fields_and_none_that_opens_a_link() -> None:
    job = api_job(
        Status.READY,
        secret_hash="f" * 64,
        more_secret_hashes=frozenset({"e" * 64}),
        reference="order 4711",
        created_at=1_769_860_800.75,
        updated_at=1_769_860_801.0,
        expires_at=1_769_947_200.0,
        warnings=(NOTICE,),
    )

    document = json.loads(json.dumps(job.as_json()))

    assert document == {
        "id": job.id,
        "status": "ready",
        "filename": "song.wav",
        "reference": "order 4711",
        "created_at": "2026-01-31T12:00:00Z",
        "updated_at": "2026-01-31T12:00:01Z",
        "expires_at": "2026-02-01T12:00:00Z",
        "claimed_at": None,
        "deleted_at": None,
        "progress": 1.0,
        "warnings": [{"code": "truncated-audio", "detail": "The file ends 3 seconds early."}],
        "error": None,
        "source": {
            "container": "wav",
            "codec": "pcm_s16le",
            "sample_rate": 44_100,
            "channels": 2,
            "duration_seconds": 181.25,
            "size_bytes": 31_963_724,
        },
        "result": {
            "sample_rate": 32_000,
            "bit_rate": 192_000,
            "channels": 2,
            "duration_seconds": 181.25,
            "size_bytes": 4_350_000,
            "passthrough": False,
        },
    }


@pytest.mark.parametrize(
    ("moment", "text"),
    [(0.0, "1970-01-01T00:00:00Z"), (1_769_860_800.999, "2026-01-31T12:00:00Z"), (4e9, "2096-10-02T07:06:40Z")],
)
def test_moments_are_rfc_3339_in_utc(moment: float, text: str) -> None:
    assert rfc3339(moment) == text


full = Job(
    id="0" * 32,
    status=Status.FAILED,
    origin=Origin.DIRECT,
    upload_key="any/ä.wav",
    filename="ä.wav",
    created_at=1.5,
    updated_at=2.5,
    expires_at=3.0,
    delete_at=4,
    conversion=Conversion(sample_rate=8_000, vbr_quality=0, channels=1, allow_partial=True),
    upload_etag='"abc"',
    secret_hash="f" * 64,
    progress=0.25,
    source=replace(SOURCE, duration_seconds=None),
    result=RESULT,
    warnings=(NOTICE, NOTICE),
    error=NOTICE,
    attempts=2,
    lease_holder="holder",
    lease_request_id="request",
    lease_expires_at=5.5,
    retryable=True,
    announced=True,
    purge_at=6.5,
)


@pytest.mark.parametrize("job", [full, api_job(), direct_job()], ids=["everything", "api", "direct"])
def test_a_job_comes_back_from_its_record(job: Job) -> None:
    record: dict[str, Any] = as_record(job)

    assert from_record(record) == job
    assert all(value is not None for value in record.values())


def test_whole_seconds_are_shown_as_the_same_type_as_others() -> None:
    """DynamoDB keeps 8.0 as 8, and in a typed language the two are not the same."""
    record = as_record(api_job(Status.READY, source=replace(SOURCE, duration_seconds=8.0)))
    record |= {"progress": 1, "source": record["source"] | {"duration_seconds": 8}}

    document = json.dumps(from_record(record).as_json())

    assert '"progress": 1.0' in document
    assert '"duration_seconds": 8.0' in document


class TestRecordsOfAnotherVersion:
    """After a rollback a record has attributes that nobody knows; before an upgrade it has fewer."""

    def test_more_attributes(self) -> None:
        job = api_job(Status.READY, warnings=(NOTICE,), error=NOTICE)
        record = as_record(job) | {"of_a_later_version": 1}
        for name in ("source", "result", "error", "conversion"):
            record[name] = {**record[name], "of_a_later_version": 1}
        record["warnings"] = [{**warning, "of_a_later_version": 1} for warning in record["warnings"]]

        assert from_record(record) == job

    def test_fewer_attributes(self) -> None:
        job = api_job(Status.READY)
        needed = {"id", "status", "origin", "upload_key", "filename", "created_at", "updated_at", "expires_at"}
        needed |= {"delete_at", "conversion"}

        seen = from_record({name: value for name, value in as_record(job).items() if name in needed})

        assert (seen.id, seen.status, seen.source, seen.warnings) == (job.id, job.status, None, ())
