"""Firefox at the page, driven by WebDriver BiDi (W3C), which it speaks by itself: no driver program is needed."""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from websockets.sync.client import ClientConnection, connect

WAIT_SECONDS = 120.0
POLL_SECONDS = 0.1

PREFERENCES: Mapping[str, Any] = {
    # Downloads are saved without a question.
    "browser.download.folderList": 2,
    "browser.download.useDownloadDir": True,
    "browser.download.always_ask_before_handling_new_types": False,
    "browser.download.alwaysOpenPanel": False,
    # Nothing is asked of Mozilla.
    "app.update.auto": False,
    "app.update.enabled": False,
    "browser.aboutwelcome.enabled": False,
    "browser.region.update.enabled": False,
    "browser.safebrowsing.malware.enabled": False,
    "browser.safebrowsing.phishing.enabled": False,
    "browser.shell.checkDefaultBrowser": False,
    "datareporting.policy.dataSubmissionEnabled": False,
    "extensions.update.enabled": False,
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
    "services.settings.server": "",
    "toolkit.telemetry.enabled": False,
}


@dataclass
class Firefox:
    """One window. Scripts run in the page's own world."""

    socket: ClientConnection
    downloads: Path
    complaints: list[str] = field(default_factory=list)
    """What the browser had to say against the page: errors of scripts and of policies."""
    _context: str = ""
    _ids: Iterator[int] = field(default_factory=lambda: count(1))

    def command(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Send a command and wait for its result; what happens meanwhile is noted."""
        number = next(self._ids)
        self.socket.send(json.dumps({"id": number, "method": method, "params": parameters}))
        while True:
            message = json.loads(self.socket.recv(timeout=WAIT_SECONDS))
            if message.get("id") == number:
                assert message["type"] == "success", message
                result: dict[str, Any] = message["result"]
                return result
            if message.get("method") == "log.entryAdded" and message["params"]["level"] == "error":
                self.complaints.append(str(message["params"]["text"]))

    def open(self, address: str) -> None:
        self.command("browsingContext.navigate", context=self._context, url=address, wait="complete")

    def evaluate(self, expression: str) -> Any:
        """The value of an expression: text, a number, or a node."""
        answer = self.command(
            "script.evaluate", expression=expression, target={"context": self._context}, awaitPromise=True
        )
        assert answer["type"] == "success", answer
        return answer["result"].get("value", answer["result"])

    def text(self) -> str:
        return str(self.evaluate("document.body.innerText"))

    def wait_for_text(self, text: str) -> None:
        deadline = time.monotonic() + WAIT_SECONDS
        while text not in self.text():
            assert time.monotonic() < deadline, self.text()
            time.sleep(POLL_SECONDS)

    def _node(self, selector: str) -> dict[str, Any]:
        answer = self.command(
            "browsingContext.locateNodes", context=self._context, locator={"type": "css", "value": selector}
        )
        return {"sharedId": answer["nodes"][0]["sharedId"]}

    def choose_file(self, selector: str, path: Path) -> None:
        self.command("input.setFiles", context=self._context, element=self._node(selector), files=[str(path)])

    def click(self, selector: str) -> None:
        """With the pointer, as a person does."""
        self.evaluate(f"document.querySelector({json.dumps(selector)}).scrollIntoView({{block: 'center'}})")
        origin = {"type": "element", "element": self._node(selector)}
        pointer = [
            {"type": "pointerMove", "x": 0, "y": 0, "origin": origin},
            {"type": "pointerDown", "button": 0},
            {"type": "pointerUp", "button": 0},
        ]
        self.command(
            "input.performActions",
            context=self._context,
            actions=[{"type": "pointer", "id": "mouse", "actions": pointer}],
        )

    def wait_for_download(self, count: int = 1) -> list[Path]:
        """The files that were saved, as many as are wanted."""
        deadline = time.monotonic() + WAIT_SECONDS
        while True:
            files = sorted(self.downloads.iterdir())
            whole = [path for path in files if path.suffix != ".part" and path.stat().st_size]
            if len(whole) >= count and len(whole) == len(files):
                return whole
            assert time.monotonic() < deadline, files
            time.sleep(POLL_SECONDS)

    def screenshot(self, path: Path) -> None:
        answer = self.command("browsingContext.captureScreenshot", context=self._context, origin="document")
        path.write_bytes(base64.b64decode(answer["data"]))

    def begin(self) -> None:
        """Open the session and find its window."""
        self.command("session.new", capabilities={})
        self.command("session.subscribe", events=["log.entryAdded"])
        self._context = self.command("browsingContext.getTree")["contexts"][0]["context"]


@contextmanager
def firefox(folder: Path, *, languages: str = "en-GB,en") -> Iterator[Firefox]:
    """Skips where Firefox is not installed; `make test` installs it. `languages` is its Accept-Language."""
    program = shutil.which("firefox-esr") or shutil.which("firefox")
    if program is None:
        pytest.skip("firefox is not installed")
    profile, downloads = folder / "profile", folder / "downloads"
    profile.mkdir()
    downloads.mkdir()
    own = {"browser.download.dir": str(downloads), "intl.accept_languages": languages}
    lines = [f"user_pref({json.dumps(name)}, {json.dumps(value)});" for name, value in {**PREFERENCES, **own}.items()]
    (profile / "user.js").write_text("\n".join(lines))
    log = folder / "log"
    arguments = ["--headless", "--no-remote", "--profile", str(profile), "--remote-debugging-port", "0", "about:blank"]
    with log.open("wb") as output:
        process = subprocess.Popen(
            [program, *arguments],
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, "HOME": str(folder), "MOZ_CRASHREPORTER_DISABLE": "1"},
            start_new_session=True,
        )
    try:
        with connect(f"{_address(log, process)}/session", max_size=None, proxy=None) as socket:
            browser = Firefox(socket, downloads)
            browser.begin()
            yield browser
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _address(log: Path, process: subprocess.Popen[bytes]) -> str:
    """Where Firefox listens, as it says itself."""
    deadline = time.monotonic() + WAIT_SECONDS
    while not (match := re.search(r"WebDriver BiDi listening on (ws://[\w.:]+)", log.read_text(errors="replace"))):
        assert process.poll() is None, log.read_text(errors="replace")
        assert time.monotonic() < deadline, log.read_text(errors="replace")
        time.sleep(POLL_SECONDS)
    return match[1]
