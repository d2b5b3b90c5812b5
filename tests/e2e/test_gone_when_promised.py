"""200 jobs with a short life: how long after its moment each file is gone, by the sweep's own schedule alone."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from local.stack import EmbeddedAws
from tests.e2e import sounds
from tests.e2e.service import Service

LINK_HOURS = "0.03"
SWEEP_SECONDS = 300  # as the template says; the emulator keeps it
SWEEP_TAKES_SECONDS = 120  # on a busy machine
UNFETCHED, WRONG, ABANDONED = 70, 60, 70


@pytest.fixture(scope="module")
def short_lived(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("short")
    with EmbeddedAws(
        {"LinkHours": LINK_HOURS}, state_folder=folder, sam_build_folder=built, write_stack_file=False
    ) as stack:
        service = Service(stack, built / "FfmpegLayer" / "bin")
        with service.http:
            yield service


@dataclass(slots=True)
class Watch:
    """When each object and each upload in parts was last seen, by whose it is. Moments are Unix times."""

    service: Service
    last_seen: dict[str, float] = field(default_factory=dict)
    slowest_look_seconds: float = 0.0

    def look(self) -> int:
        began = time.time()
        s3 = self.service.stack.admin.client("s3")
        there = {key for bucket in (self.service.uploads, self.service.results) for key in self.service.objects(bucket)}
        parts = s3.list_multipart_uploads(Bucket=self.service.uploads).get("Uploads", [])
        there |= {f"parts of {upload['Key']}" for upload in parts}
        self.last_seen |= dict.fromkeys(there, time.time())
        self.slowest_look_seconds = max(self.slowest_look_seconds, time.time() - began)
        return len(there)


def unfetched(service: Service, song: Path, number: int) -> str:
    if number % 2:
        return str(service.put(f"unfetched/{number}.wav", song)["id"])
    created = service.create_job("unfetched.wav")
    service.send(created, song)
    return str(created["id"])


def wrong(service: Service, file: Path, number: int) -> str:
    if number % 2:
        return str(service.put(f"wrong/{number}.wav", file)["id"])
    created = service.create_job("wrong.wav")
    service.send(created, file)
    return str(created["id"])


def abandoned(service: Service, _: Path, number: int) -> str:
    job_id = str(service.create_job(f"abandoned {number}.wav")["id"])
    begun = service.api("POST", f"/jobs/{job_id}/upload", {"size_bytes": 6_000_000}).json()
    address = service.api("POST", f"/jobs/{job_id}/upload/parts", {"numbers": [2]}).json()["parts"][0]
    answer = service.request(address["method"], address["url"], data=bytes(6_000_000 - begun["part_size_bytes"]))
    assert answer.status_code == 200
    return job_id


@pytest.mark.long
@pytest.mark.timeout(2400)
def test_two_hundred_jobs_are_gone_within_the_interval(
    short_lived: Service, files: Path, figure: Callable[[str], None]
) -> None:
    service, watch = short_lived, Watch(short_lived)
    song = sounds.song(files / "short-lived.wav")
    text = files / "wrong.txt"
    text.write_bytes(b"no sound at all\n" * 400)
    works = [
        *[(unfetched, song, number) for number in range(UNFETCHED)],
        *[(wrong, text, number) for number in range(WRONG)],
        *[(abandoned, song, number) for number in range(ABANDONED)],
    ]

    with ThreadPoolExecutor(6) as clients:
        futures = [clients.submit(work, service, file, number) for work, file, number in works]
        while not all(future.done() for future in futures):
            watch.look()
            time.sleep(0.5)
    ids = {future.result(): work.__name__ for future, (work, _, _) in zip(futures, works, strict=True)}
    moments: dict[str, dict[str, Any]] = {}
    failed_at: dict[str, float] = {}
    until = time.time() + 2 * 3600 * float(LINK_HOURS) + SWEEP_SECONDS + SWEEP_TAKES_SECONDS
    while time.time() < until:
        there = watch.look()
        moments = {record["id"]["S"]: record for record in service.records()}
        for job_id, record in moments.items():
            if record["status"]["S"] == "failed":
                failed_at.setdefault(job_id, float(record["updated_at"]["N"]))
        if not there and all("deleted_at" in moments[job_id] or ids[job_id] == "wrong" for job_id in ids):
            break
        time.sleep(1)

    late: dict[str, list[float]] = {}
    for job_id, kind in ids.items():
        record = moments[job_id]
        due = failed_at[job_id] if kind == "wrong" else float(record["expires_at"]["N"])
        key = record["upload_key"]["S"]
        seen = [moment for place, moment in watch.last_seen.items() if job_id in place or place == key]
        late.setdefault(kind, []).append(max(0.0, *(moment - due for moment in seen or [due])))
    for kind, seconds in late.items():
        figure(
            f"{kind}: {len(seconds)} jobs, gone at most {max(seconds):.0f} s after their moment, "
            f"median {sorted(seconds)[len(seconds) // 2]:.0f} s"
        )
    figure(f"a look at the buckets took at most {watch.slowest_look_seconds:.1f} s")
    assert len(ids) == UNFETCHED + WRONG + ABANDONED
    assert watch.look() == 0
    assert max(max(late["unfetched"]), max(late["abandoned"])) <= SWEEP_SECONDS + SWEEP_TAKES_SECONDS
