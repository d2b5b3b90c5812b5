"""The main job in Firefox, in German: upload, conversion, download, deletion."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.e2e.figures import decode
from tests.e2e.firefox import firefox
from tests.e2e.page_site import STATES, page_site
from tests.e2e.service import Service
from tests.e2e.sounds import song

FILENAME = "Grüße & Küsse.wav"


def test_a_file_goes_all_the_way_through_the_page(service: Service, files: Path, tmp_path: Path) -> None:
    wav = song(files / FILENAME, seconds=2)
    job = service.create_job(FILENAME)
    with firefox(tmp_path, languages="de-AT,de,en") as browser:
        browser.open(job["link"])
        browser.wait_for_text("Mit diesem Link können Sie eine Audiodatei hochladen.")
        browser.choose_file("input[type=file]", wav)
        browser.wait_for_text("MP3 herunterladen (")
        assert re.search(r"Format\s+WAV, 16\u00a0Bit\s+MP3, 192\u00a0kb/s", browser.text())
        assert browser.evaluate("document.title").startswith("Fertig: Grüße & Küsse.wav")

        browser.click("#view button")
        browser.wait_for_text("Ihr Download hat begonnen.")
        [mp3] = browser.wait_for_download()
        browser.click("#again")
        browser.wait_for_download(2)

        browser.click("#delete button")
        browser.click("#confirm-yes")
        browser.wait_for_text("Die Datei ist gelöscht.")
        assert browser.complaints == []
        assert mp3.suffixes[-2:] == [".32k", ".mp3"]
        assert decode(service.programs, mp3, 32_000).sample_frames == 64_000
    assert service.job(job["id"])["status"] == "purged"


@pytest.mark.parametrize("tag", ["en", "ja"])
def test_every_state_begins_with_what_the_server_said(tmp_path: Path, tag: str) -> None:
    with page_site() as site, firefox(tmp_path, languages=tag) as browser:
        for state in STATES:
            seen = []
            for script in (False, True):
                browser.open(site.link(state, script=script))
                browser.evaluate("document.querySelectorAll('time').forEach(time => time.textContent = 'then')")
                seen.append(browser.evaluate("document.querySelector('main').innerText.split(/\\s+/).join(' ')"))
            assert seen[0] == seen[1], state
        assert browser.complaints == []
