"""A file that is not on this machine yet. It goes through a pipe, into ffmpeg while it arrives, or into a local file.

ffmpeg reads it from the pipe only if it can be decoded without seeking. Then nothing of it is stored, and it is decoded
and encoded while it arrives. Everything else is fetched first.
"""

from __future__ import annotations

import os
import select
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from audiojobs.errors import TimeLimit
from resample.engine.ranges import RANGE_BYTES, ReadRange, fetch_in_ranges
from resample.formats.containers import Container
from resample.formats.declared_length import declared_length
from resample.formats.pcm_samples import is_plain
from resample.sandbox.pipes import PIPE_BYTES, widen_pipe

STREAM_HEAD_BYTES = 262_144
"""How much of an incoming file's beginning is at hand: more than ffprobe reads of a WAV file to see what is in it."""

_LINGER_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class StreamedSource:
    """A file of ``size_bytes``.

    ``head`` is its first :data:`STREAM_HEAD_BYTES` (or all of it); ``chunks()`` gives the whole file anew each time,
    from its first byte on, and is used in a thread of its own. ``read_range(start, end)`` gives a part of it, where
    parts can be had at the same time, and is used in several.
    """

    size_bytes: int
    head: bytes
    chunks: Callable[[], Iterator[bytes]]
    read_range: ReadRange | None = None

    def is_sequential(self, container: Container) -> bool:
        """Whether this is a WAV file of a layout that the head tells whole, with nothing behind its PCM."""
        is_longer = len(self.head) < self.size_bytes
        if not is_longer:
            return False
        declared = declared_length(self._read_head, self.size_bytes, container)
        return declared.is_sequential and (declared.samples is None or is_plain(self._read_head, declared.samples))

    def _read_head(self, offset: int, length: int) -> bytes:
        return self.head[offset : offset + length]

    def write_outline(self, path: Path) -> None:
        """Make a file that looks like this one as long as only the beginning is read: a hole takes no space."""
        with path.open("wb") as file:
            file.write(self.head)
            file.truncate(self.size_bytes)

    def fetch(self, path: Path, *, deadline: float, on_progress: Callable[[float], None]) -> None:
        """Store the file. ``on_progress`` gets a growing fraction.

        Raises what ``chunks`` or ``read_range`` raises, and :class:`~audiojobs.errors.TimeLimit` at ``deadline``
        (``time.monotonic()``), whatever they may be waiting for.
        """
        if self.read_range and self.size_bytes > RANGE_BYTES:
            fetch_in_ranges(self.read_range, self.size_bytes, path, deadline=deadline, on_progress=on_progress)
            return
        with self.flowing() as pipe, path.open("wb") as file:
            waiting = select.poll()
            waiting.register(pipe, select.POLLIN)
            fetched = 0
            while waiting.poll(max(0.0, deadline - time.monotonic()) * 1000):
                data = os.read(pipe, PIPE_BYTES)
                if not data:
                    return
                file.write(data)
                fetched += len(data)
                on_progress(fetched / self.size_bytes)
            raise TimeLimit

    @contextmanager
    def flowing(self) -> Iterator[int]:
        """The reading end of a pipe through which the whole file comes.

        What ``chunks`` raises ends the flow and is raised at the end of the context. It comes before any other error:
        the reader of the pipe only sees a file that was cut off. Closing the read end stops the flow.
        """
        reading, writing = os.pipe()
        widen_pipe(writing)
        failures: list[Exception] = []

        def write() -> None:
            try:
                for chunk in self.chunks():
                    _write_all(writing, chunk)
            except BrokenPipeError:
                pass
            except Exception as error:
                failures.append(error)
            finally:
                os.close(writing)

        # A daemon, and joined only briefly: on a dead connection it stays until the connection's own timeout.
        thread = threading.Thread(target=write, name="incoming", daemon=True)
        thread.start()
        try:
            yield reading
        finally:
            os.close(reading)
            thread.join(_LINGER_SECONDS)
            if failures:
                raise failures[0]


def _write_all(descriptor: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]
