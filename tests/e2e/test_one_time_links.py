"""Looking is free, one claim wins, and what was claimed is gone when its window ends."""

from __future__ import annotations

import hashlib
import secrets
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from threading import Barrier
from urllib.parse import urlsplit, urlunsplit

import pytest
import requests

from tests.e2e import sounds
from tests.e2e.service import JSON, REQUEST_SECONDS, Job, Service

AT_ONCE = 50
LOOKS = 100

PROBLEM = "application/problem+json"


@pytest.fixture(scope="module")
def song(files: Path) -> Path:
    return sounds.song(files / "linked.wav", seconds=2)


@pytest.fixture
def job(service: Service, song: Path) -> Job:
    """A ready job with its `link`."""
    return made_ready(service, song)


@pytest.fixture(scope="module")
def ready_job(service: Service, song: Path) -> Iterator[Job]:
    """The same for tests that don't use it up."""
    job = made_ready(service, song)
    yield job
    service.delete(job["id"])


def test_a_slash_at_the_end_of_a_link_does_no_harm(service: Service, job: Job) -> None:
    slashed = f"{job['link']}/"

    assert service.request("GET", slashed, headers=JSON).json()["id"] == job["id"]
    assert service.request("HEAD", slashed).status_code == 200
    page = service.request("GET", slashed, headers={"Accept": "text/html"})
    assert page.headers["Content-Type"].startswith("text/html")
    assert page.status_code == 200
    assert service.request("POST", slashed, headers=JSON).status_code == 303


def made_ready(service: Service, song: Path) -> Job:
    created = service.create_job("song.wav")
    service.send(created, song)
    job = service.ready(created["id"])
    service.finished(job["id"])
    return {**created, **job}


@dataclass(frozen=True, slots=True)
class Answer:
    """What one of many callers got; `download` is what it then got from where it was sent to."""

    response: requests.Response
    download: requests.Response | None


def at_once(count: int, method: str, url: str, *, times: int, headers: dict[str, str] = JSON) -> list[Answer]:
    """Send `count` equal requests at the same moment, each from a connection of its own, and that several times."""
    together = Barrier(count, timeout=REQUEST_SECONDS)

    def send(_: int) -> list[Answer]:
        answers = []
        with requests.Session() as session:
            session.trust_env = False
            for _ in range(times):
                together.wait()
                response = session.request(method, url, headers=headers, allow_redirects=False, timeout=REQUEST_SECONDS)
                location = response.headers.get("Location")
                answers.append(Answer(response, session.get(location, timeout=REQUEST_SECONDS) if location else None))
        return answers

    with ThreadPoolExecutor(count) as pool:
        return [answer for answers in pool.map(send, range(count)) for answer in answers]


