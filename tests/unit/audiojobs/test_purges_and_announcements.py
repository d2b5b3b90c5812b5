"""What goes to the purge queue and to the event bus."""

from __future__ import annotations

import json

import pytest

from audiojobs import clients
from audiojobs.errors import InternalError
from audiojobs.job import Status
from tests.unit.cloud import Cloud, failing
from tests.unit.samples import NOTICE, api_job, direct_job


@pytest.mark.parametrize(
    ("seconds", "delay"), [(-5, 0), (0, 0), (0.001, 1), (59.2, 60), (301, 301), (900, 900), (901, 900), (1e9, 900)]
)
def test_a_purge_comes_when_it_is_due_or_as_late_as_sqs_can(cloud: Cloud, seconds: float, delay: int) -> None:
    cloud.schedule.add("0" * 32, delay_seconds=seconds)

    assert cloud.purge_messages() == [{"job_id": "0" * 32}]
    assert cloud.purge_delays() == [delay]


def test_what_cannot_be_scheduled_is_our_fault(cloud: Cloud) -> None:
    cloud.delete_purge_queue()

    with pytest.raises(InternalError):
        cloud.schedule.add("0" * 32, delay_seconds=1)


def test_a_ready_job_is_announced_with_its_link(cloud: Cloud) -> None:
    job = direct_job(Status.READY, secret_hash="f" * 64)

    cloud.announcer.announce(job, link="https://audio.example.com/v1/d/x")

    (event,) = cloud.announcements()
    assert event["source"] == "audio-resampler"
    assert event["detail-type"] == "Job Ready"
    assert event["detail"] == {
        "job": job.as_json(),
        "upload_bucket": cloud.upload_bucket,
        "upload_key": "any/key.wav",
        "link": "https://audio.example.com/v1/d/x",
    }
    assert "f" * 64 not in json.dumps(event)


def test_a_failed_job_is_announced_with_its_reason(cloud: Cloud) -> None:
    cloud.announcer.announce(api_job(Status.FAILED), link=None)

    (event,) = cloud.announcements()
    assert event["detail-type"] == "Job Failed"
    assert event["detail"]["job"]["error"] == {"code": NOTICE.code, "detail": NOTICE.detail}
    assert event["detail"]["link"] is None


def test_an_event_bus_that_fails_is_our_fault(cloud: Cloud) -> None:
    with failing(clients.events(), "PutEvents"), pytest.raises(InternalError):
        cloud.announcer.announce(api_job(Status.FAILED), link=None)


def test_an_event_that_the_bus_does_not_take_is_our_fault(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    refused = {"FailedEntryCount": 1, "Entries": [{"ErrorCode": "ThrottlingException"}]}
    monkeypatch.setattr(clients.events(), "put_events", lambda **_: refused)

    with pytest.raises(InternalError):
        cloud.announcer.announce(api_job(Status.FAILED), link=None)
