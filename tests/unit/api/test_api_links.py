"""``/d/{token}``: looking is free, the first claim wins, and a wrong link tells nothing."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from api import app
from api.links import Links
from audiojobs import clients
from audiojobs.errors import AlreadyDownloaded
from audiojobs.job import Job, Status
from audiojobs.links import hash_secret, new_secret
from tests.unit.api.test_api_jobs import is_problem
from tests.unit.cloud import Cloud, answer_lost_once, failing
from tests.unit.gateway import BROWSER, Answer, Api
from tests.unit.samples import NOTICE, api_job, direct_job, linked


@pytest.fixture
def ready(cloud: Cloud) -> tuple[Job, str]:
    """A job with its result, and its token."""
    return stored(cloud, api_job(Status.READY))


def stored(cloud: Cloud, job: Job) -> tuple[Job, str]:
    job, token = linked(job)
    cloud.store.create(job)
    if job.result:
        cloud.put_result(job)
    return job, token


class TestLook:
    @pytest.mark.parametrize("status", list(Status), ids=str)
    def test_scripts_get_the_job_as_json(self, api: Api, cloud: Cloud, status: Status) -> None:
        job, token = stored(cloud, api_job(status))

        answer = api.get(f"/d/{token}")

        assert answer.status == 200
        assert answer.headers["Content-Type"] == "application/json"
        assert answer.json().items() >= job.as_json().items()

    @pytest.mark.parametrize("status", list(Status), ids=str)
    def test_browsers_get_a_page(self, api: Api, cloud: Cloud, status: Status) -> None:
        _, token = stored(cloud, api_job(status, filename="<b>&\"'.wav"))

        answer = api.get(f"/d/{token}", headers=BROWSER)

        assert answer.status == 200
        assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
        assert "<b>" not in answer.body
        assert "&lt;b&gt;&amp;" in answer.body
        # The one exception: where S3 sends the browser back to, in a form for who has the link anyway.
        body = re.sub(r'name="success_action_redirect" value="[^"]*"', "", answer.body)
        assert token.partition(".")[2] not in body

    @pytest.mark.parametrize("name", ["accept", "ACCEPT", "Accept"])
    def test_header_names_have_no_case(self, api: Api, ready: tuple[Job, str], name: str) -> None:
        event_headers = {"Accept": "", name: "text/html"} if name == "Accept" else {name: "text/html"}

        answer = without_default_accept(api, f"/d/{ready[1]}", event_headers)

        assert answer.headers["Content-Type"].startswith("text/html")

    @pytest.mark.parametrize("accept", ["*/*", "application/json", "", "audio/mpeg, */*;q=0.1"], ids=repr)
    def test_who_does_not_ask_for_html_gets_json(self, api: Api, ready: tuple[Job, str], accept: str) -> None:
        answer = api.get(f"/d/{ready[1]}", headers={"Accept": accept})

        assert answer.headers["Content-Type"] == "application/json"

    @pytest.mark.parametrize("headers", [{}, BROWSER], ids=["json", "page"])
    def test_head_answers_as_get_does(self, api: Api, ready: tuple[Job, str], headers: dict[str, str]) -> None:
        get, head = api.get(f"/d/{ready[1]}", headers=headers), api.head(f"/d/{ready[1]}", headers=headers)

        assert (head.status, head.headers) == (get.status, get.headers)

    @pytest.mark.parametrize("headers", [{}, BROWSER], ids=["json", "page"])
    @pytest.mark.parametrize("status", list(Status), ids=str)
    def test_looking_changes_nothing(self, api: Api, cloud: Cloud, status: Status, headers: dict[str, str]) -> None:
        job, token = stored(cloud, api_job(status))
        before = cloud.item(job.id)

        for _ in range(3):
            api.get(f"/d/{token}", headers=headers)
            api.head(f"/d/{token}", headers=headers)

        assert cloud.item(job.id) == before
        assert cloud.purge_messages() == []

    def test_the_page_of_a_ready_job_claims_by_a_post_to_itself(self, api: Api, ready: tuple[Job, str]) -> None:
        page = api.get(f"/d/{ready[1]}", headers=BROWSER).body

        assert '<form method="post"><button class="wide">Download MP3, 4.3\u00a0MB</button></form>' in page
        assert 'action="' not in page

    @pytest.mark.parametrize("status", [status for status in Status if status is not Status.READY], ids=str)
    def test_the_page_of_any_other_job_has_no_claim(self, api: Api, cloud: Cloud, status: Status) -> None:
        _, token = stored(cloud, api_job(status))

        assert '<form method="post">' not in api.get(f"/d/{token}", headers=BROWSER).body

    def test_the_page_of_a_failed_job_says_why(self, api: Api, cloud: Cloud) -> None:
        _, token = stored(cloud, api_job(Status.FAILED))

        assert NOTICE.detail in api.get(f"/d/{token}", headers=BROWSER).body

    def test_a_slash_at_the_end_is_no_other_link(self, api: Api, ready: tuple[Job, str]) -> None:
        # API Gateway takes both to the same route, and hands the path over as it was called
        for headers in ({}, BROWSER):
            plain, slashed = api.get(f"/d/{ready[1]}", headers=headers), api.get(f"/d/{ready[1]}/", headers=headers)
            assert (slashed.status, slashed.headers, slashed.body) == (plain.status, plain.headers, plain.body)
        assert api.post(f"/d/{ready[1]}/").status == 303


class TestClaim:
    def test_the_first_claim_leads_to_the_result(self, api: Api, cloud: Cloud, ready: tuple[Job, str]) -> None:
        job, token = ready

        answer = api.post(f"/d/{token}")

        assert (answer.status, answer.body) == (303, "")
        url = urlsplit(answer.headers["Location"])
        query = parse_qs(url.query)
        assert url.netloc.startswith(cloud.result_bucket)
        assert url.path == f"/{job.result_key}"
        assert query["X-Amz-Expires"] == ["300"]
        assert 'filename="song.32k.mp3"' in query["response-content-disposition"][0]
        claimed = cloud.job(job.id)
        assert claimed.status is Status.CLAIMED
        assert claimed.purge_at == claimed.updated_at + 300

    @pytest.mark.parametrize("site", ["cross-site", "same-site"])
    @pytest.mark.parametrize("mode", ["cors", "no-cors"])
    def test_a_script_of_another_site_spends_nothing(
        self, api: Api, cloud: Cloud, ready: tuple[Job, str], site: str, mode: str
    ) -> None:
        job, token = ready

        answer = api.post(f"/d/{token}", headers={"Sec-Fetch-Site": site, "Sec-Fetch-Mode": mode})

        assert is_problem(answer, 403, "cross-origin-claim")
        assert cloud.job(job.id) == job
        assert cloud.purge_messages() == []

    @pytest.mark.parametrize(
        ("site", "mode"),
        [("same-origin", "cors"), ("same-origin", "navigate"), ("none", "navigate"), ("cross-site", "navigate")],
    )
    def test_the_page_and_every_form_may_claim(self, api: Api, ready: tuple[Job, str], site: str, mode: str) -> None:
        answer = api.post(f"/d/{ready[1]}", headers={"Sec-Fetch-Site": site, "Sec-Fetch-Mode": mode})

        assert answer.status == 303

    def test_programs_that_are_no_browsers_may_claim(self, api: Api, ready: tuple[Job, str]) -> None:
        # as fetch of Node.js sends it
        assert api.post(f"/d/{ready[1]}", headers={"Sec-Fetch-Mode": "cors"}).status == 303

    def test_the_purge_was_scheduled_before(self, api: Api, cloud: Cloud, ready: tuple[Job, str]) -> None:
        job, token = ready

        with failing(clients.dynamodb(), "UpdateItem"):
            answer = api.post(f"/d/{token}")

        assert is_problem(answer, 500, "internal-error")
        assert cloud.purge_messages() == [{"job_id": job.id}]
        assert cloud.job(job.id) == job

    @pytest.mark.parametrize(("window", "delay"), [("1", 2), ("300", 301), ("900", 900)])
    def test_the_purge_comes_when_the_window_has_ended(
        self, api: Api, cloud: Cloud, ready: tuple[Job, str], configure: Callable[..., None], window: str, delay: int
    ) -> None:
        configure(DOWNLOAD_WINDOW_SECONDS=window)

        api.post(f"/d/{ready[1]}")

        assert cloud.purge_messages() == [{"job_id": ready[0].id}]
        assert cloud.purge_delays() == [delay]

    def test_what_cannot_be_purged_later_is_not_claimed(self, api: Api, cloud: Cloud, ready: tuple[Job, str]) -> None:
        job, token = ready
        cloud.delete_purge_queue()

        answer = api.post(f"/d/{token}")

        assert is_problem(answer, 500, "internal-error")
        assert "Location" not in answer.headers
        assert cloud.job(job.id) == job

    def test_the_second_claim_comes_too_late(self, api: Api, cloud: Cloud, ready: tuple[Job, str]) -> None:
        assert api.post(f"/d/{ready[1]}").status == 303
        claimed = cloud.job(ready[0].id)

        answer = api.post(f"/d/{ready[1]}")

        assert is_problem(answer, 410, "already-downloaded")
        assert "Location" not in answer.headers
        assert cloud.job(ready[0].id) == claimed
        assert len(cloud.purge_messages()) == 1

    def test_a_claim_whose_answer_from_the_table_was_lost_is_not_lost(self, api: Api, ready: tuple[Job, str]) -> None:
        with answer_lost_once(clients.dynamodb(), "UpdateItem") as losses:
            answer = api.post(f"/d/{ready[1]}")

        assert losses
        assert answer.status == 303

    @pytest.mark.parametrize(
        ("status", "http_status", "code"),
        [
            (Status.AWAITING_UPLOAD, 409, "job-not-ready"),
            (Status.PROCESSING, 409, "job-not-ready"),
            (Status.FAILED, 409, "job-not-ready"),
            (Status.EXPIRED, 410, "link-expired"),
            (Status.CLAIMED, 410, "already-downloaded"),
            (Status.PURGED, 410, "already-downloaded"),
        ],
        ids=str,
    )
    def test_what_is_not_ready_is_refused_with_the_reason(
        self, api: Api, cloud: Cloud, status: Status, http_status: int, code: str
    ) -> None:
        job, token = stored(cloud, api_job(status))

        assert is_problem(api.post(f"/d/{token}"), http_status, code)
        assert cloud.job(job.id) == job
        assert cloud.purge_messages() == []

    def test_what_has_expired_is_refused_whatever_the_table_says(self, api: Api, cloud: Cloud) -> None:
        job, token = stored(cloud, api_job(Status.READY, expires_at=1.0))

        assert is_problem(api.post(f"/d/{token}"), 410, "link-expired")
        assert cloud.job(job.id) == job

    @pytest.mark.parametrize(
        "change",
        [
            lambda cloud, job: cloud.store.delete(job.id, now=1.0),
            lambda cloud, job: cloud.store.claim(job.id, now=1.0, secret_hash=job.secret_hash, purge_at=1.0),
            lambda cloud, job: cloud.store.renew_link(job.id, now=1.0, secret_hash="0" * 64),
            lambda cloud, job: clients.dynamodb().delete_item(TableName=cloud.jobs_table, Key={"id": {"S": job.id}}),
        ],
        ids=["deleted", "claimed", "renewed", "gone"],
    )
    def test_what_changes_between_look_and_claim_is_seen(
        self,
        api: Api,
        cloud: Cloud,
        ready: tuple[Job, str],
        change: Callable[[Cloud, Job], object],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        job, token = ready
        send = clients.sqs().send_message

        def send_and_change(**message: Any) -> Any:
            change(cloud, job)
            return send(**message)

        monkeypatch.setattr(clients.sqs(), "send_message", send_and_change)

        answer = api.post(f"/d/{token}")

        assert answer.status in (404, 410)
        assert "Location" not in answer.headers

    def test_a_browser_that_comes_too_late_gets_a_page(self, api: Api, ready: tuple[Job, str]) -> None:
        assert api.post(f"/d/{ready[1]}", headers=BROWSER).status == 303

        answer = api.post(f"/d/{ready[1]}", headers=BROWSER)

        assert answer.status == 410
        assert answer.headers["Content-Type"] == "text/html; charset=utf-8"

    @pytest.mark.parametrize("body", ["", "x=1", "a: 1", "\x00" * 100], ids=repr)
    def test_whatever_is_posted_does_not_matter(self, api: Api, ready: tuple[Job, str], body: str) -> None:
        assert api.post(f"/d/{ready[1]}", body).status == 303

    def test_the_policy_of_the_page_lets_its_form_lead_to_the_result(self, api: Api, ready: tuple[Job, str]) -> None:
        policy = api.get(f"/d/{ready[1]}", headers=BROWSER).headers["Content-Security-Policy"]
        target = urlsplit(api.post(f"/d/{ready[1]}", headers=BROWSER).headers["Location"])

        form_action = re.search(r"form-action ([^;]+)", policy)
        assert form_action is not None
        assert form_action[1].split()[0] == "'self'"
        assert f"{target.scheme}://{target.netloc}" in form_action[1].split()


KEY = "4d6e3c0a-5b1f-4c39-9a57-2f8e1d7b6a90"
OTHER_KEY = "4d6e3c0a-5b1f-4c39-9a57-2f8e1d7b6a91"


def keyed(key: str, **headers: str) -> dict[str, str]:
    return {"Idempotency-Key": key, **headers}


class TestClaimWithAKey:
    """Whose answer got lost asks again with the same key, and has the same claim."""

    def test_the_same_key_is_answered_again(self, api: Api, cloud: Cloud, ready: tuple[Job, str]) -> None:
        job, token = ready
        first = api.post(f"/d/{token}", headers=keyed(KEY))
        claimed = cloud.item(job.id)

        again = api.post(f"/d/{token}", headers=keyed(KEY))

        assert (first.status, again.status) == (303, 303)
        assert urlsplit(again.headers["Location"]).path == urlsplit(first.headers["Location"]).path
        assert cloud.item(job.id) == claimed, "the same claim, with the same end"
        assert len(cloud.purge_messages()) == 1

    def test_it_is_the_same_document_with_a_fresh_address(self, api: Api, ready: tuple[Job, str]) -> None:
        headers = keyed(KEY, Prefer="return=representation")

        first, again = (api.post(f"/d/{ready[1]}", headers=headers).json() for _ in range(2))

        addresses = [document["download"].pop("url") for document in (first, again)]
        assert first == again
        lives = [int(parse_qs(urlsplit(address).query)["X-Amz-Expires"][0]) for address in addresses]
        assert lives[0] == 300
        assert 0 < lives[1] < 300

    @pytest.mark.parametrize("headers", [{}, keyed(OTHER_KEY), keyed(KEY.upper()), keyed(KEY[:-1]), keyed(f'"{KEY}"')])
    def test_nobody_else_is_answered(
        self, api: Api, cloud: Cloud, ready: tuple[Job, str], headers: dict[str, str]
    ) -> None:
        api.post(f"/d/{ready[1]}", headers=keyed(KEY))

        answer = api.post(f"/d/{ready[1]}", headers=headers)

        assert is_problem(answer, 410, "already-downloaded")
        assert len(cloud.purge_messages()) == 1

    def test_a_claim_without_a_key_is_never_answered_again(self, api: Api, ready: tuple[Job, str]) -> None:
        assert api.post(f"/d/{ready[1]}").status == 303

        assert is_problem(api.post(f"/d/{ready[1]}", headers=keyed(KEY)), 410, "already-downloaded")

    def test_the_record_does_not_tell_the_key(self, api: Api, cloud: Cloud, ready: tuple[Job, str]) -> None:
        job, token = ready
        api.post(f"/d/{token}", headers=keyed(KEY))

        assert cloud.job(job.id).lease_holder == hash_secret(f"{token}.{KEY}")
        assert hash_secret(KEY) not in str(cloud.item(job.id)), "of a weak key the hash would be as good as the key"
        assert KEY not in str(cloud.item(job.id))

    def test_the_key_alone_opens_nothing(self, api: Api, cloud: Cloud, ready: tuple[Job, str]) -> None:
        job, token = ready
        api.post(f"/d/{token}", headers=keyed(KEY))
        other_job, other_token = stored(cloud, api_job(Status.CLAIMED))

        assert is_problem(api.post(f"/d/{job.id}.{new_secret()}", headers=keyed(KEY)), 404, "job-not-found")
        assert is_problem(api.post(f"/d/{other_token}", headers=keyed(KEY)), 410, "already-downloaded")
        assert cloud.job(other_job.id) == other_job

    @pytest.mark.usefixtures("configure")
    def test_with_the_end_of_the_window_it_is_over(self, cloud: Cloud) -> None:
        job, token = stored(cloud, api_job(Status.READY))
        now = job.created_at
        links = Links(app._settings(), cloud.store, cloud.results, cloud.schedule, cloud.announcer, clock=lambda: now)
        claim = links.claim(token, key=KEY)

        def seconds_of_the_answer_after(seconds: float) -> int:
            nonlocal now
            now = job.created_at + seconds
            again = links.claim(token, key=KEY)
            assert again.expires_at == claim.expires_at == job.created_at + 300
            return int(parse_qs(urlsplit(again.url).query)["X-Amz-Expires"][0])

        assert [seconds_of_the_answer_after(seconds) for seconds in (0, 0.5, 100, 298.9, 299)] == [300, 299, 200, 1, 1]
        for seconds in (299.1, 300, 301, 10_000):
            with pytest.raises(AlreadyDownloaded):
                seconds_of_the_answer_after(seconds)

    @pytest.mark.parametrize("end", ["purged", "deleted"])
    def test_what_is_gone_is_not_answered(self, api: Api, cloud: Cloud, ready: tuple[Job, str], end: str) -> None:
        job, token = ready
        api.post(f"/d/{token}", headers=keyed(KEY))
        if end == "purged":
            cloud.store.purge(job.id, now=job.created_at + 1000)
        else:
            api.delete(f"/d/{token}")

        assert is_problem(api.post(f"/d/{token}", headers=keyed(KEY)), 410, "already-downloaded")

    def test_two_calls_at_once_with_one_key_are_one_claim(
        self, api: Api, cloud: Cloud, ready: tuple[Job, str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        job, token = ready
        send = clients.sqs().send_message
        inner: list[Answer] = []

        def send_while_another_claims(**message: Any) -> Any:
            monkeypatch.setattr(clients.sqs(), "send_message", send)
            inner.append(api.post(f"/d/{token}", headers=keyed(KEY, Prefer="return=representation")))
            return send(**message)

        monkeypatch.setattr(clients.sqs(), "send_message", send_while_another_claims)

        outer = api.post(f"/d/{token}", headers=keyed(KEY, Prefer="return=representation"))

        assert [inner[0].status, outer.status] == [200, 200]
        assert outer.json()["download"]["expires_at"] == inner[0].json()["download"]["expires_at"]
        assert outer.json()["updated_at"] == inner[0].json()["updated_at"]
        assert cloud.job(job.id).status is Status.CLAIMED

    @pytest.mark.parametrize(
        "key", ["", "x" * 7, "x" * 129, "eight en", "ä" * 8, "a\tb\tc\td\te", "eight\n88"], ids=repr
    )
    def test_a_key_that_is_none_is_refused_and_spends_nothing(
        self, api: Api, cloud: Cloud, ready: tuple[Job, str], key: str
    ) -> None:
        answer = api.post(f"/d/{ready[1]}", headers=keyed(key))

        assert is_problem(answer, 400, "invalid-request", field="Idempotency-Key")
        assert cloud.job(ready[0].id) == ready[0]

    @pytest.mark.parametrize("key", ["x" * 8, "x" * 128, "!~#$%&'()"], ids=repr)
    def test_any_printable_key_will_do(self, api: Api, ready: tuple[Job, str], key: str) -> None:
        assert [api.post(f"/d/{ready[1]}", headers={"idempotency-key": key}).status for _ in range(2)] == [303, 303]

    def test_a_wrong_link_is_not_found_with_and_without_a_key(self, api: Api, ready: tuple[Job, str]) -> None:
        wrong = f"/d/{ready[0].id}.{new_secret()}"

        assert api.post(wrong, headers=keyed(KEY)) == api.post(wrong)


class TestDelete:
    @pytest.mark.parametrize("status", list(Status), ids=str)
    def test_the_holder_of_the_link_can_delete_the_job_in_any_state(
        self, api: Api, cloud: Cloud, status: Status
    ) -> None:
        job, token = stored(cloud, api_job(status))
        cloud.upload(job.upload_key)

        answer = api.delete(f"/d/{token}")

        assert (answer.status, answer.body) == (204, "")
        assert cloud.job(job.id).status is Status.PURGED
        assert cloud.upload_keys() == cloud.result_keys() == []
        assert is_problem(api.post(f"/d/{token}"), 410, "already-downloaded")


class TestWrongLinks:
    """A wrong secret, an unknown job and garbage: the same answer, down to the last header."""

    @pytest.fixture
    def tokens(self, cloud: Cloud) -> list[str]:
        ready, token = stored(cloud, api_job(Status.READY))
        unlinked = direct_job()
        cloud.store.create(unlinked)
        secret = token.partition(".")[2]
        return [
            f"{ready.id}.{new_secret()}",
            f"{ready.id}.{secret[:-1]}",
            f"{ready.id}.{ready.secret_hash}",
            f"{ready.id}.",
            ready.id,
            f"{unlinked.id}.{secret}",
            f"{unlinked.id}.{new_secret()}",
            f"{api_job().id}.{secret}",
            "garbage",
            "..",
            "%2e%2e",
            'a"b',
            "a/b",
            "",
            "x" * 5000,
            "ä",
        ]

    @pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "DELETE"])
    @pytest.mark.parametrize("headers", [{}, BROWSER], ids=["json", "page"])
    def test_they_are_all_the_same_404(self, api: Api, tokens: list[str], method: str, headers: dict[str, str]) -> None:
        answers = [api.call(method, f"/d/{token}", headers=headers) for token in tokens]

        assert {answer.status for answer in answers} == {404}
        assert all(answer == answers[0] for answer in answers)

    def test_they_change_nothing(self, api: Api, cloud: Cloud, tokens: list[str]) -> None:
        before = clients.dynamodb().scan(TableName=cloud.jobs_table)["Items"]

        for token in tokens:
            api.post(f"/d/{token}")
            api.delete(f"/d/{token}")

        assert clients.dynamodb().scan(TableName=cloud.jobs_table)["Items"] == before
        assert cloud.purge_messages() == []
        assert len(cloud.result_keys()) == 1


def without_default_accept(api: Api, path: str, headers: dict[str, str]) -> Answer:
    """A call with these spellings of the header names and no others."""
    blank = {name: value for name, value in headers.items() if value}
    return api.call("GET", path, headers={**blank, "Accept": ""} if "Accept" not in blank else blank)
