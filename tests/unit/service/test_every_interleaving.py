"""Any two works at one job, suspended before each call to AWS: every interleaving is tried, none is drawn.

Three at once are tried as far as the minutes go.

``test_state_machine.py`` draws long stories; here short ones are told in full. Two ways that lead to the same state of
AWS, with the same answers to all works, are one: what comes after it is tried once. From each end everything that
waits is delivered, and everything is held to the same promises.
"""

from __future__ import annotations

import itertools
import os
import random
import secrets
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

import pytest
from greenlet import getcurrent

from audiojobs.job import Origin
from audiojobs.passphrases import MAX_PASSPHRASE_TRIES
from tests.unit.service.service_in_memory import Fault, Task
from tests.unit.service.test_state_machine import WRONG, Jobs

FILE = b"sound in parts"
WAITS: Any = (0, None)  # a work that stands before its first call
GOES: Any = (None, None)

Step = tuple[int, Fault | None]
Act = Callable[[Jobs], None]


def jump(machine: Jobs, attribute: str, seconds: float = 0.0) -> None:
    machine._jump_to(max(getattr(job, attribute) or 0.0 for job in machine._jobs()) + seconds)


def uploaded(machine: Jobs, data: bytes = b"sound") -> None:
    machine.upload(1, data, False)


def uploaded_directly(machine: Jobs) -> None:
    machine.upload(0, b"sound", False)


def ready(machine: Jobs) -> None:
    uploaded(machine)
    machine.deliver_an_event(0, GOES)


def ready_directly(machine: Jobs) -> None:
    uploaded_directly(machine)
    machine.deliver_an_event(0, GOES)


def ready_and_expired(machine: Jobs) -> None:
    ready(machine)
    jump(machine, "expires_at")


def claimed(machine: Jobs) -> None:
    ready(machine)
    machine.claim(0, False, "a" * 32, GOES)
    jump(machine, "purge_at", 1)


def deleted(machine: Jobs) -> None:
    ready(machine)
    machine.delete_a_job(0, GOES)


def corrected(machine: Jobs) -> None:
    """The first file was wrong; another one lies there."""
    uploaded(machine, b"corrupt")
    machine.deliver_an_event(0, GOES)
    machine._jump_to(machine.service.now + 60)
    uploaded(machine, b"other sound")


def killed(machine: Jobs) -> None:
    """In the middle of the conversion, and no retry came."""
    uploaded(machine)
    machine.deliver_an_event(0, (6, Fault.KILLED_BEFORE))
    machine.world.requests.clear()
    jump(machine, "lease_expires_at", 301)


def unannounced(machine: Jobs) -> None:
    uploaded_directly(machine)
    machine.deliver_an_event(0, (8, Fault.KILLED_BEFORE))
    machine.world.requests.clear()
    jump(machine, "lease_expires_at", 301)


def protected(machine: Jobs) -> None:
    """Ready, with a passphrase."""
    ready(machine)


def one_try_left(machine: Jobs) -> None:
    ready(machine)
    for _ in range(MAX_PASSPHRASE_TRIES - 1):
        machine.claim(0, False, None, GOES, WRONG)


def nothing(_machine: Jobs) -> None:
    """There is no job yet."""


def parts_sent(machine: Jobs) -> None:
    machine.begin_an_upload_in_parts(0, FILE, True, 100, GOES)


def parts_completed(machine: Jobs) -> None:
    parts_sent(machine)
    machine.complete_an_upload(0, GOES)


def parts_sent_and_another_file(machine: Jobs) -> None:
    parts_sent(machine)
    uploaded(machine)


def parts_expired(machine: Jobs) -> None:
    parts_sent(machine)
    jump(machine, "expires_at")


BEGINNINGS: dict[str, Act] = {
    act.__name__: act
    for act in (
        nothing,
        uploaded,
        uploaded_directly,
        ready,
        ready_directly,
        ready_and_expired,
        claimed,
        deleted,
        corrected,
        killed,
        unannounced,
        parts_sent,
        parts_completed,
        parts_sent_and_another_file,
        parts_expired,
        protected,
        one_try_left,
    )
}


