"""The resampling function's handler: S3's events in, the job as JSON out."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus

import pytest

from audiojobs.errors import AudioJobError, CorruptAudio, ServiceError, TimeLimit
from audiojobs.job import Status, direct_job_id
from resample import job_run
from resample.app import upload_events
from resample.engine.convert import Converted
from resample.job_run import UploadEvent
from tests.unit.cloud import Cloud
from tests.unit.conftest import Logs
from tests.unit.samples import RESULT, SOURCE

EVENTS = Path(__file__).parents[2] / "events"


def s3_event(bucket: str, *keys: str) -> dict[str, Any]:
    return {"Records": [s3_record(bucket, key) for key in keys]}


def s3_record(bucket: str, key: str, **values: Any) -> dict[str, Any]:
    described = {"key": quote_plus(key, safe="/"), "size": 5, "eTag": "", "sequencer": "0055AED6DCD90281E5", **values}
    return {"eventName": "ObjectCreated:Put", "s3": {"bucket": {"name": bucket}, "object": described}}


def test_an_upload_gives_the_job_and_its_link(cloud: Cloud, handler: Callable[..., Any]) -> None:
    cloud.upload("any/key.wav")

    view = handler(s3_event(cloud.upload_bucket, "any/key.wav"))

    job = cloud.job(view["id"])
    assert job.status is Status.READY
    assert view.pop("link").startswith(f"https://audio.example.com/v1/d/{job.id}.")
    assert view == job.as_json()
    assert json.dumps(view)


@pytest.mark.parametrize(
    "key", ["a b+c.wav", "100%.wav", "%41.wav", "ä/漢 \U0001f3b5.wav", "a&b=c?d#e.wav", "++", "plus%2Bplus"], ids=repr
)
def test_keys_arrive_url_encoded(cloud: Cloud, handler: Callable[..., Any], key: str) -> None:
    cloud.upload(key)

    view = handler(s3_event(cloud.upload_bucket, key))

    assert view["status"] == "ready"
    assert cloud.job(view["id"]).upload_key == key
    assert cloud.result_keys() == [f"{key}/{view['id']}.mp3"]


def test_several_records_give_several_jobs(cloud: Cloud, handler: Callable[..., Any]) -> None:
    cloud.upload("one.wav")
    cloud.upload("two.wav")

    views = handler(s3_event(cloud.upload_bucket, "one.wav", "two.wav", "gone.wav"))

    assert [view and view["filename"] for view in views] == ["one.wav", "two.wav", None]


def test_s3s_test_event_does_nothing(cloud: Cloud, handler: Callable[..., Any]) -> None:
    event = {"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": cloud.upload_bucket, "RequestId": "1"}

    assert handler(event) == []


@pytest.mark.parametrize(
    ("values", "version"),
    [
        ({"versionId": "v1", "sequencer": "s1"}, "v1"),
        ({"versionId": None, "sequencer": "s1"}, "s1"),
        ({"sequencer": "s1"}, "s1"),
    ],
    ids=["versioned", "null", "unversioned"],
)
def test_what_tells_two_uploads_of_a_key_apart(values: dict[str, Any], version: str) -> None:
    (event,) = upload_events({"Records": [s3_record("uploads", "key", eTag="abc", **values)]})

    assert event == UploadEvent("uploads", "key", version, "abc")


def test_an_event_that_is_sent_again_goes_on_as_the_request_that_failed(
    cloud: Cloud, handler: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    cloud.upload("any/key.wav")
    event = s3_event(cloud.upload_bucket, "any/key.wav")

    def kill(*_: object, **__: object) -> Converted:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(job_run, "convert", kill)
        with pytest.raises(KeyboardInterrupt):
            handler(event)
    failed = cloud.job(direct_job_id(cloud.upload_bucket, "any/key.wav", "0055AED6DCD90281E5")).lease_request_id

    assert handler({**event, "retry_of": "another"})["status"] == "processing"
    assert handler({**event, "retry_of": failed})["status"] == "ready"


def test_the_example_event_is_one_upload() -> None:
    (event,) = upload_events(json.loads((EVENTS / "s3-put.json").read_text()))

    assert event.key
    assert event.version


def test_a_missing_environment_is_told_by_name(
    handler: Callable[..., Any], configure: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    configure(PUBLIC_URL="", JOBS_TABLE="")

    with pytest.raises(Exception, match="JOBS_TABLE, PUBLIC_URL"):
        handler({"Records": [s3_record("uploads", "key")]})


def test_logs_and_metrics_tell_the_job_but_not_its_link(
    cloud: Cloud, handler: Callable[..., Any], logs: Logs, capsys: pytest.CaptureFixture[str]
) -> None:
    etag = cloud.upload("any/key.wav")
    record = s3_record(cloud.upload_bucket, "any/key.wav", eTag=etag)

    view = handler({"Records": [record]})

    job_id = direct_job_id(cloud.upload_bucket, "any/key.wav", "0055AED6DCD90281E5")
    secret = view["link"].rpartition(".")[2]
    metrics = capsys.readouterr().out
    assert any(line.get("job_id") == job_id for line in logs.lines())
    assert '"JobReady"' in metrics
    assert secret not in logs.text + metrics
    assert "X-Amz-Signature" not in logs.text + metrics
    assert secret not in json.dumps(cloud.item(job_id))


@pytest.mark.parametrize("error", [CorruptAudio(), TimeLimit()], ids=["the-files-fault", "ours"])
def test_a_failure_has_one_code_in_job_log_and_metric(
    cloud: Cloud,
    handler: Callable[..., Any],
    configure: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
    logs: Logs,
    capsys: pytest.CaptureFixture[str],
    error: AudioJobError,
) -> None:
    def convert(*_: object, **__: object) -> Converted:
        raise error

    monkeypatch.setattr(job_run, "convert", convert)
    configure(PUBLIC_URL="https://audio.example.com/v1", MAX_ATTEMPTS="1")
    cloud.upload("any/key.wav")

    with suppress(ServiceError):
        handler(s3_event(cloud.upload_bucket, "any/key.wav"))

    job = cloud.job(direct_job_id(cloud.upload_bucket, "any/key.wav", "0055AED6DCD90281E5"))
    (told,) = [line for line in logs.lines() if line["message"] == "job failed"]
    metric = json.loads(capsys.readouterr().out)
    assert job.error
    assert metric["JobFailed"] == [1.0]
    assert (job.error.code, told["code"], metric["code"]) == (error.code,) * 3


def test_the_log_tells_how_long_each_step_took(
    cloud: Cloud, handler: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, logs: Logs
) -> None:
    clock = iter([100.0, 100.5, 103.5, 104.25])
    upload_key = "any/key.wav"

    def convert(_source: object, _container: object, _conversion: object, mp3: Path, **_: object) -> Converted:
        mp3.write_bytes(b"MP3")
        return Converted(SOURCE, RESULT, (), fetch_seconds=1.0)

    monkeypatch.setattr(job_run, "convert", convert)
    monkeypatch.setattr(job_run, "_ProgressWriter", lambda *_, **__: lambda _: None)
    monkeypatch.setattr("resample.job_run.time.monotonic", lambda: next(clock, 105.0))
    cloud.upload(upload_key)

    handler(s3_event(cloud.upload_bucket, upload_key))

    (told,) = [line for line in logs.lines() if line["message"] == "converted"]
    assert told["seconds"] == {"look": 0.5, "fetch": 1.0, "convert": 2.0, "put": 0.75}


@pytest.mark.parametrize("is_fallback", [False, True], ids=["as-meant", "fallback"])
def test_where_several_encoders_failed_that_is_counted(
    cloud: Cloud,
    handler: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    is_fallback: bool,
) -> None:
    def convert(_source: object, _container: object, _conversion: object, mp3: Path, **_: object) -> Converted:
        mp3.write_bytes(b"MP3")
        return Converted(SOURCE, RESULT, (), is_fallback=is_fallback)

    monkeypatch.setattr(job_run, "convert", convert)
    cloud.upload("any/key.wav")

    view = handler(s3_event(cloud.upload_bucket, "any/key.wav"))

    assert view["status"] == "ready"
    assert ('"ParallelEncodingFailed"' in capsys.readouterr().out) is is_fallback
