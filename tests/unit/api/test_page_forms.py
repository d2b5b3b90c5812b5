"""What the page gives to people without JavaScript: forms that upload and delete, and the same state as to others."""

from __future__ import annotations

import base64
import json
import re
from html import unescape
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from audiojobs.job import Job, MultipartUpload, Notice, Status
from tests.unit.api.test_api_jobs import is_problem
from tests.unit.api.test_api_links import stored
from tests.unit.cloud import Cloud
from tests.unit.gateway import BROWSER, PUBLIC_URL, Answer, Api
from tests.unit.samples import NOTICE, api_job

FORM = {"Content-Type": "application/x-www-form-urlencoded"}
DELETE = "_method=DELETE"
CONFIRMED = "_method=DELETE&confirmed=yes"


def page(api: Api, token: str, **query: str) -> Answer:
    return api.call("GET", f"/d/{token}", headers=BROWSER, query=query)


def data(answer: Answer, name: str) -> Any:
    """What a page brings along as JSON."""
    found = re.search(rf'<script type="application/json" id="{name}">(.*?)</script>', answer.body, re.DOTALL)
    assert found
    return json.loads(found[1])


def fields(answer: Answer) -> dict[str, str]:
    """The hidden fields of the upload form."""
    form = re.search(r'<form method="post" enctype="multipart/form-data".*?</form>', answer.body, re.DOTALL)
    assert form
    return {name: unescape(value) for name, value in re.findall(r'name="([^"]+)" value="([^"]*)"', form[0])}


# ---------------------------------------------------------------- the state that comes along


@pytest.mark.parametrize("status", list(Status), ids=str)
def test_the_page_brings_what_scripts_would_ask_for(api: Api, cloud: Cloud, status: Status) -> None:
    job, token = stored(cloud, api_job(status, filename="</script><!-- <b>.wav"))

    answer = page(api, token)

    asked = api.get(f"/d/{token}").json()
    brought = data(answer, "state")["job"]
    assert brought.keys() == asked.keys()
    assert brought.items() >= job.as_json().items()
    assert answer.body.count("</script>") == 4


def test_an_unknown_link_brings_no_job(api: Api) -> None:
    assert data(page(api, "x"), "state") == {"job": {"status": "unknown"}}


def test_a_title_that_is_a_name_may_be_cut_and_a_sentence_is_shown_whole(api: Api, cloud: Cloud) -> None:
    _, token = stored(cloud, api_job())

    assert '<h1 id="title" class="clamped"' in page(api, token).body
    assert '<h1 id="title" class=""' in page(api, "x").body


def test_a_page_that_waits_for_an_answer_is_left_as_it_is_by_its_script(api: Api, cloud: Cloud) -> None:
    """A question whether to delete, and one for a passphrase; what is refused for good asks nothing."""
    _, token = stored(cloud, api_job(Status.READY, passphrase_hash="scrypt:"))
    _, claimed = stored(cloud, api_job(Status.CLAIMED))

    question = api.post(f"/d/{token}", DELETE, headers=BROWSER | FORM)
    passphrase = api.post(f"/d/{token}", "", headers=BROWSER | FORM)
    refused = api.post(f"/d/{claimed}", "", headers=BROWSER | FORM)

    assert data(question, "state") == data(passphrase, "state") == {"job": None, "stays": True}
    assert data(refused, "state") == {"job": None}


# ---------------------------------------------------------------- upload


def test_the_upload_form_takes_one_key_and_no_larger_file_than_is_allowed(api: Api, cloud: Cloud) -> None:
    job, token = stored(cloud, api_job())

    given = fields(page(api, token))

    policy = json.loads(base64.b64decode(given["policy"]))
    assert ["content-length-range", 1, 2_048_000_000] in policy["conditions"]
    assert {"key": job.upload_key} in policy["conditions"]
    assert {"bucket": cloud.upload_bucket} in policy["conditions"]
    assert {"success_action_redirect": given["success_action_redirect"]} in policy["conditions"]
    assert "starts-with" not in json.dumps(policy)
    assert given["key"] == job.upload_key
    assert given["success_action_redirect"].startswith(f"{PUBLIC_URL}/d/{token}?sent=")


