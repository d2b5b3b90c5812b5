"""Uppy, the upload widget that most people use, works unmodified with the presigned upload, from a site of its own."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from local.stack import STATE_FOLDER
from tests.e2e.browser import chromium, visitor
from tests.e2e.service import Service
from tests.e2e.site import site
from tests.e2e.sounds import song

PROJECT = Path(__file__).resolve().parents[2]
UPPY = STATE_FOLDER / "uppy" / "package" / "dist"  # by `make test`, from npm

PLUGINS = {
    "AwsS3": "uppy.use(Uppy.AwsS3, {shouldUseMultipart: false, signRequest: async () => ({url: upload.url})})",
    "XHRUpload": "uppy.use(Uppy.XHRUpload, {method: upload.method, endpoint: upload.url, formData: false,"
    " getResponseData: () => ({})})",
}
PAGE = """<!doctype html><meta charset="utf-8"><title>A site</title><link rel="stylesheet" href="/uppy.min.css">
<div id="here"></div><script src="/uppy.min.js"></script>
<script>
function begin(upload) {
  window.uppy = new Uppy.Uppy().use(Uppy.Dashboard, {inline: true, target: "#here"});
  PLUGIN;
}
</script>"""


RECIPE = re.findall(r"```js\n(.*?)```", (PROJECT / "docs" / "clients.md").read_text(encoding="utf-8"), re.DOTALL)[-1]


def test_uppy_sends_a_large_file_in_parts_as_documented(service: Service, tmp_path: Path) -> None:
    if not (UPPY / "uppy.min.js").exists():
        pytest.skip("Uppy is not there; `make uppy` gets it from npm")
    page = PAGE.replace("PLUGIN", RECIPE.replace("use(AwsS3", "use(Uppy.AwsS3")).replace("begin(upload)", "begin(uppy)")
    (tmp_path / "index.html").write_text(page.replace("window.uppy = new", "window.uppy = uppy = new"))
    for name in ("uppy.min.js", "uppy.min.css"):
        (tmp_path / name).symlink_to(UPPY / name)
    wav = song(tmp_path / "long.wav", seconds=70)
    job = service.create_job(wav.name)

    def backend(method: str, path: str, body: Any) -> Any:
        answer = service.api(method, f"/jobs/{job['id']}/upload{path}", body)
        assert answer.status_code == 200, answer.text
        return answer.json()

    with site(tmp_path) as address, chromium() as browser, visitor(browser) as window:
        window.page.expose_function("backend", backend)
        window.page.goto(address)
        window.page.evaluate("() => begin()")
        window.page.locator("input[type=file]").first.set_input_files(wav)
        window.page.get_by_role("button", name="Upload 1 file").click()
        expect(window.page.get_by_text("Complete", exact=True)).to_be_visible()
        assert window.complaints == []

    assert service.ready(job["id"])["source"]["size_bytes"] == wav.stat().st_size
    service.delete(job["id"])


@pytest.mark.parametrize("plugin", PLUGINS)
def test_uppy_uploads_to_the_presigned_address(service: Service, tmp_path: Path, plugin: str) -> None:
    if not (UPPY / "uppy.min.js").exists():
        pytest.skip("Uppy is not there; `make uppy` gets it from npm")
    (tmp_path / "index.html").write_text(PAGE.replace("PLUGIN", PLUGINS[plugin]))
    for name in ("uppy.min.js", "uppy.min.css"):
        (tmp_path / name).symlink_to(UPPY / name)
    wav = song(tmp_path / "song.wav")
    job = service.create_job(wav.name, size_bytes=wav.stat().st_size)

    with site(tmp_path) as address, chromium() as browser, visitor(browser) as window:
        window.page.goto(address)
        window.page.evaluate("upload => begin(upload)", job["upload"])
        window.page.locator("input[type=file]").first.set_input_files(wav)
        window.page.get_by_role("button", name="Upload 1 file").click()
        expect(window.page.get_by_text("Complete", exact=True)).to_be_visible()
        assert window.complaints == []

    assert service.ready(job["id"])["source"]["size_bytes"] == wav.stat().st_size
    service.delete(job["id"])
