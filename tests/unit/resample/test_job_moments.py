"""When an event, an upload and a conversion come in time, to the second; and how much of the time the engine gets."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from audiojobs.job import Job, Status
from resample import job_run
from resample.engine.convert import Converted
from resample.formats.containers import WAV
from resample.job_run import Invocation, JobRunner, Outcome, UploadEvent
from tests.unit.cloud import Cloud
from tests.unit.samples import RESULT, SOURCE, api_job
from tests.unit.service.service_in_memory import START, UPLOADS, Service

KEY = "any/key.wav"
HOUR = 3600
DAY = 24 * HOUR


def put(service: Service, data: bytes = b"sound", key: str = KEY, version: str = "1") -> UploadEvent:
    stored = service.aws.put(UPLOADS, key, data)
    return UploadEvent(UPLOADS, key, version, stored.etag.strip('"'), service.now)


def handle(service: Service, event: UploadEvent) -> Outcome | None:
    return service.handle(event, f"request {event.version}", service.now + 900)


def job_of(service: Service, event: UploadEvent) -> Job:
    outcome = handle(service, event)
    assert outcome is not None
    return outcome.job


@pytest.mark.parametrize(("seconds", "is_of_it"), [(-61, False), (-60, True), (0, True)])
def test_an_event_from_a_minute_before_a_job_is_none_of_it(service: Service, seconds: float, is_of_it: bool) -> None:
    """So far the clocks of S3 and of the function may be apart."""
    job = service.create().job
    event = replace(put(service, key=job.upload_key), created_at=service.now + seconds)

    assert (handle(service, event) is not None) is is_of_it


@pytest.mark.parametrize(
    ("age_seconds", "is_told"),
    [(7 * DAY - 1, True), (7 * DAY, False), (0, True)],
    ids=["a week", "more", "now"],
)
def test_an_upload_that_is_gone_is_told_while_its_job_would_have_a_record(
    service: Service, age_seconds: float, is_told: bool
) -> None:
    event = replace(put(service), created_at=service.now - age_seconds)
    service.aws.objects.clear()

    outcome = handle(service, event)

    assert (outcome is not None) is is_told
    assert len(service.aws.events) == is_told


@pytest.mark.parametrize(
    ("hours", "is_converted"), [(14 * 24 + 6, True), (15 * 24 - 1, True), (15 * 24, False)], ids=str
)
def test_an_upload_in_time_is_in_time_as_long_as_its_event_may_be_sent_again(
    service: Service, hours: float, is_converted: bool
) -> None:
    """Lambda tries for six hours, and the queue of failed events keeps it for two weeks."""
    job = service.create().job
    event = put(service, key=job.upload_key)
    service.now += hours * HOUR

    handle(service, event)

    stored = service.store.get(job.id)
    assert stored is not None
    assert (stored.status is Status.READY) is is_converted


@pytest.mark.parametrize(("seconds", "status"), [(-1, Status.READY), (0, Status.EXPIRED)], ids=["before", "then"])
def test_an_upload_comes_too_late_at_the_moment_that_the_job_names(
    service: Service, seconds: float, status: Status
) -> None:
    job = service.create().job
    service.now = job.expires_at + seconds

    handled = job_of(service, put(service, key=job.upload_key))

    assert handled.seen_at(service.now).status is status
    assert service.aws.objects.get((UPLOADS, job.upload_key)) is None


@pytest.mark.parametrize(("seconds", "is_replaced"), [(0, False), (2, False), (3, True)])
def test_the_same_bytes_put_again_are_another_upload(service: Service, seconds: int, is_replaced: bool) -> None:
    """S3's two moments of one upload differ by its rounding to whole seconds."""
    service.now = int(service.now)
    first = put(service)
    service.now += seconds
    put(service, version="2")

    job = job_of(service, first)

    assert (job.status is Status.FAILED) is is_replaced
    assert ((UPLOADS, KEY) in service.aws.objects) is is_replaced


@pytest.mark.parametrize(
    ("key", "data", "is_job"),
    [("folder/", b"", False), ("folder/", b"sound", True), ("folder", b"", True)],
    ids=["a folder", "a file that ends in a slash", "an empty file"],
)
def test_folders_are_no_uploads(service: Service, key: str, data: bytes, is_job: bool) -> None:
    assert (handle(service, put(service, data, key)) is not None) is is_job
    assert bool(service.aws.items) is is_job


def test_a_job_waits_a_day_for_its_download_and_its_record_a_week(service: Service) -> None:
    job = job_of(service, put(service))

    assert job.expires_at == START + DAY
    assert job.delete_at == int(START) + 8 * DAY


