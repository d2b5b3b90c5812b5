"""Many jobs from many clients at once, of all kinds: each ends right, and nothing of any is left."""

from __future__ import annotations

import math
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

import pytest

from local.stack import EmbeddedAws
from tests.audio.measure import tone_dbfs
from tests.e2e.conftest import listen_to_events
from tests.e2e.figures import decode
from tests.e2e.load import (
    DOWNLOADED,
    LEVEL_DBFS,
    PASSED_THROUGH,
    Announcements,
    Client,
    Ending,
    Order,
    Outcome,
    make_file,
    orders,
)
from tests.e2e.processor_time import ProcessorTime
from tests.e2e.service import WINDOW_SECONDS, Service, until
from tests.e2e.sounds import SAMPLE_RATE as SOURCE_RATE

LINK_HOURS = 24
SAMPLE_RATE = 32_000
LOST_AND_ADDED = {"tone.m4a": 1024, "tone.ogg": 1024, "constant.mp3": 47, "variable.mp3": 47}
"""Sample frames of the source: what an encoder fills AAC's last frame with, what it loses and adds in a short Vorbis
file, what ffmpeg's Info tag may count too many."""

STATUSES = {
    Ending.FETCHED: "purged",
    Ending.RIVALS: "purged",
    Ending.REPEATED: "purged",
    Ending.DELETED: "purged",
    Ending.UNCLAIMED: "ready",
    Ending.BROKEN: "failed",
}


@dataclass(frozen=True, slots=True)
class Load:
    """How much is asked of the service."""

    jobs: int
    clients: int
    longest_seconds: float
    ramp_seconds: float
    """Between one client's start and the next one's: functions share a machine here, and starting takes most of it."""


@dataclass(slots=True)
class Day:
    """A load, and what came of it."""

    load: Load
    service: Service
    announcements: Announcements
    outcomes: list[Outcome]
    failures: list[str]
    seconds: float
    processor_time: ProcessorTime
    records: dict[str, dict[str, Any]]
    """The items of the table by job id, when all windows are over."""

    def ending(self, *endings: Ending) -> list[Outcome]:
        return [outcome for outcome in self.outcomes if outcome.order.ending in endings]


SHORT = Load(jobs=40, clients=10, longest_seconds=12, ramp_seconds=0.2)
LONG = Load(jobs=500, clients=50, longest_seconds=60, ramp_seconds=1)


@pytest.fixture(
    scope="module", params=[pytest.param(SHORT, id="short"), pytest.param(LONG, id="long", marks=pytest.mark.long)]
)
def day(request: pytest.FixtureRequest, built: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Day]:
    load: Load = request.param
    todo = orders(load.jobs, load.longest_seconds, tmp_path_factory.mktemp("files"))
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(make_file, todo))
    parameters = {"DownloadWindowSeconds": str(WINDOW_SECONDS), "LinkHours": str(LINK_HOURS)}
    folder = tmp_path_factory.mktemp("load")
    with EmbeddedAws(parameters, state_folder=folder, sam_build_folder=built, write_stack_file=False) as stack:
        service = Service(stack, built / "FfmpegLayer" / "bin", events_queue=listen_to_events(stack))
        yield live_through(load, service, todo)


def live_through(load: Load, service: Service, todo: Sequence[Order]) -> Day:
    """Have the clients carry out all orders, end the download windows, and wait until nothing is under way."""
    announcements, processor_time = Announcements(service), ProcessorTime()
    assert service.s3  # made before the clients share it
    waiting: SimpleQueue[Order] = SimpleQueue()
    for order in todo:
        waiting.put(order)
    outcomes: list[Outcome] = []
    failures: list[str] = []

    def work(number: int) -> None:
        time.sleep(number * load.ramp_seconds)
        client = Client(Service(service.stack, service.programs), announcements)
        with client.service.http:
            while True:
                try:
                    order = waiting.get_nowait()
                except Empty:
                    return
                try:
                    outcomes.append(client.carry_out(order))
                except Exception as error:
                    failures.append(f"{order}: {error!r}")

    with announcements.listening():
        began = time.monotonic()
        with processor_time.measured(), ThreadPoolExecutor(load.clients) as pool:
            clients: list[Future[None]] = [pool.submit(work, number) for number in range(load.clients)]
        for client in clients:
            client.result()
        seconds = time.monotonic() - began
        for record in service.records():
            if record["status"]["S"] == "claimed":
                service.end_window(record["id"]["S"])
        records = until(lambda: settled(service), "nothing is under way")
    return Day(load, service, announcements, outcomes, failures, seconds, processor_time, records)


def settled(service: Service) -> dict[str, dict[str, Any]] | None:
    """The table's items by job id, once no job is under way or can be downloaded."""
    records = {record["id"]["S"]: record for record in service.records()}
    under_way = {"processing", "claimed"} & {record["status"]["S"] for record in records.values()}
    return None if under_way else records


def test_every_job_ends_right(day: Day) -> None:
    assert not day.failures, "\n".join(day.failures)
    assert len(day.outcomes) == len(day.records) == day.load.jobs
    assert {outcome.order.ending for outcome in day.outcomes} == set(Ending)
    wrong = {
        outcome.job_id: (outcome.order, record)
        for outcome in day.outcomes
        if (record := day.records[outcome.job_id])["status"]["S"] != STATUSES[outcome.order.ending]
    }
    assert wrong == {}


def test_no_job_is_begun_twice_and_nothing_goes_wrong_on_the_way(day: Day) -> None:
    attempts = {outcome.order: int(day.records[outcome.job_id]["attempts"]["N"]) for outcome in day.ending(*DOWNLOADED)}
    assert set(attempts.values()) == {1}
    assert [line for line in day.service.log_messages() if '"level":"ERROR"' in line or "Traceback" in line] == []