def upload_again(machine: Jobs) -> None:
    is_direct = all(job.origin is Origin.DIRECT for job in machine._jobs() if job.attempts)
    machine.upload(0 if is_direct else 1, b"other sound", False)
    machine.deliver_an_event(0, WAITS)


WORKS: dict[str, Act] = {
    "create again": lambda machine: machine.create_a_job_with_a_key(WAITS),
    "claim": lambda machine: machine.claim(0, False, None, WAITS),
    "claim with a key": lambda machine: machine.claim(0, False, "a" * 32, WAITS),
    "claim with a wrong passphrase": lambda machine: machine.claim(0, False, None, WAITS, WRONG),
    "renew": lambda machine: machine.renew_a_link(0, WAITS),
    "delete": lambda machine: machine.delete_a_job(0, WAITS),
    "event": lambda machine: machine.deliver_an_event(0, WAITS),
    "upload again": upload_again,
    "purge": lambda machine: machine.deliver_a_purge(0, False, WAITS),
    "sweep": lambda machine: machine.sweep(WAITS),
    "begin parts": lambda machine: machine.begin_an_upload_in_parts(0, FILE, True, 100, WAITS),
    "complete parts": lambda machine: machine.complete_an_upload(0, WAITS),
    "give parts up": lambda machine: machine.give_an_upload_up(0, WAITS),
}


def can_begin(machine: Jobs, work: str) -> bool:
    match work:
        case "claim" | "claim with a key":
            return bool(machine.world.tokens)
        case "claim with a wrong passphrase":
            return machine.world.is_protected
        case "delete":
            return bool(machine.aws.items) and not machine.world.deleted
        case "renew" | "upload again":
            return bool(machine.aws.items)
        case "event":
            return bool(machine.world.events)
        case "purge":
            return bool(machine.aws.messages)
        case "begin parts" | "complete parts" | "give parts up":
            return bool(machine.world.senders)
        case _:
            return True


@dataclass(slots=True)
class Tally:
    """What was tried: states of AWS and the works, and ends of all works."""

    states: int = 0
    ends: int = 0


def told_by_whom() -> Callable[..., str]:
    """In place of random names: the same work draws the same ones each time."""
    numbers: dict[Any, Iterator[int]] = {}

    def name(length: int) -> str:
        task = getattr(getcurrent(), "task", None)
        number = next(numbers.setdefault(task and task.name, itertools.count()))
        return f"{task.name if task else 'x'}{number}".ljust(43 if length == 32 else 2 * length, "0")

    return name


def hexadecimal(name: Callable[..., str]) -> Callable[[int], str]:
    return lambda length: name(length).encode().hex()[: 2 * length].ljust(2 * length, "0")


def replay(beginning: str, works: tuple[str, ...], path: tuple[Step, ...]) -> tuple[Jobs, list[Task]] | None:
    """The state at the end of a path; ``None`` if a work can't begin there."""
    machine = Jobs()
    machine.world.service.keep_originals = False
    machine.world.is_protected = beginning in ("protected", "one_try_left")
    if beginning != "nothing":
        machine.create_a_job_with_a_key(GOES)
    BEGINNINGS[beginning](machine)
    tasks: list[Task] = []
    for number, work in enumerate(works):
        if not can_begin(machine, work):
            machine.patches.__exit__(None, None, None)
            return None
        before = machine._under_way()
        WORKS[work](machine)
        new = [task for task in machine._under_way() if task not in before]
        for task in new:
            task.name = "abc"[number]
        tasks += new
    for which, fault in path:
        machine._play(tasks[which], (0, fault) if fault else (1, None))
        machine.every_promise_is_kept()
    return machine, tasks


def state_of(machine: Jobs, tasks: list[Task]) -> Any:
    return (
        repr(sorted(machine.aws.items.items())),
        repr(sorted(machine.aws.objects.items())),
        repr(sorted(machine.aws.in_parts.items())),
        repr([(message.body, message.due_at) for message in machine.aws.messages]),
        len(machine.aws.events),
        tuple((tuple(task.answers), task.has_ended) for task in tasks),
    )


