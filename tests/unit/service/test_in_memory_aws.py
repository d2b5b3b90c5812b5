"""AWS in memory answers as moto does: the same calls on both, in any order."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audiojobs.errors import AudioJobError
from audiojobs.job import Job, Status
from audiojobs.objects import ResultObjects, UploadObjects
from audiojobs.store import JobStore, Refused
from tests.unit.cloud import Cloud
from tests.unit.samples import NOTICE, RESULT, SOURCE, api_job, direct_job
from tests.unit.service.in_memory_aws import AwsInMemory, condition, update

moments = st.integers(0, 6).map(float)
names = st.sampled_from("ab")
hashes = st.sampled_from(["0" * 64, "1" * 64, None])

CALLS: dict[str, Callable[..., Any]] = {
    "create": lambda store, job, **_: store.create(job),
    "begin": lambda store, job, now, name, other, until, **_: store.begin(
        job, now=now, holder=name, request_id=other, lease_expires_at=until
    ),
    "progress": lambda store, job, now, name, **_: store.record_progress(job.id, now=now, holder=name, progress=0.5),
    "complete": lambda store, job, now, name, until, secret, **_: store.complete(
        job.id,
        now=now,
        holder=name,
        source=SOURCE,
        result=RESULT,
        warnings=(NOTICE,),
        expires_at=until,
        lease_expires_at=until,
        secret_hash=secret,
    ),
    "fail": lambda store, job, now, name, until, yes, **_: store.fail(
        job.id, now=now, holder=name, error=NOTICE, lease_expires_at=until, retryable=yes
    ),
    "release": lambda store, job, now, name, **_: store.release(job.id, now=now, holder=name),
    "announce": lambda store, job, now, until, secret, **_: store.begin_announcement(
        job.id, now=now, lease_expires_at=until, secret_hash=secret
    ),
    "announced": lambda store, job, name, **_: store.end_announcement(job.id, holder=name),
    "renew": lambda store, job, now, secret, **_: store.renew_link(job.id, now=now, secret_hash=secret or "2" * 64),
    "add": lambda store, job, now, secret, **_: store.add_link(job.id, now=now, secret_hash=secret or "2" * 64),
    "try": lambda store, job, now, secret, **_: store.count_passphrase_try(
        job.id, now=now, secret_hash=secret or "", most=2
    ),
    "claim": lambda store, job, now, until, secret, **_: store.claim(
        job.id, now=now, secret_hash=secret or "", purge_at=until
    ),
    "purge": lambda store, job, now, **_: store.purge(job.id, now=now),
    "delete": lambda store, job, now, **_: store.delete(job.id, now=now),
    "look": lambda store, job, secret, **_: store.get_by_link(job.id, secret_hash=secret or ""),
}

steps = st.tuples(
    st.sampled_from(list(CALLS)),
    st.fixed_dictionaries(
        {"now": moments, "until": moments, "name": names, "other": names, "secret": hashes, "yes": st.booleans()}
    ),
)


@pytest.fixture(scope="module")
def table(aws: None) -> Cloud:
    return Cloud.deploy()


def run(store: JobStore, job: Job, is_stored: bool, script: list[Any]) -> list[Any]:
    """What each call answers, and how the job is in the end. Holders are numbered, not random."""
    numbers = count()
    answers: list[Any] = []
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr("audiojobs.store.secrets.token_hex", lambda _: str(next(numbers)))
        if is_stored:
            store.create(job)
        for name, parameters in script:
            try:
                answers.append(CALLS[name](store, job, **parameters))
            except Refused as refused:
                answers.append(("refused", refused.job))
    return [*answers, store.get(job.id)]


@settings(max_examples=60)
@given(
    is_direct=st.booleans(),
    status=st.sampled_from([None, *Status]),
    expires_at=moments,
    script=st.lists(steps, max_size=6),
)
def test_the_table(table: Cloud, is_direct: bool, status: Status | None, expires_at: float, script: list[Any]) -> None:
    make = direct_job if is_direct else api_job
    job = make(status or Status.AWAITING_UPLOAD, expires_at=expires_at, secret_hash="0" * 64, lease_expires_at=3.0)
    in_memory = JobStore(AwsInMemory(time.time).client(), "jobs")

    assert run(in_memory, job, bool(status), script) == run(table.store, job, bool(status), script)


@pytest.mark.parametrize("change", ["none", "replaced", "deleted"])
def test_the_buckets(cloud: Cloud, change: str, tmp_path: Path) -> None:
    (tmp_path / "result.mp3").write_bytes(b"MP3")
    aws = AwsInMemory(time.time)
    in_memory = UploadObjects(aws.client(), "uploads"), ResultObjects(aws.client(), "results")

    here = exercise(partial(aws.put, "uploads"), *in_memory, change, tmp_path / "result.mp3")
    there = exercise(cloud.upload, cloud.uploads, cloud.results, change, tmp_path / "result.mp3")

    assert here == there


def exercise(
    put: Callable[[str, bytes], Any], uploads: UploadObjects, results: ResultObjects, change: str, mp3: Path
) -> list[Any]:
    """What each call answers about an upload that has changed meanwhile."""
    put("key", b"0123456789")
    upload = uploads.find("key")
    assert upload is not None
    job = direct_job(upload_key="key", upload_etag=upload.etag, created_at=time.time() + 1)
    if change == "replaced":
        put("key", b"another")
    if change == "deleted":
        uploads.delete(api_job(upload_key="key"))
    calls: list[Callable[[], Any]] = [
        lambda: uploads.read(upload, 2, 3),
        lambda: uploads.read(upload, 8, 30),
        lambda: b"".join(uploads.chunks(upload)),
        lambda: results.put("put", mp3),
        lambda: results.exists("put"),
        lambda: results.delete("put"),
        lambda: results.exists("put"),
    ]
    if change != "replaced":  # moto copies whatever is there; S3 answers 412
        calls += [partial(results.copy_from, uploads._bucket, upload, "copy"), partial(results.exists, "copy")]
    calls += [partial(uploads.delete, job), lambda: getattr(uploads.find("key"), "etag", None)]
    return [answer_of(call) for call in calls]


def answer_of(call: Callable[[], Any]) -> Any:
    try:
        return call()
    except AudioJobError as error:
        return error.code


@pytest.mark.parametrize(
    "expression", ["a", "a = ", "(a = :b", "a = :b)", "a LIKE :b", "NOT a = :b", "begins_with(a, :b)"]
)
def test_a_condition_that_is_not_understood_is_no_condition(expression: str) -> None:
    with pytest.raises((ValueError, KeyError)):
        condition(expression)({"a": {"N": "1"}}, {}, {":b": {"N": "1"}})


@pytest.mark.parametrize("expression", ["SET a", "a = :b", "DELETE a :b", "SET a = :b + :b"])
def test_an_update_that_is_not_understood_is_no_update(expression: str) -> None:
    with pytest.raises((ValueError, KeyError)):
        update(expression)({}, {}, {":b": {"N": "1"}})
