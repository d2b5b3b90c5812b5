"""The API for signed callers: who may call, what is refused, how jobs are listed and deleted."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]
from openapi_spec_validator import validate

from tests.e2e import sounds
from tests.e2e.service import JSON, Service, until

PROBLEM = "application/problem+json"
REFERENCE = "order 4711, by a key"
CALLS = [
    ("GET", f"/jobs/{'0' * 32}"),
    ("POST", f"/jobs/{'0' * 32}/link"),
    ("DELETE", f"/jobs/{'0' * 32}"),
]


@pytest.fixture(scope="module")
def song(files: Path) -> Path:
    return sounds.song(files / "signed.wav")


# ---------------------------------------------------------------- who may call (more: test_who_may_call.py)


@pytest.mark.parametrize("method", ["PUT", "GET", "DELETE"])
def test_the_buckets_are_closed_to_everybody_else(service: Service, method: str) -> None:
    endpoint = service.stack.access.endpoint_url

    for bucket in (service.uploads, service.results):
        assert service.request(method, f"{endpoint}/{bucket}/some-key", data=b"x").status_code == 403
        assert service.request("GET", f"{endpoint}/{bucket}").status_code == 403


# ---------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "filename"),
        ({"filename": ""}, "filename"),
        ({"filename": 1}, "filename"),
        ({"filename": "a.wav", "bit_rate": 144_000}, "bit_rate"),
        ({"filename": "a.wav", "bit_rate": 320_000, "sample_rate": 24_000}, "bit_rate"),
        ({"filename": "a.wav", "bit_rate": 128_000, "vbr_quality": 2}, "vbr_quality"),
        ({"filename": "a.wav", "vbr_quality": 10}, "vbr_quality"),
        ({"filename": "a.wav", "sample_rate": 96_000}, "sample_rate"),
        ({"filename": "a.wav", "channels": 6}, "channels"),
        ({"filename": "a.wav", "channels": True}, "channels"),
        ({"filename": "a.wav", "allow_partial": "yes"}, "allow_partial"),
        ({"filename": "a.wav", "size_bytes": 0}, "size_bytes"),
        ({"filename": "a.wav", "bitrate": 128_000}, "bitrate"),
    ],
    ids=json.dumps,
)
def test_an_impossible_request_names_its_field(service: Service, body: dict[str, Any], field: str) -> None:
    answer = service.api("POST", "/jobs", body)

    problem = answer.json()
    assert (answer.status_code, answer.headers["Content-Type"]) == (400, PROBLEM)
    assert (problem["type"], problem["status"], problem["field"]) == ("invalid-request", 400, field)
    assert field in problem["detail"]


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'"song.wav"', b"\xff\xfe"])
def test_a_body_that_is_no_json_object(service: Service, body: bytes) -> None:
    answer = service.api("POST", "/jobs", body)

    assert (answer.status_code, answer.headers["Content-Type"]) == (400, PROBLEM)
    assert answer.json()["type"] == "invalid-request"


@pytest.mark.parametrize(("method", "path"), CALLS, ids=" ".join)
def test_a_job_that_nobody_knows(service: Service, method: str, path: str) -> None:
    answer = service.api(method, path)

    assert (answer.status_code, answer.headers["Content-Type"]) == (404, PROBLEM)
    assert answer.json()["type"] == "job-not-found"


def test_a_job_that_is_not_ready_has_no_new_link(service: Service) -> None:
    created = service.create_job("song.wav")

    answer = service.api("POST", f"/jobs/{created['id']}/link")

    assert (answer.status_code, answer.headers["Content-Type"]) == (409, PROBLEM)
    assert answer.json()["type"] == "job-not-ready"
    assert service.request("GET", created["link"], headers=JSON).status_code == 200, "the link it had is still good"
    service.delete(created["id"])


def test_an_upload_of_another_size_than_announced_is_refused(service: Service, song: Path) -> None:
    created = service.create_job("song.wav", size_bytes=song.stat().st_size + 1)

    later = service.request("GET", created["link"], headers=JSON).json()["upload"]
    service.remember(later["url"])
    for url in (created["upload"]["url"], later["url"]):
        assert service.request("PUT", url, data=song.read_bytes()).status_code == 403
    assert service.job(created["id"])["status"] == "awaiting-upload"
    service.delete(created["id"])


# ---------------------------------------------------------------- lists


def test_the_jobs_of_a_key_newest_first_in_pages(service: Service, song: Path) -> None:
    key = "listed/the same name.wav"
    for count in (1, 2, 3):
        service.s3.upload_file(str(song), service.uploads, key)
        service.appeared(key, count=count)

    everything = service.jobs_of(key)
    pages, query = [], {"upload_key": key, "limit": "2"}
    while True:
        page = service.api("GET", "/jobs", query=query).json()
        pages.append([job["id"] for job in page["jobs"]])
        if not page["next_token"]:
            break
        query["next_token"] = page["next_token"]

    ids = [job["id"] for job in everything]
    assert len(set(ids)) == 3
    assert [job["created_at"] for job in everything] == sorted((job["created_at"] for job in everything), reverse=True)
    assert [float(service.record(job_id)["created_at"]["N"]) for job_id in ids] == sorted(
        (float(service.record(job_id)["created_at"]["N"]) for job_id in ids), reverse=True
    )
    assert [job_id for page in pages for job_id in page] == ids
    assert len(pages[0]) == 2
    assert service.jobs_of("listed/the same") == []
    for job_id in ids:
        service.delete(job_id)


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({}, "upload_key"),
        ({"upload_key": "a.wav", "limit": "0"}, "limit"),
        ({"upload_key": "a.wav", "limit": "101"}, "limit"),
        ({"upload_key": "a.wav", "limit": "many"}, "limit"),
        ({"upload_key": "a.wav", "next_token": "made-up"}, "next_token"),
    ],
    ids=str,
)
def test_an_impossible_list_names_its_field(service: Service, query: dict[str, str], field: str) -> None:
    answer = service.api("GET", "/jobs", query=query)

    assert (answer.status_code, answer.json()["type"], answer.json()["field"]) == (400, "invalid-request", field)


# ---------------------------------------------------------------- deletion


def test_deleting_a_ready_job_takes_its_result_and_its_link(service: Service, song: Path) -> None:
    created = service.create_job("song.wav")
    service.send(created, song)
    service.ready(created["id"])
    before = [key for key in service.objects(service.results) if created["id"] in key]

    service.delete(created["id"])

    assert len(before) == 1
    assert not [key for key in service.objects(service.results) if created["id"] in key]
    assert service.job(created["id"])["status"] == "purged"
    assert service.request("POST", created["link"], headers=JSON).status_code == 410
    service.delete(created["id"])  # again: nothing more to do, and no error


def test_deleting_a_job_before_its_upload_leaves_nothing_to_upload_to(service: Service, song: Path) -> None:
    created = service.create_job("song.wav")
    key = f"jobs/{created['id']}"

    service.delete(created["id"])
    service.send(created, song)  # the presigned URL can't be called back
    [event] = service.notifications(key)
    service.invoke(event)  # whoever is first, this or S3's own

    assert service.job(created["id"])["status"] == "purged"
    assert not service.objects(service.uploads, key)
    assert not service.objects(service.results, key)


def test_deleting_a_job_under_way_leaves_no_result(service: Service, files: Path) -> None:
    created = service.create_job("long.wav")
    temp = Path(service.stack.access.function_temp_folder)
    with service.to_s3.held():
        service.send(created, sounds.song(files / "under-way.wav", seconds=20))
        until(lambda: any(temp.iterdir()), "the work has begun")
        assert service.job(created["id"])["status"] == "processing"

        service.delete(created["id"])

        assert not service.objects(service.uploads, f"jobs/{created['id']}")

    until(lambda: not any(temp.iterdir()), "the work has ended, and its files are deleted")
    until(
        lambda: not service.objects(service.results, f"jobs/{created['id']}"), "a result is deleted that came meanwhile"
    )
    service.logged(created["id"], "no longer ours")
    assert not service.objects(service.results, f"jobs/{created['id']}")
    assert service.job(created["id"])["status"] == "purged"
    assert service.attempts(created["id"]) == 1


# ---------------------------------------------------------------- keys, references, lists


@pytest.fixture
def colleague(service: Service) -> Iterator[tuple[str, str]]:
    """The keys of another user who may call everything."""
    iam = service.stack.admin.client("iam")
    iam.create_user(UserName="colleague")
    statement = {"Effect": "Allow", "Action": "execute-api:Invoke", "Resource": "*"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    iam.put_user_policy(UserName="colleague", PolicyName="calls", PolicyDocument=document)
    keys = iam.create_access_key(UserName="colleague")["AccessKey"]
    yield keys["AccessKeyId"], keys["SecretAccessKey"]
    iam.delete_access_key(UserName="colleague", AccessKeyId=keys["AccessKeyId"])
    iam.delete_user_policy(UserName="colleague", PolicyName="calls")
    iam.delete_user(UserName="colleague")


def test_a_key_makes_one_job_for_its_caller(service: Service, song: Path, colleague: tuple[str, str]) -> None:
    headers, body = {"Idempotency-Key": "order-4711"}, {"filename": "once.wav", "reference": REFERENCE}
    first, second = (service.api("POST", "/jobs", body, headers=headers).json() for _ in range(2))
    other = service.api("POST", "/jobs", body, headers=headers, keys=colleague).json()
    for job in (first, second, other):
        service.remember(job["link"], job["upload"]["url"])
    refused = service.api("POST", "/jobs", {"filename": "another.wav"}, headers=headers)

    assert first["id"] == second["id"] != other["id"]
    assert (refused.status_code, refused.json()["type"]) == (422, "idempotency-key-reused")
    listed = service.api("GET", "/jobs", query={"reference": REFERENCE}).json()["jobs"]
    assert [job["id"] for job in listed] == [other["id"], first["id"]]
    service.send(second, song)
    service.ready(first["id"])
    assert [service.request("GET", job["link"], headers=JSON).status_code for job in (first, second)] == [200, 200]
    assert [service.request("POST", job["link"]).status_code for job in (second, first)] == [303, 410]
    for job_id in (first["id"], other["id"]):
        service.delete(job_id)


def test_lists_come_in_pages_newest_first(service: Service) -> None:
    made = [service.create_job(f"{number}.wav", reference="in pages")["id"] for number in range(3)]
    pages: list[list[str]] = []
    query: dict[str, Any] = {"reference": "in pages", "status": "awaiting-upload", "limit": 2}
    while not pages or query["next_token"]:
        page = service.api("GET", "/jobs", query=query).json()
        pages.append([job["id"] for job in page["jobs"]])
        query["next_token"] = page["next_token"]
    in_state = service.api("GET", "/jobs", query={"status": "awaiting-upload", "limit": 3}).json()["jobs"]

    assert [job_id for page in pages for job_id in page] == made[::-1]
    assert [job["id"] for job in in_state] == made[::-1]
    for job_id in made:
        service.delete(job_id)
    until(
        lambda: service.api("GET", "/jobs", query={"reference": "in pages", "status": "purged"}).json()["jobs"],
        "the same reference lists them as deleted",
    )


def test_the_reference_of_a_direct_upload_is_on_job_and_event(service: Service, song: Path) -> None:
    job = service.put("with-reference.wav", song, reference="order 4712")

    assert job["reference"] == "order 4712"
    assert service.event_of(job["id"])["detail"]["job"]["reference"] == "order 4712"
    listed = service.api("GET", "/jobs", query={"reference": "order 4712"}).json()["jobs"]
    assert [found["id"] for found in listed] == [job["id"]]
    service.delete(job["id"])


# ---------------------------------------------------------------- the contract


def test_the_contract_is_open_and_what_the_service_answers_fits_it(service: Service, song: Path) -> None:
    answer = service.request("GET", f"{service.stack.access.api_url}/openapi.json")
    contract = answer.json()
    validate(contract)
    created = service.create_job("song.wav")
    service.send(created, song)
    ready = service.ready(created["id"])
    linked = service.api("POST", f"/jobs/{created['id']}/link").json()
    service.remember(linked["link"])
    listed = service.api("GET", "/jobs", query={"upload_key": "song.wav"}).json()
    problem = service.api("POST", "/jobs", {}).json()

    assert answer.status_code == 200
    assert contract["servers"] == [{"url": service.stack.access.api_url}]
    for name, document in (
        ("CreatedJob", created),
        ("Job", ready),
        ("LinkedJob", linked),
        ("JobList", listed),
        ("Problem", problem),
    ):
        schema = {"$ref": f"#/components/schemas/{name}", "components": contract["components"]}
        Draft202012Validator(schema).validate(document)
    service.delete(created["id"])
