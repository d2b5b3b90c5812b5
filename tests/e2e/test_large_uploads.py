"""Large files over slow lines that are cut: they arrive whole, little is sent twice, and nothing is left behind."""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.browser import Visitor, chromium, visitor
from tests.e2e.large_files import (
    PART_BYTES,
    TRIALS,
    Trial,
    awaited,
    by_the_line,
    digest_of_upload,
    nothing_is_left,
    random_file,
    told,
    was_thrifty,
)
from tests.e2e.readme import EXAMPLE_CLIENT, client_environment
from tests.e2e.service import Job, Service, until
from tests.e2e.site import site
from tests.e2e.slow_line import SlowLine
from tests.e2e.test_page_uppy import PAGE, RECIPE, UPPY

RELOAD_AT = 0.58  # of the file: between two cuts

# The client unmodified, in a process whose connections to one port lead to another.
OVER_A_LINE = """
import runpy, sys
from urllib3.util import connection
port, line = int(sys.argv.pop(1)), int(sys.argv.pop(1))
straight = connection.create_connection
connection.create_connection = lambda to, *rest, **named: straight(
    ("127.0.0.1", line) if to[1] == port else to, *rest, **named
)
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """pytest keeps its folders for a while; not this one."""
    yield tmp_path
    shutil.rmtree(tmp_path)


@contextmanager
def window_on(service: Service, line: SlowLine) -> Iterator[Visitor]:
    with chromium(by_the_line(service, line)) as browser, visitor(browser) as window:
        window.page.on("dialog", lambda dialog: dialog.accept())
        yield window


def wait(page: Page, trial: Trial, has_come: Callable[[], bool]) -> None:
    """Until something has come. Uppy gives up after some tries, and asks its user."""
    retry = page.get_by_role("button", name="Retry upload").last
    deadline = time.monotonic() + 60 + trial.size_bytes / 1e6
    while not has_come():
        assert time.monotonic() < deadline, page.locator("body").inner_text()
        if retry.is_visible():
            retry.click()
        page.wait_for_timeout(200)


def has_sent(line: SlowLine, trial: Trial) -> Callable[[], bool]:
    return lambda: line.sent_bytes >= RELOAD_AT * trial.size_bytes


@pytest.mark.parametrize("trial", TRIALS)
def test_through_the_page_with_a_reload(
    service: Service, folder: Path, trial: Trial, figure: Callable[[str], None]
) -> None:
    digest = random_file(folder / "large.wav", trial.size_bytes)
    with (
        awaited(service, "large.wav") as job,
        trial.line(service.stack.access.endpoint_url).up() as line,
        window_on(service, line) as window,
    ):
        page, started = window.page, time.monotonic()
        choose = page.get_by_label(re.compile("Drop an audio file here"))
        page.goto(job["link"])
        choose.set_input_files(folder / "large.wav")
        wait(page, trial, has_sent(line, trial))

        page.reload()
        expect(page.get_by_text("An upload was started here.")).to_be_visible()
        choose.set_input_files(folder / "large.wav")
        wait(page, trial, page.get_by_text("The conversion starts in a moment.").first.is_visible)

        figure(told("page, one reload", trial, line, time.monotonic() - started))
        assert digest_of_upload(service, job) == digest
        assert line.times_cut == trial.cuts
        assert was_thrifty(trial, line, trial.cuts + 1, at_a_time=3)


@pytest.mark.parametrize("trial", TRIALS)
def test_with_uppy_as_documented_and_a_reload(
    service: Service, folder: Path, trial: Trial, figure: Callable[[str], None]
) -> None:
    if not (UPPY / "uppy.min.js").exists():
        pytest.skip("Uppy is not there; `make uppy` gets it from npm")
    digest = random_file(folder / "large.wav", trial.size_bytes)
    trial = replace(trial, bytes_per_second=4 * trial.bytes_per_second)  # Uppy uses one connection
    with (
        awaited(service, "large.wav") as job,
        trial.line(service.stack.access.endpoint_url).up() as line,
        site(uppy_site(folder)) as address,
        window_on(service, line) as window,
    ):
        page, started = window.page, time.monotonic()
        page.expose_function("backend", lambda method, path, body: backend(service, job, method, path, body))
        send_with_uppy(page, address, folder / "large.wav")
        wait(page, trial, has_sent(line, trial))

        send_with_uppy(page, address, folder / "large.wav")
        wait(page, trial, page.get_by_text("Complete", exact=True).is_visible)

        figure(told("Uppy, one reload", trial, line, time.monotonic() - started))
        assert digest_of_upload(service, job) == digest
        assert line.times_cut == trial.cuts
        assert was_thrifty(trial, line, trial.cuts + 1, at_a_time=1)


def uppy_site(folder: Path) -> Path:
    site_folder = folder / "site"
    site_folder.mkdir()
    page = PAGE.replace("PLUGIN", RECIPE.replace("use(AwsS3", "use(Uppy.AwsS3")).replace("begin(upload)", "begin(uppy)")
    (site_folder / "index.html").write_text(page.replace("window.uppy = new", "window.uppy = uppy = new"))
    for name in ("uppy.min.js", "uppy.min.css"):
        (site_folder / name).symlink_to(UPPY / name)
    return site_folder


def backend(service: Service, job: Job, method: str, path: str, body: Any) -> Any:
    answer = service.api(method, f"/jobs/{job['id']}/upload{path}", body)
    assert answer.status_code == 200, answer.text
    return answer.json()


def send_with_uppy(page: Page, address: str, file: Path) -> None:
    page.goto(address)
    page.evaluate("() => begin()")
    page.locator("input[type=file]").first.set_input_files(file)
    page.get_by_role("button", name="Upload 1 file").click()


@pytest.mark.parametrize("trial", TRIALS)
def test_with_the_example_client_killed_three_times(
    service: Service, folder: Path, trial: Trial, figure: Callable[[str], None]
) -> None:
    digest = random_file(folder / "large.wav", trial.size_bytes)
    state = folder / "large.wav.job.json"
    with (
        service.without_notifications(),
        SlowLine(service.stack.access.endpoint_url, trial.bytes_per_second).up() as line,
    ):
        started = time.monotonic()
        for share in (0.25, 0.5, 0.75):
            client = example_client(service, line, folder / "large.wav")
            until_sent(client, line, share * trial.size_bytes)
            client.send_signal(signal.SIGKILL)
            client.wait()
            job = json.loads(state.read_text())
            service.remember(job["link"])
            assert digest_of_upload(service, job) is None

        client = example_client(service, line, folder / "large.wav")
        arrived = until_arrived(service, job, client)
        seconds = time.monotonic() - started
        service.delete(job["id"])

        assert client.wait() == 1, "the job was deleted"
        figure(told("client.py, killed three times", trial, line, seconds))
        assert arrived == digest
        assert was_thrifty(trial, line, 3, at_a_time=4)
        assert nothing_is_left(service, job)


def example_client(service: Service, line: SlowLine, source: Path) -> subprocess.Popen[bytes]:
    port = urlsplit(service.stack.access.endpoint_url).port
    command = [sys.executable, "-c", OVER_A_LINE, str(port), str(line.port), str(EXAMPLE_CLIENT), str(source)]
    return subprocess.Popen(
        command, env=client_environment(service), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )


def until_sent(client: subprocess.Popen[bytes], line: SlowLine, size_bytes: float) -> None:
    while line.sent_bytes < size_bytes:
        assert client.poll() is None, "the client ended by itself"
        time.sleep(0.05)


def until_arrived(service: Service, job: Job, client: subprocess.Popen[bytes]) -> str:
    while not (arrived := digest_of_upload(service, job)):
        assert client.poll() is None, "the client ended by itself"
        time.sleep(0.5)
    return arrived


@pytest.mark.parametrize(
    "size_bytes",
    [
        pytest.param(42_000_000, id="42-MB"),
        pytest.param(200_000_000, id="200-MB", marks=[pytest.mark.long, pytest.mark.timeout(900)]),
    ],
)
def test_parts_use_several_connections_where_each_is_slow(
    service: Service, folder: Path, size_bytes: int, figure: Callable[[str], None]
) -> None:
    digest = random_file(folder / "large.wav", size_bytes)
    bytes_per_second = 2e6 if size_bytes > 10**8 else 8e6
    endpoint_url = service.stack.access.endpoint_url
    seconds, most = {}, {}
    for way in ("one PUT", "parts"):
        with awaited(service, "large.wav") as job, SlowLine(endpoint_url, bytes_per_second, 0.05).up() as line:
            started = time.monotonic()
            if way == "parts":
                (folder / "large.wav.job.json").write_text(json.dumps({**job, "key": "k" * 32}))
                client = example_client(service, line, folder / "large.wav")
                until(lambda: service.objects(service.uploads, f"jobs/{job['id']}"), "the parts are one object")
                client.send_signal(signal.SIGKILL)
                client.wait()
            else:
                to = f"{urlsplit(job['upload']['url']).netloc}:127.0.0.1:{line.port}"
                service.curl("--fail", "--connect-to", to, "-T", folder / "large.wav", job["upload"]["url"])
            seconds[way], most[way] = time.monotonic() - started, line.most_at_once
            assert digest_of_upload(service, job) == digest

    ratio = seconds["one PUT"] / seconds["parts"]
    times = ", ".join(f"{way} {number:.1f} s" for way, number in seconds.items())
    figure(f"{size_bytes / 1e6:.0f} MB at {bytes_per_second / 1e6:.0f} MB/s and connection: {times}, {ratio:.2f}")
    assert most["one PUT"] == 1
    assert most["parts"] >= 4


def test_an_abandoned_upload_is_swept_when_its_job_expires(service: Service, folder: Path) -> None:
    random_file(folder / "large.wav", 2 * PART_BYTES)
    job = service.create_job("large.wav")
    begun = backend(service, job, "POST", "", {"size_bytes": 2 * PART_BYTES})
    part = backend(service, job, "POST", "/parts", {"numbers": [1]})["parts"][0]
    service.remember(part["url"], *(call["url"] for call in begun["s3"].values() if isinstance(call, dict)))
    with (folder / "large.wav").open("rb") as file:
        assert service.request("PUT", part["url"], data=file.read(PART_BYTES)).status_code == 200
    assert not nothing_is_left(service, job)

    service.expire(job["id"])
    service.sweep()

    assert service.job(job["id"])["status"] == "expired"
    assert nothing_is_left(service, job)
