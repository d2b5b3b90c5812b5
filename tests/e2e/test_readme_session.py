"""The commands of README's curl session, as they stand there, in one shell, against the deployed service."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest
import requests

from tests.e2e.figures import decode
from tests.e2e.readme import commands, section, shell
from tests.e2e.service import JSON, REQUEST_SECONDS, Service

SIGNED, SESSION, DIRECT = commands("With curl")

pytestmark = pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")


def test_the_session_creates_uploads_waits_downloads_and_is_refused_then(service: Service, tmp_path: Path) -> None:
    printed = shell(service, tmp_path, SIGNED, SESSION)

    created, ready, refused = (json.loads(document) for document in re.findall(r"\{\"(?:id|type)\".*\}", printed))
    assert (created["status"], ready["status"]) == ("awaiting-upload", "ready")
    assert (refused["type"], refused["status"]) == ("already-downloaded", 410)
    assert created["id"] == ready["id"]
    assert decode(service.programs, tmp_path / "song.32k.mp3", 32_000).sample_frames == 64_000


def line(beginning: str) -> str:
    """The one line of the session that begins so."""
    [found] = [text for text in SESSION.splitlines() if text.startswith(beginning)]
    return found


def test_a_download_that_broke_off_is_typed_again_and_writes_nothing_but_sound(
    service: Service, tmp_path: Path
) -> None:
    claim = line("curl -fL")
    (tmp_path / "song.32k.mp3").write_text("of yesterday")
    spent = ["KEY=another-key", f"{claim.partition('#')[0]} || true"]

    shell(service, tmp_path, SIGNED, SESSION, ": > song.32k.mp3", claim, *spent)

    assert decode(service.programs, tmp_path / "song.32k.mp3", 32_000).sample_frames == 64_000


def test_nobody_waits_for_a_file_that_was_not_taken(service: Service, tmp_path: Path) -> None:
    printed = shell(
        service, tmp_path, SIGNED, line("ID="), "UPLOAD_URL=${UPLOAD_URL%?}", line("curl --fail"), "echo over"
    )

    assert printed.endswith("over\n")


def test_the_answer_that_is_shown_has_the_fields_of_a_real_one(service: Service, tmp_path: Path) -> None:
    shown = json.loads(section("With curl").partition("```json\n")[2].partition("```")[0])

    created = json.loads(shell(service, tmp_path, SIGNED))

    assert created.keys() == shown.keys()
    assert created["upload"].keys() == shown["upload"].keys()
    blank = {name: shown[name] for name in ("status", "filename", "progress", "warnings", "error", "source", "result")}
    assert {name: created[name] for name in blank} == blank


def test_a_direct_upload_is_found_and_gets_its_link(service: Service, tmp_path: Path) -> None:
    printed = shell(service, tmp_path, SIGNED, DIRECT, 'echo "link: $LINK"')

    link = printed.rpartition("link: ")[2].strip()
    job = requests.get(link, headers=JSON, timeout=REQUEST_SECONDS).json()
    assert (job["status"], job["result"]["bit_rate"]) == ("ready", 128_000)
    service.fetch(link, tmp_path / "result.mp3")
