"""Every state of the page in every language: the same with and without its script, open to everybody, fit for a phone.

With PAGE_SCREENSHOTS=folder each state is saved there as it looks on a desktop and on a phone, in light and in dark.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import Browser, Locator, Page, ViewportSize, expect

from api.page.languages import LANGUAGES, Language
from tests.e2e.browser import COLOUR_RULES, Visitor, chromium, visitor
from tests.e2e.page_site import FORMS, STATES, Site, page_site
from tests.e2e.sounds import song

SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
LOCALES = {"en": "en-GB", "de": "de-AT", "fr": "fr-FR", "es": "es-ES", "ja": "ja-JP"}
DESKTOP: ViewportSize = {"width": 1000, "height": 800}
PHONE: ViewportSize = {"width": 320, "height": 640}

every_language = pytest.mark.parametrize("tag", LANGUAGES)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def site() -> Iterator[Site]:
    with page_site() as site:
        yield site


@pytest.fixture
def window(browser: Browser, tag: str) -> Iterator[Visitor]:
    with visitor(browser, locale=LOCALES[tag], viewport=DESKTOP) as window:
        yield window
        assert window.complaints == []


@every_language
def test_the_script_begins_with_what_the_server_said(site: Site, window: Visitor) -> None:
    """Texts and heights are the same, but for moments: only the browser can tell them in its own time zone."""
    for state in STATES:
        seen = [shown(window.page, site.link(state, script=script)) for script in (False, True)]

        assert seen[0] == seen[1], state


def shown(page: Page, link: str) -> object:
    page.goto(link)
    page.evaluate("for (const time of document.querySelectorAll('time')) time.textContent = '2026-01-31 12:00'")
    return page.evaluate(
        """() => ({
            text: document.querySelector('main').innerText.split('\\n').map(line => line.trim()).filter(Boolean),
            title: document.title,
            height: Math.round(document.querySelector('main').getBoundingClientRect().height),
            button: document.querySelector('#view button')?.getBoundingClientRect().top,
        })"""
    )


@pytest.mark.parametrize("tag", ["en"])
def test_the_moments_are_those_of_the_browser(site: Site, browser: Browser, tag: str) -> None:
    with visitor(browser, locale="en-US", timezone_id="Asia/Tokyo") as window:
        window.page.goto(site.link("purged"))
        said = window.page.locator("time").inner_text()

    assert re.fullmatch(r"[A-Z][a-z]{2} \d+, \d{4}, \d+:\d\d\s[AP]M", said)


@every_language
def test_every_state_is_open_to_everybody(site: Site, window: Visitor, tag: str) -> None:
    """No barrier that axe can find. Colours are those of every language: in the dark, one of them tells."""
    for state in [*STATES, *FORMS]:
        window.page.goto(site.link(state))
        window.page.evaluate("for (const details of document.querySelectorAll('details')) details.open = true")
        assert_no_barriers(window, state, dark=tag == "en")


def assert_no_barriers(window: Visitor, state: str, *, dark: bool) -> None:
    window.page.emulate_media(color_scheme="light")
    assert window.barriers() == [], state
    if dark:
        window.page.emulate_media(color_scheme="dark")
        assert window.barriers(COLOUR_RULES) == [], f"{state}, in the dark"


@every_language
def test_every_state_fits_on_a_phone(site: Site, window: Visitor, tag: str) -> None:
    """Nothing sticks out or is cut, nothing lies on something else, and no word is broken in a table or a button."""
    page = window.page
    for state in [*STATES, *FORMS]:
        page.set_viewport_size(PHONE)
        page.goto(site.link(state))
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"], state
        cut = page.evaluate(
            """() => [...document.querySelectorAll('main *')].filter(one => one.scrollWidth > one.clientWidth + 1
                && one.clientWidth && !one.closest('.unseen')).map(one => one.outerHTML.slice(0, 100))"""
        )
        assert cut == [], state
        assert page.locator("button, .button").evaluate_all("all => all.every(one => one.clientHeight < 90)"), state
        save(window, f"{state}.{tag}")


def save(window: Visitor, name: str) -> None:
    folder = os.environ.get("PAGE_SCREENSHOTS")
    if not folder:
        return
    for device, size in (("desktop", DESKTOP), ("phone", PHONE)):
        window.page.set_viewport_size(size)
        for scheme in SCHEMES:
            window.page.emulate_media(color_scheme=scheme)
            window.page.screenshot(path=Path(folder) / f"{name}.{device}.{scheme}.png", full_page=True)


@every_language
def test_what_only_the_script_shows_is_open_to_everybody(site: Site, window: Visitor, tag: str, tmp_path: Path) -> None:
    """What uploads, claims, refusals, a deletion and a lost line look like."""
    page, texts = window.page, Language(tag, LOCALES[tag]).texts
    leads = texts["leads"]
    small, large = song(tmp_path / "small.wav", seconds=4), song(tmp_path / "large.wav", seconds=100)

    def look(name: str, said: str = "") -> None:
        expect(page.get_by_text(said).first if said else page.get_by_role("alert")).to_be_visible()
        for size in (DESKTOP, PHONE):
            page.set_viewport_size(size)
            assert page.evaluate("document.documentElement.scrollWidth") <= size["width"], name
        assert_no_barriers(window, name, dark=tag == "en")
        save(window, f"{name}.{tag}")

    def upload(path: Path, becomes: str | int) -> None:
        site.uploads = becomes
        page.locator("input[type=file]").set_input_files(path)

    def upload_anew(path: Path, becomes: str | int) -> None:
        page.goto(site.link("awaiting-upload"))
        upload(path, becomes)

    page.on("dialog", lambda dialog: dialog.accept())
    upload_anew(small, "hang")
    look("uploading", leads["uploading"])
    upload_anew(small, "break")
    look("interrupted", leads["broken"])
    upload_anew(small, 200)
    look("uploaded", leads["uploaded"])
    upload_anew(small, 403)
    look("refused-upload")

    page.goto(site.link("awaiting-upload"))
    page.evaluate("void (crypto.subtle.digest = () => new Promise(() => {}))")
    upload(large, "hang")
    look("checking", leads["checking"])
    upload_anew(large, "hang")
    button(page, texts["upload"]["button-pause"]).wait_for()
    look("uploading-in-parts", leads["uploading"])
    button(page, texts["upload"]["button-pause"]).click()
    look("paused", leads["paused"])
    upload_anew(large, "conflict")
    look("conflict", leads["conflict"])

    page.goto(site.link("failed-second-chance"))
    button(page, texts["upload"]["button-another"]).click()
    look("another-file", texts["upload"]["drop"])
    page.goto(site.link("ready-passphrase"))
    page.locator("#passphrase").fill("four blue geese")
    page.keyboard.press("Enter")
    look("passphrase-again")

    page.goto(site.link("processing"))
    page.context.set_offline(True)
    look("offline", texts["until"]["offline"])
    page.context.set_offline(False)
    for state, said in (("ready", leads["claimed-here"]), ("ready-in-app", texts["download"]["in-app-claimed"])):
        page.goto(site.link(state))
        site.job = {"status": "claimed", "claimed_at": "2100-01-01T00:00:00Z"}
        page.locator("#view button").click()
        look(f"claimed-here-{state}", said)
        site.job = {}
    page.goto(site.link("ready"))
    page.locator("#delete button").click()
    look("dialog", texts["delete"]["question"])
    site.job = {"status": "purged", "deleted_at": "2100-01-01T00:00:00Z"}
    page.locator("#confirm-yes").click()
    look("deleted-here", leads["deleted-here"])
    window.complaints.clear()  # of the answers that were meant to fail


def button(page: Page, name: str) -> Locator:
    return page.get_by_role("button", name=name, exact=True)


@pytest.mark.parametrize("tag", ["en"])
def test_a_file_that_was_chosen_before_the_script_was_there_is_not_lost(site: Site, window: Visitor) -> None:
    page = window.page
    site.uploads = "hang"
    page.add_init_script(
        """const parse = JSON.parse; JSON.parse = (text) => {
            const input = document.querySelector('#view input[type=file]');
            if (input && !input.files.length) {
                const data = new DataTransfer();
                data.items.add(new File(['sound'], 'early.wav'));
                input.files = data.files;
            }
            return parse(text);
        }"""
    )

    page.goto(site.link("awaiting-upload"))

    expect(page.get_by_text("Uploading early.wav")).to_be_visible()


@pytest.mark.parametrize("tag", ["en"])
def test_a_long_name_takes_two_lines_and_is_told_whole_by_its_tooltip(site: Site, window: Visitor) -> None:
    window.page.set_viewport_size(PHONE)
    window.page.goto(site.link("ready"))
    title = window.page.get_by_role("heading", level=1)

    assert title.evaluate("one => one.clientHeight / parseFloat(getComputedStyle(one).lineHeight)") == pytest.approx(
        2, rel=0.05
    )
    assert title.get_attribute("title") == title.text_content()
    assert title.evaluate("one => one.scrollHeight > one.clientHeight")


@every_language
def test_a_title_that_is_a_sentence_is_shown_whole(site: Site, window: Visitor) -> None:
    window.page.set_viewport_size(PHONE)
    for state in ("refused", "not-found", "wrong-passphrase"):
        window.page.goto(site.link(state))
        title = window.page.get_by_role("heading", level=1)
        assert title.evaluate("one => one.scrollHeight <= one.clientHeight"), state


@pytest.mark.parametrize("tag", ["en"])
def test_there_is_room_between_boxes_text_and_table(site: Site, window: Visitor) -> None:
    for state in ("ready-partial", "ready-unchanged", "claimed", "failed-second-chance", "begun-in-parts"):
        window.page.goto(site.link(state))
        gaps = window.page.evaluate(
            """() => [...document.querySelectorAll('#view > * + *')].map(one =>
                one.getBoundingClientRect().top - one.previousElementSibling.getBoundingClientRect().bottom)"""
        )
        assert gaps
        assert min(gaps) >= 12, state
