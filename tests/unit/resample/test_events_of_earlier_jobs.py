"""A late event of an upload long gone failed the new job that the same Idempotency-Key had made since.

The id of a job that was made with a key derives from the key. When the record is gone, the key makes a job of the same
id, and so with the same upload key.
"""

from __future__ import annotations

import pytest

from audiojobs.job import Status
from resample.job_run import UploadEvent
from tests.unit.service.service_in_memory import UPLOADS, Service

DAY = 24 * 3600
KEY = "order 4711"


def test_it_changes_nothing(service: Service) -> None:
    earlier = service.create(KEY).job
    event = UploadEvent(UPLOADS, earlier.upload_key, "1", "0" * 32, service.now)
    service.aws.items.clear()
    service.now += 9 * DAY
    job = service.create(KEY).job
    assert job.id == earlier.id

    outcome = service.handle(event, "sent again", service.now + 900)

    assert outcome is None
    assert service.store.get(job.id) == job


@pytest.mark.parametrize("skew_seconds", [-30, 0, 30])
def test_an_event_of_its_own_upload_counts_whatever_the_clocks_say(service: Service, skew_seconds: float) -> None:
    job = service.create(KEY).job
    stored = service.aws.put(UPLOADS, job.upload_key, b"sound")
    event = UploadEvent(UPLOADS, job.upload_key, "1", stored.etag.strip('"'), service.now + skew_seconds)

    outcome = service.handle(event, "request", service.now + 900)

    assert outcome is not None
    assert outcome.job.status is Status.READY
