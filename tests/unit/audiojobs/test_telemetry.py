"""Log lines as Lambda reads them: it takes the level of a line only from one whose timestamp is RFC 3339."""

from __future__ import annotations

import json
import logging
import re
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest

from audiojobs import clients
from purge import app as purge_app
from tests.unit.cloud import Cloud, failing
from tests.unit.conftest import Logs
from tests.unit.gateway import Api, FakeLambdaContext
from tests.unit.resample.test_resample_handler import s3_event
from tests.unit.samples import api_job

RFC_3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")


@pytest.fixture(params=["UTC0", "NST+3:30"], ids=["UTC", "elsewhere"])
def somewhere(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as patched:
        patched.setenv("TZ", request.param)
        time.tzset()
        yield
    time.tzset()


def assert_rfc_3339(lines: list[dict[str, Any]]) -> None:
    assert lines
    for line in lines:
        assert RFC_3339.fullmatch(line["timestamp"]), line["timestamp"]
        moment = datetime.fromisoformat(line["timestamp"])
        assert moment.utcoffset() == timedelta(0)
        assert abs(moment.timestamp() - time.time()) < 60


@pytest.mark.usefixtures("somewhere")
def test_the_resampling_function_and_its_engine(cloud: Cloud, handler: Callable[..., Any], logs: Logs) -> None:
    cloud.upload("any/key.wav")

    view = handler(s3_event(cloud.upload_bucket, "any/key.wav"))
    logging.getLogger("resample.sandbox.confinement").warning("the system refuses something")

    assert_rfc_3339(logs.lines())
    refused = logs.lines()[-1]
    assert (refused["level"], refused["message"]) == ("WARNING", "the system refuses something")
    assert refused["job_id"] == view["id"], "whose file it was"


@pytest.mark.usefixtures("somewhere")
def test_the_api(api: Api, logs: Logs) -> None:
    with failing(clients.dynamodb(), "GetItem"):
        assert api.get(f"/jobs/{api_job().id}").status == 500

    assert_rfc_3339(logs.lines())
    assert "ERROR" in [line["level"] for line in logs.lines()]


def assert_have_the_invocation(lines: list[dict[str, Any]]) -> None:
    assert lines
    context = FakeLambdaContext()
    for line in lines:
        assert (line["function_request_id"], line["function_name"]) == (context.aws_request_id, context.function_name)
        assert line["service"] == "audio-resampler"


class TestEveryLineTellsItsInvocation:
    """Whoever reads one finds all of them."""

    def test_of_the_resampling_function(self, cloud: Cloud, handler: Callable[..., Any], logs: Logs) -> None:
        cloud.upload("any/key.wav")

        handler(s3_event(cloud.upload_bucket, "any/key.wav"))

        assert_have_the_invocation(logs.lines())

    def test_of_the_api(self, api: Api, logs: Logs) -> None:
        api.get(f"/jobs/{api_job().id}")

        assert_have_the_invocation(logs.lines())

    @pytest.mark.usefixtures("configure")
    def test_of_the_sweep(self, logs: Logs) -> None:
        purge_app.lambda_handler({"source": "aws.events"}, FakeLambdaContext(remaining_milliseconds=60_000))

        assert_have_the_invocation(logs.lines())

    def test_and_nothing_of_the_one_before(self, cloud: Cloud, handler: Callable[..., Any], logs: Logs) -> None:
        cloud.upload("any/key.wav")
        job_id = handler(s3_event(cloud.upload_bucket, "any/key.wav"))["id"]
        before = len(logs.lines())

        handler(s3_event(cloud.upload_bucket, "no/upload.wav"))

        later = logs.lines()[before:]
        assert later
        assert all(line.get("job_id") != job_id for line in later)


@pytest.mark.usefixtures("somewhere", "configure")
def test_the_sweep(logs: Logs) -> None:
    purge_app.lambda_handler({"source": "aws.events"}, FakeLambdaContext(remaining_milliseconds=60_000))

    assert_rfc_3339(logs.lines())
    assert json.loads(logs.text.splitlines()[-1])["message"] == "swept"
