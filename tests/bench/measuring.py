"""What a run costs: wall time, CPU time and peak memory of a process and all that it starts."""

from __future__ import annotations

import json
import os
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

INTERVAL_SECONDS = 0.05

_FORKED_WITHOUT_EXEC = 0x40  # PF_FORKNOEXEC of Linux
_PERIOD_MICROSECONDS = 100_000
_LARGEST_SHARE, _LARGEST_WEIGHT = "262144", "10000"


@dataclass(frozen=True, slots=True)
class Run:
    """One run. ``start_seconds`` is what a Python process took to start and import; it is in none of the others.

    ``other_load`` is what else the machine did meanwhile, in cores; the watching takes a hundredth of one.
    """

    wall_seconds: float
    cpu_seconds: float
    peak_rss_bytes: int
    start_seconds: float | None = None
    other_load: float = 0.0


@dataclass(frozen=True, slots=True)
class Job:
    """One file to convert."""

    source: Path
    destination: Path


@contextmanager
def processor_share(vcpus: float | None = None) -> Iterator[Path]:
    """A control group before which others stand back, with so many CPU-seconds a second at most. Takes root.

    Gives the file that takes the processes' ids.
    """
    first, second = Path("/sys/fs/cgroup/cpu"), Path("/sys/fs/cgroup")
    is_first = first.is_dir()
    group = (first if is_first else second) / f"audio-resampler-bench-{os.getpid()}"
    quota = -1 if vcpus is None else round(vcpus * _PERIOD_MICROSECONDS)
    group.mkdir()
    try:
        if is_first:
            (group / "cpu.shares").write_text(_LARGEST_SHARE)
            (group / "cpu.cfs_period_us").write_text(str(_PERIOD_MICROSECONDS))
            (group / "cpu.cfs_quota_us").write_text(str(quota))
        else:
            (group / "cpu.weight").write_text(_LARGEST_WEIGHT)
            (group / "cpu.max").write_text(f"{'max' if vcpus is None else quota} {_PERIOD_MICROSECONDS}")
        yield group / "cgroup.procs"
    finally:
        group.rmdir()


@contextmanager
def precedence() -> Iterator[None]:
    """Let all that is measured have the processor before anybody else's programs, if we may."""
    with ExitStack() as stack:
        with suppress(OSError):
            processes = stack.enter_context(processor_share())
            processes.write_text(str(os.getpid()))
            stack.callback((processes.parent.parent / "cgroup.procs").write_text, str(os.getpid()))
        yield


def run_programs(commands: Sequence[Sequence[str | Path]]) -> Run:
    """Run programs one after another. CPU time as the kernel accounts it (``wait4``).

    Raises :class:`RuntimeError` if one fails.
    """
    wall = cpu = 0.0
    peak = 0
    began, busy = time.perf_counter(), busy_seconds()
    for command in commands:
        started = time.perf_counter()
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        with watched_memory(process.pid) as found:
            _, status, usage = os.wait4(process.pid, 0)
            wall += time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise RuntimeError(f"{Path(command[0]).name} ended with {process.returncode}")
        cpu += usage.ru_utime + usage.ru_stime
        peak = max(peak, found[0])
    other_load = (busy_seconds() - busy - cpu) / (time.perf_counter() - began)
    return Run(wall, cpu, peak, other_load=other_load)


def run_worker(
    command: Sequence[str | Path],
    environment: Mapping[str, str],
    jobs: Sequence[Job],
    *,
    confine: Callable[[int], object] = bool,
) -> Run:
    """Start a process that says when it is ready, as a Lambda is, and have it do the jobs (see :mod:`.worker`).

    ``confine`` gets its process id before they begin.
    Raises :class:`RuntimeError` if it fails.
    """
    started = time.perf_counter()
    with subprocess.Popen(
        command, env=dict(environment), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        _next_line(process)
        start_seconds = time.perf_counter() - started
        confine(process.pid)
        with watched_memory(process.pid) as found:
            began, busy = time.perf_counter(), busy_seconds()
            process.stdin.write(json.dumps([[str(job.source), str(job.destination)] for job in jobs]) + "\n")
            process.stdin.flush()
            answer = json.loads(_next_line(process))
            wall = time.perf_counter() - began
            other_load = (busy_seconds() - busy - answer["cpu_seconds"]) / wall
        process.stdin.close()
    return Run(wall, answer["cpu_seconds"], found[0], start_seconds, other_load)


def _next_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        raise RuntimeError(f"a worker ended with {process.wait()}")
    return line


def busy_seconds() -> float:
    """CPU time that all processes of this machine took since it started, and what its host took from it."""
    user, nice, system, _idle, _waiting, irq, softirq, steal = map(
        int, Path("/proc/stat").read_text(encoding="ascii").split(maxsplit=9)[1:9]
    )
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")


@contextmanager
def watched_memory(process: int) -> Iterator[list[int]]:
    """Look at a process tree's memory, every 50 ms, until the block ends. Gives a list with the peak in bytes."""
    peak = [tree_bytes(process)]
    done = threading.Event()

    def watch() -> None:
        while not done.wait(INTERVAL_SECONDS):
            peak[0] = max(peak[0], tree_bytes(process))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield peak
    finally:
        done.set()
        watcher.join()


def tree_bytes(process: int) -> int:
    """The memory that a process and its descendants hold now.

    Resident pages, those that several share counted once (the kernel's proportional set size), and memory files,
    which no process's pages show.
    """
    total = 0
    files: dict[int, int] = {}
    waiting = [process]
    while waiting:
        folder = Path("/proc", str(waiting.pop()))
        try:
            is_in_memory_of_parent = _has_not_begun(folder)  # asked before, for it may begin between the two
            fields = (folder / "smaps_rollup").read_text(encoding="ascii").split()
            if not is_in_memory_of_parent:
                total += 1024 * int(fields[fields.index("Pss:") + 1])
            files.update(_memory_files(folder))
            for task in (folder / "task").iterdir():
                waiting += map(int, (task / "children").read_text(encoding="ascii").split())
        except (OSError, ValueError):
            continue  # it has just ended
    return total + sum(files.values())


def _has_not_begun(process: Path) -> bool:
    """Whether a child's program has not begun: Python starts it by vfork, and until then both are in one memory."""
    flags = int((process / "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[6])
    return bool(flags & _FORKED_WITHOUT_EXEC)


def _memory_files(process: Path) -> Iterator[tuple[int, int]]:
    for descriptor in (process / "fd").iterdir():
        if "memfd:" in str(descriptor.readlink()):
            status = descriptor.stat()
            yield status.st_ino, 512 * status.st_blocks
