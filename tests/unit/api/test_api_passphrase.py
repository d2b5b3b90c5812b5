"""A job with a passphrase: the claim needs it, looking does not tell it, ten tries lock the link."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

import pytest

from api import app
from audiojobs import passphrases
from audiojobs.job import Job, Status
from audiojobs.passphrases import MAX_PASSPHRASE_TRIES, hash_passphrase
from tests.unit.api.test_api_jobs import KEY, SONG, is_problem, path_of
from tests.unit.api.test_links_tell_nothing import call, work
from tests.unit.cloud import Cloud
from tests.unit.conftest import Logs
from tests.unit.gateway import BROWSER, Answer, Api
from tests.unit.samples import api_job, linked
from tests.unit.service.service_in_memory import Service

PASSPHRASE = "three blue geese"
WRONG = {"passphrase": "four blue geese"}
RIGHT = {"passphrase": PASSPHRASE}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passphrases, "_COST", (2, 1, 1))


@pytest.fixture
def protected(cloud: Cloud) -> tuple[Job, str]:
    job, token = linked(api_job(Status.READY, passphrase_hash=hash_passphrase(PASSPHRASE)))
    cloud.store.create(job)
    cloud.put_result(job)
    return job, token


def try_wrong(api: Api, token: str, times: int) -> list[Answer]:
    return [api.post(f"/d/{token}", WRONG) for _ in range(times)]


class TestCreate:
    @pytest.mark.parametrize(
        "passphrase", [PASSPHRASE, "q!7§", "ä" * 128, "\U0001f9a2\U0001f9a2\U0001f9a2\U0001f9a2"], ids=repr
    )
    def test_it_is_stored_as_a_hash_and_shown_nowhere(self, api: Api, cloud: Cloud, passphrase: str) -> None:
        answer = api.post("/jobs", {"filename": "song.wav", "passphrase": passphrase})

        assert answer.status == 201
        stored = cloud.item(answer.json()["id"])
        assert stored["passphrase_hash"]["S"].startswith("scrypt:")
        for text in (answer.body, json.dumps(stored), api.get(f"/jobs/{answer.json()['id']}").body):
            assert json.dumps(passphrase)[1:-1] not in text
            assert passphrase not in text

    @pytest.mark.parametrize("passphrase", ["", "abc", "x" * 129, 1234, True, ["a"], "abc\n", "\u202eabcd"], ids=repr)
    def test_what_is_none_is_named(self, api: Api, passphrase: Any) -> None:
        answer = api.post("/jobs", {"filename": "song.wav", "passphrase": passphrase})

        assert is_problem(answer, 400, "invalid-request", field="passphrase")
        assert str(passphrase) not in answer.body or len(str(passphrase)) < 5

    @pytest.mark.parametrize(
        ("first", "second", "status"),
        [
            (PASSPHRASE, PASSPHRASE, 201),
            (PASSPHRASE, "other words", 422),
            (PASSPHRASE, None, 422),
            (None, PASSPHRASE, 422),
        ],
    )
    def test_asked_again_with_a_key_it_must_be_the_same(
        self, api: Api, first: str | None, second: str | None, status: int
    ) -> None:
        api.post("/jobs", {**SONG, "passphrase": first}, headers=KEY)

        assert api.post("/jobs", {**SONG, "passphrase": second}, headers=KEY).status == status


class TestClaim:
    @pytest.mark.parametrize(
        ("body", "headers"),
        [
            (RIGHT, {}),
            (RIGHT, {"Content-Type": "application/json"}),
            (RIGHT, FORM),
            (urlencode(RIGHT), FORM),
            (urlencode(RIGHT), {}),
            (urlencode({"more": "", **RIGHT}), BROWSER | FORM),
        ],
        ids=["JSON", "JSON that says so", "JSON of curl -d", "form", "form that does not say so", "browser"],
    )
    def test_with_the_passphrase_it_is_granted(
        self, api: Api, cloud: Cloud, protected: tuple[Job, str], body: Any, headers: dict[str, str]
    ) -> None:
        job, token = protected

        assert api.post(f"/d/{token}", body, headers=headers).status == 303
        assert cloud.job(job.id).status is Status.CLAIMED

    def test_a_form_may_come_in_base64(self, api: Api, protected: tuple[Job, str]) -> None:
        body = base64.b64encode(urlencode({"passphrase": PASSPHRASE}).encode()).decode()

        assert api.call("POST", f"/d/{protected[1]}", body=body, is_base64=True).status == 303

    @pytest.mark.parametrize("body", [None, "", "{}", {"passphrase": None}, "passphrase=", "other=1"], ids=repr)
    def test_without_it_nothing_is_tried(self, api: Api, cloud: Cloud, protected: tuple[Job, str], body: Any) -> None:
        job, token = protected

        answer = api.post(f"/d/{token}", body)

        assert is_problem(answer, 403, "passphrase-required")
        assert cloud.job(job.id) == job
        assert cloud.purge_messages() == []

    def test_a_wrong_one_is_counted_and_told(self, api: Api, cloud: Cloud, protected: tuple[Job, str]) -> None:
        answers = try_wrong(api, protected[1], 2)

        assert all(is_problem(answer, 403, "wrong-passphrase") for answer in answers)
        assert [answer.json()["detail"] for answer in answers] == [
            "The passphrase is wrong. 9 tries are left.",
            "The passphrase is wrong. 8 tries are left.",
        ]
        assert cloud.job(protected[0].id) == replace(protected[0], passphrase_tries=2)
        assert cloud.purge_messages() == []
        assert api.post(f"/d/{protected[1]}", RIGHT).status == 303

    @pytest.mark.parametrize(
        "body",
        [
            {"passphrase": ""},
            {"passphrase": 1},
            {"passphrase": ["a"]},
            {"passphrase": "x" * 129},
            {"other": "a"},
            "[]",
            "{",
            "passphrase=a&passphrase=b",
            "passphrase=" + "x" * 129,
        ],
        ids=lambda value: repr(value)[:30],
    )
    def test_what_is_no_passphrase_is_refused_and_not_counted(
        self, api: Api, cloud: Cloud, protected: tuple[Job, str], body: Any
    ) -> None:
        answer = api.post(f"/d/{protected[1]}", body)

        assert (answer.status, answer.json()["type"]) == (400, "invalid-request")
        assert cloud.job(protected[0].id) == protected[0]

    @pytest.mark.parametrize("body", ["null", "1", '"passphrase=a"', " ", "passphrase=a"], ids=repr)
    def test_what_says_that_it_is_json_must_be_an_object(self, api: Api, protected: tuple[Job, str], body: str) -> None:
        answer = api.post(f"/d/{protected[1]}", body, headers={"Content-Type": "application/json"})

        assert is_problem(answer, 400, "invalid-request")

    def test_a_job_without_one_takes_any(self, api: Api, cloud: Cloud) -> None:
        job, token = linked(api_job(Status.READY))
        cloud.store.create(job)

        assert api.post(f"/d/{token}", RIGHT).status == 303

    def test_who_was_granted_it_needs_only_the_key_to_have_it_again(self, api: Api, protected: tuple[Job, str]) -> None:
        key = {"Idempotency-Key": "4d6e3c0a-5b1f-4c39"}
        assert api.post(f"/d/{protected[1]}", RIGHT, headers=key).status == 303

        assert api.post(f"/d/{protected[1]}", headers=key).status == 303
        assert is_problem(api.post(f"/d/{protected[1]}", RIGHT), 410, "already-downloaded")


class TestLock:
    def test_ten_wrong_tries_lock_the_link_for_the_right_one_too(
        self, api: Api, cloud: Cloud, protected: tuple[Job, str]
    ) -> None:
        answers = try_wrong(api, protected[1], MAX_PASSPHRASE_TRIES)

        assert [answer.json()["type"] for answer in answers] == ["wrong-passphrase"] * 9 + ["link-locked"]
        assert answers[-2].json()["detail"] == "The passphrase is wrong. 1 try is left."
        assert is_problem(api.post(f"/d/{protected[1]}", RIGHT), 403, "link-locked")
        assert cloud.job(protected[0].id).status is Status.READY

    def test_the_tenth_try_may_be_the_right_one(self, api: Api, protected: tuple[Job, str]) -> None:
        try_wrong(api, protected[1], MAX_PASSPHRASE_TRIES - 1)

        assert api.post(f"/d/{protected[1]}", RIGHT).status == 303

    def test_a_locked_link_compares_nothing(
        self, api: Api, protected: tuple[Job, str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        try_wrong(api, protected[1], MAX_PASSPHRASE_TRIES)
        monkeypatch.setattr("api.links.is_passphrase", lambda *_: pytest.fail("compared"))

        answers = [api.post(f"/d/{protected[1]}", body) for body in (RIGHT, WRONG)]

        assert answers[0] == answers[1]

    def test_its_owner_renews_it_and_the_passphrase_stays(self, api: Api, protected: tuple[Job, str]) -> None:
        try_wrong(api, protected[1], MAX_PASSPHRASE_TRIES)

        renewed = path_of(api.post(f"/jobs/{protected[0].id}/link").json()["link"])

        assert is_problem(api.post(renewed), 403, "passphrase-required")
        assert api.post(renewed, RIGHT).status == 303

    def test_all_links_of_a_job_share_their_tries(self, api: Api, cloud: Cloud) -> None:
        paths = [path_of(api.post("/jobs", {**SONG, **RIGHT}, headers=KEY).json()["link"]) for _ in range(2)]
        job_id = paths[0].rpartition("/")[2].partition(".")[0]
        cloud.store._client.update_item(
            TableName=cloud.jobs_table,
            Key={"id": {"S": job_id}},
            UpdateExpression="SET #status = :ready",
            ExpressionAttributeNames={"#status": "status"},
            ExpressionAttributeValues={":ready": {"S": "ready"}},
        )

        answers = [api.post(path, WRONG) for _ in range(5) for path in paths]

        assert answers[-1].json()["type"] == "link-locked"

    def test_a_hundred_tries_at_once_are_ten(self, monkeypatch: pytest.MonkeyPatch) -> None:
        service = Service()
        created = service.create(passphrase=PASSPHRASE)
        item = dict(service.aws.items[created.job.id])
        service.aws.items[created.job.id] = item | {"status": {"S": "ready"}}
        compared: list[str] = []
        monkeypatch.setattr("api.links.is_passphrase", lambda given, _: compared.append(given))

        def guess(number: int) -> str:
            with pytest.raises(Exception) as refusal:  # noqa: PT011 - told apart below
                service.claim(f"{created.job.id}.{created.secret}", passphrase=f"guess {number}")
            return type(refusal.value).__name__

        with ThreadPoolExecutor(20) as guessers:
            answers = list(guessers.map(guess, range(100)))

        assert len(compared) == MAX_PASSPHRASE_TRIES
        assert sorted(answers) == ["LinkLocked"] * 91 + ["WrongPassphrase"] * 9


def without_time(page: str) -> str:
    """A page says what time it is, and how long the file is kept."""
    return re.sub(r"\d", "", page)


class TestLooking:
    def test_it_tells_that_one_is_needed_and_nothing_else(
        self, api: Api, cloud: Cloud, protected: tuple[Job, str]
    ) -> None:
        job, token = protected
        fresh = [api.get(f"/d/{token}").body, without_time(api.get(f"/d/{token}", headers=BROWSER).body)]
        try_wrong(api, token, MAX_PASSPHRASE_TRIES)

        assert json.loads(fresh[0]) == {**job.as_json(), "passphrase_required": True}
        after = [api.get(f"/d/{token}").body, without_time(api.get(f"/d/{token}", headers=BROWSER).body)]
        assert after == fresh
        assert cloud.job(job.id).status is Status.READY

    def test_a_job_without_one_says_nothing_of_it(self, api: Api, cloud: Cloud) -> None:
        job, token = linked(api_job(Status.READY))
        cloud.store.create(job)

        assert "passphrase_required" not in api.get(f"/d/{token}").json()
        assert 'name="passphrase"' not in api.get(f"/d/{token}", headers=BROWSER).body

    @pytest.mark.parametrize("body", [None, RIGHT, WRONG], ids=["none", "right", "wrong"])
    def test_a_wrong_link_is_that_of_an_unknown_job(
        self, api: Api, protected: tuple[Job, str], logs: Logs, body: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("api.links.is_passphrase", lambda *_: pytest.fail("compared"))
        call(api, logs, "POST", "warm", {})
        with work() as expected:
            unknown = api.post(f"/d/{'0' * 32}.{'A' * 43}", body)

        with work() as done:
            answer = api.post(f"/d/{protected[0].id}.{'A' * 43}", body)

        assert (answer, done) == (unknown, expected)
        assert is_problem(answer, 404, "job-not-found")


class TestPage:
    def test_the_form_asks_for_it(self, api: Api, protected: tuple[Job, str]) -> None:
        page = api.get(f"/d/{protected[1]}", headers=BROWSER).body

        [form] = re.findall(r'<form method="post">.*?</form>', page)
        assert '<label for="passphrase">' in form
        assert 'type="password" id="passphrase" name="passphrase" required' in form

    @pytest.mark.parametrize(
        ("body", "words", "asks_again"),
        [("", "needs a passphrase", True), (urlencode(WRONG), "9 tries are left", True)],
        ids=["none", "wrong"],
    )
    def test_a_refusal_asks_again(
        self, api: Api, protected: tuple[Job, str], body: str, words: str, asks_again: bool
    ) -> None:
        answer = api.post(f"/d/{protected[1]}", body, headers=BROWSER | FORM)

        assert answer.status == 403
        assert words in answer.body
        assert ('name="passphrase"' in answer.body) is asks_again
        assert "four blue geese" not in answer.body

    def test_a_locked_link_asks_no_more(self, api: Api, protected: tuple[Job, str]) -> None:
        try_wrong(api, protected[1], MAX_PASSPHRASE_TRIES)

        answer = api.post(f"/d/{protected[1]}", urlencode(RIGHT), headers=BROWSER | FORM)

        assert answer.status == 403
        assert 'name="passphrase"' not in answer.body


def test_no_log_line_has_it(api: Api, protected: tuple[Job, str], logs: Logs, configure: Callable[..., None]) -> None:
    configure()
    api.post("/jobs", {"filename": "song.wav", **RIGHT})
    api.post("/jobs", {"filename": "song.wav", "unknown": 1, **RIGHT})
    for body in (WRONG, urlencode(WRONG), {**WRONG, "more": 1}, RIGHT):
        api.post(f"/d/{protected[1]}", body)
    app._store().get(protected[0].id)

    assert logs.lines()
    assert "geese" not in logs.text
