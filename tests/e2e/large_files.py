"""Large files on bad lines: what is sent, through what, and what became of it."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.e2e.service import Job, Service
from tests.e2e.slow_line import SlowLine

PART_BYTES = 5 << 20
_BLOCK_BYTES = 8 << 20


@dataclass(frozen=True, slots=True)
class Trial:
    """A file of random bytes, and how often its line is cut."""

    size_bytes: int
    cuts: int
    bytes_per_second: float
    """Of one connection."""

    def line(self, target_url: str) -> SlowLine:
        between = self.size_bytes // (self.cuts + 1)
        cuts = [between * (number + 1) for number in range(self.cuts)]
        return SlowLine(target_url, self.bytes_per_second, 0.02, cuts)


TRIALS = [
    pytest.param(Trial(63_000_000, 2, 4_000_000), id="63-MB"),
    pytest.param(Trial(1_500_000_000, 5, 5_000_000), id="1500-MB", marks=[pytest.mark.long, pytest.mark.timeout(3600)]),
]


def random_file(path: Path, size_bytes: int) -> str:
    """Write a file in which no two parts are alike. Returns its SHA-256."""
    block = random.Random(size_bytes).randbytes(_BLOCK_BYTES)
    digest = hashlib.sha256()
    with path.open("wb") as file:
        for start in range(0, size_bytes, _BLOCK_BYTES):
            piece = (start.to_bytes(8) + block)[: min(_BLOCK_BYTES, size_bytes - start)]
            digest.update(piece)
            file.write(piece)
    return digest.hexdigest()


def digest_of_upload(service: Service, job: Job) -> str | None:
    """The SHA-256 of what lies at the job's key, `None` where nothing does yet."""
    s3 = service.stack.admin.client("s3")
    if f"jobs/{job['id']}" not in service.objects(service.uploads, "jobs/"):
        return None
    digest = hashlib.sha256()
    for chunk in s3.get_object(Bucket=service.uploads, Key=f"jobs/{job['id']}")["Body"].iter_chunks(1 << 20):
        digest.update(chunk)
    return digest.hexdigest()


def nothing_is_left(service: Service, job: Job) -> bool:
    """No part, no multipart upload and no object of a job."""
    under_way = service.stack.admin.client("s3").list_multipart_uploads(Bucket=service.uploads).get("Uploads", [])
    keys = [*service.objects(service.uploads), *service.objects(service.results)]
    return not [key for key in [*keys, *(upload["Key"] for upload in under_way)] if job["id"] in key]


@contextmanager
def awaited(service: Service, name: str) -> Iterator[Job]:
    """A job whose upload nobody converts. In the end it is deleted, and nothing is left of it."""
    job = service.create_job(name)
    with service.without_notifications():
        yield job
        service.delete(job["id"])
        assert nothing_is_left(service, job)


def by_the_line(service: Service, line: SlowLine) -> str:
    """Chromium's argument that leads all that goes to the embedded AWS over a line."""
    port = urlsplit(service.stack.access.endpoint_url).port
    return f"--host-resolver-rules=MAP *:{port} 127.0.0.1:{line.port}"


def was_thrifty(trial: Trial, line: SlowLine, interruptions: int, at_a_time: int) -> bool:
    """At most the parts under way were sent again at each interruption; of a large file that is next to nothing."""
    most = trial.size_bytes + interruptions * at_a_time * PART_BYTES
    if trial.size_bytes > 10**9:
        most = trial.size_bytes
    return line.sent_bytes <= 1.05 * most


def told(what: str, trial: Trial, line: SlowLine, seconds: float) -> str:
    """The figures of a trial in a line."""
    sent, share = line.sent_bytes / 1e6, line.sent_bytes / trial.size_bytes
    size = f"{trial.size_bytes / 1e6:.0f} MB, {line.times_cut} cuts"
    return f"{what}: {size}, {sent:.1f} MB sent ({share:.3f} of it), {seconds:.0f} s"
