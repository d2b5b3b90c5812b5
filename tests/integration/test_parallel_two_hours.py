"""Memory doesn't grow with the length."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from resample.parallel import encode_in_parallel
from tests.integration.test_parallel_encoding import encode_serially, encoding, pcm, piped

LIMIT_BYTES = 250 << 20


def _resident_bytes(process: int) -> int:
    """The proportional share: a child that has not begun its own program yet holds nothing but its parent's pages."""
    try:
        fields = Path(f"/proc/{process}/smaps_rollup").read_text(encoding="ascii").split()
    except OSError:
        return 0
    return 1024 * int(fields[fields.index("Pss:") + 1]) if "Pss:" in fields else 0


def _children() -> list[int]:
    children = Path(f"/proc/self/task/{os.getpid()}/children")
    return [int(process) for process in children.read_text(encoding="ascii").split()]


def _memory_files_bytes() -> int:
    total = 0
    for descriptor in Path("/proc/self/fd").iterdir():
        try:
            if "memfd:" in str(descriptor.readlink()):
                total += 512 * descriptor.stat().st_blocks
        except OSError:
            continue
    return total


@contextmanager
def peak_memory() -> Iterator[list[int]]:
    """Watches this process (what it grows by), its children, and its memory files. Gives the peak in bytes."""
    before = _resident_bytes(os.getpid())
    peak = [0]
    done = threading.Event()

    def watch() -> None:
        while not done.wait(0.05):
            grown = _resident_bytes(os.getpid()) - before
            peak[0] = max(peak[0], grown + _memory_files_bytes() + sum(map(_resident_bytes, _children())))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield peak
    finally:
        done.set()
        watcher.join()


@pytest.mark.long
@pytest.mark.parametrize("workers", [2, 6])
def test_two_hours_of_stereo_need_no_more_memory_than_minutes(workers: int, tmp_path: Path) -> None:
    wanted = encoding(bit_rate=320_000)
    sound = pcm()
    times = 7200 * 32_000 * wanted.sample_frame_bytes // len(sound)
    head = encode_serially(sound[:80_000], wanted, tmp_path / "head.mp3").read_bytes()

    with (
        piped(sound, times=times) as pipe,
        (tmp_path / "parallel.mp3").open("wb") as destination,
        peak_memory() as peak,
    ):
        facts = encode_in_parallel(
            pipe, wanted, destination, head=lambda: head, workers=workers, deadline=time.monotonic() + 500
        )

    assert facts.sample_frames == times * len(sound) // wanted.sample_frame_bytes
    assert peak[0] < LIMIT_BYTES
