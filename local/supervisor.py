"""Runs one command and leaves nothing behind, however its owner ends.

The emulator starts function processes, which start ffmpeg processes, some of them in sessions of their own. Only a
process that outlives its owner can promise that all of them go: so the owner starts this supervisor, keeps the write
end of its standard input open, and the supervisor ends everything and deletes the work folder as soon as that pipe
closes. It closes on a clean stop, on Ctrl-C, and when the owner is killed.

Run as a script with the standard library only: `python supervisor.py WORK_FOLDER COMMAND...`; an empty WORK_FOLDER
means that there is none to delete.
"""

from __future__ import annotations

import ctypes
import os
import selectors
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
GRACE_SECONDS = 3.0
POLL_SECONDS = 0.2


def prctl(option: int, value: int) -> None:
    """Ask the kernel for a process attribute; other systems than Linux go without."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0)


def parent_ids() -> dict[int, int]:
    """The parent of every living process, by process id."""
    parents = {}
    for entry in os.scandir("/proc"):
        if not entry.name.isdigit():
            continue
        try:
            stat = Path(entry.path, "stat").read_text()
        except OSError:
            continue
        state, parent = stat.rpartition(")")[2].split()[:2]
        if state not in "ZX":
            parents[int(entry.name)] = int(parent)
    return parents


def descendants(ancestor: int, parents: dict[int, int]) -> set[int]:
    """Every process below `ancestor`. Orphans count too: the supervisor is their reaper, so they hang below it."""
    found: set[int] = set()
    wave = {ancestor}
    while wave:
        wave = {process for process, parent in parents.items() if parent in wave} - found
        found |= wave
    return found


def reap() -> None:
    """Collect ended children, own and adopted, so that none stays a zombie."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass


def end_all_descendants(grace_seconds: float) -> None:
    """SIGTERM to every descendant, then, at the end of the grace, SIGKILL until none is left."""
    deadline = time.monotonic() + grace_seconds
    asked: set[int] = set()
    while remaining := descendants(os.getpid(), parent_ids()):
        overdue = time.monotonic() > deadline
        for process in remaining if overdue else remaining - asked:
            try:
                os.kill(process, signal.SIGKILL if overdue else signal.SIGTERM)
            except ProcessLookupError:
                continue
        asked |= remaining
        time.sleep(0.02)
        reap()


def main(work_folder: Path | None, command: list[str]) -> int:
    """Run `command` until it ends or standard input closes. Returns its exit status, 0 when it was stopped."""
    for ignored in (signal.SIGINT, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)
    stop_requested = False

    def request_stop(_signal: int, _frame: object) -> None:
        nonlocal stop_requested
        stop_requested = True

    signal.signal(signal.SIGTERM, request_stop)
    prctl(PR_SET_CHILD_SUBREAPER, 1)
    status = 0
    try:
        child = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            preexec_fn=lambda: prctl(PR_SET_PDEATHSIG, signal.SIGTERM),
        )
        with selectors.DefaultSelector() as owner:
            owner.register(sys.stdin, selectors.EVENT_READ)
            while not stop_requested:
                if child.poll() is not None:
                    status = child.returncode
                    break
                if owner.select(POLL_SECONDS) and not os.read(sys.stdin.fileno(), 4096):
                    break
    finally:
        end_all_descendants(GRACE_SECONDS)
        if work_folder:
            shutil.rmtree(work_folder, ignore_errors=True)
    return status


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]) if sys.argv[1] else None, sys.argv[2:]))
