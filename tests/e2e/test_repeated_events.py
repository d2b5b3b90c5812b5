"""S3 delivers an event at least once, at any time: only the first delivery counts."""

from __future__ import annotations

import json
from collections import Counter
from concurrent.futures import ThreadPoolExecutor, as_completed
from itertools import islice
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest

from tests.e2e import sounds
from tests.e2e.relay import HELD_FROM_BYTES
from tests.e2e.service import EXAMPLE_EVENT, WAIT_SECONDS, Service, s3_event, until

AT_ONCE = 4
HOLDING_BYTES = 2 * HELD_FROM_BYTES


@pytest.fixture(scope="module")
def song(files: Path) -> Path:
    return sounds.song(files / "repeated.wav")


@pytest.fixture(scope="module")
def long_song(files: Path) -> Path:
    """Long enough for the relay to hold it up, so that other invocations come while it is being worked on."""
    path = sounds.song(files / "long.wav", seconds=20)
    assert path.stat().st_size > HOLDING_BYTES
    return path


def test_the_very_event_again_changes_nothing(service: Service, song: Path, tmp_path: Path) -> None:
    job = service.put("repeated/song.wav", song)
    link = service.event_of(job["id"])["detail"]["link"]
    service.finished(job["id"])
    [event] = service.notifications("repeated/song.wav")
    record, objects = service.record(job["id"]), service.objects(service.results, "repeated/song.wav")

    again = service.invoke(event)

    assert again == {**service.job(job["id"]), "link": None}
    assert service.record(job["id"]) == record
    assert service.objects(service.results, "repeated/song.wav") == objects
    service.fetch(link, tmp_path / "result.mp3")


def test_the_same_event_several_times_at_once_is_encoded_once(service: Service, long_song: Path) -> None:
    key = "repeated/long.wav"
    event, nothing = s3_event(key), json.loads(EXAMPLE_EVENT.with_name("s3-test.json").read_text())
    together = Barrier(AT_ONCE, timeout=WAIT_SECONDS)

    def invoke(event: dict[str, Any]) -> Any:
        together.wait()
        return service.invoke(event)

    with service.without_notifications(), ThreadPoolExecutor(AT_ONCE) as pool:
        service.s3.upload_file(str(long_song), service.uploads, key)
        list(pool.map(invoke, [nothing] * AT_ONCE))  # so that none of them starts later than the others
        with service.to_s3.held():
            calls = [pool.submit(invoke, event) for _ in range(AT_ONCE)]
            refused = [call.result() for call in islice(as_completed(calls, WAIT_SECONDS), AT_ONCE - 1)]
        jobs = [call.result() for call in calls]

    assert len({job["id"] for job in jobs}) == 1
    assert Counter(job["status"] for job in jobs) == {"processing": AT_ONCE - 1, "ready": 1}
    assert [job["link"] for job in refused] == [None] * (AT_ONCE - 1)
    assert len([job for job in jobs if job["link"]]) == 1
    assert service.attempts(jobs[0]["id"]) == 1
    assert len(service.objects(service.results, key)) == 1
    service.delete(jobs[0]["id"])


def test_an_event_that_comes_after_the_purge_changes_nothing(service: Service, song: Path, tmp_path: Path) -> None:
    key = "repeated/late.wav"
    job = service.put(key, song)
    service.finished(job["id"])
    service.fetch(service.event_of(job["id"])["detail"]["link"], tmp_path / "result.mp3")
    service.after_window(job["id"])
    [event] = service.notifications(key)
    record = service.record(job["id"])

    without_upload = service.invoke(event)
    with service.without_notifications():
        service.s3.upload_file(str(song), service.uploads, key)  # somebody's new file; its own event is still to come
        with_another_upload = service.invoke(event)

    assert without_upload == with_another_upload == {**service.job(job["id"]), "link": None}
    assert service.record(job["id"]) == record
    assert not service.objects(service.results, key)
    assert list(service.objects(service.uploads, key)) == [key], "an upload that is not the job's stays"
    service.s3.delete_object(Bucket=service.uploads, Key=key)


def test_an_event_of_an_upload_that_is_gone_makes_no_job(service: Service) -> None:
    with service.without_notifications():
        answer = service.invoke(s3_event("never/there.wav"))

    assert answer is None
    assert service.jobs_of("never/there.wav") == []


@pytest.mark.parametrize("is_purged", [False, True], ids=["ready", "purged"])
def test_a_second_upload_to_the_url_of_an_api_job_is_not_taken(
    service: Service, song: Path, long_song: Path, tmp_path: Path, is_purged: bool
) -> None:
    created = service.create_job("song.wav")
    service.send(created, song)
    service.ready(created["id"])
    service.finished(created["id"])
    if is_purged:
        service.fetch(created["link"], tmp_path / "result.mp3")
        service.after_window(created["id"])
    key = f"jobs/{created['id']}"
    job, objects = service.job(created["id"]), service.objects(service.results, key)

    service.send(created, long_song)
    service.notifications(key, count=2)

    until(lambda: not service.objects(service.uploads, key), f"{key} is deleted")
    assert service.job(created["id"]) == job
    assert service.objects(service.results, key) == objects
    assert service.attempts(created["id"]) == 1
    service.delete(created["id"])
