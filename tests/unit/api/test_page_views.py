"""What the page says of a job in each state, from the job alone: no function and no AWS behind it."""

from __future__ import annotations

import re
from dataclasses import replace
from html import escape, unescape
from typing import Any

import pytest

from api.page import refusal_page
from api.page.languages import ENGLISH, Language
from api.page.views import View, Visit, claim_form, question, view_of
from audiojobs.errors import (
    AlreadyDownloaded,
    JobNotFound,
    LinkExpired,
    LinkLocked,
    PassphraseRequired,
    RequestError,
)
from audiojobs.job import Job, MultipartUpload, Notice, Status
from audiojobs.objects import PresignedForm
from audiojobs.settings import ApiSettings
from tests.unit.samples import NOTICE, RESULT, SOURCE, api_job

NOW = 1_800_000_000.0
SETTINGS = ApiSettings(jobs_table="jobs", upload_bucket="uploads", result_bucket="results", purge_queue_url="purges")
FORM = PresignedForm("https://uploads.example.com/?a&b", {"key": 'jobs/0"', "policy": "e30="})
GERMAN = Language("de", "de")


def job(status: Status, **values: Any) -> Job:
    return api_job(status, **({"expires_at": NOW + 7200, "filename": "<song>.wav"} | values))


def seen(job: Job, **visit: Any) -> View:
    values: dict[str, Any] = {"now": NOW, "settings": SETTINGS, "language": ENGLISH} | visit
    return view_of(Visit(job=job, document=job.as_json(), **values))


def words(html: str) -> str:
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", html)).split())


@pytest.mark.parametrize(
    ("status", "lead", "tab", "until"),
    [
        (Status.AWAITING_UPLOAD, "This link is waiting", "<song>.wav", "The link waits until 2027-01-15 10:00 UTC."),
        (Status.PROCESSING, "The file is being converted.", "43% <song>.wav", ""),
        (
            Status.READY,
            "Your MP3 is ready.",
            "Ready: <song>.wav",
            "Kept for 2 hours, until 2027-01-15 10:00 UTC.",
        ),
        (Status.CLAIMED, "This link has already been used.", "<song>.wav", ""),
        (Status.PURGED, "The file was downloaded or deleted.", "<song>.wav", ""),
        (Status.FAILED, "This file could not be converted.", "Failed: <song>.wav", ""),
        (Status.EXPIRED, "Nobody uploaded a file in time", "<song>.wav", ""),
    ],
)
def test_every_state_has_its_words(status: Status, lead: str, tab: str, until: str) -> None:
    view = seen(job(status, progress=0.437))

    assert view.title == "<song>.wav"
    assert view.lead.startswith(lead)
    assert view.tab == tab
    assert words(view.until).replace(" .", ".") == until
    assert view.can_delete is (status is not Status.PURGED)
    assert view.reloads is (status is Status.PROCESSING)


def test_a_result_that_nobody_fetched_is_told_from_a_file_that_nobody_sent() -> None:
    expired = seen(job(Status.EXPIRED, result=RESULT))

    assert expired.lead.startswith("Nobody downloaded the file in time")
    assert words(expired.content) == "Ask the sender of the link for the file, or upload it again."
    assert words(seen(job(Status.EXPIRED)).content) == "Ask the sender of the link for a new one."


@pytest.mark.parametrize("status", list(Status), ids=str)
def test_whoever_comes_back_from_the_upload_form_waits(status: Status) -> None:
    view = seen(job(status), has_sent=True)

    assert view.lead.startswith("The upload is complete.")
    assert (view.reloads, view.can_delete) == (True, False)
    assert "<progress aria-label=" in view.content


class TestUpload:
    def test_the_form_has_every_field_of_s3_and_one_file(self) -> None:
        content = seen(job(Status.AWAITING_UPLOAD), upload_form=FORM).content

        assert content.startswith(
            '<form method="post" enctype="multipart/form-data" action="https://uploads.example.com/?a&amp;b">'
            '<input type="hidden" name="key" value="jobs/0&quot;"><input type="hidden" name="policy" value="e30=">'
        )
        assert content.count('type="file"') == 1
        assert "Without JavaScript the upload shows no progress." in content
        assert "up to 2.0 GB" in words(content)

    def test_without_an_address_there_is_nothing_to_post_to(self) -> None:
        content = seen(job(Status.AWAITING_UPLOAD)).content

        assert content.startswith("<form><label")
        assert "noscript" not in content

    def test_one_that_was_begun_asks_for_the_same_file(self) -> None:
        begun = seen(job(Status.AWAITING_UPLOAD, multipart=MultipartUpload("id", 21_000_000, 5_242_880)))

        assert words(begun.content).startswith(
            "An upload was started here. To continue it, choose the same file (21 MB)."
        )
        assert "started here" not in seen(job(Status.AWAITING_UPLOAD)).content


