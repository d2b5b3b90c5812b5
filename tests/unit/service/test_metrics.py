"""What alarms and the dashboard count: each step once, in the embedded metric format, with its unit."""

from __future__ import annotations

import json
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from audiojobs import clients
from audiojobs.errors import CorruptAudio, InternalError, ServiceError
from audiojobs.job import Job, Status
from purge import app as purge_app
from resample import job_run
from resample.engine.convert import Converted
from tests.unit.cloud import Cloud, failing
from tests.unit.conftest import Logs
from tests.unit.gateway import FakeLambdaContext
from tests.unit.resample.test_resample_handler import s3_event, s3_record
from tests.unit.samples import RESULT, SOURCE, api_job, direct_job

Counted = Callable[[], dict[str, float]]
Handler = Callable[..., Any]


@pytest.fixture
def counted(capsys: pytest.CaptureFixture[str]) -> Counted:
    """The sums of what was counted since the last call; what is measured in seconds, too."""

    def counted() -> dict[str, float]:
        sums: defaultdict[str, float] = defaultdict(float)
        for name, unit, values in emitted(capsys.readouterr().out):
            assert unit == {"SweepLag": "Seconds", "RealtimeFactor": "None"}.get(name, "Count")
            sums[name] += sum(values)
        return dict(sums)

    return counted


def emitted(output: str) -> Iterator[tuple[str, str, list[float]]]:
    for line in output.splitlines():
        found = json.loads(line)
        for kind in found.get("_aws", {}).get("CloudWatchMetrics", []):
            for metric in kind["Metrics"]:
                yield metric["Name"], metric["Unit"], found[metric["Name"]]


def engine(monkeypatch: pytest.MonkeyPatch, answer: Converted | Exception) -> None:
    def convert(_source: object, _container: object, _conversion: object, mp3: Path, **_: object) -> Converted:
        mp3.write_bytes(b"MP3")
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(job_run, "convert", convert)


def upload(cloud: Cloud, handler: Handler) -> None:
    cloud.upload("any/key.wav")
    deliver(cloud, handler)


def deliver(cloud: Cloud, handler: Handler) -> None:
    with suppress(ServiceError):
        handler(s3_event(cloud.upload_bucket, "any/key.wav"))


def test_a_conversion(cloud: Cloud, handler: Handler, counted: Counted) -> None:
    upload(cloud, handler)

    counts = counted()
    assert counts.pop("RealtimeFactor") > 0
    assert counts == {"JobReady": 1}


