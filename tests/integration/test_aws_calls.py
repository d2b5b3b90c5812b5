"""Which calls to AWS a job takes: each costs some ten milliseconds, and money. What adds one has to say so here."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import pytest

from api.app import lambda_handler as api_handler
from audiojobs import clients
from audiojobs.job import Status
from audiojobs.passphrases import hash_passphrase
from resample import job_run
from resample.app import lambda_handler as resample_handler
from tests.audio.synth import sine, wav_bytes
from tests.unit.cloud import Cloud
from tests.unit.conftest import Logs, aws, cloud, configure, logs  # noqa: F401
from tests.unit.gateway import PUBLIC_URL, Api, FakeLambdaContext
from tests.unit.purge.test_purge import claimed, deliver, stored
from tests.unit.resample.test_resample_handler import s3_event
from tests.unit.samples import api_job, linked

# ruff: noqa: F811

WAV = wav_bytes(sine(8.0))  # more than is read to see what it is

FIND = "GetObject"  # with the beginning
FETCH_REST = "GetObject"
STORE_RESULT = ["PutObject", "UpdateItem"]
DELETE_UPLOAD = ["HeadObject", "DeleteObject"]  # another file may have taken its place
ANNOUNCE = ["PutEvents", "UpdateItem"]
DELETE_JOB = ["GetItem", "SendMessage", "UpdateItem", "DeleteObject", "DeleteObject"]


@contextmanager
def calls() -> Iterator[list[str]]:
    """The operations that the functions call, in their order."""
    found: list[str] = []

    def note(model: Any, **_: Any) -> None:
        found.append(model.name)

    everybody: list[Any] = [clients.s3(), clients.dynamodb(), clients.sqs(), clients.events()]
    for client in everybody:
        client.meta.events.register("before-call", note)
    try:
        yield found
    finally:
        for client in everybody:
            client.meta.events.unregister("before-call", note)


@pytest.fixture
def service(configure: Callable[..., None], logs: Logs, monkeypatch: pytest.MonkeyPatch) -> Api:
    """All functions, in the environment of a deployed stack. Nothing takes long enough for a word of its progress."""
    configure(PUBLIC_URL=PUBLIC_URL)
    monkeypatch.setattr(job_run, "PROGRESS_INTERVAL_SECONDS", 1e9)
    return Api(api_handler)


def resample(cloud: Cloud, key: str) -> Any:
    return resample_handler(s3_event(cloud.upload_bucket, key), FakeLambdaContext(remaining_milliseconds=900_000))


def test_a_direct_upload(cloud: Cloud, service: Api) -> None:
    cloud.upload("song.wav", WAV)

    with calls() as found:
        job = resample(cloud, "song.wav")

    assert job["status"] == "ready"
    assert found == [FIND, "UpdateItem", FETCH_REST, *STORE_RESULT, *DELETE_UPLOAD, *ANNOUNCE]


def test_a_duplicate_event(cloud: Cloud, service: Api) -> None:
    cloud.upload("song.wav", WAV)
    resample(cloud, "song.wav")

    with calls() as found:
        resample(cloud, "song.wav")

    assert found == [FIND, "GetItem", "UpdateItem", "GetItem"]


def test_a_file_that_is_passed_through(cloud: Cloud, service: Api) -> None:
    cloud.upload("song.wav", WAV)
    first = resample(cloud, "song.wav")
    cloud.upload("song.mp3", cloud.result(cloud.job(first["id"])))

    with calls() as found:
        job = resample(cloud, "song.mp3")

    assert job["result"]["passthrough"]
    assert found == [FIND, "UpdateItem", "CopyObject", "UpdateItem", *DELETE_UPLOAD, *ANNOUNCE]


def test_a_job_of_the_api(cloud: Cloud, service: Api) -> None:
    with calls() as creating:
        created = service.post("/jobs", {"filename": "song.wav"}).json()
    token = created["link"].rpartition("/")[2]
    cloud.upload(f"jobs/{created['id']}", WAV)

    with calls() as resampling:
        resample(cloud, f"jobs/{created['id']}")
    with calls() as looking:
        assert service.get(f"/jobs/{created['id']}").json()["status"] == "ready"
        assert service.get(f"/d/{token}").json()["status"] == "ready"
    with calls() as claiming:
        assert service.post(f"/d/{token}").status == 303

    assert creating == ["PutItem"]
    assert resampling == ["GetItem", FIND, "UpdateItem", FETCH_REST, *STORE_RESULT, "DeleteObject", *ANNOUNCE]
    assert looking == ["GetItem", "Query"]
    assert claiming == ["Query", "SendMessage", "UpdateItem", *ANNOUNCE]


def test_a_job_that_is_created_again(cloud: Cloud, service: Api) -> None:
    create = partial(service.post, "/jobs", {"filename": "song.wav"}, headers={"Idempotency-Key": "order-4711"})
    create()

    with calls() as found:
        assert create().status == 201

    assert found == ["PutItem", "GetItem", "UpdateItem"]


def test_lists(cloud: Cloud, service: Api) -> None:
    service.post("/jobs", {"filename": "song.wav", "reference": "order 4711"})

    with calls() as by_key:
        assert service.get("/jobs", upload_key="any").json()["jobs"] == []
    with calls() as by_reference:
        assert len(service.get("/jobs", reference="order 4711").json()["jobs"]) == 1
    with calls() as by_status:
        assert len(service.get("/jobs", status="awaiting-upload").json()["jobs"]) == 1

    assert by_key == ["Query"]
    assert by_reference == by_status == ["Query", "BatchGetItem"]


def test_a_claim_with_a_passphrase(cloud: Cloud, service: Api) -> None:
    job, token = linked(api_job(Status.READY, passphrase_hash=hash_passphrase("three blue geese")))
    cloud.store.create(job)

    with calls() as refused:
        assert service.post(f"/d/{token}").status == 403
    with calls() as wrong:
        assert service.post(f"/d/{token}", {"passphrase": "four blue geese"}).status == 403
    with calls() as right:
        assert service.post(f"/d/{token}", {"passphrase": "three blue geese"}).status == 303

    assert refused == ["Query"]
    assert wrong == ["Query", "UpdateItem"]
    assert right == ["Query", "UpdateItem", "SendMessage", "UpdateItem", *ANNOUNCE]


def test_a_purge(cloud: Cloud, service: Api) -> None:
    job = stored(cloud, claimed())

    with calls() as found:
        assert deliver(f'{{"job_id": "{job.id}"}}') == []

    delete_both = ["DeleteObject", "HeadObject"] * 2
    mark = ["UpdateItem", "PutEvents", "UpdateItem"]
    assert found == ["GetItem", *delete_both, *mark]


def test_a_deletion_on_request(cloud: Cloud, service: Api) -> None:
    created = service.post("/jobs", {"filename": "song.wav"}).json()

    with calls() as found:
        assert service.delete(f"/jobs/{created['id']}").status == 204

    assert found == DELETE_JOB


def test_a_deletion_by_the_link(cloud: Cloud, service: Api) -> None:
    token = service.post("/jobs", {"filename": "song.wav"}).json()["link"].rpartition("/")[2]

    with calls() as found:
        assert service.delete(f"/d/{token}").status == 204

    assert found == ["Query", *DELETE_JOB]
