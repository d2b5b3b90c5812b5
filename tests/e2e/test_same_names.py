"""Files of the same name, one after another and at once: nobody ever gets another's."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

from tests.audio.measure import tone_dbfs
from tests.e2e import sounds
from tests.e2e.figures import decode
from tests.e2e.service import WAIT_SECONDS, Service


@pytest.fixture(scope="module")
def low(files: Path) -> Path:
    """One second of 400 Hz."""
    return sounds.song(files / "low.wav", seconds=1, frequency=400)


@pytest.fixture(scope="module")
def high(files: Path) -> Path:
    """Two seconds of 3 kHz."""
    return sounds.song(files / "high.wav", seconds=2, frequency=3000)


def frequency_in(service: Service, mp3: Path) -> int:
    """Which of the two tones a result has."""
    samples = decode(service.programs, mp3, 32_000).window(0.2, 0.5, 0)
    levels = {frequency: tone_dbfs(samples, frequency, 32_000) for frequency in (400, 3000)}
    loud = [frequency for frequency, level in levels.items() if level > -20]
    assert len(loud) == 1, levels
    return loud[0]


def test_two_api_jobs_with_one_file_name_at_once(service: Service, low: Path, high: Path, tmp_path: Path) -> None:
    jobs = [service.create_job("song.wav") for _ in range(2)]
    together = Barrier(2, timeout=WAIT_SECONDS)

    def send(job: dict[str, str], path: Path) -> None:
        together.wait()
        service.send(job, path)

    with ThreadPoolExecutor() as pool:
        list(pool.map(send, jobs, [low, high]))
    ended = [service.ready(job["id"]) for job in jobs]
    results = [service.fetch(job["link"], tmp_path / f"{index}.mp3") for index, job in enumerate(jobs)]

    assert [job["filename"] for job in ended] == ["song.wav", "song.wav"]
    assert [job["result"]["duration_seconds"] for job in ended] == [1, 2]
    assert [frequency_in(service, path) for path in results] == [400, 3000]


def test_an_upload_under_a_key_that_was_used_before(service: Service, low: Path, high: Path, tmp_path: Path) -> None:
    key = "again/song.wav"
    service.s3.upload_file(str(low), service.uploads, key)
    [first] = service.appeared(key)

    service.s3.upload_file(str(high), service.uploads, key)
    second = service.appeared(key, count=2)[0]

    assert first["id"] != second["id"]
    assert len(service.objects(service.results, key)) == 2
    before = service.fetch(service.event_of(first["id"])["detail"]["link"], tmp_path / "first.mp3")
    assert frequency_in(service, before) == 400
    service.after_window(first["id"])
    assert service.job(second["id"])["status"] == "ready", "the purge of the first leaves the second alone"
    after = service.fetch(service.event_of(second["id"])["detail"]["link"], tmp_path / "second.mp3")
    assert frequency_in(service, after) == 3000


def test_two_uploads_under_one_key_at_once(service: Service, low: Path, high: Path, tmp_path: Path) -> None:
    """S3 keeps the one that was written last; the other may have been read before, or is told so."""
    key = "at once/song.wav"
    contents = [low.read_bytes(), high.read_bytes()]
    together = Barrier(2, timeout=WAIT_SECONDS)

    def put(content: bytes) -> None:
        together.wait()
        service.s3.put_object(Bucket=service.uploads, Key=key, Body=content)

    with ThreadPoolExecutor() as pool:
        list(pool.map(put, contents))
    jobs = service.appeared(key, count=2)

    ready = [job for job in jobs if job["status"] == "ready"]
    failed = [job for job in jobs if job["status"] == "failed"]
    assert len(jobs) == 2
    assert ready
    assert {job["error"]["code"] for job in failed} <= {"upload-replaced"}
    assert len(service.objects(service.results, key)) == len(ready)
    for job in ready:
        # What the job says it read is what its result holds.
        expected = {len(content): tone for content, tone in zip(contents, (400, 3000), strict=True)}
        path = service.fetch(service.event_of(job["id"])["detail"]["link"], tmp_path / f"{job['id']}.mp3")
        assert frequency_in(service, path) == expected[job["source"]["size_bytes"]]
    assert not service.objects(service.uploads, key)
