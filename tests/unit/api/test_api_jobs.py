"""``/jobs``, as signed callers use it."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from audiojobs import clients
from audiojobs.conversion import Conversion
from audiojobs.job import Origin, Status
from audiojobs.links import hash_secret
from tests.unit.cloud import Cloud, failing
from tests.unit.gateway import BROWSER, DOMAIN, PUBLIC_URL, Answer, Api
from tests.unit.samples import NOTICE, api_job, direct_job, linked

UNKNOWN = "0" * 32


def is_problem(answer: Answer, status: int, code: str, *, field: str | None = None) -> bool:
    """Whether an answer is a problem document (RFC 9457) of a code."""
    assert answer.headers["Content-Type"] == "application/problem+json"
    document = answer.json()
    assert set(document) == {"type", "title", "status", "detail"} | ({"field"} if field else set())
    assert document["status"] == answer.status
    assert document["title"]
    assert document["detail"].endswith(".")
    return (answer.status, document["type"], document.get("field")) == (status, code, field)


class TestCreate:
    def test_a_job_is_made_that_awaits_its_upload(self, api: Api, cloud: Cloud) -> None:
        answer = api.post("/jobs", {"filename": "song.wav"})

        assert answer.status == 201
        assert answer.headers["Content-Type"] == "application/json"
        document = answer.json()
        job = cloud.job(document["id"])
        upload, link = document.pop("upload"), document.pop("link")
        assert document == job.as_json()
        assert (job.status, job.origin, job.filename) == (Status.AWAITING_UPLOAD, Origin.API, "song.wav")
        assert job.upload_key == f"jobs/{job.id}"
        assert job.conversion == Conversion()
        assert answer.headers["Location"] == f"{PUBLIC_URL}/jobs/{job.id}"
        assert set(upload) == {"method", "url", "headers", "size_bytes", "expires_at"}
        assert (upload["method"], upload["headers"], upload["size_bytes"]) == ("PUT", {}, None)
        assert urlsplit(upload["url"]).path == f"/{job.upload_key}"
        assert parse_qs(urlsplit(upload["url"]).query)["X-Amz-Expires"] == ["3600"]
        assert link.startswith(f"{PUBLIC_URL}/d/{job.id}.")
        assert hash_secret(link.rpartition(".")[2]) == job.secret_hash

    def test_every_option_is_taken(self, api: Api, cloud: Cloud) -> None:
        body = {
            "filename": "song.wav",
            "size_bytes": 1234,
            "sample_rate": 24_000,
            "vbr_quality": 0,
            "channels": 1,
            "allow_partial": True,
        }

        document = api.post("/jobs", body).json()

        assert cloud.job(document["id"]).conversion == Conversion(24_000, None, 0, 1, allow_partial=True)
        assert "content-length" in parse_qs(urlsplit(document["upload"]["url"]).query)["X-Amz-SignedHeaders"][0]

    def test_the_announced_size_is_held_to_wherever_the_address_comes_from(self, api: Api, cloud: Cloud) -> None:
        document = api.post("/jobs", {"filename": "song.wav", "size_bytes": 1234}).json()

        later = api.get(urlsplit(document["link"]).path.removeprefix("/v1")).json()

        assert [document["upload"]["size_bytes"], later["upload"]["size_bytes"]] == [1234, 1234]
        queries = [parse_qs(urlsplit(upload["url"]).query) for upload in (document["upload"], later["upload"])]
        assert [query["X-Amz-SignedHeaders"] for query in queries] == [["content-length;host"]] * 2
        assert cloud.job(document["id"]).upload_size_bytes == 1234

    def test_null_is_as_good_as_nothing(self, api: Api, cloud: Cloud) -> None:
        names = ("size_bytes", "sample_rate", "bit_rate", "vbr_quality", "channels", "allow_partial")

        document = api.post("/jobs", {"filename": "song.wav", **dict.fromkeys(names)}).json()

        assert cloud.job(document["id"]).conversion == Conversion()

    def test_a_body_may_come_in_base64(self, api: Api) -> None:
        body = base64.b64encode(json.dumps({"filename": "ä.wav"}).encode()).decode()

        answer = api.call("POST", "/jobs", body=body, is_base64=True)

        assert (answer.status, answer.json()["filename"]) == (201, "ä.wav")

    @pytest.mark.parametrize(
        ("given", "kept"),
        [
            ("../../etc/passwd", "passwd"),
            ("C:\\Music\\song.wav", "song.wav"),
            ("  song.wav  ", "song.wav"),
            ("<script>alert(1)<\\script>.wav", "script>.wav"),
            ("Ä \U0001f3b5 漢.wav", "Ä \U0001f3b5 漢.wav"),
            ("x" * 255, "x" * 255),
        ],
        ids=["path", "windows", "spaces", "markup", "unicode", "longest"],
    )
    def test_a_file_name_keeps_no_folders_and_never_becomes_a_key(
        self, api: Api, cloud: Cloud, given: str, kept: str
    ) -> None:
        job = cloud.job(api.post("/jobs", {"filename": given}).json()["id"])

        assert job.filename == kept
        assert job.upload_key == f"jobs/{job.id}"
        assert job.result_key == f"jobs/{job.id}/{job.id}.mp3"

    @pytest.mark.parametrize(
        ("body", "field"),
        [
            (None, None),
            ("", None),
            ("{", None),
            ("\x00", None),
            ("[" * 100_000, None),
            ([], None),
            ("null", None),
            ('"text"', None),
            ({}, "filename"),
            ({"filename": None}, "filename"),
            ({"filename": ""}, "filename"),
            ({"filename": "   "}, "filename"),
            ({"filename": "folder/"}, "filename"),
            ({"filename": 7}, "filename"),
            ({"filename": ["song.wav"]}, "filename"),
            ({"filename": "x" * 256}, "filename"),
            ({"filename": " " + "x" * 255}, "filename"),
            ({"filename": "a\r\nSet-Cookie: b"}, "filename"),
            ({"filename": "a\x00.wav"}, "filename"),
            ({"filename": "\u202egpj.wav"}, "filename"),
            ('{"filename": "\\ud800"}', "filename"),
            ({"filename": "song.wav", "bitrate": 1}, "bitrate"),
            ({"filename": "song.wav", "id": UNKNOWN}, "id"),
            ({"filename": "song.wav", "x" * 9999: 1}, "x" * 100),
            ({"filename": "song.wav", "size_bytes": 0}, "size_bytes"),
            ({"filename": "song.wav", "size_bytes": -1}, "size_bytes"),
            ({"filename": "song.wav", "size_bytes": "1"}, "size_bytes"),
            ({"filename": "song.wav", "size_bytes": 1.0}, "size_bytes"),
            ({"filename": "song.wav", "size_bytes": True}, "size_bytes"),
            ('{"filename": "song.wav", "size_bytes": NaN}', "size_bytes"),
            ({"filename": "song.wav", "sample_rate": 44_000}, "sample_rate"),
            ({"filename": "song.wav", "sample_rate": "32000"}, "sample_rate"),
            ({"filename": "song.wav", "sample_rate": 24_000, "bit_rate": 320_000}, "bit_rate"),
            ({"filename": "song.wav", "bit_rate": 128_000, "vbr_quality": 2}, "vbr_quality"),
            ({"filename": "song.wav", "channels": 6}, "channels"),
            ({"filename": "song.wav", "allow_partial": 1}, "allow_partial"),
        ],
        ids=lambda value: repr(value)[:40],
    )
    def test_what_is_wrong_is_named(self, api: Api, cloud: Cloud, body: Any, field: str | None) -> None:
        answer = api.post("/jobs", body)

        assert is_problem(answer, 400, "invalid-request", field=field)
        assert clients.dynamodb().scan(TableName=cloud.jobs_table)["Count"] == 0

    @pytest.mark.parametrize("body", ["%%%", "ä", base64.b64encode(b"\xff\xfe").decode()], ids=repr)
    def test_a_body_that_is_no_base64_or_no_text_is_refused(self, api: Api, body: str) -> None:
        answer = api.call("POST", "/jobs", body=body, is_base64=True)

        assert is_problem(answer, 400, "invalid-request")

    def test_too_large_is_told_before_anything_is_uploaded(self, api: Api, configure: Callable[..., None]) -> None:
        configure(MAX_UPLOAD_MEGABYTES="1")

        assert api.post("/jobs", {"filename": "song.wav", "size_bytes": 1_000_000}).status == 201
        answer = api.post("/jobs", {"filename": "song.wav", "size_bytes": 1_000_001})

        assert is_problem(answer, 413, "upload-too-large")

    def test_settings_decide_how_long_link_and_upload_live(
        self, api: Api, cloud: Cloud, configure: Callable[..., None]
    ) -> None:
        configure(LINK_HOURS="2", UPLOAD_URL_SECONDS="60")

        document = api.post("/jobs", {"filename": "song.wav"}).json()

        job = cloud.job(document["id"])
        assert job.expires_at - job.created_at == 2 * 3600
        assert parse_qs(urlsplit(document["upload"]["url"]).query)["X-Amz-Expires"] == ["60"]

    def test_a_table_that_fails_is_our_fault(self, api: Api) -> None:
        with failing(clients.dynamodb(), "PutItem"):
            answer = api.post("/jobs", {"filename": "song.wav"})

        assert is_problem(answer, 500, "internal-error")
        assert "nowhere" not in answer.body


class TestLinkAddress:
    def test_it_is_the_one_that_the_client_used(self, api: Api) -> None:
        answer = api.call("POST", "/jobs", body={"filename": "song.wav"}, domain="audio.example.com", stage_in_path="")

        assert answer.json()["link"].startswith("https://audio.example.com/d/")

    def test_a_forged_host_header_does_not_show_in_it(self, api: Api) -> None:
        forged = {"Host": "evil.example.com", "X-Forwarded-Host": "evil.example.com"}

        answer = api.post("/jobs", {"filename": "song.wav"}, headers=forged)

        assert urlsplit(answer.json()["link"]).netloc == DOMAIN

    def test_a_setting_has_the_last_word(self, api: Api, configure: Callable[..., None]) -> None:
        configure(PUBLIC_URL="https://audio.example.com/x")

        answer = api.post("/jobs", {"filename": "song.wav"})

        assert answer.json()["link"].startswith("https://audio.example.com/x/d/")


class TestGet:
    @pytest.mark.parametrize("status", list(Status), ids=str)
    def test_a_job_is_shown_as_it_is(self, api: Api, cloud: Cloud, status: Status) -> None:
        job = api_job(status, secret_hash="f" * 64)
        cloud.store.create(job)

        answer = api.get(f"/jobs/{job.id}")

        assert (answer.status, answer.json()) == (200, job.as_json())
        assert "f" * 64 not in answer.body
        assert cloud.job(job.id) == job

    def test_what_has_expired_is_shown_so_whatever_the_table_says(self, api: Api, cloud: Cloud) -> None:
        job = api_job(Status.READY, expires_at=1.0)
        cloud.store.create(job)

        assert api.get(f"/jobs/{job.id}").json()["status"] == "expired"
        assert cloud.job(job.id) == job

    @pytest.mark.parametrize("job_id", [UNKNOWN, "x", "ä", "..", "%00", "a.b", "'", "0" * 3000], ids=lambda i: i[:9])
    @pytest.mark.parametrize(
        ("method", "suffix"), [("GET", ""), ("DELETE", ""), ("POST", "/link")], ids=["get", "delete", "link"]
    )
    def test_an_unknown_job_is_not_found(self, api: Api, method: str, suffix: str, job_id: str) -> None:
        answer = api.call(method, f"/jobs/{job_id}{suffix}")

        assert is_problem(answer, 404, "job-not-found")

    def test_a_browser_gets_json_here(self, api: Api) -> None:
        assert is_problem(api.get(f"/jobs/{UNKNOWN}", headers=BROWSER), 404, "job-not-found")


class TestList:
    def test_the_jobs_of_a_key_come_newest_first_page_by_page(self, api: Api, cloud: Cloud) -> None:
        key = "any/ä key+1.wav"
        jobs = [direct_job(Status.READY, upload_key=key, created_at=1_800_000_000.0 + n) for n in range(3)]
        for job in jobs:
            cloud.store.create(job)

        first = api.get("/jobs", upload_key=key, limit="2").json()
        second = api.get("/jobs", upload_key=key, limit="2", next_token=first["next_token"]).json()

        assert first["jobs"] == [jobs[2].seen_at(0).as_json(), jobs[1].as_json()]
        assert second["jobs"] == [jobs[0].as_json()]
        assert second["next_token"] is None

    def test_what_has_expired_is_listed_so(self, api: Api, cloud: Cloud) -> None:
        cloud.store.create(direct_job(Status.READY, expires_at=1.0))

        assert api.get("/jobs", upload_key="any/key.wav").json()["jobs"][0]["status"] == "expired"

    def test_a_key_without_jobs_has_an_empty_list(self, api: Api) -> None:
        answer = api.get("/jobs", upload_key="nothing")

        assert (answer.status, answer.json()) == (200, {"jobs": [], "next_token": None})

    @pytest.mark.parametrize(
        ("query", "field"),
        [
            ({}, "upload_key"),
            ({"upload_key": ""}, "upload_key"),
            ({"upload_key": "ä" * 513}, "upload_key"),
            *(({"upload_key": "k", "limit": limit}, "limit") for limit in ("", "0", "101", "-1", "1.5", "²", "1e1")),
            ({"upload_key": "k", "next_token": "x"}, "next_token"),
        ],
        ids=repr,
    )
    def test_what_is_wrong_is_named(self, api: Api, query: dict[str, str], field: str) -> None:
        assert is_problem(api.call("GET", "/jobs", query=query), 400, "invalid-request", field=field)


class TestRenewLink:
    def test_a_new_link_works_and_the_one_before_it_is_dead(self, api: Api, cloud: Cloud) -> None:
        job, old = linked(api_job(Status.READY))
        cloud.store.create(job)

        answer = api.post(f"/jobs/{job.id}/link")

        assert answer.status == 201
        document = answer.json()
        new = document.pop("link").removeprefix(f"{PUBLIC_URL}/d/")
        assert document == cloud.job(job.id).as_json()
        assert api.get(f"/d/{new}").status == 200
        assert is_problem(api.get(f"/d/{old}"), 404, "job-not-found")
        assert is_problem(api.post(f"/d/{old}"), 404, "job-not-found")
        assert api.post(f"/d/{new}").status == 303

    def test_a_direct_upload_gets_its_link_so(self, api: Api, cloud: Cloud) -> None:
        job = direct_job(Status.READY)
        cloud.store.create(job)

        token = api.post(f"/jobs/{job.id}/link").json()["link"].rpartition("/")[2]

        assert api.post(f"/d/{token}").status == 303

    @pytest.mark.parametrize(
        ("status", "http_status", "code"),
        [
            (Status.AWAITING_UPLOAD, 409, "job-not-ready"),
            (Status.PROCESSING, 409, "job-not-ready"),
            (Status.FAILED, 409, "job-not-ready"),
            (Status.CLAIMED, 410, "already-downloaded"),
            (Status.PURGED, 410, "already-downloaded"),
        ],
        ids=str,
    )
    def test_what_is_not_ready_has_no_link(
        self, api: Api, cloud: Cloud, status: Status, http_status: int, code: str
    ) -> None:
        job, _ = linked(api_job(status))
        cloud.store.create(job)

        assert is_problem(api.post(f"/jobs/{job.id}/link"), http_status, code)
        assert cloud.job(job.id) == job

    def test_what_has_expired_has_no_link(self, api: Api, cloud: Cloud) -> None:
        job = api_job(Status.READY, expires_at=1.0)
        cloud.store.create(job)

        assert is_problem(api.post(f"/jobs/{job.id}/link"), 410, "link-expired")

    def test_a_failed_job_says_why_it_will_never_be_ready(self, api: Api, cloud: Cloud) -> None:
        job = api_job(Status.FAILED)
        cloud.store.create(job)

        assert NOTICE.detail in api.post(f"/jobs/{job.id}/link").json()["detail"]


class TestDelete:
    @pytest.mark.parametrize("status", list(Status), ids=str)
    @pytest.mark.parametrize("make", [api_job, direct_job], ids=["api", "direct"])
    def test_upload_and_result_are_gone_when_it_returns(
        self, api: Api, cloud: Cloud, make: Callable[..., Any], status: Status
    ) -> None:
        job = make(status)
        etag = cloud.upload(job.upload_key)
        job = replace(job, upload_etag=f'"{etag}"' if job.origin is Origin.DIRECT else None, created_at=time.time())
        cloud.put_result(job)
        cloud.store.create(job)

        answer = api.delete(f"/jobs/{job.id}")

        assert (answer.status, answer.body) == (204, "")
        assert cloud.job(job.id).status is Status.PURGED
        assert cloud.upload_keys() == cloud.result_keys() == []
        assert {message["job_id"] for message in cloud.purge_messages()} == {job.id}

    def test_it_can_be_repeated(self, api: Api, cloud: Cloud) -> None:
        job = api_job(Status.READY)
        cloud.store.create(job)

        assert [api.delete(f"/jobs/{job.id}").status for _ in range(2)] == [204, 204]

    def test_what_took_the_place_of_a_direct_upload_stays(self, api: Api, cloud: Cloud) -> None:
        etag = cloud.upload("any/key.wav", b"first")
        job = direct_job(upload_etag=f'"{etag}"')
        cloud.store.create(job)
        cloud.upload("any/key.wav", b"second")

        assert api.delete(f"/jobs/{job.id}").status == 204

        assert cloud.upload_keys() == ["any/key.wav"]

    def test_a_sweep_comes_later(self, api: Api, cloud: Cloud) -> None:
        job = api_job(Status.PROCESSING)
        cloud.store.create(job)

        api.delete(f"/jobs/{job.id}")

        assert cloud.purge_messages() == [{"job_id": job.id}]
        assert cloud.purge_delays() == [60]

    def test_a_sweep_that_cannot_be_scheduled_deletes_nothing(self, api: Api, cloud: Cloud) -> None:
        job = api_job(Status.READY)
        cloud.store.create(job)
        cloud.put_result(job)
        cloud.delete_purge_queue()

        assert is_problem(api.delete(f"/jobs/{job.id}"), 500, "internal-error")

        assert cloud.job(job.id) == job
        assert cloud.result_keys() == [job.result_key]

    def test_a_deletion_that_fails_in_the_middle_can_be_repeated_and_is_swept(self, api: Api, cloud: Cloud) -> None:
        job = api_job(Status.READY)
        cloud.store.create(job)
        cloud.put_result(job)

        with failing(clients.s3(), "DeleteObject"):
            assert is_problem(api.delete(f"/jobs/{job.id}"), 500, "internal-error")
        assert cloud.purge_messages() == [{"job_id": job.id}]
        assert api.delete(f"/jobs/{job.id}").status == 204

        assert cloud.result_keys() == []
