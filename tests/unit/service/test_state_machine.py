"""Jobs in any order of events: the real code, suspended and broken between any two of its calls to AWS.

Uploads, whole and in parts by several senders, events that come twice or late, Lambda's retries, invocations that are
killed or run out of time, claims, new links, deletions, purge messages early, late and twice, kept originals, replaced
uploads and jumps of the clock.
After each step every job is held to what the service promises; at the end everything that still waits is delivered, and
nothing may be left over.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from botocore.exceptions import ClientError
from greenlet import getcurrent
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from api.jobs import CreatedJob
from audiojobs.announcements import DETAIL_TYPES
from audiojobs.errors import AudioJobError
from audiojobs.job import RETRY_GRACE_SECONDS, Job, Origin, Status, api_job_id, direct_job_id
from audiojobs.links import hash_secret, parse_token
from audiojobs.passphrases import MAX_PASSPHRASE_TRIES
from audiojobs.store import RECORD_SECONDS, _job
from resample.job_run import UploadEvent
from tests.unit.service.in_memory_aws import Item, PartsUnderWay, Perform, QueuedMessage, StoredObject
from tests.unit.service.senders import Sender
from tests.unit.service.service_in_memory import (
    RESULTS,
    UPLOADS,
    Fault,
    Killed,
    Service,
    Task,
    converted,
    engine_replaced,
)

LAMBDA_SECONDS, API_SECONDS, PURGE_SECONDS = 900, 15, 60
RETRIES = 2
DIRECT_KEY = "any/key.wav"
DAY = 24 * 3600
RIGHT, WRONG = "three blue geese", "four blue geese"

ARROWS = {
    (None, Status.AWAITING_UPLOAD),
    (None, Status.PROCESSING),
    (Status.AWAITING_UPLOAD, Status.PROCESSING),
    (Status.AWAITING_UPLOAD, Status.EXPIRED),
    (Status.PROCESSING, Status.PROCESSING),
    (Status.PROCESSING, Status.READY),
    (Status.PROCESSING, Status.FAILED),
    (Status.FAILED, Status.FAILED),
    (Status.FAILED, Status.PROCESSING),
    (Status.READY, Status.READY),
    (Status.READY, Status.CLAIMED),
    (Status.READY, Status.EXPIRED),
    (Status.CLAIMED, Status.PURGED),
    *((status, Status.PURGED) for status in Status),
    *((status, status) for status in Status),  # looked at by the sweep, announced, proved to be gone
}

RARE = {(status, status) for status in Status} | {
    (Status.EXPIRED, Status.PURGED),
    (Status.PURGED, Status.PURGED),
    (Status.FAILED, Status.PURGED),
    (Status.PROCESSING, Status.PURGED),
}
"""A thousand runs may miss these; the exhaustive interleavings do not."""

SEEN: Counter[tuple[Status | None, Status | None]] = Counter()
"""How often a job took each arrow, in all runs; from nothing to nothing: the steps."""


class Broken(BaseException):
    """A promise. The code under test catches what is wrong with a conversion, but not this."""


def _secret_hashes(job: Job) -> set[str | None]:
    """Of all links that open a job."""
    return {job.secret_hash, *(job.more_secret_hashes or ())}


def _is_failed(task: Task) -> bool:
    """Whether an invocation ended with an error that it may end with."""
    if task.error is not None and not isinstance(task.error, (AudioJobError, Killed)):
        raise task.error
    return task.error is not None


picks = st.integers(0, 5)


def plans(calls: int) -> st.SearchStrategy[tuple[int | None, Fault | None]]:
    """How many of so many calls go through, and what the next one meets; ``None``: all of them, or it waits there."""
    return st.one_of(st.just((None, None)), st.tuples(st.integers(0, calls - 1), st.sampled_from([None, *Fault])))


@dataclass(slots=True)
class Request:
    """An asynchronous invocation: Lambda makes it up to three times, one after the other."""

    event: UploadEvent
    id: str
    attempts: int = 0
    next_at: float = 0.0
    task: Task | None = None


@dataclass(slots=True)
class World:
    """The service, what is under way, and what was seen to happen."""

    service: Service
    events: list[UploadEvent] = field(default_factory=list)
    objects: dict[UploadEvent, StoredObject] = field(default_factory=dict)
    requests: list[Request] = field(default_factory=list)
    failed: list[Request] = field(default_factory=list)
    calls: list[Task] = field(default_factory=list)
    deliveries: list[tuple[Task, QueuedMessage]] = field(default_factory=list)
    tokens: dict[str, list[str]] = field(default_factory=dict)
    granted: dict[str, set[tuple[str, str | None]]] = field(default_factory=dict)
    looked_at: dict[Task | None, list[StoredObject]] = field(default_factory=dict)
    secrets: dict[Task | None, str] = field(default_factory=dict)
    deleted: set[str] = field(default_factory=set)
    uploaded: dict[str, list[bytes]] = field(default_factory=dict)
    delivered: set[UploadEvent] = field(default_factory=set)
    twins: set[str] = field(default_factory=set)
    records_gone: set[str] = field(default_factory=set)
    holders: dict[str, Task | None] = field(default_factory=dict)
    keyed: bool = False
    is_protected: bool = False
    offered: dict[Task | None, str | None] = field(default_factory=dict)
    senders: list[Sender] = field(default_factory=list)
    giving_up: set[Task | None] = field(default_factory=set)
    requests_made: int = 0


class Jobs(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.world = World(Service())
        self.service = self.world.service
        self.aws = self.service.aws
        self.seen: dict[str, Item] = {}
        self.parsed: dict[str, Job] = {}
        task_around = self.aws.around
        self.aws.around = lambda operation, perform: task_around(operation, lambda: self._watched(operation, perform))
        self.patches = engine_replaced(lambda: self.service)
        self.patches.__enter__()

    def teardown(self) -> None:
        try:
            if sys.exception() is None:
                self.everything_comes_to_an_end()
        finally:
            self.patches.__exit__(None, None, None)

    # What happens

    @initialize(keep_originals=st.booleans(), protected=st.booleans(), uploads=st.integers(0, 2))
    def deploy(self, keep_originals: bool, protected: bool, uploads: int) -> None:
        self.service.keep_originals = keep_originals
        self.world.is_protected = protected
        self.create_a_job((None, None))
        for pick in range(uploads):
            self.upload(1 - pick, b"sound", False)

    @precondition(lambda self: sum(job.origin is Origin.API for job in self._jobs()) < 2)
    @rule(plan=plans(1))
    def create_a_job(self, plan: Any) -> None:
        self._start(lambda: self.service.create(passphrase=self._passphrase()), plan)

    @precondition(lambda self: self.world.keyed or sum(job.origin is Origin.API for job in self._jobs()) < 2)
    @rule(plan=plans(3))
    def create_a_job_with_a_key(self, plan: Any) -> None:
        """For the first time, or again."""
        self.world.keyed = True

        def create() -> CreatedJob:
            created = self.service.create("order 4711", self._passphrase())
            if created.secret:
                assert hash_secret(created.secret) in _secret_hashes(self.parsed[created.job.id]), "a dead link"
            return created

        self._start(create, plan)

    @rule(pick=picks, data=st.sampled_from([b"sound", b"other sound", b"pass", b"corrupt"]), quality=st.booleans())
    def upload(self, pick: int, data: bytes, quality: bool) -> None:
        keys = [DIRECT_KEY, *(job.upload_key for job in self._jobs() if job.origin is Origin.API)]
        key = keys[pick % len(keys)]
        if len(self.world.events) > 6:
            return
        metadata = {"vbr-quality": "2"} if quality else {}
        self._note_upload(key, self.aws.put(UPLOADS, key, data, metadata))

    @precondition(lambda self: len(self.world.senders) < 4 and any(job.origin is Origin.API for job in self._jobs()))
    @rule(
        pick=picks,
        file=st.sampled_from([b"sound in parts", b"other in parts", b"pass  in parts", b"corrupt  parts"]),
        has_fingerprint=st.booleans(),
        most=st.sampled_from([100, 100, 2]),
        plan=plans(6),
    )
    def begin_an_upload_in_parts(self, pick: int, file: bytes, has_fingerprint: bool, most: int, plan: Any) -> None:
        jobs = [job.id for job in self._jobs() if job.origin is Origin.API]
        sender = Sender(jobs[pick % len(jobs)], file, has_fingerprint)
        self.world.senders.append(sender)
        self._start(lambda: sender.begin(self.service), plan)
        sender.send(self.service, most)

    @precondition(lambda self: self.world.senders)
    @rule(pick=picks, most=st.integers(1, 4), plan=plans(6))
    def go_on_with_an_upload_in_parts(self, pick: int, most: int, plan: Any) -> None:
        """As after a reload: begin once more, and send what is missing."""
        sender = self._pick_sender(pick)
        self._start(lambda: sender.begin(self.service), plan)
        sender.send(self.service, most)

    @precondition(lambda self: self.world.senders and len(self.world.events) < 8)
    @rule(pick=picks, plan=plans(5))
    def complete_an_upload(self, pick: int, plan: Any) -> None:
        sender = self._pick_sender(pick)
        if not (sender.has_fingerprint or sender.has_sent_all):
            return

        def complete() -> None:
            sender.complete(self.service)
            job = self.parsed.get(sender.job_id)
            if job and job.seen_at(self.service.now).status is Status.AWAITING_UPLOAD:
                assert (UPLOADS, job.upload_key) in self.aws.objects, "completed, and nothing is there"

        self._start(complete, plan)

    @precondition(lambda self: any(sender.has_sent_all for sender in self.world.senders))
    @rule(pick=picks)
    def complete_an_upload_at_s3(self, pick: int) -> None:
        """By the presigned call; it ends with the job."""
        senders = [sender for sender in self.world.senders if sender.has_sent_all]
        sender = senders[pick % len(senders)]
        job = self.parsed.get(sender.job_id)
        if job is None or len(self.world.events) > 7 or self.service.now >= job.expires_at:
            return
        try:
            sender.complete_at_s3(self.service)
        except ClientError:
            return  # somebody else's part is there, or no such upload

    @precondition(lambda self: self.world.senders)
    @rule(pick=picks, plan=plans(4))
    def give_an_upload_up(self, pick: int, plan: Any) -> None:
        sender = self._pick_sender(pick)

        def abort() -> None:
            self.world.giving_up.add(getattr(getcurrent(), "task", None))
            sender.abort(self.service)

        self._start(abort, plan)

    @precondition(lambda self: self.world.events)
    @rule(pick=picks, plan=plans(11))
    def deliver_an_event(self, pick: int, plan: Any) -> None:
        """For the first time, once more, or late."""
        self._invoke(self.world.events[-1 - pick % len(self.world.events)], plan)

    @precondition(lambda self: any(request.task for request in self.world.requests))
    @rule(pick=picks, plan=plans(11))
    def deliver_an_event_twice_at_once(self, pick: int, plan: Any) -> None:
        """Lambda's own queue may do that too, with the same request id."""
        at_work = [request for request in self.world.requests if request.task]
        twin = at_work[pick % len(at_work)]
        self.world.twins.add(twin.event.key)
        request = Request(twin.event, twin.id, twin.attempts - 1)
        self.world.requests.append(request)
        self._attempt(request, plan)

    @precondition(lambda self: self.world.failed)
    @rule(plan=plans(11))
    def send_a_failed_event_again(self, plan: Any) -> None:
        self._send_again(plan)

    @precondition(lambda self: self.world.events)
    @rule(pick=picks, calls=st.integers(0, 10), fault=st.sampled_from(Fault))
    def deliver_an_event_that_meets_the_same_fault_in_each_attempt(self, pick: int, calls: int, fault: Fault) -> None:
        request = self._invoke(self.world.events[-1 - pick % len(self.world.events)], (calls, fault))
        while request in self.world.requests and request.task is None:
            self._jump_to(request.next_at)
            self._attempt(request, (calls, fault))

    @precondition(lambda self: any(request.task is None for request in self.world.requests))
    @rule(pick=picks, plan=plans(11))
    def retry(self, pick: int, plan: Any) -> None:
        waiting = [request for request in self.world.requests if request.task is None]
        request = waiting[pick % len(waiting)]
        self._jump_to(request.next_at)
        self._attempt(request, plan)

    @precondition(lambda self: self._under_way())
    @rule(pick=picks, plan=plans(11))
    def go_on(self, pick: int, plan: Any) -> None:
        under_way = self._under_way()
        self._play(under_way[pick % len(under_way)], plan)

    @precondition(lambda self: self.world.tokens)
    @rule(
        pick=picks,
        old=st.booleans(),
        key=st.sampled_from([None, "a" * 32, "b" * 32]),
        plan=plans(4),
        passphrase=st.sampled_from([RIGHT, RIGHT, WRONG, None]),
    )
    def claim(self, pick: int, old: bool, key: str | None, plan: Any, passphrase: str | None = RIGHT) -> None:
        ready = [
            self.world.tokens[job.id]
            for job in self._jobs()
            if job.status is Status.READY and job.id in self.world.tokens
        ]
        choice = ready or list(self.world.tokens.values())
        tokens = choice[pick % len(choice)]
        token = tokens[0 if old else -1]

        def claim() -> None:
            job_id, secret = parse_token(token) or ("", "")
            task = getattr(getcurrent(), "task", None)
            self.world.secrets[task] = hash_secret(secret)
            self.world.offered[task] = passphrase
            granted = self.service.claim(token, key, passphrase)
            self.world.granted.setdefault(job_id, set()).add((token, key or f"nobody {len(self.world.calls)}"))
            assert granted.expires_at >= self.service.now

        self._start(claim, plan)

    @precondition(lambda self: self.aws.items)
    @rule(pick=picks, plan=plans(2))
    def renew_a_link(self, pick: int, plan: Any) -> None:
        job_id = self._pick_id(pick)

        def renew() -> None:
            job, secret = self.service.jobs.renew_link(job_id)
            self.world.tokens.setdefault(job.id, []).append(f"{job.id}.{secret}")

        self._start(renew, plan)

    @precondition(lambda self: self.aws.items and not self.world.deleted)
    @rule(pick=picks, plan=plans(6))
    def delete_a_job(self, pick: int, plan: Any) -> None:
        """Often one that is at work just now."""
        at_work = [job.id for job in self._jobs() if job.status is Status.PROCESSING]
        job_id = at_work[0] if at_work and pick % 2 else self._pick_id(pick)
        self.world.deleted.add(job_id)

        def delete() -> None:
            self.service.jobs.delete(job_id)
            job = self.parsed.get(job_id)
            assert not (job and job.multipart and job.multipart.upload_id in self.aws.in_parts), "parts are left"

        self._start(delete, plan)

    @precondition(lambda self: self.aws.messages)
    @rule(pick=picks, early=st.booleans(), plan=plans(6))
    def deliver_a_purge(self, pick: int, early: bool, plan: Any) -> None:
        message = self.aws.messages[pick % len(self.aws.messages)]
        if not early:
            self._jump_to(message.due_at)
        self._deliver(message, plan)

    @rule(plan=plans(8))
    def sweep(self, plan: Any) -> None:
        self._sweep(plan)

    @rule(seconds=st.sampled_from([0.5, 1, 20, 61, 130, 301, 899, 901, 1300, 3700, DAY, 8 * DAY]))
    def time_passes(self, seconds: float) -> None:
        self._jump_to(self.service.now + seconds)

    # What must hold

    @invariant()
    def every_promise_is_kept(self) -> None:
        SEEN[None, None] += 1
        self.no_claim_is_granted_twice()
        self.what_is_ready_is_there_until_it_expires_or_its_window_ends()
        self.no_result_is_there_after_the_purge()
        self.no_job_is_converted_twice_at_the_same_time()
        self.nothing_is_processed_for_ever()

    def no_claim_is_granted_twice(self) -> None:
        for job_id, claims in self.world.granted.items():
            assert len(claims) == 1, f"{job_id}: {claims}"

    def what_is_ready_is_there_until_it_expires_or_its_window_ends(self) -> None:
        for job in self._jobs():
            stored = self.aws.objects.get((RESULTS, job.result_key))
            seen = job.seen_at(self.service.now)
            if seen.status is Status.READY or (job.status is Status.CLAIMED and self.service.now < (job.purge_at or 0)):
                assert stored is not None, f"{job} was lost"
                assert stored.body in map(converted, self.world.uploaded[job.upload_key]), (
                    "the result of another upload"
                )

    def no_result_is_there_after_the_purge(self) -> None:
        for job in self._jobs():
            if job.status is Status.PURGED and job.purge_at is not None and job.upload_key not in self.world.twins:
                assert (RESULTS, job.result_key) not in self.aws.objects

    def no_job_is_converted_twice_at_the_same_time(self) -> None:
        """But for a retry that meets an attempt of the same request: Lambda says that it has ended."""
        at_work: dict[str, set[str]] = {}
        for request in self.world.requests:
            if request.task in self.service.converting:
                job_id = api_job_id(request.event.key) or request.event.version
                at_work.setdefault(job_id, set()).add(request.id)
        assert all(len(requests) == 1 for requests in at_work.values()), at_work

    def nothing_is_processed_for_ever(self) -> None:
        for job in self._jobs():
            if job.status is Status.PROCESSING and self.service.now >= job.lease_expires_at + RETRY_GRACE_SECONDS:
                seen = job.seen_at(self.service.now)
                assert (seen.status, seen.retryable) == (Status.FAILED, True)

    # Everything that waits is delivered, without any fault

    def everything_comes_to_an_end(self) -> None:
        for task in self._under_way():
            task.advance()
        self._collect()
        for _ in range(30):
            if waiting := [request for request in self.world.requests if request.task is None]:
                self._jump_to(waiting[0].next_at)
                self._attempt(waiting[0], (None, None))
            elif self.world.failed:
                self._send_again((None, None))
            elif self.aws.messages:
                self._jump_to(max(self.service.now, self.aws.messages[0].due_at))
                self._deliver(self.aws.messages[0], (None, None))
            else:
                break
        else:
            pytest.fail("it does not come to an end")
        self.no_claim_is_granted_twice()
        for job in self._jobs():
            self._check_end(job)
        for event in {event.key: event for event in self.world.events}.values():
            job_id = api_job_id(event.key) or direct_job_id(UPLOADS, event.key, event.version)
            if event in self.world.delivered and (UPLOADS, event.key) in self.aws.objects:
                assert job_id in self.parsed.keys() | self.world.records_gone, "an upload that nobody cares for"
        for event in self.world.delivered:
            if (event.created_at or 0) > self.service.now - RECORD_SECONDS:
                job_id = api_job_id(event.key) or event.job_id
                assert job_id in self.parsed.keys() | self.world.records_gone, "an upload that left no trace"
        results = {key for bucket, key in self.aws.objects if bucket == RESULTS}
        # A twin that is killed after the job's end may leave its result, which no link opens, to the lifecycle rule.
        killed = {job.result_key for job in self._jobs() if job.upload_key in self.world.twins}
        fetchable = {job.result_key for job in self._jobs() if job.status is Status.READY}
        # The sweep comes last, and then nothing may be left at all.
        unfinished = (Status.EXPIRED, Status.FAILED, Status.PROCESSING)
        swept = {job.result_key for job in self._jobs() if job.status in unfinished and job.sweep_at}
        assert results <= fetchable | killed | swept, "a result that nobody can fetch"

        self.sweeps_leave_nothing()

    def sweeps_leave_nothing(self) -> None:
        """The same again, with what nobody fetched: it goes when it is due, and every step was told."""
        for event in self.world.events:
            if event not in self.world.delivered:
                self._invoke(event, (None, None))
        for _ in range(40):
            due = [job.sweep_at for job in self._jobs() if job.sweep_at is not None]
            if not due:
                break
            self._jump_to(max(self.service.now, min(due)))
            self._sweep((None, None))
        else:
            pytest.fail(f"the sweep does not come to an end: {[job for job in self._jobs() if job.sweep_at]}")
        for job in self._jobs():
            assert job.status in (Status.PURGED, Status.EXPIRED, Status.FAILED), job
            assert job.deleted_at, job
            told = {event["DetailType"] for event in self.aws.events if job.id in event["Detail"]}
            assert DETAIL_TYPES[job.status] in told, f"{job} was not told"
            assert not job.claimed_at or job.was_deleted or "Job Claimed" in told
        left = set(self.aws.objects)
        if self.service.keep_originals:
            left = {(bucket, key) for bucket, key in left if bucket == RESULTS}
        killed = {(RESULTS, job.result_key) for job in self._jobs() if job.upload_key in self.world.twins}
        assert self.world.records_gone or left <= killed, "something was left"
        # The sweep comes every few minutes, whatever is due. Parts whose job's record is gone wait for a day.
        self._jump_to(self.service.now + (DAY + 1 if self.world.records_gone else 300))
        self._sweep((None, None))
        assert self.aws.in_parts == {}, "parts were left"

    def _check_end(self, job: Job) -> None:
        delivered = any(
            event.key == job.upload_key and (event.created_at or 0) >= job.created_at for event in self.world.delivered
        )
        upload = self.aws.objects.get((UPLOADS, job.upload_key))
        match job.status:
            case Status.AWAITING_UPLOAD:
                assert not delivered or job.seen_at(self.service.now).status is Status.EXPIRED
                assert not delivered or upload is None or self._has_undelivered_event(job), (
                    "an upload that was too late"
                )
            case Status.READY | Status.FAILED if not job.announced:
                assert job.sweep_at, "nobody will be told"  # sweeps_leave_nothing sees that somebody is
                assert job.sweep_at <= self.service.now + LAMBDA_SECONDS + RETRY_GRACE_SECONDS
                assert job.status is Status.READY or job.retryable, "who fails a file tells"
            case Status.READY | Status.FAILED:
                news = [event for event in self.aws.events if job.id in event["Detail"]]
                assert news, "nobody was told"
                assert news[-1]["DetailType"] == DETAIL_TYPES[job.status]
                if job.origin is Origin.API and not job.retryable and not self.service.keep_originals:
                    assert upload is None or self._has_undelivered_event(job)
            case Status.EXPIRED:
                pass
            case Status.PROCESSING:
                assert job.sweep_at, "it stays in processing for ever"
            case Status.PURGED:
                if job.id in self.world.deleted and job.purge_at is None and job.origin is Origin.API:
                    assert upload is None or self._has_undelivered_event(job)
            case status:
                pytest.fail(f"{job.id} is left {status}")

    # How it is made to happen

    def _start(self, work: Callable[[], Any], plan: Any) -> None:
        task = Task(work, self.service.now + API_SECONDS)
        self.world.calls.append(task)
        self._play(task, plan)

    def _invoke(self, event: UploadEvent, plan: Any) -> Request:
        self.world.requests_made += 1
        self.world.delivered.add(event)
        request = Request(event, f"request {self.world.requests_made}")
        self.world.requests.append(request)
        self._attempt(request, plan)
        return request

    def _send_again(self, plan: Any) -> None:
        failed = self.world.failed.pop()
        request = Request(failed.event, failed.id)
        self.world.requests.append(request)
        self._attempt(request, plan)

    def _attempt(self, request: Request, plan: Any) -> None:
        deadline = self.service.now + LAMBDA_SECONDS
        request.attempts += 1
        request.task = Task(lambda: self.service.handle(request.event, request.id, deadline), deadline)
        self._play(request.task, plan)

    def _sweep(self, plan: Any) -> None:
        task = Task(self.service.sweep, self.service.now + PURGE_SECONDS)
        self.world.calls.append(task)
        self._play(task, plan)

    def _deliver(self, message: QueuedMessage, plan: Any) -> None:
        task = Task(lambda: self.service.purge(message.body, message.sent_at), self.service.now + PURGE_SECONDS)
        self.world.deliveries.append((task, message))
        self._play(task, plan)

    def _play(self, task: Task, plan: Any) -> None:
        calls, fault = plan
        task.advance(calls)
        if fault:
            task.suffer(fault)
            if fault not in (Fault.KILLED_BEFORE, Fault.KILLED_AFTER):
                task.advance()
        self._collect()

    def _collect(self) -> None:
        """Lambda and SQS look at what has ended."""
        world = self.world
        for call in [call for call in world.calls if call.has_ended]:
            world.calls.remove(call)
            _is_failed(call)
            if isinstance(call.result, CreatedJob) and call.result.secret:
                token = f"{call.result.job.id}.{call.result.secret}"
                world.tokens.setdefault(call.result.job.id, []).append(token)
        for request in [request for request in world.requests if request.task and request.task.has_ended]:
            attempt, request.task = request.task, None
            assert attempt is not None
            if not _is_failed(attempt):
                world.requests.remove(request)
                if attempt.result and attempt.result.link:
                    token = attempt.result.link.rpartition("/")[2]
                    world.tokens.setdefault(attempt.result.job.id, []).append(token)
            elif request.attempts > RETRIES:
                world.requests.remove(request)
                world.failed.append(request)
            else:
                request.next_at = self.service.now + 60 * request.attempts
        for delivery, message in [(task, message) for task, message in world.deliveries if task.has_ended]:
            world.deliveries.remove((delivery, message))
            if not _is_failed(delivery) and message in self.aws.messages:
                self.aws.messages.remove(message)

    def _under_way(self) -> list[Task]:
        return [
            *self.world.calls,
            *(request.task for request in self.world.requests if request.task),
            *(task for task, _ in self.world.deliveries),
        ]

    def _jump_to(self, moment: float) -> None:
        """Who is at work past its end is killed by Lambda on the way."""
        for task in self._under_way():
            if task.deadline <= moment:
                task.suffer(Fault.KILLED_BEFORE)
        self._collect()
        self.service.now = max(self.service.now, moment)
        for job_id in [job.id for job in self._jobs() if job.delete_at <= self.service.now]:
            self.world.records_gone.add(job_id)
            self.world.deleted.discard(job_id)
            remembered: list[dict[str, Any]] = [self.aws.items, self.seen, self.parsed]
            for where in (*remembered, self.world.tokens, self.world.granted):
                where.pop(job_id, None)
        for place, stored in list(self.aws.objects.items()):
            if stored.last_modified.timestamp() + 2 * DAY <= self.service.now:
                del self.aws.objects[place]

    def _watched(self, operation: str, perform: Perform) -> Any:
        """Every change of the table and every deletion of an upload is looked at, the moment it happens."""
        uploads = {key: stored for (bucket, key), stored in self.aws.objects.items() if bucket == UPLOADS}
        in_parts = dict(self.aws.in_parts)
        answer = perform()
        task = getattr(getcurrent(), "task", None)
        if operation == "HeadObject":
            self.world.looked_at[task] = [stored for stored in uploads.values() if stored.etag == answer["ETag"]]
        try:
            self._check_change(operation, uploads)
            self._check_parts(operation, in_parts)
        except AssertionError as error:
            raise Broken(*error.args) from error
        return answer

    def _check_change(self, operation: str, uploads: Mapping[str, StoredObject]) -> None:
        if operation in ("PutItem", "UpdateItem"):
            for job_id, item in self.aws.items.items():
                if self.seen.get(job_id) is not item:
                    self._check_arrow(self.parsed.get(job_id), _job(item))
                    self.seen[job_id] = item
                    self.parsed[job_id] = _job(item)
        if operation == "DeleteObject":
            for key, stored in uploads.items():
                if (UPLOADS, key) not in self.aws.objects:
                    self._check_deletion(key, stored)

    def _check_parts(self, operation: str, before: Mapping[str, PartsUnderWay]) -> None:
        """Parts become one file that somebody sent, and go when nobody can complete them, or wants to."""
        ended = {name: upload for name, upload in before.items() if name not in self.aws.in_parts}
        for name, upload in ended.items():
            job = self.parsed.get(upload.key.removeprefix("jobs/"))
            if operation == "CompleteMultipartUpload":
                stored = self.aws.objects[UPLOADS, upload.key]
                files = {sender.file for sender in self.world.senders if upload.key == f"jobs/{sender.job_id}"}
                assert stored.body in files, f"{stored.body!r} is nobody's file"
                self._note_upload(upload.key, stored)
            elif job and job.multipart and job.multipart.upload_id == name:
                task = getattr(getcurrent(), "task", None)
                is_awaited = job.awaits_upload and self.service.now < job.expires_at
                assert not is_awaited or task in self.world.giving_up, "an upload that somebody is at"

    def _check_arrow(self, before: Job | None, after: Job) -> None:
        now = self.service.now
        arrow = (before and before.status, after.status)
        assert arrow in ARROWS, f"{before} -> {after}"
        SEEN[arrow] += 1
        if before and after.multipart and before.multipart != after.multipart:
            assert before.awaits_upload, "parts for a job that has its file"
            assert now < before.expires_at, "parts for a job that is over"
        alike = before and replace(
            before,
            sweep_at=after.sweep_at,
            multipart=after.multipart,
            more_secret_hashes=after.more_secret_hashes,
        )
        if before and alike == after:
            added = _secret_hashes(after) - _secret_hashes(before)
            assert not added or now < before.expires_at, "a link of an expired job was added"
            assert _secret_hashes(before) <= _secret_hashes(after), "a link died because a job was asked for again"
            return  # taken by a sweep; or by who sends parts; or asked for again
        if before and after.status is Status.PROCESSING:
            if before.status is Status.AWAITING_UPLOAD:
                assert self._was_uploaded_in_time(before), "an upload that came too late"
            if before.status is Status.FAILED and not before.retryable:
                assert before.origin is Origin.API
                assert self._was_uploaded_in_time(before), "a corrected file that came too late"
                pins = [(job.upload_etag, job.upload_last_modified) for job in (before, after)]
                assert pins[0] != pins[1], "the same wrong file once more"
            if before.lease_holder != after.lease_holder and before.status is Status.PROCESSING:
                assert before.lease_request_id == after.lease_request_id or self._has_ended(before), "still at work"
        if before and before.lease_holder == after.lease_holder:
            assert before.attempts == after.attempts, "one attempt is counted once"
            if _secret_hashes(before) != _secret_hashes(after) and after.status is before.status:
                assert now < before.expires_at, "the link of an expired job was renewed"
        elif before and before.status is after.status and after.status in (Status.READY, Status.FAILED):
            assert not before.announced, "announced once more"
            assert now >= before.lease_expires_at, "announced while another is at it"
        task = getattr(getcurrent(), "task", None)
        if before and before.status is Status.PROCESSING and before.lease_holder == after.lease_holder:
            assert after.status is Status.PURGED or self.world.holders[before.lease_holder or ""] is task, "not its job"
        if before and before.status is Status.READY and after.status is Status.CLAIMED:
            assert self.world.secrets[task] in _secret_hashes(before), "a link that was replaced works no more"
            if before.passphrase_hash:
                assert self.world.offered[task] == RIGHT, "claimed without the passphrase"
                assert before.passphrase_tries, "a try that was not counted"
        if before and before.passphrase_tries > after.passphrase_tries:
            assert after.passphrase_tries == 0
            assert before.secret_hash != after.secret_hash, "only a new link may be tried anew"
        assert after.passphrase_tries <= MAX_PASSPHRASE_TRIES
        if before and before.status in (Status.CLAIMED, Status.PURGED):
            assert before.lease_holder == after.lease_holder, "whose claim it was is forgotten"
        match after.status:
            case Status.PROCESSING:
                self.world.holders.setdefault(after.lease_holder or "", task)
                assert after.lease_holder
                assert after.lease_request_id
                assert after.attempts
                assert not after.error
            case Status.READY | Status.CLAIMED if before and before.status is after.status:
                assert before.result == after.result
            case Status.READY | Status.CLAIMED:
                assert after.result
                assert after.source
                assert after.progress == 1
                assert after.secret_hash
                assert not after.error
                assert (after.status is Status.CLAIMED) == (after.purge_at is not None)
                assert (RESULTS, after.result_key) in self.aws.objects, "ready before the result is safe"
            case Status.FAILED:
                assert after.error

    def _check_deletion(self, key: str, stored: StoredObject) -> None:
        """The original goes when its result is safe, or on request."""
        # S3 deletes by ETag: the same bytes that are put again between a look and its deletion go with it.
        looked_at = self.world.looked_at.get(getattr(getcurrent(), "task", None), [])
        deleted = [stored, *(looked for looked in looked_at if looked.etag == stored.etag)]
        owners = [job for upload in deleted for job in self._owners(key, upload) if self._has_no_use_for(job, upload)]
        told = [(event, upload is stored) for event, upload in self.world.objects.items() if event.key == key]
        assert owners, f"{key} was deleted at {self.service.now} and its job is not done: {told}, {self._jobs()}"

    def _owners(self, key: str, stored: StoredObject) -> list[Job]:
        """Whose upload that was: of an API job whatever lies at its key, of a direct upload what its event told of.

        Within two seconds S3 itself can't tell an upload from the same bytes put there again.
        """
        if key != DIRECT_KEY:
            return [job for job in self.parsed.values() if job.upload_key == key]
        moment = stored.last_modified.timestamp()
        told = [
            event.job_id
            for event, uploaded in self.world.objects.items()
            if uploaded is stored
            or (uploaded.etag == stored.etag and 0 <= moment - uploaded.last_modified.timestamp() <= 3)
        ]
        return [self.parsed[job_id] for job_id in told if job_id in self.parsed]

    def _has_no_use_for(self, job: Job, stored: StoredObject) -> bool:
        if job.status is Status.PURGED and job.id in self.world.deleted:
            return True
        is_late = job.origin is Origin.API and not self._was_uploaded_in_time(job, stored)
        if is_late and job.status in (Status.AWAITING_UPLOAD, Status.FAILED):
            return True
        if job.status is Status.EXPIRED and job.result is None:
            return True
        if self.service.keep_originals:
            return False
        if job.status is Status.FAILED and not job.retryable:
            pinned = (stored.etag, stored.last_modified.timestamp())
            return self.service.now >= job.expires_at or (job.upload_etag, job.upload_last_modified) == pinned
        return job.status in (Status.READY, Status.CLAIMED, Status.PURGED, Status.EXPIRED)

    def _was_uploaded_in_time(self, job: Job, stored: StoredObject | None = None) -> bool:
        """Of no earlier job of the same key; but events from before all that AWS may still deliver count as new."""
        return any(
            event.created_at is not None
            and (job.created_at <= event.created_at or event.created_at <= self.service.now - 15 * DAY)
            and event.created_at < job.expires_at
            for event, uploaded in self.world.objects.items()
            if event.key == job.upload_key and (stored is None or uploaded is stored)
        )

    def _passphrase(self) -> str | None:
        return RIGHT if self.world.is_protected else None

    def _jobs(self) -> list[Job]:
        return list(self.parsed.values())

    def _has_ended(self, job: Job) -> bool:
        attempt = self.world.holders[job.lease_holder or ""]
        return self.service.now >= job.lease_expires_at and (attempt is None or attempt.has_ended)

    def _pick_id(self, pick: int) -> str:
        return list(self.aws.items)[pick % len(self.aws.items)]

    def _pick_sender(self, pick: int) -> Sender:
        return self.world.senders[-1 - pick % len(self.world.senders)]

    def _note_upload(self, key: str, stored: StoredObject) -> None:
        """S3 tells of it, sooner or later."""
        self.world.uploaded.setdefault(key, []).append(stored.body)
        event = UploadEvent(UPLOADS, key, str(len(self.world.events)), stored.etag.strip('"'), self.service.now)
        self.world.events.append(event)
        self.world.objects[event] = stored

    def _has_undelivered_event(self, job: Job) -> bool:
        return any(event.key == job.upload_key for event in self.world.events if event not in self.world.delivered)


SHORT = settings(max_examples=1000, stateful_step_count=25)


def test_jobs_in_any_order(record_property: Callable[[str, object], None]) -> None:
    prove(SHORT, record_property)


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_jobs_in_any_order_for_long(record_property: Callable[[str, object], None]) -> None:
    prove(settings(SHORT, max_examples=20_000, derandomize=False), record_property)


def prove(runs: settings, record_property: Callable[[str, object], None]) -> None:
    """And tell how much was tried. No run means anything in which no job got to its end."""
    SEEN.clear()
    run_state_machine_as_test(Jobs, settings=runs)

    steps = SEEN.pop((None, None))
    record_property("told", f"{runs.max_examples} runs, {steps} steps, {sum(SEEN.values())} transitions")
    assert SEEN.keys() >= ARROWS - RARE
