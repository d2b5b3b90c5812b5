"""Uploads in parts that meet something else at the same job: each found by the state machine, or left out by it."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest

from audiojobs.errors import AudioJobError, UploadConflict
from audiojobs.job import Job, Status
from resample.job_run import UploadEvent
from tests.unit.service.senders import Sender
from tests.unit.service.service_in_memory import UPLOADS, Service, Task

FILE = b"sound in parts"


@pytest.fixture
def sender(service: Service) -> Sender:
    """Who has sent all parts of a file."""
    sender = Sender(service.create().job.id, FILE)
    sender.begin(service)
    sender.send(service)
    return sender


def job_of(service: Service, sender: Sender) -> Job:
    job = service.store.get(sender.job_id)
    assert job is not None
    return job


def test_a_deletion_takes_parts_that_were_begun_after_it_looked(service: Service) -> None:
    sender = Sender(service.create().job.id, FILE)
    deletion = Task(lambda: service.jobs.delete(sender.job_id), service.now + 15)
    deletion.advance(2)  # it has looked, and sent the purge message
    sender.begin(service)
    sender.send(service)

    deletion.advance()

    assert deletion.error is None
    assert service.aws.in_parts == {}, "gone when the call returns"


def test_an_upload_that_is_complete_is_found_and_not_begun_again(service: Service, sender: Sender) -> None:
    """The answer to the completion was lost, and S3's event has not come yet."""
    sender.complete(service)

    again = Sender(sender.job_id, FILE)
    again.begin(service)

    assert (again.upload_id, again.has_sent_all) == (sender.upload_id, True)
    assert service.aws.in_parts == {}
    again.complete(service)
    service.handle(UploadEvent(UPLOADS, f"jobs/{sender.job_id}", "1", None), "request", service.now + 900)
    assert job_of(service, sender).status is Status.READY


def test_another_file_is_refused_after_the_completion_too(service: Service, sender: Sender) -> None:
    sender.complete(service)

    with pytest.raises(UploadConflict):
        Sender(sender.job_id, FILE[::-1]).begin(service)


@pytest.mark.parametrize("what", ["wrong file", "another object"])
def test_what_lies_there_is_not_taken_for_the_upload(service: Service, what: str) -> None:
    """A kept file that was at fault, or a single PUT: the upload begins again."""
    service.keep_originals = True
    sender = Sender(service.create().job.id, b"corrupt parts")
    sender.begin(service)
    sender.send(service)
    key = f"jobs/{sender.job_id}"
    if what == "wrong file":
        sender.complete(service)
        service.handle(UploadEvent(UPLOADS, key, "1", None), "request", service.now + 900)
        assert job_of(service, sender).status is Status.FAILED
    else:
        service.aws.client().abort_multipart_upload(Bucket=UPLOADS, Key=key, UploadId=sender.upload_id)
        service.aws.put(UPLOADS, key, sender.file)

    again = Sender(sender.job_id, sender.file)
    again.begin(service)

    assert again.upload_id != sender.upload_id
    assert again.sent == {}


STEPS = 4


@pytest.mark.parametrize("has_fingerprint", list(itertools.product([True, False], repeat=2)), ids=str)
def test_two_files_at_one_job_are_never_mixed_in_whatever_order(has_fingerprint: tuple[bool, bool]) -> None:
    """Each begins, sends half, sends the rest and completes; who is refused gives up."""
    arrived = 0
    for first in itertools.combinations(range(2 * STEPS), STEPS):
        service = Service()
        job_id = service.create().job.id
        senders = [Sender(job_id, file, has) for file, has in zip((FILE, FILE[::-1]), has_fingerprint, strict=True)]
        work = [iter(steps_of(service, sender)) for sender in senders]

        for moment in range(2 * STEPS):
            next(work[0 if moment in first else 1], None)

        for stored in service.aws.objects.values():
            arrived += 1
            assert stored.body in (FILE, FILE[::-1]), (first, has_fingerprint)
    assert arrived


def steps_of(service: Service, sender: Sender) -> Iterator[None]:
    try:
        sender.begin(service)
        yield
        sender.send(service, 2)
        yield
        sender.send(service)
        yield
        sender.complete(service)
        yield
    except AudioJobError:
        return
