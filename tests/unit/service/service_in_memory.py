"""The real functions over AWS in memory, each invocation as a task that can be suspended, failed or killed at any call.

The engine is replaced: what a file "sounds like" is told by its first bytes.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any
from unittest.mock import patch

from botocore.exceptions import EndpointConnectionError, ReadTimeoutError
from greenlet import GreenletExit, getcurrent, greenlet

from api import links
from api.jobs import CreatedJob, Jobs
from api.links import Claim, Links
from api.requests import JobRequest
from api.uploads import Uploads
from audiojobs import passphrases
from audiojobs.announcements import Announcer
from audiojobs.conversion import Conversion
from audiojobs.errors import CorruptAudio
from audiojobs.job import Result, Source
from audiojobs.multipart import UploadParts
from audiojobs.objects import ResultObjects, UploadObjects
from audiojobs.purges import PurgeSchedule
from audiojobs.settings import ApiSettings, PurgeSettings, ResampleSettings
from audiojobs.store import JobStore
from purge import purging, sweeping
from purge.purging import Purging
from purge.sweeping import Sweep, SweepReport
from resample import job_run
from resample.engine.convert import Converted
from resample.formats.containers import WAV
from resample.job_run import Invocation, JobRunner, Outcome, UploadEvent
from resample.sandbox.scratch import scratch_folder
from tests.unit.service.in_memory_aws import AwsInMemory, Perform, refused

UPLOADS, RESULTS = "uploads", "results"
START = 4_000_000_000.25  # later than the time that moto gives to an upload

SOURCE = Source("wav", "pcm_s16le", 44_100, 2, 1.0, 176_444)
RESULT = Result(32_000, 192_000, 2, 1.0, 24_000, passthrough=False)
SETTINGS: dict[str, Any] = {"jobs_table": "jobs", "upload_bucket": UPLOADS, "result_bucket": RESULTS}


class Killed(BaseException):
    """The process ends here; no handler catches this."""


class Fault(StrEnum):
    """What happens to one call to AWS. boto3 sends it twice when it gets no answer to the first."""

    NO_CONNECTION = "no connection"
    THROTTLED = "throttled"
    ANSWER_LOST = "answer lost"
    SENT_TWICE = "sent twice"
    KILLED_BEFORE = "killed before"
    KILLED_AFTER = "killed after"


def suffer(fault: Fault, perform: Perform) -> Any:
    if fault in (Fault.ANSWER_LOST, Fault.SENT_TWICE, Fault.KILLED_AFTER):
        perform()
    match fault:
        case Fault.SENT_TWICE:
            return perform()
        case Fault.NO_CONNECTION:
            raise EndpointConnectionError(endpoint_url="https://nowhere.invalid")
        case Fault.THROTTLED:
            raise refused("ThrottlingException", 400)
        case Fault.ANSWER_LOST:
            raise ReadTimeoutError(endpoint_url="https://nowhere.invalid")
        case _:
            raise Killed


class Task:
    """An invocation. It stands before its next call to AWS, or has ended with a ``result`` or an ``error``."""

    def __init__(self, work: Callable[[], Any], deadline: float) -> None:
        self.deadline = deadline
        self.result: Any = None
        self.error: BaseException | None = None
        self.calls: list[str] = []
        self.answers: list[str] = []
        self.name = ""
        self._greenlet = greenlet(lambda: self._run(work))
        self._greenlet.task = self
        self._greenlet.switch()

    @property
    def has_ended(self) -> bool:
        return bool(self._greenlet.dead)

    def advance(self, calls: int | None = None) -> None:
        """Let so many calls through; ``None``: to the end."""
        for _ in itertools.repeat(None) if calls is None else range(calls):
            if self.has_ended:
                return
            self._greenlet.switch(None)

    def suffer(self, fault: Fault) -> None:
        """The next call meets a fault."""
        if not self.has_ended:
            self._greenlet.switch(fault)

    def _run(self, work: Callable[[], Any]) -> None:
        try:
            self.result = work()
        except GreenletExit:
            raise
        except BaseException as error:
            self.error = error

    def around(self, operation: str, perform: Perform) -> Any:
        parent = self._greenlet.parent
        assert parent is not None
        fault = parent.switch()
        self.calls.append(operation)
        try:
            answer = suffer(fault, perform) if fault else perform()
        except BaseException as error:
            self.answers.append(repr(error))
            raise
        # A body is told by its length and ETag.
        has_body = isinstance(answer, dict) and "Body" in answer
        self.answers.append(repr({**answer, "Body": None} if has_body else answer))
        return answer


def _around(operation: str, perform: Perform) -> Any:
    task: Task | None = getattr(getcurrent(), "task", None)
    return task.around(operation, perform) if task else perform()


@dataclass(slots=True)
class Service:
    """``converting`` has the tasks that are in the engine; ``on_disk``: results go through real scratch space."""

    keep_originals: bool = False
    now: float = START
    aws: AwsInMemory = field(init=False)
    on_disk: bool = False
    converting: set[Task | None] = field(default_factory=set)
    _files: Iterator[int] = field(default_factory=itertools.count)

    def __post_init__(self) -> None:
        self.aws = AwsInMemory(self.clock, _around)

    def clock(self) -> float:
        return self.now

    @property
    def store(self) -> JobStore:
        return JobStore(self.aws.client(), "jobs")

    @property
    def uploads(self) -> UploadObjects:
        return UploadObjects(self.aws.client(), UPLOADS)

    @property
    def results(self) -> ResultObjects:
        return ResultObjects(self.aws.client(), RESULTS)

    @property
    def schedule(self) -> PurgeSchedule:
        return PurgeSchedule(self.aws.client(), "purges")

    @property
    def jobs(self) -> Jobs:
        return Jobs(_api_settings(), self.store, self.uploads, self.results, self.schedule, clock=self.clock)

    @property
    def links(self) -> Links:
        return Links(_api_settings(), self.store, self.results, self.schedule, self.announcer, clock=self.clock)

    @property
    def uploads_in_parts(self) -> Uploads:
        parts = UploadParts(self.aws.client(), UPLOADS)
        return Uploads(_api_settings(), self.store, self.uploads, parts, clock=self.clock)

    @property
    def announcer(self) -> Announcer:
        return Announcer(self.aws.client(), UPLOADS)

    @property
    def purging(self) -> Purging:
        return Purging(
            self.purge_settings,
            self.store,
            self.uploads,
            self.results,
            self.schedule,
            self.announcer,
            clock=self.clock,
        )

    @property
    def purge_settings(self) -> PurgeSettings:
        return PurgeSettings(
            **SETTINGS,
            purge_queue_url="purges",
            public_url="https://audio.example.com/v1",
            keep_originals=self.keep_originals,
        )

    def sweep(self) -> SweepReport:
        return Sweep(
            self.purge_settings,
            self.store,
            self.uploads,
            self.results,
            self.purging,
            self.announcer,
            clock=self.clock,
        ).run()

    def create(self, key: str | None = None, passphrase: str | None = None) -> CreatedJob:
        request = JobRequest("song.wav", None, Conversion(), passphrase=passphrase)
        return self.jobs.create(request, caller="caller", key=key)

    def claim(self, token: str, key: str | None = None, passphrase: str | None = None) -> Claim:
        return self.links.claim(token, key=key, passphrase=passphrase)

    def handle(self, event: UploadEvent, request_id: str, deadline: float) -> Outcome | None:
        settings = ResampleSettings(
            **SETTINGS, public_url="https://audio.example.com/v1", keep_originals=self.keep_originals
        )
        handler = JobRunner(settings, self.store, self.uploads, self.results, self.announcer, clock=self.clock)
        return handler.handle(event, Invocation(request_id, deadline))

    def purge(self, body: str, sent_at: float) -> None:
        self.purging.handle(json.loads(body)["job_id"], sent_at=sent_at)

    @contextmanager
    def scratch_folder(self) -> Iterator[Path]:
        if self.on_disk:
            with scratch_folder() as folder:
                yield folder
        else:
            yield Path(str(next(self._files)))

    def convert(
        self,
        source: Any,
        _container: object,
        _conversion: Conversion,
        destination: Path,
        *,
        on_progress: Callable[[float], None],
        **_: Any,
    ) -> Converted:
        task: Task | None = getattr(getcurrent(), "task", None)
        self.converting.add(task)
        try:
            data = b"".join(source.chunks())
            on_progress(0.5)
        finally:
            self.converting.remove(task)
        if data.startswith(b"corrupt"):
            raise CorruptAudio
        if self.on_disk:
            destination.write_bytes(converted(data))
        else:
            self.aws.files[str(destination)] = converted(data)
        return Converted(SOURCE, RESULT, ())


def converted(data: bytes) -> bytes:
    return data if data.startswith(b"pass") else b"MP3 of " + data


def passed_through(read: Callable[[int, int], bytes], *_: object) -> tuple[Source, Result] | None:
    return (SOURCE, RESULT) if read(0, 4) == b"pass" else None


@contextmanager
def engine_replaced(service: Callable[[], Service]) -> Iterator[None]:
    """The engine of whatever ``service()`` is at the moment."""
    replaced: dict[str, Any] = {
        "identify": lambda *_: WAV,
        "passthrough_result": passed_through,
        "convert": lambda *arguments, **named: service().convert(*arguments, **named),
        "scratch_folder": lambda: service().scratch_folder(),
        "PROGRESS_INTERVAL_SECONDS": 0.0,
    }
    silent: dict[str, Any] = {"logger": _Silent, "metrics": _Silent}
    with (
        patch.multiple(job_run, **replaced, **silent),
        patch.multiple(purging, **silent),
        patch.multiple(sweeping, **silent),
        patch.object(links, "logger", _Silent),
        patch.object(passphrases, "_COST", (2, 1, 1)),  # thousands of jobs have one
    ):
        yield


class _Silent:
    def __getattr__(self, _name: str) -> Callable[..., None]:
        return lambda *_, **__: None


def _api_settings() -> ApiSettings:
    return ApiSettings(**SETTINGS, purge_queue_url="purges")
