"""A large file through the page: parts, interruptions, a reload in the middle, and another file at the same link."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from tests.e2e.browser import Visitor, chromium, visitor
from tests.e2e.service import Job, Service, until
from tests.e2e.sounds import song

SECONDS = 120  # 21 MB: five parts
PARTS = 5
PART = re.compile(r"[?&]partNumber=")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def window(browser: Browser) -> Iterator[Visitor]:
    with visitor(browser) as window:
        yield window


@pytest.fixture(scope="module")
def wav(files: Path) -> Path:
    return song(files / "large.wav", seconds=SECONDS)


def choose(page: Page, path: Path) -> None:
    page.get_by_label(re.compile("Drop an audio file here")).set_input_files(path)


def part_number(route: Route) -> int:
    return int(parse_qs(urlsplit(route.request.url).query)["partNumber"][0])


def upload_ids(service: Service, job: Job) -> list[tuple[str, str]]:
    """Key and id of the multipart uploads of a job that S3 knows."""
    uploads = service.stack.admin.client("s3").list_multipart_uploads(Bucket=service.uploads).get("Uploads", [])
    return [(upload["Key"], upload["UploadId"]) for upload in uploads if job["id"] in upload["Key"]]


def parts_there(service: Service, job: Job) -> int:
    s3 = service.stack.admin.client("s3")
    return sum(
        len(s3.list_parts(Bucket=service.uploads, Key=key, UploadId=upload_id).get("Parts", []))
        for key, upload_id in upload_ids(service, job)
    )


def no_parts_are_left(service: Service, job: Job) -> bool:
    return not upload_ids(service, job)


def test_a_large_file_goes_on_after_a_reload_where_it_was(service: Service, window: Visitor, wav: Path) -> None:
    job = service.create_job("large.wav")
    page = window.page
    arrived: Counter[int] = Counter()
    held: list[Route] = []

    def hold_the_last(route: Route) -> None:
        if route.request.method != "PUT" or part_number(route) < PARTS:
            if route.request.method == "PUT":
                arrived[part_number(route)] += 1
            route.continue_()
        else:
            held.append(route)

    page.route(PART, hold_the_last)
    page.goto(job["link"])
    choose(page, wav)
    expect(page.get_by_text("Uploading large.wav")).to_be_visible()
    expect(page.get_by_text(re.compile(r"of 21\sMB"))).to_be_visible()
    until(lambda: page.title() and parts_there(service, job) == PARTS - 1, "all parts but one have arrived")

    page.on("dialog", lambda dialog: dialog.accept())
    page.reload()
    expect(page.get_by_text("An upload was started here.")).to_be_visible()
    page.unroute(PART)
    page.route(PART, lambda route: (arrived.update([part_number(route)]), route.continue_()))
    choose(page, wav)
    expect(page.get_by_role("button", name="Download")).to_be_visible()

    assert arrived == Counter(range(1, PARTS + 1)), "no part was sent twice"
    assert service.job(job["id"])["source"]["size_bytes"] == wav.stat().st_size
    assert no_parts_are_left(service, job)
    service.delete(job["id"])


def test_a_part_that_fails_is_sent_again_alone(service: Service, window: Visitor, wav: Path) -> None:
    job = service.create_job("large.wav")
    page = window.page
    sent: Counter[int] = Counter()

    def break_the_second_once(route: Route) -> None:
        if route.request.method == "PUT":
            sent[part_number(route)] += 1
            if sent[2] == 1 and part_number(route) == 2:
                return route.abort("connectionreset")
        return route.continue_()

    page.route(PART, break_the_second_once)
    page.goto(job["link"])
    choose(page, wav)
    expect(page.get_by_role("button", name="Download")).to_be_visible()

    assert sent == Counter({**dict.fromkeys(range(1, PARTS + 1), 1), 2: 2})
    service.delete(job["id"])


def test_a_completion_whose_answer_was_lost_is_no_problem(service: Service, window: Visitor, wav: Path) -> None:
    """Asked again, the service has the file already."""
    job = service.create_job("large.wav")
    page = window.page
    lost: list[str] = []

    def lose(route: Route) -> None:
        route.fetch()
        lost.append(route.request.url)
        until(lambda: service.job(job["id"])["status"] != "awaiting-upload", "the conversion has begun")
        route.abort("connectionreset")

    page.route("**/upload/complete", lose)
    page.goto(job["link"])
    choose(page, wav)
    expect(page.get_by_role("button", name="Download")).to_be_visible()

    assert len(lost) == 1
    expect(page.get_by_role("alert")).to_have_count(0)
    service.delete(job["id"])


def test_an_upload_is_paused_and_given_up(service: Service, window: Visitor, wav: Path) -> None:
    job = service.create_job("large.wav")
    page = window.page
    page.route(PART, lambda route: None if part_number(route) == PARTS else route.continue_())
    page.goto(job["link"])
    choose(page, wav)
    page.get_by_role("button", name="Pause").click()
    expect(page.get_by_text("The upload is paused.").first).to_be_visible()
    page.get_by_role("button", name="Resume").click()
    expect(page.get_by_text("Uploading large.wav")).to_be_visible()

    page.get_by_role("button", name="Cancel").click()

    expect(page.get_by_text("Drop an audio file here, or choose one")).to_be_visible()
    until(lambda: no_parts_are_left(service, job), "the parts are deleted")
    assert window.barriers() == []
    service.delete(job["id"])


def test_two_browsers_at_one_link_never_mix_two_files(
    service: Service, browser: Browser, window: Visitor, wav: Path, files: Path
) -> None:
    other = song(files / "other.wav", seconds=SECONDS, frequency=2000)
    job = service.create_job("large.wav")
    page = window.page
    page.route(PART, lambda route: None if part_number(route) == PARTS else route.continue_())
    page.goto(job["link"])
    choose(page, wav)
    expect(page.get_by_text("Uploading large.wav")).to_be_visible()

    with visitor(browser) as second:
        second.page.goto(job["link"])
        choose(second.page, other)
        expect(second.page.get_by_text("The upload of another file was started with this link.").first).to_be_visible()
        assert second.barriers() == []
        second.page.get_by_role("button", name="Start over with this file").click()
        expect(second.page.get_by_role("button", name="Download")).to_be_visible()
        with second.page.expect_download() as download:
            second.page.get_by_role("button", name="Download").click()
        saved = Path(download.value.path())
        assert saved.stat().st_size > 0

    assert service.job(job["id"])["source"]["size_bytes"] == other.stat().st_size
    service.delete(job["id"])
