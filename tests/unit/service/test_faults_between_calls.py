"""Each call to AWS fails in turn, in each way that there is; then Lambda's retry, or the caller's, makes it good.

Where a conversion ends in ``failed`` nevertheless, its upload is still there. The calls are those that botocore sends:
``test_the_calls_are_those_that_botocore_sends`` compares.
"""

from __future__ import annotations

import os
import pickle
import signal
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from botocore.exceptions import ReadTimeoutError

from audiojobs import clients
from audiojobs.errors import AlreadyDownloaded, AudioJobError, InternalError
from audiojobs.job import Job, Origin, Status, direct_job_id
from audiojobs.links import hash_secret
from audiojobs.store import JobStore
from purge.sweeping import AGAIN_SECONDS
from resample.job_run import UploadEvent
from tests.unit.cloud import Cloud
from tests.unit.service.in_memory_aws import Perform, StoredObject
from tests.unit.service.senders import Sender
from tests.unit.service.service_in_memory import (
    RESULTS,
    UPLOADS,
    Fault,
    Killed,
    Service,
    converted,
    engine_replaced,
    suffer,
)

KEY = "any/key.wav"
FILE = b"sound in one part"
PASSPHRASE = "three blue geese"
ATTEMPTS = 3
POINTS: list[tuple[str, int, str, Fault]] = []
"""Every fault that was tried: the work, the number and the name of its call, and what happened to it."""


@dataclass(slots=True)
class Work:
    """Something that calls AWS: ``prepare`` makes what it needs, ``run`` is an attempt, ``check`` judges the end."""

    prepare: Callable[[Service], Any]
    run: Callable[[Service, Any], Any]
    check: Callable[[Service, Any], None]
    keep_originals: bool = False


def upload(service: Service, data: bytes, origin: Origin) -> UploadEvent:
    key = service.create().job.upload_key if origin is Origin.API else KEY
    etag = service.aws.put(UPLOADS, key, data).etag.strip('"')
    return UploadEvent(UPLOADS, key, "1", etag)


def job_of(service: Service, event: UploadEvent) -> Job:
    job_id = event.key.removeprefix("jobs/") if event.key != KEY else direct_job_id(UPLOADS, KEY, "1")
    job = service.store.get(job_id)
    assert job is not None
    return job


def resample(service: Service, event: UploadEvent) -> Any:
    return service.handle(event, "request", service.now + 900)


def conversion(data: bytes, origin: Origin, *, with_parts: bool = False, **settings: Any) -> Work:
    def prepare(service: Service) -> UploadEvent:
        event = upload(service, data, origin)
        if with_parts:
            sender = sender_of(service, event.key.removeprefix("jobs/"))
            sender.send(service)
        return event

    def check(service: Service, event: UploadEvent) -> None:
        job = job_of(service, event)
        uploads, results = objects(service, UPLOADS), objects(service, RESULTS)
        assert job.announced
        details = [announced["DetailType"] for announced in service.aws.events]
        if data.startswith(b"corrupt"):
            assert (job.status, job.error and job.error.code) == (Status.FAILED, "corrupt-audio")
            assert uploads == {}, "a wrong file goes at once"
            assert results == {}
            assert details[-1] == "Job Failed"
        else:
            assert job.status is Status.READY
            assert uploads == ({event.key: data} if service.keep_originals else {})
            assert results == {job.result_key: converted(data)}
            assert details[-1] == "Job Ready"
        if origin is Origin.DIRECT and job.status is Status.READY:
            links = [
                announced["Detail"].partition('"link": "')[2].partition('"')[0] for announced in service.aws.events
            ]
            opening = {link for link in links if hash_secret(link.rpartition(".")[2]) == job.secret_hash}
            assert opening == {links[-1]}, "the link that was told last is the one that works"
        assert service.aws.in_parts == {}, "an upload in parts that nobody awaits any more"

    return Work(prepare, resample, check, **settings)