def test_looking_a_hundred_times_and_then_fifty_claims_at_once(service: Service, job: Job) -> None:
    shown = service.job(job["id"])
    for few in range(10, AT_ONCE, 10):  # not all functions start at once: they share one machine here
        at_once(few, "HEAD", job["link"], times=1)

    heads = [answer.response for answer in at_once(AT_ONCE, "HEAD", job["link"], times=LOOKS // AT_ONCE)]
    gets = [answer.response for answer in at_once(AT_ONCE, "GET", job["link"], times=LOOKS // AT_ONCE)]

    assert Counter(answer.status_code for answer in (*heads, *gets)) == {200: 2 * LOOKS}
    assert {answer.content for answer in heads} == {b""}
    assert all(answer.json() == shown for answer in gets)
    assert service.job(job["id"]) == shown

    claims = at_once(AT_ONCE, "POST", job["link"], times=1)

    service.remember(*(answer.response.headers.get("Location", "") for answer in claims))
    winners = [answer for answer in claims if answer.response.status_code == 303]
    losers = [answer.response for answer in claims if answer.response.status_code == 410]
    assert (len(winners), len(losers)) == (1, AT_ONCE - 1)
    assert {answer.headers["Content-Type"] for answer in losers} == {PROBLEM}
    assert {answer.json()["type"] for answer in losers} == {"already-downloaded"}
    download = winners[0].download
    assert download is not None
    assert download.status_code == 200
    assert len(download.content) == job["result"]["size_bytes"]
    service.after_window(job["id"])
    assert not [key for key in service.objects(service.uploads) if job["id"] in key]


def test_the_download_can_be_resumed_and_repeated_until_the_window_ends(
    service: Service, job: Job, tmp_path: Path
) -> None:
    url = service.claim(job["link"])

    whole = service.request("GET", url)
    (tmp_path / "song.mp3").write_bytes(whole.content[:10_000])  # as a broken download leaves it
    service.curl("--fail", "-C", "-", "-o", "song.mp3", url, folder=tmp_path)
    middle = service.request("GET", url, headers={"Range": "bytes=100-199"})

    assert whole.headers["Content-Type"] == "audio/mpeg"
    assert whole.headers["Content-Disposition"].startswith('attachment; filename="song.32k.mp3"')
    assert len(whole.content) == job["result"]["size_bytes"]
    assert hashlib.sha256((tmp_path / "song.mp3").read_bytes()).digest() == hashlib.sha256(whole.content).digest()
    assert middle.status_code == 206
    assert middle.content == whole.content[100:200]
    service.after_window(job["id"])
    assert service.request("GET", url).status_code in (403, 404)  # S3 tells only those who may list the bucket


def test_a_presigned_url_opens_one_object_for_reading(service: Service, song: Path, job: Job) -> None:
    other = service.put("another.wav", song)
    [other_key] = service.objects(service.results, "another.wav")
    url = urlsplit(service.claim(job["link"]))

    elsewhere = urlunsplit(url._replace(path=f"/{service.results}/{other_key}"))
    unsigned = urlunsplit(url._replace(query=""))
    changed = urlunsplit(url._replace(query=url.query.replace("song.32k.mp3", "other.mp3")))

    assert changed != urlunsplit(url)
    for address in (elsewhere, unsigned, changed):
        assert service.request("GET", address).status_code == 403
    assert service.request("DELETE", urlunsplit(url)).status_code == 403
    assert service.request("GET", urlunsplit(url)).status_code == 200
    service.delete(other["id"])


def test_a_spent_link_still_tells_what_became_of_the_job(service: Service, job: Job) -> None:
    service.claim(job["link"])

    claimed = service.request("GET", job["link"], headers=JSON).json()
    service.after_window(job["id"])
    purged = service.request("GET", job["link"], headers=JSON).json()
    again = service.request("POST", job["link"], headers=JSON)

    assert (claimed["status"], purged["status"]) == ("claimed", "purged")
    assert (again.status_code, again.json()["type"]) == (410, "already-downloaded")


def test_a_claim_whose_answer_got_lost_is_answered_again(service: Service, job: Job) -> None:
    key = {"Idempotency-Key": secrets.token_hex(16), **JSON}
    service.secrets.add(key["Idempotency-Key"])

    answers = [answer.response for answer in at_once(2, "POST", job["link"], times=1, headers=key)]
    again = service.request("POST", job["link"], headers=key)
    others = [
        service.request("POST", job["link"], headers=headers)
        for headers in (JSON, {**key, "Idempotency-Key": "x" * 32})
    ]

    assert {answer.status_code for answer in (*answers, again)} == {303}
    assert {answer.status_code for answer in others} == {410}
    download = service.request("GET", again.headers["Location"])
    assert len(download.content) == job["result"]["size_bytes"]
    service.remember(*(answer.headers["Location"] for answer in answers))
    service.after_window(job["id"])
    assert service.request("POST", job["link"], headers=key).status_code == 410


def test_a_link_before_its_upload(service: Service) -> None:
    created = service.create_job("song.wav")

    look = service.request("GET", created["link"], headers=JSON)
    claim = service.request("POST", created["link"], headers=JSON)

    assert look.json()["status"] == "awaiting-upload"
    assert (claim.status_code, claim.headers["Content-Type"]) == (409, PROBLEM)
    assert claim.json()["type"] == "job-not-ready"
    service.delete(created["id"])


def wrong_secret(link: str) -> str:
    return link[:-1] + ("A" if link[-1] != "A" else "B")


def unknown_job(link: str) -> str:
    head, _, secret = link.rpartition(".")
    return f"{head[:-32]}{'0' * 32}.{secret}"


def no_token(link: str) -> str:
    return link.rpartition("/")[0] + "/anything"


@pytest.mark.parametrize("broken", [wrong_secret, unknown_job, no_token])
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_every_wrong_link_gets_the_same_answer(
    service: Service, ready_job: Job, method: str, broken: Callable[[str], str]
) -> None:
    answer = service.request(method, broken(ready_job["link"]), headers=JSON)

    assert (answer.status_code, answer.headers["Content-Type"]) == (404, PROBLEM)
    assert answer.json() == {
        "type": "job-not-found",
        "title": "There is no such job",
        "status": 404,
        "detail": "There is no such job.",
    }
    assert service.job(ready_job["id"])["status"] == "ready"


def test_a_renewed_link_kills_the_one_before(service: Service, job: Job) -> None:
    renewed = service.new_link(job["id"])

    assert renewed != job["link"]
    assert service.request("GET", job["link"], headers=JSON).status_code == 404
    assert service.request("POST", job["link"], headers=JSON).status_code == 404
    assert service.request("GET", renewed, headers=JSON).status_code == 200
    service.claim(renewed)
    refused = service.api("POST", f"/jobs/{job['id']}/link")
    assert (refused.status_code, refused.json()["type"]) == (410, "already-downloaded")


def test_whoever_has_the_link_can_delete(service: Service, job: Job) -> None:
    answer = service.request("DELETE", job["link"])

    assert (answer.status_code, answer.content) == (204, b"")
    assert not [key for key in service.objects(service.results) if job["id"] in key], "gone now, not later"
    assert service.job(job["id"])["status"] == "purged"
    claim = service.request("POST", job["link"], headers=JSON)
    assert (claim.status_code, claim.json()["type"]) == (410, "already-downloaded")


def test_an_expired_link_is_dead_though_its_record_is_still_there(service: Service, job: Job) -> None:
    service.stack.admin.client("dynamodb").update_item(
        TableName=service.stack.access.jobs_table,
        Key={"id": {"S": job["id"]}},
        UpdateExpression="SET expires_at = :past",
        ExpressionAttributeValues={":past": {"N": "1700000000"}},
    )

    look = service.request("GET", job["link"], headers=JSON)
    claim = service.request("POST", job["link"], headers=JSON)
    renewal = service.api("POST", f"/jobs/{job['id']}/link")

    assert look.json()["status"] == "expired"
    assert [(answer.status_code, answer.json()["type"]) for answer in (claim, renewal)] == [(410, "link-expired")] * 2
    service.delete(job["id"])


def test_a_browser_gets_a_page_with_a_button_that_claims(service: Service, job: Job) -> None:
    browser = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}

    page = service.request("GET", job["link"], headers=browser)
    claim = service.request("POST", job["link"], headers=browser)
    refused = service.request("POST", job["link"], headers=browser)

    assert page.headers["Content-Type"].startswith("text/html")
    assert '<form method="post"' in page.text
    assert "song.wav" in page.text
    assert page.headers["Cache-Control"] == "no-store"
    assert page.headers["Referrer-Policy"] == "no-referrer"
    assert claim.status_code == 303
    assert refused.status_code == 410
    assert refused.headers["Content-Type"].startswith("text/html")