def explore(beginning: str, works: tuple[str, ...], faults: tuple[Fault, ...]) -> Tally:
    """Every state that can be reached with at most one fault, each once, and what becomes of every end."""
    tally = Tally()
    seen: set[Any] = set()
    waiting: list[tuple[Step, ...]] = [()]
    while waiting:
        path = waiting.pop()
        name = told_by_whom()
        with patch.object(secrets, "token_hex", hexadecimal(name)), patch.object(secrets, "token_urlsafe", name):
            reached = replay(beginning, works, path)
            if reached is None:
                break
            machine, tasks = reached
            try:
                is_spent = any(fault for _, fault in path)
                state = (is_spent, state_of(machine, tasks))
                if state in seen:
                    continue
                seen.add(state)
                tally.states += 1
                at_work = [number for number, task in enumerate(tasks) if not task.has_ended]
                for which in at_work:
                    waiting.append((*path, (which, None)))
                    waiting += [(*path, (which, fault)) for fault in faults if not is_spent]
                if not at_work:
                    tally.ends += 1
                    machine.everything_comes_to_an_end()
            except BaseException as error:
                error.add_note(f"{beginning}: {works} by {[(works[which], fault) for which, fault in path]}")
                raise
            finally:
                machine.patches.__exit__(None, None, None)
    return tally


MINUTES_OF_THREE = float(os.environ.get("MINUTES_OF_THREE", "1"))
"""For each beginning. All of them take hours."""

PAIRS = list(itertools.combinations_with_replacement(WORKS, 2))


SAMPLE = [
    ("nothing", ("create again", "create again")),
    ("uploaded", ("create again", "event")),
    ("ready", ("create again", "claim")),
    ("ready", ("create again", "renew")),
    ("ready", ("claim", "claim with a key")),
    ("protected", ("claim", "claim with a wrong passphrase")),
    ("one_try_left", ("claim", "claim with a wrong passphrase")),
    ("one_try_left", ("claim with a wrong passphrase", "renew")),
    ("ready_and_expired", ("claim", "sweep")),
    ("claimed", ("purge", "sweep")),
    ("corrected", ("event", "sweep")),
    ("parts_sent", ("delete", "begin parts")),
    ("parts_sent", ("complete parts", "give parts up")),
    ("parts_sent", ("delete", "complete parts")),
    ("parts_expired", ("sweep", "complete parts")),
    ("parts_completed", ("event", "begin parts")),
]


@pytest.mark.parametrize(("beginning", "works"), SAMPLE, ids=repr)
def test_a_sample_of_two_works_without_a_fault(beginning: str, works: tuple[str, str]) -> None:
    assert explore(beginning, works, ()).ends


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("beginning", BEGINNINGS)
def test_two_works_without_a_fault(beginning: str, record_property: Callable[[str, object], None]) -> None:
    tallies = [explore(beginning, works, ()) for works in PAIRS]

    states, ends = sum(tally.states for tally in tallies), sum(tally.ends for tally in tallies)
    record_property("told", f"{states} states of two works, {ends} ends")
    assert ends


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("beginning", BEGINNINGS)
def test_two_works_with_each_single_fault(beginning: str, record_property: Callable[[str, object], None]) -> None:
    tallies = [explore(beginning, works, tuple(Fault)) for works in PAIRS]

    states, ends = sum(tally.states for tally in tallies), sum(tally.ends for tally in tallies)
    record_property("told", f"{states} states of two works and a fault, {ends} ends")
    assert ends


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("beginning", BEGINNINGS)
def test_three_works_without_a_fault(beginning: str, record_property: Callable[[str, object], None]) -> None:
    triples = list(itertools.combinations_with_replacement(WORKS, 3))
    random.Random(beginning).shuffle(triples)
    until = time.monotonic() + 60 * MINUTES_OF_THREE
    tallies = [explore(beginning, works, ()) for works in triples if time.monotonic() < until]

    states, ends = sum(tally.states for tally in tallies), sum(tally.ends for tally in tallies)
    tried = f"{len(tallies)} of {len(triples)} triples"
    record_property("told", f"{states} states of three works, {ends} ends, in {tried}")
    assert ends