def vanished() -> Work:
    """The attempt before has put a result, and died before it could write that down."""

    def prepare(service: Service) -> UploadEvent:
        event = upload(service, b"sound", Origin.DIRECT)
        with patch.object(JobStore, "complete", side_effect=Killed), pytest.raises(Killed):
            resample(service, event)
        job = job_of(service, event)
        assert service.results.exists(job.result_key)
        service.uploads.delete(job)
        return event

    def check(service: Service, event: UploadEvent) -> None:
        job = job_of(service, event)
        assert (job.status, job.error and job.error.code) == (Status.FAILED, "upload-replaced")
        assert objects(service, RESULTS) == {}
        assert job.announced

    return Work(prepare, resample, check)


def ready(service: Service, passphrase: str | None = None) -> tuple[Job, str]:
    created = service.create(passphrase=passphrase)
    service.aws.put(UPLOADS, created.job.upload_key, b"sound")
    resample(service, UploadEvent(UPLOADS, created.job.upload_key, "1", None))
    return job_of_id(service, created.job.id), f"{created.job.id}.{created.secret}"


def work_is_wrong(job: Job | None) -> bool:
    """Whether the job failed by the fault of its file."""
    return job is not None and job.status is Status.FAILED and not job.retryable


def job_of_id(service: Service, job_id: str) -> Job:
    job = service.store.get(job_id)
    assert job is not None
    return job


def create() -> Work:
    def check(service: Service, _: None) -> None:
        assert 1 <= len(service.aws.items) <= 2, "an answer that was lost leaves a job that expires"
        assert {item["status"]["S"] for item in service.aws.items.values()} == {"awaiting-upload"}
        assert service.aws.objects == {}

    return Work(lambda _: None, lambda service, _: service.create(), check)


def create_with_a_key() -> Work:
    """However often it is asked for, there is one job, and the link of the last answer opens it."""

    def check(service: Service, _: None) -> None:
        again = service.create("order 4711")
        assert list(service.aws.items) == [again.job.id]
        assert again.upload
        assert service.links.look(f"{again.job.id}.{again.secret}") == again.job

    return Work(lambda _: None, lambda service, _: service.create("order 4711"), check)


def create_again() -> Work:
    def check(service: Service, first: str) -> None:
        again = service.create("order 4711")
        assert list(service.aws.items) == [again.job.id]
        for token in (first, f"{again.job.id}.{again.secret}"):
            assert service.links.look(token) == again.job, "no link is dead because somebody asked again"

    def prepare(service: Service) -> str:
        created = service.create("order 4711")
        return f"{created.job.id}.{created.secret}"

    return Work(prepare, lambda service, _: service.create("order 4711"), check)


def claim(key: str | None = "k" * 32) -> Work:
    """With a key, as the page and the example client claim."""

    def check(service: Service, ready: tuple[Job, str]) -> None:
        job = job_of_id(service, ready[0].id)
        assert job.status is Status.CLAIMED
        assert objects(service, RESULTS) == {job.result_key: b"MP3 of sound"}
        let_purges_come(service)
        purged = job_of_id(service, job.id)
        assert purged.status is Status.PURGED
        assert purged.claimed_at
        assert purged.deleted_at
        assert service.aws.objects == {}
        told = [event["DetailType"] for event in service.aws.events]
        assert list(dict.fromkeys(told)) == ["Job Ready", "Job Claimed", "Job Purged"]

    return Work(ready, lambda service, ready: service.claim(ready[1], key), check)


def claim_with_a_passphrase() -> Work:
    """A call that fails costs a try or two, and never more."""

    def check(service: Service, ready: tuple[Job, str]) -> None:
        job = job_of_id(service, ready[0].id)
        assert job.status is Status.CLAIMED
        assert 1 <= job.passphrase_tries <= 3

    return Work(
        lambda service: ready(service, PASSPHRASE),
        lambda service, ready: service.claim(ready[1], "k" * 32, PASSPHRASE),
        check,
    )


def sweep(prepare: Callable[[Service], str], status: Status, events: list[str], **settings: Any) -> Work:
    """Whatever befalls a sweep, later ones make it good, and nothing is left."""

    def check(service: Service, job_id: str) -> None:
        for _ in range(4):
            service.now += AGAIN_SECONDS + 1
            service.sweep()
        job = job_of_id(service, job_id)
        assert (job.status, job.sweep_at) == (status, None)
        assert job.deleted_at
        assert service.aws.objects == {}
        assert service.aws.in_parts == {}
        assert list(dict.fromkeys(event["DetailType"] for event in service.aws.events)) == events

    return Work(prepare, lambda service, _: service.sweep(), check, **settings)


