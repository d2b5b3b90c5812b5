"""The PCM that some encoder still has to read, in memory, on its way from the decoder's pipe to those of the encoders.

Plain reads and writes, straight from and to mapped memory. ``splice`` into a memory file and ``sendfile`` out of it
were no faster, may be refused in a sandbox such as Lambda's, and on some kernels wait for a slow reader although the
pipe is not to block.
"""

from __future__ import annotations

import mmap
import os
from collections import deque

from resample.engine.parallel.failure import ParallelEncodingFailed
from resample.sandbox.pipes import widen_pipe

_LARGEST_CHUNK_BYTES = 4 << 20
_SMALLEST_CHUNK_BYTES = 64 << 10


class PcmWindow:
    """Bytes ``[start, end)`` of the PCM stream; ``at_end`` when no more will come.

    ``source`` is the reading end of a pipe, ``capacity_bytes`` how much may wait in memory. That is cut into chunks
    which are given back whole, so there are always several.
    """

    def __init__(self, source: int, capacity_bytes: int) -> None:
        self._source = source
        pages = capacity_bytes // 8 & -_SMALLEST_CHUNK_BYTES
        self._chunk_bytes = max(_SMALLEST_CHUNK_BYTES, min(_LARGEST_CHUNK_BYTES, pages))
        self._capacity_bytes = max(capacity_bytes, 4 * self._chunk_bytes)
        self._chunks: deque[memoryview] = deque()  # the first one begins at `start`
        self._free_chunks: list[memoryview] = []  # used again: the kernel does not have to clear new memory
        self.start = 0
        self.end = 0
        self.at_end = False
        os.set_blocking(source, False)
        widen_pipe(source)

    def close(self) -> None:
        """Give the memory back."""
        self._chunks.clear()
        self._free_chunks.clear()

    def fill(self) -> bool:
        """Take what the source has ready, within the capacity. Returns whether anything happened."""
        before = self.end
        while not self.at_end and self.end - self.start < self._capacity_bytes:
            chunk, offset = divmod(self.end - self.start, self._chunk_bytes)
            if chunk == len(self._chunks):
                self._chunks.append(self._free_chunks.pop() if self._free_chunks else self._new_chunk())
            try:
                count = os.readv(self._source, [self._chunks[chunk][offset:]])
            except BlockingIOError:
                break
            if count == 0:
                self.at_end = True
                return True
            self.end += count
        return self.end > before

    def send(self, destination: int, position: int) -> int:
        """Write what lies from ``position`` on to a pipe that doesn't block. Returns how many bytes it took.

        Raises :class:`ParallelEncodingFailed` if the other end of the pipe is closed.
        """
        before = position
        while position < self.end:
            chunk, offset = divmod(position - self.start, self._chunk_bytes)
            count = min(self._chunk_bytes - offset, self.end - position)
            try:
                position += os.write(destination, self._chunks[chunk][offset : offset + count])
            except BlockingIOError:
                break
            except BrokenPipeError as error:
                raise ParallelEncodingFailed("an encoder stopped reading") from error
        return position - before

    def release(self, position: int) -> None:
        """Forget what lies before ``position``, in whole chunks."""
        while self._chunks and self.start + self._chunk_bytes <= min(position, self.end):
            self._free_chunks.append(self._chunks.popleft())
            self.start += self._chunk_bytes

    def _new_chunk(self) -> memoryview:
        return memoryview(mmap.mmap(-1, self._chunk_bytes, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS))
