"""A script of another site spent the link and could not read the answer: now nothing is spent, and a form may claim."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.e2e.browser import chromium, visitor
from tests.e2e.service import Service
from tests.e2e.site import site
from tests.e2e.sounds import song

HOSTS = {"same-site": "127.0.0.1", "cross-site": "localhost"}
"""The API is at 127.0.0.1: another port is another origin of the same site."""

CLAIM = """async (link) => {
  try { return (await fetch(link, {method: "POST", MODE})).type; } catch (error) { return error.name; }
}"""
FORM = """<!doctype html><meta charset="utf-8"><title>A site</title>
<form method="post" action="LINK"><button>Get the MP3</button></form>"""


@pytest.mark.parametrize("host", HOSTS.values(), ids=HOSTS)
def test_a_script_spends_nothing_and_a_form_downloads(service: Service, tmp_path: Path, host: str) -> None:
    job = service.create_job("song.wav")
    service.send(job, song(tmp_path / "song.wav", seconds=2))
    service.ready(job["id"])
    (tmp_path / "index.html").write_text(FORM.replace("LINK", job["link"]))

    with site(tmp_path) as address, chromium() as browser, visitor(browser) as window:
        window.page.goto(f"http://{host}:{urlsplit(address).port}")
        seen = [
            window.page.evaluate(CLAIM.replace("MODE", f'mode: "{mode}"'), job["link"]) for mode in ("cors", "no-cors")
        ]
        after_the_scripts = service.job(job["id"])["status"]
        with window.page.expect_download() as download:
            window.page.get_by_role("button", name="Get the MP3").click()
        saved = download.value.path().stat().st_size

    assert seen == ["TypeError", "opaque"], "neither can be read"
    assert after_the_scripts == "ready"
    assert saved == service.job(job["id"])["result"]["size_bytes"]
    assert service.job(job["id"])["status"] == "claimed"
