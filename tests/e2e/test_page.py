"""The page behind a link, in a real browser: what a person with a file sees and does."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, CDPSession, Page, Route, ViewportSize, expect

from tests.e2e.browser import Visitor, chromium, visitor
from tests.e2e.figures import decode
from tests.e2e.service import WINDOW_SECONDS, Service
from tests.e2e.sounds import song

FILENAME = "Grüße <b>&amp; Küsse<b>.wav"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def window(browser: Browser) -> Iterator[Visitor]:
    """A window in which the browser has had nothing to complain about at the end."""
    with visitor(browser) as window:
        yield window
        assert window.complaints == []


@pytest.fixture(scope="module")
def wav(files: Path) -> Path:
    return song(files / FILENAME, seconds=2)


@pytest.fixture
def ready(service: Service, wav: Path) -> dict[str, Any]:
    """A job that is ready, with its link."""
    job = service.create_job(FILENAME)
    service.send(job, wav)
    service.ready(job["id"])
    return job


# Networks, as fast as they can be, and by how many bytes a second they send.
FAST = {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": -1}
SLOW = {**FAST, "uploadThroughput": 30_000}  # four minutes for what is cancelled here


def wire_of(page: Page) -> CDPSession:
    """What network the page has can be said here."""
    wire = page.context.new_cdp_session(page)
    wire.send("Network.enable")
    return wire


def choose(page: Page, path: Path) -> None:
    page.get_by_label(re.compile("Drop an audio file here")).set_input_files(path)


def delete_now(page: Page) -> None:
    page.get_by_role("button", name="Delete now").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(page.get_by_text("The file is deleted. No copy is kept.").first).to_be_visible()


def test_a_file_goes_all_the_way_through_the_page(service: Service, window: Visitor, wav: Path) -> None:
    job = service.create_job(FILENAME)
    page = window.page
    page.clock.install()
    page.goto(job["link"])
    expect(page.get_by_role("heading", level=1)).to_have_text(FILENAME)

    choose(page, wav)
    expect(page.get_by_role("button", name="Download")).to_be_visible()
    assert page.title().startswith("Ready: ")
    expect(page.get_by_role("row", name="Sample rate")).to_contain_text("44.1\u00a0kHz32\u00a0kHz")
    expect(page.get_by_text("The link works once.")).to_be_visible()

    with page.expect_download() as first:
        page.get_by_role("button", name="Download").click()
    with page.expect_download() as again:
        page.get_by_role("link", name="Start the download again").click()

    assert first.value.suggested_filename.startswith("Grüße")
    assert first.value.suggested_filename.endswith(".32k.mp3")
    assert Path(first.value.path()).read_bytes() == Path(again.value.path()).read_bytes()
    assert decode(service.programs, Path(first.value.path()), 32_000).sample_frames == 64_000
    service.after_window(job["id"])
    page.clock.fast_forward(1000 * WINDOW_SECONDS)
    expect(page.get_by_text("No copy is kept.").first).to_be_visible()


def test_a_reloaded_page_can_still_start_the_download_again(window: Visitor, ready: dict[str, Any]) -> None:
    page = window.page
    page.goto(ready["link"])
    with page.expect_download() as download:
        page.get_by_role("button", name="Download").click()
    url = download.value.url

    page.reload()

    expect(page.get_by_role("link", name="Start the download again")).to_have_attribute("href", url)


def test_a_claim_whose_answer_was_lost_is_asked_for_again(
    service: Service, window: Visitor, ready: dict[str, Any]
) -> None:
    page = window.page
    lost: list[str] = []

    def lose_the_first(route: Route) -> None:
        granted = route.fetch() if route.request.method == "POST" else None
        if granted and not lost:
            lost.append(route.request.headers["idempotency-key"])
            route.fulfill(status=502)
        elif granted:
            assert route.request.headers["idempotency-key"] == lost[0]
            route.fulfill(response=granted)
        else:
            route.continue_()

    page.route("**/d/*", lose_the_first)
    page.goto(ready["link"])
    with page.expect_download() as download:
        page.get_by_role("button", name="Download").click()

    assert lost
    assert decode(service.programs, Path(download.value.path()), 32_000).sample_frames == 64_000
    window.complaints.clear()  # of the answer that was lost


def test_another_window_learns_that_the_link_is_spent(service: Service, window: Visitor, ready: dict[str, Any]) -> None:
    page = window.page
    page.goto(ready["link"])
    expect(page.get_by_role("button", name="Download")).to_be_visible()
    service.claim(ready["link"])

    page.get_by_role("button", name="Download").click()

    expect(page.get_by_text("This link has already been used.").first).to_be_visible()
    expect(page.get_by_role("link", name="Start the download again")).to_have_count(0)


def test_without_javascript_the_form_downloads(browser: Browser, ready: dict[str, Any]) -> None:
    with visitor(browser, java_script_enabled=False) as window:
        page = window.page
        page.goto(ready["link"])
        expect(page.get_by_role("heading", level=1)).to_have_text(FILENAME)

        with page.expect_download() as download:
            page.get_by_role("button", name="Download").click()
        assert Path(download.value.path()).stat().st_size > 10_000

        page.goto(ready["link"])
        expect(page.get_by_text("This link has already been used.")).to_be_visible()
        assert window.complaints == []


PASSPHRASE = "three blue geese"


@pytest.fixture
def protected(service: Service, wav: Path) -> dict[str, Any]:
    """A job that is ready, and whose claim needs a passphrase."""
    created = service.create_job("protected.wav", passphrase=PASSPHRASE)
    service.send(created, wav)
    service.ready(created["id"])
    return created


def test_the_page_asks_for_the_passphrase(window: Visitor, protected: dict[str, Any]) -> None:
    page = window.page
    page.goto(protected["link"])
    field = page.get_by_label("Passphrase")
    expect(field).to_have_attribute("type", "password")

    field.fill("four blue geese")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("9 tries are left")
    expect(field).to_be_focused()

    field.fill(PASSPHRASE)
    with page.expect_download() as download:
        page.get_by_role("button", name="Download").click()
    assert Path(download.value.path()).stat().st_size > 10_000


def test_without_javascript_the_form_asks_for_the_passphrase(browser: Browser, protected: dict[str, Any]) -> None:
    with visitor(browser, java_script_enabled=False) as window:
        page = window.page
        page.goto(protected["link"])

        page.get_by_label("Passphrase").fill("four blue geese")
        page.get_by_role("button", name="Download").click()
        expect(page.get_by_text("9 tries are left")).to_be_visible()

        page.get_by_label("Passphrase").fill(PASSPHRASE)
        with page.expect_download() as download:
            page.get_by_role("button", name="Download").click()
        assert Path(download.value.path()).stat().st_size > 10_000


def test_without_javascript_a_form_uploads_and_comes_back(browser: Browser, service: Service, wav: Path) -> None:
    job = service.create_job(FILENAME, size_bytes=wav.stat().st_size)
    with visitor(browser, java_script_enabled=False) as window:
        page = window.page
        page.goto(job["link"])

        page.locator("input[type=file]").set_input_files(wav)
        page.get_by_role("button", name="Upload").click()
        expect(page.get_by_role("button", name="Download")).to_be_visible()

        assert page.url.startswith(f"{job['link']}?sent=")
        assert service.job(job["id"])["source"]["size_bytes"] == wav.stat().st_size
        with page.expect_download() as download:
            page.get_by_role("button", name="Download").click()
        assert Path(download.value.path()).stat().st_size > 10_000
        assert window.complaints == []


def test_without_javascript_the_form_takes_no_other_size(browser: Browser, service: Service, wav: Path) -> None:
    job = service.create_job(FILENAME, size_bytes=wav.stat().st_size + 1)
    with visitor(browser, java_script_enabled=False) as window:
        page = window.page
        page.goto(job["link"])
        page.locator("input[type=file]").set_input_files(wav)

        with page.expect_response(lambda answer: answer.request.method == "POST") as answer:
            page.get_by_role("button", name="Upload").click()

        assert answer.value.status == 400
    assert service.job(job["id"])["status"] == "awaiting-upload"
    service.delete(job["id"])


def test_without_javascript_a_file_at_fault_has_a_second_chance(
    browser: Browser, service: Service, wav: Path, files: Path
) -> None:
    text = files / "words.wav"
    text.write_text("These are words, not sounds. " * 50)
    job = service.create_job(text.name)
    with visitor(browser, java_script_enabled=False) as window:
        page = window.page
        page.goto(job["link"])
        for path in (text, wav):
            page.locator("input[type=file]").set_input_files(path)
            page.get_by_role("button", name="Upload").click()
            if path is text:
                page.get_by_role("button", name="Choose another file").click()

        expect(page.get_by_role("button", name="Download")).to_be_visible()
    service.delete(job["id"])


def test_without_javascript_a_form_deletes_after_a_question(
    browser: Browser, service: Service, ready: dict[str, Any]
) -> None:
    with visitor(browser, java_script_enabled=False) as window:
        page = window.page
        page.goto(ready["link"])
        page.get_by_role("button", name="Delete now").click()
        page.get_by_role("link", name="Keep it").click()
        assert service.job(ready["id"])["status"] == "ready"
        page.get_by_role("button", name="Delete now").click()
        page.get_by_role("button", name="Delete", exact=True).click()

        expect(page.get_by_text("No copy is kept.")).to_be_visible()
        assert page.url == ready["link"]
        assert window.complaints == []
    assert service.job(ready["id"])["status"] == "purged"


def test_without_javascript_a_second_claim_is_answered_with_a_page(
    browser: Browser, service: Service, ready: dict[str, Any]
) -> None:
    with visitor(browser, java_script_enabled=False) as window:
        window.page.goto(ready["link"])
        service.claim(ready["link"])

        window.page.get_by_role("button", name="Download").click()

        expect(window.page.get_by_role("heading", level=1)).to_have_text("The file was already downloaded or deleted")


def test_an_upload_that_breaks_off_begins_again(service: Service, window: Visitor, wav: Path) -> None:
    job = service.create_job(FILENAME)
    page = window.page
    page.clock.install()
    page.goto(job["link"])
    window.freeze()  # it would begin again by itself
    broken: list[str] = []

    def break_once(route: Route) -> None:
        if route.request.method == "PUT" and not broken:
            broken.append(route.request.url)
            route.abort("connectionreset")
        else:
            route.continue_()

    page.route(f"**/{service.uploads}/**", break_once)
    choose(page, wav)

    expect(page.get_by_text("The connection was lost.", exact=True)).to_be_visible()
    page.get_by_role("button", name="Try again now").click()
    expect(page.get_by_text("The upload is complete.").first).to_be_visible()
    page.clock.resume()
    expect(page.get_by_role("button", name="Download")).to_be_visible()
    assert broken
    service.delete(job["id"])


def test_an_upload_shows_its_speed_and_can_be_cancelled(service: Service, window: Visitor, files: Path) -> None:
    job = service.create_job("long.wav")
    page = window.page
    page.goto(job["link"])

    wire_of(page).send("Network.emulateNetworkConditions", SLOW)
    choose(page, song(files / "long.wav", seconds=40))
    expect(page.get_by_text(re.compile(r"[kM]B/s, \d+ (seconds|minutes) left"))).to_be_visible()
    expect(page.get_by_role("progressbar", name="Upload")).to_be_visible()
    assert re.match(r"\d+% long.wav", page.title())
    page.get_by_role("button", name="Cancel").click()

    expect(page.get_by_text("Drop an audio file here, or choose one")).to_be_visible()
    assert service.job(job["id"])["status"] == "awaiting-upload"
    delete_now(page)


def test_a_dropped_file_is_taken_and_a_wrong_one_is_refused_before_it_is_sent(
    service: Service, window: Visitor, files: Path
) -> None:
    job = service.create_job(FILENAME)
    page = window.page
    page.goto(job["link"])

    drop(page, {"empty.wav": b""})
    expect(page.get_by_role("alert")).to_have_text("empty.wav is empty, or it is a folder. Please choose another file.")
    drop(page, {"a.wav": b"1", "b.wav": b"2"})
    expect(page.get_by_role("alert")).to_contain_text("This link takes one file.")
    drop(page, {"dropped.wav": song(files / "short.wav", seconds=0.2).read_bytes()})

    expect(page.get_by_role("button", name="Download")).to_be_visible()
    service.delete(job["id"])


def test_another_file_than_the_announced_one_is_refused_before_it_is_sent(
    service: Service, window: Visitor, files: Path
) -> None:
    announced = song(files / "announced.wav", seconds=0.2)
    job = service.create_job(FILENAME, size_bytes=announced.stat().st_size)
    page = window.page
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.method) if request.method == "PUT" else None)
    page.goto(job["link"])

    drop(page, {"another.wav": announced.read_bytes() + b"1"})
    expect(page.get_by_role("alert")).to_contain_text(f"exactly {announced.stat().st_size:,} bytes")
    assert sent == []
    choose(page, announced)

    expect(page.get_by_role("button", name="Download")).to_be_visible()
    assert sent == ["PUT"]
    service.delete(job["id"])


def test_an_upload_that_is_refused_is_not_sent_again(service: Service, window: Visitor, wav: Path) -> None:
    job = service.create_job(FILENAME)
    page = window.page
    sent: list[str] = []

    def refuse(route: Route) -> None:
        sent.append(route.request.method)
        route.fulfill(status=403, headers={"Access-Control-Allow-Origin": "*"})

    page.route(f"**/{service.uploads}/**", refuse)
    page.goto(job["link"])
    choose(page, wav)

    expect(page.get_by_role("alert")).to_have_text("The upload was refused (403). Please choose the file again.")
    expect(page.get_by_text("Drop an audio file here")).to_be_visible()
    assert sent.count("PUT") == 1
    service.delete(job["id"])


def drop(page: Page, files: dict[str, bytes]) -> None:
    given = [[name, list(content)] for name, content in files.items()]
    expect(page.get_by_text("Drop an audio file here, or choose one")).to_be_visible()
    data = page.evaluate_handle(
        """(files) => {
            const data = new DataTransfer();
            for (const [name, bytes] of files) data.items.add(new File([new Uint8Array(bytes)], name));
            return data;
        }""",
        given,
    )
    page.dispatch_event("main", "drop", {"dataTransfer": data})


def test_delete_now_asks_first_and_then_deletes(service: Service, window: Visitor, ready: dict[str, Any]) -> None:
    page = window.page
    page.goto(ready["link"])

    page.get_by_role("button", name="Delete now").click()
    page.keyboard.press("Escape")
    assert service.job(ready["id"])["status"] == "ready"
    delete_now(page)

    assert service.job(ready["id"])["status"] == "purged"
    assert not [key for key in service.objects(service.results) if ready["id"] in key]
    expect(page.get_by_role("button", name="Delete now")).to_have_count(0)


def test_delete_now_ends_the_download_window(service: Service, window: Visitor, ready: dict[str, Any]) -> None:
    page = window.page
    page.goto(ready["link"])
    with page.expect_download():
        page.get_by_role("button", name="Download").click()

    delete_now(page)

    assert service.job(ready["id"])["status"] == "purged"


def test_a_failed_file_says_why_and_what_helps(service: Service, window: Visitor, files: Path) -> None:
    text = files / "notes.wav"
    text.write_text("These are words, not sounds. " * 50)
    job = service.create_job(text.name)
    page = window.page
    page.goto(job["link"])

    choose(page, text)

    expect(page.get_by_text("This file could not be converted.").first).to_be_visible()
    expect(page.get_by_text("Convert the file, for example to WAV or FLAC")).to_be_visible()
    delete_now(page)


def test_the_keyboard_reaches_everything(window: Visitor, ready: dict[str, Any]) -> None:
    page = window.page
    page.goto(ready["link"])
    expect(page.get_by_role("button", name="Delete now")).to_be_visible()

    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="Download")).to_be_focused()
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="Delete now")).to_be_focused()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog")).to_have_count(0)
    page.keyboard.press("Shift+Tab")
    with page.expect_download():
        page.keyboard.press("Enter")


def test_unknown_links_show_the_same_page_whatever_the_cause(
    service: Service, window: Visitor, ready: dict[str, Any]
) -> None:
    address = ready["link"].rpartition("/")[0]
    causes = [f"{address}/{'0' * 32}.{'A' * 43}", f"{address}/{ready['id']}.{'A' * 43}", f"{address}/nonsense"]

    answers = [service.request("GET", link, headers={"Accept": "text/html"}) for link in causes]
    assert {answer.status_code for answer in answers} == {404}
    assert len({answer.content for answer in answers}) == 1

    window.page.goto(causes[0])
    expect(window.page.get_by_role("heading", level=1)).to_have_text("There is no such job")
    expect(window.page.get_by_text("a newer link may have replaced it")).to_be_visible()
    expect(window.page.get_by_role("button")).to_have_count(0)


# ---------------------------------------------------------------- for everybody

DOWNLOAD = {"url": "http://localhost/long.32k.mp3", "expires_at": "2100-01-01T00:00:00Z"}
DESKTOP: ViewportSize = {"width": 1100, "height": 800}
PHONE: ViewportSize = {"width": 320, "height": 640}


def assert_open_to_everybody(window: Visitor, state: str) -> None:
    """No barrier that axe can find, neither in light nor in dark, and nothing that sticks out on a phone."""
    page = window.page
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        assert window.barriers() == [], f"{state}, {scheme}"
    page.set_viewport_size(PHONE)
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"], state
    page.set_viewport_size(DESKTOP)


def test_what_only_the_page_knows_is_open_to_everybody(service: Service, window: Visitor, files: Path) -> None:
    """A file on its way, broken off, arrived but not begun, and claimed here."""
    job = service.create_job("long.wav")
    page = window.page
    page.clock.install()
    wire = wire_of(page)
    given: dict[str, Any] = {"status": "awaiting-upload"}

    def pretend(route: Route) -> None:
        if route.request.method == "POST":
            route.fulfill(json={**route.fetch().json(), "download": DOWNLOAD})
        elif route.request.headers.get("accept") == "application/json":
            route.fulfill(json={**route.fetch().json(), **given})
        else:
            route.continue_()

    page.route("**/d/*", pretend)
    page.route(DOWNLOAD["url"], lambda route: route.fulfill(body="MP3", headers={"Content-Disposition": "attachment"}))
    page.goto(job["link"])

    long = song(files / "long.wav", seconds=40)
    wire.send("Network.emulateNetworkConditions", SLOW)
    choose(page, long)
    expect(page.get_by_text(re.compile("(seconds|minutes) left"))).to_be_visible()
    assert_open_to_everybody(window, "uploading")
    page.get_by_role("button", name="Cancel").click()

    wire.send("Network.emulateNetworkConditions", FAST)
    page.route(f"**/{service.uploads}/**", lambda route: route.abort("connectionreset"))
    choose(page, long)
    expect(page.get_by_text("The connection was lost.", exact=True)).to_be_visible()
    expect(page.get_by_role("status")).to_have_text("The connection was lost. The upload starts again by itself.")
    assert_open_to_everybody(window, "broken off")

    window.freeze()  # it would begin again by itself
    expect(page.get_by_role("button", name="Try again now")).to_be_visible()
    page.unroute(f"**/{service.uploads}/**")
    page.get_by_role("button", name="Try again now").click()
    expect(page.get_by_text("The upload is complete.").first).to_be_visible()
    page.clock.resume()
    assert_open_to_everybody(window, "arrived")

    given = {}
    with page.expect_download():
        page.get_by_role("button", name="Download").click()
    expect(page.get_by_role("link", name="Start the download again")).to_be_visible()
    assert_open_to_everybody(window, "claimed here")