def unfetched(service: Service) -> str:
    job, _ = ready(service)
    service.now = job.expires_at
    return job.id


def never_uploaded(service: Service) -> str:
    job = service.create().job
    service.now = job.expires_at + 2
    service.aws.put(UPLOADS, job.upload_key, b"too late")
    service.now += 5
    return job.id


def parts_abandoned(service: Service) -> str:
    """Those that the job knows, and some of which nobody ever heard: the answer was lost when they were begun."""
    sender = sender_of(service, service.create().job.id)
    sender.send(service)
    service.aws.client().create_multipart_upload(Bucket=UPLOADS, Key=f"jobs/{sender.job_id}")
    service.now = job_of_id(service, sender.job_id).expires_at
    return sender.job_id


def purge_message_lost(service: Service) -> str:
    job, token = ready(service)
    service.claim(token)
    service.aws.messages.clear()
    service.now += 1000
    return job.id


def deletion_broken_off(service: Service) -> str:
    job, _ = ready(service)
    service.store.delete(job.id, now=service.now)
    service.now += 1000
    return job.id


def failed_by_our_fault(service: Service) -> str:
    event = upload(service, b"sound", Origin.DIRECT)
    with patch.object(Service, "convert", side_effect=OSError):
        for _ in range(ATTEMPTS):
            with pytest.raises(InternalError):
                resample(service, event)
    job = job_of(service, event)
    assert objects(service, UPLOADS)
    service.now = job.expires_at
    return job.id


def last_attempt_killed(service: Service) -> str:
    event = upload(service, b"sound", Origin.DIRECT)
    with patch.object(Service, "convert", side_effect=Killed), pytest.raises(Killed):
        resample(service, event)
    job = job_of(service, event)
    service.now = job.expires_at
    return job.id


def delete(*, claimed: bool = False, **settings: Any) -> Work:
    def prepare(service: Service) -> tuple[Job, str]:
        job, token = ready(service)
        service.aws.put(UPLOADS, job.upload_key, b"kept or late")
        if claimed:
            service.claim(token)
        return job, token

    def check(service: Service, ready: tuple[Job, str]) -> None:
        assert job_of_id(service, ready[0].id).was_deleted
        let_purges_come(service)
        assert service.aws.objects == {}

    return Work(prepare, lambda service, ready: service.jobs.delete(ready[0].id), check, **settings)


def sender_of(service: Service, job_id: str) -> Sender:
    """Who has begun to send a file of one part."""
    sender = Sender(job_id, FILE, part_bytes=5 << 20)
    sender.begin(service)
    return sender


def begin_parts(*, lost: bool = False) -> Work:
    """``lost``: an upload was begun before, and S3 does not know it any more."""

    def prepare(service: Service) -> Sender:
        job_id = service.create().job.id
        if lost:
            service.aws.client().abort_multipart_upload(
                Bucket=UPLOADS, Key=f"jobs/{job_id}", UploadId=sender_of(service, job_id).upload_id
            )
        return Sender(job_id, FILE, part_bytes=5 << 20)

    def check(service: Service, sender: Sender) -> None:
        assert sender.upload_id in service.aws.in_parts
        sender.send(service)
        sender.complete(service)
        the_file_becomes_an_mp3(service, sender)

    return Work(prepare, lambda service, sender: sender.begin(service), check)


def find_parts() -> Work:
    def prepare(service: Service) -> Sender:
        sender_of(service, job_id := service.create().job.id).send(service)
        return Sender(job_id, FILE, part_bytes=5 << 20)

    def check(service: Service, sender: Sender) -> None:
        assert sender.has_sent_all
        sender.complete(service)
        the_file_becomes_an_mp3(service, sender)

    return Work(prepare, lambda service, sender: sender.begin(service), check)


