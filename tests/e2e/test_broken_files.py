"""No audio, or broken: each such job fails once, for a reason that a person understands, and tells no more."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.audio import broken
from tests.e2e import sounds
from tests.e2e.figures import decode
from tests.e2e.service import Job, Service

SECRET_NAME = "private-diary"

# What must not be told: paths, programs, their output, addresses, names of our own.
LEAKS = re.compile(
    rf"/(tmp|var|opt|work|root|home)\b|ff(mpeg|probe)\b|exit|errno|0x|Traceback|\.py\b|{SECRET_NAME}", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class Case:
    """A way to make a bad file at a path, given a local file with audio that it may try to reach, and its end."""

    name: str
    make: Callable[[Path, Path], object]
    code: str
    sentence: str

    def __str__(self) -> str:
        return self.name


def truncated_mp3(path: Path, target: Path) -> None:
    """Half of an MP3 whose first frame says how much there should be."""
    broken.truncated(path, target.with_suffix(".mp3"))


def noise(path: Path, _: Path) -> None:
    path.write_bytes(bytes(range(7, 256, 31)) * 4000)


def damaged_flac(path: Path, _: Path) -> None:
    """FLAC's first four bytes and nothing that belongs to them."""
    path.write_bytes(b"fLaC" + bytes(range(7, 256, 31)) * 4000)


CASES = [
    Case("text.txt", lambda path, _: broken.text(path), "unsupported-format", "This is a text file"),
    Case("text-named.wav", lambda path, _: broken.text(path), "unsupported-format", "This is a text file"),
    Case("empty.wav", lambda path, _: broken.empty(path), "no-audio", "The file is empty"),
    Case("header-only.wav", lambda path, _: broken.header_only_wav(path), "no-audio", "no sound"),
    Case(
        "truncated.wav", lambda path, _: broken.truncated_wav(path), "truncated-audio", "ends before the 2.000 seconds"
    ),
    Case("truncated.mp3", truncated_mp3, "truncated-audio", "declares 3.000 seconds"),
    Case("silent-movie.mp4", lambda path, _: broken.silent_movie(path), "no-audio", "a video without sound"),
    Case("script.wav", broken.ffconcat_script, "unsupported-format", "a list of other files"),
    Case("playlist.wav", broken.hls_playlist, "unsupported-format", "a playlist"),
    Case("noise.mp3", noise, "unsupported-format", "not in a supported audio format"),
    Case("damaged.flac", damaged_flac, "corrupt-audio", "damaged"),
]


@pytest.fixture(scope="module")
def target(service: Service, files: Path) -> Path:
    """Audio on this machine that no upload may reach."""
    song = sounds.song(files / f"{SECRET_NAME}.wav", seconds=3)
    sounds.encode_mp3(service.programs, song, song.with_suffix(".mp3"))
    return song


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_bad_file_fails_for_its_own_reason(service: Service, target: Path, tmp_path: Path, case: Case) -> None:
    path = tmp_path / case.name
    case.make(path, target)

    job = service.put(f"broken/{case.name}", path)

    assert job["status"] == "failed"
    assert job["error"]["code"] == case.code
    assert case.sentence in job["error"]["detail"]
    assert_nothing_came_of_it(service, job)
    service.finished(job["id"])
    assert not service.objects(service.uploads, "broken/"), "a file that was at fault is deleted at once"
    event = service.event_of(job["id"])
    assert event["detail-type"] == "Job Failed"
    assert event["detail"]["job"]["error"] == job["error"]
    assert event["detail"]["link"] is None
    assert not LEAKS.search(json.dumps(event["detail"]))
    service.delete(job["id"])


@pytest.mark.parametrize("case", [case for case in CASES if case.name in ("empty.wav", "script.wav")], ids=str)
def test_a_bad_file_of_an_api_job(service: Service, target: Path, tmp_path: Path, case: Case) -> None:
    path = tmp_path / case.name
    case.make(path, target)
    created = service.create_job(case.name, allow_partial=True)  # no excuse for what is no audio
    service.send(created, path)

    job = service.ended(created["id"])

    assert (job["status"], job["error"]["code"]) == ("failed", case.code)
    assert_nothing_came_of_it(service, job)
    claim = service.request("POST", created["link"])
    assert (claim.status_code, claim.json()["type"]) == (409, "job-not-ready")
    assert case.sentence in claim.json()["detail"], "whoever has the link is told why"
    assert not LEAKS.search(claim.text)
    renewal = service.api("POST", f"/jobs/{job['id']}/link")
    assert (renewal.status_code, renewal.json()["type"]) == (409, "job-not-ready")
    service.delete(job["id"])


def assert_nothing_came_of_it(service: Service, job: Job) -> None:
    detail = job["error"]["detail"]
    assert re.fullmatch(r"[A-Z].*\w\.|(bit_rate|vbr_quality) .*\w\.", detail), detail
    assert len(detail.split()) >= 4, detail
    assert not LEAKS.search(json.dumps(job))
    assert job["result"] is None
    assert not [key for key in service.objects(service.results) if job["id"] in key]
    service.finished(job["id"])
    record = service.record(job["id"])
    assert int(record["attempts"]["N"]) == 1
    assert record["retryable"]["BOOL"] is False


@pytest.mark.parametrize("through_api", [True, False], ids=["api", "direct"])
def test_what_a_truncated_file_has_can_be_asked_for(service: Service, tmp_path: Path, through_api: bool) -> None:
    path = broken.truncated_wav(tmp_path / "truncated.wav", seconds=2.0)
    if through_api:
        created = service.create_job("truncated.wav", allow_partial=True)
        service.send(created, path)
        job, link = service.ready(created["id"]), created["link"]
    else:
        job = service.put("allowed/truncated.wav", path, **{"allow-partial": "true"})
        link = service.event_of(job["id"])["detail"]["link"]

    result = service.fetch(link, tmp_path / "result.mp3")

    assert [warning["code"] for warning in job["warnings"]] == ["truncated-audio"]
    assert not LEAKS.search(json.dumps(job["warnings"]))
    assert decode(service.programs, result, 32_000, channels=1).seconds == pytest.approx(1.0, abs=0.001)


def test_impossible_options_of_a_direct_upload(service: Service, target: Path) -> None:
    job = service.put("broken/options.wav", target, **{"bit-rate": "144000"})

    assert (job["status"], job["error"]["code"]) == ("failed", "invalid-request")
    assert "bit_rate" in job["error"]["detail"]
    assert_nothing_came_of_it(service, job)
    service.delete(job["id"])
