"""What holds for every answer of the API: headers, problems, silence about secrets."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from api import app
from api.contract import openapi
from audiojobs import clients
from audiojobs.job import Status
from tests.unit.api.test_api_jobs import UNKNOWN, is_problem
from tests.unit.cloud import Cloud, failing
from tests.unit.conftest import Logs
from tests.unit.gateway import BROWSER, PUBLIC_URL, Answer, Api, FakeLambdaContext, rest_event
from tests.unit.samples import api_job, linked

CALLS: dict[str, Callable[[Api, str, str], Answer]] = {
    "create": lambda api, _id, _token: api.post("/jobs", {"filename": "song.wav"}),
    "create, refused": lambda api, _id, _token: api.post("/jobs", {}),
    "list": lambda api, _id, _token: api.get("/jobs", upload_key="x"),
    "list, refused": lambda api, _id, _token: api.get("/jobs"),
    "get": lambda api, job_id, _token: api.get(f"/jobs/{job_id}"),
    "get, unknown": lambda api, _id, _token: api.get(f"/jobs/{UNKNOWN}"),
    "renew": lambda api, job_id, _token: api.post(f"/jobs/{job_id}/link"),
    "delete": lambda api, job_id, _token: api.delete(f"/jobs/{job_id}"),
    "look": lambda api, _id, token: api.get(f"/d/{token}"),
    "look, page": lambda api, _id, token: api.get(f"/d/{token}", headers=BROWSER),
    "look, unknown": lambda api, _id, _token: api.get("/d/x", headers=BROWSER),
    "head": lambda api, _id, token: api.head(f"/d/{token}"),
    "claim": lambda api, _id, token: api.post(f"/d/{token}"),
    "claim, unknown": lambda api, _id, _token: api.post("/d/x"),
    "delete by link": lambda api, _id, token: api.delete(f"/d/{token}"),
    "contract": lambda api, _id, _token: api.get("/openapi.json"),
    "no route": lambda api, _id, _token: api.get("/nothing"),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS.keys())
def test_nothing_may_be_stored_framed_sniffed_indexed_or_passed_on(
    api: Api, cloud: Cloud, call: Callable[[Api, str, str], Answer]
) -> None:
    job, token = linked(api_job(Status.READY))
    cloud.store.create(job)

    headers = call(api, job.id, token).headers

    assert headers["Cache-Control"] == "no-store"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["X-Frame-Options"] == "DENY"
    assert "noindex" in headers["X-Robots-Tag"]
    assert headers["Strict-Transport-Security"].startswith("max-age=")


@pytest.mark.parametrize("path", ["/d/x", "/d/x.y"])
def test_pages_run_and_load_nothing_from_elsewhere(api: Api, path: str) -> None:
    policy = api.get(path, headers=BROWSER).headers["Content-Security-Policy"].split("; ")

    assert "default-src 'none'" in policy
    assert "base-uri 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert not any("unsafe" in directive or "*" in directive for directive in policy)


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS.keys())
def test_no_secret_is_stored_or_logged(
    api: Api,
    cloud: Cloud,
    logs: Logs,
    capsys: pytest.CaptureFixture[str],
    call: Callable[[Api, str, str], Answer],
) -> None:
    job, token = linked(api_job(Status.READY))
    cloud.store.create(job)

    answer = call(api, job.id, token)

    secrets = {token.partition(".")[2]}
    if "/d/" in answer.body and answer.status == 201:
        secrets.add(answer.json()["link"].rpartition(".")[2])
    stored = json.dumps(clients.dynamodb().scan(TableName=cloud.jobs_table)["Items"])
    written = logs.text + "".join(capsys.readouterr())
    for secret in secrets:
        assert secret not in stored
        assert secret not in written
    assert "X-Amz-Signature" not in stored + written


def test_a_bug_is_logged_in_full_and_told_in_a_sentence(
    api: Api, cloud: Cloud, logs: Logs, monkeypatch: pytest.MonkeyPatch
) -> None:
    job, token = linked(api_job(Status.READY))
    cloud.store.create(job)

    def fail(**_: object) -> None:
        raise ZeroDivisionError("the password is 1234")

    monkeypatch.setattr(clients.dynamodb(), "query", fail)

    answer = api.get(f"/d/{token}")

    assert is_problem(answer, 500, "internal-error")
    assert "1234" not in answer.body
    assert "ZeroDivisionError" in logs.text
    assert token.partition(".")[2] not in logs.text


def test_a_failure_of_aws_is_logged_with_its_cause(api: Api, logs: Logs) -> None:
    with failing(clients.dynamodb(), "GetItem"):
        answer = api.get(f"/jobs/{UNKNOWN}")

    assert is_problem(answer, 500, "internal-error")
    assert logs.codes() == ["internal-error"]
    assert "EndpointConnectionError" in logs.text


def test_a_refusal_is_no_error_in_the_log(api: Api, logs: Logs) -> None:
    api.get(f"/jobs/{UNKNOWN}")
    api.post("/jobs", {"filename": "song.wav", "size_bytes": 10**15})

    assert logs.codes() == ["job-not-found", "upload-too-large"]
    assert {line["level"] for line in logs.lines()} == {"INFO"}


def test_a_missing_environment_is_our_fault_and_logged_by_name(
    api: Api, configure: Callable[..., None], logs: Logs
) -> None:
    configure(JOBS_TABLE="", PURGE_QUEUE_URL="")

    answer = api.get(f"/jobs/{UNKNOWN}")

    assert is_problem(answer, 500, "internal-error")
    assert "JOBS_TABLE, PURGE_QUEUE_URL" in logs.text


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/"),
        ("GET", "/nothing"),
        ("PUT", "/jobs"),
        ("DELETE", "/jobs"),
        ("PATCH", f"/jobs/{UNKNOWN}"),
        ("GET", f"/jobs/{UNKNOWN}/link"),
        ("GET", "/d"),
        ("POST", "/openapi.json"),
        ("OPTIONS", "/jobs"),
    ],
)
def test_there_is_nothing_elsewhere(api: Api, method: str, path: str) -> None:
    assert is_problem(api.call(method, path), 404, "job-not-found")


def test_the_contract_is_served_with_the_address_that_was_called(api: Api) -> None:
    answer = api.get("/openapi.json")

    assert answer.status == 200
    assert answer.json() == json.loads(json.dumps(openapi(PUBLIC_URL)))


def test_a_failure_of_aws_behind_a_link_is_a_page_for_a_browser(api: Api, cloud: Cloud) -> None:
    job, token = linked(api_job(Status.READY))
    cloud.store.create(job)

    with failing(clients.dynamodb(), "Query"):
        answer = api.get(f"/d/{token}", headers=BROWSER)

    assert answer.status == 500
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"


def test_headers_and_parameters_may_be_absent_altogether(api: Api) -> None:
    event = rest_event("GET", "/d/x") | {"headers": None, "multiValueHeaders": None}

    answer = app.lambda_handler(event, FakeLambdaContext())

    assert answer["statusCode"] == 404