class TestFailed:
    def test_another_file_can_be_chosen_while_there_is_an_address(self) -> None:
        failed = job(Status.FAILED)

        assert "Choose another file" in words(seen(failed, upload_form=FORM).content)
        assert 'name="another"' not in seen(failed).content

    @pytest.mark.parametrize(
        ("visit", "has_form"),
        [
            ({"wants_another": True, "upload_form": FORM}, True),
            ({"wants_another": True}, False),
            ({"upload_form": FORM}, False),
        ],
        ids=["asked for", "no address", "not asked for"],
    )
    def test_the_form_comes_when_it_is_asked_for(self, visit: dict[str, Any], has_form: bool) -> None:
        view = seen(job(Status.FAILED), **visit)

        assert ('type="file"' in view.content) is has_form
        assert view.can_delete
        assert bool(view.until) is has_form

    @pytest.mark.parametrize(
        ("error", "language", "expected"),
        [
            (Notice("no-audio", "No <sound>."), ENGLISH, "No <sound>. Play the file to check"),
            (Notice("no-audio", "No <sound>."), GERMAN, "Einzelheiten (auf Englisch) No <sound>."),
            (Notice("of-a-later-version", "New."), GERMAN, "New."),
            (Notice("of-a-later-version", "New."), ENGLISH, "New. Choose another file, or ask for a new link."),
            (
                Notice("truncated-audio", "It ends early.", 3600.0),
                ENGLISH,
                "The file says that it is 1:00:00 long, but it ends earlier. The file was probably cut off",
            ),
            (None, ENGLISH, "Choose another file, or ask for a new link."),
        ],
        ids=["English", "German", "unknown in German", "unknown", "declared", "no reason"],
    )
    def test_the_reason_is_told_with_what_to_do(self, error: Notice | None, language: Language, expected: str) -> None:
        said = words(seen(job(Status.FAILED, error=error), language=language).content)

        assert (expected in said) if language is GERMAN else said.startswith(expected)


class TestReady:
    def test_the_button_says_how_much_comes_and_the_note_how_long_it_may_take(self) -> None:
        content = seen(job(Status.READY)).content

        assert words(content).endswith(
            "Download MP3, 4.3 MB The link works once. After you start the download you have 5 minutes to finish, "
            "resume or restart it. Then the file is deleted."
        )
        assert "unseen" in content
        assert "warning" not in content
        assert "unchanged" not in content
        assert "passphrase" not in content

    @pytest.mark.parametrize(
        ("size_bytes", "span"),
        [(5_625_000, None), (5_625_001, "61 seconds"), (170_000_000, "30 minutes")],
        ids=["a minute", "more than a minute", "half an hour"],
    )
    def test_a_large_result_says_how_long_a_slow_line_takes(self, size_bytes: int, span: str | None) -> None:
        said = words(seen(job(Status.READY, result=replace(RESULT, size_bytes=size_bytes))).content)

        assert ("On a slow connection" in said) is (span is not None)
        assert span is None or said.endswith(f"On a slow connection (1 Mbit/s) the download takes up to {span}.")

    def test_what_comes_back_unchanged_says_so(self) -> None:
        content = seen(job(Status.READY, result=replace(RESULT, passthrough=True))).content

        assert '<p class="good">The file already is what you asked for.' in content

    def test_a_passphrase_is_asked_for(self) -> None:
        content = seen(job(Status.READY, passphrase_hash="scrypt:")).content

        assert 'name="passphrase" required' in content
        assert 'maxlength="128"' in content

    @pytest.mark.parametrize(
        ("user_agent", "is_in_app"),
        [
            ("Mozilla/5.0 (iPhone) AppleWebKit/605.1.15 Mobile/15E148 [FBAN/FBIOS;FBAV/450.0]", True),
            ("Mozilla/5.0 (Linux; Android 14; Pixel 8; wv) AppleWebKit/537.36 Chrome/120.0", True),
            ("Mozilla/5.0 (iPhone) AppleWebKit/605.1.15 Instagram 300.0", True),
            ("Mozilla/5.0 (iPhone) AppleWebKit/605.1.15 Version/17.0 Mobile/15E148 Safari/604.1", False),
            ("", False),
        ],
        ids=["Facebook", "Android WebView", "Instagram", "Safari", "none"],
    )
    def test_the_browser_of_an_app_is_warned(self, user_agent: str, is_in_app: bool) -> None:
        content = seen(job(Status.READY), user_agent=user_agent).content

        assert ("Open the link in your browser before you download" in content) is is_in_app

    @pytest.mark.parametrize(
        ("warning", "language", "expected"),
        [
            (NOTICE, ENGLISH, NOTICE.detail),
            (NOTICE, GERMAN, "Die Datei ist kürzer, als sie angibt."),
            (Notice("of-a-later-version", "New."), GERMAN, "New."),
            (replace(NOTICE, declared_seconds=3600.0), ENGLISH, "1:00:00 long, but only 3:01 could be read"),
            (replace(NOTICE, declared_seconds=181.4), ENGLISH, "181.4 s long, but only 181.25 s could be read"),
        ],
        ids=["English", "German", "unknown", "declared", "declared, nearly as long"],
    )
    def test_every_warning_is_told(self, warning: Notice, language: Language, expected: str) -> None:
        content = seen(job(Status.READY, warnings=(warning, warning)), language=language).content

        assert content.count('<p class="warning">') == 2
        assert words(content).count(expected) == 2

    @pytest.mark.parametrize(
        ("source", "before"),
        [
            (SOURCE, ["3:01", "32\xa0MB", "44.1\xa0kHz", "stereo", "WAV, 16-bit"]),
            (replace(SOURCE, duration_seconds=None), ["", "32\xa0MB", "44.1\xa0kHz", "stereo", "WAV, 16-bit"]),
            (replace(SOURCE, duration_seconds=0.0), ["0:00", "32\xa0MB", "44.1\xa0kHz", "stereo", "WAV, 16-bit"]),
            (None, [""] * 5),
        ],
        ids=["known", "length unknown", "empty", "unknown"],
    )
    def test_the_file_is_shown_before_and_after(self, source: Any, before: list[str]) -> None:
        content = seen(job(Status.READY, source=source)).content

        cells = [unescape(cell) for cell in re.findall(r"<td>(.*?)</td>", content)[1:]]
        assert cells[::2] == before
        assert cells[1::2] == ["3:01", "4.3\xa0MB", "32\xa0kHz", "stereo", "MP3, 192\xa0kb/s"]


