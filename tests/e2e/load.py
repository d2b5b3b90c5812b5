"""Many users at once: what each is to do, one after another, and what came of it."""

from __future__ import annotations

import json
import random
import secrets
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from tests.audio import broken, synth
from tests.e2e import sounds
from tests.e2e.service import JSON, WAIT_SECONDS, Job, Service

CALLERS = 4
SHORTEST_SECONDS = 0.2
LEVEL_DBFS = -12
FREQUENCIES = range(500, 6000, 100)
STEP_SECONDS = 0.01


class Ending(StrEnum):
    """What becomes of a job."""

    FETCHED = "fetched"
    RIVALS = "claimed by several callers at once"
    REPEATED = "claimed by several callers at once who share a key"
    DELETED = "deleted midway"
    UNCLAIMED = "never claimed"
    BROKEN = "broken"


DOWNLOADED = {Ending.FETCHED, Ending.RIVALS, Ending.REPEATED}

ENDINGS = (
    *(Ending.FETCHED,) * 9,
    *(Ending.RIVALS, Ending.REPEATED, Ending.DELETED, Ending.UNCLAIMED, Ending.BROKEN) * 2,
)

ENCODINGS: Mapping[str, Sequence[str]] = {
    "pcm.wav": (),
    "constant.mp3": ("-c:a", "libmp3lame", "-b:a", "192k"),
    "tone.flac": (),
    "wanted.mp3": ("-c:a", "libmp3lame", "-b:a", "128k", "-ar", "32000"),
    "tone.m4a": (),
    "variable.mp3": ("-c:a", "libmp3lame", "-q:a", "3"),
    "tone.ogg": (),
}
"""ffmpeg's arguments by the end of the file's name. Their number has no divisor in common with that of the endings."""

PASSED_THROUGH = "wanted.mp3"


def _truncated_mp3(path: Path) -> None:
    whole = synth.encode(path.with_suffix(".whole.mp3"), sounds.tone(3, 1000, LEVEL_DBFS))
    broken.truncated(path, whole)


BROKEN: Mapping[str, tuple[str, Callable[[Path], object]]] = {
    "truncated.wav": ("truncated-audio", broken.truncated_wav),
    "text.mp3": ("unsupported-format", broken.text),
    "empty.wav": ("no-audio", broken.empty),
    "truncated.mp3": ("truncated-audio", _truncated_mp3),
    "header.wav": ("no-audio", broken.header_only_wav),
}
"""Error code, and what makes the file, by the end of its name."""


@dataclass(frozen=True, slots=True)
class Order:
    """One file and what is to become of it. No two recordings are of the same length."""

    number: int
    ending: Ending
    direct: bool
    path: Path
    seconds: float
    frequency: int
    error: str | None
    """The code that the job fails with."""
    delete_after_seconds: float

    @property
    def kind(self) -> str:
        return self.path.name.partition("-")[2]


@dataclass(slots=True)
class Outcome:
    """What came of an order. Moments are Unix times, durations are in seconds."""

    order: Order
    job_id: str = ""
    link: str = ""
    upload_began_at: float = 0.0
    claim_seconds: float | None = None
    whole_seconds: float | None = None
    result: Path | None = None


def orders(count: int, longest_seconds: float, folder: Path) -> list[Order]:
    """`count` orders of every kind, always the same; their files are not there yet."""
    chance = random.Random(count)
    steps: set[int] = set()
    found: list[Order] = []
    for number in range(count):
        ending = ENDINGS[number % len(ENDINGS)]
        kind = (
            list(BROKEN)[len(found) // 2 % len(BROKEN)]
            if ending is Ending.BROKEN
            else list(ENCODINGS)[number % len(ENCODINGS)]
        )
        step = round(SHORTEST_SECONDS * (longest_seconds / SHORTEST_SECONDS) ** chance.random() / STEP_SECONDS)
        while step in steps:
            step += 1
        steps.add(step)
        found.append(
            Order(
                number=number,
                ending=ending,
                direct=chance.random() < 0.3 and ending is not Ending.DELETED,
                path=folder / f"{number}-{kind}",
                seconds=step * STEP_SECONDS,
                frequency=chance.choice(FREQUENCIES),
                error=BROKEN[kind][0] if ending is Ending.BROKEN else None,
                delete_after_seconds=chance.uniform(0, 2),
            )
        )
    chance.shuffle(found)
    return found


def make_file(order: Order) -> None:
    """Write the order's file."""
    if order.error:
        BROKEN[order.kind][1](order.path)
    else:
        synth.encode(order.path, sounds.tone(order.seconds, order.frequency, LEVEL_DBFS), *ENCODINGS[order.kind])


@dataclass(slots=True)
class Announcements:
    """Takes the service's events from their queue, and hands them to whoever waits for them."""

    service: Service
    found: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    """Details of the events by upload key."""
    _news: threading.Condition = field(default_factory=threading.Condition)
    _over: threading.Event = field(default_factory=threading.Event)

    @contextmanager
    def listening(self) -> Iterator[None]:
        thread = threading.Thread(target=self._listen)
        thread.start()
        try:
            yield
        finally:
            self._over.set()
            thread.join()

    def of(self, upload_key: str) -> dict[str, Any]:
        """The first event of an upload, once it has come."""
        with self._news:
            came = self._news.wait_for(lambda: upload_key in self.found, WAIT_SECONDS)
        assert came, f"{upload_key} was never announced"
        return self.found[upload_key][0]

    def _listen(self) -> None:
        sqs = self.service.stack.admin.client("sqs")
        queue = self.service.events_queue
        while not self._over.is_set():
            answer = sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10, WaitTimeSeconds=1)
            messages = answer.get("Messages", [])
            if not messages:
                continue
            with self._news:
                for message in messages:
                    detail = json.loads(message["Body"])["detail"]
                    self.found.setdefault(detail["upload_key"], []).append(detail)
                self._news.notify_all()
            entries = [{"Id": message["MessageId"], "ReceiptHandle": message["ReceiptHandle"]} for message in messages]
            sqs.delete_message_batch(QueueUrl=queue, Entries=entries)


