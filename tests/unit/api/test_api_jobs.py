"""``/jobs``, as signed callers use it."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from audiojobs import clients
from audiojobs.conversion import Conversion
from audiojobs.job import Job, Origin, Status, idempotent_job_id
from audiojobs.links import hash_secret
from tests.unit.cloud import Cloud, answer_lost_once, failing
from tests.unit.gateway import BROWSER, CALLER, DOMAIN, PUBLIC_URL, Answer, Api
from tests.unit.samples import NOTICE, RESULT, SOURCE, api_job, direct_job, linked

UNKNOWN = "0" * 32
HTTP_OK = SimpleNamespace(status_code=200)


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
        names = ("reference", "size_bytes", "sample_rate", "bit_rate", "vbr_quality", "channels", "allow_partial")

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
            *(
                ({"filename": "song.wav", "reference": reference}, "reference")
                for reference in ("", "x" * 257, 7, True, ["a"], "a\nb", "a\x00", "\u202eb", "a\u2028")
            ),
            ('{"filename": "song.wav", "reference": "\\ud800"}', "reference"),
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

    def test_an_id_that_is_taken_gives_nobody_the_job_of_another(
        self, api: Api, cloud: Cloud, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        created = api.post("/jobs", {"filename": "song.wav"}).json()
        before = cloud.job(created["id"])
        monkeypatch.setattr("api.jobs.new_job_id", lambda: created["id"])

        answer = api.post("/jobs", {"filename": "song.wav"})

        assert is_problem(answer, 500, "internal-error")
        assert cloud.job(created["id"]) == before

    def test_a_table_that_fails_is_our_fault(self, api: Api) -> None:
        with failing(clients.dynamodb(), "PutItem"):
            answer = api.post("/jobs", {"filename": "song.wav"})

        assert is_problem(answer, 500, "internal-error")
        assert "nowhere" not in answer.body


KEY = {"Idempotency-Key": "order-4711"}
SONG = {"filename": "song.wav", "reference": "order 4711", "size_bytes": 44, "bit_rate": 128_000}


class TestCreateAgain:
    def test_the_same_call_with_the_same_key_finds_the_same_job(self, api: Api, cloud: Cloud) -> None:
        first, second = (api.post("/jobs", SONG, headers=KEY) for _ in range(2))

        assert (first.status, second.status) == (201, 201)
        assert first.headers["Location"] == second.headers["Location"]
        different = {"link", "upload"}
        assert {name: value for name, value in first.json().items() if name not in different} == {
            name: value for name, value in second.json().items() if name not in different
        }
        assert set(second.json()["upload"]) == set(first.json()["upload"])
        assert clients.dynamodb().scan(TableName=cloud.jobs_table)["Count"] == 1

    def test_each_answer_has_a_link_of_its_own_and_one_claim_wins(self, api: Api, cloud: Cloud) -> None:
        paths = [path_of(api.post("/jobs", SONG, headers=KEY).json()["link"]) for _ in range(3)]
        make_ready(cloud, paths[0])

        assert len(set(paths)) == 3
        assert [api.get(path).status for path in paths] == [200] * 3
        assert [api.post(path).status for path in reversed(paths)] == [303, 410, 410]

    def test_a_new_link_ends_all_of_them(self, api: Api, cloud: Cloud) -> None:
        paths = [path_of(api.post("/jobs", SONG, headers=KEY).json()["link"]) for _ in range(2)]
        job = make_ready(cloud, paths[0])

        renewed = path_of(api.post(f"/jobs/{job.id}/link").json()["link"])

        assert [api.get(path).status for path in [*paths, renewed]] == [404, 404, 200]

    def test_the_record_holds_neither_key_nor_caller_nor_secret(self, api: Api, cloud: Cloud) -> None:
        links = [api.post("/jobs", SONG, headers=KEY).json()["link"] for _ in range(2)]

        item = json.dumps(cloud.item(links[0].rpartition("/")[2].partition(".")[0]))

        assert not [text for text in ("order-4711", CALLER) if text in item]
        assert not [link for link in links if link.rpartition(".")[2] in item]

    @pytest.mark.parametrize(
        ("first", "second", "is_same"),
        [
            (CALLER, "AIDAANOTHEREXAMPLE000", False),
            ("AROAEXAMPLE:session-1", "AROAEXAMPLE:session-2", True),
            ("AROAEXAMPLE:session", "AROAANOTHER:session", False),
        ],
        ids=["another user", "another session of a role", "another role"],
    )
    def test_a_key_belongs_to_its_caller(self, api: Api, first: str, second: str, is_same: bool) -> None:
        ids = {
            api.call("POST", "/jobs", body=SONG, headers=KEY, caller=caller).json()["id"] for caller in (first, second)
        }

        assert len(ids) == (1 if is_same else 2)

    @pytest.mark.parametrize("caller", [None, ""])
    def test_without_a_caller_there_is_no_key(self, api: Api, cloud: Cloud, caller: str | None) -> None:
        answer = api.call("POST", "/jobs", body=SONG, headers=KEY, caller=caller)

        assert is_problem(answer, 400, "invalid-request", field="Idempotency-Key")
        assert clients.dynamodb().scan(TableName=cloud.jobs_table)["Count"] == 0

    def test_without_a_key_each_call_makes_a_job(self, api: Api) -> None:
        ids = {api.call("POST", "/jobs", body=SONG, caller=None).json()["id"] for _ in range(2)}

        assert len(ids) == 2

    @pytest.mark.parametrize(
        "change",
        [
            {"filename": "other.wav"},
            {"reference": None},
            {"size_bytes": 45},
            {"bit_rate": None},
            {"channels": 1},
        ],
        ids=repr,
    )
    def test_another_job_with_the_same_key_is_refused(self, api: Api, cloud: Cloud, change: dict[str, Any]) -> None:
        made = api.post("/jobs", SONG, headers=KEY).json()
        before = cloud.item(made["id"])

        answer = api.post("/jobs", {**SONG, **change}, headers=KEY)

        assert is_problem(answer, 422, "idempotency-key-reused")
        assert cloud.item(made["id"]) == before

    @pytest.mark.parametrize(
        ("status", "has_link", "has_upload"),
        [
            (Status.AWAITING_UPLOAD, True, True),
            (Status.PROCESSING, True, False),
            (Status.READY, True, False),
            (Status.FAILED, True, True),
            (Status.CLAIMED, False, False),
            (Status.PURGED, False, False),
            (Status.EXPIRED, False, False),
        ],
    )
    def test_link_and_upload_are_there_while_they_are_of_use(
        self, api: Api, cloud: Cloud, status: Status, has_link: bool, has_upload: bool
    ) -> None:
        job = replace(api_job(status, id=idempotent_job_id(CALLER, KEY["Idempotency-Key"])), filename="song.wav")
        cloud.store.create(job)

        answer = api.post("/jobs", {"filename": "song.wav"}, headers=KEY)

        assert (answer.status, answer.json()["status"]) == (201, str(status))
        assert (answer.json()["link"] is not None, answer.json()["upload"] is not None) == (has_link, has_upload)

    def test_what_has_expired_gets_no_link(self, api: Api, cloud: Cloud) -> None:
        job_id = idempotent_job_id(CALLER, KEY["Idempotency-Key"])
        cloud.store.create(replace(api_job(Status.READY, id=job_id), expires_at=time.time()))

        document = api.post("/jobs", {"filename": "song.wav"}, headers=KEY).json()

        assert (document["status"], document["link"], document["upload"]) == ("expired", None, None)

    def test_after_twenty_more_links_there_is_no_further_one(self, api: Api) -> None:
        documents = [api.post("/jobs", SONG, headers=KEY).json() for _ in range(22)]

        assert [document["link"] is not None for document in documents] == [True] * 21 + [False]
        assert api.get(path_of(documents[0]["link"])).status == 200

    def test_an_answer_of_dynamodb_that_was_lost_costs_no_link(self, api: Api) -> None:
        api.post("/jobs", SONG, headers=KEY)

        with answer_lost_once(clients.dynamodb(), "UpdateItem") as losses:
            document = api.post("/jobs", SONG, headers=KEY).json()

        assert losses
        assert api.get(path_of(document["link"])).status == 200

    @pytest.mark.parametrize("key", ["", " ", "a b", "ä", "x" * 256, "a\tb"], ids=repr)
    def test_what_is_no_key_is_refused(self, api: Api, key: str) -> None:
        answer = api.post("/jobs", SONG, headers={"Idempotency-Key": key})

        assert is_problem(answer, 400, "invalid-request", field="Idempotency-Key")


def path_of(link: str) -> str:
    return urlsplit(link).path.removeprefix("/v1")


def make_ready(cloud: Cloud, path: str) -> Job:
    """The job behind a link, as a conversion would leave it."""
    job = cloud.job(path.rpartition("/")[2].partition(".")[0])
    now = time.time()
    cloud.store.begin(job, now=now, holder="h", request_id="r", lease_expires_at=now + 900)
    return cloud.store.complete(
        job.id,
        now=now,
        holder="h",
        source=SOURCE,
        result=RESULT,
        warnings=(),
        expires_at=now + 3600,
        lease_expires_at=now,
        secret_hash=None,
    )


class TestReference:
    @pytest.mark.parametrize("reference", ["order 4711", "ä \U0001f3b5 漢", "x" * 256, " ", "../../etc"], ids=repr)
    def test_it_is_kept_as_it_was_given(self, api: Api, reference: str) -> None:
        made = api.post("/jobs", {"filename": "song.wav", "reference": reference}).json()

        assert made["reference"] == reference
        assert api.get(f"/jobs/{made['id']}").json()["reference"] == reference
        assert [job["id"] for job in api.get("/jobs", reference=reference).json()["jobs"]] == [made["id"]]


class TestLinkAddress:
    def test_it_is_the_one_that_the_client_used(self, api: Api) -> None:
        answer = api.call("POST", "/jobs", body={"filename": "song.wav"}, domain="audio.example.com", stage_in_path="")

        assert answer.json()["link"].startswith("https://audio.example.com/d/")

    def test_a_forged_host_header_does_not_show_in_it(self, api: Api) -> None:
        forged = {"Host": "evil.example.com", "X-Forwarded-Host": "evil.example.com"}

        answer = api.post("/jobs", {"filename": "song.wav"}, headers=forged)

        assert urlsplit(answer.json()["link"]).netloc == DOMAIN

    @pytest.mark.parametrize(
        ("headers", "scheme"), [({"X-Forwarded-Proto": "http"}, "http"), ({"X-Forwarded-Proto": ""}, "https")]
    )
    def test_it_has_the_scheme_of_the_call(self, api: Api, headers: dict[str, str], scheme: str) -> None:
        """The gateway tells it; the embedded AWS is called without TLS."""
        answer = api.post("/jobs", {"filename": "song.wav"}, headers=headers)

        assert urlsplit(answer.json()["link"]).scheme == scheme

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
            *(({"reference": text}, "reference") for text in ("", "x" * 257, "a\nb")),
            ({"upload_key": "k", "reference": "r"}, "reference"),
            *(({"status": text}, "status") for text in ("", "READY", "done", "ready ")),
            ({"reference": "r", "status": "done"}, "status"),
            ({"status": "ready", "next_token": "x"}, "next_token"),
            *(({"upload_key": "k", "limit": limit}, "limit") for limit in ("", "0", "101", "-1", "1.5", "²", "1e1")),
            ({"upload_key": "k", "next_token": "x"}, "next_token"),
        ],
        ids=repr,
    )
    def test_what_is_wrong_is_named(self, api: Api, query: dict[str, str], field: str) -> None:
        assert is_problem(api.call("GET", "/jobs", query=query), 400, "invalid-request", field=field)

    @pytest.mark.parametrize("query", [{"reference": "order 4711"}, {"status": "ready"}], ids=repr)
    def test_jobs_of_a_reference_or_in_a_state_come_newest_first_page_by_page(
        self, api: Api, cloud: Cloud, query: dict[str, str]
    ) -> None:
        jobs = [api_job(Status.READY, reference="order 4711", created_at=1_800_000_000.0 + n) for n in range(3)]
        others = [api_job(Status.FAILED, reference="order"), direct_job(Status.FAILED)]
        for job in [*jobs, *others]:
            cloud.store.create(job)

        first = api.call("GET", "/jobs", query={"limit": "2", **query}).json()
        further = {"limit": "2", "next_token": first["next_token"]}
        second = api.call("GET", "/jobs", query={**further, **query}).json()

        assert first["jobs"] == [jobs[2].as_json(), jobs[1].as_json()]
        assert second == {"jobs": [jobs[0].as_json()], "next_token": None}

    def test_a_state_narrows_a_list(self, api: Api, cloud: Cloud) -> None:
        jobs = {status: api_job(status, reference="r", upload_key="k") for status in (Status.READY, Status.FAILED)}
        for job in jobs.values():
            cloud.store.create(job)

        lists = [
            api.call("GET", "/jobs", query={"status": "failed", name: value}).json()["jobs"]
            for name, value in (("reference", "r"), ("upload_key", "k"))
        ]

        assert lists == [[jobs[Status.FAILED].as_json()]] * 2

    def test_a_state_that_is_over_by_time_alone_is_left_out(self, api: Api, cloud: Cloud) -> None:
        cloud.store.create(api_job(Status.READY, expires_at=1.0))

        assert api.get("/jobs", status="ready").json()["jobs"] == []

    def test_a_page_of_a_hundred_comes_whole(self, api: Api, cloud: Cloud) -> None:
        for _ in range(100):
            cloud.store.create(api_job(Status.READY))

        assert len(api.get("/jobs", status="ready", limit="100").json()["jobs"]) == 100

    def test_what_the_index_still_has_but_the_table_has_not_is_left_out(self, api: Api) -> None:
        with listed_ids(UNKNOWN):
            answer = api.get("/jobs", status="ready")

        assert answer.json() == {"jobs": [], "next_token": None}


@contextmanager
def listed_ids(*job_ids: str) -> Iterator[None]:
    """Indexes answer with these ids, as one that is behind the table may."""

    def answer(**_: Any) -> Any:
        return HTTP_OK, {"Items": [{"id": {"S": job_id}} for job_id in job_ids]}

    events: Any = clients.dynamodb().meta.events
    events.register("before-call.dynamodb.Query", answer)
    try:
        yield
    finally:
        events.unregister("before-call.dynamodb.Query", answer)


class TestRetryAfter:
    @pytest.mark.parametrize(
        ("status", "seconds"), [(Status.AWAITING_UPLOAD, "15"), (Status.PROCESSING, "3"), (Status.FAILED, None)]
    )
    @pytest.mark.parametrize("headers", [{}, BROWSER], ids=["script", "browser"])
    def test_what_is_not_ready_says_when_to_ask_again(
        self, api: Api, cloud: Cloud, status: Status, seconds: str | None, headers: dict[str, str]
    ) -> None:
        job, token = linked(api_job(status))
        cloud.store.create(job)

        answers = [api.post(f"/d/{token}", headers=headers), api.post(f"/jobs/{job.id}/link", headers=headers)]

        assert [(answer.status, answer.headers.get("Retry-After")) for answer in answers] == [(409, seconds)] * 2


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
