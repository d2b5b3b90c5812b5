"""The service on moto: AWS is new for every test, and so is what a warm Lambda keeps."""

from __future__ import annotations

import io
import json
import logging
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from moto import mock_aws

from api import app as api_app
from audiojobs import clients, telemetry
from purge import app as purge_app
from resample import app as resample_app
from resample import job_run
from resample.engine.convert import Converted
from resample.formats.containers import WAV
from tests.unit.cloud import REGION, Cloud
from tests.unit.gateway import Api, FakeLambdaContext
from tests.unit.samples import RESULT, SOURCE
from tests.unit.service.service_in_memory import Service, engine_replaced

SERVICE = "audio-resampler"


@pytest.fixture(scope="module")
def aws() -> Iterator[None]:
    """moto, once for a file: boto3 clients take longer to make than a test takes to run."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        for name in ("AWS_PROFILE", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_SESSION_TOKEN"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
        monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
        monkeypatch.setenv("POWERTOOLS_SERVICE_NAME", SERVICE)
        monkeypatch.setenv("POWERTOOLS_METRICS_NAMESPACE", "AudioResampler")
        with mock_aws():
            yield
        for client in (clients.s3, clients.dynamodb, clients.sqs, clients.events):
            client.cache_clear()


@pytest.fixture
def cloud(aws: None) -> Cloud:
    return Cloud.deploy()


@pytest.fixture
def configure(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Give the functions the stack's environment, changed as asked for, as a new deployment would."""

    def configure(**changes: str) -> None:
        for name, value in (cloud.environment | changes).items():
            monkeypatch.setenv(name, value)
        for module in (api_app, purge_app, resample_app):
            for value in vars(module).values():
                if getattr(value, "__module__", None) == module.__name__ and hasattr(value, "cache_clear"):
                    value.cache_clear()

    configure()
    telemetry.metrics().clear_metrics()  # of tests before, in which no handler came to its end
    return configure


@pytest.fixture
def api(configure: Callable[..., None], logs: Logs) -> Api:
    return Api(api_app.lambda_handler)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Numbers that tests tell by ``record_property("told", ...)``, wherever they ran."""
    for report in terminalreporter.getreports("passed"):
        for name, value in report.user_properties:
            if name == "told":
                terminalreporter.write_line(f"{report.nodeid}: {value}")


class Logs:
    """What the functions logged."""

    def __init__(self, stream: io.StringIO) -> None:
        self._stream = stream

    @property
    def text(self) -> str:
        return self._stream.getvalue()

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.text.splitlines()]

    def codes(self) -> list[str]:
        return [line["code"] for line in self.lines() if "code" in line]


@pytest.fixture
def handler(
    configure: Callable[..., None], logs: Logs, monkeypatch: pytest.MonkeyPatch
) -> Callable[[dict[str, Any]], Any]:
    """The resampling function, with an engine that takes anything for a WAV file and makes the same of it."""

    def convert(_source: object, _container: object, _conversion: object, mp3: Path, **_: object) -> Converted:
        assert not {"..", "etc"} & set(mp3.parts), "no key becomes a path"
        mp3.write_bytes(b"MP3")
        return Converted(SOURCE, RESULT, ())

    monkeypatch.setattr(job_run, "identify", lambda *_: WAV)
    monkeypatch.setattr(job_run, "passthrough_result", lambda *_: None)
    monkeypatch.setattr(job_run, "convert", convert)
    configure(PUBLIC_URL="https://audio.example.com/v1")
    return lambda event: resample_app.lambda_handler(event, FakeLambdaContext(remaining_milliseconds=900_000))


@pytest.fixture
def logs(aws: None) -> Iterator[Logs]:
    telemetry.logger()
    handlers = [
        handler for handler in logging.getLogger(SERVICE).handlers if isinstance(handler, logging.StreamHandler)
    ]
    assert handlers
    stream = io.StringIO()
    for handler in handlers:
        if handler.stream.closed:  # it was made by a test whose output was captured
            handler.stream = sys.stdout
    before = [handler.setStream(stream) for handler in handlers]
    engine = logging.getLogger(resample_app.__package__)
    engine_before = (engine.handlers, engine.level, engine.propagate)
    yield Logs(stream)
    engine.handlers, engine.level, engine.propagate = engine_before
    for handler, old in zip(handlers, before, strict=True):
        if old is not None:
            handler.setStream(old)


@pytest.fixture
def service() -> Iterator[Service]:
    """The service on an AWS in memory, with a clock and calls that can be stopped."""
    service = Service()
    with engine_replaced(lambda: service):
        yield service