def test_the_upload_form_takes_no_other_size_than_the_announced_one(api: Api, cloud: Cloud) -> None:
    _, token = stored(cloud, api_job(upload_size_bytes=1234))

    policy = json.loads(base64.b64decode(fields(page(api, token))["policy"]))

    assert ["content-length-range", 1234, 1234] in policy["conditions"]


def test_the_policy_of_the_page_lets_the_upload_form_lead_to_the_bucket(api: Api, cloud: Cloud) -> None:
    _, token = stored(cloud, api_job())

    answer = page(api, token)

    target = urlsplit(re.search(r'enctype="multipart/form-data" action="([^"]+)"', answer.body)[1])  # type: ignore[index]
    form_action = re.search(r"form-action ([^;]+)", answer.headers["Content-Security-Policy"])
    assert form_action
    assert f"{target.scheme}://{target.netloc}" in form_action[1].split()


def test_who_comes_back_from_the_form_waits_and_is_not_asked_for_the_file_again(api: Api, cloud: Cloud) -> None:
    job, token = stored(cloud, api_job())
    sent = parse_qs(urlsplit(fields(page(api, token))["success_action_redirect"]).query)["sent"][0]

    back = page(api, token, sent=sent, bucket="any", key=job.upload_key, etag='"0"')

    assert "The upload is complete." in back.body
    assert 'http-equiv="refresh"' in back.body
    assert 'type="file"' not in back.body.partition("<script")[0]
    assert "The upload is complete." not in page(api, token, sent="1").body.partition("<script")[0]


def test_a_form_that_waits_for_a_file_does_not_reload_and_lose_it(api: Api, cloud: Cloud) -> None:
    _, token = stored(cloud, api_job())

    assert 'http-equiv="refresh"' not in page(api, token).body


def test_a_file_at_fault_leads_to_another_form(api: Api, cloud: Cloud) -> None:
    job, token = stored(cloud, api_job(Status.FAILED))

    first, second = page(api, token), page(api, token, another="yes")

    assert 'name="another"' in first.body
    assert 'type="file"' not in first.body.partition("<script")[0]
    assert fields(second)["key"] == job.upload_key


@pytest.mark.parametrize("status", [Status.PROCESSING, Status.READY, Status.PURGED, Status.EXPIRED], ids=str)
def test_no_other_page_has_a_form_that_uploads(api: Api, cloud: Cloud, status: Status) -> None:
    _, token = stored(cloud, api_job(status))

    for query in ({}, {"another": "yes"}, {"sent": "1"}):
        assert "multipart/form-data" not in page(api, token, **query).body


# ---------------------------------------------------------------- delete


def test_delete_by_a_form_asks_first(api: Api, cloud: Cloud) -> None:
    job, token = stored(cloud, api_job(Status.READY))

    answer = api.post(f"/d/{token}", DELETE, {**BROWSER, **FORM})

    assert answer.status == 200
    assert "Delete it now?" in answer.body
    assert 'name="confirmed"' in answer.body
    assert cloud.job(job.id) == job


def test_delete_by_a_form_deletes_and_shows_it(api: Api, cloud: Cloud) -> None:
    job, token = stored(cloud, api_job(Status.READY))

    answer = api.post(f"/d/{token}", CONFIRMED, {**BROWSER, **FORM})

    assert (answer.status, answer.headers["Location"]) == (303, f"/v1/d/{token}")
    assert cloud.job(job.id).status is Status.PURGED
    assert cloud.result_keys() == []


def test_a_script_that_deletes_by_a_form_is_not_asked(api: Api, cloud: Cloud) -> None:
    job, token = stored(cloud, api_job(Status.READY))

    assert api.post(f"/d/{token}", DELETE, FORM).status == 204
    assert cloud.job(job.id).status is Status.PURGED


