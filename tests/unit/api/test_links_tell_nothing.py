"""A wrong secret and an unknown job: the same answer after the same work; neither words nor time tell them apart.

The work is counted, not timed: the calls to AWS in their order, what AWS answers, what is logged.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from audiojobs import clients
from audiojobs.job import Status, new_job_id
from audiojobs.links import new_secret
from tests.unit.cloud import Cloud
from tests.unit.conftest import Logs
from tests.unit.gateway import BROWSER, Answer, Api
from tests.unit.samples import api_job, direct_job, linked

KEYED = {"Idempotency-Key": "4d6e3c0a-5b1f-4c39-9a57-2f8e1d7b6a90", "Prefer": "return=representation"}

every_call = pytest.mark.parametrize(
    ("method", "headers"),
    [(method, headers) for method in ("GET", "HEAD", "POST", "DELETE") for headers in ({}, BROWSER, KEYED)],
    ids=lambda value: value if isinstance(value, str) else "-".join(value) or "plain",
)


NO_TOKENS = [
    "{id}",
    "{id}.",
    ".{secret}",
    "{id}..{secret}",
    "{id}.{secret}.",
    "{id}.{secret}.{secret}",
    "{id}.{secret}A",
    "{id}.{secret}%00",
    "{id}%2e{secret}",
    "{id}.%2e%2e",
    "{id}.{secret}%0a",
    "{id}.{secret} ",
    " {id}.{secret}",
    "{id}.{secret}=",
    "{upper}.{secret}",
    "\uff10{id}.{secret}",
    "{id}\u3002{secret}",
    "{id}.\u202e{secret}",
    "../jobs/{id}",
    "{id}.{secret}/../../jobs",
    "x" * 100_000,
    "\ud83d\ude00",
    "'; DROP TABLE jobs; --",
    "${{7*7}}",
]


@contextmanager
def work() -> Iterator[list[Any]]:
    """What is sent to AWS, ids and hashes by their lengths, and what comes back, but for the count of items read."""
    done: list[Any] = []

    def note_call(model: Any, params: dict[str, Any], **_: Any) -> None:
        done.append((model.name, re.sub(rb"[0-9a-f]{32,}", lambda match: b"%d" % len(match[0]), params["body"])))

    def note_answer(http_response: Any, **_: Any) -> None:
        answer = json.loads(http_response.content)
        del answer["ScannedCount"]
        done.append((http_response.status_code, len(http_response.content), answer))

    services = [clients.s3(), clients.dynamodb(), clients.sqs(), clients.events()]
    for client in services:
        client.meta.events.register("before-call", note_call)
        client.meta.events.register("after-call", note_answer)
    yield done
    for client in services:
        client.meta.events.unregister("before-call", note_call)
        client.meta.events.unregister("after-call", note_answer)


def call(api: Api, logs: Logs, method: str, token: str, headers: dict[str, str]) -> tuple[Answer, list[dict[str, Any]]]:
    """The answer, and what was logged but for the time."""
    before = len(logs.lines())
    answer = api.call(method, f"/d/{token}", headers=headers)
    return answer, [{**line, "timestamp": ""} for line in logs.lines()[before:]]


@every_call
def test_a_wrong_secret_takes_the_work_of_an_unknown_job(
    api: Api, cloud: Cloud, logs: Logs, method: str, headers: dict[str, str]
) -> None:
    call(api, logs, method, "warm", headers)
    with work() as expected:
        unknown = call(api, logs, method, f"{new_job_id()}.{new_secret()}", headers)
    jobs = [linked(api_job(status))[0] for status in Status]
    jobs += [linked(api_job(Status.READY, expires_at=1.0))[0], direct_job()]

    assert unknown[0].status == 404
    assert [entry[0] for entry in expected] == ["Query", 200]
    for job in jobs:
        cloud.store.create(job)
        with work() as done:
            assert call(api, logs, method, f"{job.id}.{new_secret()}", headers) == unknown
        assert done == expected
        assert cloud.job(job.id) == job


@every_call
def test_what_is_no_token_is_not_found_without_any_work(
    api: Api, cloud: Cloud, logs: Logs, method: str, headers: dict[str, str]
) -> None:
    job, token = linked(api_job(Status.READY))
    cloud.store.create(job)
    expected = call(api, logs, method, f"{new_job_id()}.{new_secret()}", headers)[0]

    for spoil in NO_TOKENS:
        spoilt = spoil.format(id=job.id, upper=job.id.upper(), secret=token.partition(".")[2])
        with work() as done:
            assert call(api, logs, method, spoilt, headers)[0] == expected, spoilt
        assert done == [], spoilt
    assert cloud.job(job.id) == job