def test_no_two_jobs_share_a_link_and_each_link_gives_its_own_sound(day: Day) -> None:
    downloaded = day.ending(*DOWNLOADED)
    assert len({outcome.link for outcome in downloaded}) == len(downloaded)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        wrong = [text for text in pool.map(lambda outcome: what_is_wrong(day.service, outcome), downloaded) if text]

    assert wrong == []


def what_is_wrong(service: Service, outcome: Outcome) -> str:
    """Why the downloaded file is not what was asked for."""
    order, result = outcome.order, outcome.result
    assert result is not None
    if order.kind == PASSED_THROUGH:
        return "" if result.read_bytes() == order.path.read_bytes() else f"{order}: not the same file"
    sound = decode(service.programs, result, SAMPLE_RATE)
    ideal = order.seconds * SAMPLE_RATE
    level = tone_dbfs(sound.window(order.seconds / 2 - 0.05, 0.1, 0), order.frequency, SAMPLE_RATE)
    sample_frames = sound.sample_frames
    sound.path.unlink()
    if abs(sample_frames - ideal) > 1 + LOST_AND_ADDED.get(order.kind, 0) * SAMPLE_RATE / SOURCE_RATE:
        return f"{order}: {sample_frames} sample frames instead of {ideal:.0f}"
    return "" if abs(level - LEVEL_DBFS) < 0.5 else f"{order}: the tone has {level:.1f} dBFS"


def test_every_end_is_announced_once(day: Day) -> None:
    told = Counter(detail["job"]["id"] for details in day.announcements.found.values() for detail in details)
    ended = {outcome.job_id for outcome in day.outcomes if outcome.order.ending is not Ending.DELETED}

    assert set(told.values()) == {1}
    assert ended <= told.keys()
    assert told.keys() - ended <= {outcome.job_id for outcome in day.ending(Ending.DELETED)}


def test_nothing_is_left(day: Day) -> None:
    service = day.service
    unclaimed, failed = day.ending(Ending.UNCLAIMED), day.ending(Ending.BROKEN)
    results = {f"{day.records[outcome.job_id]['upload_key']['S']}/{outcome.job_id}.mp3" for outcome in unclaimed}

    # Work on a deleted job goes on until it notices.
    until(lambda: not any(Path(service.stack.access.function_temp_folder).iterdir()), "no function has files")
    until(
        lambda: service.objects(service.results).keys() == results, "results are gone but for those that nobody claimed"
    )
    until(lambda: not service.objects(service.uploads), "uploads are gone, those that were at fault too")
    for bucket in (service.uploads, service.results):
        assert service.stack.admin.client("s3").list_multipart_uploads(Bucket=bucket).get("Uploads", []) == []
    for name in ("FailedEventsQueue", "PurgeDeadLetterQueue"):
        assert messages(service, name) == (0, 0, 0), name
    until(lambda: messages(service, "PurgeQueue")[:2] == (0, 0), "no purge is due")
    assert messages(service, "PurgeQueue")[2] >= len(day.ending(*DOWNLOADED)), "each claim has scheduled its purge"

    for outcome in unclaimed + failed:
        service.delete(outcome.job_id)

    assert {**service.objects(service.uploads), **service.objects(service.results)} == {}


def messages(service: Service, queue: str) -> tuple[int, ...]:
    """How many messages are there to be taken, are being worked on, and are delayed."""
    answer = service.stack.aws.client("sqs").get_queue_attributes(
        QueueUrl=service.stack.access.queues[queue], AttributeNames=["All"]
    )["Attributes"]
    return tuple(int(answer[f"ApproximateNumberOfMessages{which}"]) for which in ("", "NotVisible", "Delayed"))


def test_how_long_it_took(day: Day, figure: Callable[[str], None]) -> None:
    ended = [outcome for outcome in day.outcomes if outcome.order.ending is not Ending.DELETED]
    measured = {
        "upload began -> ended": [ready_at(day.records[outcome.job_id]) - outcome.upload_began_at for outcome in ended],
        "claim": [outcome.claim_seconds for outcome in day.outcomes if outcome.claim_seconds],
        "whole": [outcome.whole_seconds for outcome in day.outcomes if outcome.whole_seconds],
    }
    time_used, cores = day.processor_time, os.cpu_count() or 1
    audio_seconds = sum(outcome.order.seconds for outcome in day.outcomes if not outcome.order.error)

    figure(
        f"load: {day.load.jobs} jobs of {day.load.clients} clients in {day.seconds:.1f} s,"
        f" {day.load.jobs / day.seconds:.2f} jobs/s, {audio_seconds / day.seconds:.0f} s of audio a second"
    )
    for name, values in measured.items():
        shown = ", ".join(f"{name} {percentile(values, share):.2f}" for name, share in PERCENTILES.items())
        figure(f"load: {name}, seconds of {len(values)}: {shown}")
    used = ", ".join(f"{who} {seconds:.1f}" for who, seconds in sorted(time_used.seconds.items()))
    busy = sum(time_used.seconds.values()) / (cores * day.seconds)
    figure(f"load: processor seconds of {cores} cores: {used}; {busy:.0%} busy; processes: {dict(time_used.processes)}")

    assert all(measured.values())
    assert all(seconds > 0 for values in measured.values() for seconds in values)


PERCENTILES = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "max": 1.0}


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that `share` of all do not exceed."""
    return sorted(values)[math.ceil(share * len(values)) - 1]


def ready_at(record: dict[str, Any]) -> float:
    """When a job has ended: the claim and the purge write other moments later on, but not this one."""
    if record["status"]["S"] == "failed":
        return float(record["updated_at"]["N"])
    return float(record["expires_at"]["N"]) - LINK_HOURS * 3600
