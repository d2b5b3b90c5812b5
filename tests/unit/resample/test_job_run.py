"""From an upload's event to the job's end, with the engine replaced and AWS on moto."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from audiojobs import clients
from audiojobs.conversion import Conversion
from audiojobs.errors import (
    AudioJobError,
    CorruptAudio,
    FileError,
    InternalError,
    LeaseHeld,
    NoAudio,
    ServiceError,
    TimeLimit,
    TruncatedAudio,
    UnsupportedFormat,
    UploadReplaced,
)
from audiojobs.job import RETRY_GRACE_SECONDS, Job, Notice, Origin, Result, Source, Status, direct_job_id
from audiojobs.links import hash_secret, parse_token
from audiojobs.store import JobStore
from resample import job_run
from resample.engine.convert import Converted
from resample.engine.streamed_source import STREAM_HEAD_BYTES, StreamedSource
from resample.formats.containers import WAV
from resample.formats.reader import Reader
from resample.job_run import Invocation, JobRunner, Outcome, UploadEvent
from tests.unit.audiojobs.test_objects import break_downloads
from tests.unit.cloud import Cloud, failing
from tests.unit.samples import NOTICE, RESULT, SOURCE, api_job

KEY = "any/key.wav"
MINUTE = 60
BEYOND_ALL_PROCESSES = 1 << 22  # Linux's PID_MAX_LIMIT


@dataclass(slots=True)
class Clock:
    now: float

    def __call__(self) -> float:
        return self.now


class Engine:
    """Stands in for ffmpeg: "converts" by a fixed answer, and does what a test wants done meanwhile."""

    def __init__(self) -> None:
        self.sources: list[bytes] = []
        self.incoming: list[StreamedSource] = []
        self.conversions: list[Conversion] = []
        self.deadlines: list[float] = []
        self.encoders: list[int] = []
        self.error: BaseException | None = None
        self.meanwhile: Callable[[], object] | None = None
        self.passed: tuple[Source, Result] | None = None

    @property
    def runs(self) -> int:
        return len(self.sources)

    def convert(
        self,
        source: StreamedSource,
        _container: object,
        conversion: Conversion,
        destination: Path,
        *,
        deadline: float,
        on_progress: Callable[[float], None],
        encoders: int,
    ) -> Converted:
        self.encoders.append(encoders)
        self.incoming.append(source)
        self.sources.append(b"".join(source.chunks()))
        self.conversions.append(conversion)
        self.deadlines.append(deadline)
        destination.write_bytes(b"half of it")
        on_progress(0.5)
        if self.meanwhile:
            meanwhile, self.meanwhile = self.meanwhile, None
            meanwhile()
        on_progress(0.75)
        if self.error:
            raise self.error
        destination.write_bytes(b"MP3 of " + self.sources[-1])
        return Converted(SOURCE, RESULT, (NOTICE,))


class Service:
    """The resampling function, its clock and its engine."""

    def __init__(self, cloud: Cloud, engine: Engine, scratch: Path) -> None:
        self.cloud = cloud
        self.engine = engine
        self.scratch = scratch
        self.clock = Clock(4_000_000_000.0)  # moto, which tells the time of an upload, has the real one
        self.settings = cloud.resample_settings

    def create(self, **values: Any) -> Job:
        """An API job that awaits its upload."""
        now = self.clock.now
        times = {"created_at": now, "updated_at": now, "expires_at": now + 3600, "delete_at": int(now) + 604_800}
        job = api_job(**(times | {"secret_hash": "f" * 64} | values))
        self.cloud.store.create(job)
        return job

    def handle(
        self, key: str, *, request_id: str = "request", version: str = "1", etag: str | None = None
    ) -> Outcome | None:
        """An event arrives."""
        handler = JobRunner(
            self.settings,
            self.cloud.store,
            self.cloud.uploads,
            self.cloud.results,
            self.cloud.announcer,
            clock=self.clock,
        )
        event = UploadEvent(self.cloud.upload_bucket, key, version, etag)
        try:
            return handler.handle(event, Invocation(request_id, self.clock.now + 900))
        finally:
            assert list(self.scratch.iterdir()) == [], "an invocation leaves nothing behind"

    def outcome(self, key: str, **event: Any) -> Outcome:
        outcome = self.handle(key, **event)
        assert outcome is not None
        return outcome

    def direct_job(self, key: str = KEY, version: str = "1") -> Job:
        return self.cloud.job(direct_job_id(self.cloud.upload_bucket, key, version))

    def announced(self) -> list[str]:
        return [event["detail-type"] for event in self.cloud.announcements()]


@pytest.fixture
def service(cloud: Cloud, logs: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Service:
    engine = Engine()
    monkeypatch.setattr(job_run, "identify", lambda *_: WAV)
    monkeypatch.setattr(job_run, "passthrough_result", lambda *_: engine.passed)
    monkeypatch.setattr(job_run, "convert", engine.convert)
    monkeypatch.setattr(job_run, "PROGRESS_INTERVAL_SECONDS", 0.0)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return Service(cloud, engine, tmp_path)


class TestReady:
    def test_an_upload_over_the_api_becomes_a_result(self, service: Service) -> None:
        job = service.create(conversion=Conversion(bit_rate=64_000))
        service.cloud.upload(job.upload_key, b"sound")

        outcome = service.outcome(job.upload_key)

        ready = service.cloud.job(job.id)
        assert outcome.link is None
        assert outcome.job.as_json() == ready.as_json()
        assert (ready.status, ready.progress, ready.attempts) == (Status.READY, 1.0, 1)
        assert (ready.source, ready.result, ready.warnings) == (SOURCE, RESULT, (NOTICE,))
        assert ready.expires_at == service.clock.now + 24 * 3600
        assert ready.secret_hash == job.secret_hash
        assert service.engine.conversions == [Conversion(bit_rate=64_000)]
        assert service.cloud.result(ready) == b"MP3 of sound"
        assert service.cloud.upload_keys() == []
        (event,) = service.cloud.announcements()
        assert event["detail-type"] == "Job Ready"
        assert event["detail"]["link"] is None
        assert ready.announced

    def test_a_direct_upload_becomes_a_result_with_a_link(self, service: Service) -> None:
        etag = service.cloud.upload(KEY, b"sound", bit_rate="64000", allow_partial="true")

        outcome = service.outcome(KEY, etag=etag)

        ready = service.direct_job()
        assert ready.origin is Origin.DIRECT
        assert (ready.status, ready.filename, ready.upload_key) == (Status.READY, "key.wav", KEY)
        assert service.engine.conversions == [Conversion(bit_rate=64_000, allow_partial=True)]
        assert service.cloud.result(ready) == b"MP3 of sound"
        assert service.cloud.upload_keys() == []
        (event,) = service.cloud.announcements()
        assert event["detail"]["link"] == outcome.link
        assert opens(outcome.link, ready)

    def test_metadata_that_looks_like_an_option_is_warned_of(self, service: Service) -> None:
        service.cloud.upload(KEY, b"sound", bitrate="64000", mtime="1700000000.5")

        service.handle(KEY)

        warned, noticed = service.direct_job().warnings
        assert warned.code == "unknown-option"
        assert "bitrate" in warned.detail
        assert "bit_rate" in warned.detail
        assert noticed == NOTICE
        assert service.engine.conversions == [Conversion()]

    @pytest.mark.parametrize("key", ["jobs/song.wav", f"jobs/{'0' * 32}", "jobs", "a/b/ä ö+1.wav", "folder/"])
    def test_whatever_the_key_an_upload_that_no_api_job_awaits_is_a_direct_one(
        self, service: Service, key: str
    ) -> None:
        service.cloud.upload(key, b"sound")

        outcome = service.outcome(key)

        assert outcome.job.origin is Origin.DIRECT
        assert outcome.job.upload_key == key
        assert outcome.job.status is Status.READY
        assert opens(outcome.link, outcome.job)

    def test_two_uploads_under_one_key_are_two_jobs(self, service: Service) -> None:
        service.cloud.upload(KEY, b"first")
        first = service.outcome(KEY, version="1").job
        service.cloud.upload(KEY, b"second")
        second = service.outcome(KEY, version="2").job

        assert first.id != second.id
        assert service.cloud.result(first) == b"MP3 of first"
        assert service.cloud.result(second) == b"MP3 of second"

    @pytest.mark.parametrize("origin", list(Origin), ids=str)
    def test_originals_are_kept_where_that_is_wanted(self, service: Service, origin: Origin) -> None:
        service.settings = replace(service.settings, keep_originals=True)
        key = service.create().upload_key if origin is Origin.API else KEY
        service.cloud.upload(key, b"sound")

        service.handle(key)
        service.handle(key, request_id="duplicate")

        assert service.cloud.upload_keys() == [key]

    def test_what_is_right_already_is_copied_and_not_converted(self, service: Service) -> None:
        service.engine.passed = (SOURCE, replace(RESULT, passthrough=True))
        job = service.create()
        service.cloud.upload(job.upload_key, b"MP3")

        ready = service.outcome(job.upload_key).job

        assert service.engine.runs == 0
        assert ready.result == replace(RESULT, passthrough=True)
        assert service.cloud.result(ready) == b"MP3"
        assert service.cloud.upload_keys() == []

    def test_progress_is_there_to_be_seen(self, service: Service) -> None:
        job = service.create()
        service.cloud.upload(job.upload_key, b"sound")
        seen: list[Job] = []
        service.engine.meanwhile = lambda: seen.append(service.cloud.job(job.id))

        service.handle(job.upload_key)

        assert seen[0].status is Status.PROCESSING
        assert 0.1 < seen[0].progress < 1

    def test_progress_that_cannot_be_written_stops_nothing(self, service: Service) -> None:
        job = service.create()
        service.cloud.upload(job.upload_key, b"sound")

        with ExitStack() as stack:
            failure = failing(clients.dynamodb(), "UpdateItem", times=1)
            service.engine.meanwhile = lambda: stack.enter_context(failure)
            service.handle(job.upload_key)

        assert service.cloud.job(job.id).status is Status.READY

    def test_the_engine_gets_less_than_the_invocations_time(self, service: Service) -> None:
        service.cloud.upload(KEY, b"sound")
        before = time.monotonic()

        service.handle(KEY)

        assert before + 800 < service.engine.deadlines[0] < time.monotonic() + 880


class TestDuplicateEvents:
    @pytest.mark.parametrize("origin", list(Origin), ids=str)
    def test_a_duplicate_while_the_job_is_at_work_does_nothing(self, service: Service, origin: Origin) -> None:
        key = service.create().upload_key if origin is Origin.API else KEY
        service.cloud.upload(key, b"sound")
        seen: list[Outcome | None] = []
        service.engine.meanwhile = lambda: seen.append(second_handler(service, key, "duplicate"))

        service.handle(key)

        (outcome,) = seen
        assert outcome is not None
        assert (outcome.job.status, outcome.link) == (Status.PROCESSING, None)
        assert service.engine.runs == 1
        assert service.announced() == ["Job Ready"]

    @pytest.mark.parametrize("origin", list(Origin), ids=str)
    @pytest.mark.parametrize("request_id", ["request", "duplicate"], ids=["same request", "another request"])
    def test_a_duplicate_afterwards_does_nothing(self, service: Service, origin: Origin, request_id: str) -> None:
        key = service.create().upload_key if origin is Origin.API else KEY
        service.settings = replace(service.settings, keep_originals=True)
        service.cloud.upload(key, b"sound")
        first = service.outcome(key)
        service.clock.now += MINUTE

        second = service.outcome(key, request_id=request_id)

        assert second.link is None
        assert second.job == service.cloud.job(first.job.id)
        assert service.cloud.job(first.job.id).secret_hash == first.job.secret_hash
        assert service.engine.runs == 1
        assert service.announced() == ["Job Ready"]

    @pytest.mark.parametrize("origin", list(Origin), ids=str)
    @pytest.mark.parametrize("upload_is_there", [True, False], ids=["upload kept", "upload gone"])
    def test_an_event_after_the_purge_resurrects_nothing(
        self, service: Service, origin: Origin, upload_is_there: bool
    ) -> None:
        key = service.create().upload_key if origin is Origin.API else KEY
        service.settings = replace(service.settings, keep_originals=upload_is_there)
        service.cloud.upload(key, b"sound")
        job = service.outcome(key).job
        service.cloud.store.delete(job.id, now=service.clock.now)
        service.cloud.results.delete(job.result_key)

        outcome = service.outcome(key, request_id="late")

        assert outcome.job.status is Status.PURGED
        assert service.engine.runs == 1
        assert service.cloud.result_keys() == []
        assert service.announced() == ["Job Ready"]

    def test_an_event_whose_upload_and_job_are_gone_does_nothing(self, service: Service) -> None:
        assert service.handle(KEY) is None
        assert service.announced() == []

    def test_an_upload_after_the_job_expired_is_not_begun(self, service: Service) -> None:
        job = service.create()
        service.clock.now = job.expires_at
        service.cloud.upload(job.upload_key, b"sound")

        service.handle(job.upload_key)

        assert service.engine.runs == 0
        assert service.cloud.job(job.id) == job
        assert service.cloud.upload_keys() == []

    def test_a_second_upload_to_a_finished_api_job_is_deleted(self, service: Service) -> None:
        job = service.create()
        service.cloud.upload(job.upload_key, b"first")
        service.handle(job.upload_key)
        service.cloud.upload(job.upload_key, b"second")

        service.handle(job.upload_key, request_id="another", version="2")

        assert service.engine.runs == 1
        assert service.cloud.upload_keys() == []
        assert service.cloud.result(job) == b"MP3 of first"


class TestFaultsOfTheFile:
    @pytest.mark.parametrize("origin", list(Origin), ids=str)
    @pytest.mark.parametrize(
        "error",
        [UnsupportedFormat(), NoAudio("There is only a header."), CorruptAudio(), TruncatedAudio()],
        ids=lambda error: error.code,
    )
    def test_they_are_final_and_nothing_is_raised(self, service: Service, origin: Origin, error: FileError) -> None:
        key = service.create().upload_key if origin is Origin.API else KEY
        service.cloud.upload(key, b"noise")
        service.engine.error = error

        outcome = service.outcome(key)
        service.clock.now += MINUTE
        again = service.outcome(key)

        failed = service.cloud.job(outcome.job.id)
        assert failed.status is Status.FAILED
        assert failed.error == Notice(error.code, error.detail)
        assert not failed.retryable
        assert (outcome.link, again.link) == (None, None)
        assert service.engine.runs == 1
        assert service.cloud.upload_keys() == [], "a wrong file goes at once"
        assert service.cloud.result_keys() == []
        assert service.announced() == ["Job Failed"]

    def test_too_large_is_told_before_anything_is_read(self, service: Service) -> None:
        service.settings = replace(service.settings, max_upload_megabytes=1)
        job = service.create()
        service.cloud.upload(job.upload_key, bytes(1_000_001))

        failed = service.outcome(job.upload_key).job

        assert failed.error is not None
        assert failed.error.code == "upload-too-large"
        assert service.engine.runs == 0

    def test_as_large_as_allowed_is_not_too_large(self, service: Service) -> None:
        service.settings = replace(service.settings, max_upload_megabytes=1)
        service.cloud.upload(KEY, bytes(1_000_000))

        assert service.outcome(KEY).job.status is Status.READY

    @pytest.mark.parametrize(
        "metadata",
        [{"bit_rate": "fast"}, {"sample_rate": "44000"}, {"bit_rate": "64000", "vbr_quality": "2"}],
        ids=["no number", "impossible", "contradiction"],
    )
    def test_impossible_metadata_fails_the_job(self, service: Service, metadata: dict[str, str]) -> None:
        service.cloud.upload(KEY, b"sound", **metadata)

        failed = service.outcome(KEY).job

        assert failed.status is Status.FAILED
        assert failed.error is not None
        assert failed.error.code == "invalid-request"
        assert service.engine.runs == 0
        assert service.announced() == ["Job Failed"]

    def test_a_passphrase_in_the_metadata_protects_nothing_and_fails_the_job(self, service: Service) -> None:
        service.cloud.upload(KEY, b"sound", passphrase="three blue geese")

        failed = service.outcome(KEY).job

        assert (failed.status, failed.error and failed.error.code) == (Status.FAILED, "invalid-request")
        assert "geese" not in str(failed)
        assert service.cloud.upload_keys() == []

    def test_a_reference_too_long_to_be_found_again_fails_the_job(self, service: Service) -> None:
        service.cloud.upload(KEY, b"sound", reference="x" * 257)

        failed = service.outcome(KEY).job

        assert (failed.status, failed.error and failed.error.code) == (Status.FAILED, "invalid-request")

    @pytest.mark.parametrize(
        ("given", "kept"),
        [
            ("order 4711", "order 4711"),
            ("=?UTF-8?B?w6QgZsO8cg==?=", "ä für"),
            ("=?UTF-8?Q?a=0Ab=E2=80=AEc?=", "a_b_c"),
            ("=?no-such-set?B?w6Q=?=", "=?no-such-set?B?w6Q=?="),
            ("=?UTF-8?B?x?=", "=?UTF-8?B?x?="),
            ("x" * 256, "x" * 256),
            ("", None),
        ],
        ids=repr,
    )
    def test_the_reference_of_a_direct_upload_is_on_job_and_event(
        self, service: Service, given: str, kept: str | None
    ) -> None:
        service.cloud.upload(KEY, b"sound", reference=given)

        job = service.outcome(KEY).job

        assert job.status is Status.READY
        assert service.cloud.job(job.id).reference == kept
        assert service.cloud.announcements()[-1]["detail"]["job"]["reference"] == kept

    def test_metadata_on_an_upload_of_an_api_job_does_not_count(self, service: Service) -> None:
        job = service.create(conversion=Conversion(channels=1))
        service.cloud.upload(job.upload_key, b"sound", bit_rate="fast")

        assert service.outcome(job.upload_key).job.status is Status.READY
        assert service.engine.conversions == [Conversion(channels=1)]


class TestFaultsOfOurs:
    @pytest.mark.parametrize("origin", list(Origin), ids=str)
    @pytest.mark.parametrize(
        ("error", "raised"),
        [
            (InternalError(), InternalError),
            (TimeLimit(), TimeLimit),
            (RuntimeError("a bug"), InternalError),
            (OSError(28, "No space left on device"), InternalError),
            (MemoryError(), InternalError),
        ],
        ids=["internal", "time limit", "bug", "disk", "memory"],
    )
    def test_they_are_raised_and_the_retry_begins_at_once(
        self, service: Service, origin: Origin, error: Exception, raised: type[ServiceError]
    ) -> None:
        key = service.create().upload_key if origin is Origin.API else KEY
        service.cloud.upload(key, b"sound")
        service.engine.error = error

        with pytest.raises(raised):
            service.handle(key)
        assert service.announced() == []
        service.engine.error = None
        service.clock.now += MINUTE
        outcome = service.outcome(key)

        assert outcome.job.status is Status.READY
        assert outcome.job.attempts == 2
        assert service.cloud.result(outcome.job) == b"MP3 of sound"
        assert service.announced() == ["Job Ready"]

    @pytest.mark.parametrize(
        ("error", "code"), [(InternalError(), "internal-error"), (TimeLimit(), "time-limit")], ids=["error", "time"]
    )
    def test_after_the_last_attempt_the_job_reads_failed_and_the_upload_is_still_there(
        self, service: Service, error: AudioJobError, code: str
    ) -> None:
        service.cloud.upload(KEY, b"sound")
        service.engine.error = error

        for _ in range(3):
            assert service.announced() == []
            with pytest.raises(ServiceError):
                service.handle(KEY)
            service.clock.now += MINUTE

        failed = service.direct_job()
        assert failed.status is Status.FAILED
        assert failed.error == Notice(code, error.detail)
        assert failed.retryable
        assert service.cloud.upload_keys() == [KEY]
        assert service.announced() == ["Job Failed"]

    def test_a_failed_event_that_is_sent_again_begins_again(self, service: Service) -> None:
        job = service.create(attempts=2)
        service.cloud.upload(job.upload_key, b"sound")
        service.engine.error = InternalError()
        with pytest.raises(ServiceError):
            service.handle(job.upload_key)
        assert service.cloud.job(job.id).status is Status.FAILED
        service.engine.error = None
        service.clock.now += 3000

        outcome = service.outcome(job.upload_key, request_id="redriven")

        assert (outcome.job.status, outcome.job.error) == (Status.READY, None)
        assert service.announced() == ["Job Failed", "Job Ready"]

    @pytest.mark.parametrize(
        ("client", "operation"),
        [
            ("s3", "HeadObject"),
            ("s3", "GetObject"),
            ("s3", "PutObject"),
            ("dynamodb", "UpdateItem"),
        ],
    )
    def test_whatever_fails_the_retry_makes_it_good(self, service: Service, client: str, operation: str) -> None:
        service.cloud.upload(KEY, b"sound")

        with failing(getattr(clients, client)(), operation) as failures, pytest.raises(ServiceError):
            service.handle(KEY)
        service.clock.now += MINUTE
        outcome = service.outcome(KEY)

        assert failures
        assert outcome.job.status is Status.READY
        assert service.cloud.result(outcome.job) == b"MP3 of sound"
        assert opens(outcome.link, outcome.job)
        assert service.announced() == ["Job Ready"]
        assert service.cloud.upload_keys() == []

    def test_an_api_job_that_cannot_be_looked_up_is_found_by_the_retry(self, service: Service) -> None:
        job = service.create()
        service.cloud.upload(job.upload_key, b"sound")

        with failing(clients.dynamodb(), "GetItem"), pytest.raises(InternalError):
            service.handle(job.upload_key)

        assert service.outcome(job.upload_key).job.id == job.id
        assert service.cloud.job(job.id).status is Status.READY

    def test_a_copy_that_fails_is_made_good_by_the_retry(self, service: Service) -> None:
        service.engine.passed = (SOURCE, replace(RESULT, passthrough=True))
        service.cloud.upload(KEY, b"MP3")

        with failing(clients.s3(), "CopyObject"), pytest.raises(InternalError):
            service.handle(KEY)

        assert service.outcome(KEY).job.status is Status.READY


class TestKilledInvocations:
    """An attempt that was killed gives nothing back: the lease alone tells that it is over."""

    def kill(self, service: Service, key: str) -> None:
        service.engine.error = KeyboardInterrupt()
        with pytest.raises(KeyboardInterrupt):
            service.handle(key)
        service.engine.error = None

    def test_its_retry_takes_over_at_once(self, service: Service) -> None:
        service.cloud.upload(KEY, b"sound")
        self.kill(service, KEY)
        service.clock.now += MINUTE

        outcome = service.outcome(KEY)

        assert (outcome.job.status, outcome.job.attempts) == (Status.READY, 2)

    def test_after_the_last_attempt_the_event_can_be_sent_again_at_once(self, service: Service) -> None:
        service.cloud.upload(KEY, b"sound")
        for _ in range(3):
            self.kill(service, KEY)

        outcome = service.outcome(KEY)

        assert (outcome.job.status, outcome.job.attempts) == (Status.READY, 4)

    def test_its_scratch_space_is_freed_by_the_next_invocation(self, service: Service) -> None:
        service.cloud.upload(KEY, b"sound")
        left = service.scratch / f"job-{os.getpid()}-left"
        left.mkdir()
        (left / "original").write_bytes(b"sound")
        (service.scratch / f"job-{BEYOND_ALL_PROCESSES}-left").mkdir()
        of_the_first_process = service.scratch / "job-1-at-work"
        of_the_first_process.mkdir()

        with pytest.raises(AssertionError, match="leaves nothing behind"):
            service.handle(KEY)

        assert list(service.scratch.iterdir()) == [of_the_first_process]

    def test_until_the_invocation_must_have_ended_a_duplicate_does_nothing(self, service: Service) -> None:
        service.cloud.upload(KEY, b"sound")
        self.kill(service, KEY)
        service.clock.now += 899

        assert service.outcome(KEY, request_id="duplicate").job.status is Status.PROCESSING
        assert service.engine.runs == 1

    @pytest.mark.parametrize("request_id", ["request", "redriven"])
    def test_when_the_lease_ran_out_the_job_is_taken_over(self, service: Service, request_id: str) -> None:
        service.cloud.upload(KEY, b"sound")
        self.kill(service, KEY)
        service.clock.now += 900

        outcome = service.outcome(KEY, request_id=request_id)

        assert (outcome.job.status, outcome.job.attempts) == (Status.READY, 2)
        assert opens(outcome.link, outcome.job)

    def test_without_a_retry_the_job_reads_failed(self, service: Service) -> None:
        service.cloud.upload(KEY, b"sound")
        self.kill(service, KEY)
        lease_end = service.clock.now + 900

        seen = service.direct_job().seen_at(lease_end + RETRY_GRACE_SECONDS)

        assert seen.status is Status.FAILED

    def test_an_attempt_that_lost_its_lease_changes_nothing(self, service: Service) -> None:
        service.cloud.upload(KEY, b"sound")
        taken: list[Outcome | None] = []

        def take_over() -> None:
            service.clock.now += 900
            taken.append(second_handler(service, KEY, "request"))

        service.engine.meanwhile = take_over

        late = service.outcome(KEY)

        (outcome,) = taken
        assert outcome is not None
        assert (late.job.status, late.link) == (Status.READY, None)
        assert opens(outcome.link, service.direct_job())
        assert service.cloud.result(late.job) == b"MP3 of sound"
        assert service.announced() == ["Job Ready"]


class TestAnnouncement:
    def test_what_has_expired_is_not_announced_any_more(self, service: Service) -> None:
        service.cloud.upload(KEY, b"sound")
        with failing(clients.events(), "PutEvents"), pytest.raises(ServiceError):
            service.handle(KEY)
        service.clock.now = service.direct_job().expires_at

        outcome = service.outcome(KEY, request_id="redriven")

        assert (outcome.job.status, outcome.job.announced) == (Status.READY, False)
        assert service.announced() == []

    @pytest.mark.parametrize("origin", list(Origin), ids=str)
    @pytest.mark.parametrize(
        ("client", "operation"), [("s3", "DeleteObject"), ("events", "PutEvents")], ids=["original", "event"]
    )
    def test_what_failed_between_ready_and_the_news_is_done_by_the_retry(
        self, service: Service, origin: Origin, client: str, operation: str
    ) -> None:
        key = service.create().upload_key if origin is Origin.API else KEY
        service.cloud.upload(key, b"sound")
        with failing(getattr(clients, client)(), operation), pytest.raises(InternalError):
            service.handle(key)
        assert service.announced() == []
        service.clock.now += MINUTE

        outcome = service.outcome(key)

        assert service.engine.runs == 1
        assert service.cloud.upload_keys() == []
        (event,) = service.cloud.announcements()
        assert event["detail"]["link"] == outcome.link
        stored = service.cloud.job(outcome.job.id)
        assert stored.announced
        assert opens(outcome.link, stored) if origin is Origin.DIRECT else outcome.link is None

    def test_an_announcement_that_was_not_noted_is_made_again_with_a_link_that_works(
        self, service: Service, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(job_run, "PROGRESS_INTERVAL_SECONDS", 1e9)
        service.cloud.upload(KEY, b"sound")
        with failing(clients.dynamodb(), "UpdateItem", after=2), pytest.raises(InternalError):  # begin, complete
            service.handle(KEY)
        assert service.announced() == ["Job Ready"]
        service.clock.now += MINUTE

        outcome = service.outcome(KEY)

        first, second = (event["detail"]["link"] for event in service.cloud.announcements())
        assert first != second == outcome.link
        assert opens(outcome.link, service.direct_job())

    def test_the_news_of_a_failure_is_repeated_too(self, service: Service) -> None:
        service.cloud.upload(KEY, b"noise")
        service.engine.error = CorruptAudio()
        with failing(clients.events(), "PutEvents"), pytest.raises(InternalError):
            service.handle(KEY)
        service.clock.now += MINUTE

        outcome = service.outcome(KEY)

        assert (outcome.job.status, outcome.link) == (Status.FAILED, None)
        assert service.engine.runs == 1
        assert service.announced() == ["Job Failed"]

    def test_a_duplicate_leaves_the_news_to_who_is_at_it_and_looks_again(self, service: Service) -> None:
        service.cloud.upload(KEY, b"sound")
        with failing(clients.events(), "PutEvents"), pytest.raises(InternalError):
            service.handle(KEY)

        with pytest.raises(LeaseHeld):
            service.handle(KEY, request_id="duplicate")
        assert service.announced() == []
        service.clock.now += MINUTE

        assert service.outcome(KEY, request_id="duplicate").link
        assert service.announced() == ["Job Ready"]

    def test_the_news_of_a_job_that_was_claimed_meanwhile_is_no_news(self, service: Service) -> None:
        service.cloud.upload(KEY, b"sound")
        with failing(clients.events(), "PutEvents"), pytest.raises(InternalError):
            service.handle(KEY)
        job = service.direct_job()
        service.cloud.store.claim(job.id, now=service.clock.now, secret_hash=job.secret_hash or "", purge_at=0.0)
        service.clock.now += MINUTE

        assert service.outcome(KEY).job.status is Status.CLAIMED
        assert service.announced() == []

    def test_the_news_of_a_job_that_is_claimed_at_this_very_moment_is_no_news(
        self, service: Service, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        service.cloud.upload(KEY, b"sound")
        with failing(clients.events(), "PutEvents"), pytest.raises(InternalError):
            service.handle(KEY)
        service.clock.now += MINUTE
        begin = JobStore.begin_announcement

        def claimed(store: JobStore, job_id: str, **named: Any) -> Job:
            secret_hash = service.direct_job().secret_hash or ""
            store.claim(job_id, now=service.clock.now, secret_hash=secret_hash, purge_at=0.0)
            return begin(store, job_id, **named)

        monkeypatch.setattr(JobStore, "begin_announcement", claimed)

        assert service.outcome(KEY).job.status is Status.CLAIMED
        assert service.announced() == []

    def test_the_news_of_a_job_whose_record_went_meanwhile_is_no_news(
        self, service: Service, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        service.cloud.upload(KEY, b"sound")
        with failing(clients.events(), "PutEvents"), pytest.raises(InternalError):
            service.handle(KEY)
        service.clock.now += MINUTE
        begin = JobStore.begin_announcement

        def gone(store: JobStore, job_id: str, **named: Any) -> Job:
            clients.dynamodb().delete_item(TableName=service.cloud.jobs_table, Key={"id": {"S": job_id}})
            return begin(store, job_id, **named)

        monkeypatch.setattr(JobStore, "begin_announcement", gone)

        assert service.outcome(KEY).job.status is Status.READY, "as it was last seen"
        assert service.announced() == []


class TestReplacedUploads:
    def test_a_direct_upload_that_was_replaced_before_its_event_says_so(self, service: Service) -> None:
        first = service.cloud.upload(KEY, b"first")
        second = service.cloud.upload(KEY, b"second")

        replaced = service.outcome(KEY, version="1", etag=first).job
        ready = service.outcome(KEY, version="2", etag=second).job

        assert replaced.error is not None
        assert (replaced.status, replaced.error.code) == (Status.FAILED, "upload-replaced")
        assert ready.status is Status.READY
        assert service.cloud.result(ready) == b"MP3 of second"

    @pytest.mark.parametrize(
        "make", [lambda _: KEY, lambda service: service.create().upload_key], ids=["direct", "api"]
    )
    def test_an_upload_that_is_gone_when_its_retry_comes_fails_the_job(
        self, service: Service, make: Callable[[Service], str]
    ) -> None:
        key = make(service)
        service.cloud.upload(key, b"sound")
        service.engine.error = InternalError()
        with pytest.raises(InternalError):
            service.handle(key)
        service.cloud.s3.delete_object(Bucket=service.cloud.upload_bucket, Key=key)

        job = service.outcome(key).job

        assert (job.status, job.error and job.error.code) == (Status.FAILED, "upload-replaced")
        assert service.announced() == ["Job Failed"]

    def test_events_out_of_order_find_the_same_jobs(self, service: Service) -> None:
        first = service.cloud.upload(KEY, b"first")
        second = service.cloud.upload(KEY, b"second")

        ready = service.outcome(KEY, version="2", etag=second).job
        late = service.handle(KEY, version="1", etag=first)

        assert late is None
        assert service.cloud.result(ready) == b"MP3 of second"

    def test_a_direct_upload_that_was_replaced_after_it_was_read_leaves_the_newer_one_alone(
        self, service: Service
    ) -> None:
        service.cloud.upload(KEY, b"first")
        service.engine.meanwhile = lambda: service.cloud.upload(KEY, b"second")

        first = service.outcome(KEY, version="1").job
        assert service.cloud.upload_keys() == [KEY]
        second = service.outcome(KEY, version="2").job

        assert service.cloud.result(first) == b"MP3 of first"
        assert service.cloud.result(second) == b"MP3 of second"
        assert service.cloud.upload_keys() == []

    @pytest.mark.parametrize("origin", list(Origin), ids=str)
    def test_an_upload_that_is_replaced_while_it_is_read(
        self, service: Service, origin: Origin, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        key = service.create().upload_key if origin is Origin.API else KEY
        first = b"first" * STREAM_HEAD_BYTES
        service.cloud.upload(key, first)

        def identify(_read: object, size_bytes: int) -> object:
            if size_bytes == len(first):
                service.cloud.upload(key, b"second")
            return WAV

        monkeypatch.setattr(job_run, "identify", identify)

        if origin is Origin.DIRECT:
            replaced = service.outcome(key, version="1").job
            assert replaced.error is not None
            assert replaced.error.code == "upload-replaced"
        else:
            with pytest.raises(ServiceError):
                service.handle(key, version="1")

        ready = service.outcome(key, version="2", request_id="second").job
        assert ready.status is Status.READY
        assert service.cloud.result(ready) == b"MP3 of second"


class TestReading:
    """The engine reads an upload from its beginning as often as it likes, and gets that upload or an error."""

    SOUND = bytes(range(256)) * 10_000

    def read_again(self, service: Service) -> bytes:
        return b"".join(service.engine.incoming[0].chunks())

    def test_what_was_read_to_look_into_it_is_not_read_again(self, service: Service) -> None:
        service.cloud.upload(KEY, self.SOUND)
        ranges: list[str] = []

        def note(params: dict[str, Any], **_: Any) -> None:
            ranges.append(params["headers"]["Range"])

        clients.s3().meta.events.register("before-call.s3.GetObject", note)
        service.outcome(KEY)
        clients.s3().meta.events.unregister("before-call.s3.GetObject", note)

        assert service.engine.sources == [self.SOUND]
        assert ranges == [f"bytes=0-{STREAM_HEAD_BYTES - 1}", f"bytes={STREAM_HEAD_BYTES}-"]
        (incoming,) = service.engine.incoming
        assert (incoming.head, incoming.size_bytes) == (self.SOUND[:STREAM_HEAD_BYTES], len(self.SOUND))

    @pytest.mark.parametrize(
        ("offset", "length"),
        [(0, 10), (STREAM_HEAD_BYTES - 5, 10), (STREAM_HEAD_BYTES, 10), (len(SOUND) - 5, 10), (len(SOUND), 1)],
        ids=["head", "across", "behind", "end", "beyond"],
    )
    @pytest.mark.parametrize("size_bytes", [len(SOUND), 1000], ids=["large", "small"])
    def test_what_is_read_to_look_into_it_is_the_upload(
        self, service: Service, monkeypatch: pytest.MonkeyPatch, offset: int, length: int, size_bytes: int
    ) -> None:
        sound = self.SOUND[:size_bytes]
        service.cloud.upload(KEY, sound)
        found: list[bytes] = []

        def identify(read: Reader, size_bytes: int) -> object:
            found.append(read(offset, length))
            return WAV

        monkeypatch.setattr(job_run, "identify", identify)
        service.outcome(KEY)

        assert found == [sound[offset : offset + length]]

    def test_an_upload_is_read_again_for_a_second_try(self, service: Service) -> None:
        service.cloud.upload(KEY, self.SOUND)
        again: list[bytes] = []
        service.engine.meanwhile = lambda: again.append(self.read_again(service))

        assert service.outcome(KEY).job.status is Status.READY
        assert again == [self.SOUND]

    def test_a_broken_connection_is_resumed(self, service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
        service.cloud.upload(KEY, self.SOUND)
        break_downloads(monkeypatch, times=3)

        assert service.outcome(KEY).job.status is Status.READY
        assert service.engine.sources == [self.SOUND]

    def test_an_upload_that_was_replaced_before_a_second_try_says_so(self, service: Service) -> None:
        service.cloud.upload(KEY, self.SOUND)

        def replace_and_read_again() -> None:
            service.cloud.upload(KEY, self.SOUND[::-1])
            self.read_again(service)

        service.engine.meanwhile = replace_and_read_again

        replaced = service.outcome(KEY).job
        assert replaced.error is not None
        assert replaced.error.code == "upload-replaced"


class TestDeletionMeanwhile:
    def delete(self, service: Service, job_id: str) -> None:
        """As ``DELETE /jobs/{id}`` does."""
        job = service.cloud.job(job_id)
        service.cloud.store.delete(job_id, now=service.clock.now)
        service.cloud.uploads.delete(job)
        service.cloud.results.delete(job.result_key)

    @pytest.mark.parametrize("interval", [0.0, 1e9], ids=["seen by the progress", "seen at the end"])
    def test_a_job_that_is_deleted_during_its_conversion_leaves_nothing(
        self, service: Service, interval: float, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(job_run, "PROGRESS_INTERVAL_SECONDS", interval)
        job = service.create()
        service.cloud.upload(job.upload_key, b"sound")
        service.engine.meanwhile = lambda: self.delete(service, job.id)

        outcome = service.outcome(job.upload_key)

        assert (outcome.job.status, outcome.link) == (Status.PURGED, None)
        assert service.cloud.job(job.id).status is Status.PURGED
        assert service.cloud.result_keys() == []
        assert service.cloud.upload_keys() == []
        assert service.announced() == []

    def test_a_job_whose_record_is_gone_leaves_no_result(self, service: Service) -> None:
        job = service.create()
        service.cloud.upload(job.upload_key, b"sound")
        key = {"id": {"S": job.id}}
        service.engine.meanwhile = lambda: clients.dynamodb().delete_item(TableName=service.cloud.jobs_table, Key=key)

        assert service.outcome(job.upload_key).link is None

        assert service.cloud.store.get(job.id) is None
        assert service.cloud.result_keys() == []
        assert service.announced() == []

    @pytest.mark.parametrize("error", [CorruptAudio(), UploadReplaced()], ids=["it is broken", "it is gone"])
    def test_a_job_that_is_deleted_and_then_fails_stays_deleted(
        self, service: Service, error: FileError, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A deletion by the owner is no failure of ours: nothing is raised, and nothing is tried again."""
        monkeypatch.setattr(job_run, "PROGRESS_INTERVAL_SECONDS", 1e9)
        job = service.create()
        service.cloud.upload(job.upload_key, b"noise")
        service.engine.meanwhile = lambda: self.delete(service, job.id)
        service.engine.error = error

        outcome = service.outcome(job.upload_key)

        assert outcome.job.status is Status.PURGED
        assert service.announced() == []

    def test_an_upload_to_a_job_that_was_deleted_is_deleted_too(self, service: Service) -> None:
        job = service.create()
        self.delete(service, job.id)
        service.cloud.upload(job.upload_key, b"sound")

        service.handle(job.upload_key)

        assert service.engine.runs == 0
        assert service.cloud.upload_keys() == []
        assert service.cloud.job(job.id).status is Status.PURGED


def second_handler(service: Service, key: str, request_id: str) -> Outcome | None:
    """Another invocation at the same time, with a scratch folder of its own."""
    other = Service(service.cloud, service.engine, Path(tempfile.mkdtemp()))
    other.clock, other.settings = service.clock, service.settings
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(tempfile, "tempdir", str(other.scratch))
        try:
            return other.handle(key, request_id=request_id)
        finally:
            other.scratch.rmdir()


def opens(link: str | None, job: Job) -> bool:
    """Whether a link is the one of a job."""
    token = parse_token((link or "").rpartition("/d/")[2])
    return token is not None and token[0] == job.id and hash_secret(token[1]) == job.secret_hash
