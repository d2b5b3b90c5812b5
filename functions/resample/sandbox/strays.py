"""Processes that a program started and left behind: in a warm function they could read the next customer's file.

A process that calls ``setsid`` leaves its group, so ending the group does not end it. When its parent ends, it becomes
a child of the nearest subreaper, which this process is (see :mod:`.confinement`). So after each program, every child of
this process that is confined, and is not a program at work, is one that was left behind.

Children that are not confined belong to other code of this process, and are left alone.
"""

from __future__ import annotations

import logging
import os
import resource
import signal
import subprocess
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

logger = logging.getLogger(__name__)

MAX_DESCRIPTORS = 32
"""Of each program. It and its children can lower this limit, and never raise it: all that is confined has no more."""

_MAX_ROUNDS = 1000

_lock = threading.Lock()
_at_work: set[int] = set()  # process ids


def start_program(spawn: Callable[[], subprocess.Popen[bytes]]) -> subprocess.Popen[bytes]:
    """Start a program, and remember that it is at work."""
    with _lock:
        process = spawn()
        _at_work.add(process.pid)
    return process


def forget_program(process: int) -> None:
    """It has ended and was collected."""
    with _lock:
        _at_work.discard(process)


def kill_strays() -> None:
    """End and collect what programs that have ended left behind, and what that has started in turn."""
    for _ in range(_MAX_ROUNDS):
        # Twice: a child can be missing from the kernel's list while another one ends (proc(5)).
        if not _kill_listed_strays() and not _kill_listed_strays():
            return
    logger.error("processes that a program left behind could not be ended")


def _kill_listed_strays() -> bool:
    """Returns whether there were any."""
    with _lock:
        strays = [child for child in children(os.getpid()) - _at_work if _is_confined(child)]
        for stray in strays:
            with suppress(ProcessLookupError):
                os.kill(stray, signal.SIGKILL)
            with suppress(ChildProcessError):
                os.waitpid(stray, 0)
    return bool(strays)


def descendants(process: int) -> set[int]:
    """The processes that ``process`` has started, those that they have started, and so on."""
    found: set[int] = set()
    waiting = [process]
    while waiting:
        new = children(waiting.pop()) - found
        found |= new
        waiting += new
    return found


def children(process: int) -> set[int]:
    """The children of a process, those included that have ended and were not collected."""
    try:
        threads = list(Path(f"/proc/{process}/task").iterdir())
        return {int(child) for thread in threads for child in (thread / "children").read_text().split()}
    except OSError:  # a kernel without these files, or a thread that has just ended
        return {int(stat.parent.name) for stat in Path("/proc").glob("[0-9]*/stat") if _parent(stat) == process}


def _parent(stat: Path) -> int | None:
    try:
        return int(stat.read_text(errors="replace").rpartition(")")[2].split()[1])
    except OSError:
        return None  # it has just ended


def _is_confined(process: int) -> bool:
    """Whether it has what no program can get rid of, and this process has not: fewer rights, or the low limit."""
    with suppress(OSError):
        if _rights(process) != _rights(os.getpid()):
            return True
    with suppress(OSError):
        return resource.prlimit(process, resource.RLIMIT_NOFILE)[1] <= MAX_DESCRIPTORS
    return False


def _rights(process: int) -> list[str]:
    status = Path(f"/proc/{process}/status").read_text(errors="replace")
    return [line for line in status.splitlines() if line.startswith(("NoNewPrivs:", "Seccomp"))]
