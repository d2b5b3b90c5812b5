"""Fetches a large file over several connections at a time: one to S3 gives 70 to 90 MB/s, more give more."""

from __future__ import annotations

import os
import queue
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from audiojobs.errors import TimeLimit

RANGE_BYTES = 16 << 20
CONNECTIONS = 4

ReadRange = Callable[[int, int], Iterator[bytes]]
"""From a place in the file to another: what stands between them, piece by piece."""


def fetch_in_ranges(
    read_range: ReadRange,
    size_bytes: int,
    path: Path,
    *,
    deadline: float,
    on_progress: Callable[[float], None],
    range_bytes: int = RANGE_BYTES,
) -> None:
    """Store a file of ``size_bytes`` at ``path``, which ``read_range`` gives in any order, in several threads.

    ``on_progress`` gets a growing fraction, in this thread. Raises what ``read_range`` raises, and
    :class:`~audiojobs.errors.TimeLimit` at ``deadline`` (``time.monotonic()``), whatever the threads are waiting for.
    """
    starts = queue.SimpleQueue[int]()
    for start in range(0, size_bytes, range_bytes):
        starts.put(start)
    arrived = queue.SimpleQueue[int | Exception]()
    stopped = threading.Event()

    def work() -> None:
        # A file of its own: a thread that is still at work after the end never writes to what others opened since.
        with path.open("r+b") as file:
            try:
                while not stopped.is_set():
                    start = starts.get_nowait()
                    file.seek(start)
                    for piece in read_range(start, min(start + range_bytes, size_bytes)):
                        if stopped.is_set():
                            return
                        file.write(piece)
                        file.flush()
                        arrived.put(len(piece))
            except queue.Empty:
                pass
            except Exception as error:
                arrived.put(error)

    path.touch()
    os.truncate(path, size_bytes)
    for _ in range(min(CONNECTIONS, starts.qsize())):
        # Daemons: on a dead connection they stay until the connection's own timeout.
        threading.Thread(target=work, name="fetching", daemon=True).start()
    fetched = 0
    try:
        while fetched < size_bytes:
            try:
                news = arrived.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                raise TimeLimit from None
            if isinstance(news, Exception):
                raise news
            fetched += news
            on_progress(fetched / size_bytes)
    finally:
        stopped.set()
