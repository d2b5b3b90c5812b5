"""Ends this process when the `make` above it was told to end.

Ctrl-C in a terminal reaches make and its recipe alike. A SIGINT for make alone does not: make waits for its recipe,
which never hears of it. make takes its handler away while it waits, and /proc shows that.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path

POLL_SECONDS = 0.5
OWN_SIGNAL_SECONDS = 1.0
"""In which a SIGINT for all of a terminal's processes has reached this one too."""


def follow_make(is_interrupted: threading.Event) -> None:
    """From now on, interrupt this process once the make that started it is interrupted or gone, unless it was already.

    `is_interrupted` is set by this process's own handler of SIGINT. Without a make above it, nothing is done.
    """
    make = os.getppid()
    if _name(make) in ("make", "gmake") and _catches_sigint(make):
        threading.Thread(target=_follow, args=(make, is_interrupted), daemon=True).start()


def _follow(make: int, is_interrupted: threading.Event) -> None:
    while os.getppid() == make and _catches_sigint(make):
        time.sleep(POLL_SECONDS)
    if not is_interrupted.wait(OWN_SIGNAL_SECONDS):
        os.kill(os.getpid(), signal.SIGINT)


def _name(process: int) -> str:
    try:
        return Path(f"/proc/{process}/comm").read_text().strip()
    except OSError:
        return ""


def _catches_sigint(process: int) -> bool:
    try:
        status = Path(f"/proc/{process}/status").read_text()
    except OSError:
        return False
    [caught] = [line.split()[1] for line in status.splitlines() if line.startswith("SigCgt:")]
    return bool(int(caught, 16) >> (signal.SIGINT - 1) & 1)