@dataclass(frozen=True, slots=True)
class Client:
    """One of the users, with connections of its own."""

    service: Service
    announcements: Announcements

    def carry_out(self, order: Order) -> Outcome:
        """Do what the order says. Every answer on the way must be the right one."""
        began = time.monotonic()
        outcome = Outcome(order)
        upload_key = self._upload_directly(outcome) if order.direct else self._upload_to_job(outcome)
        if order.ending is Ending.DELETED:
            self._delete(outcome)
            return outcome
        event = self.announcements.of(upload_key)
        outcome.job_id = event["job"]["id"]
        outcome.link = event["link"] or outcome.link
        job = self.service.job(outcome.job_id)
        if order.error:
            assert (job["status"], job["error"]["code"]) == ("failed", order.error)
            return outcome
        assert job["status"] == "ready", job
        assert job["result"]["passthrough"] == (order.kind == PASSED_THROUGH), job
        if order.ending in DOWNLOADED:
            self._download(outcome, job)
            outcome.whole_seconds = time.monotonic() - began
        return outcome

    def _upload_to_job(self, outcome: Outcome) -> str:
        order = outcome.order
        size_bytes = order.path.stat().st_size
        job = self.service.create_job(order.path.name, **({"size_bytes": size_bytes} if size_bytes else {}))
        outcome.job_id, outcome.link = job["id"], job["link"]
        outcome.upload_began_at = time.time()
        self.service.send(job, order.path)
        return f"jobs/{job['id']}"

    def _upload_directly(self, outcome: Outcome) -> str:
        path = outcome.order.path
        outcome.upload_began_at = time.time()
        self.service.s3.upload_file(str(path), self.service.uploads, path.name)
        return path.name

    def _delete(self, outcome: Outcome) -> None:
        time.sleep(outcome.order.delete_after_seconds)
        self.service.delete(outcome.job_id)
        assert self.service.job(outcome.job_id)["status"] == "purged"
        self._is_refused(outcome.link)

    def _download(self, outcome: Outcome, job: Job) -> None:
        began = time.monotonic()
        url = self._claim(outcome)
        outcome.claim_seconds = time.monotonic() - began
        answer = self.service.request("GET", url)
        assert answer.status_code == 200, answer.text
        assert len(answer.content) == job["result"]["size_bytes"]
        outcome.result = outcome.order.path.with_suffix(".result.mp3")
        outcome.result.write_bytes(answer.content)
        self._is_refused(outcome.link)

    def _claim(self, outcome: Outcome) -> str:
        """Claim the link as the order says: the presigned URL."""
        ending, link = outcome.order.ending, outcome.link
        if ending is Ending.FETCHED:
            return self.service.claim(link)
        key = {"Idempotency-Key": secrets.token_hex(16)} if ending is Ending.REPEATED else {}
        with ThreadPoolExecutor(CALLERS) as pool:
            calls = [pool.submit(self.service.request, "POST", link, headers={**JSON, **key}) for _ in range(CALLERS)]
            answers = [call.result() for call in calls]
        granted = [answer for answer in answers if answer.status_code == 303]
        refused = [answer for answer in answers if answer.status_code == 410]
        wanted = CALLERS if key else 1
        assert (len(granted), len(refused)) == (wanted, CALLERS - wanted), [answer.text for answer in answers]
        return granted[0].headers["Location"]

    def _is_refused(self, link: str) -> None:
        answer = self.service.request("POST", link, headers=JSON)
        assert (answer.status_code, answer.json()["type"]) == (410, "already-downloaded"), answer.text
