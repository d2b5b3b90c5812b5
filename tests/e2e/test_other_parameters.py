"""What other parameters than those of the shared stack do."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from local.stack import EmbeddedAws
from tests.e2e import sounds
from tests.e2e.service import Service


@pytest.fixture(scope="module")
def other(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Small uploads only, originals are kept, a short download window, a limit of jobs at a time, and no dashboard."""
    parameters = {
        "MaxUploadMegabytes": "1",
        "KeepOriginals": "true",
        "DownloadWindowSeconds": "3",
        "MaxConcurrentJobs": "7",
        "Dashboard": "false",
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


def test_an_original_is_kept_where_that_is_wanted_and_goes_with_its_job(
    other: Service, files: Path, tmp_path: Path
) -> None:
    song = sounds.song(files / "kept.wav")

    job = other.put("kept.wav", song)
    other.finished(job["id"])
    other.fetch(other.new_link(job["id"]), tmp_path / "result.mp3")
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
