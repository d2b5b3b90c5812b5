"""The download through the page: on slow lines, after a while, and inside apps that can't save files."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Request, Route, expect

from tests.e2e.browser import chromium, visitor
from tests.e2e.service import Service
from tests.e2e.sounds import song

APPS = {
    "Instagram": "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 Instagram 330.0.0",
    "Facebook": "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 [FBAN/FBIOS]",
    "LINE": "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 Safari Line/14.5.0",
    "WebView": "Mozilla/5.0 (Linux; Android 14; Pixel 8; wv) Chrome/125.0 Mobile",
}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def ready(service: Service, files: Path) -> Iterator[dict[str, Any]]:
    job = service.create_job("song.wav")
    service.send(job, song(files / "song-of-two-seconds.wav", seconds=2))
    service.ready(job["id"])
    yield job
    service.delete(job["id"])


@pytest.mark.parametrize("app", APPS)
def test_an_app_is_recognised_before_the_claim_and_gives_the_address_after_it(
    browser: Browser, ready: dict[str, Any], app: str
) -> None:
    with visitor(browser, user_agent=APPS[app]) as window:
        page = window.page
        page.goto(ready["link"])
        expect(page.get_by_text("Open the link in your browser before you download")).to_be_visible()

        with page.expect_download() as download:
            page.get_by_role("button", name="Download").click()

        expect(page.get_by_role("textbox", name="Address of the MP3")).to_have_value(download.value.url)
        assert window.barriers() == []
        assert window.complaints == []


def test_a_browser_is_not_taken_for_an_app(browser: Browser, ready: dict[str, Any]) -> None:
    with visitor(browser) as window:
        window.page.goto(ready["link"])
        expect(window.page.get_by_role("button", name="Download")).to_be_visible()

        expect(window.page.get_by_text("Open the link in your browser")).to_have_count(0)


def test_before_the_claim_a_large_file_says_how_long_it_takes_on_a_slow_line(
    service: Service, browser: Browser, ready: dict[str, Any]
) -> None:
    size = service.job(ready["id"])["result"]["size_bytes"]

    def enlarge(route: Route) -> None:
        """In the page and in its answers."""
        answer = route.fetch()
        route.fulfill(response=answer, body=re.sub(rf'("size_bytes": ?){size}\b', r"\g<1>170000000", answer.text()))

    with visitor(browser) as window:
        window.page.route("**/d/*", enlarge)
        window.page.goto(ready["link"])

        expect(window.page.get_by_text(re.compile("the download takes up to 30 minutes"))).to_be_visible()
        expect(window.page.get_by_text(re.compile("you have 30 minutes to finish"))).to_be_visible()


def test_a_download_that_is_started_again_later_gets_a_fresh_address(browser: Browser, ready: dict[str, Any]) -> None:
    """The one before may have died with the credentials that signed it."""
    keys: list[str] = []

    def note_claim(request: Request) -> None:
        if request.method == "POST":
            keys.append(request.headers["idempotency-key"])

    with visitor(browser) as window:
        page = window.page
        page.on("request", note_claim)
        page.goto(ready["link"])
        with page.expect_download() as first:
            page.get_by_role("button", name="Download").click()
        assert len(keys) == 1, "the first download has the address of the claim"

        page.reload()
        page.wait_for_timeout(1100)  # addresses of the same second are the same
        with page.expect_download() as second:
            page.get_by_role("link", name="Start the download again").click()

        assert keys == [keys[0]] * 2
        assert second.value.url != first.value.url
        assert Path(second.value.path()).read_bytes() == Path(first.value.path()).read_bytes()
        assert window.complaints == []