def complete_parts(*, is_completed: bool = False) -> Work:
    def prepare(service: Service) -> Sender:
        sender = sender_of(service, service.create().job.id)
        sender.send(service)
        if is_completed:
            sender.complete(service)
        return sender

    return Work(prepare, lambda service, sender: sender.complete(service), the_file_becomes_an_mp3)


def abort_parts() -> Work:
    def prepare(service: Service) -> Sender:
        sender = sender_of(service, service.create().job.id)
        sender.send(service)
        return sender

    def check(service: Service, sender: Sender) -> None:
        assert service.aws.in_parts == {}
        assert job_of_id(service, sender.job_id).multipart is None
        sender.begin(service)
        assert sender.sent == {}
        sender.send(service)
        sender.complete(service)
        the_file_becomes_an_mp3(service, sender)

    return Work(prepare, lambda service, sender: sender.abort(service), check)


def the_file_becomes_an_mp3(service: Service, sender: Sender) -> None:
    """And nothing is left of it, nor of what faults have left."""
    key = f"jobs/{sender.job_id}"
    assert objects(service, UPLOADS) == {key: FILE}
    resample(service, UploadEvent(UPLOADS, key, "1", None))
    job = job_of_id(service, sender.job_id)
    assert objects(service, RESULTS) == {job.result_key: converted(FILE)}
    service.jobs.delete(job.id)
    let_purges_come(service)
    service.sweep()
    assert service.aws.objects == {}
    assert service.aws.in_parts == {}


def delete_with_parts() -> Work:
    def prepare(service: Service) -> Job:
        sender = sender_of(service, service.create().job.id)
        sender.send(service)
        return job_of_id(service, sender.job_id)

    def check(service: Service, job: Job) -> None:
        assert service.aws.in_parts == {}, "gone when the call returns"
        let_purges_come(service)
        assert job_of_id(service, job.id).deleted_at

    return Work(prepare, lambda service, job: service.jobs.delete(job.id), check)


def renew() -> Work:
    def check(service: Service, ready: tuple[Job, str]) -> None:
        job = job_of_id(service, ready[0].id)
        assert job.status is Status.READY
        assert job.secret_hash != ready[0].secret_hash
        with pytest.raises(AudioJobError):
            service.claim(ready[1])

    return Work(ready, lambda service, ready: service.jobs.renew_link(ready[0].id), check)


def purge(*, deleted: bool = False) -> Work:
    def prepare(service: Service) -> tuple[Job, str]:
        job, token = ready(service)
        if deleted:
            service.store.delete(job.id, now=service.now)
            service.aws.put(UPLOADS, job.upload_key, b"late")
        else:
            service.claim(token)
        service.now += 600
        return job, token

    def run(service: Service, ready: tuple[Job, str]) -> None:
        service.purge(f'{{"job_id": "{ready[0].id}"}}', service.now - 600)

    def check(service: Service, ready: tuple[Job, str]) -> None:
        assert job_of_id(service, ready[0].id).status is Status.PURGED
        assert service.aws.objects == {}

    return Work(prepare, run, check)


def early_purge() -> Work:
    """The window has not ended: the message has to come back."""

    def prepare(service: Service) -> tuple[Job, str]:
        job, token = ready(service)
        service.claim(token)
        service.aws.messages.clear()
        return job, token

    def check(service: Service, ready: tuple[Job, str]) -> None:
        let_purges_come(service)
        assert job_of_id(service, ready[0].id).status is Status.PURGED
        assert service.aws.objects == {}

    return Work(prepare, lambda service, ready: service.purge(f'{{"job_id": "{ready[0].id}"}}', service.now), check)