def test_a_conversion_that_took_its_time(
    cloud: Cloud, handler: Handler, counted: Counted, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A quarter of an hour of sound in ten minutes."""
    moments = iter([1000.0, 1000.0])

    class Clock:
        time = staticmethod(time.time)

        @staticmethod
        def monotonic() -> float:
            return next(moments, 1600.0)

    engine(monkeypatch, Converted(SOURCE, replace(RESULT, duration_seconds=900.0), ()))
    monkeypatch.setattr(job_run, "time", Clock)

    upload(cloud, handler)

    assert counted()["RealtimeFactor"] == 1.5


def test_the_steps_of_a_conversion_are_logged_with_their_seconds(
    cloud: Cloud, handler: Handler, logs: Logs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is decoded while it arrives is not fetched before."""
    moments = iter([1000.0, 1000.5, 1000.5, 1012.75, 1015.0])

    class Clock:
        time = staticmethod(time.time)

        @staticmethod
        def monotonic() -> float:
            return next(moments)

    engine(monkeypatch, Converted(SOURCE, RESULT, (), fetch_seconds=4.0625))
    monkeypatch.setattr(job_run, "time", Clock)

    upload(cloud, handler)

    (steps,) = [line["seconds"] for line in logs.lines() if line["message"] == "converted"]
    assert steps == {"look": 0.5, "fetch": 4.062, "convert": 8.188, "put": 2.25}


def test_what_is_right_already(
    cloud: Cloud, handler: Handler, counted: Counted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_run, "passthrough_result", lambda *_: (SOURCE, replace(RESULT, passthrough=True)))

    upload(cloud, handler)

    assert counted() == {"JobPassedThrough": 1, "JobReady": 1}


def test_a_fallback(cloud: Cloud, handler: Handler, counted: Counted, monkeypatch: pytest.MonkeyPatch) -> None:
    engine(monkeypatch, Converted(SOURCE, RESULT, (), is_fallback=True))

    upload(cloud, handler)

    assert counted().items() >= {"JobReady": 1, "ParallelEncodingFailed": 1}.items()


def test_a_file_at_fault(cloud: Cloud, handler: Handler, counted: Counted, monkeypatch: pytest.MonkeyPatch) -> None:
    engine(monkeypatch, CorruptAudio())

    upload(cloud, handler)

    assert counted() == {"JobFailed": 1}


def test_a_fault_of_ours_by_attempt_and_at_the_end(
    cloud: Cloud, handler: Handler, counted: Counted, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine(monkeypatch, InternalError())

    cloud.upload("any/key.wav")

    counts = []
    for _ in range(3):
        deliver(cloud, handler)
        counts.append(counted())

    assert counts == [{"AttemptFailed": 1}, {"AttemptFailed": 1}, {"AttemptFailed": 1, "JobFailed": 1}]


def test_another_upload_that_is_left(
    cloud: Cloud, handler: Handler, counted: Counted, monkeypatch: pytest.MonkeyPatch
) -> None:
    def convert(_source: object, _container: object, _conversion: object, mp3: Path, **_: object) -> Converted:
        mp3.write_bytes(b"MP3")
        cloud.upload("any/key.wav", b"another")
        return Converted(SOURCE, RESULT, ())

    monkeypatch.setattr(job_run, "convert", convert)

    upload(cloud, handler)

    assert counted().items() >= {"JobReady": 1, "UploadLeft": 1}.items()
    assert cloud.upload_keys() == ["any/key.wav"]


def test_an_upload_that_was_replaced_before_its_event_is_no_upload_that_is_left(
    cloud: Cloud, handler: Handler, counted: Counted
) -> None:
    first = cloud.upload("any/key.wav", b"first")
    cloud.upload("any/key.wav", b"second")

    handler({"Records": [s3_record(cloud.upload_bucket, "any/key.wav", eTag=first)]})

    assert counted() == {"JobFailed": 1}
    assert cloud.upload_keys() == ["any/key.wav"]


@pytest.fixture
def sweep(configure: Callable[..., None]) -> Callable[[Cloud, Job], dict[str, Any]]:
    def sweep(cloud: Cloud, job: Job) -> dict[str, Any]:
        cloud.store.create(replace(job, sweep_at=time.time() - 4000))
        report: dict[str, Any] = purge_app.lambda_handler(
            {"source": "aws.events"}, FakeLambdaContext(remaining_milliseconds=60_000)
        )
        return report

    return sweep


@pytest.mark.parametrize(
    ("job", "counts"),
    [
        (api_job(Status.CLAIMED, purge_at=1.0), {"JobPurged": 1}),
        (api_job(Status.READY, expires_at=1.0), {"JobExpired": 1}),
        (direct_job(Status.PROCESSING, lease_expires_at=1.0), {"JobFailed": 1}),
        (api_job(Status.FAILED, expires_at=1.0), {}),
    ],
    ids=["claimed", "unfetched", "killed", "failed"],
)
def test_what_the_sweep_does(
    cloud: Cloud, sweep: Callable[..., Any], counted: Counted, job: Job, counts: dict[str, float]
) -> None:
    sweep(cloud, job)

    found = counted()
    assert found.pop("SweepLag") == pytest.approx(4000, abs=60)
    assert found == {"SweepFailed": 0, **counts}


def test_what_the_sweep_could_not_do(cloud: Cloud, sweep: Callable[..., Any], counted: Counted) -> None:
    with failing(clients.s3(), "DeleteObject"):
        sweep(cloud, api_job(Status.CLAIMED, purge_at=1.0))

    assert counted()["SweepFailed"] == 1
