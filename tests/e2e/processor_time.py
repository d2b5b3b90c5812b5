"""Who uses the processor while the embedded AWS works: looked up in /proc, again and again."""

from __future__ import annotations

import os
import threading
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from local.supervisor import descendants, parent_ids

INTERVAL_SECONDS = 0.5
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(slots=True)
class ProcessorTime:
    """Seconds of user and system time, of this process and everything below it."""

    seconds: dict[str, float] = field(default_factory=dict)
    """By who used it: `clients` (this process), `emulator`, each function's name, `engine` (what functions run), and
    `others`, which have nothing to do with it."""
    processes: Counter[str] = field(default_factory=Counter)
    """How many processes each function had."""

    @contextmanager
    def measured(self) -> Iterator[None]:
        before, machine_before = _use(), _machine()
        latest = dict(before)
        over = threading.Event()

        def watch() -> None:
            while not over.wait(INTERVAL_SECONDS):
                latest.update(_use())

        thread = threading.Thread(target=watch)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()
            latest.update(_use())
            total: dict[str, float] = defaultdict(float)
            for (process, who), seconds in latest.items():
                total[who] += seconds - before.get((process, who), 0.0)
                if who.endswith("Function"):
                    self.processes[who] += 1
            self.seconds = {**total, "others": _machine() - machine_before - sum(total.values())}


def _use() -> dict[tuple[int, str], float]:
    """Seconds by process and who it works for."""
    parents = parent_ids()
    below = descendants(os.getpid(), parents)
    emulators = {
        process
        for process in below
        if b"strict_emulator.py\0" in _read(process, "cmdline") and b"supervisor" not in _read(process, "cmdline")
    }
    found = dict(_times(os.getpid(), "clients"))
    for process in below:
        if process in emulators:
            found |= _times(process, "emulator")
        elif parents.get(process) in emulators:
            found |= _times(process, _function_name(process), children="engine")
    return found


def _machine() -> float:
    """Seconds that all cores together were busy. See proc_stat(5)."""
    user, nice, system, _idle, _waiting, interrupts, soft_interrupts, *_ = (
        int(ticks) / TICKS for ticks in Path("/proc/stat").read_text().splitlines()[0].split()[1:]
    )
    return user + nice + system + interrupts + soft_interrupts


def _times(process: int, who: str, *, children: str | None = None) -> dict[tuple[int, str], float]:
    """Of the process, and of its `children` that have ended. See proc_pid_stat(5)."""
    fields = _read(process, "stat").rpartition(b")")[2].split()
    if not fields:
        return {}
    user, system, children_user, children_system = (int(ticks) / TICKS for ticks in fields[11:15])
    found = {(process, who): user + system}
    if children:
        found[process, children] = children_user + children_system
    return found


def _function_name(process: int) -> str:
    """The logical id: what stands between the stack's name and a random end."""
    for variable in _read(process, "environ").split(b"\0"):
        name, _, value = variable.partition(b"=")
        if name == b"AWS_LAMBDA_FUNCTION_NAME":
            return next((part for part in value.decode().split("-") if part.endswith("Function")), value.decode())
    return "starting"


def _read(process: int, name: str) -> bytes:
    with suppress(OSError):
        return Path(f"/proc/{process}/{name}").read_bytes()
    return b""