WORKS = {
    "direct upload": conversion(b"sound", Origin.DIRECT),
    "API job": conversion(b"sound", Origin.API),
    "direct pass-through": conversion(b"passed", Origin.DIRECT),
    "API pass-through": conversion(b"passed", Origin.API),
    "direct upload, kept": conversion(b"sound", Origin.DIRECT, keep_originals=True),
    "API job, kept": conversion(b"sound", Origin.API, keep_originals=True),
    "corrupt direct upload": conversion(b"corrupt", Origin.DIRECT),
    "corrupt API job": conversion(b"corrupt", Origin.API),
    "API job, parts of another upload": conversion(b"sound", Origin.API, with_parts=True),
    "upload that vanished": vanished(),
    "create": create(),
    "create with a key": create_with_a_key(),
    "create again": create_again(),
    "claim": claim(),
    "claim without a key": claim(key=None),
    "claim with a passphrase": claim_with_a_passphrase(),
    "delete": delete(),
    "delete, claimed": delete(claimed=True),
    "delete, kept": delete(keep_originals=True),
    "begin parts": begin_parts(),
    "begin parts, lost ones before": begin_parts(lost=True),
    "find parts": find_parts(),
    "complete parts": complete_parts(),
    "complete parts again": complete_parts(is_completed=True),
    "abort parts": abort_parts(),
    "delete, parts under way": delete_with_parts(),
    "renew": renew(),
    "purge": purge(),
    "purge after a deletion": purge(deleted=True),
    "early purge": early_purge(),
    "sweep, unfetched": sweep(unfetched, Status.EXPIRED, ["Job Ready", "Job Expired"]),
    "sweep, never uploaded": sweep(never_uploaded, Status.EXPIRED, ["Job Expired"]),
    "sweep, parts abandoned": sweep(parts_abandoned, Status.EXPIRED, ["Job Expired"]),
    "sweep, purge message lost": sweep(purge_message_lost, Status.PURGED, ["Job Ready", "Job Claimed", "Job Purged"]),
    "sweep, deletion broken off": sweep(deletion_broken_off, Status.PURGED, ["Job Ready", "Job Purged"]),
    "sweep, failed by our fault": sweep(failed_by_our_fault, Status.FAILED, ["Job Failed"]),
    "sweep, last attempt killed": sweep(last_attempt_killed, Status.FAILED, ["Job Failed"]),
}


class Calls:
    """Counts the calls of an attempt, and breaks one."""

    def __init__(self, broken: int | None = None, fault: Fault | None = None) -> None:
        self.names: list[str] = []
        self._broken = broken
        self._fault = fault

    def __call__(self, operation: str, perform: Perform) -> Any:
        self.names.append(operation)
        if self._fault and len(self.names) - 1 == self._broken:
            return suffer(self._fault, perform)
        return perform()


def objects(service: Service, bucket: str) -> dict[str, bytes]:
    return {key: stored.body for (where, key), stored in service.aws.objects.items() if where == bucket}


def let_purges_come(service: Service) -> None:
    while service.aws.messages:
        message = service.aws.messages.pop(0)
        service.now = max(service.now, message.due_at)
        service.purge(message.body, message.sent_at)


@pytest.fixture
def services() -> Iterator[Callable[[Work], Service]]:
    current: list[Service] = []

    def new(work: Work) -> Service:
        current[:] = [Service(keep_originals=work.keep_originals)]
        return current[0]

    with engine_replaced(lambda: current[0]):
        yield new


def calls_of(work: Work, service: Service) -> list[str]:
    subject = work.prepare(service)
    service.aws.around = calls = Calls()
    work.run(service, subject)
    return calls.names


@pytest.mark.parametrize("name", WORKS)
def test_without_a_fault(name: str, services: Callable[[Work], Service]) -> None:
    work = WORKS[name]
    service = services(work)
    subject = work.prepare(service)

    work.run(service, subject)

    work.check(service, subject)


@pytest.mark.parametrize("fault", list(Fault))
@pytest.mark.parametrize("name", WORKS)
def test_one_call_fails(name: str, fault: Fault, services: Callable[[Work], Service]) -> None:
    work = WORKS[name]
    for broken, operation in enumerate(calls_of(work, services(work))):
        service = services(work)
        subject = work.prepare(service)
        attempts = job_of(service, subject).attempts if name == "upload that vanished" else 0
        service.aws.around = Calls(broken, fault)
        POINTS.append((name, broken, operation, fault))

        try:
            work.run(service, subject)
        except (AudioJobError, Killed):
            service.aws.around = Calls()
            service.now += 60
            try:
                work.run(service, subject)
            except AlreadyDownloaded:
                # Granted, and nobody was told: that is what a key is for.
                assert name == "claim without a key"
                assert fault in (Fault.KILLED_BEFORE, Fault.KILLED_AFTER)
                assert operation != "SendMessage"
        service.aws.around = Calls()

        work.check(service, subject)
        if fault is Fault.SENT_TWICE and work.run is resample:
            assert job_of(service, subject).attempts == attempts + 1, "one attempt is counted once"
        if work.run is resample:
            assert len({event["DetailType"] for event in service.aws.events}) <= 1, "the end is told as one thing"