def test_the_announcement_has_thirty_seconds(service: Service) -> None:
    leases: list[float] = []
    announce = type(service.announcer).announce

    def note(announcer: Any, job: Job, **named: Any) -> None:
        leases.append(job.lease_expires_at - service.now)
        announce(announcer, job, **named)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(service.announcer), "announce", note)
        handle(service, put(service))
        handle(service, put(service, b"corrupt", "other.wav"))

    assert leases == [30, 30]


@pytest.mark.usefixtures("logs")
class TestTheEnginesTime:
    """Of the invocation's, which needs some to store the result."""

    @pytest.fixture
    def run(self, cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> Callable[[float], tuple[float, float, float]]:
        moments: list[tuple[float, float]] = []

        def convert(_source: object, _container: object, _conversion: object, mp3: Path, **named: Any) -> Converted:
            moments.append((named["deadline"], time.monotonic()))
            mp3.write_bytes(b"MP3")
            return Converted(SOURCE, RESULT, ())

        monkeypatch.setattr(job_run, "identify", lambda *_: WAV)
        monkeypatch.setattr(job_run, "passthrough_result", lambda *_: None)
        monkeypatch.setattr(job_run, "convert", convert)

        def run(seconds: float) -> tuple[float, float, float]:
            """When it began at the earliest, its deadline, and when it began at the latest."""
            cloud.upload(KEY)
            runner = JobRunner(
                cloud.resample_settings, cloud.store, cloud.uploads, cloud.results, cloud.announcer, clock=lambda: START
            )
            before = time.monotonic()
            runner.handle(UploadEvent(cloud.upload_bucket, KEY, "1", None), Invocation("request", START + seconds))
            deadline, latest = moments[-1]
            return before, deadline, latest

        return run

    @pytest.mark.parametrize(
        ("seconds", "engine_seconds"),
        [(900, 870), (300, 270), (299, 269.1), (100, 90), (10, 9)],
        ids=["a quarter of an hour", "five minutes", "less", "short", "very short"],
    )
    def test_is_all_but_thirty_seconds_or_a_tenth(
        self, run: Callable[[float], tuple[float, float, float]], seconds: float, engine_seconds: float
    ) -> None:
        earliest, deadline, latest = run(seconds)

        assert earliest + engine_seconds - 0.001 <= deadline <= latest + engine_seconds + 0.001


class TestProgress:
    """Of the engine's, which the table gets now and then."""

    def written(self, service: Service, monkeypatch: pytest.MonkeyPatch, *told: tuple[float, float]) -> list[float]:
        """What is written of what the engine tells, each at its moment."""
        moments = iter([0.0])
        now = [0.0]

        class Clock:
            time = staticmethod(time.time)

            @staticmethod
            def monotonic() -> float:
                return next(moments, now[0])

        def convert(*_: object, on_progress: Callable[[float], None], **__: object) -> Converted:
            for moment, fraction in told:
                now[0] = moment
                on_progress(fraction)
            raise KeyError

        written: list[float] = []
        monkeypatch.setattr(job_run, "time", Clock)
        monkeypatch.setattr(job_run, "PROGRESS_INTERVAL_SECONDS", 2.0)
        monkeypatch.setattr(job_run, "convert", convert)
        monkeypatch.setattr(type(service.store), "record_progress", lambda *_, progress, **__: written.append(progress))
        with pytest.raises(Exception, match="our side"):
            handle(service, put(service))
        return written

    def test_is_written_every_two_seconds(self, service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
        told = [(0.5, 0.1), (1.9, 0.2), (2.0, 0.4), (3.9, 0.6), (4.0, 0.8), (9.0, 1.0)]

        assert self.written(service, monkeypatch, *told) == [0.38, 0.76, 0.95], "what is left is storing the result"

    def test_is_written_in_thousandths(self, service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
        assert self.written(service, monkeypatch, (5.0, 1 / 3)) == [0.317]


@pytest.mark.usefixtures("logs")
def test_an_upload_that_is_too_large_is_told_how_large_it_may_be(cloud: Cloud) -> None:
    settings = replace(cloud.resample_settings, max_upload_megabytes=1)
    runner = JobRunner(settings, cloud.store, cloud.uploads, cloud.results, cloud.announcer)
    job = replace(api_job(), created_at=time.time())
    cloud.store.create(job)
    cloud.upload(job.upload_key, bytes(2_400_000))

    outcome = runner.handle(
        UploadEvent(cloud.upload_bucket, job.upload_key, "1", None), Invocation("request", time.time() + 900)
    )

    assert outcome is not None
    assert outcome.job.error is not None
    assert outcome.job.error.detail == "The file has 2 MB, more than the 1 MB that are allowed."