@pytest.mark.parametrize("body", ["_method=PUT", "_method=", "_method=delete", "x&_method=GET"])
def test_a_form_that_asks_for_anything_else_spends_nothing(api: Api, cloud: Cloud, body: str) -> None:
    job, token = stored(cloud, api_job(Status.READY))

    assert is_problem(api.post(f"/d/{token}", body, FORM), 400, "invalid-request", field="_method")
    assert cloud.job(job.id) == job


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ("", "application/x-www-form-urlencoded"),
        ("anything", "text/plain"),
        (DELETE, "text/plain"),
        ("_method=POST", None),
    ],
)
def test_every_other_post_is_the_claim(api: Api, cloud: Cloud, body: str, kind: str | None) -> None:
    _, token = stored(cloud, api_job(Status.READY))

    answer = api.post(f"/d/{token}", body, {"Content-Type": kind} if kind else {})

    assert answer.status == 303
    assert "X-Amz-Signature" in answer.headers["Location"]


def test_a_wrong_link_cannot_delete_by_a_form(api: Api, cloud: Cloud) -> None:
    job, _ = stored(cloud, api_job(Status.READY))

    answer = api.post(f"/d/{job.id}.{'A' * 43}", CONFIRMED, {**BROWSER, **FORM})

    assert answer.status == 404
    assert cloud.job(job.id) == job


# ---------------------------------------------------------------- words


def visible(answer: Answer) -> str:
    body = re.sub(r"<(script|style).*?</\1>", "", answer.body, flags=re.DOTALL)
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", body)).split())


def test_a_form_for_another_file_can_delete_too(api: Api, cloud: Cloud) -> None:
    _, token = stored(cloud, api_job(Status.FAILED))

    assert 'id="foot" class="foot">' in page(api, token, another="yes").body


@pytest.mark.parametrize("status", list(Status), ids=str)
def test_whatever_is_still_there_can_be_deleted(api: Api, cloud: Cloud, status: Status) -> None:
    _, token = stored(cloud, api_job(status))

    body = page(api, token).body

    assert ('id="foot" class="foot" hidden' in body) is (status is Status.PURGED)


@pytest.mark.parametrize("status", list(Status), ids=str)
def test_only_the_page_of_a_conversion_reloads(api: Api, cloud: Cloud, status: Status) -> None:
    _, token = stored(cloud, api_job(status))

    assert ('http-equiv="refresh"' in page(api, token).body) is (status is Status.PROCESSING)


def test_a_partial_result_says_how_long_the_file_declared_to_be(api: Api, cloud: Cloud) -> None:
    notice = Notice(NOTICE.code, NOTICE.detail, declared_seconds=3600.0)
    _, token = stored(cloud, api_job(Status.READY, warnings=(notice,)))

    assert "it is 1:00:00 long, but only 3:01 could be read" in visible(page(api, token))


def test_a_stranger_is_told_what_is_left_of_the_window(api: Api, cloud: Cloud) -> None:
    job, token = stored(cloud, api_job(Status.READY))
    api.post(f"/d/{token}")

    said = visible(page(api, token))

    assert re.search(r"for another (5 minutes|29\d seconds)", said)
    assert "If you did not use the link" in said
    assert cloud.job(job.id).claimed_at


def test_a_purged_job_says_what_its_record_holds_and_until_when(api: Api, cloud: Cloud) -> None:
    job, token = stored(cloud, api_job(Status.PURGED, expires_at=1_800_000_000.0))

    said = visible(page(api, token))

    assert "What is kept until 2027-01-22 08:00 UTC is the record of the job" in said
    assert "It holds no sound." in said
    assert job.expires_at + 7 * 86_400 == 1_800_604_800


def test_there_is_one_list_of_formats(api: Api, cloud: Cloud) -> None:
    error = Notice("unsupported-format", "This is a PDF document. Please send WAV, MP3, FLAC, Ogg or AAC.")
    _, token = stored(cloud, api_job(Status.FAILED, error=error))

    assert visible(page(api, token)).count("MP3, FLAC") == 1


def test_an_upload_that_was_begun_in_parts_is_told_of(api: Api, cloud: Cloud) -> None:
    job, token = stored(cloud, api_job(multipart=MultipartUpload("id", 21_000_000, 5_242_880)))

    assert "choose the same file (21 MB)" in visible(page(api, token))
    assert isinstance(job, Job)