@pytest.mark.parametrize("fault", list(Fault))
@pytest.mark.parametrize("name", [name for name, work in WORKS.items() if work.run is resample])
def test_one_call_fails_in_every_attempt(name: str, fault: Fault, services: Callable[[Work], Service]) -> None:
    """Then the job reads ``failed`` in the end, or is done, and its event, sent again, makes it good."""
    work = WORKS[name]
    for broken, operation in enumerate(calls_of(work, services(work))):
        service = services(work)
        event = work.prepare(service)
        upload = objects(service, UPLOADS)
        POINTS.append((f"{name}, each attempt", broken, operation, fault))

        for _ in range(ATTEMPTS):
            service.aws.around = Calls(broken, fault)
            try:
                work.run(service, event)
            except (AudioJobError, Killed):
                service.now += 60
        service.aws.around = Calls()

        service.now += 3600
        stored = next(iter(service.aws.items.values()), None)
        job = job_of(service, event).seen_at(service.now) if stored else None
        assert job is None or job.status in (Status.READY, Status.FAILED, Status.AWAITING_UPLOAD)
        if job and job.status is Status.READY:
            assert job.result_key in objects(service, RESULTS)
        else:
            assert objects(service, UPLOADS) in (upload, {} if work_is_wrong(job) else upload), "never a lost file"
        service.handle(event, "sent again", service.now + 900)
        work.check(service, event)


