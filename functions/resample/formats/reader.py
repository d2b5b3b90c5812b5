"""Random access to a file, wherever it is: in S3, on disk, or in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

Reader = Callable[[int, int], bytes]
"""``read(offset, length)`` gives up to ``length`` bytes from ``offset`` on, fewer only at the end of the file.

An S3 ranged GET, a file, or bytes in a test. Every call may be a request over the network.
"""


@contextmanager
def file_reader(path: Path) -> Iterator[Reader]:
    """A :data:`Reader` on a file of this machine."""
    with path.open("rb") as file:

        def read(offset: int, length: int) -> bytes:
            file.seek(offset)
            return file.read(length)

        yield read