class TestProcessing:
    @pytest.mark.parametrize(
        ("values", "bar", "figures"),
        [
            ({}, '<progress max="1" aria-label', ""),
            ({"progress": 0.437}, '<progress max="1" value="0.437" aria-label', "43%"),
            (
                {"progress": 0.437, "source": SOURCE},
                '<progress max="1" value="0.437" aria-label',
                "43% 3:01 of audio",
            ),
            ({"source": replace(SOURCE, duration_seconds=None)}, '<progress max="1" aria-label', ""),
        ],
        ids=["before it begins", "begun", "length known", "length unknown"],
    )
    def test_how_far_it_is_and_how_much_there_is(self, values: dict[str, Any], bar: str, figures: str) -> None:
        content = seen(job(Status.PROCESSING, **values)).content

        assert content.startswith(bar)
        assert words(content) == f"{figures} This page reloads by itself.".strip()


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0, "for another 5 minutes"), (299, "for another 1 second"), (300, "The download window has ended.")],
)
def test_whoever_comes_after_the_claim_is_told_what_is_left_of_the_window(seconds: float, said: str) -> None:
    content = words(seen(job(Status.CLAIMED, claimed_at=NOW - seconds)).content)

    assert said in content
    assert "If you did not use the link" in content
    assert "Sample rate" in content


def test_the_window_of_a_large_result_is_longer() -> None:
    large = job(Status.CLAIMED, claimed_at=NOW, result=replace(RESULT, size_bytes=170_000_000))

    assert "for another 30 minutes" in words(seen(large).content)


def test_a_purged_job_says_until_when_its_record_is_kept() -> None:
    said = words(seen(job(Status.PURGED)).content)

    assert "What is kept until 2027-01-22 10:00 UTC is the record of the job" in said


def test_the_question_whether_to_delete_can_be_answered_either_way() -> None:
    view = question(Visit(job(Status.READY), {}, NOW, SETTINGS, ENGLISH))

    assert '<input type="hidden" name="_method" value="DELETE">' in view.content
    assert '<input type="hidden" name="confirmed" value="yes">' in view.content
    assert 'href="?">Keep it</a>' in view.content
    assert (view.can_delete, view.reloads, view.is_named_for_file) == (False, False, True)


@pytest.mark.parametrize(("size", "button"), [("4 MB", "Download MP3, 4 MB"), ("", "Download MP3")])
def test_the_button_names_a_size_that_may_be_known(size: str, button: str) -> None:
    assert claim_form(ENGLISH.texts, size, needs_passphrase=False) == (
        f'<form method="post"><button class="wide">{button}</button></form>'
    )


REFUSALS = [AlreadyDownloaded, LinkExpired, JobNotFound, PassphraseRequired, LinkLocked]


@pytest.mark.parametrize("kind", REFUSALS, ids=lambda kind: kind.code)
@pytest.mark.parametrize("language", [ENGLISH, GERMAN], ids=lambda language: language.tag)
def test_a_refusal_has_the_words_of_its_language(kind: type[RequestError], language: Language) -> None:
    said = refusal_page(kind(), SETTINGS, language).partition("<script")[0]

    title, lead = language.texts["refusals"][kind.code]
    assert f">{escape(title)}</h1>" in said
    assert escape(lead) in said


@pytest.mark.parametrize("sentence", ["A sentence of its own.", "~ comes last"])
def test_a_refusal_with_a_sentence_of_its_own_says_it_in_english(sentence: str) -> None:
    error = AlreadyDownloaded(sentence)

    assert escape(sentence) in refusal_page(error, SETTINGS, ENGLISH).partition("<script")[0]
    assert escape(sentence) not in refusal_page(error, SETTINGS, GERMAN).partition("<script")[0]
