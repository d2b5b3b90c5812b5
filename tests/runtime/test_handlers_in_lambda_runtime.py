"""Every handler, as Lambda calls it, with the events that AWS sends."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import requests

from tests.runtime.functions import EVENTS, Functions, example
from tests.stacks import let_window_end

REQUEST_SECONDS = 300
UPLOAD_KEY = "recordings/my first song (take 1).wav"


@pytest.fixture
def ready_job(functions: Functions, wav: Path) -> tuple[str, str]:
    """Id and link token of a new API job whose file was uploaded and resampled."""
    created = functions.job("create-job", status=201)
    answer = requests.put(created["upload"]["url"], data=wav.read_bytes(), timeout=REQUEST_SECONDS)
    assert answer.status_code == 200, answer.text
    resampled = functions.resample(example("s3-put", key=f"jobs/{created['id']}"))
    assert resampled["status"] == "ready", resampled
    return created["id"], created["link"].rpartition("/")[2]


def test_direct_upload_with_an_encoded_key(functions: Functions, wav: Path) -> None:
    functions.upload(wav, UPLOAD_KEY)

    job = functions.resample(example("s3-put"))
    duplicate = functions.resample(example("s3-duplicate"))

    assert job["status"] == "ready"
    assert job["filename"] == "my first song (take 1).wav"
    assert job["result"]["sample_rate"] == 32000
    assert job["result"]["duration_seconds"] == pytest.approx(3, abs=0.001)
    assert job["link"].startswith(f"{functions.stack.access.api_url}/d/{job['id']}.")
    assert functions.keys(functions.stack.access.upload_bucket, UPLOAD_KEY) == []
    assert functions.keys(functions.stack.access.result_bucket, UPLOAD_KEY) == [f"{UPLOAD_KEY}/{job['id']}.mp3"]
    assert (duplicate["id"], duplicate["link"]) == (job["id"], None)
    listed = functions.job("list-jobs")
    assert [found["id"] for found in listed["jobs"]] == [job["id"]]


def test_nothing_stays_in_the_temporary_folder(functions: Functions, ready_job: tuple[str, str]) -> None:
    assert list(functions.environments["ResampleFunction"].temp.iterdir()) == []


def test_the_event_that_s3_sends_when_a_bucket_is_set_up(functions: Functions) -> None:
    assert functions.resample(example("s3-test")) == []


def test_looking_claiming_downloading_purging(functions: Functions, ready_job: tuple[str, str]) -> None:
    job_id, token = ready_job

    status, headers, page = functions.api("look-at-link", token=token)
    assert (status, headers["content-type"].partition(";")[0]) == (200, "text/html")
    assert "my first song" in page
    assert functions.api("look-at-link-head", token=token)[0] == 200
    assert functions.job("get-job", job_id=job_id)["status"] == "ready"

    renewed = functions.job("renew-link", status=201, job_id=job_id)["link"].rpartition("/")[2]
    assert functions.api("claim-link", token=token)[0] == 404, "the link before it is dead"
    status, headers, _ = functions.api("claim-link", token=renewed)
    assert status == 303
    mp3 = requests.get(headers["location"], timeout=REQUEST_SECONDS)
    assert (mp3.status_code, mp3.headers["Content-Type"]) == (200, "audio/mpeg")
    assert functions.job("claim-link", status=410, token=renewed)["type"] == "already-downloaded"

    let_window_end(functions.stack, job_id)
    assert functions.purge(example("sqs-purge", job_id=job_id)) == {"batchItemFailures": []}
    assert functions.job("get-job", job_id=job_id)["status"] == "purged"
    assert functions.keys(functions.stack.access.result_bucket, f"jobs/{job_id}") == []


@pytest.mark.parametrize("way", ["delete-job", "delete-by-link"])
def test_deleting(functions: Functions, ready_job: tuple[str, str], way: str) -> None:
    job_id, token = ready_job

    assert functions.api(way, job_id=job_id, token=token)[0] == 204

    assert functions.keys(functions.stack.access.result_bucket, f"jobs/{job_id}") == []
    assert functions.job("get-job", job_id=job_id)["status"] == "purged"


def test_the_contract(functions: Functions) -> None:
    assert functions.job("open-api")["openapi"].startswith("3.")


def test_logs_are_json_and_hold_no_secret(functions: Functions, ready_job: tuple[str, str]) -> None:
    _, token = ready_job
    functions.api("claim-link", token=token)

    logs = {name: environment.log for name, environment in functions.environments.items()}

    lines = [json.loads(line) for line in logs["ResampleFunction"].splitlines() if line.strip()]
    assert any(line.get("message") == "job ready" for line in lines)
    assert token.partition(".")[2] not in "".join(logs.values())


def test_every_event_is_used_here() -> None:
    used = Path(__file__).read_text()

    for path in EVENTS.glob("*.json"):
        name = path.stem.removeprefix("api-")
        assert f'"{name}"' in used, f"{path.name} is used by no test"
