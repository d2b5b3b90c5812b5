"""A real browser at the page: Debian's Chromium, headless, driven by Playwright."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, expect, sync_playwright

ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
WAIT_MILLISECONDS = 120_000
FREEZING_SECONDS = 30
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
COLOUR_RULES = ["color-contrast"]


@contextmanager
def chromium(*arguments: str) -> Iterator[Browser]:
    """With more of Chromium's own arguments. Skips where it is not installed; `make test` installs it."""
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    if program is None:
        pytest.skip("chromium is not installed")
    expect.set_options(timeout=WAIT_MILLISECONDS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=program, args=[*ARGUMENTS, *arguments], timeout=WAIT_MILLISECONDS
        )
        try:
            yield browser
        finally:
            browser.close()


@dataclass(slots=True)
class Visitor:
    """A browser window, and every complaint that the browser had about the page."""

    page: Page
    complaints: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.page.on("console", lambda message: self._heard(message))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def _heard(self, message: ConsoleMessage) -> None:
        """What no page can prevent is that Chromium notes answers such as 404 and broken connections."""
        if message.type in ("error", "warning") and not message.text.startswith("Failed to load resource"):
            self.complaints.append(message.text)

    def freeze(self) -> None:
        """Have the page's time stand still, some way ahead, until `page.clock.resume()`: none of its timers runs.

        Its clock must have been installed before it was loaded. axe needs timers too.
        """
        self.page.clock.pause_at(self.page.evaluate("Date.now()") / 1000 + FREEZING_SECONDS)

    def barriers(self, rules: Sequence[str] = RULES) -> list[list[Any]]:
        """What axe finds that keeps people out: rule and elements."""
        if not self.page.evaluate("'axe' in window"):
            self.page.evaluate(Axe().axe_script)
        found: list[list[Any]] = self.page.evaluate(
            """async (rules) => {
                const { violations } = await axe.run({ runOnly: rules, resultTypes: ["violations"] });
                return violations.map(({ id, nodes }) => [id, nodes.map((node) => node.html)]);
            }""",
            rules,
        )
        return found


@contextmanager
def visitor(browser: Browser, **options: Any) -> Iterator[Visitor]:
    """A window with nothing remembered; `options` are those of Playwright's `new_context`."""
    context: BrowserContext = browser.new_context(**{"locale": "en-GB", **options})
    context.set_default_timeout(WAIT_MILLISECONDS)
    try:
        yield Visitor(context.new_page())
    finally:
        context.close()
