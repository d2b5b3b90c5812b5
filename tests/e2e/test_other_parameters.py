"""What other parameters than those of the shared stack do."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import expect

from local.stack import EmbeddedAws
from tests.e2e import sounds
from tests.e2e.browser import chromium, visitor
from tests.e2e.service import WAIT_SECONDS, Service, until

SITE = "https://app.example"


@pytest.fixture(scope="module")
def other(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Small uploads only, originals are kept, a limit of jobs at a time, no dashboard, one web site, and a download
    window so short that tests can wait for its end, but must not try to download in it."""
    parameters = {
        "MaxUploadMegabytes": "1",
        "KeepOriginals": "true",
        "DownloadWindowSeconds": "3",
        "MaxConcurrentJobs": "7",
        "Dashboard": "false",
        "AllowedOrigin": SITE,
        "AlarmEmail": "somebody@example.com",
    }
    folder = tmp_path_factory.mktemp("other")
    with EmbeddedAws(parameters, state_folder=folder, sam_build_folder=built, write_stack_file=False) as stack:
        other = Service(stack, built / "FfmpegLayer" / "bin")
        with other.http:
            yield other


@pytest.fixture(scope="module")
def too_large(files: Path) -> Path:
    """1.06 MB."""
    return sounds.song(files / "too-large.wav", seconds=6)


def test_an_announced_size_that_is_too_large_is_refused_at_once(other: Service) -> None:
    answer = other.api("POST", "/jobs", {"filename": "song.wav", "size_bytes": 1_000_001})

    assert (answer.status_code, answer.headers["Content-Type"]) == (413, "application/problem+json")
    assert answer.json()["type"] == "upload-too-large"


def test_an_upload_that_is_too_large_fails(other: Service, too_large: Path) -> None:
    job = other.put("too-large.wav", too_large)

    assert (job["status"], job["error"]["code"]) == ("failed", "upload-too-large")
    assert "1 MB" in job["error"]["detail"]
    assert not other.objects(other.results)
    assert other.attempts(job["id"]) == 1
    other.delete(job["id"])


def test_when_the_window_ends_address_and_result_are_gone_but_no_original_that_is_to_be_kept(
    other: Service, files: Path
) -> None:
    job = other.put("kept.wav", sounds.song(files / "kept.wav"))
    other.finished(job["id"])

    url = other.claim(other.new_link(job["id"]))

    until(lambda: "Request has expired" in other.request("GET", url).text, "the presigned URL has expired")
    assert other.request("GET", url).status_code == 403
    other.purged(job["id"])
    assert list(other.objects(other.uploads)) == ["kept.wav"]
    other.delete(job["id"])
    assert not other.objects(other.uploads)


def test_jobs_at_a_time_are_limited_where_that_is_wanted(other: Service) -> None:
    limits = {
        name: other.stack.admin.client("lambda").get_function_concurrency(FunctionName=function)
        for name, function in other.stack.access.functions.items()
    }

    assert limits["ResampleFunction"]["ReservedConcurrentExecutions"] == 7
    assert not any("ReservedConcurrentExecutions" in limits[name] for name in ("ApiFunction", "PurgeFunction"))


def test_the_dashboard_can_be_left_out(other: Service) -> None:
    assert other.stack.admin.client("cloudwatch").list_dashboards()["DashboardEntries"] == []


def test_the_page_and_one_web_site_may_upload_from_a_browser_and_no_other(other: Service) -> None:
    page = urlsplit(other.stack.access.api_url)
    asked = {"Access-Control-Request-Method": "PUT", "Access-Control-Request-Headers": "content-type"}
    address = f"{other.stack.access.endpoint_url}/{other.uploads}/jobs/1"

    answers = {
        origin: other.request("OPTIONS", address, headers={**asked, "Origin": origin}).status_code
        for origin in (f"{page.scheme}://{page.netloc}", SITE, "https://elsewhere.example")
    }

    assert list(answers.values()) == [200, 200, 403]


def test_the_page_uploads_to_another_origin_that_allows_one_web_site(other: Service, files: Path) -> None:
    wav = sounds.song(files / "page.wav")
    job = other.create_job(wav.name, size_bytes=wav.stat().st_size)
    assert urlsplit(job["link"]).netloc != urlsplit(job["upload"]["url"]).netloc

    with chromium() as browser, visitor(browser) as window:
        window.page.goto(job["link"])
        window.page.locator("input[type=file]").first.set_input_files(wav)
        ready = other.ready(job["id"])
        assert window.complaints == []

    assert ready["source"]["size_bytes"] == wav.stat().st_size
    other.delete(job["id"])


def test_the_page_says_that_the_browser_may_not_send_instead_of_trying_for_ever(other: Service, files: Path) -> None:
    wav = sounds.song(files / "shut-out.wav")
    job = other.create_job(wav.name, size_bytes=wav.stat().st_size)
    s3, bucket = other.stack.admin.client("s3"), other.uploads
    rules = s3.get_bucket_cors(Bucket=bucket)["CORSRules"]
    s3.put_bucket_cors(
        Bucket=bucket, CORSConfiguration={"CORSRules": [{**rule, "AllowedOrigins": [SITE]} for rule in rules]}
    )

    with chromium() as browser, visitor(browser) as window:
        window.page.goto(job["link"])
        window.page.locator("input[type=file]").first.set_input_files(wav)
        expect(window.page.get_by_text("Your browser was not allowed to send the file").first).to_be_visible(
            timeout=WAIT_SECONDS * 1000
        )
        expect(window.page.locator("input[type=file]").first).to_be_attached()

    s3.put_bucket_cors(Bucket=bucket, CORSConfiguration={"CORSRules": rules})
    other.delete(job["id"])