@pytest.mark.parametrize("fault", [Fault.KILLED_BEFORE, Fault.KILLED_AFTER])
@pytest.mark.parametrize("name", ["direct upload", "API job", "corrupt direct upload"])
def test_a_process_that_is_killed(
    name: str, fault: Fault, services: Callable[[Work], Service], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A real process with real scratch space, that ends without any farewell; AWS is in this one."""
    work = WORKS[name]
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    for broken, operation in enumerate(calls_of(work, services(work))):
        service = services(work)
        service.on_disk = True
        subject = work.prepare(service)
        POINTS.append((f"{name}, a process", broken, operation, fault))

        run_in_process(service, partial(work.run, service, subject), broken, fault)
        service.now += 60
        run_in_process(service, partial(work.run, service, subject), None, None)

        work.check(service, subject)
        assert list(tmp_path.iterdir()) == [], "scratch space is free again"


def run_in_process(service: Service, run: Callable[[], Any], broken: int | None, fault: Fault | None) -> None:
    """What the process made of AWS comes back from it at its last moment."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:

        def tell() -> None:
            os.write(writing, pickle.dumps(service.aws.state()))

        def around(operation: str, perform: Perform) -> Any:
            try:
                return calls(operation, perform)
            except Killed:
                tell()
                os.kill(os.getpid(), signal.SIGKILL)

        calls = Calls(broken, fault)
        service.aws.around = around
        try:
            run()
            tell()
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        service.aws.restore(pickle.load(pipe))  # noqa: S301
    os.waitpid(child, 0)


class AwsOnMoto:
    """What ``Service`` needs of AWS, by boto3's own clients."""

    def __init__(self, cloud: Cloud) -> None:
        self.messages: list[Any] = []
        self._cloud = cloud

    def put(self, bucket: str, key: str, body: bytes) -> StoredObject:
        assert bucket == UPLOADS
        return StoredObject(body, self._cloud.upload(key, body), datetime.now(UTC), {})

    def client(self) -> Any:
        return self

    def get_paginator(self, name: str) -> Any:
        return _Pages(getattr(self, name))

    def __getattr__(self, name: str) -> Callable[..., Any]:
        of_stack = {
            UPLOADS: self._cloud.upload_bucket,
            RESULTS: self._cloud.result_bucket,
            "jobs": self._cloud.jobs_table,
            "purges": self._cloud.purge_queue_url,
        }
        all_clients: tuple[Any, ...] = (clients.s3(), clients.dynamodb(), clients.sqs(), clients.events())
        method = next(getattr(client, name) for client in all_clients if hasattr(client, name))

        def call(*positional: Any, **named: Any) -> Any:
            for parameter, value in named.items():
                if parameter in ("Bucket", "TableName", "QueueUrl"):
                    named[parameter] = of_stack[value]
                if parameter == "CopySource":
                    value["Bucket"] = of_stack[value["Bucket"]]
            return method(*(of_stack.get(value, value) for value in positional), **named)

        return call


class _Pages:
    def __init__(self, call: Callable[..., Any]) -> None:
        self._call = call

    def paginate(self, **parameters: Any) -> Iterator[Any]:
        yield self._call(**parameters)


# moto tells its own time for uploads, and shows no objects.
ONLY_IN_MEMORY = {"sweep, never uploaded", "sweep, failed by our fault", "sweep, parts abandoned"}


@pytest.mark.parametrize("name", [name for name in WORKS if name not in ONLY_IN_MEMORY])
def test_the_calls_are_those_that_botocore_sends(name: str, services: Callable[[Work], Service], cloud: Cloud) -> None:
    work = WORKS[name]
    in_memory = calls_of(work, services(work))
    service = services(work)
    service.on_disk = True
    service.aws = AwsOnMoto(cloud)  # type: ignore[assignment]
    subject = work.prepare(service)
    sent: list[str] = []
    names = ("s3", "dynamodb", "sqs", "events")

    def send(model: Any, **_: Any) -> None:
        sent.append(model.name)

    for client in names:
        getattr(clients, client)().meta.events.register("before-call", send)
    try:
        work.run(service, subject)
    finally:
        for client in names:
            getattr(clients, client)().meta.events.unregister("before-call", send)

    assert sent == in_memory


class TestMultipartUpload:
    """A result above 8 MB goes up in parts: they are put together at the end, or none of them stays."""

    BODY = b"MP3!" * (3 * 1024 * 1024)

    @pytest.fixture
    def mp3(self, tmp_path: Path) -> Path:
        file = tmp_path / "result.mp3"
        file.write_bytes(self.BODY)
        return file

    @pytest.mark.parametrize("lost", [False, True], ids=["before", "answer lost"])
    @pytest.mark.parametrize("operation", ["CreateMultipartUpload", "UploadPart", "CompleteMultipartUpload"])
    def test_a_fault(self, operation: str, lost: bool, cloud: Cloud, mp3: Path) -> None:
        events = clients.s3().meta.events
        name = f"{'after' if lost else 'before'}-call.s3.{operation}"

        def fail(**_: Any) -> None:
            raise ReadTimeoutError(endpoint_url="https://nowhere.invalid")

        events.register(name, fail)
        POINTS.append(("multipart upload", 0, operation, Fault.ANSWER_LOST if lost else Fault.NO_CONNECTION))
        try:
            with pytest.raises(InternalError):
                cloud.results.put("key", mp3)
        finally:
            events.unregister(name, fail)
        left = len(clients.s3().list_multipart_uploads(Bucket=cloud.result_bucket).get("Uploads", []))
        cloud.results.put("key", mp3)

        # One whose name nobody learnt can't be aborted. As for a process that is killed: the lifecycle rule does it.
        assert left == (1 if lost and operation == "CreateMultipartUpload" else 0)
        assert clients.s3().get_object(Bucket=cloud.result_bucket, Key="key")["Body"].read() == self.BODY


def test_the_number_of_faults(record_property: Callable[[str, object], None]) -> None:
    """The last of this file: what the others tried, counted; ``conftest.py`` prints it."""
    record_property("told", f"{len(POINTS)} faults between calls to AWS, in {len({work for work, *_ in POINTS})} works")

    assert len(POINTS) == len(set(POINTS))
