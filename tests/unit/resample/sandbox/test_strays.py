"""What a program leaves behind, in whatever session, ends with the program; and nothing else does."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from resample.sandbox import confinement, strays
from resample.sandbox.confinement import kill, start
from resample.sandbox.process import run

# Each writes the process id of what shall not outlive the program, and then its parent sleeps or ends.
SLEEP = "time.sleep(3600)"
LEAVES = {
    "parent-sleeps": f"if os.fork(): {SLEEP}\nos.setsid(); say(); {SLEEP}",
    "parent-ends": f"if os.fork(): os._exit(0)\nos.setsid(); say(); {SLEEP}",
    "daemon": f"if os.fork(): {SLEEP}\nos.setsid()\nif os.fork(): os._exit(0)\nos.setsid(); say(); {SLEEP}",
    "group-of-its-own": f"if os.fork(): {SLEEP}\nos.setpgid(0, 0); say(); {SLEEP}",
    "family": f"if os.fork(): {SLEEP}\nos.setsid(); os.fork() or os.setpgid(0, 0); say(); {SLEEP}",
    "lowers-its-limits": f"if os.fork(): {SLEEP}\nos.setsid()\n"
    f"from resource import *; setrlimit(RLIMIT_NOFILE, (8, 8)); say(); {SLEEP}",
    "ends-too": f"if os.fork(): {SLEEP}\nos.setsid(); say(); os._exit(0)",
}
SAY = "import os, time\ndef say(): os.write(1, b'%9d\\n' % os.getpid())\n"


def leaving(name: str) -> list[str]:
    return [sys.executable, "-I", "-S", "-c", SAY + LEAVES[name]]


def left_by(process: subprocess.Popen[bytes]) -> int:
    """Waits for the process id that the program says."""
    assert process.stdout is not None
    return int(process.stdout.read(10))


def close(process: subprocess.Popen[bytes]) -> None:
    for pipe in (process.stdout, process.stderr):
        assert pipe is not None
        pipe.close()


def is_there(process: int) -> bool:
    """Also as one that ended and was not collected."""
    return Path(f"/proc/{process}").exists()


@contextmanager
def without_subreaper(patch: pytest.MonkeyPatch) -> Iterator[None]:
    """A kernel that refuses ``PR_SET_CHILD_SUBREAPER``."""
    prctl = confinement._prctl
    prctl(36, 0)
    confinement._is_subreaper.cache_clear()
    patch.setattr(confinement, "_prctl", lambda option, value: option != 36 and prctl(option, value))
    yield
    confinement._is_subreaper.cache_clear()


@pytest.mark.parametrize("name", LEAVES)
def test_nothing_that_a_program_started_outlives_it(name: str) -> None:
    before = strays.children(os.getpid())
    process = start(leaving(name))
    left = left_by(process)

    kill(process)

    assert not is_there(left)
    assert strays.children(os.getpid()) <= before, "all were collected"
    close(process)


def test_nothing_outlives_a_run(tmp_path: Path) -> None:
    said = bytearray()

    class Enough(Exception):
        pass

    def stop_when_it_speaks(data: bytes) -> None:
        said.extend(data)
        if len(said) == 10:
            raise Enough

    with pytest.raises(Enough):
        run(leaving("daemon"), folder=tmp_path, deadline=time.monotonic() + 300, on_output=stop_when_it_speaks)

    assert not is_there(int(said))


def test_a_chain_of_processes_that_each_start_the_next_ends() -> None:
    process = start(
        [sys.executable, "-I", "-S", "-c", f"{SAY}say()\nwhile True:\n  if os.fork(): os._exit(0)\n  os.setsid()"]
    )
    left_by(process)
    before = strays.children(os.getpid())

    kill(process)

    assert strays.children(os.getpid()) <= before - {process.pid}
    close(process)


def test_programs_at_work_go_on() -> None:
    others = [start(["cat"], stdin=subprocess.PIPE) for _ in range(3)]
    leaver = start(leaving("daemon"))
    left = left_by(leaver)

    kill(leaver)

    assert not is_there(left)
    for other in others:
        assert other.communicate(b"still here") == (b"still here", b"")
        assert other.returncode == 0
        kill(other)
    close(leaver)


def test_programs_of_other_threads_that_begin_meanwhile_go_on() -> None:
    ends: list[int] = []

    def start_and_wait() -> None:
        for _ in range(20):
            process = start([sys.executable, "-I", "-S", "-c", "print('done')"])
            process.communicate()
            ends.append(process.returncode)
            kill(process)

    threads = [threading.Thread(target=start_and_wait) for _ in range(2)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        strays.kill_strays()
    for thread in threads:
        thread.join()

    assert ends == [0] * 40


def test_other_children_of_this_process_are_left_alone() -> None:
    with subprocess.Popen(["sleep", "3600"]) as foreign:
        process = start(["true"])

        kill(process)

        assert foreign.poll() is None
        foreign.kill()
    close(process)


@pytest.mark.parametrize("walls", ["filter", "filter-and-privileges"])
def test_without_the_filter_too(walls: str, monkeypatch: pytest.MonkeyPatch) -> None:
    prctl = confinement._prctl
    monkeypatch.setattr(confinement, "_SECCOMP_SET_MODE_FILTER", 99)
    if walls == "filter-and-privileges":
        monkeypatch.setattr(confinement, "_prctl", lambda option, value: option != 38 and prctl(option, value))
    process = start(
        [*leaving("daemon")[:-1], f"os = __import__('os'); os.read(0, 1)\n{SAY}{LEAVES['daemon']}"],
        stdin=subprocess.PIPE,
    )
    assert process.stdin is not None
    process.stdin.close()
    left = left_by(process)

    kill(process)

    assert not is_there(left)
    close(process)


@pytest.mark.parametrize("name", ["parent-sleeps", "group-of-its-own", "family"])
def test_a_kernel_without_subreapers(
    name: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    confinement._warn_once.cache_clear()
    with without_subreaper(monkeypatch):
        process = start(leaving(name))
        left = left_by(process)

        kill(process)

    deadline = time.monotonic() + 60
    while is_running(left) and time.monotonic() < deadline:  # init collects it, or whoever acts as such
        time.sleep(0.01)
    assert not is_running(left)
    assert "the system refuses PR_SET_CHILD_SUBREAPER: ffmpeg runs without it" in caplog.messages
    close(process)


def is_running(process: int) -> bool:
    with suppress(OSError):
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    return False


def test_a_kernel_that_lists_no_children(monkeypatch: pytest.MonkeyPatch) -> None:
    process = start(leaving("daemon"))
    left = left_by(process)
    listed = strays.children(os.getpid())

    def refuse(_: Path) -> Iterator[Path]:
        raise FileNotFoundError

    monkeypatch.setattr(Path, "iterdir", refuse)

    assert strays.children(os.getpid()) == listed >= {process.pid}
    kill(process)
    assert not is_there(left)
    close(process)


def test_a_process_that_cannot_be_ended_is_logged(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    process = start(leaving("daemon"))
    left = left_by(process)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    monkeypatch.setattr(strays, "_MAX_ROUNDS", 0)

    strays.kill_strays()

    assert [(record.levelno, record.message) for record in caplog.records] == [
        (logging.ERROR, "processes that a program left behind could not be ended")
    ]
    monkeypatch.undo()
    strays.kill_strays()
    assert not is_there(left)
    close(process)
